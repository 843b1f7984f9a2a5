//! Probes Flash video (Adobe's specification, version 10.1, annex E).

use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View};

/// The length of the header, and of the "previous tag size" after it.
const HEADER: u64 = 9 + 4;
/// The length of the header of a tag.
const TAG: u64 = 11;
/// The maximum number of tags that are read to find the codecs.
const MAX_TAGS: usize = 16;

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let flags = view.need(0, 9)?.get(4).copied().unwrap_or_default();
    let (has_video, has_audio) = (flags & 1 != 0, flags & 4 != 0);
    let mut info = ProbeInfo { has_video: Some(has_video), ..ProbeInfo::of(Format::Flv) };
    let mut at = HEADER;
    for _ in 0..MAX_TAGS {
        let is_known = (info.video.is_some() || !has_video) && (info.audio.is_some() || !has_audio);
        if is_known {
            break;
        }
        let bytes = view.want(at, TAG as usize + 2)?;
        let [kind, a, b, c, ..] = *bytes else { break };
        let len = u64::from(u32::from_be_bytes([0, a, b, c]));
        let first = bytes.get(TAG as usize).copied();
        match (kind & 0x1f, first) {
            (8, Some(first)) => info.audio = Some(audio_codec(first)),
            (9, Some(first)) => info.video = Some(video_codec(first)),
            (18, _) => {
                let script_len = usize::try_from(len).unwrap_or(usize::MAX).min(4 << 10);
                info.end = duration(view.want(at + TAG, script_len)?);
            }
            _ => {}
        }
        at += TAG + len + 4;
    }
    Ok(info)
}

fn audio_codec(first: u8) -> Codec {
    match first >> 4 {
        0 | 3 => Codec::Pcm,
        2 | 14 => Codec::Mp3,
        10 => Codec::Aac,
        11 => Codec::Speex,
        _ => Codec::Other,
    }
}

fn video_codec(first: u8) -> Codec {
    // The flag of an extended header, which names the codec by a four-character code.
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

/// Returns the duration in onMetaData: a number (AMF 0, type 0) of this name.
fn duration(script: &[u8]) -> Option<Duration> {
    const NAME: &[u8] = b"\0\x08duration\0";
    let at = script.windows(NAME.len()).position(|window| window == NAME)?;
    let seconds = f64::from_be_bytes(*script.get(at + NAME.len()..)?.first_chunk()?);
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok())?
}
