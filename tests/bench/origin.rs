//! The origin: a plain static file server on loopback that costs as little as it can.
//!
//! A thread per connection; bodies go from the page cache in large pieces. It must never
//! be the bottleneck, and only the systems under test ever talk to it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ytcanal::sys;

use crate::Outcome;
use crate::upstream::Upstream;

pub(crate) struct Origin {
    addr: SocketAddr,
    ending: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// The line between the origin and everyone else. By default it has no length.
#[derive(Default)]
pub(crate) struct Line {
    /// What passes between a request and its answer, and before that on a new connection.
    pub(crate) round_trip: Duration,
    /// Bytes a second, all connections together.
    pub(crate) rate: Option<u64>,
    /// When the line has sent what it was given so far.
    free: Mutex<Option<Instant>>,
}

impl Line {
    pub(crate) fn new(round_trip: Duration, rate: Option<u64>) -> Self {
        Self { round_trip, rate, free: Mutex::new(None) }
    }

    /// Waits until the line has room for these bytes.
    fn send(&self, count: usize) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free.unwrap_or(now).max(now);
        *free = Some(start + Duration::from_secs_f64(count as f64 / rate as f64));
        drop(free);
        thread::sleep(start - now);
    }
}

const BACKLOG: i32 = 4096;
/// A directory in which files have no validators.
pub(crate) const UNPROVEN: &str = "/unproven";
/// A request head is a few hundred bytes; more is a mistake.
const HEAD_LIMIT: u64 = 16 * 1024;
const PIECE: usize = 256 * 1024;
/// Frees the thread of a system that stopped reading or asking.
const PATIENCE: Duration = Duration::from_secs(120);

impl Origin {
    /// Serves the files in `dir`.
    pub(crate) fn start(dir: &Path) -> Outcome<Self> {
        Self::start_behind(Line::default(), dir)
    }

    /// The same at the far end of this line.
    pub(crate) fn start_behind(line: Line, dir: &Path) -> Outcome<Self> {
        // Hundreds may come at the same time, and must not be turned away.
        let listener = sys::listen(SocketAddr::from(([127, 0, 0, 1], 0)), BACKLOG)?;
        listener.set_nonblocking(false)?;
        let addr = listener.local_addr()?;
        let ending = Arc::new(AtomicBool::new(false));
        let accepting = thread::Builder::new().name("origin".into()).spawn({
            let (dir, ending) = (dir.to_owned(), Arc::clone(&ending));
            move || accept(&listener, &line, &dir, &ending)
        })?;
        Ok(Self { addr, ending, accepting: Some(accepting) })
    }

    pub(crate) fn upstream(&self) -> Upstream {
        Upstream::http(self.addr)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Wakes `accept`; when even this fails there is no listener left to wait for.
        if TcpStream::connect(self.addr).is_ok()
            && let Some(accepting) = self.accepting.take()
            && accepting.join().is_err()
        {
            eprintln!("bench: the origin panicked");
        }
    }
}

fn accept(listener: &TcpListener, line: &Line, dir: &Path, ending: &AtomicBool) {
    thread::scope(|scope| {
        for stream in listener.incoming() {
            if ending.load(Ordering::Acquire) {
                break;
            }
            match stream {
                // A client that leaves early is no fault of the origin's.
                Ok(stream) => drop(scope.spawn(move || serve(&stream, line, dir))),
                Err(error) => {
                    eprintln!("bench: origin: {error}");
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    });
}

/// One connection: request after request until the other side has enough.
fn serve(stream: &TcpStream, line: &Line, dir: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    thread::sleep(line.round_trip);
    while let Some(request) = Request::read(&mut reader)? {
        thread::sleep(line.round_trip);
        answer(stream, line, dir, &request)?;
        if request.last {
            break;
        }
    }
    Ok(())
}

struct Request {
    method: String,
    path: String,
    /// First offset and, if given, the last one, both inclusive (RFC 9110 §14.1.2).
    range: Option<(u64, Option<u64>)>,
    /// The client wants no further answer on this connection.
    last: bool,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = reader.take(HEAD_LIMIT);
        let mut line = String::new();
        head.read_line(&mut line)?;
        let mut words = line.split_ascii_whitespace().map(String::from);
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let mut request = Self { method, path, range: None, last: false };
        loop {
            line.clear();
            if head.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let Some((name, value)) = line.split_once(':') else {
                return Ok(Some(request));
            };
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = parse_range(value.trim()),
                "connection" => request.last = value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
    }
}

/// `bytes=A-B` and `bytes=A-`; anything else is answered with the whole file.
fn parse_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}

fn answer(mut stream: &TcpStream, line: &Line, dir: &Path, request: &Request) -> io::Result<()> {
    // The directories in front of it make no difference.
    let wanted = request.path.rsplit('/').next().unwrap_or_default();
    let Ok(mut file) = File::open(dir.join(wanted)) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let len = file.metadata()?.len();
    let Range { start, end } = match request.range {
        None => 0..len,
        Some((first, _)) if first >= len => {
            let head = format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{len}\r\nContent-Length: 0\r\n\r\n"
            );
            return stream.write_all(head.as_bytes());
        }
        Some((first, last)) => {
            first..last.map_or(len, |last| len.min(last.saturating_add(1))).max(first)
        }
    };
    let status = match request.range {
        None => "200 OK".to_owned(),
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{len}", end - 1),
    };
    let etag = match request.path.contains(UNPROVEN) {
        true => String::new(),
        false => format!("ETag: \"{len:x}\"\r\n"),
    };
    let kind = if wanted.contains("video") { "video/mp4" } else { "audio/mp4" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: {kind}\r\nAccept-Ranges: bytes\r\n\
         {etag}\r\n",
        end - start
    );
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        file.seek(SeekFrom::Start(start))?;
        copy(&mut file.take(end - start), line, stream)?;
    }
    Ok(())
}

/// `io::copy` would take 8 KiB at a time: it does not use sendfile(2) from a file to a socket,
/// as the file might change meanwhile.
fn copy(body: &mut impl Read, line: &Line, mut stream: &TcpStream) -> io::Result<()> {
    let mut buf = vec![0; PIECE];
    loop {
        match body.read(&mut buf)? {
            0 => return Ok(()),
            n => {
                line.send(n);
                stream.write_all(&buf[..n])?;
            }
        }
    }
}
