//! The one line of each request, in each format.

use std::process::Command;

use serde_json::Value;

use super::{FAR, SIGNATURE, difference, from_far, make_requests, start};
use crate::support::daemon::binary;
use crate::support::origin::Origin;
use crate::support::{PATIENCE, eventually, run};

/// The keys of the line of a request, in order, as docs/operations.md has them.
const KEYS: [&str; 19] = [
    "time",
    "level",
    "message",
    "request_id",
    "client",
    "method",
    "route",
    "status",
    "result",
    "detail",
    "source",
    "engine",
    "resumed_at",
    "bytes_out",
    "bytes_in",
    "seconds",
    "first_byte_seconds",
    "token",
    "user_agent",
];

#[test]
fn json_has_one_line_a_request_with_all_its_fields() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let daemon = start(directory.path(), "json");
    let expected = make_requests(&daemon, &origin);
    let lines = eventually("all requests have a line", PATIENCE, || {
        let log = daemon.log();
        let lines: Vec<Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lines: Vec<_> = lines.into_iter().filter(|line| line.get("route").is_some()).collect();
        (lines.len() >= expected.len()).then_some(lines)
    });
    assert_eq!(lines.len(), expected.len());
    for (expected, line) in expected.iter().zip(&lines) {
        let found: Vec<_> = KEYS.map(|key| (key, plain(&line[key]))).to_vec();
        assert_eq!(difference(expected, &found), "", "{line}");
        assert_eq!(line["bytes_in"].as_u64().unwrap() > 0, expected.fetches, "{line}");
        assert!(line["seconds"].as_f64().unwrap() >= 0.0, "{line}");
        assert_eq!(line["first_byte_seconds"].is_f64(), expected.engine.is_some(), "{line}");
        let client = if expected.method == "-" { "127.0.0.1" } else { FAR };
        assert_eq!(line["client"], client, "{line}");
    }
    // In their order, which a parsed object has not.
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("\"route\"")).unwrap();
    let places: Vec<_> =
        KEYS.iter().map(|key| line.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{line}");
    assert!(!log.contains(SIGNATURE), "{log}");
    let of_login = log.lines().find(|line| line.contains("login failed")).unwrap();
    assert!(of_login.contains("\"message\":\"9.9.9.9 login failed\","), "{of_login}");
}

#[test]
fn a_server_that_cannot_start_says_so_in_json() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = directory.path().join("ytcanal.toml");
    let text = format!("listen = [{address:?}]\n[log]\nformat = \"json\"\n");
    std::fs::write(&file, text).unwrap();
    let output = run(Command::new(binary())
        .args(["serve", "--config"])
        .arg(&file)
        .env("XDG_RUNTIME_DIR", directory.path()));
    let log = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "error", "{log}");
    assert!(last["message"].as_str().unwrap().contains(&address), "{log}");
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn text_has_one_line_a_request_for_people() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let daemon = start(directory.path(), "text");
    for expected in make_requests(&daemon, &origin) {
        let end = format!(" [{}]", expected.id);
        let is_of_request = |line: &&str| line.ends_with(&end) && line.contains(" bytes sent, ");
        let lines = eventually("the request has a line", PATIENCE, || {
            let log = daemon.log();
            let lines: Vec<_> = log.lines().filter(is_of_request).map(str::to_owned).collect();
            (!lines.is_empty()).then_some(lines)
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let (_, line) = line.split_once("] ").unwrap();
        let client = if expected.method == "-" { "127.0.0.1" } else { FAR };
        let begin = format!("{client} {} {} {}", expected.method, expected.route, expected.status);
        let rest = line.strip_prefix(&begin).unwrap_or_else(|| panic!("{begin}: {line}"));
        assert!(rest.contains(&format!(": {}", expected.result)), "{line}");
        let engine = expected.engine.map_or(String::new(), |engine| format!(", {engine}"));
        let place = expected.resumed_at.map_or(String::new(), |at| format!(" from byte {at}"));
        assert!(rest.contains(&format!("{engine}{place}, ")), "{line}");
        assert_eq!(rest.contains(", token alice ["), expected.token, "{line}");
    }
    let log = daemon.log();
    assert!(!log.contains(SIGNATURE), "{log}");
    // fail2ban reads this line to its end.
    assert_eq!(
        log.lines().filter(|line| line.ends_with("] 9.9.9.9 login failed")).count(),
        1,
        "{log}"
    );
}

#[test]
fn combined_is_what_web_servers_write() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let daemon = start(directory.path(), "combined");
    let agent = "User-Agent: a \"b\" \\c\r\n";
    from_far(&daemon, "GET", &format!("/info?{SIGNATURE}"), agent);
    let expected = make_requests(&daemon, &origin);
    let lines = eventually("all requests have a line", PATIENCE, || {
        let log = daemon.log();
        let lines: Vec<_> = log.lines().filter_map(combined).collect();
        (lines.len() > expected.len()).then_some(lines)
    });
    assert_eq!(lines.len(), expected.len() + 1);
    assert_eq!(lines[0].last().unwrap().1, "a \\\"b\\\" \\\\c");
    for (expected, line) in expected.iter().zip(&lines[1..]) {
        assert_eq!(difference(expected, line), "", "{line:?}");
    }
    assert!(!daemon.log().contains(SIGNATURE), "{}", daemon.log());
}

/// The fields of a line in the combined log format; `None` for other lines.
fn combined(line: &str) -> Option<Vec<(&'static str, String)>> {
    let (client, rest) = line.split_once(" - ")?;
    client.parse::<std::net::IpAddr>().ok()?;
    let (token, rest) = rest.split_once(" [")?;
    let (time, rest) = rest.split_once("] \"")?;
    assert!(time.len() == 26 && time.ends_with(" +0000") && time.as_bytes()[2] == b'/', "{line}");
    let (request, rest) = rest.split_once("\" ").unwrap();
    let mut parts = request.split(' ');
    let method = parts.next().unwrap();
    let route = parts.next().unwrap_or("(other)");
    let route = if route == "/(other)" { "(other)" } else { route };
    assert!(parts.next().is_none_or(|version| version == "HTTP/1.1"), "{line}");
    let (status, rest) = rest.split_once(' ').unwrap();
    let (bytes, rest) = rest.split_once(" \"-\" \"").unwrap();
    let agent = rest.strip_suffix('"').unwrap();
    let token = if token == "-" { "null" } else { token };
    Some(vec![
        ("token", token.to_owned()),
        ("method", method.to_owned()),
        ("route", route.to_owned()),
        ("status", status.to_owned()),
        ("bytes_out", bytes.to_owned()),
        ("agent", agent.to_owned()),
    ])
}
