//! What a film is on offer as, for people to choose from. Pure.
//!
//! Each row says by which choice it is had, and that choice leads to the row's own files.

use std::cmp::Reverse;

use super::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, Size, VideoFormat,
};
use super::selection::{FormatRequest, Quality, SelectedFormats, select_formats};
use super::variant::Variant;
use crate::options::ContainerChoice;

/// A film with a picture, in one quality and container.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatOption<'o> {
    /// What leads to it.
    pub choice: FormatRequest,
    /// The files.
    pub chosen: SelectedFormats<'o>,
}

/// All of the menu.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatList<'o> {
    /// Pictures with their sound, the best first.
    pub videos: Vec<FormatOption<'o>>,
    /// Sounds alone, the best first.
    pub audios: Vec<FormatOption<'o>>,
    /// The languages of the sound, if there are several, the original first.
    pub languages: Vec<&'o str>,
}

impl FormatOption<'_> {
    /// How long the file will be, as far as the page tells.
    pub fn size(&self) -> Option<Size> {
        let SelectedFormats { video, audio } = self.chosen;
        match (video, audio) {
            (Some(video), Some(audio)) => {
                let sum = video.size?.bytes().checked_add(audio.size?.bytes())?;
                Some(Size::Approximate(sum))
            }
            (Some(lone), None) => lone.size,
            (None, Some(lone)) => {
                lone.size.filter(|_| is_taken_as_it_is(lone, self.choice.container))
            }
            (None, None) => None,
        }
    }

    /// The picture that is in it.
    pub fn video(&self) -> Option<&VideoFormat> {
        self.chosen.video?.video.as_ref()
    }

    /// The sound that is in it.
    pub fn audio(&self) -> Option<&AudioFormat> {
        self.chosen.audio.or(self.chosen.video)?.audio.as_ref()
    }

    /// How it differs from the film as it was made.
    pub fn variant(&self) -> Option<Variant> {
        let SelectedFormats { video, audio } = self.chosen;
        [video, audio].into_iter().flatten().find_map(|rendition| rendition.variant)
    }
}

/// Whether a file of sound is passed through for this container.
fn is_taken_as_it_is(lone: &Rendition, container: ContainerChoice) -> bool {
    let fits = match container {
        ContainerChoice::Auto => true,
        ContainerChoice::M4a | ContainerChoice::Mp4 => lone.family == ContainerFamily::Mp4,
        ContainerChoice::Webm => lone.family == ContainerFamily::Webm,
        ContainerChoice::Mkv | ContainerChoice::Mp3 | ContainerChoice::Opus => false,
    };
    fits && lone.video.is_none()
}

/// Everything that a film is on offer as.
pub fn list_formats(offer: &PageMedia) -> FormatList<'_> {
    let languages = languages(offer);
    FormatList { videos: videos(offer), audios: audios(offer, &languages), languages }
}

fn videos(offer: &PageMedia) -> Vec<FormatOption<'_>> {
    let mut kinds: Vec<Kind> = Vec::new();
    for rendition in &offer.renditions {
        let Some(picture) = &rendition.video else { continue };
        let kind = (picture.height, picture.hdr, rendition.family, rendition.variant);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.sort_by_key(|(lines, hdr, family, variant)| {
        let family = [ContainerFamily::Mp4, ContainerFamily::Webm, ContainerFamily::Other]
            .map(|f| f != *family);
        (variant.is_some(), Reverse(*lines), *hdr, family)
    });
    kinds.into_iter().filter_map(|kind| option(offer, kind)).collect()
}

/// Lines, whether HDR, and what it is in.
type Kind = (u32, bool, ContainerFamily, Option<Variant>);

/// The row of the best that there is of this kind.
fn option(offer: &PageMedia, (lines, hdr, family, variant): Kind) -> Option<FormatOption<'_>> {
    let is_meant = |r: &Rendition| {
        (r.family, r.variant) == (family, variant)
            && r.video.as_ref().is_some_and(|p| (p.height, p.hdr) == (lines, hdr))
    };
    let container = match family {
        ContainerFamily::Mp4 => ContainerChoice::Mp4,
        ContainerFamily::Webm => ContainerChoice::Webm,
        ContainerFamily::Other => ContainerChoice::Auto,
    };
    // Zero lines: nobody knows how many.
    let quality = if lines == 0 { Quality::Best } else { Quality::AtMost(lines) };
    let any = FormatRequest { quality, container, hdr, variant, ..FormatRequest::default() };
    let codecs = offer.renditions.iter().filter(|r| is_meant(r));
    let mut codecs: Vec<_> =
        codecs.filter_map(|r| r.video.as_ref()?.codec.as_str().map(|_| r)).collect();
    // The one that would be taken anyway, if it is one of these; else the first that can be had.
    codecs.reverse();
    let choices =
        std::iter::once(any.clone()).chain(codecs.into_iter().map(|rendition| FormatRequest {
            codec: rendition.video.as_ref().map(|picture| picture.codec),
            ..any.clone()
        }));
    choices
        .filter_map(|choice| {
            select_formats(offer, &choice).ok().map(|chosen| FormatOption { choice, chosen })
        })
        .find(|row| row.chosen.video.is_some_and(is_meant))
        .map(|mut row| {
            // The codec stands in the link as it does in the row.
            row.choice.codec =
                row.video().map(|p| p.codec).filter(|codec| codec.as_str().is_some());
            row
        })
}

fn audios<'o>(offer: &'o PageMedia, languages: &[&'o str]) -> Vec<FormatOption<'o>> {
    let tongues: Vec<Option<&str>> = match languages {
        [] => vec![None],
        several => several.iter().copied().map(Some).collect(),
    };
    let has = |codec| {
        let alone = offer.renditions.iter().filter(|r| r.video.is_none());
        alone.filter_map(|r| r.audio.as_ref()).any(|sound| sound.codec == codec)
    };
    let row_of = |container, language: Option<&str>, variant| {
        let language = language.map(str::to_owned);
        let quality = Quality::AudioOnly;
        let choice =
            FormatRequest { quality, container, language, variant, ..FormatRequest::default() };
        let chosen = select_formats(offer, &choice).ok()?;
        Some(FormatOption { choice, chosen })
    };
    let row = |container, language| row_of(container, language, None);
    let mut rows: Vec<FormatOption<'o>> = Vec::new();
    for (place, tongue) in tongues.into_iter().enumerate() {
        // A recoding of it is offered once, not in every language.
        rows.extend(
            (place == 0 || has(AudioCodec::Aac))
                .then(|| row(ContainerChoice::M4a, tongue))
                .flatten(),
        );
        rows.extend(has(AudioCodec::Opus).then(|| row(ContainerChoice::Opus, tongue)).flatten());
        rows.extend((place == 0).then(|| row(ContainerChoice::Mp3, tongue)).flatten());
    }
    // What no language leads to.
    for rendition in offer.renditions.iter().filter(|rendition| rendition.video.is_none()) {
        let variant = rendition.variant;
        if variant.is_none() {
            continue;
        }
        for container in [ContainerChoice::M4a, ContainerChoice::Opus] {
            let known = |row: &FormatOption<'_>| {
                row.variant() == variant && row.choice.container == container
            };
            let fits = rendition.audio.as_ref().is_some_and(|sound| match container {
                ContainerChoice::M4a => sound.codec == AudioCodec::Aac,
                _ => sound.codec == AudioCodec::Opus,
            });
            if fits && !rows.iter().any(known) {
                let row = row_of(container, None, variant);
                rows.extend(row.filter(|row| row.variant() == variant));
            }
        }
    }
    rows
}

fn languages(offer: &PageMedia) -> Vec<&str> {
    let mut sounds: Vec<&AudioFormat> = offer
        .renditions
        .iter()
        .filter(|rendition| rendition.video.is_none())
        .filter_map(|rendition| rendition.audio.as_ref())
        .filter(|sound| sound.language.is_some())
        .collect();
    sounds.sort_by_key(|sound| Reverse(sound.preference));
    let mut languages: Vec<&str> = Vec::new();
    for language in sounds.into_iter().filter_map(|sound| sound.language.as_deref()) {
        if !languages.contains(&language) {
            languages.push(language);
        }
    }
    if languages.len() < 2 { Vec::new() } else { languages }
}
