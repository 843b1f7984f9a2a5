//! Reads the first bytes of ffmpeg's output, which decide whether the response is a file or an error.
//!
//! **Invariant:** they are returned only if ffmpeg found in its inputs what the probe found.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::header::{self, Written};
use super::stderr::StderrTail;
use super::{FeedProgress, FfmpegJob, FfmpegProcess, patch_duration, system};
use crate::cancel::WaitOutcome;
use crate::container::Container;
use crate::container::probe::ProbedInput;
use crate::error::{Error, FfmpegError};
use crate::splice;
use crate::sys;

/// How long the header of an MP4 waits for the first fragment. That takes up to ten seconds of media, which
/// the client need not wait for; a fragment that cannot be made at all fails at once.
const FIRST_FRAGMENT_TIMEOUT: Duration = Duration::from_millis(100);
/// The maximum size of the output that is held back until each track has a packet in the time range.
/// Before the first key frame of the video there is only audio, of at most ten seconds.
const MAX_HELD: usize = 4 << 20;
impl FfmpegProcess<'_> {
    /// Reads the header of the output, and verifies that ffmpeg found in its inputs what the probe found.
    pub fn read_header(
        &mut self,
        job: &FfmpegJob,
        progress: &FeedProgress,
    ) -> Result<Vec<u8>, Error> {
        let header = self.first_bytes(job, progress).and_then(|bytes| {
            self.read_report(job)?;
            self.hold(bytes, job, progress)
        });
        // The report may explain why ffmpeg gave up.
        if !matches!(header, Ok(_) | Err(Error::Ffmpeg(FfmpegError::Refused(_)))) {
            return header;
        }
        let lacking = self.stderr_tail.lacking.and_then(|input| job.inputs.get(input));
        if let Some(ProbedInput { kind, .. }) = lacking {
            let message = format!("there is no {kind} track in it");
            return Err(Error::Ffmpeg(FfmpegError::Misread { track: *kind, message }));
        }
        self.stderr_tail.report.agrees_with(job)?;
        if let (Err(_), true) = (&header, self.stderr_tail.is_empty && !job.time_range.is_full())
            && let Some(kind) = self.stderr_tail.report.missing_kind(job)
        {
            return Err(Error::Ffmpeg(FfmpegError::Without { kind, trim: job.time_range }));
        }
        self.has_header = true;
        header.map(|bytes| job.with_tags(with_durations(bytes, job)))
    }

    /// Waits until the report lists a packet of each track in the time range. A range without a key frame
    /// of the video is an error, which ffmpeg reports at the end of its inputs.
    fn hold(
        &mut self,
        mut bytes: Vec<u8>,
        job: &FfmpegJob,
        progress: &FeedProgress,
    ) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; 64 << 10];
        let is_trimmed = !job.time_range.is_full();
        let is_awaited =
            |stderr: &StderrTail| is_trimmed && stderr.report.missing_kind(job).is_some();
        while bytes.len() < MAX_HELD && is_awaited(&self.stderr_tail) {
            match self.read_unless(&mut buffer, progress, &|stderr| !is_awaited(stderr))? {
                Some(0) => {
                    self.finish()?;
                    break;
                }
                Some(count) => bytes.extend(&buffer[..count]),
                None => {}
            }
            self.drain_available_stderr();
        }
        Ok(bytes)
    }

    /// Waits for the complete report of the inputs, which mostly comes before the first byte.
    fn read_report(&mut self, job: &FfmpegJob) -> Result<(), Error> {
        let deadline = Instant::now() + self.stall_limit;
        self.drain_available_stderr();
        while !self.stderr_tail.report.is_complete(job) {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = match &self.stderr {
                Some(stderr) if !left.is_zero() => {
                    self.cancel.wait(stderr.as_fd(), sys::READABLE, left)
                }
                _ => Ok(WaitOutcome::TimedOut),
            };
            match waited.map_err(|error| system(&error))? {
                WaitOutcome::Ready => self.drain_stderr(),
                WaitOutcome::Stopped => return Err(Error::Stopped),
                WaitOutcome::TimedOut => {
                    let message = "it did not report the tracks of its inputs".into();
                    return Err(Error::Ffmpeg(FfmpegError::Failed(message)));
                }
            }
        }
        Ok(())
    }

    /// Reads up to the first media data: an ffmpeg that ends after the header has muxed nothing.
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
                // The first fragment takes longer.
                None => break,
            }
            match header::progress(job.container, &bytes) {
                Written::PartialHeader => {}
                Written::Header => {
                    until = until.or_else(|| Some(Instant::now() + FIRST_FRAGMENT_TIMEOUT));
                }
                Written::Media => break,
            }
        }
        Ok(bytes)
    }
}

/// Adds the durations, which ffmpeg could not know, and the chapters to the header of an MP4. A header of an unknown shape
/// stays as it is.
fn with_durations(bytes: Vec<u8>, job: &FfmpegJob) -> Vec<u8> {
    if job.container != Container::Mp4 {
        return bytes;
    }
    let chapters = splice::chapter_list(&job.metadata.chapters);
    match patch_duration::with_durations(&bytes, &job.durations(), &chapters) {
        patch_duration::Scan::Complete(patched) => patched,
        patch_duration::Scan::NeedMore | patch_duration::Scan::Unsupported => {
            log::warn!("cannot set the durations: ffmpeg wrote a moov box of an unknown shape");
            bytes
        }
    }
}

/// The error of an ffmpeg that exited with success after these bytes, which contain no media.
fn without_media(bytes: &[u8]) -> FfmpegError {
    if bytes.is_empty() {
        return FfmpegError::Failed("it ended without writing a header".into());
    }
    FfmpegError::Refused("there is no media in the requested range".into())
}
