//! The three systems under test, behind one trait: fetch a pair, and fetch it under watch.
//!
//! Each owns the process it starts and ends it when dropped.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::media::Pair;
use crate::origin::Origin;
use crate::proc::{self, Peak, Watch};
use crate::reader::{Body, Pace};

pub(crate) trait System: Sync {
    fn name(&self) -> &'static str;
    /// One download, to its end.
    fn fetch(&self, links: &Links, pace: Pace) -> Outcome<Body>;
    /// One download, and what it cost. Nothing else may run on this system meanwhile.
    fn weigh(&self, links: &Links, pace: Pace) -> Outcome<Weighed>;
}

/// Whatever proxy the environment names, the origin is not behind it.
const LOOPBACK: &str = "127.0.0.1";

pub(crate) struct Links {
    video: String,
    audio: String,
}

impl Links {
    /// The picture alone, which needs no muxer.
    pub(crate) fn lone(origin: &Origin, pair: &Pair) -> Self {
        Self { video: origin.link(&pair.video), audio: String::new() }
    }

    pub(crate) fn new(origin: &Origin, pair: &Pair) -> Self {
        Self { video: origin.link(&pair.video), audio: origin.link(&pair.audio) }
    }
}

pub(crate) struct Weighed {
    pub(crate) body: Body,
    /// CPU seconds, user and system, children included.
    pub(crate) cpu: f64,
    pub(crate) peak: Peak,
}

/// ffmpeg by itself: it fetches both URLs and its standard output is the download.
pub(crate) struct Alone;

/// The long pair takes a few seconds; an ffmpeg that needs this long hangs.
const ALONE_LIMIT: Duration = Duration::from_secs(120);

impl System for Alone {
    fn name(&self) -> &'static str {
        "ffmpeg"
    }

    fn fetch(&self, links: &Links, pace: Pace) -> Outcome<Body> {
        Ok(self.weigh(links, pace)?.body)
    }

    fn weigh(&self, links: &Links, pace: Pace) -> Outcome<Weighed> {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-i", &links.video, "-i", &links.audio]);
        command.args(["-map", "0:v:0", "-map", "1:a:0", "-c", "copy", "-f", "mp4"]);
        command.args(["-movflags", "frag_keyframe+empty_moov+default_base_moof", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).env("no_proxy", LOOPBACK);

        let body = Body::start(pace);
        let mut ffmpeg = Reaped(command.spawn()?);
        let pid = ffmpeg.0.id();
        let watch = Watch::start(pid, Some(ALONE_LIMIT));
        let stdout = ffmpeg.0.stdout.take().ok_or("ffmpeg without a pipe")?;
        let body = body.read_pipe(stdout);
        proc::await_exit(pid);
        let cpu = proc::cpu(pid);
        let peak = watch.finish();
        let status = ffmpeg.0.wait()?;
        if !status.success() {
            return Err(format!("ended with {status}").into());
        }
        Ok(Weighed { body: body?, cpu: cpu?, peak })
    }
}

/// A system that is asked over HTTP: the daemon, or the Flask server.
pub(crate) struct Server {
    name: &'static str,
    path: &'static str,
    addr: SocketAddr,
    process: Reaped,
    log: Option<JoinHandle<VecDeque<String>>>,
}

impl Server {
    pub(crate) fn ytcanal(scratch: &Path) -> Outcome<Self> {
        Self::ytcanal_with("ytcanal", "", scratch)
    }

    /// With a name and with more lines for its `[upstream]`.
    pub(crate) fn ytcanal_with(name: &'static str, more: &str, scratch: &Path) -> Outcome<Self> {
        let runtime = scratch.join(name);
        fs::create_dir(&runtime)?;
        let config = scratch.join(format!("{name}.toml"));
        // The origin is on loopback, and a slot may be free a moment later than its client is.
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nruntime_dir = {:?}\n\
             [limits]\nstreams = 16\nstreams_per_client = 16\nmuxers = 32\n\
             [upstream]\nallow = [\"127.0.0.0/8\"]\n{more}\n",
            runtime.display().to_string()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_ytcanal"));
        command.arg("serve").arg("--config").arg(config);
        Self::start(name, "/mux", command)
    }

    pub(crate) fn original(python: &Path, scratch: &Path) -> Outcome<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/original.py");
        let fifos = scratch.join("original");
        fs::create_dir(&fifos)?;
        let mut command = Command::new(python);
        command.arg(script).arg(fifos);
        Self::start("original", "/stream", command)
    }

    fn start(name: &'static str, path: &'static str, mut command: Command) -> Outcome<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("no_proxy", LOOPBACK);
        let mut process = Reaped(command.spawn()?);
        let stderr = process.0.stderr.take().ok_or("a server without a pipe")?;
        let (found, addr) = mpsc::channel();
        let log = thread::spawn(move || read_log(stderr, &found));
        match addr.recv_timeout(START_LIMIT) {
            Ok(addr) => Ok(Self { name, path, addr, process, log: Some(log) }),
            Err(_) => {
                process.end();
                let said = Vec::from(log.join().unwrap_or_default()).join("\n");
                Err(format!("{name} did not say where it listens; its last words:\n{said}").into())
            }
        }
    }
}

const START_LIMIT: Duration = Duration::from_secs(20);
const LOG_LINES: usize = 20;

/// Reads a server's stderr to its end, says where it listens, and returns its last lines.
fn read_log(stderr: ChildStderr, found: &mpsc::Sender<SocketAddr>) -> VecDeque<String> {
    let mut last = VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let addr =
            line.split_once("listening on http://").and_then(|(_, addr)| addr.trim().parse().ok());
        if let Some(addr) = addr
            && found.send(addr).is_err()
        {
            break;
        }
        if last.len() == LOG_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    last
}

impl System for Server {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fetch(&self, links: &Links, pace: Pace) -> Outcome<Body> {
        // Nothing in these links has to be escaped in a query (RFC 3986 §3.4).
        let target = format!("{}?video={}&audio={}", self.path, links.video, links.audio);
        Body::start(pace).read_http(self.addr, &target)
    }

    fn weigh(&self, links: &Links, pace: Pace) -> Outcome<Weighed> {
        let pid = self.process.0.id();
        proc::await_childless(pid);
        let before = proc::cpu(pid)?;
        let watch = Watch::start(pid, None);
        let body = self.fetch(links, pace);
        proc::await_childless(pid);
        let peak = watch.finish();
        Ok(Weighed { body: body?, cpu: proc::cpu(pid)? - before, peak })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.end();
        // Its stderr is at an end now, unless a child of its own still holds it: that one is not waited for.
        if let Some(log) = self.log.take()
            && log.is_finished()
        {
            drop(log.join());
        }
    }
}

/// A process that does not outlive its owner.
struct Reaped(Child);

impl Reaped {
    const END_LIMIT: Duration = Duration::from_secs(5);

    /// First its children, for the original leaves them behind; then politely; then not.
    fn end(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        let pid = self.0.id();
        proc::children(pid).into_iter().for_each(|child| proc::signal(child, "KILL"));
        proc::signal(pid, "TERM");
        let deadline = Instant::now() + Self::END_LIMIT;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        // Both do nothing to a process that has been waited for.
        if self.0.kill().and_then(|()| self.0.wait()).is_err() {
            eprintln!("bench: process {pid} could not be ended");
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.end();
    }
}
