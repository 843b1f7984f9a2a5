//! The origin of the demonstration: tiny_http's server on loopback, for ourselves only. It sends
//! at a steady pace, as a media server does that is in no hurry.

use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tiny_http::{Header, Request, Response, Server, StatusCode};

use crate::range::{self, RangeHeader};

/// A server of a few files in memory.
pub(super) struct Origin {
    server: Server,
    address: SocketAddr,
    files: Vec<(&'static str, Arc<[u8]>)>,
    /// How long it takes to send one file, whatever its size.
    pace: Duration,
}

impl Origin {
    pub(super) fn bind(
        files: Vec<(&'static str, Arc<[u8]>)>,
        pace: Duration,
    ) -> io::Result<Origin> {
        let server = Server::http("127.0.0.1:0").map_err(io::Error::other)?;
        let address = server.server_addr().to_ip().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Origin { server, address, files, pace })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers until [`end`](Origin::end).
    pub(super) fn serve(&self) {
        thread::scope(|scope| {
            while let Ok(request) = self.server.recv() {
                scope.spawn(|| self.answer(request));
            }
        });
    }

    pub(super) fn end(&self) {
        self.server.unblock();
    }

    fn answer(&self, request: Request) {
        let file = self.files.iter().find(|(path, _)| *path == request.url());
        let answered = match file {
            None => request.respond(Response::empty(404)),
            Some((path, bytes)) => {
                let (status, part) = wanted(&request, bytes.len());
                let mut fields = vec![("Content-Type", kind(path)), ("ETag", ETAG.into())];
                if status == 206 {
                    let (first, last) = (part.start, part.end - 1);
                    let range = format!("bytes {first}-{last}/{}", bytes.len());
                    fields.push(("Content-Range", range));
                }
                let fields = fields.iter().flat_map(|(name, value)| {
                    Header::from_bytes(name.as_bytes(), value.as_bytes())
                });
                let (len, whole) = (part.len(), bytes.len().max(1));
                let pace = self.pace.mul_f64(len as f64 / whole as f64);
                let body = Paced::new(Cursor::new(&bytes[part]), len, pace);
                let fields = fields.collect();
                request.respond(
                    Response::new(StatusCode(status), fields, body, Some(len), None)
                        // A length, not chunks.
                        .with_chunked_threshold(usize::MAX),
                )
            }
        };
        if let Err(error) = answered {
            log::debug!("the sample was not taken to its end: {error}");
        }
    }
}

/// The files are made once and never change.
const ETAG: &str = "\"sample\"";

fn kind(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((_, "mp4")) => "video/mp4",
        Some((_, "jpg")) => "image/jpeg",
        _ => "audio/mp4",
    }
    .into()
}

/// What of a file of this length is asked for.
fn wanted(request: &Request, len: usize) -> (u16, Range<usize>) {
    let field = request.headers().iter().find(|header| header.field.equiv("Range"));
    let asked =
        field.map(|header| range::parse_range(header.value.as_str().as_bytes(), len as u64));
    match asked {
        // Within the length of something in memory.
        Some(RangeHeader::Range(part)) => (206, part.start as usize..part.end as usize),
        _ => (200, 0..len),
    }
}

/// A reader that gives its bytes evenly over a time, after a short burst.
struct Paced<R> {
    inner: R,
    bytes_per_second: f64,
    begun: Instant,
    given: usize,
}

/// What comes at once: enough for a player to begin.
const BURST: usize = 64 << 10;
/// What comes together later on.
const STEP: usize = 8 << 10;

impl<R> Paced<R> {
    fn new(inner: R, len: usize, pace: Duration) -> Paced<R> {
        let bytes_per_second = len as f64 / pace.as_secs_f64();
        Paced { inner, bytes_per_second, begun: Instant::now(), given: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let due = self.given.saturating_sub(BURST) as f64 / self.bytes_per_second;
        let due = self.begun + Duration::from_secs_f64(due);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let step = STEP.min(buffer.len());
        let count = self.inner.read(&mut buffer[..step])?;
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_reader_gives_everything_in_its_time() {
        let bytes = vec![7; BURST + 4 * STEP];
        let pace = Duration::from_millis(300);
        let begun = Instant::now();
        let mut given = Vec::new();
        Paced::new(&bytes[..], bytes.len(), pace).read_to_end(&mut given).unwrap();
        assert_eq!(given, bytes);
        // The burst comes at once, so it is less than the whole time.
        assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());
    }
}
