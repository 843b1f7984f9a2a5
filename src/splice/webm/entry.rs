//! Reads Info and the only TrackEntry of a WebM file (RFC 9559 §5.1.2, §5.1.4), and writes the track
//! for the joined file.

use std::time::Duration;

use super::ids;
use crate::container::ebml::{self, MALFORMED};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::labels::HeaderLabel;

/// Timescale and duration of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Info {
    /// Nanoseconds per tick.
    pub(super) scale: u64,
    /// How long it plays.
    pub(super) duration: Duration,
}

/// The only track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackEntry {
    pub(super) kind: TrackKind,
    /// 1 to 127: one byte in a block.
    pub(super) number: u8,
    pub(super) uid: u64,
    /// Everything else that it says of itself.
    pub(super) rest: Vec<u8>,
}

pub(super) fn info(payload: &[u8]) -> Result<Info, Unsupported> {
    let (scale, mut ticks) = (scale(payload)?, None);
    for field in ebml::children(payload) {
        let field = field?;
        if field.id == ids::DURATION {
            ticks = Some(ebml::float_of(field.payload).ok_or(MALFORMED)?);
        }
    }
    let nanos = ticks.ok_or(Unsupported("the file has no Duration"))? * scale as f64;
    // Also false for NaN; a century is not a film.
    if !(nanos > 0.0 && nanos < 3.2e18) {
        return Err(Unsupported("the Duration is out of range"));
    }
    Ok(Info { scale, duration: Duration::from_nanos(nanos.round() as u64) })
}

/// Returns the nanoseconds per tick (TimestampScale).
pub(super) fn scale(info: &[u8]) -> Result<u64, Unsupported> {
    let mut scale = 1_000_000;
    for field in ebml::children(info) {
        let field = field?;
        if field.id == ids::TIMESTAMP_SCALE {
            scale = field.uint()?;
        }
    }
    // A tick of more than a second tells no times.
    if (1..=1_000_000_000).contains(&scale) {
        Ok(scale)
    } else {
        Err(Unsupported("the TimestampScale is out of range"))
    }
}

/// Reads the only track among these.
pub(super) fn only_track(tracks: &[u8]) -> Result<TrackEntry, Unsupported> {
    let mut found = None;
    for track in ebml::children(tracks) {
        let track = track?;
        if track.id == ids::TRACK_ENTRY && found.replace(entry(track.payload)?).is_some() {
            return Err(Unsupported("the file has several tracks"));
        }
    }
    found.ok_or(Unsupported("the file has no track"))
}

fn entry(payload: &[u8]) -> Result<TrackEntry, Unsupported> {
    let (mut number, mut uid, mut kind, mut codec) = (None, 0, None, &b""[..]);
    let mut rest = Vec::new();
    for field in ebml::children(payload) {
        let field = field?;
        match field.id {
            ids::TRACK_NUMBER => number = Some(field.uint()?),
            ids::TRACK_UID => uid = field.uint()?,
            // Being the only one of its kind it is the default. A sum of what is changed would be
            // wrong, and there is nothing else that it could refer to.
            ids::FLAG_DEFAULT
            | ids::CRC_32
            | ids::VOID
            | ids::TRACK_OVERLAY
            | ids::TRACK_TRANSLATE => {}
            ids::TRACK_OPERATION => {
                return Err(Unsupported("the track is composed of other tracks (TrackOperation)"));
            }
            ids::CONTENT_ENCODINGS => {
                return Err(Unsupported("the track is encrypted or compressed (ContentEncodings)"));
            }
            ids::TRACK_TIMESTAMP_SCALE if ebml::float_of(field.payload) != Some(1.0) => {
                return Err(Unsupported("the track has a TrackTimestampScale of its own"));
            }
            id => {
                match id {
                    ids::TRACK_TYPE => kind = Some(field.uint()?),
                    ids::CODEC_ID => codec = field.payload,
                    _ => {}
                }
                rest.extend_from_slice(field.bytes);
            }
        }
    }
    let number = number.and_then(|number| u8::try_from(number).ok());
    let number = number.filter(|number| (1..128).contains(number));
    let number = number.ok_or(Unsupported("the track number does not fit in one byte"))?;
    // The track types of RFC 9559 §5.1.4.1.3, and the codecs of the WebM container guidelines.
    let kind = match (kind, ebml::text_of(codec)) {
        (Some(1), b"V_VP8" | b"V_VP9" | b"V_AV1") => TrackKind::Video,
        (Some(2), b"A_OPUS" | b"A_VORBIS") => TrackKind::Audio,
        _ => return Err(Unsupported("the codec is not allowed in WebM")),
    };
    Ok(TrackEntry { kind, number, uid, rest })
}

impl TrackEntry {
    /// The track under another number and ID, with its label.
    pub(super) fn numbered(&self, number: u8, uid: u64, label: &HeaderLabel<'_>) -> Vec<u8> {
        let number = ebml::uint(ids::TRACK_NUMBER, u64::from(number));
        let uid = ebml::uint(ids::TRACK_UID, uid);
        ebml::element(ids::TRACK_ENTRY, &[&number, &uid, &label.track_entry(&self.rest)])
    }
}
