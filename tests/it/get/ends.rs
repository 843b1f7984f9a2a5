//! A download that its user ends.

use std::process::{Command, Stdio};

use super::{Shell, len};
use crate::support::barrier::Gate;
use crate::support::film::{put_film, track_file};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, signal, start};

/// Puts a video that stops in its middle, beside its audio; says their URLs.
fn stopping(origin: &Origin, gate: &Gate) -> [String; 2] {
    let urls = put_film(origin);
    let film = Resource::file(track_file("video")).ranges().etag("\"film\"");
    let half = film.len() / 2;
    origin.put("video", film.gate(half, gate));
    urls
}

#[test]
fn an_interrupt_leaves_what_can_be_continued() {
    for (name, engine) in [("INT", "splice"), ("TERM", "ffmpeg")] {
        let (origin, shell, gate) = (Origin::start(), Shell::new(), Gate::default());
        let [video, audio] = stopping(&origin, &gate);
        let arguments = ["--video", &video, "--audio", &audio, "--engine", engine, "-o", "a.mp4"];
        let get = shell.start(&arguments);
        gate.reached();
        let part = shell.path("a.mp4.part");
        eventually("something is there", PATIENCE, || (len(&part) > 0).then_some(()));
        signal(get.0.id(), name);
        let ran = get.ended();
        assert_eq!(ran.status, Some(130), "{name}: {ran:?}");
        assert!(ran.stderr.contains("ytcanal: interrupted"), "{ran:?}");
        let continues = ran.stderr.contains("a.mp4.part; the same command continues it");
        assert_eq!(continues, engine == "splice", "{ran:?}");
        assert!(!shell.path("a.mp4").exists() && !shell.has_leftovers(), "{name}");
        gate.open();
        let ran = shell.get(&arguments);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_eq!(shell.files(), ["a.mp4"]);
    }
}

/// An interrupt before there is a name for the file.
#[test]
fn an_interrupt_before_the_first_byte_leaves_nothing() {
    let (origin, shell, gate) = (Origin::start(), Shell::new(), Gate::default());
    let film = Resource::file(track_file("video")).ranges().gate(0, &gate);
    let video = origin.put("video", film);
    let get = shell.start(&["--video", &video]);
    gate.reached();
    signal(get.0.id(), "INT");
    let ran = get.ended();
    gate.open();
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(130), "ytcanal: interrupted\n"));
    assert!(shell.files().is_empty() && !shell.has_leftovers());
}

/// `ytcanal get -o - | head -c 1000`, and a reader that leaves while the download waits for its origin.
#[test]
fn a_reader_that_leaves_ends_it_in_silence() {
    for waits in [true, false] {
        let (origin, shell, gate) = (Origin::start(), Shell::new(), Gate::default());
        let [video, audio] = stopping(&origin, &gate);
        let mut get = shell.start(&["--video", &video, "--audio", &audio, "-o", "-"]);
        let stdout = get.0.stdout.take().unwrap();
        let words: &[&str] = if waits { &["cat"] } else { &["head", "-c", "1000"] };
        // The command, which has the pipe, too, is dropped at once.
        let mut reader = start(
            Command::new(words[0])
                .args(&words[1..])
                .stdin(Stdio::from(stdout))
                .stdout(Stdio::null()),
        );
        if waits {
            gate.reached();
            reader.kill().unwrap();
        }
        reader.wait().unwrap();
        let ran = get.ended();
        gate.open();
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(141), ""), "waits: {waits}");
        assert!(shell.files().is_empty() && !shell.has_leftovers());
    }
}
