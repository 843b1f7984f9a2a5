//! Runs yt-dlp as a child process, one for each page.
//!
//! The child leads a process group, which is killed as one: a JavaScript runtime may be its child.
//!
//! **Invariant:** no process outlives the run.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{self, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::backend::{
    Backend, BackendError, Call, Launch, MAX_STDERR, MAX_STDOUT, Output, reserve,
};
use super::classify::ResolveError;
use super::cookie_file::CookieFile;
use super::memory_watch::MemoryWatch;
use super::plugin;
use crate::child_group::ChildGroup;
use crate::config;
use crate::memory_budget::Reservation;
use crate::sys;

/// The standard input, as a file that can be opened to be read, and to be written.
const STDIN: &str = "/proc/self/fd/0";

/// A program with the interface of yt-dlp.
pub(super) struct SubprocessBackend {
    pub(super) launch: Arc<Launch>,
}

impl Backend for SubprocessBackend {
    fn run(&self, call: Call<'_>, memory: &mut Reservation) -> Result<Output, BackendError> {
        let Launch { config, environment, runtime, .. } = &*self.launch;
        let cache = runtime.pages();
        let failed = |error: io::Error| {
            BackendError::Failed(ResolveError::failed(&format!("no temporary directory: {error}")))
        };
        let temporary = temporary_dir(&cache).map_err(failed)?;
        // Without it, formats that may be single periods are refused.
        let arguments = plugin::add(call.arguments, temporary.path()).unwrap_or_else(|error| {
            log::warn!("cannot write the plugin of yt-dlp: {error}");
            call.arguments.to_vec()
        });
        let named = &config.resolver.command;
        let program = config::find_resolver(named).unwrap_or_else(|| named.clone());
        let mut command = process::Command::new(program);
        match call.cookies {
            Some(cookies) => {
                let (options, link) = split_at_link(&arguments);
                command.args(options).args(["--cookies", STDIN]).args(link);
                command.stdin(copy(cookies, temporary.path()).map_err(failed)?);
            }
            None => {
                command.args(&arguments).stdin(Stdio::null());
            }
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        environment.apply(&mut command, &cache, temporary.path());
        sys::kill_on_parent_exit(&mut command);
        let confinement = self.launch.confinement(&[&cache, temporary.path()]);
        let child = confinement
            .and_then(|confinement| {
                confinement.apply(&mut command);
                ChildGroup::spawn(&mut command)
            })
            .map_err(|error| {
                let program = named.to_string_lossy();
                BackendError::Failed(match error.kind() {
                    io::ErrorKind::NotFound => ResolveError::missing(&program),
                    _ => ResolveError::failed(&format!("cannot run {program:?}: {error}")),
                })
            })?;
        let watch = MemoryWatch::over(child.id(), self.launch.memory());
        read_output(child, call, watch, memory)
    }
}

/// Splits the arguments before the `--` that precedes the link.
fn split_at_link(arguments: &[String]) -> (&[String], &[String]) {
    let end = arguments.iter().position(|argument| argument == "--");
    arguments.split_at(end.unwrap_or(arguments.len()))
}

/// Copies cookies to a file without a name. So no other run can open it, where Landlock keeps it from looking into this
/// one, and nothing is left of it whatever ends this run.
fn copy(cookies: &CookieFile, dir: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(dir)?;
    file.write_all(cookies.text().as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Makes a directory for the temporary files of one run. An executable that unpacks itself there needs a file
/// system with permission to run it, which that of the runtime directory may not have.
fn temporary_dir(cache: &Path) -> io::Result<TempDir> {
    let mut dir = tempfile::Builder::new();
    dir.prefix("ytcanal-");
    dir.tempdir().or_else(|_| dir.tempdir_in(cache))
}

/// Reads both outputs until the child exits. Other processes that hold its pipes by then are not waited
/// for.
fn read_output(
    mut child: ChildGroup<'_>,
    Call { deadline, cancel, .. }: Call<'_>,
    mut watch: MemoryWatch,
    memory: &mut Reservation,
) -> Result<Output, BackendError> {
    let exited = child.exit_fd().map_err(|error| system(&error))?;
    let (stdout, stderr) = child.take_outputs();
    let (mut stdout, mut stderr) = (OutputPipe::new(stdout)?, OutputPipe::new(stderr)?);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A pipe at its end is replaced by a descriptor that is polled anyway.
        let (out, err) = (stdout.fd_or(&exited), stderr.fd_or(&exited));
        let interests = [cancel.as_fd(), exited.as_fd(), out, err].map(|fd| (fd, sys::READABLE));
        let [over, has_exited, out, err] =
            sys::poll(interests, Some(watch.next_wait(left))).map_err(|error| system(&error))?;
        if over {
            return Err(BackendError::Cancelled);
        }
        if left.is_zero() && !(has_exited || out || err) {
            return Err(BackendError::TimedOut);
        }
        watch.check()?;
        stdout.drain();
        stderr.drain();
        if stdout.output.len() > MAX_STDOUT {
            let message = format!(
                "it printed more than {} MiB; long lists of segments take less with resolver.fork_server",
                MAX_STDOUT >> 20
            );
            return Err(BackendError::Failed(ResolveError::failed(&message)));
        }
        reserve(memory, stdout.output.capacity())?;
        let excess = stderr.output.len().saturating_sub(MAX_STDERR);
        stderr.output.drain(..excess);
        if has_exited {
            break;
        }
    }
    // No code means that it was killed.
    let status = child.kill_and_wait().map_err(|error| system(&error))?;
    let stderr = String::from_utf8_lossy(&stderr.output).into_owned();
    Ok(Output { code: status.code().unwrap_or(-1), stdout: stdout.output, stderr })
}

/// One output of the child.
struct OutputPipe<R> {
    /// `None` at its end.
    open: Option<R>,
    output: Vec<u8>,
}

/// Maximum number of bytes read at once, so that the other pipe has its turn.
const MAX_READ_PER_TURN: usize = 1 << 20;

impl<R: Read + AsFd> OutputPipe<R> {
    fn new(open: Option<R>) -> Result<OutputPipe<R>, BackendError> {
        if let Some(pipe) = &open {
            sys::set_nonblocking(pipe.as_fd()).map_err(|error| system(&error))?;
        }
        Ok(OutputPipe { open, output: Vec::new() })
    }

    fn fd_or<'p>(&'p self, otherwise: &'p OwnedFd) -> BorrowedFd<'p> {
        self.open.as_ref().map_or(otherwise.as_fd(), R::as_fd)
    }

    fn drain(&mut self) {
        let mut buffer = [0; 16 << 10];
        let max_len = self.output.len() + MAX_READ_PER_TURN;
        while let Some(pipe) = &mut self.open
            && self.output.len() < max_len
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
    BackendError::Failed(ResolveError::failed(&format!("cannot read its output: {error}")))
}
