//! Runs ffmpeg as a child process, which reads tracks from named pipes and writes the muxed file to its
//! standard output.
//!
//! **Invariant:** the exit status alone is never trusted, since ffmpeg exits with success on truncated
//! inputs; callers verify what the sources delivered.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::child_group::ChildGroup;
use crate::config::{self, Config};
use crate::error::{Error, FfmpegError};
use crate::runtime_dir::FifoSet;
use crate::sandbox;
use crate::sys;

mod arguments;
mod audio_only;
mod encoder_identity;
mod feed_progress;
pub mod fifo;
mod first_output;
mod header;
mod job;
pub mod patch_duration;
mod report;
mod stderr;

pub use encoder_identity::EncoderIdentity;
pub use feed_progress::FeedProgress;
pub(crate) use job::begin;
pub use job::{FfmpegJob, MappedTrack};

pub use arguments::{Version, arguments};
use stderr::StderrTail;

/// How long ffmpeg may take to exit after it closed its output.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much nicer an ffmpeg that encodes is than the server (nice(2)).
const ENCODER_NICE: i32 = 15;
/// How long standard error is drained without waiting for more.
const STDERR_TIMEOUT: Duration = Duration::from_millis(200);
/// The capacity of the output pipe: several reads, so that ffmpeg does not wait for each of them.
const PIPE_LEN: i32 = 1 << 20;

/// Returns a command that runs ffmpeg in its sandbox, where it may read the pipes in `pipes`. It ends with the
/// thread that starts it. One that encodes has a lower priority than others.
pub fn command(config: &Config, pipes: Option<&Path>, encodes: bool) -> io::Result<Command> {
    let mut command = Command::new(&config.muxer.ffmpeg);
    command.stdin(Stdio::null()).env_clear().envs(config::ffmpeg_env());
    sys::kill_on_parent_exit(&mut command);
    let mut confinement = sandbox::ffmpeg(config, pipes)?;
    if encodes {
        confinement.nice = ENCODER_NICE;
    }
    confinement.apply(&mut command);
    Ok(command)
}

/// How a wait for ffmpeg ended.
enum Event {
    /// The awaited descriptor is readable.
    Awaited,
    /// Standard error is readable.
    Stderr,
    /// The timeout has passed.
    TimedOut,
}

/// A running ffmpeg. Dropping it kills and reaps the process.
pub struct FfmpegProcess<'s> {
    child: ChildGroup<'s>,
    stdout: ChildStdout,
    /// `None` once ffmpeg has closed it.
    stderr: Option<ChildStderr>,
    stderr_tail: StderrTail,
    /// Whether the header was returned to the caller.
    has_header: bool,
    /// Whether ffmpeg has exited with success.
    has_finished: bool,
    cancel: &'s CancelToken,
    stall_limit: Duration,
}

impl<'s> FfmpegProcess<'s> {
    /// Starts ffmpeg. `cancel` kills it from then on.
    pub fn start(
        config: &Config,
        version: Version,
        job: &FfmpegJob,
        fifos: &FifoSet,
        cancel: &'s CancelToken,
    ) -> Result<FfmpegProcess<'s>, Error> {
        let program = &config.muxer.ffmpeg;
        let failed = |error: io::Error| {
            Error::Ffmpeg(match error.kind() {
                io::ErrorKind::NotFound => {
                    FfmpegError::Missing(program.to_string_lossy().into_owned())
                }
                _ => FfmpegError::Spawn(error.to_string()),
            })
        };
        let encodes = job.transcode.is_some();
        let mut command = command(config, Some(fifos.dir()), encodes).map_err(failed)?;
        if let Some(file) = job.input_file() {
            command.stdin(sys::memory_file(&file).map_err(failed)?);
        }
        command.args(arguments(job, fifos, version)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ChildGroup::spawn(&mut command).map_err(failed)?.killed_by(cancel);
        let (Some(stdout), Some(stderr)) = child.take_outputs() else {
            return Err(Error::Internal("ffmpeg has no pipes for its output"));
        };
        sys::set_nonblocking(stdout.as_fd()).map_err(|error| system(&error))?;
        if let Err(error) = sys::set_pipe_len(stdout.as_fd(), PIPE_LEN) {
            log::debug!("cannot resize the output pipe of ffmpeg: {error}");
        }
        Ok(FfmpegProcess {
            child,
            stdout,
            stderr: Some(stderr),
            stderr_tail: StderrTail::default(),
            has_header: false,
            has_finished: false,
            cancel,
            stall_limit: config.muxer.stall_timeout.0,
        })
    }

    /// Reads the next bytes of the output; 0 at its end, which [`finish`](FfmpegProcess::finish) must
    /// confirm. ffmpeg counts as stalled only if `progress` does not grow and no feeder waits for an
    /// upstream.
    pub fn read(&mut self, buffer: &mut [u8], progress: &FeedProgress) -> Result<usize, Error> {
        Ok(self.read_unless(buffer, progress, &|_| false)?.unwrap_or(0))
    }

    /// Reads like [`read`](FfmpegProcess::read); `None` once standard error satisfies `is_needless`.
    fn read_unless(
        &mut self,
        buffer: &mut [u8],
        progress: &FeedProgress,
        is_needless: &dyn Fn(&StderrTail) -> bool,
    ) -> Result<Option<usize>, Error> {
        let mut fed_before = progress.bytes_fed();
        let mut deadline = Instant::now() + self.stall_limit;
        loop {
            if is_needless(&self.stderr_tail) {
                return Ok(None);
            }
            if let Some(count) = self.read_now(buffer)? {
                return Ok(Some(count));
            }
            // Output on standard error does not extend the deadline.
            let left = deadline.saturating_duration_since(Instant::now());
            match self.wait(self.stdout.as_fd(), left)? {
                Event::Awaited => {}
                Event::Stderr if !left.is_zero() => self.drain_stderr(),
                Event::Stderr | Event::TimedOut => {
                    let fed = progress.bytes_fed();
                    if fed == fed_before && !progress.is_awaiting_upstream() {
                        return Err(Error::Ffmpeg(FfmpegError::Stalled(self.stall_limit)));
                    }
                    fed_before = fed;
                    deadline = Instant::now() + self.stall_limit;
                }
            }
        }
    }

    /// Reads the next bytes of the output; `None` if there are none by `until`.
    fn read_until(&mut self, buffer: &mut [u8], until: Instant) -> Result<Option<usize>, Error> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.read_now(buffer)? {
                None if left.is_zero() => return Ok(None),
                None => {}
                read => return Ok(read),
            }
            if matches!(self.wait(self.stdout.as_fd(), left)?, Event::Stderr) {
                self.drain_stderr();
            }
        }
    }

    /// Reads what is available; `None` if reading would block.
    fn read_now(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        loop {
            return match self.stdout.read(buffer) {
                Ok(count) => Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(system(&error)),
            };
        }
    }

    /// Waits until `awaited` or standard error is readable, or `limit` has passed.
    fn wait(&self, awaited: BorrowedFd<'_>, limit: Duration) -> Result<Event, Error> {
        let cancelled = (self.cancel.as_fd(), sys::READABLE);
        let awaited = (awaited, sys::READABLE);
        let ready = match &self.stderr {
            Some(stderr) => {
                sys::poll([cancelled, awaited, (stderr.as_fd(), sys::READABLE)], Some(limit))
            }
            None => sys::poll([cancelled, awaited], Some(limit)).map(|[c, a]| [c, a, false]),
        };
        match ready.map_err(|error| system(&error))? {
            [true, ..] => Err(Error::Stopped),
            [_, true, _] => Ok(Event::Awaited),
            [_, _, true] => Ok(Event::Stderr),
            _ => Ok(Event::TimedOut),
        }
    }

    /// Waits for ffmpeg to exit after its output has ended; fails unless it exits with success.
    pub fn finish(&mut self) -> Result<(), Error> {
        if self.has_finished {
            return Ok(());
        }
        self.wait_for_exit()?;
        // Also kills children of a wrapper script around ffmpeg, which may hold the pipe open.
        let status = self.child.kill_and_wait().map_err(|error| system(&error))?;
        self.drain_available_stderr();
        if status.success() {
            if let Some(line) = self.stderr_tail.short_input.take() {
                return Err(Error::Ffmpeg(FfmpegError::ShortInput(line)));
            }
            if let Some(line) = self.stderr_tail.last() {
                log::warn!("ffmpeg exited with success and wrote to standard error: {line}");
            }
            self.has_finished = true;
            return Ok(());
        }
        let message = match self.stderr_tail.last() {
            Some(line) => format!("{line} ({status})"),
            None => status.to_string(),
        };
        // An exit by itself before any media means that it does not support the inputs.
        let refused = !self.has_header && status.code().is_some();
        Err(Error::Ffmpeg(if refused {
            FfmpegError::Refused(message)
        } else {
            FfmpegError::Failed(message)
        }))
    }

    /// Waits until ffmpeg has exited, and drains its standard error meanwhile: a full pipe would block it.
    fn wait_for_exit(&mut self) -> Result<(), Error> {
        let exit = self.child.exit_fd().map_err(|error| system(&error))?;
        let deadline = Instant::now() + EXIT_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.wait(exit.as_fd(), left)? {
                Event::Awaited => return Ok(()),
                Event::Stderr if !left.is_zero() => self.drain_stderr(),
                Event::Stderr | Event::TimedOut => {
                    return Err(Error::Ffmpeg(FfmpegError::Stalled(EXIT_TIMEOUT)));
                }
            }
        }
    }

    /// Drains standard error without waiting for more, for at most [`STDERR_TIMEOUT`].
    fn drain_available_stderr(&mut self) {
        let deadline = Instant::now() + STDERR_TIMEOUT;
        while let Some(stderr) = &self.stderr
            && Instant::now() < deadline
            && let Ok([true]) = sys::poll([(stderr.as_fd(), sys::READABLE)], Some(Duration::ZERO))
        {
            self.drain_stderr();
        }
    }

    /// Reads from standard error once. It must be drained: a full pipe would block ffmpeg.
    fn drain_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut buffer = [0; 1024];
        match stderr.read(&mut buffer) {
            Ok(count) if count > 0 => self.stderr_tail.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.stderr = None,
        }
    }
}

fn system(error: &io::Error) -> Error {
    Error::System { operation: "read from ffmpeg", message: error.to_string() }
}
