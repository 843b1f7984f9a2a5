//! Lists the formats that a page offers, for people to choose from. Pure.
//!
//! Each entry contains the request that selects it, and that request leads to the entry's own
//! files.

use std::cmp::Reverse;

use super::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, Size, VideoFormat,
};
use super::selection::languages::offered_languages;
use super::selection::{FormatRequest, Quality, SelectedFormats, select_formats};
use super::variant::Variant;
use crate::options::ContainerChoice;

/// One entry: a video in one quality and container, or audio alone.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatOption<'o> {
    /// The request that selects it.
    pub request: FormatRequest,
    /// The selected files.
    pub formats: SelectedFormats<'o>,
}

/// All entries.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatList<'o> {
    /// Videos with their audio, the best first.
    pub videos: Vec<FormatOption<'o>>,
    /// Audio alone, the best first.
    pub audios: Vec<FormatOption<'o>>,
    /// Audio languages, if there are several, the original first.
    pub languages: Vec<&'o str>,
}

impl FormatOption<'_> {
    /// Returns the size of the file, as far as the page reports it.
    pub fn size(&self) -> Option<Size> {
        let SelectedFormats { video, audio } = self.formats;
        match (video, audio) {
            (Some(video), Some(audio)) => {
                let sum = video.size?.bytes().checked_add(audio.size?.bytes())?;
                Some(Size::Approximate(sum))
            }
            (Some(file), None) => file.size,
            (None, Some(file)) => {
                file.size.filter(|_| is_passthrough(file, self.request.container))
            }
            (None, None) => None,
        }
    }

    /// Returns whether any of the files is delivered in segments.
    pub fn is_segmented(&self) -> bool {
        let SelectedFormats { video, audio } = self.formats;
        [video, audio].into_iter().flatten().any(Rendition::is_segmented)
    }

    /// Returns the video format.
    pub fn video(&self) -> Option<&VideoFormat> {
        self.formats.video?.video.as_ref()
    }

    /// Returns the audio format.
    pub fn audio(&self) -> Option<&AudioFormat> {
        self.formats.audio.or(self.formats.video)?.audio.as_ref()
    }

    /// Returns how it differs from the original.
    pub fn variant(&self) -> Option<Variant> {
        let SelectedFormats { video, audio } = self.formats;
        [video, audio].into_iter().flatten().find_map(|rendition| rendition.variant)
    }
}

/// Returns whether an audio file is passed through unchanged for this container.
fn is_passthrough(file: &Rendition, container: ContainerChoice) -> bool {
    let fits = match container {
        ContainerChoice::Auto => true,
        ContainerChoice::M4a | ContainerChoice::Mp4 => file.family == ContainerFamily::Mp4,
        ContainerChoice::Webm => file.family == ContainerFamily::Webm,
        ContainerChoice::Mkv
        | ContainerChoice::Mp3
        | ContainerChoice::Opus
        | ContainerChoice::Ogg
        | ContainerChoice::Flac
        | ContainerChoice::Wav => false,
    };
    fits && file.video.is_none()
}

/// Returns all formats that a page offers.
pub fn list_formats(page: &PageMedia) -> FormatList<'_> {
    let languages = languages(page);
    FormatList { videos: videos(page), audios: audios(page, &languages), languages }
}

fn videos(page: &PageMedia) -> Vec<FormatOption<'_>> {
    let mut kinds: Vec<Kind> = Vec::new();
    for rendition in &page.renditions {
        let Some(video) = &rendition.video else { continue };
        let kind = (video.height, video.hdr, rendition.family, rendition.variant);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.sort_by_key(|(height, hdr, family, variant)| {
        let family = [ContainerFamily::Mp4, ContainerFamily::Webm, ContainerFamily::Other]
            .map(|f| f != *family);
        (variant.is_some(), Reverse(*height), *hdr, family)
    });
    kinds.into_iter().filter_map(|kind| option(page, kind)).collect()
}

/// Height, whether HDR, container family, and variant.
type Kind = (u32, bool, ContainerFamily, Option<Variant>);

/// Returns the entry for the best rendition of this kind.
fn option(page: &PageMedia, (height, hdr, family, variant): Kind) -> Option<FormatOption<'_>> {
    let matches = |r: &Rendition| {
        (r.family, r.variant) == (family, variant)
            && r.video.as_ref().is_some_and(|p| (p.height, p.hdr) == (height, hdr))
    };
    let container = match family {
        ContainerFamily::Mp4 => ContainerChoice::Mp4,
        ContainerFamily::Webm => ContainerChoice::Webm,
        ContainerFamily::Other => ContainerChoice::Auto,
    };
    // Height 0 means unknown.
    let quality = if height == 0 { Quality::Best } else { Quality::AtMost(height) };
    let any = FormatRequest { quality, container, hdr, variant, ..FormatRequest::default() };
    let codecs = page.renditions.iter().filter(|r| matches(r));
    let mut codecs: Vec<_> =
        codecs.filter_map(|r| r.video.as_ref()?.codec.as_str().map(|_| r)).collect();
    // The codec selected by default comes first, if it is one of these; then the others.
    codecs.reverse();
    let requests = std::iter::once(any.clone()).chain(codecs.into_iter().map(|rendition| {
        FormatRequest { codec: rendition.video.as_ref().map(|video| video.codec), ..any.clone() }
    }));
    requests
        .filter_map(|request| {
            select_formats(page, &request).ok().map(|formats| FormatOption { request, formats })
        })
        .find(|option| option.formats.video.is_some_and(matches))
        .map(|mut option| {
            // The link names the codec that the entry shows.
            option.request.codec =
                option.video().map(|p| p.codec).filter(|codec| codec.as_str().is_some());
            option
        })
}

fn audios<'o>(page: &'o PageMedia, languages: &[&'o str]) -> Vec<FormatOption<'o>> {
    let languages: Vec<Option<&str>> = match languages {
        [] => vec![None],
        several => several.iter().copied().map(Some).collect(),
    };
    let has = |codec| {
        let alone = page.renditions.iter().filter(|r| r.video.is_none());
        alone.filter_map(|r| r.audio.as_ref()).any(|audio| audio.codec == codec)
    };
    let option_of = |container, language: Option<&str>, variant| {
        let language = language.map(str::to_owned);
        let quality = Quality::AudioOnly;
        let request =
            FormatRequest { quality, container, language, variant, ..FormatRequest::default() };
        let formats = select_formats(page, &request).ok()?;
        Some(FormatOption { request, formats })
    };
    let option = |container, language| option_of(container, language, None);
    let mut options: Vec<FormatOption<'o>> = Vec::new();
    for (index, language) in languages.into_iter().enumerate() {
        // A transcoded file is listed once, not for each language.
        options.extend(
            (index == 0 || has(AudioCodec::Aac))
                .then(|| option(ContainerChoice::M4a, language))
                .flatten(),
        );
        options.extend(
            has(AudioCodec::Opus).then(|| option(ContainerChoice::Opus, language)).flatten(),
        );
        options.extend((index == 0).then(|| option(ContainerChoice::Mp3, language)).flatten());
    }
    // Variants that no language selects.
    for rendition in page.renditions.iter().filter(|rendition| rendition.video.is_none()) {
        let variant = rendition.variant;
        if variant.is_none() {
            continue;
        }
        for container in [ContainerChoice::M4a, ContainerChoice::Opus] {
            let is_listed = |option: &FormatOption<'_>| {
                option.variant() == variant && option.request.container == container
            };
            let fits = rendition.audio.as_ref().is_some_and(|audio| match container {
                ContainerChoice::M4a => audio.codec == AudioCodec::Aac,
                _ => audio.codec == AudioCodec::Opus,
            });
            if fits && !options.iter().any(is_listed) {
                let option = option_of(container, None, variant);
                options.extend(option.filter(|option| option.variant() == variant));
            }
        }
    }
    options
}

fn languages(page: &PageMedia) -> Vec<&str> {
    let offered = offered_languages(page).into_iter();
    let languages: Vec<&str> = offered.filter_map(|audio| audio.language.as_deref()).collect();
    if languages.len() < 2 { Vec::new() } else { languages }
}
