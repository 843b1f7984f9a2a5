//! Clients that read by the clock, a tenth of a second's worth at a time. One thread reads for all of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::figures::Spread;
use crate::framing;

const TICK: Duration = Duration::from_millis(100);
/// A client that found nothing looks again so soon; the longest pause is known to this.
const SOON: Duration = Duration::from_millis(5);

/// The clients, and when each of them is to read next.
pub(crate) struct Crowd {
    /// Bytes a second of each client.
    rate: f64,
    clients: Vec<Client>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// How long after its time a client came to read, at most: our own fault, not the daemon's.
    late: Duration,
}

impl Crowd {
    /// Makes a crowd without clients, each of which will read so many bytes a second.
    pub(crate) fn new(rate: f64) -> Self {
        Self { rate, clients: Vec::new(), due: BinaryHeap::new(), late: Duration::ZERO }
    }

    /// Sends the request of another client.
    pub(crate) fn connect(&mut self, server: SocketAddr, target: &str) -> Outcome<()> {
        self.clients.push(Client::connect(server, target)?);
        self.wait(self.clients.len() - 1, Instant::now() + SOON);
        Ok(())
    }

    pub(crate) fn awaits_first_byte(&self) -> bool {
        self.clients.iter().any(|client| client.first.is_none())
    }

    fn wait(&mut self, client: usize, due: Instant) {
        self.due.push(Reverse((due, client)));
    }

    pub(crate) fn serve_until(&mut self, end: Instant) -> Outcome<()> {
        // More than a tenth of a second: who has waited may catch up.
        let mut buf = vec![0; (self.rate as usize).max(64 * 1024)];
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
            let next = match self.clients[index].read(&mut buf, now, self.rate)? {
                true => (due + TICK).max(now),
                false => now + SOON,
            };
            self.wait(index, next);
        }
        Ok(())
    }

    pub(crate) fn begin_watch(&mut self) {
        self.late = Duration::ZERO;
        let now = Instant::now();
        for client in &mut self.clients {
            (client.gap, client.watched, client.since, client.last) = (Duration::ZERO, 0, now, now);
        }
    }

    /// Returns the longest pause of each client in ms, sorted, how late they were themselves, and their rates.
    pub(crate) fn end_watch(&mut self, seconds: f64) -> (Vec<f64>, f64, Spread) {
        let now = Instant::now();
        // A client that waits at the end has waited, too.
        let pause = |client: &Client| client.gap.max(now - client.last).as_secs_f64() * 1e3;
        let mut pauses: Vec<f64> = self.clients.iter().map(pause).collect();
        pauses.sort_by(f64::total_cmp);
        let rates = self.clients.iter().map(|client| client.watched as f64 / seconds / 1e3);
        (pauses, self.late.as_secs_f64() * 1e3, Spread::of(rates))
    }

    pub(crate) fn engine(&self) -> String {
        self.clients.iter().find_map(Client::engine).unwrap_or("–".into())
    }

    pub(crate) fn first_byte(&self) -> Spread {
        Spread::of(self.clients.iter().filter_map(Client::first_ms))
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
    fn connect(server: SocketAddr, target: &str) -> Outcome<Self> {
        let now = Instant::now();
        let mut stream = TcpStream::connect(server)?;
        let head = format!("GET {target} HTTP/1.1\r\nHost: {server}\r\n\r\n");
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
    fn read(&mut self, buf: &mut [u8], now: Instant, rate: f64) -> Outcome<bool> {
        // Who has waited may catch up, as a player does.
        let allowed = rate * ((now - self.since) + TICK).as_secs_f64() - self.watched as f64;
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
        framing::parse_head(&self.head).ok()??.engine
    }
}
