//! Reads and parses the head of a request, within limits of size and time.
//!
//! **Invariant:** knows no routes.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::access::{Provenance, Secret};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::sys;

/// A GET or HEAD request without a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether the method is HEAD.
    pub head_only: bool,
    /// Path and query, percent-encoded as received; begins with a slash.
    pub target: String,
    /// Whether the client speaks HTTP/1.1, and so understands chunked transfer coding.
    pub http_1_1: bool,
    /// Whether Accept contains `text/html`, as browsers send it.
    pub wants_html: bool,
    /// The range and the preconditions.
    pub preconditions: Preconditions,
    /// Where the request comes from.
    pub provenance: Provenance,
}

/// The fields of conditional and range requests (RFC 9110 §13.1, §14.2), as received. A repeated field is
/// joined by commas (§5.3), which makes a Range invalid and an If-Range match nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Range
    pub range: Option<String>,
    /// If-Range
    pub if_range: Option<String>,
    /// If-Match
    pub if_match: Option<String>,
    /// If-None-Match
    pub if_none_match: Option<String>,
}

impl Request {
    /// Whether the response will be a complete file: a GET without a range and without preconditions,
    /// which may need no byte of the file.
    pub fn is_full_get(&self) -> bool {
        let Preconditions { range, if_match, if_none_match, .. } = &self.preconditions;
        let is_conditional = if_match.is_some() || if_none_match.is_some();
        !self.head_only
            && !is_conditional
            && range.as_deref().is_none_or(|range| range == "bytes=0-")
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The client closed the connection, sent nothing in time, or the server is closing.
    Disconnected,
    /// The request is invalid; the response is this problem.
    Invalid(Problem),
}

/// The maximum number of header fields.
const MAX_FIELDS: usize = 64;
/// Bytes read per system call.
const READ_SIZE: usize = 4 << 10;

/// Reads and parses a request head of at most `max_len` bytes within `limit`; `closing` ends the wait.
pub(super) fn read(
    mut socket: &TcpStream,
    max_len: usize,
    limit: Duration,
    closing: BorrowedFd<'_>,
) -> Result<Request, RequestError> {
    let deadline = Instant::now() + limit;
    let mut bytes = Vec::with_capacity(READ_SIZE);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match sys::poll([(closing, sys::READABLE), (socket.as_fd(), sys::READABLE)], Some(left)) {
            Ok([true, _]) | Err(_) => return Err(RequestError::Disconnected),
            Ok([_, true]) => {}
            // A connection without a request, as browsers open ahead of time, gets no response.
            Ok(_) if bytes.is_empty() => return Err(RequestError::Disconnected),
            Ok(_) => return Err(bad(ProblemCode::HeadTimeout, "the request head took too long")),
        }
        let old = bytes.len();
        bytes.resize(old + READ_SIZE.min(max_len + 1 - old), 0);
        match socket.read(&mut bytes[old..]) {
            Ok(0) => return Err(RequestError::Disconnected),
            Ok(count) => bytes.truncate(old + count),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                bytes.truncate(old);
                continue;
            }
            Err(_) => return Err(RequestError::Disconnected),
        }
        // Parsed only once it is complete: a head that trickles in costs one parse.
        if let Some(len) = end_of_head(&bytes, old) {
            return parse_request(&bytes[..len]).map_err(RequestError::Invalid);
        }
        if bytes.len() > max_len {
            return Err(bad(
                ProblemCode::HeadTooLarge,
                format!("the request head is longer than {max_len} bytes (limits.head_bytes)"),
            ));
        }
    }
}

fn bad(code: ProblemCode, detail: impl Into<String>) -> RequestError {
    RequestError::Invalid(Problem::new(code, detail))
}

/// Returns the length of the head including its empty line, if that has arrived; the first `searched`
/// bytes do not contain it.
fn end_of_head(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3);
    (from..bytes.len()).find_map(|at| {
        let rest = &bytes[at..];
        if rest.starts_with(b"\n\r\n") {
            Some(at + 3)
        } else if rest.starts_with(b"\n\n") {
            Some(at + 2)
        } else {
            None
        }
    })
}

/// Parses a complete request head.
pub fn parse_request(bytes: &[u8]) -> Result<Request, Problem> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::Version) => {
            return Err(Problem::new(
                ProblemCode::HttpVersion,
                "the HTTP version is not supported; use HTTP/1.1 or HTTP/1.0",
            ));
        }
        Err(httparse::Error::TooManyHeaders) => {
            let detail = format!("the request has more than {MAX_FIELDS} header fields");
            return Err(Problem::new(ProblemCode::HeadTooLarge, detail));
        }
        Ok(httparse::Status::Partial) | Err(_) => {
            return Err(Problem::new(ProblemCode::BadRequest, "the request is not valid HTTP/1.1"));
        }
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Problem::new(ProblemCode::BadRequest, "the request is not valid HTTP/1.1"));
    };
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        _ => {
            let detail = "the method is not supported; use GET or HEAD";
            return Err(Problem::new(ProblemCode::MethodNotAllowed, detail));
        }
    };
    let values = |name: &str| {
        let matching = parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        matching.map(|field| field.value).collect::<Vec<_>>()
    };
    if values("transfer-encoding") != [b""; 0] || values("content-length").iter().any(|v| v != b"0")
    {
        let detail = "a request must not have a body";
        return Err(Problem::new(ProblemCode::BodyRefused, detail));
    }
    // RFC 9112 §3.2: exactly one Host field, for HTTP/1.1.
    let hosts = values("host").len();
    if hosts > 1 || (hosts == 0 && version == 1) {
        let detail = "the request must have exactly one Host field";
        return Err(Problem::new(ProblemCode::BadRequest, detail));
    }
    let accept = values("accept").concat();
    let (target, authority) = split_target(target)?;
    Ok(Request {
        head_only,
        target,
        http_1_1: version == 1,
        wants_html: accept.windows(9).any(|w| w.eq_ignore_ascii_case(b"text/html")),
        preconditions: Preconditions {
            range: joined(&values("range")),
            if_range: joined(&values("if-range")),
            if_match: joined(&values("if-match")),
            if_none_match: joined(&values("if-none-match")),
        },
        provenance: Provenance {
            host: authority.or_else(|| joined(&values("host"))),
            origin: joined(&values("origin")),
            fetch_site: joined(&values("sec-fetch-site")),
            fetch_mode: joined(&values("sec-fetch-mode")),
            fetch_dest: joined(&values("sec-fetch-dest")),
            user_agent: joined(&values("user-agent")),
            cookie: joined(&values("cookie")).map(Secret::new),
            authorization: joined(&values("authorization")).map(Secret::new),
            x_forwarded_for: joined(&values("x-forwarded-for")),
            forwarded: joined(&values("forwarded")),
            is_proxied: parsed.headers.iter().any(|field| is_of_proxy(field.name)),
        },
    })
}

/// Returns whether only proxies send this field.
fn is_of_proxy(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-forwarded") || ["forwarded", "via", "x-real-ip"].contains(&name.as_str())
}

/// Joins the values of a field by commas; `None` without any.
fn joined(values: &[&[u8]]) -> Option<String> {
    let list = values.join(&b","[..]);
    (!values.is_empty()).then(|| String::from_utf8_lossy(&list).trim().to_owned())
}

/// Returns a request target in origin-form, and its authority if it is in absolute-form, which a server must
/// also accept, and prefer to Host (RFC 9112 §3.2.2).
fn split_target(target: &str) -> Result<(String, Option<String>), Problem> {
    let (path, authority) = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (if path.is_empty() { "/" } else { path }, Some(authority.to_owned()))
        }
        _ => (target, None),
    };
    if path.starts_with('/') {
        return Ok((path.to_owned(), authority));
    }
    Err(Problem::new(
        ProblemCode::BadRequest,
        "the request target must be a path that begins with /",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(head: &str) -> (u16, &'static str) {
        let problem = parse_request(head.as_bytes()).unwrap_err();
        (problem.status, problem.code.as_str())
    }

    #[test]
    fn a_browsers_request_is_understood() {
        let head = "GET /mux?video=x HTTP/1.1\r\nHost: a\r\naccept: text/html,*/*\r\n\r\n";
        let request = parse_request(head.as_bytes()).unwrap();
        assert_eq!(request.target, "/mux?video=x");
        assert!(request.http_1_1 && request.wants_html && !request.head_only);
        let request = parse_request(b"HEAD http://a:80/x HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(request.target, "/x");
        assert_eq!(request.provenance.host.as_deref(), Some("a:80"));
        assert!(request.head_only && !request.http_1_1 && !request.wants_html);
    }

    #[test]
    fn everything_else_gets_one_clear_answer() {
        assert_eq!(code("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), (405, "method-not-allowed"));
        assert_eq!(code("GET / HTTP/2.0\r\n\r\n"), (505, "http-version"));
        assert_eq!(code("PRI * HTTP/2.0\r\n\r\n"), (505, "http-version"));
        assert_eq!(code("GET / HTTP/1.1\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("\0\0\0\r\n\r\n"), (400, "bad-request"));
        let body = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000\r\n\r\n";
        assert_eq!(code(body), (400, "body-refused"));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(100));
        assert_eq!(code(&many), (431, "head-too-large"));
    }

    proptest! {
        #[test]
        fn no_head_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            parse_request(&bytes).ok();
            parse_request(&[b"GET /", &bytes[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).ok();
        }

        #[test]
        fn the_end_is_found_however_the_head_arrives(cut in 0usize..40) {
            let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore behind it";
            let cut = cut.min(head.len());
            let found = end_of_head(&head[..cut], 0).or_else(|| end_of_head(head, cut));
            prop_assert_eq!(found, Some(27));
        }
    }
}
