//! What concerns files beyond the standard library.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::checked;

/// Waits until all that was written to the file system of `file` is on its disk (syncfs(2)).
pub fn sync_file_system(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed.
    checked(unsafe { libc::syncfs(file.as_raw_fd()) }).map(drop)
}

/// Has files that this process creates be readable for everybody, and writable for its user alone (umask(2)).
pub fn make_new_files_readable() {
    // SAFETY: it cannot fail, and touches no memory.
    unsafe { libc::umask(0o022) };
}
