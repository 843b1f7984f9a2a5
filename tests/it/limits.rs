//! Slots are counted, waited for, refused with a hint to come back, and given back.

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, ask, mux_path};
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, media};

mod ingress;
mod playlists;

/// Nobody waits.
const AT_ONCE: &str = "slot_timeout = \"0s\"\n";

/// Reads no pages.
const NO_YTDLP: &str = "[resolver]\ncommand = \"false\"\nfork_server = false\n";

/// A small film held half-way, so that its stream stays open until the test opens the gate.
fn held_film(origin: &Origin, gate: &Gate) -> String {
    let video = Resource::file(&media::minute().video);
    let half = video.len() / 2;
    mux_path(Some(&origin.put("v", video.gate(half, gate))), None, &[])
}

fn assert_full(answer: &Answer, code: &str) {
    // Its own limit is the client's affair.
    let status = if code.starts_with("client-") { 429 } else { 503 };
    assert_eq!(answer.head.status, status, "{}", answer.text());
    assert_eq!(answer.problem()["code"], code);
    assert_eq!(answer.head.header("Retry-After"), Some("10"));
}

/// Waits until so many wait for a slot.
fn until_waiting(daemon: &Daemon, count: f64) {
    eventually("they wait", PATIENCE, || {
        (daemon.metric("ytcanal_streams_waiting") == count).then_some(())
    });
}

fn gets_in(daemon: &Daemon, path: &str) {
    let answer = eventually("a slot comes free", PATIENCE, || {
        let answer = daemon.get(path);
        (![429, 503].contains(&answer.head.status)).then_some(answer)
    });
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
}

#[test]
fn streams_are_limited() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let daemon = Daemon::start(&format!(
        "{LOOPBACK}[limits]\nstreams = 2\nstreams_per_client = 8\n{AT_ONCE}{NO_YTDLP}"
    ));
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
    // A page is looked up without having to wait for a film.
    let page = daemon.get("/info?url=http%3A%2F%2F127.0.0.1%2Ffilm");
    assert_eq!(page.head.status, 500, "{}", page.text());
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
    let daemon = Daemon::start(&format!("{LOOPBACK}[limits]\nmuxers = 1\n{AT_ONCE}"));
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
    let daemon = Daemon::start(&format!(
        "{LOOPBACK}[limits]\nstreams = 8\nstreams_per_client = 1\n{AT_ONCE}"
    ));
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
        "[limits]\nstreams = 1\nstreams_per_client = 1\n{AT_ONCE}{LOOPBACK}stall_timeout = \"1s\"\n"
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
        (![429, 503].contains(&answer.head.status)).then_some(answer)
    });
    assert_ne!(stalled.ending, Ending::Complete);
    gets_in(&daemon, &good);
}

/// One stream at a time, and a patience that no test outlasts.
const ONE: &str = "[limits]\nstreams = 1\nstreams_per_client = 1\nslot_timeout = \"1h\"\n";

#[test]
fn who_comes_too_early_waits() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let daemon = Daemon::start(&format!("{LOOPBACK}{ONE}"));
    let path = held_film(&origin, &gate);
    let mut first = Client::get(daemon.address(), &path);
    let head = first.first_byte();
    let mut second = Client::get(daemon.address(), &path);
    until_waiting(&daemon, 1.0);
    let mut third = Client::get(daemon.address(), &path);
    until_waiting(&daemon, 2.0);
    // Twice as many may wait as may run.
    assert_full(&daemon.get(&path), "client-streams-full");
    // What takes no slot is answered.
    assert_eq!(daemon.get("/readyz").head.status, 200);
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);
    let head = second.first_byte();
    assert_eq!((head.status, second.body(&head).1), (200, Ending::Complete));
    let head = third.first_byte();
    assert_eq!((head.status, third.body(&head).1), (200, Ending::Complete));
    assert_eq!(daemon.metric("ytcanal_streams_waiting"), 0.0);
}

#[test]
fn a_wait_ends_when_the_client_leaves_or_the_server_drains() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let daemon = Daemon::start(&format!("{LOOPBACK}{ONE}"));
    let path = held_film(&origin, &gate);
    let mut first = Client::get(daemon.address(), &path);
    let head = first.first_byte();
    let leaving = Client::get(daemon.address(), &path);
    until_waiting(&daemon, 1.0);
    drop(leaving);
    until_waiting(&daemon, 0.0);
    let mut second = Client::get(daemon.address(), &path);
    until_waiting(&daemon, 1.0);
    daemon.terminate();
    let refused = second.answer();
    assert_eq!((refused.head.status, refused.code().as_str()), (503, "draining"));
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);
}

#[test]
fn a_wait_has_an_end() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let short = ONE.replace("1h", "50ms");
    let daemon = Daemon::start(&format!("{LOOPBACK}{short}"));
    let path = held_film(&origin, &gate);
    let mut first = Client::get(daemon.address(), &path);
    let head = first.first_byte();
    assert_full(&daemon.get(&path), "client-streams-full");
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);
}

/// An ffmpeg is waited for, too.
#[test]
fn muxers_are_waited_for() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let daemon = Daemon::start(&format!("{LOOPBACK}[limits]\nmuxers = 1\nslot_timeout = \"1h\"\n"));
    let path = format!("{}&container=mkv", held_film(&origin, &gate));
    let mut first = Client::get(daemon.address(), &path);
    let head = first.first_byte();
    let mut second = Client::get(daemon.address(), &path);
    eventually("two streams", PATIENCE, || {
        (daemon.metric("ytcanal_streams_active") == 2.0).then_some(())
    });
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);
    let head = second.first_byte();
    assert_eq!((head.status, second.body(&head).1), (200, Ending::Complete));
}

/// What one client may have at most is its own limit.
#[test]
fn muxers_of_one_client_are_limited() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let limits = format!("[limits]\nmuxers_per_client = 1\n{AT_ONCE}");
    let daemon = Daemon::start(&format!("{LOOPBACK}{limits}"));
    let through_ffmpeg = format!("{}&container=mkv", held_film(&origin, &gate));
    let mut client = Client::get(daemon.address(), &through_ffmpeg);
    let head = client.first_byte();
    assert_full(&daemon.get(&through_ffmpeg), "client-muxers-full");
    gate.open();
    assert_eq!(client.body(&head).1, Ending::Complete);
}

/// Behind a trusted proxy, so that clients may have any address.
#[test]
fn clients_in_the_internet_have_budgets() {
    let rates = "[limits]\nrequests_per_minute = 3\npages_per_hour = 2\n";
    let proxy = "[access]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let daemon = Daemon::start(&format!("{proxy}{rates}{NO_YTDLP}{LOOPBACK}"));
    let from = |client: &str, path: &str| {
        let fields = format!("X-Forwarded-For: {client}\r\n");
        ask(daemon.address(), "GET", path, &fields)
    };
    let page = |number: usize| format!("/info?url=http%3A%2F%2F127.0.0.1%2F{number}");
    let limited = |answer: &Answer, key: &str| {
        assert_eq!((answer.head.status, answer.code().as_str()), (429, "rate-limited"));
        assert!(answer.text().contains(key), "{}", answer.text());
        answer.head.header("Retry-After").unwrap().parse::<u32>().unwrap()
    };
    // A page that is another one each time is read each time.
    for number in 0..2 {
        assert_ne!(from("9.9.9.9", &page(number)).head.status, 429);
    }
    let wait = limited(&from("9.9.9.9", &page(2)), "pages_per_hour");
    assert!((1700..=1801).contains(&wait), "{wait}");
    let wait = limited(&from("9.9.9.9", &page(3)), "requests_per_minute");
    assert!((1..=21).contains(&wait), "{wait}");
    // What costs nothing is served, and others are not concerned.
    assert_eq!(from("9.9.9.9", "/").head.status, 200);
    for other in ["9.8.8.8", "2600::1", "10.0.0.1", "127.0.0.1"] {
        assert_ne!(from(other, &page(4)).head.status, 429, "{other}");
    }
    for number in 0..9 {
        assert_ne!(from("10.0.0.1", &page(number)).head.status, 429);
    }
}
