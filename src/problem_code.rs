//! Defines the problem codes, by which clients distinguish errors, and the HTTP status of each.
//! `docs/api.md` has the same table.

use std::fmt;

macro_rules! problem_codes {
    ($($variant:ident = $status:literal $code:literal,)+) => {
        /// A problem code (the `code` member of a problem detail).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "docs/api.md says what each of them means")]
        pub enum ProblemCode {
            $($variant,)+
        }

        impl ProblemCode {
            /// All codes, by status.
            pub const ALL: &[ProblemCode] = &[$(ProblemCode::$variant,)+];

            /// Returns the HTTP status.
            pub const fn status(self) -> u16 {
                match self {
                    $(ProblemCode::$variant => $status,)+
                }
            }

            /// Returns the value of the `code` member.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(ProblemCode::$variant => $code,)+
                }
            }
        }
    };
}

problem_codes! {
    BadLink = 400 "bad-link",
    BadParameter = 400 "bad-parameter",
    BadRequest = 400 "bad-request",
    BadUrl = 400 "bad-url",
    BodyRefused = 400 "body-refused",
    DuplicateParameter = 400 "duplicate-parameter",
    MissingParameter = 400 "missing-parameter",
    UnknownParameter = 400 "unknown-parameter",
    UnsupportedLink = 400 "unsupported-link",
    BadToken = 401 "bad-token",
    LoginNeeded = 401 "login-needed",
    AddressRefused = 403 "address-refused",
    BadLinkSignature = 403 "bad-link-signature",
    CrossSite = 403 "cross-site",
    LinkExpired = 403 "link-expired",
    NotAllowed = 403 "not-allowed",
    NotLocal = 403 "not-local",
    Private = 403 "private",
    SponsorblockOff = 403 "sponsorblock-off",
    NoThumbnail = 404 "no-thumbnail",
    NotAvailable = 404 "not-available",
    NotFound = 404 "not-found",
    UpstreamNotFound = 404 "upstream-not-found",
    MethodNotAllowed = 405 "method-not-allowed",
    ClientStalled = 408 "client-stalled",
    HeadTimeout = 408 "head-timeout",
    PreconditionFailed = 412 "precondition-failed",
    RangeNotSatisfiable = 416 "range-not-satisfiable",
    HostUnknown = 421 "host-unknown",
    Drm = 422 "drm",
    IndexAtEnd = 422 "index-at-end",
    MuxRefused = 422 "mux-refused",
    NoFormat = 422 "no-format",
    NoSubtitles = 422 "no-subtitles",
    NotInArchive = 422 "not-in-archive",
    NotMedia = 422 "not-media",
    Playlist = 422 "playlist",
    SpliceRefused = 422 "splice-refused",
    StartBeyondEnd = 422 "start-beyond-end",
    TooManyEntries = 422 "too-many-entries",
    ClientConnectionsFull = 429 "client-connections-full",
    ClientEncodersFull = 429 "client-encoders-full",
    ClientLookupsFull = 429 "client-lookups-full",
    ClientMuxersFull = 429 "client-muxers-full",
    ClientResolverBusy = 429 "client-resolver-busy",
    ClientSegmentMemoryFull = 429 "client-segment-memory-full",
    ClientStreamsFull = 429 "client-streams-full",
    RateLimited = 429 "rate-limited",
    HeadTooLarge = 431 "head-too-large",
    GeoBlocked = 451 "geo-blocked",
    ClientLeft = 499 "client-left",
    Internal = 500 "internal",
    MuxerFailed = 500 "muxer-failed",
    MuxerMissing = 500 "muxer-missing",
    ResolverFailed = 500 "resolver-failed",
    ResolverMissing = 500 "resolver-missing",
    ExtractorBroken = 502 "extractor-broken",
    ResolveFailed = 502 "resolve-failed",
    SiteUnreachable = 502 "site-unreachable",
    SubtitlesFailed = 502 "subtitles-failed",
    UpstreamChanged = 502 "upstream-changed",
    UpstreamContradiction = 502 "upstream-contradiction",
    UpstreamCut = 502 "upstream-cut",
    UpstreamEncoded = 502 "upstream-encoded",
    UpstreamLengthUnknown = 502 "upstream-length-unknown",
    UpstreamPlaylist = 502 "upstream-playlist",
    UpstreamProtocol = 502 "upstream-protocol",
    UpstreamRange = 502 "upstream-range",
    UpstreamRedirect = 502 "upstream-redirect",
    UpstreamStatus = 502 "upstream-status",
    UpstreamUnreachable = 502 "upstream-unreachable",
    ConnectionsFull = 503 "connections-full",
    Draining = 503 "draining",
    EncodersFull = 503 "encoders-full",
    LookupsFull = 503 "lookups-full",
    MuxersFull = 503 "muxers-full",
    NotYet = 503 "not-yet",
    ResolverBusy = 503 "resolver-busy",
    SegmentMemoryFull = 503 "segment-memory-full",
    SiteBusy = 503 "site-busy",
    StreamsFull = 503 "streams-full",
    UpstreamBusy = 503 "upstream-busy",
    ResolveTimeout = 504 "resolve-timeout",
    UpstreamSlow = 504 "upstream-slow",
    UpstreamTimeout = 504 "upstream-timeout",
    HttpVersion = 505 "http-version",
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
