//! Mends the timestamps of a track in segments of unknown length on its way to ffmpeg.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::container::probe::Format;
use crate::container::retime::{LiveClock, Restart, Retimer};
use crate::fetch::{Discontinuity, SegmentStart};

/// Mends one track.
pub(super) struct Mender {
    /// `None` if the format has no timestamps that can be mended.
    retimer: Option<Retimer>,
    /// The offset of the next byte.
    offset: u64,
    restarts: VecDeque<(u64, Discontinuity)>,
}

impl Mender {
    /// Begins at `offset` of a track.
    pub(super) fn new(format: Format, offset: u64, clock: &Arc<LiveClock>) -> Mender {
        Mender { retimer: Retimer::new(format, clock), offset, restarts: VecDeque::new() }
    }

    /// Returns the next bytes of the track as ffmpeg should get them; `new` are the segments that begin
    /// among them, or behind them.
    pub(super) fn mend(
        &mut self,
        mut bytes: &[u8],
        new: Vec<SegmentStart>,
    ) -> Result<Vec<u8>, &'static str> {
        let restarts = new
            .into_iter()
            .filter_map(|start: SegmentStart| Some((start.offset, start.discontinuity?)));
        self.restarts.extend(restarts);
        let mut output = Vec::with_capacity(bytes.len());
        loop {
            let next = self.restarts.front().map_or(u64::MAX, |(offset, _)| *offset);
            let len = usize::try_from(next.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            let (before, behind) = bytes.split_at(len.min(bytes.len()));
            match &mut self.retimer {
                Some(retimer) => retimer.push(before, &mut output)?,
                None => output.extend_from_slice(before),
            }
            self.offset += before.len() as u64;
            bytes = behind;
            if self.offset < next || bytes.is_empty() {
                return Ok(output);
            }
            let Some((_, Discontinuity { number, after })) = self.restarts.pop_front() else {
                return Ok(output);
            };
            let retimer = self.retimer.as_mut();
            let retimer = retimer.ok_or("its timestamps begin again (EXT-X-DISCONTINUITY)")?;
            retimer.restart(Restart { number, after });
        }
    }

    /// Returns what is left at the end.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut output = Vec::new();
        if let Some(retimer) = self.retimer {
            retimer.finish(&mut output);
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::segments::Declared;

    #[test]
    fn what_cannot_be_mended_is_an_error() {
        let clock = Arc::new(LiveClock::default());
        let discontinuity = Some(Discontinuity { number: 1, after: Duration::from_secs(1) });
        let declared = Declared { duration: Duration::ZERO, rounding: Duration::ZERO };
        let at = |offset| SegmentStart { offset, declared, discontinuity };
        let mut frames = Mender::new(Format::Adts, 2, &clock);
        let plain = SegmentStart { offset: 3, declared, discontinuity: None };
        assert_eq!(frames.mend(b"abc", vec![plain, at(7)]), Ok(b"abc".to_vec()));
        assert_eq!(frames.mend(b"de", Vec::new()), Ok(b"de".to_vec()));
        assert!(frames.mend(b"f", Vec::new()).is_err());
        let mut packets = Mender::new(Format::MpegTs, 0, &clock);
        assert_eq!(packets.mend(b"no packets", vec![at(3), at(5)]), Ok(b"no packets".to_vec()));
        assert_eq!(packets.finish(), b"");
    }
}
