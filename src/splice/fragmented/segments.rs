//! [`SegmentRewriter`] copies segments of fragments that have video and audio in one: their fragments alone, in as
//! many bytes as they have.

use super::fragment::{self, FragmentInfo, flags};
use super::init::InitSegment;
use super::moof::{TrackPatch, rewrite_moof};
use super::parts::{Later, on_clock};
use crate::container::isobmff::{children, header, u32_at};
use crate::error::{Error, Unsupported};
use crate::media::segments::Declared;
use crate::splice::place::Places;
use crate::splice::{MAX_ELEMENT, RangeWriter, TrackInput};

/// How such segments are rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRewriter {
    /// The rules for each track: where timestamps begin again, they go on.
    pub(super) tracks: Vec<TrackPatch>,
    pub(super) inits: Vec<InitSegment>,
    /// What is declared of each segment, and whether its timestamps may begin again.
    pub(super) segments: Vec<(Declared, bool)>,
}

impl SegmentRewriter {
    /// Feeds `update` an unambiguous encoding, for a digest.
    pub(in crate::splice) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        let late = self.tracks.iter().map(|track| track.shift).filter(|shift| *shift > 0);
        late.for_each(|shift| update(&shift.to_be_bytes()));
        for Later { from, by } in self.tracks.iter().flat_map(|track| &track.later) {
            update(&from.to_be_bytes());
            update(&by.to_be_bytes());
        }
    }

    /// Returns how many bytes of memory the rules occupy, about.
    pub(in crate::splice) fn memory_size(&self) -> usize {
        self.segments.capacity() * size_of::<(Declared, bool)>()
    }

    /// Adds the times of a fragment to what there is of its segment.
    fn place(&self, moof: &[u8], places: &mut Places) -> Result<(), &'static str> {
        for (track, init) in self.inits.iter().enumerate() {
            let info = fragment::times(moof, init).map_err(|Unsupported(why)| why)?;
            let Some(FragmentInfo { time, duration, .. }) = info else { continue };
            let [time, duration] = [time, duration].map(|time| on_clock(time, init.timescale));
            let [time, duration] =
                [time, duration].map(|time| time.map_err(|Unsupported(why)| why));
            places.add(track, time?, Some(duration?));
        }
        Ok(())
    }

    /// Copies the fragments of the segment number `index`, of `len` bytes, that comes next from `input`. The last mdat is extended
    /// by what was left out before it.
    pub(in crate::splice) fn rewrite(
        &self,
        index: usize,
        len: u64,
        input: &mut TrackInput<'_>,
        window: &mut RangeWriter<'_>,
        places: &mut Places,
    ) -> Result<(), Error> {
        let (declared, is_restart) = self.segments[index];
        places.begin(Some(declared), is_restart).map_err(|why| input.mismatch(why))?;
        let next = self.segments.get(index + 1);
        let is_last = next.is_none_or(|(_, is_restart)| *is_restart);
        const LONGEST_HEADER: u64 = 16;
        let tracks: Vec<TrackPatch> =
            self.tracks.iter().map(|track| track.at(input.at()).into_owned()).collect();
        let is_moved = tracks.iter().any(|track| track.lead != track.shift);
        let (mut left, mut left_out, mut awaits_media) = (len, 0, false);
        while left > 0 && !window.is_over() {
            let front = input.peek(LONGEST_HEADER.min(left) as usize)?;
            let found = header(front.get(..LONGEST_HEADER.min(left) as usize).unwrap_or(front));
            let found =
                found.ok_or_else(|| input.mismatch("a segment does not consist of boxes"))?;
            let box_len =
                found.len.filter(|box_len| *box_len <= left && *box_len >= found.header as u64);
            let box_len =
                box_len.ok_or_else(|| input.mismatch("a box is longer than its segment"))?;
            left -= box_len;
            match &found.kind {
                b"moof" if box_len <= MAX_ELEMENT as u64 => {
                    let moof = input.read_exact(box_len as usize)?;
                    let payload = &mut moof[found.header..];
                    let is_relative = is_relative(payload);
                    let moved =
                        if is_moved { rewrite_moof(&tracks, payload, None, 0) } else { Ok(()) };
                    let placed = moved.and_then(|()| self.place(payload, places));
                    window.write(moof)?;
                    if !is_relative {
                        return Err(
                            input.mismatch("a fragment has offsets in its file, or is malformed")
                        );
                    }
                    placed.map_err(|why| input.mismatch(why))?;
                    awaits_media = true;
                }
                b"moof" => return Err(input.mismatch("a fragment is too long")),
                b"mdat" if !awaits_media => {
                    return Err(input.mismatch("media data (mdat) precedes its fragment (moof)"));
                }
                b"mdat" => {
                    awaits_media = false;
                    if left == 0 {
                        // Later, an error could not be reported any more.
                        places.verify(is_last).map_err(|why| input.mismatch(why))?;
                    }
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
            places.verify(is_last).map_err(|why| input.mismatch(why))?;
            let len = u32::try_from(left_out).map_err(|_| input.mismatch("a box is too long"))?;
            window.write(&[&len.to_be_bytes()[..], b"free"].concat())?;
            window.write_zeros(left_out - 8)?;
        }
        Ok(())
    }
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
    use std::time::Duration;

    use super::*;
    use crate::container::isobmff::boxed;
    use crate::media::TrackKind;

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
        let declared = Declared { duration: Duration::ZERO, rounding: Duration::ZERO };
        let (tracks, inits, segments) = (Vec::new(), Vec::new(), vec![(declared, false)]);
        let rules = SegmentRewriter { tracks, inits, segments };
        let len = segment.len() as u64;
        rules.rewrite(0, len, &mut input, &mut window, &mut Places::default())?;
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
