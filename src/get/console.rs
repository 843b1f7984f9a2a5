//! What the user sees on standard error.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::progress::{Position, Progress};
use crate::text::escaped;

/// Standard error, with a line of progress at its end.
pub(super) struct Console {
    is_silent: bool,
    progress: Mutex<Progress>,
}

impl Console {
    pub(super) fn new(is_silent: bool) -> Console {
        Console { is_silent, progress: Mutex::new(Progress::new(is_silent)) }
    }

    /// Says something, unless the user wants silence.
    pub(super) fn say(&self, text: &str) {
        if !self.is_silent {
            self.print(text);
        }
    }

    /// Reports an error, in any case.
    pub(super) fn report(&self, text: &str) {
        self.print(&format!("ytcanal: {text}"));
    }

    /// Shows how far the download is.
    pub(super) fn draw(&self, position: Option<Position>) {
        self.progress().draw(position);
    }

    fn print(&self, text: &str) {
        let mut progress = self.progress();
        progress.clear();
        // Standard error may be closed. What sites say must not control the terminal.
        writeln!(io::stderr(), "{}", escaped(text)).ok();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
