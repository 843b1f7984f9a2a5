//! Who is let in, in each mode, and how it is told.

use std::path::{Path, PathBuf};

use crate::support::answer::Answer;
use crate::support::client::ask;
use crate::support::daemon::Daemon;

/// A secret, and its SHA-256 (FIPS 180-2, B.1).
const SECRET: &str = "abc";
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Writes a file with one token, of this name and with these keys.
fn tokens_file(directory: &Path, keys: &str) -> PathBuf {
    let file = directory.join("tokens.toml");
    std::fs::write(&file, format!("[alice]\nhash = \"{HASH}\"\n{keys}\n")).unwrap();
    file
}

/// Starts a daemon with a mode, the file of tokens, and a trusted proxy on this machine.
fn start(mode: &str, tokens: Option<&Path>, more: &str) -> Daemon {
    let tokens = tokens.map(|file| format!("tokens_file = {:?}\n", file.display()));
    Daemon::start(&format!(
        "[access]\nmode = {mode:?}\ntrusted_proxies = [\"127.0.0.0/8\"]\n{}{more}",
        tokens.unwrap_or_default()
    ))
}

/// What a client with this address gets, which sends these fields.
fn from(daemon: &Daemon, address: &str, path: &str, fields: &str) -> Answer {
    let fields = format!("X-Forwarded-For: {address}\r\n{fields}");
    ask(daemon.address(), "GET", path, &fields)
}

/// The ways to log in that an answer names.
fn challenges(answer: &Answer) -> Vec<String> {
    let fields = answer.head.headers.iter();
    let challenges = fields.filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"));
    challenges.map(|(_, value)| value.clone()).collect()
}

const BEARER: &str = "Bearer realm=\"YtCanal\"";
const FAR: &str = "9.9.9.9";
const NEAR: &str = "10.1.2.3";
/// The page of a link that has to be refused before anything is looked up.
const INFO: &str = "/info?url=http%3A%2F%2F127.0.0.1%2Ffilm";

#[test]
fn strangers_stay_outside_and_are_told_how_to_come_in() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tokens_file(directory.path(), "may = [\"info\", \"metrics\"]");
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let (local, closed) = (start("local", Some(&tokens), ""), start("closed", Some(&tokens), ""));
    for (daemon, address) in [(&local, FAR), (&closed, FAR), (&closed, NEAR)] {
        for path in ["/", INFO, "/mux?video=http://a.example/", "/metrics"] {
            let refused = from(daemon, address, path, "");
            assert_eq!(
                (refused.head.status, refused.code().as_str()),
                (401, "login-needed"),
                "{path}"
            );
            assert_eq!(
                challenges(&refused),
                ["Basic realm=\"YtCanal\", charset=\"UTF-8\"", BEARER]
            );
            // A browser is not made to ask for a password.
            let page = from(daemon, address, path, "Accept: text/html\r\n");
            assert_eq!((page.head.status, challenges(&page)), (401, vec![BEARER.to_owned()]));
            let wrong = from(daemon, address, path, "Authorization: Bearer abd\r\n");
            assert_eq!((wrong.head.status, wrong.code().as_str()), (401, "bad-token"), "{path}");
        }
        assert_eq!(from(daemon, address, "/", &bearer).head.status, 200);
        assert_eq!(from(daemon, address, "/metrics", &bearer).head.status, 200);
        assert_eq!(
            from(daemon, address, "/mux?video=http://a.example/", &bearer).code(),
            "not-allowed"
        );
        for open in ["/healthz", "/readyz", "/icon.svg", "/manifest.webmanifest"] {
            assert_eq!(from(daemon, address, open, "").head.status, 200, "{open}");
        }
    }
    assert_eq!(from(&local, NEAR, "/", "").head.status, 200);
    let open = start("open", Some(&tokens), "");
    assert_eq!(from(&open, FAR, "/", "").head.status, 200);
    let wrong = from(&open, FAR, "/", "Authorization: Basic dTphYmQ=\r\n");
    assert_eq!(wrong.code(), "bad-token");
    let without = start("local", None, "");
    assert_eq!(from(&without, FAR, "/", "").code(), "not-local");
    assert_eq!(from(&without, NEAR, "/", "").head.status, 200);
    for daemon in [local, closed, open, without] {
        let log = daemon.log();
        assert!(!log.contains(SECRET) && !log.contains("abd"), "{log}");
    }
}
