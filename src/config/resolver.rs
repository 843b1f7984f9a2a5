//! `[resolver]`: how page links are read.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{ByteSize, HumanDuration, finite, positive, refuse_if};

/// `[resolver]`: how page links are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResolverConfig {
    /// A program that speaks yt-dlp's interface: a name, looked up in PATH, or a path.
    pub command: PathBuf,
    /// Arguments of it beside ours.
    #[serde(deserialize_with = "arguments")]
    pub extra_args: Vec<String>,
    /// Time to read a page.
    #[serde(deserialize_with = "finite")]
    pub timeout: HumanDuration,
    /// How long what was read of a page is used, unless its URLs expire before.
    pub cache_ttl: HumanDuration,
    /// Memory for what was read of pages.
    pub cache: ByteSize,
    /// Pages that are read at a time.
    #[serde(deserialize_with = "positive")]
    pub processes: usize,
    /// What the processes of one reading may hold of memory together.
    #[serde(deserialize_with = "memory")]
    pub memory: ByteSize,
    /// Which of its extractors may read pages.
    #[serde(deserialize_with = "extractors")]
    pub extractors: Vec<String>,
    /// Whether one Python with yt-dlp in it is kept, and forked for each page.
    pub fork_server: bool,
}

impl Default for ResolverConfig {
    fn default() -> ResolverConfig {
        ResolverConfig {
            command: PathBuf::from("yt-dlp"),
            extra_args: Vec::new(),
            timeout: HumanDuration(Duration::from_secs(30)),
            // YouTube's URLs are good for six.
            cache_ttl: HumanDuration(Duration::from_secs(5 * 3600)),
            // Of some 100 KB each, if they are YouTube's.
            cache: ByteSize(16 << 20),
            // Of 55 MB each, or some 20 when they are forked.
            processes: 4,
            // yt-dlp takes up to 100 MB, and deno 260 for a script of YouTube's player of 2.7 MB.
            memory: ByteSize(512 << 20),
            extractors: vec!["default".into(), "-generic".into()],
            fork_server: true,
        }
    }
}

/// The link comes behind a `--` of ours; a second one would make it something else.
fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = Vec::<String>::deserialize(deserializer)?;
    refuse_if(all.iter().any(|argument| argument == "--"), "must not have \"--\" in it")?;
    Ok(all)
}

/// Less is not enough for yt-dlp and a runtime that only says its version.
fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(!(128 << 20..=64 << 30).contains(&size.0), "must lie between 128MiB and 64GiB")?;
    Ok(size)
}

/// They are joined by commas.
fn extractors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = Vec::<String>::deserialize(deserializer)?;
    refuse_if(all.is_empty(), "name at least one, such as \"default\"")?;
    let strange = |name: &String| name.is_empty() || name.contains([',', ' ']);
    refuse_if(all.iter().any(strange), "write one name in each pair of quotes")?;
    Ok(all)
}
