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

use super::address::Refused;
use super::judge::{Extent, File, Known};
use super::lane::Lane;
use super::part::Part;
use super::upstream::Upstream;
use crate::error::Fault;
use crate::media::{Location, cookie_field};
use crate::range;

/// Redirects that are followed for one question.
const MAX_REDIRECTS: usize = 5;

/// A question, with all that it takes to ask it, on whatever thread.
pub(super) struct Question<'u> {
    pub(super) upstream: &'u Upstream,
    pub(super) lane: Arc<Lane>,
    pub(super) location: Arc<Location>,
    /// Where an earlier answer really came from.
    pub(super) shortcut: Option<Url>,
    /// The bytes that are wanted; `None` for all of them, in one go.
    pub(super) part: Option<Range<u64>>,
    /// What the answer must agree with.
    pub(super) file: Option<File>,
    /// Whether to say that, too, in an If-Range field.
    pub(super) if_range: bool,
    /// When it was put, if it was.
    pub(super) put_at: Option<Instant>,
}

/// An answer that is what was asked for.
pub(super) struct Answer {
    pub(super) part: Part,
    pub(super) file: File,
    /// Whether it goes on behind what was asked for.
    pub(super) is_more: bool,
    /// Where it came from.
    pub(super) url: Url,
}

impl Question<'_> {
    /// Asks without waiting for the answer, if a connection is there for it that was kept: whether
    /// that was so. It is to be asked again, for the answer.
    pub(super) fn put(&mut self) -> bool {
        self.lane.waits.rest();
        let now = Instant::now();
        let url = self.shortcut.as_ref().unwrap_or(&self.location.url);
        // That ureq misses its answer is in order.
        let was_put = self.lane.lines.only(|| drop(self.request(url).call()));
        self.put_at = was_put.then_some(now);
        was_put
    }

    /// Asks, and follows redirects.
    pub(super) fn ask(self) -> Result<Answer, Fault> {
        let asked = self.put_at.unwrap_or_else(|| {
            self.lane.lines.forget_asked();
            Instant::now()
        });
        self.lane.waits.rest();
        let first = &self.location.url;
        let mut url = self.shortcut.as_ref().unwrap_or(first).clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask_at(&url)?;
            if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                url = next_hop(&url, response.headers())?;
                continue;
            }
            let (file, extent) = judge(&response, &self)?;
            let is_bare = url.scheme() == "http" && is_bare(&response, extent);
            let line = self.lane.lines.asked().filter(|_| is_bare);
            let stays = stays(&response);
            let body = response.into_body().into_reader();
            let waits = self.lane.waits.clone();
            let part = Part::new(body, extent, waits, self.upstream, asked);
            let part = part.on(line, stays);
            let asked = self.part.as_ref().map(|part| part.end);
            let is_more = part.end.zip(asked).is_some_and(|(end, asked)| end > asked);
            return Ok(Answer { part, file, is_more, url });
        }
        Err(Fault::Redirect("it redirected too often"))
    }

    /// The length that is said when nothing but the head of an answer is asked for.
    pub(super) fn head_len(&self) -> Option<u64> {
        let url = self.shortcut.as_ref().unwrap_or(&self.location.url);
        let agent = &self.lane.agent;
        let answer = self.with_fields(agent.head(url.as_str()), url).call().ok()?;
        let len = answer.headers().get(header::CONTENT_LENGTH)?.as_bytes();
        range::decimal(len).filter(|_| answer.status() == 200)
    }

    fn ask_at(&self, url: &Url) -> Result<Response<Body>, Fault> {
        let before = self.lane.lines.used_again();
        let mut answer = self.request(url).call();
        // A connection from before may have been closed while the question was on its way, or be of
        // no use for another reason. A GET may be sent again (RFC 9112 §9.3.1).
        let failed = |error: &ureq::Error| !matches!(error, ureq::Error::Timeout(_));
        let was_kept = self.lane.lines.used_again() > before;
        if answer.as_ref().is_err_and(failed) && was_kept && !self.lane.waits.is_over() {
            answer = self.request(url).call();
        }
        answer.map_err(|error| unreachable(error, self.upstream))
    }

    fn request(&self, url: &Url) -> RequestBuilder<WithoutBody> {
        let mut request = self.with_fields(self.lane.agent.get(url.as_str()), url);
        if let Some(part) = &self.part {
            request = request.header(header::RANGE, range::field(part));
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
            if is_ours(name) || (elsewhere && is_secret(name)) {
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
        let file = self.file.as_ref().filter(|_| self.if_range && self.part.is_some())?;
        file.validators.best().filter(|_| !file.wavers)
    }
}

fn judge(response: &Response<Body>, question: &Question<'_>) -> Result<(File, Extent), Fault> {
    let status = response.status().as_u16();
    let known = Known {
        part: question.part.clone(),
        file: question.file.as_ref(),
        if_range_sent: question.expected().is_some(),
    };
    known.judge(status, response.version(), response.headers())
}

/// Whether the bytes of the body are those of the file, and as many as its length says.
fn is_bare(response: &Response<Body>, extent: Extent) -> bool {
    let headers = response.headers();
    let len = headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    let is_coded = headers.contains_key(header::TRANSFER_ENCODING);
    !is_coded && len.is_some() && len == extent.end.map(|end| end - extent.start)
}

/// Whether the connection is there for another question (RFC 9112 §9.3).
fn stays(response: &Response<Body>) -> bool {
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
fn is_secret(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION].contains(name)
}

/// Where a redirect leads.
fn next_hop(from: &Url, headers: &HeaderMap) -> Result<Url, Fault> {
    let to = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| from.join(value).ok())
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or(Fault::Redirect("it redirected to something that is not an http or https URL"))?;
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(Fault::Redirect("it redirected from https to http"));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(Fault::Redirect("it redirected to a URL with a user name in it"));
    }
    Ok(to)
}

/// A text that others had a part in, at a length that can be shown.
pub(super) fn shortened(text: String) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What ureq says before the first body byte, in our words. Its own may hold the URL.
fn unreachable(error: ureq::Error, upstream: &Upstream) -> Fault {
    let tls = |why: String| Fault::Unreachable(shortened(format!("TLS: {why}")));
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            Fault::Timeout(upstream.connecting(), upstream.connect_timeout)
        }
        ureq::Error::Timeout(_) => {
            Fault::Timeout("while waiting for its answer", upstream.stall_timeout)
        }
        ureq::Error::HostNotFound => Fault::Unreachable("its name was not found".into()),
        ureq::Error::ConnectionFailed => Fault::Unreachable("connecting failed".into()),
        // Nothing but rustls calls it so.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            tls(error.to_string())
        }
        ureq::Error::Io(error) => Fault::Unreachable(shortened(error.to_string())),
        ureq::Error::Tls(why) => tls(why.into()),
        ureq::Error::Rustls(error) => tls(error.to_string()),
        ureq::Error::Other(error) => match error.downcast::<Refused>() {
            Ok(refused) => Fault::AddressRefused(refused.to_string()),
            Err(error) => Fault::Unreachable(shortened(error.to_string())),
        },
        ureq::Error::BadUri(_) => Fault::Protocol("its URL cannot be asked for".into()),
        error => Fault::Protocol(shortened(error.to_string())),
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
