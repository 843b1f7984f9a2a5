//! Classifies failures to read a page: what yt-dlp's messages mean. Pure.

use crate::problem_code::ProblemCode;

use url::Url;

pub use crate::error::ResolveError;
use crate::text::one_line;

mod date;
mod words;

use date::utc_minute;
use words::{FAILURE_PATTERNS, Sentence};

/// Seconds after which a site usually accepts requests again.
const SITE_BUSY_RETRY: u32 = 600;
/// Seconds after which to retry media that are not available yet.
const NOT_YET_RETRY: u32 = 300;
/// Maximum length of a quoted message.
pub(super) const MAX_MESSAGE: usize = 300;

impl ResolveError {
    fn new(code: ProblemCode, message: impl Into<String>) -> ResolveError {
        ResolveError { code, message: message.into(), retry_after: None }
    }

    fn retry_after(self, seconds: u32) -> ResolveError {
        ResolveError { retry_after: Some(seconds), ..self }
    }

    pub(super) fn bad_link(why: &str) -> ResolveError {
        ResolveError::new(ProblemCode::BadLink, format!("the parameter url {why}"))
    }

    pub(super) fn address(why: String) -> ResolveError {
        ResolveError::new(ProblemCode::AddressRefused, why)
    }

    pub(super) fn playlist(page_url: &Url) -> ResolveError {
        let parameter = page_url.query_pairs().find(|(name, _)| name == "list").is_some();
        let hint = if parameter { ", or drop the parameter list from the link" } else { "" };
        let message = format!(
            "the link leads to a playlist; add as=tar or as=zip to download its videos as one archive, or \
             take the link of one of them (/info lists them){hint}"
        );
        ResolveError::new(ProblemCode::Playlist, message)
    }

    pub(super) fn no_list() -> ResolveError {
        let message = "the link leads to one video and not to a list; drop the parameter page";
        ResolveError::new(ProblemCode::BadParameter, message)
    }

    pub(super) fn not_yet(message: &str) -> ResolveError {
        ResolveError::new(ProblemCode::NotYet, message).retry_after(NOT_YET_RETRY)
    }

    /// A stream or premiere that begins at this time, in seconds since 1970, if it is known.
    pub(super) fn upcoming(begin: Option<f64>) -> ResolveError {
        match begin.and_then(utc_minute) {
            Some(minute) => {
                ResolveError::not_yet(&format!("it has not started yet; it begins at {minute}"))
            }
            None => ResolveError::not_yet("it has not started yet"),
        }
    }

    /// The recording of a live stream that has just ended, which still grows or lacks its
    /// beginning.
    pub(super) fn just_ended() -> ResolveError {
        ResolveError::not_yet(
            "the live stream has just ended and the site is still processing the recording; try again \
             later",
        )
    }

    pub(super) fn drm() -> ResolveError {
        ResolveError::new(ProblemCode::Drm, "it is protected (DRM), which cannot be removed")
    }

    /// The page offers no format that matches the request.
    pub fn no_format(message: &str) -> ResolveError {
        ResolveError::new(ProblemCode::NoFormat, message)
    }

    pub(super) fn timeout(limit: std::time::Duration) -> ResolveError {
        let message = format!("the page could not be read within {limit:?} (resolver.timeout)");
        ResolveError::new(ProblemCode::ResolveTimeout, message)
    }

    pub(super) fn no_memory() -> ResolveError {
        let message = "too many large pages are being read";
        ResolveError::new(ProblemCode::ResolverBusy, message).retry_after(5)
    }

    /// The site refused this server, and is not asked for so many seconds.
    pub(super) fn left_alone(seconds: u32) -> ResolveError {
        let message = "the site refused this server several times (too many requests, or it suspects a bot) and \
                       is left alone for a while (resolver.busy_pause)";
        ResolveError::new(ProblemCode::SiteBusy, message).retry_after(seconds)
    }

    /// Many pages of the site were read lately.
    pub(super) fn many_pages(seconds: u32) -> ResolveError {
        let message =
            "many pages of this site were read a moment ago (resolver.site_pages_per_minute)";
        ResolveError::new(ProblemCode::ResolverBusy, message).retry_after(seconds)
    }

    /// Returns whether the page will hardly be read with another result in a moment. Faults of the network and of
    /// this server may pass.
    pub(super) fn is_lasting(&self) -> bool {
        use ProblemCode as Code;
        matches!(
            self.code,
            Code::AddressRefused
                | Code::Drm
                | Code::ExtractorBroken
                | Code::GeoBlocked
                | Code::NoFormat
                | Code::NotAvailable
                | Code::NotYet
                | Code::Playlist
                | Code::Private
                | Code::ResolveFailed
                | Code::SiteBusy
                | Code::UnsupportedLink
        )
    }

    pub(super) fn missing(program: &str) -> ResolveError {
        let message = format!(
            "{program:?} was not found; `sudo ytcanal update-resolver` installs yt-dlp, \
             or set resolver.command; then run `ytcanal check`"
        );
        ResolveError::new(ProblemCode::ResolverMissing, message)
    }

    pub(super) fn failed(message: &str) -> ResolveError {
        ResolveError::new(ProblemCode::ResolverFailed, format!("yt-dlp failed: {message}"))
    }

    /// The file that a key names has no cookies to read pages with.
    pub(super) fn cookies(key: &str, why: &str) -> ResolveError {
        let message =
            format!("pages are not read without their cookies ({key}): {why}; run `ytcanal check`");
        ResolveError::new(ProblemCode::ResolverFailed, message)
    }

    pub(super) fn broken(message: &str) -> ResolveError {
        let message = format!("yt-dlp cannot read this page: {message}");
        ResolveError::new(ProblemCode::ExtractorBroken, format!("{message}; update yt-dlp"))
    }
}

/// Returns what an exit code and the messages of yt-dlp mean. They describe failures in prose only,
/// hence the patterns.
pub(super) fn classify(code: i32, stderr: &str) -> ResolveError {
    if code == 2 {
        return ResolveError::failed(&format!("invalid arguments: {}", last(stderr)));
    }
    // A traceback beside an error only shows where that came from.
    let error = error_in(stderr);
    if let Some(traceback) =
        stderr.rfind("Traceback (most recent call last)").filter(|_| error.is_none())
    {
        return ResolveError::failed(&last(&stderr[traceback..]));
    }
    let error = error.unwrap_or_else(|| last_line(stderr));
    let mut sentences = vec![Sentence::new(error)];
    let contains =
        |sentences: &[Sentence], words: &str| sentences.iter().any(|one| one.contains(words));
    // Where no format is available, a warning tells why.
    if ["requested format is not available", "no video formats"]
        .iter()
        .any(|words| contains(&sentences, words))
    {
        sentences = stderr.lines().map(Sentence::new).collect();
    }
    let shown = clean(error);
    match FAILURE_PATTERNS
        .iter()
        .find(|pattern| pattern.words.split('|').any(|words| contains(&sentences, words)))
    {
        Some(pattern) => ResolveError {
            code: pattern.code,
            message: if pattern.quotes {
                format!("{}: {shown}", pattern.message)
            } else {
                pattern.message.into()
            },
            retry_after: pattern.retry_after,
        },
        None if shown.is_empty() => {
            ResolveError::failed(&format!("it exited with code {code} and no message"))
        }
        None => ResolveError::new(
            ProblemCode::ResolveFailed,
            format!("the page could not be read: {shown}"),
        ),
    }
}

/// Returns the last error, without its prefix and the name of the extractor.
fn error_in(stderr: &str) -> Option<&str> {
    let at = stderr.rfind("ERROR: ")?;
    let error = stderr[at + "ERROR: ".len()..].lines().next().unwrap_or_default();
    Some(match error.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        // `[site] id: words`; an id contains no blanks.
        Some((_, rest)) => match rest.split_once(": ") {
            Some((id, words)) if !id.contains(' ') => words,
            _ => rest,
        },
        None => error,
    })
}

fn last(stderr: &str) -> String {
    clean(last_line(stderr))
}

fn last_line(stderr: &str) -> &str {
    stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default()
}

/// Makes a message fit to be shown: one line of limited length, without URLs, which may be signed, without
/// paths of this machine, and without advice for those who run yt-dlp themselves.
fn clean(words: &str) -> String {
    let words = words.split("; please report this issue").next().unwrap_or_default();
    let shown = words.split_whitespace().map(|word| match word {
        word if is_link(word) => "(a link)",
        word if is_path(word) => "(a path)",
        word => word,
    });
    one_line(&shown.collect::<Vec<_>>().join(" "), MAX_MESSAGE)
}

/// Returns whether a word is a URL, or a part of one that may have its signature.
fn is_link(word: &str) -> bool {
    // Longer than the values of options and settings that yt-dlp names.
    const MIN_SIGNATURE: usize = 16;
    word.contains("://")
        || word.contains('=') && word.contains(['?', '&'])
        || word.split_once('=').is_some_and(|(_, value)| value.len() >= MIN_SIGNATURE)
}

/// Returns whether a word is a path, of a file or behind the host of a URL.
fn is_path(word: &str) -> bool {
    let bare = word.trim_start_matches(['\'', '"', '`', '(', '[', '<']);
    let separators = bare.matches(['/', '\\']).count();
    bare.contains(|c: char| c.is_ascii_alphabetic())
        && (separators > 1 || bare.starts_with(['/', '~']))
}

#[cfg(test)]
mod tests;
