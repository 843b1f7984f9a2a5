//! Probes MPEG transport streams (ISO/IEC 13818-1): by the distance of the first bytes of packets, and
//! the tables that list the streams. The stream may be disguised: some sites put an image before each
//! segment, so that its host takes it for one.

use std::time::Duration;

use super::{Codec, Format, PROBE_SIZE, Probe, ProbeInfo, View, ac3, from_ticks, mpeg_audio};
use crate::container::mpeg_ts::packet::{PACKET_SIZE, SYNC_BYTE, count_synced};
use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;
use crate::container::mpeg_ts::{Packet, PesHeader, Program, Tables};

/// The number of packets that are no coincidence.
const MIN_PACKETS: usize = 4;
/// How often packets that turn out to be none are read in an image.
const MAX_CANDIDATES: usize = 64;

/// Returns whether the file begins with packets.
pub(super) fn begins(view: &View<'_>) -> Result<bool, Probe> {
    if view.need(0, 1)?.first() != Some(&SYNC_BYTE) {
        return Ok(false);
    }
    let bytes = view.need(0, (MIN_PACKETS - 1) * PACKET_SIZE + 1)?;
    Ok(is_synced(bytes))
}

/// Whether packets begin here; a short file may have fewer.
fn is_synced(bytes: &[u8]) -> bool {
    let expected = bytes.len().div_ceil(PACKET_SIZE).min(MIN_PACKETS);
    bytes.len() >= PACKET_SIZE && count_synced(bytes) >= expected
}

/// Probes a file that begins with packets.
pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    match read(view, 0)? {
        Some(info) => Ok(info),
        None => {
            Err(super::not_media("it is an MPEG transport stream without a list of its streams"))
        }
    }
}

/// Probes a file that begins with an image; `None` if there is no transport stream behind it. The image
/// may contain the first bytes of packets by chance, but not the tables with their checksums.
pub(super) fn behind_image(view: &View<'_>) -> Result<Option<ProbeInfo>, Probe> {
    if !is_image(view.need(0, super::MIN_PROBE)?) {
        return Ok(None);
    }
    let bytes = view.need(0, PROBE_SIZE)?;
    let bytes = bytes.get(..PROBE_SIZE).unwrap_or(bytes);
    let candidates =
        (1..bytes.len()).filter(|at| bytes[*at] == SYNC_BYTE && is_synced(&bytes[*at..]));
    for at in candidates.take(MAX_CANDIDATES) {
        if let Some(info) = read(view, at)? {
            return Ok(Some(ProbeInfo { skip: at as u64, ..info }));
        }
    }
    Ok(None)
}

/// Returns whether these are the first bytes of a PNG, GIF, BMP or JPEG file.
pub(crate) fn is_image(bytes: &[u8]) -> bool {
    let begins = |mark: &&[u8]| bytes.starts_with(mark);
    [&b"\x89PNG\r\n\x1a\n"[..], b"GIF8", b"BM", b"\xff\xd8\xff"].iter().any(begins)
}

/// What the first packets tell.
#[derive(Default)]
struct Facts {
    tables: Tables,
    program: Option<Program>,
    /// The first presentation time of video and of audio.
    video_time: Option<u64>,
    audio_time: Option<u64>,
    audio: Option<Codec>,
    is_scrambled: bool,
}

/// Reads packets from `at` on, until all is known; `None` if there are no tables.
fn read(view: &View<'_>, at: usize) -> Result<Option<ProbeInfo>, Probe> {
    let mut facts = Facts::default();
    let mut end = at + PACKET_SIZE;
    while end <= PROBE_SIZE && !facts.are_complete() {
        let bytes = view.need(0, end)?.get(end - PACKET_SIZE..end);
        let packet = bytes.and_then(|bytes| Packet::parse(bytes.first_chunk()?));
        let Some(packet) = packet else { break };
        facts.see(&packet);
        end += PACKET_SIZE;
    }
    Ok(facts.info())
}

impl Facts {
    fn see(&mut self, packet: &Packet<'_>) {
        if let Some(program) = self.tables.push(packet) {
            self.program.get_or_insert(program);
        }
        let Some(program) = &self.program else { return };
        let is = |stream: Option<(u16, Codec)>| stream.is_some_and(|(pid, _)| pid == packet.pid);
        let (is_video, is_audio) = (is(program.video()), is(program.audio()));
        if !is_video && !is_audio {
            return;
        }
        self.is_scrambled |= packet.is_scrambled;
        let Some(payload) = packet.payload.filter(|_| packet.is_start) else { return };
        let Some(header) = PesHeader::parse(payload) else { return };
        self.is_scrambled |= header.is_scrambled;
        let time = if is_video { &mut self.video_time } else { &mut self.audio_time };
        *time = time.or(header.pts);
        if is_audio && self.audio.is_none() {
            self.audio = frame_codec(&payload[header.len..]);
        }
    }

    fn are_complete(&self) -> bool {
        let Some(program) = &self.program else { return false };
        let is_known = |stream: Option<_>, time: Option<u64>| stream.is_none() || time.is_some();
        self.is_scrambled
            || is_known(program.video(), self.video_time)
                && is_known(program.audio(), self.audio_time)
    }

    fn info(self) -> Option<ProbeInfo> {
        let program = self.program?;
        let begin = self.video_time.into_iter().chain(self.audio_time).min();
        let begin = begin.and_then(|ticks| from_ticks(ticks, TICKS_PER_SECOND));
        let audio = program.audio().map(|(_, codec)| match codec {
            // The type of the stream does not tell the layer.
            Codec::Mp3 => self.audio.unwrap_or(Codec::Other),
            codec => codec,
        });
        let video = program.video().map(|(_, codec)| codec);
        Some(ProbeInfo {
            begin: begin.unwrap_or(Duration::ZERO),
            has_video: Some(video.is_some()),
            video,
            audio,
            is_encrypted: Some(program.is_encrypted() || self.is_scrambled),
            ..ProbeInfo::of(Format::MpegTs)
        })
    }
}

/// Returns the codec of the frame that begins here.
fn frame_codec(bytes: &[u8]) -> Option<Codec> {
    mpeg_audio::frame(bytes).or_else(|| ac3::frame(bytes)).map(|frame| frame.codec)
}

#[cfg(test)]
mod tests;
