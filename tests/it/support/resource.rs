//! What an origin holds under a path and how it misbehaves there.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::barrier::Gate;

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

/// When a resource becomes another one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// After so many requests.
    Requests(usize),
    /// Once its fault was met.
    Fault,
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
    /// The connection is closed instead of an answer.
    HangUp,
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
    /// The same, with trailer lines as fast as they are taken.
    TrailerFloodAt(u64),
    /// Chunks in which so many bytes follow those that were asked for, and then the last one.
    Surplus(u64),
    /// Behind the true answer another one that nobody has asked for, of the same length.
    Twice,
    /// Labelled `Content-Encoding: gzip`.
    Encoded,
    /// Labelled with this Content-Encoding, and as it is.
    Coding(&'static str),
    /// This status, type and text instead of the resource.
    Words(u16, &'static str, &'static str),
    /// This status in answer to any range.
    RefuseRanges(u16),
    /// A 416 in answer to a range that reaches beyond the end; whether it says where that is.
    RefusePastEnd(bool),
    /// A 302 to this address.
    Redirect(String),
    /// A 302 to itself.
    RedirectLoop,
    /// As `CutAt` at each of these offsets, each once.
    CutsAt(Vec<u64>),
    /// A 206 that is not the one asked for.
    WrongRange(WrongRange),
    /// A 200 with everything in answer to a range.
    IgnoreRange,
    /// More bytes than there are, for ever: chunks without a last one in a 200; in a 206, bytes
    /// that follow those under the true Content-Length.
    Endless,
    /// Something that is not HTTP instead of a response head.
    Garbage,
}

/// What is wrong with a 206.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum WrongRange {
    /// The first byte in Content-Range is one too high; the bytes are those asked for.
    StartOff,
    /// The total in Content-Range is one too high.
    TotalOff,
    /// The total in Content-Range is `*`.
    UnknownTotal,
    /// There is no Content-Range.
    Unlabelled,
    /// The bytes are those one further on, and Content-Range says so. The last range of a
    /// resource is shifted back instead.
    Shifted,
    /// The bytes go on to the end of the resource, and Content-Range says so.
    ToTheEnd,
    /// The bytes are all that there are, and Content-Range says so.
    Everything,
    /// The bytes begin so much earlier, and Content-Range says so.
    Early(u64),
    /// Content-Range names one byte less than there are.
    OneLess,
    /// The type is that of several ranges, and there is no Content-Range.
    SeveralParts,
}

impl Fault {
    /// The offset at which a request meets this fault; `None` for those that every request meets.
    pub(super) fn place(&self) -> Option<u64> {
        match self {
            Self::CutAt(at) | Self::ResetAt(at) | Self::StallAt(at) | Self::DripAt(at) => Some(*at),
            _ => None,
        }
    }

    /// The offset from which on the bytes are not sent, or not as they should be.
    pub(super) fn sound_until(&self) -> Option<u64> {
        match self {
            Self::ChunkedCutAt(at)
            | Self::TrailersAt(at)
            | Self::TrailerFloodAt(at)
            | Self::AlmostChunkedCutAt(at, ..) => Some(*at),
            _ => self.place(),
        }
    }
}

/// The ETag and the Last-Modified date that one of several servers has for a resource.
pub(crate) type Node = (Option<&'static str>, Option<&'static str>);

/// A resource under its script.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(super) content: Content,
    pub(super) fault: Fault,
    pub(super) fault_times: usize,
    pub(super) fault_from: u64,
    pub(super) gate: Option<(u64, Gate)>,
    pub(super) pace: Option<u64>,
    pub(super) delay: Option<Duration>,
    pub(super) keep_alive: bool,
    pub(super) ranges: bool,
    pub(super) only_bounded_ranges: bool,
    pub(super) largest_range: u64,
    pub(super) largest_answer: u64,
    pub(super) etag: Option<&'static str>,
    pub(super) last_modified: Option<&'static str>,
    pub(super) nodes: Vec<Node>,
    pub(super) forbidden_from: u64,
    pub(super) set_cookie: Option<&'static str>,
    pub(super) becomes: Option<(Box<Resource>, Turn)>,
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
        Self {
            content,
            fault: Fault::None,
            fault_times: usize::MAX,
            fault_from: 0,
            gate: None,
            pace: None,
            delay: None,
            keep_alive: false,
            ranges: false,
            only_bounded_ranges: false,
            largest_range: u64::MAX,
            largest_answer: u64::MAX,
            etag: None,
            last_modified: None,
            nodes: Vec::new(),
            forbidden_from: u64::MAX,
            set_cookie: None,
            becomes: None,
        }
    }

    /// Misbehaves like this, for ever.
    pub(crate) fn fault(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    /// Misbehaves towards the first so many requests that meet the fault. A cut, a reset, a stall
    /// and a drip are met by a request for the byte at their offset, any other by every request.
    pub(crate) fn fault_times(self, fault_times: usize) -> Self {
        Self { fault_times, ..self }
    }

    /// Misbehaves only towards requests for bytes from this offset on.
    pub(crate) fn fault_from(self, fault_from: u64) -> Self {
        Self { fault_from, ..self }
    }

    /// Waits at a gate before it sends the byte at `offset`.
    pub(crate) fn gate(self, offset: u64, gate: &Gate) -> Self {
        Self { gate: Some((offset, gate.clone())), ..self }
    }

    /// Sends no faster than this many bytes a second.
    pub(crate) fn pace(self, bytes_per_second: u64) -> Self {
        Self { pace: Some(bytes_per_second), ..self }
    }

    /// Answers a range with at most so many of its bytes, as a server may.
    pub(crate) fn largest_answer(self, largest_answer: u64) -> Self {
        Self { largest_answer, ..self.ranges() }
    }

    /// Answers this long after it was asked, as if from afar; the first request of a connection
    /// waits twice, as for a handshake.
    pub(crate) fn delay(self, round_trip: Duration) -> Self {
        Self { delay: Some(round_trip), ..self }
    }

    /// Takes further requests on a connection after an answer that was sent whole.
    pub(crate) fn keep_alive(self) -> Self {
        Self { keep_alive: true, ..self }
    }

    /// Answers bounded and open byte ranges with 206.
    pub(crate) fn ranges(self) -> Self {
        Self { ranges: true, ..self }
    }

    /// As `ranges`, but answers everything else with 403: no range, an open one, HEAD.
    pub(crate) fn only_bounded_ranges(self) -> Self {
        Self { only_bounded_ranges: true, ..self.ranges() }
    }

    /// As `ranges`, but answers a range of more bytes than these with 403.
    pub(crate) fn largest_range(self, largest_range: u64) -> Self {
        Self { largest_range, ..self.ranges() }
    }

    /// Has this entity tag, quotes included, which If-Range may hold.
    pub(crate) fn etag(self, etag: &'static str) -> Self {
        Self { etag: Some(etag), ..self }
    }

    /// Has this date as Last-Modified, which If-Range may hold.
    pub(crate) fn last_modified(self, date: &'static str) -> Self {
        Self { last_modified: Some(date), ..self }
    }

    /// Has these validators by turns, as if each request came to another server.
    pub(crate) fn nodes(self, nodes: &[Node]) -> Self {
        Self { nodes: nodes.to_vec(), ..self }
    }

    /// As `ranges`, but answers whatever reaches to this offset or beyond it with 403.
    pub(crate) fn forbidden_from(self, forbidden_from: u64) -> Self {
        Self { forbidden_from, ..self.ranges() }
    }

    /// Sets this cookie with each answer.
    pub(crate) fn set_cookie(self, cookie: &'static str) -> Self {
        Self { set_cookie: Some(cookie), ..self }
    }

    /// Is the other one, with its script, after so many requests.
    pub(crate) fn becomes(self, other: Self, after_requests: usize) -> Self {
        Self { becomes: Some((Box::new(other), Turn::Requests(after_requests))), ..self }
    }

    /// Is the other one, with its script, once its own fault was met.
    pub(crate) fn then_becomes(self, other: Self) -> Self {
        Self { becomes: Some((Box::new(other), Turn::Fault)), ..self }
    }

    /// All of its bytes.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.content.open(0).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// The size of the whole resource in bytes.
    pub(crate) fn len(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(path) => std::fs::metadata(path).unwrap().len(),
        }
    }
}
