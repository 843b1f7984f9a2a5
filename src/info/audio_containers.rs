//! Tells in which containers the audio of a page can be had alone, and how it gets there.

use serde_json::{Value, json};

use crate::audio::encoding::{Encoder, MP3_BITRATES};
use crate::media::page_media::{AudioCodec, PageMedia};
use crate::media::selection::{FormatRequest, Quality, select_formats};
use crate::options::ContainerChoice;

const CONTAINERS: [ContainerChoice; 6] = [
    ContainerChoice::M4a,
    ContainerChoice::Mp3,
    ContainerChoice::Opus,
    ContainerChoice::Ogg,
    ContainerChoice::Flac,
    ContainerChoice::Wav,
];

/// Returns an entry for each container; none if the page has no audio.
pub(super) fn entries(media: &PageMedia, page_url: &str) -> Vec<Value> {
    CONTAINERS.into_iter().filter_map(|container| entry(media, container, page_url)).collect()
}

fn entry(media: &PageMedia, container: ContainerChoice, page_url: &str) -> Option<Value> {
    let request =
        FormatRequest { quality: Quality::AudioOnly, container, ..FormatRequest::default() };
    let source = select_formats(media, &request).ok()?.audio?.audio.as_ref()?.codec;
    let encoder = Encoder::of(container)?;
    let is_copied = match container {
        ContainerChoice::M4a => source == AudioCodec::Aac,
        ContainerChoice::Mp3 => source == AudioCodec::Mp3,
        ContainerChoice::Opus => source == AudioCodec::Opus,
        ContainerChoice::Ogg => matches!(source, AudioCodec::Opus | AudioCodec::Vorbis),
        _ => false,
    };
    let codec = if is_copied { source.as_str() } else { Some(encoder.codec()) };
    let name = container.as_str();
    Some(json!({
        "container": name,
        "codec": codec,
        "copied": is_copied,
        "mode": encoder.mode().as_str(),
        "bitrate": encoder.default_bitrate(),
        "bitrates": bitrates(encoder),
        "download": format!("/download?url={page_url}&quality=audio&container={name}"),
    }))
}

/// Returns the bit rates in kbit/s that `bitrate` may have.
fn bitrates(encoder: Encoder) -> Vec<u32> {
    let usual = MP3_BITRATES.into_iter();
    usual.filter(|kbits| encoder.check_bitrate(*kbits).is_ok()).collect()
}
