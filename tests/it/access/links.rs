//! Signed links: whoever has one can use it, for what it is and until its end.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ytcanal::access::signature::sign;
use ytcanal::access::{now, tokens};

use super::tokens::{FAR, NEAR, SECRET, from, start, tokens_file};
use crate::support::client::{ask, splice_path};
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, binary};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{media, run};

/// Lets the daemon fetch from origins on this machine.
const UPSTREAM: &str = "[upstream]\nallow = [\"127.0.0.0/8\"]\n";

/// The request for a film with picture and sound at this origin.
fn film(origin: &Origin) -> String {
    let pair = media::minute();
    let [video, audio] = [("v", &pair.video), ("a", &pair.audio)]
        .map(|(name, file)| origin.put(name, Resource::file(file).ranges().etag("\"film\"")));
    splice_path(&video, &audio, &[])
}

/// The link that the command line makes of a URL.
fn signed(url: &str, arguments: &[&str]) -> String {
    let output = run(Command::new(binary()).args(["sign", url, "--by", "alice"]).args(arguments));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_signed_link_needs_no_token_and_is_a_file_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let tokens = tokens_file(directory.path(), "");
    let (origin, daemon) = (Origin::start(), start("closed", Some(&tokens), UPSTREAM));
    let target = film(&origin);
    fs::write(path("secret"), SECRET).unwrap();
    fs::write(path("config"), format!("[access]\ntokens_file = {:?}\n", tokens.display())).unwrap();
    let link = signed(&daemon.url(&target), &["--token-file", &path("secret")]);
    let other = signed(&daemon.url(&target), &["--config", &path("config"), "--for", "30d"]);
    assert_eq!(curl(&[&daemon.url(&target)]).status, 401);
    let whole = curl(&[&link]);
    assert_eq!((whole.exit, whole.status), (0, 200));
    let part = curl(&["-r", "100000-199999", &other]);
    assert_eq!(part.status, 206);
    assert!(part.body == whole.body[100_000..200_000]);
    // As a browser resumes.
    let half = path("half");
    fs::write(&half, &whole.body[..whole.body.len() / 2]).unwrap();
    let resumed =
        run(Command::new("curl").args(["-sSf", "--noproxy", "*", "-C", "-", "-o", &half, &link]));
    assert!(resumed.status.success(), "{resumed:?}");
    assert!(fs::read(&half).unwrap() == whole.body);
    // It is the file that those with the token get.
    let target_of = |link: &str| link.strip_prefix(&daemon.url("")).unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let etag = |path: &str, fields: &str| {
        let head = ask(daemon.address(), "HEAD", path, fields).head;
        (head.status, head.header("ETag").map(str::to_owned))
    };
    let with_token = etag(&target, &bearer);
    assert_eq!(with_token.0, 200);
    for link in [&link, &other] {
        assert_eq!(etag(&target_of(link), ""), with_token);
    }
    // A website may have it, too.
    let foreign = "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
    assert_eq!(etag(&target_of(&link), foreign), with_token);
    assert_eq!(etag(&target, &format!("{foreign}{bearer}")), with_token);
    let signature = link.split_once("sig=").unwrap().1;
    assert!(!daemon.log().contains(signature), "{}", daemon.log());
    for request in origin.requests() {
        assert!(!format!("{request:?}").contains(signature), "{request:?}");
    }
}

#[test]
fn a_link_that_was_changed_or_has_ended_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tokens_file(directory.path(), "from = [\"10.0.0.0/8\"]");
    let (origin, daemon) = (Origin::start(), start("open", Some(&tokens), UPSTREAM));
    let target = film(&origin);
    let hash = tokens::hash(&ytcanal::access::Secret::new(SECRET));
    let link = |seconds: u64, now: u64| {
        sign(&target, ("alice", &hash), Duration::from_secs(seconds), now).unwrap().target
    };
    let good = link(3600, now());
    let near = format!("X-Forwarded-For: {NEAR}\r\n");
    assert_eq!(ask(daemon.address(), "HEAD", &good, &near).head.status, 200);
    let long = link(30 * 24 * 3600, now() + 1000);
    for (changed, code) in [
        (link(1, now() - 2), "link-expired"),
        (good.replace("/mux", "/download"), "missing-parameter"),
        (good.replace("by=alice", "by=bob"), "bad-link-signature"),
        (good.replace("exp=", "exp=1"), "bad-link-signature"),
        (good.replace("engine=splice", "engine=ffmpeg"), "bad-link-signature"),
        (format!("{good}&start=1"), "bad-link-signature"),
        (format!("{good}A"), "bad-link-signature"),
        (good.split("&sig=").next().unwrap().to_owned(), "bad-link-signature"),
        (format!("{target}&by="), "bad-link-signature"),
        (long, "bad-link-signature"),
    ] {
        let answer = ask(daemon.address(), "GET", &changed, &near);
        assert_eq!(answer.code(), code, "{changed}: {}", answer.text());
    }
    // Where the token may not be used, its links may not, either.
    assert_eq!(from(&daemon, FAR, &good, "").code(), "not-allowed");
    assert_eq!(ask(daemon.address(), "POST", &good, "").head.status, 405);
}

/// What the daemon says of a target that is to be shared.
fn shared(daemon: &Daemon, target: &str, fields: &str) -> (u16, serde_json::Value) {
    let target: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let answer = ask(daemon.address(), "GET", &format!("/sign?target={target}"), fields);
    (answer.head.status, serde_json::from_str(&answer.text()).unwrap())
}

#[test]
fn who_is_in_by_a_token_gets_links_to_share() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tokens_file(directory.path(), "may = [\"mux\"]");
    let start = |mode: &str, tokens: Option<&Path>| start(mode, tokens, UPSTREAM);
    let (closed, open) = (start("closed", Some(&tokens)), start("open", None));
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let origin = Origin::start();
    let target = film(&origin);
    let (status, body) = shared(&closed, &target, &bearer);
    assert_eq!(status, 200, "{body}");
    let twelve_hours = now() + 12 * 3600;
    let expires = body["expires"].as_u64().unwrap();
    assert!((twelve_hours - 60..=twelve_hours).contains(&expires), "{body}");
    let link = body["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("{target}&by=alice&exp=")), "{link}");
    assert_eq!(ask(closed.address(), "HEAD", link, "").head.status, 200);
    for (target, fields, code) in [
        (target.as_str(), String::new(), "login-needed"),
        // What one has by a signature cannot be passed on for longer.
        (link, bearer.clone(), "bad-parameter"),
        (link, String::new(), "login-needed"),
        ("/info?url=https://a.example/", bearer.clone(), "not-allowed"),
        ("/metrics", bearer.clone(), "bad-parameter"),
        ("/", bearer, "bad-parameter"),
    ] {
        let (_, body) = shared(&closed, target, &fields);
        assert_eq!(body["code"], code, "{target}: {body}");
    }
    // Where nobody needs a token, the link is as it is.
    let (status, body) = shared(&open, &target, "");
    assert_eq!(
        (status, &body["link"], body["expires"].is_null()),
        (200, &target.clone().into(), true)
    );
    assert_eq!(shared(&open, &target, "Origin: http://evil.example\r\n").0, 403);
}
