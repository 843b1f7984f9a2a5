//! A file while it is downloaded: `NAME.part`, with the ETag of what it is a part of in `NAME.part.etag`.
//!
//! **Invariant:** `NAME` appears when it is complete. What is added to a part belongs to the file with that ETag.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The maximum length of an ETag, in bytes; those of this program are much shorter.
const MAX_ETAG: u64 = 200;

/// A part of a file. Others cannot write to it meanwhile.
#[derive(Debug)]
pub(super) struct PartFile {
    target: PathBuf,
    /// Locked.
    file: File,
}

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The ETag of the file.
    pub(super) etag: String,
    /// How much of it there is, in bytes; not 0.
    pub(super) len: u64,
}

impl PartFile {
    /// Opens or creates the part of the file `target`.
    pub(super) fn open(target: &Path) -> io::Result<PartFile> {
        let path = with_suffix(target, ".part");
        let file = open_regular(&path, OpenOptions::new().read(true).write(true).create(true))?;
        PartFile::lock(target, file)
    }

    /// Locks the part, which was opened before.
    fn lock(target: &Path, file: File) -> io::Result<PartFile> {
        let path = with_suffix(target, ".part");
        let busy = || {
            let text = format!("{} is being written by another download", path.display());
            io::Error::new(io::ErrorKind::WouldBlock, text)
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let part = PartFile { target: target.to_owned(), file };
        // Who had it locked has completed it since it was opened here: it is that download's file now.
        if part.is_in_place() { Ok(part) } else { Err(busy()) }
    }

    /// Returns whether its path leads to it, and not to that of another download, or nowhere.
    pub(super) fn is_in_place(&self) -> bool {
        let (Ok(own), Ok(there)) = (self.file.metadata(), fs::symlink_metadata(self.path())) else {
            return false;
        };
        (own.dev(), own.ino()) == (there.dev(), there.ino())
    }

    /// Returns the file that it will become.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Returns its own path.
    pub(super) fn path(&self) -> PathBuf {
        with_suffix(&self.target, ".part")
    }

    fn etag_path(&self) -> PathBuf {
        with_suffix(&self.target, ".part.etag")
    }

    /// Returns its length.
    pub(super) fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// Returns what there is already of which file, if that is known.
    pub(super) fn beginning(&self) -> Option<Beginning> {
        let len = self.len();
        let mut text = String::new();
        let file = open_regular(&self.etag_path(), OpenOptions::new().read(true)).ok()?;
        let read = file.take(MAX_ETAG + 1).read_to_string(&mut text).ok()?;
        let etag = text.trim();
        let is_short = read as u64 <= MAX_ETAG && len > 0;
        let is_etag = etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"');
        (is_short && is_etag).then(|| Beginning { etag: etag.to_owned(), len })
    }

    /// Forgets what there is. From now on it is a part of the file with this ETag, if there is one.
    pub(super) fn restart(&self, etag: Option<&str>) -> io::Result<()> {
        // In this order: bytes never stand beside the ETag of another file.
        self.file.set_len(0)?;
        let Some(etag) = etag else { return self.remove_etag() };
        let mut options = OpenOptions::new();
        let mut file = open_regular(&self.etag_path(), options.write(true).create(true))?;
        file.set_len(0)?;
        file.write_all(format!("{etag}\n").as_bytes())
    }

    /// Returns the file to write to, behind what there is.
    pub(super) fn writer(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// Gives the complete file its name. Fails if another file has its path: that need not be complete.
    pub(super) fn finish(&self) -> io::Result<()> {
        if !self.is_in_place() {
            let path = self.path();
            let text = format!("{} was removed or replaced meanwhile", path.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        // Some file systems find out only now that there is no room.
        self.file.sync_data()?;
        fs::rename(self.path(), &self.target)?;
        self.remove_etag()
    }

    /// Removes the part, if it holds nothing.
    pub(super) fn remove_if_empty(&self) {
        if self.len() == 0 && self.is_in_place() {
            // What remains is of no use, and harms nobody.
            fs::remove_file(self.path()).ok();
            self.remove_etag().ok();
        }
    }

    fn remove_etag(&self) -> io::Result<()> {
        match fs::remove_file(self.etag_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Opens a file that must be a regular one. In a shared directory, others could leave a link to a file of this user, or
/// a pipe that nobody writes to.
fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("{} is not a regular file", path.display())));
    }
    Ok(file)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_part_is_continued_only_as_what_it_is_of() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let part = PartFile::open(&target).unwrap();
        assert_eq!(part.beginning(), None);
        part.restart(Some("\"v\"")).unwrap();
        assert_eq!(part.beginning(), None, "there is nothing of it");
        part.writer().unwrap().write_all(b"abc").unwrap();
        assert_eq!(part.beginning(), Some(Beginning { etag: "\"v\"".into(), len: 3 }));
        let second = PartFile::open(&target).unwrap_err();
        assert!(second.to_string().contains("another download"), "{second}");
        drop(part);
        let part = PartFile::open(&target).unwrap();
        part.writer().unwrap().write_all(b"de").unwrap();
        assert_eq!(part.len(), 5);
        fs::write(part.etag_path(), "v").unwrap();
        assert_eq!(part.beginning(), None);
        part.restart(None).unwrap();
        assert!(part.len() == 0 && !part.etag_path().exists());
        part.writer().unwrap().write_all(b"x").unwrap();
        assert_eq!(part.beginning(), None);
        part.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"x");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_left_in_a_shared_directory_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, target) = (dir.path().join("victim"), dir.path().join("a"));
        fs::write(&victim, "mine").unwrap();
        let link = |name: &str| {
            std::os::unix::fs::symlink(&victim, dir.path().join(name)).unwrap();
        };
        link("a.part");
        PartFile::open(&target).unwrap_err();
        fs::remove_file(dir.path().join("a.part")).unwrap();
        link("a.part.etag");
        let part = PartFile::open(&target).unwrap();
        part.writer().unwrap().write_all(b"abc").unwrap();
        assert_eq!(part.beginning(), None);
        part.restart(Some("\"v\"")).unwrap_err();
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        // A pipe would be waited for.
        fs::remove_file(part.etag_path()).unwrap();
        crate::sys::make_fifo(&part.etag_path()).unwrap();
        part.writer().unwrap().write_all(b"abc").unwrap();
        assert_eq!(part.beginning(), None);
        part.restart(Some("\"v\"")).unwrap_err();
    }

    #[test]
    fn a_part_of_another_download_is_not_taken_for_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a");
        let path = with_suffix(&target, ".part");
        // Opened while another download completes it.
        let first = PartFile::open(&target).unwrap();
        let opened = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        first.writer().unwrap().write_all(b"complete").unwrap();
        first.finish().unwrap();
        drop(first);
        let second = PartFile::lock(&target, opened).unwrap_err();
        assert!(second.to_string().contains("another download"), "{second}");
        // Removed by hand, and begun anew by another download.
        let first = PartFile::open(&target).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(first.finish().is_err());
        let other = PartFile::open(&target).unwrap();
        other.restart(Some("\"v\"")).unwrap();
        other.writer().unwrap().write_all(b"cut").unwrap();
        let error = first.finish().unwrap_err();
        assert!(error.to_string().contains("removed or replaced"), "{error}");
        first.remove_if_empty();
        assert_eq!(other.beginning().unwrap().len, 3);
        assert_eq!(fs::read(&target).unwrap(), b"complete");
    }
}
