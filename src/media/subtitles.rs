//! The subtitles of media: what a page offers, what a request selects of it, and the cues themselves. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::RemoteLocation;
use super::removal::Removal;

/// Maximum number of subtitles in a file.
pub const MAX_SUBTITLES: usize = 32;

/// Subtitles in one language that a page offers.
#[derive(Debug, Clone, PartialEq)]
pub struct SubtitleOffer {
    /// Language tag (BCP 47), as the site writes it.
    pub language: String,
    /// The name for people, if there is one.
    pub name: Option<String>,
    /// Whether a machine has made them (automatic captions).
    pub is_automatic: bool,
    /// The format.
    pub format: SubtitleFormat,
    /// Where they are.
    pub source: SubtitleSource,
}

/// Where subtitles are.
#[derive(Debug, Clone, PartialEq)]
pub enum SubtitleSource {
    /// At this location.
    Remote(Box<RemoteLocation>),
    /// In the page.
    Inline(Arc<str>),
}

/// The formats that are read, the preferred ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubtitleFormat {
    /// WebVTT.
    Vtt,
    /// SubRip.
    Srt,
    /// TTML, also as DFXP.
    Ttml,
}

impl SubtitleFormat {
    /// Returns the format with this file name extension.
    pub fn from_extension(extension: &str) -> Option<SubtitleFormat> {
        Some(match extension {
            "vtt" => SubtitleFormat::Vtt,
            "srt" => SubtitleFormat::Srt,
            "ttml" | "dfxp" | "tt" => SubtitleFormat::Ttml,
            _ => return None,
        })
    }
}

/// The requested subtitles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SubtitleRequest {
    /// The languages, in their order.
    pub languages: Languages,
    /// Whether automatic captions are taken where there are no subtitles.
    pub allows_automatic: bool,
    /// Whether they are for a file of their own, which has one language: without a requested one, the original.
    pub is_single: bool,
}

/// The languages of requested subtitles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Languages {
    /// All of the page.
    #[default]
    All,
    /// These language tags.
    Only(Vec<String>),
}

/// Subtitles in one language.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subtitles {
    /// Language tag (BCP 47).
    pub language: String,
    /// The name for people; empty if there is none.
    pub name: String,
    /// The cues, in the order of their beginnings.
    pub cues: Arc<[Cue]>,
}

/// A text with the time at which it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cue {
    /// When it appears, in full milliseconds.
    pub start: Duration,
    /// When it disappears; later than that.
    pub end: Duration,
    /// The text as in WebVTT: lines, with `&`, `<` and `>` escaped, and no other tags than `b`, `i` and `u`.
    pub text: String,
}

impl Cue {
    /// Returns the memory that the cue takes, in bytes.
    pub fn memory_size(&self) -> usize {
        size_of::<Cue>() + self.text.len()
    }
}

impl SubtitleRequest {
    /// Selects what is requested of `offers`; fails with the language that none of them has.
    pub fn select<'o>(
        &self,
        offers: &'o [SubtitleOffer],
        original: Option<&str>,
    ) -> Result<Vec<&'o SubtitleOffer>, String> {
        let mut selected: Vec<&SubtitleOffer> = Vec::new();
        match &self.languages {
            Languages::All if self.is_single => {
                let original = original.and_then(|language| self.find(offers, language));
                let first = || offers.iter().find(|offer| !offer.is_automatic);
                let spoken = || offers.iter().find(|offer| offer.is_marked_original());
                let automatic = || spoken().filter(|_| self.allows_automatic);
                let single = original.or_else(first).or_else(automatic);
                selected.push(single.ok_or_else(String::new)?);
            }
            Languages::All => {
                selected.extend(offers.iter().filter(|offer| !offer.is_automatic));
                // Others are translations by a machine, of which there may be a hundred.
                let spoken = offers.iter().filter(|offer| offer.is_automatic);
                let spoken = spoken
                    .filter(|offer| offer.is_of_speech(original))
                    .min_by_key(|o| !o.is_marked_original());
                let has = |offer: &SubtitleOffer| {
                    selected.iter().any(|own| matches(&own.language, offer.spoken_language()))
                };
                if self.allows_automatic
                    && let Some(spoken) = spoken.filter(|offer| !has(offer))
                {
                    selected.push(spoken);
                }
            }
            Languages::Only(languages) => {
                for language in languages {
                    let offer = self.find(offers, language).ok_or_else(|| language.clone())?;
                    if !selected.contains(&offer) {
                        selected.push(offer);
                    }
                }
            }
        }
        selected.truncate(MAX_SUBTITLES);
        Ok(selected)
    }

    /// Returns the best offer in a language: subtitles before automatic captions, an equal tag before one that is more
    /// or less precise.
    fn find<'o>(&self, offers: &'o [SubtitleOffer], language: &str) -> Option<&'o SubtitleOffer> {
        let usable = offers.iter().filter(|offer| self.allows_automatic || !offer.is_automatic);
        let fitting = usable.filter(|offer| matches(offer.spoken_language(), language));
        fitting.min_by_key(|offer| {
            let is_other = !offer.spoken_language().eq_ignore_ascii_case(language);
            (offer.is_automatic, is_other, !offer.is_marked_original())
        })
    }
}

/// How YouTube marks automatic captions that are no translation.
const ORIGINAL: &str = "-orig";

impl SubtitleOffer {
    /// Returns the language without what a site adds to it.
    pub fn spoken_language(&self) -> &str {
        self.language.strip_suffix(ORIGINAL).unwrap_or(&self.language)
    }

    fn is_marked_original(&self) -> bool {
        self.language.ends_with(ORIGINAL)
    }

    /// Returns whether automatic captions are in the language that is spoken, as far as the page tells.
    fn is_of_speech(&self, original: Option<&str>) -> bool {
        self.is_marked_original() || original.is_some_and(|tag| matches(tag, &self.language))
    }

    /// Returns the approximate memory, in bytes.
    pub fn memory_size(&self) -> usize {
        let source = match &self.source {
            SubtitleSource::Remote(location) => {
                location.memory_size() + size_of::<RemoteLocation>()
            }
            SubtitleSource::Inline(text) => text.len(),
        };
        let name = self.name.as_ref().map_or(0, String::len);
        size_of::<SubtitleOffer>() + self.language.len() + name + source
    }
}

/// Returns whether two language tags are equal, or one is a more precise form of the other.
fn matches(one: &str, other: &str) -> bool {
    let (long, short) = if one.len() > other.len() { (one, other) } else { (other, one) };
    let begins = long.get(..short.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(short));
    begins && matches!(long.as_bytes().get(short.len()), None | Some(b'-'))
}

impl Subtitles {
    /// Returns the subtitles of media that begins at `origin` of what they were made for, in nanoseconds, and lasts for
    /// `duration`; 0 if that is not known.
    pub fn within(&self, origin: i128, duration: Duration) -> Subtitles {
        let end = if duration.is_zero() { u64::MAX } else { duration.as_millis() as u64 };
        let shifted = |time: Duration| {
            let nanos = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX).saturating_sub(origin);
            u64::try_from(nanos.max(0) / 1_000_000).unwrap_or(u64::MAX).min(end)
        };
        let cues = self.cues.iter().filter_map(|cue| {
            let (start, end) = (shifted(cue.start), shifted(cue.end));
            let [from, to] = [start, end].map(Duration::from_millis);
            (start < end).then(|| Cue { start: from, end: to, text: cue.text.clone() })
        });
        Subtitles { cues: cues.collect(), ..self.clone() }
    }

    /// Returns the subtitles of media of which these intervals are left out, in nanoseconds.
    pub fn without(&self, gone: &Removal) -> Subtitles {
        let moved = |time| {
            let millis = gone.moved_time(time).as_millis();
            Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
        };
        let cues = self.cues.iter().filter_map(|cue| {
            let (start, end) = (moved(cue.start), moved(cue.end));
            (start < end).then(|| Cue { start, end, text: cue.text.clone() })
        });
        Subtitles { cues: cues.collect(), ..self.clone() }
    }

    /// Feeds `add` what distinguishes these subtitles from others.
    pub fn identify(&self, add: &mut dyn FnMut(&[u8])) {
        add(self.language.as_bytes());
        add(self.name.as_bytes());
        add(&self.cues.len().to_be_bytes());
        for Cue { start, end, text } in self.cues.iter() {
            add(&start.as_nanos().to_be_bytes());
            add(&end.as_nanos().to_be_bytes());
            add(text.as_bytes());
        }
    }

    /// Returns the memory that the cues take, in bytes.
    pub fn memory_size(&self) -> usize {
        self.cues.iter().map(Cue::memory_size).sum()
    }
}
