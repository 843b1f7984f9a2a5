//! Finds the key frame with which a time range of a Matroska or WebM file begins, whatever tracks the
//! file has, by its Cues (RFC 9559 §5.1.5).

use std::time::Duration;

use super::reader::EbmlReader;
use super::{MAX_TICKS, cues, cut, entry, ids, index};
use crate::container::ebml::{self, MALFORMED};
use crate::error::Unsupported;
use crate::splice::{MAX_READ, ReadAt, SurveyError};

/// The TrackType of video (§5.1.4.1.3).
const VIDEO: u64 = 1;

/// The assumed frame duration where the track has none, and the maximum.
const DEFAULT_FRAME: Duration = Duration::from_millis(40);
const MAX_FRAME: Duration = Duration::from_secs(1);
/// The maximum number of frames decoded between a key frame and its presentation.
const MAX_REORDERED: u32 = 4;

/// Returns the decode time, or a little earlier, of the block that the last cue of the first video
/// track at or before `start` points to.
pub(in crate::splice) fn key_frame(
    reader: &mut dyn ReadAt,
    start: Duration,
) -> Result<Option<Duration>, SurveyError> {
    let mut reader = EbmlReader::new(reader);
    let (_, segment) = index::segment(&mut reader)?;
    let preamble = index::preamble(&mut reader, &segment)?;
    let (Some(info), Some(tracks), Some(at)) =
        (&preamble.info, &preamble.tracks, preamble.cues_offset())
    else {
        return Ok(None);
    };
    let (scale, Some(video)) = (entry::scale(info)?, video(tracks)?) else {
        return Ok(None);
    };
    let header = reader.header(at)?;
    if header.id != ids::CUES {
        return Ok(None);
    }
    let payload = reader.payload(at, header, MAX_READ - ebml::MAX_HEADER as u64)?;
    let start = cut::ticks(start, scale);
    let mut last = None;
    for point in ebml::children(&payload) {
        let point = point?;
        if point.id != ids::CUE_POINT {
            continue;
        }
        let run = cues::run(point, video.number, &segment)?;
        let time = run.map(|run| run.time).filter(|time| *time <= start.min(MAX_TICKS));
        last = last.max(time);
    }
    Ok(last.map(|ticks| cut::duration(ticks, scale).saturating_sub(video.reordering)))
}

/// The facts of a video track.
struct Video {
    /// The track number in blocks and cues.
    number: u64,
    /// How long before its presentation a key frame may be decoded, which no block tells.
    reordering: Duration,
}

/// Returns the first video track.
fn video(tracks: &[u8]) -> Result<Option<Video>, Unsupported> {
    for track in ebml::children(tracks) {
        let track = track?;
        if track.id != ids::TRACK_ENTRY {
            continue;
        }
        let (mut number, mut kind, mut codec, mut frame) = (None, None, &b""[..], DEFAULT_FRAME);
        for field in ebml::children(track.payload) {
            let field = field?;
            match field.id {
                ids::TRACK_NUMBER => number = Some(field.uint()?),
                ids::TRACK_TYPE => kind = Some(field.uint()?),
                ids::CODEC_ID => codec = ebml::text_of(field.payload),
                ids::DEFAULT_DURATION => frame = Duration::from_nanos(field.uint()?),
                _ => {}
            }
        }
        if kind == Some(VIDEO) {
            // These codecs have no reordering: all frames of one time are one block.
            let is_in_order = matches!(codec, b"V_VP8" | b"V_VP9" | b"V_AV1");
            let reordered = if is_in_order { 0 } else { MAX_REORDERED };
            let reordering = frame.min(MAX_FRAME) * reordered;
            return Ok(Some(Video { number: number.ok_or(MALFORMED)?, reordering }));
        }
    }
    Ok(None)
}
