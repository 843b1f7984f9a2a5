//! Which bytes of a resource an origin sends, and the head it sends before them.

use super::request::Request;
use super::resource::{Fault, Resource, WrongRange};

/// What a request asks of a resource.
pub(super) enum Asked {
    /// These bytes.
    Span(Span),
    /// A range that begins where the resource has ended, or is taken for one; whether it says where.
    TooFar(bool),
    /// What the resource does not give.
    Refused,
}

/// A half-open span of the resource.
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    total: u64,
    partial: bool,
}

/// The first byte that a request asks for.
pub(super) fn first_byte(request: &Request, resource: &Resource) -> u64 {
    range(request, resource).map_or(0, |(first, _)| first)
}

/// The range of a request, whose last byte may be left open.
fn range(request: &Request, resource: &Resource) -> Option<(u64, Option<u64>)> {
    let (first, last) = request
        .header("range")
        .filter(|_| resource.ranges)
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))?;
    let (first, last) = (first.parse().ok()?, last.parse().ok());
    last.is_none_or(|last| first <= last).then_some((first, last))
}

/// Whether the resource is the one that If-Range means, by RFC 9110, section 13.1.5.
fn is_meant(request: &Request, resource: &Resource) -> bool {
    // A weak tag never matches there.
    let strong = resource.etag.filter(|etag| !etag.starts_with("W/"));
    let validators = [strong, resource.last_modified];
    request.header("if-range").is_none_or(|meant| validators.contains(&Some(meant)))
}

impl Asked {
    pub(super) fn by(request: &Request, resource: &Resource) -> Self {
        let total = resource.len();
        let range = range(request, resource);
        let bounded = range.is_some_and(|(_, last)| last.is_some()) && request.method != "HEAD";
        if resource.only_bounded_ranges && !bounded {
            return Self::Refused;
        }
        let ignored = resource.fault == Fault::IgnoreRange || !is_meant(request, resource);
        let Some((start, last)) = range.filter(|_| !ignored) else {
            if resource.forbidden_from < total && request.method != "HEAD" {
                return Self::Refused;
            }
            return Self::Span(Span { start: 0, end: total, total, partial: false });
        };
        if start >= total {
            return Self::TooFar(true);
        }
        if let Fault::RefusePastEnd(tells) = resource.fault
            && last.is_some_and(|last| last >= total)
        {
            return Self::TooFar(tells);
        }
        let end = last.map_or(total, |last| last.saturating_add(1).min(total));
        if end - start > resource.largest_range || end > resource.forbidden_from {
            return Self::Refused;
        }
        let end = end.min(start.saturating_add(resource.largest_answer));
        let span = Span { start, end, total, partial: true };
        Self::Span(match resource.fault {
            Fault::WrongRange(WrongRange::Shifted) => span.shifted(),
            Fault::WrongRange(WrongRange::ToTheEnd) => Span { end: total, ..span },
            Fault::WrongRange(WrongRange::Everything) => Span { start: 0, end: total, ..span },
            Fault::WrongRange(WrongRange::Early(by)) => {
                Span { start: span.start.saturating_sub(by), ..span }
            }
            _ => span,
        })
    }
}

impl Span {
    pub(super) fn holds(&self, offset: u64) -> bool {
        (self.start..self.end).contains(&offset)
    }

    /// Whether the byte that would follow is another request's.
    pub(super) fn is_followed(&self) -> bool {
        self.end < self.total
    }

    /// Whether its bytes go in chunks.
    pub(super) fn chunked(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Chunked
            | Fault::ChunkedCutAt(_)
            | Fault::TrailersAt(_)
            | Fault::TrailerFloodAt(_)
            | Fault::Surplus(_) => true,
            Fault::Endless => !self.partial,
            _ => false,
        }
    }

    pub(super) fn head(&self, resource: &Resource, keep_alive: bool) -> String {
        let len = self.end - self.start;
        let (version, length) = match &resource.fault {
            Fault::NoLength => ("1.0", String::new()),
            Fault::AlmostChunkedCutAt(_, version, encoding) => {
                (*version, format!("Transfer-Encoding: {encoding}\r\n"))
            }
            Fault::LengthTooLargeBy(more) => ("1.1", format!("Content-Length: {}\r\n", len + more)),
            fault if self.chunked(fault) => ("1.1", "Transfer-Encoding: chunked\r\n".to_owned()),
            _ => ("1.1", format!("Content-Length: {len}\r\n")),
        };
        let status = if self.partial { "206 Partial Content" } else { "200 OK" };
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        let mut head = format!("HTTP/{version} {status}\r\n{connection}{length}");
        head += &self.label(&resource.fault);
        let encoding = match resource.fault {
            Fault::Encoded => Some("gzip"),
            Fault::Coding(coding) => Some(coding),
            _ => None,
        };
        let several = resource.fault == Fault::WrongRange(WrongRange::SeveralParts);
        let kind = if several && self.partial {
            "multipart/byteranges; boundary=here"
        } else {
            "application/octet-stream"
        };
        let optional = [
            ("Content-Encoding", encoding),
            ("ETag", resource.etag),
            ("Last-Modified", resource.last_modified),
            ("Set-Cookie", resource.set_cookie),
        ];
        for (name, value) in optional {
            head += &value.map_or_else(String::new, |value| format!("{name}: {value}\r\n"));
        }
        head + &format!("Content-Type: {kind}\r\n\r\n")
    }

    /// The Content-Range of a 206.
    fn label(&self, fault: &Fault) -> String {
        let (mut start, mut total) = (self.start, self.total.to_string());
        match fault {
            _ if !self.partial => return String::new(),
            Fault::WrongRange(WrongRange::Unlabelled | WrongRange::SeveralParts) => {
                return String::new();
            }
            Fault::WrongRange(WrongRange::OneLess) => {
                return format!("Content-Range: bytes {start}-{}/{total}\r\n", self.end - 2);
            }
            Fault::WrongRange(WrongRange::StartOff) => start += 1,
            Fault::WrongRange(WrongRange::TotalOff) => total = (self.total + 1).to_string(),
            Fault::WrongRange(WrongRange::UnknownTotal) => total = "*".to_owned(),
            _ => {}
        }
        format!("Content-Range: bytes {start}-{}/{total}\r\n", self.end - 1)
    }

    fn shifted(self) -> Self {
        if self.is_followed() {
            return Self { start: self.start + 1, end: self.end + 1, ..self };
        }
        Self { start: self.start.saturating_sub(1), end: self.end - 1, ..self }
    }
}
