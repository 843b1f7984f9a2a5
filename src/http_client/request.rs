//! Sends one range request to an upstream: header fields, redirects, and the classification of
//! failures.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ureq::http::{Response, Version};
use ureq::typestate::WithoutBody;
use ureq::{Body, RequestBuilder, Timeout};
use url::Url;

use crate::error::UpstreamError;
use crate::http_client::body::RangeBody;
use crate::http_client::client::HttpClient;
use crate::http_client::remote_file::RemoteFile;
use crate::http_client::upstream_client::UpstreamClient;
use crate::http_client::validate::{BodyRange, Expectation};
use crate::media::{RemoteLocation, cookie_field};
use crate::net::address_policy::Refused;
use crate::range;
use crate::text;

/// Maximum number of redirects followed for one request.
const MAX_REDIRECTS: usize = 5;

/// A request with everything that sending it takes, on any thread.
pub(crate) struct RangeRequest<'u> {
    pub(crate) upstream: &'u UpstreamClient,
    pub(crate) client: Arc<HttpClient>,
    pub(crate) location: Arc<RemoteLocation>,
    /// URL of an earlier response, after redirects.
    pub(crate) effective_url: Option<Url>,
    /// The requested bytes; `None` for the full file.
    pub(crate) range: Option<Range<u64>>,
    /// The file that the response must match.
    pub(crate) file: Option<RemoteFile>,
    /// Whether to send its validator in If-Range (RFC 9110 §13.1.5).
    pub(crate) send_if_range: bool,
    /// When the request was sent ahead of its response, if it was.
    pub(crate) sent_at: Option<Instant>,
}

/// A response that was validated against its request.
pub(crate) struct RangeResponse {
    pub(crate) body: RangeBody,
    pub(crate) file: RemoteFile,
    /// Whether the body extends beyond the requested range.
    pub(crate) is_more: bool,
    /// URL of the response, after redirects.
    pub(crate) url: Url,
}

impl RangeRequest<'_> {
    /// Sends the request on a pooled connection without waiting for the response; returns whether a
    /// connection was available. [`send`](RangeRequest::send) then receives the response.
    pub(crate) fn send_only(&mut self) -> bool {
        self.client.io_guard.set_idle();
        let now = Instant::now();
        let url = self.effective_url.as_ref().unwrap_or(&self.location.url);
        // ureq fails for want of a response, which is expected.
        let was_sent = self.client.pool.send_only(|| drop(self.request(url).call()));
        self.sent_at = was_sent.then_some(now);
        was_sent
    }

    /// Sends the request, follows redirects and validates the response.
    pub(crate) fn send(self) -> Result<RangeResponse, UpstreamError> {
        let sent_at = self.sent_at.unwrap_or_else(|| {
            self.client.pool.drop_sent();
            Instant::now()
        });
        self.client.io_guard.set_idle();
        let origin_url = &self.location.url;
        let mut url = self.effective_url.as_ref().unwrap_or(origin_url).clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(&url)?;
            if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                url = next_hop(&url, response.headers())?;
                continue;
            }
            let (file, body_range) = judge(&response, &self)?;
            let is_raw = url.scheme() == "http" && is_raw(&response, body_range);
            let connection = self.client.pool.last_connection().filter(|_| is_raw);
            let is_persistent = is_keep_alive(&response);
            let body = response.into_body().into_reader();
            let io_guard = self.client.io_guard.clone();
            let body = RangeBody::new(body, body_range, io_guard, self.upstream, sent_at);
            let body = body.on_connection(connection, is_persistent);
            let requested_end = self.range.as_ref().map(|range| range.end);
            let is_more =
                body.end.zip(requested_end).is_some_and(|(end, requested)| end > requested);
            return Ok(RangeResponse { body, file, is_more, url });
        }
        Err(UpstreamError::Redirect("it redirected more than 5 times"))
    }

    /// Sends a HEAD request and returns the Content-Length of the response.
    pub(crate) fn head_len(&self) -> Option<u64> {
        let url = self.effective_url.as_ref().unwrap_or(&self.location.url);
        let agent = &self.client.agent;
        let response = self.with_fields(agent.head(url.as_str()), url).call().ok()?;
        let len = response.headers().get(header::CONTENT_LENGTH)?.as_bytes();
        range::decimal(len).filter(|_| response.status() == 200)
    }

    fn send_once(&self, url: &Url) -> Result<Response<Body>, UpstreamError> {
        let reuse_count = self.client.pool.reuse_count();
        let mut response = self.request(url).call();
        // A pooled connection may have been closed while the request was on its way, or be broken
        // in another way. A GET may be sent again (RFC 9112 §9.3.1).
        let failed = |error: &ureq::Error| !matches!(error, ureq::Error::Timeout(_));
        let was_reused = self.client.pool.reuse_count() > reuse_count;
        if response.as_ref().is_err_and(failed)
            && was_reused
            && !self.client.io_guard.is_cancelled()
        {
            response = self.request(url).call();
        }
        response.map_err(|error| unreachable(error, self.upstream))
    }

    fn request(&self, url: &Url) -> RequestBuilder<WithoutBody> {
        let mut request = self.with_fields(self.client.agent.get(url.as_str()), url);
        if let Some(range) = &self.range {
            request = request.header(header::RANGE, range::format_range(range));
        }
        if let Some(validator) = self.expected() {
            request = request.header(header::IF_RANGE, validator);
        }
        request
    }

    /// Adds the header fields and cookies of the location.
    fn with_fields(
        &self,
        mut request: RequestBuilder<WithoutBody>,
        url: &Url,
    ) -> RequestBuilder<WithoutBody> {
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
        request
    }

    /// Returns the validator for If-Range, if the field is sent.
    fn expected(&self) -> Option<&HeaderValue> {
        let file = self.file.as_ref().filter(|_| self.send_if_range && self.range.is_some())?;
        file.validators.best().filter(|_| !file.validators_vary)
    }
}

fn judge(
    response: &Response<Body>,
    request: &RangeRequest<'_>,
) -> Result<(RemoteFile, BodyRange), UpstreamError> {
    let status = response.status().as_u16();
    let expectation = Expectation {
        range: request.range.clone(),
        file: request.file.as_ref(),
        if_range_sent: request.expected().is_some(),
    };
    expectation.validate(status, response.version(), response.headers())
}

/// Returns whether the bytes of the body are the bytes of the file, as many as Content-Length says.
fn is_raw(response: &Response<Body>, body_range: BodyRange) -> bool {
    let headers = response.headers();
    let len = headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    !is_coded && len.is_some() && len == body_range.end.map(|end| end - body_range.start)
}

/// Returns whether the connection persists after the response (RFC 9112 §9.3).
fn is_keep_alive(response: &Response<Body>) -> bool {
    let says_so = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    let mut all = response.headers().get_all(header::CONNECTION).iter();
    response.version() == Version::HTTP_11 && all.all(says_so)
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

/// Returns whether the field is withheld from other hosts that a redirect leads to.
fn is_credential(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION].contains(name)
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

/// Shortens a text of foreign origin to a length fit for a message.
pub(crate) fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    text::one_line(text, MAX_CHARS)
}

/// Classifies a ureq error before the first body byte. ureq's own messages may hold the URL.
fn unreachable(error: ureq::Error, upstream: &UpstreamClient) -> UpstreamError {
    let tls = |why: String| UpstreamError::Unreachable(shorten(&format!("TLS: {why}")));
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            UpstreamError::Timeout(upstream.connecting(), upstream.connect_timeout)
        }
        ureq::Error::Timeout(_) => {
            UpstreamError::Timeout("while waiting for its response", upstream.stall_timeout)
        }
        ureq::Error::HostNotFound => UpstreamError::Unreachable("host name not found".into()),
        ureq::Error::ConnectionFailed => UpstreamError::Unreachable("connection failed".into()),
        // Only rustls uses this kind.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            tls(error.to_string())
        }
        ureq::Error::Io(error) => UpstreamError::Unreachable(shorten(&error.to_string())),
        ureq::Error::Tls(why) => tls(why.into()),
        ureq::Error::Rustls(error) => tls(error.to_string()),
        ureq::Error::Other(error) => match error.downcast::<Refused>() {
            Ok(refused) => UpstreamError::AddressRefused(refused.to_string()),
            Err(error) => UpstreamError::Unreachable(shorten(&error.to_string())),
        },
        ureq::Error::BadUri(_) => UpstreamError::Protocol("its URL is invalid".into()),
        error => UpstreamError::Protocol(shorten(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
