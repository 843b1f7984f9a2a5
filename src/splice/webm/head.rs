//! Writes the header of the joined WebM file: everything before its clusters, including the cues. With
//! the cues first, a player needs one request to know the file.
//!
//! **Invariant:** the header depends on its inputs only, not on time or chance.

use std::time::Duration;

use super::chapters::chapters;
use super::entry::TrackEntry;
use super::{ids, tags, texts};
use crate::container::ebml::{element, fixed, opening, uint, width_of};
use crate::error::Unsupported;
use crate::media::Metadata;
use crate::media::subtitles::Subtitles;
use crate::splice::labels::header_labels;

/// The contents of the header.
pub(super) struct Head<'a> {
    pub(super) entries: &'a [&'a TrackEntry],
    pub(super) texts: &'a [&'a Subtitles],
    /// Nanoseconds per tick.
    pub(super) scale: u64,
    pub(super) duration: Duration,
    pub(super) tags: &'a Metadata,
    /// Times in ticks, and offsets after the header.
    pub(super) cues: &'a [(u64, u64)],
    /// The length of everything after the header.
    pub(super) media: u64,
}

impl Head<'_> {
    /// Returns the header. Numbers that depend on its own length have fields of fixed widths.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Unsupported> {
        let mut parts = vec![(ids::INFO, self.info()), (ids::TRACKS, self.tracks())];
        parts.extend([(ids::CHAPTERS, chapters(&self.tags.chapters))]);
        parts.extend([(ids::TAGS, tags::tags(self.tags))]);
        parts.extend([(ids::ATTACHMENTS, tags::attachments(self.tags)?)]);
        parts.retain(|(_, part)| !part.is_empty());
        let before = seek_head_len(parts.len() + 1) + sum(&parts);
        let cues = self.cues(before);
        parts.push((ids::CUES, cues));
        let segment = seek_head_len(parts.len()) + sum(&parts) + self.media;
        let mut bytes = ebml();
        bytes.extend(opening(ids::SEGMENT, segment, 8));
        bytes.extend(seek_head(&parts));
        parts.iter().for_each(|(_, part)| bytes.extend_from_slice(part));
        Ok(bytes)
    }

    fn info(&self) -> Vec<u8> {
        // A float holds every possible number of nanoseconds exactly.
        let ticks = self.duration.as_nanos() as f64 / self.scale as f64;
        let title = self.tags.title.as_deref().map(|title| text(ids::TITLE, title));
        let fields: [&[u8]; 5] = [
            &uint(ids::TIMESTAMP_SCALE, self.scale),
            &element(ids::DURATION, &[&ticks.to_be_bytes()]),
            &title.unwrap_or_default(),
            &text(ids::MUXING_APP, "ytcanal"),
            &text(ids::WRITING_APP, "ytcanal"),
        ];
        element(ids::INFO, &fields)
    }

    /// Returns Tracks, numbered from 1. The UIDs stay, unless two files have the same or one has none.
    fn tracks(&self) -> Vec<u8> {
        let mut uids: Vec<u64> = self.entries.iter().map(|entry| entry.uid).collect();
        let is_taken = |(index, uid): (usize, &u64)| *uid == 0 || uids[..index].contains(uid);
        if uids.iter().enumerate().any(is_taken) {
            uids = (1..).take(uids.len()).collect();
        }
        let files = self.entries.iter().enumerate().map(|(file, entry)| (entry.kind, file));
        let labels = header_labels(files, &self.tags.labels);
        let texts = texts::entries(self.texts, self.entries.len() as u64 + 1, &uids);
        let entries = self.entries.iter().zip(uids).zip(labels).zip(1..);
        let entries =
            entries.flat_map(|(((entry, uid), label), number)| entry.numbered(number, uid, &label));
        element(ids::TRACKS, &[&entries.collect::<Vec<_>>(), &texts])
    }

    /// Returns the Cues, which begin `before` bytes after the start of the segment's payload.
    fn cues(&self, before: u64) -> Vec<u8> {
        let time_width = width_of(self.cues.iter().map(|(time, _)| *time).max().unwrap_or(0));
        let point_len = |at_width: usize| 2 + (2 + time_width) + 2 + 3 + (2 + at_width);
        let len = |at_width| 12 + (self.cues.len() * point_len(at_width)) as u64;
        // Narrower fields only make the Cues shorter.
        let at_width = width_of(before + len(8) + self.media);
        let media = before + len(at_width);
        let mut bytes = opening(ids::CUES, len(at_width) - 12, 8);
        for (time, at) in self.cues {
            let time = element(ids::CUE_TIME, &[&fixed(*time, time_width)]);
            let track = uint(ids::CUE_TRACK, 1);
            let at = element(ids::CUE_CLUSTER_POSITION, &[&fixed(media + at, at_width)]);
            let positions = element(ids::CUE_TRACK_POSITIONS, &[&track, &at]);
            bytes.extend(element(ids::CUE_POINT, &[&time, &positions]));
        }
        bytes
    }
}

pub(super) fn ebml() -> Vec<u8> {
    // Version 4 has CodecDelay and SeekPreRoll, which Opus needs; readers of version 2 suffice.
    let fields: [&[u8]; 7] = [
        &uint(ids::EBML_VERSION, 1),
        &uint(ids::EBML_READ_VERSION, 1),
        &uint(ids::EBML_MAX_ID_LENGTH, 4),
        &uint(ids::EBML_MAX_SIZE_LENGTH, 8),
        &text(ids::DOC_TYPE, "webm"),
        &uint(ids::DOC_TYPE_VERSION, 4),
        &uint(ids::DOC_TYPE_READ_VERSION, 2),
    ];
    element(ids::EBML, &fields)
}

/// A Seek with an ID of 4 bytes and a position of 8.
const SEEK_LEN: u64 = (2 + 1) + (2 + 1 + 4) + (2 + 1 + 8);

fn seek_head_len(count: usize) -> u64 {
    // An ID of 4 bytes; less than 127 entries make a size of 1 or 2.
    let entries = count as u64 * SEEK_LEN;
    4 + if entries < 127 { 1 } else { 2 } + entries
}

fn seek_head(parts: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut at = seek_head_len(parts.len());
    let mut entries = Vec::new();
    for (id, part) in parts {
        let id = element(ids::SEEK_ID, &[&id.to_be_bytes()]);
        let position = element(ids::SEEK_POSITION, &[&fixed(at, 8)]);
        entries.extend(element(ids::SEEK, &[&id, &position]));
        at += part.len() as u64;
    }
    element(ids::SEEK_HEAD, &[&entries])
}

fn sum(parts: &[(u32, Vec<u8>)]) -> u64 {
    parts.iter().map(|(_, part)| part.len() as u64).sum()
}

pub(super) fn text(id: u32, text: &str) -> Vec<u8> {
    element(id, &[text.as_bytes()])
}
