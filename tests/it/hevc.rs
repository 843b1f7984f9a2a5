//! HEVC in MP4 is called what Apple's players take, wherever its parameter sets allow it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::answer::Ending;
use crate::support::client::any_path;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{media, run};

const FRAGMENTS: &str = "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";

/// Parameters of a request.
type Extra<'a> = &'a [(&'a str, &'a str)];

struct TestSetup {
    origin: Origin,
    daemon: Daemon,
    directory: TempDir,
}

impl TestSetup {
    fn new() -> TestSetup {
        let directory = tempfile::tempdir().unwrap();
        TestSetup { origin: Origin::start(), daemon: Daemon::start(LOOPBACK), directory }
    }

    /// What comes of this video and perhaps a sound, by this engine.
    fn file(&self, video: &Path, audio: Option<&Path>, extra: Extra<'_>) -> PathBuf {
        let put = |name, file: &Path| {
            self.origin.put(name, Resource::file(file).ranges().keep_alive().etag("\"1\""))
        };
        let audio = audio.map(|audio| put("a", audio));
        let answer = self.daemon.get(&any_path(Some(&put("v", video)), audio.as_deref(), extra));
        let what = format!("{video:?} + {audio:?}, {extra:?}");
        assert_eq!(answer.head.status, 200, "{what}: {}", answer.text());
        assert_eq!(answer.ending, Ending::Complete, "{what}: {}", self.daemon.log());
        let timing = answer.head.header("Server-Timing").unwrap();
        if let Some((_, engine)) = extra.iter().find(|(name, _)| *name == "engine") {
            assert!(timing.contains(&format!("desc=\"{engine}")), "{what}: {timing}");
        }
        let path = self.directory.path().join("joined.mp4");
        std::fs::write(&path, &answer.body).unwrap();
        path
    }
}

/// Four seconds.
fn coded(extension: &str, coder: &str, options: &[&str]) -> PathBuf {
    let how = ["-c:v", coder, "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"];
    let quiet = ["-x265-params", "log-level=none"];
    let quiet = if coder == "libx265" { &quiet[..] } else { &[] };
    let words = [&how[..], quiet, options].concat();
    let words: Vec<String> = words.into_iter().map(String::from).collect();
    media::generate("sets", extension, &[&media::picture("160x90", 25, 4)[..], &words].concat())
}

/// The same packets in another file.
fn copied(source: &Path, extension: &str, options: &[&str]) -> PathBuf {
    let input = ["-i", source.to_str().unwrap(), "-c", "copy"];
    let words = [&input[..], options].concat();
    let words: Vec<String> = words.into_iter().map(String::from).collect();
    media::generate("sets-copied", extension, &words)
}

impl TestSetup {
    /// `file` with these bytes in place of the first of those in its sample description.
    fn replaced(&self, file: &Path, from: &[u8], to: &[u8]) -> PathBuf {
        let mut bytes = std::fs::read(file).unwrap();
        let place = |from: &[u8], at: usize| {
            at + bytes[at..].windows(from.len()).position(|window| window == from).unwrap()
        };
        let at = place(from, place(b"stsd", 0));
        bytes[at..at + to.len()].copy_from_slice(to);
        let path = self.directory.path().join(file.file_name().unwrap());
        std::fs::write(&path, &bytes).unwrap();
        path
    }
}

fn tag(file: &Path) -> String {
    let entries = ["-v", "error", "-select_streams", "v", "-show_entries"];
    let output = run(Command::new("ffprobe")
        .args(entries)
        .args(["stream=codec_tag_string", "-of", "csv=p=0"])
        .arg(file));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn it_is_called_hvc1_whatever_it_came_in() {
    let (scene, source) = (TestSetup::new(), coded("mkv", "libx265", &[]));
    let fragments = copied(&source, "mp4", &["-movflags", FRAGMENTS]);
    let indexed = copied(&source, "mp4", &["-movflags", "+faststart"]);
    let at_end = copied(&source, "mp4", &[]);
    let in_band = copied(&source, "mkv", &["-bsf:v", "dump_extra=freq=keyframe"]);
    for file in [&fragments, &indexed, &at_end] {
        assert_eq!(tag(file), "hev1");
    }
    let sound = media::in_fragments(FRAGMENTS).audio;
    let (by_splice, by_ffmpeg) = ([("engine", "splice")], [("engine", "ffmpeg")]);
    let cut = [("start", "1.5"), ("engine", "splice")];
    let cut_by_ffmpeg = [("start", "1.5"), ("engine", "ffmpeg")];
    let cases: [(&Path, Option<&Path>, Extra<'_>); 13] = [
        (&fragments, Some(&sound), &by_splice),
        (&fragments, None, &cut),
        (&fragments, Some(&sound), &cut),
        (&fragments, Some(&sound), &by_ffmpeg),
        (&fragments, None, &cut_by_ffmpeg),
        (&indexed, Some(&media::webm().audio), &by_ffmpeg),
        (&indexed, None, &cut),
        (&at_end, Some(&sound), &[]),
        (&at_end, None, &by_ffmpeg),
        (&source, Some(&sound), &[]),
        (&source, None, &[("start", "1.5")]),
        (&in_band, None, &[]),
        (&in_band, Some(&sound), &[]),
    ];
    for (video, audio, extra) in cases {
        let what = format!("{video:?} + {audio:?}, {extra:?}");
        let extra = &[extra, &[("container", "mp4")]].concat();
        let joined = scene.file(video, audio, extra);
        assert_eq!(tag(&joined), "hvc1", "{what}");
        let [before, after] = [video, &joined].map(|file| packets(file, "v"));
        if extra.iter().any(|(name, _)| *name == "start") {
            // From the second key frame on.
            assert!(after.len() >= 50 && after.len() < before.len(), "{what}");
        } else {
            assert_same(&before, &after, Exactness::Millisecond, &what);
        }
    }
}

/// Its players would look for them in the description.
#[test]
fn it_is_not_where_parameter_sets_are_missing() {
    let (scene, source) = (TestSetup::new(), coded("mkv", "libx265", &[]));
    let in_band = copied(&source, "mp4", &["-bsf:v", "dump_extra=freq=keyframe"]);
    // Its picture parameter sets are gone: the array is of something else.
    let without = scene.replaced(&in_band, &[0x22, 0, 1, 0], &[0x28, 0, 1, 0]);
    let fragments = copied(&in_band, "mp4", &["-movflags", FRAGMENTS]);
    let fragments = scene.replaced(&fragments, &[0x22, 0, 1, 0], &[0x28, 0, 1, 0]);
    for file in [&without, &fragments] {
        for engine in ["splice", "ffmpeg"] {
            let extra = [("engine", engine), ("start", "1.5")];
            let joined = scene.file(file, None, &extra);
            assert_eq!(tag(&joined), "hev1", "{file:?} by {engine}");
        }
    }
}

/// What is said of HEVC holds for what Dolby Vision calls it, and for AVC.
#[test]
fn relatives_are_called_likewise() {
    let (scene, source) = (TestSetup::new(), coded("mkv", "libx265", &[]));
    let fragments = copied(&source, "mp4", &["-movflags", FRAGMENTS]);
    let dolby = scene.replaced(&fragments, b"hev1", b"dvhe");
    let avc = coded("mp4", "libx264", &["-movflags", FRAGMENTS]);
    let avc = scene.replaced(&avc, b"avc1", b"avc3");
    let sound = media::in_fragments(FRAGMENTS).audio;
    for (file, by_splice, by_ffmpeg) in
        [(&dolby, "dvh1", &["dvh1", "hvc1"][..]), (&avc, "avc1", &["avc1"])]
    {
        let joined = scene.file(file, Some(&sound), &[("engine", "splice")]);
        assert_eq!(tag(&joined), by_splice);
        let [before, after] = [file, &joined].map(|file| packets(file, "v"));
        assert_same(&before, &after, Exactness::Every, by_splice);
        let joined = scene.file(file, Some(&sound), &[("engine", "ffmpeg")]);
        assert!(by_ffmpeg.contains(&&*tag(&joined)), "{}", tag(&joined));
    }
}
