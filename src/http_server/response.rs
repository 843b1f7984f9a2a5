//! Builds small responses: pages, metrics, problems. tiny_http serialises them; [`ClientConnection`] sends
//! them.
//!
//! [`ClientConnection`]: super::client::ClientConnection

use std::io;

use tiny_http::{HTTPVersion, Header, StatusCode};

use super::request::Request;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::request_id::RequestId;
use crate::text::field_value;

/// The value of the Server field.
pub(super) const SERVER: &str = concat!("ytcanal/", env!("CARGO_PKG_VERSION"));

/// The field that names the request.
pub(super) const REQUEST_ID: &str = "X-Request-Id";

/// The Content-Security-Policy of a problem as a page: it consists of text.
const PROBLEM_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// A response that fits in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Body,
}

/// The body of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Bytes(Vec<u8>),
    /// A problem, as JSON or as a page. It names the request, which is known when it is sent.
    Problem {
        problem: Problem,
        is_page: bool,
    },
}

impl Body {
    fn into_bytes(self, id: &RequestId) -> Vec<u8> {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Problem { problem, is_page: true } => problem_page(&problem, id),
            Body::Problem { problem, is_page: false } => problem_json(&problem, id),
        }
    }
}

impl Response {
    /// Returns a response with status 200.
    pub fn ok(content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        Response::new(200, content_type, body)
    }

    /// Returns a response with the fields that all responses have.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        Response { status, fields: Vec::new(), body: Body::Bytes(body.into()) }
            .with("Content-Type", content_type)
            .with("Cache-Control", "no-store")
            .with("X-Content-Type-Options", "nosniff")
    }

    /// Sets a field, replacing one of the same name.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, field_value(value.into())));
        self
    }

    /// Adds a field, also beside others of the same name.
    pub fn and(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.fields.push((name, field_value(value.into())));
        self
    }

    /// Returns a problem in the form that the client accepts: JSON (RFC 9457), or HTML for a browser.
    pub fn problem(problem: &Problem, wants_html: bool) -> Response {
        let response = if wants_html {
            Response::new(problem.status, "text/html; charset=utf-8", [])
                .with("Content-Security-Policy", PROBLEM_CSP)
                // The URL may contain a link, which may be signed.
                .with("Referrer-Policy", "no-referrer")
        } else {
            Response::new(problem.status, "application/problem+json", [])
        };
        let body = Body::Problem { problem: problem.clone(), is_page: wants_html };
        let response = Response { body, ..response };
        let response = match problem.retry_after {
            Some(seconds) => response.with("Retry-After", seconds.to_string()),
            None => response,
        };
        match problem.status {
            405 => response.with("Allow", "GET, HEAD"),
            _ => response,
        }
    }

    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| *known == name);
        field.map(|(_, value)| value.as_str())
    }

    /// Returns the body; it is empty if the response is a problem.
    pub fn body(&self) -> &[u8] {
        match &self.body {
            Body::Bytes(bytes) => bytes,
            Body::Problem { .. } => &[],
        }
    }

    /// Returns the code of the problem, if it is one.
    pub(super) fn problem_code(&self) -> Option<ProblemCode> {
        match &self.body {
            Body::Problem { problem, .. } => Some(problem.code),
            Body::Bytes(_) => None,
        }
    }

    /// Returns the response as sent, and how many bytes of it are the body.
    pub(super) fn print(
        self,
        request: Option<&Request>,
        id: &RequestId,
    ) -> io::Result<(Vec<u8>, usize)> {
        let http_1_1 = request.is_none_or(|request| request.http_1_1);
        let head_only = request.is_some_and(|request| request.head_only);
        let body = self.body.into_bytes(id);
        let len = body.len();
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain([("Server", SERVER), (REQUEST_ID, id.as_str())])
            .filter_map(|(name, value)| Header::from_bytes(name, value).ok())
            .collect();
        let mut bytes = Vec::with_capacity(len + 512);
        tiny_http::Response::new(StatusCode(self.status), fields, &body[..], Some(len), None)
            // Never chunked: the length is known and HTTP/1.0 has no chunks.
            .with_chunked_threshold(usize::MAX)
            .raw_print(
                &mut bytes,
                if http_1_1 { HTTPVersion(1, 1) } else { HTTPVersion(1, 0) },
                &[],
                head_only,
                None,
            )?;
        // tiny_http does not let callers set this field; every connection has one response.
        let status_line_end = bytes.windows(2).position(|w| w == b"\r\n").map_or(0, |at| at + 2);
        bytes.splice(status_line_end..status_line_end, *b"Connection: close\r\n");
        Ok((bytes, if head_only { 0 } else { len }))
    }
}

fn reason(status: u16) -> &'static str {
    StatusCode(status).default_reason_phrase()
}

fn problem_json(problem: &Problem, id: &RequestId) -> Vec<u8> {
    let mut json = serde_json::json!({
        // RFC 9457 §4.2.1: no more than the status; `code` is the extension that tells problems apart.
        "type": "about:blank",
        "title": reason(problem.status),
        "status": problem.status,
        "code": problem.code.as_str(),
        "detail": problem.detail,
        "request_id": id.as_str(),
    });
    if let Some(track) = problem.track {
        json["track"] = track.as_str().into();
    }
    let mut bytes = json.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

fn problem_page(problem: &Problem, id: &RequestId) -> Vec<u8> {
    let mut detail = escape_html(&problem.detail);
    if let Some(first) = detail.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let (status, reason, code) = (problem.status, reason(problem.status), problem.code);
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{reason}</title>\
         <style>:root{{color-scheme:light dark}}\
         body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem}}\
         </style>\n\
         <h1>{reason}</h1>\n<p>{detail}.</p>\n\
         <p><small>HTTP {status}, <code>{code}</code>, request <code>{id}</code></small></p>\n\
         <p><a href=\"/\">Back to the start</a></p>\n</html>\n"
    )
    .into_bytes()
}

/// Escapes text for HTML, attributes included.
pub fn escape_html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(response: Response) -> String {
        let id = RequestId::parse("abc").unwrap();
        String::from_utf8(response.print(None, &id).unwrap().0).unwrap()
    }

    #[test]
    fn a_problem_is_json_or_a_page() {
        let problem = Problem::new(ProblemCode::StreamsFull, "all <busy>").retry_after(10);
        let text = |html| printed(Response::problem(&problem, html));
        let json = text(false);
        assert!(json.starts_with("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"));
        assert!(json.contains("\r\nRetry-After: 10\r\n"), "{json}");
        assert!(json.contains("\"code\":\"streams-full\""), "{json}");
        assert!(json.contains("\r\nX-Request-Id: abc\r\n"), "{json}");
        assert!(json.contains("\"request_id\":\"abc\""), "{json}");
        let page = text(true);
        assert!(page.contains("All &lt;busy&gt;."), "{page}");
        assert!(page.contains("request <code>abc</code>"), "{page}");
    }

    #[test]
    fn a_field_is_there_once() {
        let response = Response::ok("text/plain", "x").with("Cache-Control", "no-cache");
        let head = printed(response);
        assert!(head.contains("\r\nCache-Control: no-cache\r\n"), "{head}");
        assert!(!head.contains("no-store"), "{head}");
    }

    #[test]
    fn a_long_body_is_not_chunked_for_anyone() {
        let response = Response::ok("text/plain", vec![b'x'; 100_000]);
        let head = &printed(response)[..400];
        assert!(head.contains("Content-Length: 100000\r\n"), "{head}");
        assert!(!head.contains("Transfer-Encoding"));
    }
}
