//! Reads and writes subtitles: WebVTT, SubRip (SRT) and TTML become cues, and cues WebVTT or SRT.
//!
//! Of the appearance, bold, italic and underlined text is kept, and lines; positions and colours are not.
//!
//! **Invariant:** what a document takes in memory is bounded by its length and by `MAX_CUES`. One that is not what
//! it is said to be is refused as a whole: nobody would see that the rest is missing.

use std::fmt;
use std::time::Duration;

use crate::media::subtitles::{Cue, SubtitleFormat};

mod flatten;
pub mod markup;
mod srt;
mod ttml;
mod webvtt;
mod xml;

pub use flatten::flatten;
pub use srt::write as write_srt;
pub use webvtt::write as write_vtt;

/// Maximum length of a document.
pub const MAX_DOCUMENT: usize = 2 << 20;
/// Maximum number of cues: a day of speech has fewer.
pub const MAX_CUES: usize = 40_000;
/// The exclusive upper limit of times, in milliseconds: a year.
const MAX_MILLIS: u64 = 366 * 86_400_000;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn unreadable(why: &str) -> Unreadable {
    Unreadable(why.to_owned())
}

/// Reads a document; returns its cues in the order of their beginnings.
pub fn read(format: SubtitleFormat, bytes: &[u8]) -> Result<Vec<Cue>, Unreadable> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(unreadable("it is too long"));
    }
    let text = decode(bytes)?;
    let mut cues = match format {
        SubtitleFormat::Vtt => webvtt::read(&text)?,
        SubtitleFormat::Srt => srt::read(&text)?,
        SubtitleFormat::Ttml => ttml::read(&text)?,
    };
    cues.sort_by_key(|cue| (cue.start, cue.end));
    Ok(cues)
}

/// Decodes UTF-8, or UTF-16 with a byte order mark. Lines end with LF.
fn decode(bytes: &[u8]) -> Result<String, Unreadable> {
    const WRONG: &str = "it is neither UTF-8 nor UTF-16";
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks().0.iter().copied().map(unit).collect();
        String::from_utf16(&units).map_err(|_| unreadable(WRONG))
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            std::str::from_utf8(rest).map_err(|_| unreadable(WRONG))?.to_owned()
        }
    };
    Ok(text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}"))
}

/// Collects the cues of a document.
#[derive(Default)]
struct Cues(Vec<Cue>);

impl Cues {
    /// Adds a cue. Nobody would see one that ends before it begins, or without text.
    fn add(&mut self, start: u64, end: u64, text: String) -> Result<(), Unreadable> {
        if start >= end || text.is_empty() {
            return Ok(());
        }
        if self.0.len() == MAX_CUES {
            return Err(unreadable("it has too many cues"));
        }
        let [start, end] = [start, end].map(Duration::from_millis);
        self.0.push(Cue { start, end, text });
        Ok(())
    }
}

/// Reads `[HH:]MM:SS` with a fraction of milliseconds behind one of `marks`; returns milliseconds.
fn clock(text: &str, marks: &[char]) -> Option<u64> {
    let (whole, fraction) = text.split_once(marks)?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| part.parse::<u64>().ok().filter(|_| is_number(part));
    let mut parts = whole.split(':');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next());
    let (hours, minutes, seconds) = match third {
        Some(third) => (number(first)?, number(second)?, number(third)?),
        None => (0, number(first)?, number(second)?),
    };
    let millis = number(fraction).filter(|_| fraction.len() == 3)?;
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    let millis = hours.checked_mul(3_600_000)? + minutes * 60_000 + seconds * 1000 + millis;
    Some(millis).filter(|millis| *millis < MAX_MILLIS)
}

/// Writes milliseconds as `HH:MM:SS`, `mark` and a fraction.
fn write_clock(time: Duration, mark: char) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{mark}{millis:03}", seconds % 60)
}

#[cfg(test)]
mod tests;
