//! Restricts a child process between fork and exec.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::checked;

/// A resource that can be limited: `libc::RLIMIT_*`.
#[cfg(target_env = "gnu")]
pub type Resource = libc::__rlimit_resource_t;
/// A resource that can be limited: `libc::RLIMIT_*`.
#[cfg(not(target_env = "gnu"))]
pub type Resource = libc::c_int;

/// What the coming child may do and take. Everything is allocated before the fork: the child only makes
/// system calls.
#[derive(Debug, Default)]
pub struct Confinement {
    /// The most that the child may take of a resource.
    pub limits: Vec<(Resource, u64)>,
    /// From 0 to 1000: how much rather the kernel kills the child when memory runs out (proc(5)).
    pub oom_score_adj: Option<u16>,
    /// How much nicer than its parent the child is to other processes (nice(2)).
    pub nice: i32,
    /// A Landlock ruleset.
    pub landlock: Option<OwnedFd>,
    /// A seccomp filter; none if it is empty.
    pub seccomp: &'static [seccompiler::sock_filter],
}

impl Confinement {
    /// Applies it to the child that `command` starts.
    pub fn apply(self, command: &mut Command) {
        let score = self.oom_score_adj.and_then(|score| CString::new(score.to_string()).ok());
        // SAFETY: between fork and exec only system calls are made, all async-signal-safe, and nothing is
        // allocated or freed: `Confinement` and `score` are dropped with the command, in the parent.
        unsafe {
            command.pre_exec(move || {
                // Before the limit of open descriptors, and before Landlock.
                if let Some(score) = &score {
                    prefer_for_oom(score);
                }
                for (resource, max) in &self.limits {
                    lower_limit(*resource, *max)?;
                }
                // Without permission to be nicer than the parent, the child competes with it.
                libc::nice(self.nice);
                // Both mechanisms require that exec grants no privileges.
                if self.landlock.is_some() || !self.seccomp.is_empty() {
                    checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                }
                if let Some(ruleset) = &self.landlock {
                    let fd = ruleset.as_raw_fd();
                    if libc::syscall(libc::SYS_landlock_restrict_self, fd, 0) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                // The last step, because it may forbid those before.
                if !self.seccomp.is_empty() && seccompiler::apply_filter(self.seccomp).is_err() {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
    }
}

/// Writes the score of this process; without /proc, it is as likely to be killed as others.
fn prefer_for_oom(score: &CString) {
    // SAFETY: system calls with a live, NUL-terminated string. The files of a process that is not dumpable
    // belong to root, and a fork inherits that; it ends with exec in any case.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        if file >= 0 {
            libc::write(file, score.as_ptr().cast(), score.count_bytes());
            libc::close(file);
        }
    }
}

/// Lowers a limit, both the soft and the hard one; a lower one stays as it is.
fn lower_limit(resource: Resource, max: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit for the length of both calls.
    unsafe {
        checked(libc::getrlimit(resource, &raw mut limit))?;
        limit.rlim_max = limit.rlim_max.min(max);
        limit.rlim_cur = limit.rlim_max;
        checked(libc::setrlimit(resource, &raw const limit))
    }
}

/// Makes memory, environment and descriptors of this process inaccessible to other processes of its user.
pub fn hide_memory() -> io::Result<()> {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// Has this process leave no core file, which would contain its memory.
pub fn forbid_core_files() -> io::Result<()> {
    lower_limit(libc::RLIMIT_CORE, 0)
}

/// Returns the version of Landlock that the kernel offers; `None` without Landlock.
pub fn landlock_version() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    let no_rules = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag, the call reads no memory and makes nothing (landlock_create_ruleset(2)).
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, no_rules, 0usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// Returns whether the kernel offers seccomp filters that fail calls with an error.
pub fn has_seccomp() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    let pointer: *const u32 = &raw const action;
    // SAFETY: `pointer` is valid for the call, which only reads it (seccomp(2)).
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, pointer) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_what_it_may_take() {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n; ulimit -Hc; cat /proc/self/oom_score_adj"]);
        let limits = vec![(libc::RLIMIT_NOFILE, 20), (libc::RLIMIT_CORE, 0)];
        Confinement { limits, oom_score_adj: Some(700), ..Default::default() }.apply(&mut command);
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "20\n0\n700\n");
    }

    #[test]
    fn the_children_of_a_hidden_process_still_have_a_score() {
        hide_memory().unwrap();
        // SAFETY: takes no pointers.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
        a_child_gets_what_it_may_take();
    }
}
