//! Parses the head of a request. Pure.
//!
//! **Invariant:** knows no routes.

use std::ops::Range;

use crate::access::{Provenance, Secret};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::range;

/// A GET or HEAD request without a body, a POST request with a form, or a request with another method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether the method is HEAD.
    pub head_only: bool,
    /// The body of a POST request: a form (`application/x-www-form-urlencoded`); `None` for other methods.
    pub form: Option<String>,
    /// Whether the method is another one, which no path has. The body of such a request is not read.
    pub has_other_method: bool,
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
    /// Returns the method.
    pub fn method(&self) -> &'static str {
        match (&self.form, self.head_only) {
            (Some(_), _) => "POST",
            (None, true) => "HEAD",
            (None, false) => "GET",
        }
    }

    /// Returns the request of the same client for one file of several: for its head alone, or for these bytes of it.
    pub fn for_file(&self, head_only: bool, range: Option<&Range<u64>>) -> Request {
        let range = range.map(range::format_range);
        let preconditions = Preconditions { range, ..Preconditions::default() };
        Request { head_only, preconditions, ..self.clone() }
    }

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

/// The maximum number of header fields.
const MAX_FIELDS: usize = 64;
/// The maximum length of a form.
const MAX_FORM: usize = 1 << 10;
/// Parses a complete request head; the form of a POST is not part of it.
pub fn parse_request(bytes: &[u8]) -> Result<Request, Problem> {
    parse_head(bytes).map(|(request, _)| request)
}

/// Parses a complete request head; returns it with the length of the form behind it.
pub(super) fn parse_head(bytes: &[u8]) -> Result<(Request, usize), Problem> {
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
    let has_other_method = !matches!(method, "GET" | "HEAD" | "POST");
    if has_other_method && split_target(target).is_err() {
        let detail = "the method is not supported; use GET or HEAD";
        return Err(Problem::new(ProblemCode::MethodNotAllowed, detail));
    }
    let values = |name: &str| {
        let matching = parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        matching.map(|field| field.value).collect::<Vec<_>>()
    };
    let lengths = values("content-length");
    let form_len = if values("transfer-encoding").is_empty() { body_len(&lengths) } else { None };
    let is_form =
        method == "POST" && matches!(values("content-type")[..], [value] if is_form(value));
    let form_len = if has_other_method { Some(0) } else { form_len };
    let form_len = form_len.filter(|len| *len == 0 || (is_form && *len <= MAX_FORM)).ok_or_else(|| {
        let detail = "a request must not have a body, other than a form of at most 1 KiB with its Content-Length";
        Problem::new(ProblemCode::BodyRefused, detail)
    })?;
    // RFC 9112 §3.2: exactly one Host field, for HTTP/1.1.
    let hosts = values("host").len();
    if hosts > 1 || (hosts == 0 && version == 1) {
        let detail = "the request must have exactly one Host field";
        return Err(Problem::new(ProblemCode::BadRequest, detail));
    }
    let accept = values("accept").concat();
    let (target, authority) = split_target(target)?;
    let request = Request {
        head_only: method == "HEAD",
        form: (method == "POST").then(String::new),
        has_other_method,
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
            x_forwarded_proto: joined(&values("x-forwarded-proto")),
            forwarded: joined(&values("forwarded")),
            request_id: joined(&values("x-request-id")),
            is_proxied: parsed.headers.iter().any(|field| is_of_proxy(field.name)),
        },
    };
    Ok((request, form_len))
}

/// Returns the length of a body by the values of Content-Length: 0 without any, `None` if they are invalid.
fn body_len(values: &[&[u8]]) -> Option<usize> {
    match values {
        [] => Some(0),
        [first, rest @ ..] if rest.iter().all(|value| value == first) => {
            range::decimal(first).and_then(|len| usize::try_from(len).ok())
        }
        _ => None,
    }
}

/// Returns whether a value of Content-Type is that of forms.
fn is_form(value: &[u8]) -> bool {
    let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
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
    fn a_form_has_its_length() {
        let parsed = |fields: &str| {
            let head = format!("POST /login HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let (request, len) = parse_head(head.as_bytes()).unwrap();
            assert!(request.form.is_some() && !request.head_only);
            len
        };
        let form = "content-type: Application/x-www-form-urlencoded; charset=UTF-8\r\n";
        assert_eq!(parsed(&format!("{form}Content-Length: 1024\r\n")), 1024);
        assert_eq!(parsed(&format!("{form}Content-Length: 7\r\nContent-Length: 7\r\n")), 7);
        assert_eq!(parsed(form), 0);
        assert_eq!(parsed("Content-Length: 0\r\n"), 0);
    }

    #[test]
    fn everything_else_gets_one_clear_answer() {
        assert_eq!(code("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), (405, "method-not-allowed"));
        let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        assert!(parse_request(put.as_bytes()).unwrap().has_other_method);
        assert_eq!(code("GET / HTTP/2.0\r\n\r\n"), (505, "http-version"));
        assert_eq!(code("PRI * HTTP/2.0\r\n\r\n"), (505, "http-version"));
        assert_eq!(code("GET / HTTP/1.1\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n"), (400, "bad-request"));
        assert_eq!(code("\0\0\0\r\n\r\n"), (400, "bad-request"));
        let body = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000\r\n\r\n";
        assert_eq!(code(body), (400, "body-refused"));
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        for fields in [
            "Content-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Type: multipart/form-data; boundary=a\r\n",
            &format!("Content-Length: 1025\r\n{form}"),
            &format!("Content-Length: 18446744073709551617\r\n{form}"),
            &format!("Content-Length: 5\r\nContent-Length: 6\r\n{form}"),
            &format!("Content-Length: 5, 5\r\n{form}"),
            &format!("Content-Length: -5\r\n{form}"),
            &format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n{form}"),
            &format!("Transfer-Encoding: chunked\r\n{form}"),
            &format!("Content-Length: 5\r\n{form}{form}"),
        ] {
            let post = format!("POST /login HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            assert_eq!(code(&post), (400, "body-refused"), "{fields}");
        }
        let get = format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{form}\r\n");
        assert_eq!(code(&get), (400, "body-refused"));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(100));
        assert_eq!(code(&many), (431, "head-too-large"));
    }

    proptest! {
        #[test]
        fn no_head_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            parse_request(&bytes).ok();
            parse_request(&[b"GET /", &bytes[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).ok();
        }
    }
}
