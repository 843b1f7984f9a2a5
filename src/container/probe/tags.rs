//! Skips tags before raw frames: ID3v2 and APEv2, any number of them, and the padding after them.
//!
//! Only their lengths are read. A cover in a tag may contain any bytes, also those of frames.

use super::{Probe, View};

/// The maximum number of tags before the frames.
const MAX_TAGS: usize = 8;
/// The maximum number of zeros after the last tag: some writers pad by full pages.
const MAX_PADDING: usize = 32 << 10;

/// The tags before the media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Front {
    /// The offset after all tags and the zeros after them.
    pub(super) end: u64,
    /// The number of bytes of no use to a demuxer: all up to the last tag that is not ID3.
    pub(super) foreign: u64,
    /// Whether there is any tag.
    pub(super) is_tagged: bool,
}

/// Skips the tags at the beginning of a file.
pub(super) fn skip(view: &View<'_>) -> Result<Front, Probe> {
    let mut front = Front::default();
    for _ in 0..MAX_TAGS {
        let bytes = view.need(front.end, MAX_HEADER)?;
        let Some((len, is_id3)) = id3(bytes).or_else(|| ape(bytes)) else { break };
        front.end += len;
        front.is_tagged = true;
        if !is_id3 {
            front.foreign = front.end;
        }
    }
    let zeros = zeros(view, front.end)?;
    front.end += zeros as u64;
    Ok(front)
}

const MAX_HEADER: usize = 32;

/// Returns the length of an ID3v2 tag (id3.org, ID3v2.4.0 §3.1), whose size field has 28 bits and excludes
/// header and footer.
fn id3(bytes: &[u8]) -> Option<(u64, bool)> {
    let [b'I', b'D', b'3', major, minor, flags, a, b, c, d, ..] = *bytes else { return None };
    if major == 0xff || minor == 0xff || (a | b | c | d) & 0x80 != 0 {
        return None;
    }
    let len = [a, b, c, d].into_iter().fold(0, |len, bits| len << 7 | u64::from(bits));
    let has_footer = flags & 0x10 != 0;
    Some((10 + len + if has_footer { 10 } else { 0 }, true))
}

/// Returns the length of an APEv2 tag at the beginning, which therefore has a header (flag 29): its size
/// includes the footer, if there is one, but not the header.
fn ape(bytes: &[u8]) -> Option<(u64, bool)> {
    let rest = bytes.strip_prefix(b"APETAGEX")?;
    let len = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?);
    let flags = u32::from_le_bytes(*rest.get(12..)?.first_chunk()?);
    (flags & 0x2000_0000 != 0).then_some((32 + u64::from(len), false))
}

fn zeros(view: &View<'_>, at: u64) -> Result<usize, Probe> {
    let mut count = 0;
    while count < MAX_PADDING {
        let bytes = view.need(at, count + 1)?;
        let more = bytes.iter().skip(count).take_while(|byte| **byte == 0).count();
        count += more;
        if more == 0 || count < bytes.len() {
            break;
        }
    }
    Ok(count.min(MAX_PADDING))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bytes: &[u8]) -> Result<Front, Probe> {
        skip(&View::front(bytes, None, true))
    }

    #[test]
    fn tags_in_a_row_and_their_padding_are_passed_by() {
        let id3 = |flags: u8, len: u8| {
            let footer = if flags & 0x10 != 0 { 10 } else { 0 };
            [
                &[b'I', b'D', b'3', 4, 0, flags, 0, 0, 0, len][..],
                &vec![7; usize::from(len) + footer],
            ]
            .concat()
        };
        let ape = [&b"APETAGEX"[..], &[0xd0, 7, 0, 0, 9, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0, 0xa0]];
        let ape = [&ape.concat()[..], &[0; 4], &[9; 9]].concat();
        let tagged = |end, foreign| Ok(Front { end, foreign, is_tagged: true });
        assert_eq!(passed(&id3(0, 20)), tagged(30, 0));
        assert_eq!(
            passed(&[id3(0x10, 20), id3(0, 5), vec![0; 100], vec![1]].concat()),
            tagged(155, 0)
        );
        assert_eq!(passed(&[id3(0, 1), ape].concat()), tagged(52, 52));
        // No syncsafe length: no tag.
        assert_eq!(passed(b"ID3\x04\0\0\0\0\x80\0....").unwrap().end, 0);
        assert_eq!(passed(&vec![0; 100_000]).unwrap().end, 32 << 10);
    }

    #[test]
    fn behind_a_long_tag_is_looked_elsewhere() {
        let tag = b"ID3\x03\0\0\0\x7f\0\0rest";
        let view = View { may_look: true, ..View::front(tag, Some(3 << 20), true) };
        let at = 10 + (0x7f << 14);
        assert_eq!(skip(&view), Err(Probe::At(at)));
        let far = [(at, vec![0xff; 64 << 10])];
        assert_eq!(skip(&View { far: &far, ..view }).unwrap().end, at);
    }
}
