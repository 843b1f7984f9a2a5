//! Owns the runtime directory of the daemon, and the named pipes that ffmpeg reads tracks from.
//!
//! Each daemon has a directory of its own and holds a lock on it (flock): a directory whose lock is
//! free belongs to a daemon that is dead, however it died, and is removed. The lock also keeps
//! systemd-tmpfiles from removing an old directory.
//!
//! **Invariant:** nothing is removed that a daemon has not made: a directory of a daemon contains one of a
//! name that nobody else uses, and is not reached through a link.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::error::Error;
use crate::sys;

const DIR_PREFIX: &str = "run-";
/// The directory of yt-dlp, by which the directory of a daemon is known as such.
const PAGES_DIR: &str = "ytcanal-pages";

/// The directory of one daemon. Dropping it removes it, so that this happens on every path.
#[derive(Debug)]
pub struct RuntimeDir {
    base: PathBuf,
    claim: Mutex<Claim>,
}

/// A locked directory.
#[derive(Debug)]
struct Claim {
    dir: TempDir,
    /// Locked until the directory is removed (fields drop in this order).
    _lock: File,
}

impl RuntimeDir {
    /// Creates a locked directory in `base`, and removes those of dead daemons.
    pub fn claim(base: &Path) -> io::Result<RuntimeDir> {
        let claim = Mutex::new(Claim::acquire(base, sweep)?);
        Ok(RuntimeDir { base: base.to_owned(), claim })
    }

    /// Creates a locked directory in `base`, and removes nothing but that.
    pub fn try_out(base: &Path) -> io::Result<RuntimeDir> {
        let claim = Mutex::new(Claim::acquire(base, |_| Ok(()))?);
        Ok(RuntimeDir { base: base.to_owned(), claim })
    }

    /// Returns the directory in which yt-dlp keeps its files. Creates it, in a new runtime directory if
    /// the old one was removed.
    pub fn pages(&self) -> PathBuf {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        let created = match claim.create_pages_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.reclaim(&mut claim, &error)
            }
            created => created,
        };
        if let Err(error) = created {
            log::debug!("cannot create the directory of yt-dlp: {error}");
        }
        claim.dir.path().join(PAGES_DIR)
    }

    /// Creates `count` named pipes, one for each input, in a directory of their own.
    pub fn fifos(&self, count: usize) -> io::Result<FifoSet> {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        match claim.fifos(count) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.reclaim(&mut claim, &error)?;
                claim.fifos(count)
            }
            created => created,
        }
    }

    /// Removes the directory although `self` may be shared with threads that hang.
    pub fn remove(&self) {
        let claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = fs::remove_dir_all(claim.dir.path()) {
            log::warn!("cannot remove the runtime directory: {error}");
        }
    }

    fn reclaim(&self, claim: &mut Claim, cause: &io::Error) -> io::Result<()> {
        log::warn!("the runtime directory was removed; creating a new one: {cause}");
        *claim = Claim::acquire(&self.base, sweep)?;
        Ok(())
    }
}

impl Claim {
    fn acquire(base: &Path, sweep: impl Fn(&Path) -> io::Result<()>) -> io::Result<Claim> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(base)?;
        // A link of another user leads to a directory that this user did not choose. Those of systemd belong to
        // root.
        let link_owner = fs::symlink_metadata(base)?.uid();
        let meta = fs::metadata(base)?;
        let is_foreign = meta.uid() != sys::user_id() || ![meta.uid(), 0].contains(&link_owner);
        if is_foreign || meta.mode() & 0o022 != 0 {
            return Err(io::Error::other(
                "it belongs to another user or others may write to it; set runtime_dir to a \
                 directory of this user",
            ));
        }
        // One daemon at a time sweeps and claims: a directory that was created and is not locked yet
        // would look like that of a dead daemon.
        let base_lock = File::open(base)?;
        base_lock.lock()?;
        sweep(base)?;
        let dir = tempfile::Builder::new().prefix(DIR_PREFIX).tempdir_in(base)?;
        let lock = File::open(dir.path())?;
        lock.lock()?;
        let claim = Claim { dir, _lock: lock };
        claim.create_pages_dir()?;
        Ok(claim)
    }

    /// Creates the directory of yt-dlp, unless it exists.
    fn create_pages_dir(&self) -> io::Result<()> {
        match fs::create_dir(self.dir.path().join(PAGES_DIR)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn fifos(&self, count: usize) -> io::Result<FifoSet> {
        self.create_pages_dir()?;
        let dir = tempfile::Builder::new().prefix("stream-").tempdir_in(self.dir.path())?;
        let fifos = FifoSet { dir };
        for index in 0..count {
            sys::make_fifo(&fifos.path(index))?;
        }
        Ok(fifos)
    }
}

/// Removes the directories in `base` whose owners are dead.
fn sweep(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        let is_named = entry.file_name().to_string_lossy().starts_with(DIR_PREFIX);
        // The types are those of the entries themselves, not of what a link leads to.
        let is_dir = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        if !is_named || !is_dir(&entry.path()) || !is_dir(&entry.path().join(PAGES_DIR)) {
            continue;
        }
        if File::open(entry.path())?.try_lock().is_ok() {
            log::info!(
                "removing the runtime directory of a dead daemon: {}",
                entry.path().display()
            );
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The named pipes of one stream. [`remove`](FifoSet::remove) ends them; dropping them removes them, too,
/// so that it happens on every path.
#[derive(Debug)]
pub struct FifoSet {
    dir: TempDir,
}

impl FifoSet {
    /// Returns the path of the pipe of the input at `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("input-{index}"))
    }

    /// Returns the directory that contains the pipes and nothing else.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Replaces `error`, of an ffmpeg that has written nothing, if the cause is that the pipes were
    /// removed.
    pub fn explain(&self, error: Error) -> Error {
        if self.dir.path().exists() { error } else { fifo_removed() }
    }

    /// Removes the pipes.
    pub fn remove(self) {
        match self.dir.close() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot remove the named pipes of a stream: {error}");
            }
            _ => {}
        }
    }
}

/// The error of a stream whose named pipes were removed while it ran.
pub(crate) fn fifo_removed() -> Error {
    Error::System {
        operation: "use the named pipes in runtime_dir",
        message: "another process removed them".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(base: &Path) -> usize {
        fs::read_dir(base)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(DIR_PREFIX))
            .count()
    }

    /// Creates directories that only their user may write to, as the daemon's are, whatever the umask is.
    fn create_dirs(path: &Path) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
    }

    #[test]
    fn the_dead_are_swept_and_the_living_are_not() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("ytcanal");
        let living = RuntimeDir::claim(&base).unwrap();
        // A killed daemon leaves its directory, and the kernel unlocks its lock.
        create_dirs(&base.join("run-dead").join(PAGES_DIR));
        sys::make_fifo(&base.join("run-dead/video")).unwrap();
        assert_eq!(runs(&base), 2);
        let second = RuntimeDir::claim(&base).unwrap();
        assert_eq!(runs(&base), 2);
        drop((living, second));
        assert_eq!(runs(&base), 0);
    }

    /// The base directory may be one of somebody who has files there, even through a link.
    #[test]
    fn nothing_is_removed_that_is_not_of_a_daemon() {
        let home = tempfile::tempdir().unwrap();
        let (real, elsewhere) = (home.path().join("real"), home.path().join("elsewhere"));
        for dir in
            ["real/run-important/pages", "elsewhere/ytcanal-pages"].map(|dir| home.path().join(dir))
        {
            create_dirs(&dir);
        }
        File::create(real.join("run-important/thesis")).unwrap();
        // A link to a directory that looks like that of a daemon, and a file.
        std::os::unix::fs::symlink(&elsewhere, real.join("run-link")).unwrap();
        File::create(real.join("run-file")).unwrap();
        let base = home.path().join("base");
        std::os::unix::fs::symlink(&real, &base).unwrap();
        drop(RuntimeDir::claim(&base).unwrap());
        assert!(real.join("run-important/thesis").exists() && elsewhere.join(PAGES_DIR).exists());
        assert_eq!(runs(&base), 3);
    }

    #[test]
    fn trying_out_removes_no_dead_directory() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("ytcanal");
        create_dirs(&base.join("run-dead").join(PAGES_DIR));
        drop(RuntimeDir::try_out(&base).unwrap());
        assert_eq!(runs(&base), 1);
        drop(RuntimeDir::claim(&base).unwrap());
        assert_eq!(runs(&base), 0);
    }

    #[test]
    fn a_directory_that_was_removed_is_made_anew() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("ytcanal");
        let runtime = RuntimeDir::claim(&base).unwrap();
        fs::remove_dir_all(&base).unwrap();
        let fifos = runtime.fifos(1).unwrap();
        assert!(fifos.path(0).exists());
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
