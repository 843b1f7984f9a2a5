//! Files of every kind that is joined as progressive MP4.

use std::path::PathBuf;

use crate::support::media::progressive;

/// A picture and a sound.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) video: PathBuf,
    pub(super) audio: PathBuf,
}

const H264: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "96k"];
const FAST: &[&str] = &["-movflags", "+faststart"];

fn video(rate: &str, seconds: u32, how: &[&[&str]]) -> PathBuf {
    let source = format!("testsrc=size=320x180:rate={rate}:duration={seconds}");
    progressive("video", &source, &[&[H264][..], how].concat().concat())
}

fn audio(rate: u32, seconds: u32, how: &[&[&str]]) -> PathBuf {
    let source = format!("sine=frequency=440:sample_rate={rate}:duration={seconds}");
    progressive("audio", &source, &[&[AAC][..], how].concat().concat())
}

/// Ten seconds with B-frames, index in front.
pub(super) fn plain() -> Kind {
    let shape = &["-g", "50", "-bf", "2"];
    Kind {
        name: "plain",
        video: video("25", 10, &[shape, FAST]),
        audio: audio(48_000, 10, &[FAST]),
    }
}

/// A minute, index at the end.
pub(super) fn minute() -> Kind {
    let shape = &["-g", "125", "-bf", "3"];
    Kind {
        name: "a minute with the index at the end",
        video: video("25", 60, &[shape]),
        audio: audio(44_100, 60, &[]),
    }
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
            video: video("30000/1001", 10, &[ntsc, FAST]),
            audio: audio(22_050, 12, &[]),
        },
        Kind {
            name: "negative shifts, sound shorter",
            video: video("25", 10, &[signed]),
            audio: audio(48_000, 7, &[FAST]),
        },
        Kind {
            name: "late picture, other time scale of the film",
            video: video("24", 10, &[late, odd]),
            audio: audio(48_000, 10, &[FAST]),
        },
        Kind {
            name: "late sound, short groups",
            video: video("50", 10, &[&["-g", "10"], FAST]),
            audio: audio(96_000, 10, &[late]),
        },
    ]
}
