//! [`Timing`] gives the frames of a segment their times on the clock of the joined file.

use super::SCALE;
use super::fragment::{Run, Sample};
use crate::container::mpeg_ts::pes::WRAP;
use crate::container::mpeg_ts::{
    AudioConfig, AudioFrame, Event, Malformed, PesHeader, Times, VideoConfig, VideoUnit,
};
use crate::container::retime::Shift;
use crate::splice::edits::Rescale;
use crate::splice::place::Span;

/// By how much timestamps of audio may differ from the sum of the durations of the frames before, in
/// ticks: 2 ms. Some streams round them to milliseconds.
const MAX_DRIFT: u64 = 180;
/// The duration of a video frame after which there is none, and before which there is none: 1/30 s.
const SOME_DURATION: u32 = SCALE / 30;

pub(super) const NOT_IN_ORDER: Malformed = Malformed("the timestamps are not in order");
const TOO_EARLY: Malformed = Malformed("a frame is earlier than the first one");

/// Converts timestamps of 33 bits to ticks of the joined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// The timestamp that is 0.
    pub(super) origin: u64,
}

impl Clock {
    /// Returns the time of this timestamp that is nearest to `expected`.
    pub(super) fn ticks(self, timestamp: u64, expected: u64) -> i64 {
        let expected = i64::try_from(expected).unwrap_or(i64::MAX / 2);
        let (wrap, half) = (WRAP.cast_signed(), WRAP.cast_signed() / 2);
        let time = timestamp.cast_signed() - self.origin.cast_signed();
        let difference = (time - expected % wrap).rem_euclid(wrap);
        expected + if difference < half { difference } else { difference - wrap }
    }
}

/// Where the times of a stream are on the clock of the joined file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    clock: Clock,
    /// When the next frame is presented, about: at first, when the segment begins.
    expected: u64,
    /// Whether frames of audio that are earlier than the origin of the clock are left out.
    pub(super) is_cut: bool,
    /// Whether frames of video are left out until there is a key frame.
    pub(super) awaits_key_frame: bool,
    /// The time after the last frame of audio; the duration of the last frame of video.
    next: Option<i64>,
    duration: Option<u32>,
    /// The times of the frames of the segment.
    pub(super) span: Option<Span>,
}

/// Returns the timestamps of a PES packet of video that is decoded earlier by `lead`.
pub(super) fn times(header: &PesHeader, lead: u64) -> Option<Times> {
    let pts = header.pts?;
    let dts = header.dts.unwrap_or(pts);
    Some(Times { pts, dts: dts.wrapping_sub(lead) % WRAP })
}

/// Shifts the timestamps of a PES packet.
pub(super) fn shifted<'e>(
    event: Event<'e>,
    shift: &mut Option<Shift>,
) -> Result<Event<'e>, Malformed> {
    let (Event::Begin(header), Some(shift)) = (event, shift) else { return Ok(event) };
    let Some(first) = header.dts.or(header.pts) else { return Ok(event) };
    let ticks = shift.at(first.cast_signed()).map_err(Malformed)?;
    let shifted = |time: u64| time.wrapping_add_signed(ticks) % WRAP;
    let (pts, dts) = (header.pts.map(shifted), header.dts.map(shifted));
    Ok(Event::Begin(PesHeader { pts, dts, ..header }))
}

impl Timing {
    /// Returns the timing of a segment that begins at `expected`, about.
    pub(super) fn new(clock: Clock, expected: u64) -> Timing {
        let (is_cut, awaits_key_frame) = (false, false);
        Timing { clock, expected, is_cut, awaits_key_frame, next: None, duration: None, span: None }
    }

    /// Returns the timing with all times earlier by `ticks`.
    pub(super) fn earlier_by(self, ticks: u64) -> Timing {
        let clock = Clock { origin: self.clock.origin.wrapping_add(ticks) % WRAP };
        Timing { clock, expected: self.expected.saturating_sub(ticks), ..self }
    }

    /// Returns what time the frames have reached, about.
    pub(super) fn reached(&self) -> u64 {
        self.expected
    }

    /// Returns the time of a timestamp of about now.
    pub(super) fn ticks(&self, timestamp: u64) -> i64 {
        self.clock.ticks(timestamp, self.expected)
    }

    fn time(&self, timestamp: u64) -> Result<u64, Malformed> {
        u64::try_from(self.ticks(timestamp)).map_err(|_| TOO_EARLY)
    }

    /// Adds a video frame, which lasts until `next`.
    pub(super) fn add_video(
        &mut self,
        run: &mut Run,
        config: &VideoConfig,
        unit: VideoUnit<'_>,
        next: Option<Times>,
    ) -> Result<(), Malformed> {
        if self.awaits_key_frame && !config.is_key_frame(&unit) {
            return Ok(());
        }
        self.awaits_key_frame = false;
        let (time, shown) = (self.time(unit.times.dts)?, self.time(unit.times.pts)?);
        let offset = i32::try_from(shown.cast_signed() - time.cast_signed());
        let offset = offset.map_err(|_| NOT_IN_ORDER)?;
        let duration = match next {
            Some(next) => {
                let ticks = self.time(next.dts)?.checked_sub(time);
                ticks.and_then(|ticks| u32::try_from(ticks).ok()).ok_or(NOT_IN_ORDER)?
            }
            None => self.duration.unwrap_or(SOME_DURATION),
        };
        (self.duration, self.expected) = (Some(duration), time);
        run.push(
            |data| config.convert(&unit, data),
            |is_sync| Sample { time, duration, offset, is_sync },
        )
    }

    /// Adds an audio frame. Its time follows from the frames before, unless its timestamp differs.
    pub(super) fn add_audio(
        &mut self,
        run: &mut Run,
        config: &AudioConfig,
        frame: AudioFrame<'_>,
    ) -> Result<(), Malformed> {
        let scale = Rescale { from: SCALE, to: config.rate() };
        let rescaled = |ticks: u64| scale.round(ticks).map_err(|_| NOT_IN_ORDER);
        let stated = frame.pts.map(|pts| {
            let ticks = self.ticks(pts);
            self.expected = u64::try_from(ticks).unwrap_or(self.expected);
            let time = rescaled(ticks.unsigned_abs())?.cast_signed();
            Ok(if ticks < 0 { -time } else { time })
        });
        let time = match (self.next, stated.transpose()?) {
            (Some(next), Some(stated)) if stated.abs_diff(next) > rescaled(MAX_DRIFT)? => {
                // The frames before may be written already.
                if run.len() == 0 && stated < next - i64::from(config.samples()) && !self.is_cut {
                    return Err(NOT_IN_ORDER);
                }
                match u64::try_from(stated) {
                    Ok(stated) => run.end_at(stated)?,
                    Err(_) if run.len() == 0 => {}
                    Err(_) => return Err(NOT_IN_ORDER),
                }
                stated
            }
            (Some(next), _) => next,
            (None, stated) => stated.ok_or(Malformed("the first frame has no timestamp"))?,
        };
        let duration = config.samples();
        self.next = Some(time + i64::from(duration));
        let ticks =
            |samples: i64| samples.saturating_mul(SCALE.into()) / i64::from(config.rate().max(1));
        Span::add(&mut self.span, ticks(time), Some(ticks(duration.into())));
        let ticks = Rescale { from: config.rate(), to: SCALE };
        let reached = u64::try_from(time).ok().and_then(|time| ticks.floor(time).ok());
        self.expected = self.expected.max(reached.unwrap_or_default());
        let time = match u64::try_from(time) {
            Ok(time) => time,
            Err(_) if self.is_cut => return Ok(()),
            Err(_) => return Err(TOO_EARLY),
        };
        let payload = config.payload(frame.bytes)?;
        run.push(
            |data| {
                data.extend_from_slice(payload);
                Ok(())
            },
            |()| Sample { time, duration, offset: 0, is_sync: true },
        )
    }
}
