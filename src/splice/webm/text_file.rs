//! Makes a Matroska file of text alone, from which ffmpeg takes it: of chapters and subtitles.

use super::chapters::chapters;
use super::head::{ebml, text};
use super::{ids, texts};
use crate::container::ebml::{element, uint};
use crate::media::Metadata;

/// Nanoseconds per tick.
const SCALE: u64 = 1_000_000;

/// Returns a file with the text of `metadata`, at the times that it says; `None` if there is no text.
pub(in crate::splice) fn text_file(metadata: &Metadata) -> Option<Vec<u8>> {
    let chapters = chapters(&metadata.chapters);
    let shown = texts::shown(&metadata.subtitles);
    if chapters.is_empty() && shown.is_empty() {
        return None;
    }
    let fields: [&[u8]; 3] = [
        &uint(ids::TIMESTAMP_SCALE, SCALE),
        &text(ids::MUXING_APP, "ytcanal"),
        &text(ids::WRITING_APP, "ytcanal"),
    ];
    let tracks = element(ids::TRACKS, &[&texts::entries(&shown, 1, &[])]);
    let mut clusters = texts::clusters(&shown, 1, &(0..u64::MAX), SCALE);
    if clusters.is_empty() {
        // Up to the first one, ffmpeg takes all for the header, which must be complete.
        clusters = element(ids::CLUSTER, &[&uint(ids::TIMESTAMP, 0)]);
    }
    let segment = [element(ids::INFO, &fields), chapters, tracks, clusters].concat();
    Some([ebml(), element(ids::SEGMENT, &[&segment])].concat())
}
