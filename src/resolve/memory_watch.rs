//! Limits the memory of a run by measuring it from outside.
//!
//! A kernel limit (RLIMIT_DATA) counts mapped memory, and a JavaScript engine maps far more than it
//! uses: V8 maps half a gigabyte for machine code and fills a few megabytes of it. So the measure
//! is the memory that the processes of a run hold in total. The kernel limit stays as a second
//! line, for memory that grows fast.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::backend::BackendError;
use super::classify::ResolveError;
use crate::sys;

/// Time between two measurements. Python fills 100 MB in this time.
const INTERVAL: Duration = Duration::from_millis(100);
/// Memory that one process may map beyond what all of them may hold: 512 MiB for V8's code, 8 MiB
/// for the stack of each of its threads, of which there are seven on four cores or more, and as
/// much for other allocations.
const RESERVED: u64 = 1 << 30;

/// Returns the RLIMIT_DATA of processes that may hold `memory` bytes in total.
pub(super) fn data_limit(memory: u64) -> u64 {
    memory.saturating_add(RESERVED)
}

/// Watches a process group.
pub(super) struct MemoryWatch {
    leader: u32,
    memory: u64,
    next: Instant,
}

impl MemoryWatch {
    /// Watches the group of `leader`, which may hold `memory` bytes.
    pub(super) fn over(leader: u32, memory: u64) -> MemoryWatch {
        MemoryWatch { leader, memory, next: Instant::now() + INTERVAL }
    }

    /// Returns how long a caller with this time left may wait until the next check.
    pub(super) fn next_wait(&self, left: Duration) -> Duration {
        left.min(self.next.saturating_duration_since(Instant::now()))
    }

    /// Measures, if it is due. On an error the caller must kill the group.
    pub(super) fn check(&mut self) -> Result<(), BackendError> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let used = group_memory(self.leader);
        self.next = Instant::now() + INTERVAL;
        if used <= self.memory {
            return Ok(());
        }
        let (used, max) = (used >> 20, self.memory >> 20);
        let message =
            format!("it used {used} MiB of memory; the limit is {max} MiB (resolver.memory)");
        Err(BackendError::Failed(ResolveError::failed(&message)))
    }
}

/// Returns the anonymous memory that a process group holds, in bytes.
fn group_memory(leader: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let processes = entries.flatten().filter(|entry| {
        entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit)
    });
    processes
        .filter_map(|entry| {
            let path = entry.path();
            (process_group(&path)? == leader).then(|| anonymous_memory(&path)).flatten()
        })
        .sum()
}

/// Returns the process group of the process with this directory in /proc.
fn process_group(path: &Path) -> Option<u32> {
    let stat = fs::read_to_string(path.join("stat")).ok()?;
    // PID (NAME) STATE PARENT GROUP ...; a name may contain anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(2)?.parse().ok()
}

/// Returns the memory of a process that no file backs, in bytes.
fn anonymous_memory(path: &Path) -> Option<u64> {
    let statm = fs::read_to_string(path.join("statm")).ok()?;
    // SIZE RESIDENT SHARED ..., in pages.
    let mut pages = statm.split_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared) * sys::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_holds_is_seen() {
        use std::os::unix::process::CommandExt;
        use std::process::{Command, Stdio};
        // Two processes of one group, the second with 64 MB in a variable.
        let line = "x=$(head -c 64000000 /dev/zero | tr '\\0' x); echo; cat >/dev/null; :";
        let mut leader = Command::new("sh")
            .args(["-c", &format!("({line}); exit")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        std::io::Read::read_exact(leader.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let id = leader.id();
        let used = group_memory(id);
        assert!(used > 64_000_000, "{used}");
        let mut watch = MemoryWatch::over(id, 32 << 20);
        assert!(watch.check().is_ok(), "it was not time to");
        watch.next = Instant::now();
        assert!(matches!(watch.check(), Err(BackendError::Failed(_))));
        (watch.memory, watch.next) = (used * 2, Instant::now());
        assert!(watch.check().is_ok());
        assert!(watch.next_wait(Duration::from_secs(1)) <= INTERVAL);
        drop(leader.stdin.take());
        leader.wait().unwrap();
        assert_eq!(group_memory(id), 0);
    }
}
