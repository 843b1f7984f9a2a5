//! yt-dlp as a child process: one for each page.
//!
//! It is the leader of a process group, which is killed as one: a JavaScript runtime may be its
//! child. Must never outlive the call.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{self, Child, Stdio};
use std::sync::Arc;
use std::time::Instant;

use super::backend::{Backend, BackendError, MAX_STDERR, MAX_STDOUT, Output};
use super::classify::ResolveError;
use super::memory_watch::{self, MemoryWatch};
use crate::cancel::CancelToken;
use crate::config::ChildEnv;
use crate::runtime_dir::RuntimeDir;
use crate::sys;

/// A program that speaks yt-dlp's interface.
pub(super) struct SubprocessBackend {
    pub(super) program: PathBuf,
    pub(super) environment: ChildEnv,
    /// Where it keeps what it learns.
    pub(super) runtime: Arc<RuntimeDir>,
    /// What it may take of memory, with all that it starts.
    pub(super) memory: u64,
}

impl Backend for SubprocessBackend {
    fn run(
        &self,
        arguments: &[String],
        until: Instant,
        cancel: &CancelToken,
    ) -> Result<Output, BackendError> {
        let mut command = process::Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.environment.apply(&mut command, &self.runtime.pages());
        sys::kill_on_parent_exit(&mut command);
        sys::limit_memory_and_prefer_oom(&mut command, memory_watch::data_limit(self.memory));
        let child = command.spawn().map_err(|error| {
            let program = self.program.to_string_lossy();
            BackendError::Failed(match error.kind() {
                io::ErrorKind::NotFound => ResolveError::missing(&program),
                _ => ResolveError::failed(&format!("cannot run {program:?}: {error}")),
            })
        })?;
        let watch = MemoryWatch::over(child.id(), self.memory);
        ChildGuard { child, reaped: false }.read_output(until, cancel, watch)
    }
}

struct ChildGuard {
    child: Child,
    reaped: bool,
}

impl ChildGuard {
    /// Takes what it says until it ends. Whoever else holds its pipes then is not waited for.
    fn read_output(
        &mut self,
        until: Instant,
        cancel: &CancelToken,
        mut watch: MemoryWatch,
    ) -> Result<Output, BackendError> {
        let ended = sys::pidfd(self.child.id()).map_err(|error| system(&error))?;
        let mut stdout = OutputPipe::of(self.child.stdout.take())?;
        let mut stderr = OutputPipe::of(self.child.stderr.take())?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // One that is at its end is not waited for any more.
            let (out, err) = (stdout.awaited(&ended), stderr.awaited(&ended));
            let awaited = [cancel.as_fd(), ended.as_fd(), out, err].map(|fd| (fd, sys::READABLE));
            let [over, has_ended, out, err] =
                sys::poll(awaited, Some(watch.next_wait(left))).map_err(|error| system(&error))?;
            if over {
                return Err(BackendError::Cancelled);
            }
            if left.is_zero() && !(has_ended || out || err) {
                return Err(BackendError::TimedOut);
            }
            watch.check()?;
            stdout.drain();
            stderr.drain();
            if stdout.output.len() > MAX_STDOUT {
                let failed = ResolveError::broken("it printed more than any page has to say");
                return Err(BackendError::Failed(failed));
            }
            let excess = stderr.output.len().saturating_sub(MAX_STDERR);
            stderr.output.drain(..excess);
            if has_ended {
                break;
            }
        }
        let code = self.kill_and_wait().unwrap_or(-1);
        let stderr = String::from_utf8_lossy(&stderr.output).into_owned();
        Ok(Output { code, stdout: stdout.output, stderr })
    }

    /// Kills whatever is left of its process group, and waits for it; what it ended with.
    fn kill_and_wait(&mut self) -> Option<i32> {
        if self.reaped {
            return None;
        }
        self.reaped = true;
        if let Err(error) = sys::kill_group(self.child.id()) {
            log::warn!("cannot kill {}: {error}", self.child.id());
        }
        self.child.wait().ok()?.code()
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        self.kill_and_wait();
    }
}

/// A pipe that it writes into, and what came out of it.
struct OutputPipe<R> {
    /// `None` at its end.
    open: Option<R>,
    output: Vec<u8>,
}

/// What is taken at once, so that the other pipe has its turn.
const MAX_READ_PER_TURN: usize = 1 << 20;

impl<R: Read + AsFd> OutputPipe<R> {
    fn of(open: Option<R>) -> Result<OutputPipe<R>, BackendError> {
        if let Some(pipe) = &open {
            sys::set_nonblocking(pipe.as_fd()).map_err(|error| system(&error))?;
        }
        Ok(OutputPipe { open, output: Vec::new() })
    }

    fn awaited<'p>(&'p self, otherwise: &'p OwnedFd) -> BorrowedFd<'p> {
        self.open.as_ref().map_or(otherwise.as_fd(), R::as_fd)
    }

    fn drain(&mut self) {
        let mut buffer = [0; 16 << 10];
        let most = self.output.len() + MAX_READ_PER_TURN;
        while let Some(pipe) = &mut self.open
            && self.output.len() < most
        {
            match pipe.read(&mut buffer) {
                Ok(count) if count > 0 => self.output.extend(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => self.open = None,
            }
        }
    }
}

fn system(error: &io::Error) -> BackendError {
    BackendError::Failed(ResolveError::failed(&format!("cannot listen to it: {error}")))
}
