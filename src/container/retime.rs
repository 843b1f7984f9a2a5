//! Mends the timestamps of media in segments of unknown length, such as a live stream, so that they go on
//! where they would begin again (EXT-X-DISCONTINUITY, RFC 8216 §4.3.2.3). Pure.
//!
//! Behind a discontinuity, all timestamps are shifted by one amount, with which the first of them lies where
//! the part before has ended by the declared durations. Tracks that are apart share it, or they would drift
//! against each other.
//!
//! **Invariant:** nothing changes but timestamps and the counters of packets, nor the number of bytes; what
//! cannot be mended is an error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::container::mpeg_ts::pes::{TICKS_PER_SECOND, WRAP};
use crate::container::probe::Format;

mod fragments;
mod packets;

use fragments::Fragments;
use packets::Packets;

/// Maximum number of shifts that are remembered for other tracks.
const MAX_SHIFTS: usize = 64;
/// By how much the tracks may differ about a shift, in ticks: 10 s. More is another discontinuity.
const MAX_APART: i64 = 10 * TICKS_PER_SECOND as i64;

/// The shifts of the parts of a live stream, in ticks of 1/90000 s, by the number of the discontinuity before
/// each: all its tracks have them in common.
#[derive(Debug, Default)]
pub struct LiveClock(Mutex<BTreeMap<u64, i64>>);

/// A discontinuity of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Its number in the stream.
    pub number: u64,
    /// The duration of the part before it.
    pub after: Duration,
}

/// Mends one track.
pub struct Retimer {
    shift: Shift,
    structure: Structure,
}

enum Structure {
    Packets(Packets),
    Fragments(Fragments),
}

/// By how much the timestamps of a track are shifted.
pub struct Shift {
    clock: Arc<LiveClock>,
    /// The shift of the current part.
    ticks: i64,
    /// Where the current part begins, and the latest time that it has reached, shifted.
    start: Option<i64>,
    latest: Option<i64>,
    /// A part begins with the next timestamp.
    next: Option<Restart>,
}

impl Retimer {
    /// Makes the retimer of a track; `None` if its format has no timestamps that can be mended.
    pub fn new(format: Format, clock: &Arc<LiveClock>) -> Option<Retimer> {
        let structure = match format {
            Format::MpegTs => Structure::Packets(Packets::default()),
            Format::Mp4 => Structure::Fragments(Fragments::default()),
            _ => return None,
        };
        Some(Retimer { shift: Shift::new(clock), structure })
    }

    /// Begins another part with the next byte.
    pub fn restart(&mut self, restart: Restart) {
        self.shift.restart(restart);
        if let Structure::Packets(packets) = &mut self.structure {
            packets.restart();
        }
    }

    /// Appends the next bytes to `output`, as far as they are complete.
    pub fn push(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<(), &'static str> {
        match &mut self.structure {
            Structure::Packets(packets) => packets.push(bytes, &mut self.shift, output),
            Structure::Fragments(fragments) => fragments.push(bytes, &mut self.shift, output),
        }
    }

    /// Appends what is left at the end.
    pub fn finish(self, output: &mut Vec<u8>) {
        match self.structure {
            Structure::Packets(packets) => packets.finish(output),
            Structure::Fragments(fragments) => fragments.finish(output),
        }
    }
}

impl Shift {
    /// Returns the shift of a track, 0 until timestamps begin again.
    pub fn new(clock: &Arc<LiveClock>) -> Shift {
        Shift { clock: clock.clone(), ticks: 0, start: None, latest: None, next: None }
    }

    /// Begins another part with the next timestamp.
    pub fn restart(&mut self, restart: Restart) {
        // A part without timestamps only adds its duration.
        let before = self.next.take().map_or(Duration::ZERO, |skipped| skipped.after);
        let after = restart.after.saturating_add(before);
        self.next = Some(Restart { after, ..restart });
    }

    /// Returns the shift of a timestamp, in the order of the bytes.
    pub fn at(&mut self, time: i64) -> Result<i64, &'static str> {
        if let Some(Restart { number, after }) = self.next.take() {
            let ticks = after.as_nanos() * u128::from(TICKS_PER_SECOND) / 1_000_000_000;
            let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
            let begin = self.start.map_or(time, |start| start.saturating_add(ticks));
            // Declared durations are rounded: what was there must not come again.
            let begin = begin.max(self.latest.unwrap_or(begin));
            self.ticks = self.clock.shift(number, begin.saturating_sub(time))?;
            (self.start, self.latest) = (None, None);
        }
        let shifted = time.saturating_add(self.ticks);
        self.start.get_or_insert(shifted);
        self.latest = self.latest.max(Some(shifted));
        Ok(self.ticks)
    }

    /// Takes the end of what has the timestamp that was shifted last, if it is known: the next part does not
    /// begin before.
    pub fn reach(&mut self, end: i64) {
        self.latest = self.latest.max(Some(end.saturating_add(self.ticks)));
    }
}

impl LiveClock {
    /// Returns the shift behind this discontinuity: `own`, unless another track has come there before.
    fn shift(&self, number: u64, own: i64) -> Result<i64, &'static str> {
        let mut shifts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shift = *shifts.entry(number).or_insert(own);
        while shifts.len() > MAX_SHIFTS {
            shifts.pop_first();
        }
        // Timestamps of 33 bits may have wrapped around in one of them.
        let wrap = WRAP.cast_signed();
        let apart = own.wrapping_sub(shift).rem_euclid(wrap);
        let is_near = apart.min(wrap - apart) <= MAX_APART;
        if is_near { Ok(shift) } else { Err("its tracks have other discontinuities") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nothing makes it panic, and no byte is added or lost.
        #[test]
        fn any_bytes(parts in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![Just(0x47u8), Just(0), Just(1), any::<u8>()], 0..400), 0..4,
        )) {
            for format in [Format::MpegTs, Format::Mp4] {
                let mut retimer = Retimer::new(format, &Arc::default()).unwrap();
                let mut output = Vec::new();
                for (number, part) in parts.iter().enumerate() {
                    let after = Duration::from_secs(u64::MAX >> number);
                    retimer.restart(Restart { number: number as u64, after });
                    if retimer.push(part, &mut output).is_err() {
                        return Ok(());
                    }
                }
                retimer.finish(&mut output);
                prop_assert_eq!(output.len(), parts.concat().len());
            }
        }
    }

    #[test]
    fn tracks_share_a_shift() {
        let clock = Arc::new(LiveClock::default());
        let track = || Shift::new(&clock);
        let (mut one, mut other) = (track(), track());
        assert_eq!((one.at(1000), other.at(900), one.at(4600)), (Ok(0), Ok(0), Ok(0)));
        let restart = |after| Some(Restart { number: 7, after: Duration::from_millis(after) });
        (one.next, other.next) = (restart(80), restart(100));
        // 80 ms are 7200 ticks.
        assert_eq!((one.at(50), one.at(60)), (Ok(8150), Ok(8150)));
        assert_eq!(other.at(20), Ok(8150));
        assert_eq!(other.start, Some(8170));
        for number in 100..200 {
            clock.shift(number, 1).unwrap();
        }
        assert_eq!(clock.0.lock().unwrap().len(), MAX_SHIFTS);
        // Another discontinuity, and the same one beyond the end of the clock.
        assert!(clock.shift(199, 1 + MAX_APART + 1).is_err());
        assert_eq!(clock.shift(199, 2 + WRAP.cast_signed()), Ok(1));
    }
}
