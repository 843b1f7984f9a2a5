//! Flash video (Adobe's specification, version 10.1, annex E).

use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View};

/// The header, and behind it the size of the tag before the first, which there is not.
const HEADER: u64 = 9 + 4;
/// A header of a tag, without what is in it.
const TAG: u64 = 11;
/// So many tags tell of the tracks.
const MOST_TAGS: usize = 16;

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let flags = view.need(0, 9)?.get(4).copied().unwrap_or_default();
    let (has_picture, has_sound) = (flags & 1 != 0, flags & 4 != 0);
    let mut head = ProbeInfo { has_picture: Some(has_picture), ..ProbeInfo::of(Format::Flv) };
    let mut at = HEADER;
    for _ in 0..MOST_TAGS {
        let is_known =
            (head.video.is_some() || !has_picture) && (head.audio.is_some() || !has_sound);
        if is_known {
            break;
        }
        let bytes = view.want(at, TAG as usize + 2)?;
        let [kind, a, b, c, ..] = *bytes else { break };
        let len = u64::from(u32::from_be_bytes([0, a, b, c]));
        let first = bytes.get(TAG as usize).copied();
        match (kind & 0x1f, first) {
            (8, Some(first)) => head.audio = Some(sound(first)),
            (9, Some(first)) => head.video = Some(picture(first)),
            (18, _) => {
                let most = usize::try_from(len).unwrap_or(usize::MAX).min(4 << 10);
                head.end = duration(view.want(at + TAG, most)?);
            }
            _ => {}
        }
        at += TAG + len + 4;
    }
    Ok(head)
}

fn sound(first: u8) -> Codec {
    match first >> 4 {
        0 | 3 => Codec::Pcm,
        2 | 14 => Codec::Mp3,
        10 => Codec::Aac,
        11 => Codec::Speex,
        _ => Codec::Other,
    }
}

fn picture(first: u8) -> Codec {
    // The mark of an extended header, which names the codec by four letters.
    if first & 0x80 != 0 {
        return Codec::Other;
    }
    match first & 0xf {
        7 => Codec::H264,
        12 => Codec::Hevc,
        13 => Codec::Av1,
        _ => Codec::Other,
    }
}

/// What onMetaData says: a number (AMF 0, type 0) of this name.
fn duration(script: &[u8]) -> Option<Duration> {
    const NAME: &[u8] = b"\0\x08duration\0";
    let at = script.windows(NAME.len()).position(|window| window == NAME)?;
    let seconds = f64::from_be_bytes(*script.get(at + NAME.len()..)?.first_chunk()?);
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok())?
}
