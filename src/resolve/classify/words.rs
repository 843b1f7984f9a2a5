//! The kinds of failure, and the words by which yt-dlp and the sites that it quotes describe them.
//! Pure.
//!
//! An earlier kind takes precedence: first what only the operator of this server can fix, then what
//! passes with time, then what stays, and at last words that may mean many things.

use super::{NOT_YET_RETRY, SITE_BUSY_RETRY};
use crate::problem_code::ProblemCode;

/// A kind of failure.
pub(super) struct Pattern {
    pub(super) code: ProblemCode,
    /// The message for users.
    pub(super) message: &'static str,
    /// Whether yt-dlp's own message is appended.
    pub(super) quotes: bool,
    pub(super) retry_after: Option<u32>,
    /// Alternatives separated by bars, each of which identifies the kind; see
    /// [`Sentence::contains`].
    pub(super) words: &'static str,
}

impl Pattern {
    const fn new(code: ProblemCode, message: &'static str, words: &'static str) -> Pattern {
        Pattern { code, message, quotes: false, retry_after: None, words }
    }

    const fn quoting(self) -> Pattern {
        Pattern { quotes: true, ..self }
    }

    const fn again_in(self, seconds: u32) -> Pattern {
        Pattern { retry_after: Some(seconds), ..self }
    }
}

/// A message normalised for matching: lower case, single blanks, straight apostrophes, and "is not"
/// for "isn't".
pub(super) struct Sentence(String);

impl Sentence {
    pub(super) fn new(said: &str) -> Sentence {
        let words = said.split_whitespace().map(|word| {
            // The words in a URL mean nothing.
            if word.contains("://") { String::new() } else { word.to_lowercase() }
        });
        let line = words.collect::<Vec<_>>().join(" ");
        let line = line.replace(['\u{2018}', '\u{2019}', '\u{2bc}'], "'").replace("n't", " not");
        Sentence(format!(" {line} "))
    }

    /// Returns whether the message contains these words; `*` stands for any others between them.
    pub(super) fn contains(&self, words: &str) -> bool {
        let mut rest = self.0.as_str();
        words.split('*').all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

pub(super) const FAILURE_PATTERNS: [Pattern; 17] = [
    // The SOCKS gateway's reply, as yt-dlp words it (RFC 1928 §6).
    Pattern::new(
        ProblemCode::AddressRefused,
        "the page leads to an address that is not public; the operator can allow it in \
         upstream.allow",
        "not allowed by ruleset",
    ),
    Pattern::new(
        ProblemCode::ResolverFailed,
        "yt-dlp failed",
        "no space left|memoryerror|cannot allocate memory|not start new thread|\
         phantomjs not found|pycryptodomex not found|required impersonation",
    )
    .quoting(),
    Pattern::new(
        ProblemCode::ResolverMissing,
        "yt-dlp found no working JavaScript runtime, which this site's pages need; run \
         `ytcanal check`",
        "no supported javascript runtime",
    ),
    Pattern::new(
        ProblemCode::ExtractorBroken,
        "yt-dlp found no working JavaScript runtime for this page, or is too old for it; run \
         `ytcanal check` and update yt-dlp",
        "challenge solving failed|signature solving failed|unable to solve js challenge",
    ),
    // The site recognises yt-dlp.
    Pattern::new(
        ProblemCode::ExtractorBroken,
        "the site no longer accepts yt-dlp as one of its own clients; update yt-dlp",
        "on this app|on this device|latest version of youtube|page needs to be reloaded|\
         playback on other websites|require a gvs po token|sabr",
    ),
    Pattern::new(
        ProblemCode::NotYet,
        "it is not available yet",
        "will begin|will start|begins in|starts in|premieres |scheduled|not yet|not*started|\
         not currently live|not live|no active stream|find on-air|is offline|now offline|it's offline|available yet|\
         downloadable yet|will be available|available after|available shortly|\
         check back later|processing this video|is processing|or processing|still processing|\
         being processed",
    )
    .quoting()
    .again_in(NOT_YET_RETRY),
    Pattern::new(
        ProblemCode::GeoBlocked,
        "the site does not show it in this server's country",
        "your country|your region|your location|your area|your territory|this country|\
         this region|geo restrict|geo-restrict|georestrict|geolocation|geo block|geo-block|geoblock|\
         only licensed to|only available in |available in*only|available outside|not*outside|be viewed in|be watched in|\
         blocked by decision|http error 451",
    ),
    Pattern::new(
        ProblemCode::SiteBusy,
        "the site refuses this server for now (too many requests, or it suspects a bot)",
        "not a bot|as a bot|anti-bot|captcha|automated|unusual traffic|rate limit|rate-limit|\
         too many requests|http error 429|your ip*block|ip address*block|\
         ip address is unable|blocked by server|rejected by server|try again later|try later|\
         temporarily unavailable|(not necessarily logged in)|generic:impersonate",
    )
    .again_in(SITE_BUSY_RETRY),
    Pattern::new(
        ProblemCode::Drm,
        "it is protected (DRM), which cannot be removed",
        "drm protected|drm protection|drm-protected|drm encrypted",
    ),
    Pattern::new(
        ProblemCode::NoFormat,
        "the page offers nothing that can be downloaded",
        "requested format is not available|only images are available|no video|no media|\
         no audio|no formats|no supported|no suitable formats|no sources|no downloads|no valid video|find suitable formats|\
         find any video|not a video|not contain a video|not contain any video|\
         not contain audio|not have a video|not have any video",
    ),
    Pattern::new(
        ProblemCode::Private,
        "the site shows it only to those who are logged in or have paid (private, for members or \
         subscribers, for adults, or behind a password)",
        "private|log in|log into|login|logged in|logged-in|sign in|signed in|signing in|\
         registered users|--cookies|account is needed|account that|account authentication|tv provider|access token passed|access token has|token has expired|expired token|\
         requires authentication|http error 401|http error 402|members| member |premium|\
         subscri|supporter|requires payment|purchase| paid| pay for| rent| ticket| vip |\
         password|passcode|permission|not have access|not authorized|is restricted| locked|\
         confirm your age|age-restricted|age restricted|age verif|adult verif|older than|years old|age limit|privacy|limits who|made available to|\
         inappropriate for some|nsfw|sensitive content",
    ),
    Pattern::new(
        ProblemCode::NotAvailable,
        GONE,
        "video unavailable|video is unavailable|not available|no longer available|\
         no longer exist|been removed|was removed|been deleted|was deleted|not exist|\
         terminated|suspended|closed their|violat|copyright|http error 404|http error 410|has ended|\
         was ended| ended and ",
    ),
    Pattern::new(
        ProblemCode::UnsupportedLink,
        "no extractor supports this URL; is it the URL of a video's page?",
        "unsupported url|no suitable extractor|valid url|invalid url|no longer supported|not supported|\
         will not be supported|looks truncated|blob url|embed-only|embedding",
    ),
    Pattern::new(ProblemCode::ResolveTimeout, "the site did not respond in time", "timed out"),
    Pattern::new(
        ProblemCode::SiteUnreachable,
        "the site cannot be reached, or refuses this server",
        "unable to download|http error|failed to resolve '|name or service not known|\
         name resolution|unreachable|proxyerror|connection refused|connection reset|\
         connection aborted|connection broken|closed connection|network error|\
         incomplete read|incompleteread|bytes read,|ssl:|certificate verify failed",
    )
    .quoting(),
    Pattern::new(
        ProblemCode::ExtractorBroken,
        "yt-dlp cannot read this page; update yt-dlp",
        "please report this issue|extractor error|unable to extract|failed to extract|\
         failed to parse",
    )
    .quoting(),
    Pattern::new(
        ProblemCode::NotAvailable,
        GONE,
        "not found|unavailable|expired|deleted|removed|no such|offline|not archived",
    ),
];

const GONE: &str = "the site says that the video does not exist, or no longer does";
