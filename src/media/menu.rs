//! What a film is on offer as, for people to choose from. Pure.
//!
//! Each row says by which choice it is had, and that choice leads to the row's own files.

use std::cmp::Reverse;

use super::choice::{Choice, Chosen, Quality, choose};
use super::offer::{Family, Offer, Picture, Rendition, Size, Sound, SoundCodec};
use super::variant::Variant;
use crate::mux::Wanted;

/// A film with a picture, in one quality and container.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'o> {
    /// What leads to it.
    pub choice: Choice,
    /// The files.
    pub chosen: Chosen<'o>,
}

/// All of the menu.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu<'o> {
    /// Pictures with their sound, the best first.
    pub videos: Vec<Row<'o>>,
    /// Sounds alone, the best first.
    pub audios: Vec<Row<'o>>,
    /// The languages of the sound, if there are several, the original first.
    pub languages: Vec<&'o str>,
}

impl Row<'_> {
    /// How long the file will be, as far as the page tells.
    pub fn size(&self) -> Option<Size> {
        let Chosen { video, audio } = self.chosen;
        match (video, audio) {
            (Some(video), Some(audio)) => {
                let sum = video.size?.bytes().checked_add(audio.size?.bytes())?;
                Some(Size::About(sum))
            }
            (Some(lone), None) => lone.size,
            (None, Some(lone)) => {
                lone.size.filter(|_| is_taken_as_it_is(lone, self.choice.container))
            }
            (None, None) => None,
        }
    }

    /// The picture that is in it.
    pub fn picture(&self) -> Option<&Picture> {
        self.chosen.video?.picture.as_ref()
    }

    /// The sound that is in it.
    pub fn sound(&self) -> Option<&Sound> {
        self.chosen.audio.or(self.chosen.video)?.sound.as_ref()
    }

    /// How it differs from the film as it was made.
    pub fn variant(&self) -> Option<Variant> {
        let Chosen { video, audio } = self.chosen;
        [video, audio].into_iter().flatten().find_map(|rendition| rendition.variant)
    }
}

/// Whether a file of sound is passed through for this container.
fn is_taken_as_it_is(lone: &Rendition, container: Wanted) -> bool {
    let fits = match container {
        Wanted::Auto => true,
        Wanted::M4a | Wanted::Mp4 => lone.family == Family::Mp4,
        Wanted::Webm => lone.family == Family::Webm,
        Wanted::Mkv | Wanted::Mp3 | Wanted::Opus => false,
    };
    fits && lone.picture.is_none()
}

/// Everything that a film is on offer as.
pub fn menu(offer: &Offer) -> Menu<'_> {
    let languages = languages(offer);
    Menu { videos: videos(offer), audios: audios(offer, &languages), languages }
}

fn videos(offer: &Offer) -> Vec<Row<'_>> {
    let mut kinds: Vec<Kind> = Vec::new();
    for rendition in &offer.renditions {
        let Some(picture) = &rendition.picture else { continue };
        let kind = (picture.lines, picture.hdr, rendition.family, rendition.variant);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.sort_by_key(|(lines, hdr, family, variant)| {
        let family = [Family::Mp4, Family::Webm, Family::Other].map(|f| f != *family);
        (variant.is_some(), Reverse(*lines), *hdr, family)
    });
    kinds.into_iter().filter_map(|kind| row(offer, kind)).collect()
}

/// Lines, whether HDR, and what it is in.
type Kind = (u32, bool, Family, Option<Variant>);

/// The row of the best that there is of this kind.
fn row(offer: &Offer, (lines, hdr, family, variant): Kind) -> Option<Row<'_>> {
    let is_meant = |r: &Rendition| {
        (r.family, r.variant) == (family, variant)
            && r.picture.as_ref().is_some_and(|p| (p.lines, p.hdr) == (lines, hdr))
    };
    let container = match family {
        Family::Mp4 => Wanted::Mp4,
        Family::Webm => Wanted::Webm,
        Family::Other => Wanted::Auto,
    };
    // Zero lines: nobody knows how many.
    let quality = if lines == 0 { Quality::Best } else { Quality::AtMost(lines) };
    let any = Choice { quality, container, hdr, variant, ..Choice::default() };
    let codecs = offer.renditions.iter().filter(|r| is_meant(r));
    let mut codecs: Vec<_> =
        codecs.filter_map(|r| r.picture.as_ref()?.codec.name().map(|_| r)).collect();
    // The one that would be taken anyway, if it is one of these; else the first that can be had.
    codecs.reverse();
    let choices = std::iter::once(any.clone()).chain(codecs.into_iter().map(|rendition| Choice {
        codec: rendition.picture.as_ref().map(|picture| picture.codec),
        ..any.clone()
    }));
    choices
        .filter_map(|choice| choose(offer, &choice).ok().map(|chosen| Row { choice, chosen }))
        .find(|row| row.chosen.video.is_some_and(is_meant))
        .map(|mut row| {
            // The codec stands in the link as it does in the row.
            row.choice.codec =
                row.picture().map(|p| p.codec).filter(|codec| codec.name().is_some());
            row
        })
}

fn audios<'o>(offer: &'o Offer, languages: &[&'o str]) -> Vec<Row<'o>> {
    let tongues: Vec<Option<&str>> = match languages {
        [] => vec![None],
        several => several.iter().copied().map(Some).collect(),
    };
    let has = |codec| {
        let alone = offer.renditions.iter().filter(|r| r.picture.is_none());
        alone.filter_map(|r| r.sound.as_ref()).any(|sound| sound.codec == codec)
    };
    let row_of = |container, language: Option<&str>, variant| {
        let language = language.map(str::to_owned);
        let quality = Quality::Sound;
        let choice = Choice { quality, container, language, variant, ..Choice::default() };
        let chosen = choose(offer, &choice).ok()?;
        Some(Row { choice, chosen })
    };
    let row = |container, language| row_of(container, language, None);
    let mut rows: Vec<Row<'o>> = Vec::new();
    for (place, tongue) in tongues.into_iter().enumerate() {
        // A recoding of it is offered once, not in every language.
        rows.extend(
            (place == 0 || has(SoundCodec::Aac)).then(|| row(Wanted::M4a, tongue)).flatten(),
        );
        rows.extend(has(SoundCodec::Opus).then(|| row(Wanted::Opus, tongue)).flatten());
        rows.extend((place == 0).then(|| row(Wanted::Mp3, tongue)).flatten());
    }
    // What no language leads to.
    for rendition in offer.renditions.iter().filter(|rendition| rendition.picture.is_none()) {
        let variant = rendition.variant;
        if variant.is_none() {
            continue;
        }
        for container in [Wanted::M4a, Wanted::Opus] {
            let known =
                |row: &Row<'_>| row.variant() == variant && row.choice.container == container;
            let fits = rendition.sound.as_ref().is_some_and(|sound| match container {
                Wanted::M4a => sound.codec == SoundCodec::Aac,
                _ => sound.codec == SoundCodec::Opus,
            });
            if fits && !rows.iter().any(known) {
                let row = row_of(container, None, variant);
                rows.extend(row.filter(|row| row.variant() == variant));
            }
        }
    }
    rows
}

fn languages(offer: &Offer) -> Vec<&str> {
    let mut sounds: Vec<&Sound> = offer
        .renditions
        .iter()
        .filter(|rendition| rendition.picture.is_none())
        .filter_map(|rendition| rendition.sound.as_ref())
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
