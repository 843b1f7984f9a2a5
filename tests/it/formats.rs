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

fn contents(packets: &[Packet]) -> Vec<&str> {
    packets.iter().map(|packet| packet.md5.as_str()).collect()
}

fn lasts(file: &Path, seconds: f64, what: &str) {
    for duration in [media::file_duration(file), media::streamed_duration(file)] {
        let duration = duration.unwrap_or_else(|| panic!("{what} has no duration"));
        assert!((duration - seconds).abs() < 0.1, "{what} lasts {duration} s");
    }
}

/// Raw frames, with tags in front and without: each is what it is, beside a picture and alone.
#[test]
fn frames_are_recognised_behind_whatever_tags() {
    let (formats, video) = (Formats::new(), picture());
    for (extension, coded, alone) in [
        ("ac3", "ac3", "audio/ac3"),
        ("eac3", "eac3", "audio/eac3"),
        ("mp2", "mp2", "audio/mpeg"),
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("aac", "aac", "audio/aac"),
        ("flac", "flac", "audio/flac"),
    ] {
        let plain = sound(extension, &["-c:a", coded]);
        let before = packets(&plain, "a");
        for (tagged, front) in [
            ("plain", Vec::new()),
            ("a tag", id3(3000)),
            ("tags", [id3(100), id3(20_000)].concat()),
            ("a cover", id3(900_000)),
            ("padding", [id3(5000), vec![0; if extension == "flac" { 0 } else { 600 }]].concat()),
        ] {
            let what = format!("{extension} behind {tagged}");
            let bytes = [front, read(&plain)].concat();
            let (file, kind) = formats.file(None, Some(&bytes), &[], &what);
            assert_eq!(kind, alone, "{what}");
            assert!(read(&file) == bytes, "{what} is not as it was");
            for container in ["auto", "mkv"] {
                if (extension, container) == ("aac", "mkv") {
                    continue;
                }
                let extra = [("container", container)];
                let (file, _) = formats.file(Some(&video), Some(&bytes), &extra, &what);
                let after = packets(&file, "a");
                if extension == "aac" {
                    assert_eq!(before.len(), after.len(), "{what} in {container}");
                } else if extension == "mp3" && container == "auto" {
                    // An edit list leaves out what the coder needed to begin.
                    assert!(contents(&before).ends_with(&contents(&after)[1..]), "{what}");
                } else {
                    assert_eq!(contents(&before), contents(&after), "{what} in {container}");
                }
                lasts(&file, f64::from(SECONDS), &what);
            }
        }
    }
}

/// A tag that a demuxer does not know is not given to it.
#[test]
fn an_ape_tag_in_front_is_left_out() {
    let (formats, plain) = (Formats::new(), sound("flac", &["-c:a", "flac"]));
    let header =
        [&b"APETAGEX"[..], &2000u32.to_le_bytes(), &64u32.to_le_bytes(), &1u32.to_le_bytes()];
    let header = [&header.concat()[..], &0xa000_0000u32.to_le_bytes(), &[0; 8]].concat();
    let bytes = [&header[..], &[7; 64], &read(&plain)].concat();
    let (file, _) = formats.file(None, Some(&bytes), &[("container", "mkv")], "ape");
    assert_eq!(contents(&packets(&plain, "a")), contents(&packets(&file, "a")));
}

/// Written to a pipe, a WAVE does not know its size.
#[test]
fn waves_of_unknown_length_are_whole() {
    let (formats, video) = (Formats::new(), picture());
    let wav = sound("wav", &[]);
    let (before, whole) = (packets(&wav, "a"), read(&wav));
    let at = whole.windows(4).position(|window| window == b"data").unwrap() + 4;
    for size in [0, u32::MAX, u32::MAX - 36, 0x7fff_f000, 0x8000_0000] {
        let mut bytes = whole.clone();
        bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        let what = format!("{size:#x}");
        let (file, _) = formats.file(Some(&video), Some(&bytes), &[], &what);
        assert_eq!(contents(&before), contents(&packets(&file, "a")), "{what}");
        lasts(&file, f64::from(SECONDS), &what);
    }
    for extension in ["w64", "au"] {
        let words = ["-i", wav.to_str().unwrap(), "-f", extension, "-"];
        let written = run(Command::new("ffmpeg").args(["-v", "error"]).args(words)).stdout;
        let (file, _) = formats.file(Some(&video), Some(&written), &[], extension);
        let before = packets(&sound(extension, &[]), "a");
        assert_eq!(contents(&before), contents(&packets(&file, "a")), "{extension}");
        lasts(&file, f64::from(SECONDS), extension);
    }
    let wide = read(&sound("wav", &["-rf64", "always"]));
    let (file, _) = formats.file(Some(&video), Some(&wide), &[], "rf64");
    assert_eq!(contents(&before), contents(&packets(&file, "a")));
}

/// Tags, with a cover in them, stand behind the samples: a demuxer ends before it has read them.
#[test]
fn waves_with_long_tags_behind_their_samples_are_whole() {
    let formats = Formats::new();
    for (extension, coded, kind) in [
        ("aiff", "pcm_s16be", *b"ID3 "),
        ("wav", "pcm_s16le", *b"id3 "),
        ("wav", "pcm_s16le", *b"LIST"),
        ("w64", "pcm_s16le", *b"list"),
    ] {
        let source = sound(extension, &["-c:a", coded]);
        let (tag, mut bytes) = (id3(3_000_000), read(&source));
        let number = |number: usize| {
            let number = u32::try_from(number).unwrap();
            if extension == "aiff" { number.to_be_bytes() } else { number.to_le_bytes() }
        };
        if extension == "w64" {
            let size = (24 + tag.len() as u64).to_le_bytes();
            bytes.extend([&kind[..], &[7; 12], &size, &tag].concat());
        } else {
            bytes.extend([&kind[..], &number(tag.len()), &tag].concat());
            let all = number(bytes.len() - 8);
            bytes[4..8].copy_from_slice(&all);
        }
        let what = format!("{extension} {kind:?}");
        for (video, extra) in
            [(None, ("container", "mkv")), (Some(picture()), ("container", "auto"))]
        {
            let (file, _) = formats.file(video.as_deref(), Some(&bytes), &[extra], &what);
            assert_eq!(contents(&packets(&source, "a")), contents(&packets(&file, "a")), "{what}");
            lasts(&file, f64::from(SECONDS), &what);
        }
        // Cut within its tag, it is cut.
        let cut = &bytes[..bytes.len() - 1000];
        let answer = formats.get(None, Some(cut), &[("container", "mkv")]);
        assert!((answer.head.status, answer.ending) != (200, Ending::Complete), "{what}");
    }
}

/// What lies in Ogg, AIFF and the like tells its duration, too.
#[test]
fn sounds_tell_how_long_they_play() {
    let formats = Formats::new();
    for (extension, coded) in [
        ("ogg", "libopus"),
        ("ogg", "libvorbis"),
        ("aiff", "pcm_s16be"),
        ("w64", "pcm_s24le"),
        ("au", "pcm_s16be"),
        ("au", "pcm_mulaw"),
    ] {
        let plain = sound(extension, &["-c:a", coded]);
        let (file, kind) = formats.file(None, Some(&read(&plain)), &[("container", "mkv")], coded);
        assert_eq!(kind, "audio/x-matroska");
        assert_eq!(contents(&packets(&plain, "a")), contents(&packets(&file, "a")), "{coded}");
        lasts(&file, f64::from(SECONDS), coded);
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

/// Common encryption in all its forms begins with such a sample description.
#[test]
fn encrypted_files_are_refused_whatever_is_wanted_of_them() {
    let formats = Formats::new();
    let key = ["76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"];
    let scheme = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key[0]];
    let coded = [&scheme[..], &["-encryption_kid", key[1]]].concat();
    let flags = ["-c:a", "aac", "-movflags", "+faststart"];
    let locked = read(&film("mp4", true, &[&coded[..], &flags].concat()));
    let clear = sound("m4a", &["-c:a", "aac", "-movflags", "+faststart"]);
    for extra in [&[][..], &[("engine", "ffmpeg")], &[("container", "mkv")], &[("end", "2")]] {
        assert_eq!(formats.refusal(Some(&locked), None, extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(None, Some(&locked), extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&locked), Some(&read(&clear)), extra), "drm");
    }
    // With its index behind the media it is known as soon as that is read.
    let late = read(&film("mp4", true, &[&coded[..], &["-c:a", "aac"]].concat()));
    for extra in [("engine", "ffmpeg"), ("container", "mkv"), ("end", "2")] {
        assert_eq!(formats.refusal(Some(&late), None, &[extra]), "drm", "{extra:?}");
        assert_eq!(formats.refusal(None, Some(&late), &[extra]), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&picture()), Some(&late), &[extra]), "drm");
    }
    // A key that is named opens nothing, and locks nothing either.
    let mut named = read(&clear);
    let at = named.windows(4).position(|window| window == b"udta").unwrap();
    named[at..at + 4].copy_from_slice(b"pssh");
    formats.file(None, Some(&named), &[], "pssh alone");
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

/// The picture is clear, and what is said of the sound comes late.
#[test]
fn an_encrypted_track_is_refused_wherever_it_is_told() {
    let (formats, mut film) = (Formats::new(), long_index("mp4", "aac"));
    let entry = film.windows(4).position(|window| window == b"mp4a").unwrap();
    film[entry..entry + 4].copy_from_slice(b"enca");
    let by_ffmpeg = ("engine", "ffmpeg");
    for extra in [
        &[by_ffmpeg][..],
        &[by_ffmpeg, ("container", "mkv")],
        &[by_ffmpeg, ("start", "2"), ("end", "4")],
        &[("container", "mkv")],
        &[("end", "4")],
        &[("engine", "splice"), ("end", "4")],
    ] {
        assert_eq!(formats.refusal(Some(&film), None, extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(None, Some(&film), extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&picture()), Some(&film), extra), "drm", "{extra:?}");
    }
    // At its end, and nowhere else.
    let at = |what: &[u8]| film.windows(4).position(|window| window == what).unwrap() - 4;
    let (moov, mdat) = (at(b"moov"), at(b"mdat"));
    let behind = [&film[..moov], &film[mdat..], &film[moov..mdat]].concat();
    let by_splice = [("engine", "splice"), ("end", "4")];
    for extra in [&[by_ffmpeg][..], &[("container", "mkv")], &[("end", "4")], &by_splice] {
        assert_eq!(formats.refusal(Some(&behind), None, extra), "drm", "{extra:?}");
        assert_eq!(formats.refusal(Some(&picture()), Some(&behind), extra), "drm", "{extra:?}");
    }
    // Where no part of it can be asked for, it is read on to.
    let url = formats.origin.put("whole", Resource::bytes(&film[..]));
    for extra in [[by_ffmpeg], [("container", "mkv")]] {
        let answer = formats.daemon.get(&any_path(Some(&url), None, &extra));
        assert_eq!((answer.head.status, answer.code().as_str()), (422, "drm"), "{extra:?}");
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

/// An index longer than what comes by itself does not make a film of a sound.
#[test]
fn a_long_index_of_a_lone_sound_is_passed() {
    let formats = Formats::new();
    let plain = sound("m4a", &["-c:a", "aac", "-b:a", "16k", "-movflags", "+faststart"]);
    let looped = ["-stream_loop", "99", "-i", plain.to_str().unwrap(), "-c", "copy"];
    let flags = ["-metadata", "title=a title", "-movflags", "+faststart"];
    let arguments: Vec<String> =
        [&looped[..], &flags].concat().iter().map(|w| (*w).to_owned()).collect();
    let bytes = read(&media::generate("long-sound", "m4a", &arguments));
    let moov = bytes.windows(4).position(|window| window == b"moov").unwrap();
    let len = u32::from_be_bytes(*bytes[moov - 4..].first_chunk().unwrap());
    assert!(len > 64 << 10, "{len}");
    let (file, kind) = formats.file(None, Some(&bytes), &[], "long");
    assert_eq!((kind.as_str(), read(&file) == bytes), ("audio/mp4", true));
    // And what has a picture behind it is none.
    let film =
        film("mp4", true, &["-map", "1", "-map", "0", "-c:a", "aac", "-movflags", "+faststart"]);
    let (file, kind) = formats.file(None, Some(&read(&film)), &[], "film");
    assert_eq!(kind, "audio/mp4");
    assert_eq!(contents(&packets(&film, "a")), contents(&packets(&file, "a")));
}

#[test]
fn what_has_no_media_in_it_is_refused() {
    let formats = Formats::new();
    let bytes = read(&media::minute().video);
    let moof = bytes.windows(4).position(|window| window == b"sidx").unwrap() - 4;
    for extra in [&[][..], &[("engine", "ffmpeg")]] {
        assert_eq!(formats.refusal(Some(&bytes[..moof]), None, extra), "not-media");
    }
}

/// Subtitles alone are no film, whatever they are called.
#[test]
fn what_has_neither_video_nor_audio_is_refused() {
    let formats = Formats::new();
    let lines = formats.directory.path().join("lines.srt");
    std::fs::write(&lines, "1\n00:00:00,500 --> 00:00:01,500\nOne\n").unwrap();
    let shapes: [(&str, &[&str]); 4] = [
        ("mp4", &["-c:s", "mov_text", "-movflags", "+faststart"]),
        ("mp4", &["-c:s", "mov_text", "-movflags", "+frag_keyframe+empty_moov"]),
        ("mkv", &["-c:s", "srt"]),
        ("webm", &["-c:s", "webvtt"]),
    ];
    for (place, (extension, coded)) in shapes.into_iter().enumerate() {
        let file = formats.directory.path().join(format!("text-{place}.{extension}"));
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-i"]).arg(&lines).args(coded).arg(&file);
        assert!(run(&mut command).status.success());
        let bytes = read(&file);
        for extra in [&[][..], &[("container", "mkv")], &[("engine", "ffmpeg")]] {
            let [video, audio] = [(Some(&bytes[..]), None), (None, Some(&bytes[..]))]
                .map(|(video, audio)| formats.get(video, audio, extra));
            for answer in [video, audio] {
                let said = answer.text();
                assert_eq!((answer.head.status, &*answer.code()), (422, "not-media"), "{said}");
            }
        }
    }
}

/// What a muxer says of a codec that its container has no name for is a refusal, which names the codec:
/// not half a file.
#[test]
fn what_no_container_takes_is_refused_before_anything_is_sent() {
    let formats = Formats::new();
    let mut bytes = read(&film("mov", true, &["-c:a", "pcm_s16le", "-movflags", "+faststart"]));
    let at = bytes.windows(4).position(|window| window == b"sowt").unwrap();
    bytes[at..at + 4].copy_from_slice(b"zzzz");
    for extra in [[("engine", "ffmpeg")], [("container", "mkv")]] {
        let answer = formats.get(Some(&bytes), None, &extra);
        assert_eq!((answer.head.status, &*answer.code()), (422, "mux-refused"));
        assert!(answer.text().contains("codec"), "{}", answer.text());
    }
    // And ffmpeg knows some codecs that only their own containers do.
    for (extension, coded) in [("mov", "adpcm_ima_qt"), ("flv", "nellymoser")] {
        let bytes = read(&sound(extension, &["-ar", "44100", "-c:a", coded]));
        for extra in [("container", "mkv"), ("engine", "ffmpeg")] {
            assert_eq!(formats.refusal(None, Some(&bytes), &[extra]), "mux-refused", "{coded}");
        }
    }
}

/// Raw AAC is described by its frames alone, which only MP4 asks for.
#[test]
fn raw_aac_goes_into_mp4_alone_and_says_so() {
    let formats = Formats::new();
    let sound = read(&sound("aac", &["-c:a", "aac"]));
    let theora = read(&film("ogv", false, &["-c:v", "libtheora"]));
    let webm = read(&film("webm", false, &["-c:v", "libvpx", "-cpu-used", "8"]));
    for (video, extra) in [
        (Some(&theora), ("container", "auto")),
        (Some(&webm), ("container", "auto")),
        (Some(&picture()), ("container", "mkv")),
        (None, ("container", "mkv")),
    ] {
        let answer = formats.get(video.map(|video| &video[..]), Some(&sound), &[extra]);
        assert_eq!((answer.head.status, &*answer.code()), (422, "mux-refused"), "{extra:?}");
        assert!(answer.text().contains("nothing but mp4"), "{}", answer.text());
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
