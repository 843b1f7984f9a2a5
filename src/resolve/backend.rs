//! How yt-dlp is called: its arguments, its environment, and what came of it.
//!
//! Two ways lead there, [`Command`](super::subprocess) and [`Fork`](super::fork_server); both take the same
//! arguments and give back the same.

use std::path::Path;
use std::time::Instant;

use url::Url;

use super::classify::ResolveError;
use crate::cancel::CancelToken;
use crate::config::Config;

/// What it prints of a page may be so long; a film with captions in all languages takes some MB.
pub(super) const MAX_STDOUT: usize = 16 << 20;
/// What it says beside that; the end is kept.
pub(super) const MAX_STDERR: usize = 64 << 10;

/// What it ended with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Why there is nothing that it ended with.
#[derive(Debug)]
pub(super) enum BackendError {
    /// The stream is over that it was called for.
    Cancelled,
    /// It was too late; it has been killed.
    TimedOut,
    /// It is for people to know why.
    Failed(ResolveError),
    /// This way leads nowhere now; the other one may.
    Unavailable(String),
}

/// A way to call it.
pub(super) trait Backend: Send + Sync {
    /// Calls it with these arguments. It must be over, with all that it started, before this
    /// returns.
    fn run(
        &self,
        arguments: &[String],
        until: Instant,
        cancel: &CancelToken,
    ) -> Result<Output, BackendError>;
}

/// Its arguments for `link`, which nothing in them can be taken for an option.
pub(super) fn arguments(config: &Config, cache: &Path, link: &Url) -> Vec<String> {
    let cache = cache.to_string_lossy();
    let mut list: Vec<&str> = vec![
        // Nobody's settings but ours.
        "--ignore-config",
        "--no-plugin-dirs",
        "--no-remote-components",
        // One film. A list is told from one by its being a list, not by reading all of it.
        "--no-playlist",
        "--flat-playlist",
        "--playlist-items",
        "1",
        // It is called again where that may help; here a client waits.
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
    // Any format will do: the choice is ours, and an error where there is none is welcome.
    list.extend(["--format", "b*", "--dump-single-json"]);
    list.extend(config.resolver.extra_args.iter().map(String::as_str));
    list.extend(["--", link.as_str()]);
    list.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_comes_last_and_is_no_option() {
        let mut config = Config::default();
        config.resolver.extra_args = vec!["--plugin-dirs".into(), "/p".into()];
        let link = Url::parse("https://films.example/--exec").unwrap();
        let list = arguments(&config, Path::new("/c"), &link);
        assert!(list.ends_with(&[
            "--plugin-dirs".into(),
            "/p".into(),
            "--".into(),
            "https://films.example/--exec".into()
        ]));
        let after = |name: &str| &list[list.iter().position(|word| word == name).unwrap() + 1];
        assert_eq!(
            (after("--cache-dir").as_str(), after("--ies").as_str()),
            ("/c", "default,-generic")
        );
    }
}
