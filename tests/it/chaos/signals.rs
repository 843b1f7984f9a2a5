//! Signals to ffmpeg at any moment, and to the daemon.

use std::thread;
use std::time::Duration;

use super::{TestSetup, stop};
use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, media, signal};

/// Moments at which a signal is sent, for each signal.
const MOMENTS: usize = 3;
/// How long something stands still; there is nothing to wait for.
const STILL: Duration = Duration::from_secs(1);
/// Bytes sent to clients.
const SENT: &str = "ytcanal_sent_bytes_total";

/// A film of some 100 MB: what lies in buffers between ffmpeg and the client is little of it, so
/// that a byte that was read tells how far ffmpeg has come.
fn long_film(config: &str) -> TestSetup {
    let config = format!("{LOOPBACK}{config}");
    TestSetup::of(&Setup { config, ..Setup::default() }, media::high_bit_rate())
}

/// So many bytes at which to send a signal; ffmpeg has some way to go behind each.
fn moments(scene: &TestSetup) -> Vec<usize> {
    let seed = std::env::var("YTCANAL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("YTCANAL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut moments: Vec<_> =
        (0..MOMENTS).map(|_| random.usize(1..scene.expected.len() / 2)).collect();
    moments.sort_unstable();
    moments
}

#[test]
fn an_ffmpeg_that_is_killed_or_stands_is_a_broken_download() {
    let scene = long_film("[muxer]\nstall_timeout = \"6s\"\n");
    for name in ["KILL", "STOP"] {
        for at in moments(&scene) {
            let mut client = Client::get(scene.daemon.address(), &scene.path);
            client.first_byte();
            client.read_raw(at);
            signal(scene.ffmpeg(), name);
            // What comes in good order ends in good order; nothing less than a reset will do.
            assert_eq!(client.until_closed(), Ending::Reset, "{name} at {at}");
            scene.daemon.settles(&scene.baseline, PATIENCE);
        }
    }
    scene.is_as_before();
}

#[test]
fn an_ffmpeg_killed_before_its_first_byte_is_an_error() {
    let scene = TestSetup::new("");
    let gate = Gate::default();
    // The index of the picture ends behind this, and ffmpeg writes nothing without it.
    let video = Resource::file(&media::minute().video).ranges().gate(20_000, &gate);
    let video = scene.origin.put("held", video);
    let path = mux_path(Some(&video), Some(&scene.origin.url("a")), &[]);
    let mut client = Client::get(scene.daemon.address(), &path);
    gate.reached();
    let ffmpeg = eventually("ffmpeg runs", PATIENCE, || {
        scene.daemon.children().first().map(|child| child.pid)
    });
    signal(ffmpeg, "KILL");
    let answer = client.answer();
    assert_eq!((answer.head.status, answer.code().as_str()), (500, "muxer-failed"));
    scene.is_as_before();
}

#[test]
fn an_ffmpeg_that_stands_for_a_while_is_waited_for() {
    let scene = long_film("[muxer]\nstall_timeout = \"20s\"\n");
    let before = scene.daemon.metric(SENT);
    thread::scope(|scope| {
        let mut client = Client::get(scene.daemon.address(), &scene.path);
        let head = client.first_byte();
        let ffmpeg = scene.ffmpeg();
        let reading = scope.spawn(move || client.body(&head));
        for at in moments(&scene) {
            eventually("so much is sent", PATIENCE, || {
                (scene.daemon.metric(SENT) >= before + at as f64).then_some(())
            });
            stop(ffmpeg);
            thread::sleep(STILL);
            signal(ffmpeg, "CONT");
        }
        scene.is_identical(&reading.join().unwrap());
    });
    scene.is_as_before();
}

/// As a laptop whose lid is closed; every limit of the daemon is shorter.
#[test]
fn a_daemon_that_stands_for_a_while_goes_on() {
    let limits = "stall_timeout = \"2s\"\nconnect_timeout = \"2s\"\n\
        [limits]\nclient_stall_timeout = \"2s\"\n[muxer]\nstall_timeout = \"2s\"\n";
    let scene = TestSetup::new(limits);
    let held = scene.held();
    stop(scene.daemon.pid());
    thread::sleep(STILL * 3);
    // The upstream is there again in the moment in which the daemon is.
    held.gate.open();
    signal(scene.daemon.pid(), "CONT");
    scene.goes_on(held);
    scene.is_as_before();
}

/// It is what a write to a closed socket sends.
#[test]
fn sigpipe_ends_nothing() {
    let scene = TestSetup::new("");
    let held = scene.held();
    signal(scene.daemon.pid(), "PIPE");
    scene.goes_on(held);
    scene.is_as_before();
}

/// Makes a terminal the standard input of a program.
const ON_A_TERMINAL: &str = "import os, pty, sys\n\
    master, slave = pty.openpty()\n\
    os.set_inheritable(master, True)\n\
    os.dup2(slave, 0)\n\
    os.execvp(sys.argv[1], sys.argv[1:])";

/// Its terminal was closed: it takes leave as on SIGTERM, and cuts nobody short.
#[test]
fn sighup_lets_streams_come_to_their_end() {
    let through = ["python3", "-c", ON_A_TERMINAL].map(String::from).into();
    let config = LOOPBACK.to_owned();
    let mut scene = TestSetup::with(&Setup { config, through, ..Setup::default() });
    let held = scene.held();
    signal(scene.daemon.pid(), "HUP");
    scene.daemon.logs("draining: 1 streams");
    let late = scene.daemon.get(&scene.path);
    assert_eq!((late.head.status, late.code().as_str()), (503, "draining"));
    scene.goes_on(held);
    assert_eq!(scene.daemon.exit(PATIENCE).code(), Some(0), "{}", scene.daemon.log());
}

/// Without a terminal it is a daemon, which reads its configuration again.
#[test]
fn sighup_ends_no_daemon() {
    let scene = TestSetup::new("");
    let held = scene.held();
    signal(scene.daemon.pid(), "HUP");
    scene.daemon.logs("configuration reloaded");
    scene.goes_on(held);
    scene.is_as_before();
}

/// nohup(1) starts it with the signal ignored, and so it stays.
#[test]
fn a_daemon_under_nohup_outlives_its_terminal() {
    let through = ["nohup"].map(String::from).into();
    let daemon = Daemon::start_with(&Setup { through, ..Setup::default() });
    signal(daemon.pid(), "HUP");
    // Not that it would merely be slow to end.
    let mask = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let ignored = mask.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "SIGHUP is not ignored");
    assert_eq!(daemon.get("/readyz").head.status, 200);
}

/// Those that it knows nothing of end it at once, which its clients must see.
#[test]
fn a_signal_that_ends_the_daemon_is_a_broken_download() {
    for name in ["USR1", "ABRT", "QUIT"] {
        let mut scene = TestSetup::new("");
        let held = scene.held();
        signal(scene.daemon.pid(), name);
        assert_eq!(held.ends().1, Ending::Reset, "SIG{name}");
        let status = scene.daemon.exit(PATIENCE);
        assert_eq!(status.code(), None, "SIG{name}: {status}");
    }
}
