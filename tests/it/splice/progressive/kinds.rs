//! Files of every kind that is joined as progressive MP4.

use std::path::PathBuf;

use crate::support::media::{generate, progressive};

/// A picture and a sound.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) video: PathBuf,
    pub(super) audio: PathBuf,
}

/// A coder and its settings.
type How<'a> = &'a [&'a str];

const H264: How<'_> = &["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
const H265: How<'_> =
    &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"];
const VP9: How<'_> = &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"];
const AAC: How<'_> = &["-c:a", "aac", "-b:a", "96k"];
const OPUS: How<'_> = &["-c:a", "libopus", "-b:a", "64k"];
const FLAC: How<'_> = &["-c:a", "flac", "-strict", "-2"];
const FAST: How<'_> = &["-movflags", "+faststart"];

fn video(rate: &str, seconds: u32, how: &[How<'_>]) -> PathBuf {
    let source = format!("testsrc=size=320x180:rate={rate}:duration={seconds}");
    progressive("video", &source, &how.concat())
}

fn audio(rate: u32, seconds: u32, how: &[How<'_>]) -> PathBuf {
    // Noise, so that no two packets are the same.
    let source = format!("anoisesrc=seed=7:sample_rate={rate}:duration={seconds}");
    progressive("audio", &source, &how.concat())
}

/// With a time code and an index at the end.
fn quicktime(source: &str, how: &[How<'_>]) -> PathBuf {
    let input = ["-f", "lavfi", "-i", source];
    let parts = [&input[..], &how.concat(), &["-timecode", "01:00:00:00"]].concat();
    generate("quicktime", "mov", &parts.into_iter().map(String::from).collect::<Vec<_>>())
}

/// H.265 as ffmpeg and others write it if nobody asks them for more, and as QuickTime has it.
pub(super) fn h265() -> [PathBuf; 2] {
    let source = "testsrc=size=320x180:rate=25:duration=4";
    let how = [H265, &["-g", "25"]];
    [progressive("hev1", source, &how.concat()), quicktime(source, &how)]
}

/// Ten seconds with B-frames, index in front.
pub(super) fn plain() -> Kind {
    let shape = &["-g", "50", "-bf", "2"];
    Kind {
        name: "plain",
        video: video("25", 10, &[H264, shape, FAST]),
        audio: audio(48_000, 10, &[AAC, FAST]),
    }
}

/// A minute, index at the end.
pub(super) fn minute() -> Kind {
    let shape = &["-g", "125", "-bf", "3"];
    Kind {
        name: "a minute with the index at the end",
        video: video("25", 60, &[H264, shape]),
        audio: audio(44_100, 60, &[AAC]),
    }
}

/// Indexes that are too long for a first look: that of the picture in front, that of the sound at
/// the end.
pub(super) fn long() -> Kind {
    let small = &["-vf", "scale=32:32", "-g", "250", "-bf", "2", "-crf", "50"];
    Kind {
        name: "long",
        video: video("60", 300, &[H264, small, FAST]),
        audio: audio(96_000, 300, &[AAC, &["-b:a", "16k"]]),
    }
}

/// Sound that is encrypted.
pub(super) fn encrypted() -> PathBuf {
    let key = "00112233445566778899aabbccddeeff";
    let scheme = ["-encryption_scheme", "cenc-aes-ctr"];
    let keys = ["-encryption_key", key, "-encryption_kid", key];
    audio(48_000, 1, &[AAC, &scheme, &keys])
}

/// All of them.
pub(super) fn all() -> Vec<Kind> {
    let ntsc = &["-g", "60", "-bf", "2", "-video_track_timescale", "30000"];
    let late = &["-output_ts_offset", "1.25"];
    let odd = &["-movie_timescale", "600"];
    let signed = &["-bf", "2", "-movflags", "+negative_cts_offsets"];
    vec![
        plain(),
        minute(),
        Kind {
            name: "29.97, sound longer",
            video: video("30000/1001", 10, &[H264, ntsc, FAST]),
            audio: audio(22_050, 12, &[AAC]),
        },
        Kind {
            name: "negative shifts, sound shorter",
            video: video("25", 10, &[H264, signed]),
            audio: audio(48_000, 7, &[AAC, FAST]),
        },
        Kind {
            name: "late picture, other time scale of the film",
            video: video("24", 10, &[H264, late, odd]),
            audio: audio(48_000, 10, &[AAC, FAST]),
        },
        Kind {
            name: "late sound, short groups",
            video: video("50", 10, &[H264, &["-g", "10"], FAST]),
            audio: audio(96_000, 10, &[AAC, late]),
        },
        Kind {
            name: "H.265 and Opus",
            video: video("25", 10, &[H265, &["-g", "50", "-tag:v", "hvc1"], FAST]),
            audio: audio(48_000, 10, &[OPUS]),
        },
        Kind {
            name: "composed late and no edit list says so, AC-3",
            video: video("25", 10, &[H264, &["-g", "50", "-bf", "2", "-use_editlist", "0"]]),
            audio: audio(48_000, 10, &[&["-c:a", "ac3"]]),
        },
        Kind {
            name: "QuickTime",
            video: quicktime("testsrc=size=320x180:rate=25:duration=10", &[H264, &["-bf", "2"]]),
            audio: quicktime("anoisesrc=seed=7:sample_rate=44100:duration=10", &[AAC]),
        },
        Kind {
            name: "VP9 and FLAC",
            video: video("25", 10, &[VP9, &["-g", "40"]]),
            audio: audio(44_100, 10, &[FLAC, FAST]),
        },
    ]
}
