//! What the kernel says about a process, read from `/proc`: CPU time, peak memory, children.
//!
//! It only looks, with one exception: a watch that was given a deadline kills what overruns it.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Outcome;

/// The clock ticks of `/proc/PID/stat`: USER_HZ, 100 a second wherever this is likely to run.
const TICKS: f64 = 100.0;

/// CPU seconds, user and system, of a process and of the children it has waited for.
pub(crate) fn cpu(pid: u32) -> Outcome<f64> {
    let stat = Stat::read(pid).ok_or("the process is gone")?;
    // utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5).
    let ticks: u64 = (14..=17).filter_map(|field| stat.field(field)?.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS)
}

/// Waits until a process is a zombie, when its CPU time is final and not yet forgotten.
pub(crate) fn await_exit(pid: u32) {
    poll(|| Stat::read(pid).is_none_or(|stat| stat.field(3) == Some("Z")));
}

/// Waits until a server has waited for its last child, so that the child's CPU time counts.
pub(crate) fn await_childless(pid: u32) {
    poll(|| children(pid).is_empty());
}

/// Looks until it is so, or 2 seconds have passed.
fn poll(mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !so() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|child| {
            Stat::read(*child).is_some_and(|stat| stat.field(4) == Some(&pid.to_string()))
        })
        .collect()
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

    /// A field by its number in proc_pid_stat(5), from 3 on: the second, the name, may hold blanks and brackets.
    fn field(&self, number: usize) -> Option<&str> {
        self.text.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)
    }

    fn name(&self) -> &str {
        self.text
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'))
            .map_or("", |(name, _)| name)
    }
}

/// Peak resident memory in MB (10^6 bytes), as far as there was such a process.
#[derive(Clone, Copy, Default)]
pub(crate) struct Peak {
    pub(crate) own: Option<f64>,
    pub(crate) ffmpeg: Option<f64>,
}

impl Peak {
    pub(crate) fn both(&self) -> f64 {
        self.own.unwrap_or(0.0) + self.ffmpeg.unwrap_or(0.0)
    }

    fn sample(&mut self, pid: u32) {
        if let Some(stat) = Stat::read(pid) {
            let of = if stat.name() == "ffmpeg" { &mut self.ffmpeg } else { &mut self.own };
            // VmHWM is a peak already; an ffmpeg that ended leaves its last sample behind.
            *of = of.unwrap_or(0.0).max(high_water(pid).unwrap_or(0.0)).into();
        }
    }
}

fn high_water(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// Looks at a process and its children ten times a second until `finish`.
pub(crate) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Peak>,
}

const SAMPLE_EVERY: Duration = Duration::from_millis(100);

impl Watch {
    /// The process must not be waited for before `finish`: until then its number is its own.
    pub(crate) fn start(pid: u32, kill_after: Option<Duration>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let started = Instant::now();
            let mut peak = Peak::default();
            while stopped.recv_timeout(SAMPLE_EVERY) == Err(RecvTimeoutError::Timeout) {
                peak.sample(pid);
                children(pid).into_iter().for_each(|child| peak.sample(child));
                if kill_after.is_some_and(|limit| started.elapsed() > limit) {
                    signal(pid, "KILL");
                }
            }
            peak
        });
        Self { stop, thread }
    }

    pub(crate) fn finish(self) -> Peak {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}
