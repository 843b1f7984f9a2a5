//! What is recognised is what is joined: raw frames behind tags, sizes that nobody knew, encryption,
//! codecs that not every container takes. And all of it lasts as long as it says.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::framemd5::{Exactness, Packet, assert_same, packets};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{media, run};

mod far_index;
mod mpeg_ts;
mod refused;
mod sounds;

const SECONDS: u32 = 5;

struct Formats {
    origin: Origin,
    daemon: Daemon,
    directory: TempDir,
}

impl Formats {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { origin: Origin::start(), daemon: Daemon::start(LOOPBACK), directory }
    }

    fn get(&self, video: Option<&[u8]>, audio: Option<&[u8]>, extra: &[(&str, &str)]) -> Answer {
        let put = |name: &str, bytes: &[u8]| {
            self.origin.put(name, Resource::bytes(bytes).ranges().etag("\"1\""))
        };
        let video = video.map(|bytes| put("v", bytes));
        let audio = audio.map(|bytes| put("a", bytes));
        self.daemon.get(&any_path(video.as_deref(), audio.as_deref(), extra))
    }

    /// The file that comes of these tracks, and its media type.
    fn file(
        &self,
        video: Option<&[u8]>,
        audio: Option<&[u8]>,
        extra: &[(&str, &str)],
        what: &str,
    ) -> (PathBuf, String) {
        let answer = self.get(video, audio, extra);
        let ok = (answer.head.status, answer.ending) == (200, Ending::Complete);
        assert!(ok, "{what}: {} {:?} {}", answer.head.status, answer.ending, answer.text());
        let file = self.directory.path().join("joined");
        std::fs::write(&file, &answer.body).unwrap();
        (file, answer.head.header("Content-Type").unwrap().to_owned())
    }

    /// Code of the refusal.
    fn refusal(
        &self,
        video: Option<&[u8]>,
        audio: Option<&[u8]>,
        extra: &[(&str, &str)],
    ) -> String {
        let answer = self.get(video, audio, extra);
        let said = answer.text().chars().take(300).collect::<String>();
        assert_eq!(answer.head.status, 422, "{extra:?}: {said}");
        answer.code()
    }
}

/// Sound in a file of this extension, coded like this.
fn sound(extension: &str, coded: &[&str]) -> PathBuf {
    let coded: Vec<String> = coded.iter().map(|word| (*word).to_owned()).collect();
    media::generate("format", extension, &[&media::sound(48_000, SECONDS)[..], &coded].concat())
}

/// A picture and perhaps a sound of this kind in one file.
fn film(extension: &str, sound: bool, coded: &[&str]) -> PathBuf {
    let picture = media::picture("160x90", 25, SECONDS).to_vec();
    let sound = if sound { media::sound(48_000, SECONDS).to_vec() } else { Vec::new() };
    let shape = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"];
    let coded = [&shape[..], coded].concat();
    let coded: Vec<String> = coded.iter().map(|word| (*word).to_owned()).collect();
    media::generate("film", extension, &[picture, sound, coded].concat())
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap()
}

fn picture() -> Vec<u8> {
    read(&film("mp4", false, &["-movflags", "+faststart"]))
}

/// An ID3v2 tag with a cover of this many bytes, among which those of frames are.
fn id3(len: usize) -> Vec<u8> {
    let mut cover =
        b"\x0b\x77\x01\x7f\x34\x87\xff\xfb\x90\x64\xff\xf1\x50\x80".repeat(len / 14 + 1);
    cover.truncate(len);
    let size = |len: usize| [21, 14, 7, 0].map(|by| (len >> by) as u8 & 0x7f);
    let frame = [&b"APIC"[..], &size(len), &[0, 0], &cover].concat();
    [&b"ID3\x04\0\0"[..], &size(frame.len()), &frame].concat()
}

/// A film whose tables of the picture are longer than what is looked at by itself, so that its sound is told
/// of far behind.
fn long_index(extension: &str, sound: &str) -> Vec<u8> {
    let picture = ["-f", "lavfi", "-i", "testsrc=size=32x32:rate=1000:duration=20"];
    let noise = ["-f", "lavfi", "-i", "anoisesrc=seed=5:sample_rate=48000:duration=20"];
    let coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "500"];
    let flags = ["-c:a", sound, "-movflags", "+faststart"];
    let all = [&picture[..], &noise, &coded, &flags].concat();
    let all: Vec<String> = all.iter().map(|word| (*word).to_owned()).collect();
    let bytes = read(&media::generate("long-index", extension, &all));
    let entry = bytes.windows(4).position(|window| window == b"soun").unwrap();
    assert!(entry > 64 << 10, "{entry}");
    bytes
}

fn contents(packets: &[Packet]) -> Vec<&str> {
    packets.iter().map(|packet| packet.md5.as_str()).collect()
}

fn lasts(file: &Path, seconds: f64, what: &str) {
    for duration in [media::file_duration(file), media::streamed_duration(file)] {
        let duration = duration.unwrap_or_else(|| panic!("{what} has no duration"));
        assert!((duration - seconds).abs() < 0.1, "{what} lasts {duration} s");
    }
}

#[test]
fn a_film_in_flv_is_taken() {
    let (formats, film) = (Formats::new(), film("flv", true, &["-c:a", "aac"]));
    let bytes = read(&film);
    let (file, kind) = formats.file(Some(&bytes), None, &[], "alone");
    assert_eq!((kind.as_str(), read(&file) == bytes), ("video/x-flv", true));
    let (file, kind) = formats.file(Some(&bytes), None, &[("engine", "ffmpeg")], "joined");
    assert_eq!(kind, "video/mp4");
    for track in ["v", "a"] {
        assert_same(&packets(&film, track), &packets(&file, track), Exactness::Millisecond, track);
    }
}

/// A codec that is told of late decides the container as well.
#[test]
fn a_late_codec_is_known_all_the_same() {
    let (formats, film) = (Formats::new(), long_index("mov", "pcm_s16le"));
    let (file, kind) = formats.file(Some(&film), None, &[("engine", "ffmpeg")], "late pcm");
    assert_eq!(kind, "video/x-matroska");
    let source = formats.directory.path().join("source.mov");
    std::fs::write(&source, &film).unwrap();
    for stream in ["v", "a"] {
        assert_eq!(packets(&source, stream).len(), packets(&file, stream).len(), "{stream}");
    }
}

/// RFC 8794 §7.4: zeros may follow a text. GStreamer writes them.
#[test]
fn texts_padded_with_zeros_are_read() {
    let (formats, pair) = (Formats::new(), media::webm());
    let padded = |file: &Path, codec: &[u8]| {
        let mut bytes = read(file);
        let doc_type = bytes.windows(7).position(|w| w == b"\x42\x82\x84webm").unwrap();
        // From the element behind it, which says the default anyhow, its four bytes.
        let next = doc_type + 7;
        assert_eq!(bytes[next..next + 3], [0x42, 0x87, 0x81]);
        bytes[doc_type + 2] = 0x88;
        bytes[next..next + 4].fill(0);
        let id = bytes.windows(codec.len()).position(|window| window == codec).unwrap();
        // A CodecID is followed by its private data or its kind's own master; one byte less of name.
        assert_eq!(bytes[id - 1], 0x80 | codec.len() as u8);
        bytes
    };
    let (video, audio) = (padded(&pair.video, b"V_VP9"), padded(&pair.audio, b"A_OPUS"));
    for engine in ["auto", "ffmpeg"] {
        let extra = [("engine", engine)];
        let (file, kind) = formats.file(Some(&video), Some(&audio), &extra, engine);
        assert_eq!(kind, "video/webm");
        for (track, source) in [("v", &pair.video), ("a", &pair.audio)] {
            let after = packets(&file, track);
            assert_same(&packets(source, track), &after, Exactness::Millisecond, track);
        }
    }
}

/// Of these codecs an MP4 is told by their first packets.
#[test]
fn codecs_that_are_told_by_their_packets_get_into_mp4() {
    let formats = Formats::new();
    for coded in ["ac3", "eac3", "mp2", "alac", "flac", "libopus"] {
        let flags = ["-strict", "-2", "-use_editlist", "0", "-movflags", "+faststart"];
        let source = sound("mp4", &[&["-c:a", coded][..], &flags].concat());
        let extra = [("engine", "ffmpeg"), ("container", "mp4")];
        let (file, _) = formats.file(None, Some(&read(&source)), &extra, coded);
        assert_eq!(contents(&packets(&source, "a")), contents(&packets(&file, "a")), "{coded}");
        lasts(&file, f64::from(SECONDS), coded);
    }
}

#[test]
fn what_mp4_does_not_take_becomes_matroska() {
    let formats = Formats::new();
    let source = film("mov", true, &["-c:a", "pcm_s16le", "-movflags", "+faststart"]);
    let extra = [("engine", "ffmpeg")];
    let (file, kind) = formats.file(Some(&read(&source)), None, &extra, "pcm");
    assert_eq!(kind, "video/x-matroska");
    assert_eq!(contents(&packets(&source, "a")), contents(&packets(&file, "a")));
}

/// At 2,000 pictures a second, milliseconds are the same for two of them.
#[test]
fn equal_times_are_moved_by_a_tick() {
    let formats = Formats::new();
    let source = "testsrc=size=64x64:rate=2000:duration=1";
    let coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0"];
    let arguments = [&["-f", "lavfi", "-i", source][..], &coded].concat();
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let source = media::generate("quick", "mkv", &arguments);
    let (file, _) = formats.file(Some(&read(&source)), None, &[("container", "mp4")], "quick");
    let after = packets(&file, "v");
    assert_eq!(contents(&packets(&source, "v")), contents(&after));
    let alone = formats.directory.path().join("alone.mp4");
    let copy = ["-v", "error", "-nostdin", "-i"];
    let output =
        run(Command::new("ffmpeg").args(copy).arg(&source).args(["-c", "copy"]).arg(&alone));
    assert!(output.status.success(), "{output:?}");
    for (ours, theirs) in after.iter().zip(&packets(&alone, "v")) {
        assert!((ours.pts - theirs.pts).abs() <= 1_000_000, "{ours:?} {theirs:?}");
    }
}

/// Chapters stay what they are where there is a place for them, and are no track elsewhere.
#[test]
fn chapters_are_no_track() {
    let formats = Formats::new();
    let list = formats.directory.path().join("chapters");
    let text = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=one\n\
                [CHAPTER]\nTIMEBASE=1/1000\nSTART=2000\nEND=5000\ntitle=two\n";
    std::fs::write(&list, text).unwrap();
    let plain = film("mp4", true, &["-c:a", "aac"]);
    let source = formats.directory.path().join("chapters.mkv");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i"]).arg(&plain).arg("-i").arg(&list);
    let output = run(command.args(["-map_metadata", "1", "-c", "copy"]).arg(&source));
    assert!(output.status.success(), "{output:?}");
    let (file, _) = formats.file(Some(&read(&source)), None, &[("container", "mp4")], "chapters");
    lasts(&file, f64::from(SECONDS), "with chapters");
    let entries = ["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"];
    let streams = run(Command::new("ffprobe").args(entries).arg(&file)).stdout;
    assert_eq!(
        String::from_utf8_lossy(&streams).split_whitespace().collect::<Vec<_>>(),
        ["video", "audio"]
    );
}

/// The pre-skip is the sound's own: the picture beside it stays where it is.
#[test]
fn opus_and_its_picture_stay_in_step_in_matroska() {
    let formats = Formats::new();
    let source = film("mp4", true, &["-c:a", "libopus", "-movflags", "+faststart"]);
    let (file, _) = formats.file(Some(&read(&source)), None, &[("container", "mkv")], "opus");
    for track in ["v", "a"] {
        let (before, after) = (packets(&source, track), packets(&file, track));
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert!((before.pts - after.pts).abs() <= 1_000_000, "{track}: {before:?} {after:?}");
        }
    }
}

/// Only what begins behind the end of all tracks is nothing.
#[test]
fn the_longer_track_is_enough_to_begin_in() {
    let formats = Formats::new();
    let audio = read(&sound("m4a", &["-t", "2", "-c:a", "aac", "-movflags", "+faststart"]));
    for engine in ["auto", "ffmpeg"] {
        let extra = [("start", "3"), ("engine", engine)];
        let (file, _) = formats.file(Some(&picture()), Some(&audio), &extra, engine);
        assert!(!packets(&file, "v").is_empty());
    }
}

#[test]
fn fragments_that_begin_late_stay_there() {
    let formats = Formats::new();
    let clip = film("mkv", false, &[]);
    let input = ["-itsoffset", "10", "-i", clip.to_str().unwrap(), "-c", "copy", "-copyts"];
    let flags = "+frag_discont+frag_keyframe+empty_moov+default_base_moof";
    let output = ["-avoid_negative_ts", "disabled", "-movflags", flags];
    let words = input.iter().chain(&output).map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let late = media::generate("late", "mp4", &words);
    assert!(packets(&late, "v")[0].pts > 9_000_000_000);
    let audio = sound("m4a", &["-c:a", "aac", "-movflags", "+faststart"]);
    let extra = [("engine", "ffmpeg")];
    let (file, _) = formats.file(Some(&read(&late)), Some(&read(&audio)), &extra, "late");
    let (before, after) = (packets(&late, "v"), packets(&file, "v"));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert!((before.pts - after.pts).abs() <= 1_000_000, "{before:?} {after:?}");
    }
}

/// QuickTime shows pictures before they are decoded, and MP4 may. What is shown first is at 0 with the
/// sound, and so it stays.
#[test]
fn pictures_that_are_shown_before_they_are_decoded_stay_in_step() {
    let formats = Formats::new();
    for flags in ["+negative_cts_offsets+faststart", "+negative_cts_offsets"] {
        let coded = ["-bf", "2", "-preset", "veryfast", "-c:a", "flac", "-strict", "-2"];
        let source = film("mp4", true, &[&coded[..], &["-movflags", flags]].concat());
        let (file, _) = formats.file(Some(&read(&source)), None, &[("engine", "ffmpeg")], flags);
        for track in ["v", "a"] {
            let (before, after) = (packets(&source, track), packets(&file, track));
            assert_same(&before, &after, Exactness::Millisecond, &format!("{track} {flags}"));
        }
    }
}

#[test]
fn theora_is_a_film() {
    let formats = Formats::new();
    let bytes = read(&film("ogv", true, &["-c:v", "libtheora", "-c:a", "libvorbis"]));
    let (_, kind) = formats.file(Some(&bytes), None, &[], "film");
    assert_eq!(kind, "video/ogg");
    let (file, _) = formats.file(None, Some(&bytes), &[], "its sound");
    let entries = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"];
    let streams = run(Command::new("ffprobe").args(entries).arg(&file)).stdout;
    assert_eq!(String::from_utf8_lossy(&streams).trim(), "vorbis");
}
