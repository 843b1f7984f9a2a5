//! Which renditions of a film are taken, as a person would expect it. Pure.
//!
//! A rule that stands earlier counts for more; where all are equal, the reader of the page knows
//! best. Pairs of one family are preferred, for they can be spliced.

use std::cmp::Reverse;

use super::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, VideoCodec, VideoFormat,
};
use super::variant::Variant;
use crate::options::ContainerChoice;

/// What a client would like of a film that comes in several renditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FormatRequest {
    /// How good, or what of it.
    pub quality: Quality,
    /// The container of the file.
    pub container: ContainerChoice,
    /// How the picture is to be coded, if there is such a one.
    pub codec: Option<VideoCodec>,
    /// The language of the sound, if there is such a one.
    pub language: Option<String>,
    /// Whether a high dynamic range is welcome.
    pub hdr: bool,
    /// Which variant, if there is such a one; else the film as it was made, if it is there.
    pub variant: Option<Variant>,
    /// Whether its picture is to be the cover of the file.
    pub cover: bool,
}

/// The rank of what nobody has ranked; what is ranked lower is the last to be taken.
const UNRANKED: i64 = -2;

/// How good a picture is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Quality {
    /// The best there is.
    #[default]
    Best,
    /// No more lines than so many, if there is such a one.
    AtMost(u32),
    /// None: sound alone.
    AudioOnly,
}

/// What is taken: two files, or one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectedFormats<'o> {
    /// The file with the picture.
    pub video: Option<&'o Rendition>,
    /// The file with the sound, if that is another one.
    pub audio: Option<&'o Rendition>,
}

/// There is nothing that would do; why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMatch(pub &'static str);

/// Chooses.
pub fn select_formats<'o>(
    offer: &'o PageMedia,
    choice: &FormatRequest,
) -> Result<SelectedFormats<'o>, NoMatch> {
    if choice.quality == Quality::AudioOnly {
        let audio = select_audio(offer, choice, None).or_else(|| select_muxed_audio(offer, choice));
        let audio = audio.ok_or(NoMatch("there is no sound on offer"))?;
        return Ok(SelectedFormats { video: None, audio: Some(audio) });
    }
    let Some(video) = select_video(offer, choice) else {
        return Err(NoMatch(match choice.container {
            ContainerChoice::Webm if offer.renditions.iter().any(|r| r.video.is_some()) => {
                "none of its renditions fits into webm; container=mkv takes all of them"
            }
            _ => "there is no picture on offer; quality=audio gives the sound",
        }));
    };
    if video.audio.is_some() {
        return Ok(SelectedFormats { video: Some(video), audio: None });
    }
    let audio = select_audio(offer, choice, Some(video.family));
    if audio.is_none() && select_audio(offer, choice, None).is_some() {
        return Err(NoMatch("none of its sounds fits into webm; container=mkv takes all of them"));
    }
    // One without any sound anywhere is a silent film.
    Ok(SelectedFormats { video: Some(video), audio })
}

fn select_video<'o>(offer: &'o PageMedia, choice: &FormatRequest) -> Option<&'o Rendition> {
    let speaks = |rendition: &Rendition| {
        rendition.audio.as_ref().is_some_and(|sound| language_match(sound, choice) > 0)
    };
    // Where there is a sound in the language that is wanted, a file that brings another one is of no
    // use.
    let has_tongue = offer.renditions.iter().any(|r| r.video.is_none() && speaks(r));
    let of_use = |r: &Rendition| !has_tongue || r.audio.is_none() || speaks(r);
    let pictures = offer.renditions.iter().filter_map(|r| Some((r, r.video.as_ref()?)));
    let fitting = pictures.filter(|(r, picture)| fits(r, picture, choice.container));
    let best = fitting.max_by_key(|(r, picture)| {
        (of_use(r), preference(r, choice), video_rank(r, picture, choice))
    });
    best.map(|(rendition, _)| rendition)
}

/// Whether a picture can be put into a container at all (the WebM container guidelines).
fn fits(rendition: &Rendition, picture: &VideoFormat, container: ContainerChoice) -> bool {
    use VideoCodec::{Av1, Other, Vp9};
    container != ContainerChoice::Webm
        || matches!(picture.codec, Av1 | Vp9)
        || (picture.codec == Other && rendition.family == ContainerFamily::Webm)
}

/// The variant that is wanted, or else the film as it was made.
fn preference(rendition: &Rendition, choice: &FormatRequest) -> impl Ord + use<> {
    (rendition.variant == choice.variant, rendition.variant.is_none())
}

/// What makes one picture better than another, the most important first.
fn video_rank(
    rendition: &Rendition,
    picture: &VideoFormat,
    choice: &FormatRequest,
) -> impl Ord + use<> {
    let codec = choice.codec.is_some_and(|codec| codec == picture.codec);
    // Not every screen can show it, and on the others it looks dull.
    let range = choice.hdr || !picture.hdr;
    let within = match choice.quality {
        Quality::AtMost(most) => picture.height <= most,
        Quality::Best | Quality::AudioOnly => true,
    };
    // Of those that are too large, the smallest.
    let lines = if within { (Reverse(0), picture.height) } else { (Reverse(picture.height), 0) };
    let family = match (choice.container, rendition.family) {
        (ContainerChoice::Webm, ContainerFamily::Webm) => 3,
        (_, ContainerFamily::Mp4) => 2,
        (_, ContainerFamily::Webm) => 1,
        (_, ContainerFamily::Other) => 0,
    };
    let played = match picture.codec {
        VideoCodec::H264 => 4,
        VideoCodec::Vp9 => 3,
        VideoCodec::Av1 => 2,
        VideoCodec::H265 => 1,
        VideoCodec::Other => 0,
    };
    let fps = picture.fps.unwrap_or(0);
    let taste = (family, played, rendition.audio.is_none());
    let most_important = (rendition.rank[0].min(UNRANKED), within, codec, range, lines);
    (most_important, picture.hdr, fps, taste, rendition.rank, rendition.bitrate)
}

/// The best file of sound alone, to go with a picture of this family.
fn select_audio<'o>(
    offer: &'o PageMedia,
    choice: &FormatRequest,
    with: Option<ContainerFamily>,
) -> Option<&'o Rendition> {
    let alone = offer.renditions.iter().filter(|rendition| rendition.video.is_none());
    let sounds = alone.filter_map(|r| Some((r, r.audio.as_ref()?)));
    let best = sounds
        .filter(|(_, sound)| with.is_none() || fits_webm(sound, choice.container))
        .max_by_key(|(r, sound)| {
            let suits = match choice.container {
                ContainerChoice::Mp4 | ContainerChoice::M4a => sound.codec == AudioCodec::Aac,
                ContainerChoice::Webm | ContainerChoice::Opus => sound.codec == AudioCodec::Opus,
                ContainerChoice::Mp3 => sound.codec == AudioCodec::Mp3,
                ContainerChoice::Auto | ContainerChoice::Mkv => match with {
                    Some(family) => r.family == family,
                    None => sound.codec == AudioCodec::Aac,
                },
            };
            (
                audio_rank(r, sound, choice),
                r.rank[0].min(UNRANKED),
                suits,
                with == Some(r.family),
                r.rank,
                r.bitrate,
            )
        });
    best.map(|(rendition, _)| rendition)
}

fn fits_webm(sound: &AudioFormat, container: ContainerChoice) -> bool {
    container != ContainerChoice::Webm
        || matches!(sound.codec, AudioCodec::Opus | AudioCodec::Vorbis)
}

/// Where there is no sound alone, it is taken out of the film that has the least of a picture
/// around it.
fn select_muxed_audio<'o>(offer: &'o PageMedia, choice: &FormatRequest) -> Option<&'o Rendition> {
    let films = offer.renditions.iter().filter_map(|r| Some((r, r.audio.as_ref()?)));
    let best = films.max_by_key(|(r, sound)| {
        let size = r.size.map_or(u64::MAX, super::page_media::Size::bytes);
        (audio_rank(r, sound, choice), Reverse(size))
    });
    best.map(|(rendition, _)| rendition)
}

/// How much a sound is the one that is meant, whatever its quality.
fn audio_rank(
    rendition: &Rendition,
    sound: &AudioFormat,
    choice: &FormatRequest,
) -> impl Ord + use<> {
    let variant = rendition.variant;
    let is_wanted = choice.variant.is_some() && variant == choice.variant;
    // The original with some sound processing is still nearer to it than what a machine speaks.
    let is_itself = !variant.is_some_and(Variant::has_other_content);
    (language_match(sound, choice), is_wanted, is_itself, sound.preference, variant.is_none())
}

/// How well a sound is in the language that is wanted: `pt` gives `pt-BR`, too.
fn language_match(sound: &AudioFormat, choice: &FormatRequest) -> u8 {
    let (Some(wanted), Some(language)) = (&choice.language, &sound.language) else { return 0 };
    let main = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    if language.eq_ignore_ascii_case(wanted) { 2 } else { u8::from(main(language) == main(wanted)) }
}

#[cfg(test)]
mod tests;
