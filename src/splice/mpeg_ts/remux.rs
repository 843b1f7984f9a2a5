//! [`Remuxer`] turns the packets of one segment into fragments.

use super::SCALE;
use super::fragment::{Run, Sample, write_fragment};
use crate::container::mpeg_ts::pes::WRAP;
use crate::container::mpeg_ts::{
    AudioConfig, AudioFrame, AudioFrames, Demuxer, Event, Malformed, PACKET_SIZE, PesHeader,
    Program, Times, VideoConfig, VideoUnit, VideoUnits,
};
use crate::container::probe::Codec;
use crate::splice::edits::Rescale;

/// The number of bytes of samples that are collected for a fragment.
const FRAGMENT_SIZE: usize = 16 << 20;
/// The maximum number of fragments of a segment; the numbers of those of the next one begin above.
pub(super) const MAX_FRAGMENTS: u32 = 1 << 12;
/// By how much timestamps of audio may differ from the sum of the durations of the frames before, in
/// ticks: 2 ms. Some streams round them to milliseconds.
const MAX_DRIFT: u64 = 180;
/// The duration of a video frame after which there is none, and before which there is none: 1/30 s.
const SOME_DURATION: u32 = SCALE / 30;

pub(super) const NOT_IN_ORDER: Malformed = Malformed("the timestamps are not in order");
const TOO_EARLY: Malformed = Malformed("a frame is earlier than the first one");

/// A stream of a transport stream, and the track that it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) pid: u16,
    pub(super) codec: Codec,
    pub(super) config: StreamConfig,
    /// The number of the track in the joined file.
    pub(super) id: u32,
    /// By how much video is decoded earlier than its timestamps tell.
    pub(super) lead: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamConfig {
    Video(VideoConfig),
    Audio(AudioConfig),
}

impl StreamConfig {
    /// Returns the timescale in the joined file.
    pub(super) fn scale(&self) -> u32 {
        match self {
            StreamConfig::Video(_) => SCALE,
            StreamConfig::Audio(config) => config.rate(),
        }
    }
}

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

/// Turns the packets of one segment into fragments.
pub(super) struct Remuxer<'s> {
    demuxer: Demuxer,
    /// The state of each stream, in the order of the streams of the demuxer.
    states: Vec<StreamState<'s>>,
    fragments: Fragments,
    /// Whether the packets are those of the next segment.
    is_behind: bool,
}

struct StreamState<'s> {
    stream: &'s Stream,
    timing: Timing,
    run: Run,
    frames: Frames<'s>,
    /// Whether no frame goes on in the next segment.
    is_settled: bool,
    /// Whether a PES packet began in the next segment: what precedes it belongs to this one.
    has_followed: bool,
    has_begun: bool,
}

enum Frames<'s> {
    Video(VideoUnits, &'s VideoConfig),
    Audio(AudioFrames, &'s AudioConfig),
}

/// Where the times of a stream are on the clock of the joined file.
#[derive(Debug, Clone, Copy)]
struct Timing {
    clock: Clock,
    /// When the segment begins, about.
    expected: u64,
    /// The time after the last frame of audio; the duration of the last frame of video.
    next: Option<u64>,
    duration: Option<u32>,
}

/// The fragments of the segment that are complete.
struct Fragments {
    out: Vec<u8>,
    /// The number of the next one.
    sequence: u32,
    left: u32,
}

impl<'s> Remuxer<'s> {
    /// Returns a remuxer for a segment that begins at `expected`, whose fragments are numbered from
    /// `sequence` on.
    pub(super) fn new(
        streams: &'s [Stream],
        clock: Clock,
        expected: u64,
        sequence: u32,
    ) -> Remuxer<'s> {
        let pids: Vec<_> = streams.iter().map(|stream| stream.pid).collect();
        let state = |stream: &'s Stream| StreamState {
            stream,
            timing: Timing { clock, expected, next: None, duration: None },
            run: Run::default(),
            frames: match &stream.config {
                StreamConfig::Video(config) => Frames::Video(VideoUnits::of(config), config),
                StreamConfig::Audio(config) => Frames::Audio(AudioFrames::of(config), config),
            },
            is_settled: false,
            has_followed: false,
            has_begun: false,
        };
        Remuxer {
            demuxer: Demuxer::new(&pids),
            states: streams.iter().map(state).collect(),
            fragments: Fragments { out: Vec::new(), sequence, left: MAX_FRAGMENTS },
            is_behind: false,
        }
    }

    /// Takes a packet.
    pub(super) fn push(&mut self, packet: &[u8; PACKET_SIZE]) -> Result<(), Malformed> {
        let Remuxer { demuxer, states, is_behind, .. } = self;
        let program = demuxer.push(packet, &mut |index, event| match *is_behind {
            false => states[index].take(event),
            true => states[index].take_behind(event),
        })?;
        if let Some(program) = program {
            self.check_program(&program)?;
        }
        let collected: usize = self.states.iter().map(|state| state.run.len()).sum();
        if collected >= FRAGMENT_SIZE { self.write_fragments() } else { Ok(()) }
    }

    /// Ends the segment. The next packets are those of the next one, which may have the end of frames
    /// that began in this one; no more of them than [needed](Remuxer::needs_more).
    pub(super) fn end_segment(&mut self) {
        self.is_behind = true;
        self.demuxer.begin_segment();
        for (index, state) in self.states.iter_mut().enumerate() {
            match &mut state.frames {
                Frames::Video(units, _) => {
                    units.begin_segment();
                    state.is_settled = !state.has_begun;
                }
                Frames::Audio(frames, _) => {
                    let is_open = self.demuxer.is_open(index);
                    state.is_settled = !is_open && !frames.is_within_frame();
                }
            }
        }
    }

    /// Returns whether any stream may go on in the next segment.
    pub(super) fn needs_more(&self) -> bool {
        self.states.iter().any(|state| !state.is_settled || !state.has_followed)
    }

    /// Ends the last frames: `is_all` says that nothing is left of the next segment.
    pub(super) fn finish(&mut self, is_all: bool) -> Result<(), Malformed> {
        for (index, state) in self.states.iter_mut().enumerate() {
            if state.is_settled {
                continue;
            }
            if !is_all {
                return Err(Malformed("a frame goes on for too long in the next segment"));
            }
            let is_cut = match &mut state.frames {
                Frames::Video(..) => false,
                Frames::Audio(frames, _) => frames.is_within_frame(),
            };
            if is_cut || self.demuxer.is_cut(index) {
                return Err(Malformed("the last frame is cut"));
            }
            state.finish()?;
        }
        self.write_fragments()
    }

    /// Returns the bytes of the fragments that are complete since the last call.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.fragments.out
    }

    /// Checks that a segment has the streams that the first one has; their PIDs may be others.
    fn check_program(&mut self, program: &Program) -> Result<(), Malformed> {
        let mut pids = Vec::with_capacity(self.states.len());
        for state in &self.states {
            let found = match state.frames {
                Frames::Video(..) => program.video(),
                Frames::Audio(..) => program.audio(),
            };
            let same = found.filter(|(_, codec)| *codec == state.stream.codec);
            let (pid, _) = same.ok_or(Malformed("the streams change"))?;
            pids.push(pid);
        }
        if self.demuxer.has(&pids) {
            return Ok(());
        }
        if self.is_behind {
            // Nothing of this segment goes on in other streams.
            return self.finish_all();
        }
        if self.states.iter().any(|state| state.has_begun) {
            return Err(Malformed("the streams change"));
        }
        self.demuxer.select(&pids);
        Ok(())
    }

    fn finish_all(&mut self) -> Result<(), Malformed> {
        self.finish(true)?;
        for state in &mut self.states {
            (state.is_settled, state.has_followed) = (true, true);
        }
        Ok(())
    }

    /// Writes what was collected of all streams as one fragment.
    fn write_fragments(&mut self) -> Result<(), Malformed> {
        if self.states.iter().all(|state| state.run.len() == 0) {
            return Ok(());
        }
        let Fragments { out, sequence, left } = &mut self.fragments;
        *left = left.checked_sub(1).ok_or(Malformed("a segment is too long"))?;
        let runs = self.states.iter_mut().map(|state| (state.stream.id, &mut state.run));
        write_fragment(runs, *sequence, out);
        *sequence += 1;
        Ok(())
    }
}

impl StreamState<'_> {
    /// Takes an event of the segment itself.
    fn take(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        let StreamState { stream, timing, run, frames, has_begun, .. } = self;
        *has_begun = true;
        match (event, frames) {
            (Event::Begin(header), Frames::Video(units, _)) => {
                units.begin_packet(times(&header, stream.lead));
            }
            (Event::Begin(header), Frames::Audio(frames, _)) => frames.begin_packet(header.pts),
            (Event::Data(data), Frames::Video(units, config)) => {
                return units
                    .push(data, &mut |unit, next| timing.add_video(run, config, unit, Some(next)));
            }
            (Event::Data(data), Frames::Audio(frames, config)) => {
                return frames.push(data, &mut |frame| timing.add_audio(run, config, frame));
            }
        }
        Ok(())
    }

    /// Takes an event of the next segment.
    fn take_behind(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        self.has_followed |= matches!(event, Event::Begin(_));
        if self.is_settled {
            return Ok(());
        }
        let StreamState { stream, timing, run, frames, is_settled, .. } = self;
        match (event, frames) {
            (Event::Begin(header), Frames::Video(units, _)) => {
                units.begin_packet(times(&header, stream.lead));
            }
            (Event::Data(data), Frames::Video(units, config)) => {
                let mut sink = |unit: VideoUnit<'_>, next| {
                    if !std::mem::replace(is_settled, true) {
                        timing.add_video(run, config, unit, Some(next))?;
                    }
                    Ok(())
                };
                return units.push(data, &mut sink);
            }
            (Event::Begin(_), Frames::Audio(frames, _)) => {
                frames.end_segment();
                *is_settled = frames.is_settled()?;
            }
            (Event::Data(data), Frames::Audio(frames, config)) => {
                frames.push(data, &mut |frame| timing.add_audio(run, config, frame))?;
                *is_settled = frames.is_settled()?;
            }
        }
        Ok(())
    }

    /// Ends the last frame, after which there is none.
    fn finish(&mut self) -> Result<(), Malformed> {
        let StreamState { timing, run, frames, .. } = self;
        match frames {
            Frames::Video(units, config) => {
                units.finish(&mut |unit| timing.add_video(run, config, unit, None))
            }
            Frames::Audio(..) => Ok(()),
        }
    }
}

/// Returns the timestamps of a PES packet of video that is decoded earlier by `lead`.
pub(super) fn times(header: &PesHeader, lead: u64) -> Option<Times> {
    let pts = header.pts?;
    let dts = header.dts.unwrap_or(pts);
    Some(Times { pts, dts: dts.wrapping_sub(lead) % WRAP })
}

impl Timing {
    fn time(&self, timestamp: u64) -> Result<u64, Malformed> {
        u64::try_from(self.clock.ticks(timestamp, self.expected)).map_err(|_| TOO_EARLY)
    }

    /// Adds a video frame, which lasts until `next`.
    fn add_video(
        &mut self,
        run: &mut Run,
        config: &VideoConfig,
        unit: VideoUnit<'_>,
        next: Option<Times>,
    ) -> Result<(), Malformed> {
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
        self.duration = Some(duration);
        run.push(
            |data| config.convert(&unit, data),
            |is_sync| Sample { time, duration, offset, is_sync },
        )
    }

    /// Adds an audio frame. Its time follows from the frames before, unless its timestamp differs.
    fn add_audio(
        &mut self,
        run: &mut Run,
        config: &AudioConfig,
        frame: AudioFrame<'_>,
    ) -> Result<(), Malformed> {
        let scale = Rescale { from: SCALE, to: config.rate() };
        let rescaled = |ticks| scale.round(ticks).map_err(|_| NOT_IN_ORDER);
        let stated = frame.pts.map(|pts| rescaled(self.time(pts)?)).transpose()?;
        let time = match (self.next, stated) {
            (Some(next), Some(stated)) if stated.abs_diff(next) > rescaled(MAX_DRIFT)? => {
                run.end_at(stated)?;
                stated
            }
            (Some(next), _) => next,
            (None, stated) => stated.ok_or(Malformed("the first frame has no timestamp"))?,
        };
        let duration = config.samples();
        self.next = Some(time + u64::from(duration));
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
