//! Selects several audio tracks, one for each language. Pure.
//!
//! **Invariant:** a language is selected by its whole tag, and no track is in another language than its request.

use std::cmp::Reverse;

use super::{
    FormatRequest, NoMatch, Quality, SelectedFormats, select_audio, select_formats, select_video,
};
use crate::media::language::{Language, primary_subtag};
use crate::media::page_media::{AudioFormat, PageMedia, Rendition};
use crate::media::track_label::{MAX_AUDIO_TRACKS, TrackLabel};

/// The audio tracks of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum AudioTracks {
    /// One: in the preferred language, or the original.
    #[default]
    One,
    /// One in each language that the page offers.
    All,
    /// One in each of these languages.
    Languages(Vec<String>),
}

/// The selected files of a request: a video, or audio, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedTracks<'o> {
    /// The file with the video.
    pub video: Option<&'o Rendition>,
    /// The files with audio, if they are others; the first one is the default.
    pub audios: Vec<&'o Rendition>,
}

/// Selects the renditions for a request, for any number of audio tracks. The error names what the page has.
pub fn select_tracks<'o>(
    page: &'o PageMedia,
    request: &FormatRequest,
) -> Result<SelectedTracks<'o>, String> {
    let offered = offered_languages(page);
    let selected = match &request.audio_tracks {
        AudioTracks::Languages(requested) => matching(&offered, requested)?,
        AudioTracks::All if offered.len() > 1 => offered,
        AudioTracks::One | AudioTracks::All => {
            let one = FormatRequest { audio_tracks: AudioTracks::One, ..request.clone() };
            let found = select_formats(page, &one).map_err(|NoMatch(why)| why.to_owned())?;
            let SelectedFormats { video, audio } = found;
            return Ok(SelectedTracks { video, audios: audio.into_iter().collect() });
        }
    };
    if selected.len() > MAX_AUDIO_TRACKS {
        let count = selected.len();
        return Err(format!(
            "a file has at most {MAX_AUDIO_TRACKS} audio tracks, and the page offers {count} languages: name some \
             of them, as in lang=en,de; it has {}",
            tags(&selected)
        ));
    }
    let video = match request.quality {
        Quality::AudioOnly => None,
        _ => {
            let video = select_video(&page.renditions, request);
            let none = "the page offers no video that fits; quality=audio selects the audio";
            Some(video.ok_or(none)?)
        }
    };
    let audios = selected.iter().map(|audio| in_language(page, request, video, audio));
    Ok(SelectedTracks { video, audios: audios.collect::<Result<_, _>>()? })
}

impl SelectedTracks<'_> {
    /// Returns the labels of the tracks, in their order. Those of one track alone are left out where the request
    /// names no language.
    pub fn labels(&self, request: &FormatRequest) -> Vec<TrackLabel> {
        if request.language.is_none() && request.audio_tracks == AudioTracks::One {
            return Vec::new();
        }
        let video = self.video.iter().map(|_| TrackLabel::default());
        let audios = self.audios.iter().map(|rendition| {
            let audio = rendition.audio.as_ref();
            let tag = audio.and_then(|audio| audio.language.as_deref());
            TrackLabel::new(tag, audio.and_then(|audio| audio.name.as_deref()))
        });
        video.chain(audios).collect()
    }
}

/// Returns audio in each language that the page offers apart from the video, the original first.
pub fn offered_languages(page: &PageMedia) -> Vec<&AudioFormat> {
    let alone = page.renditions.iter().filter(|rendition| rendition.video.is_none());
    let audios = alone.filter_map(|rendition| rendition.audio.as_ref());
    let mut audios: Vec<_> = audios.filter(|audio| audio.language.is_some()).collect();
    audios.sort_by_key(|audio| Reverse(audio.preference));
    let mut offered: Vec<&AudioFormat> = Vec::new();
    for audio in audios {
        if !offered.iter().any(|known| known.language == audio.language) {
            offered.push(audio);
        }
    }
    offered
}

/// Returns those of the offered languages that are requested, in the order of the requests, but for the original,
/// which is first. `pt` also accepts `pt-BR`.
fn matching<'o>(
    offered: &[&'o AudioFormat],
    requested: &[String],
) -> Result<Vec<&'o AudioFormat>, String> {
    let mut selected: Vec<&AudioFormat> = Vec::new();
    for tag in requested {
        let is_same = |audio: &&&AudioFormat| Language::is_same(language(audio), tag);
        let is_alike =
            |audio: &&&AudioFormat| primary_subtag(language(audio)) == primary_subtag(tag);
        let found = offered.iter().find(is_same).or_else(|| offered.iter().find(is_alike));
        let Some(found) = found else {
            return Err(match offered {
                [] => "the page does not tell the languages of its audio; leave out lang".into(),
                _ => format!("the page has no audio in {tag}; it has {}", tags(offered)),
            });
        };
        if !selected.contains(found) {
            selected.push(found);
        }
    }
    if let Some(original) = original(offered) {
        // A stable sort: the others keep their order.
        selected.sort_by_key(|audio| *audio != original);
    }
    Ok(selected)
}

/// Returns the original, if the page tells which one that is.
fn original<'o>(offered: &[&'o AudioFormat]) -> Option<&'o AudioFormat> {
    match offered {
        [first, second, ..] if first.preference > second.preference => Some(first),
        [only] => Some(only),
        _ => None,
    }
}

/// Selects the best audio in exactly this language.
fn in_language<'o>(
    page: &'o PageMedia,
    request: &FormatRequest,
    video: Option<&Rendition>,
    audio: &AudioFormat,
) -> Result<&'o Rendition, String> {
    let language = audio.language.clone();
    let one = FormatRequest { language, audio_tracks: AudioTracks::One, ..request.clone() };
    let found = select_audio(&page.renditions, &one, video);
    let is_exact = |found: &&Rendition| {
        found.audio.as_ref().is_some_and(|found| found.language == audio.language)
    };
    found.filter(is_exact).ok_or_else(|| {
        let tag = audio.language.as_deref().unwrap_or_default();
        format!("no audio of the page in {tag} fits into webm; container=mkv accepts all")
    })
}

fn language(audio: &AudioFormat) -> &str {
    audio.language.as_deref().unwrap_or_default()
}

fn tags(audios: &[&AudioFormat]) -> String {
    audios.iter().map(|audio| language(audio)).collect::<Vec<_>>().join(", ")
}
