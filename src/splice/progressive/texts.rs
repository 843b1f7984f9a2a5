//! Interleaves subtitles with the samples of a progressive file: those of some seconds lie before the media of that
//! time.

use super::chunks::ExtentMerger;
use crate::error::Unsupported;
use crate::splice::placed_text::{PlacedText, TextCursor};
use crate::splice::text_track::{TextTracks, check_total};

/// How many milliseconds of subtitles lie together.
const STEP_MILLIS: u64 = 5000;

/// The subtitles while the file is laid out.
pub(super) struct TextCursors<'t> {
    cursors: Vec<TextCursor<'t>>,
    /// Up to when the subtitles are in the file, in milliseconds.
    until: u64,
    len: usize,
}

impl<'t> TextCursors<'t> {
    pub(super) fn new(texts: &'t TextTracks) -> TextCursors<'t> {
        TextCursors { cursors: texts.iter().map(TextCursor::new).collect(), until: 0, len: 0 }
    }

    /// Adds what appears soon after `time`, in milliseconds, unless it is there.
    pub(super) fn advance(
        &mut self,
        time: u64,
        extents: &mut ExtentMerger,
    ) -> Result<(), Unsupported> {
        if self.cursors.is_empty() || time < self.until {
            return Ok(());
        }
        let until = (time / STEP_MILLIS).saturating_add(1).saturating_mul(STEP_MILLIS);
        let span = std::mem::replace(&mut self.until, until)..until;
        for cursor in &mut self.cursors {
            let bytes = cursor.take(&span, extents.len());
            self.len += bytes.len();
            extents.add_inline(&bytes);
        }
        check_total(self.len)
    }

    /// Adds what is left, and returns the tracks.
    pub(super) fn finish(
        mut self,
        extents: &mut ExtentMerger,
    ) -> Result<Vec<PlacedText>, Unsupported> {
        while self.cursors.iter().any(|cursor| cursor.has_more(self.until)) {
            self.advance(self.until, extents)?;
        }
        Ok(self.cursors.into_iter().map(TextCursor::finish).collect())
    }
}
