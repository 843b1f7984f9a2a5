//! Selects renditions for a request, as people would expect. Pure.
//!
//! Earlier rules take precedence; where all are equal, yt-dlp's ranking decides. Pairs of one
//! container family are preferred, as they can be spliced. Of equal quality, a file is preferred to
//! segments: its length is known at once. Both of a pair are files, or both are in segments, where
//! that is possible: then their timestamps have one origin.

use std::cmp::Reverse;

use super::language::{Language, primary_subtag};
use super::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, VideoCodec, VideoFormat,
};
use super::sponsorblock::SponsorBlockUse;
use super::subtitles::SubtitleRequest;
use super::variant::Variant;
use crate::options::ContainerChoice;

pub mod languages;

pub use languages::{AudioTracks, SelectedTracks, select_tracks};

/// The requested format of media with several renditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FormatRequest {
    /// Maximum quality, or audio alone.
    pub quality: Quality,
    /// Container of the file.
    pub container: ContainerChoice,
    /// Preferred video codec.
    pub codec: Option<VideoCodec>,
    /// Preferred audio language.
    pub language: Option<String>,
    /// Which audio tracks the file has.
    pub audio_tracks: AudioTracks,
    /// Whether HDR is allowed.
    pub hdr: bool,
    /// Preferred variant; without one, the original.
    pub variant: Option<Variant>,
    /// Whether to embed the thumbnail as cover art.
    pub cover: CoverRequest,
    /// Requested subtitles.
    pub subtitles: Option<SubtitleRequest>,
    /// What is done with the segments that SponsorBlock lists.
    pub sponsorblock: Option<SponsorBlockUse>,
}

/// Whether the thumbnail is embedded as cover art.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CoverRequest {
    /// It is not.
    #[default]
    None,
    /// It is, if it can be had.
    IfAvailable,
    /// It is, or the request fails.
    Required,
}

/// The rank of unranked renditions; those ranked lower come last.
const UNRANKED: i64 = -2;

/// The requested quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Quality {
    /// The best available.
    #[default]
    Best,
    /// At most this height, if available.
    AtMost(u32),
    /// No video.
    AudioOnly,
}

/// The selected files: one or two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectedFormats<'o> {
    /// The file with the video.
    pub video: Option<&'o Rendition>,
    /// The file with the audio, if it is another one.
    pub audio: Option<&'o Rendition>,
}

/// No rendition matches; the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMatch(pub &'static str);

/// Selects the renditions for a request.
pub fn select_formats<'o>(
    page: &'o PageMedia,
    request: &FormatRequest,
) -> Result<SelectedFormats<'o>, NoMatch> {
    if request.quality == Quality::AudioOnly {
        let audio = select_audio(&page.renditions, request, None)
            .or_else(|| select_muxed_audio(&page.renditions, request));
        let audio = audio.ok_or(NoMatch("the page offers no audio"))?;
        return Ok(SelectedFormats { video: None, audio: Some(audio) });
    }
    let Some(video) = select_video(&page.renditions, request) else {
        return Err(NoMatch(match request.container {
            ContainerChoice::Webm if page.renditions.iter().any(|r| r.video.is_some()) => {
                "no rendition fits into webm; container=mkv accepts all"
            }
            _ => "the page offers no video; quality=audio selects the audio",
        }));
    };
    if video.audio.is_some() {
        return Ok(SelectedFormats { video: Some(video), audio: None });
    }
    let audio = select_audio(&page.renditions, request, Some(video));
    if audio.is_none() && select_audio(&page.renditions, request, None).is_some() {
        return Err(NoMatch("no audio of the page fits into webm; container=mkv accepts all"));
    }
    // Without any audio the video is silent.
    Ok(SelectedFormats { video: Some(video), audio })
}

/// Selects the best file with video.
pub(crate) fn select_video<'o>(
    renditions: &'o [Rendition],
    request: &FormatRequest,
) -> Option<&'o Rendition> {
    let speaks = |rendition: &Rendition| {
        rendition
            .audio
            .as_ref()
            .is_some_and(|audio_format| language_match(audio_format, request) > 0)
    };
    // Where separate audio in the requested language exists, a file that contains another language
    // is unsuitable.
    let has_language = renditions.iter().any(|r| r.video.is_none() && speaks(r));
    // Several languages are beside the video, whatever it contains.
    let wants_silent = request.audio_tracks != AudioTracks::One;
    let is_suitable = |r: &Rendition| match &r.audio {
        Some(_) => !wants_silent && (!has_language || speaks(r)),
        None => true,
    };
    let videos = renditions.iter().filter_map(|r| Some((r, r.video.as_ref()?)));
    let fitting = videos.filter(|(r, video_format)| fits(r, video_format, request.container));
    let best = fitting.max_by_key(|(r, video_format)| {
        (is_suitable(r), preference(r, request), video_rank(r, video_format, request))
    });
    best.map(|(rendition, _)| rendition)
}

/// Returns whether a container can hold the video (WebM container guidelines).
fn fits(rendition: &Rendition, video_format: &VideoFormat, container: ContainerChoice) -> bool {
    use VideoCodec::{Av1, Other, Vp9};
    container != ContainerChoice::Webm
        || matches!(video_format.codec, Av1 | Vp9)
        || (video_format.codec == Other && rendition.family == ContainerFamily::Webm)
}

/// Ranks the requested variant first, then the original.
fn preference(rendition: &Rendition, request: &FormatRequest) -> impl Ord + use<> {
    (rendition.variant == request.variant, rendition.variant.is_none())
}

/// Ranks videos by what makes one better than another, the most important first.
fn video_rank(
    rendition: &Rendition,
    video_format: &VideoFormat,
    request: &FormatRequest,
) -> impl Ord + use<> {
    let codec = request.codec.is_some_and(|codec| codec == video_format.codec);
    // Not every screen shows HDR, and on others it looks dull.
    let dynamic_range = request.hdr || !video_format.hdr;
    let within = match request.quality {
        Quality::AtMost(max_height) => video_format.height <= max_height,
        Quality::Best | Quality::AudioOnly => true,
    };
    // Of those that are too large, the smallest.
    let height =
        if within { (Reverse(0), video_format.height) } else { (Reverse(video_format.height), 0) };
    let family = match (request.container, rendition.family) {
        (ContainerChoice::Webm, ContainerFamily::Webm) => 3,
        (_, ContainerFamily::Mp4) => 2,
        (_, ContainerFamily::Webm) => 1,
        (_, ContainerFamily::Other) => 0,
    };
    let compatibility = match video_format.codec {
        VideoCodec::H264 => 4,
        VideoCodec::Vp9 => 3,
        VideoCodec::Av1 => 2,
        VideoCodec::H265 => 1,
        VideoCodec::Other => 0,
    };
    let fps = video_format.fps.unwrap_or(0);
    let secondary = (family, compatibility, rendition.audio.is_none());
    let primary = (rendition.rank[0].min(UNRANKED), within, codec, dynamic_range, height);
    let is_file = !rendition.is_segmented();
    (primary, video_format.hdr, fps, is_file, secondary, rendition.rank, rendition.bitrate)
}

/// Selects the best file of audio alone, to go with this video.
pub(crate) fn select_audio<'o>(
    renditions: &'o [Rendition],
    request: &FormatRequest,
    with: Option<&Rendition>,
) -> Option<&'o Rendition> {
    let alone = renditions.iter().filter(|rendition| rendition.video.is_none());
    let audios = alone.filter_map(|r| Some((r, r.audio.as_ref()?)));
    let best = audios
        .filter(|(_, audio_format)| with.is_none() || fits_webm(audio_format, request.container))
        .max_by_key(|(r, audio_format)| {
            let is_preferred = match request.container {
                ContainerChoice::Mp4 | ContainerChoice::M4a => {
                    audio_format.codec == AudioCodec::Aac
                }
                ContainerChoice::Webm | ContainerChoice::Opus => {
                    audio_format.codec == AudioCodec::Opus
                }
                ContainerChoice::Ogg => {
                    matches!(audio_format.codec, AudioCodec::Vorbis | AudioCodec::Opus)
                }
                ContainerChoice::Mp3 => audio_format.codec == AudioCodec::Mp3,
                ContainerChoice::Flac | ContainerChoice::Wav => false,
                ContainerChoice::Auto | ContainerChoice::Mkv => match with {
                    Some(video) => r.family == video.family,
                    None => audio_format.codec == AudioCodec::Aac,
                },
            };
            let delivery = match with {
                Some(video) => video.is_segmented() == r.is_segmented(),
                // What has to be transcoded otherwise is better in segments.
                None => request.container != ContainerChoice::Auto || !r.is_segmented(),
            };
            (
                audio_rank(r, audio_format, request),
                r.rank[0].min(UNRANKED),
                delivery,
                is_preferred,
                is_counted(r, audio_format, request.container),
                with.is_some_and(|video| video.family == r.family),
                !r.is_segmented(),
                r.rank,
                r.bitrate,
            )
        });
    best.map(|(rendition, _)| rendition)
}

/// Returns whether the length of a file in this container is known beforehand because the index of the source counts
/// its samples, as that of MP4 does.
fn is_counted(r: &Rendition, audio_format: &AudioFormat, container: ContainerChoice) -> bool {
    matches!(container, ContainerChoice::Mp3 | ContainerChoice::Wav)
        && r.family == ContainerFamily::Mp4
        && audio_format.codec == AudioCodec::Aac
}

fn fits_webm(audio_format: &AudioFormat, container: ContainerChoice) -> bool {
    container != ContainerChoice::Webm
        || matches!(audio_format.codec, AudioCodec::Opus | AudioCodec::Vorbis)
}

/// Selects the file whose audio is extracted where there is no audio alone: the smallest one.
pub(crate) fn select_muxed_audio<'o>(
    renditions: &'o [Rendition],
    request: &FormatRequest,
) -> Option<&'o Rendition> {
    let muxed = renditions.iter().filter_map(|r| Some((r, r.audio.as_ref()?)));
    let best = muxed.max_by_key(|(r, audio_format)| {
        let size = r.size.map_or(u64::MAX, super::page_media::Size::bytes);
        let bitrate = r.bitrate.unwrap_or(u64::MAX);
        (audio_rank(r, audio_format, request), Reverse(size), Reverse(bitrate))
    });
    best.map(|(rendition, _)| rendition)
}

/// Ranks audio by content, whatever its quality.
fn audio_rank(
    rendition: &Rendition,
    audio_format: &AudioFormat,
    request: &FormatRequest,
) -> impl Ord + use<> {
    let variant = rendition.variant;
    let is_requested = request.variant.is_some() && variant == request.variant;
    // The original with audio processing is closer to it than a machine's voice.
    let is_original = !variant.is_some_and(Variant::has_other_content);
    (
        language_match(audio_format, request),
        is_requested,
        is_original,
        audio_format.preference,
        variant.is_none(),
    )
}

/// Rates the match of the language: `pt` also accepts `pt-BR`.
fn language_match(audio_format: &AudioFormat, request: &FormatRequest) -> u8 {
    let (Some(requested), Some(language)) = (&request.language, &audio_format.language) else {
        return 0;
    };
    if Language::is_same(language, requested) {
        2
    } else {
        u8::from(primary_subtag(language) == primary_subtag(requested))
    }
}

#[cfg(test)]
mod tests;
