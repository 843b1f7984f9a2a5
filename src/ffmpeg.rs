//! The muxer that joins anything: ffmpeg as a child process, fed through named pipes, read from
//! its standard output.
//!
//! Must never trust its exit status alone: ffmpeg ends well on inputs that were cut short. What
//! the sources delivered is the caller's to check.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::cancel::{CancelToken, WaitOutcome};
use crate::config;
use crate::container::Container;
use crate::container::probe::ProbedInput;
use crate::error::{Error, FfmpegError};
use crate::runtime_dir::FifoSet;
use crate::sys;

mod arguments;
mod feed_progress;
pub mod fifo;
mod head;
mod job;
pub mod patch_duration;
mod report;
mod stderr;

pub use feed_progress::FeedProgress;
pub(crate) use job::begin;
pub use job::{FfmpegJob, MappedTrack, Transcode};

pub use arguments::{Version, arguments};
use head::Written;
use stderr::StderrTail;

/// How long ffmpeg may take to end after it closed its output.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long is listened to what it has to say when nothing else is waited for.
const STDERR_TIMEOUT: Duration = Duration::from_millis(200);
/// How long the head of an MP4 waits for the first fragment behind it. That takes up to ten seconds of
/// film, which the client need not wait for; one that cannot be made at all fails at once.
const FRAGMENT_LIMIT: Duration = Duration::from_millis(100);
/// So much of a part is held back until it is known to have something of each track. What there is
/// while the key frame of a picture is missing is sound, of ten seconds or less.
const MOST_HELD: usize = 4 << 20;
/// What its output pipe holds: several reads, so that it need not wait for each of ours.
const PIPE_LEN: i32 = 1 << 20;

/// How a wait for ffmpeg ended.
enum Event {
    /// What was waited for is there.
    Awaited,
    /// It has something to say on its standard error.
    Words,
    /// The time ran out.
    Nothing,
}

/// A running ffmpeg. Dropping it kills it, and waits until it is gone.
pub struct FfmpegProcess<'s> {
    child: Child,
    stdout: ChildStdout,
    /// `None` once ffmpeg has closed it.
    stderr: Option<ChildStderr>,
    words: StderrTail,
    reaped: bool,
    /// Whether something of it has gone out, or will whatever comes.
    has_begun: bool,
    /// Whether it has ended well already.
    has_ended: bool,
    cancel: &'s CancelToken,
    stall_limit: Duration,
}

impl<'s> FfmpegProcess<'s> {
    /// Starts ffmpeg. It belongs to `stop` from then on.
    pub fn start(
        config: &config::MuxerConfig,
        version: Version,
        job: &FfmpegJob,
        fifos: &FifoSet,
        cancel: &'s CancelToken,
    ) -> Result<FfmpegProcess<'s>, Error> {
        let mut command = Command::new(&config.ffmpeg);
        command
            .args(arguments(job, fifos, version))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // It would make ffmpeg write a report file, with our arguments, wherever it says.
            .env_remove("FFREPORT");
        sys::kill_on_parent_exit(&mut command);
        let failed = |error: io::Error| {
            Error::Ffmpeg(match error.kind() {
                io::ErrorKind::NotFound => {
                    FfmpegError::Missing(config.ffmpeg.to_string_lossy().into_owned())
                }
                _ => FfmpegError::Spawn(error.to_string()),
            })
        };
        let mut child = command.spawn().map_err(failed)?;
        cancel.attach_process(child.id());
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        sys::set_nonblocking(stdout.as_fd()).map_err(|error| system(&error))?;
        if let Err(error) = sys::set_pipe_len(stdout.as_fd(), PIPE_LEN) {
            log::debug!("the muxer's output pipe keeps its usual length: {error}");
        }
        Ok(FfmpegProcess {
            child,
            stdout,
            stderr: Some(stderr),
            words: StderrTail::default(),
            reaped: false,
            has_begun: false,
            has_ended: false,
            cancel,
            stall_limit: config.stall_timeout.0,
        })
    }

    /// The first bytes of the joined file, of tracks in which ffmpeg sees what was recognised.
    pub fn read_header(
        &mut self,
        job: &FfmpegJob,
        progress: &FeedProgress,
    ) -> Result<Vec<u8>, Error> {
        let opening = self.first_bytes(job, progress).and_then(|bytes| {
            self.hear_report(job)?;
            self.hold(bytes, job, progress)
        });
        // What it saw in its inputs may explain why it gave up.
        if !matches!(opening, Ok(_) | Err(Error::Ffmpeg(FfmpegError::Refused(_)))) {
            return opening;
        }
        let lacking = self.words.lacking.and_then(|input| job.inputs.get(input));
        if let Some(ProbedInput { kind, .. }) = lacking {
            let said = format!("there is no {kind} track in it");
            return Err(Error::Ffmpeg(FfmpegError::Misread { track: *kind, message: said }));
        }
        self.words.report.agrees_with(job)?;
        if let (Err(_), true) = (&opening, self.words.is_empty && !job.time_range.is_full())
            && let Some(kind) = self.words.report.awaits(job)
        {
            return Err(Error::Ffmpeg(FfmpegError::Without { kind, trim: job.time_range }));
        }
        self.has_begun = true;
        opening.map(|bytes| with_durations(bytes, job))
    }

    /// Waits until something of each track has come that is in the part: one that has no key frame of
    /// the picture in it is an error, which shows when all of it was read.
    fn hold(
        &mut self,
        mut bytes: Vec<u8>,
        job: &FfmpegJob,
        progress: &FeedProgress,
    ) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; 64 << 10];
        let is_part = !job.time_range.is_full();
        let is_awaited = |words: &StderrTail| is_part && words.report.awaits(job).is_some();
        while bytes.len() < MOST_HELD && is_awaited(&self.words) {
            match self.read_unless(&mut buffer, progress, &|words| !is_awaited(words))? {
                Some(0) => {
                    self.finish()?;
                    break;
                }
                Some(count) => bytes.extend(&buffer[..count]),
                None => {}
            }
            self.hear_out();
        }
        Ok(bytes)
    }

    /// Waits until it has said what it sees in its inputs, which it mostly does before its first byte.
    fn hear_report(&mut self, job: &FfmpegJob) -> Result<(), Error> {
        let deadline = Instant::now() + self.stall_limit;
        self.hear_out();
        while !self.words.report.is_whole(job) {
            let left = deadline.saturating_duration_since(Instant::now());
            let heard = match &self.stderr {
                Some(stderr) if !left.is_zero() => {
                    self.cancel.wait(stderr.as_fd(), sys::READABLE, left)
                }
                _ => Ok(WaitOutcome::TimedOut),
            };
            match heard.map_err(|error| system(&error))? {
                WaitOutcome::Ready => self.drain_stderr(),
                WaitOutcome::Stopped => return Err(Error::Stopped),
                WaitOutcome::TimedOut => {
                    let said = "it did not say what it sees in its inputs".into();
                    return Err(Error::Ffmpeg(FfmpegError::Failed(said)));
                }
            }
        }
        Ok(())
    }

    /// Up to the first media: an ffmpeg that ends behind the head has made nothing.
    fn first_bytes(&mut self, job: &FfmpegJob, progress: &FeedProgress) -> Result<Vec<u8>, Error> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        let mut until = None;
        loop {
            let read = match until {
                None => Some(self.read(&mut buffer, progress)?),
                Some(until) => self.read_until(&mut buffer, until)?,
            };
            match read {
                Some(0) => {
                    self.finish()?;
                    return Err(Error::Ffmpeg(without_media(&bytes)));
                }
                Some(count) => bytes.extend(&buffer[..count]),
                // Its first fragment takes longer.
                None => break,
            }
            match head::written(job.container, &bytes) {
                Written::Head => {}
                Written::WholeHead => {
                    until = until.or_else(|| Some(Instant::now() + FRAGMENT_LIMIT));
                }
                Written::Media => break,
            }
        }
        Ok(bytes)
    }

    /// The next bytes of the joined file; 0 at its end, which [`finish`](FfmpegProcess::finish) must
    /// confirm. While `supply` grows, ffmpeg is at work although nothing
    /// comes out, and while an upstream is waited for, so may ffmpeg.
    pub fn read(&mut self, buffer: &mut [u8], progress: &FeedProgress) -> Result<usize, Error> {
        Ok(self.read_unless(buffer, progress, &|_| false)?.unwrap_or(0))
    }

    /// The same, or nothing once it has said what makes that needless.
    fn read_unless(
        &mut self,
        buffer: &mut [u8],
        progress: &FeedProgress,
        is_needless: &dyn Fn(&StderrTail) -> bool,
    ) -> Result<Option<usize>, Error> {
        let mut given_before = progress.given();
        let mut deadline = Instant::now() + self.stall_limit;
        loop {
            if is_needless(&self.words) {
                return Ok(None);
            }
            if let Some(count) = self.read_now(buffer)? {
                return Ok(Some(count));
            }
            // To talk is no work.
            let left = deadline.saturating_duration_since(Instant::now());
            match self.wait(self.stdout.as_fd(), left)? {
                Event::Awaited => {}
                Event::Words if !left.is_zero() => self.drain_stderr(),
                Event::Words | Event::Nothing => {
                    let given = progress.given();
                    if given == given_before && !progress.is_awaited() {
                        return Err(Error::Ffmpeg(FfmpegError::Stalled(self.stall_limit)));
                    }
                    given_before = given;
                    deadline = Instant::now() + self.stall_limit;
                }
            }
        }
    }

    /// The same, or nothing if nothing has come by then.
    fn read_until(&mut self, buffer: &mut [u8], until: Instant) -> Result<Option<usize>, Error> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.read_now(buffer)? {
                None if left.is_zero() => return Ok(None),
                None => {}
                read => return Ok(read),
            }
            if matches!(self.wait(self.stdout.as_fd(), left)?, Event::Words) {
                self.drain_stderr();
            }
        }
    }

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

    /// Waits for `awaited`, for ffmpeg to say something, or for `limit` to pass.
    fn wait(&self, awaited: BorrowedFd<'_>, limit: Duration) -> Result<Event, Error> {
        let over = (self.cancel.as_fd(), sys::READABLE);
        let awaited = (awaited, sys::READABLE);
        let ready = match &self.stderr {
            Some(stderr) => {
                sys::poll([over, awaited, (stderr.as_fd(), sys::READABLE)], Some(limit))
            }
            None => sys::poll([over, awaited], Some(limit)).map(|[o, a]| [o, a, false]),
        };
        match ready.map_err(|error| system(&error))? {
            [true, ..] => Err(Error::Stopped),
            [_, true, _] => Ok(Event::Awaited),
            [_, _, true] => Ok(Event::Words),
            _ => Ok(Event::Nothing),
        }
    }

    /// Waits for ffmpeg to end after its output has, and says whether it ended well.
    pub fn finish(&mut self) -> Result<(), Error> {
        if self.has_ended {
            return Ok(());
        }
        self.wait_for_exit()?;
        // Ends what a wrapper around ffmpeg has left behind, which may hold the pipe open.
        let status = self.reap().map_err(|error| system(&error))?;
        // Whoever else holds that pipe is not waited for.
        self.hear_out();
        if status.success() {
            if let Some(line) = self.words.short_input.take() {
                return Err(Error::Ffmpeg(FfmpegError::ShortInput(line)));
            }
            if let Some(line) = self.words.last() {
                log::warn!("ffmpeg ended well, but said: {line}");
            }
            self.has_ended = true;
            return Ok(());
        }
        let said = match self.words.last() {
            Some(line) => format!("{line} ({status})"),
            None => status.to_string(),
        };
        // Ended by itself before any media: it did not like what it got.
        let refused = !self.has_begun && status.code().is_some();
        Err(Error::Ffmpeg(if refused {
            FfmpegError::Refused(said)
        } else {
            FfmpegError::Failed(said)
        }))
    }

    /// Waits until it has ended, and listens to it meanwhile, lest a full pipe keep it.
    fn wait_for_exit(&mut self) -> Result<(), Error> {
        let exit = sys::pidfd(self.child.id()).map_err(|error| system(&error))?;
        let deadline = Instant::now() + EXIT_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.wait(exit.as_fd(), left)? {
                Event::Awaited => return Ok(()),
                Event::Words if !left.is_zero() => self.drain_stderr(),
                Event::Words | Event::Nothing => {
                    return Err(Error::Ffmpeg(FfmpegError::Stalled(EXIT_TIMEOUT)));
                }
            }
        }
    }

    /// Kills whatever is left of its process group, and waits for it.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        if let Err(error) = sys::kill_group(self.child.id()) {
            log::warn!("cannot kill the muxer: {error}");
        }
        self.cancel.detach_process();
        self.child.wait()
    }

    /// Takes what it has said by now, or much of it if it never ends.
    fn hear_out(&mut self) {
        let deadline = Instant::now() + STDERR_TIMEOUT;
        while let Some(stderr) = &self.stderr
            && Instant::now() < deadline
            && let Ok([true]) = sys::poll([(stderr.as_fd(), sys::READABLE)], Some(Duration::ZERO))
        {
            self.drain_stderr();
        }
    }

    /// Takes what ffmpeg says. It must be taken: a full pipe would make it wait.
    fn drain_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut said = [0; 1024];
        match stderr.read(&mut said) {
            Ok(count) if count > 0 => self.words.hear(&said[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.stderr = None,
        }
    }
}

impl Drop for FfmpegProcess<'_> {
    fn drop(&mut self) {
        if !self.reaped
            && let Err(error) = self.reap()
        {
            log::warn!("cannot wait for the muxer: {error}");
        }
    }
}

/// The first bytes of a file with the durations that ffmpeg could not know. Nothing is lost if they do not
/// fit: then they are as it wrote them.
fn with_durations(bytes: Vec<u8>, job: &FfmpegJob) -> Vec<u8> {
    if job.container != Container::Mp4 {
        return bytes;
    }
    match patch_duration::with_durations(&bytes, &job.durations()) {
        patch_duration::Scan::Complete(patched) => patched,
        patch_duration::Scan::NeedMore | patch_duration::Scan::Unsupported => {
            log::warn!("ffmpeg wrote an index of an unknown shape; its durations stay 0");
            bytes
        }
    }
}

/// What is wrong with an ffmpeg that ended well after these bytes, in which there is no media.
fn without_media(bytes: &[u8]) -> FfmpegError {
    if bytes.is_empty() {
        return FfmpegError::Failed("it ended without having written the start of a file".into());
    }
    FfmpegError::Refused("there is no media in what is wanted of them".into())
}

fn system(error: &io::Error) -> Error {
    Error::System { operation: "read from the muxer", message: error.to_string() }
}
