//! Leaves samples out of a fragment (ISO/IEC 14496-12 §8.8) at constant length: its runs of samples (trun) become shorter,
//! and what that leaves free is padding. So the length of the joined file is known before the fragment is read. The
//! bytes of the samples stay where they are, and nothing refers to them.
//!
//! The decode time becomes that of the first sample that is left, without what is left out before it.

use std::ops::Range;

use super::fragment::flags;
use crate::container::isobmff::{Mp4Box, boxed, children, u32_at, u64_at};
use crate::media::removal::Removal;

/// What is left out of the fragments of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thinner {
    /// In ticks of the track.
    pub(super) removal: Removal,
    /// The defaults of samples (trex).
    pub(super) defaults: Defaults,
    /// How much later the fragments begin than they tell.
    pub(super) lead: u64,
}

/// What samples have that do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

const MALFORMED: &str = "a fragment is malformed";
const NO_ROOM: &str = "a fragment cannot be shortened";
/// The length of the header of a box.
const HEADER: usize = 8;
/// The maximum number of samples of a fragment; one of audio has some hundred.
const MAX_SAMPLES: usize = 1 << 20;

/// Which samples are left out beside those in an interval, so that the padding becomes possible.
#[derive(Clone, Copy)]
enum Also {
    None,
    /// The last one before it.
    Before,
    /// The first one behind it.
    Behind,
}

impl Thinner {
    /// Feeds `update` an unambiguous encoding, for a digest.
    pub(super) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        let Thinner { removal, defaults: Defaults { duration, size, flags }, lead } = self;
        update(&(removal.intervals().len() as u64).to_be_bytes());
        for Range { start, end } in removal.intervals() {
            update(&start.to_be_bytes());
            update(&end.to_be_bytes());
        }
        update(&duration.to_be_bytes());
        update(&size.to_be_bytes());
        update(&flags.to_be_bytes());
        update(&lead.to_be_bytes());
    }

    /// Rewrites the payload of a moof of the track `id`.
    pub(super) fn thin(&self, moof: &mut [u8], id: u32) -> Result<(), &'static str> {
        let mut thinned = Vec::with_capacity(moof.len());
        for found in children(moof).ok_or(MALFORMED)? {
            let traf = if found.kind == *b"traf" { Fragment::read(&found, id)? } else { None };
            match traf {
                Some(traf) => thinned.extend(traf.thinned(self, found.bytes.len())?),
                None => thinned.extend(found.bytes),
            }
        }
        // Each traf has left room for that.
        let room = moof.len().checked_sub(thinned.len()).ok_or(NO_ROOM)?;
        if room > 0 {
            let padding = vec![0; room.checked_sub(HEADER).ok_or(NO_ROOM)?];
            thinned.extend(boxed(b"free", &[&padding]));
        }
        moof.copy_from_slice(&thinned);
        Ok(())
    }

    /// Returns whether the sample at `time`, of this duration, is left out.
    fn omits(&self, time: u64, duration: u32, also: Also) -> bool {
        let duration = u64::from(duration);
        self.removal.contains(time)
            || match also {
                Also::None => false,
                Also::Before => self.removal.contains(time.saturating_add(duration)),
                Also::Behind => {
                    time.checked_sub(duration).is_some_and(|before| self.removal.contains(before))
                }
            }
    }
}

/// The fragment of a track (traf).
struct Fragment<'m> {
    tfhd: Mp4Box<'m>,
    tfdt: Mp4Box<'m>,
    runs: Vec<Mp4Box<'m>>,
    all: Vec<Mp4Box<'m>>,
}

/// The fields of a run before those of its samples.
#[derive(Clone, Copy)]
struct RunHead<'m> {
    version: u8,
    flags: u32,
    count: u32,
    offset: Option<i64>,
    first_flags: Option<u32>,
    samples: &'m [u8],
}

/// Samples of a run that are left.
struct Part {
    /// Where its bytes are, if that is known.
    offset: Option<i64>,
    count: u32,
    fields: Vec<u8>,
    /// The flags of the first one, if those are told apart.
    first_flags: Option<u32>,
}

impl<'m> Fragment<'m> {
    /// Reads a traf; `None` if it is of another track.
    fn read(traf: &Mp4Box<'m>, id: u32) -> Result<Option<Fragment<'m>>, &'static str> {
        let (mut tfhd, mut tfdt, mut runs) = (None, None, Vec::new());
        let all = children(traf.payload()).ok_or(MALFORMED)?;
        for found in &all {
            match &found.kind {
                b"tfhd" => tfhd = Some(*found),
                b"tfdt" => tfdt = Some(*found),
                b"trun" => runs.push(*found),
                _ => {}
            }
        }
        let tfhd = tfhd.ok_or(MALFORMED)?;
        if u32_at(tfhd.payload(), 4).ok_or(MALFORMED)? != id {
            return Ok(None);
        }
        let tfdt = tfdt.ok_or("a fragment has no decode time (tfdt)")?;
        Ok(Some(Fragment { tfhd, tfdt, runs, all }))
    }

    /// Returns the traf without what is left out, `len` bytes long or so much shorter that there can be padding.
    fn thinned(&self, thinner: &Thinner, len: usize) -> Result<Vec<u8>, &'static str> {
        for also in [Also::None, Also::Before, Also::Behind] {
            let traf = self.without(thinner, also)?;
            if len.checked_sub(traf.len()).is_some_and(|room| room == 0 || room >= HEADER) {
                return Ok(traf);
            }
        }
        Err(NO_ROOM)
    }

    /// Returns the traf with nothing beside the samples that are left: other boxes may count all of them.
    fn without(&self, thinner: &Thinner, also: Also) -> Result<Vec<u8>, &'static str> {
        let defaults = self.defaults(thinner.defaults).ok_or(MALFORMED)?;
        let told = self.decode_time().ok_or(MALFORMED)?;
        let mut time = told.wrapping_add(thinner.lead);
        let (begin, mut first, mut is_whole) = (time, None, true);
        let (mut runs, mut data, mut count) = (Vec::new(), None, 0);
        for run in &self.runs {
            let head = RunHead::read(run.payload()).ok_or(MALFORMED)?;
            count += head.count as usize;
            if count > MAX_SAMPLES {
                return Err(NO_ROOM);
            }
            let mut at = head.offset.or(data);
            let mut parts: Vec<Part> = Vec::new();
            let mut goes_on = false;
            for index in 0..head.count {
                let (duration, size, fields) = head.sample(index, defaults).ok_or(MALFORMED)?;
                let is_left = !thinner.omits(time, duration, also);
                match parts.last_mut().filter(|_| goes_on && is_left) {
                    Some(part) => {
                        part.count += 1;
                        part.fields.extend(fields);
                    }
                    None if is_left => {
                        // A field that goes would leave less room than padding takes.
                        let first_flags = head.first_flags.filter(|_| parts.is_empty());
                        let first_flags =
                            first_flags.map(|own| if index == 0 { own } else { defaults.flags });
                        let fields = fields.to_vec();
                        parts.push(Part { offset: at, count: 1, fields, first_flags });
                    }
                    None => {}
                }
                if is_left {
                    first.get_or_insert(time);
                }
                goes_on = is_left;
                is_whole &= is_left;
                at = at.map(|at| at + i64::from(size));
                time = time.checked_add(u64::from(duration)).ok_or(MALFORMED)?;
            }
            data = at;
            runs.extend(parts.into_iter().map(|part| (head, part)));
        }
        let first = first.unwrap_or(begin);
        let later = first - begin;
        let time = told.wrapping_add(later).wrapping_sub(thinner.removal.before(first));
        let tfdt = self.at(time).ok_or("a fragment's decode time does not fit in its field")?;
        if is_whole {
            let boxes =
                self.all.iter().map(|one| if one.at == self.tfdt.at { &tfdt } else { one.bytes });
            return Ok(boxed(b"traf", &boxes.collect::<Vec<_>>()));
        }
        let runs = runs.iter().map(|(head, part)| head.with(part)).collect::<Option<Vec<_>>>();
        Ok(boxed(b"traf", &[self.tfhd.bytes, &tfdt, &runs.ok_or(NO_ROOM)?.concat()]))
    }

    /// Returns the defaults of the samples (§8.8.7).
    fn defaults(&self, of_track: Defaults) -> Option<Defaults> {
        let tfhd = self.tfhd.payload();
        let has = u32_at(tfhd, 0)?;
        let width = |flag: u32, width: usize| if has & flag == 0 { 0 } else { width };
        let at = 8 + width(flags::BASE_DATA_OFFSET, 8) + width(flags::DESCRIPTION, 4);
        let duration = width(flags::DEFAULT_DURATION, 4);
        let size = width(flags::DEFAULT_SIZE, 4);
        let own_flags = width(flags::DEFAULT_FLAGS, 4);
        let flags_at = at + duration + size;
        Some(Defaults {
            duration: if duration > 0 { u32_at(tfhd, at)? } else { of_track.duration },
            size: if size > 0 { u32_at(tfhd, at + duration)? } else { of_track.size },
            flags: if own_flags > 0 { u32_at(tfhd, flags_at)? } else { of_track.flags },
        })
    }

    fn decode_time(&self) -> Option<u64> {
        let tfdt = self.tfdt.payload();
        if tfdt.first()? == &0 { u32_at(tfdt, 4).map(u64::from) } else { u64_at(tfdt, 4) }
    }

    /// Returns the tfdt with another time.
    fn at(&self, time: u64) -> Option<Vec<u8>> {
        let full = self.tfdt.payload().get(..4)?;
        Some(match full[0] {
            0 => boxed(b"tfdt", &[full, &u32::try_from(time).ok()?.to_be_bytes()]),
            _ => boxed(b"tfdt", &[full, &time.to_be_bytes()]),
        })
    }
}

impl<'m> RunHead<'m> {
    fn read(trun: &'m [u8]) -> Option<RunHead<'m>> {
        let (version, flags) = (*trun.first()?, u32_at(trun, 0)? & 0xff_ffff);
        let has = |flag: u32| flags & flag != 0;
        let mut at = 8;
        let mut next = |is_present: bool| {
            at += if is_present { 4 } else { 0 };
            if is_present { u32_at(trun, at - 4).map(Some) } else { Some(None) }
        };
        let offset = next(has(flags::DATA_OFFSET))?;
        let first_flags = next(has(flags::FIRST_FLAGS))?;
        let offset = offset.map(|offset| i64::from(offset.cast_signed()));
        let (count, samples) = (u32_at(trun, 4)?, trun.get(at..)?);
        Some(RunHead { version, flags, count, offset, first_flags, samples })
    }

    fn width(&self) -> usize {
        let each = [flags::DURATION, flags::SIZE, flags::FLAGS, flags::OFFSET];
        4 * each.into_iter().filter(|flag| self.flags & flag != 0).count()
    }

    /// Returns duration, size and fields of a sample.
    fn sample(&self, index: u32, defaults: Defaults) -> Option<(u32, u32, &'m [u8])> {
        let (has, width) = (|flag: u32| self.flags & flag != 0, self.width());
        let begin = index as usize * width;
        let fields = self.samples.get(begin..begin + width)?;
        let duration = if has(flags::DURATION) { u32_at(fields, 0)? } else { defaults.duration };
        let at = if has(flags::DURATION) { 4 } else { 0 };
        let size = if has(flags::SIZE) { u32_at(fields, at)? } else { defaults.size };
        Some((duration, size, fields))
    }

    /// Returns a trun of a part of the samples.
    fn with(&self, part: &Part) -> Option<Vec<u8>> {
        let first_flags = part.first_flags.map(u32::to_be_bytes);
        let own = self.flags & !flags::FIRST_FLAGS | flags::DATA_OFFSET;
        let own = if first_flags.is_some() { own | flags::FIRST_FLAGS } else { own };
        let full = u32::from(self.version) << 24 | own;
        let offset = i32::try_from(part.offset?).ok()?;
        let (full, count) = (full.to_be_bytes(), part.count.to_be_bytes());
        let first_flags = first_flags.as_ref().map_or(&[][..], |flags| flags);
        Some(boxed(b"trun", &[&full, &count, &offset.to_be_bytes(), first_flags, &part.fields]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u32 = 7;

    /// A moof whose samples have these sizes, each for 10 ticks, from `time` on, in one run for each list.
    fn moof(time: u32, runs: &[&[u32]]) -> Vec<u8> {
        let mfhd = boxed(b"mfhd", &[&[0; 4], &1_u32.to_be_bytes()]);
        let has = (flags::DEFAULT_DURATION | 0x2_0000).to_be_bytes();
        let tfhd = boxed(b"tfhd", &[&has, &ID.to_be_bytes(), &10_u32.to_be_bytes()]);
        let tfdt = boxed(b"tfdt", &[&[0; 4], &time.to_be_bytes()]);
        let mut offset = 1000;
        let runs = runs.iter().map(|sizes| {
            let has = (flags::DATA_OFFSET | flags::SIZE).to_be_bytes();
            let fields: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
            let count = (sizes.len() as u32).to_be_bytes();
            let run = boxed(b"trun", &[&has, &count, &u32::to_be_bytes(offset), &fields]);
            offset += sizes.iter().sum::<u32>();
            run
        });
        let runs = runs.collect::<Vec<_>>().concat();
        let other = boxed(b"traf", &[&boxed(b"tfhd", &[&[0; 4], &9_u32.to_be_bytes()])]);
        [mfhd, other, boxed(b"traf", &[&tfhd, &tfdt, &runs])].concat()
    }

    /// The decode time, and the offset and size of each sample.
    type Told = (u64, Vec<(i64, u32)>);

    fn told(moof: &[u8]) -> Told {
        let boxes = children(moof).unwrap();
        let fragments = boxes.iter().filter(|found| found.kind == *b"traf");
        let mut fragments = fragments.filter_map(|found| Fragment::read(found, ID).unwrap());
        let fragment = fragments.next().unwrap();
        let mut samples = Vec::new();
        for run in &fragment.runs {
            let head = RunHead::read(run.payload()).unwrap();
            let mut at = head.offset.unwrap();
            for index in 0..head.count {
                let (_, size, _) =
                    head.sample(index, Defaults { duration: 0, size: 0, flags: 0 }).unwrap();
                samples.push((at, size));
                at += i64::from(size);
            }
        }
        (fragment.decode_time().unwrap(), samples)
    }

    fn thin(moof: &[u8], removal: &[Range<u64>]) -> Result<Told, &'static str> {
        let defaults = Defaults { duration: 1, size: 1, flags: 1 };
        let thinner = Thinner { removal: Removal::new(removal.to_vec()), defaults, lead: 0 };
        let mut thinned = moof.to_vec();
        thinner.thin(&mut thinned, ID).map(|()| told(&thinned))
    }

    #[test]
    fn samples_are_left_out_wherever_they_are() {
        let sizes: Vec<u32> = (1..=20).collect();
        let whole = moof(100, &[&sizes]);
        let (_, all) = told(&whole);
        let of = |indexes: &[Range<usize>]| -> Vec<(i64, u32)> {
            indexes.iter().flat_map(|range| all[range.clone()].to_vec()).collect()
        };
        for (removal, time, left) in [
            (vec![500..600], 100, vec![0..20]),
            (vec![0..50], 50, vec![0..20]),
            // The head: a sample counts by its begin.
            (vec![0..50, 95..141], 54, vec![5..20]),
            (vec![100..120], 100, vec![2..20]),
            // One alone leaves no room for padding.
            (vec![100..110], 110, vec![2..20]),
            (vec![285..500], 100, vec![0..18]),
            (vec![291..500], 100, vec![0..20]),
            // Within.
            (vec![150..250], 100, vec![0..5, 15..20]),
            (vec![150..200], 100, vec![0..5, 10..20]),
            (vec![150..210], 100, vec![0..4, 11..20]),
            (vec![0..1000], 0, vec![]),
        ] {
            let (found_time, found) = thin(&whole, &removal).unwrap();
            assert_eq!(found, of(&left), "{removal:?}");
            assert_eq!(found_time, time, "{removal:?}");
        }
        // In several runs, of which one goes.
        let parts: Vec<&[u32]> = sizes.chunks(5).collect();
        let whole = moof(100, &parts);
        assert_eq!(thin(&whole, &[130..170]).unwrap().1, of(&[0..3, 7..20]));
        assert_eq!(thin(&whole, &[150..200]).unwrap().1, of(&[0..5, 10..20]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let whole = moof(100, &[&(1..=6).collect::<Vec<_>>()]);
        // Two runs take more than one sample leaves.
        assert_eq!(thin(&whole, &[120..130]), Err(NO_ROOM));
        for len in 0..whole.len() {
            let mut cut = whole[..len].to_vec();
            let removal = Removal::new([0..110]);
            let defaults = Defaults { duration: 1, size: 1, flags: 1 };
            // Whatever comes of it.
            Thinner { removal, defaults, lead: 0 }.thin(&mut cut, ID).ok();
            assert_eq!(cut.len(), len);
        }
    }
}
