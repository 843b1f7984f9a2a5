//! Master playlists: variant streams and renditions (RFC 8216 §4.3.4). Lists of I-frames and subtitles
//! are left out.

use url::Url;

use super::attributes::Attributes;
use super::context::Context;
use super::lines::{Line, lines};
use super::{PlaylistError, invalid};
use crate::media::PlaylistHints;

/// Maximum number of variant streams, and of audio renditions.
const MAX_STREAMS: usize = 1000;

/// A master playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterPlaylist {
    /// The variant streams; never empty.
    pub variants: Vec<VariantStream>,
    /// The audio renditions, of all groups.
    pub audio: Vec<AudioRendition>,
    /// Variables that the listed playlists may import, with their values.
    pub variables: Vec<(String, String)>,
}

/// A variant stream: the media in one quality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantStream {
    /// URL of its media playlist.
    pub url: Url,
    /// Peak bits per second, with its audio.
    pub bandwidth: Option<u64>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Frames per second, rounded.
    pub frame_rate: Option<u32>,
    /// All its codecs (RFC 6381), those of its audio group included; empty if they are unknown.
    pub codecs: Vec<String>,
    /// Whether the dynamic range is high.
    pub is_hdr: bool,
    /// Group of its audio renditions.
    pub audio_group: Option<String>,
}

/// An audio rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioRendition {
    /// Its group.
    pub group: String,
    /// Its name, for people.
    pub name: String,
    /// Language tag (BCP 47).
    pub language: Option<String>,
    /// Whether it is played unless another one is chosen.
    pub is_default: bool,
    /// URL of its media playlist; without one, it is part of the variant streams.
    pub url: Option<Url>,
    /// Number of channels.
    pub channels: Option<u32>,
    /// Whether it describes the video for the blind.
    pub describes_video: bool,
}

impl MasterPlaylist {
    /// Returns the hints for the playlists that it lists, from its own.
    pub fn media_hints(&self, hints: &PlaylistHints) -> PlaylistHints {
        PlaylistHints { text: None, variables: self.variables.clone(), ..hints.clone() }
    }
}

/// Reads a master playlist.
pub(super) fn read(text: &str, mut context: Context<'_>) -> Result<MasterPlaylist, PlaylistError> {
    let (mut variants, mut audio) = (Vec::new(), Vec::new());
    let mut stream_inf = None;
    for line in lines(text) {
        match line {
            Line::Tag("EXT-X-STREAM-INF", value) => stream_inf = Some(value),
            Line::Tag("EXT-X-MEDIA", value) => audio.extend(audio_rendition(value, &mut context)?),
            Line::Tag("EXT-X-DEFINE", value) => context.define(value)?,
            Line::Tag(..) => {}
            Line::Uri(uri) => {
                let value = stream_inf.take();
                let value = value.ok_or_else(|| invalid("a variant lacks EXT-X-STREAM-INF"))?;
                variants.push(variant_stream(value, uri, &mut context)?);
            }
        }
        if variants.len().max(audio.len()) > MAX_STREAMS {
            let limit = format!("it lists more than {MAX_STREAMS} playlists");
            return Err(PlaylistError::LimitExceeded(limit));
        }
    }
    if stream_inf.is_some() {
        return Err(invalid("its last variant has no URL"));
    }
    if variants.is_empty() {
        return Err(invalid("it lists no variants"));
    }
    Ok(MasterPlaylist { variants, audio, variables: context.variables.into_inner() })
}

fn variant_stream(
    value: &str,
    uri: &str,
    context: &mut Context<'_>,
) -> Result<VariantStream, PlaylistError> {
    const TAG: &str = "EXT-X-STREAM-INF";
    let attributes = Attributes::parse(TAG, value, &context.variables)?;
    let uri = context.variables.substitute(uri)?;
    let url = context.playlist_url(TAG, &uri)?;
    let resolution = attributes.get("RESOLUTION").and_then(|text| {
        let (width, height) = text.split_once(['x', 'X'])?;
        Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
    });
    let frame_rate: Option<f64> = attributes.get("FRAME-RATE").and_then(|text| text.parse().ok());
    let codecs = attributes.get("CODECS").unwrap_or_default().split(',').map(str::trim);
    Ok(VariantStream {
        url,
        bandwidth: attributes.get("BANDWIDTH").and_then(|text| text.parse().ok()),
        resolution,
        frame_rate: frame_rate
            .filter(|rate| (1.0..10_000.0).contains(rate))
            .map(|rate| rate.round() as u32),
        codecs: codecs.filter(|codec| !codec.is_empty()).map(str::to_owned).collect(),
        is_hdr: attributes.get("VIDEO-RANGE").is_some_and(|range| range != "SDR"),
        audio_group: attributes.get("AUDIO").map(str::to_owned),
    })
}

/// Reads EXT-X-MEDIA; video, subtitles and captions are left out.
fn audio_rendition(
    value: &str,
    context: &mut Context<'_>,
) -> Result<Option<AudioRendition>, PlaylistError> {
    const TAG: &str = "EXT-X-MEDIA";
    let attributes = Attributes::parse(TAG, value, &context.variables)?;
    if attributes.require("TYPE")? != "AUDIO" {
        return Ok(None);
    }
    let url = attributes.get("URI").map(|uri| context.playlist_url(TAG, uri)).transpose()?;
    let channels = attributes.get("CHANNELS").and_then(|text| text.split('/').next()?.parse().ok());
    let characteristics = attributes.get("CHARACTERISTICS").unwrap_or_default();
    Ok(Some(AudioRendition {
        group: attributes.require("GROUP-ID")?.to_owned(),
        name: attributes.get("NAME").unwrap_or_default().to_owned(),
        language: attributes.get("LANGUAGE").map(str::to_owned),
        is_default: attributes.get("DEFAULT") == Some("YES"),
        url,
        channels,
        describes_video: characteristics.contains("public.accessibility.describes-video"),
    }))
}
