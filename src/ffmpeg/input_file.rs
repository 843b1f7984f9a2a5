//! Writes a file to the standard input of ffmpeg, on a thread that ends when ffmpeg does.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::error::Error;

/// The thread. Dropping it waits for its end, which the end of ffmpeg brings about.
pub(super) struct InputFile(Option<JoinHandle<()>>);

impl InputFile {
    /// Begins to write the file.
    pub(super) fn write(mut stdin: ChildStdin, file: Arc<[u8]>) -> Result<InputFile, Error> {
        let write = move || {
            // An ffmpeg that does not read it to its end says why by itself.
            if let Err(error) = stdin.write_all(&file) {
                log::debug!("ffmpeg did not read its metadata: {error}");
            }
        };
        let thread = thread::Builder::new().name("metadata".into()).spawn(write);
        let thread = thread.map_err(|error| Error::system("start a thread", &error))?;
        Ok(InputFile(Some(thread)))
    }
}

impl Drop for InputFile {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            log::error!("the thread that writes metadata to ffmpeg panicked");
        }
    }
}
