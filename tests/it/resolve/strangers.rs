//! What strangers may send as a link: nothing in it is an option, a file or a way inwards, and what
//! is refused runs nothing.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::connection_detector::Tripwire;
use crate::support::daemon::{Daemon, LOOPBACK, Setup, script};
use crate::support::names::Names;
use crate::support::ytdlp::{WAYS, download_path, path_of};

/// An address that nobody refuses, and that nothing here connects to.
const PUBLIC: &str = "1.2.3.4";

/// A stand-in for yt-dlp that writes its arguments down, one a line, and fails.
struct StandIn {
    directory: TempDir,
}

impl StandIn {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn config(&self) -> String {
        let ran = self.file();
        let body = format!("printf '%s\\n' \"$@\" > {ran:?}\necho 'ERROR: [x] y: no' >&2\nexit 1");
        let command = script(self.directory.path(), &body);
        // What it writes down is not in its cache.
        let directory = self.directory.path();
        format!("[sandbox]\nwrite = [{directory:?}]\n[resolver]\ncommand = {command:?}\n")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ran")
    }

    /// The arguments that it was called with, if it was.
    fn arguments(&self) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(self.file()).ok()?;
        Some(text.lines().map(str::to_owned).collect())
    }
}

#[test]
fn what_is_no_link_runs_nothing() {
    let stand_in = StandIn::new();
    let long = format!("https://films.example/{}", "x".repeat(8000));
    let links = [
        "--exec=touch /tmp/x",
        "--exec",
        "-J",
        "--config-locations=/tmp",
        "--",
        "-",
        "file:///etc/passwd",
        "data:text/plain,x",
        "ytsearch:cats",
        "ytsearch10:cats",
        "ytdl:x",
        "rtmp://films.example/x",
        "ftp://films.example/x",
        "javascript:alert(1)",
        "blob:https://films.example/x",
        "http://[::1",
        "http://",
        "https://",
        "http://user:password@films.example/",
        "https://films.example/\0",
        "https://films.example/ --exec x",
        "https://films.example/\n--exec",
        "https://films.example/\thttps://films.example/",
        "\u{0}",
        "cats",
        ":ytfav",
        &long,
    ];
    for way in WAYS {
        let daemon = Daemon::start(&format!("{LOOPBACK}{}{way}", stand_in.config()));
        for page_url in links {
            for page in ["download", "info", "thumbnail"] {
                let answer = daemon.get(&path_of(page, page_url, &[]));
                let shown: String = page_url.chars().take(60).collect();
                assert_eq!(answer.head.status, 400, "{page} of {shown:?}: {}", answer.text());
                let code = answer.problem()["code"].as_str().unwrap().to_owned();
                assert!(
                    ["bad-link", "missing-parameter"].contains(&code.as_str()),
                    "{shown:?}: {code}"
                );
            }
        }
        for raw in ["/download?url=https://films.example/%00", "/download?url=%ff%fe"] {
            let answer = daemon.get(raw);
            assert_eq!(answer.head.status, 400, "{raw}: {}", answer.text());
        }
        for (name, value) in
            [("quality", "--exec"), ("container", "mp4 --exec"), ("codec", "-J"), ("hdr", "--")]
        {
            let answer = daemon.get(&download_path("https://films.example/", &[(name, value)]));
            assert_eq!(answer.code(), "bad-parameter", "{name}={value}");
        }
    }
    assert_eq!(stand_in.arguments(), None);
}

/// The counterpart of the test above, with what looks like options and is part of a link.
#[test]
fn a_link_is_one_argument_and_the_last() {
    let stand_in = StandIn::new();
    let names = Names::new(&[("films.example", &[PUBLIC])]);
    let daemon = Daemon::start_with(&Setup {
        config: stand_in.config(),
        environment: names.environment(),
        ..Setup::default()
    });
    for page_url in [
        "https://films.example/--exec=x",
        "https://films.example/?a=$(touch%20x)&b=`id`;c='\"",
        "https://films.example/%0a--exec%20x",
        "https://films.example/%(title)s",
    ] {
        let answer = daemon.get(&download_path(page_url, &[]));
        assert_eq!(answer.code(), "resolve-failed", "{page_url}: {}", answer.text());
        let arguments = stand_in.arguments().expect("it was called");
        std::fs::remove_file(stand_in.file()).unwrap();
        let [.., dashes, last] = &arguments[..] else { panic!("{arguments:?}") };
        assert_eq!(dashes, "--", "{arguments:?}");
        assert!(
            last.starts_with("https://films.example/") && !last.contains([' ', '\'']),
            "{last}"
        );
        let of = |name: &str| arguments.iter().filter(|argument| *argument == name).count();
        assert_eq!((of("--ignore-config"), of("--no-plugin-dirs"), of("--")), (1, 1, 1));
    }
}

/// A page is fetched by another program, but the addresses of this network stay closed all the same.
#[test]
fn pages_of_inner_addresses_are_not_read() {
    let (stand_in, inner) = (StandIn::new(), Tripwire::start());
    let names = Names::new(&[
        ("inner.example", &["127.0.0.1"]),
        ("both.example", &["1.2.3.4+10.0.0.1"]),
        ("mapped.example", &["::ffff:127.0.0.1"]),
        ("localhost", &["127.0.0.1"]),
    ]);
    let start = |upstream: &str| {
        Daemon::start_with(&Setup {
            config: format!("{upstream}{}", stand_in.config()),
            environment: names.environment(),
            ..Setup::default()
        })
    };
    let daemon = start("");
    let port = inner.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "inner.example",
        "both.example",
        "mapped.example",
    ] {
        for page in ["download", "info", "thumbnail"] {
            let answer =
                daemon.get(&path_of(page, &format!("http://{host}:{port}/watch?v=x"), &[]));
            let found = (answer.head.status, answer.code());
            assert_eq!(found, (403, "address-refused".into()), "{page} of {host}");
        }
    }
    assert_eq!(stand_in.arguments(), None);
    assert_eq!(inner.connections(), 0);
    // With the exception that the operator makes, it is asked.
    let daemon = start("[upstream]\nallow = [\"inner.example\"]\n");
    let page_url = format!("http://inner.example:{port}/");
    assert_eq!(daemon.get(&download_path(&page_url, &[])).code(), "resolve-failed");
    assert!(stand_in.arguments().is_some());
}

/// Whatever speaks its interface will do; it need not be Python.
#[test]
fn another_program_may_stand_in() {
    let directory = tempfile::tempdir().unwrap();
    let said = r#"{"id": "1", "title": "By hand", "formats": [{"format_id": "1", "ext": "mp4",
 "url": "http://127.0.0.1:1/film.mp4", "vcodec": "avc1.64000d", "acodec": "mp4a.40.2",
 "height": 720}]}"#;
    let command = said_by(directory.path(), said);
    let daemon = Daemon::start(&format!("{LOOPBACK}[resolver]\ncommand = {command:?}\n"));
    let answer = daemon.get(&path_of("info", "http://127.0.0.1:1/", &[]));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert!(answer.text().contains("By hand"));
}

fn said_by(directory: &Path, said: &str) -> PathBuf {
    script(directory, &format!("cat <<'END'\n{said}\nEND"))
}
