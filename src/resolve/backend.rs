//! Runs yt-dlp: its arguments, and the interface of the two backends.
//!
//! [`SubprocessBackend`](super::subprocess) and [`ForkServerBackend`](super::fork_server) take the
//! same arguments and return the same output.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use url::Url;

use super::classify::ResolveError;
use super::cookie_file::CookieFile;
use super::memory_watch;
use crate::cancel::CancelToken;
use crate::config::{ChildEnv, Config};
use crate::media::page_list::PART_LEN;
use crate::memory_budget::Reservation;
use crate::runtime_dir::RuntimeDir;
use crate::sandbox::{self, YtdlpLimits};
use crate::sys::Confinement;

/// Maximum length of standard output; a video with captions in all languages takes a few MB.
pub(super) const MAX_STDOUT: usize = 16 << 20;
/// Maximum length of standard error; the end is kept.
pub(super) const MAX_STDERR: usize = 64 << 10;

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Why a run has no result.
#[derive(Debug)]
pub(super) enum BackendError {
    /// The stream that needed it is over.
    Cancelled,
    /// The deadline passed; yt-dlp was killed.
    TimedOut,
    /// The run failed; the user learns why.
    Failed(ResolveError),
    /// This backend does not work now; the other one may.
    Unavailable(String),
}

/// What both backends start yt-dlp with.
pub(super) struct Launch {
    pub(super) config: Config,
    pub(super) environment: ChildEnv,
    /// Holds the cache of yt-dlp, and the socket of the fork server.
    pub(super) runtime: Arc<RuntimeDir>,
    /// The port of the gateway.
    pub(super) gateway: u16,
}

impl Launch {
    /// Returns the maximum memory of a run, with all its child processes.
    pub(super) fn memory(&self) -> u64 {
        self.config.resolver.memory.0
    }

    /// Returns what confines a run that may write to these directories.
    pub(super) fn confinement(&self, writable: &[&Path]) -> io::Result<Confinement> {
        sandbox::ytdlp(&self.config, self.limits(writable))
    }

    /// Returns what confines a process that forks a child for each run.
    pub(super) fn server_confinement(&self, writable: &[&Path]) -> io::Result<Confinement> {
        sandbox::ytdlp_server(&self.config, self.limits(writable))
    }

    fn limits<'a>(&self, writable: &'a [&'a Path]) -> YtdlpLimits<'a> {
        let data = memory_watch::data_limit(self.memory());
        YtdlpLimits { data, gateway: self.gateway, writable }
    }
}

/// Counts `len` bytes of output.
pub(super) fn reserve(memory: &mut Reservation, len: usize) -> Result<(), BackendError> {
    let is_granted = memory.grow(u64::try_from(len).unwrap_or(u64::MAX));
    is_granted.then_some(()).ok_or_else(|| BackendError::Failed(ResolveError::no_memory()))
}

/// A run of yt-dlp.
#[derive(Clone, Copy)]
pub(super) struct Call<'c> {
    pub(super) arguments: &'c [String],
    /// The cookies to read the page with, which no argument names.
    pub(super) cookies: Option<&'c CookieFile>,
    /// When the run is ended.
    pub(super) deadline: Instant,
    pub(super) cancel: &'c CancelToken,
}

/// A way to run yt-dlp.
pub(super) trait Backend: Send + Sync {
    /// Runs yt-dlp. The length of its output is counted by `memory`.
    ///
    /// **Invariants:** it has ended, with all its child processes, before this returns. It can write to no file of
    /// cookies but a copy, which is gone then.
    fn run(&self, call: Call<'_>, memory: &mut Reservation) -> Result<Output, BackendError>;
}

/// Returns the arguments for `page_url`, in which nothing can be taken for an option. If it is a list, `part` of its
/// entries is read, without their pages.
pub(super) fn arguments(config: &Config, cache: &Path, page_url: &Url, part: u32) -> Vec<String> {
    let cache = cache.to_string_lossy();
    let items = format!("{}:{}", part * PART_LEN + 1, (part + 1) * PART_LEN);
    let mut list: Vec<&str> = vec![
        // No settings but these.
        "--ignore-config",
        "--no-plugin-dirs",
        "--no-remote-components",
        // The video rather than the list that it is in. Of a list, its entries and not their pages.
        "--no-playlist",
        "--flat-playlist",
        "--playlist-items",
        &items,
        // A client is waiting; failed pages are read again where that may help.
        "--socket-timeout",
        "10",
        "--retries",
        "1",
        "--extractor-retries",
        "1",
        "--color",
        "never",
        "--cache-dir",
        &cache,
    ];
    let extractors = config.resolver.extractors.join(",");
    list.extend(["--ies", &extractors]);
    // Any format: `selection` chooses, and an error is welcome where there is none.
    list.extend(["--format", "b*", "--dump-single-json"]);
    // Many extractors look for subtitles only if they are to be written, which this does not do.
    list.extend(["--write-subs", "--write-auto-subs"]);
    let categories = config.resolver.sponsorblock.join(",");
    if !categories.is_empty() {
        let api = &config.resolver.sponsorblock_api;
        list.extend(["--sponsorblock-mark", &categories, "--sponsorblock-api", api]);
    }
    list.extend(config.resolver.extra_args.iter().map(String::as_str));
    list.extend(["--", page_url.as_str()]);
    list.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_comes_last_and_is_no_option() {
        let mut config = Config::default();
        config.resolver.extra_args = vec!["--plugin-dirs".into(), "/p".into()];
        let page_url = Url::parse("https://films.example/--exec").unwrap();
        let list = arguments(&config, Path::new("/c"), &page_url, 1);
        assert!(list.ends_with(&[
            "--plugin-dirs".into(),
            "/p".into(),
            "--".into(),
            "https://films.example/--exec".into()
        ]));
        let after = |name: &str| &list[list.iter().position(|word| word == name).unwrap() + 1];
        assert!(!list.iter().any(|word| word.starts_with("--sponsorblock")));
        let after = ["--cache-dir", "--ies", "--playlist-items"].map(|name| after(name).as_str());
        assert_eq!(after, ["/c", "default,-generic", "101:200"]);
        config.resolver.sponsorblock = vec!["sponsor".into(), "intro".into()];
        let list = arguments(&config, Path::new("/c"), &page_url, 0).join(" ");
        let api = "--sponsorblock-mark sponsor,intro --sponsorblock-api https://sponsor.ajay.app ";
        assert!(list.contains(api), "{list}");
    }
}
