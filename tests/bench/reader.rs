//! The client: reads a body from a pipe or over HTTP, notes when its first bytes came, and throws it away.
//!
//! It must never cost enough to show in the figures: reads are large, and a body
//! is looked at where it lies, only until its first media byte.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::framing::{Framing, Head, parse_head};
use crate::upstream::Connection;

const READ: usize = 256 * 1024;
/// No system under test is ever silent this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is left of a body that has been read: its times, all since the start, and its length.
pub(crate) struct Body {
    start: Instant,
    first_byte: Option<Instant>,
    first_media: Option<Instant>,
    end: Instant,
    pub(crate) len: u64,
    /// The muxer that made it, where the server tells.
    pub(crate) engine: Option<String>,
    /// Milliseconds until the page was read, where the server tells.
    pub(crate) resolved: Option<f64>,
    boxes: Boxes,
    until: Until,
}

/// How much of a body is wanted.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Until {
    /// All of it, as fast as it comes.
    End,
    /// All of it, but no more than so many bytes a second.
    EndAt(u32),
    /// What comes before the first byte of media, and that one; then the client leaves.
    Media,
}

impl Body {
    /// The clock starts here, just before a process is spawned or a connection is made.
    pub(crate) fn start(until: Until) -> Self {
        let start = Instant::now();
        Self {
            start,
            first_byte: None,
            first_media: None,
            end: start,
            len: 0,
            engine: None,
            resolved: None,
            boxes: Boxes::default(),
            until,
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

    fn enough(&self) -> bool {
        self.until == Until::Media && self.first_media.is_some()
    }

    /// A body from a pipe, whose end is the end of the pipe.
    pub(crate) fn read_pipe(mut self, pipe: &mut impl Read) -> Outcome<Self> {
        let mut buf = vec![0; READ];
        while !self.enough() {
            match pipe.read(&mut buf)? {
                0 => break,
                n => self.take(&buf[..n]),
            }
        }
        self.ended()
    }

    /// A body over HTTP.
    pub(crate) fn read_http(self, addr: SocketAddr, target: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.read_from(&mut stream, addr, target)
    }

    /// A body over a connection to `addr`; one that ends before its framing says so is an error.
    pub(crate) fn read_from(
        mut self,
        stream: &mut impl Connection,
        addr: SocketAddr,
        target: &str,
    ) -> Outcome<Self> {
        // In one piece: pieces of a head would wait for each other (Nagle's algorithm).
        let head = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;

        let mut buf = vec![0; READ];
        let mut filled = 0;
        let Head { len, mut framing, engine, resolved } = loop {
            match stream.read(&mut buf[filled..])? {
                0 => return Err("the connection ended within the response head".into()),
                n => filled += n,
            }
            if let Some(found) = parse_head(&buf[..filled])? {
                break found;
            }
        };
        (self.engine, self.resolved) = (engine, resolved);
        framing.feed(&buf[len..filled], |piece| self.take(piece))?;
        while !framing.complete() && !self.enough() {
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
        if let Until::EndAt(pace) = self.until {
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
