//! What can be wrong with a file of an archive.

use std::fmt;

/// Why a file is not in an archive, or ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveError {
    /// The list has none of the entries that are requested.
    Empty,
    /// The list has no link of it.
    NoLink,
    /// The token of the client is not for the host of its link.
    HostNotAllowed,
    /// It is live.
    Live,
    /// Its length is unknown, and the archive is a tar.
    LengthUnknown,
    /// It is not what it was when the archive was planned.
    Changed,
    /// More entries are requested than this, which an archive holds at most.
    TooMany(u32),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveError::Empty => f.write_str("the list has none of the requested entries"),
            ArchiveError::NoLink => f.write_str("the list has no link of this entry"),
            ArchiveError::HostNotAllowed => {
                f.write_str("the entry is on a site that the token is not for")
            }
            ArchiveError::Live => {
                f.write_str("it is live; a live stream is downloaded by itself, not in an archive")
            }
            ArchiveError::LengthUnknown => f.write_str(
                "its length is not known beforehand, which a tar needs; use as=zip, or download it by itself",
            ),
            ArchiveError::Changed => f.write_str(
                "a file is not what it was when the archive was begun; download the archive again",
            ),
            ArchiveError::TooMany(limit) => write!(
                f,
                "the list goes on, and an archive holds {limit} entries (limits.archive_entries); select them by items"
            ),
        }
    }
}
