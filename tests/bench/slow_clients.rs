//! Many slow clients at a time: does any of them ever wait, and what does it take to serve them?
//!
//! The daemon joins a film for each of 300 clients (or `--clients=N`) that read 1 Mbit/s, as players do. One thread
//! reads for all of them by the clock, a tenth of a second's worth at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ytcanal::sys;

use crate::Outcome;
use crate::figures::{Spread, short};
use crate::machine;
use crate::media::{Film, Rate};
use crate::origin::Origin;
use crate::proc;
use crate::say;
use crate::server::{Engine, Server};
use crate::systems::Links;

const CLIENTS: usize = 300;
/// Bytes a second of each.
const RATE: f64 = 125_000.0;
const LAST: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);
/// A client that found nothing looks again so soon; the longest gap is known to this.
const SOON: Duration = Duration::from_millis(5);
/// One client more each time this has passed: nobody presses 300 buttons at once.
const BETWEEN_STARTS: Duration = Duration::from_millis(20);
/// After this every client must have had its first byte.
const PATIENCE: Duration = Duration::from_secs(120);

/// More than there will be, for the daemon.
const LIMITS: &str = "connections = 4096\nstreams = 2048\nstreams_per_client = 2048";

pub(crate) fn run(target: &Path, args: &[String]) -> Outcome<()> {
    let wanted = args.iter().find_map(|arg| arg.strip_prefix("--clients="));
    let count = wanted.map_or(Ok(CLIENTS), str::parse)?;
    sys::raise_descriptor_limit()?;
    // An hour at 0.85 Mbit/s: a minute of it at 1 Mbit/s does not reach its end.
    let film = Film::make(&target.join("bench-media"), Rate::Low, 60)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let origin = Origin::start(film.paths().to_vec())?;
    let server = Server::ytcanal("ytcanal splice", Engine::Splice, [LIMITS, ""], scratch.path())?;
    let target = server.target(&Links::new(&origin, "/near", &film, 0));
    let idle = proc::megabytes(server.pid(), "VmRSS");
    let tcp_before = proc::tcp_megabytes();

    say(&format!("{count} clients connect"));
    let mut crowd = Crowd::default();
    let begun = Instant::now();
    while crowd.clients.len() < count {
        crowd.clients.push(Client::connect(&server, &target)?);
        crowd.wait(crowd.clients.len() - 1, Instant::now() + SOON);
        crowd.serve_until(begun + BETWEEN_STARTS * u32::try_from(crowd.clients.len())?)?;
    }
    while crowd.clients.iter().any(|client| client.first.is_none()) {
        if begun.elapsed() > PATIENCE {
            return Err("some clients never had a byte".into());
        }
        crowd.serve_until(Instant::now() + TICK)?;
    }
    say(&format!("all of them read for {} s", LAST.as_secs()));
    crowd.begin_watch();
    let cpu = proc::cpu(server.pid())?;
    let watched = Instant::now();
    crowd.serve_until(watched + LAST / 2)?;
    let memory = proc::megabytes(server.pid(), "VmRSS");
    let threads = proc::status(server.pid(), "Threads").unwrap_or(0);
    let tcp = proc::tcp_megabytes() - tcp_before;
    crowd.serve_until(watched + LAST)?;
    let seconds = watched.elapsed().as_secs_f64();
    let cpu = (proc::cpu(server.pid())? - cpu) / seconds;
    crowd.end_watch();

    let engine = crowd.clients.iter().find_map(Client::engine).unwrap_or("unknown".into());
    let starts = Spread::of(crowd.clients.iter().filter_map(Client::first_ms));
    let gaps = Spread::of(crowd.clients.iter().map(|client| client.gap.as_secs_f64() * 1e3));
    let rates =
        Spread::of(crowd.clients.iter().map(|client| client.watched as f64 / seconds / 1e3));
    println!("{}\n", machine::describe()?);
    println!("{count} clients of 1 Mbit/s each, for {seconds:.0} s; engine: {engine}\n");
    println!("| | |\n|---|--:|");
    println!("| first byte, ms, median (least–most) | {} |", starts.with_ends());
    println!(
        "| longest gap between two reads with bytes, of each client, ms | {} |",
        gaps.with_ends()
    );
    println!(
        "| of which the clients' own clock was late, at most, ms | {} |",
        short(crowd.late.as_secs_f64() * 1e3)
    );
    println!("| rate of each client, kB/s | {} |", rates.with_ends());
    println!("| CPU of the daemon with its children, % of one core | {} |", short(cpu * 100.0));
    println!("| RSS, MB ({threads} threads; {} MB before) | {} |", short(idle), short(memory));
    println!("| RSS for each stream, kB | {} |", short((memory - idle) * 1e3 / count as f64));
    println!(
        "| buffers of all connections (origin, daemon, clients) for each stream, kB | {} |",
        short(tcp * 1e3 / count as f64)
    );
    Ok(())
}

/// The clients, and when each of them is to read next.
#[derive(Default)]
struct Crowd {
    clients: Vec<Client>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// How long after its time a client came to read, at most: our own fault, not the daemon's.
    late: Duration,
}

impl Crowd {
    fn wait(&mut self, client: usize, due: Instant) {
        self.due.push(Reverse((due, client)));
    }

    fn serve_until(&mut self, end: Instant) -> Outcome<()> {
        let mut buf = vec![0; 64 * 1024];
        while let Some(Reverse((due, _))) = self.due.peek() {
            let now = Instant::now();
            let next = (*due).min(end);
            if next > now {
                thread::sleep(next - now);
            }
            if next == end {
                return Ok(());
            }
            let Some(Reverse((due, index))) = self.due.pop() else { break };
            let now = Instant::now();
            self.late = self.late.max(now - due);
            let next = match self.clients[index].read(&mut buf, now)? {
                true => (due + TICK).max(now),
                false => now + SOON,
            };
            self.wait(index, next);
        }
        Ok(())
    }

    fn begin_watch(&mut self) {
        self.late = Duration::ZERO;
        let now = Instant::now();
        for client in &mut self.clients {
            (client.gap, client.watched, client.since, client.last) = (Duration::ZERO, 0, now, now);
        }
    }

    /// A client that waits at the end has waited, too.
    fn end_watch(&mut self) {
        let now = Instant::now();
        for client in &mut self.clients {
            client.gap = client.gap.max(now - client.last);
        }
    }
}

struct Client {
    stream: TcpStream,
    connected: Instant,
    first: Option<Instant>,
    /// The response head, and what came with it.
    head: Vec<u8>,
    /// The last read that brought bytes, and the longest time between two of them.
    last: Instant,
    gap: Duration,
    /// Bytes since the watch began.
    watched: u64,
    since: Instant,
}

/// What is remembered of the first bytes: more than any response head.
const HEAD_LIMIT: usize = 4096;

impl Client {
    fn connect(server: &Server, target: &str) -> Outcome<Self> {
        let now = Instant::now();
        let mut stream = TcpStream::connect(server.addr())?;
        let head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr());
        stream.write_all(head.as_bytes())?;
        stream.set_nonblocking(true)?;
        let (head, gap) = (Vec::new(), Duration::ZERO);
        Ok(Self {
            stream,
            connected: now,
            first: None,
            head,
            last: now,
            gap,
            watched: 0,
            since: now,
        })
    }

    /// Reads what it may by now; `false` if nothing was there.
    fn read(&mut self, buf: &mut [u8], now: Instant) -> Outcome<bool> {
        // Who has waited may catch up, as a player does.
        let allowed = RATE * ((now - self.since) + TICK).as_secs_f64() - self.watched as f64;
        let allowed = (allowed.max(0.0) as usize).clamp(1, buf.len());
        match self.stream.read(&mut buf[..allowed]) {
            Ok(0) => {
                let head = String::from_utf8_lossy(&self.head);
                let status = head.lines().next().unwrap_or("no answer");
                Err(format!("a download ended early: {status}").into())
            }
            Ok(count) => {
                if self.head.len() < HEAD_LIMIT {
                    self.head.extend_from_slice(&buf[..count]);
                }
                if self.first.is_none() {
                    self.first = Some(now);
                    self.since = now;
                }
                self.watched += count as u64;
                self.gap = self.gap.max(now - self.last);
                self.last = now;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Head and first bytes come in one write, or nearly so.
    fn first_ms(&self) -> Option<f64> {
        Some((self.first? - self.connected).as_secs_f64() * 1e3)
    }

    fn engine(&self) -> Option<String> {
        crate::framing::parse_head(&self.head).ok()??.engine
    }
}
