//! The named pipes between the downloaders and the muxer, and the directory they live in.
//!
//! Each daemon has a directory of its own and holds it locked (flock): a directory whose lock can
//! be had belongs to a daemon that is dead, however it died, and is removed. The lock also keeps
//! systemd-tmpfiles from taking an old directory for a forgotten one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::error::Error;
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
        let own = Mutex::new(Claim::acquire(base)?);
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
    pub fn fifos(&self, kinds: impl Iterator<Item = TrackKind> + Clone) -> io::Result<FifoSet> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        match own.fifos(kinds.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.claim_anew(&mut own, &error)?;
                own.fifos(kinds)
            }
            made => made,
        }
    }

    fn claim_anew(&self, own: &mut Claim, why: &io::Error) -> io::Result<()> {
        log::warn!("someone removed the runtime directory; making it anew: {why}");
        *own = Claim::acquire(&self.base)?;
        Ok(())
    }
}

impl Claim {
    fn acquire(base: &Path) -> io::Result<Claim> {
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

    fn fifos(&self, kinds: impl Iterator<Item = TrackKind>) -> io::Result<FifoSet> {
        self.make_pages()?;
        let dir = tempfile::Builder::new().prefix("stream-").tempdir_in(self.dir.path())?;
        let fifos = FifoSet { path: dir.path().to_owned(), dir: Some(dir) };
        for kind in kinds {
            sys::make_fifo(&fifos.path(kind))?;
        }
        Ok(fifos)
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

pub(crate) fn vanished() -> Error {
    Error::System {
        operation: "use the named pipes in runtime_dir",
        message: "someone removed them".into(),
    }
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
        let fifos = runtime.fifos([TrackKind::Audio].into_iter()).unwrap();
        assert!(fifos.path(TrackKind::Audio).exists());
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
}
