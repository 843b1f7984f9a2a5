//! The named pipes between the downloaders and the muxer, and the directory they live in.
//!
//! Each daemon has a directory of its own and holds it locked (flock): a directory whose lock can
//! be had belongs to a daemon that is dead, however it died, and is removed. The lock also keeps
//! systemd-tmpfiles from taking an old directory for a forgotten one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::cancel::{CancelToken, WaitOutcome};
use crate::error::{Error, FfmpegError};
use crate::media::TrackKind;
use crate::sys;

const PREFIX: &str = "run-";
const PAGES: &str = "pages";

/// The directory of one daemon; removed on drop.
#[derive(Debug)]
pub struct RuntimeDir {
    base: PathBuf,
    own: Mutex<Claim>,
}

#[derive(Debug)]
struct Claim {
    dir: TempDir,
    /// Held locked until the directory is gone (fields drop in this order).
    _lock: File,
}

impl RuntimeDir {
    /// Makes a directory in `base` and removes those of dead predecessors.
    pub fn claim(base: &Path) -> io::Result<RuntimeDir> {
        let own = Mutex::new(Claim::claim(base)?);
        Ok(RuntimeDir { base: base.to_owned(), own })
    }

    /// Where what reads pages has its things; elsewhere when the directory was made anew.
    pub fn pages(&self) -> PathBuf {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match own.make_pages() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.claim_anew(&mut own, &error)
            }
            made => made,
        };
        if let Err(error) = made {
            log::debug!("there is no directory for what reads pages: {error}");
        }
        own.dir.path().join(PAGES)
    }

    /// Makes a pipe for each of `kinds`, in a directory of their own.
    pub fn pipes(&self, kinds: impl Iterator<Item = TrackKind> + Clone) -> io::Result<FifoSet> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        match own.pipes(kinds.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.claim_anew(&mut own, &error)?;
                own.pipes(kinds)
            }
            made => made,
        }
    }

    fn claim_anew(&self, own: &mut Claim, why: &io::Error) -> io::Result<()> {
        log::warn!("someone removed the runtime directory; making it anew: {why}");
        *own = Claim::claim(&self.base)?;
        Ok(())
    }
}

impl Claim {
    fn claim(base: &Path) -> io::Result<Claim> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(base)?;
        let meta = fs::metadata(base)?;
        if meta.uid() != sys::user_id() || meta.mode() & 0o022 != 0 {
            return Err(io::Error::other(
                "it belongs to another user or others may write to it; set runtime_dir to a \
                 directory of this user",
            ));
        }
        // One daemon at a time looks and claims, so that no one takes a directory whose owner
        // has not got round to locking it for a dead one.
        let door = File::open(base)?;
        door.lock()?;
        sweep(base)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base)?;
        let lock = File::open(dir.path())?;
        lock.lock()?;
        let own = Claim { dir, _lock: lock };
        own.make_pages()?;
        Ok(own)
    }

    /// Also where someone has removed it, and nothing else.
    fn make_pages(&self) -> io::Result<()> {
        match fs::create_dir(self.dir.path().join(PAGES)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn pipes(&self, kinds: impl Iterator<Item = TrackKind>) -> io::Result<FifoSet> {
        self.make_pages()?;
        let dir = tempfile::Builder::new().prefix("stream-").tempdir_in(self.dir.path())?;
        let pipes = FifoSet { path: dir.path().to_owned(), dir: Some(dir) };
        for kind in kinds {
            sys::make_fifo(&pipes.path(kind))?;
        }
        Ok(pipes)
    }
}

/// Removes the directories in `base` whose owners are dead.
fn sweep(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        if File::open(entry.path())?.try_lock().is_ok() {
            log::info!("removing what a killed predecessor left in {}", entry.path().display());
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The named pipes of one stream; removed on drop.
#[derive(Debug)]
pub struct FifoSet {
    /// `None` only while it is dropped.
    dir: Option<TempDir>,
    path: PathBuf,
}

impl FifoSet {
    /// Where the pipe of a track is.
    pub fn path(&self, kind: TrackKind) -> PathBuf {
        self.path.join(kind.as_str())
    }

    /// What `error`, of a muxer that has not begun, really means if someone removed the pipes.
    pub fn blame(&self, error: Error) -> Error {
        if self.path.exists() { error } else { vanished() }
    }
}

impl Drop for FifoSet {
    fn drop(&mut self) {
        match self.dir.take().map_or(Ok(()), TempDir::close) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot remove the pipes of a stream: {error}");
            }
            _ => {}
        }
    }
}

fn vanished() -> Error {
    Error::System {
        operation: "use the named pipes in runtime_dir",
        message: "someone removed them".into(),
    }
}

/// The writing end of a named pipe. Closing it tells the muxer that the track is complete: when
/// it is not, the stream must have been failed before, which kills the muxer.
pub struct FifoWriter<'s> {
    pipe: File,
    stop: &'s CancelToken,
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
    pub fn open(path: &Path, len: u64, stop: &'s CancelToken) -> Result<FifoWriter<'s>, FeedError> {
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
                    return Ok(FifoWriter { pipe, stop });
                }
                // Nobody has it open for reading yet.
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                    if stop.sleep(STEP).map_err(system)? {
                        return Err(FeedError::Stopped);
                    }
                }
                // The pipes are removed when the stream is over; or by someone else.
                Err(error) if error.kind() == io::ErrorKind::NotFound && stop.is_cancelled() => {
                    return Err(FeedError::Stopped);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(FeedError::Failed(vanished()));
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
            if self.stop.sleep(STEP).map_err(|error| failed(&error))? {
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
                        self.stop.wait(self.pipe.as_fd(), sys::WRITABLE, AS_LONG_AS_IT_TAKES);
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

    fn runs(base: &Path) -> usize {
        fs::read_dir(base)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(PREFIX))
            .count()
    }

    #[test]
    fn the_dead_are_swept_and_the_living_are_not() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("ytcanal");
        let living = RuntimeDir::claim(&base).unwrap();
        // A killed daemon leaves its directory, and the kernel unlocks its lock.
        fs::create_dir(base.join("run-dead")).unwrap();
        sys::make_fifo(&base.join("run-dead/video")).unwrap();
        assert_eq!(runs(&base), 2);
        let second = RuntimeDir::claim(&base).unwrap();
        assert_eq!(runs(&base), 2);
        drop((living, second));
        assert_eq!(runs(&base), 0);
    }

    #[test]
    fn a_directory_that_was_removed_is_made_anew() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("ytcanal");
        let runtime = RuntimeDir::claim(&base).unwrap();
        fs::remove_dir_all(&base).unwrap();
        let pipes = runtime.pipes([TrackKind::Audio].into_iter()).unwrap();
        assert!(pipes.path(TrackKind::Audio).exists());
        assert_eq!(runs(&base), 1);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let base = tempfile::tempdir().unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = RuntimeDir::claim(base.path()).unwrap_err();
        assert!(error.to_string().contains("runtime_dir"), "{error}");
    }

    #[test]
    fn opening_and_writing_end_with_the_stream() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::claim(&base.path().join("r")).unwrap();
        let pipes = dir.pipes([TrackKind::Video].into_iter()).unwrap();
        let path = pipes.path(TrackKind::Video);
        let stop = CancelToken::new().unwrap();
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| FifoWriter::open(&path, 1 << 16, &stop).map(|_| ()));
            stop.cancel();
            assert!(matches!(opening.join().unwrap(), Err(FeedError::Stopped)));
        });
        let stop = CancelToken::new().unwrap();
        let reader =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let mut feed = FifoWriter::open(&path, 1 << 16, &stop).unwrap();
        std::thread::scope(|scope| {
            // More than the pipe holds.
            let writing = scope.spawn(|| feed.write(&vec![0; 4 << 20]));
            stop.cancel();
            assert!(matches!(writing.join().unwrap(), Err(FeedError::Stopped)));
        });
        let stop = CancelToken::new().unwrap();
        let feed = FifoWriter { pipe: feed.pipe, stop: &stop };
        std::thread::scope(|scope| {
            // The reader goes, and the pipe was not empty.
            let completing = scope.spawn(|| feed.complete());
            drop(reader);
            assert!(matches!(completing.join().unwrap(), Err(FeedError::Closed)));
        });
        drop(pipes);
        assert!(!path.exists());
    }
}
