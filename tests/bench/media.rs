//! The films: made by ffmpeg's own test sources once, then kept below `target`.
//!
//! Shaped as video sites serve them: picture and sound apart, each fragmented in steps of 5 seconds,
//! with an index (`sidx`) at the head. Nothing here is ever downloaded or committed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::say;

/// How much picture there is in a second.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// 0.85 Mbit/s with its sound, so that five hours stay below 2 GB. Its packets are small: what
    /// a muxer does for each packet weighs most here.
    Low,
    /// 8 Mbit/s: what is done for each byte weighs most.
    High,
}

/// One film, which is two files.
pub(crate) struct Film {
    pub(crate) rate: Rate,
    pub(crate) minutes: u32,
    pub(crate) video: PathBuf,
    pub(crate) audio: PathBuf,
    /// For those that join nothing: one file that is as long as the joined one.
    pub(crate) whole: PathBuf,
}

impl Film {
    /// A film of this length: one minute over and over, so that it takes seconds to make.
    pub(crate) fn make(dir: &Path, rate: Rate, minutes: u32) -> Outcome<Self> {
        fs::create_dir_all(dir)?;
        let minute = Self::named(dir, rate, 1);
        let lavfi = |source| ["-f", "lavfi", "-i", source, "-t", "60"];
        let (picture, codec) = rate.picture();
        make(&minute.video, &lavfi(picture), &[codec, KEYFRAMES, PICTURE_CUT])?;
        make(&minute.audio, &lavfi(SOUND), &[SOUND_CODEC, SOUND_CUT])?;
        let film = Self::named(dir, rate, minutes);
        let repeats = (minutes - 1).to_string();
        for (from, to, cut) in
            [(&minute.video, &film.video, PICTURE_CUT), (&minute.audio, &film.audio, SOUND_CUT)]
        {
            let from = from.to_str().ok_or("the target directory's name is not UTF-8")?;
            make(to, &["-stream_loop", &repeats, "-i", from], &["-c copy", cut])?;
        }
        Ok(film)
    }

    fn named(dir: &Path, rate: Rate, minutes: u32) -> Self {
        let rate_name = match rate {
            Rate::Low => "low",
            Rate::High => "high",
        };
        let path = |track| dir.join(format!("{rate_name}-{minutes}m.{track}.mp4"));
        let [video, audio, whole] = ["video", "audio", "whole"].map(path);
        Self { rate, minutes, video, audio, whole }
    }

    /// Makes the file for those that join nothing, of so many bytes: the picture and the sound behind it.
    pub(crate) fn make_whole(&self, len: u64) -> Outcome<()> {
        if fs::metadata(&self.whole).is_ok_and(|found| found.len() == len) {
            return Ok(());
        }
        let mut whole = File::create(&self.whole)?;
        for track in [&self.video, &self.audio] {
            io::copy(&mut File::open(track)?, &mut whole)?;
        }
        whole.set_len(len)?;
        // What is left to be written would disturb what is measured.
        Ok(whole.sync_all()?)
    }

    /// Its length, for people.
    pub(crate) fn title(&self) -> String {
        let length = match self.minutes {
            minutes if minutes % 60 == 0 => format!("{} h", minutes / 60),
            minutes => format!("{minutes} min"),
        };
        match self.rate {
            Rate::Low => length,
            Rate::High => format!("{length}, 8 Mbit/s"),
        }
    }
}

impl Rate {
    /// The source, and how it is encoded: fast, for what is to be seen does not matter. The noise is
    /// what gives the encoder something to write.
    fn picture(self) -> (&'static str, &'static str) {
        match self {
            Self::Low => (
                "testsrc2=size=640x360:rate=30,noise=alls=12:allf=t,format=yuv420p",
                "-c:v libx264 -preset ultrafast -b:v 750k -maxrate 750k -bufsize 750k",
            ),
            Self::High => (
                "testsrc2=size=1280x720:rate=30,noise=alls=16:allf=t,format=yuv420p",
                "-c:v libx264 -preset ultrafast -b:v 8M -maxrate 8M -bufsize 8M",
            ),
        }
    }
}

const SOUND: &str = "sine=frequency=440:sample_rate=48000,tremolo=f=3";
const SOUND_CODEC: &str = "-ac 2 -c:a aac -b:a 96k";

/// 150 frames at 30 a second: a fragment of 5 seconds begins at each keyframe.
const KEYFRAMES: &str = "-g 150 -keyint_min 150 -sc_threshold 0";
const PICTURE_CUT: &str =
    "-f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";
/// In sound every frame is a keyframe, so the 5 seconds are said outright, in microseconds.
const SOUND_CUT: &str =
    "-f mp4 -movflags +empty_moov+default_base_moof+dash+global_sidx -frag_duration 5000000";

/// Makes one file, unless it is there; under its own name only when it is whole.
fn make(path: &Path, input: &[&str], how: &[&str]) -> Outcome<()> {
    if path.exists() {
        return Ok(());
    }
    say(&format!("making {}", path.display()));
    let part = path.with_extension("part");
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-y"])
        .args(input)
        .args(how.iter().flat_map(|words| words.split_ascii_whitespace()))
        .arg(&part)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("ffmpeg does not start ({error}); install ffmpeg"))?;
    if !status.success() {
        return Err(format!("ffmpeg could not make {}: {status}", path.display()).into());
    }
    fs::rename(&part, path)?;
    Ok(())
}
