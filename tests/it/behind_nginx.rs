//! Behind nginx as Debian installs it: it keeps nothing of a film on its disk for a slow client, and what
//! comes through it behaves as what comes from the daemon.

mod recipe;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::answer::Ending;
use crate::support::client::{self, Client, mux_path};
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::origin::Origin;
use crate::support::served::WAYS;
use crate::support::{PATIENCE, eventually, media, request_range, run, start};

/// What it is told to do about the daemon's wish not to be read ahead of its client: to respect it, as it
/// does by itself, or not.
const HEEDING: &str = "";
const HEEDLESS: &str = "proxy_ignore_headers X-Accel-Buffering;";

/// nginx in front of a daemon. Unless it has the configuration of the documentation, it is told nothing of buffers, versions
/// and timeouts.
struct Front {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Front {
    fn of(daemon: &Daemon, wish: &str) -> Front {
        let daemon = daemon.address();
        Front::start(|address, _| {
            let location = format!("location / {{ proxy_pass http://{daemon}; {wish} }}");
            format!("server {{ listen {address}; access_log off; {location} }}")
        })
    }

    /// Starts it with what `server` says for an address and a directory of its own.
    fn start(server: impl FnOnce(SocketAddr, &Path) -> String) -> Front {
        let directory = tempfile::tempdir().unwrap();
        // It takes no port 0; nobody else is likely to get this one in the meantime.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dir = directory.path().display();
        // For root it would put itself under another user, who cannot write here.
        let is_root = directory.path().metadata().unwrap().uid() == 0;
        let user = if is_root { "user root root;" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"];
        let temporary = temporary.map(|of| format!("{of}_temp_path {dir}/{of};")).concat();
        let config = format!(
            "{user} daemon off; master_process off; pid {dir}/pid; error_log {dir}/log warn; events {{}}
             http {{ access_log {dir}/access; {temporary} {} }}",
            server(address, directory.path()),
        );
        let path = directory.path().join("conf");
        std::fs::write(&path, config).unwrap();
        let words = ["--pdeathsig", "KILL", "nginx", "-e", "stderr"];
        // Debian has it where only root's PATH leads.
        let search = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let version = run(Command::new("nginx").env("PATH", &search).arg("-v"));
        assert!(version.status.success());
        let child = start(
            Command::new("setpriv")
                .args(words)
                .args(["-p".as_ref(), directory.path().as_os_str(), "-c".as_ref()])
                .arg(&path)
                .env("PATH", &search),
        );
        let mut front = Front { child, address, directory };
        eventually("nginx listens", PATIENCE, || {
            let ended = front.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx ended: {ended:?}");
            TcpStream::connect(address).ok()
        });
        front
    }

    /// How many bytes it has on its disk at this moment: in files that it holds open, for nobody else
    /// sees them.
    fn on_disk(&self) -> u64 {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().flatten();
        let of = |file: &Path| file.starts_with(self.directory.path().join("proxy"));
        let files = open.filter(|file| file.path().read_link().is_ok_and(|to| of(&to)));
        files.filter_map(|file| Some(file.path().metadata().ok()?.len())).sum()
    }

    fn log(&self) -> String {
        self.text("log")
    }

    /// What it has written to a file of its directory.
    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A film of 91 MB, passed through, spliced, and joined by ffmpeg.
fn ways(origin: &Origin) -> [String; 3] {
    let film = media::ten_minutes();
    let [lone, spliced] = WAYS.map(|way| way.request(origin, film, |it| it));
    let [video, audio] = ["video", "audio"].map(|name| origin.url(name));
    [lone, spliced, mux_path(Some(&video), Some(&audio), &[])]
}

/// How many bytes were asked of an origin when no more are, for nobody reads.
fn asked_at_rest(origin: &Origin) -> u64 {
    let mut before = 0;
    eventually("nothing more is asked for", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        let asked = origin.requests().len();
        std::mem::replace(&mut before, asked).eq(&asked).then_some(())
    });
    let ranges = origin.requests();
    ranges.iter().map(request_range).map(|range| range.end - range.start).sum()
}

#[test]
fn a_slow_client_fills_no_disk() {
    for way in 0..3 {
        for wish in [HEEDING, HEEDLESS] {
            let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
            let front = Front::of(&daemon, wish);
            let path = ways(&origin)[way].clone();
            let mut client = Client::connect(front.address);
            client.ask(&path, &["Connection: close"]);
            let head = client.first_byte();
            assert_eq!(head.status, 200);
            let (asked, on_disk) = (asked_at_rest(&origin), front.on_disk());
            let (body, ending) = client.body(&head);
            let what =
                format!("{path} {wish}: {asked} of {} asked for, {on_disk} on disk", body.len());
            println!("{what}");
            assert_eq!(ending, Ending::Complete, "{what}");
            assert!(body == daemon.get(&path).body, "{what}");
            if wish == HEEDING {
                assert!(on_disk == 0 && asked < body.len() as u64 / 2, "{what}");
                assert_eq!(front.log(), "", "{what}");
            } else {
                // It would otherwise, and this test sees it.
                assert!(on_disk > 10 << 20 && front.log().contains("temporary file"), "{what}");
            }
        }
    }
}

#[test]
fn parts_and_the_rest_of_a_download_come_through() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let front = Front::of(&daemon, HEEDING);
    for path in &ways(&origin)[..2] {
        let whole = daemon.get(path);
        let (etag, len) = (whole.head.header("ETag").unwrap(), whole.body.len());
        for (from, to) in [(0, 99), (len / 3, len / 2), (len - 1000, len - 1)] {
            let fields =
                format!("Range: bytes={from}-{to}\r\nIf-Range: {etag}\r\nConnection: close\r\n");
            let part = client::ask(front.address, "GET", path, &fields);
            assert_eq!((part.head.status, part.ending), (206, Ending::Complete));
            assert!(part.body == whole.body[from..=to], "{path}, {from} to {to}");
            let range = format!("bytes {from}-{to}/{len}");
            assert_eq!(part.head.header("Content-Range"), Some(&*range));
        }
        let file = front.directory.path().join("file");
        std::fs::write(&file, &whole.body[..len / 3]).unwrap();
        let words = ["-sS", "--noproxy", "*", "--max-time", "60", "-C", "-", "-o"];
        let mut curl = Command::new("curl");
        let output = run(curl.args(words).arg(&file).arg(front.url(path)));
        assert!(output.status.success(), "{output:?}");
        assert!(std::fs::read(&file).unwrap() == whole.body, "{path}");
    }
}

/// Also if it claims another address: nginx appends the true one.
#[test]
fn the_client_behind_it_is_known() {
    let daemon = Daemon::start("[access]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let front = Front::of(&daemon, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;");
    let fields = ["--interface", "127.0.0.5", "-H", "X-Forwarded-For: 9.9.9.9"];
    let answer = curl(&[&fields[..], &[&front.url("/nothing")]].concat());
    assert_eq!((answer.exit, answer.status), (0, 404));
    daemon.logs("127.0.0.5 GET (other) 404: not-found");
}
