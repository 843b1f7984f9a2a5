//! What a service manager is told, as systemd is, and the signals that it sends.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use tempfile::TempDir;

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::film::track_file;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, signal};

/// Stands in for systemd: the socket that a service reports to.
pub(crate) struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, directory }
    }

    /// Starts a daemon that reports to it; `watchdog` in microseconds.
    pub(crate) fn start(&self, setup: Setup, watchdog: Option<u64>) -> Daemon {
        let socket = self.directory.path().join("notify").display().to_string();
        let watchdog = watchdog.map(|time| ("WATCHDOG_USEC".to_owned(), time.to_string()));
        let environment = [("NOTIFY_SOCKET".to_owned(), socket)].into_iter().chain(watchdog);
        Daemon::start_with(&Setup { environment: environment.collect(), ..setup })
    }

    /// The messages since the last call.
    pub(crate) fn messages(&self) -> Vec<String> {
        let mut buffer = [0; 256];
        let mut messages = Vec::new();
        while let Ok(len) = self.socket.recv(&mut buffer) {
            messages.push(String::from_utf8(buffer[..len].to_vec()).unwrap());
        }
        messages
    }

    /// Waits for so many messages that begin like this; all that came until then.
    pub(crate) fn waits_for(&self, count: usize, text: &str) -> Vec<String> {
        let mut all = Vec::new();
        eventually(text, PATIENCE, || {
            all.extend(self.messages());
            let found = all.iter().filter(|message| message.starts_with(text)).count();
            (found >= count).then_some(())
        });
        all
    }
}

/// Nobody reads the log any more, so that each thread hangs that writes to it: those of clients first. The others are
/// served, and nothing is restarted for that. An accept loop that hangs is another thing.
#[test]
fn life_is_shown_while_clients_are_accepted_and_no_longer() {
    const WATCHDOG: Duration = Duration::from_millis(400);
    let manager = Manager::new();
    let setup = Setup { descriptors: Some(64), ..Setup::default() };
    let daemon = manager.start(setup, Some(WATCHDOG.as_micros().try_into().unwrap()));
    manager.waits_for(1, "READY=1");
    manager.waits_for(3, "WATCHDOG=1");
    let unread = daemon.hold_log();
    fill_log(&daemon);
    let ask_wrongly = || {
        let mut client = Client::try_connect(daemon.address())?;
        client.send(b"nonsense\r\n\r\n")?;
        std::io::Result::Ok(client)
    };
    let mut hanging: Vec<_> = (0..8).map(|_| ask_wrongly().unwrap()).collect();
    manager.messages();
    manager.waits_for(6, "WATCHDOG=1");
    assert_eq!(daemon.get("/healthz").head.status, 200);
    // Until descriptors have run out, which the accept loop wants to log.
    hanging.extend((0..80).map_while(|_| ask_wrongly().ok()));
    eventually("no sign of life", PATIENCE, || {
        manager.messages();
        thread::sleep(WATCHDOG * 2);
        manager.messages().is_empty().then_some(())
    });
    drop((hanging, unread));
    manager.waits_for(3, "WATCHDOG=1");
    assert_eq!(daemon.get("/healthz").head.status, 200);
}

/// Fills the pipe of the log, which is held, behind a line that its reader cannot get rid of.
fn fill_log(daemon: &Daemon) {
    let path = format!("/proc/{}/fd/2", daemon.pid());
    let options = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut pipe = options.unwrap();
    pipe.write_all(b"\n").unwrap();
    eventually("its reader has the line", PATIENCE, || {
        (ioctl_fionread(&pipe).unwrap() == 0).then_some(())
    });
    for block in [4096, 1] {
        while pipe.write(&vec![b'\n'; block]).is_ok() {}
    }
}

/// The time of systemd to stop a service may be shorter than that of the configuration.
#[test]
fn a_drain_asks_for_more_time() {
    let (manager, origin, gate) = (Manager::new(), Origin::start(), Gate::default());
    let track = Resource::file(track_file("video"));
    let half = track.len() / 2;
    let url = origin.put("v", track.gate(half, &gate));
    let mut daemon = manager.start(Setup { config: LOOPBACK.to_owned(), ..Setup::default() }, None);
    let started = manager.waits_for(1, "STATUS=");
    assert_eq!(started, ["READY=1\n", "STATUS=Serving: 0 streams\n"]);
    let mut client = Client::get(daemon.address(), &mux_path(Some(&url), None, &[]));
    let head = client.first_byte();
    gate.reached();
    daemon.terminate();
    let draining = manager.waits_for(1, "EXTEND_TIMEOUT_USEC=20000000");
    let of = |text: &str| draining.iter().position(|message| message.starts_with(text)).unwrap();
    assert!(of("STOPPING=1") < of("STATUS=Draining: 1 stream"), "{draining:?}");
    gate.open();
    assert_eq!(client.body(&head).1, Ending::Complete);
    assert_eq!(daemon.exit(PATIENCE).code(), Some(0));
}

/// What can change at once does, for new connections, and what cannot is named. A mistake changes nothing.
#[test]
fn a_configuration_is_reloaded() {
    let (manager, origin) = (Manager::new(), Origin::start());
    let url = origin.put("v", Resource::file(track_file("video")));
    let path = mux_path(Some(&url), None, &[]);
    let daemon = manager.start(Setup::default(), None);
    assert_eq!(daemon.get(&path).code(), "address-refused");
    manager.messages();

    daemon.reload(&format!("[limits]\nstreams = 1\n{LOOPBACK}[log]\nlevel = \"debug\"\n"));
    let reloading = manager.waits_for(1, "READY=1");
    assert!(reloading[0].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading:?}");
    daemon.logs("configuration reloaded: log.level, upstream.allow changed");
    daemon.logs("changes that take effect at the next start: limits.streams\n");
    let answer = daemon.get(&path);
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());

    daemon.reload("[upstream]\ndeny = [\"127.0.0.0/8\"]\n[limits]\nstreems = 1\n");
    daemon.logs("cannot reload the configuration, which stays as it was: ");
    daemon.logs("streems");
    manager.waits_for(1, "STATUS=Serving: 0 streams; the changed configuration is invalid");
    assert_eq!(daemon.get(&path).head.status, 200);

    daemon.reload("[upstream]\nca_file = \"/nowhere\"\n");
    manager.waits_for(1, "READY=1");
    daemon.logs("as it was: upstream.ca_file /nowhere: ");
    assert_eq!(daemon.get(&path).head.status, 200);

    daemon.reload("");
    manager.waits_for(1, "READY=1");
    assert_eq!(daemon.get(&path).code(), "address-refused");
    let log = daemon.log();
    assert_eq!(log.matches("reloaded: log.level, upstream.allow changed\n").count(), 2, "{log}");
    assert_eq!(log.matches("next start").count(), 1, "{log}");
}

/// So is who may use the server; a mistake in the file of tokens keeps the configuration from changing, too.
#[test]
fn who_may_use_the_server_is_reloaded() {
    // The secret is "abc" (FIPS 180-2, B.1).
    const TOKEN: &str =
        "hash = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
    let manager = Manager::new();
    let tokens = manager.directory.path().join("tokens.toml");
    let write = |text: &str| std::fs::write(&tokens, text).unwrap();
    let config = |more: &str| format!("[access]\ntokens_file = {:?}\n{more}\n", tokens.display());
    write("");
    let daemon =
        manager.start(Setup { config: config("mode = \"open\""), ..Setup::default() }, None);
    let is = |host: &str, authorization: &str| {
        let mut client = Client::connect(daemon.address());
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n");
        client.send(request.as_bytes()).unwrap();
        client.answer().head.status
    };
    const BEARER: &str = "Authorization: Bearer abc\r\n";
    assert_eq!(
        [is("localhost", ""), is("localhost", BEARER), is("a.example", "")],
        [200, 401, 421]
    );
    manager.messages();

    write(&format!("[alice]\n{TOKEN}\n"));
    daemon.reload(&config("mode = \"closed\"\nhosts = [\"a.example\"]"));
    manager.waits_for(1, "READY=1");
    daemon.logs("configuration reloaded: access.hosts, access.mode changed\n");
    assert_eq!(
        [is("localhost", ""), is("localhost", BEARER), is("a.example", BEARER)],
        [401, 200, 200]
    );

    write("[alice]\nhush = \"secret\"\n");
    daemon.reload(&config("mode = \"open\""));
    manager.waits_for(1, "READY=1");
    daemon.logs("cannot reload the configuration, which stays as it was: ");
    assert_eq!(
        [is("localhost", ""), is("localhost", BEARER), is("a.example", BEARER)],
        [401, 200, 200]
    );

    write("[bob]\nhash = \"0000000000000000000000000000000000000000000000000000000000000000\"\n");
    signal(daemon.pid(), "HUP");
    manager.waits_for(1, "READY=1");
    assert_eq!(
        [is("localhost", ""), is("localhost", BEARER), is("a.example", "")],
        [200, 401, 421]
    );
}
