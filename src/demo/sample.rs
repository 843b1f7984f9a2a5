//! The sample of the demonstration: made by ffmpeg, as two files of the shape that video sites
//! serve (fragments of 5 s, with their index in front).

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Two tracks in memory.
pub(super) struct Sample {
    pub(super) video: Vec<u8>,
    pub(super) audio: Vec<u8>,
    pub(super) duration: Duration,
}

const SECONDS: u32 = 180;
/// Fragmented, and with one index (sidx) of all fragments at the head.
const SHAPE: &str = "-movflags empty_moov+default_base_moof+dash+global_sidx -f mp4";

impl Sample {
    /// Has ffmpeg make the tracks in `dir`, both at the same time.
    pub(super) fn make(ffmpeg: &Path, dir: &Path) -> io::Result<Sample> {
        let (video, audio) = (dir.join("video.mp4"), dir.join("audio.m4a"));
        let picture = format!(
            "-f lavfi -i testsrc=size=480x270:rate=20:duration={SECONDS} -c:v libx264 -preset \
             ultrafast -pix_fmt yuv420p -g 100 -keyint_min 100 -sc_threshold 0 {SHAPE} \
             -movflags +frag_keyframe"
        );
        let tone = format!(
            "-f lavfi -i sine=frequency=440:beep_factor=4:duration={SECONDS} -c:a aac -b:a 96k \
             -frag_duration 5000000 {SHAPE}"
        );
        let mut making = Vec::new();
        for (arguments, file) in [(picture, &video), (tone, &audio)] {
            let child = Command::new(ffmpeg)
                .args(["-nostdin", "-loglevel", "error", "-y"])
                .args(arguments.split_whitespace())
                .arg(file)
                .stdin(Stdio::null())
                .spawn()
                .map_err(|error| {
                    let program = ffmpeg.display();
                    let hint = "install ffmpeg (apt install ffmpeg)";
                    io::Error::new(error.kind(), format!("cannot run {program}: {error}; {hint}"))
                })?;
            making.push(child);
        }
        // All are waited for before an error of one is looked at.
        let ended: Vec<_> = making.iter_mut().map(|child| child.wait()).collect();
        for status in ended {
            if !status?.success() {
                return Err(io::Error::other("ffmpeg could not make the sample"));
            }
        }
        let duration = Duration::from_secs(SECONDS.into());
        Ok(Sample { video: fs::read(video)?, audio: fs::read(audio)?, duration })
    }
}
