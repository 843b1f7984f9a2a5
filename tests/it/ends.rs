//! How streams and daemons end: whole downloads, clients that leave, signals, and what a
//! killed daemon leaves behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::names::Names;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, media};

const DOWNLOADS: usize = 200;
const AT_A_TIME: usize = 8;

/// The promise for everything that belongs to the stream of a client that left.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// Puts the minute on an origin, the picture held at a gate, and says how to ask for it.
fn gated_minute(origin: &Origin, offset: u64, gate: &Gate) -> String {
    let pair = media::minute();
    let video = origin.put("v", Resource::file(&pair.video).gate(offset, gate));
    let audio = origin.put("a", Resource::file(&pair.audio));
    mux_path(Some(&video), Some(&audio), &[])
}

fn half_of_the_picture() -> u64 {
    Resource::file(&media::minute().video).len() / 2
}

#[test]
fn two_hundred_downloads_are_whole_and_leave_nothing() {
    let (origin, pair) = (Origin::start(), media::minute());
    let daemon = Daemon::start(&format!(
        "{LOOPBACK}[limits]\nstreams = {AT_A_TIME}\nstreams_per_client = {AT_A_TIME}\nmuxers = 64\nmuxers_per_client = 64\n"
    ));
    let video = origin.put("v", Resource::file(&pair.video));
    let audio = origin.put("a", Resource::file(&pair.audio));
    let path = mux_path(Some(&video), Some(&audio), &[]);
    let baseline = daemon.baseline();
    // A slot is free by the time its client has seen the end: none is ever refused here.
    let expected = daemon.get(&path);
    assert_eq!(expected.head.status, 200, "{}", expected.text());
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let number = begun.fetch_add(1, Ordering::SeqCst);
                    if number >= DOWNLOADS {
                        return;
                    }
                    let answer = daemon.get(&path);
                    assert_eq!(answer.head.status, 200, "{number}: {}", answer.text());
                    assert_eq!(answer.ending, Ending::Complete, "{number}");
                    assert!(
                        answer.body == expected.body,
                        "download {number} has {} bytes, the first {}",
                        answer.body.len(),
                        expected.body.len()
                    );
                }
            });
        }
    });
    daemon.settles(&baseline, PATIENCE);
    assert_eq!(daemon.metric("ytcanal_streams_active"), 0.0);
}

#[test]
fn a_client_that_leaves_takes_its_stream_along() {
    let origin = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    let baseline = daemon.baseline();
    // The gate stays shut: the upstream is silent for as long as the client is there.
    let table = [
        ("before the source is recognised", 16, false),
        ("before the first byte", 20_000, false),
        ("while nothing is written", half_of_the_picture(), true),
    ];
    for (when, offset, flowing) in table {
        println!("the client leaves {when}");
        let gate = Gate::default();
        let path = gated_minute(&origin, offset, &gate);
        let mut client = Client::get(daemon.address(), &path);
        if flowing {
            client.first_byte();
        }
        gate.reached();
        drop(client);
        daemon.settles(&baseline, GONE_WITHIN);
        gate.open();
    }
}

#[test]
fn a_client_may_leave_in_the_middle() {
    let (origin, pair) = (Origin::start(), media::five_hours());
    let daemon = Daemon::start(LOOPBACK);
    let video = origin.put("v", Resource::file(&pair.video));
    let audio = origin.put("a", Resource::file(&pair.audio));
    let path = mux_path(Some(&video), Some(&audio), &[]);
    let baseline = daemon.baseline();
    for _ in 0..5 {
        let mut client = Client::get(daemon.address(), &path);
        client.first_byte();
        client.read_raw(1_000_000);
        assert!(!daemon.children().is_empty(), "no ffmpeg in the middle");
        drop(client);
        daemon.settles(&baseline, GONE_WITHIN);
    }
}

#[test]
fn a_terminated_daemon_finishes_what_runs() {
    let origin = Origin::start();
    let mut daemon = Daemon::start(LOOPBACK);
    let gate = Gate::default();
    let path = gated_minute(&origin, half_of_the_picture(), &gate);
    let mut client = Client::get(daemon.address(), &path);
    let head = client.first_byte();
    gate.reached();
    daemon.terminate();
    daemon.logs("draining: 1 streams");
    for path in ["/readyz", &path] {
        let late = daemon.get(path);
        assert_eq!((late.head.status, late.code().as_str()), (503, "draining"), "{path}");
    }
    assert_eq!(daemon.get("/healthz").head.status, 200);
    gate.open();
    let (body, ending) = client.body(&head);
    assert_eq!(ending, Ending::Complete);
    assert!(body.len() as u64 > half_of_the_picture());
    assert_eq!(daemon.exit(PATIENCE).code(), Some(0), "{}", daemon.log());
}

/// The end of the connection is the end of the body for a client of HTTP/1.0: even a daemon that
/// is killed must not give it one in good order.
#[test]
fn a_killed_daemon_leaves_no_client_in_good_faith() {
    let origin = Origin::start();
    for version in ["1.0", "1.1"] {
        let mut daemon = Daemon::start(LOOPBACK);
        let gate = Gate::default();
        let path = gated_minute(&origin, half_of_the_picture(), &gate);
        let mut client = Client::connect(daemon.address());
        client.send(format!("GET {path} HTTP/{version}\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
        let head = client.first_byte();
        gate.reached();
        crate::support::signal(daemon.pid(), "KILL");
        daemon.exit(PATIENCE);
        assert_eq!(client.body(&head).1, Ending::Reset, "HTTP/{version}");
        gate.open();
    }
}

/// The client's own kernel tells of room in steps of a sixteenth of its buffer; what waits in ours
/// must not make that megabytes.
#[test]
fn a_slow_client_is_not_a_stalled_one() {
    let (origin, pair) = (Origin::start(), media::five_hours());
    let daemon = Daemon::start(&format!("{LOOPBACK}[limits]\nclient_stall_timeout = \"4s\"\n"));
    let audio = origin.put("a", Resource::file(&pair.audio));
    let mut client = Client::connect(daemon.address());
    client.fix_receive_buffer(1 << 20);
    client.ask(&mux_path(None, Some(&audio), &[]), &[]);
    client.first_byte();
    // What waits in the kernel on either side is some megabytes: the pace begins behind it.
    client.read_raw(8 << 20);
    for _ in 0..40 {
        client.read_raw(64 << 10);
        thread::sleep(Duration::from_millis(250));
    }
    assert!(!daemon.log().contains("read nothing"), "{}", daemon.log());
}

#[test]
fn an_idle_daemon_ends_on_either_signal() {
    for name in ["TERM", "INT"] {
        let mut daemon = Daemon::start("");
        assert_eq!(daemon.get("/healthz").head.status, 200);
        crate::support::signal(daemon.pid(), name);
        let status = daemon.exit(PATIENCE);
        assert_eq!(status.code(), Some(0), "SIG{name}: {}", daemon.log());
    }
}

#[test]
fn draining_has_an_end_that_the_client_sees() {
    let origin = Origin::start();
    let mut daemon = Daemon::start(&format!("{LOOPBACK}[limits]\ndrain_timeout = \"1s\"\n"));
    let gate = Gate::default();
    let path = gated_minute(&origin, half_of_the_picture(), &gate);
    let mut client = Client::get(daemon.address(), &path);
    let head = client.first_byte();
    gate.reached();
    daemon.terminate();
    let (_, ending) = client.body(&head);
    assert_ne!(ending, Ending::Complete);
    assert_eq!(daemon.exit(PATIENCE).code(), Some(0), "{}", daemon.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    let origin = Origin::start();
    let mut daemon = Daemon::start(&format!("{LOOPBACK}[limits]\ndrain_timeout = \"10m\"\n"));
    let gate = Gate::default();
    let path = gated_minute(&origin, half_of_the_picture(), &gate);
    let mut client = Client::get(daemon.address(), &path);
    let head = client.first_byte();
    gate.reached();
    daemon.terminate();
    daemon.logs("draining");
    daemon.terminate();
    daemon.exit(Duration::from_secs(10));
    assert_ne!(client.body(&head).1, Ending::Complete);
}

/// getaddrinfo(3) cannot be interrupted: the daemon ends without it, but does not report success.
#[test]
fn a_name_look_up_that_hangs_is_a_failure_and_leaves_nothing() {
    let names = Names::new(&[("slow.example", &["hangs"])]);
    let setup = Setup { environment: names.environment(), ..Setup::default() };
    let mut daemon = Daemon::start_with(&setup);
    let client = Client::get(daemon.address(), &mux_path(Some("http://slow.example/v"), None, &[]));
    eventually("the look-up begins", PATIENCE, || (!names.looked_up().is_empty()).then_some(()));
    daemon.terminate();
    daemon.logs("draining: 1 streams");
    daemon.terminate();
    assert_eq!(daemon.exit(PATIENCE).code(), Some(1), "{}", daemon.log());
    assert!(daemon.log().contains("check the name servers"), "{}", daemon.log());
    assert_eq!(directories(daemon.runtime_dir()), BTreeSet::new());
    drop(client);
}

#[test]
fn a_new_daemon_clears_up_after_the_dead_and_spares_the_living() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let directory = tempfile::tempdir().unwrap();
    let shared = directory.path().join("run");
    let setup = Setup {
        config: LOOPBACK.to_owned(),
        runtime_dir: Some(shared.clone()),
        ..Setup::default()
    };
    let path = gated_minute(&origin, half_of_the_picture(), &gate);
    let living = Daemon::start_with(&setup);
    let of_the_living = directories(&shared);
    assert!(!of_the_living.is_empty(), "no directory of its own");
    let mut client = Client::get(living.address(), &path);
    let head = client.first_byte();

    let mut dead = Daemon::start_with(&setup);
    let mut abandoned = Client::get(dead.address(), &path);
    abandoned.first_byte();
    dead.kill();
    let leftovers: Vec<_> = directories(&shared).difference(&of_the_living).cloned().collect();
    assert!(!leftovers.is_empty(), "the killed daemon left nothing");

    let _next = Daemon::start_with(&setup);
    let now = directories(&shared);
    assert!(leftovers.iter().all(|name| !now.contains(name)), "{now:?}");
    assert!(of_the_living.is_subset(&now), "{now:?}");
    gate.open();
    assert_eq!(client.body(&head).1, Ending::Complete);
}

fn directories(parent: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(parent).unwrap().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
