//! Locations that expire, and fresh ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ytcanal::cancel::CancelToken;
use ytcanal::error::UpstreamError;
use ytcanal::fetch::TrackReader;
use ytcanal::http_client::UpstreamClient;
use ytcanal::media::{RefreshHandle, RemoteLocation, Track};

use super::{content, read, settings, track};
use crate::support::origin::Origin;
use crate::support::resource::{Fault as Scripted, Resource};
use crate::support::{PATIENCE, eventually};

/// A track at `old` whose refresh leads to `new`, and the count of refreshes.
fn refreshing(old: &str, new: &str) -> (Track, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let location = RemoteLocation::from(new.parse::<url::Url>().unwrap());
    let refresh = RefreshHandle::new({
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
        assert_eq!(read(&settings(), &super::track(&old)), Err(UpstreamError::Status(status)));
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
        assert!(matches!(outcome, Err(UpstreamError::EntityChanged(_))), "{name}: {outcome:?}");
    }
}

#[test]
fn refreshing_has_an_end() {
    let origin = Origin::start();
    let forbidden = Resource::bytes(content()).fault(Scripted::Status(403, vec![]));
    let url = origin.put("v", forbidden);
    let (track, count) = refreshing(&url, &url);
    assert_eq!(read(&settings(), &track), Err(UpstreamError::StillRefused(403)));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // What was refused is not asked for again.
    let asked = origin.requests().len();
    let refresh = RefreshHandle::new(|refused, _| Ok(refused.clone()));
    let same = Track { refresh: Some(refresh), ..super::track(&url) };
    assert_eq!(read(&settings(), &same), Err(UpstreamError::StillRefused(403)));
    assert!(origin.requests().len() - asked < asked);
    let refresh = RefreshHandle::new(|_, _| Err("the page is gone".into()));
    let track = Track { refresh: Some(refresh), ..super::track(&url) };
    assert_eq!(read(&settings(), &track), Err(UpstreamError::Status(403)));
}

/// The refresh is asked on the thread of the source, and is told when the stream is over.
#[test]
fn a_refresh_ends_with_the_stream() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::bytes("").fault(Scripted::Status(403, vec![])));
    let asked = Arc::new(Mutex::new(None::<Instant>));
    let refresh = RefreshHandle::new({
        let asked = asked.clone();
        move |_, stop| {
            *asked.lock().unwrap() = Some(Instant::now());
            assert!(stop.sleep(Duration::from_secs(60)).unwrap(), "the stream did not end");
            Err("the stream is over".into())
        }
    });
    let track = Track { refresh: Some(refresh), ..track(&url) };
    let upstream = UpstreamClient::new(&settings()).unwrap();
    let stop = Arc::new(CancelToken::new().unwrap());
    thread::scope(|scope| {
        let opening =
            scope.spawn(|| TrackReader::open(scope, &upstream, &track, u64::MAX, &stop).is_err());
        eventually("it is refreshed", PATIENCE, || *asked.lock().unwrap());
        stop.cancel();
        assert!(opening.join().unwrap());
    });
}
