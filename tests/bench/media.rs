//! The films: made by ffmpeg's own test sources once, then kept below `target`.
//!
//! Shaped as video sites serve them: picture and sound apart, each fragmented in steps of 5 seconds,
//! with an index (`sidx`) at the head. Nothing here is ever downloaded or committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Outcome, say};

pub(crate) struct Media {
    pub(crate) minute: Pair,
    /// The minute over and over, so that it takes seconds to make.
    pub(crate) long: Pair,
}

pub(crate) struct Pair {
    pub(crate) video: PathBuf,
    pub(crate) audio: PathBuf,
}

impl Media {
    pub(crate) fn make(dir: &Path, minutes: u32) -> Outcome<Self> {
        fs::create_dir_all(dir)?;
        let minute = Pair::named(dir, "minute");
        let long = Pair::named(dir, &format!("{minutes}-minutes"));
        let lavfi = |source| ["-f", "lavfi", "-i", source, "-t", "60"];
        make(&minute.video, &lavfi(PICTURE), &[PICTURE_CODEC, PICTURE_CUT])?;
        make(&minute.audio, &lavfi(SOUND), &[SOUND_CODEC, SOUND_CUT])?;
        let repeats = (minutes - 1).to_string();
        for (from, to, cut) in
            [(&minute.video, &long.video, PICTURE_CUT), (&minute.audio, &long.audio, SOUND_CUT)]
        {
            let from = from.to_str().ok_or("the target directory's name is not UTF-8")?;
            make(to, &["-stream_loop", &repeats, "-i", from], &["-c copy", cut])?;
        }
        Ok(Self { minute, long })
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        [&self.minute, &self.long]
            .into_iter()
            .flat_map(|pair| [pair.video.clone(), pair.audio.clone()])
            .collect()
    }
}

impl Pair {
    fn named(dir: &Path, name: &str) -> Self {
        Self {
            video: dir.join(format!("{name}.video.mp4")),
            audio: dir.join(format!("{name}.audio.mp4")),
        }
    }

    pub(crate) fn megabytes(&self) -> Outcome<u64> {
        Ok((fs::metadata(&self.video)?.len() + fs::metadata(&self.audio)?.len()) / 1_000_000)
    }
}

/// The noise is what gives the encoder 8 Mbit/s worth of picture to write down.
const PICTURE: &str = "testsrc2=size=1280x720:rate=30,noise=alls=16:allf=t,format=yuv420p";
const SOUND: &str = "sine=frequency=440:sample_rate=48000,tremolo=f=3";

const PICTURE_CODEC: &str = "-c:v libx264 -preset veryfast -b:v 8M -maxrate 8M -bufsize 8M \
                             -g 150 -keyint_min 150 -sc_threshold 0";
const SOUND_CODEC: &str = "-ac 2 -c:a aac -b:a 128k";

/// 150 frames at 30 a second: a fragment of 5 seconds begins at each keyframe.
const PICTURE_CUT: &str = "-f mp4 -movflags dash+global_sidx+frag_keyframe";
/// In sound every frame is a keyframe, so the 5 seconds are said outright, in microseconds.
const SOUND_CUT: &str = "-f mp4 -movflags dash+global_sidx+empty_moov -frag_duration 5000000";

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
