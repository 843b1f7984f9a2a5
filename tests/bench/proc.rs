//! What the kernel says about a process, read from `/proc`: CPU time, memory, children.
//!
//! It only looks, with one exception: a watch that was given a deadline kills what overruns it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Outcome;

/// The clock ticks of `/proc/PID/stat`: USER_HZ, 100 a second wherever this is likely to run.
const TICKS: f64 = 100.0;

/// CPU seconds, user and system, of a process and of its children, those that it has waited for
/// included.
pub(crate) fn cpu(pid: u32) -> Outcome<f64> {
    let stats = Stat::all();
    let own = stats.get(&pid).ok_or("the process is gone")?;
    let children = stats.values().filter(|stat| stat.parent() == Some(pid));
    let ticks: u64 = children.chain([own]).map(Stat::ticks).sum();
    Ok(ticks as f64 / TICKS)
}

/// What the buffers of all TCP connections of this machine take.
pub(crate) fn tcp_megabytes() -> f64 {
    const PAGE: f64 = 4096.0;
    let all = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let mut words =
        all.lines().filter(|line| line.starts_with("TCP:")).flat_map(str::split_whitespace);
    let pages = words.find(|word| *word == "mem").and_then(|_| words.next()?.parse().ok());
    pages.unwrap_or(f64::NAN) * PAGE / 1e6
}

/// The TCP connections of this machine that were opened to a port of it.
pub(crate) fn connections_to(port: u16) -> usize {
    let all = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let is_to = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        let remote = fields.next().and_then(|remote| remote.rsplit(':').next());
        // State 1: established.
        remote == Some(&format!("{port:04X}")) && fields.next() == Some("01")
    };
    all.lines().filter(is_to).count()
}

/// Waits until a process is a zombie, when its CPU time is final and not yet forgotten.
pub(crate) fn await_exit(pid: u32, limit: Duration) {
    poll(limit, || Stat::read(pid).is_none_or(|stat| stat.is_zombie()));
}

/// Waits until a server has waited for the last child that it did not begin with, so that the
/// child's CPU time counts as its own.
pub(crate) fn await_children(pid: u32, lasting: &[u32]) {
    poll(Duration::from_secs(2), || children(pid).iter().all(|child| lasting.contains(child)));
}

/// Looks until it is so, or the time is over.
fn poll(limit: Duration, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !so() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let stats = Stat::all();
    stats.into_iter().filter(|(_, stat)| stat.parent() == Some(pid)).map(|(pid, _)| pid).collect()
}

/// Sends a signal to a process that we started and have not yet waited for.
pub(crate) fn signal(pid: u32, name: &str) {
    // A process that ended in the meantime is what we wanted, hence no word about a failure.
    drop(
        Command::new("kill")
            .args([&format!("-{name}"), &pid.to_string()])
            .stderr(Stdio::null())
            .status(),
    );
}

struct Stat {
    text: String,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{pid}/stat")).ok().map(|text| Self { text })
    }

    fn all() -> BTreeMap<u32, Self> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return BTreeMap::new();
        };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Some((pid, Self::read(pid)?))).collect()
    }

    /// A field by its number in proc_pid_stat(5), from 3 on: the second, the name, may hold blanks and brackets.
    fn field(&self, number: usize) -> Option<&str> {
        self.text.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)
    }

    fn parent(&self) -> Option<u32> {
        self.field(4)?.parse().ok()
    }

    fn is_zombie(&self) -> bool {
        self.field(3) == Some("Z")
    }

    /// utime, stime, cutime and cstime: fields 14 to 17.
    fn ticks(&self) -> u64 {
        (14..=17).filter_map(|field| self.field(field)?.parse::<u64>().ok()).sum()
    }
}

/// One of the lines of `/proc/PID/status`; nothing when there is no such process, or it is a zombie.
pub(crate) fn status(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Memory in MB (10^6 bytes) of a process and of its children, by a line of their status. What
/// they share counts once for each.
pub(crate) fn megabytes(pid: u32, name: &str) -> f64 {
    let pids = children(pid).into_iter().chain([pid]);
    let kib: u64 = pids.filter_map(|pid| status(pid, name)).sum();
    kib as f64 * 1024.0 / 1e6
}

/// Watches the memory of a process and of its children until `finish`, which tells their peak in MB.
pub(crate) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<f64>,
}

/// Often at first, for those that do not live long. VmHWM is a peak already, so that it loses
/// nothing to look less and less often.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOKS: Duration = Duration::from_millis(100);

impl Watch {
    /// The process must not be waited for before `finish`: until then its number is its own.
    pub(crate) fn start(pid: u32, kill_after: Option<Duration>) -> Self {
        for pid in children(pid).into_iter().chain([pid]) {
            // Forgets the peak so far (proc_pid_clear_refs(5)). Where that is refused, the figure
            // is the peak of a longer time, and so no better than the truth.
            drop(fs::write(format!("/proc/{pid}/clear_refs"), "5"));
        }
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let started = Instant::now();
            let mut peak = megabytes(pid, "VmHWM");
            let mut pause = FIRST_LOOK;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = (pause * 5 / 4).min(LAST_LOOKS);
                peak = peak.max(megabytes(pid, "VmHWM"));
                if kill_after.is_some_and(|limit| started.elapsed() > limit) {
                    signal(pid, "KILL");
                }
            }
            peak.max(megabytes(pid, "VmHWM"))
        });
        Self { stop, thread }
    }

    pub(crate) fn finish(self) -> f64 {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}
