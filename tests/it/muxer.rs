//! What the client sees when ffmpeg is missing, dies or hangs.

use std::process::Command;

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, get, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK, binary, script};
use crate::support::film::{request, track_file};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, media, run, signal};

#[test]
fn a_killed_ffmpeg_is_a_broken_download() {
    let origin = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    let baseline = daemon.baseline();
    let gate = Gate::default();
    let video = Resource::file(track_file("video"));
    let half = video.len() / 2;
    let url = origin.put("held", video.gate(half, &gate));
    let mut client = Client::get(daemon.address(), &request(&origin, "video", &url));
    let head = client.first_byte();
    gate.reached();
    let children = daemon.children();
    assert_eq!(children.len(), 1, "{children:?}");
    signal(children[0].pid, "KILL");
    assert_ne!(client.body(&head).1, Ending::Complete);
    daemon.settles(&baseline, PATIENCE);
}

#[test]
fn a_missing_ffmpeg_is_named() {
    let origin = Origin::start();
    let missing = "[muxer]\nffmpeg = \"/nonexistent/ffmpeg\"\n";
    let daemon = Daemon::start(&format!("{LOOPBACK}{missing}"));
    let url = origin.put("v", Resource::file(track_file("video")));
    let answer = get(daemon.address(), &request(&origin, "video", &url));
    assert_eq!(answer.head.status, 500);
    let problem = answer.problem();
    assert_eq!(problem["code"], "muxer-missing");
    assert!(problem["detail"].as_str().unwrap().contains("ffmpeg"), "{problem}");
    assert_eq!(daemon.get("/readyz").head.status, 503);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), missing).unwrap();
    let check = run(Command::new(binary()).args(["check", "--config"]).arg(file.path()));
    assert_eq!(check.status.code(), Some(1));
    let said = [check.stdout, check.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("/nonexistent/ffmpeg"), "{said}");
}

/// Neither may leave the opening of the pipes waiting.
#[test]
fn a_muxer_that_never_reads_is_an_error() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::file(track_file("video")));
    let directory = tempfile::tempdir().unwrap();
    let version = "[ \"$1\" = -version ] && exec ffmpeg -version";
    for (behaviour, expected) in [
        ("echo broken >&2; exit 1", "422 mux-refused"),
        ("exit 0", "500 muxer-failed"),
        ("exec sleep 600", "500 muxer-failed"),
        // Nobody knows what these have read.
        ("ffmpeg \"$@\" 2>/dev/null", "500 muxer-failed"),
        ("head -c 300000 /dev/zero; exec sleep 600", "500 muxer-failed"),
        ("yes >&2", "500 muxer-failed"),
    ] {
        let stand_in = script(directory.path(), &format!("{version}\n{behaviour}"));
        let daemon = Daemon::start(&format!(
            "{LOOPBACK}[muxer]\nffmpeg = {stand_in:?}\nstall_timeout = \"1s\"\n"
        ));
        let baseline = daemon.baseline();
        let answer = get(daemon.address(), &request(&origin, "video", &url));
        let seen = format!("{} {}", answer.head.status, answer.code());
        assert_eq!(seen, expected, "{behaviour}: {}", answer.text());
        daemon.settles(&baseline, PATIENCE);
    }
}

/// What a stand-in says, as ffmpeg would, of tracks as the minute has them.
fn report(tracks: &[&str]) -> String {
    let of = |(number, track): (usize, &&str)| {
        let facts: &[_] = match *track {
            "video" => &[("codec_id", "h264"), ("dimensions", "320x180")],
            _ => &[("codec_id", "aac"), ("sample_rate", "48000"), ("channel_layout_name", "mono")],
        };
        let facts = [&[("media_type", *track)], facts].concat();
        facts
            .iter()
            .map(|(name, value)| format!("#{name} {number}: {value}\\n"))
            .collect::<String>()
    };
    let lines: String = tracks.iter().enumerate().map(of).collect();
    format!("printf '{lines}' >&2")
}

/// The first would look whole by its exit status and the end of its output.
#[test]
fn a_muxer_that_goes_wrong_later_is_a_broken_download() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::file(track_file("video")));
    let directory = tempfile::tempdir().unwrap();
    let version = "[ \"$1\" = -version ] && exec ffmpeg -version";
    let report = report(&["video", "audio"]);
    for behaviour in [
        "ffmpeg \"$@\" | head -c 300000; exit 0",
        "ffmpeg \"$@\" | head -c 300000; exit 1",
        "ffmpeg \"$@\" | head -c 300000; exec sleep 600",
        "ffmpeg \"$@\"; exit 1",
        // It reads nothing of what lies in the pipes, or never even opens them.
        "for last; do case $last in file:*) exec 3<\"${last#file:}\";; esac; done; \
         head -c 5000 /dev/zero; exit 0",
        "head -c 5000 /dev/zero; exit 0",
    ] {
        let stand_in = script(directory.path(), &format!("{version}\n{report}\n{behaviour}"));
        // Longer than a loaded machine takes to start ffmpeg.
        let daemon = Daemon::start(&format!(
            "{LOOPBACK}[muxer]\nffmpeg = {stand_in:?}\nstall_timeout = \"10s\"\n"
        ));
        let baseline = daemon.baseline();
        let answer = get(daemon.address(), &request(&origin, "video", &url));
        assert_eq!(answer.head.status, 200, "{behaviour}: {}", answer.text());
        assert_ne!(answer.ending, Ending::Complete, "{behaviour}");
        daemon.settles(&baseline, PATIENCE);
    }
}

/// All of the track fits into its pipe, so that only the bytes left there tell.
#[test]
fn a_short_track_left_in_its_pipe_is_a_broken_download() {
    let origin = Origin::start();
    let coded = ["-c:a", "aac", "-movflags", "+faststart"].map(String::from);
    let short = media::generate("short", "m4a", &[&media::sound(48_000, 3)[..], &coded].concat());
    let url = origin.put("a", Resource::file(&short));
    let directory = tempfile::tempdir().unwrap();
    let says = report(&["audio"]);
    let stand_in = script(
        directory.path(),
        &[
            "[ \"$1\" = -version ] && exec ffmpeg -version",
            &says,
            "for last; do case $last in file:*) exec 3<\"${last#file:}\";; esac; done",
            "sleep 1; head -c 5000 /dev/zero; exit 0",
        ]
        .join("\n"),
    );
    let daemon = Daemon::start(&format!("{LOOPBACK}[muxer]\nffmpeg = {stand_in:?}\n"));
    let answer = get(daemon.address(), &mux_path(None, Some(&url), &[("container", "mkv")]));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_ne!(answer.ending, Ending::Complete);
}

/// Nothing of a file has gone out when nothing but its head was made.
#[test]
fn a_muxer_that_ends_behind_the_head_is_an_error() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let url = origin.put("a", Resource::file(track_file("audio")));
    let head = directory.path().join("head");
    let version = "[ \"$1\" = -version ] && exec ffmpeg -version";
    let joins = Daemon::start(LOOPBACK);
    for (container, media) in
        [("mkv", &b"\x1f\x43\xb6\x75"[..]), ("webm", b"\x1f\x43\xb6\x75"), ("mp4", b"moof")]
    {
        let source = if container == "webm" {
            origin.put("opus", Resource::file(&media::webm().audio))
        } else {
            url.clone()
        };
        let extra = [("container", container), ("engine", "ffmpeg"), ("title", "a title")];
        let request = mux_path(None, Some(&source), &extra);
        let mut body = get(joins.address(), &request).body;
        let begins = body.windows(media.len()).position(|window| window == media);
        let begins = begins.unwrap_or_else(|| panic!("no media in {container}"));
        body.truncate(begins - if container == "mp4" { 4 } else { 0 });
        assert!(body.len() > 40, "{container}: {}", body.len());
        std::fs::write(&head, &body).unwrap();
        for (end, expected) in [
            ("echo broken >&2; exit 1", "422 mux-refused"),
            ("exit 0", "422 mux-refused"),
            ("kill -9 $$", "500 muxer-failed"),
        ] {
            let codec = if container == "webm" { "opus" } else { "aac" };
            let says = report(&["audio"]).replace("aac", codec);
            let text = [version, &says, &format!("cat {}; {end}", head.display())].join("\n");
            let stand_in = script(directory.path(), &text);
            // The head is not among the files of a system.
            let reads = format!("[sandbox]\nread = [{head:?}]\n");
            let muxer = format!("{LOOPBACK}[muxer]\nffmpeg = {stand_in:?}\n{reads}");
            let daemon = Daemon::start(&muxer);
            let baseline = daemon.baseline();
            let answer = get(daemon.address(), &request);
            let seen = format!("{} {}", answer.head.status, answer.code());
            assert_eq!(seen, expected, "{container}, {end}: {:?}", answer.ending);
            daemon.settles(&baseline, PATIENCE);
        }
    }
}

/// Nobody knew how long it plays, and what is wanted begins behind its end: a head is no film.
#[test]
fn a_part_without_media_is_an_error() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let coded = |codec: &str| ["-c:a", codec].map(String::from);
    let file = |extension, codec| {
        let arguments = [&media::sound(48_000, 3)[..], &coded(codec)].concat();
        std::fs::read(media::generate("endless", extension, &arguments)).unwrap()
    };
    let mut mkv = file("mkv", "ac3");
    let duration = mkv.windows(3).position(|window| window == b"\x44\x89\x88").unwrap();
    // It becomes Void.
    mkv[duration..duration + 2].copy_from_slice(b"\xec\x89");
    // And so does a tag that says the same.
    let tag = mkv.windows(8).position(|window| window == b"DURATION").unwrap();
    mkv[tag] = b'X';
    for (bytes, container) in [(&mkv, "mkv"), (&mkv, "mp4"), (&file("aac", "aac"), "mp4")] {
        let url = origin.put("a", Resource::bytes(&bytes[..]));
        let extra = [("container", container), ("engine", "ffmpeg"), ("start", "60")];
        let answer = daemon.get(&mux_path(None, Some(&url), &extra));
        let seen = format!("{} {}", answer.head.status, answer.code());
        assert_eq!(seen, "422 mux-refused", "{container}: {}", answer.text());
    }
}
