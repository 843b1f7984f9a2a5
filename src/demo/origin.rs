//! The origin of the demonstration: a tiny_http server on loopback that sends files at a steady pace, as
//! media servers do.

use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tiny_http::{Header, Request, Response, Server, StatusCode};

use crate::range::{self, RangeHeader};

/// A server for a few files in memory.
pub(super) struct Origin {
    server: Server,
    address: SocketAddr,
    files: Vec<(&'static str, Arc<[u8]>)>,
    /// The duration of sending one file, whatever its size.
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

    /// Responds to requests until [`end`](Origin::end).
    pub(super) fn serve(&self) {
        thread::scope(|scope| {
            while let Ok(request) = self.server.recv() {
                scope.spawn(|| self.respond(request));
            }
        });
    }

    pub(super) fn end(&self) {
        self.server.unblock();
    }

    fn respond(&self, request: Request) {
        let file = self.files.iter().find(|(path, _)| *path == request.url());
        let sent = match file {
            None => request.respond(Response::empty(404)),
            Some((path, bytes)) => {
                let (status, range) = requested_range(&request, bytes.len());
                let mut fields = vec![("Content-Type", media_type(path)), ("ETag", ETAG.into())];
                if status == 206 {
                    let (first, last) = (range.start, range.end - 1);
                    let content_range = format!("bytes {first}-{last}/{}", bytes.len());
                    fields.push(("Content-Range", content_range));
                }
                let fields = fields.iter().flat_map(|(name, value)| {
                    Header::from_bytes(name.as_bytes(), value.as_bytes())
                });
                let (len, total) = (range.len(), bytes.len().max(1));
                let pace = self.pace.mul_f64(len as f64 / total as f64);
                let body = Paced::new(Cursor::new(&bytes[range]), len, pace);
                let fields = fields.collect();
                request.respond(
                    Response::new(StatusCode(status), fields, body, Some(len), None)
                        // Content-Length instead of chunks.
                        .with_chunked_threshold(usize::MAX),
                )
            }
        };
        if let Err(error) = sent {
            log::debug!("cannot send the sample: {error}");
        }
    }
}

/// The ETag of all files, which never change.
const ETAG: &str = "\"sample\"";

fn media_type(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((_, "mp4")) => "video/mp4",
        Some((_, "jpg")) => "image/jpeg",
        _ => "audio/mp4",
    }
    .into()
}

/// Returns the status and the byte range of the response to a request for a file of this length.
fn requested_range(request: &Request, len: usize) -> (u16, Range<usize>) {
    let field = request.headers().iter().find(|header| header.field.equiv("Range"));
    let range =
        field.map(|header| range::parse_range(header.value.as_str().as_bytes(), len as u64));
    match range {
        // Within the length of a slice.
        Some(RangeHeader::Range(range)) => (206, range.start as usize..range.end as usize),
        _ => (200, 0..len),
    }
}

/// A reader that returns its bytes at a steady rate, after a short burst.
struct Paced<R> {
    inner: R,
    bytes_per_second: f64,
    started: Instant,
    sent: usize,
}

/// The bytes that are available at once: enough for a player to start.
const BURST: usize = 64 << 10;
/// The size of each later read.
const STEP: usize = 8 << 10;

impl<R> Paced<R> {
    fn new(inner: R, len: usize, pace: Duration) -> Paced<R> {
        let bytes_per_second = len as f64 / pace.as_secs_f64();
        Paced { inner, bytes_per_second, started: Instant::now(), sent: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let due = self.sent.saturating_sub(BURST) as f64 / self.bytes_per_second;
        let due = self.started + Duration::from_secs_f64(due);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let step = STEP.min(buffer.len());
        let count = self.inner.read(&mut buffer[..step])?;
        self.sent += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_reader_returns_everything_at_its_rate() {
        let bytes = vec![7; BURST + 4 * STEP];
        let pace = Duration::from_millis(300);
        let begun = Instant::now();
        let mut received = Vec::new();
        Paced::new(&bytes[..], bytes.len(), pace).read_to_end(&mut received).unwrap();
        assert_eq!(received, bytes);
        // Less than the pace, since the burst comes at once.
        assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());
    }
}
