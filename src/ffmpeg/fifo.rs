//! Writes a track into the named pipe that ffmpeg reads it from.

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

/// The writing end of a named pipe.
///
/// **Invariant:** ffmpeg sees its end as the end of the track. If the track is incomplete, the download is
/// cancelled before the pipe is closed, which kills ffmpeg.
pub struct FifoWriter<'s> {
    pipe: File,
    cancel: &'s CancelToken,
}

/// Why a pipe takes no more bytes.
#[derive(Debug)]
pub enum FeedError {
    /// The download was cancelled.
    Stopped,
    /// ffmpeg closed its end. If that is an error, its exit status tells why.
    Closed,
    /// Another error.
    Failed(Error),
}

impl<'s> FifoWriter<'s> {
    /// Opens the pipe at `path` once ffmpeg has opened its end.
    ///
    /// A blocking open would hang if ffmpeg dies before, and an open for reading *and* writing would
    /// hide its death. Hence a retry loop; an ffmpeg that never opens the pipe runs into its stall
    /// timeout.
    ///
    /// The capacity is about `len` bytes: the kernel rounds it up to a power of two, and allows
    /// unprivileged users 1 MiB (pipe-max-size, pipe(7)).
    pub fn open(
        path: &Path,
        len: u64,
        cancel: &'s CancelToken,
    ) -> Result<FifoWriter<'s>, FeedError> {
        const RETRY_INTERVAL: Duration = Duration::from_millis(1);
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
                        log::debug!("cannot resize a named pipe: {error}");
                    }
                    return Ok(FifoWriter { pipe, cancel });
                }
                // ffmpeg has not opened it for reading yet (fifo(7)).
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                    if cancel.sleep(RETRY_INTERVAL).map_err(system)? {
                        return Err(FeedError::Stopped);
                    }
                }
                // The pipes are removed at the end of a download, or by another process.
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

    /// Closes the pipe as the end of a complete track, once ffmpeg has read everything: bytes in a pipe
    /// whose reader goes away are lost without an error.
    pub fn complete(self) -> Result<(), FeedError> {
        const POLL_INTERVAL: Duration = Duration::from_millis(1);
        while sys::unread_bytes(self.pipe.as_fd()).map_err(|error| failed(&error))? > 0 {
            // There is no event for an empty pipe. A closed reader is one (POLLERR).
            let gone = sys::poll([(self.pipe.as_fd(), 0)], Some(Duration::ZERO));
            if gone.is_ok_and(|[gone]| gone) {
                return Err(FeedError::Closed);
            }
            if self.cancel.sleep(POLL_INTERVAL).map_err(|error| failed(&error))? {
                return Err(FeedError::Stopped);
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`, however long ffmpeg takes.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), FeedError> {
        use std::io::Write;
        const NO_TIMEOUT: Duration = Duration::from_secs(86_400);
        while !bytes.is_empty() {
            match self.pipe.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = self.cancel.wait(self.pipe.as_fd(), sys::WRITABLE, NO_TIMEOUT);
                    match writable {
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
    FeedError::Failed(Error::Ffmpeg(FfmpegError::Failed(format!(
        "cannot write to its input: {error}"
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime_dir::RuntimeDir;

    #[test]
    fn opening_and_writing_end_with_the_stream() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::claim(&base.path().join("r")).unwrap();
        let fifos = dir.fifos(1).unwrap();
        let path = fifos.path(0);
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
            // The reader closes a pipe that is not empty.
            let completing = scope.spawn(|| feed.complete());
            drop(reader);
            assert!(matches!(completing.join().unwrap(), Err(FeedError::Closed)));
        });
        drop(fifos);
        assert!(!path.exists());
    }
}
