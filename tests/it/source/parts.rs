//! In which parts a track is asked for, and what is taken of the answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ytcanal::cancel::CancelToken;
use ytcanal::config::{self, ByteSize};
use ytcanal::error::UpstreamError;
use ytcanal::fetch::{TrackReader, first_request_size};
use ytcanal::http_client::UpstreamClient;
use ytcanal::media::TrackKind;

use super::{content, ranges, read, read_of, settings, track};
use crate::support::origin::Origin;
use crate::support::request_range;
use crate::support::resource::{Fault as Scripted, Resource, WrongRange};

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
    let wide = config::UpstreamConfig { chunk: ByteSize(10 << 20), ..settings() };
    let url = origin.put("v", Resource::bytes(content().repeat(6)).ranges().etag("\"1\""));
    let (upstream, stop) =
        (UpstreamClient::new(&wide).unwrap(), Arc::new(CancelToken::new().unwrap()));
    let first = first_request_size(TrackKind::Video);
    let lens = |pause: Duration| {
        let before = origin.requests().len();
        thread::scope(|scope| {
            let track = track(&url);
            let mut source = TrackReader::open(scope, &upstream, &track, first, &stop).unwrap();
            let (mut buffer, mut read) = ([0; 25_000], 0);
            while read <= first as usize {
                thread::sleep(pause);
                read += source.read(&mut buffer).unwrap();
            }
        });
        let asked = origin.requests().split_off(before);
        asked.iter().map(request_range).map(|range| range.end - range.start).collect::<Vec<_>>()
    };
    let quick = lens(Duration::ZERO);
    assert!(quick.len() == 2 && quick[0] <= first, "{quick:?}");
    assert!(quick[1] <= 4 * first, "{quick:?}");
    // 167 kB a second: no more than is read in four of them.
    let slow = lens(Duration::from_millis(150));
    assert!(slow.len() == 2 && slow[1] <= 3 << 18, "{slow:?}");
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

/// While the next part comes, a slow reader has still to use what it took: it needs no second connection, and none of
/// a crowd of them may.
#[test]
fn a_slow_reader_has_one_connection() {
    const SLOW: Duration = Duration::from_millis(100);
    // What a reader does in the first second says nothing yet.
    const EARLY: usize = 3;
    let origin = Origin::start();
    let content = content().repeat(3);
    let url = origin.put("v", Resource::bytes(content.clone()).ranges().keep_alive().etag("\"1\""));
    let (upstream, stop) =
        (UpstreamClient::new(&settings()).unwrap(), Arc::new(CancelToken::new().unwrap()));
    thread::scope(|scope| {
        let track = track(&url);
        let first = first_request_size(TrackKind::Video);
        let mut source = TrackReader::open(scope, &upstream, &track, first, &stop).unwrap();
        let (mut buffer, mut read) = ([0; 64 << 10], 0);
        while read < content.len() {
            thread::sleep(SLOW);
            read += source.read(&mut buffer).unwrap();
        }
    });
    let late = origin.requests().split_off(EARLY);
    let connections: HashSet<usize> = late.iter().map(|request| request.connection).collect();
    assert!(late.len() > 5 && connections.len() == 1, "{connections:?} for {}", late.len());
}

#[test]
fn a_smaller_chunk_is_tried_before_a_fresh_location() {
    let origin = Origin::start();
    let url =
        origin.put("v", Resource::bytes(content()).only_bounded_ranges().largest_range(1 << 20));
    let wide = config::UpstreamConfig { chunk: ByteSize(10 << 20), ..settings() };
    assert!(read(&wide, &track(&url)) == Ok(content()));
    let asked = origin.requests().len();
    assert!(asked <= 9, "{:?}", ranges(&origin));
    // Once it is known how much that origin gives, it is not asked for more, whatever the file.
    let upstream = UpstreamClient::new(&wide).unwrap();
    let too_much = |from: usize| {
        let requests = origin.requests().split_off(from);
        requests.iter().map(request_range).filter(|range| range.end - range.start > 1 << 20).count()
    };
    for refused in [1..5, 0..1, 0..1] {
        let before = origin.requests().len();
        assert!(read_of(&upstream, &track(&url)) == Ok(content()));
        assert!(refused.contains(&too_much(before)), "{:?}", &ranges(&origin)[before..]);
    }
    // What the resolver knows of the origin is used from the start.
    let asked = origin.requests().len();
    let mut known = track(&url);
    known.location.chunk = Some(600 << 10);
    assert!(read(&wide, &known) == Ok(content()));
    assert!(ranges(&origin)[asked].ends_with(|c: char| c.is_ascii_digit()));
    assert_eq!(origin.requests().len() - asked, 3);
}

#[test]
fn only_the_part_that_was_asked_for_is_taken() {
    let origin = Origin::start();
    for wrong in [
        WrongRange::StartOff,
        WrongRange::TotalOff,
        WrongRange::Unlabelled,
        WrongRange::Shifted,
        WrongRange::OneLess,
        WrongRange::SeveralParts,
    ] {
        let resource = Resource::bytes(content()).ranges().etag("\"1\"");
        let resource = resource.fault(Scripted::WrongRange(wrong)).fault_from(1);
        let url = origin.put("v", resource);
        let outcome = read(&settings(), &track(&url));
        assert!(
            matches!(
                outcome,
                Err(UpstreamError::WrongRange
                    | UpstreamError::EntityChanged(_)
                    | UpstreamError::Multipart)
            ),
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
    let outcome = read(&config::UpstreamConfig { retries: 0, ..settings() }, &track(&url));
    assert!(
        matches!(outcome, Err(UpstreamError::Slow(_))),
        "{:?}",
        outcome.map(|bytes| bytes.len())
    );
}

/// Chunks have no length that would have to agree with Content-Range.
#[test]
fn more_than_was_asked_for_is_not_taken() {
    let origin = Origin::start();
    for surplus in [1, 1000, 10 << 20] {
        let resource = Resource::bytes(content()).ranges().fault(Scripted::Surplus(surplus));
        let url = origin.put("v", resource);
        // What follows is neither taken nor does it do harm.
        assert!(read(&settings(), &track(&url)) == Ok(content()), "{surplus}");
    }
}

/// Without an ETag the bytes before are asked for again; an answer that ends with them leads
/// nowhere.
#[test]
fn answers_that_bring_nothing_new_are_not_asked_for_for_ever() {
    let origin = Origin::start();
    let url = origin.put("v", Resource::bytes(content()).largest_answer(1000).keep_alive());
    assert_eq!(read(&settings(), &track(&url)), Err(UpstreamError::WrongRange));
    assert!(origin.requests().len() < 10, "{:?}", ranges(&origin));
}
