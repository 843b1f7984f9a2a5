//! Which bytes of a resource an origin sends, and the head it sends before them.

use super::origin::Request;
use super::script::{Fault, Resource};

/// The half-open span of the resource that a request asks for.
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    total: u64,
    partial: bool,
}

impl Span {
    pub(super) fn of(request: &Request, resource: &Resource) -> Self {
        let total = resource.len();
        let asked = request
            .headers
            .iter()
            .find(|(name, _)| name == "range" && resource.ranges)
            .and_then(|(_, value)| value.strip_prefix("bytes=")?.split_once('-'))
            .and_then(|(first, last)| {
                let last = last.parse().unwrap_or(u64::MAX);
                Some((first.parse::<u64>().ok()?, last))
            });
        match asked {
            Some((first, last)) if first < total => {
                Self { start: first, end: last.saturating_add(1).min(total), total, partial: true }
            }
            _ => Self { start: 0, end: total, total, partial: false },
        }
    }

    pub(super) fn head(&self, fault: &Fault) -> String {
        let len = self.end - self.start;
        let (version, length) = match fault {
            Fault::NoLength => ("1.0", String::new()),
            Fault::Chunked | Fault::ChunkedCutAt(_) | Fault::TrailersAt(_) => {
                ("1.1", "Transfer-Encoding: chunked\r\n".to_owned())
            }
            Fault::AlmostChunkedCutAt(_, version, encoding) => {
                (*version, format!("Transfer-Encoding: {encoding}\r\n"))
            }
            Fault::LengthTooLargeBy(more) => ("1.1", format!("Content-Length: {}\r\n", len + more)),
            _ => ("1.1", format!("Content-Length: {len}\r\n")),
        };
        let status = if self.partial { "206 Partial Content" } else { "200 OK" };
        let mut head = format!("HTTP/{version} {status}\r\nConnection: close\r\n{length}");
        if self.partial {
            let (start, last, total) = (self.start, self.end - 1, self.total);
            head += &format!("Content-Range: bytes {start}-{last}/{total}\r\n");
        }
        if *fault == Fault::Encoded {
            head += "Content-Encoding: gzip\r\n";
        }
        head + "Content-Type: application/octet-stream\r\n\r\n"
    }
}
