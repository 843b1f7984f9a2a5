//! What each path answers: small pages, bad input, heads, names.

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::daemon::{Daemon, LOOPBACK};

const GOOD: &str = "http%3A%2F%2F127.0.0.1%3A1%2Fv";

fn send(daemon: &Daemon, request: &str) -> Answer {
    let mut client = Client::connect(daemon.address());
    client.send(request.as_bytes()).unwrap();
    client.answer()
}

#[test]
fn bad_queries_are_refused_by_name() {
    let daemon = Daemon::start(LOOPBACK);
    // Path and query, the codes that fit, a word the detail must hold.
    let table: Vec<(String, &[&str], &str)> = vec![
        ("/mux".into(), &["missing-parameter"], "video"),
        ("/mux?name=film".into(), &["missing-parameter"], "video"),
        ("/mux?video=".into(), &["missing-parameter", "bad-parameter", "bad-url"], "video"),
        ("/mux?video=film.mp4".into(), &["bad-url"], "video"),
        ("/mux?video=file%3A%2F%2F%2Fetc%2Fpasswd".into(), &["bad-url"], "video"),
        ("/mux?video=ftp%3A%2F%2Fexample.org%2Fv".into(), &["bad-url"], "video"),
        ("/mux?video=concat%3Aa%7Cb".into(), &["bad-url"], "video"),
        ("/mux?video=http%3A%2F%2F".into(), &["bad-url"], "video"),
        (format!("/mux?video={GOOD}&audio=javascript%3Aalert(1)"), &["bad-url"], "audio"),
        ("/mux?video=http%3A%2F%2Fme%3Apw%40example.org%2Fv".into(), &["bad-url"], "video"),
        (format!("/mux?video={GOOD}&colour=red"), &["unknown-parameter"], "colour"),
        (format!("/mux?video={GOOD}&video={GOOD}"), &["duplicate-parameter"], "video"),
        (format!("/mux?video={GOOD}&name=a&name=b"), &["duplicate-parameter"], "name"),
        (format!("/mux?video={GOOD}&container=avi"), &["bad-parameter"], "container"),
        (format!("/mux?video={GOOD}&name=%zz"), &["bad-parameter", "bad-request"], ""),
        (format!("/mux?video={GOOD}&name=%4"), &["bad-parameter", "bad-request"], ""),
        (format!("/mux?video={GOOD}&name=%ff%fe"), &["bad-parameter", "bad-request"], ""),
    ];
    for (path, codes, word) in table {
        let answer = daemon.get(&path);
        assert_eq!(answer.head.status, 400, "{path}: {}", answer.text());
        let problem = answer.problem();
        let code = problem["code"].as_str().unwrap();
        assert!(codes.contains(&code), "{path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{path}: no {word:?} in {problem}");
        assert!(!detail.contains("pw@"), "{path} repeats a password: {problem}");
    }
}

#[test]
fn bad_requests_get_one_clear_answer() {
    let daemon = Daemon::start("[limits]\nhead_bytes = \"8KiB\"\n");
    let long = "x".repeat(9000);
    let table: [(String, u16, &str); 14] = [
        ("GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n".into(), 404, "not-found"),
        ("GET /mux/ HTTP/1.1\r\nHost: t\r\n\r\n".into(), 404, "not-found"),
        ("POST /mux HTTP/1.1\r\nHost: t\r\n\r\n".into(), 405, "method-not-allowed"),
        ("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n".into(), 405, "method-not-allowed"),
        ("BREW / HTTP/1.1\r\nHost: t\r\n\r\n".into(), 405, "method-not-allowed"),
        ("PUT /login HTTP/1.1\r\nHost: t\r\n\r\n".into(), 405, "method-not-allowed"),
        ("DELETE /logout?a HTTP/1.1\r\nHost: t\r\n\r\n".into(), 405, "method-not-allowed"),
        ("GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n".into(), 400, "body-refused"),
        (
            "GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            400,
            "body-refused",
        ),
        (format!("GET /mux?video={long} HTTP/1.1\r\nHost: t\r\n\r\n"), 431, "head-too-large"),
        (format!("GET / HTTP/1.1\r\nHost: t\r\nCookie: {long}\r\n\r\n"), 431, "head-too-large"),
        ("GET / HTTP/2.0\r\nHost: t\r\n\r\n".into(), 505, "http-version"),
        ("GET\r\n\r\n".into(), 400, "bad-request"),
        ("GET / HTTP/1.1\r\nno colon here\r\n\r\n".into(), 400, "bad-request"),
    ];
    for (request, status, code) in table {
        let shown: String = request.chars().take(60).collect();
        let answer = send(&daemon, &request);
        assert_eq!(answer.head.status, status, "{shown:?}: {}", answer.text());
        assert_eq!(answer.problem()["code"], code, "{shown:?}");
        assert_eq!(answer.head.header("Connection"), Some("close"), "{shown:?}");
        let has_form = ["/login", "/logout"].iter().any(|path| shown.contains(path));
        let allow = if has_form { "GET, HEAD, POST" } else { "GET, HEAD" };
        let allow = (status == 405).then_some(allow);
        assert_eq!(answer.head.header("Allow"), allow, "{shown:?}");
    }
    let preface = send(&daemon, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!([400, 505].contains(&preface.head.status), "{preface:?}");
}

#[test]
fn a_browser_gets_its_errors_as_a_page() {
    let daemon = Daemon::start("");
    let accept = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    let path = "/mux?video=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let answer = send(&daemon, &format!("GET {path} HTTP/1.1\r\nHost: t\r\n{accept}\r\n\r\n"));
    assert_eq!(answer.head.status, 400);
    let kind = answer.head.header("Content-Type").unwrap();
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(!answer.text().contains("<script>alert"), "{}", answer.text());
    assert!(answer.text().contains("bad-url"), "{}", answer.text());
    let policy = answer.head.header("Content-Security-Policy").unwrap();
    for part in
        ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "no {part} in {policy}");
    }
    assert_eq!(answer.head.header("Referrer-Policy"), Some("no-referrer"));
    let plain = send(&daemon, "GET /nothing HTTP/1.1\r\nHost: t\r\nAccept: */*\r\n\r\n");
    assert_eq!(plain.problem()["code"], "not-found");
}

#[test]
fn small_pages_answer() {
    let daemon = Daemon::start("");
    let health = daemon.get("/healthz");
    assert_eq!((health.head.status, health.text().trim()), (200, "ok"));
    assert_eq!(daemon.get("/readyz").head.status, 200);
    let metrics = daemon.get("/metrics");
    assert!(metrics.head.header("Content-Type").unwrap().starts_with("text/plain"));
    assert_eq!(daemon.metric("ytcanal_streams_active"), 0.0);
    assert!(daemon.metric("ytcanal_connections_active") >= 0.0);
    let page = daemon.get("/");
    assert_eq!(page.head.status, 200);
    assert!(page.head.header("Content-Type").unwrap().starts_with("text/html"));
    assert!(page.text().contains("<form"), "{}", page.text());
    let policy = page.head.header("Content-Security-Policy").expect("a policy");
    assert!(policy.contains("default-src"), "{policy}");
    assert_eq!(page.head.header("X-Content-Type-Options"), Some("nosniff"));
}
