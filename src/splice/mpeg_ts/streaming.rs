//! [`StreamingPlan`] and [`StreamingMuxer`] join transport streams, and packed audio, whose lengths are not
//! known: the same fragments as where they are known, without padding, while the segments arrive.
//!
//! **Invariant:** nothing is left out. A stream that cannot be joined to its end is an error.

use std::sync::Arc;

use super::fragment::Fragment;
use super::head::head;
use super::region::{FileRules, MAX_DISGUISE, PartialPacket, find_packets};
use super::remux::Remuxer;
use super::selection::Selection;
use super::timing::{Clock, Timing};
use super::{OutputTrack, Track, file_rules, output_tracks, with_bases};
use crate::container::mpeg_ts::pes::WRAP;
use crate::container::mpeg_ts::{Malformed, SYNC_BYTE};
use crate::container::retime::{LiveClock, Restart, Shift};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::options::TimeRange;
use crate::splice::Options;

/// What is known of the joined file before its media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamingPlan {
    /// The header: ftyp and moov.
    pub head: Vec<u8>,
    files: Vec<FileRules>,
    clock: Clock,
    begin: u64,
}

/// Plans to join files of which the beginning was read.
pub(in crate::splice) fn plan(
    files: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<StreamingPlan, Unsupported> {
    if files.iter().any(|(_, track)| !track.segments.is_empty()) {
        return Err(Unsupported("the lengths of the segments are known"));
    }
    if !options.time_range.is_full() {
        return Err(Unsupported("a time range needs segments of known length"));
    }
    let selection = Selection::new(files, TimeRange::default())?;
    let mut tracks = output_tracks(&selection, files.len() == 1)?;
    super::check_container(options.container, &tracks)?;
    let timeline = selection.timeline(&tracks)?;
    with_bases(&mut tracks, &timeline);
    let end = tracks.iter().map(|track: &OutputTrack<'_>| track.end).max().unwrap_or_default();
    Ok(StreamingPlan {
        head: head(&tracks, timeline.begin, end, options.metadata)?,
        files: file_rules(&selection, &tracks),
        clock: Clock { origin: timeline.origin },
        begin: timeline.begin,
    })
}

/// Joins files of a [`StreamingPlan`].
pub struct StreamingMuxer<'p> {
    plan: &'p StreamingPlan,
    /// Those of a file that has ended are `None`.
    files: Vec<Option<FileState<'p>>>,
    /// The number of fragments so far.
    sequence: u32,
    out: Vec<Fragment>,
}

struct FileState<'p> {
    rules: &'p FileRules,
    remuxer: Remuxer<'p>,
    packet: PartialPacket,
    /// The first bytes of a segment, until its packets were found.
    front: Option<Vec<u8>>,
    /// The timestamp of packed audio that has none.
    implied: Option<u64>,
}

impl StreamingPlan {
    /// Returns a muxer, which has written the header.
    pub fn start(&self) -> StreamingMuxer<'_> {
        let clock = Arc::default();
        let files = self.files.iter().map(|rules| Some(FileState::new(self, rules, &clock)));
        StreamingMuxer { plan: self, files: files.collect(), sequence: 0, out: Vec::new() }
    }

    fn timing(&self, reached: u64) -> Timing {
        Timing::new(self.clock, reached)
    }
}

impl StreamingMuxer<'_> {
    /// Returns the index of the file that is needed next; `None` if all have ended.
    pub fn next(&self) -> Option<usize> {
        let files = self.files.iter().enumerate();
        let files = files.filter_map(|(index, file)| Some((index, file.as_ref()?)));
        files.min_by_key(|(_, file)| file.remuxer.reached()).map(|(index, _)| index)
    }

    /// Begins another segment of a file, behind a discontinuity if there is a `restart`.
    pub fn begin_segment(
        &mut self,
        file: usize,
        restart: Option<Restart>,
    ) -> Result<(), &'static str> {
        let Some(state) = &mut self.files[file] else { return Ok(()) };
        let result = state.begin_segment(self.plan, restart, &mut self.out);
        result.map_err(|Malformed(why)| why)
    }

    /// Takes the next bytes of the current segment of a file.
    pub fn push(&mut self, file: usize, bytes: &[u8]) -> Result<(), &'static str> {
        let Some(state) = &mut self.files[file] else { return Ok(()) };
        state.push(bytes).map_err(|Malformed(why)| why)?;
        self.out.extend(state.remuxer.take_output());
        Ok(())
    }

    /// Ends a file.
    pub fn end(&mut self, file: usize) -> Result<(), &'static str> {
        let Some(mut state) = self.files[file].take() else { return Ok(()) };
        state.end_segment().map_err(|Malformed(why)| why)?;
        state.remuxer.end_part().map_err(|Malformed(why)| why)?;
        self.out.extend(state.remuxer.take_output());
        Ok(())
    }

    /// Passes what was joined since the last call to `write`, in pieces.
    pub fn write<E>(&mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for mut fragment in self.out.drain(..) {
            self.sequence = self.sequence.wrapping_add(1);
            fragment.set_sequence(self.sequence);
            fragment.pieces().try_for_each(&mut write)?;
        }
        Ok(())
    }
}

impl<'p> FileState<'p> {
    fn new(plan: &StreamingPlan, rules: &'p FileRules, clock: &Arc<LiveClock>) -> FileState<'p> {
        let remuxer = Remuxer::for_part(&rules.streams, plan.timing(0), Shift::new(clock));
        let implied = plan.clock.origin.wrapping_add(plan.begin) % WRAP;
        let (packet, front) = (PartialPacket::default(), None);
        FileState { rules, remuxer, packet, front, implied: Some(implied) }
    }

    fn begin_segment(
        &mut self,
        plan: &StreamingPlan,
        restart: Option<Restart>,
        out: &mut Vec<Fragment>,
    ) -> Result<(), Malformed> {
        self.end_segment()?;
        self.front = (!self.rules.is_packed).then(Vec::new);
        self.remuxer.begin_segment()?;
        out.extend(self.remuxer.take_output());
        if let Some(restart) = restart {
            let timing = plan.timing(self.remuxer.reached());
            if let Some(mut shift) = self.remuxer.end_part()? {
                out.extend(self.remuxer.take_output());
                shift.restart(restart);
                self.remuxer = Remuxer::for_part(&self.rules.streams, timing, shift);
            }
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.rules.is_packed {
            self.remuxer.push_packed(bytes, self.implied)?;
            // Later frames go on where those before end.
            self.implied = None;
            return Ok(());
        }
        let Some(front) = &mut self.front else { return self.push_packets(bytes) };
        if front.is_empty() && bytes.first() == Some(&SYNC_BYTE) {
            self.front = None;
            return self.push_packets(bytes);
        }
        front.extend_from_slice(bytes);
        let Some(begin) = find_packets(front) else {
            let is_short = (front.len() as u64) < MAX_DISGUISE;
            return if is_short { Ok(()) } else { Err(NO_PACKETS) };
        };
        let front = self.front.take().unwrap_or_default();
        self.push_packets(&front[begin..])
    }

    fn push_packets(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let FileState { remuxer, packet, .. } = self;
        packet.split(bytes, |packet| remuxer.push(packet))
    }

    fn end_segment(&self) -> Result<(), Malformed> {
        let is_all_image = self.front.as_ref().is_some_and(|front| !front.is_empty());
        if is_all_image || !self.packet.is_empty() { Err(NO_PACKETS) } else { Ok(()) }
    }
}

const NO_PACKETS: Malformed = Malformed("a segment does not consist of complete packets");
