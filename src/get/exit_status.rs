//! The exit statuses of `ytcanal get` and `ytcanal info`: a contract like the problem codes, from which they follow.
//! `docs/cli.md` has the same table.

use crate::problem_code::ProblemCode;

/// An exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitStatus {
    /// All is there.
    Complete = 0,
    /// Something else: the configuration, or a bug.
    Other = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The link leads to nothing that can be downloaded, or not as requested.
    Unsupported = 3,
    /// It is not there, or not for this user.
    NotAvailable = 4,
    /// The network or a site failed; a later attempt may succeed.
    Upstream = 5,
    /// A site or this machine is busy; a later attempt may succeed.
    Busy = 6,
    /// The file cannot be written.
    File = 7,
    /// ffmpeg or yt-dlp is missing or does not work.
    Installation = 8,
    /// Interrupted by SIGINT, SIGTERM or SIGHUP: 128 and SIGINT.
    Interrupted = 130,
    /// The reader of standard output closed it: 128 and SIGPIPE.
    ClosedPipe = 141,
}

impl ExitStatus {
    /// Returns the status for a problem.
    pub fn of_problem(code: ProblemCode) -> ExitStatus {
        use ProblemCode as P;
        match code {
            P::BadLink
            | P::BadParameter
            | P::BadUrl
            | P::DuplicateParameter
            | P::MissingParameter
            | P::SponsorblockOff
            | P::UnknownParameter
            | P::StartBeyondEnd => ExitStatus::Usage,
            P::UnsupportedLink
            | P::NoThumbnail
            | P::Drm
            | P::IndexAtEnd
            | P::MuxRefused
            | P::NoFormat
            | P::NoSubtitles
            | P::NotInArchive
            | P::NotMedia
            | P::Playlist
            | P::SpliceRefused
            | P::TooManyEntries
            | P::UpstreamPlaylist => ExitStatus::Unsupported,
            P::LoginNeeded
            | P::AddressRefused
            | P::Private
            | P::NotAvailable
            | P::NotAllowed
            | P::UpstreamNotFound
            | P::GeoBlocked => ExitStatus::NotAvailable,
            P::ExtractorBroken
            | P::ResolveFailed
            | P::SiteUnreachable
            | P::SubtitlesFailed
            | P::UpstreamChanged
            | P::UpstreamContradiction
            | P::UpstreamCut
            | P::UpstreamEncoded
            | P::UpstreamLengthUnknown
            | P::UpstreamProtocol
            | P::UpstreamRange
            | P::UpstreamRedirect
            | P::UpstreamStatus
            | P::UpstreamUnreachable
            | P::ResolveTimeout
            | P::UpstreamSlow
            | P::UpstreamTimeout => ExitStatus::Upstream,
            P::RateLimited
            | P::NotYet
            | P::SiteBusy
            | P::UpstreamBusy
            | P::ResolverBusy
            | P::Draining
            | P::ConnectionsFull
            | P::EncodersFull
            | P::LookupsFull
            | P::MuxersFull
            | P::SegmentMemoryFull
            | P::StreamsFull
            | P::ClientConnectionsFull
            | P::ClientEncodersFull
            | P::ClientLookupsFull
            | P::ClientMuxersFull
            | P::ClientResolverBusy
            | P::ClientSegmentMemoryFull
            | P::ClientStreamsFull => ExitStatus::Busy,
            P::MuxerFailed | P::MuxerMissing | P::ResolverFailed | P::ResolverMissing => {
                ExitStatus::Installation
            }
            // What only a server has to say, to clients of another kind.
            P::BadRequest
            | P::BodyRefused
            | P::BadToken
            | P::BadLinkSignature
            | P::CrossSite
            | P::LinkExpired
            | P::NotLocal
            | P::NotFound
            | P::MethodNotAllowed
            | P::ClientStalled
            | P::HeadTimeout
            | P::PreconditionFailed
            | P::RangeNotSatisfiable
            | P::HostUnknown
            | P::HeadTooLarge
            | P::ClientLeft
            | P::HttpVersion
            | P::Internal => ExitStatus::Other,
        }
    }

    /// Returns the status as the shell sees it.
    pub fn code(self) -> u8 {
        self as u8
    }
}
