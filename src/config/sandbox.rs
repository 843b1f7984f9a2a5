//! `[sandbox]`: what ffmpeg and yt-dlp may do.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::checks::refuse_if;

/// `[sandbox]`: what ffmpeg and yt-dlp may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// Whether the kernel restricts their files, connections and system calls.
    pub enabled: bool,
    /// Files and directories that ffmpeg may read and run beyond those of the system.
    #[serde(deserialize_with = "absolute")]
    pub read: Vec<PathBuf>,
    /// Files and directories that yt-dlp may write to beyond its cache.
    #[serde(deserialize_with = "absolute")]
    pub write: Vec<PathBuf>,
    /// TCP ports that yt-dlp may connect to beyond that of the gateway.
    pub ports: Vec<u16>,
}

impl Default for SandboxConfig {
    fn default() -> SandboxConfig {
        SandboxConfig { enabled: true, read: Vec::new(), write: Vec::new(), ports: Vec::new() }
    }
}

/// A service has no working directory of its own.
fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let paths = Vec::<PathBuf>::deserialize(deserializer)?;
    refuse_if(paths.iter().any(|path| path.is_relative()), "write absolute paths")?;
    Ok(paths)
}
