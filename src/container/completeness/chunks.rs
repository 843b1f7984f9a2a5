//! Audio in chunks: RIFF, and RF64, whose 64-bit sizes are in a chunk of their own (EBU Tech 3306);
//! AIFF, the big-endian relative; Wave64, with longer names and sizes; and AU, which is one chunk.

use super::{Structure, Unit};
use crate::container::probe::{is_placeholder, wave64};

/// The form of a chunk's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// 32 bits, little-endian.
    Riff,
    /// 32 bits, big-endian.
    Aiff,
    /// 64 bits, header included.
    Wave64,
    /// 32 bits, big-endian, after the offset.
    Au,
}

#[derive(Debug)]
pub(super) struct Chunks {
    layout: Layout,
    is_open: bool,
    /// The padding to an even offset after a chunk, which may be missing at the end.
    pad: u64,
    /// The length of the audio, where its own chunk does not declare it.
    audio_len: Option<u64>,
}

/// The header of a chunk.
struct Header {
    len: u64,
    /// The length of the payload.
    payload: u64,
    is_audio: bool,
    /// Whether the name is a valid chunk name.
    is_named: bool,
}

impl Chunks {
    pub(super) fn riff() -> Chunks {
        Chunks::new(Layout::Riff)
    }

    pub(super) fn aiff() -> Chunks {
        Chunks::new(Layout::Aiff)
    }

    pub(super) fn wave64() -> Chunks {
        Chunks::new(Layout::Wave64)
    }

    pub(super) fn au() -> Chunks {
        Chunks::new(Layout::Au)
    }

    fn new(layout: Layout) -> Chunks {
        Chunks { layout, is_open: false, pad: 0, audio_len: None }
    }

    /// Returns the length of what precedes the chunks.
    fn opening(&self) -> u64 {
        match self.layout {
            Layout::Riff | Layout::Aiff => 12,
            Layout::Wave64 => wave64::OPENING,
            Layout::Au => 0,
        }
    }

    fn header(&self, bytes: &[u8]) -> Option<Header> {
        let is_plain = |name: &[u8]| name.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let name = bytes.get(..4)?;
        let size = *bytes.get(4..8)?.first_chunk()?;
        Some(match self.layout {
            Layout::Riff | Layout::Aiff => {
                let is_riff = self.layout == Layout::Riff;
                let read = if is_riff { u32::from_le_bytes } else { u32::from_be_bytes };
                let audio_len = if is_riff { b"data" } else { b"SSND" };
                let (is_audio, is_named) = (name == audio_len, is_plain(name));
                Header { len: 8, payload: read(size).into(), is_audio, is_named }
            }
            Layout::Wave64 => {
                let size = u64::from_le_bytes(*bytes.get(16..24)?.first_chunk()?);
                let payload = size.saturating_sub(wave64::HEADER);
                let is_named = size >= wave64::HEADER && is_plain(name);
                let is_audio = bytes.starts_with(&wave64::DATA);
                Header { len: wave64::HEADER, payload, is_audio, is_named }
            }
            Layout::Au => {
                let payload = u32::from_be_bytes(*bytes.get(8..12)?.first_chunk()?).into();
                let len = u32::from_be_bytes(size).into();
                Header { len, payload, is_audio: true, is_named: name == b".snd" && len >= 12 }
            }
        })
    }
}

impl Structure for Chunks {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        if !std::mem::replace(&mut self.is_open, true) && self.opening() > 0 {
            return Unit::Len(self.opening());
        }
        let pad = std::mem::take(&mut self.pad);
        if pad > 0 {
            return Unit::Len(pad);
        }
        let Some(header) = self.header(bytes) else { return Unit::NeedMore };
        let Header { len, mut payload, is_audio, is_named } = header;
        if bytes.starts_with(b"ds64") && self.layout == Layout::Riff {
            if payload < 16 {
                return Unit::Open;
            }
            let Some(sizes) = bytes.get(8..24) else { return Unit::NeedMore };
            self.audio_len = sizes.last_chunk().map(|audio_len| u64::from_le_bytes(*audio_len));
        }
        if is_audio && is_placeholder(payload) {
            match self.audio_len {
                Some(audio_len) if (1..u64::MAX >> 1).contains(&audio_len) => payload = audio_len,
                _ => return Unit::Open,
            }
        }
        if !is_named {
            return Unit::Open;
        }
        let even = if self.layout == Layout::Wave64 { 8 } else { 2 };
        self.pad = payload.wrapping_neg() % even;
        payload.checked_add(len).map_or(Unit::Open, Unit::Len)
    }
}
