//! Signing in by the form of the page.

use std::process::Command;

use super::tokens::{SECRET, start, tokens_file};
use crate::support::answer::Answer;
use crate::support::client::{Client, ask};
use crate::support::daemon::Daemon;
use crate::support::run;

/// Sends a form.
fn post(daemon: &Daemon, path: &str, form: &str, fields: &str) -> Answer {
    let mut client = Client::connect(daemon.address());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n{fields}\r\n{form}",
        form.len()
    );
    client.send(head.as_bytes()).unwrap();
    client.answer()
}

/// The cookie of the session that an answer begins.
fn session(answer: &Answer) -> &str {
    let cookie = answer.head.header("Set-Cookie").unwrap();
    cookie.split(';').next().unwrap()
}

#[test]
fn curl_signs_in_and_out() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tokens_file(directory.path(), "");
    let daemon = start("closed", Some(&tokens), "");
    let jar = directory.path().join("jar").to_str().unwrap().to_owned();
    let curl = |arguments: &[&str]| {
        let written = "\n%{http_code} %{redirect_url}";
        let output = run(Command::new("curl")
            .args(["-sS", "--noproxy", "*", "-b", &jar, "-c", &jar, "-w", written])
            .args(arguments));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let page = daemon.url("/?url=https%3A%2F%2Fa.example%2F");
    let html = ["-H", "Accept: text/html"];
    let login = curl(&[html[0], html[1], &page]);
    assert!(login.ends_with("\n401 ") && login.contains("<form method=\"post\""), "{login}");
    let next = "/login?next=%2F%3Furl%3Dhttps%253A%252F%252Fa.example%252F";
    assert!(login.contains(&format!("action=\"{next}\"")), "{login}");
    let wrong = curl(&[html[0], html[1], "-d", "token=abd", &daemon.url(next)]);
    assert!(wrong.ends_with("\n401 ") && wrong.contains("This token is unknown"), "{wrong}");
    assert!(wrong.contains(&format!("action=\"{next}\"")) && !wrong.contains("abd"), "{wrong}");
    let right = curl(&["-d", &format!("token=+{SECRET}%0D%0A"), &daemon.url(next)]);
    assert!(right.ends_with(&format!("\n303 {page}")), "{right}");
    let signed_in = curl(&[&page]);
    assert!(
        signed_in.ends_with("\n200 ") && signed_in.contains("action=\"/logout\""),
        "{signed_in}"
    );
    assert!(curl(&[&daemon.url("/info?url=http%3A%2F%2F127.0.0.1%2F")]).ends_with("\n403 "));
    let out = curl(&["-d", "", &daemon.url("/logout")]);
    assert!(out.ends_with(&format!("\n303 {}", daemon.url("/"))), "{out}");
    assert!(curl(&[&page]).ends_with("\n401 "));
    let log = daemon.log();
    assert!(!log.contains(SECRET) && !log.contains("abd"), "{log}");
}

#[test]
fn a_session_that_is_none_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tokens_file(directory.path(), "");
    let daemon = start("open", Some(&tokens), "");
    let form = format!("token={SECRET}");
    let plain = post(&daemon, "/login", &form, "");
    assert_eq!((plain.head.status, plain.head.header("Location")), (303, Some("/")));
    assert!(session(&plain).starts_with("ytcanal-session=alice."), "{plain:?}");
    let https = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n";
    let secure = post(&daemon, "/login", &form, https);
    assert!(session(&secure).starts_with("__Host-ytcanal-session=alice."), "{secure:?}");
    let whole = secure.head.header("Set-Cookie").unwrap();
    assert!(
        whole.contains("; Path=/; Max-Age=2592000; SameSite=Strict; HttpOnly; Secure"),
        "{whole}"
    );
    let get = |path: &str, cookie: &str, fields: &str| {
        ask(daemon.address(), "GET", path, &format!("Cookie: a=b; {cookie}\r\n{fields}"))
    };
    assert_eq!(get("/", session(&plain), "").head.status, 200);
    assert_eq!(get("/", session(&secure), https).head.status, 200);
    let cut = &session(&plain)[..session(&plain).len() - 1];
    for path in ["/", "/info?url=http%3A%2F%2F127.0.0.1%2F"] {
        for browser in ["", "Accept: text/html\r\n", "Sec-Fetch-Site: same-origin\r\n"] {
            let refused = get(path, cut, browser);
            assert_eq!(refused.head.status, 401, "{path} {browser}");
            let cookies = refused.head.headers.iter().filter(|(name, _)| name == "Set-Cookie");
            let is_end = |value: &String| value.starts_with("ytcanal-session=; Path=/; Max-Age=0;");
            assert_eq!(cookies.filter(|(_, value)| is_end(value)).count(), 1, "{refused:?}");
            // The browser itself must not ask for a password.
            let asks = refused.head.headers.iter().any(|(_, value)| value.starts_with("Basic"));
            assert_eq!(asks, browser.is_empty(), "{refused:?}");
        }
    }
    assert_eq!(get("/healthz", cut, "").head.status, 200);
}

#[test]
fn nobody_else_signs_a_browser_in() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tokens_file(directory.path(), "from = [\"10.0.0.0/8\"]");
    let daemon = start("closed", Some(&tokens), "");
    let form = format!("token={SECRET}");
    let browser = "User-Agent: Mozilla/5.0 (X11)\r\n";
    // The token is for the own network.
    let own = format!("{browser}Origin: http://t\r\nX-Forwarded-For: 10.1.2.3\r\n");
    assert_eq!(post(&daemon, "/login", &form, &own).head.status, 303);
    for fields in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://t:8080\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
        browser,
    ] {
        for path in ["/login", "/logout"] {
            let refused = post(&daemon, path, &form, fields);
            assert_eq!(
                (refused.head.status, refused.code().as_str()),
                (403, "cross-site"),
                "{fields}"
            );
            assert_eq!(refused.head.header("Set-Cookie"), None, "{fields}");
        }
    }
    for (path, form, status, code) in [
        ("/login", "", 400, "missing-parameter"),
        ("/login", "token=", 400, "missing-parameter"),
        ("/login", "token=abc&token=abd", 400, "missing-parameter"),
        ("/login", "token=abd", 401, "bad-token"),
        ("/login?next=//evil.example/", &form, 400, "bad-parameter"),
        ("/login?next=https://evil.example/", &form, 400, "bad-parameter"),
        ("/login?token=abc", "", 400, "unknown-parameter"),
        ("/login", &"x".repeat(1025), 400, "body-refused"),
        ("/", &form, 405, "method-not-allowed"),
        ("/healthz", &form, 405, "method-not-allowed"),
        ("/info?url=http%3A%2F%2F127.0.0.1%2F", &form, 405, "method-not-allowed"),
    ] {
        let refused = post(&daemon, path, form, "");
        assert_eq!((refused.head.status, refused.code().as_str()), (status, code), "{path} {form}");
    }
    let elsewhere = post(&daemon, "/login", &form, "X-Forwarded-For: 9.9.9.9\r\n");
    assert_eq!(elsewhere.code(), "not-allowed");
    let get = ask(daemon.address(), "GET", "/logout", "");
    assert_eq!((get.head.status, get.head.header("Set-Cookie")), (303, None));
    let page = ask(daemon.address(), "GET", "/login", "");
    assert_eq!((page.head.status, page.head.header("Referrer-Policy")), (200, Some("same-origin")));
    let policy = page.head.header("Content-Security-Policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
}
