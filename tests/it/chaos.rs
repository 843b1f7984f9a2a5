//! What happens around the daemon, to ffmpeg, to its directory, to an origin and to itself: every
//! download is identical or visibly failed, the next one is fine, and nothing stays.
//!
//! A jump of the wall clock is not here, since no test may set the clock: clippy.toml forbids to
//! ask for its time, but in the few places that say why.

mod directory;
mod signals;

use std::path::Path;
use std::thread::{self, JoinHandle};

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::origin::Origin;
use crate::support::process_snapshot::Snapshot;
use crate::support::resource::Resource;
use crate::support::{PATIENCE, eventually, media, signal};

/// A daemon with an origin, and a film that it is known to join.
struct TestSetup {
    origin: Origin,
    daemon: Daemon,
    path: String,
    expected: Vec<u8>,
    baseline: Snapshot,
}

/// A download that is held half-way; its client reads all that comes, as it comes.
struct Held {
    gate: Gate,
    reading: JoinHandle<(Vec<u8>, Ending)>,
}

impl Held {
    /// Asks for something that will stand at this gate, and waits until it does.
    fn begin(daemon: &Daemon, path: &str, gate: Gate) -> Self {
        let mut client = Client::get(daemon.address(), path);
        let head = client.first_byte();
        gate.reached();
        Self { gate, reading: thread::spawn(move || client.body(&head)) }
    }

    /// What came, and how it ended.
    fn ends(self) -> (Vec<u8>, Ending) {
        self.reading.join().expect("the client reads to the end")
    }
}

impl TestSetup {
    fn new(config: &str) -> Self {
        Self::with(&Setup { config: format!("{LOOPBACK}{config}"), ..Setup::default() })
    }

    fn with(setup: &Setup) -> Self {
        Self::of(setup, &media::minute().video)
    }

    /// The picture is this one; the sound is always the minute's.
    fn of(setup: &Setup, video: &Path) -> Self {
        let (origin, daemon) = (Origin::start(), Daemon::start_with(setup));
        let video = origin.put("v", Resource::file(video).ranges());
        let audio = origin.put("a", Resource::file(&media::minute().audio).ranges());
        let path = mux_path(Some(&video), Some(&audio), &[]);
        let baseline = daemon.baseline();
        let Answer { head, body, ending } = daemon.get(&path);
        assert_eq!((head.status, ending), (200, Ending::Complete), "the first download");
        Self { origin, daemon, path, expected: body, baseline }
    }

    /// Begins a download of the minute, and waits until its picture is held half-way.
    fn held(&self) -> Held {
        let gate = Gate::default();
        let pair = media::minute();
        let video = Resource::file(&pair.video).ranges();
        let half = video.len() / 2;
        let video = self.origin.put("held", video.gate(half, &gate));
        let path = mux_path(Some(&video), Some(&self.origin.url("a")), &[]);
        Held::begin(&self.daemon, &path, gate)
    }

    fn goes_on(&self, held: Held) {
        held.gate.open();
        self.is_identical(&held.ends());
    }

    fn is_identical(&self, (body, ending): &(Vec<u8>, Ending)) {
        assert_eq!(*ending, Ending::Complete, "{}", self.daemon.log());
        assert!(*body == self.expected, "{} bytes of {}", body.len(), self.expected.len());
    }

    /// All is as if nothing had happened.
    fn is_as_before(&self) {
        let answer = self.daemon.get(&self.path);
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        self.is_identical(&(answer.body, answer.ending));
        self.daemon.settles(&self.baseline, PATIENCE);
    }

    /// The ffmpeg of the only stream.
    fn ffmpeg(&self) -> u32 {
        let children = self.daemon.children();
        assert_eq!(children.len(), 1, "{children:?}");
        children[0].pid
    }
}

/// Both tracks at once lose their upstream; it is back before their tries are used up.
#[test]
fn an_origin_that_comes_back_is_gone_on_with() {
    for (etag, passed_through) in [(true, false), (false, false), (true, true), (false, true)] {
        println!("etag: {etag}, passed through: {passed_through}");
        let daemon = Daemon::start(&format!("{LOOPBACK}[log]\nlevel = \"debug\"\n"));
        let (mut origin, baseline) = (Origin::start(), daemon.baseline());
        let put = |origin: &Origin, gate: &Gate| {
            let pair = media::minute();
            let [video, audio] = [("v", &pair.video), ("a", &pair.audio)].map(|(name, file)| {
                let track = Resource::file(file).ranges();
                let track = if etag { track.etag("\"1\"") } else { track };
                // In the first part: no more is asked for while the client does not read.
                origin.put(name, track.gate(300_000, gate))
            });
            mux_path(Some(&video), Some(&audio).filter(|_| !passed_through).map(|a| &**a), &[])
        };
        let open = Gate::default();
        open.open();
        let path = put(&origin, &open);
        let expected = daemon.get(&path).body;
        let gate = Gate::default();
        put(&origin, &gate);
        let held = Held::begin(&daemon, &path, gate);
        let port = origin.port();
        drop(origin);
        // It has been looked for in vain.
        daemon.logs("no connection");
        origin = Origin::start_on(port);
        put(&origin, &open);
        let (body, ending) = held.ends();
        assert_eq!(ending, Ending::Complete, "{}", daemon.log());
        assert!(body == expected, "{} bytes of {}", body.len(), expected.len());
        assert!(daemon.get(&path).body == expected);
        daemon.settles(&baseline, PATIENCE);
    }
}

#[test]
fn an_origin_that_stays_away_is_a_broken_download() {
    let scene = TestSetup::new("retries = 2\n");
    let origin = Origin::start();
    let pair = media::minute();
    let gate = Gate::default();
    let video = Resource::file(&pair.video).ranges();
    let half = video.len() / 2;
    let video = origin.put("v", video.gate(half, &gate));
    let audio = origin.put("a", Resource::file(&pair.audio).ranges());
    let path = mux_path(Some(&video), Some(&audio), &[]);
    let held = Held::begin(&scene.daemon, &path, gate);
    drop(origin);
    assert_eq!(held.ends().1, Ending::Reset);
    // The muxer, which waits as well, is not blamed.
    scene.daemon.logs("upstream: no connection");
    let answer = scene.daemon.get(&path);
    assert_eq!((answer.head.status, answer.code().as_str()), (502, "upstream-unreachable"));
    scene.is_as_before();
}

/// Stops a process, and waits until it stands.
fn stop(pid: u32) {
    signal(pid, "STOP");
    eventually("it stands", PATIENCE, || {
        let process = crate::support::process_snapshot::process(pid)?;
        (process.state == "T").then_some(())
    });
}
