//! [`PackedAudio`] reads segments of audio without packets: an ID3 tag with the timestamp of the first
//! frame, and frames (RFC 8216 §3.4).

use super::{Event, Malformed, PesHeader, pes};
use crate::container::completeness::id3_len;

/// The maximum length of the tags before the frames. There may be a picture in them.
const MAX_TAGS: usize = 1 << 20;
/// The number of bytes by which a tag is recognised.
const TAG_HEADER: usize = 10;
/// The owner of the private frame (PRIV) that has the timestamp.
const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";

/// Separates the tags of a segment from its frames, which are like one PES packet.
#[derive(Debug, Clone, Default)]
pub struct PackedAudio {
    /// The tags, as far as they have arrived.
    tags: Vec<u8>,
    has_begun: bool,
}

impl PackedAudio {
    /// Begins another segment.
    pub fn begin_segment(&mut self) {
        *self = PackedAudio::default();
    }

    /// Takes the next bytes of a segment; passes what they have of the stream to `sink`. `implied` is the
    /// timestamp of a segment that has none.
    pub fn push(
        &mut self,
        data: &[u8],
        implied: Option<u64>,
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.has_begun {
            return sink(Event::Data(data));
        }
        self.tags.extend_from_slice(data);
        let Some(len) = tags_len(&self.tags) else {
            let is_short = self.tags.len() < MAX_TAGS;
            return if is_short { Ok(()) } else { Err(Malformed("the tags are too long")) };
        };
        self.has_begun = true;
        let (tags, frames) = self.tags.split_at(len);
        let pts = timestamp(tags).or(implied);
        let header = PesHeader { len, payload_len: None, pts, dts: None, is_scrambled: false };
        sink(Event::Begin(header))?;
        sink(Event::Data(frames))?;
        self.tags = Vec::new();
        Ok(())
    }

    /// Returns whether frames have begun.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Returns whether the end of a tag is missing.
    pub fn is_cut(&self) -> bool {
        !self.has_begun && !self.tags.is_empty()
    }
}

/// Returns the length of the tags before the first frame; `None` if these bytes are too few to know.
fn tags_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let known = rest.len().min(3);
        if known > 0 && rest[..known] != b"ID3"[..known] {
            return Some(at);
        }
        let len = id3_len(rest.get(..TAG_HEADER)?)?;
        at = at.checked_add(usize::try_from(len).ok()?)?;
    }
}

/// Returns the timestamp in the ID3 tags with which a segment begins, modulo 2^33.
pub fn timestamp(tags: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(tags, OWNER)?;
    let bytes = tags.get(at + OWNER.len()..)?.first_chunk()?;
    Some(u64::from_be_bytes(*bytes) % pes::WRAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(content: &[u8]) -> Vec<u8> {
        [&b"ID3\x04\0\0\0\0\0"[..], &[content.len() as u8], content].concat()
    }

    fn stamped(time: u64) -> Vec<u8> {
        let frame = [b"PRIV\0\0\0\x35\0\0", OWNER, &time.to_be_bytes()].concat();
        tag(&frame)
    }

    /// The timestamp and the frames, of bytes that arrive in chunks of this size.
    fn read(bytes: &[u8], chunk: usize) -> Result<(Vec<Option<u64>>, Vec<u8>), Malformed> {
        let (mut times, mut frames) = (Vec::new(), Vec::new());
        let mut packed = PackedAudio::default();
        for chunk in bytes.chunks(chunk) {
            packed.push(chunk, Some(7), &mut |event| {
                match event {
                    Event::Begin(header) => times.push(header.pts),
                    Event::Data(data) => frames.extend_from_slice(data),
                }
                Ok(())
            })?;
        }
        assert_eq!(packed.is_cut(), times.is_empty());
        Ok((times, frames))
    }

    #[test]
    fn tags_are_no_frames() {
        let frames = [0xff, 0xf1, 1, 2, 3];
        for chunk in [1, 2, 3, 9, 10, 11, 1000] {
            let plain = read(&frames, chunk).unwrap();
            assert_eq!(plain, (vec![Some(7)], frames.to_vec()), "{chunk}");
            let bytes = [&stamped(pes::WRAP + 90_000)[..], &frames].concat();
            assert_eq!(read(&bytes, chunk).unwrap(), (vec![Some(90_000)], frames.to_vec()));
            let bytes = [&tag(b"another")[..], &stamped(5), &tag(&[]), &frames].concat();
            assert_eq!(read(&bytes, chunk).unwrap(), (vec![Some(5)], frames.to_vec()));
            assert_eq!(read(&bytes[..30], chunk).unwrap(), (vec![], vec![]), "a tag is cut");
        }
    }

    #[test]
    fn endless_tags_are_an_error() {
        let bytes = [&b"ID3\x04\0\0\x7f\x7f\x7f\x7f"[..], &vec![0; MAX_TAGS]].concat();
        assert!(read(&bytes, 9999).is_err());
    }
}
