//! Clients that leave, stop, come back, and come all at once.

use std::thread;

use fastrand::Rng;

use super::{ONE, TestSetup, header, with_more};
use crate::support::answer::Ending;
use crate::support::client::{Client, ask};
use crate::support::daemon::LOOPBACK;
use crate::support::resource::{Fault, Resource};
use crate::support::{PATIENCE, eventually, media, number_from};

/// More parts at a time than one client may have otherwise.
const MANY: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\n";

#[test]
fn who_leaves_leaves_nothing_but_the_plan() {
    // An origin that is slower than its clients: it is what the daemon waits for when they leave.
    let pair = &media::five_minutes().tracks;
    let stage = TestSetup::of(LOOPBACK, |track| {
        let file = if track == "video" { &pair.video } else { &pair.audio };
        Resource::file(file).ranges().keep_alive().etag(ONE).pace(4 << 20)
    });
    let len: u64 = header(&stage.ask("HEAD", ""), "Content-Length").parse().unwrap();
    let baseline = stage.daemon.baseline();
    for (from, read) in [(0, 0), (0, 3 << 20), (len / 2, 0), (len / 2, 1 << 20), (len - 9, 0)] {
        let asked = stage.asked_during(|| {
            let mut client = Client::connect(stage.daemon.address());
            client.ask(&stage.path, &[&format!("Range: bytes={from}-")]);
            assert_eq!(client.head().status, 206);
            client.read_raw(read);
            drop(client);
            stage.daemon.settles(&baseline, PATIENCE);
        });
        // Whoever seeks leaves, and is not to wait for the indexes the next time.
        let heads = asked.iter().filter(|(_, range)| range.start == 0 && range.end > 1);
        assert_eq!(heads.count(), 0, "from {from}: {asked:?}");
    }
    stage.daemon.logs("the client closed the connection");
    assert!(!stage.daemon.log().contains("was cancelled"), "the cause is not in the log");
}

#[test]
fn who_stops_reading_is_let_go() {
    let config = format!("[limits]\nclient_stall_timeout = \"2s\"\n{LOOPBACK}");
    let stage = TestSetup::of_film(&config, &media::five_minutes().tracks);
    let baseline = stage.daemon.baseline();
    for range in ["bytes=0-", "bytes=20000000-"] {
        let mut client = Client::connect(stage.daemon.address());
        client.ask(&stage.path, &[&format!("Range: {range}")]);
        client.head();
        client.read_raw(1000);
        // It stays connected all the while.
        stage.daemon.settles(&baseline, PATIENCE);
        assert_ne!(client.until_closed(), Ending::Complete);
    }
    let stalled = "ytcanal_streams_ended_total{result=\"client-stalled\"}";
    assert_eq!(stage.daemon.metric(stalled), 2.0);
}

#[test]
fn a_film_in_fifty_pieces_is_the_film() {
    let stage = TestSetup::of_film(LOOPBACK, &media::five_minutes().tracks);
    let whole = stage.whole();
    let etag = header(&whole, "ETag");
    let baseline = stage.daemon.baseline();
    let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("YTCANAL_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut got = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(stage.daemon.address());
        let range = format!("Range: bytes={}-", got.len());
        client.ask(&stage.path, &[&range, &format!("If-Range: {etag}")]);
        assert_eq!(client.head().status, 206);
        got.extend(client.read_raw(random.usize(1..whole.body.len() / 60)));
        drop(client);
        stage.daemon.settles(&baseline, PATIENCE);
    }
    got.truncate(whole.body.len());
    let rest = stage.ask("GET", &format!("Range: bytes={}-\r\nIf-Range: {etag}\r\n", got.len()));
    assert_eq!((rest.head.status, rest.ending), (206, Ending::Complete));
    got.extend(rest.body);
    assert!(got == whole.body, "the pieces are not the film (seed {seed})");
}

#[test]
fn forty_parts_at_once_are_the_film() {
    // Once with a plan from before, once with forty that make it at the same time.
    for is_known in [false, true] {
        let stage = TestSetup::with(MANY);
        let baseline = stage.daemon.baseline();
        let whole = TestSetup::new().whole().body;
        if is_known {
            stage.etag();
        }
        let part = whole.len().div_ceil(40);
        thread::scope(|scope| {
            for (number, expected) in whole.chunks(part).enumerate() {
                let stage = &stage;
                scope.spawn(move || {
                    let first = number * part;
                    let last = first + expected.len() - 1;
                    let field = format!("Range: bytes={first}-{last}\r\n");
                    let answer = ask(stage.daemon.address(), "GET", &stage.path, &field);
                    assert_eq!((answer.head.status, answer.ending), (206, Ending::Complete));
                    assert!(answer.body == expected, "part {number} is not what it should be");
                });
            }
        });
        stage.daemon.settles(&baseline, PATIENCE);
    }
}

#[test]
fn who_leaves_before_the_plan_is_made_is_not_waited_for() {
    // The look behind the media is never answered, and three of those waits are a minute.
    let stage = TestSetup::of(LOOPBACK, |track| {
        let silent = with_more(track).etag(ONE).fault(Fault::Silent);
        with_more(track).etag(ONE).becomes(silent, 1)
    });
    let baseline = stage.daemon.baseline();
    let client = Client::get(stage.daemon.address(), &stage.path);
    eventually("it looks behind the media", PATIENCE, || {
        (stage.origin.requests().len() >= 4).then_some(())
    });
    drop(client);
    stage.daemon.settles(&baseline, std::time::Duration::from_secs(15));
    stage.daemon.logs("the client closed the connection");
}
