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

use super::call::{Call, MOST_OUTPUT, MOST_WORDS, Said, Unsaid};
use super::verdict::Unresolved;
use super::watch::{self, Watch};
use crate::cancel::CancelToken;
use crate::config::Environment;
use crate::mux::fifo::RuntimeDir;
use crate::sys;

/// A program that speaks yt-dlp's interface.
pub(super) struct Command {
    pub(super) program: PathBuf,
    pub(super) environment: Environment,
    /// Where it keeps what it learns.
    pub(super) runtime: Arc<RuntimeDir>,
    /// What it may take of memory, with all that it starts.
    pub(super) memory: u64,
}

impl Call for Command {
    fn call(
        &self,
        arguments: &[String],
        until: Instant,
        stop: &CancelToken,
    ) -> Result<Said, Unsaid> {
        let mut command = process::Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.environment.give(&mut command, &self.runtime.pages());
        sys::kill_on_parent_exit(&mut command);
        sys::limit_memory_and_prefer_oom(&mut command, watch::data_limit(self.memory));
        let child = command.spawn().map_err(|error| {
            let program = self.program.to_string_lossy();
            Unsaid::Failed(match error.kind() {
                io::ErrorKind::NotFound => Unresolved::missing(&program),
                _ => Unresolved::failed(&format!("cannot run {program:?}: {error}")),
            })
        })?;
        let watch = Watch::over(child.id(), self.memory);
        Running { child, reaped: false }.listen(until, stop, watch)
    }
}

struct Running {
    child: Child,
    reaped: bool,
}

impl Running {
    /// Takes what it says until it ends. Whoever else holds its pipes then is not waited for.
    fn listen(
        &mut self,
        until: Instant,
        stop: &CancelToken,
        mut watch: Watch,
    ) -> Result<Said, Unsaid> {
        let ended = sys::pidfd(self.child.id()).map_err(|error| system(&error))?;
        let mut stdout = Pipe::of(self.child.stdout.take())?;
        let mut stderr = Pipe::of(self.child.stderr.take())?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // One that is at its end is not waited for any more.
            let (out, err) = (stdout.awaited(&ended), stderr.awaited(&ended));
            let awaited = [stop.as_fd(), ended.as_fd(), out, err].map(|fd| (fd, sys::READABLE));
            let [over, has_ended, out, err] =
                sys::poll(awaited, Some(watch.pause(left))).map_err(|error| system(&error))?;
            if over {
                return Err(Unsaid::Stopped);
            }
            if left.is_zero() && !(has_ended || out || err) {
                return Err(Unsaid::TimedOut);
            }
            watch.look()?;
            stdout.drain();
            stderr.drain();
            if stdout.said.len() > MOST_OUTPUT {
                let failed = Unresolved::broken("it printed more than any page has to say");
                return Err(Unsaid::Failed(failed));
            }
            let excess = stderr.said.len().saturating_sub(MOST_WORDS);
            stderr.said.drain(..excess);
            if has_ended {
                break;
            }
        }
        let code = self.end().unwrap_or(-1);
        let stderr = String::from_utf8_lossy(&stderr.said).into_owned();
        Ok(Said { code, stdout: stdout.said, stderr })
    }

    /// Kills whatever is left of its process group, and waits for it; what it ended with.
    fn end(&mut self) -> Option<i32> {
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

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A pipe that it writes into, and what came out of it.
struct Pipe<R> {
    /// `None` at its end.
    open: Option<R>,
    said: Vec<u8>,
}

/// What is taken at once, so that the other pipe has its turn.
const TURN: usize = 1 << 20;

impl<R: Read + AsFd> Pipe<R> {
    fn of(open: Option<R>) -> Result<Pipe<R>, Unsaid> {
        if let Some(pipe) = &open {
            sys::set_nonblocking(pipe.as_fd()).map_err(|error| system(&error))?;
        }
        Ok(Pipe { open, said: Vec::new() })
    }

    fn awaited<'p>(&'p self, otherwise: &'p OwnedFd) -> BorrowedFd<'p> {
        self.open.as_ref().map_or(otherwise.as_fd(), R::as_fd)
    }

    fn drain(&mut self) {
        let mut buffer = [0; 16 << 10];
        let most = self.said.len() + TURN;
        while let Some(pipe) = &mut self.open
            && self.said.len() < most
        {
            match pipe.read(&mut buffer) {
                Ok(count) if count > 0 => self.said.extend(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => self.open = None,
            }
        }
    }
}

fn system(error: &io::Error) -> Unsaid {
    Unsaid::Failed(Unresolved::failed(&format!("cannot listen to it: {error}")))
}
