//! Who is let in, in each mode, and how it is told.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, ask, mux_path};
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, LOOPBACK, binary};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{media, run};

/// A secret, and its SHA-256 (FIPS 180-2, B.1).
pub(super) const SECRET: &str = "abc";
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Writes a file with one token, of this name and with these keys.
pub(super) fn tokens_file(directory: &Path, keys: &str) -> PathBuf {
    let file = directory.join("tokens.toml");
    std::fs::write(&file, format!("[alice]\nhash = \"{HASH}\"\n{keys}\n")).unwrap();
    file
}

/// Starts a daemon with a mode, the file of tokens, and a trusted proxy on this machine.
pub(super) fn start(mode: &str, tokens: Option<&Path>, more: &str) -> Daemon {
    let tokens = tokens.map(|file| format!("tokens_file = {:?}\n", file.display()));
    Daemon::start(&format!(
        "[access]\nmode = {mode:?}\ntrusted_proxies = [\"127.0.0.0/8\"]\n{}{more}",
        tokens.unwrap_or_default()
    ))
}

/// What a client with this address gets, which sends these fields.
pub(super) fn from(daemon: &Daemon, address: &str, path: &str, fields: &str) -> Answer {
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
pub(super) const FAR: &str = "9.9.9.9";
pub(super) const NEAR: &str = "10.1.2.3";
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
        for open in ["/healthz", "/readyz", "/icon.svg", "/player.js", "/manifest.webmanifest"] {
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

/// Runs `ytcanal token` with these arguments.
fn token(arguments: &[&str]) -> Output {
    run(Command::new(binary()).arg("token").args(arguments))
}

/// Makes tokens by the command, as its output is appended to a file; returns the file, and the secrets.
fn make_tokens(directory: &Path, tokens: &[&[&str]]) -> (PathBuf, Vec<String>) {
    let (file, mut text, mut secrets) = (directory.join("tokens.toml"), String::new(), Vec::new());
    for arguments in tokens {
        let made = token(&[&["new"][..], arguments].concat());
        let said = String::from_utf8(made.stderr).unwrap();
        assert!(made.status.success(), "{said}");
        text += &String::from_utf8(made.stdout).unwrap();
        secrets.push(said.lines().last().unwrap().to_owned());
    }
    assert!(secrets.iter().all(|secret| secret.len() == 32 && !text.contains(secret)), "{text}");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    (file, secrets)
}

#[test]
fn tokens_are_made_listed_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        ["eve", "--expires", "30d", "--may", "info,metrics", "--site", "a.example", "--streams=2"];
    let (file, _) = make_tokens(directory.path(), &[&["alice"], &options]);
    let config = directory.path().join("c.toml");
    let text =
        format!("listen = [\"127.0.0.1:0\"]\n[access]\ntokens_file = {:?}\n", file.display());
    std::fs::write(&config, text).unwrap();
    let listed = token(&["list", "--config", config.to_str().unwrap()]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines[0], "alice  for ever  may download, mux, info");
    assert!(lines[1].starts_with("eve  until 20"), "{listed}");
    assert!(lines[1].ends_with("may info, metrics  sites a.example  streams 2"), "{listed}");
    for (arguments, expected) in [
        (&["new"][..], "<NAME>"),
        (&["new", "a.b"], "letters"),
        (&["new", "a", "--expires", "soon"], "30d"),
        (&["new", "a", "--streams", "many"], "streams"),
        (&["new", "a", "--fast"], "--fast"),
        (&["list"], "access.tokens_file"),
        (&["swim"], "'swim'"),
    ] {
        let refused = token(arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{arguments:?}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // The daemon does not start with a file that it cannot use.
    std::fs::write(&file, "[alice]\nhash = \"hunter2\"\n").unwrap();
    let serve = run(Command::new(binary()).args(["serve", "--config"]).arg(&config));
    let said = String::from_utf8_lossy(&serve.stderr);
    assert!(
        said.contains("tokens.toml: [alice]: hash must be") && !said.contains("hunter2"),
        "{said}"
    );
}

/// Each program that the documentation names shows a token in its own way.
#[test]
fn ordinary_programs_show_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let (file, secrets) = make_tokens(directory.path(), &[&["alice", "--may", "mux"]]);
    let secret = &secrets[0];
    let daemon = Daemon::start(&format!(
        "[access]\nmode = \"closed\"\ntokens_file = {:?}\n{LOOPBACK}",
        file.display()
    ));
    let origin = Origin::start();
    let film = Resource::file(media::finished()).ranges().etag("\"1\"");
    let path = mux_path(Some(&origin.put("film", film)), None, &[]);
    let url = daemon.url(&path);
    let netrc = directory.path().join(".netrc");
    std::fs::write(&netrc, format!("machine 127.0.0.1 login alice password {secret}\n")).unwrap();
    let login = format!("alice:{secret}");
    let expected = std::fs::metadata(media::finished()).unwrap().len();
    assert_eq!(curl(&[&url]).status, 401);
    for arguments in [
        &["-u", &login][..],
        &["-u", &login, "--anyauth"],
        &["--oauth2-bearer", secret],
        &["--netrc-file", netrc.to_str().unwrap()],
    ] {
        let got = curl(&[arguments, &[&url]].concat());
        let len = got.body.len() as u64;
        assert_eq!((got.exit, got.status, len), (0, 200, expected), "{arguments:?}");
    }
    let wget = |arguments: &[&str]| {
        let out = directory.path().join("film");
        let mut command = Command::new("wget");
        command.env("HOME", directory.path()).args(["-q", "--no-hsts", "--no-proxy", "--tries=1"]);
        let output = run(command.args(arguments).arg("-O").arg(&out).arg(&url));
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert_eq!(std::fs::metadata(&out).unwrap().len(), expected, "{arguments:?}");
    };
    wget(&["--user=alice", &format!("--password={secret}")]);
    // By ~/.netrc.
    wget(&[]);
    let with_login = url.replace("://", &format!("://{login}@"));
    let field = format!("--http-header-fields=Authorization: Bearer {secret}");
    for arguments in [&[&with_login][..], &[&field, &url]] {
        let mut mpv = Command::new("mpv");
        mpv.env("HOME", directory.path()).args(["--no-config", "--no-terminal", "--ytdl=no"]);
        mpv.args(["--vo=null", "--ao=null", "--untimed", "--end=0.2"]);
        let output = run(mpv.args(arguments));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
    let log = daemon.log();
    assert!(!log.contains(secret.as_str()) && !log.contains("login failed"), "{log}");
}

#[test]
fn guesses_are_few() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tokens_file(directory.path(), "may = [\"metrics\"]");
    let daemon = start("open", Some(&tokens), "");
    let guess = |address: &str, secret: &str| {
        from(&daemon, address, "/", &format!("Authorization: Bearer {secret}\r\n"))
    };
    for number in 0..10 {
        assert_eq!(guess(FAR, &format!("guess{number}")).code(), "bad-token");
    }
    for secret in ["guess11", SECRET] {
        let refused = guess(FAR, secret);
        assert_eq!((refused.head.status, refused.code().as_str()), (429, "rate-limited"));
        let wait: u32 = refused.head.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=31).contains(&wait), "{wait}");
        // On a public route nothing can be learnt.
        let public = from(&daemon, FAR, "/healthz", &format!("Authorization: Bearer {secret}\r\n"));
        assert_eq!(public.head.status, 200);
    }
    assert_eq!(from(&daemon, FAR, "/", "").head.status, 200);
    assert_eq!(guess("9.8.8.8", SECRET).head.status, 200);
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let metrics = from(&daemon, "9.8.8.8", "/metrics", &bearer).text();
    assert!(metrics.contains("\nytcanal_login_failures_total 10\n"), "{metrics}");
    let log = daemon.log();
    assert_eq!(log.matches("9.9.9.9 login failed").count(), 10, "{log}");
    assert!(!log.contains("guess"), "{log}");
}

#[test]
fn a_token_has_its_limits_wherever_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let film = Resource::file(&media::minute().video);
    let most_of_it = format!("{}B", film.len() * 3 / 4);
    let tokens: [&[&str]; 3] = [
        &["one", "--streams", "1"],
        &["daily", "--bytes-per-day", &most_of_it],
        &["reader", "--pages-per-hour", "1", "--site", "127.0.0.1"],
    ];
    let (file, secrets) = make_tokens(directory.path(), &tokens);
    let limits = "[limits]\nslot_timeout = \"0s\"\n";
    let no_ytdlp = "[resolver]\ncommand = \"false\"\nfork_server = false\n";
    let daemon = start("closed", Some(&file), &format!("{limits}{LOOPBACK}{no_ytdlp}"));
    let (origin, gate) = (Origin::start(), Gate::default());
    let half = film.len() / 2;
    let held = mux_path(Some(&origin.put("held", film.clone().gate(half, &gate))), None, &[]);
    let free = mux_path(Some(&origin.put("free", film)), None, &[]);
    let with = |address, path: &str, secret: &str| {
        from(&daemon, address, path, &format!("Authorization: Bearer {secret}\r\n"))
    };
    let mut first = Client::connect(daemon.address());
    let bearer = format!("Authorization: Bearer {}", secrets[0]);
    first.ask(&held, &["X-Forwarded-For: 9.9.9.9", &bearer]);
    let head = first.first_byte();
    assert_eq!(with("10.0.0.1", &free, &secrets[0]).code(), "client-streams-full");
    let other = with("9.9.9.9", &free, &secrets[1]);
    assert_eq!((other.head.status, other.ending), (200, Ending::Complete));
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);
    // What has been sent is more than it may have.
    let refused = with("10.0.0.1", &free, &secrets[1]);
    assert_eq!((refused.head.status, refused.code().as_str()), (429, "rate-limited"));
    assert!(refused.text().contains("bytes_per_day"), "{}", refused.text());
    assert_eq!(with("9.9.9.9", INFO, &secrets[2]).head.status, 500);
    let other_page = INFO.replace("film", "other");
    assert_eq!(with("9.9.9.9", &other_page, &secrets[2]).code(), "rate-limited");
    assert_eq!(with("9.9.9.9", "/info?url=a.example", &secrets[2]).code(), "not-allowed");
}
