//! The directory in which releases of yt-dlp stand side by side: `releases/NAME`, each a virtual environment, and the
//! links `current` and `previous`.
//!
//! **Invariant:** `current` leads to a complete release at all times, once it has led to one. One process at a time
//! changes anything, the one that holds the lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::resolve::YtdlpVersion;
use crate::sys;

const RELEASES: &str = "releases";
const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";
/// In a release: its packages, one a line.
const PACKAGES: &str = "packages.txt";
/// The packages of the release that was taken back, which is not to be installed again.
const ROLLED_BACK: &str = "rolled-back.txt";
const WORK_PREFIX: &str = "work-";

/// The directory, locked.
pub(super) struct Releases {
    dir: PathBuf,
    /// Locked until the process ends, however that ends, and all that it has started for an installation.
    lock: File,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) path: PathBuf,
}

impl Releases {
    /// Locks the directory, and removes what an update has left that did not come to its end.
    pub(super) fn open(dir: &Path) -> io::Result<Releases> {
        fs::create_dir_all(dir.join(RELEASES))?;
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).open(dir.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another update is running"),
            TryLockError::Error(error) => error,
        })?;
        // Links and interpreters name it by this path.
        let releases = Releases { dir: dir.canonicalize()?, lock };
        releases.remove_unused();
        Ok(releases)
    }

    /// Returns the file that is locked, which is empty.
    pub(super) fn lock(&self) -> &File {
        &self.lock
    }

    /// Returns the release that is in use.
    pub(super) fn current(&self) -> Option<Release> {
        self.linked(CURRENT)
    }

    /// Returns the release that was in use before.
    pub(super) fn previous(&self) -> Option<Release> {
        self.linked(PREVIOUS)
    }

    fn linked(&self, name: &str) -> Option<Release> {
        let path = self.dir.join(name).canonicalize().ok()?;
        path.is_dir().then_some(Release { path })
    }

    /// Returns a path for a new release of this version; its packages may have one that is there.
    pub(super) fn new_release(&self, version: &YtdlpVersion) -> Release {
        let base = self.dir.join(RELEASES);
        let plain = base.join(version.to_string());
        let numbered = (2..).map(|number: u32| base.join(format!("{version}-{number}")));
        let mut paths = std::iter::once(plain.clone()).chain(numbered);
        Release { path: paths.find(|path| !path.exists()).unwrap_or(plain) }
    }

    /// Makes a directory for the files of this update.
    pub(super) fn work_dir(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(WORK_PREFIX).tempdir_in(&self.dir)
    }

    /// Puts a complete release into use.
    pub(super) fn switch_to(&self, release: &Release) -> io::Result<()> {
        // A loss of power must not leave a link to files that were never written.
        sys::sync_file_system(&self.lock)?;
        if let Some(before) = self.current() {
            self.link(PREVIOUS, &before)?;
        }
        self.link(CURRENT, release)?;
        // It is in use now, whatever cannot be removed.
        self.remove_file(ROLLED_BACK)
            .unwrap_or_else(|error| not_removed(ROLLED_BACK.as_ref(), &error));
        self.remove_unused();
        Ok(())
    }

    /// Puts the release before back into use; returns it, and the one that it replaces.
    pub(super) fn roll_back(&self) -> io::Result<(Release, Release)> {
        let (Some(current), Some(previous)) = (self.current(), self.previous()) else {
            return Err(io::Error::other("there is no release before the one in use"));
        };
        if current == previous {
            return Err(io::Error::other("the release before is the one in use"));
        }
        fs::write(self.dir.join(ROLLED_BACK), current.packages())?;
        // In this order there always is one in use; the other is lost if this process ends in between.
        self.link(CURRENT, &previous)?;
        self.link(PREVIOUS, &current)?;
        Ok((previous, current))
    }

    /// Returns whether the release with these packages was taken back.
    pub(super) fn was_rolled_back(&self, packages: &str) -> bool {
        fs::read_to_string(self.dir.join(ROLLED_BACK)).is_ok_and(|text| text == packages)
    }

    /// Points a link at a release, in one step.
    fn link(&self, name: &str, release: &Release) -> io::Result<()> {
        let target = release.path.strip_prefix(&self.dir).unwrap_or(&release.path);
        let new = format!("{name}.new");
        self.remove_file(&new)?;
        symlink(target, self.dir.join(&new))?;
        fs::rename(self.dir.join(&new), self.dir.join(name))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes releases that no link leads to, and the files of updates. What cannot be removed keeps no update from being
    /// made: a program that root has run there may have left files of its own.
    fn remove_unused(&self) {
        let unused = self.unused().inspect_err(|error| not_removed(&self.dir, error));
        for path in unused.unwrap_or_default() {
            fs::remove_dir_all(&path).unwrap_or_else(|error| not_removed(&path, &error));
        }
    }

    fn unused(&self) -> io::Result<Vec<PathBuf>> {
        let used: Vec<_> = self.current().into_iter().chain(self.previous()).collect();
        let is_used = |path: &PathBuf| used.iter().any(|release| release.path == *path);
        let paths = |dir: &Path| -> io::Result<Vec<PathBuf>> {
            fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
        };
        let is_work = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(WORK_PREFIX))
        };
        let releases = paths(&self.dir.join(RELEASES))?;
        let unused = releases.into_iter().filter(|path| !is_used(path));
        Ok(unused.chain(paths(&self.dir)?.into_iter().filter(is_work)).collect())
    }
}

fn not_removed(path: &Path, error: &io::Error) {
    log::warn!("cannot remove {}: {error}", path.display());
}

impl Release {
    /// Returns the program.
    pub(super) fn command(&self) -> PathBuf {
        self.path.join("bin/yt-dlp")
    }

    /// Returns the version of yt-dlp.
    pub(super) fn version(&self) -> Option<YtdlpVersion> {
        YtdlpVersion::installed(&self.command())
    }

    /// Returns its packages, one a line; nothing if they are unknown.
    pub(super) fn packages(&self) -> String {
        fs::read_to_string(self.path.join(PACKAGES)).unwrap_or_default()
    }

    /// Records its packages.
    pub(super) fn set_packages(&self, packages: &str) -> io::Result<()> {
        fs::write(self.path.join(PACKAGES), packages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(releases: &Releases, version: &str) -> Release {
        let release = releases.new_release(&YtdlpVersion::from_index(version));
        fs::create_dir(&release.path).unwrap();
        release.set_packages(version).unwrap();
        release
    }

    fn names(releases: &Releases) -> Vec<String> {
        let entries = fs::read_dir(releases.dir.join(RELEASES)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn two_releases_are_kept_and_can_be_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let releases = Releases::open(dir.path()).unwrap();
        assert_eq!(releases.current(), None);
        assert!(releases.roll_back().is_err());
        let all = ["2026.1.5", "2026.2.5", "2026.2.5"].map(|version| {
            let release = install(&releases, version);
            releases.switch_to(&release).unwrap();
            assert_eq!(releases.current(), Some(release.clone()));
            release
        });
        assert_eq!(names(&releases), ["2026.02.05", "2026.02.05-2"]);
        assert_eq!(releases.previous().as_ref(), Some(&all[1]));
        // A link of the same directory elsewhere leads to the same release.
        assert_eq!(
            fs::read_link(dir.path().join(CURRENT)).unwrap(),
            Path::new("releases/2026.02.05-2")
        );
        let [_, older, newer] = all;
        assert_eq!(releases.roll_back().unwrap(), (older.clone(), newer.clone()));
        assert_eq!(releases.current(), Some(older.clone()));
        assert!(
            releases.was_rolled_back(&newer.packages()) && !releases.was_rolled_back("2026.1.5")
        );
        assert_eq!(releases.roll_back().unwrap(), (newer, older));
    }

    #[test]
    fn the_second_is_refused_and_what_the_first_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let releases = Releases::open(dir.path()).unwrap();
        let error = Releases::open(dir.path()).err().unwrap();
        assert_eq!(error.to_string(), "another update is running");
        let kept = install(&releases, "2026.1.5");
        releases.switch_to(&kept).unwrap();
        // As if it had been killed.
        install(&releases, "2026.2.5");
        // It is no directory, and cannot be removed like one.
        fs::write(dir.path().join(RELEASES).join("stray"), "").unwrap();
        let work = releases.work_dir().unwrap().keep();
        drop(releases);
        let releases = Releases::open(dir.path()).unwrap();
        assert_eq!(names(&releases), ["2026.01.05", "stray"]);
        assert!(!work.exists());
        assert_eq!(releases.current(), Some(kept));
        let newer = install(&releases, "2026.2.5");
        releases.switch_to(&newer).unwrap();
    }
}
