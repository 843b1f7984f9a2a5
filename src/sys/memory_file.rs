//! Files in memory (memfd_create(2)), for what a child reads from its standard input.

use std::fs::File;
use std::io::{self, Seek, Write};

use super::owned;

/// Returns a file without a name that has these bytes, positioned at its beginning.
pub fn memory_file(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: the name is a C string that outlives the call.
    let fd = unsafe { libc::memfd_create(c"input".as_ptr(), libc::MFD_CLOEXEC) };
    let mut file = File::from(owned(fd)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_reads_it() {
        let bytes: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
        let file = memory_file(&bytes).unwrap();
        let read = Command::new("cat").stdin(Stdio::from(file)).output().unwrap().stdout;
        assert!(read == bytes);
    }
}
