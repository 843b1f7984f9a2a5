//! The parts of a moov that both families of MP4 make alike (ISO/IEC 14496-12 §8.2, §8.3, §8.6).
//!
//! A track's boxes are taken over byte by byte but for the fields that tell of the file that it
//! was in. Must never read a box anew that it only passes on.

use std::time::Duration;

use super::Refusal;
use super::boxes::{boxed, children, u32_at, u64_at};

/// The same in both families of MP4.
pub(super) const MALFORMED: Refusal = Refusal("its index (moov) is malformed");
/// No less than this, so that durations are exact to the millisecond.
const LEAST_TIMESCALE: u32 = 1000;

/// How the tracks of a film become those of the joined one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Movie {
    /// Ticks a second of the whole film.
    pub(super) timescale: u32,
    /// How long it plays.
    pub(super) duration: Duration,
}

/// How a trak is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// The track's new number.
    pub(super) id: u32,
    /// The timescale of the film that it was in.
    pub(super) movie_timescale: u32,
    /// How long its media is, in its own ticks.
    pub(super) media_duration: u64,
    /// How long it plays now.
    pub(super) duration: Duration,
    /// What its edit list is to be; as it is, if nothing is said.
    pub(super) edits: Option<Edits>,
}

/// A new edit list: what is shown begins at this time of the media, and after this delay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edits {
    /// How long nothing is shown at first.
    pub(super) delay: Duration,
    /// In ticks of the track.
    pub(super) media_time: u64,
    /// How long it is shown, in ticks of the film; 0 means "to the end" in a fragmented file.
    pub(super) duration: u64,
}

/// Ticks of a duration, rounded to the nearest.
pub(super) fn ticks(duration: Duration, timescale: u32) -> u64 {
    let ticks = (duration.as_nanos() * u128::from(timescale) + 500_000_000) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

impl Movie {
    /// A film that is made of others with these timescales.
    pub(super) fn of(timescales: impl Iterator<Item = u32>, duration: Duration) -> Movie {
        Movie { timescale: timescales.fold(LEAST_TIMESCALE, u32::max), duration }
    }

    /// How long it plays, in its own ticks.
    pub(super) fn ticks(&self) -> u64 {
        ticks(self.duration, self.timescale)
    }

    /// The header of the film (§8.2.2): full speed, full volume, upright.
    pub(super) fn mvhd(&self, next_id: u32) -> Vec<u8> {
        let one = (1_u32 << 16).to_be_bytes();
        let unity = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30_u32].map(u32::to_be_bytes);
        boxed(
            b"mvhd",
            &[
                &[1, 0, 0, 0],
                &[0; 16],
                &self.timescale.to_be_bytes(),
                &self.ticks().to_be_bytes(),
                &one,
                &[1, 0],
                &[0; 10],
                unity.as_flattened(),
                &[0; 24],
                &next_id.to_be_bytes(),
            ],
        )
    }

    /// A trak (header included) as it stands in this film. `other` says what becomes of the boxes
    /// in its stbl, if something does.
    pub(super) fn trak(&self, trak: &[u8], change: &Change) -> Result<Vec<u8>, Refusal> {
        let mut parts = Vec::new();
        for child in children(trak.get(8..).ok_or(MALFORMED)?).ok_or(MALFORMED)? {
            match &child.kind {
                b"tkhd" => {
                    parts.push(self.tkhd(child.bytes, child.header, change).ok_or(MALFORMED)?);
                    parts.extend(change.edits.and_then(|edits| edits.edts(self.timescale)));
                }
                b"edts" if change.edits.is_some() => {}
                b"edts" => {
                    let edts = self.rescaled(child.payload(), change.movie_timescale);
                    parts.push(edts.ok_or(MALFORMED)?);
                }
                b"mdia" => parts.push(mdia(child.bytes, change).ok_or(MALFORMED)?),
                // They refer to what is not in this file, or say what it says of itself.
                b"tref" | b"udta" | b"meta" => {}
                _ => parts.push(child.bytes.to_vec()),
            }
        }
        Ok(boxed(b"trak", &[&parts.concat()]))
    }

    /// §8.3.2
    fn tkhd(&self, tkhd: &[u8], header: usize, change: &Change) -> Option<Vec<u8>> {
        let mut bytes = tkhd.to_vec();
        let payload = &mut bytes[header..];
        let wide = *payload.first()? != 0;
        let (id, duration, group) = if wide { (20, 28, 46) } else { (12, 20, 34) };
        // Enabled, and part of the film.
        *payload.get_mut(3)? |= 3;
        put(payload, id, &change.id.to_be_bytes())?;
        put_duration(payload, duration, wide, ticks(change.duration, self.timescale))?;
        put(payload, group, &[0, 0])?;
        Some(bytes)
    }

    /// An edit list whose durations count in ticks of this film (§8.6.6).
    fn rescaled(&self, edts: &[u8], from: u32) -> Option<Vec<u8>> {
        let mut bytes = boxed(b"edts", &[edts]);
        let scale = |ticks: u64| {
            let ticks = u128::from(ticks) * u128::from(self.timescale) / u128::from(from.max(1));
            u64::try_from(ticks).unwrap_or(u64::MAX)
        };
        for found in children(edts)?.into_iter().filter(|found| found.kind == *b"elst") {
            let payload = found.payload();
            let wide = *payload.first()? != 0;
            let (size, count) = (if wide { 20 } else { 12 }, u32_at(payload, 4)? as usize);
            if payload.len() != count.checked_mul(size)?.checked_add(8)? {
                return None;
            }
            for index in 0..count {
                let at = 8 + index * size;
                let place = 8 + found.at + found.header + at;
                if wide {
                    put(&mut bytes, place, &scale(u64_at(payload, at)?).to_be_bytes())?;
                } else {
                    let ticks = scale(u32_at(payload, at)?.into());
                    put(&mut bytes, place, &u32::try_from(ticks).ok()?.to_be_bytes())?;
                }
            }
        }
        Some(bytes)
    }
}

impl Edits {
    /// `None` where everything is shown from the beginning on.
    fn edts(self, timescale: u32) -> Option<Vec<u8>> {
        // A media time of all ones: nothing.
        let nothing = (ticks(self.delay, timescale), u64::MAX);
        let mut edits = vec![nothing, (self.duration, self.media_time)];
        edits.retain(|edit| *edit != (0, u64::MAX));
        if self.media_time == 0 && edits.len() == 1 {
            return None;
        }
        let mut list = vec![1, 0, 0, 0, 0, 0, 0, edits.len() as u8];
        for (duration, media_time) in edits {
            list.extend(duration.to_be_bytes());
            list.extend(media_time.to_be_bytes());
            list.extend((1_u32 << 16).to_be_bytes());
        }
        Some(boxed(b"edts", &[&boxed(b"elst", &[&list])]))
    }
}

/// The duration in mdhd (§8.4.2), which is where players look that cannot seek.
fn mdia(mdia: &[u8], change: &Change) -> Option<Vec<u8>> {
    let mut bytes = mdia.to_vec();
    let header = super::boxes::header(mdia)?.header;
    let mdhd = children(&mdia[header..])?.into_iter().find(|found| found.kind == *b"mdhd")?;
    let payload = &mut bytes[header + mdhd.at + mdhd.header..];
    let wide = *payload.first()? != 0;
    put_duration(payload, if wide { 24 } else { 16 }, wide, change.media_duration)?;
    Some(bytes)
}

/// All ones where it does not fit, which means that it is not known.
fn put_duration(payload: &mut [u8], at: usize, wide: bool, ticks: u64) -> Option<()> {
    if wide {
        put(payload, at, &ticks.to_be_bytes())
    } else {
        put(payload, at, &u32::try_from(ticks).unwrap_or(u32::MAX).to_be_bytes())
    }
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) -> Option<()> {
    bytes.get_mut(at..at + field.len())?.copy_from_slice(field);
    Some(())
}
