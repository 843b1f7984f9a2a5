//! One track's bytes, from its upstream to whoever reads them.
//!
//! Owns the request to the upstream: redirects, the address policy, stalls, the proof that all
//! of it came. Must never know the muxer.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::Version;
use ureq::http::header::{self, HeaderMap, HeaderValue};
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, BodyReader, Timeout};
use url::Url;

use crate::config;
use crate::error::{Error, Fault};
use crate::media::{Kind, Track};
use crate::stop::Stop;

pub mod address;
mod wire;

use address::{Checked, Policy, Refused};
use wire::Patience;

/// Redirects that are followed for one track.
const MAX_REDIRECTS: usize = 5;
/// The buffer between the socket and the reader.
const SOCKET_BUFFER: usize = 128 << 10;
/// Bytes of a response head that are read at most. Behind an interim answer (1xx) ureq takes all
/// that is in the buffer for the head.
const MAX_RESPONSE_HEAD: usize = SOCKET_BUFFER;

/// How upstreams are treated: the same for every stream of a daemon.
#[derive(Debug, Clone)]
pub struct Upstream {
    policy: Policy,
    connect_timeout: Duration,
    stall_timeout: Duration,
    min_throughput: u64,
}

impl Upstream {
    /// As the configuration wants it.
    pub fn new(config: &config::Upstream) -> Upstream {
        Upstream {
            policy: Policy { allow: config.allow.clone(), deny: config.deny.clone() },
            connect_timeout: config.connect_timeout.0,
            stall_timeout: config.stall_timeout.0,
            min_throughput: config.min_throughput.0,
        }
    }

    /// An HTTP client for one track of one stream; its waits end with the stream.
    fn agent(&self, stop: &Arc<Stop>, patience: &Arc<Patience>) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed by hand, to look at each hop.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The environment's proxy is not ours to use: it would bypass the policy.
            .proxy(None)
            .user_agent(concat!("ytcanal/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            // A compressed body would hide the length.
            .accept_encoding("identity")
            .max_response_header_size(MAX_RESPONSE_HEAD)
            .input_buffer_size(SOCKET_BUFFER)
            .max_idle_connections(1)
            .timeout_connect(Some(self.connect_timeout))
            .timeout_send_request(Some(self.stall_timeout))
            .timeout_recv_response(Some(self.stall_timeout))
            // Per read: a total would forbid long films.
            .timeout_per_read(Some(self.stall_timeout))
            .build();
        let dial = wire::Dial { stop: stop.clone(), patience: patience.clone() };
        let connector = ().chain(dial).chain(RustlsConnector::default());
        Agent::with_parts(config, connector, Checked(self.policy.clone()))
    }
}

/// The reader of one track.
pub struct Source {
    track: Kind,
    body: BodyReader<'static>,
    announced: Option<u64>,
    received: u64,
    /// Bytes that were looked at but not yet taken.
    head: Vec<u8>,
    pace: Pace,
    patience: Arc<Patience>,
    stall_timeout: Duration,
}

impl Source {
    /// Asks the track's upstream for it and reads the answer's head.
    pub fn open(track: &Track, upstream: &Upstream, stop: &Arc<Stop>) -> Result<Source, Error> {
        let failed = |fault| Error::Upstream { track: track.kind, fault };
        let patience = Arc::new(Patience::default());
        let agent = upstream.agent(stop, &patience);
        let mut url = track.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer =
                agent.get(url.as_str()).call().map_err(|error| failed(fault(error, upstream)))?;
            let status = answer.status().as_u16();
            if matches!(status, 301 | 302 | 303 | 307 | 308) {
                url = next_hop(&url, answer.headers()).map_err(failed)?;
                continue;
            }
            let announced =
                proof_of_end(status, answer.version(), answer.headers()).map_err(failed)?;
            return Ok(Source {
                track: track.kind,
                body: answer.into_body().into_reader(),
                announced,
                received: 0,
                head: Vec::new(),
                pace: Pace::new(upstream.min_throughput, upstream.stall_timeout),
                patience,
                stall_timeout: upstream.stall_timeout,
            });
        }
        Err(failed(Fault::Redirect("it redirected too often")))
    }

    /// Which track this is.
    pub fn track(&self) -> Kind {
        self.track
    }

    /// Its length, when the upstream announced it.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The bytes looked at so far.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Looks at more bytes, up to `limit` in all; `false` when there are none to be had.
    pub fn look_further(&mut self, limit: usize) -> Result<bool, Error> {
        const STEP: usize = 16 << 10;
        let old = self.head.len();
        let wanted = STEP.min(limit.saturating_sub(old));
        self.head.resize(old + wanted, 0);
        let mut head = std::mem::take(&mut self.head);
        let count = self.fetch(&mut head[old..]);
        head.truncate(old + count.as_ref().copied().unwrap_or(0));
        self.head = head;
        Ok(count? > 0)
    }

    /// What was looked at, to be passed on before the first [`fetch`](Source::fetch).
    pub fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// The next bytes. 0 means that the track is complete, and nothing else (or that `buffer`
    /// is empty).
    pub fn fetch(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let failed = |fault| Error::Upstream { track: self.track, fault };
        let asked = Instant::now();
        self.patience.until(asked + self.stall_timeout);
        let count = self.body.read(buffer).map_err(|error| failed(self.reading_fault(&error)))?;
        self.received += count as u64;
        if let Err(rate) = self.pace.step(count, asked.elapsed()) {
            return Err(failed(Fault::Slow(rate)));
        }
        // ureq has checked this; a second look costs nothing and is what a clean end rests on.
        if count == 0 && !buffer.is_empty() && self.announced.is_some_and(|a| a != self.received) {
            let (received, announced) = (self.received, self.announced);
            return Err(failed(Fault::Cut { received, announced }));
        }
        Ok(count)
    }
}

impl Source {
    /// What a failed read means. ureq's own errors travel inside `io::Error`.
    fn reading_fault(&self, error: &io::Error) -> Fault {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(ureq::Error::Timeout(_)) => Fault::Timeout("while reading", self.stall_timeout),
            Some(ureq::Error::Protocol(error)) => Fault::Protocol(error.to_string()),
            _ => Fault::Cut { received: self.received, announced: self.announced },
        }
    }
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

/// Checks that the end of the answer can be told from a cut: by its length, or by the last
/// chunk of a chunked body (then `None`).
///
/// What ureq takes for a chunked body is not to be seen from outside, so this is stricter than
/// any reading of the standard: HTTP/1.1, and `chunked` alone. Were ureq to read until the
/// connection closes, a cut would pass for the end.
fn proof_of_end(status: u16, version: Version, headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    match status {
        200 => {}
        429 | 503 => return Err(Fault::Busy(status, retry_after(headers))),
        _ => return Err(Fault::Status(status)),
    }
    let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if all(header::CONTENT_ENCODING).iter().any(|value| !value.eq_ignore_ascii_case(b"identity")) {
        return Err(Fault::Encoded);
    }
    // When both are there the length is not what delimits the body, but must be right, too.
    let lengths = all(header::CONTENT_LENGTH);
    let announced = match lengths[..] {
        [] => None,
        [one] => Some(decimal(one).ok_or(Fault::LengthUnknown)?),
        _ => return Err(Fault::LengthUnknown),
    };
    match all(header::TRANSFER_ENCODING)[..] {
        [] if announced.is_some() => Ok(announced),
        [chunked] if version == Version::HTTP_11 && chunked.eq_ignore_ascii_case(b"chunked") => {
            Ok(announced)
        }
        _ => Err(Fault::LengthUnknown),
    }
}

/// A number of digits alone: `parse` would take a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Seconds after which the upstream wants to be asked again; a date is not worth a parser here.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// What ureq says before the first body byte, in our words. Its own may hold the URL.
fn fault(error: ureq::Error, upstream: &Upstream) -> Fault {
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            Fault::Timeout("while connecting", upstream.connect_timeout)
        }
        ureq::Error::Timeout(_) => {
            Fault::Timeout("while waiting for its answer", upstream.stall_timeout)
        }
        ureq::Error::HostNotFound => Fault::Unreachable("its name was not found".into()),
        ureq::Error::ConnectionFailed => Fault::Unreachable("connecting failed".into()),
        ureq::Error::Io(error) => Fault::Unreachable(error.to_string()),
        ureq::Error::Tls(why) => Fault::Unreachable(format!("TLS: {why}")),
        ureq::Error::Rustls(error) => Fault::Unreachable(format!("TLS: {error}")),
        ureq::Error::Other(error) => match error.downcast::<Refused>() {
            Ok(refused) => Fault::AddressRefused(refused.to_string()),
            Err(error) => Fault::Unreachable(error.to_string()),
        },
        ureq::Error::BadUri(_) => Fault::Protocol("its URL cannot be asked for".into()),
        error => Fault::Protocol(error.to_string()),
    }
}

/// Watches that an upstream keeps to a minimum throughput. Only the time spent waiting for it
/// counts: a client that reads slowly is not the upstream's fault.
#[derive(Debug)]
struct Pace {
    min_throughput: u64,
    window: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(min_throughput: u64, window: Duration) -> Pace {
        Pace { min_throughput, window, waited: Duration::ZERO, bytes: 0 }
    }

    /// Takes note of a read; the error is the rate when it was too low over a whole window.
    fn step(&mut self, count: usize, waited: Duration) -> Result<(), u64> {
        self.bytes += count as u64;
        self.waited += waited;
        if self.waited < self.window {
            return Ok(());
        }
        let millis = self.waited.as_millis().max(1);
        let rate = u64::try_from(u128::from(self.bytes) * 1000 / millis).unwrap_or(u64::MAX);
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        if rate < self.min_throughput { Err(rate) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_a_second_is_too_slow_however_steady() {
        let mut pace = Pace::new(1000, Duration::from_secs(10));
        let second = Duration::from_secs(1);
        let verdicts: Vec<_> = (0..10).map(|_| pace.step(1, second)).collect();
        assert!(verdicts[..9].iter().all(Result::is_ok));
        assert_eq!(verdicts[9], Err(1));
        // A quick one that we read slowly is not.
        assert_eq!(pace.step(10, Duration::from_millis(1)), Ok(()));
        assert_eq!(pace.step(20_000, 10 * second), Ok(()));
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

    #[test]
    fn an_answer_must_be_able_to_prove_its_end() {
        let judge_as = |version, status, pairs: &[(header::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name.clone(), value.parse().unwrap());
            }
            proof_of_end(status, version, &headers)
        };
        let judge = |status, pairs: &[_]| judge_as(Version::HTTP_11, status, pairs);
        assert_eq!(judge(200, &[(header::CONTENT_LENGTH, "7")]), Ok(Some(7)));
        assert_eq!(judge(200, &[(header::TRANSFER_ENCODING, "chunked")]), Ok(None));
        let both = [(header::CONTENT_LENGTH, "7"), (header::TRANSFER_ENCODING, "Chunked")];
        assert_eq!(judge(200, &both), Ok(Some(7)));
        assert_eq!(judge(200, &[]), Err(Fault::LengthUnknown));
        for encoding in ["xchunked", "not-chunked", "\"chunked", "foo chunked", "gzip, chunked"] {
            let pairs = [(header::TRANSFER_ENCODING, encoding)];
            assert_eq!(judge(200, &pairs), Err(Fault::LengthUnknown), "{encoding}");
        }
        let chunked = [(header::TRANSFER_ENCODING, "chunked")];
        assert_eq!(judge_as(Version::HTTP_10, 200, &chunked), Err(Fault::LengthUnknown));
        for length in ["+7", "7, 7", "", "0x7", "99999999999999999999"] {
            let pairs = [(header::CONTENT_LENGTH, length)];
            assert_eq!(judge(200, &pairs), Err(Fault::LengthUnknown), "{length}");
        }
        let twice = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_LENGTH, "7")];
        assert_eq!(judge(200, &twice), Err(Fault::LengthUnknown));
        assert_eq!(judge(206, &[(header::CONTENT_LENGTH, "7")]), Err(Fault::Status(206)));
        assert_eq!(judge(429, &[(header::RETRY_AFTER, "7")]), Err(Fault::Busy(429, Some(7))));
        let gzip = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_ENCODING, "gzip")];
        assert_eq!(judge(200, &gzip), Err(Fault::Encoded));
    }
}
