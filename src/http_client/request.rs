//! One question to an upstream: redirects, header fields, and what it means when there is no
//! answer.

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
use crate::http_client::upstream_client::UpstreamClient;
use crate::http_client::validate::{BodyRange, Expectation, RemoteFile};
use crate::media::{RemoteLocation, cookie_field};
use crate::net::address_policy::Refused;
use crate::range;

/// Redirects that are followed for one question.
const MAX_REDIRECTS: usize = 5;

/// A question, with all that it takes to ask it, on whatever thread.
pub(crate) struct RangeRequest<'u> {
    pub(crate) upstream: &'u UpstreamClient,
    pub(crate) client: Arc<HttpClient>,
    pub(crate) location: Arc<RemoteLocation>,
    /// Where an earlier answer really came from.
    pub(crate) effective_url: Option<Url>,
    /// The bytes that are wanted; `None` for all of them, in one go.
    pub(crate) range: Option<Range<u64>>,
    /// What the answer must agree with.
    pub(crate) file: Option<RemoteFile>,
    /// Whether to say that, too, in an If-Range field.
    pub(crate) if_range: bool,
    /// When it was put, if it was.
    pub(crate) sent_at: Option<Instant>,
}

/// An answer that is what was asked for.
pub(crate) struct RangeResponse {
    pub(crate) body: RangeBody,
    pub(crate) file: RemoteFile,
    /// Whether it goes on behind what was asked for.
    pub(crate) is_more: bool,
    /// Where it came from.
    pub(crate) url: Url,
}

impl RangeRequest<'_> {
    /// Asks without waiting for the answer, if a connection is there for it that was kept: whether
    /// that was so. It is to be asked again, for the answer.
    pub(crate) fn send_only(&mut self) -> bool {
        self.client.io_guard.set_idle();
        let now = Instant::now();
        let url = self.effective_url.as_ref().unwrap_or(&self.location.url);
        // That ureq misses its answer is in order.
        let was_put = self.client.pool.send_only(|| drop(self.request(url).call()));
        self.sent_at = was_put.then_some(now);
        was_put
    }

    /// Asks, and follows redirects.
    pub(crate) fn send(self) -> Result<RangeResponse, UpstreamError> {
        let asked = self.sent_at.unwrap_or_else(|| {
            self.client.pool.drop_sent();
            Instant::now()
        });
        self.client.io_guard.set_idle();
        let first = &self.location.url;
        let mut url = self.effective_url.as_ref().unwrap_or(first).clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(&url)?;
            if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                url = next_hop(&url, response.headers())?;
                continue;
            }
            let (file, extent) = judge(&response, &self)?;
            let is_bare = url.scheme() == "http" && is_bare(&response, extent);
            let connection = self.client.pool.last_connection().filter(|_| is_bare);
            let stays = is_keep_alive(&response);
            let body = response.into_body().into_reader();
            let io_guard = self.client.io_guard.clone();
            let part = RangeBody::new(body, extent, io_guard, self.upstream, asked);
            let part = part.on_connection(connection, stays);
            let asked = self.range.as_ref().map(|part| part.end);
            let is_more = part.end.zip(asked).is_some_and(|(end, asked)| end > asked);
            return Ok(RangeResponse { body: part, file, is_more, url });
        }
        Err(UpstreamError::Redirect("it redirected too often"))
    }

    /// The length that is said when nothing but the head of an answer is asked for.
    pub(crate) fn head_len(&self) -> Option<u64> {
        let url = self.effective_url.as_ref().unwrap_or(&self.location.url);
        let agent = &self.client.agent;
        let answer = self.with_fields(agent.head(url.as_str()), url).call().ok()?;
        let len = answer.headers().get(header::CONTENT_LENGTH)?.as_bytes();
        range::decimal(len).filter(|_| answer.status() == 200)
    }

    fn send_once(&self, url: &Url) -> Result<Response<Body>, UpstreamError> {
        let before = self.client.pool.reuse_count();
        let mut answer = self.request(url).call();
        // A connection from before may have been closed while the question was on its way, or be of
        // no use for another reason. A GET may be sent again (RFC 9112 §9.3.1).
        let failed = |error: &ureq::Error| !matches!(error, ureq::Error::Timeout(_));
        let was_kept = self.client.pool.reuse_count() > before;
        if answer.as_ref().is_err_and(failed) && was_kept && !self.client.io_guard.is_cancelled() {
            answer = self.request(url).call();
        }
        answer.map_err(|error| unreachable(error, self.upstream))
    }

    fn request(&self, url: &Url) -> RequestBuilder<WithoutBody> {
        let mut request = self.with_fields(self.client.agent.get(url.as_str()), url);
        if let Some(part) = &self.range {
            request = request.header(header::RANGE, range::format_range(part));
        }
        if let Some(validator) = self.expected() {
            request = request.header(header::IF_RANGE, validator);
        }
        request
    }

    /// With the fields and cookies of the location.
    fn with_fields(
        &self,
        mut request: RequestBuilder<WithoutBody>,
        url: &Url,
    ) -> RequestBuilder<WithoutBody> {
        let elsewhere = url.origin() != self.location.url.origin();
        for (name, value) in &self.location.headers {
            if is_ours(name) || (elsewhere && is_credential(name)) {
                continue;
            }
            request = request.header(name, value);
        }
        if let Some(cookies) = cookie_field(&self.location.cookies, url) {
            request = request.header(header::COOKIE, cookies);
        }
        request
    }

    /// What goes into If-Range, if it is sent.
    fn expected(&self) -> Option<&HeaderValue> {
        let file = self.file.as_ref().filter(|_| self.if_range && self.range.is_some())?;
        file.validators.best().filter(|_| !file.wavers)
    }
}

fn judge(
    response: &Response<Body>,
    question: &RangeRequest<'_>,
) -> Result<(RemoteFile, BodyRange), UpstreamError> {
    let status = response.status().as_u16();
    let known = Expectation {
        part: question.range.clone(),
        file: question.file.as_ref(),
        if_range_sent: question.expected().is_some(),
    };
    known.validate(status, response.version(), response.headers())
}

/// Whether the bytes of the body are those of the file, and as many as its length says.
fn is_bare(response: &Response<Body>, extent: BodyRange) -> bool {
    let headers = response.headers();
    let len = headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    !is_coded && len.is_some() && len == extent.end.map(|end| end - extent.start)
}

/// Whether the connection is there for another question (RFC 9112 §9.3).
fn is_keep_alive(response: &Response<Body>) -> bool {
    let says_so = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    let mut all = response.headers().get_all(header::CONNECTION).iter();
    response.version() == Version::HTTP_11 && all.all(says_so)
}

/// Fields that say which bytes are wanted and how they travel: not for others to set.
fn is_ours(name: &HeaderName) -> bool {
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

/// Fields that are not for the hosts that a redirect leads to.
fn is_credential(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION].contains(name)
}

/// Where a redirect leads.
fn next_hop(from: &Url, headers: &HeaderMap) -> Result<Url, UpstreamError> {
    let to = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| from.join(value).ok())
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or(UpstreamError::Redirect(
            "it redirected to something that is not an http or https URL",
        ))?;
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(UpstreamError::Redirect("it redirected from https to http"));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(UpstreamError::Redirect("it redirected to a URL with a user name in it"));
    }
    Ok(to)
}

/// A text that others had a part in, at a length that can be shown.
pub(crate) fn shorten(text: String) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What ureq says before the first body byte, in our words. Its own may hold the URL.
fn unreachable(error: ureq::Error, upstream: &UpstreamClient) -> UpstreamError {
    let tls = |why: String| UpstreamError::Unreachable(shorten(format!("TLS: {why}")));
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            UpstreamError::Timeout(upstream.connecting(), upstream.connect_timeout)
        }
        ureq::Error::Timeout(_) => {
            UpstreamError::Timeout("while waiting for its answer", upstream.stall_timeout)
        }
        ureq::Error::HostNotFound => UpstreamError::Unreachable("its name was not found".into()),
        ureq::Error::ConnectionFailed => UpstreamError::Unreachable("connecting failed".into()),
        // Nothing but rustls calls it so.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            tls(error.to_string())
        }
        ureq::Error::Io(error) => UpstreamError::Unreachable(shorten(error.to_string())),
        ureq::Error::Tls(why) => tls(why.into()),
        ureq::Error::Rustls(error) => tls(error.to_string()),
        ureq::Error::Other(error) => match error.downcast::<Refused>() {
            Ok(refused) => UpstreamError::AddressRefused(refused.to_string()),
            Err(error) => UpstreamError::Unreachable(shorten(error.to_string())),
        },
        ureq::Error::BadUri(_) => UpstreamError::Protocol("its URL cannot be asked for".into()),
        error => UpstreamError::Protocol(shorten(error.to_string())),
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
