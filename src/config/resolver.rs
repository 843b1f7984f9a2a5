//! `[resolver]`: how pages are read.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::checks::{finite, positive, positive_u32, refuse_if};
use super::{ByteSize, HumanDuration};
use crate::media::sponsorblock::CATEGORIES;

/// `[resolver]`: how pages are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResolverConfig {
    /// A program with the interface of yt-dlp: a path, or a name; see [`find_resolver`](super::find_resolver).
    pub command: PathBuf,
    /// Additional arguments.
    #[serde(deserialize_with = "arguments")]
    pub extra_args: Vec<String>,
    /// File of cookies (Netscape format) to read pages with. yt-dlp gets a copy.
    pub cookies_file: Option<PathBuf>,
    /// Maximum time to read a page.
    #[serde(deserialize_with = "finite")]
    pub timeout: HumanDuration,
    /// Maximum time that a page stays cached, unless its URLs expire earlier.
    pub cache_ttl: HumanDuration,
    /// Maximum memory for cached pages.
    pub cache: ByteSize,
    /// How long a page is not read again that could not be read; 0 for not at all.
    #[serde(deserialize_with = "short")]
    pub failure_ttl: HumanDuration,
    /// How long a site is left alone that refuses this server, at first; 0 for not at all.
    #[serde(deserialize_with = "short")]
    pub busy_pause: HumanDuration,
    /// Maximum number of pages of one site that are read in a minute for clients in the internet.
    #[serde(deserialize_with = "positive_u32")]
    pub site_pages_per_minute: u32,
    /// Maximum number of pages read at a time.
    #[serde(deserialize_with = "positive")]
    pub processes: usize,
    /// Maximum number of these for one client.
    #[serde(deserialize_with = "positive")]
    pub processes_per_client: usize,
    /// Maximum memory of the processes that read one page.
    #[serde(deserialize_with = "memory")]
    pub memory: ByteSize,
    /// The extractors that may read pages.
    #[serde(deserialize_with = "extractors")]
    pub extractors: Vec<String>,
    /// The categories of segments that SponsorBlock is asked for; none to ask it nothing.
    #[serde(deserialize_with = "sponsorblock")]
    pub sponsorblock: Vec<String>,
    /// Where its API is.
    #[serde(deserialize_with = "sponsorblock_api")]
    pub sponsorblock_api: String,
    /// Whether to keep a Python process with yt-dlp loaded, which forks a child for each page.
    pub fork_server: bool,
}

impl Default for ResolverConfig {
    fn default() -> ResolverConfig {
        ResolverConfig {
            command: PathBuf::from("yt-dlp"),
            extra_args: Vec::new(),
            cookies_file: None,
            timeout: HumanDuration(Duration::from_secs(30)),
            // YouTube's URLs are valid for six hours.
            cache_ttl: HumanDuration(Duration::from_secs(5 * 3600)),
            // About 100 KB for each page of YouTube.
            cache: ByteSize(16 << 20),
            // As long as somebody may try again in vain.
            failure_ttl: HumanDuration(Duration::from_secs(30)),
            // With each further refusal it doubles, up to 16 minutes.
            busy_pause: HumanDuration(Duration::from_secs(60)),
            // As a person with many tabs does; sites block who has more.
            site_pages_per_minute: 30,
            // 55 MB each, or about 20 MB when they are forked.
            processes: 4,
            processes_per_client: 2,
            // yt-dlp takes up to 100 MB, and deno 260 MB for YouTube's player script of 2.7 MB.
            memory: ByteSize(512 << 20),
            extractors: vec!["default".into(), "-generic".into()],
            sponsorblock: Vec::new(),
            sponsorblock_api: "https://sponsor.ajay.app".into(),
            fork_server: true,
        }
    }
}

/// More would be a fault that nobody finds.
fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
    let duration = HumanDuration::deserialize(deserializer)?;
    refuse_if(duration.0 > Duration::from_secs(3600), "must be at most 1h")?;
    Ok(duration)
}

/// The URL follows a `--`; a second one would change its meaning.
fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    refuse_if(list.iter().any(|argument| argument == "--"), "must not contain \"--\"")?;
    Ok(list)
}

/// Less is not enough for yt-dlp and a JavaScript runtime that prints its version.
fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    refuse_if(!(128 << 20..=64 << 30).contains(&size.0), "must lie between 128MiB and 64GiB")?;
    Ok(size)
}

/// yt-dlp would fail with others.
fn sponsorblock<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    let unknown = list.iter().find(|name| !CATEGORIES.contains(&name.as_str()));
    let why = |name| format!("{name:?} is no category; there are {}", CATEGORIES.join(", "));
    unknown.map_or(Ok(()), |name| Err(D::Error::custom(why(name))))?;
    Ok(list)
}

/// yt-dlp appends a path.
fn sponsorblock_api<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_base = Url::parse(&text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
    });
    refuse_if(!is_base, "must be a URL such as \"https://sponsor.ajay.app\"")?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// The names are joined by commas.
fn extractors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    refuse_if(list.is_empty(), "name at least one, such as \"default\"")?;
    let is_invalid = |name: &String| name.is_empty() || name.contains([',', ' ']);
    refuse_if(list.iter().any(is_invalid), "write one name in each pair of quotes")?;
    Ok(list)
}
