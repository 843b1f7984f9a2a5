//! FLAC (RFC 9639): metadata blocks, and then frames, which do not declare their length. Each frame is
//! found by its header, and the checksum of the last one shows whether it is complete.

use super::frames::id3_len;
use super::{Incomplete, Structure, Unit};

/// The maximum length of a frame header, its checksum included (RFC 9639 §9.1).
const MAX_HEADER: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Flac {
    state: State,
    /// The total number of samples, if the file declares it.
    total: u64,
    /// The number of samples per block, if it is constant.
    block: u64,
    /// Bytes that may be a frame header: they begin like one.
    candidate: Vec<u8>,
    /// The number of samples up to the end of the last frame found.
    samples: u64,
    /// The checksum of all bytes since that frame began.
    checksum: u16,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Magic,
    Blocks,
    Frames,
}

impl Structure for Flac {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        match self.state {
            State::Magic => {
                let needed = if bytes.starts_with(b"I") { 10 } else { 4 };
                let Some(header) = bytes.get(..needed) else { return Unit::NeedMore };
                match id3_len(header) {
                    Some(len) => Unit::Len(len),
                    // The file begins with an unknown tag.
                    None if !bytes.starts_with(b"fLaC") => {
                        self.state = State::Frames;
                        Unit::Open
                    }
                    None => {
                        self.state = State::Blocks;
                        Unit::Len(4)
                    }
                }
            }
            State::Blocks => self.block(bytes),
            State::Frames => {
                bytes.iter().for_each(|byte| self.byte(*byte));
                Unit::Len(bytes.len() as u64)
            }
        }
    }

    fn end(&self) -> Result<(), Incomplete> {
        if self.state != State::Frames {
            return Err(Incomplete("the file ends before its audio frames"));
        }
        if self.total > self.samples {
            return Err(Incomplete("the file has fewer samples than it declares"));
        }
        if self.checksum == 0 { Ok(()) } else { Err(Incomplete("the last frame is truncated")) }
    }
}

impl Flac {
    /// Parses a metadata block (§8.1); the first one, STREAMINFO (§8.2), describes the frames.
    fn block(&mut self, bytes: &[u8]) -> Unit {
        let Some([kind, len @ ..]) = bytes.first_chunk::<4>() else { return Unit::NeedMore };
        let len = len.iter().fold(0, |len, byte| len << 8 | u64::from(*byte));
        if kind & 0x7f == 0 {
            if len < 34 {
                return Unit::Open;
            }
            let Some(info) = bytes.get(4..4 + 34) else { return Unit::NeedMore };
            self.block = u64::from(u16::from_be_bytes([info[0], info[1]]));
            let low = info[14..18].iter().fold(0, |total, byte| total << 8 | u64::from(*byte));
            self.total = u64::from(info[13] & 15) << 32 | low;
        }
        if kind & 0x80 != 0 {
            self.state = State::Frames;
        }
        Unit::Len(len + 4)
    }

    fn byte(&mut self, byte: u8) {
        self.checksum = crc16(self.checksum, byte);
        if self.candidate.is_empty() && byte != 0xff {
            return;
        }
        self.candidate.push(byte);
        // A header is recognised by its last byte, the checksum of the bytes before it.
        let found = (0..self.candidate.len()).find_map(|at| {
            let header = &self.candidate[at..];
            frame_header(header).map(|header| (at, header))
        });
        if let Some((at, header)) = found {
            self.frame(at, header);
        }
        if self.candidate.len() >= MAX_HEADER {
            let next = self.candidate[1..].iter().position(|byte| *byte == 0xff);
            self.candidate.drain(..next.map_or(MAX_HEADER, |next| next + 1));
        }
    }

    /// Begins a frame: the candidate's bytes from `at` on are its header.
    fn frame(&mut self, at: usize, Header { number, samples, is_variable }: Header) {
        let begin = if is_variable { number } else { number.saturating_mul(self.block) };
        // Other bytes look like a header by chance.
        if begin != self.samples {
            return;
        }
        self.samples = begin.saturating_add(samples);
        self.checksum = self.candidate[at..].iter().fold(0, |crc, byte| crc16(crc, *byte));
        self.candidate.clear();
    }
}

struct Header {
    number: u64,
    samples: u64,
    /// Whether `number` counts samples rather than frames.
    is_variable: bool,
}

/// Parses a frame header (§9.1), if `bytes` are exactly one.
fn frame_header(bytes: &[u8]) -> Option<Header> {
    let (last, header) = bytes.split_last()?;
    if header.len() < 5 || header[0] != 0xff || header[1] & 0xfe != 0xf8 {
        return None;
    }
    if header.iter().fold(0, |crc, byte| crc8(crc, *byte)) != *last {
        return None;
    }
    let (code, rate) = (header[2] >> 4, header[2] & 15);
    // The number is encoded like a character in UTF-8 (§9.1.5).
    let ones = header[4].leading_ones() as usize;
    let more = match ones {
        0 => 0,
        2..=7 => ones - 1,
        _ => return None,
    };
    let first = u64::from(header[4]) & (0x7f >> ones);
    let number =
        header.get(5..5 + more)?.iter().fold(first, |n, byte| n << 6 | u64::from(byte & 63));
    let mut rest = &header[5 + more..];
    let samples = match code {
        0 => return None,
        1 => 192,
        2..=5 => 144 << code,
        6 => {
            let size = u64::from(*rest.first()?) + 1;
            rest = &rest[1..];
            size
        }
        7 => {
            let size = u64::from(u16::from_be_bytes(*rest.first_chunk()?)) + 1;
            rest = &rest[2..];
            size
        }
        _ => 256 << (code - 8),
    };
    let of_rate = match rate {
        12 => 1,
        13 | 14 => 2,
        15 => return None,
        _ => 0,
    };
    let is_variable = header[1] & 1 == 1;
    (rest.len() == of_rate).then_some(Header { number, samples, is_variable })
}

/// Updates the checksum of a header: x^8 + x^2 + x + 1 (§9.1.8).
fn crc8(crc: u8, byte: u8) -> u8 {
    (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 })
}

/// Updates the checksum of a frame: x^16 + x^15 + x^2 + 1 (§9.3). It is 0 after a complete frame.
fn crc16(crc: u16, byte: u8) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut crc = (at as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x8005 };
                bit += 1;
            }
            table[at] = crc;
            at += 1;
        }
        table
    };
    crc << 8 ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]
}
