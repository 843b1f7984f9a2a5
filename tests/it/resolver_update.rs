//! `ytcanal update-resolver`, with package indexes on loopback, and a server that reads pages with what it installs.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::barrier::Gate;
use crate::support::client::Client;
use crate::support::daemon::{Daemon, LOOPBACK, binary};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::ytdlp::{path_of, plugins};
use crate::support::{PATIENCE, eventually, run};

mod full_disk;
mod index;

use index::Indexes;

/// The result of an update.
#[derive(Debug, PartialEq, Eq)]
struct Update {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Update {
    /// The one line of a failure.
    #[track_caller]
    fn failure(&self) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr.trim_end()
    }

    /// The one line of a success.
    #[track_caller]
    fn success(&self) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        self.stdout.trim_end()
    }
}

/// The command, with nothing of the environment but an index.
fn command(dir: &Path, index: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(["update-resolver", "--dir"]).arg(dir).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PIP_INDEX_URL", index).env("PIP_CONFIG_FILE", "/dev/null");
    command
}

fn update(dir: &Path, index: &str, more: &[&str]) -> Update {
    let output = run(command(dir, index).args(more));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Update { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The names of the releases that are there.
fn releases(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("releases")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A server that reads pages with what is in use there. It waits for a page as long as an update takes.
fn server(dir: &Path) -> Daemon {
    let command = dir.join("current/bin/yt-dlp");
    let plugins = plugins();
    let arguments = ["--socket-timeout", "1200", "--plugin-dirs", plugins.to_str().unwrap()];
    Daemon::start(&format!(
        "{LOOPBACK}[resolver]\ncommand = {command:?}\nextra_args = {arguments:?}\n\
         extractors = [\"canal.*\"]\ntimeout = \"20m\"\n"
    ))
}

/// The releases whose yt-dlp the server keeps loaded.
fn loaded(daemon: &Daemon) -> Vec<String> {
    let command_lines = daemon.children().into_iter().map(|child| {
        fs::read_to_string(format!("/proc/{}/cmdline", child.pid)).unwrap_or_default()
    });
    let release = |line: String| {
        line.split('\0')
            .find_map(|word| Some(word.strip_suffix("/bin/yt-dlp")?.rsplit_once('/')?.1.to_owned()))
    };
    command_lines.filter_map(release).collect()
}

#[test]
fn an_update_takes_over_while_pages_are_read_and_failures_change_nothing() {
    // Their age is nothing to remark on, at whatever time.
    let indexes = Indexes::start();
    let old = indexes.put("old", "2099.10.1", "working");
    let new = indexes.put("new", "2099.11.2", "working");
    let broken = indexes.put("broken", "2099.11.1", "broken");
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("resolver");

    assert_eq!(update(&dir, &old, &[]).success(), "yt-dlp 2099.10.01 is installed");
    let back = update(&dir, &old, &["--rollback"]);
    assert!(back.failure().ends_with("there is no release before the one in use"), "{back:?}");

    let site = Origin::start();
    let page =
        || Resource::bytes(json!({ "formats": { "137": { "filesize": 1000 } } }).to_string());
    for id in ["one", "two", "three", "four"] {
        site.put(&format!("page/{id}"), page());
    }
    let gate = Gate::default();
    site.put("page/held", page().gate(1, &gate));
    let path = |id: &str| path_of("info", &site.url(&format!("watch?v={id}")), &[]);
    let daemon = server(&dir);
    daemon.good(&path("one"));
    assert_eq!(loaded(&daemon), ["2099.10.01"]);
    let version =
        |version: &str| format!("ytcanal_resolver_version_info{{version=\"{version}\"}} 1\n");
    assert!(daemon.good("/metrics").text().contains(&version("2099.10.01")));

    failures(&dir, &old, &broken);

    let newer = update(&dir, &new, &[]);
    assert_eq!(newer.success(), "yt-dlp 2099.11.02 is installed, instead of 2099.10.01");
    assert!(daemon.good("/metrics").text().contains(&version("2099.11.02")));
    daemon.good(&path("two"));
    eventually("the old one ends", PATIENCE, || (loaded(&daemon) == ["2099.11.02"]).then_some(()));

    let back = update(&dir, &new, &["--rollback"]);
    assert_eq!(back.success(), "yt-dlp 2099.10.01 is in use again, instead of 2099.11.02");
    daemon.good(&path("three"));
    eventually("the new one ends", PATIENCE, || (loaded(&daemon) == ["2099.10.01"]).then_some(()));
    let again = update(&dir, &new, &[]);
    assert_eq!(
        again.success(),
        "yt-dlp 2099.11.02 was taken back (--rollback); waiting for a newer one"
    );
    assert_eq!(releases(&dir), ["2099.10.01", "2099.11.02"]);

    // One page is read by the one before, and goes on while the other reads the next.
    let mut held = Client::get(daemon.address(), &path("held"));
    gate.reached();
    let forth = update(&dir, &new, &["--rollback"]);
    assert_eq!(forth.success(), "yt-dlp 2099.11.02 is in use again, instead of 2099.10.01");
    daemon.good(&path("four"));
    let mut both = loaded(&daemon);
    both.sort();
    assert_eq!(both, ["2099.10.01", "2099.11.02"]);
    gate.open();
    let answer = held.answer();
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    eventually("the one before ends", PATIENCE, || {
        (loaded(&daemon) == ["2099.11.02"]).then_some(())
    });
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
}

/// What fails leaves the release in use alone, and nothing else behind.
fn failures(dir: &Path, old: &str, broken: &str) {
    let port = Origin::start().port();
    let down = update(dir, &format!("http://127.0.0.1:{port}/simple/"), &[]);
    assert_eq!(
        down.failure(),
        "ytcanal: yt-dlp was not updated: the package index cannot be reached: Connection refused; \
         2099.10.01 stays in use"
    );
    let update_to_broken = update(dir, broken, &[]);
    let line = update_to_broken.failure();
    assert!(
        line.starts_with("ytcanal: yt-dlp was not updated: 2099.11.01 failed its self-test: ")
            && line.contains("something changed")
            && line.ends_with("; 2099.10.01 stays in use"),
        "{line}"
    );
    {
        let lock = File::open(dir.join("lock")).unwrap();
        lock.lock().unwrap();
        let second = update(dir, old, &[]);
        assert!(second.failure().ends_with(": another update is running"), "{second:?}");
    }
    assert_eq!(releases(dir), ["2099.10.01"]);
    let left: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}
