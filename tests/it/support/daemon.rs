//! Starts the real binary on a loopback port with a configuration of its own, keeps what it
//! logs, and ends it with the test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use super::answer::{Answer, Ending};
use super::process_snapshot::{self, Snapshot};
use super::{PATIENCE, client, eventually, signal};

/// Lets the daemon fetch from origins on this machine.
pub(crate) const LOOPBACK: &str = "[upstream]\nallow = [\"127.0.0.0/8\"]\n";

/// What to start; every field has a default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// TOML without `listen` and `runtime_dir`.
    pub(crate) config: String,
    /// RLIMIT_NOFILE of the daemon.
    pub(crate) descriptors: Option<u32>,
    /// A runtime directory shared with other daemons.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Addresses that it listens on, too.
    pub(crate) listen: Vec<String>,
    /// Variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// A program with its arguments that becomes the daemon by exec (`setpriv ...`).
    pub(crate) through: Vec<String>,
}

/// A running daemon; dropping it kills and reaps it, and prints its log if the test failed.
pub(crate) struct Daemon {
    child: Child,
    address: SocketAddr,
    config: PathBuf,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
    runtime_dir: PathBuf,
    _directory: TempDir,
}

/// The binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_ytcanal")
}

impl Daemon {
    /// Starts with this TOML (without `listen` and `runtime_dir`).
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(&Setup { config: config.to_owned(), ..Setup::default() })
    }

    pub(crate) fn start_with(setup: &Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime_dir = setup.runtime_dir.clone().unwrap_or_else(|| directory.path().join("run"));
        let config = directory.path().join("config.toml");
        std::fs::write(&config, whole_config(&runtime_dir, &setup.config)).unwrap();
        let mut child = command(setup)
            .args(["serve", "--config"])
            .arg(&config)
            .args(listening(&setup.listen))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_remove("JOURNAL_STREAM")
            .envs(setup.environment.iter().cloned())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let log_reader = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in stderr.split(b'\n').map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    *log += &String::from_utf8_lossy(&line);
                    log.push('\n');
                }
            }
        });
        let mut daemon = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            config,
            log,
            log_reader: Some(log_reader),
            runtime_dir,
            _directory: directory,
        };
        daemon.address = eventually("the daemon listens", PATIENCE, || {
            let exited = daemon.child.try_wait().unwrap();
            assert!(exited.is_none(), "the daemon ended: {exited:?}");
            listening_address(&daemon.log())
        });
        daemon
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The file of its configuration.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Replaces the configuration, as an editor would, and has the daemon read it.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(&self.config, whole_config(&self.runtime_dir, config)).unwrap();
        signal(self.pid(), "HUP");
    }

    /// Keeps the log from being read beyond a line, until this is dropped.
    pub(crate) fn hold_log(&self) -> MutexGuard<'_, String> {
        self.log.lock().unwrap()
    }

    /// GETs a path of this daemon.
    pub(crate) fn get(&self, path: &str) -> Answer {
        client::get(self.address, path)
    }

    /// The complete answer with status 200; anything else fails the test.
    pub(crate) fn good(&self, path: &str) -> Answer {
        let answer = self.get(path);
        let ended = (answer.head.status, answer.ending);
        assert_eq!(ended, (200, Ending::Complete), "{path}: {}", answer.text());
        answer
    }

    /// Makes sure that this part of a file is the same as in the whole of it.
    pub(crate) fn assert_part(&self, path: &str, whole: &Answer, part: Range<usize>) {
        let etag = whole.head.header("ETag").unwrap();
        let (first, last) = (part.start, part.end - 1);
        let fields = format!("Range: bytes={first}-{last}\r\nIf-Range: {etag}\r\n");
        let answer = client::ask(self.address, "GET", path, &fields);
        assert_eq!(
            (answer.head.status, answer.ending),
            (206, Ending::Complete),
            "{path}: {part:?}"
        );
        assert!(answer.body == whole.body[part.clone()], "{path}: another {part:?}");
    }

    /// The value of an unlabelled metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").text();
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {metrics}"))
    }

    /// Where its pipes are, unless it sees other file systems than the test does.
    pub(crate) fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }

    pub(crate) fn terminate(&self) {
        signal(self.pid(), "TERM");
    }

    /// Waits for a line of the log that contains this.
    pub(crate) fn logs(&self, text: &str) {
        eventually(text, PATIENCE, || self.log().contains(text).then_some(()));
    }

    /// Waits for the daemon to end by itself.
    pub(crate) fn exit(&mut self, within: Duration) -> ExitStatus {
        eventually("the daemon exits", within, || self.child.try_wait().unwrap())
    }

    /// Kills the daemon as `kill -9` would and reaps it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The processes the daemon started.
    pub(crate) fn children(&self) -> Vec<process_snapshot::Process> {
        process_snapshot::children(self.pid())
    }

    /// What the daemon holds once it has come to rest.
    pub(crate) fn baseline(&self) -> Snapshot {
        let mut last = self.snapshot();
        let mut same = 0;
        eventually("the daemon comes to rest", PATIENCE, || {
            thread::sleep(Duration::from_millis(40));
            let now = self.snapshot();
            same = if now == last { same + 1 } else { 0 };
            last = now;
            (same == 5).then(|| last.clone())
        })
    }

    /// Waits until the daemon holds what it held; panics with the difference.
    pub(crate) fn settles(&self, baseline: &Snapshot, within: Duration) {
        let deadline = std::time::Instant::now() + within;
        loop {
            let now = self.snapshot();
            if now == *baseline {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "not as before after {within:?}:\n{}",
                baseline.difference(&now)
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it holds at this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.pid(), &self.runtime_dir)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(reader) = self.log_reader.take() {
            drop(reader.join());
        }
        if thread::panicking() {
            eprintln!("--- log of the daemon\n{}---", self.log());
        }
    }
}

/// Writes a shell script that stands in for ffmpeg and gives its path.
pub(crate) fn script(directory: &Path, body: &str) -> PathBuf {
    let file = directory.join("ffmpeg-stand-in");
    std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn command(setup: &Setup) -> Command {
    // Signals that whoever runs the tests ignores would stay ignored.
    let mut command = Command::new("env");
    command.arg("--default-signal");
    if let Some(limit) = setup.descriptors {
        command.args(["sh", "-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]);
    }
    command.args(&setup.through).arg(binary());
    // The environment of whoever runs the tests must not reach the daemon.
    for name in [
        "RUNTIME_DIRECTORY",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ] {
        command.env_remove(name);
        command.env_remove(name.to_uppercase());
    }
    command
}

fn whole_config(runtime_dir: &Path, rest: &str) -> String {
    // What is kept for a quarter of a minute would be taken for left behind.
    const BRIEF: &str = "[upstream]\nkeepalive_timeout = \"20ms\"\n";
    let rest = match rest.split_once("[upstream]\n") {
        _ if rest.contains("keepalive_timeout") => rest.to_owned(),
        Some((before, after)) => format!("{before}{BRIEF}{after}"),
        None => format!("{rest}\n{BRIEF}"),
    };
    format!("listen = [\"127.0.0.1:0\"]\nruntime_dir = {runtime_dir:?}\n{rest}")
}

/// The options for more addresses than that of the configuration, which they replace.
fn listening(more: &[String]) -> Vec<&str> {
    let all = ["127.0.0.1:0"].into_iter().chain(more.iter().map(String::as_str));
    let all = all.filter(|_| !more.is_empty());
    all.flat_map(|address| ["--listen", address]).collect()
}

fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on http://")?;
    let (line, _) = rest.split_once('\n')?;
    // Nothing follows it in a line of text; in JSON, the next field does.
    let address = line.split('"').next().unwrap_or_default();
    Some(address.trim().parse().expect("an address after listening on"))
}
