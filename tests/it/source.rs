//! How a source finds its way with origins that have wishes of their own, and what only a resolver
//! can ask of it: header fields, cookies, waiting.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderName, HeaderValue, header};
use ytcanal::cancel::CancelToken;
use ytcanal::config::{self, ByteSize, HumanDuration};
use ytcanal::error::{Error, UpstreamError};
use ytcanal::fetch::TrackReader;
use ytcanal::http_client::UpstreamClient;
use ytcanal::media::{Cookie, RemoteLocation, Track, TrackKind};

use crate::support::origin::Origin;
use crate::support::resource::{Fault as Scripted, Resource};

mod nodes;
mod parts;
mod ranges;
mod refresh;
mod rest;

/// Three chunks and a bit.
const LEN: usize = (3 << 19) + 1000;

fn content() -> Vec<u8> {
    (0..LEN as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn settings() -> config::UpstreamConfig {
    config::UpstreamConfig {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        chunk: ByteSize(512 << 10),
        retries: 2,
        stall_timeout: HumanDuration(Duration::from_secs(2)),
        ..config::UpstreamConfig::default()
    }
}

fn track(url: &str) -> Track {
    let location = RemoteLocation::from(url.parse::<url::Url>().unwrap());
    Track { kind: TrackKind::Video, location, refresh: None }
}

/// All that a source gives, whatever it takes.
fn read(settings: &config::UpstreamConfig, track: &Track) -> Result<Vec<u8>, UpstreamError> {
    read_of(&UpstreamClient::new(settings).unwrap(), track)
}

fn read_of(upstream: &UpstreamClient, track: &Track) -> Result<Vec<u8>, UpstreamError> {
    let stop = Arc::new(CancelToken::new().unwrap());
    thread::scope(|scope| {
        let read = || {
            let mut source = TrackReader::open(scope, upstream, track, u64::MAX, &stop)?;
            let (mut all, mut buffer) = (Vec::new(), vec![0; 50_000]);
            loop {
                match source.read(&mut buffer)? {
                    0 => return Ok(all),
                    count => all.extend(&buffer[..count]),
                }
            }
        };
        let outcome = read();
        stop.cancel();
        outcome.map_err(|error| match error {
            Error::Upstream { fault, .. } => fault,
            other => panic!("{other}"),
        })
    })
}

fn ranges(origin: &Origin) -> Vec<String> {
    let requests = origin.requests();
    requests.iter().map(|request| request.header("range").unwrap_or("all").to_owned()).collect()
}

/// Nothing but the bytes themselves tells this file from another one of the same length.
#[test]
fn without_validators_the_bytes_before_a_break_are_compared() {
    let origin = Origin::start();
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    let other = Resource::bytes(other).ranges();
    let url = origin.put("v", Resource::bytes(content()).ranges().becomes(other.clone(), 1));
    assert!(matches!(read(&settings(), &track(&url)), Err(UpstreamError::EntityChanged(_))));
    let cut = Resource::bytes(content()).ranges().fault(Scripted::CutAt(100_000));
    let url = origin.put("v", cut.becomes(other, 1));
    assert!(matches!(read(&settings(), &track(&url)), Err(UpstreamError::EntityChanged(_))));
    let cuts = Scripted::CutsAt(vec![1, 500, 1024, 1025, 70_000, LEN as u64 - 1]);
    let url = origin.put("v", Resource::bytes(content()).ranges().fault(cuts));
    let patient = config::UpstreamConfig { retries: 8, ..settings() };
    assert!(read(&patient, &track(&url)) == Ok(content()));
}

/// What was seen is looked at once more where nothing names the file: that may fail for a moment, too,
/// and costs no more than to ask again.
#[test]
fn a_second_look_that_fails_is_tried_again() {
    let origin = Origin::start();
    let film = || Resource::bytes(content()).ranges();
    let seen = |faults: usize| {
        let (upstream, stop) =
            (UpstreamClient::new(&settings()).unwrap(), Arc::new(CancelToken::new().unwrap()));
        let later = film().fault(Scripted::HangUp).fault_times(faults);
        let track = track(&origin.put("v", film().becomes(later, 2)));
        thread::scope(|scope| {
            let mut source = TrackReader::open(scope, &upstream, &track, 100_000, &stop).unwrap();
            while source.fill_peeked(50_000).unwrap() {}
            let (file, far) = (source.file().clone(), 1_000_000..1_010_000);
            let far = TrackReader::open_range(scope, &upstream, &track, far, 10_000, &file, &stop);
            let mut far = far.unwrap();
            while far.fill_peeked(10_000).unwrap() {}
            let outcome = source.absorb(far);
            stop.cancel();
            outcome.map(|()| upstream.retries_made())
        })
    };
    for faults in [0, 1, 2] {
        assert_eq!(seen(faults), Ok(faults as u64));
    }
    assert!(matches!(seen(3), Err(Error::Upstream { fault: UpstreamError::Unreachable(_), .. })));
}

/// Some answer a request with If-Range as if the file had changed, or not at all.
#[test]
fn an_origin_that_does_not_like_if_range_is_asked_without() {
    let origin = Origin::start();
    for (fault, status) in [(Scripted::IgnoreRange, 200), (Scripted::Status(403, vec![]), 403)] {
        let grumpy = Resource::bytes(content()).ranges().etag("\"1\"");
        let url = origin.put("v", grumpy.fault(fault).fault_from(1).fault_times(1));
        assert!(read(&settings(), &track(&url)) == Ok(content()), "{status}");
    }
    // If it goes on like that, what lies in front is passed over; as long as it is the same file.
    let ignoring =
        || Resource::bytes(content()).ranges().fault(Scripted::IgnoreRange).fault_from(1);
    for same in [ignoring(), ignoring().etag("\"1\""), ignoring().last_modified("x")] {
        assert!(read(&settings(), &track(&origin.put("v", same))) == Ok(content()));
    }
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    let other = Resource::bytes(other);
    for (first, then) in
        [(ignoring(), other.clone()), (ignoring().etag("\"1\""), other.etag("\"2\""))]
    {
        let url = origin.put("v", first.becomes(then, 1));
        assert!(matches!(read(&settings(), &track(&url)), Err(UpstreamError::EntityChanged(_))));
    }
}

#[test]
fn where_a_redirect_led_to_may_expire() {
    let origin = Origin::start();
    let target = |name: &str| {
        let expired = Resource::bytes("").fault(Scripted::Status(404, vec![]));
        origin.put(name, Resource::bytes(content()).ranges().etag("\"1\"").becomes(expired, 2))
    };
    let redirects = ["1", "2", "3"].map(|name| Scripted::Redirect(target(name)));
    let mut signpost = Resource::bytes("").fault(redirects[2].clone());
    for redirect in redirects[..2].iter().rev() {
        signpost = Resource::bytes("").fault(redirect.clone()).becomes(signpost, 1);
    }
    let url = origin.put("signpost", signpost);
    assert!(read(&settings(), &track(&url)) == Ok(content()));
}

#[test]
fn a_busy_origin_is_asked_again_when_it_wants_to_be() {
    let origin = Origin::start();
    let busy = |seconds: &str| Scripted::Status(429, vec![("Retry-After", seconds.into())]);
    let put = |fault| {
        let resource = Resource::bytes(content()).ranges().etag("\"1\"");
        origin.put("v", resource.fault(fault).fault_from(1).fault_times(1))
    };
    let begun = Instant::now();
    let url = put(busy("1"));
    assert!(read(&settings(), &track(&url)) == Ok(content()));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let too_long = Err(UpstreamError::Busy(429, Some(Duration::from_secs(61))));
    assert_eq!(read(&settings(), &track(&put(busy("61")))), too_long);
}

#[expect(clippy::disallowed_methods, reason = "a location says the time of day")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[test]
fn a_location_is_not_asked_for_before_its_time() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::bytes(content()).ranges());
    let mut early = track(&url);
    early.location.available_at = Some(now() + Duration::from_millis(700));
    let begun = Instant::now();
    assert!(read(&settings(), &early) == Ok(content()));
    assert!(begun.elapsed() >= Duration::from_millis(600));
    early.location.available_at = Some(now() + Duration::from_secs(3600));
    assert!(matches!(read(&settings(), &early), Err(UpstreamError::NotYetAvailable(_))));
}

#[test]
fn fields_and_cookies_go_where_they_belong() {
    let (origin, other) = (Origin::start(), Origin::start_at([127, 0, 0, 2].into()));
    let target = other.put("v", Resource::bytes(content()).ranges());
    let away = origin.put("away", Resource::bytes("").fault(Scripted::Redirect(target)));
    let mut track = track(&away);
    let field = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    track.location.headers = vec![
        field(header::USER_AGENT, "Films/1.0"),
        field(header::REFERER, "https://films.example/"),
        field(header::AUTHORIZATION, "secret"),
        field(header::RANGE, "bytes=5-6"),
        field(header::HOST, "evil.example"),
        field(header::ACCEPT_ENCODING, "gzip"),
    ];
    let cookie = |pair, domain: &str| Cookie {
        pair: HeaderValue::from_static(pair),
        domain: domain.into(),
        subdomains: false,
        path: "/".into(),
        secure: false,
    };
    track.location.cookies = vec![cookie("here=1", "127.0.0.1"), cookie("there=2", "127.0.0.2")];
    assert!(read(&settings(), &track) == Ok(content()));
    let (first, second) = (origin.requests(), other.requests());
    for request in first.iter().chain(&second) {
        assert_eq!(request.header("user-agent"), Some("Films/1.0"));
        assert_eq!(request.header("referer"), Some("https://films.example/"));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert!(request.header("host").unwrap().starts_with("127.0.0."));
        assert!(request.header("range").unwrap().starts_with("bytes="));
        assert_ne!(request.header("range"), Some("bytes=5-6"));
        let fields = request.headers.iter().filter(|(name, _)| name == "range");
        assert_eq!(fields.count(), 1);
    }
    let of = |requests: &[crate::support::origin::Request], name| {
        requests.iter().map(|r| r.header(name).map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(of(&first, "cookie"), [Some("here=1".into())]);
    assert_eq!(of(&first, "authorization"), [Some("secret".into())]);
    assert!(of(&second, "cookie").iter().all(|cookie| cookie.as_deref() == Some("there=2")));
    assert!(of(&second, "authorization").iter().all(Option::is_none));
    // The redirect is followed once; later parts are asked for where it led.
    assert_eq!(first.len(), 1);
}
