//! More than one machine: two daemons behind HAProxy and nginx with the configurations that are shipped. When
//! one of them fails in mid-download, clients go on at the other one, byte for byte; what a client has is never
//! taken for complete when it is not. And one daemon behind Caddy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::barrier::Gate;
use crate::support::client::{any_path, get};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::origin::Origin;
use crate::support::served::Way;
use crate::support::{PATIENCE, eventually, media, run, signal, start, ytdlp};

mod cache;
mod caddy;
mod front;
mod programs;

use front::{ALL, BALANCERS, FRONTS, Front, Shipped, active};

/// So much of a film has a client at least when its daemon fails.
const SOME: u64 = 4 << 20;

/// A film of two tracks behind two daemons. It is held near its end until the gate opens.
struct Stage {
    front: Front,
    origin: Origin,
    path: String,
    whole: Vec<u8>,
    gate: Gate,
    directory: TempDir,
}

/// A program that runs, and does not when the test has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Stage {
    fn open(shipped: Shipped) -> Stage {
        let (origin, gate) = (Origin::start(), Gate::default());
        // Only the proxy with a cache makes use of it.
        let front = Front::start(shipped, &format!("[cache]\nmax_age = \"1h\"\n{LOOPBACK}"));
        let film = media::five_minutes();
        let healthy = Way::Spliced.request(&origin, film, |it| it);
        let whole = get(front.daemons[0].address(), &healthy).body;
        let path = Way::Spliced.request(&origin, film, |it| {
            let near_end = it.len() - 4096;
            it.gate(near_end, &gate)
        });
        let directory = tempfile::tempdir().unwrap();
        Stage { front, origin, path, whole, gate, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("film.mp4")
    }

    /// Starts a program that writes the film to the file, and waits until it has some of it.
    fn begin(&self, command: &mut Command) -> Running {
        let log = fs::File::create(self.directory.path().join("log")).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = Running(start(command));
        eventually("the download gets on", PATIENCE, || {
            let ended = child.0.try_wait().unwrap();
            assert!(ended.is_none(), "it ended by itself: {ended:?} {}", self.log());
            (size(&self.file()) >= SOME).then_some(())
        });
        child
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    fn assert_whole(&self) {
        let file = fs::read(self.file()).unwrap();
        assert_eq!(file.len(), self.whole.len(), "{}", self.log());
        let differs = file.iter().zip(&self.whole).position(|(found, meant)| found != meant);
        assert_eq!(differs, None, "the first byte that is not as it should be");
    }
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

/// What curl says of a response without its body.
fn status(command: &mut Command) -> String {
    let output = run(command.args(["-o", "/dev/null", "-w", "%{http_code}"]));
    String::from_utf8(output.stdout).unwrap()
}

/// A curl that was cut, and has to say so, is run again.
#[test]
fn curl_goes_on_at_the_other_daemon() {
    for shipped in ALL {
        for failure in ["killed", "stands still"] {
            // nginx does not notice that within the patience of a test.
            if shipped != Shipped::Haproxy && failure == "stands still" {
                continue;
            }
            let mut stage = Stage::open(shipped);
            let file = stage.file();
            let mut curl = stage.begin(stage.front.curl(&stage.path).arg("-o").arg(&file));
            let daemon = stage.front.busy();
            match failure {
                "killed" => daemon.kill(),
                _ => signal(daemon.pid(), "STOP"),
            }
            let code = curl.0.wait().unwrap().code();
            assert!(matches!(code, Some(18 | 56 | 92)), "{shipped:?}, {failure}: {code:?}");
            stage.gate.open();
            let missing = stage.whole.len() as u64 - size(&file);
            let mut again = stage.front.curl(&stage.path);
            again.args(["-C", "-", "-w", "%{http_code} %{size_download}", "-o"]).arg(&file);
            let output = run(&mut again);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(said, format!("206 {missing}"), "{shipped:?}, {failure}: {output:?}");
            stage.assert_whole();
        }
    }
}

/// Of known length and of unknown length, over every version of HTTP that the proxy speaks.
#[test]
fn what_was_cut_is_an_error_over_every_version() {
    for shipped in ALL {
        for (version, unknown) in
            [("--http2", false), ("--http2", true), ("--http1.1", false), ("--http1.1", true)]
        {
            let mut stage = Stage::open(shipped);
            let mut path = stage.path.clone();
            if unknown {
                path = path.replace("engine=splice", "engine=ffmpeg");
            }
            let file = stage.file();
            let mut command = stage.front.curl(&path);
            command.args([version, "-w", "%{http_version}", "-o"]).arg(&file);
            let mut curl = stage.begin(&mut command);
            stage.front.busy().kill();
            let code = curl.0.wait().unwrap().code();
            let log = stage.log();
            println!("{shipped:?} {version} {unknown}: {code:?} {log}");
            assert!(matches!(code, Some(18 | 56 | 92)), "{shipped:?} {version}: {code:?} {log}");
            if shipped != Shipped::Haproxy && version == "--http2" {
                assert_eq!(code, Some(92), "{log}");
                assert!(log.ends_with('2'), "{log}");
            }
        }
    }
}

/// It could not tell a download that was cut from a complete one.
#[test]
fn http_1_0_is_refused() {
    for shipped in FRONTS {
        let front = Front::start(shipped, "");
        // By ALPN, Caddy would not even let it finish the handshake.
        assert_eq!(status(front.curl("/").args(["--http1.0", "--no-alpn"])), "505", "{shipped:?}");
        assert_eq!(status(&mut front.curl("/")), "200", "{shipped:?}");
    }
}

/// A daemon that shuts down gets no new requests from HAProxy, and finishes what it has.
#[test]
fn a_daemon_that_shuts_down_finishes_its_downloads() {
    let mut stage = Stage::open(Shipped::Haproxy);
    let file = stage.file();
    let mut curl = stage.begin(stage.front.curl(&stage.path).args(["-f", "-o"]).arg(&file));
    stage.front.busy().terminate();
    eventually("HAProxy knows", PATIENCE, || {
        stage.front.log().contains("is stopping").then_some(())
    });
    assert_eq!(status(stage.front.curl(&stage.path).args(["-r", "0-99"])), "206");
    stage.gate.open();
    assert_eq!(curl.0.wait().unwrap().code(), Some(0));
    stage.assert_whole();
}

/// `/info` and `/download` of a page, in all qualities.
#[test]
fn a_page_is_read_by_one_daemon() {
    for shipped in BALANCERS {
        let site = ytdlp::Site::start();
        let front = Front::start(shipped, &ytdlp::config(&[], ""));
        let page = site.page_url(ytdlp::FILM);
        for _ in 0..2 {
            for (path, parameters) in [
                ("info", &[][..]),
                ("download", &[("quality", "720")]),
                ("download", &[("quality", "360"), ("end", "5")]),
            ] {
                let path = ytdlp::path_of(path, &page, parameters);
                assert_eq!(status(&mut front.curl(&path)), "200", "{shipped:?} {path}");
            }
        }
        assert_eq!(site.reads(ytdlp::FILM), 1, "{shipped:?}");
    }
}

#[test]
fn both_daemons_have_work() {
    let origin = Origin::start();
    for shipped in BALANCERS {
        let front = Front::start(shipped, LOOPBACK);
        for number in 0..32 {
            let path = any_path(Some(&origin.url(&format!("gone-{number}"))), None, &[]);
            assert_eq!(status(&mut front.curl(&path)), "404", "{shipped:?}");
        }
        let counts = front.daemons.each_ref().map(|daemon| {
            eventually("they are idle", PATIENCE, || (active(daemon) == 0).then_some(()));
            daemon.log().matches("127.0.0.1]").count()
        });
        assert!(counts.iter().all(|count| *count > 3), "{shipped:?}: {counts:?}");
    }
}

/// Also if it claims another address, and another name of its request.
#[test]
fn the_client_is_known() {
    for shipped in FRONTS {
        let front = Front::start(shipped, "");
        let claims =
            ["X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: gopher", "X-Request-Id: mine"];
        let mut curl = front.curl("/nothing");
        for claim in claims {
            curl.args(["-H", claim]);
        }
        assert_eq!(status(curl.args(["--interface", "127.0.0.5"])), "404");
        let is_known = |log: String| log.contains("127.0.0.5 GET (other) 404: not-found");
        eventually("the address is logged", PATIENCE, || {
            front.daemons.iter().any(|daemon| is_known(daemon.log())).then_some(())
        });
        let is_named = |daemon: &Daemon| daemon.log().contains("[mine]");
        assert!(!front.daemons.iter().any(is_named), "{shipped:?}");
    }
}
