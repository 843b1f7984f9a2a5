//! What an origin holds under a path and how it misbehaves there.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::gate::Gate;

/// The bytes of a resource.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Held in memory.
    Bytes(Arc<[u8]>),
    /// Read from a file as it is sent.
    File(PathBuf),
}

impl Content {
    /// Opens the bytes from this offset on.
    pub(super) fn open(&self, offset: u64) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Bytes(bytes) => {
                let mut cursor = Cursor::new(Arc::clone(bytes));
                cursor.set_position(offset);
                Box::new(cursor)
            }
            Self::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                Box::new(file)
            }
        })
    }
}

/// The one thing that goes wrong; offsets count bytes of the whole resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing goes wrong.
    None,
    /// This status, these headers and a short text instead of the resource.
    Status(u16, Vec<(&'static str, String)>),
    /// The true Content-Length, but the connection is closed at this offset.
    CutAt(u64),
    /// As `CutAt`, with a TCP reset.
    ResetAt(u64),
    /// Nothing more is sent from this offset on; the connection stays open.
    StallAt(u64),
    /// Not even a response head is sent.
    Silent,
    /// One byte a second from this offset on.
    DripAt(u64),
    /// All bytes under a Content-Length that is this much too large.
    LengthTooLargeBy(u64),
    /// HTTP/1.0 without a length: the end of the connection is the end of the body.
    NoLength,
    /// HTTP/1.1 chunks, well ended.
    Chunked,
    /// HTTP/1.1 chunks, closed at this offset without the last one.
    ChunkedCutAt(u64),
    /// Closed at this offset, under an HTTP version and a Transfer-Encoding that only resemble a
    /// chunked body.
    AlmostChunkedCutAt(u64, &'static str, &'static str),
    /// Chunks up to this offset, the last one, and then a trailer line every tenth of a second.
    TrailersAt(u64),
    /// Labelled `Content-Encoding: gzip`.
    Encoded,
    /// A 302 to this address.
    Redirect(String),
    /// A 302 to itself.
    RedirectLoop,
}

/// A resource under its script.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(super) content: Content,
    pub(super) fault: Fault,
    pub(super) gate: Option<(u64, Gate)>,
    pub(super) pace: Option<u64>,
    pub(super) ranges: bool,
}

impl Resource {
    /// A healthy resource held in memory.
    pub(crate) fn bytes(content: impl Into<Vec<u8>>) -> Self {
        Self::new(Content::Bytes(Arc::from(content.into())))
    }

    /// A healthy resource read from a file.
    pub(crate) fn file(path: &Path) -> Self {
        Self::new(Content::File(path.to_owned()))
    }

    fn new(content: Content) -> Self {
        Self { content, fault: Fault::None, gate: None, pace: None, ranges: false }
    }

    /// Misbehaves like this.
    pub(crate) fn fault(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    /// Waits at a gate before it sends the byte at `offset`.
    pub(crate) fn gate(self, offset: u64, gate: &Gate) -> Self {
        Self { gate: Some((offset, gate.clone())), ..self }
    }

    /// Sends no faster than this many bytes a second.
    pub(crate) fn pace(self, bytes_per_second: u64) -> Self {
        Self { pace: Some(bytes_per_second), ..self }
    }

    /// Answers bounded and open byte ranges with 206.
    pub(crate) fn ranges(self) -> Self {
        Self { ranges: true, ..self }
    }

    /// The size of the whole resource in bytes.
    pub(crate) fn len(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(path) => std::fs::metadata(path).unwrap().len(),
        }
    }
}
