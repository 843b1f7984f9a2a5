//! Requests can be followed: each has a name and one line in the log, in every format, and is counted.

mod logs;
mod metrics;
mod names;
mod watching;

use std::fmt::Write;
use std::path::Path;

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, any_path, ask, mux_path, splice_path};
use crate::support::daemon::Daemon;
use crate::support::film::track_file;
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::Resource;

/// A secret of alice, and its SHA-256 (FIPS 180-2, B.1).
const SECRET: &str = "abc";
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// What must be in no log.
const SIGNATURE: &str = "hunter2";
/// Where clients are that this machine is a proxy for.
const FAR: &str = "9.9.9.9";

/// A daemon behind a proxy, with a token, that logs everything in a format.
fn start(directory: &Path, format: &str) -> Daemon {
    let tokens = directory.join("tokens.toml");
    std::fs::write(&tokens, format!("[alice]\nhash = \"{HASH}\"\nmay = [\"mux\", \"metrics\"]\n"))
        .unwrap();
    Daemon::start(&format!(
        "[access]\nmode = \"open\"\ntokens_file = {tokens:?}\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
         [upstream]\nallow = [\"127.0.0.0/8\"]\n[log]\nlevel = \"debug\"\nformat = \"{format}\"\n"
    ))
}

/// What a client in the internet gets.
fn from_far(daemon: &Daemon, method: &str, path: &str, fields: &str) -> Answer {
    ask(daemon.address(), method, path, &format!("X-Forwarded-For: {FAR}\r\n{fields}"))
}

/// What is known of a request by those who made it.
#[derive(Clone, Debug, Default)]
struct Expected {
    method: &'static str,
    route: &'static str,
    status: u16,
    result: &'static str,
    engine: Option<&'static str>,
    resumed_at: Option<u64>,
    token: bool,
    bytes_out: usize,
    fetches: bool,
    id: String,
}

/// Makes requests of all kinds, one after the other; returns what their lines have to say.
fn make_requests(daemon: &Daemon, origin: &Origin) -> Vec<Expected> {
    let (pair, file) = (media::minute(), track_file("video"));
    let whole = std::fs::read(file).unwrap().len();
    let signed = |name: &str| format!("{}?sig={SIGNATURE}", origin.url(name));
    origin.put("one", Resource::file(file).ranges().etag("\"1\""));
    origin.put("v", Resource::file(&pair.video).ranges().etag("\"2\""));
    origin.put("a", Resource::file(&pair.audio).ranges().etag("\"3\""));
    let one = mux_path(Some(&signed("one")), None, &[]);
    let two = (signed("v"), signed("a"));
    let range = "Range: bytes=1000-\r\n";
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let wrong = "Authorization: Bearer wrong\r\n";
    let of = |route, status, result| Expected {
        method: "GET",
        route,
        status,
        result,
        ..Expected::default()
    };
    let mux = |status, engine| Expected {
        engine: Some(engine),
        fetches: true,
        ..of("/mux", status, "complete")
    };
    let table: Vec<(String, &str, Expected)> = vec![
        ("/".into(), "", of("/", 200, "complete")),
        (format!("/?url=http%3A%2F%2Fa.example%2F{SIGNATURE}"), "", of("/", 200, "complete")),
        ("/watch?v=abc".into(), "", of("/watch", 200, "complete")),
        ("/healthz".into(), "", of("/healthz", 200, "complete")),
        ("/readyz".into(), "", of("/readyz", 200, "complete")),
        ("/metrics".into(), "", of("/metrics", 401, "login-needed")),
        ("/metrics".into(), &bearer, Expected { token: true, ..of("/metrics", 200, "complete") }),
        ("/icon.svg".into(), "", of("/icon.svg", 200, "complete")),
        ("/manifest.webmanifest".into(), "", of("/manifest.webmanifest", 200, "complete")),
        ("/player.js".into(), "", of("/player.js", 200, "complete")),
        ("/openapi.json".into(), "", of("/openapi.json", 200, "complete")),
        ("/login".into(), "", of("/login", 200, "complete")),
        ("/logout".into(), "", of("/logout", 303, "complete")),
        ("/sign".into(), "", of("/sign", 400, "bad-parameter")),
        ("/info".into(), "", of("/info", 400, "missing-parameter")),
        ("/thumbnail".into(), "", of("/thumbnail", 400, "missing-parameter")),
        ("/download".into(), "", of("/download", 400, "missing-parameter")),
        (format!("/{SIGNATURE}"), "", of("(other)", 404, "not-found")),
        (
            mux_path(Some(&signed("gone")), None, &[]),
            "",
            Expected { fetches: true, ..of("/mux", 404, "upstream-not-found") },
        ),
        (one.clone(), wrong, of("/mux", 401, "bad-token")),
        (one.clone(), "", mux(200, "pass")),
        (one.clone(), range, Expected { resumed_at: Some(1000), ..mux(206, "pass") }),
        (one.clone(), &bearer, Expected { token: true, ..mux(200, "pass") }),
        (splice_path(&two.0, &two.1, &[]), "", mux(200, "splice")),
        (any_path(Some(&two.0), Some(&two.1), &[("engine", "ffmpeg")]), "", mux(200, "ffmpeg")),
    ];
    let mut expected = Vec::new();
    for (path, fields, row) in table {
        let answer = from_far(daemon, "GET", &path, fields);
        assert_eq!(
            (answer.head.status, answer.ending),
            (row.status, Ending::Complete),
            "{path}: {}",
            answer.text()
        );
        let id = answer.head.header("X-Request-Id").unwrap().to_owned();
        expected.push(Expected { bytes_out: answer.body.len(), id, ..row });
    }
    let head = from_far(daemon, "HEAD", &one, "");
    let id = head.head.header("X-Request-Id").unwrap().to_owned();
    expected.push(Expected { method: "HEAD", fetches: true, id, ..of("/mux", 200, "complete") });
    assert_eq!(head.head.header("Content-Length"), Some(whole.to_string().as_str()));
    expected.push(malformed(daemon));
    expected.push(left(daemon, origin));
    expected
}

/// Sends what is no request.
fn malformed(daemon: &Daemon) -> Expected {
    let mut client = Client::connect(daemon.address());
    client.send(format!("BREW /{SIGNATURE} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
    let answer = client.answer();
    let id = answer.problem()["request_id"].as_str().unwrap().to_owned();
    let (bytes_out, status, route) = (answer.body.len(), 405, "(other)");
    Expected {
        method: "-",
        route,
        status,
        result: "method-not-allowed",
        bytes_out,
        id,
        ..Expected::default()
    }
}

/// Leaves in the middle of a file.
fn left(daemon: &Daemon, origin: &Origin) -> Expected {
    let gate = Gate::default();
    let resource = Resource::file(track_file("video")).ranges().etag("\"4\"").gate(200_000, &gate);
    let path =
        mux_path(Some(&format!("{}?sig={SIGNATURE}", origin.put("slow", resource))), None, &[]);
    let mut client = Client::connect(daemon.address());
    client.ask(&path, &["X-Forwarded-For: 9.9.9.9"]);
    let head = client.first_byte();
    let id = head.header("X-Request-Id").unwrap().to_owned();
    drop(client);
    let engine = Some("pass");
    // How much had gone by then, nobody knows.
    let (bytes_out, fetches) = (usize::MAX, true);
    Expected {
        method: "GET",
        route: "/mux",
        status: 200,
        result: "client-left",
        engine,
        bytes_out,
        fetches,
        id,
        ..Expected::default()
    }
}

/// What is different between a line and what it should say.
fn difference(expected: &Expected, found: &[(&str, String)]) -> String {
    let bytes_out = match expected.bytes_out {
        usize::MAX => None,
        len => Some(len.to_string()),
    };
    let wanted = [
        ("method", Some(expected.method.to_owned())),
        ("route", Some(expected.route.to_owned())),
        ("status", Some(expected.status.to_string())),
        ("result", Some(expected.result.to_owned())),
        ("engine", Some(expected.engine.unwrap_or("null").to_owned())),
        ("resumed_at", Some(expected.resumed_at.map_or("null".into(), |at| at.to_string()))),
        ("token", Some(if expected.token { "alice" } else { "null" }.to_owned())),
        ("bytes_out", bytes_out),
        ("request_id", Some(expected.id.clone())),
    ];
    let mut text = String::new();
    for (name, value) in wanted {
        let found = found.iter().find(|(found, _)| *found == name).map(|(_, value)| value);
        if let (Some(value), Some(found)) = (value, found)
            && value != *found
        {
            write!(text, "{name} is {found} and not {value}; ").unwrap();
        }
    }
    text
}
