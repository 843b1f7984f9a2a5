//! Archives of more than 4 GiB, with a file that is longer than that. They take a minute and 6 GB of disk, so only `make
//! archives` makes them.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{archive_path, site};
use crate::support::resource::Resource;
use crate::support::run;
use crate::support::ytdlp::{self, file};

/// The length of the box behind the film, which says nothing.
const FREE: u64 = (4 << 30) + 77_777;

/// Makes a film with a box behind it that is longer than 4 GiB, and takes no room on the disk.
fn long_film(path: &Path) -> u64 {
    let mut film = File::create(path).unwrap();
    let short = std::fs::read(file("18")).unwrap();
    film.write_all(&short).unwrap();
    // A size of 1 says that 64 bits follow the name of the box.
    film.write_all(b"\0\0\0\x01free").unwrap();
    film.write_all(&FREE.to_be_bytes()).unwrap();
    film.seek(SeekFrom::Start(short.len() as u64 + FREE - 1)).unwrap();
    film.write_all(b"\0").unwrap();
    short.len() as u64 + FREE
}

#[test]
fn archives_beyond_four_gibibytes() {
    if std::env::var_os("YTCANAL_ARCHIVES").is_none() {
        return;
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let long = directory.path().join("long.mp4");
    let len = long_film(&long);
    let site = site(&json!(["one", "two"]));
    let media = Resource::file(&long).ranges().keep_alive().etag("\"long\"");
    site.origin.put("f/one/18", media);
    site.put_page("one", &json!({ "formats": {"18": {"filesize": len}} }));
    let daemon = ytdlp::daemon("");
    for (format, checks) in [
        ("tar", &[&["tar", "-tf"][..]][..]),
        (
            "zip",
            &[
                &["unzip", "-tq"],
                &["7z", "t"],
                &[
                    "python3",
                    "-c",
                    "import sys, zipfile; assert zipfile.ZipFile(sys.argv[1]).testzip() is None",
                ],
            ],
        ),
    ] {
        let path = archive_path(&site, format, &[("length", "wait")]);
        let archive = directory.path().join("archive");
        let url = daemon.url(&path);
        // A quarter, and then the rest: the second request begins in the middle of the long file.
        let quarter = format!("{}", len / 4);
        let range = format!("0-{quarter}");
        for arguments in [&["-r", &range][..], &["-C", "-"]] {
            let mut curl = Command::new("curl");
            let ran = run(curl.args(["-sSf", "-o"]).arg(&archive).args(arguments).arg(&url));
            assert!(ran.status.success(), "{format}: {ran:?}");
        }
        for check in checks {
            let ran = run(Command::new(check[0]).args(&check[1..]).arg(&archive));
            assert!(ran.status.success(), "{check:?}: {ran:?}");
        }
        println!("{format}: {} bytes", std::fs::metadata(&archive).unwrap().len());
        std::fs::remove_file(&archive).unwrap();
    }
}
