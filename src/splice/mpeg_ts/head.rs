//! Writes the header of the joined file: ftyp and moov (ISO/IEC 14496-12 §4.3, §8).

use super::remux::StreamConfig;
use super::{OutputTrack, SCALE};
use crate::container::isobmff::{Mp4Box, boxed};
use crate::container::mpeg_ts::{AudioConfig, VideoConfig};
use crate::error::Unsupported;
use crate::media::{Metadata, TrackKind};
use crate::splice::edits::{self, Edit, NORMAL_RATE, Rescale};
use crate::splice::headers::{mvhd, tkhd};
use crate::splice::labels::{HeaderLabel, header_labels};
use crate::splice::{tags, trak};

/// Returns everything that precedes the indexes, of a file whose presentation begins at `begin`, and ends at
/// `end`.
pub(super) fn head(
    tracks: &[OutputTrack<'_>],
    begin: u64,
    end: u64,
    tags: &Metadata,
) -> Result<Vec<u8>, Unsupported> {
    let mut parts = vec![mvhd(SCALE, end, tracks.len() as u32 + 1)];
    // Without a duration here, some players take the file for a live stream, which it may be.
    let mehd = boxed(b"mehd", &[&[1, 0, 0, 0], &end.to_be_bytes()]);
    let mut mvex = if end > 0 { vec![mehd] } else { Vec::new() };
    let files = tracks.iter().map(|track| (track.kind(), usize::from(track.file)));
    for (track, label) in tracks.iter().zip(header_labels(files, &tags.labels)) {
        parts.push(trak(track, &label, begin)?);
        let id = track.stream.id.to_be_bytes();
        mvex.push(boxed(b"trex", &[&[0; 4], &id, &1u32.to_be_bytes(), &[0; 12]]));
    }
    parts.push(boxed(b"mvex", &[&mvex.concat()]));
    parts.push(tags::udta(tags));
    let ftyp = boxed(b"ftyp", &[b"iso6", &512_u32.to_be_bytes(), b"iso6isommp41"]);
    Ok([ftyp, boxed(b"moov", &[&parts.concat()])].concat())
}

fn trak(
    track: &OutputTrack<'_>,
    label: &HeaderLabel<'_>,
    begin: u64,
) -> Result<Vec<u8>, Unsupported> {
    let scale = Rescale { from: SCALE, to: track.scale() };
    let media_time = scale.round(begin.saturating_sub(track.stream.base))?;
    let media_time = i64::try_from(media_time).map_err(|_| edits::TOO_LONG)?;
    // A duration of 0 means to the end of all fragments (§8.6.6.1).
    let edit = Edit { segment: 0, media_time, rate: NORMAL_RATE };
    let edits = if media_time == 0 { Vec::new() } else { vec![edit] };
    let end = track.end;
    let (kind, volume, size, header) = match &track.stream.config {
        StreamConfig::Video(config) => {
            (TrackKind::Video, 0, display_size(config), boxed(b"vmhd", &[&[0, 0, 0, 1], &[0; 8]]))
        }
        StreamConfig::Audio(_) => (TrackKind::Audio, 0x100_u16, [0; 2], boxed(b"smhd", &[&[0; 8]])),
    };
    let matrix = [0x1_0000_u32, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000].map(u32::to_be_bytes);
    let rest = [&[0; 12][..], &volume.to_be_bytes(), &[0; 2], matrix.as_flattened()].concat();
    let size = size.map(u32::to_be_bytes);
    let plain = boxed(b"tkhd", &[&[0, 0, 0, 3], &[0; 20], &rest, size.as_flattened()]);
    let plain = Mp4Box { kind: *b"tkhd", at: 0, header: 8, bytes: &plain };
    let tkhd = label.tkhd(tkhd(&plain, track.stream.id, end)?);

    // The language is not determined (ISO 639-2), unless the label tells it.
    let times = [&[1, 0, 0, 0][..], &[0; 16], &track.scale().to_be_bytes()].concat();
    let mdhd = boxed(b"mdhd", &[&times, &scale.round(end)?.to_be_bytes(), &[0x55, 0xc4, 0, 0]]);
    let mdhd = label.mdhd(mdhd);
    let hdlr = boxed(b"hdlr", &[&[0; 8], trak::handler(kind), &[0; 12], b"\0"]);
    let hdlr = label.hdlr(hdlr);
    let dref = boxed(b"dref", &[&[0; 4], &1u32.to_be_bytes(), &boxed(b"url ", &[&[0, 0, 0, 1]])]);
    let minf = boxed(b"minf", &[&header, &boxed(b"dinf", &[&dref]), &stbl(track)?]);
    let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
    Ok(boxed(b"trak", &[&tkhd, &edits::edts(&edits), &mdia, &label.udta()]))
}

/// Returns the sample table, whose samples are all in fragments.
fn stbl(track: &OutputTrack<'_>) -> Result<Vec<u8>, Unsupported> {
    let entry = match &track.stream.config {
        StreamConfig::Video(config) => video_entry(config)?,
        StreamConfig::Audio(config) => audio_entry(config),
    };
    let stsd = boxed(b"stsd", &[&[0; 4], &1u32.to_be_bytes(), &entry]);
    let empty = |kind: &[u8; 4]| boxed(kind, &[&[0; 8]]);
    let stsz = boxed(b"stsz", &[&[0; 12]]);
    Ok(boxed(b"stbl", &[&stsd, &empty(b"stts"), &empty(b"stsc"), &stsz, &empty(b"stco")]))
}

fn video_entry(config: &VideoConfig) -> Result<Vec<u8>, Unsupported> {
    let (entry, kind, record) =
        config.record().ok_or(Unsupported("the parameter sets of the video are incomplete"))?;
    let size = config.size().map(u16::to_be_bytes);
    let resolution = [0x48_0000_u32; 2].map(u32::to_be_bytes);
    let fields = [
        &[0, 0, 0, 0, 0, 0, 0, 1][..],
        &[0; 16],
        size.as_flattened(),
        resolution.as_flattened(),
        &[0; 4],
        &[0, 1],
        &[0; 32],
        &[0, 24, 0xff, 0xff],
    ];
    let aspect = config.pixel_aspect().map(u32::from).map(u32::to_be_bytes);
    let is_square = aspect[0] == aspect[1];
    let pasp = if is_square { Vec::new() } else { boxed(b"pasp", &[aspect.as_flattened()]) };
    Ok(boxed(&entry, &[&fields.concat(), &boxed(&kind, &[&record]), &pasp]))
}

/// Returns width and height for the presentation, in 1/65536 of a pixel.
fn display_size(config: &VideoConfig) -> [u32; 2] {
    let [width, height] = config.size().map(u64::from);
    let [across, down] = config.pixel_aspect().map(u64::from);
    let width = u32::try_from((width << 16) * across / down.max(1)).unwrap_or(u32::MAX);
    [width, (height as u32) << 16]
}

fn audio_entry(config: &AudioConfig) -> Vec<u8> {
    // The rate is fixed-point (16.16); one that does not fit is in the decoder's configuration.
    let rate = u16::try_from(config.rate()).map_or(0, |rate| u32::from(rate) << 16);
    let numbers = [config.channels().to_be_bytes(), 16_u16.to_be_bytes(), [0; 2], [0; 2]];
    let fields = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 8], numbers.as_flattened()].concat();
    boxed(&config.entry_type(), &[&fields, &rate.to_be_bytes(), config.record()])
}
