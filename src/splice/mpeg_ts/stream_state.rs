//! [`StreamState`] collects the frames of a stream for the next fragment.

use super::fragment::Run;
use super::remux::{Stream, StreamConfig};
use super::timing::{Timing, times};
use crate::container::mpeg_ts::{
    AudioConfig, AudioFrames, Event, Malformed, VideoConfig, VideoUnit, VideoUnits,
};
use crate::splice::place::Span;

/// A stream whose frames are collected for the next fragment.
pub(super) struct StreamState<'s> {
    pub(super) stream: &'s Stream,
    pub(super) timing: Timing,
    pub(super) run: Run,
    pub(super) frames: Frames<'s>,
    /// Whether no frame goes on in the next segment.
    pub(super) is_settled: bool,
    /// Whether a PES packet began in the next segment: what precedes it belongs to this one.
    pub(super) has_followed: bool,
    pub(super) has_begun: bool,
    /// The first time in the next segment.
    pub(super) next: Option<i64>,
}

/// The frames of a stream.
pub(super) enum Frames<'s> {
    Video(VideoUnits, &'s VideoConfig),
    Audio(AudioFrames, &'s AudioConfig),
}

impl<'s> StreamState<'s> {
    /// Returns the state of a stream before its first frame.
    pub(super) fn new(stream: &'s Stream, timing: Timing) -> StreamState<'s> {
        StreamState {
            stream,
            timing: timing.earlier_by(stream.base),
            run: Run::default(),
            frames: match &stream.config {
                StreamConfig::Video(config) => Frames::Video(VideoUnits::of(config), config),
                StreamConfig::Audio(config) => Frames::Audio(AudioFrames::of(config), config),
            },
            is_settled: false,
            has_followed: false,
            has_begun: false,
            next: None,
        }
    }

    /// Takes an event of the segment itself.
    pub(super) fn take(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        let StreamState { stream, timing, run, frames, has_begun, .. } = self;
        *has_begun = true;
        match (event, frames) {
            (Event::Begin(header), Frames::Video(units, _)) => {
                let times = times(&header, stream.lead);
                if let Some(times) = times {
                    let time = timing.ticks(times.dts);
                    // A frame is complete when the next one begins, which is in the next segment of the last one.
                    Span::add(&mut timing.span, time, None);
                }
                units.begin_packet(times);
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
    pub(super) fn take_behind(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        if let Event::Begin(header) = &event {
            self.has_followed = true;
            let times = times(header, self.stream.lead);
            self.next = self.next.or(times.map(|times| self.timing.ticks(times.dts)));
        }
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
    pub(super) fn finish(&mut self) -> Result<(), Malformed> {
        let StreamState { timing, run, frames, .. } = self;
        match frames {
            Frames::Video(units, config) => {
                units.finish(&mut |unit| timing.add_video(run, config, unit, None))
            }
            Frames::Audio(..) => Ok(()),
        }
    }
}
