//! Sockets that the daemon is given, by systemd or by an older process of it, and Unix sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::service::Manager;
use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, any_path, get};
use crate::support::daemon::{Daemon, LOOPBACK, Setup, binary};
use crate::support::film::{put_film, request, track_file};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::{PATIENCE, eventually, run, signal, start};

/// A process that is no child of the test; dropping it ends it.
struct Process(u32);

impl Process {
    fn lives(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.0));
        status.is_ok_and(|status| !status.contains(") Z "))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.lives() {
            signal(self.0, "KILL");
        }
    }
}

/// The process that serves now instead of `daemon`.
fn successor(daemon: &Daemon) -> Process {
    let pid = eventually("another process serves", PATIENCE, || {
        let log = daemon.log();
        let (before, _) = log.split_once(" serves from now on")?;
        before.rsplit_once("process ")?.1.parse().ok()
    });
    Process(pid)
}

#[test]
fn nobody_is_refused_while_another_process_takes_over() {
    let (origin, gate, manager) = (Origin::start(), Gate::default(), Manager::new());
    let setup = Setup { config: LOOPBACK.to_owned(), ..Setup::default() };
    let mut daemon = manager.start(setup, None);
    let video = Resource::file(track_file("video"));
    let half = video.len() / 2;
    let url = origin.put("held", video.gate(half, &gate));
    let path = request(&origin, "video", &url);
    let mut client = Client::get(daemon.address(), &path);
    let head = client.first_byte();
    gate.reached();
    let (address, is_over) = (daemon.address(), AtomicBool::new(false));
    let serving = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            (0..100_000).take_while(|_| !is_over.load(Ordering::Relaxed)).for_each(|_| {
                assert_eq!(get(address, "/healthz").head.status, 200);
            });
        });
        signal(daemon.pid(), "USR2");
        let serving = successor(&daemon);
        // The old process serves what it has accepted, and the new one all that comes.
        gate.open();
        let (body, ending) = client.body(&head);
        assert_eq!(ending, Ending::Complete);
        assert!(daemon.exit(PATIENCE).success(), "it ends once that is complete");
        assert!(daemon.good(&path).body.len() >= body.len());
        is_over.store(true, Ordering::Relaxed);
        asking.join().expect("nobody was refused");
        serving
    });
    let messages = manager.messages();
    let place = |text: &str| messages.iter().position(|message| message.starts_with(text));
    assert!(place(&format!("MAINPID={}\n", serving.0)).is_some(), "{messages:?}");
    assert_eq!(place("STOPPING=1"), None, "{messages:?}");
    let ready = messages.iter().filter(|message| message.starts_with("READY=1")).count();
    assert_eq!(ready, 2, "{messages:?}");
    // And so on.
    signal(serving.0, "TERM");
    eventually("it ends, too", PATIENCE, || (!serving.lives()).then_some(()));
}

#[test]
fn a_process_that_cannot_start_changes_nothing() {
    let manager = Manager::new();
    let daemon = manager.start(Setup::default(), None);
    manager.waits_for(1, "READY=1");
    let valid = std::fs::read(daemon.config()).unwrap();
    std::fs::write(daemon.config(), "listen = 5\n").unwrap();
    signal(daemon.pid(), "USR2");
    daemon.logs("cannot hand over, and so going on: the new process ended first");
    assert!(daemon.log().contains("listen = 5"), "it says why: {}", daemon.log());
    assert_eq!(daemon.get("/healthz").head.status, 200);
    assert!(manager.messages().iter().all(|message| !message.starts_with("MAINPID")));
    std::fs::write(daemon.config(), valid).unwrap();
    signal(daemon.pid(), "USR2");
    let serving = successor(&daemon);
    assert_eq!(daemon.get("/healthz").head.status, 200);
    drop(serving);
}

/// It would keep the port.
#[test]
fn a_process_that_never_serves_ends_with_the_one_that_started_it() {
    let directory = tempfile::tempdir().unwrap();
    let (program, started) = (directory.path().join("ytcanal"), directory.path().join("started"));
    // The program that is to be started is the one that this leads to then.
    std::os::unix::fs::symlink(binary(), &program).unwrap();
    let replaced = ["sh", "-c", "shift; exec \"$0\" \"$@\"", text(&program)];
    let through = replaced.map(str::to_owned).to_vec();
    let mut daemon = Daemon::start_with(&Setup { through, ..Setup::default() });
    let hangs = directory.path().join("hangs");
    std::fs::write(&hangs, format!("#!/bin/sh\necho $$ >> {started:?}\nexec sleep 1000\n"))
        .unwrap();
    std::fs::set_permissions(&hangs, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&hangs, &program).unwrap();
    signal(daemon.pid(), "USR2");
    let id = || std::fs::read_to_string(&started).ok()?.strip_suffix('\n')?.parse().ok();
    let hanging = Process(eventually("another program runs", PATIENCE, id));
    signal(daemon.pid(), "USR2");
    daemon.logs("a new process is starting already");
    assert_eq!(daemon.get("/healthz").head.status, 200);
    assert!(hanging.lives());
    signal(daemon.pid(), "TERM");
    assert!(daemon.exit(PATIENCE).success());
    eventually("it has ended, too", PATIENCE, || (!hanging.lives()).then_some(()));
    assert_eq!(std::fs::read_to_string(&started).unwrap().lines().count(), 1);
}

/// A daemon that systemd's tool starts at the first connection to a Unix socket.
struct Activated {
    child: Child,
    socket: PathBuf,
    directory: TempDir,
}

impl Activated {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (socket, config) =
            (directory.path().join("http.sock"), directory.path().join("config"));
        let runtime_dir = directory.path().join("run");
        let text = format!(
            "runtime_dir = {runtime_dir:?}\n[access]\nmode = \"open\"\n{LOOPBACK}retries = 1\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("systemd-socket-activate");
        command.arg("-l").arg(&socket).arg(binary()).arg("serve").arg("--config").arg(&config);
        let child = start(&mut command);
        eventually("the socket is there", PATIENCE, || socket.exists().then_some(()));
        Self { child, socket, directory }
    }

    fn curl(&self, arguments: &[&str], path: &str) -> std::process::Output {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--unix-socket"]).arg(&self.socket);
        run(command.args(arguments).arg(format!("http://localhost{path}")))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A proxy in front can tell a broken download from a complete one, although a Unix socket knows no reset.
#[test]
fn a_socket_of_systemd_is_served() {
    let (origin, daemon) = (Origin::start(), Activated::new());
    let [video, audio] = put_film(&origin);
    let (film, other) = (daemon.file("film"), daemon.file("other"));
    for engine in ["splice", "ffmpeg"] {
        let path = any_path(Some(&video), Some(&audio), &[("engine", engine)]);
        let output = daemon.curl(&["-f", "-o", text(&film), "-w", "%{http_code}"], &path);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{engine}: {output:?}");
        assert!(std::fs::metadata(&film).unwrap().len() > 100_000, "{engine}");
    }
    let path = any_path(Some(&video), Some(&audio), &[]);
    assert!(daemon.curl(&["-f", "-o", text(&film)], &path).status.success());
    let part = daemon.curl(&["-f", "-r", "1000-50000", "-o", text(&other)], &path);
    assert!(part.status.success(), "{part:?}");
    let (film, part) = (std::fs::read(&film).unwrap(), std::fs::read(&other).unwrap());
    assert!(part == film[1000..=50_000]);
    // Cut off in the middle, with a length and without one.
    let cut = Resource::file(track_file("video")).ranges().etag("\"film\"");
    let url = origin.put("cut", cut.fault(Fault::CutAt(2_000_000)));
    for engine in ["splice", "ffmpeg"] {
        let path = any_path(Some(&url), Some(&audio), &[("engine", engine)]);
        let output = daemon.curl(&["-o", text(&other)], &path);
        // A partial file: of a length, or of chunks.
        assert_eq!(output.status.code(), Some(18), "{engine}: {output:?}");
    }
    // HTTP/1.0 cannot tell.
    let output = daemon.curl(&["-0", "-w", "%{http_code}"], &path);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("http-version") && said.ends_with("505"), "{said}");
    assert_eq!(daemon.curl(&[], "/healthz").stdout, b"ok\n");
}
