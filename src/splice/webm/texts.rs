//! Subtitles as tracks of a WebM file: WebVTT in blocks with a duration (WebM project, "WebVTT in WebM"). Their blocks are in
//! clusters of their own, before the video of their time.

use std::ops::Range;

use super::head::text;
use super::ids;
use crate::container::ebml::{element, size_field, uint};
use crate::media::language::Language;
use crate::media::subtitles::{Cue, Subtitles};

/// The type of a track of subtitles (RFC 9559 §5.1.4.1.3).
const SUBTITLE: u64 = 0x11;
const CODEC: &str = "D_WEBVTT/SUBTITLES";
/// Before the text of a block are the identifier and the settings of its cue, each with its line end. There are none.
const NO_SETTINGS: &[u8] = b"\n\n";
/// The maximum number of ticks from the beginning of a cluster: the times of blocks have 16 bits with a sign.
const MAX_RELATIVE: u64 = i16::MAX as u64;

/// The subtitles that have cues.
pub(super) fn shown(subtitles: &[Subtitles]) -> Vec<&Subtitles> {
    subtitles.iter().filter(|subtitles| !subtitles.cues.is_empty()).collect()
}

/// Returns the track entries of subtitles, with numbers from `first` on. Other tracks have the UIDs `taken`.
pub(super) fn entries(subtitles: &[&Subtitles], first: u64, taken: &[u64]) -> Vec<u8> {
    let mut uids = (first..).filter(|uid| !taken.contains(uid));
    let entry = |(number, subtitles): (u64, &&Subtitles)| {
        let code = Language::from_tag(&subtitles.language).map(|language| language.bibliographic());
        let name = text(ids::NAME, &subtitles.name);
        let fields: [&[u8]; 9] = [
            &uint(ids::TRACK_NUMBER, number),
            &uint(ids::TRACK_UID, uids.next().unwrap_or(number)),
            &uint(ids::TRACK_TYPE, SUBTITLE),
            // A player shows it when its user says so.
            &uint(ids::FLAG_DEFAULT, 0),
            &uint(ids::FLAG_LACING, 0),
            &element(ids::LANGUAGE, &[&code.unwrap_or(*b"und")]),
            &text(ids::LANGUAGE_BCP47, &subtitles.language),
            if subtitles.name.is_empty() { &[] } else { &name },
            &text(ids::CODEC_ID, CODEC),
        ];
        element(ids::TRACK_ENTRY, &fields)
    };
    (first..).zip(subtitles).flat_map(entry).collect()
}

/// Returns the clusters of what appears within `span`, in ticks of `scale` nanoseconds; no bytes if nothing does. The
/// tracks have numbers from `first` on.
pub(super) fn clusters(
    subtitles: &[&Subtitles],
    first: u64,
    span: &Range<u64>,
    scale: u64,
) -> Vec<u8> {
    let ticks = |cue: &Cue| {
        let ticks = |nanos: u128| u64::try_from(nanos / u128::from(scale)).unwrap_or(u64::MAX);
        ticks(cue.start.as_nanos())..ticks(cue.end.as_nanos())
    };
    let mut shown: Vec<(Range<u64>, u64, &Cue)> = Vec::new();
    for (number, subtitles) in (first..).zip(subtitles) {
        let from = subtitles.cues.partition_point(|cue| ticks(cue).start < span.start);
        let cues = subtitles.cues[from..].iter().take_while(|cue| ticks(cue).start < span.end);
        shown.extend(cues.map(|cue| (ticks(cue), number, cue)));
    }
    shown.sort_by_key(|(time, number, _)| (time.start, *number));
    let mut clusters = Vec::new();
    let mut rest = &shown[..];
    while let Some((time, ..)) = rest.first() {
        let begin = time.start;
        let count = rest.partition_point(|(time, ..)| time.start - begin <= MAX_RELATIVE);
        let mut blocks = uint(ids::TIMESTAMP, begin);
        for (time, number, cue) in &rest[..count] {
            blocks.extend(block(time, begin, *number, &cue.text));
        }
        clusters.extend(element(ids::CLUSTER, &[&blocks]));
        rest = &rest[count..];
    }
    clusters
}

/// Returns the group with the block of a cue (RFC 9559 §5.1.3.5).
fn block(time: &Range<u64>, begin: u64, number: u64, text: &str) -> Vec<u8> {
    let width = if number < 0x7f { 1 } else { 2 };
    let relative = ((time.start - begin) as u16).to_be_bytes();
    let number = size_field(number, width);
    let block = element(ids::BLOCK, &[&number, &relative, &[0], NO_SETTINGS, text.as_bytes()]);
    let duration = uint(ids::BLOCK_DURATION, (time.end - time.start).max(1));
    element(ids::BLOCK_GROUP, &[&block, &duration])
}
