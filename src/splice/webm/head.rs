//! The head of the joined WebM file: everything in front of its clusters, the cues among it. With
//! the cues in front a player needs one request to know the film. Must never ask a clock, nor
//! chance.

use std::time::Duration;

use super::entry::TrackEntry;
use super::{ids, tags};
use crate::container::ebml::{element, fixed, opening, uint, width_of};
use crate::error::Unsupported;
use crate::media::Metadata;

/// What the head is made from.
pub(super) struct Head<'a> {
    pub(super) entries: &'a [&'a TrackEntry],
    /// Nanoseconds a tick.
    pub(super) scale: u64,
    pub(super) duration: Duration,
    pub(super) tags: &'a Metadata,
    /// Times in ticks, and places behind the head.
    pub(super) cues: &'a [(u64, u64)],
    /// The length of all that is behind the head.
    pub(super) media: u64,
}

impl Head<'_> {
    /// All of it. Numbers that depend on its own length have fields of fixed widths.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Unsupported> {
        let mut parts = vec![(ids::INFO, self.info()), (ids::TRACKS, self.tracks())];
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
        // A film has less nanoseconds than a float has whole numbers.
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

    /// Numbered from 1 on. The IDs stay, unless both files have the same or none.
    fn tracks(&self) -> Vec<u8> {
        let mut uids: Vec<u64> = self.entries.iter().map(|entry| entry.uid).collect();
        if uids.contains(&0) || uids.first() == uids.get(1) {
            uids = (1..).take(uids.len()).collect();
        }
        let entries = self.entries.iter().zip(uids).zip(1..);
        let entries = entries.flat_map(|((entry, uid), number)| entry.numbered(number, uid));
        element(ids::TRACKS, &[&entries.collect::<Vec<_>>()])
    }

    /// The cues, which begin `before` bytes behind the beginning of the segment.
    fn cues(&self, before: u64) -> Vec<u8> {
        let time_width = width_of(self.cues.iter().map(|(time, _)| *time).max().unwrap_or(0));
        let point_len = |at_width: usize| 2 + (2 + time_width) + 2 + 3 + (2 + at_width);
        let len = |at_width| 12 + (self.cues.len() * point_len(at_width)) as u64;
        // Whatever the width, the cues are not longer than with the widest.
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

fn ebml() -> Vec<u8> {
    // Version 4 has what Opus needs, CodecDelay and SeekPreRoll; who knows version 2 can read it.
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

/// An ID of 4 bytes and a position of 8, each in an element, both in another.
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
