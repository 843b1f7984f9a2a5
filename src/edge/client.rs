//! One client's connection: what is sent to it, and how that ends.
//!
//! A body begins with a commit and ends in one of two ways: [`Body::finish`], which the client
//! takes for complete, or with a reset of the connection, which shows it that something is
//! missing. The reset is what happens if nothing is done: when the body is dropped, and also when
//! the whole process is killed. Every wait has a limit and ends with the stream. Must never
//! know what is being sent.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::head::Request;
use super::reply::{Reply, SERVER};
use crate::error::Error;
use crate::sys::{self, Conduit};

/// How long a closed connection is kept for the client to take its last bytes.
const LINGER: Duration = Duration::from_secs(2);

/// A connection with a request on it that waits for its answer.
pub struct Client<'edge> {
    socket: TcpStream,
    peer: SocketAddr,
    stall_limit: Duration,
    /// Rung when the server gives up what still runs.
    abort: BorrowedFd<'edge>,
    /// Set at the commit point.
    committed: AtomicBool,
    sent: AtomicU64,
    /// What all clients of the edge were sent.
    sent_in_all: &'edge AtomicU64,
}

impl<'edge> Client<'edge> {
    pub(super) fn new(
        socket: TcpStream,
        peer: SocketAddr,
        stall_limit: Duration,
        abort: BorrowedFd<'edge>,
        sent_in_all: &'edge AtomicU64,
    ) -> Client<'edge> {
        let (committed, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        Client { socket, peer, stall_limit, abort, committed, sent, sent_in_all }
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether media bytes have been sent, so that an error can no longer be told in words.
    pub fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    /// Media bytes it was sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Answers with something small and closes the connection in good order.
    pub fn reply(self, reply: Reply, request: Option<&Request>) {
        let sent = match reply.print(request) {
            Ok(bytes) => self.send([&bytes, &[]], self.abort).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => self.close(),
            Err(why) => log::debug!("no answer to {}: {why}", self.address()),
        }
    }

    /// Answers with the head of a media answer alone.
    pub fn reply_head(self, head: &MediaHead, request: &Request) {
        let bytes = head.print(Framing::of(request, head), request.http_1_1);
        if self.send([&bytes, &[]], self.abort).is_ok() {
            self.close();
        }
    }

    /// Waits until the client is gone; `over` ends the wait, and so does the server's abort.
    pub fn watch(&self, over: BorrowedFd<'_>) -> io::Result<Watched> {
        let seen = sys::poll(
            [
                (over, sys::READABLE),
                (self.abort, sys::READABLE),
                (self.socket.as_fd(), sys::HUNG_UP),
            ],
            None,
        )?;
        Ok(match seen {
            [true, ..] => Watched::StreamOver,
            [_, true, _] => Watched::ServerAborts,
            _ => Watched::ClientLeft,
        })
    }

    /// Sends all of both runs of bytes, one after the other; ends when nothing could be sent for the
    /// stall limit, or when `over` rings.
    fn send(&self, runs: [&[u8]; 2], over: BorrowedFd<'_>) -> Result<(), Error> {
        let len = runs[0].len() + runs[1].len();
        let mut runs = runs.map(IoSlice::new);
        let mut left = &mut runs[..];
        self.give(len, over, |mut socket| {
            let count = socket.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, count);
            Ok(count)
        })
    }

    /// Has `give` give bytes to the socket until these were `len`.
    fn give(
        &self,
        len: usize,
        over: BorrowedFd<'_>,
        mut give: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<(), Error> {
        let mut left = len;
        while left > 0 {
            match give(&self.socket) {
                Ok(0) => return Err(Error::ClientLeft),
                Ok(count) => {
                    self.sent_in_all.fetch_add(count as u64, Ordering::Relaxed);
                    left -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let room = (self.socket.as_fd(), sys::WRITABLE);
                    match sys::poll([(over, sys::READABLE), room], Some(self.stall_limit)) {
                        Ok([true, _]) => return Err(Error::Stopped),
                        Ok([_, true]) => {}
                        Ok(_) => return Err(Error::ClientStalled(self.stall_limit)),
                        Err(_) => return Err(Error::ClientLeft),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Error::ClientLeft),
            }
        }
        Ok(())
    }

    /// Says that there is no more, and waits a little for the client to hang up: closing with
    /// unread bytes of its in our buffer would reset the connection and lose what we sent.
    pub fn close(self) {
        if self.socket.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut sink = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = (self.socket.as_fd(), sys::READABLE);
            match sys::poll([(self.abort, sys::READABLE), more], Some(left)) {
                Ok([false, true]) => {}
                _ => return,
            }
            match (&self.socket).read(&mut sink) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// What [`Client::watch`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// The stream came to its end first.
    StreamOver,
    /// The server gives up what still runs.
    ServerAborts,
    /// The client closed its side, or all of the connection.
    ClientLeft,
}

/// The head of a media answer.
#[derive(Debug, Clone, Default)]
pub struct MediaHead {
    /// 200 if it is not set.
    status: Option<u16>,
    length: Option<u64>,
    fields: Vec<(&'static str, String)>,
}

impl MediaHead {
    /// Another status than 200.
    pub fn status(mut self, status: u16) -> MediaHead {
        self.status = Some(status);
        self
    }

    /// The length of the body, which must then have exactly so many bytes.
    pub fn length(mut self, length: u64) -> MediaHead {
        self.length = Some(length);
        self
    }

    /// Adds a field. The value must be ours, or safe for a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> MediaHead {
        self.fields.push((name, value.into()));
        self
    }

    fn print(&self, framing: Framing, http_1_1: bool) -> Vec<u8> {
        let reason = match self.status {
            None => "200 OK",
            Some(206) => "206 Partial Content",
            Some(304) => "304 Not Modified",
            Some(other) => unreachable!("{other} is no status of media"),
        };
        let mut text = format!("HTTP/1.{} {reason}\r\n", u8::from(http_1_1));
        let date = httpdate();
        let fixed = [("Server", SERVER), ("Date", date.as_str()), ("Connection", "close")];
        let own = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        let length = self.length.map(|length| length.to_string());
        let framing = match framing {
            _ if self.status == Some(304) => None,
            Framing::Chunked => Some(("Transfer-Encoding", "chunked")),
            Framing::Length => length.as_deref().map(|length| ("Content-Length", length)),
            Framing::UntilClose => None,
        };
        for (name, value) in fixed.into_iter().chain(own).chain(framing) {
            debug_assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// The present in the form that HTTP wants, as tiny_http prints it for small answers.
#[expect(clippy::disallowed_methods, reason = "Date is the time of day")]
fn httpdate() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// By its length, which the head says.
    Length,
    /// HTTP/1.1: a last chunk.
    Chunked,
    /// HTTP/1.0: the end of the connection.
    UntilClose,
}

impl Framing {
    fn of(request: &Request, head: &MediaHead) -> Framing {
        match head.length {
            Some(_) => Framing::Length,
            None if request.http_1_1 => Framing::Chunked,
            None => Framing::UntilClose,
        }
    }
}

/// A media answer under way. Dropping it without [`finish`](Body::finish) is the abort.
pub struct Body<'c, 'edge> {
    client: &'c Client<'edge>,
    framing: Framing,
    /// Bytes that are still to be sent, if that was announced.
    left: Option<u64>,
    /// Room for a chunk's length, the chunk, and its line end, to be sent as one.
    buffer: Box<[u8]>,
    /// Bytes that were [pushed](Body::push) and wait in the room to be sent.
    waiting: usize,
}

/// Digits of a chunk's length and a line end: enough for [`Body::CHUNK`].
const BEFORE: usize = 8;
const AFTER: usize = 2;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl<'c, 'edge> Body<'c, 'edge> {
    /// Bytes that are sent at once.
    pub const CHUNK: usize = 64 << 10;
    /// From this length on, a call of the system costs less than a copy.
    const WORTH_IT: usize = 16 << 10;

    /// Sends the head: from here on, an error can only be shown as an abort.
    pub fn commit(
        client: &'c Client<'edge>,
        request: &Request,
        head: &MediaHead,
        over: BorrowedFd<'_>,
    ) -> Result<Body<'c, 'edge>, Error> {
        client.committed.store(true, Ordering::Relaxed);
        sys::reset_on_close(&client.socket, true)
            .map_err(|e| Error::system("arm the reset of a connection", &e))?;
        let framing = Framing::of(request, head);
        let buffer = vec![0; BEFORE + Self::CHUNK + AFTER].into_boxed_slice();
        let body = Body { client, framing, left: head.length, buffer, waiting: 0 };
        client.send([&head.print(framing, request.http_1_1), &[]], over)?;
        Ok(body)
    }

    /// Where the next bytes are to be put, for [`send`](Body::send).
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[BEFORE..BEFORE + Self::CHUNK]
    }

    /// Sends all of `bytes`, wherever they are.
    pub fn send_all(&mut self, bytes: &[u8], over: BorrowedFd<'_>) -> Result<(), Error> {
        for part in bytes.chunks(Self::CHUNK) {
            self.room()[..part.len()].copy_from_slice(part);
            self.send(part.len(), over)?;
        }
        Ok(())
    }

    /// Sends `bytes`, wherever they are, or keeps them until there are enough to be worth a call
    /// of the system: [`flush`](Body::flush) before any wait.
    pub fn push(&mut self, bytes: &[u8], over: BorrowedFd<'_>) -> Result<(), Error> {
        if bytes.len() >= Self::WORTH_IT && self.is_bare() {
            let waiting = std::mem::take(&mut self.waiting);
            let len = waiting + bytes.len();
            self.account(len)?;
            self.client.send([&self.buffer[BEFORE..BEFORE + waiting], bytes], over)?;
            self.client.sent.fetch_add(len as u64, Ordering::Relaxed);
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = self.waiting;
            let (now, later) = rest.split_at(rest.len().min(Self::CHUNK - at));
            self.room()[at..at + now.len()].copy_from_slice(now);
            self.waiting += now.len();
            if self.waiting == Self::CHUNK {
                self.flush(over)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Sends what was pushed and is still here.
    pub fn flush(&mut self, over: BorrowedFd<'_>) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        self.send(waiting, over)
    }

    /// Whether bytes can be sent as they are, with nothing around them.
    pub fn is_bare(&self) -> bool {
        self.framing != Framing::Chunked
    }

    /// Sends the `len` bytes that are in `conduit`; the body must be [bare](Body::is_bare).
    pub fn send_through(
        &mut self,
        conduit: &Conduit,
        len: usize,
        over: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        self.flush(over)?;
        self.account(len)?;
        let mut left = len;
        self.client.give(len, over, |socket| {
            let count = conduit.drain(socket.as_fd(), left)?;
            left -= count;
            Ok(count)
        })?;
        self.client.sent.fetch_add(len as u64, Ordering::Relaxed);
        Ok(())
    }

    fn account(&mut self, len: usize) -> Result<(), Error> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(len as u64).ok_or_else(wrong_length)?;
        }
        Ok(())
    }

    /// Sends the first `len` bytes of [`room`](Body::room).
    pub fn send(&mut self, len: usize, over: BorrowedFd<'_>) -> Result<(), Error> {
        if len == 0 {
            // An empty chunk would say that the body is complete.
            return Ok(());
        }
        self.account(len)?;
        let bytes = match self.framing {
            Framing::Length | Framing::UntilClose => &self.buffer[BEFORE..BEFORE + len],
            Framing::Chunked => {
                let digits = format!("{len:x}\r\n");
                let start = BEFORE - digits.len();
                self.buffer[start..BEFORE].copy_from_slice(digits.as_bytes());
                self.buffer[BEFORE + len..BEFORE + len + AFTER].copy_from_slice(b"\r\n");
                &self.buffer[start..BEFORE + len + AFTER]
            }
        };
        self.client.send([bytes, &[]], over)?;
        self.client.sent.fetch_add(len as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the client that the body is complete.
    pub fn finish(self) -> Result<(), Error> {
        if self.waiting > 0 || self.left.is_some_and(|left| left > 0) {
            return Err(wrong_length());
        }
        if self.framing == Framing::Chunked {
            self.client.send([LAST_CHUNK, &[]], self.client.abort)?;
        }
        sys::reset_on_close(&self.client.socket, false)
            .map_err(|e| Error::system("disarm the reset of a connection", &e))
    }
}

/// What is made to be sent is not what was announced: ours to mend.
fn wrong_length() -> Error {
    let said = "its length is not the one that was announced".into();
    Error::System { doing: "complete a body", said }
}
