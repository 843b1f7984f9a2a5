//! [`Run`] collects consecutive samples of a track; a [`Fragment`] has those of all tracks: moof and mdat (ISO/IEC 14496-12 §8.8). Players that seek expect each track in the fragment
//! to which its index leads.

use crate::container::isobmff::boxed;
use crate::container::mpeg_ts::Malformed;

/// The flags of a sample at which decoding can begin, and of any other (§8.8.3.1).
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

/// A sample; times in ticks of the track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Decoding time.
    pub(super) time: u64,
    pub(super) duration: u32,
    /// By how much the presentation is later. Some encoders let it be earlier.
    pub(super) offset: i32,
    pub(super) is_sync: bool,
}

/// Samples that are not written yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    samples: Vec<(Sample, u32)>,
    data: Vec<u8>,
}

impl Run {
    /// Returns the number of bytes of all samples.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Collects the bytes of samples in the first of these buffers, if it has none. They come back in the
    /// order of the tracks, so that only that of the video becomes as large as video is.
    pub(super) fn use_buffer(&mut self, buffers: &mut Vec<Vec<u8>>) {
        if self.data.capacity() == 0 && !buffers.is_empty() {
            self.data = buffers.remove(0);
            self.data.clear();
        }
    }

    /// Appends a sample whose bytes `write` appends to the data.
    pub(super) fn push<R>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<R, Malformed>,
        sample: impl FnOnce(R) -> Sample,
    ) -> Result<(), Malformed> {
        let before = self.data.len();
        let written = write(&mut self.data)?;
        let len = (self.data.len() - before) as u32;
        self.samples.push((sample(written), len));
        Ok(())
    }

    /// Extends or shortens the last sample so that it ends at `time`.
    pub(super) fn end_at(&mut self, time: u64) -> Result<(), Malformed> {
        let Some((last, _)) = self.samples.last_mut() else { return Ok(()) };
        let duration = time.checked_sub(last.time).and_then(|ticks| u32::try_from(ticks).ok());
        last.duration = duration.ok_or(super::timing::NOT_IN_ORDER)?;
        Ok(())
    }

    /// Appends the traf of all samples of `track` to `out`. Their bytes begin at `data_offset` from the
    /// begin of the moof.
    fn write_traf(&self, track: u32, data_offset: usize, out: &mut Vec<u8>) {
        let Some((first, _)) = self.samples.first() else { return };
        let fields = Fields::of(&self.samples);
        let tfhd = fields.tfhd(track);
        let tfdt = boxed(b"tfdt", &[&[1, 0, 0, 0], &first.time.to_be_bytes()]);
        let trun_len = 8 + 12 + fields.len() * self.samples.len();
        header(out, 8 + tfhd.len() + tfdt.len() + trun_len, b"traf");
        out.extend(tfhd);
        out.extend(tfdt);
        header(out, trun_len, b"trun");
        out.extend(fields.flags().to_be_bytes());
        out.extend((self.samples.len() as u32).to_be_bytes());
        out.extend((data_offset as u32).to_be_bytes());
        for (sample, len) in &self.samples {
            fields.write_entry(sample, *len, out);
        }
    }
}

/// A fragment, in pieces: all that precedes the media, and the media of each track.
#[derive(Debug)]
pub(super) struct Fragment {
    front: Vec<u8>,
    media: Vec<Vec<u8>>,
}

impl Fragment {
    /// Returns a fragment of all samples of these tracks, and forgets them; `None` if there are no samples.
    pub(super) fn of<'r>(
        tracks: impl Iterator<Item = (u32, &'r mut Run)>,
        sequence: u32,
    ) -> Option<Fragment> {
        let mut tracks: Vec<_> = tracks.filter(|(_, run)| !run.samples.is_empty()).collect();
        if tracks.is_empty() {
            return None;
        }
        let mfhd = boxed(b"mfhd", &[&[0; 4], &sequence.to_be_bytes()]);
        // How long the moof is does not depend on where the data begins.
        let moof = |data_offset: usize| {
            let (mut trafs, mut data_offset) = (Vec::new(), data_offset);
            for (track, run) in &tracks {
                run.write_traf(*track, data_offset, &mut trafs);
                data_offset += run.len();
            }
            boxed(b"moof", &[&mfhd, &trafs])
        };
        let mut front = moof(moof(0).len() + 8);
        let media_len: usize = tracks.iter().map(|(_, run)| run.len()).sum();
        header(&mut front, 8 + media_len, b"mdat");
        let take = |(_, run): &mut (u32, &mut Run)| {
            run.samples.clear();
            // The data is not copied.
            std::mem::take(&mut run.data)
        };
        Some(Fragment { front, media: tracks.iter_mut().map(take).collect() })
    }

    /// Returns a box without media.
    pub(super) fn free() -> Fragment {
        let mut front = Vec::new();
        header(&mut front, 8, b"free");
        Fragment { front, media: Vec::new() }
    }

    /// Numbers the fragment, which must have samples.
    pub(super) fn set_sequence(&mut self, sequence: u32) {
        // Behind the headers of the moof and of the mfhd, and the version and flags of that.
        if let Some(field) = self.front.get_mut(20..24) {
            field.copy_from_slice(&sequence.to_be_bytes());
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.pieces().map(|piece| piece.len() as u64).sum()
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.front).chain(&self.media).map(Vec::as_slice)
    }

    /// Returns the buffers of the media.
    pub(super) fn into_buffers(self) -> Vec<Vec<u8>> {
        self.media
    }

    pub(super) fn into_pieces(self) -> impl Iterator<Item = Vec<u8>> {
        std::iter::once(self.front).chain(self.media)
    }

    /// Declares that the last box is longer by `len` bytes, which follow. Returns whether that is possible.
    pub(super) fn extend(&mut self, len: u64) -> bool {
        let Some(length) = self.front.last_chunk_mut::<8>() else { return false };
        let [a, b, c, d, ..] = *length;
        let extended = u32::try_from(u64::from(u32::from_be_bytes([a, b, c, d])) + len);
        extended.is_ok_and(|extended| {
            length[..4].copy_from_slice(&extended.to_be_bytes());
            true
        })
    }
}

/// Appends the header of a box of `len` bytes.
fn header(out: &mut Vec<u8>, len: usize, kind: &[u8; 4]) {
    // Samples of at most a few megabytes, and their entries.
    out.extend((len as u32).to_be_bytes());
    out.extend(kind);
}

/// Which fields the entries of a trun have (§8.8.8.2); what is the same for all samples is in the tfhd.
struct Fields {
    duration: Option<u32>,
    len: Option<u32>,
    is_sync: Option<bool>,
    has_offsets: bool,
    has_negative_offsets: bool,
}

impl Fields {
    fn of(samples: &[(Sample, u32)]) -> Fields {
        Fields {
            duration: common(samples, |(sample, _)| sample.duration),
            len: common(samples, |(_, len)| *len),
            is_sync: common(samples, |(sample, _)| sample.is_sync),
            has_offsets: samples.iter().any(|(sample, _)| sample.offset != 0),
            has_negative_offsets: samples.iter().any(|(sample, _)| sample.offset < 0),
        }
    }

    /// Returns the length of an entry.
    fn len(&self) -> usize {
        let fields = [self.duration.is_none(), self.len.is_none(), self.is_sync.is_none()];
        4 * (fields.into_iter().filter(|own| *own).count() + usize::from(self.has_offsets))
    }

    /// Returns version and flags of the trun. Offsets are signed in version 1.
    fn flags(&self) -> u32 {
        let flag = |own: bool, flag: u32| if own { flag } else { 0 };
        let has_data_offset = 1;
        flag(self.has_negative_offsets, 1 << 24)
            | has_data_offset
            | flag(self.duration.is_none(), 0x100)
            | flag(self.len.is_none(), 0x200)
            | flag(self.is_sync.is_none(), 0x400)
            | flag(self.has_offsets, 0x800)
    }

    /// Returns the header of a track fragment whose offsets count from its moof (§8.8.7).
    fn tfhd(&self, track: u32) -> Vec<u8> {
        let defaults = [self.duration, self.len, self.is_sync.map(sample_flags)];
        let flags = defaults.iter().zip([0x8, 0x10, 0x20]);
        let flags = flags.filter(|(value, _)| value.is_some()).map(|(_, flag)| flag);
        let flags: u32 = 0x02_0000 | flags.sum::<u32>();
        let values = [Some(flags), Some(track)].into_iter().chain(defaults).flatten();
        let values: Vec<_> = values.map(u32::to_be_bytes).collect();
        boxed(b"tfhd", &[values.as_flattened()])
    }

    fn write_entry(&self, sample: &Sample, len: u32, out: &mut Vec<u8>) {
        let own = |default: bool, value: u32| (!default).then_some(value);
        let fields = [
            own(self.duration.is_some(), sample.duration),
            own(self.len.is_some(), len),
            own(self.is_sync.is_some(), sample_flags(sample.is_sync)),
            own(!self.has_offsets, sample.offset.cast_unsigned()),
        ];
        fields.into_iter().flatten().for_each(|field| out.extend(field.to_be_bytes()));
    }
}

fn sample_flags(is_sync: bool) -> u32 {
    if is_sync { SYNC } else { NOT_SYNC }
}

/// Returns the value that all samples have.
fn common<T: PartialEq>(
    samples: &[(Sample, u32)],
    value: impl Fn(&(Sample, u32)) -> T,
) -> Option<T> {
    let first = value(samples.first()?);
    samples.iter().all(|sample| value(sample) == first).then_some(first)
}
