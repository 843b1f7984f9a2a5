//! Hostile bytes and crowds of connections: the daemon keeps serving and does not grow.

use std::thread;
use std::time::Duration;

use crate::support::answer::Ending;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::namespace;
use crate::support::origin::Origin;
use crate::support::process_snapshot::memory;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, media, run};

/// What the daemon may grow by over all attacks, its thread stacks included.
const GROWTH_LIMIT: u64 = 16 << 20;

/// Sends bytes as far as they are taken and gives the status of the answer, if there is one.
fn status_of(daemon: &Daemon, bytes: &[u8]) -> Option<u16> {
    let mut client = Client::connect(daemon.address());
    drop(client.send(bytes));
    client.try_answer().map(|answer| answer.head.status)
}

#[test]
fn hostile_heads_are_answered_and_forgotten() {
    let daemon = Daemon::start("[limits]\nhead_timeout = \"2s\"\n");
    assert_eq!(daemon.get("/healthz").head.status, 200);
    let baseline = daemon.baseline();
    let before = memory(daemon.pid(), "VmHWM");
    let many_headers = "X: y\r\n".repeat(1000);
    let random: Vec<u8> =
        (0..65_536_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let get = |lines: &str| format!("GET /healthz HTTP/1.1\r\nHost: t\r\n{lines}\r\n").into_bytes();
    let first = |line: &str| format!("{line}\r\nHost: t\r\n\r\n").into_bytes();
    let flood = |start: &str| [start.as_bytes(), &vec![b'x'; 100 << 20]].concat();
    let petabyte = "Content-Length: 1000000000000000\r\n";
    let posted = format!("POST / HTTP/1.1\r\nHost: t\r\n{petabyte}\r\n").into_bytes();
    let beyond = "Content-Length: 99999999999999999999999\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec();
    let table: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("a petabyte announced", get(petabyte), &[400]),
        ("a petabyte posted", posted, &[400, 405]),
        ("a length beyond numbers", get(beyond), &[400]),
        ("a negative length", get("Content-Length: -1\r\n"), &[400]),
        ("HTTP/2.0", first("GET / HTTP/2.0"), &[505]),
        ("HTTP/9.9", first("GET / HTTP/9.9"), &[400, 505]),
        ("NUL in the path", first("GET /\0 HTTP/1.1"), &[400]),
        ("NUL in a header", get("X: \0\r\n"), &[400]),
        ("bare LF", b"GET /healthz HTTP/1.1\nHost: t\n\n".into(), &[200, 400]),
        ("only LF", b"\n\n\n\n\n\n".into(), &[400, 408]),
        ("a thousand headers", get(&many_headers), &[400, 431]),
        ("expect", get("Expect: 100-continue\r\n"), &[200, 400]),
        ("upgrade", get(upgrade), &[200, 400]),
        ("a TLS hello", tls, &[400]),
        ("noise", random, &[400, 431]),
        ("a hundred megabytes of head", flood("GET / HTTP/1.1\r\nX: "), &[431]),
        ("a hundred megabytes of path", flood("GET /"), &[431]),
        ("dot segments", first("GET /../../etc/passwd HTTP/1.1"), &[400, 404]),
    ];
    for (name, bytes, statuses) in table {
        let status = status_of(&daemon, &bytes);
        println!("{name:30} {status:?}");
        // A daemon that stops reading may close before its answer can be read.
        let closed = status.is_none() && bytes.len() > 16 * 1024;
        assert!(
            closed || status.is_some_and(|status| statuses.contains(&status)),
            "{name}: {status:?}"
        );
        assert_eq!(daemon.get("/healthz").head.status, 200, "after {name}");
    }
    daemon.settles(&baseline, PATIENCE);
    let grown = memory(daemon.pid(), "VmHWM") - before;
    println!("grown by {} KiB", grown >> 10);
    assert!(grown < GROWTH_LIMIT, "grown by {grown} bytes");
}

#[test]
fn a_dribbled_head_times_out() {
    let daemon = Daemon::start("[limits]\nhead_timeout = \"2s\"\n");
    let baseline = daemon.baseline();
    let mut client = Client::connect(daemon.address());
    let mut taken = 0;
    for byte in b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n" {
        // The pace is the attack. The daemon's close shows as an error of a later byte.
        thread::sleep(Duration::from_millis(500));
        if client.send(&[*byte]).is_err() {
            break;
        }
        taken += 1;
    }
    assert!(taken < 30, "all {taken} bytes were taken in 15 s");
    let status = client.try_answer().map(|answer| answer.head.status);
    assert!(matches!(status, None | Some(408)), "{status:?}");
    let mut silent = Client::connect(daemon.address());
    let status = silent.try_answer().map(|answer| answer.head.status);
    assert!(matches!(status, None | Some(408)), "{status:?}");
    daemon.settles(&baseline, PATIENCE);
}

#[test]
fn bursts_of_connections_pass() {
    let daemon = Daemon::start("");
    let baseline = daemon.baseline();
    for _ in 0..5 {
        let clients: Vec<Client> =
            (0..200).map(|_| Client::get(daemon.address(), "/healthz")).collect();
        for mut client in clients {
            assert_eq!(client.answer().head.status, 200);
        }
        // Half of the next burst leaves without a word.
        let silent: Vec<Client> = (0..200).map(|_| Client::connect(daemon.address())).collect();
        drop(silent);
    }
    daemon.settles(&baseline, PATIENCE);
}

#[test]
fn a_thousand_idle_connections_do_not_keep_a_client_out() {
    // Both this process and the daemon, which inherits the limit, hold a thousand sockets.
    let pid = std::process::id().to_string();
    let raised = run(std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=4096:"]));
    assert!(raised.status.success(), "this test needs `ulimit -Hn` of at least 4096");
    let (origin, pair) = (Origin::start(), media::minute());
    let daemon = Daemon::start(&format!("{LOOPBACK}[limits]\nhead_timeout = \"5s\"\n"));
    let baseline = daemon.baseline();
    let mut idle: Vec<Client> = (0..1000).map(|_| Client::connect(daemon.address())).collect();
    assert_eq!(daemon.get("/healthz").head.status, 200);
    let video = origin.put("v", Resource::file(&pair.video));
    let answer = daemon.get(&mux_path(Some(&video), None, &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    for client in &mut idle {
        client.until_closed();
    }
    drop(idle);
    daemon.settles(&baseline, PATIENCE);
}

#[test]
fn connections_over_the_cap_are_turned_away() {
    let daemon = Daemon::start("[limits]\nconnections = 4\nhead_timeout = \"1m\"\n");
    let baseline = daemon.baseline();
    let idle: Vec<Client> = (0..4).map(|_| Client::connect(daemon.address())).collect();
    let mut late = Client::connect(daemon.address());
    drop(late.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    let answer = late.answer();
    assert_eq!(answer.head.status, 503);
    assert_eq!(answer.problem()["code"], "connections-full");
    // Whoever watches over the server must not take it for dead.
    for path in ["/healthz", "/readyz"] {
        assert_eq!(daemon.get(path).head.status, 200, "{path}");
    }
    drop((idle, late));
    eventually("a place is free again", PATIENCE, || {
        (status_of(&daemon, b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n") == Some(200)).then_some(())
    });
    daemon.settles(&baseline, PATIENCE);
}

/// From addresses in the internet, which it has in a namespace.
#[test]
fn silent_connections_of_one_network_keep_nobody_else_out() {
    let addresses = (1..9).map(|last| format!("ip address add 9.9.{last}.1/32 dev lo"));
    let interfaces = ["ip link set lo up".to_owned()].into_iter().chain(addresses);
    let interfaces = interfaces.collect::<Vec<_>>().join(" && ");
    let name = "attack::silent_connections_of_one_network_keep_nobody_else_out";
    namespace::run(name, &interfaces, || {
        let limits = "connections = 64\nconnections_per_client = 16\nhead_timeout = \"1m\"\n";
        let daemon = Daemon::start(&format!("[limits]\n{limits}"));
        let connect = |address: &str| Client::connect_from(address, daemon.address());
        let ask = |address: &str, path: &str| {
            let mut client = connect(address);
            drop(client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()));
            client.try_answer().map(|answer| (answer.head.status, answer.code()))
        };
        // As many as it likes: those that are too many are closed, or wait for a short while.
        let _silent: Vec<Client> = (0..200).map(|_| connect("9.9.1.1")).collect();
        eventually("its own limit stands against it", PATIENCE, || {
            (ask("9.9.1.1", "/")? == (429, "client-connections-full".into())).then_some(())
        });
        assert_eq!(ask("9.9.2.1", "/").unwrap().0, 200);
        // Four addresses leave something to others, too.
        let _more: Vec<Client> = ["9.9.3.1", "9.9.4.1", "9.9.5.1"]
            .iter()
            .flat_map(|from| (0..50).map(|_| connect(from)))
            .collect();
        assert_eq!(ask("9.9.2.1", "/").unwrap().0, 200);
        assert_eq!(daemon.get("/healthz").head.status, 200);
    });
}

#[test]
fn a_daemon_out_of_descriptors_recovers() {
    let daemon = Daemon::start_with(&Setup {
        config: "[limits]\nhead_timeout = \"1m\"\n".to_owned(),
        descriptors: Some(40),
        ..Setup::default()
    });
    let baseline = daemon.baseline();
    for _ in 0..3 {
        // What the daemon cannot accept waits in the kernel's queue.
        let crowd: Vec<_> = (0..60).map(|_| Client::try_connect(daemon.address())).collect();
        daemon.logs("cannot accept connections");
        drop(crowd);
        eventually("it answers again", PATIENCE, || {
            (status_of(&daemon, b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n") == Some(200))
                .then_some(())
        });
    }
    daemon.settles(&baseline, PATIENCE);
    // A shortage is told when it begins, not for as long as it lasts.
    let warnings = daemon.log().matches("cannot accept connections").count();
    assert!(warnings < 60, "{warnings} lines of log for three shortages");
}

#[test]
fn nothing_a_client_sends_forges_a_log_line_or_a_header() {
    let origin = Origin::start();
    let daemon = Daemon::start(&format!("{LOOPBACK}[log]\nlevel = \"debug\"\n"));
    let forged = "\r\n2026-01-01T00:00:00Z [ERROR] forged\u{1b}[31m";
    let gone = origin.url("gone");
    let paths = [
        mux_path(Some(&gone), None, &[("name", forged)]),
        mux_path(Some(&gone), None, &[("container", forged)]),
        mux_path(Some(&format!("{gone}{forged}")), None, &[]),
        mux_path(Some(forged), None, &[]),
        mux_path(Some(&gone), None, &[]) + "&%0D%0A2026-01-01T00:00:00Z%20[ERROR]%20forged=1",
        "/%0D%0A2026-01-01T00:00:00Z%20[ERROR]%20forged".to_owned(),
    ];
    for path in paths {
        let answer = daemon.get(&path);
        assert!(answer.head.status >= 400, "{path}");
        for (name, value) in &answer.head.headers {
            assert!(
                !value.contains("forged") && !name.contains("forged"),
                "{path}: {name}: {value}"
            );
        }
    }
    let vertical = "GET /healthz HTTP/1.1\r\nHost: t\r\nUser-Agent: a\u{b}b\u{1b}[2J\r\n\r\n";
    status_of(&daemon, vertical.as_bytes());
    for line in daemon.log().lines() {
        assert!(is_record(line), "not a record: {line:?}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{line:?}");
    }
}

/// A record begins like `2026-11-22T21:00:00Z [INFO] `.
fn is_record(line: &str) -> bool {
    let shape: String =
        line.chars().take(22).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z ["
}
