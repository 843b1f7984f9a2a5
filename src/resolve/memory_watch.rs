//! What a call takes of memory, looked at from outside.
//!
//! A limit of the kernel's (RLIMIT_DATA) counts what is mapped, and a JavaScript engine maps far more
//! than it uses: V8 half a gigabyte for machine code, of which it fills some megabytes. So what counts
//! is what the processes of a call really hold, all of them together. The kernel's limit stays behind
//! that, for what grows fast. Must never be needed for a page as they are.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::backend::BackendError;
use super::classify::ResolveError;
use crate::sys;

/// How long may go by between two looks. Python fills 100 MB in this time.
const INTERVAL: Duration = Duration::from_millis(100);
/// What one process may map beyond what all of them may hold: 512 MiB for V8's code, 8 for the stack
/// of each of its threads, of which there are seven from four cores on, and as much for others' wishes.
const RESERVED: u64 = 1 << 30;

/// What RLIMIT_DATA is to be for processes that may hold so much together.
pub(super) fn data_limit(memory: u64) -> u64 {
    memory.saturating_add(RESERVED)
}

/// An eye on a process group.
pub(super) struct MemoryWatch {
    leader: u32,
    memory: u64,
    next: Instant,
}

impl MemoryWatch {
    /// On the group of `leader`, which may hold so much memory.
    pub(super) fn over(leader: u32, memory: u64) -> MemoryWatch {
        MemoryWatch { leader, memory, next: Instant::now() + INTERVAL }
    }

    /// For how long may be waited, by one who has so much time left.
    pub(super) fn next_wait(&self, left: Duration) -> Duration {
        left.min(self.next.saturating_duration_since(Instant::now()))
    }

    /// Looks, if it is time to. Who gets an error has to end the group.
    pub(super) fn check(&mut self) -> Result<(), BackendError> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let held = held_by(self.leader);
        self.next = Instant::now() + INTERVAL;
        if held <= self.memory {
            return Ok(());
        }
        let (held, most) = (held >> 20, self.memory >> 20);
        let said = format!("it took {held} MiB of memory, and may take {most} (resolver.memory)");
        Err(BackendError::Failed(ResolveError::failed(&said)))
    }
}

/// The memory that a process group holds and that is no file's, in bytes.
fn held_by(leader: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let processes = entries.flatten().filter(|entry| {
        entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit)
    });
    processes
        .filter_map(|entry| {
            let place = entry.path();
            (group(&place)? == leader).then(|| held(&place)).flatten()
        })
        .sum()
}

/// The process group of the process at this place in /proc.
fn group(place: &Path) -> Option<u32> {
    let stat = fs::read_to_string(place.join("stat")).ok()?;
    // PID (NAME) STATE PARENT GROUP ...; a name may have anything in it.
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(2)?.parse().ok()
}

fn held(place: &Path) -> Option<u64> {
    let statm = fs::read_to_string(place.join("statm")).ok()?;
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
        let held = held_by(id);
        assert!(held > 64_000_000, "{held}");
        let mut watch = MemoryWatch::over(id, 32 << 20);
        assert!(watch.check().is_ok(), "it was not time to");
        watch.next = Instant::now();
        assert!(matches!(watch.check(), Err(BackendError::Failed(_))));
        (watch.memory, watch.next) = (held * 2, Instant::now());
        assert!(watch.check().is_ok());
        assert!(watch.next_wait(Duration::from_secs(1)) <= INTERVAL);
        drop(leader.stdin.take());
        leader.wait().unwrap();
        assert_eq!(held_by(id), 0);
    }
}
