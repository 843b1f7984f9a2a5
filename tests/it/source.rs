//! What only a resolver can ask of a source: fresh locations, header fields, cookies, waiting;
//! and how it finds its way with origins that have wishes of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderName, HeaderValue, header};
use ytcanal::config::{self, ByteSize, Span};
use ytcanal::error::{Error, Fault};
use ytcanal::media::{Cookie, Kind, Location, Refresh, Track};
use ytcanal::source::{FIRST_PART, Source, Upstream};
use ytcanal::stop::Stop;

use crate::support::origin::Origin;
use crate::support::request_range;
use crate::support::script::{Fault as Scripted, Resource, WrongRange};

/// Three chunks and a bit.
const LEN: usize = (3 << 19) + 1000;

fn content() -> Vec<u8> {
    (0..LEN as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn settings() -> config::Upstream {
    config::Upstream {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        chunk: ByteSize(512 << 10),
        retries: 2,
        stall_timeout: Span(Duration::from_secs(2)),
        ..config::Upstream::default()
    }
}

fn track(url: &str) -> Track {
    let location = Location::from(url.parse::<url::Url>().unwrap());
    Track { kind: Kind::Video, location, refresh: None }
}

/// All that a source gives, whatever it takes.
fn read(settings: &config::Upstream, track: &Track) -> Result<Vec<u8>, Fault> {
    let upstream = Upstream::new(settings).unwrap();
    let stop = Arc::new(Stop::new().unwrap());
    thread::scope(|scope| {
        let read = || {
            let mut source = Source::open(scope, &upstream, track, u64::MAX, &stop)?;
            let (mut all, mut buffer) = (Vec::new(), vec![0; 50_000]);
            loop {
                match source.fetch(&mut buffer)? {
                    0 => return Ok(all),
                    count => all.extend(&buffer[..count]),
                }
            }
        };
        let outcome = read();
        stop.end();
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

#[test]
fn a_track_is_fetched_in_bounded_parts() {
    let origin = Origin::start();
    for resource in [
        Resource::bytes(content()).ranges(),
        Resource::bytes(content()).ranges().keep_alive(),
        Resource::bytes(content()).only_bounded_ranges(),
        Resource::bytes(content()).only_bounded_ranges().etag("\"1\""),
        Resource::bytes(content())
            .only_bounded_ranges()
            .last_modified("Sun, 22 Nov 2026 10:00:00 GMT"),
        Resource::bytes(content()),
        Resource::bytes(content()).fault(Scripted::Chunked),
        Resource::bytes(content()).fault(Scripted::Endless).ranges(),
    ] {
        let what = format!("{resource:?}");
        let url = origin.put("v", resource);
        assert!(read(&settings(), &track(&url)) == Ok(content()), "{what:.300}");
    }
    for range in ranges(&origin) {
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let len = last.parse::<u64>().unwrap() + 1 - first.parse::<u64>().unwrap();
        assert!(len <= (512 << 10) + 1024, "{range}");
    }
}

#[test]
fn parts_are_as_long_as_their_reader_is_quick() {
    let origin = Origin::start();
    let wide = config::Upstream { chunk: ByteSize(10 << 20), ..settings() };
    let url = origin.put("v", Resource::bytes(content().repeat(6)).ranges().etag("\"1\""));
    let (upstream, stop) = (Upstream::new(&wide).unwrap(), Arc::new(Stop::new().unwrap()));
    let lens = |pause: Duration| {
        let before = origin.requests().len();
        thread::scope(|scope| {
            let track = track(&url);
            let mut source = Source::open(scope, &upstream, &track, FIRST_PART, &stop).unwrap();
            let (mut buffer, mut read) = ([0; 50_000], 0);
            while read <= FIRST_PART as usize {
                thread::sleep(pause);
                read += source.fetch(&mut buffer).unwrap();
            }
        });
        let asked = origin.requests().split_off(before);
        asked.iter().map(request_range).map(|range| range.end - range.start).collect::<Vec<_>>()
    };
    let quick = lens(Duration::ZERO);
    assert!(quick.len() == 2 && quick[0] <= FIRST_PART, "{quick:?}");
    // 333 kB a second: no more than is read in four of them.
    let slow = lens(Duration::from_millis(150));
    assert!(slow.len() == 2 && slow[1] <= 3 << 19, "{slow:?}");
    assert!(quick[1] > 2 * slow[1], "{quick:?}, {slow:?}");
}

#[test]
fn later_parts_come_over_connections_that_are_kept() {
    let origin = Origin::start();
    let long = content().repeat(6);
    let url = origin.put("v", Resource::bytes(long.clone()).ranges().keep_alive().etag("\"1\""));
    assert!(read(&settings(), &track(&url)) == Ok(long));
    let requests = origin.requests();
    assert!(requests.len() > 18, "{requests:?}");
    let connections = requests.iter().map(|request| request.connection).max().unwrap() + 1;
    assert!(connections <= 6, "{connections} connections for {} requests", requests.len());
    assert!(requests[0].header("if-range").is_none());
    assert!(requests[1..].iter().all(|request| request.header("if-range") == Some("\"1\"")));
}

#[test]
fn a_smaller_chunk_is_tried_before_a_fresh_location() {
    let origin = Origin::start();
    let url =
        origin.put("v", Resource::bytes(content()).only_bounded_ranges().largest_range(1 << 20));
    let wide = config::Upstream { chunk: ByteSize(10 << 20), ..settings() };
    assert!(read(&wide, &track(&url)) == Ok(content()));
    let asked = origin.requests().len();
    assert!(asked <= 9, "{:?}", ranges(&origin));
    // What the resolver knows of the origin is used from the start.
    let mut known = track(&url);
    known.location.chunk = Some(600 << 10);
    assert!(read(&wide, &known) == Ok(content()));
    assert!(ranges(&origin)[asked].ends_with(|c: char| c.is_ascii_digit()));
    assert_eq!(origin.requests().len() - asked, 3);
}

/// A track at `old` whose refresh leads to `new`, and the count of refreshes.
fn refreshing(old: &str, new: &str) -> (Track, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let location = Location::from(new.parse::<url::Url>().unwrap());
    let refresh = Refresh::new({
        let count = count.clone();
        move |_, _| {
            let mut location = location.clone();
            let number = count.fetch_add(1, Ordering::SeqCst);
            location.url.set_query(Some(&format!("n={number}")));
            Ok(location)
        }
    });
    (Track { refresh: Some(refresh), ..track(old) }, count)
}

#[test]
fn an_expired_location_is_refreshed_in_the_middle() {
    let origin = Origin::start();
    for status in [403, 404, 410] {
        let old = Resource::bytes(content()).ranges().etag("\"old\"");
        let old = old.fault(Scripted::Status(status, vec![])).fault_from(1 << 20);
        let old = origin.put("old", old);
        let new = origin.put("new", Resource::bytes(content()).ranges().etag("\"new\""));
        let (track, count) = refreshing(&old, &new);
        assert!(read(&settings(), &track) == Ok(content()), "{status}");
        assert_eq!(count.load(Ordering::SeqCst), 1, "{status}");
        assert_eq!(read(&settings(), &self::track(&old)), Err(Fault::Status(status)));
    }
}

#[test]
fn a_fresh_location_must_lead_to_the_same_file() {
    let origin = Origin::start();
    let old = Resource::bytes(content()).ranges();
    let old = old.fault(Scripted::Status(403, vec![])).fault_from(1 << 20);
    let old = origin.put("old", old);
    let mut longer = content();
    longer.push(0);
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    for (name, resource) in [("longer", Resource::bytes(longer)), ("other", Resource::bytes(other))]
    {
        let new = origin.put(name, resource.ranges().etag("\"new\""));
        let outcome = read(&settings(), &refreshing(&old, &new).0);
        assert!(matches!(outcome, Err(Fault::Changed(_))), "{name}: {outcome:?}");
    }
}

#[test]
fn refreshing_has_an_end() {
    let origin = Origin::start();
    let forbidden = Resource::bytes(content()).fault(Scripted::Status(403, vec![]));
    let url = origin.put("v", forbidden);
    let (track, count) = refreshing(&url, &url);
    assert_eq!(read(&settings(), &track), Err(Fault::Status(403)));
    assert_eq!(count.load(Ordering::SeqCst), 3);
    // What was refused is not asked for again.
    let asked = origin.requests().len();
    let refresh = Refresh::new(|refused, _| Ok(refused.clone()));
    let same = Track { refresh: Some(refresh), ..self::track(&url) };
    assert_eq!(read(&settings(), &same), Err(Fault::Status(403)));
    assert_eq!(origin.requests().len() - asked, asked - 3);
    let refresh = Refresh::new(|_, _| Err("the page is gone".into()));
    let track = Track { refresh: Some(refresh), ..self::track(&url) };
    assert_eq!(read(&settings(), &track), Err(Fault::Status(403)));
}

/// Nothing but the bytes themselves tells this file from another one of the same length.
#[test]
fn without_validators_the_bytes_before_a_break_are_compared() {
    let origin = Origin::start();
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    let other = Resource::bytes(other).ranges();
    let url = origin.put("v", Resource::bytes(content()).ranges().becomes(other.clone(), 1));
    assert!(matches!(read(&settings(), &track(&url)), Err(Fault::Changed(_))));
    let cut = Resource::bytes(content()).ranges().fault(Scripted::CutAt(100_000));
    let url = origin.put("v", cut.becomes(other, 1));
    assert!(matches!(read(&settings(), &track(&url)), Err(Fault::Changed(_))));
    let cuts = Scripted::CutsAt(vec![1, 500, 1024, 1025, 70_000, LEN as u64 - 1]);
    let url = origin.put("v", Resource::bytes(content()).ranges().fault(cuts));
    let patient = config::Upstream { retries: 8, ..settings() };
    assert!(read(&patient, &track(&url)) == Ok(content()));
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
    // If it goes on like that, it may be another file.
    let url = origin
        .put("v", Resource::bytes(content()).ranges().fault(Scripted::IgnoreRange).fault_from(1));
    assert!(matches!(read(&settings(), &track(&url)), Err(Fault::Changed(_))));
}

#[test]
fn only_the_part_that_was_asked_for_is_taken() {
    let origin = Origin::start();
    for wrong in [
        WrongRange::StartOff,
        WrongRange::TotalOff,
        WrongRange::UnknownTotal,
        WrongRange::Unlabelled,
        WrongRange::Shifted,
    ] {
        let resource = Resource::bytes(content()).ranges().etag("\"1\"");
        let resource = resource.fault(Scripted::WrongRange(wrong)).fault_from(1);
        let url = origin.put("v", resource);
        let outcome = read(&settings(), &track(&url));
        assert!(
            matches!(outcome, Err(Fault::WrongRange | Fault::Changed(_))),
            "{wrong:?}: {outcome:?}"
        );
    }
}

#[test]
fn an_origin_may_answer_with_less_than_was_asked_for() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::bytes(content()).largest_answer(100_000).keep_alive());
    assert!(read(&settings(), &track(&url)) == Ok(content()));
    // But not with next to nothing, however quick each answer is.
    let slow = Resource::bytes(content()).largest_answer(100).delay(Duration::from_millis(200));
    let url = origin.put("v", slow.keep_alive().etag("\"1\""));
    let outcome = read(&config::Upstream { retries: 0, ..settings() }, &track(&url));
    assert!(matches!(outcome, Err(Fault::Slow(_))), "{:?}", outcome.map(|bytes| bytes.len()));
}

/// Chunks have no length that would have to agree with Content-Range.
#[test]
fn more_than_was_asked_for_is_not_taken() {
    let origin = Origin::start();
    for surplus in [1, 1000, 10 << 20] {
        let resource = Resource::bytes(content()).ranges().fault(Scripted::Surplus(surplus));
        let url = origin.put("v", resource);
        assert_eq!(read(&settings(), &track(&url)), Err(Fault::WrongRange), "{surplus}");
    }
}

/// Without an ETag the bytes before are asked for again; an answer that ends with them leads
/// nowhere.
#[test]
fn answers_that_bring_nothing_new_are_not_asked_for_for_ever() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::bytes(content()).largest_answer(1000).keep_alive());
    assert_eq!(read(&settings(), &track(&url)), Err(Fault::WrongRange));
    assert!(origin.requests().len() < 10, "{:?}", ranges(&origin));
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
    let too_long = Err(Fault::Busy(429, Some(Duration::from_secs(61))));
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
    assert!(matches!(read(&settings(), &early), Err(Fault::NotYet(_))));
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

/// The refresh is asked on the thread of the source, and is told when the stream is over.
#[test]
fn a_refresh_ends_with_the_stream() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::bytes("").fault(Scripted::Status(403, vec![])));
    let asked = Arc::new(Mutex::new(None::<Instant>));
    let refresh = Refresh::new({
        let asked = asked.clone();
        move |_, stop| {
            *asked.lock().unwrap() = Some(Instant::now());
            assert!(stop.pause(Duration::from_secs(60)).unwrap(), "the stream did not end");
            Err("the stream is over".into())
        }
    });
    let track = Track { refresh: Some(refresh), ..track(&url) };
    let upstream = Upstream::new(&settings()).unwrap();
    let stop = Arc::new(Stop::new().unwrap());
    thread::scope(|scope| {
        let opening =
            scope.spawn(|| Source::open(scope, &upstream, &track, u64::MAX, &stop).is_err());
        crate::support::eventually("it is refreshed", crate::support::PATIENCE, || {
            *asked.lock().unwrap()
        });
        stop.end();
        assert!(opening.join().unwrap());
    });
}
