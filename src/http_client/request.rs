//! Sends one range request to an upstream, and receives its response: header fields, connections
//! and redirects.
//!
//! A [`RangeRequest`] becomes a [`SentRequest`] where a pooled connection is available, and either
//! becomes a [`RangeResponse`].

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ureq::http::{Method, Request, request};
use url::Url;

use crate::cancel::CancelToken;
use crate::error::UpstreamError;
use crate::http_client::body::RangeBody;
use crate::http_client::exchange::{Exchange, Framing, Response};
use crate::http_client::upstream_client::UpstreamClient;
use crate::http_client::validate::{Expectation, is_page};
use crate::media::remote_file::RemoteFile;
use crate::media::{Cookie, RemoteLocation, cookie_field};
use crate::range;

/// Maximum number of redirects followed for one request.
const MAX_REDIRECTS: usize = 5;

/// A request with everything that sending it takes, on any thread.
pub(crate) struct RangeRequest<'u> {
    pub(crate) upstream: &'u UpstreamClient,
    pub(crate) cancel: Arc<CancelToken>,
    pub(crate) location: Arc<RemoteLocation>,
    /// URL of an earlier response, after redirects.
    pub(crate) effective_url: Option<Url>,
    /// The requested bytes; `None` for the full file.
    pub(crate) range: Option<Range<u64>>,
    /// The file that the response must match.
    pub(crate) file: Option<RemoteFile>,
    /// Whether to send its validator in If-Range (RFC 9110 §13.1.5).
    pub(crate) send_if_range: bool,
    /// Whether a pooled connection may be used.
    pub(crate) may_reuse: bool,
}

/// A request that was sent, and whose response is still to be received.
pub(crate) struct SentRequest<'u> {
    request: RangeRequest<'u>,
    exchange: Exchange,
    sent_at: Instant,
}

/// A response that was validated against its request.
pub(crate) struct RangeResponse {
    pub(crate) body: RangeBody,
    pub(crate) file: RemoteFile,
    /// Whether the body extends beyond the requested range.
    pub(crate) is_more: bool,
    /// Whether the response is labelled as a web page. Some scripts label everything like that.
    pub(crate) is_page: bool,
    /// Cookies that the response sets, and the redirects before it.
    pub(crate) cookies: Vec<Cookie>,
    /// URL of the response, after redirects.
    pub(crate) url: Url,
}

impl<'u> RangeRequest<'u> {
    /// Sends the request on a pooled connection, without waiting for the response; returns the
    /// request if there is no such connection.
    pub(crate) fn send(self) -> Result<SentRequest<'u>, Box<RangeRequest<'u>>> {
        let sent_at = Instant::now();
        match self.send_pooled(&Method::GET, self.url()) {
            Some(exchange) => Ok(SentRequest { request: self, exchange, sent_at }),
            None => Err(Box::new(self)),
        }
    }

    /// Sends the request and waits for the response.
    pub(crate) fn fetch(self) -> Result<RangeResponse, UpstreamError> {
        self.receive(None, Instant::now())
    }

    /// Receives the response of the request, which may have been sent already; follows redirects
    /// and validates the response.
    fn receive(
        self,
        mut sent: Option<Exchange>,
        sent_at: Instant,
    ) -> Result<RangeResponse, UpstreamError> {
        let mut url = self.url().clone();
        let mut cookies = Vec::new();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.respond(&Method::GET, &url, sent.take())?;
            let fields = response.headers().get_all(header::SET_COOKIE).iter();
            cookies.extend(fields.filter_map(|field| Cookie::from_set_cookie(field, &url)));
            if matches!(response.head.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                url = next_hop(&url, response.headers())?;
                if matches!(response.framing, Framing::Length(0)) && response.is_persistent() {
                    self.upstream.pool.put_back(response.connection);
                }
                continue;
            }
            let head = &response.head;
            let expectation = Expectation {
                range: self.range.clone(),
                file: self.file.as_ref(),
                if_range_sent: self.if_range().is_some(),
            };
            let status = head.status().as_u16();
            let (file, body_range) =
                expectation.validate(status, head.version(), head.headers())?;
            let is_page = is_page(head.headers());
            let body = RangeBody::new(response, body_range, self.upstream, sent_at);
            let requested_end = self.range.as_ref().map(|range| range.end);
            let is_more =
                body.end.zip(requested_end).is_some_and(|(end, requested)| end > requested);
            return Ok(RangeResponse { body, file, is_more, is_page, cookies, url });
        }
        Err(UpstreamError::Redirect("it redirected more than 5 times"))
    }

    /// Sends a HEAD request and returns the Content-Length of the response.
    pub(crate) fn head_len(&self) -> Option<u64> {
        let response = self.respond(&Method::HEAD, self.url(), None).ok()?;
        let len = response.headers().get(header::CONTENT_LENGTH)?.as_bytes();
        range::decimal(len).filter(|_| response.head.status() == 200)
    }

    /// Returns the response of one exchange with `url`, which `sent` has begun if it is given.
    fn respond(
        &self,
        method: &Method,
        url: &Url,
        sent: Option<Exchange>,
    ) -> Result<Response, UpstreamError> {
        let limit = self.upstream.stall_timeout;
        if let Some(exchange) = sent.or_else(|| self.send_pooled(method, url)) {
            match exchange.receive(limit) {
                Ok(response) => return Ok(response),
                Err(error) if error.is_timeout() || self.cancel.is_cancelled() => {
                    return Err(error.into_fault(limit));
                }
                // The connection may have been closed while the request was on its way, or be
                // broken in another way. The request may be sent again (RFC 9112 §9.3.1).
                Err(_) => {}
            }
        }
        let request = self.build(method, url)?;
        let connection = self.upstream.connect(url, &self.cancel)?;
        Exchange::send(connection, request, limit)
            .and_then(|exchange| exchange.receive(limit))
            .map_err(|error| error.into_fault(limit))
    }

    /// Sends the request on a pooled connection; `None` if there is none, or if it turns out to be
    /// closed.
    fn send_pooled(&self, method: &Method, url: &Url) -> Option<Exchange> {
        // A thread that outlives its stream takes no connection away from another one.
        if !self.may_reuse || self.cancel.is_cancelled_cheap() {
            return None;
        }
        let connection = self.upstream.pool.checkout(&url.origin(), &self.cancel)?;
        let request = self.build(method, url).ok()?;
        Exchange::send(connection, request, self.upstream.stall_timeout).ok()
    }

    /// Returns the URL to send the request to.
    fn url(&self) -> &Url {
        self.effective_url.as_ref().unwrap_or(&self.location.url)
    }

    fn build(&self, method: &Method, url: &Url) -> Result<Request<()>, UpstreamError> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if *method == Method::GET
            && let Some(range) = &self.range
        {
            request = request.header(header::RANGE, range::format_range(range));
            if let Some(validator) = self.if_range() {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let request = self.with_fields(request, url).body(());
        request.map_err(|_| UpstreamError::Protocol("its URL is invalid".into()))
    }

    /// Adds the header fields and cookies of the location, and what it leaves open.
    fn with_fields(&self, mut request: request::Builder, url: &Url) -> request::Builder {
        let elsewhere = url.origin() != self.location.url.origin();
        for (name, value) in &self.location.headers {
            if is_controlled(name) || (elsewhere && is_credential(name)) {
                continue;
            }
            request = request.header(name, value);
        }
        if let Some(cookies) = cookie_field(&self.location.cookies, url) {
            request = request.header(header::COOKIE, cookies);
        }
        let defaults = [
            (header::USER_AGENT, concat!("ytcanal/", env!("CARGO_PKG_VERSION"))),
            (header::ACCEPT, "*/*"),
            // A compressed body would hide the length.
            (header::ACCEPT_ENCODING, "identity"),
        ];
        for (name, value) in defaults {
            if request.headers_ref().is_some_and(|headers| !headers.contains_key(&name)) {
                request = request.header(name, value);
            }
        }
        request
    }

    /// Returns the validator for If-Range, if the field is sent.
    fn if_range(&self) -> Option<&HeaderValue> {
        let file = self.file.as_ref().filter(|_| self.send_if_range && self.range.is_some())?;
        file.validators.best().filter(|_| !file.validators_vary)
    }
}

impl SentRequest<'_> {
    /// Returns whether the response has begun to arrive, now or within `limit`.
    pub(crate) fn poll(&self, limit: Duration) -> bool {
        self.exchange.poll(limit)
    }

    /// Receives the response.
    pub(crate) fn receive(self) -> Result<RangeResponse, UpstreamError> {
        self.request.receive(Some(self.exchange), self.sent_at)
    }
}

/// Returns whether a location may not set this field, which decides what is sent and how it is
/// framed.
fn is_controlled(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::ACCEPT_ENCODING,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ]
    .contains(name)
}

/// Returns whether the field is withheld from other hosts that a redirect leads to: its name tells that it may
/// prove who asks, as X-Api-Key does.
pub(crate) fn is_credential(name: &HeaderName) -> bool {
    const WORDS: [&str; 9] = [
        "auth",
        "cookie",
        "credential",
        "key",
        "password",
        "secret",
        "session",
        "signature",
        "token",
    ];
    WORDS.iter().any(|word| name.as_str().contains(word))
}

/// Returns the target of a redirect, if it is safe to follow.
fn next_hop(from: &Url, headers: &HeaderMap) -> Result<Url, UpstreamError> {
    let to = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| from.join(value).ok())
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or(UpstreamError::Redirect(
            "it redirected to an invalid URL or one that is not http or https",
        ))?;
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(UpstreamError::Redirect("it redirected from https to http"));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(UpstreamError::Redirect("it redirected to a URL with credentials"));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_may_be_secret_are_recognised() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "X-Api-Key",
            "X-Auth-User",
            "X-CSRF-Token",
            "X-Session-Id",
            "X-Amz-Signature",
            "Client-Secret",
        ] {
            assert!(is_credential(&name.parse().unwrap()), "{name}");
        }
        for name in [
            "User-Agent",
            "Referer",
            "Origin",
            "Accept-Language",
            "Sec-Fetch-Mode",
            "X-Forwarded-For",
        ] {
            assert!(!is_credential(&name.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn redirects_lead_only_to_safe_places() {
        let hop = |from: &str, to: &str| {
            let headers = HeaderMap::from_iter([(header::LOCATION, to.parse().unwrap())]);
            next_hop(&from.parse().unwrap(), &headers).map(|url| url.to_string()).ok()
        };
        assert_eq!(hop("http://a/x", "y").as_deref(), Some("http://a/y"));
        assert_eq!(hop("http://a/x", "https://b/").as_deref(), Some("https://b/"));
        assert_eq!(hop("https://a/x", "//c/").as_deref(), Some("https://c/"));
        for to in ["http://b/", "ftp://b/", "file:///etc/passwd", "https://u:p@b/", "https:///"] {
            assert_eq!(hop("https://a/x", to), None, "{to}");
        }
    }
}
