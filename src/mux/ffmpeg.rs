//! The muxer that joins anything: ffmpeg as a child process, fed through named pipes, read from
//! its standard output.
//!
//! Must never trust its exit status alone: ffmpeg ends well on inputs that were cut short. What
//! the sources delivered is the caller's to check.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::fifo::Pipes;
use super::{Container, Joint, Supply, moov};
use crate::config;
use crate::error::{Error, MuxerFault};
use crate::stop::Stop;
use crate::sys;

mod arguments;
pub use arguments::{Version, arguments};

/// How long ffmpeg may take to end after it closed its output.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// What is kept of its last words.
const LAST_WORDS: usize = 2 << 10;
/// What its output pipe holds: several reads, so that it need not wait for each of ours.
const PIPE_LEN: i32 = 1 << 20;

/// How a wait for ffmpeg ended.
enum Heard {
    /// What was waited for is there.
    Awaited,
    /// It has something to say on its standard error.
    Words,
    /// The time ran out.
    Nothing,
}

/// A running ffmpeg. Dropping it kills it, and waits until it is gone.
pub struct Muxer<'s> {
    child: Child,
    stdout: ChildStdout,
    /// `None` once ffmpeg has closed it.
    stderr: Option<ChildStderr>,
    last_words: Vec<u8>,
    /// What it said of an input that lacks its end.
    short_input: Option<String>,
    reaped: bool,
    has_output: bool,
    stop: &'s Stop,
    stall_limit: Duration,
}

impl<'s> Muxer<'s> {
    /// Starts ffmpeg. It belongs to `stop` from then on.
    pub fn start(
        config: &config::Muxer,
        version: Version,
        joint: &Joint,
        pipes: &Pipes,
        stop: &'s Stop,
    ) -> Result<Muxer<'s>, Error> {
        let mut command = Command::new(&config.ffmpeg);
        command
            .args(arguments(joint, pipes, version))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // It would make ffmpeg write a report file, with our arguments, wherever it says.
            .env_remove("FFREPORT");
        sys::tie_to_this_thread(&mut command);
        let failed = |error: io::Error| {
            Error::Muxer(match error.kind() {
                io::ErrorKind::NotFound => {
                    MuxerFault::Missing(config.ffmpeg.to_string_lossy().into_owned())
                }
                _ => MuxerFault::Spawn(error.to_string()),
            })
        };
        let mut child = command.spawn().map_err(failed)?;
        stop.adopt(child.id());
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        sys::set_nonblocking(stdout.as_fd()).map_err(|error| system(&error))?;
        if let Err(error) = sys::set_pipe_len(stdout.as_fd(), PIPE_LEN) {
            log::debug!("the muxer's output pipe keeps its usual length: {error}");
        }
        Ok(Muxer {
            child,
            stdout,
            stderr: Some(stderr),
            last_words: Vec::new(),
            short_input: None,
            reaped: false,
            has_output: false,
            stop,
            stall_limit: config.stall_timeout.0,
        })
    }

    /// The first bytes of the joined file, with the durations in them that ffmpeg could not
    /// know. Nothing is lost if they do not fit: then they are as ffmpeg wrote them.
    pub fn opening(&mut self, joint: &Joint, supply: &Supply) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = self.read(&mut buffer, supply)?;
            if count == 0 {
                self.finish()?;
                let said = "it ended without having written the start of a file".into();
                return Err(Error::Muxer(MuxerFault::Failed(said)));
            }
            bytes.extend(&buffer[..count]);
            if joint.container != Container::Mp4 {
                return Ok(bytes);
            }
            match moov::with_durations(&bytes, &joint.durations()) {
                moov::Look::More => {}
                moov::Look::Whole(patched) => return Ok(patched),
                moov::Look::Strange => {
                    log::warn!("ffmpeg wrote an index of an unknown shape; its durations stay 0");
                    return Ok(bytes);
                }
            }
        }
    }

    /// The next bytes of the joined file; 0 at its end, which [`finish`](Muxer::finish) must
    /// confirm. While `supply` grows, ffmpeg is at work although nothing
    /// comes out, and while an upstream is waited for, so may ffmpeg.
    pub fn read(&mut self, buffer: &mut [u8], supply: &Supply) -> Result<usize, Error> {
        let mut given_before = supply.given();
        loop {
            match self.stdout.read(buffer) {
                Ok(count) => {
                    self.has_output |= count > 0;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(system(&error)),
            }
            match self.wait(self.stdout.as_fd(), self.stall_limit)? {
                Heard::Awaited => {}
                Heard::Words => self.listen(),
                Heard::Nothing => {
                    let given = supply.given();
                    if given == given_before && !supply.is_awaited() {
                        return Err(Error::Muxer(MuxerFault::Stalled(self.stall_limit)));
                    }
                    given_before = given;
                }
            }
        }
    }

    /// Waits for `awaited`, for ffmpeg to say something, or for `limit` to pass.
    fn wait(&self, awaited: BorrowedFd<'_>, limit: Duration) -> Result<Heard, Error> {
        let over = (self.stop.as_fd(), sys::READABLE);
        let awaited = (awaited, sys::READABLE);
        let ready = match &self.stderr {
            Some(stderr) => {
                sys::poll([over, awaited, (stderr.as_fd(), sys::READABLE)], Some(limit))
            }
            None => sys::poll([over, awaited], Some(limit)).map(|[o, a]| [o, a, false]),
        };
        match ready.map_err(|error| system(&error))? {
            [true, ..] => Err(Error::Stopped),
            [_, true, _] => Ok(Heard::Awaited),
            [_, _, true] => Ok(Heard::Words),
            _ => Ok(Heard::Nothing),
        }
    }

    /// Waits for ffmpeg to end after its output has, and says whether it ended well.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.wait_for_exit()?;
        // Ends what a wrapper around ffmpeg has left behind, which may hold the pipe open.
        let status = self.reap().map_err(|error| system(&error))?;
        // What it has said by now; whoever else holds that pipe is not waited for.
        while let Some(stderr) = &self.stderr
            && let Ok([true]) = sys::poll([(stderr.as_fd(), sys::READABLE)], Some(Duration::ZERO))
        {
            self.listen();
        }
        if status.success() {
            if let Some(line) = self.short_input.take() {
                return Err(Error::Muxer(MuxerFault::ShortInput(line)));
            }
            if let Some(line) = last_line(&self.last_words) {
                log::warn!("ffmpeg ended well, but said: {line}");
            }
            return Ok(());
        }
        let said = match last_line(&self.last_words) {
            Some(line) => format!("{line} ({status})"),
            None => status.to_string(),
        };
        // Ended by itself before any output: it did not like what it got.
        let refused = !self.has_output && status.code().is_some();
        Err(Error::Muxer(if refused {
            MuxerFault::Refused(said)
        } else {
            MuxerFault::Failed(said)
        }))
    }

    /// Waits until it has ended, and listens to it meanwhile, lest a full pipe keep it.
    fn wait_for_exit(&mut self) -> Result<(), Error> {
        let exit = sys::exit_watch(self.child.id()).map_err(|error| system(&error))?;
        let deadline = Instant::now() + EXIT_LIMIT;
        loop {
            match self.wait(exit.as_fd(), deadline.saturating_duration_since(Instant::now()))? {
                Heard::Awaited => return Ok(()),
                Heard::Words => self.listen(),
                Heard::Nothing => return Err(Error::Muxer(MuxerFault::Stalled(EXIT_LIMIT))),
            }
        }
    }

    /// Kills whatever is left of its process group, and waits for it.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        if let Err(error) = sys::kill_group(self.child.id()) {
            log::warn!("cannot kill the muxer: {error}");
        }
        self.stop.release();
        self.child.wait()
    }

    /// Takes what ffmpeg says, of which the end is kept. It must be taken: a full pipe would
    /// make it wait.
    fn listen(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut words = [0; 1024];
        match stderr.read(&mut words) {
            Ok(count) if count > 0 => {
                self.last_words.extend(&words[..count]);
                self.short_input =
                    self.short_input.take().or_else(|| short_input(&self.last_words));
                let excess = self.last_words.len().saturating_sub(LAST_WORDS);
                self.last_words.drain(..excess);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.stderr = None,
        }
    }
}

impl Drop for Muxer<'_> {
    fn drop(&mut self) {
        if !self.reaped
            && let Err(error) = self.reap()
        {
            log::warn!("cannot wait for the muxer: {error}");
        }
    }
}

fn system(error: &io::Error) -> Error {
    Error::System { doing: "read from the muxer", said: error.to_string() }
}

/// What ffmpeg says of an input that breaks off: it takes that for its end, and ends well.
fn short_input(words: &[u8]) -> Option<String> {
    const SIGNS: [&str; 4] = ["ended prematurely", "partial file", "truncat", "unexpected end of"];
    let text = String::from_utf8_lossy(words);
    let is_sign = |line: &&str| SIGNS.iter().any(|sign| line.to_ascii_lowercase().contains(sign));
    last_line(text.lines().find(is_sign)?.as_bytes())
}

/// The last thing said, without the names of our pipes and the addresses of its innards.
fn last_line(words: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(words);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    // A path says nothing to a client and is none of its business.
    Some(match line.split_once("file:") {
        Some((before, path)) => {
            let rest = path.split_once(": ").map_or("", |(_, rest)| rest);
            format!("{before}input: {rest}")
        }
        None => line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_an_input_that_breaks_off_are_heard() {
        let said =
            b"[matroska,webm @ 0x5] File ended prematurely at pos. 4096 (0x1000)\n[x @ 1] y\n";
        let heard = "File ended prematurely at pos. 4096 (0x1000)";
        assert_eq!(short_input(said).as_deref(), Some(heard));
        let said = b"[mov,mp4 @ 0x5] stream 0, offset 0x99: partial file\n";
        assert_eq!(short_input(said).as_deref(), Some("stream 0, offset 0x99: partial file"));
        assert_eq!(short_input(b"[mp4 @ 0x5] Non-monotonous DTS\n"), None);
    }

    #[test]
    fn last_words_name_no_paths() {
        let said = b"file:/run/x/stream-1/video: Invalid data found when processing input\n\n";
        let line = last_line(said).unwrap();
        assert_eq!(line, "input: Invalid data found when processing input");
        let said = b"noise\n[webm @ 0x55d] Only VP8 or VP9 are supported\n";
        assert_eq!(last_line(said).unwrap(), "Only VP8 or VP9 are supported");
        assert_eq!(last_line(b"\n"), None);
    }
}
