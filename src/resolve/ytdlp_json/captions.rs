//! The subtitles and automatic captions that a page offers: of each language, the format that is read best.

use std::sync::Arc;

use serde::de::{IgnoredAny, MapAccess};
use url::Url;

use super::lenient::{Field, First, Lenient, Text};
use super::schema::Caption;
use super::{MAX_URL, text};
use crate::media::RemoteLocation;
use crate::media::language::Language;
use crate::media::subtitles::{SubtitleFormat, SubtitleOffer, SubtitleSource};
use crate::timed_text::MAX_DOCUMENT;

/// Maximum number of languages of either kind.
const MAX_LANGUAGES: usize = 300;
/// Maximum number of formats of a language.
const MAX_FORMATS: usize = 20;
/// Maximum length of subtitles that the page contains: they are kept with it.
pub(super) const MAX_INLINE: usize = MAX_DOCUMENT / 16;

/// The formats of each language.
pub(super) struct Captions(Vec<(String, Formats)>);

type Formats = First<Lenient<Caption>, MAX_FORMATS>;

impl<'de> Field<'de> for Captions {
    fn from_object<A: MapAccess<'de>>(mut object: A) -> Result<Option<Captions>, A::Error> {
        let mut languages = Vec::new();
        while languages.len() < MAX_LANGUAGES {
            let entry = object.next_entry::<Lenient<String>, Lenient<Formats>>()?;
            let Some((language, formats)) = entry else { return Ok(Some(Captions(languages))) };
            languages.extend(language.0.zip(formats.0));
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Captions(languages)))
    }
}

/// Returns what is offered of these: in each language, one format.
pub(super) fn offers(
    captions: Option<Captions>,
    is_automatic: bool,
) -> impl Iterator<Item = SubtitleOffer> {
    let languages = captions.into_iter().flat_map(|Captions(languages)| languages);
    languages.filter_map(move |(language, First(formats))| {
        // It is in the headers of files, and in links.
        Language::from_tag(&language)?;
        let formats = formats.into_iter().filter_map(|Lenient(one)| one);
        let usable = formats.filter_map(|caption| Some((caption.format()?, caption)));
        let usable =
            usable.filter_map(|(format, caption)| Some((format, caption.source()?, caption)));
        let (format, source, caption) = usable.min_by_key(|(format, ..)| *format)?;
        let name = caption.name.as_deref().map(text).filter(|name| !name.is_empty());
        Some(SubtitleOffer { language, name, is_automatic, format, source })
    })
}

impl Caption {
    fn format(&self) -> Option<SubtitleFormat> {
        SubtitleFormat::from_extension(self.ext.as_deref()?)
    }

    /// Returns where they are: in one file, or in the page.
    fn source(&self) -> Option<SubtitleSource> {
        if let Some(Text(text)) = &self.data {
            return Some(SubtitleSource::Inline(Arc::from(&text[..])))
                .filter(|_| text.len() < MAX_INLINE);
        }
        let is_file = matches!(self.protocol.as_deref(), None | Some("http" | "https"));
        let is_whole = is_file && self.fragments.is_none();
        let url = self.url.as_deref().filter(|url| is_whole && url.len() <= MAX_URL)?;
        let url = Url::parse(url).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return None;
        }
        let headers = super::headers(self.http_headers.as_ref());
        let location = RemoteLocation { headers, ..RemoteLocation::from(url) };
        let is_short = location.memory_size() <= super::MAX_LOCATION;
        is_short.then(|| SubtitleSource::Remote(Box::new(location)))
    }
}
