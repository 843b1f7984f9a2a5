//! Sound in fragments that is wanted alone: what comes out has one index of all samples, and is as
//! long as it says, whoever plays it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ytcanal::container::isobmff::children;

use crate::support::answer::{Answer, Ending};
use crate::support::client::{any_path, ask};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::media::{self, file_duration, file_end, streamed_duration};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::run;

const GLOBAL: &str = "+empty_moov+default_base_moof+dash+global_sidx";

/// Twenty seconds of sound in fragments of two.
fn sound(name: &str, coder: &[&str], flags: &str) -> PathBuf {
    let fragments = ["-frag_duration", "2000000", "-movflags", flags];
    let coded = [coder, &fragments].concat().into_iter().map(String::from);
    let arguments: Vec<_> = media::sound(48_000, 20).into_iter().chain(coded).collect();
    media::generate(&format!("alone-{name}"), "mp4", &arguments)
}

struct TestSetup {
    origin: Origin,
    daemon: Daemon,
}

impl TestSetup {
    fn new(config: &str) -> Self {
        Self { origin: Origin::start(), daemon: Daemon::start(config) }
    }

    fn get(&self, bytes: Vec<u8>, extra: &[(&str, &str)], fields: &str) -> Answer {
        let file = Resource::bytes(bytes).ranges().keep_alive().etag("\"sound\"");
        let url = self.origin.put("sound", file);
        ask(self.daemon.address(), "GET", &any_path(None, Some(&url), extra), fields)
    }
}

fn kinds(file: &[u8]) -> Vec<String> {
    let boxes = children(file).unwrap();
    boxes.iter().map(|found| String::from_utf8_lossy(&found.kind).into_owned()).collect()
}

/// Makes sure that the file is progressive, and packet by packet the source.
fn assert_progressive(answer: &Answer, source: &Path) {
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.code());
    assert_eq!(answer.engine(), "splice", "{source:?}");
    assert_eq!(answer.head.header("Content-Type"), Some("audio/mp4"));
    assert_eq!(kinds(&answer.body), ["ftyp", "moov", "mdat"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sound.m4a");
    fs::write(&file, &answer.body).unwrap();
    let said = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"]));
    assert_eq!(String::from_utf8_lossy(&said.stderr), "", "{source:?}");
    let (before, after) = (packets(source, "a"), packets(&file, "a"));
    // How long a packet lasts, ffmpeg does not know of all fragments.
    assert_same(&before, &after, Exactness::Millisecond, "sound");
    for duration in [file_duration(&file), streamed_duration(&file)] {
        let (is, should) = (duration.unwrap(), file_end(source));
        assert!((is - should).abs() < 0.05, "{source:?}: {is}, not {should}");
    }
}

#[test]
fn it_has_one_index_of_all_samples() {
    let scene = TestSetup::new(LOOPBACK);
    let aac = ["-c:a", "aac", "-b:a", "128k"];
    let each = "+empty_moov+default_base_moof+dash+skip_trailer";
    let sources = [
        ("sidx", sound("aac", &aac, GLOBAL)),
        ("mfra", sound("aac", &aac, "+empty_moov+default_base_moof")),
        ("each", sound("aac", &aac, each)),
        ("none", sound("aac", &aac, "+empty_moov+skip_trailer")),
        ("edits", sound("aac", &aac, "+delay_moov+default_base_moof+dash+global_sidx")),
        ("cmaf", sound("aac", &aac, "+cmaf+delay_moov")),
        ("opus", sound("opus", &["-c:a", "libopus"], GLOBAL)),
        ("opus edits", sound("opus", &["-c:a", "libopus"], "+delay_moov+dash+global_sidx")),
        ("eac3", sound("eac3", &["-c:a", "eac3"], "+delay_moov+dash+global_sidx")),
        ("alac", sound("alac", &["-c:a", "alac"], GLOBAL)),
    ];
    for (name, source) in sources {
        println!("{name}");
        let bytes = fs::read(&source).unwrap();
        assert_progressive(&scene.get(bytes.clone(), &[], ""), &source);
        // As it is, for whoever names it.
        let passed = scene.get(bytes.clone(), &[("container", "mp4")], "");
        assert_eq!((passed.engine(), passed.body == bytes), ("pass", true), "{name}");
    }
}

#[test]
fn any_part_of_it_is_the_same_as_of_the_whole() {
    let scene = TestSetup::new(LOOPBACK);
    let bytes = fs::read(&media::minute().audio).unwrap();
    let whole = scene.get(bytes.clone(), &[], "");
    assert_progressive(&whole, &media::minute().audio);
    let len = whole.body.len();
    assert_eq!(whole.head.header("Content-Length"), Some(len.to_string().as_str()));
    for (from, to) in [(0, 0), (100, 40_000), (len / 2, len / 2 + 99_999), (len - 1, len - 1)] {
        let part = scene.get(bytes.clone(), &[], &format!("Range: bytes={from}-{to}\r\n"));
        assert_eq!((part.head.status, part.ending), (206, Ending::Complete));
        assert!(part.body == whole.body[from..=to], "{from}-{to}");
    }
}

#[test]
fn a_part_in_time_and_what_it_says_of_itself() {
    let scene = TestSetup::new(LOOPBACK);
    let bytes = fs::read(&media::minute().audio).unwrap();
    let tagged = [("start", "10.5"), ("end", "20"), ("title", "Lied"), ("artist", "Sänger")];
    let part = scene.get(bytes, &tagged, "");
    assert_eq!((part.head.status, part.ending), (200, Ending::Complete), "{}", part.code());
    assert_eq!(kinds(&part.body), ["ftyp", "moov", "mdat"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("part.m4a");
    fs::write(&file, &part.body).unwrap();
    let duration = file_duration(&file).unwrap();
    assert!((duration - 9.5).abs() < 0.06, "{duration}");
    let entries = "format_tags=title,artist";
    let said = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "default=nw=1", "-show_entries", entries])
        .arg(&file));
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("Lied") && said.contains("Sänger"), "{said}");
}

#[test]
fn where_it_cannot_be_read_it_is_passed_as_it_is() {
    let bytes = fs::read(&media::minute().audio).unwrap();
    let moof = |nth: usize| {
        let mut moofs = bytes.windows(4).enumerate().filter(|(_, kind)| *kind == b"moof");
        moofs.nth(nth).unwrap().0
    };
    // A fragment that is none.
    let mut broken = bytes.clone();
    broken[moof(7) + 24..moof(7) + 28].copy_from_slice(b"what");
    let scene = TestSetup::new(LOOPBACK);
    let answer = scene.get(broken.clone(), &[], "");
    assert_eq!((answer.engine(), answer.body == broken), ("pass", true));
    // Too far away to be read in time.
    let scene = TestSetup::new(&format!("[muxer]\nplan_timeout = \"100ms\"\n{LOOPBACK}"));
    let file = Resource::bytes(bytes.clone()).ranges().keep_alive().etag("\"sound\"");
    let url = scene.origin.put("sound", file.delay(Duration::from_millis(150)));
    let answer = ask(scene.daemon.address(), "GET", &any_path(None, Some(&url), &[]), "");
    assert_eq!((answer.engine(), answer.body == bytes), ("pass", true));
}

#[test]
fn an_hour_is_read_soon() {
    let scene = TestSetup::new(LOOPBACK);
    let file = Resource::file(&media::hour().tracks.audio).ranges().keep_alive().etag("\"hour\"");
    let url = scene.origin.put("sound", file.delay(Duration::from_millis(50)));
    let begun = std::time::Instant::now();
    let path = any_path(None, Some(&url), &[]);
    let answer = ask(scene.daemon.address(), "GET", &path, "Range: bytes=0-0\r\n");
    let took = begun.elapsed();
    assert_eq!((answer.head.status, answer.engine()), (206, "splice"));
    println!("{took:.1?}, {} requests", scene.origin.requests().len());
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn an_initialisation_alone_is_no_film() {
    let scene = TestSetup::new(LOOPBACK);
    let bytes = fs::read(&media::minute().audio).unwrap();
    let boxes = children(&bytes).unwrap();
    let moov = boxes.iter().find(|found| found.kind == *b"moov").unwrap();
    let init = bytes[..moov.at + moov.bytes.len()].to_vec();
    for extra in [&[][..], &[("container", "mp4")], &[("container", "mkv")], &[("start", "1")]] {
        let answer = scene.get(init.clone(), extra, "");
        assert_eq!((answer.head.status, answer.code().as_str()), (422, "not-media"), "{extra:?}");
    }
    let padded = [&init[..], &[0, 0, 0, 8], b"free"].concat();
    for engine in ["auto", "splice", "ffmpeg"] {
        for bytes in [&init, &padded] {
            let video = scene.origin.put("video", Resource::file(&media::minute().video).ranges());
            let audio = scene.origin.put("audio", Resource::bytes(bytes.clone()).ranges());
            let path = any_path(Some(&video), Some(&audio), &[("engine", engine)]);
            let answer = ask(scene.daemon.address(), "GET", &path, "");
            assert_eq!(
                (answer.head.status, answer.code().as_str()),
                (422, "not-media"),
                "{engine}"
            );
        }
    }
}
