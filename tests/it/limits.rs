//! Slots are counted, refused with a hint to come back, and given back.

use crate::support::answer::{Answer, Ending};
use crate::support::client::{Client, mux_path};
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::script::Resource;
use crate::support::{PATIENCE, eventually, media};

/// A small film held half-way, so that its stream stays open until the test opens the gate.
fn held_film(origin: &Origin, gate: &Gate) -> String {
    let video = Resource::file(&media::minute().video);
    let half = video.len() / 2;
    mux_path(Some(&origin.put("v", video.gate(half, gate))), None, &[])
}

fn assert_full(answer: &Answer, code: &str) {
    assert_eq!(answer.head.status, 503, "{}", answer.text());
    assert_eq!(answer.problem()["code"], code);
}

fn gets_in(daemon: &Daemon, path: &str) {
    let answer = eventually("a slot comes free", PATIENCE, || {
        let answer = daemon.get(path);
        (answer.head.status != 503).then_some(answer)
    });
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
}

#[test]
fn streams_are_limited() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let daemon =
        Daemon::start(&format!("{LOOPBACK}[limits]\nstreams = 2\nstreams_per_client = 8\n"));
    let path = held_film(&origin, &gate);
    let mut running: Vec<_> = (0..2)
        .map(|_| {
            let mut client = Client::get(daemon.address(), &path);
            let head = client.first_byte();
            (client, head)
        })
        .collect();
    assert_eq!(daemon.metric("ytcanal_streams_active"), 2.0);
    assert_full(&daemon.get(&path), "streams-full");
    assert_eq!(daemon.get("/healthz").head.status, 200);
    gate.open();
    for (client, head) in &mut running {
        assert_eq!(client.body(head).1, Ending::Complete);
    }
    for _ in 0..3 {
        gets_in(&daemon, &path);
    }
}

/// Those who need no ffmpeg go on when there is none left.
#[test]
fn muxers_are_limited() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let daemon = Daemon::start(&format!("{LOOPBACK}[limits]\nmuxers = 1\n"));
    let through_ffmpeg = format!("{}&container=mkv", held_film(&origin, &gate));
    let mut client = Client::get(daemon.address(), &through_ffmpeg);
    let head = client.first_byte();
    assert_full(&daemon.get(&through_ffmpeg), "muxers-full");
    let free = origin.put("free", Resource::file(&media::minute().video));
    let passed = daemon.get(&mux_path(Some(&free), None, &[]));
    assert_eq!((passed.head.status, passed.ending), (200, Ending::Complete));
    gate.open();
    assert_eq!(client.body(&head).1, Ending::Complete);
    gets_in(&daemon, &through_ffmpeg);
}

#[test]
fn streams_of_one_client_are_limited() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let daemon =
        Daemon::start(&format!("{LOOPBACK}[limits]\nstreams = 8\nstreams_per_client = 1\n"));
    let path = held_film(&origin, &gate);
    let mut client = Client::get(daemon.address(), &path);
    let head = client.first_byte();
    assert_full(&daemon.get(&path), "client-streams-full");
    let free = origin.put("free", Resource::file(&media::minute().video));
    let neighbour =
        curl(&["--interface", "127.0.0.2", &daemon.url(&mux_path(Some(&free), None, &[]))]);
    assert_eq!((neighbour.exit, neighbour.status), (0, 200));
    gate.open();
    assert_eq!(client.body(&head).1, Ending::Complete);
    gets_in(&daemon, &path);
}

#[test]
fn every_way_to_end_gives_the_slot_back() {
    let origin = Origin::start();
    let daemon = Daemon::start(&format!(
        "[limits]\nstreams = 1\nstreams_per_client = 1\n{LOOPBACK}stall_timeout = \"1s\"\n"
    ));
    let good = origin.put("good", Resource::file(&media::minute().video));
    let good = mux_path(Some(&good), None, &[]);
    gets_in(&daemon, &good);
    // The client leaves.
    let gate = Gate::default();
    let mut leaving = Client::get(daemon.address(), &held_film(&origin, &gate));
    leaving.try_head();
    drop(leaving);
    gets_in(&daemon, &good);
    // The source is missing.
    let missing = mux_path(Some(&origin.url("missing")), None, &[]);
    eventually("the slot is free", PATIENCE, || {
        (daemon.get(&missing).head.status == 404).then_some(())
    });
    gets_in(&daemon, &good);
    // The source stalls after the first byte.
    let stalled = eventually("the slot is free", PATIENCE, || {
        let answer = daemon.get(&held_film(&origin, &gate));
        (answer.head.status != 503).then_some(answer)
    });
    assert_ne!(stalled.ending, Ending::Complete);
    gets_in(&daemon, &good);
}
