//! What it means that a page could not be read, and what its reader's words mean. Pure.

use url::Url;

/// Why a page link led to no film: as HTTP tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub said: String,
    /// Seconds after which another try may help.
    pub retry_after: Option<u32>,
}

/// A site that had enough of us has it for about so long.
const SITE_REST: u32 = 600;
/// When to ask again for what has not begun.
const SOON: u32 = 300;
/// The longest piece of somebody else's words that is passed on.
const LONGEST: usize = 300;

impl Unresolved {
    fn new(status: u16, code: &'static str, said: impl Into<String>) -> Unresolved {
        Unresolved { status, code, said: said.into(), retry_after: None }
    }

    fn again_in(self, seconds: u32) -> Unresolved {
        Unresolved { retry_after: Some(seconds), ..self }
    }

    pub(super) fn bad_link(why: &str) -> Unresolved {
        Unresolved::new(400, "bad-link", format!("the parameter url {why}"))
    }

    pub(super) fn address(host: &str) -> Unresolved {
        let said = format!(
            "{host:?} is not a public address; the operator can allow it in upstream.allow"
        );
        Unresolved::new(403, "address-refused", said)
    }

    pub(super) fn playlist(link: &Url) -> Unresolved {
        let parameter = link.query_pairs().find(|(name, _)| name == "list").is_some();
        let hint = if parameter {
            "drop the parameter list from it"
        } else {
            "open one of its videos and take the link of that"
        };
        Unresolved::new(422, "playlist", format!("the link leads to a playlist; {hint}"))
    }

    pub(super) fn not_yet(said: &str) -> Unresolved {
        Unresolved::new(503, "not-yet", said).again_in(SOON)
    }

    pub(super) fn live() -> Unresolved {
        let said = "it is live now; it can be downloaded when it has ended";
        Unresolved::new(422, "no-format", said)
    }

    pub(super) fn drm() -> Unresolved {
        Unresolved::new(422, "drm", "it is protected (DRM), which cannot be taken off")
    }

    /// There is nothing that would do.
    pub fn no_format(said: &str) -> Unresolved {
        Unresolved::new(422, "no-format", said)
    }

    pub(super) fn timeout(limit: std::time::Duration) -> Unresolved {
        let said = format!("the page could not be read within {limit:?} (resolver.timeout)");
        Unresolved::new(504, "resolve-timeout", said)
    }

    pub(super) fn busy() -> Unresolved {
        let said = "too many pages are being read (resolver.processes)";
        Unresolved::new(503, "resolver-busy", said).again_in(5)
    }

    pub(super) fn missing(program: &str) -> Unresolved {
        let said = format!(
            "{program:?} was not found, which reads pages; install yt-dlp or set resolver.command, \
             then run `ytcanal check`"
        );
        Unresolved::new(500, "resolver-missing", said)
    }

    pub(super) fn failed(said: &str) -> Unresolved {
        Unresolved::new(500, "resolver-failed", format!("the reader of pages failed: {said}"))
    }

    pub(super) fn broken(said: &str) -> Unresolved {
        let said = format!("the reader of pages does not understand this one: {said}");
        Unresolved::new(502, "extractor-broken", format!("{said}; update yt-dlp"))
    }

    /// Whether it is for the operator of this server to mend.
    pub fn is_ours(&self) -> bool {
        self.status == 500
    }
}

/// What yt-dlp means by ending with `code` and saying this. It says what went wrong in prose only,
/// hence the table; the order matters.
pub(super) fn verdict(code: i32, stderr: &str) -> Unresolved {
    if code == 2 {
        return Unresolved::failed(&format!("it does not know its arguments: {}", last(stderr)));
    }
    // One beside an error only tells where that came from.
    let has_error = stderr.contains("ERROR: ");
    if let Some(traceback) =
        stderr.rfind("Traceback (most recent call last)").filter(|_| !has_error)
    {
        return Unresolved::failed(&last(&stderr[traceback..]));
    }
    // Curly and straight apostrophes are the same here.
    let error = error_in(stderr).replace('\u{2019}', "'");
    let mut lower = error.to_lowercase();
    // Where all that is not protected is a few small pictures, only a warning tells why.
    if lower.contains("requested format is not available") {
        lower = stderr.to_lowercase();
    }
    let row = TABLE.iter().find(|row| row.words.iter().any(|words| lower.contains(words)));
    match row {
        Some(row) => Unresolved {
            status: row.status,
            code: row.code,
            said: if row.quotes { format!("{}: {error}", row.said) } else { row.said.into() },
            retry_after: row.retry_after,
        },
        None if error.is_empty() => Unresolved::failed(&format!("it ended with {code}, silently")),
        None => Unresolved::new(502, "resolve-failed", format!("the page was not read: {error}")),
    }
}

struct Row {
    /// In lower case.
    words: &'static [&'static str],
    status: u16,
    code: &'static str,
    said: &'static str,
    /// Whether yt-dlp's own words add something.
    quotes: bool,
    retry_after: Option<u32>,
}

const fn row(
    status: u16,
    code: &'static str,
    said: &'static str,
    words: &'static [&'static str],
) -> Row {
    Row { words, status, code, said, quotes: false, retry_after: None }
}

const TABLE: [Row; 13] = [
    // The gate's words, as yt-dlp has them (RFC 1928 §6).
    row(
        403,
        "address-refused",
        "the page leads to an address that is not public; the operator can allow it in \
         upstream.allow",
        &["not allowed by ruleset"],
    ),
    Row {
        retry_after: Some(SITE_REST),
        ..row(
            503,
            "site-busy",
            "the site does not answer this server for now (too many requests, or it wants to see a \
             person)",
            &[
                "not a bot",
                "captcha challenge",
                "rate-limited by youtube",
                "rate limit",
                "http error 429",
                "too many requests",
            ],
        )
    },
    row(
        403,
        "private",
        "the site shows it only to those who are logged in (private, for members, or for adults)",
        &[
            "private video",
            "video is private",
            "members-only",
            "confirm your age",
            "age-restricted",
            "registered users",
            "login required",
            "log in to",
            "you need to log in",
            "--cookies-from-browser",
        ],
    ),
    row(
        451,
        "geo-blocked",
        "the site does not show it in the country of this server",
        &["available in your country", "geo restriction", "geo-restrict", "geo restricted"],
    ),
    row(
        422,
        "drm",
        "it is protected (DRM), which cannot be taken off",
        &["drm protected", "drm protection"],
    ),
    row(
        422,
        "no-format",
        "nothing that can be downloaded is on offer",
        &["requested format is not available", "no video formats found"],
    ),
    Row {
        quotes: true,
        retry_after: Some(SOON),
        ..row(
            503,
            "not-yet",
            "it has not begun yet",
            &["live event will begin", "premieres in", "premiere will begin", "not currently live"],
        )
    },
    row(
        404,
        "not-available",
        "the site says that there is no such film, or not any more",
        &[
            "video unavailable",
            "has been removed",
            "not available",
            "no longer available",
            "does not exist",
            "http error 404",
            "http error 410",
        ],
    ),
    row(
        400,
        "unsupported-link",
        "this server knows no way to get a film from this link; is it the link of a video's page?",
        &["unsupported url", "no suitable extractor", "not a valid url", "unsupported url scheme"],
    ),
    row(
        504,
        "resolve-timeout",
        "the site did not answer in time",
        &["read timed out", "timed out"],
    ),
    Row {
        quotes: true,
        ..row(
            502,
            "site-unreachable",
            "the site cannot be reached, or refuses this server",
            &[
                "failed to resolve",
                "host unreachable",
                "proxyerror",
                "name or service not known",
                "connection refused",
                "connection reset",
                "network is unreachable",
                "http error 401",
                "http error 403",
                "http error 5",
                "ssl",
                "certificate verify failed",
            ],
        )
    },
    Row {
        quotes: true,
        ..row(
            502,
            "extractor-broken",
            "the reader of pages does not understand this one; update yt-dlp",
            &["extractor error has occurred", "unable to extract", "please report"],
        )
    },
    Row {
        quotes: true,
        ..row(
            500,
            "resolver-failed",
            "the reader of pages failed",
            &["no space left", "memoryerror"],
        )
    },
];

/// The last error, without its mark and the name of the extractor, and without advice that is for
/// those who sit at yt-dlp itself.
fn error_in(stderr: &str) -> String {
    let Some(at) = stderr.rfind("ERROR: ") else { return last(stderr) };
    let error = stderr[at + "ERROR: ".len()..].lines().next().unwrap_or_default();
    let error = match error.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        // `[site] id: words`; an id has no blanks in it.
        Some((_, rest)) => match rest.split_once(": ") {
            Some((id, words)) if !id.contains(' ') => words,
            _ => rest,
        },
        None => error,
    };
    clean(error)
}

fn last(stderr: &str) -> String {
    clean(stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default())
}

/// Words that may be shown: in one line, not too long, and without a URL, which may be signed.
fn clean(words: &str) -> String {
    let words = words.split("; please report this issue").next().unwrap_or_default();
    let shown = words.split_whitespace().map(|word| match word.find("://") {
        Some(_) => "(a link)",
        None => word,
    });
    let line = shown.collect::<Vec<_>>().join(" ");
    line.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for (said, status, code) in [
            (
                "ERROR: [youtube] x: Sign in to confirm you’re not a bot. Use --cookies",
                503,
                "site-busy",
            ),
            ("ERROR: [youtube] x: Private video. Sign in if you've been granted", 403, "private"),
            ("ERROR: [youtube] x: Sign in to confirm your age. Use --cookies", 403, "private"),
            (
                "ERROR: [youtube] x: The uploader has not made this video available in your country",
                451,
                "geo-blocked",
            ),
            ("ERROR: [x] x: This video is DRM protected", 422, "drm"),
            (
                "WARNING: This video is drm protected and only images are available\n\
                 ERROR: [x] x: Requested format is not available. Use --list-formats",
                422,
                "drm",
            ),
            ("ERROR: [x] x: Requested format is not available. Use", 422, "no-format"),
            ("ERROR: [youtube] x: Premieres in 25 minutes", 503, "not-yet"),
            (
                "ERROR: [youtube] x: Video unavailable. This video is not available",
                404,
                "not-available",
            ),
            ("ERROR: Unsupported URL: http://a/", 400, "unsupported-link"),
            (
                "ERROR: [generic] x: Unable to download webpage: HTTP Error 404: Not Found",
                404,
                "not-available",
            ),
            ("ERROR: [x] y: HTTP Error 503: Service Unavailable", 502, "site-unreachable"),
            (
                "ERROR: [x] y: Unable to extract title; please report this issue on",
                502,
                "extractor-broken",
            ),
            ("ERROR: [x] y: The moon is in the wrong phase", 502, "resolve-failed"),
            ("", 500, "resolver-failed"),
        ] {
            let verdict = verdict(1, said);
            assert_eq!((verdict.status, verdict.code), (status, code), "{said}");
        }
        assert_eq!(verdict(2, "yt-dlp: error: no such option: --x\n").status, 500);
        let crashed = "Traceback (most recent call last):\n  File \"x\"\nKeyError: 'a'\n";
        assert_eq!(verdict(1, crashed).said, "the reader of pages failed: KeyError: 'a'");
    }

    #[test]
    fn words_of_others_come_without_links_and_tricks() {
        let said =
            verdict(1, "WARNING: x\nERROR: [a:b] id-1: odd\u{1b}[31m https://a/?sig=1 end\n").said;
        assert_eq!(said, "the page was not read: odd[31m (a link) end");
        assert!(verdict(1, &format!("ERROR: {}", "x".repeat(5000))).said.len() < 400);
    }
}
