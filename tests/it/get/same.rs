//! The file is that of the server, wherever it goes.

use std::fs::OpenOptions;

use super::Shell;
use crate::support::client::any_path;
use crate::support::daemon::{Daemon, script};
use crate::support::film::{put_film, track_file};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::run;

/// By each engine, to a file with the name that the server gives it.
#[test]
fn a_file_is_the_one_of_the_server() {
    let (origin, shell) = (Origin::start(), Shell::new());
    let [video, audio] = put_film(&origin);
    let daemon = Daemon::start(super::LOOPBACK);
    let both = ["--video", &video, "--audio", &audio];
    for (name, urls, engine) in [
        ("splice", &both[..], "splice"),
        ("ffmpeg", &both[..], "ffmpeg"),
        ("pass", &both[..2], "auto"),
    ] {
        let audio = (urls.len() > 2).then_some(audio.as_str());
        let named = [("engine", engine), ("name", name)];
        let expected = daemon.get(&any_path(Some(&video), audio, &named));
        let ran = shell.get(&[urls, &["--engine", engine, "--name", name]].concat());
        assert_eq!(ran.status, Some(0), "{name}: {ran:?}");
        let file = format!("{name}.mp4");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("{file}\n"));
        assert!(ran.stderr.contains(&file), "{ran:?}");
        assert!(shell.read(&file) == expected.body, "{name} is another file");
        let range =
            [urls, &["--engine", engine, "--start", "10", "--end", "20", "-so", "-"]].concat();
        let part = [("engine", engine), ("start", "10"), ("end", "20")];
        let expected = daemon.get(&any_path(Some(&video), audio, &part));
        let ran = shell.get(&range);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{name}");
        assert!(ran.stdout == expected.body, "a part of {name} is another file");
    }
    assert_eq!(shell.files(), ["ffmpeg.mp4", "pass.mp4", "splice.mp4"]);
    // `>> file`: such a descriptor is none for splice(2).
    let mut more = shell.command("get", &["--video", &video, "--name", "pass", "-o", "-"]);
    let file = OpenOptions::new().append(true).open(shell.path("pass.mp4")).unwrap();
    assert!(run(more.stdout(file)).status.success());
    let [once, twice] = [shell.read("pass.mp4"), daemon.get(&named_pass(&video)).body.repeat(2)];
    assert!(once == twice, "it was not appended");
    assert!(!shell.has_leftovers());
}

fn named_pass(video: &str) -> String {
    any_path(Some(video), None, &[("name", "pass")])
}

/// A file that exists, a directory, a device, and what cannot be written.
#[test]
fn a_file_goes_where_it_is_sent() {
    let (origin, shell) = (Origin::start(), Shell::new());
    let [video, audio] = put_film(&origin);
    let urls = ["--video", &video, "--audio", &audio, "--name", "a"];
    let get = |more: &[&str]| shell.get(&[&urls[..], more].concat());
    std::fs::write(shell.path("a.mp4"), "mine").unwrap();
    std::fs::create_dir(shell.path("d")).unwrap();
    for more in [&[][..], &["-o", "a.mp4"], &["-o", "."]] {
        let ran = get(more);
        assert_eq!(ran.status, Some(7), "{more:?}: {ran:?}");
        assert!(ran.stderr.contains("a.mp4 exists; --force"), "{ran:?}");
        assert_eq!((shell.read("a.mp4"), shell.files().len()), (b"mine".to_vec(), 2), "{more:?}");
    }
    assert_eq!(get(&["-o", "d"]).status, Some(0));
    let whole = shell.read("d/a.mp4");
    assert_eq!(get(&["-sf"]).status, Some(0));
    assert!(shell.read("a.mp4") == whole);
    assert_eq!(get(&["-o", "/dev/null"]).status, Some(0));
    for (output, why) in [
        ("/dev/full", "No space left"),
        ("missing/a.mp4", "No such file"),
        ("/dev/null/a", "Not a directory"),
    ] {
        let ran = get(&["-o", output]);
        assert_eq!(ran.status, Some(7), "{output}: {ran:?}");
        assert!(ran.stderr.contains(output) && ran.stderr.contains(why), "{output}: {ran:?}");
    }
    // The file that standard output leads to is full.
    let mut full = shell.command("get", &[&urls[..], &["-o", "-"]].concat());
    let device = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = run(full.stdout(device));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("standard output: No space left"), "{said}");
    assert_eq!(shell.files(), ["a.mp4", "d"]);
}

/// `ffmpeg -version` takes more memory and time than the download.
#[test]
fn a_download_without_ffmpeg_does_not_start_it() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let [video, audio] = put_film(&origin);
    let trace = directory.path().join("ran");
    let ffmpeg = script(directory.path(), &format!("touch '{}'; exit 1", trace.display()));
    // The sandbox would keep it from leaving a trace.
    let config = format!("[muxer]\nffmpeg = {ffmpeg:?}\n[sandbox]\nenabled = false\n");
    let shell = Shell::with(&format!("{}{config}", super::LOOPBACK));
    let arguments = ["--video", &video, "--audio", &audio, "-sfo", "a.mp4", "--engine"];
    let get = |engine: &str| shell.get(&[&arguments[..], &[engine]].concat()).status;
    assert_eq!((get("splice"), trace.exists()), (Some(0), false));
    // It would be seen.
    assert_ne!(get("ffmpeg"), Some(0));
    assert!(trace.exists());
}

#[test]
fn the_log_is_as_the_configuration_has_it() {
    let origin = Origin::start();
    // It is continued, which is logged.
    let film = Resource::file(track_file("video")).ranges().etag("\"1\"");
    let half = film.len() / 2;
    let video = origin.put("cut", film.fault(Fault::CutAt(half)).fault_times(1));
    let log = "[log]\nlevel = \"debug\"\nformat = \"json\"\n";
    let shell = Shell::with(&format!("{}{log}", super::LOOPBACK));
    let arguments = ["--video", &video, "-sfo", "a.mp4"];
    let ran = shell.get(&[&arguments[..], &["-v"]].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let lines: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["level"].is_string()), "{ran:?}");
    let silent = shell.get(&arguments);
    assert_eq!((silent.status, silent.stderr.as_str()), (Some(0), ""));
}

/// A terminal shows progress, and is not for media.
#[test]
fn a_terminal_is_for_people() {
    let (origin, shell) = (Origin::start(), Shell::new());
    let film = Resource::file(track_file("video"));
    // It takes some seconds.
    let pace = film.len() / 3;
    let video = origin.put("slow", film.ranges().etag("\"1\"").pace(pace));
    let on_terminal = |more: &str| {
        let get = shell.command("get", &["--video", &video]);
        let words = get.get_args().map(|word| format!("'{}'", word.to_str().unwrap()));
        let words = words.collect::<Vec<_>>().join(" ");
        let line = format!("exec '{}' {words} {more}", super::binary());
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(shell.directory.path());
        script.env("XDG_RUNTIME_DIR", shell.own.path()).stdin(std::process::Stdio::null());
        let output = run(&mut script);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (status, said) = on_terminal("-o -");
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("-o - needs a pipe"), "{said}");
    let (status, said) = on_terminal("-o film.mp4");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("% [") && said.contains(" left"), "{said}");
    assert!(said.contains("film.mp4: "), "{said}");
}
