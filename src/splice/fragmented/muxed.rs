//! Splices segments of fragments that have video and audio in one (HLS with EXT-X-MAP, RFC 8216 §3.3): the
//! segments as they are, behind a moov that knows their duration, and a segment index for each track.
//!
//! The segments keep their lengths, but have nothing but fragments: indexes in them would mislead players, and
//! fragments must follow each other without a gap. What is left out is made up for at the end of the last mdat.

use std::time::Duration;

use super::fragment::{flags, info_at};
use super::init::InitSegment;
use crate::container::Container;
use crate::container::isobmff::{boxed, children, header, u32_at};
use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;
use crate::container::mpeg_ts::ticks;
use crate::error::Error;
use crate::media::{Metadata, TrackKind};
use crate::splice::edits::{self, NANOS, Rescale};
use crate::splice::headers::{mdhd, mvhd, tkhd};
use crate::splice::layout::Rewriter;
use crate::splice::sidx::{self, SegmentIndex};
use crate::splice::trak::{Moov, Trak};
use crate::splice::{
    Layout, MAX_ELEMENT, Options, Plan, RangeWriter, ReadAt, SourceSegment, SurveyError,
    TrackInput, Unsupported, tags,
};

/// The maximum number of segments.
const MAX_SEGMENTS: usize = 1 << 16;
/// The longest duration, so that sums of times fit.
const MAX_DURATION: Duration = Duration::from_secs(1000 * 24 * 3600);

/// The index of such segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Muxed {
    /// Video and audio.
    tracks: [MuxedTrack; 2],
    segments: Vec<SourceSegment>,
    duration: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MuxedTrack {
    init: InitSegment,
    /// The earliest composition time.
    earliest: u64,
}

impl Muxed {
    /// Returns the sum of the durations of the segments.
    pub(in crate::splice) fn duration(&self) -> Duration {
        self.duration
    }
}

/// Returns whether a file is delivered in segments that have several tracks in one.
pub(in crate::splice) fn is_muxed(reader: &dyn ReadAt, moov: &[u8]) -> bool {
    reader.segments().is_some() && Moov::read(moov).is_ok_and(|moov| moov.traks.len() > 1)
}

/// Reads the index of segments after a moov, which ends at `moov_end`.
pub(in crate::splice) fn read_index(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    moov_end: u64,
) -> Result<Muxed, SurveyError> {
    if Moov::read(moov)?.traks.len() != 2 {
        return Err(
            Unsupported("the file has more tracks than one of video and one of audio").into()
        );
    }
    let segments = reader.segments().map(<[_]>::to_vec).unwrap_or_default();
    let first = segments.first().map_or(0, |segment| segment.offset);
    let mut next = first;
    let mut duration = Duration::ZERO;
    for segment in &segments {
        if segment.offset != next || segment.len == 0 || segment.is_discontinuous {
            return Err(Unsupported("the segments do not follow one another").into());
        }
        next += segment.len;
        duration = duration.saturating_add(segment.duration);
    }
    if segments.is_empty() || segments.len() > MAX_SEGMENTS || next != reader.len() {
        return Err(Unsupported("the segments are not the whole file").into());
    }
    if moov_end > first || duration > MAX_DURATION {
        return Err(Unsupported("the segments are not what their list declares").into());
    }
    let mut track = |kind| {
        let init = InitSegment::of_kind(moov, kind)?;
        let earliest = info_at(reader, first, &init)?.earliest;
        if earliest >= u64::from(init.timescale) {
            return Err(Unsupported("the segments begin late").into());
        }
        Ok::<_, SurveyError>(MuxedTrack { init, earliest })
    };
    let tracks = [track(TrackKind::Video)?, track(TrackKind::Audio)?];
    Ok(Muxed { tracks, segments, duration })
}

pub(in crate::splice) fn plan(muxed: &Muxed, options: &Options<'_>) -> Result<Plan, Unsupported> {
    if !options.time_range.is_full() {
        return Err(Unsupported("segments with video and audio in one are not trimmed"));
    }
    let Muxed { tracks, segments, duration } = muxed;
    let mut layout = Layout::with_capacity(segments.len());
    for SourceSegment { offset, len, .. } in segments {
        layout.add(0, *offset..offset + len);
    }
    let mut head = head(muxed, options.metadata)?;
    let (mut starts, mut time) = (Vec::with_capacity(segments.len()), Duration::ZERO);
    for (segment, at) in segments.iter().zip(layout.track_offsets(0)) {
        starts.push((ticks(time), at));
        time += segment.duration;
    }
    let end = (ticks(*duration), layout.len());
    let presented = tracks.iter().map(MuxedTrack::presented).min().unwrap_or_default();
    let indexes = tracks.iter().map(|track @ MuxedTrack { init, earliest }| {
        let scale = Rescale { from: TICKS_PER_SECOND as u32, to: init.timescale };
        // A player that is led to a key frame by the index of the video must find the same segment in that of
        // the audio, which may begin a little later.
        let later = u64::try_from(track.presented() - presented).unwrap_or_default();
        let earliest = earliest.saturating_sub(scale.round(later).ok()?);
        let sap = if init.kind == TrackKind::Video { sidx::UNKNOWN } else { sidx::FIRST_ENTRY };
        let (begin, references) = sidx::by_declared_times(&starts, end, scale, sap)?;
        let (track, timescale) = (init.id, init.timescale);
        Some(SegmentIndex { track, timescale, earliest, begin, references })
    });
    if let Some(indexes) = indexes.collect::<Option<Vec<_>>>() {
        sidx::add(&mut head, &indexes);
    }
    Ok(layout.plan(head, Container::Mp4, *duration, Rewriter::Muxed))
}

impl MuxedTrack {
    /// Returns when the presentation begins, in ticks of 1/90000 s.
    fn presented(&self) -> i128 {
        let offset = self.init.simple_timeline().map_or(0, |timeline| timeline.offset());
        let ticks = (i128::from(self.earliest) + offset) * i128::from(TICKS_PER_SECOND);
        ticks / i128::from(self.init.timescale.max(1))
    }
}

/// Returns ftyp and moov.
fn head(muxed: &Muxed, tags: &Metadata) -> Result<Vec<u8>, Unsupported> {
    let Muxed { tracks, duration, .. } = muxed;
    let scale = tracks[0].init.movie_scale;
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let in_scale = |to: u32| Rescale { from: NANOS, to }.round(nanos);
    let end = in_scale(scale)?;
    let last_id = tracks.iter().map(|track| track.init.id).max().unwrap_or_default();
    let mut parts = vec![mvhd(scale, end, last_id.saturating_add(1))];
    // Without a duration here, some players take the file for a live stream.
    let mut mvex = vec![boxed(b"mehd", &[&[1, 0, 0, 0], &end.to_be_bytes()])];
    for MuxedTrack { init, .. } in tracks {
        let trak = Trak::read(&init.trak)?;
        let mut boxes = Vec::new();
        for found in &trak.boxes {
            boxes.push(match &found.kind {
                b"tkhd" => tkhd(found, init.id, end)?,
                b"edts" => edits::edts(&init.edits),
                b"mdia" => {
                    let media = trak.mdia.iter().map(|found| match &found.kind {
                        b"mdhd" => mdhd(found, in_scale(init.timescale)?),
                        _ => Ok(found.bytes.to_vec()),
                    });
                    boxed(b"mdia", &[&media.collect::<Result<Vec<_>, _>>()?.concat()])
                }
                _ => found.bytes.to_vec(),
            });
        }
        parts.push(boxed(b"trak", &[&boxes.concat()]));
        mvex.push(boxed(b"trex", &[&init.trex]));
    }
    parts.push(boxed(b"mvex", &[&mvex.concat()]));
    parts.push(tags::udta(tags));
    let ftyp = boxed(b"ftyp", &[b"iso6", &512_u32.to_be_bytes(), b"iso6isommp41"]);
    Ok([ftyp, boxed(b"moov", &[&parts.concat()])].concat())
}

/// Copies the fragments of the segment of `len` bytes that comes next from `input`. The last mdat is extended
/// by what was left out before it.
pub(in crate::splice) fn rewrite(
    len: u64,
    input: &mut TrackInput<'_>,
    window: &mut RangeWriter<'_>,
) -> Result<(), Error> {
    const LONGEST_HEADER: u64 = 16;
    let (mut left, mut left_out, mut awaits_media) = (len, 0, false);
    while left > 0 && !window.is_over() {
        let front = input.peek(LONGEST_HEADER.min(left) as usize)?;
        let found = header(front.get(..LONGEST_HEADER.min(left) as usize).unwrap_or(front));
        let found = found.ok_or_else(|| input.mismatch("a segment does not consist of boxes"))?;
        let box_len =
            found.len.filter(|box_len| *box_len <= left && *box_len >= found.header as u64);
        let box_len = box_len.ok_or_else(|| input.mismatch("a box is longer than its segment"))?;
        left -= box_len;
        match &found.kind {
            b"moof" if box_len <= MAX_ELEMENT as u64 => {
                let moof = input.read_exact(box_len as usize)?;
                let is_relative = is_relative(&moof[found.header..]);
                window.write(moof)?;
                if !is_relative {
                    return Err(
                        input.mismatch("a fragment has offsets in its file, or is malformed")
                    );
                }
                awaits_media = true;
            }
            b"moof" => return Err(input.mismatch("a fragment is too long")),
            b"mdat" if !awaits_media => {
                return Err(input.mismatch("media data (mdat) precedes its fragment (moof)"));
            }
            b"mdat" => {
                awaits_media = false;
                let more = if left == 0 { std::mem::take(&mut left_out) } else { 0 };
                let bytes = input.read_exact(found.header)?;
                if !set_len(bytes, box_len + more) {
                    return Err(input.mismatch("a box is too long"));
                }
                window.write(bytes)?;
                copy(box_len - found.header as u64, input, window)?;
                window.write_zeros(more)?;
            }
            // The offsets of the samples count from the moof.
            _ if awaits_media => {
                let bytes = input.read_exact(found.header)?;
                bytes[4..8].copy_from_slice(b"free");
                window.write(bytes)?;
                copy(box_len - found.header as u64, input, window)?;
            }
            _ => {
                input.skip_to(input.at() + box_len)?;
                left_out += box_len;
            }
        }
    }
    if left_out > 0 && !window.is_over() {
        // Something lies behind the last mdat.
        let len = u32::try_from(left_out).map_err(|_| input.mismatch("a box is too long"))?;
        window.write(&[&len.to_be_bytes()[..], b"free"].concat())?;
        window.write_zeros(left_out - 8)?;
    }
    Ok(())
}

/// Copies the next `len` bytes, and skips those before the range.
fn copy(len: u64, input: &mut TrackInput<'_>, window: &mut RangeWriter<'_>) -> Result<(), Error> {
    let skipped = window.skip_ahead(len);
    input.skip_to(input.at() + skipped)?;
    window.copy(input, len - skipped)
}

/// Sets the length of a box in its header.
fn set_len(header: &mut [u8], len: u64) -> bool {
    match (header, u32::try_from(len)) {
        ([_, _, _, _, _, _, _, _, long @ ..], _) if !long.is_empty() => {
            long.copy_from_slice(&len.to_be_bytes());
            true
        }
        (header, Ok(len)) => {
            header[..4].copy_from_slice(&len.to_be_bytes());
            true
        }
        (_, Err(_)) => false,
    }
}

/// Returns whether no fragment of a track has offsets from the beginning of the file (§8.8.7).
pub(super) fn is_relative(moof: &[u8]) -> bool {
    let Some(boxes) = children(moof) else { return false };
    let mut trafs = boxes.iter().filter(|found| found.kind == *b"traf");
    trafs.all(|traf| {
        let boxes = children(traf.payload()).unwrap_or_default();
        let tfhd = boxes.iter().find(|found| found.kind == *b"tfhd");
        let flags_field = tfhd.and_then(|tfhd| u32_at(tfhd.payload(), 0));
        flags_field.is_some_and(|flags_field| flags_field & flags::BASE_DATA_OFFSET == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(segment: &[u8], range: std::ops::Range<u64>) -> Result<Vec<u8>, Error> {
        let mut chunks = segment.chunks(3);
        let mut input = TrackInput::new(TrackKind::Video, 0, move |_| {
            chunks.next().map(|chunk| (chunk.to_vec(), chunk.len())).ok_or(Error::Stopped)
        });
        let mut made = Vec::new();
        let mut send = |bytes: &[u8]| {
            made.extend_from_slice(bytes);
            Ok(())
        };
        let mut window = RangeWriter::new(0, range, &mut send);
        rewrite(segment.len() as u64, &mut input, &mut window)?;
        Ok(made)
    }

    fn moof(flags_field: u32) -> Vec<u8> {
        let tfhd = boxed(b"tfhd", &[&flags_field.to_be_bytes(), &[0, 0, 0, 1], &[0; 8]]);
        boxed(b"moof", &[&boxed(b"mfhd", &[&[0; 8]]), &boxed(b"traf", &[&tfhd])])
    }

    #[test]
    fn fragments_follow_each_other_and_lengths_stay() {
        let [styp, sidx] = [boxed(b"styp", &[b"msdh"]), boxed(b"sidx", &[&[7; 30]])];
        let [moof, mdat] = [moof(0x2_0000), boxed(b"mdat", &[&[9; 100]])];
        let filled = |count| boxed(b"mdat", &[&[9; 100], &vec![0; count]]);
        let front = styp.len() + sidx.len();
        for (source, expected) in [
            ([&styp[..], &sidx, &moof, &mdat].concat(), [&moof[..], &filled(front)].concat()),
            (
                [&styp[..], &moof, &mdat, &sidx, &moof, &mdat].concat(),
                [&moof[..], &mdat, &moof, &filled(front)].concat(),
            ),
            (
                [&styp[..], &moof, &sidx, &mdat].concat(),
                [&moof[..], &boxed(b"free", &[&[7; 30]]), &filled(styp.len())].concat(),
            ),
            (
                [&styp[..], &moof, &mdat, &sidx].concat(),
                [&moof[..], &mdat, &boxed(b"free", &[&vec![0; front - 8]])].concat(),
            ),
        ] {
            let len = source.len() as u64;
            assert_eq!(rewritten(&source, 0..len).unwrap(), expected);
            for start in 0..len {
                let end = (start + 20).min(len);
                let made = rewritten(&source, start..end).unwrap();
                assert_eq!(made, expected[start as usize..end as usize], "{start}");
            }
        }
        let mut wide = [&[0, 0, 0, 1][..], b"mdat", &[0; 8]].concat();
        assert!(set_len(&mut wide, 1 << 40) && wide[8..] == (1_u64 << 40).to_be_bytes());
        assert!(!set_len(&mut wide[..8], 1 << 40));
    }

    #[test]
    fn what_would_be_wrong_in_the_joined_file_is_an_error() {
        let media = boxed(b"mdat", &[&[9; 100]]);
        for segment in [moof(1), boxed(b"moof", &[&[1; 9]]), vec![0, 0, 0, 20], vec![0; 8], media] {
            let len = segment.len() as u64;
            let error = rewritten(&segment, 0..len).unwrap_err();
            assert!(matches!(error, Error::Upstream { .. }), "{segment:?}: {error}");
        }
        let cut = &boxed(b"mdat", &[&[9; 100]])[..50];
        assert!(rewritten(cut, 0..50).is_err());
    }
}
