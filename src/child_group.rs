//! Owns child processes: none outlives its owner.
//!
//! A child leads a process group, which is killed as one: it may be a wrapper script, or start helpers of
//! its own.
//!
//! **Invariant:** the group is killed before its leader is reaped. Afterwards its number may belong to
//! another group.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::sys;

/// A child process and its group. Dropping it kills the group and reaps the child.
///
/// That is done in `drop`, because it must happen on every path; it waits for no more than the kernel,
/// except for [`with_grace`](ChildGroup::with_grace).
pub struct ChildGroup<'s> {
    child: Child,
    /// Once the child is reaped.
    status: Option<ExitStatus>,
    grace: Duration,
    cancel: Option<&'s CancelToken>,
}

impl<'s> ChildGroup<'s> {
    /// Starts `command` as the leader of a group.
    pub fn spawn(command: &mut Command) -> io::Result<ChildGroup<'s>> {
        let child = command.process_group(0).spawn()?;
        Ok(ChildGroup { child, status: None, grace: Duration::ZERO, cancel: None })
    }

    /// Lets the child take `grace` to exit by itself before it is killed.
    pub fn with_grace(mut self, grace: Duration) -> ChildGroup<'s> {
        self.grace = grace;
        self
    }

    /// Has `cancel` kill the group, too. A token kills one group at a time.
    pub fn killed_by(mut self, cancel: &'s CancelToken) -> ChildGroup<'s> {
        cancel.attach_process(self.child.id());
        self.cancel = Some(cancel);
        self
    }

    /// Returns the id of the child, which is that of the group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its standard output and its standard error, once, if they are pipes.
    pub fn take_outputs(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Returns a descriptor that becomes readable when the child has exited.
    pub fn exit_fd(&self) -> io::Result<OwnedFd> {
        sys::pidfd(self.child.id())
    }

    /// Waits at most for `limit`; returns whether the child has exited.
    pub fn has_exited_within(&self, limit: Duration) -> io::Result<bool> {
        let exit = self.exit_fd()?;
        sys::poll([(exit.as_fd(), sys::READABLE)], Some(limit)).map(|[exited]| exited)
    }

    /// Kills what is left of the group, and reaps the child; returns its status.
    pub fn kill_and_wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        if let Err(error) = sys::kill_group(self.child.id()) {
            log::warn!("cannot kill the process group {}: {error}", self.child.id());
        }
        if let Some(cancel) = self.cancel {
            cancel.detach_process();
        }
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for ChildGroup<'_> {
    fn drop(&mut self) {
        if self.status.is_none() && !self.grace.is_zero() {
            // If that cannot be waited for, it is killed at once.
            self.has_exited_within(self.grace).ok();
        }
        if let Err(error) = self.kill_and_wait() {
            log::warn!("cannot reap the process {}: {error}", self.child.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;

    /// Starts a shell with a child that holds standard output open.
    fn shell<'s>(end: &str) -> (ChildGroup<'s>, ChildStdout) {
        let line = format!("sleep 600 & echo; {end}");
        let mut command = Command::new("sh");
        let mut child =
            ChildGroup::spawn(command.args(["-c", &line]).stdout(Stdio::piped())).unwrap();
        let mut stdout = child.take_outputs().0.unwrap();
        stdout.read_exact(&mut [0]).unwrap();
        (child, stdout)
    }

    /// Reads to the end, which comes when every process of the group is gone.
    fn ends(mut stdout: ChildStdout) {
        assert_eq!(stdout.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn no_process_of_a_group_outlives_it() {
        let (child, stdout) = shell("wait");
        assert!(!child.has_exited_within(Duration::ZERO).unwrap());
        drop(child);
        ends(stdout);
    }

    #[test]
    fn the_status_is_that_of_the_leader_and_helpers_are_killed() {
        let (mut child, stdout) = shell("exit 7");
        assert!(child.has_exited_within(Duration::from_secs(60)).unwrap());
        assert_eq!(child.kill_and_wait().unwrap().code(), Some(7));
        ends(stdout);
        assert_eq!(child.kill_and_wait().unwrap().code(), Some(7));
    }

    #[test]
    fn a_token_kills_a_group_until_it_is_reaped() {
        let cancel = CancelToken::new().unwrap();
        let (child, stdout) = shell("wait");
        let child = child.killed_by(&cancel);
        cancel.cancel();
        ends(stdout);
        assert!(child.has_exited_within(Duration::from_secs(60)).unwrap());
        drop(child);
        // The number may be that of another group by now.
        cancel.cancel();
    }
}
