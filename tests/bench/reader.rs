//! The client: reads a body from a pipe or over HTTP, notes when its first bytes came, and throws it away.
//!
//! It must never cost enough to show in the figures: reads are large, and a body
//! is looked at where it lies, only until its first media byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

const READ: usize = 256 * 1024;
/// No system under test is ever silent this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is left of a body that has been read: its times, all since the start, and its length.
pub(crate) struct Body {
    start: Instant,
    first_byte: Option<Instant>,
    first_media: Option<Instant>,
    end: Instant,
    pub(crate) len: u64,
    boxes: Boxes,
    pace: Pace,
}

/// Bytes a second that a client reads at most; none: as fast as they come.
pub(crate) type Pace = Option<u32>;

impl Body {
    /// The clock starts here, just before a process is spawned or a connection is made.
    pub(crate) fn start(pace: Pace) -> Self {
        let start = Instant::now();
        Self {
            start,
            first_byte: None,
            first_media: None,
            end: start,
            len: 0,
            boxes: Boxes::default(),
            pace,
        }
    }

    /// Seconds, not a number when there was no such byte; `wall` likewise in seconds.
    pub(crate) fn first_byte(&self) -> f64 {
        self.first_byte.map_or(f64::NAN, |at| (at - self.start).as_secs_f64())
    }

    pub(crate) fn first_media(&self) -> f64 {
        self.first_media.map_or(f64::NAN, |at| (at - self.start).as_secs_f64())
    }

    pub(crate) fn wall(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }

    /// A whole body from a pipe, up to its end.
    pub(crate) fn read_pipe(mut self, mut pipe: impl Read) -> Outcome<Self> {
        let mut buf = vec![0; READ];
        loop {
            match pipe.read(&mut buf)? {
                0 => return self.ended(),
                n => self.take(&buf[..n]),
            }
        }
    }

    /// A whole body over HTTP; one that ends before its framing says so is an error.
    pub(crate) fn read_http(mut self, addr: SocketAddr, target: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // In one piece: pieces of a head would wait for each other (Nagle's algorithm).
        let head = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;

        let mut buf = vec![0; READ];
        let mut filled = 0;
        let (head, mut framing) = loop {
            match stream.read(&mut buf[filled..])? {
                0 => return Err("the connection ended within the response head".into()),
                n => filled += n,
            }
            if let Some(found) = parse_head(&buf[..filled])? {
                break found;
            }
        };
        framing.feed(&buf[head..filled], |piece| self.take(piece))?;
        while !framing.complete() {
            match stream.read(&mut buf)? {
                0 if matches!(framing, Framing::UntilClose) => break,
                0 => return Err(format!("the body was cut after {} bytes", self.len).into()),
                n => framing.feed(&buf[..n], |piece| self.take(piece))?,
            }
        }
        self.ended()
    }

    fn take(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        self.len += piece.len() as u64;
        if self.first_media.is_none() {
            let now = Instant::now();
            self.first_byte.get_or_insert(now);
            if self.boxes.reach_media(piece) {
                self.first_media = Some(now);
            }
        }
        if let Some(pace) = self.pace {
            let due = Duration::from_secs_f64(self.len as f64 / f64::from(pace));
            thread::sleep(due.saturating_sub(self.start.elapsed()));
        }
    }

    fn ended(mut self) -> Outcome<Self> {
        self.end = Instant::now();
        if self.len == 0 {
            return Err("the body was empty".into());
        }
        Ok(self)
    }
}

/// Walks the boxes of an MP4 (ISO/IEC 14496-12 §4.2) up to the payload of the first `mdat`.
#[derive(Default)]
struct Boxes {
    header: Vec<u8>,
    skip: u64,
    in_mdat: bool,
}

impl Boxes {
    /// Whether this piece holds a byte of media.
    fn reach_media(&mut self, mut piece: &[u8]) -> bool {
        while let Some((first, rest)) = piece.split_first() {
            if self.in_mdat {
                return true;
            }
            if self.skip > 0 {
                let step = self.skip.min(piece.len() as u64);
                self.skip -= step;
                piece = &piece[step as usize..];
                continue;
            }
            self.header.push(*first);
            piece = rest;
            let Some(size) = size_of(&self.header) else {
                continue;
            };
            self.in_mdat = &self.header[4..8] == b"mdat";
            self.skip = size.saturating_sub(self.header.len() as u64);
            self.header.clear();
        }
        false
    }
}

/// The size of a box once its header is whole: 8 bytes, or 16 when the 32-bit size says 1.
fn size_of(header: &[u8]) -> Option<u64> {
    let short = u32::from_be_bytes(*header.first_chunk()?);
    match (short, header.len()) {
        (1, 16) => Some(u64::from_be_bytes(*header.last_chunk()?)),
        (1, _) | (_, ..8) => None,
        (0, _) => Some(u64::MAX),
        (short, _) => Some(u64::from(short)),
    }
}

/// How the end of a body is told (RFC 9112 §6.3), and how much of it is still to come.
enum Framing {
    UntilClose,
    Length(u64),
    Chunked(Chunk),
}

/// Where in a chunked body we are (RFC 9112 §7.1).
enum Chunk {
    Size { line: Vec<u8> },
    Data { left: u64 },
    DataEnd { left: u8 },
    Trailer { line: usize },
    Done,
}

impl Framing {
    fn complete(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Gives the body's part of `piece` to `sink`, without copying it.
    fn feed(&mut self, mut piece: &[u8], mut sink: impl FnMut(&[u8])) -> Outcome<()> {
        match self {
            Self::UntilClose => sink(piece),
            Self::Length(left) => {
                *left = left
                    .checked_sub(piece.len() as u64)
                    .ok_or("more bytes than Content-Length said")?;
                sink(piece);
            }
            Self::Chunked(chunk) => {
                while let Some((first, rest)) = piece.split_first() {
                    if let Chunk::Data { left } = chunk {
                        let (data, after) =
                            piece.split_at((*left).min(piece.len() as u64) as usize);
                        sink(data);
                        *left -= data.len() as u64;
                        piece = after;
                        if *left == 0 {
                            *chunk = Chunk::DataEnd { left: 2 };
                        }
                    } else {
                        chunk.step(*first)?;
                        piece = rest;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Chunk {
    /// One byte between the data of one chunk and that of the next.
    fn step(&mut self, byte: u8) -> Outcome<()> {
        match self {
            Self::Size { line } if byte == b'\n' => {
                let digits =
                    line.split(|byte| matches!(byte, b';' | b'\r')).next().unwrap_or_default();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
                *self = match size.ok_or("a chunk without a size")? {
                    0 => Self::Trailer { line: 0 },
                    left => Self::Data { left },
                };
            }
            Self::Size { line } if line.len() < 64 => line.push(byte),
            Self::Size { .. } => return Err("a chunk size without an end".into()),
            Self::DataEnd { left: 1 } => *self = Self::Size { line: Vec::new() },
            Self::DataEnd { left } => *left -= 1,
            Self::Trailer { line: 0 | 1 } if byte == b'\n' => *self = Self::Done,
            Self::Trailer { line } => *line = if byte == b'\n' { 0 } else { *line + 1 },
            Self::Data { .. } | Self::Done => return Err("bytes after the last chunk".into()),
        }
        Ok(())
    }
}

/// The length of a response head and the framing it announces, once it is whole.
fn parse_head(bytes: &[u8]) -> Outcome<Option<(usize, Framing)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    if response.code != Some(200) {
        let body = String::from_utf8_lossy(&bytes[head..]);
        return Err(format!("answered {}: {}", response.code.unwrap_or(0), body.trim()).into());
    }
    let value = |name: &str| {
        let header =
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let framing = match (value("transfer-encoding"), value("content-length")) {
        (Some("chunked"), _) => Framing::Chunked(Chunk::Size { line: Vec::new() }),
        (Some(other), _) => return Err(format!("unexpected transfer encoding {other}").into()),
        (None, Some(len)) => Framing::Length(len.parse()?),
        (None, None) => Framing::UntilClose,
    };
    Ok(Some((head, framing)))
}
