//! What real download programs call the file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::printed;
use crate::support::client::mux_path;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{media, run};

/// Downloads this, with the name that the server gives to it, into that directory.
fn save(program: &str, url: &str, directory: &Path) {
    let mut command = Command::new(program);
    match program {
        "curl" => command.args(["-sS", "--noproxy", "*", "-OJ"]),
        "wget" => command.args(["-q", "--no-config", "--no-proxy", "--content-disposition"]),
        _ => command.args(["-q", "--no-conf", "--no-proxy=127.0.0.1", "--file-allocation=none"]),
    };
    let output = run(command.env("LC_ALL", "C.UTF-8").arg(url).current_dir(directory));
    assert!(output.status.success(), "{program}: {}", printed(&output));
}

/// Saves a small film under each of these titles; the names of the files.
fn saved(program: &str, titles: &[&str]) -> BTreeSet<String> {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let directory = tempfile::tempdir().unwrap();
    let film = &media::minute().audio;
    for title in titles {
        let audio = origin.put("a", Resource::file(film));
        let url = daemon.url(&mux_path(None, Some(&audio), &[("name", title)]));
        save(program, &url, directory.path());
    }
    let files: BTreeSet<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().expect("UTF-8"))
        .collect();
    for file in &files {
        let bytes = std::fs::read(directory.path().join(file)).unwrap();
        assert!(bytes == std::fs::read(film).unwrap(), "{program}: {file} is not the film");
    }
    files
}

#[test]
fn two_titles_are_two_files() {
    let long = ["長い題名".repeat(30) + "第一話", "長い題名".repeat(30) + "第二話"];
    let titles = [
        ["東京物語の夜明", "京都物語の夕暮"],
        ["Первый фильм", "Второй фильм"],
        ["فيلم أول", "فيلم آخر"],
        ["סרט ראשון", "סרט שני"],
        ["🎬🎬🎬", "🎥🎥🎥"],
        ["\u{e000}", "\u{e001}"],
        ["Folge 一", "Folge 二"],
        [&long[0], &long[1]],
    ];
    for program in ["curl", "wget", "aria2c"] {
        // What is long when it is percent-encoded wget cuts by itself, anywhere.
        let known = if program == "wget" { &titles[..titles.len() - 1] } else { &titles };
        let files = saved(program, known.as_flattened());
        println!("{program}: {files:#?}");
        assert_eq!(files.len(), 2 * known.len(), "{program}: {files:#?}");
        // Nor did one of them get out of the way of the other (`film.m4a.1`, `film.1.m4a`).
        let is_good =
            |file: &&String| file.ends_with(".m4a") && !file.contains(".1") && file.len() <= 255;
        assert_eq!(files.iter().filter(is_good).count(), files.len(), "{program}: {files:#?}");
    }
}

#[test]
fn no_title_leads_astray() {
    let titles = [
        "..",
        "../../up",
        "/etc/passwd",
        "~/.ssh/x",
        "-o",
        "con",
        "a\r\nX: b",
        "a%2Fb",
        "\"; x=\"",
        "\u{202e}4pm.exe",
        "a;b",
        "$(id)`id`",
    ];
    for program in ["curl", "wget", "aria2c"] {
        let files = saved(program, &titles);
        println!("{program}: {files:#?}");
        assert_eq!(files.len(), titles.len(), "{program}: {files:#?}");
        for file in files {
            assert!(file.ends_with(".m4a") && !file.starts_with(['.', '-']), "{program}: {file}");
        }
    }
}
