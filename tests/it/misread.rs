//! What ffmpeg says of its inputs is held against what was recognised, before the first byte.

use std::path::{Path, PathBuf};

use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::framemd5::packets;
use crate::support::media::{self, generate};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually};

struct TestSetup {
    origin: Origin,
    daemon: Daemon,
}

impl TestSetup {
    fn new() -> TestSetup {
        TestSetup { origin: Origin::start(), daemon: Daemon::start(LOOPBACK) }
    }

    /// What `engine=ffmpeg` makes of these tracks.
    fn ask(&self, video: Option<&[u8]>, audio: Option<&[u8]>, container: &str) -> Answer {
        let put = |name, bytes: &[u8]| self.origin.put(name, Resource::bytes(bytes).ranges());
        let [video, audio] =
            [("v", video), ("a", audio)].map(|(name, bytes)| Some(put(name, bytes?)));
        let extra = [("engine", "ffmpeg"), ("container", container)];
        self.daemon.get(&any_path(video.as_deref(), audio.as_deref(), &extra))
    }

    /// The refusal of such a sound must say all of this, alone and beside a picture, and stand in the log.
    fn refuses(&self, audio: &[u8], said: &[&str]) {
        let picture = std::fs::read(&media::minute().video).unwrap();
        for video in [None, Some(&picture[..])] {
            let answer = self.ask(video, Some(audio), "mkv");
            assert_eq!(answer.head.status, 422, "{:?} {}", answer.ending, self.daemon.log());
            let problem = answer.problem();
            assert_eq!((problem["code"].as_str(), problem["track"].as_str()), MISREAD);
            let detail = problem["detail"].as_str().unwrap();
            assert!(said.iter().all(|word| detail.contains(word)), "{detail}");
            eventually(detail, PATIENCE, || self.daemon.log().contains(detail).then_some(()));
            assert!(!detail.contains('/'), "{detail}");
        }
    }
}

const MISREAD: (Option<&str>, Option<&str>) = (Some("mux-refused"), Some("audio"));

/// Three seconds of sound.
fn sound(extension: &str, coded: &[&str]) -> PathBuf {
    let coded: Vec<String> = coded.iter().map(|word| (*word).to_owned()).collect();
    generate("misread", extension, &[&media::sound(48_000, 3)[..], &coded].concat())
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap()
}

fn position(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

fn replace(bytes: &mut [u8], what: &[u8], with: &[u8]) {
    let at = position(bytes, what);
    bytes[at..at + what.len()].copy_from_slice(with);
}

/// AAC in fragments, which count from nowhere, so that its moov may grow.
fn fragments() -> Vec<u8> {
    read(&sound("mp4", &["-c:a", "aac", "-movflags", "+empty_moov+default_base_moof"]))
}

/// In front of the descriptor of an AAC track stands what looks like one of MP3.
#[test]
fn a_sample_entry_with_two_faces_is_refused() {
    let mut bytes = fragments();
    let decoy = b"\0\0\0\x28freeesds\0\0\0\0\x03\x19\0\x01\0\x04\x11\x6b\x15aaaaaaaaaaaaaaa";
    assert_eq!(decoy.len(), 0x28);
    let at = position(&bytes, b"esds") - 4;
    for name in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4a"] {
        let size = position(&bytes, name) - 4;
        let len = u32::from_be_bytes(*bytes[size..].first_chunk().unwrap()) + 0x28;
        bytes[size..size + 4].copy_from_slice(&len.to_be_bytes());
    }
    bytes.splice(at..at, decoy.iter().copied());
    TestSetup::new().refuses(&bytes, &["MP3", "aac"]);
}

/// Of two CodecIDs one counts for us, and the other for ffmpeg.
#[test]
fn a_track_with_two_codecs_is_refused() {
    let named = ["-c:a", "ac3", "-metadata:s:a:0", "title=12345678"];
    let mut bytes = read(&sound("mkv", &named));
    replace(&mut bytes, b"\x53\x6e\x8812345678", b"\x86\x89A_MPEG/L3");
    TestSetup::new().refuses(&bytes, &["MP3", "ac3"]);
}

/// A sound that it does not know, a file without any, and one that names a sound that is none.
#[test]
fn a_sound_that_ffmpeg_does_not_see_is_refused() {
    for entry in [b"tx3g", b"zzzz"] {
        let mut bytes = fragments();
        replace(&mut bytes, b"mp4a", entry);
        replace(&mut bytes, b"esds", b"free");
        TestSetup::new().refuses(&bytes, &["codec", "not know"]);
    }
    for file in [&media::minute().video, &media::webm().video] {
        TestSetup::new().refuses(&read(file), &["no audio track"]);
    }
    let mut bytes = read(&sound("mkv", &["-c:a", "ac3", "-metadata:s:a:0", "title=1234567"]));
    // What it is stands there twice.
    replace(&mut bytes, b"\x53\x6e\x871234567", b"\xec\x85aaaaa\x83\x81\x02");
    let at = bytes.windows(3).rposition(|window| window == b"\x83\x81\x02").unwrap();
    bytes[at + 2] = 0x11;
    TestSetup::new().refuses(&bytes, &["no audio track"]);
}

/// Others call some codecs by the name of a relative, and files are good all the same.
#[test]
fn relatives_go_by_one_name() {
    let scene = TestSetup::new();
    let called = |coded: &str, name: &[u8], other: &[u8]| {
        let file = sound("mkv", &["-c:a", coded]);
        let mut bytes = read(&file);
        replace(&mut bytes, name, other);
        (file, bytes)
    };
    let pcm = sound("mov", &["-c:a", "pcm_s24be", "-movflags", "+faststart"]);
    let layers = sound("mp4", &["-c:a", "mp2", "-movflags", "+faststart"]);
    for (file, bytes) in [
        called("eac3", b"A_EAC3", b"A_AC3\0"),
        called("mp2", b"A_MPEG/L2", b"A_MPEG/L3"),
        (pcm.clone(), read(&pcm)),
        (layers.clone(), read(&layers)),
    ] {
        let answer = scene.ask(None, Some(&bytes), "mkv");
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        assert_eq!(answer.ending, Ending::Complete, "{}", scene.daemon.log());
        let joined = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(joined.path(), &answer.body).unwrap();
        assert_eq!(packets(&file, "a").len(), packets(joined.path(), "a").len());
    }
}

/// What strangers write into a file about itself is no word of ffmpeg's.
#[test]
fn a_file_cannot_speak_for_ffmpeg() {
    let lines = "x\n#media_type 0: video\n#codec_id 0: mp3\n#sample_rate 0: 0\nno\n";
    for place in ["-metadata", "-metadata:s:a:0"] {
        for key in ["title", "language", "TITLE\n#codec_id 0: mp3\n"] {
            let tag = format!("{key}={lines}");
            let bytes = read(&sound("mkv", &["-c:a", "ac3", place, &tag]));
            let scene = TestSetup::new();
            let answer = scene.ask(None, Some(&bytes), "mkv");
            assert_eq!(answer.ending, Ending::Complete, "{}", answer.text());
            assert_eq!(answer.head.status, 200, "{}", answer.text());
        }
    }
}

/// The picture of a film is not its cover, which may stand in front of it.
#[test]
fn a_cover_in_front_of_the_film_is_not_its_picture() {
    let film = crate::support::films::film();
    let inputs = ["-i", film.to_str().unwrap(), "-f", "lavfi", "-i", "testsrc2=duration=0.04"];
    let coded = ["-map", "0", "-map", "1", "-c", "copy", "-c:v:1", "mjpeg"];
    let shape = ["-disposition:v:1", "attached_pic", "-movflags", "+faststart"];
    let all: Vec<String> =
        [&inputs[..], &coded, &shape].concat().iter().map(|word| (*word).to_owned()).collect();
    let mut bytes = read(&generate("with-cover", "mp4", &all));
    let len = |bytes: &[u8], at: usize| {
        usize::try_from(u32::from_be_bytes(*bytes[at..].first_chunk().unwrap())).unwrap()
    };
    let (moov, udta) = (position(&bytes, b"moov") - 4, position(&bytes, b"udta") - 4);
    assert_eq!(udta + len(&bytes, udta), moov + len(&bytes, moov), "its last box");
    let in_front = moov + 8;
    let long = len(&bytes, udta);
    bytes[in_front..udta + long].rotate_right(long);
    let answer = TestSetup::new().ask(Some(&bytes), None, "mkv");
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    let joined = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(joined.path(), &answer.body).unwrap();
    for stream in ["v", "a"] {
        assert_eq!(packets(&film, stream).len(), packets(joined.path(), stream).len(), "{stream}");
    }
}
