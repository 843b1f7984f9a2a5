//! Progressive MP4: what comes of it, checked with ffmpeg against the sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use ytcanal::media::Tags;
use ytcanal::mux::splice::Options;

use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::spliced::{Film, as_it_is};
use crate::support::{media, run};

mod kinds;

/// A joined file on the disk, gone with the test.
struct Joined {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

/// Joins the film, having made sure that any part of the joined file is the same alone.
fn joined(film: &Film, options: &Options<'_>) -> Joined {
    let whole = film.whole(&film.plan(options));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("joined.mp4");
    std::fs::write(&path, whole).unwrap();
    Joined { _directory: directory, path }
}

/// What ffmpeg says on its error output, which is to be nothing.
fn complaints(arguments: &[&str], file: &Path) -> String {
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(arguments)
        .args(["-f", "null", "-"]));
    assert!(output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_packet_is_that_of_its_source() {
    for kind in kinds::all() {
        let film = Film::of(&kind.video, &kind.audio);
        let tags = Tags::default();
        let joined = joined(&film, &as_it_is(&tags));
        for (stream, source) in [("v", &kind.video), ("a", &kind.audio)] {
            let what = format!("{}, {stream}", kind.name);
            let after = packets(&joined.path, stream);
            assert_same(&packets(source, stream), &after, Exactness::Every, &what);
        }
        assert_eq!(complaints(&[], &joined.path), "", "{}", kind.name);
    }
    let _ = media::index_at_head();
}
