//! The systems that are asked over HTTP, each a process of its own on loopback: the daemon, the
//! re-created original, nginx, and the copy loop.
//!
//! No process here outlives its owner, also when the benchmark fails or is killed.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{self, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ytcanal::sys;

use crate::Outcome;
use crate::origin::UNPROVEN;
use crate::proc::{self, Watch};
use crate::reader::{Body, Until};
use crate::relays;
use crate::systems::{LOOPBACK, Links, System, Weighed};
use crate::upstream::Upstream;

pub(crate) struct Server {
    name: &'static str,
    asked: Asked,
    addr: SocketAddr,
    process: Child,
    /// It does not notice when a client leaves, and lets its children stay.
    leaves_children: bool,
    /// Its children from the start on, which stay.
    lasting: Vec<u32>,
    log: Option<JoinHandle<VecDeque<String>>>,
}

/// What its requests look like.
#[derive(Clone, Copy)]
enum Asked {
    /// A path that takes two URLs, what stands in front of the name of a file in them, and what
    /// follows them.
    ToJoin(&'static str, &'static str, &'static str),
    /// The path of a body that is there already.
    ToPassOn,
}

/// How its address is known.
#[derive(Clone, Copy)]
enum Listens {
    /// It says so itself.
    AsItSays,
    At(SocketAddr),
}

impl Server {
    /// The daemon with more lines for its sections `[limits]` and `[upstream]`.
    pub(crate) fn ytcanal(
        name: &'static str,
        engine: Engine,
        config: [&str; 2],
        scratch: &Path,
    ) -> Outcome<Self> {
        Self::daemon(Path::new(env!("CARGO_BIN_EXE_ytcanal")), name, engine, config, scratch)
    }

    /// The daemon of another build.
    pub(crate) fn daemon(
        program: &Path,
        name: &'static str,
        engine: Engine,
        [limits, upstream]: [&str; 2],
        scratch: &Path,
    ) -> Outcome<Self> {
        let runtime = scratch.join(name);
        fs::create_dir(&runtime)?;
        let config = scratch.join(format!("{name}.toml"));
        // The origin is on loopback, and a slot may be free a moment later than its client is. No
        // download is to be spared what it takes to plan it.
        let limits = if limits.is_empty() {
            "streams = 32\nstreams_per_client = 32\nmuxers = 64\nmuxers_per_client = 64"
        } else {
            limits
        };
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nruntime_dir = {:?}\n\
             [limits]\n{limits}\n[upstream]\nallow = [\"127.0.0.0/8\"]\n{upstream}\n\
             [muxer]\nplan_cache = \"0B\"\n",
            runtime.display().to_string()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(config);
        let within = if matches!(engine, Engine::Copying) { UNPROVEN } else { "" };
        let asked = Asked::ToJoin("/mux", within, engine.parameter());
        Self::start(name, asked, Listens::AsItSays, command)
    }

    pub(crate) fn original(python: &Path, ca_file: Option<&Path>, scratch: &Path) -> Outcome<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/original.py");
        let fifos = scratch.join("original");
        fs::create_dir(&fifos)?;
        let mut command = Command::new(python);
        command.arg(script).arg(fifos);
        command.envs(ca_file.map(|file| ("REQUESTS_CA_BUNDLE", file)));
        let asked = Asked::ToJoin("/stream", "", "");
        let mut server = Self::start("original", asked, Listens::AsItSays, command)?;
        server.leaves_children = true;
        Ok(server)
    }

    pub(crate) fn nginx_at(
        name: &'static str,
        addr: SocketAddr,
        command: Command,
    ) -> Outcome<Self> {
        Self::start(name, Asked::ToPassOn, Listens::At(addr), command)
    }

    /// nginx that passes on what is at `origin`, with more lines for its configuration. `scratch` is not there yet.
    pub(crate) fn nginx(origin: &Upstream, more: &str, scratch: &Path) -> Outcome<Self> {
        // nginx takes no port 0; nobody else is likely to get this one in the meantime.
        let addr = TcpListener::bind((LOOPBACK, 0))?.local_addr()?;
        let site = format!("listen {addr}; {}", relays::relay(origin, more));
        Self::nginx_at("nginx proxy_pass", addr, relays::nginx(&site, scratch)?)
    }

    pub(crate) fn copy_loop(origin: &Upstream) -> Outcome<Self> {
        let command = relays::copy_loop(origin)?;
        Self::start("copy loop", Asked::ToPassOn, Listens::AsItSays, command)
    }

    fn start(
        name: &'static str,
        asked: Asked,
        listens: Listens,
        mut command: Command,
    ) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Child::spawn(command).map_err(|error| format!("{name}: {error}"))?;
        let stderr = process.0.stderr.take().ok_or("a server without a pipe")?;
        let (found, said) = mpsc::channel();
        let log = thread::spawn(move || read_log(stderr, &found));
        let addr = match listens {
            Listens::AsItSays => said.recv_timeout(START_LIMIT).ok(),
            Listens::At(addr) => await_listener(addr).then_some(addr),
        };
        let Some(addr) = addr else {
            drop(process);
            let words = Vec::from(log.join().unwrap_or_default()).join("\n");
            return Err(format!("{name} does not listen; its last words:\n{words}").into());
        };
        let lasting = proc::children(process.pid());
        let log = Some(log);
        Ok(Self { name, asked, addr, process, leaves_children: false, lasting, log })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What to ask it for. Nothing in these links has to be escaped in a query (RFC 3986 §3.4).
    pub(crate) fn target(&self, links: &Links) -> String {
        match self.asked {
            Asked::ToPassOn => links.whole.clone(),
            Asked::ToJoin(path, within, more) => {
                let [video, audio] =
                    [&links.video, &links.audio].map(|link| match link.rsplit_once('/') {
                        Some((origin, name)) => format!("{origin}{within}/{name}"),
                        // There is only the other one.
                        None => link.clone(),
                    });
                format!("{path}?video={video}&audio={audio}{more}")
            }
        }
    }

    /// Waits until nothing is left of the last download.
    fn settle(&self) {
        proc::await_children(self.pid(), &self.lasting);
    }
}

/// What `/mux` is asked to join with.
#[derive(Clone, Copy)]
pub(crate) enum Engine {
    Auto,
    Splice,
    /// The same from an upstream that gives no validators: all bytes are looked at then.
    Copying,
    Ffmpeg,
    /// Whatever serves, with the length of the whole.
    KnownLength,
    /// Whatever serves, without.
    UnknownLength,
}

impl Engine {
    fn parameter(self) -> &'static str {
        match self {
            Self::Auto => "",
            Self::Splice | Self::Copying => "&engine=splice",
            Self::Ffmpeg => "&engine=ffmpeg",
            Self::KnownLength => "&length=wait",
            Self::UnknownLength => "&length=none",
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

fn await_listener(addr: SocketAddr) -> bool {
    let deadline = Instant::now() + START_LIMIT;
    while Instant::now() < deadline {
        if TcpStream::connect(addr).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

impl System for Server {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fetch(&self, links: &Links, until: Until) -> Outcome<Body> {
        let body = Body::start(until).read_http(self.addr, &self.target(links));
        if until == Until::Media {
            if self.leaves_children {
                let left = proc::children(self.pid());
                left.into_iter().for_each(|child| proc::signal(child, "KILL"));
            } else {
                self.settle();
            }
        }
        body
    }

    fn weigh(&self, links: &Links, count: usize) -> Outcome<Weighed> {
        let pid = self.pid();
        let before = proc::cpu(pid)?;
        let watch = Watch::start(pid, None);
        let bodies: Outcome<Vec<_>> = (0..count).map(|_| self.fetch(links, Until::End)).collect();
        self.settle();
        let peak = watch.finish();
        Ok(Weighed::of(&bodies?, proc::cpu(pid)? - before, peak))
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

/// A process that does not outlive its owner, nor the thread that started it.
pub(crate) struct Child(process::Child);

impl Child {
    const END_LIMIT: Duration = Duration::from_secs(5);

    pub(crate) fn spawn(mut command: Command) -> Outcome<Self> {
        command.env("no_proxy", LOOPBACK);
        sys::kill_on_parent_exit(&mut command);
        let program = command.get_program().display().to_string();
        command
            .spawn()
            .map(Self)
            .map_err(|error| format!("{program} does not start: {error}").into())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn stdout(&mut self) -> Outcome<ChildStdout> {
        Ok(self.0.stdout.take().ok_or("a process without a pipe")?)
    }

    pub(crate) fn wait(&mut self) -> Outcome<ExitStatus> {
        Ok(self.0.wait()?)
    }

    /// Politely at first; then it and all that it has left in its process group.
    fn end(&mut self) {
        let pid = self.pid();
        // Asked only now: a process that has been waited for has given its number away.
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        proc::signal(pid, "TERM");
        proc::await_exit(pid, Self::END_LIMIT);
        if sys::kill_group(pid).and_then(|()| self.0.wait()).is_err() {
            eprintln!("bench: process {pid} could not be ended");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}
