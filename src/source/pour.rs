//! The next bytes of a track, unseen: from its connection right into a conduit.

use std::time::Instant;

use super::Source;
use super::part::Part;
use super::proof::Seen;
use crate::error::{Error, Fault};
use crate::sys::SplicePipe;

impl Source<'_, '_> {
    /// Whether the next bytes can be [poured](Source::pour).
    pub fn pours(&self) -> bool {
        // Where nothing else proves that what comes after a break is of the same file, the bytes
        // before it are compared, and so must be seen.
        let proven = self.is_named() && self.refresh.is_none();
        proven && self.head.is_empty() && self.part.as_ref().is_some_and(Part::pours)
    }

    /// Takes up to `most` of the next bytes into `conduit`, unseen; none where they must be
    /// [fetched](Source::fetch).
    pub fn pour(&mut self, conduit: &SplicePipe, most: u64) -> Result<usize, Error> {
        let most = most.min(self.left().unwrap_or(0));
        if !self.pours() {
            return Ok(0);
        }
        let Some(part) = &mut self.part else { return Ok(0) };
        let asked = Instant::now();
        let count = match part.pour(conduit, most) {
            Ok(0) => return Ok(0),
            Ok(count) => count,
            Err(fault) => return self.recover(fault).map(|()| 0),
        };
        self.passed(count);
        self.tail = Seen::default();
        // What has come is good, however slowly it came.
        if let Err(rate) = self.pace.step(count, asked.elapsed()) {
            self.recover(Fault::Slow(rate))?;
        }
        self.ask_ahead();
        Ok(count)
    }
}
