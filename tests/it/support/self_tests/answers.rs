//! What a healthy origin does: connections that stay open, ranges, validators, distance.

use std::time::{Duration, Instant};

use super::{address, content};
use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, get};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::{PATIENCE, eventually};

const DATE: &str = "Sun, 22 Nov 2026 10:00:00 GMT";

/// Long enough to tell a few of them apart on a busy machine.
const TRIP: Duration = Duration::from_millis(300);

/// Asks for `/x` with these header lines, on a connection of its own.
fn ask(origin: &Origin, headers: &[&str]) -> Answer {
    let mut client = Client::connect(address(origin));
    client.ask("/x", headers);
    client.answer()
}

#[test]
fn a_connection_that_stays_takes_requests_in_a_pipeline() {
    let origin = Origin::start();
    origin.put("x", Resource::bytes(content()).ranges().keep_alive());
    let mut client = Client::connect(address(&origin));
    for range in ["bytes=0-99", "bytes=100-249", "bytes=300000-"] {
        client.ask("/x", &[&format!("Range: {range}")]);
    }
    for (status, body) in
        [(206, &content()[..100]), (206, &content()[100..250]), (416, b"scripted\n")]
    {
        let answer = client.next_answer();
        assert_eq!((answer.head.status, answer.body.as_slice()), (status, body));
        assert_eq!(answer.head.header("Connection"), None);
    }
    client.request("HEAD", "/x");
    assert_eq!(client.head().header("Content-Length"), Some("300000"));
    client.ask("/x", &["Connection: close"]);
    let last = client.answer();
    assert_eq!((last.head.header("Connection"), last.body), (Some("close"), content()));

    origin.put("x", Resource::bytes(content()));
    assert_eq!(get(address(&origin), "/x").head.header("Connection"), Some("close"));
    let connections: Vec<usize> = origin.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_connection_that_stays_can_be_reset() {
    let origin = Origin::start();
    let resource = Resource::bytes(content()).ranges().keep_alive();
    origin.put("x", resource.fault(Fault::ResetAt(150)));
    let mut client = Client::connect(address(&origin));
    client.ask("/x", &["Range: bytes=0-99"]);
    assert_eq!(client.next_answer().ending, Ending::Complete);
    client.ask("/x", &["Range: bytes=100-199"]);
    assert_eq!(client.next_answer().ending, Ending::Reset);
}

#[test]
fn ranges_heed_their_end_and_if_range() {
    let origin = Origin::start();
    let resource = Resource::bytes(content()).ranges();
    origin.put("x", resource.clone().etag("\"v1\"").last_modified(DATE));
    let date = format!("If-Range: {DATE}");
    let table = [
        (vec!["Range: bytes=9-19"], 206, "bytes 9-19/300000", 11),
        (vec!["Range: bytes=299990-400000"], 206, "bytes 299990-299999/300000", 10),
        (vec!["Range: bytes=299999-"], 206, "bytes 299999-299999/300000", 1),
        (vec!["Range: bytes=300000-300001"], 416, "bytes */300000", 9),
        (vec!["Range: bytes=19-9"], 200, "", 300_000),
        (vec!["Range: bytes=9-19", "If-Range: \"v1\""], 206, "bytes 9-19/300000", 11),
        (vec!["Range: bytes=9-19", &date], 206, "bytes 9-19/300000", 11),
        (vec!["Range: bytes=9-19", "If-Range: \"v2\""], 200, "", 300_000),
        (vec!["Range: bytes=9-19", "If-Range: W/\"v1\""], 200, "", 300_000),
    ];
    for (headers, status, label, len) in table {
        let Answer { head, body, .. } = ask(&origin, &headers);
        let found = (head.status, head.header("Content-Range").unwrap_or_default(), body.len());
        assert_eq!(found, (status, label, len), "{headers:?}");
        let tag = (status != 416).then_some("\"v1\"");
        assert_eq!((head.header("ETag"), head.header("Last-Modified")), (tag, tag.and(Some(DATE))));
    }
    origin.put("x", resource.etag("W/\"v1\""));
    assert_eq!(ask(&origin, &["Range: bytes=9-19", "If-Range: W/\"v1\""]).head.status, 200);
}

#[test]
fn an_origin_may_want_bounded_and_small_ranges() {
    let origin = Origin::start();
    let status = |range: &str| ask(&origin, &[range]).head.status;
    origin.put("x", Resource::bytes(content()).only_bounded_ranges());
    let seen = ["Accept: */*", "Range: bytes=0-", "Range: bytes=0-299999"].map(status);
    assert_eq!(seen, [403, 403, 206]);
    let mut client = Client::connect(address(&origin));
    client.send(b"HEAD /x HTTP/1.1\r\nRange: bytes=0-9\r\n\r\n").unwrap();
    assert_eq!(client.head().status, 403);
    client.ends_here();
    origin.put("x", Resource::bytes(content()).largest_range(100));
    let ranges = ["Range: bytes=0-99", "Range: bytes=0-100", "Range: bytes=299900-400000"];
    assert_eq!(ranges.map(status), [206, 403, 206]);
}

#[test]
fn a_gate_holds_the_range_that_has_its_byte() {
    let origin = Origin::start();
    let gate = Gate::default();
    origin.put("x", Resource::bytes(content()).ranges().gate(100, &gate));
    assert_eq!(ask(&origin, &["Range: bytes=0-99"]).ending, Ending::Complete);
    let mut client = Client::connect(address(&origin));
    client.ask("/x", &["Range: bytes=100-199"]);
    gate.reached();
    gate.open();
    assert_eq!(client.answer().body, content()[100..200]);
}

#[test]
fn distance_costs_a_round_trip_and_one_more_at_first() {
    let origin = Origin::start();
    origin.put("x", Resource::bytes("x").keep_alive().delay(TRIP));
    let start = Instant::now();
    let mut client = Client::connect(address(&origin));
    for _ in 0..8 {
        client.ask("/x", &[]);
        client.next_answer();
    }
    let trips = start.elapsed().div_duration_f64(TRIP);
    // Nine are due; eight would lack the handshake, sixteen have one for every request.
    assert!((9.0..16.0).contains(&trips), "{trips}");
}

#[test]
fn requests_in_a_pipeline_travel_together() {
    let origin = Origin::start();
    origin.put("x", Resource::bytes("x").keep_alive().delay(TRIP));
    let start = Instant::now();
    let mut client = Client::connect(address(&origin));
    for _ in 0..20 {
        client.ask("/x", &[]);
    }
    for _ in 0..20 {
        client.next_answer();
    }
    let trips = start.elapsed().div_duration_f64(TRIP);
    // Two are due, and 21 if each waited for the one before it.
    assert!((2.0..10.0).contains(&trips), "{trips}");
}

#[test]
fn a_distant_origin_ends_at_once() {
    let origin = Origin::start();
    origin.put("x", Resource::bytes("x").delay(PATIENCE * 60));
    let mut client = Client::get(address(&origin), "/x");
    eventually("the request is there", PATIENCE, || origin.requests().pop());
    drop(origin);
    client.ends_here();
}
