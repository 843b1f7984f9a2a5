//! The timestamps of fragments: their decode times (tfdt, ISO/IEC 14496-12 §8.8.12).

use super::Shift;
use crate::container::isobmff::fields::{TimeHeader, TrackHeader, decode_time};
use crate::container::isobmff::{Mp4Box, children, find, header, u32_at};
use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;

/// Maximum length of a box that is held until it is complete.
const MAX_BOX: u64 = 4 << 20;

const MALFORMED: &str = "a fragment is malformed";

/// Boxes of a fragmented MP4, as they come.
#[derive(Default)]
pub(super) struct Fragments {
    /// A box that is not complete.
    partial: Vec<u8>,
    /// How many of the next bytes belong to a box that stays as it is.
    passing: u64,
    tracks: Vec<Track>,
}

/// What is known of a track from the moov.
struct Track {
    id: u32,
    timescale: u32,
    /// The duration of samples that have none of their own.
    sample_duration: u32,
}

impl Fragments {
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        shift: &mut Shift,
        output: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if self.passing > 0 {
                let count = usize::try_from(self.passing).unwrap_or(usize::MAX).min(bytes.len());
                output.extend_from_slice(&bytes[..count]);
                self.passing -= count as u64;
                bytes = &bytes[count..];
                continue;
            }
            let needed = self.needed()?;
            let count = needed.saturating_sub(self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if self.partial.len() == self.needed()? {
                self.end_box(shift)?;
                output.append(&mut self.partial);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, output: &mut Vec<u8>) {
        output.extend(self.partial);
    }

    /// Returns how many bytes of a box must be held.
    fn needed(&self) -> Result<usize, &'static str> {
        let is_long = self.partial.first_chunk() == Some(&[0, 0, 0, 1]);
        let head = if is_long { 16 } else { 8 };
        match header(&self.partial).filter(|_| self.partial.len() >= head) {
            Some(found) if matches!(&found.kind, b"moov" | b"moof") => {
                let len =
                    found.len.filter(|len| *len <= MAX_BOX).ok_or("a fragment is too long")?;
                Ok(len as usize)
            }
            _ => Ok(head),
        }
    }

    /// Mends a box that is complete, or the header of one that stays as it is.
    fn end_box(&mut self, shift: &mut Shift) -> Result<(), &'static str> {
        let found = header(&self.partial).ok_or(MALFORMED)?;
        match &found.kind {
            b"moov" => {
                let boxes = children(&self.partial[found.header..]).ok_or(MALFORMED)?;
                let mvex = boxes.iter().find(|found| &found.kind == b"mvex");
                let mvex = mvex.and_then(|mvex| children(mvex.payload())).unwrap_or_default();
                let tracks = boxes.iter().filter(|found| &found.kind == b"trak");
                self.tracks = tracks.filter_map(|trak| Track::read(trak, &mvex)).collect();
                Ok(())
            }
            b"moof" => self.mend(found.header, shift),
            kind => {
                self.passing =
                    found.len.map_or(u64::MAX, |len| len.saturating_sub(found.header as u64));
                // Its times may be those of before.
                if kind == b"sidx" {
                    self.partial[4..8].copy_from_slice(b"free");
                }
                Ok(())
            }
        }
    }

    /// Shifts the decode times of a moof, whose header has this length.
    fn mend(&mut self, head: usize, shift: &mut Shift) -> Result<(), &'static str> {
        let bytes = self.partial.clone();
        let fragments = children(&bytes[head..]).ok_or(MALFORMED)?;
        for traf in fragments.iter().filter(|found| &found.kind == b"traf") {
            let boxes = children(traf.payload()).ok_or(MALFORMED)?;
            let of_kind = |kind: &[u8; 4]| boxes.iter().find(|found| found.kind == *kind);
            let track = of_kind(b"tfhd").and_then(|tfhd| u32_at(tfhd.payload(), 4));
            let track = self.tracks.iter().find(|own| Some(own.id) == track);
            let (Some(track), Some(tfdt)) = (track, of_kind(b"tfdt")) else {
                return Err("a fragment has no decode time (tfdt)");
            };
            let time = decode_time(tfdt.payload()).ok_or(MALFORMED)?;
            let (scale, ticks) = (i128::from(track.timescale), i128::from(TICKS_PER_SECOND));
            let on_clock =
                |time: u64| i64::try_from(i128::from(time) * ticks / scale).map_err(|_| MALFORMED);
            let by = shift.at(on_clock(time)?)?;
            let duration = track.duration(&boxes).ok_or(MALFORMED)?;
            shift.reach(on_clock(time.saturating_add(duration))?);
            let by = (i128::from(by) * scale * 2 + ticks).div_euclid(ticks * 2);
            let time = u64::try_from(i128::from(time) + by);
            let time = time.map_err(|_| "its timestamps begin before the stream")?;
            let at = head + traf.at + traf.header + tfdt.at + tfdt.header;
            self.write(at, time)?;
        }
        Ok(())
    }

    /// Writes a decode time into the payload of a tfdt at `at`.
    fn write(&mut self, at: usize, time: u64) -> Result<(), &'static str> {
        let version = self.partial[at];
        let field = &mut self.partial[at + 4..];
        if version == 0 {
            let time = u32::try_from(time).map_err(|_| "its timestamps have too few bits")?;
            field[..4].copy_from_slice(&time.to_be_bytes());
        } else {
            field[..8].copy_from_slice(&time.to_be_bytes());
        }
        Ok(())
    }
}

impl Track {
    /// Reads a trak, and what the children of the mvex have of the track.
    fn read(trak: &Mp4Box<'_>, mvex: &[Mp4Box<'_>]) -> Option<Track> {
        let TrackHeader { id, .. } = TrackHeader::read(find(trak.payload(), &[b"tkhd"])?)?;
        let media = TimeHeader::read(find(trak.payload(), &[b"mdia", b"mdhd"])?)?;
        let mut trexs = mvex.iter().filter(|found| &found.kind == b"trex");
        let trex = trexs.find(|trex| u32_at(trex.payload(), 4) == Some(id));
        let sample_duration = trex.and_then(|trex| u32_at(trex.payload(), 12)).unwrap_or_default();
        let timescale = media.timescale;
        (timescale > 0).then_some(Track { id, timescale, sample_duration })
    }

    /// Returns the duration of the samples of a traf (§8.8.7, §8.8.8).
    fn duration(&self, traf: &[Mp4Box<'_>]) -> Option<u64> {
        const WIDTH: usize = 4;
        let tfhd = traf.iter().find(|found| &found.kind == b"tfhd")?.payload();
        let flags = u32_at(tfhd, 0)?;
        let before =
            [(0x1, 8), (0x2, 4)].map(|(flag, len)| if flags & flag == 0 { 0 } else { len });
        let default = match flags & 0x8 {
            0 => self.sample_duration,
            _ => u32_at(tfhd, 8 + before.iter().sum::<usize>())?,
        };
        let mut sum: u64 = 0;
        for trun in traf.iter().filter(|found| &found.kind == b"trun").map(Mp4Box::payload) {
            let (flags, count) = (u32_at(trun, 0)?, u32_at(trun, 4)?);
            if flags & 0x100 == 0 {
                sum = sum.checked_add(u64::from(count) * u64::from(default))?;
                continue;
            }
            let front = 8 + WIDTH * (flags & 0x5).count_ones() as usize;
            let entry = WIDTH * (flags & 0xf00).count_ones() as usize;
            for entry in trun.get(front..)?.chunks_exact(entry).take(count as usize) {
                sum = sum.checked_add(u32_at(entry, 0)?.into())?;
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{LiveClock, Restart, Retimer};
    use crate::container::isobmff::boxed;
    use crate::container::probe::Format;

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn moov() -> Vec<u8> {
        let tkhd = boxed(b"tkhd", &[&numbers(&[0, 0, 0, 5, 0, 0])]);
        let mdhd = boxed(b"mdhd", &[&numbers(&[0, 0, 0, 1000, 0, 0])]);
        boxed(b"moov", &[&boxed(b"trak", &[&tkhd, &boxed(b"mdia", &[&mdhd])])])
    }

    fn fragment(time: u64) -> Vec<u8> {
        let tfdt = [&numbers(&[1 << 24])[..], &time.to_be_bytes()].concat();
        let traf = [boxed(b"tfhd", &[&numbers(&[0, 5])]), boxed(b"tfdt", &[&tfdt])].concat();
        [boxed(b"moof", &[&boxed(b"traf", &[&traf])]), boxed(b"mdat", &[b"moof, not one"])].concat()
    }

    #[test]
    fn decode_times_go_on_whatever_the_steps() {
        let first = [moov(), fragment(70_000), fragment(71_000)].concat();
        let then = [boxed(b"sidx", &[b"times"]), fragment(5), fragment(1005)].concat();
        let expected = [
            first.clone(),
            boxed(b"free", &[b"times"]),
            [fragment(72_500), fragment(73_500)].concat(),
        ];
        for step in [1, 7, 64, 1000] {
            let mut retimer = Retimer::new(Format::Mp4, &Arc::new(LiveClock::default())).unwrap();
            let mut output = Vec::new();
            first.chunks(step).for_each(|bytes| retimer.push(bytes, &mut output).unwrap());
            retimer.restart(Restart { number: 1, after: Duration::from_millis(2500) });
            then.chunks(step).for_each(|bytes| retimer.push(bytes, &mut output).unwrap());
            retimer.finish(&mut output);
            assert!(output == expected.concat(), "{step}");
        }
    }

    #[test]
    fn what_cannot_be_mended_is_an_error() {
        let push = |bytes: &[u8]| {
            let mut retimer = Retimer::new(Format::Mp4, &Arc::new(LiveClock::default())).unwrap();
            retimer.push(&moov(), &mut Vec::new()).unwrap();
            retimer.push(bytes, &mut Vec::new())
        };
        assert!(push(&fragment(0)).is_ok());
        assert!(push(&boxed(b"moof", &[&boxed(b"traf", &[])])).is_err());
        assert!(push(&boxed(b"moof", &[&[0, 0, 0, 9]])).is_err());
        assert!(push(&[0xff, 0xff, 0xff, 0xff, b'm', b'o', b'o', b'f']).is_err());
        assert!(push(&[0, 0, 0, 1, b'm', b'd', b'a', b't', 0, 0, 0, 0, 0, 0, 0, 2]).is_err());
    }
}
