//! Transport streams, and packed audio, that are joined while they arrive: they have the packets that they have
//! where their lengths are known, in shorter fragments.

use std::sync::Arc;

use super::head::head;
use super::region::{FileRules, MAX_DISGUISE, PartialPacket, begins_with_packet, find_packets};
use super::remux::Remuxer;
use super::selection::Selection;
use super::timing::{Clock, Timing};
use super::{OutputTrack, Track, check_container, file_rules, output_tracks, with_bases};
use crate::container::mpeg_ts::Malformed;
use crate::container::mpeg_ts::pes::WRAP;
use crate::container::retime::{LiveClock, Restart, Shift};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::media::segments::Declared;
use crate::options::TimeRange;
use crate::splice::Options;
use crate::splice::streaming::{self, FileMuxer, Output, StreamingPlan};

/// How a file becomes fragments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::splice) struct StreamingRules {
    rules: FileRules,
    clock: Clock,
    /// When the presentation begins, in ticks.
    begin: u64,
}

/// Plans to join files of which the beginning was read.
pub(in crate::splice) fn plan(
    files: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<StreamingPlan, Unsupported> {
    let selection = Selection::new(files, TimeRange::default())?;
    let mut tracks = output_tracks(&selection, files.len() == 1)?;
    check_container(options.container, &tracks)?;
    let timeline = selection.timeline(&tracks)?;
    with_bases(&mut tracks, &timeline);
    let end = tracks.iter().map(|track: &OutputTrack<'_>| track.end).max().unwrap_or_default();
    let (clock, begin) = (Clock { origin: timeline.origin }, timeline.begin);
    let files = file_rules(&selection, &tracks).into_iter();
    let files = files.map(|rules| StreamingRules { rules, clock, begin });
    Ok(StreamingPlan {
        head: head(&tracks, begin, end, options.metadata)?,
        files: files.map(streaming::FileRules::Packets).collect(),
    })
}

impl StreamingRules {
    pub(in crate::splice) fn start(&self, clock: &Arc<LiveClock>) -> PacketMuxer<'_> {
        let implied = self.clock.origin.wrapping_add(self.begin) % WRAP;
        PacketMuxer {
            rules: self,
            remuxer: self.remuxer(0, Shift::new(clock)),
            packet: PartialPacket::default(),
            front: None,
            implied: Some(implied),
            is_in_segment: false,
        }
    }

    /// Returns a remuxer for a part that begins at `time`, about.
    fn remuxer(&self, time: u64, shift: Shift) -> Remuxer<'_> {
        Remuxer::for_part(&self.rules.streams, Timing::new(self.clock, time), shift)
    }
}

/// Makes fragments of packets, or of packed audio.
pub(in crate::splice) struct PacketMuxer<'p> {
    rules: &'p StreamingRules,
    remuxer: Remuxer<'p>,
    packet: PartialPacket,
    /// The first bytes of a segment, until its packets were found.
    front: Option<Vec<u8>>,
    /// The timestamp of packed audio that has none.
    implied: Option<u64>,
    is_in_segment: bool,
}

impl FileMuxer for PacketMuxer<'_> {
    fn reached(&self) -> u64 {
        self.remuxer.reached()
    }

    fn is_within_fragment(&self) -> bool {
        false
    }

    fn begin_segment(
        &mut self,
        declared: Option<Declared>,
        restart: Option<Restart>,
        output: &mut Output,
    ) -> Result<(), &'static str> {
        self.end_segment().map_err(why)?;
        self.is_in_segment = true;
        self.front = (!self.rules.rules.is_packed).then(Vec::new);
        if let Some(restart) = restart {
            let time = self.remuxer.reached();
            if let Some(mut shift) = self.remuxer.end_part().map_err(why)? {
                self.emit(output);
                shift.restart(restart);
                self.remuxer = self.rules.remuxer(time, shift);
            }
        }
        self.remuxer.begin_segment(declared).map_err(why)?;
        self.emit(output);
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], output: &mut Output) -> Result<usize, &'static str> {
        let len = match &self.front {
            Some(_) => bytes.len(),
            None if self.rules.rules.is_packed => PACKED_STEP,
            None => self.packet.missing(),
        };
        let bytes = &bytes[..len.min(bytes.len())];
        self.take(bytes).map_err(why)?;
        self.emit(output);
        Ok(bytes.len())
    }

    fn end(&mut self, output: &mut Output) -> Result<(), &'static str> {
        self.end_segment().map_err(why)?;
        self.remuxer.end_part().map_err(why)?;
        self.emit(output);
        Ok(())
    }
}

impl PacketMuxer<'_> {
    fn emit(&mut self, output: &mut Output) {
        for mut fragment in self.remuxer.take_output() {
            fragment.set_sequence(output.next_sequence());
            output.pieces.extend(fragment.into_pieces());
        }
        self.remuxer.use_buffers(&mut output.buffers);
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.rules.rules.is_packed {
            // Later frames go on where those before end.
            return self.remuxer.push_packed(bytes, self.implied.take());
        }
        let Some(front) = &mut self.front else { return self.take_packets(bytes) };
        front.extend_from_slice(bytes);
        let begin = if begins_with_packet(front) { Some(0) } else { find_packets(front) };
        let Some(begin) = begin else {
            let is_short = (front.len() as u64) < MAX_DISGUISE;
            return if is_short { Ok(()) } else { Err(NO_PACKETS) };
        };
        let front = self.front.take().unwrap_or_default();
        self.take_packets(&front[begin..])
    }

    fn take_packets(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let PacketMuxer { remuxer, packet, .. } = self;
        packet.split(bytes, |packet| remuxer.push(packet))
    }

    fn end_segment(&self) -> Result<(), Malformed> {
        let is_all_image = self.front.as_ref().is_some_and(|front| !front.is_empty());
        match () {
            () if is_all_image || !self.packet.is_empty() => Err(NO_PACKETS),
            () if self.is_in_segment && !self.remuxer.has_media() => {
                Err(Malformed("a segment has no media"))
            }
            () => Ok(()),
        }
    }
}

/// How much of packed audio is taken at once: less than most frames.
const PACKED_STEP: usize = 64;
const NO_PACKETS: Malformed = Malformed("a segment does not consist of complete packets");

fn why(Malformed(why): Malformed) -> &'static str {
    why
}
