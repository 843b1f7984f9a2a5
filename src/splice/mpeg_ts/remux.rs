//! [`Remuxer`] turns packets, or packed audio, into fragments: of one segment, or of all up to a discontinuity.

use super::SCALE;
use super::fragment::Fragment;
use super::stream_state::{Frames, StreamState};
use super::timing::{Timing, shifted};
use crate::container::mpeg_ts::{
    AudioConfig, Demuxer, Malformed, PACKET_SIZE, PackedAudio, Program, VideoConfig,
};
use crate::container::probe::Codec;
use crate::container::retime::Shift;
use crate::media::segments::Declared;
use crate::splice::place::{self, Places};

/// The number of bytes of samples of a segment that are collected for a fragment: mostly all of them. What the
/// index refers to must be one fragment, because libavformat goes on from the first one with the next reference.
pub(super) const FRAGMENT_SIZE: usize = 16 << 20;
/// The same where segments are joined while they arrive.
const SHORT_FRAGMENT_SIZE: usize = 128 << 10;
/// The maximum duration of such a fragment, about, in ticks: a second.
const SHORT_FRAGMENT: u64 = SCALE as u64;
/// In packed audio, fragments end at multiples of this: the same ones in whatever pieces it arrives.
const PACKED_STEP: usize = 1 << 10;
/// The maximum number of buffers that are kept for use.
const MAX_BUFFERS: usize = 4;
/// The maximum number of fragments of a segment; the numbers of those of the next one begin above.
pub(super) const MAX_FRAGMENTS: u32 = 1 << 12;
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
    /// By how much its times in the joined file are earlier than on the common clock, in ticks.
    pub(super) base: u64,
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

/// Turns the packets of segments, or packed audio, into fragments.
pub(super) struct Remuxer<'s> {
    demuxer: Demuxer,
    packed: PackedAudio,
    /// How much of the segment was pushed, if it is packed audio.
    packed_len: usize,
    /// The state of each stream, in the order of the streams of the demuxer.
    states: Vec<StreamState<'s>>,
    fragments: Fragments,
    /// Whether the packets are those of the next segment.
    is_behind: bool,
    /// By how much timestamps are shifted.
    shift: Option<Shift>,
    /// Buffers for the media of the next fragments.
    buffers: Vec<Vec<u8>>,
    /// Where the segments of the part are in time.
    places: Places,
}

/// The fragments that are complete.
struct Fragments {
    out: Vec<Fragment>,
    /// The number of the next one.
    sequence: u32,
    left: u32,
    /// The number of bytes of samples in each, and its duration, about.
    size: usize,
    ticks: u64,
    /// The time that the last one has reached.
    written: u64,
}

impl<'s> Remuxer<'s> {
    /// Returns a remuxer for a segment whose fragments are numbered from `sequence` on.
    pub(super) fn new(streams: &'s [Stream], timing: Timing, sequence: u32) -> Remuxer<'s> {
        let pids: Vec<_> = streams.iter().map(|stream| stream.pid).collect();
        let state = |stream: &'s Stream| StreamState::new(stream, timing);
        Remuxer {
            demuxer: Demuxer::new(&pids),
            packed: PackedAudio::default(),
            states: streams.iter().map(state).collect(),
            fragments: Fragments {
                out: Vec::new(),
                sequence,
                left: MAX_FRAGMENTS,
                size: FRAGMENT_SIZE,
                ticks: u64::MAX,
                written: 0,
            },
            packed_len: 0,
            is_behind: false,
            shift: None,
            buffers: Vec::new(),
            places: Places::default(),
        }
    }

    /// Lets the remuxer collect media in these buffers.
    pub(super) fn use_buffers(&mut self, buffers: &mut Vec<Vec<u8>>) {
        self.buffers.append(buffers);
        self.buffers.truncate(MAX_BUFFERS);
        self.states.iter_mut().for_each(|state| state.run.use_buffer(&mut self.buffers));
    }

    /// Returns a remuxer for all segments up to a discontinuity, whose timestamps are shifted.
    pub(super) fn for_part(streams: &'s [Stream], timing: Timing, shift: Shift) -> Remuxer<'s> {
        let mut remuxer = Remuxer::new(streams, timing, 0);
        remuxer.shift = Some(shift);
        let written = remuxer.reached();
        let (left, size, ticks) = (u32::MAX, SHORT_FRAGMENT_SIZE, SHORT_FRAGMENT);
        remuxer.fragments = Fragments { left, size, ticks, written, ..remuxer.fragments };
        remuxer
    }

    /// Begins another segment of the part, of which a list has `declared` the duration, and writes what was
    /// collected.
    pub(super) fn begin_segment(&mut self, declared: Option<Declared>) -> Result<(), Malformed> {
        self.check_tags()?;
        self.take_spans();
        self.places.begin(declared, false).map_err(Malformed)?;
        self.demuxer.begin_segment();
        self.packed.begin_segment();
        self.packed_len = 0;
        self.states.iter_mut().for_each(|state| state.has_begun = false);
        self.write_fragments()
    }

    /// Ends the last frames of the part. Returns the shift of its timestamps.
    pub(super) fn end_part(&mut self) -> Result<Option<Shift>, Malformed> {
        self.check_tags()?;
        self.finish(true)?;
        self.take_spans();
        self.places.verify(true).map_err(Malformed)?;
        Ok(self.shift.take())
    }

    fn take_spans(&mut self) {
        for (track, state) in self.states.iter_mut().enumerate() {
            *self.places.span(track) = state.timing.span.take();
        }
    }

    /// Compares the segment, which has ended, with what is declared of it; `has_next` says that the next one has the
    /// same clock.
    pub(super) fn check_place(&self, declared: Declared, has_next: bool) -> Result<(), Malformed> {
        if !self.states.iter().any(|state| state.has_begun) {
            return Err(Malformed("a segment has no media"));
        }
        let spans: Vec<_> = self.states.iter().map(|state| state.timing.span).collect();
        let next: Vec<_> = self.states.iter().map(|state| state.next).collect();
        place::check(&spans, &declared, has_next.then_some(&*next)).map_err(Malformed)
    }

    /// Returns whether the current segment has had anything of the streams.
    pub(super) fn has_media(&self) -> bool {
        self.packed.has_begun() || self.states.iter().any(|state| state.has_begun)
    }

    /// Returns what time the frames have reached, on the common clock.
    pub(super) fn reached(&self) -> u64 {
        let times = self.states.iter().map(|state| state.timing.reached() + state.stream.base);
        times.max().unwrap_or_default()
    }

    /// Takes a packet.
    pub(super) fn push(&mut self, packet: &[u8; PACKET_SIZE]) -> Result<(), Malformed> {
        let Remuxer { demuxer, states, is_behind, shift, .. } = self;
        let program = demuxer.push(packet, &mut |index, event| match *is_behind {
            false => states[index].take(shifted(event, shift)?),
            true => states[index].take_behind(event),
        })?;
        if let Some(program) = program {
            self.check_program(&program)?;
        }
        self.write_long_fragments()
    }

    /// Takes packed audio, which has the timestamp `implied` if the segment has none.
    pub(super) fn push_packed(
        &mut self,
        mut data: &[u8],
        implied: Option<u64>,
    ) -> Result<(), Malformed> {
        while !data.is_empty() {
            let step = PACKED_STEP - self.packed_len % PACKED_STEP;
            let (piece, rest) = data.split_at(step.min(data.len()));
            let Remuxer { packed, states, is_behind, shift, .. } = self;
            let Some(state) = states.first_mut() else { return Ok(()) };
            packed.push(piece, implied, &mut |event| match *is_behind {
                false => state.take(shifted(event, shift)?),
                true => state.take_behind(event),
            })?;
            (self.packed_len, data) = (self.packed_len + piece.len(), rest);
            if self.packed_len.is_multiple_of(PACKED_STEP) {
                self.write_long_fragments()?;
            }
        }
        Ok(())
    }

    /// Writes what was collected, if it is enough for a fragment.
    fn write_long_fragments(&mut self) -> Result<(), Malformed> {
        let collected: usize = self.states.iter().map(|state| state.run.len()).sum();
        let Fragments { size, ticks, written, .. } = self.fragments;
        let is_long = collected >= size || self.reached().saturating_sub(written) >= ticks;
        if is_long { self.write_fragments() } else { Ok(()) }
    }

    /// Ends the segment. The next packets are those of the next one, which may have the end of frames
    /// that began in this one; no more of them than [needed](Remuxer::needs_more).
    pub(super) fn end_segment(&mut self) -> Result<(), Malformed> {
        self.check_tags()?;
        self.is_behind = true;
        self.demuxer.begin_segment();
        let has_packed = self.packed.has_begun();
        self.packed.begin_segment();
        for (index, state) in self.states.iter_mut().enumerate() {
            match &mut state.frames {
                Frames::Video(units, _) => {
                    units.begin_segment();
                    state.is_settled = !state.has_begun;
                }
                Frames::Audio(frames, _) => {
                    // The end of a packet is known, but not whether packed audio goes on.
                    let is_open = self.demuxer.is_open(index) || has_packed;
                    state.is_settled = !is_open && !frames.is_within_frame();
                }
            }
        }
        Ok(())
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

    /// Takes the fragments that are complete since the last call, in pieces.
    pub(super) fn take_output(&mut self) -> Vec<Fragment> {
        std::mem::take(&mut self.fragments.out)
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
            let (pid, _) = same.ok_or(Malformed("the streams have become other ones"))?;
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
            return Err(Malformed("the streams have become other ones"));
        }
        self.finish(true)?;
        self.demuxer.select(&pids);
        Ok(())
    }

    fn check_tags(&self) -> Result<(), Malformed> {
        if self.packed.is_cut() { Err(Malformed("a tag is cut")) } else { Ok(()) }
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
        self.fragments.written = self.reached();
        let Fragments { out, sequence, left, .. } = &mut self.fragments;
        *left = left.checked_sub(1).ok_or(Malformed("a segment is too long"))?;
        let runs = self.states.iter_mut().map(|state| (state.stream.id, &mut state.run));
        out.extend(Fragment::of(runs, *sequence));
        *sequence += 1;
        self.states.iter_mut().for_each(|state| state.run.use_buffer(&mut self.buffers));
        Ok(())
    }
}
