//! A file while it is downloaded: `NAME.part`, with the ETag of what it is a part of in `NAME.part.etag`.
//!
//! **Invariant:** `NAME` appears when it is complete. What is added to a part belongs to the file with that ETag.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The maximum length of an ETag, in bytes; those of this program are much shorter.
const MAX_ETAG: u64 = 200;
/// How often a part is opened that other downloads finish at the same moment.
const MAX_ATTEMPTS: usize = 8;

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
        PartFile::open_while(target, || {})
    }

    /// [Opens](Self::open) a part, while `others` do something between its opening and its locking.
    fn open_while(target: &Path, mut others: impl FnMut()) -> io::Result<PartFile> {
        let path = with_suffix(target, ".part");
        for _ in 0..MAX_ATTEMPTS {
            let file = open_regular(&path)?;
            others();
            lock(&file, &path)?;
            // The one that had the lock may have renamed the file before it ended: it is complete then, and no part.
            if is_at(&file, &path)? {
                return Ok(PartFile { target: target.to_owned(), file });
            }
        }
        Err(in_use(&path))
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
        let (path, len) = (self.etag_path(), self.len());
        let is_short = fs::metadata(&path).is_ok_and(|meta| meta.len() <= MAX_ETAG);
        let etag = fs::read_to_string(path).ok().filter(|_| is_short && len > 0)?;
        let etag = etag.trim();
        let is_etag = etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"');
        is_etag.then(|| Beginning { etag: etag.to_owned(), len })
    }

    /// Forgets what there is. From now on it is a part of the file with this ETag, if there is one.
    pub(super) fn restart(&self, etag: Option<&str>) -> io::Result<()> {
        // In this order: bytes never stand beside the ETag of another file.
        self.file.set_len(0)?;
        match etag {
            Some(etag) => fs::write(self.etag_path(), format!("{etag}\n")),
            None => self.remove_etag(),
        }
    }

    /// Returns the file to write to, behind what there is.
    pub(super) fn writer(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// Gives the complete file its name.
    pub(super) fn finish(&self) -> io::Result<()> {
        // Some file systems find out only now that there is no room.
        self.file.sync_data()?;
        fs::rename(self.path(), &self.target)?;
        self.remove_etag()
    }

    /// Removes the part, if it holds nothing.
    pub(super) fn remove_if_empty(&self) {
        if self.len() == 0 {
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

/// Opens or creates a file. A link that another user left in a shared directory is not followed.
fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("{} is not a regular file", path.display())));
    }
    Ok(file)
}

fn lock(file: &File, path: &Path) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => in_use(path),
        TryLockError::Error(error) => error,
    })
}

fn in_use(path: &Path) -> io::Error {
    let text = format!("{} is being written by another download", path.display());
    io::Error::new(io::ErrorKind::WouldBlock, text)
}

/// Returns whether an open file is the one that the path leads to.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
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

    /// Between the opening of a part and its locking, another download finishes it.
    #[test]
    fn a_finished_file_is_not_taken_for_a_part() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let begin = || {
            let part = PartFile::open(&target).unwrap();
            part.restart(Some("\"v\"")).unwrap();
            part.writer().unwrap().write_all(b"complete").unwrap();
            part
        };
        let mut first = Some(begin());
        let second = PartFile::open_while(&target, || {
            if let Some(first) = first.take() {
                first.finish().unwrap();
            }
        });
        let second = second.unwrap();
        assert_eq!((second.len(), second.beginning()), (0, None), "it is a part of its own");
        second.restart(None).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"complete");
        drop(second);
        let mut finished = 0;
        let never = PartFile::open_while(&target, || {
            begin().finish().unwrap();
            finished += 1;
        });
        assert!(never.unwrap_err().to_string().contains("another download"));
        assert_eq!(finished, MAX_ATTEMPTS);
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, target) = (dir.path().join("victim"), dir.path().join("a"));
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("a.part")).unwrap();
        PartFile::open(&target).unwrap_err();
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
    }
}
