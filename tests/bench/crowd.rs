//! Many slow clients at a time: does any of them ever wait, and what does it take to serve them?
//!
//! Clients (300, then 1,000, or `--clients=N`) read 1 Mbit/s each (or `--mbit=N`), as players do. The daemon joins a film for each of
//! them, from an origin that speaks HTTPS, then from one that speaks HTTP; nginx passes one file on, from the
//! former. `--program=PROGRAM` measures another build.

mod client;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use client::Crowd;
use ytcanal::sys;

use crate::Outcome;
use crate::figures::{Spread, short};
use crate::https::HttpsOrigin;
use crate::machine;
use crate::media::{Film, Rate};
use crate::origin::Origin;
use crate::proc;
use crate::relays::UNBUFFERED;
use crate::say;
use crate::server::{Engine, Server};
use crate::systems::{self, Links};

const CROWDS: [usize; 2] = [300, 1000];
const LAST: Duration = Duration::from_secs(60);
/// One client more each time this has passed: nobody presses 300 buttons at once.
const BETWEEN_STARTS: Duration = Duration::from_millis(20);
/// After this every client must have had its first byte.
const PATIENCE: Duration = Duration::from_secs(120);
/// After this the memory of a crowd that has left has gone back.
const AFTERWARDS: Duration = Duration::from_secs(30);

/// More than there will be, for the daemon.
const LIMITS: &str = "connections = 4096\nstreams = 2048\nstreams_per_client = 2048";

pub(crate) fn run(target: &Path, args: &[String]) -> Outcome<()> {
    let wanted = args.iter().find_map(|arg| arg.strip_prefix("--clients="));
    let crowds = match wanted {
        Some(count) => vec![count.parse()?],
        None => CROWDS.to_vec(),
    };
    let program = args.iter().find_map(|arg| arg.strip_prefix("--program="));
    let program = Path::new(program.unwrap_or(env!("CARGO_BIN_EXE_ytcanal")));
    let mbit = args.iter().find_map(|arg| arg.strip_prefix("--mbit="));
    let mbit: f64 = mbit.map_or(Ok(1.0), str::parse)?;
    sys::raise_descriptor_limit()?;
    // Nobody reaches the end in a minute.
    let dir = target.join("bench-media");
    let film = match mbit {
        ..=1.0 => Film::make(&dir, Rate::Low, 60)?,
        _ => Film::make(&dir, Rate::High, 20)?,
    };
    println!("{}\n", machine::describe()?);
    for count in crowds {
        let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
        let rows = measure_all(program, (count, mbit), &film, &dir, scratch.path())?;
        println!("{count} clients of {mbit} Mbit/s each, for {} s\n", LAST.as_secs());
        print_table(&rows);
    }
    Ok(())
}

fn measure_all(
    program: &Path,
    clients: (usize, f64),
    film: &Film,
    dir: &Path,
    scratch: &Path,
) -> Outcome<Vec<Figures>> {
    let http = Origin::start(dir)?;
    let https = HttpsOrigin::start(dir, scratch)?;
    let (plain, secure) = (http.upstream(), https.upstream());
    let config = secure.config();
    let daemon = |name| Server::daemon(program, name, Engine::Splice, [LIMITS, &config], scratch);
    let mut rows = Vec::new();
    for (name, upstream) in [("ytcanal, HTTPS", secure), ("ytcanal, HTTP", &plain)] {
        let server = daemon(name)?;
        let target = server.target(&Links::new(upstream, film));
        rows.push(measure(clients, &server, &target, name, upstream.addr().port())?);
    }
    let server = Server::nginx(secure, UNBUFFERED, &scratch.join("nginx"))?;
    let (target, port) = (systems::path_of(&film.video), secure.addr().port());
    // With 1,000 clients it sometimes ends a download early.
    match measure(clients, &server, &target, "nginx, HTTPS", port) {
        Ok(row) => rows.push(row),
        Err(error) => say(&format!("nginx, HTTPS: {error}")),
    }
    Ok(rows)
}

/// What one server took to serve the clients.
struct Figures {
    name: &'static str,
    engine: String,
    first_byte: Spread,
    /// The longest pause of each client, in ms, sorted.
    pauses: Vec<f64>,
    /// How late the clients themselves were.
    late: f64,
    rate: Spread,
    cpu: f64,
    /// Memory in MB: before, at the peak, and after.
    memory: [f64; 3],
    connections: f64,
    kernel: f64,
    count: usize,
}

fn measure(
    (count, mbit): (usize, f64),
    server: &Server,
    target: &str,
    name: &'static str,
    port: u16,
) -> Outcome<Figures> {
    let idle = proc::megabytes(server.pid(), "VmRSS");
    let tcp_before = proc::tcp_megabytes();
    let watch = proc::Watch::start(server.pid(), None);
    say(&format!("{name}: {count} clients connect"));
    let mut crowd = Crowd::new(mbit * 125_000.0);
    let begun = Instant::now();
    for index in 1..=count {
        crowd.connect(server.addr(), target)?;
        crowd.serve_until(begun + BETWEEN_STARTS * u32::try_from(index)?)?;
    }
    while crowd.awaits_first_byte() {
        if begun.elapsed() > PATIENCE {
            return Err("some clients never had a byte".into());
        }
        crowd.serve_until(Instant::now() + BETWEEN_STARTS)?;
    }
    say(&format!("all of them read for {} s", LAST.as_secs()));
    crowd.begin_watch();
    let cpu = proc::cpu(server.pid())?;
    let watched = Instant::now();
    crowd.serve_until(watched + LAST / 2)?;
    let kernel = proc::tcp_megabytes() - tcp_before;
    let connections = proc::connections_to(port) as f64 / count as f64;
    crowd.serve_until(watched + LAST)?;
    let seconds = watched.elapsed().as_secs_f64();
    let cpu = (proc::cpu(server.pid())? - cpu) / seconds;
    let peak = watch.finish();
    let (pauses, late, rate) = crowd.end_watch(seconds);
    let (engine, first_byte) = (crowd.engine(), crowd.first_byte());
    drop(crowd);
    thread::sleep(AFTERWARDS);
    let memory = [idle, peak, proc::megabytes(server.pid(), "VmRSS")];
    Ok(Figures {
        name,
        engine,
        first_byte,
        pauses,
        late,
        rate,
        cpu,
        memory,
        connections,
        kernel,
        count,
    })
}

impl Figures {
    /// The pause that all but this part of the clients stay below, in ms.
    fn pause(&self, part: f64) -> f64 {
        let above = (self.pauses.len() as f64 * part) as usize;
        self.pauses.iter().rev().nth(above).copied().unwrap_or(f64::NAN)
    }
}

type Row = (&'static str, fn(&Figures) -> String);

const ROWS: [Row; 13] = [
    ("engine", |it| it.engine.clone()),
    ("first byte, ms, median (least–most)", |it| it.first_byte.with_ends()),
    ("longest pause of each client, ms: median", |it| short(it.pause(0.5))),
    ("that 99.9 % of the clients stay below", |it| short(it.pause(0.001))),
    ("of all clients", |it| short(it.pause(0.0))),
    ("of which the clients' own clock was late, at most, ms", |it| short(it.late)),
    ("rate of each client, kB/s", |it| it.rate.with_ends()),
    ("CPU, % of one core", |it| short(it.cpu * 100.0)),
    ("memory at the peak, MB", |it| short(it.memory[1])),
    ("memory for each stream, KiB", |it| {
        short((it.memory[1] - it.memory[0]) * 1e6 / 1024.0 / it.count as f64)
    }),
    ("memory 30 s after the last client left, MB", |it| short(it.memory[2])),
    ("upstream connections for each stream", |it| short(it.connections)),
    ("kernel buffers (origin, server, clients) for each stream, KiB", |it| {
        short(it.kernel * 1e6 / 1024.0 / it.count as f64)
    }),
];

fn print_table(systems: &[Figures]) {
    let names: Vec<_> = systems.iter().map(|figures| figures.name).collect();
    println!("| | {} |\n|---{}|", names.join(" | "), "|--:".repeat(names.len()));
    for (name, cell) in ROWS {
        let cells: Vec<_> = systems.iter().map(cell).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    println!();
}
