//! The version of ffmpeg, and what depends on it.

use crate::config::Config;
use crate::container::parameter_sets::SampleEntry;
use crate::ffmpeg;

/// The major version of libavformat in the installed ffmpeg, if it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version(pub Option<u32>);

impl Version {
    /// Reads the version by running `ffmpeg -version`.
    pub fn of(config: &Config) -> Version {
        let output = ffmpeg::command(config, None, false)
            .and_then(|mut ffmpeg| ffmpeg.arg("-version").output());
        Version(output.ok().and_then(|output| libavformat(&output.stdout)))
    }

    /// Whether the Matroska muxer writes Opus too early by its pre-skip, as it does before FFmpeg 6.0
    /// (libavformat 60): each remux would shift the audio by 6.5 ms against the video.
    pub(super) fn is_early_with_opus(self) -> bool {
        self.0.is_some_and(|major| major < 60)
    }

    /// Returns the value of `-tag:v` that keeps the type of a sample entry, where the default is worse.
    /// Before FFmpeg 7.0 (libavformat 61), those of Dolby Vision may be unknown.
    pub(super) fn tag(self, entry: SampleEntry) -> Option<&'static str> {
        match entry {
            SampleEntry::Dvh1 if self.0.is_none_or(|major| major < 61) => {
                Some(SampleEntry::Hvc1.name())
            }
            SampleEntry::Dva1 => None,
            entry => Some(entry.name()),
        }
    }

    /// Whether bitstream filters see the timestamps of the output, as in FFmpeg 5. Later versions pass those
    /// of the input.
    pub(super) fn filters_in_output_timebase(self) -> bool {
        self.0 == Some(59)
    }
}

/// Parses the major version from a line such as `libavformat    59. 27.100 / 59. 27.100`.
fn libavformat(output: &[u8]) -> Option<u32> {
    let output = String::from_utf8_lossy(output);
    let line = output.lines().find_map(|line| line.trim().strip_prefix("libavformat"))?;
    line.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let output =
            b"ffmpeg version 5.1.9\n  libavutil 57. 28.100\n  libavformat    59. 27.100 / 59\n";
        assert_eq!(libavformat(output), Some(59));
        assert_eq!(libavformat(b"something else"), None);
    }
}
