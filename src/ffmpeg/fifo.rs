//! The writing end of a named pipe that ffmpeg reads one track from.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::cancel::{CancelToken, WaitOutcome};
use crate::error::{Error, FfmpegError};
use crate::runtime_dir::fifo_removed;
use crate::sys;

/// The writing end of a named pipe. Closing it tells the muxer that the track is complete: when
/// it is not, the stream must have been failed before, which kills the muxer.
pub struct FifoWriter<'s> {
    pipe: File,
    cancel: &'s CancelToken,
}

/// Why a pipe takes no more bytes.
#[derive(Debug)]
pub enum FeedError {
    /// The stream is over.
    Stopped,
    /// The muxer closed its end. If it should not have, its exit status tells why.
    Closed,
    /// Something else.
    Failed(Error),
}

impl<'s> FifoWriter<'s> {
    /// Opens the pipe at `path`, as soon as the muxer has opened its end.
    ///
    /// A blocking open would hang for ever if the muxer died first, and one for reading *and*
    /// writing would hide its death. So: ask again until it is there. A muxer that never opens
    /// it is the watchdog's to see.
    ///
    /// It holds about `len` bytes: the kernel makes it a power of two, and allows any user 1 MiB
    /// (pipe-max-size).
    pub fn open(
        path: &Path,
        len: u64,
        cancel: &'s CancelToken,
    ) -> Result<FifoWriter<'s>, FeedError> {
        const STEP: Duration = Duration::from_millis(1);
        let system = |error: io::Error| {
            FeedError::Failed(Error::System {
                operation: "open a named pipe",
                message: error.to_string(),
            })
        };
        loop {
            match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
                Ok(pipe) => {
                    let len = i32::try_from(len).unwrap_or(i32::MAX);
                    if let Err(error) = sys::set_pipe_len(pipe.as_fd(), len) {
                        log::debug!("the pipe keeps its usual length: {error}");
                    }
                    return Ok(FifoWriter { pipe, cancel });
                }
                // Nobody has it open for reading yet.
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                    if cancel.sleep(STEP).map_err(system)? {
                        return Err(FeedError::Stopped);
                    }
                }
                // The pipes are removed when the stream is over; or by someone else.
                Err(error) if error.kind() == io::ErrorKind::NotFound && cancel.is_cancelled() => {
                    return Err(FeedError::Stopped);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(FeedError::Failed(fifo_removed()));
                }
                Err(error) => return Err(system(error)),
            }
        }
    }

    /// Closes the pipe, which tells the muxer that the track is complete, once the muxer has read
    /// all of it: what a pipe still holds when its reader goes is lost without a word.
    pub fn complete(self) -> Result<(), FeedError> {
        const STEP: Duration = Duration::from_millis(1);
        while sys::bytes_in_pipe(self.pipe.as_fd()).map_err(|error| failed(&error))? > 0 {
            // There is no event for an empty pipe; its reader's end is one, and is told as room.
            let gone = sys::poll([(self.pipe.as_fd(), 0)], Some(Duration::ZERO));
            if gone.is_ok_and(|[gone]| gone) {
                return Err(FeedError::Closed);
            }
            if self.cancel.sleep(STEP).map_err(|error| failed(&error))? {
                return Err(FeedError::Stopped);
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`, however long the muxer takes.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), FeedError> {
        use std::io::Write;
        const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(86_400);
        while !bytes.is_empty() {
            match self.pipe.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let room =
                        self.cancel.wait(self.pipe.as_fd(), sys::WRITABLE, AS_LONG_AS_IT_TAKES);
                    match room {
                        Ok(WaitOutcome::Stopped) => return Err(FeedError::Stopped),
                        Ok(_) => {}
                        Err(error) => return Err(failed(&error)),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(FeedError::Closed);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }
}

fn failed(error: &io::Error) -> FeedError {
    FeedError::Failed(Error::Ffmpeg(FfmpegError::Failed(format!("writing to it: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::TrackKind;
    use crate::runtime_dir::RuntimeDir;

    #[test]
    fn opening_and_writing_end_with_the_stream() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::claim(&base.path().join("r")).unwrap();
        let fifos = dir.fifos([TrackKind::Video].into_iter()).unwrap();
        let path = fifos.path(TrackKind::Video);
        let cancel = CancelToken::new().unwrap();
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| FifoWriter::open(&path, 1 << 16, &cancel).map(|_| ()));
            cancel.cancel();
            assert!(matches!(opening.join().unwrap(), Err(FeedError::Stopped)));
        });
        let cancel = CancelToken::new().unwrap();
        let reader =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let mut feed = FifoWriter::open(&path, 1 << 16, &cancel).unwrap();
        std::thread::scope(|scope| {
            // More than the pipe holds.
            let writing = scope.spawn(|| feed.write(&vec![0; 4 << 20]));
            cancel.cancel();
            assert!(matches!(writing.join().unwrap(), Err(FeedError::Stopped)));
        });
        let cancel = CancelToken::new().unwrap();
        let feed = FifoWriter { pipe: feed.pipe, cancel: &cancel };
        std::thread::scope(|scope| {
            // The reader goes, and the pipe was not empty.
            let completing = scope.spawn(|| feed.complete());
            drop(reader);
            assert!(matches!(completing.join().unwrap(), Err(FeedError::Closed)));
        });
        drop(fifos);
        assert!(!path.exists());
    }
}
