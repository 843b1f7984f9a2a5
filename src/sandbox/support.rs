//! What the kernel offers to confine child processes.

use std::fmt;

use super::system_calls;
use crate::config::SandboxConfig;
use crate::sys;

/// The version of Landlock that restricts TCP (Linux 6.7).
const TCP_RULES: u32 = 4;

/// What the kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// The version of Landlock.
    landlock: Option<u32>,
    /// Whether there are seccomp filters for this architecture.
    seccomp: bool,
}

impl Support {
    /// Asks the kernel.
    pub fn detect() -> Support {
        let seccomp = !system_calls::with_tcp().is_empty();
        Support { landlock: sys::landlock_version(), seccomp }
    }

    /// Returns what is missing, and what follows from that; `None` if nothing is.
    pub fn missing(self) -> Option<&'static str> {
        match (self.landlock, self.seccomp) {
            (None, false) => Some(
                "this kernel has neither Landlock nor seccomp filters: ffmpeg and yt-dlp run with the rights \
                 of the server's user",
            ),
            (None, true) => Some(
                "this kernel has no Landlock (since Linux 5.13; boot with lsm=landlock,...): ffmpeg and \
                 yt-dlp can use all files of the server's user",
            ),
            (Some(_), false) => Some(
                "this kernel has no seccomp filters for this architecture: ffmpeg and yt-dlp can make all \
                 system calls",
            ),
            (Some(version), true) if version < TCP_RULES => Some(
                "this kernel cannot restrict TCP (Linux 6.7 can): nothing but yt-dlp's settings makes it use \
                 the gateway",
            ),
            (Some(_), true) => None,
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock {
            Some(version) => write!(f, "Landlock {version}")?,
            None => f.write_str("no Landlock")?,
        }
        f.write_str(if self.seccomp { ", seccomp" } else { ", no seccomp" })
    }
}

/// Logs once per start what children are not confined by.
pub fn warn_if_incomplete(config: &SandboxConfig) {
    if !config.enabled {
        log::warn!(
            "sandbox.enabled = false: ffmpeg and yt-dlp run with the rights of the server's user"
        );
    } else if let Some(missing) = Support::detect().missing() {
        log::warn!("{missing}; run `ytcanal check`");
    }
}
