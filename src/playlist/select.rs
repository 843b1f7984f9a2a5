//! Selects among the variant streams of a master playlist, by the rules for the formats of a page.

use url::Url;

use super::master::{AudioRendition, MasterPlaylist, VariantStream};
use crate::media::RemoteLocation;
use crate::media::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, Rendition, VideoCodec, VideoFormat,
};
use crate::media::selection::{
    FormatRequest, NoMatch, Quality, select_audio, select_muxed_audio, select_video,
};
use crate::media::variant::Variant;
use crate::options::ContainerChoice;

/// The selected media playlists: one or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedPlaylists {
    /// The one with the video; unless there is another one for the audio, it has both.
    pub video: Option<Url>,
    /// The one whose audio is used, if it is another one. If audio alone was requested, and the master
    /// playlist offers none, it has video, too.
    pub audio: Option<Url>,
}

impl MasterPlaylist {
    /// Selects the media playlists for a request.
    pub fn select(&self, request: &FormatRequest) -> Result<SelectedPlaylists, NoMatch> {
        // The first ones are to be preferred (RFC 8216 §6.3.1), and the selection takes the last.
        let variants: Vec<_> = self.variants.iter().rev().filter_map(rendition).collect();
        if request.quality == Quality::AudioOnly {
            let alone: Vec<_> = self.audio_alone(&variants).collect();
            let audio = select_audio(&alone, request, None);
            let audio = audio.or_else(|| select_muxed_audio(&variants, request));
            let audio = audio.ok_or(NoMatch("the playlist offers no audio"))?;
            return Ok(SelectedPlaylists { video: None, audio: Some(audio.location.url.clone()) });
        }
        let Some(video) = select_video(&variants, request) else {
            return Err(NoMatch(match request.container {
                ContainerChoice::Webm if variants.iter().any(|r| r.video.is_some()) => {
                    "no variant of the playlist fits into webm; container=mkv accepts all"
                }
                _ => "the playlist offers no video; quality=audio selects the audio",
            }));
        };
        let url = &video.location.url;
        // The same video may be listed once for each audio group.
        let groups = self.variants.iter().filter(|variant| variant.url == *url);
        let groups: Vec<_> = groups.filter_map(|variant| variant.audio_group.as_deref()).collect();
        let audios = self.audio.iter().rev().filter(|audio| groups.contains(&&*audio.group));
        let audios: Vec<_> = audios.map(|audio| self.audio_rendition(audio, url)).collect();
        let audio = select_audio(&audios, request, Some(video));
        if audio.is_none() && !audios.is_empty() {
            return Err(NoMatch(
                "no audio of the playlist fits into webm; container=mkv accepts all",
            ));
        }
        let audio = audio.map(|audio| audio.location.url.clone()).filter(|audio| audio != url);
        Ok(SelectedPlaylists { video: Some(url.clone()), audio })
    }

    /// Returns all that can be selected as audio alone. A rendition that is part of the variant streams
    /// is taken from the smallest one.
    fn audio_alone<'m>(
        &'m self,
        variants: &'m [Rendition],
    ) -> impl Iterator<Item = Rendition> + use<'m> {
        let within = |group: &str| {
            let of_group = self
                .variants
                .iter()
                .filter(|variant| variant.audio_group.as_deref() == Some(group));
            of_group.min_by_key(|variant| variant.bandwidth.unwrap_or(u64::MAX))
        };
        let audios = self.audio.iter().rev().filter_map(move |audio| {
            let url = audio.url.as_ref().or_else(|| Some(&within(&audio.group)?.url))?;
            Some(self.audio_rendition(audio, url))
        });
        variants.iter().filter(|r| r.video.is_none()).cloned().chain(audios)
    }

    /// Describes an audio rendition; `url` is where it is unless it has its own URL.
    fn audio_rendition(&self, audio: &AudioRendition, url: &Url) -> Rendition {
        let url = audio.url.as_ref().unwrap_or(url);
        let of_group = self
            .variants
            .iter()
            .filter(|variant| variant.audio_group.as_deref() == Some(&*audio.group));
        let codec =
            of_group.flat_map(|variant| &variant.codecs).find_map(|codec| audio_codec(codec));
        let described = audio.describes_video.then_some(Variant::Described);
        let language = audio.language.as_deref();
        let variant = described.or_else(|| Variant::detect("", &audio.name, language, url));
        let format = AudioFormat {
            codec: codec.unwrap_or(AudioCodec::Other),
            language: audio.language.clone(),
            name: None,
            preference: if audio.is_default { 10 } else { -1 },
        };
        Rendition { variant, ..described_as(url, None, Some(format), codec) }
    }
}

/// Describes a variant stream; one with subtitles or images alone is left out.
fn rendition(variant: &VariantStream) -> Option<Rendition> {
    let codecs = variant.codecs.iter();
    let video_codec = codecs.clone().find_map(|codec| video_codec(codec));
    let audio_codec = codecs.clone().find_map(|codec| audio_codec(codec));
    let is_known = !variant.codecs.is_empty();
    let has_video = video_codec.is_some() || variant.resolution.is_some() || !is_known;
    let has_audio = audio_codec.is_some() || !is_known;
    let video = has_video.then(|| VideoFormat {
        codec: video_codec.unwrap_or(VideoCodec::Other),
        height: variant.resolution.map_or(0, |(width, height)| width.min(height)),
        fps: variant.frame_rate,
        hdr: variant.is_hdr,
    });
    // Its audio may be elsewhere, as the group tells.
    let is_apart = has_video && variant.audio_group.is_some();
    let audio = (has_audio && !is_apart).then(|| AudioFormat {
        codec: audio_codec.unwrap_or(AudioCodec::Other),
        language: None,
        name: None,
        preference: -1,
    });
    if video.is_none() && audio.is_none() {
        return None;
    }
    let rendition = described_as(&variant.url, video, audio, audio_codec);
    Some(Rendition { bitrate: variant.bandwidth, ..rendition })
}

fn described_as(
    url: &Url,
    video: Option<VideoFormat>,
    audio: Option<AudioFormat>,
    audio_codec: Option<AudioCodec>,
) -> Rendition {
    // Few browsers play the audio of cinemas, which has the higher bit rate.
    let is_exotic = audio_codec == Some(AudioCodec::Other);
    Rendition {
        id: String::new(),
        video,
        audio,
        family: ContainerFamily::Mp4,
        variant: None,
        location: RemoteLocation::from(url.clone()),
        segments: None,
        size: None,
        bitrate: None,
        rank: [-2, if is_exotic { -4 } else { -2 }, -2],
    }
}

/// Returns the codec, if it is one of video.
fn video_codec(name: &str) -> Option<VideoCodec> {
    const OTHERS: [&str; 8] = ["mp4v", "dva1", "dvav", "dav1", "vp08", "vp8", "vvc1", "vvi1"];
    match VideoCodec::from_codec_string(name) {
        VideoCodec::Other => is_one_of(name, &OTHERS).then_some(VideoCodec::Other),
        codec => Some(codec),
    }
}

/// Returns the codec, if it is one of audio.
fn audio_codec(name: &str) -> Option<AudioCodec> {
    const OTHERS: [&str; 9] =
        ["ac-3", "ec-3", "ac-4", "flac", "alac", "dtsc", "dtse", "dtsx", "mp2"];
    match AudioCodec::from_codec_string(&name.to_ascii_lowercase()) {
        AudioCodec::Other => is_one_of(name, &OTHERS).then_some(AudioCodec::Other),
        codec => Some(codec),
    }
}

fn is_one_of(name: &str, prefixes: &[&str]) -> bool {
    let prefix = name.split('.').next().unwrap_or_default();
    prefixes.iter().any(|one| prefix.eq_ignore_ascii_case(one))
}
