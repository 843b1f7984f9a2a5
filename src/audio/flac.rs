//! Native FLAC (RFC 9639): replaces the metadata blocks that ffmpeg writes to a pipe by those with tags, a cover, and
//! the number of samples, if that is known.

use super::vorbis_comment;
use crate::media::Metadata;

/// The types of metadata blocks (§8.1).
const COMMENT: u8 = 4;
const PICTURE: u8 = 6;
/// The bit of the last block.
const LAST: u8 = 0x80;
/// The length of STREAMINFO (§8.2).
const STREAM_INFO_LEN: usize = 34;
/// The length that a block can have.
const MAX_BLOCK: usize = 0xff_ffff;

/// Replaces the metadata in the beginning of a file. What has an unknown shape stays as it is.
pub fn with_tags(bytes: Vec<u8>, samples: Option<u64>, metadata: &Metadata) -> Vec<u8> {
    let Some((info, rest)) = split(&bytes) else {
        log::warn!("cannot write tags: ffmpeg wrote a FLAC header of an unknown shape");
        return bytes;
    };
    let mut info = info.to_vec();
    if let Some(samples) = samples.filter(|samples| *samples < 1 << 36) {
        // The lower 36 bits of eight bytes.
        for (byte, new) in info[14..18].iter_mut().zip((samples as u32).to_be_bytes()) {
            *byte = new;
        }
        info[13] = info[13] & 0xf0 | (samples >> 32) as u8;
    }
    let comment = vorbis_comment::block(metadata);
    let picture = metadata.cover.as_ref().map(vorbis_comment::picture);
    let picture = picture.filter(|picture| picture.len() <= MAX_BLOCK);
    let last = |is_last: bool| if is_last { LAST } else { 0 };
    let mut file = b"fLaC".to_vec();
    block(&mut file, 0, &info);
    block(&mut file, COMMENT | last(picture.is_none()), &comment);
    if let Some(picture) = picture {
        block(&mut file, PICTURE | LAST, &picture);
    }
    file.extend(rest);
    file
}

fn block(file: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    file.push(kind);
    file.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    file.extend(payload);
}

/// Returns STREAMINFO and what follows all metadata blocks.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes.strip_prefix(b"fLaC")?;
    let mut info = None;
    loop {
        let (head, more) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes([0, head[1], head[2], head[3]])).ok()?;
        let (payload, more) = more.split_at_checked(len)?;
        if head[0] & !LAST == 0 {
            info = Some(payload).filter(|info| info.len() == STREAM_INFO_LEN);
        }
        rest = more;
        if head[0] & LAST != 0 {
            return Some((info?, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::CoverArt;

    #[test]
    fn blocks_are_replaced_and_samples_counted() {
        let info = [7; STREAM_INFO_LEN];
        let file = [&b"fLaC\0\0\0\x22"[..], &info, b"\x84\0\0\x02ab", b"sound"].concat();
        let cover = Some(CoverArt { is_jpeg: true, bytes: [1].into() });
        let metadata = Metadata { cover, ..Metadata::default() };
        let new = with_tags(file.clone(), Some(0x9_1234_5678), &metadata);
        assert_eq!(new[21..26], [0x09, 0x12, 0x34, 0x56, 0x78]);
        assert!(new.ends_with(b"sound"));
        let (_, rest) = split(&new).unwrap();
        assert_eq!(rest, b"sound");
        assert_eq!(with_tags(b"fLaX".to_vec(), None, &metadata), b"fLaX");
        assert_eq!(split(&file[..file.len() - 6]), None);
    }
}
