//! A raw HTTP client that hides nothing: it tells a complete body from one that was cut and
//! from one that was reset.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::net::{self, AddressFamily, SocketType};

use super::PATIENCE;
use super::answer::{Answer, Ending, Head};

/// One connection to a server.
pub(crate) struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
    over: Option<Ending>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the server accepts connections")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, pending: Vec::new(), over: None })
    }

    /// Connects from this address of the machine.
    pub(crate) fn connect_from(from: &str, address: SocketAddr) -> Self {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        net::bind(&socket, &SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        net::connect(&socket, &address).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, pending: Vec::new(), over: None }
    }

    /// Fixes the receive buffer, which the kernel would let grow to as much as 32 MB while the client reads
    /// quickly.
    pub(crate) fn fix_receive_buffer(&self, len: usize) {
        net::sockopt::set_socket_recv_buffer_size(&self.stream, len).unwrap();
    }

    /// Sends any bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Closes its own direction; the other one stays open.
    pub(crate) fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Sends a plain HTTP/1.1 request without a body.
    pub(crate) fn request(&mut self, method: &str, path: &str) {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
            .expect("the request is taken");
    }

    /// Sends a GET with these header lines; the next may follow before the answer is read.
    pub(crate) fn ask(&mut self, path: &str, headers: &[&str]) {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n").as_bytes())
            .expect("the request is taken");
    }

    /// Connects and asks for a path.
    pub(crate) fn get(address: SocketAddr, path: &str) -> Self {
        let mut client = Self::connect(address);
        client.request("GET", path);
        client
    }

    /// Reads the response head; `None` if the connection ends before it.
    pub(crate) fn try_head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                break at;
            }
            assert!(self.pending.len() < 256 * 1024, "an endless response head");
            if !self.fill() {
                return None;
            }
        };
        let head = String::from_utf8(self.pending.drain(..end + 4).collect())
            .expect("a response head is UTF-8");
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let mut status_line = lines.next()?.splitn(3, ' ');
        Some(Head {
            version: status_line.next()?.to_owned(),
            status: status_line.next()?.parse().ok()?,
            headers: lines
                .map(|line| {
                    assert!(!line.contains(['\r', '\n', '\0']), "header line {line:?}");
                    let (name, value) = line.split_once(':').expect("a header has a colon");
                    (name.to_owned(), value.trim().to_owned())
                })
                .collect(),
        })
    }

    pub(crate) fn head(&mut self) -> Head {
        self.try_head().expect("a response head")
    }

    /// Reads the head of a 200 and waits for the first byte of its body.
    pub(crate) fn first_byte(&mut self) -> Head {
        let head = self.head();
        assert_eq!(head.status, 200, "{:?}", String::from_utf8_lossy(&self.pending));
        self.wait_for_a_byte();
        head
    }

    /// Waits until something stands in the buffer, without taking it.
    pub(crate) fn wait_for_a_byte(&mut self) {
        while self.pending.is_empty() {
            assert!(self.fill(), "the connection ended before its next byte");
        }
    }

    /// Takes this many bytes off the connection, framing included.
    pub(crate) fn read_raw(&mut self, count: usize) -> Vec<u8> {
        while self.pending.len() < count {
            assert!(self.fill(), "the connection ended");
        }
        let rest = self.pending.split_off(count);
        std::mem::replace(&mut self.pending, rest)
    }

    /// Reads the body to its end, and makes sure that the connection ends with it.
    pub(crate) fn body(&mut self, head: &Head) -> (Vec<u8>, Ending) {
        let (body, ending) = self.framed_body(head);
        if ending == Ending::Complete {
            while self.fill() {}
            assert!(self.pending.is_empty(), "bytes after the end of the body");
        }
        (body, ending)
    }

    /// Reads the body to its end; what follows stays for the next answer.
    fn framed_body(&mut self, head: &Head) -> (Vec<u8>, Ending) {
        let chunked = head.header("Transfer-Encoding") == Some("chunked");
        let length = head
            .header("Content-Length")
            .map(|length| length.parse::<usize>().expect("Content-Length is a number"));
        assert!(!(chunked && length.is_some()), "two framings in {head:?}");
        let mut body = Vec::new();
        let complete = match (chunked, length) {
            (true, _) => self.chunks(&mut body),
            (false, Some(length)) => self.take(length, &mut body),
            (false, None) => {
                while self.fill() {}
                body.append(&mut self.pending);
                self.over == Some(Ending::Cut)
            }
        };
        if complete {
            return (body, Ending::Complete);
        }
        (body, self.over.expect("an incomplete body has an end"))
    }

    /// Reads an answer on a connection that more are to come on.
    pub(crate) fn next_answer(&mut self) -> Answer {
        let head = self.head();
        let (body, ending) = self.framed_body(&head);
        Answer { head, body, ending }
    }

    /// Reads a whole answer to anything but HEAD.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// As `answer`; `None` if the connection ends before a head is complete.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let head = self.try_head()?;
        let (body, ending) = self.body(&head);
        Some(Answer { head, body, ending })
    }

    /// Reads until the other side ends the connection.
    pub(crate) fn until_closed(&mut self) -> Ending {
        while self.fill() {
            self.pending.clear();
        }
        self.over.expect("the connection is over")
    }

    /// Asserts that the connection ends in good order and without another byte.
    pub(crate) fn ends_here(&mut self) {
        while self.fill() {}
        assert!(self.pending.is_empty(), "{} bytes too many", self.pending.len());
        assert_eq!(self.over, Some(Ending::Cut), "it was reset");
    }

    /// Decodes chunks strictly: sizes in plain hex, no extensions, no trailers.
    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let end = loop {
                if let Some(at) = find(&self.pending, b"\r\n") {
                    break at;
                }
                assert!(self.pending.len() < 32, "a chunk size without an end");
                if !self.fill() {
                    return false;
                }
            };
            let line: Vec<u8> = self.pending.drain(..end + 2).collect();
            let digits = std::str::from_utf8(&line[..end]).expect("a chunk size is ASCII");
            let size = usize::from_str_radix(digits, 16).expect("a chunk size is hex");
            let mut mark = Vec::new();
            if !self.take(size, body) || !self.take(2, &mut mark) {
                return false;
            }
            assert_eq!(mark, b"\r\n", "a chunk ends with CR LF");
            if size == 0 {
                return true;
            }
        }
    }

    /// Moves exactly `count` bytes; on an early end it moves what there is.
    fn take(&mut self, count: usize, into: &mut Vec<u8>) -> bool {
        let mut missing = count;
        loop {
            let now = missing.min(self.pending.len());
            into.extend_from_slice(&self.pending[..now]);
            self.pending.drain(..now);
            missing -= now;
            if missing == 0 {
                return true;
            }
            if !self.fill() {
                return false;
            }
        }
    }

    /// Reads once; `false` when the connection is over.
    fn fill(&mut self) -> bool {
        if self.over.is_some() {
            return false;
        }
        let mut block = [0; 64 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => self.over = Some(Ending::Cut),
            Ok(count) => self.pending.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let timed_out =
                    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                assert!(!timed_out, "nothing came for {PATIENCE:?}");
                self.over = Some(Ending::Reset);
            }
        }
        self.over.is_none()
    }
}

/// One GET from connect to end.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    Client::get(address, path).answer()
}

/// Asks with a method and header fields (each with its line end), and reads the answer.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes()).unwrap();
    let head = client.head();
    if method == "HEAD" || head.status == 304 {
        client.ends_here();
        return Answer { head, body: Vec::new(), ending: Ending::Complete };
    }
    let (body, ending) = client.body(&head);
    Answer { head, body, ending }
}

/// The path and query of a mux request, every parameter percent-encoded. Two tracks are joined by
/// ffmpeg: most tests are about it.
pub(crate) fn mux_path(video: Option<&str>, audio: Option<&str>, extra: &[(&str, &str)]) -> String {
    let ffmpeg = [("engine", "ffmpeg")];
    let by_ffmpeg = video.is_some() && audio.is_some();
    let extra = [extra, if by_ffmpeg { &ffmpeg } else { &[] }].concat();
    any_path(video, audio, &extra)
}

/// The path and query of a request for two tracks that are to be spliced.
pub(crate) fn splice_path(video: &str, audio: &str, extra: &[(&str, &str)]) -> String {
    any_path(Some(video), Some(audio), &[extra, &[("engine", "splice")]].concat())
}

/// The path and query of a mux request that says nothing but this.
pub(crate) fn any_path(video: Option<&str>, audio: Option<&str>, extra: &[(&str, &str)]) -> String {
    let tracks = [("video", video), ("audio", audio)];
    let parameters =
        tracks.iter().filter_map(|(name, url)| Some((*name, (*url)?))).chain(extra.iter().copied());
    let query: Vec<String> = parameters
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    format!("/mux?{}", query.join("&"))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
