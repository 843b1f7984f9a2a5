//! Parses the output of `yt-dlp -J`. Pure: bytes in, page out.
//!
//! **Invariant:** nothing in the output is trusted: every field may be missing, of another type, or
//! absurd.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use ureq::http::{HeaderName, HeaderValue};
use url::Url;

use super::classify::ResolveError;
use super::cookies;
use crate::media::RemoteLocation;
use crate::media::chapters::{ListedChapter, chapters};
use crate::media::language::Language;
use crate::media::page_list::PageList;
use crate::media::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, Size, VideoCodec, VideoFormat,
};
use crate::media::sponsorblock::{ListedSegment, Segment, SponsorBlock};
use crate::media::variant::Variant;
use crate::text::one_line;

mod captions;
mod delivery;
mod lenient;
mod list;
mod names;
mod periods;
mod refusals;
mod schema;

use delivery::Source;
use lenient::{First, IsSet, Lenient, Texts, parse};
use list::list;
use refusals::Refusals;
use schema::{
    Chapters, Format, Formats, MAX_FIELDS, Manifest, PageFields, SponsorBlockFields, Thumbnail,
    replace_lone_surrogates,
};

/// Maximum length of a text.
const MAX_TEXT: usize = 500;
/// Maximum length of a media URL and of a format id, and maximum memory of a location with its
/// fields and cookies. Longer ones are dropped.
const MAX_URL: usize = 8 << 10;
const MAX_ID: usize = 100;
const MAX_LOCATION: usize = 32 << 10;

/// Maximum number of playlists that list audio beside their videos; a page has one or two.
const MAX_MANIFESTS: usize = 50;

/// What a page is.
#[derive(Debug)]
pub enum Page {
    /// It has media.
    Media(Box<PageMedia>),
    /// It lists other pages.
    List(Box<PageList>),
}

impl Page {
    /// Returns the media of the page; a list has none.
    pub fn into_media(self) -> Result<PageMedia, ResolveError> {
        match self {
            Page::Media(media) => Ok(*media),
            Page::List(list) => Err(ResolveError::playlist(&list.page_url)),
        }
    }
}

/// Parses the output for `page_url`; if it is a list, for `part` of it.
///
/// Its formats are parsed one by one, so that no more is in memory than the output, one format, and what is kept of
/// the others.
pub fn read(page_url: &Url, part: u32, mut json: Vec<u8>) -> Result<Page, ResolveError> {
    replace_lone_surrogates(&mut json);
    let output: &RawValue = serde_json::from_slice(&json)
        .map_err(|_| ResolveError::broken("the output is not the JSON of yt-dlp"))?;
    let page: PageFields<'_> = parse(output).ok_or(ResolveError::broken("the output is empty"))?;
    match page.kind.as_deref() {
        None | Some("video") => {}
        Some("playlist" | "multi_video") => {
            return Ok(Page::List(Box::new(list(page_url, part, page))));
        }
        Some(_) => return Err(ResolveError::broken("the page is neither a video nor a playlist")),
    }
    match page.live_status.as_deref() {
        Some("is_upcoming") => return Err(ResolveError::upcoming(page.release_timestamp)),
        Some("post_live") => return Err(ResolveError::just_ended()),
        _ => {}
    }
    let is_live = page.live_status.as_deref() == Some("is_live") || page.is_live == Some(true);
    let First(mut formats) =
        page.formats.and_then(parse::<Formats<'_>>).unwrap_or(First(Vec::new()));
    if formats.is_empty() {
        // A page with a single file has the fields of the format at the top level.
        formats.push(output);
    }
    let manifests = formats.iter().filter_map(|format| parse::<Manifest>(format)?.of_audio());
    let manifests: HashSet<String> = manifests.take(MAX_MANIFESTS).collect();
    let duration = page.duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let mut refusals = Refusals::default();
    let renditions = formats.into_iter().filter_map(parse::<Format<'_>>).filter_map(|format| {
        let is_apart = format.manifest_url.as_deref().is_some_and(|url| manifests.contains(url));
        if is_live && !format.is_playlist() {
            refusals.add("a live stream that is not HLS");
            return None;
        }
        let Some(rendition) = format.rendition(page_url, duration, &mut refusals) else {
            refusals.lack_audio |= !refusals.is_empty() && format.is_audio_alone();
            return None;
        };
        Some(if is_apart { format.without_unknown_audio(rendition) } else { rendition })
    });
    let mut renditions: Vec<Rendition> = renditions.collect();
    if refusals.lack_audio && renditions.iter().all(|rendition| rendition.audio.is_none()) {
        // They would be silent.
        renditions.clear();
    }
    if renditions.is_empty() {
        // yt-dlp itself leaves out protected formats.
        refusals.is_protected |= page.has_drm == Some(true);
        return Err(refusals.into_error());
    }
    let first_segments = renditions.iter().filter_map(|r| r.segments.as_ref()?.first_url());
    let expires = renditions.iter().filter_map(|r| expiry(&r.location.url));
    let expires = expires.chain(first_segments.filter_map(|url| expiry(&url))).min();
    Ok(Page::Media(Box::new(PageMedia {
        page_url: page_url.clone(),
        generation: 0,
        id: page.id.as_deref().map(text).unwrap_or_default(),
        extractor: page.extractor.as_deref().map(text).unwrap_or_default(),
        title: page.title.as_deref().map(text).filter(|title| !title.is_empty()),
        uploader: page.uploader.or(page.channel).or(page.creator).as_deref().map(text),
        date: page.release_date.or(page.upload_date).as_deref().and_then(date),
        duration,
        is_live,
        // Those of a live stream would move.
        chapters: chapters(listed_chapters(page.chapters.filter(|_| !is_live)), duration),
        sponsorblock: page
            .sponsorblock
            .filter(|_| !is_live)
            .map(|told| sponsorblock(told, duration)),
        subtitles: captions::offers(page.subtitles, false)
            .chain(captions::offers(page.automatic_captions, true))
            .filter(|_| !is_live)
            .collect(),
        thumbnail: thumbnail(page.thumbnails, page.thumbnail),
        renditions,
        expires,
    })))
}

/// Returns the chapters as the page lists them.
fn listed_chapters(list: Option<Chapters>) -> impl Iterator<Item = ListedChapter> {
    let list = list.into_iter().flat_map(|First(list)| list).filter_map(|Lenient(one)| one);
    list.map(|one| ListedChapter { start: one.start_time, end: one.end_time, title: one.title })
}

/// Returns what SponsorBlock has told of media of this duration, if that is known.
fn sponsorblock(told: SponsorBlockFields, duration: Option<Duration>) -> SponsorBlock {
    let list = told.segments.into_iter().flat_map(|First(list)| list);
    let segments = list.filter_map(|Lenient(one)| one).filter_map(|one| {
        let (category, title) = (one.category, one.title);
        Segment::new(&ListedSegment { start: one.start, end: one.end, category, title }, duration)
    });
    let mut segments: Vec<Segment> = segments.collect();
    segments.sort_by_key(|segment| segment.start);
    SponsorBlock { segments, failure: told.failure.as_deref().map(text) }
}

impl Format<'_> {
    /// Returns the rendition, if the format can be downloaded. The page lasts for `duration`.
    fn rendition(
        &self,
        page_url: &Url,
        duration: Option<Duration>,
        refusals: &mut Refusals,
    ) -> Option<Rendition> {
        if self.has_drm == Some(true) {
            refusals.is_protected = true;
            return None;
        }
        let id = self.format_id.clone().unwrap_or_default();
        let (video, audio) = (self.video(), self.audio());
        if self.is_storyboard() || id.len() > MAX_ID || (video.is_none() && audio.is_none()) {
            return None;
        }
        if self.has_excessive_headers() {
            return None;
        }
        let source = self.source(page_url).map_err(|reason| refusals.add(&reason)).ok()?;
        let Source { url, delivery, segments } = source?;
        let periods = self.check_periods(segments.as_deref(), duration);
        periods.map_err(|reason| refusals.add(reason)).ok()?;
        let (exact, approximate) =
            (self.filesize.and_then(integer), self.filesize_approx.and_then(integer));
        let mut location = self.location(url);
        if location.memory_size() > MAX_LOCATION {
            return None;
        }
        location.delivery = delivery;
        let note = self.format_note.as_deref().unwrap_or_default();
        let variant = Variant::detect(&id, note, self.language.as_deref(), &location.url);
        let rank = [self.preference, self.quality, self.source_preference];
        let mut rendition = Rendition {
            id,
            video,
            audio,
            family: self.family(),
            variant,
            location,
            segments,
            size: exact.map(Size::Exact).or(approximate.map(Size::Approximate)),
            bitrate: self.tbr.and_then(|kilobits| integer(kilobits * 1000.0)),
            // Doubled before rounding: a quality may lie between two integers.
            rank: rank.map(|rank| (rank.unwrap_or(-1.0) * 2.0) as i64),
        };
        if rendition.is_segmented() {
            // Segments are not in the file as they are.
            rendition.size = rendition.size.map(|size| Size::Approximate(size.bytes()));
        } else {
            rendition.location.len = exact;
        }
        Some(rendition)
    }

    /// Returns whether more is to be sent with a request than is kept of it.
    fn has_excessive_headers(&self) -> bool {
        let is_many = self.http_headers.as_ref().is_some_and(|fields| fields.0.len() > MAX_FIELDS);
        is_many || self.cookies.as_ref().is_some_and(|cookies| cookies.len() > MAX_LOCATION)
    }

    /// Returns whether it is a storyboard for the seek bar of a player.
    fn is_storyboard(&self) -> bool {
        self.protocol.as_deref() == Some("mhtml")
            || matches!(self.ext.as_deref(), Some("mhtml" | "jpg" | "jpeg" | "png" | "webp"))
    }

    fn video(&self) -> Option<VideoFormat> {
        let codec = match self.vcodec.as_deref() {
            Some("none") => return None,
            // The codecs are unknown: the file extension decides.
            None if self.has_audio_extension() => return None,
            codec => codec.map_or(VideoCodec::Other, VideoCodec::from_codec_string),
        };
        let range = self.dynamic_range.as_deref().unwrap_or("SDR");
        let fps = self.fps.and_then(integer).and_then(|fps| u32::try_from(fps).ok());
        Some(VideoFormat { codec, height: self.height(), fps, hdr: range != "SDR" })
    }

    /// Returns the resolution in the site's notation, or else the shorter side: a video from a
    /// phone is upright.
    fn height(&self) -> u32 {
        let number = |side: Option<f64>| side.and_then(integer).and_then(|s| u32::try_from(s).ok());
        let (width, height) = (number(self.width), number(self.height));
        let shorter = height.unwrap_or(0).min(width.unwrap_or(u32::MAX));
        let note = self.format_note.as_deref().unwrap_or_default();
        let hint = note.split_once('p').and_then(|(height, _)| height.parse().ok());
        // 1920 × 800 is called 1080p; numbers out of this range mean something else.
        hint.filter(|hint| (shorter..=2 * shorter).contains(hint)).unwrap_or(shorter)
    }

    fn audio(&self) -> Option<AudioFormat> {
        let codec = match self.acodec.as_deref() {
            Some("none") => return None,
            codec => codec.map_or(AudioCodec::Other, AudioCodec::from_codec_string),
        };
        let preference = self.language_preference.unwrap_or(-1.0) as i64;
        let language = self.language.as_deref().and_then(Language::from_tag);
        // Other notes tell no languages apart.
        let note = self.format_note.as_deref().filter(|_| language.is_some());
        let name = note.and_then(names::audio_name);
        let language = language.map(|language| language.as_str().to_owned());
        Some(AudioFormat { codec, language, name, preference })
    }

    /// Returns a rendition whose playlist lists audio beside it. yt-dlp tells neither of its codecs, nor
    /// whether it holds audio, too; players play the audio beside it (RFC 8216 §4.3.4.2).
    fn without_unknown_audio(&self, rendition: Rendition) -> Rendition {
        let is_unknown = self.acodec.is_none() && rendition.video.is_some();
        if is_unknown { Rendition { audio: None, ..rendition } } else { rendition }
    }

    fn is_audio_alone(&self) -> bool {
        self.video().is_none() && self.audio().is_some() && !self.is_storyboard()
    }

    fn has_audio_extension(&self) -> bool {
        let ext = self.ext.as_deref().unwrap_or_default();
        ["m4a", "mp3", "aac", "ogg", "oga", "opus", "flac", "wav"].contains(&ext)
    }

    fn family(&self) -> ContainerFamily {
        match self.ext.as_deref() {
            Some("mp4" | "m4a" | "m4v" | "mov") => ContainerFamily::Mp4,
            Some("webm" | "weba") => ContainerFamily::Webm,
            _ => ContainerFamily::Other,
        }
    }

    fn location(&self, url: Url) -> RemoteLocation {
        let headers = headers(self.http_headers.as_ref());
        let chunk = self.downloader_options.as_ref().and_then(|options| options.http_chunk_size);
        let available_at = self.available_at.and_then(system_time);
        let cookies = self.cookies.as_deref().map(cookies::read).unwrap_or_default();
        let chunk = chunk.and_then(integer);
        let expects_browser = self.impersonate.as_ref().is_some_and(|IsSet(is_set)| *is_set);
        let location = RemoteLocation::from(url);
        RemoteLocation { headers, cookies, available_at, chunk, expects_browser, ..location }
    }
}

impl Manifest {
    /// Returns the playlist that lists it as audio to be played with its videos (EXT-X-MEDIA), if it is
    /// such audio. yt-dlp ranks the alternatives lower.
    fn of_audio(self) -> Option<String> {
        let is_audio = self.vcodec.as_deref() == Some("none") && self.acodec.is_none();
        let is_alternative = self.source_preference.is_some_and(|preference| preference < -1.0);
        self.manifest_url.filter(|_| is_audio && !is_alternative)
    }
}

/// Converts a number to an integer of at least 1.
/// Returns the header fields of requests, ordered by name: a map has no order, and equal fields must give equal locations.
fn headers<const MAX: usize>(fields: Option<&Texts<MAX>>) -> Vec<(HeaderName, HeaderValue)> {
    let fields = fields.into_iter().flat_map(|Texts(fields)| fields);
    let fields = fields.filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    let mut headers: Vec<_> = fields.collect();
    headers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    headers
}

fn integer(number: f64) -> Option<u64> {
    // Larger integers are not exact in a float.
    (1.0..9e15).contains(&number).then_some(number as u64)
}

fn system_time(seconds: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(integer(seconds)?))
}

/// Returns the expiry in a URL, which sites put in its query as `expire=SECONDS`, or in its path as
/// `/expire/SECONDS/`.
fn expiry(url: &Url) -> Option<SystemTime> {
    let is_expiry = |name: &str| name == "expire" || name == "expires";
    let in_query =
        url.query_pairs().find(|(name, _)| is_expiry(name)).map(|(_, value)| value.into_owned());
    let in_path = || {
        let mut segments = url.path_segments()?;
        segments.find(|segment| is_expiry(segment))?;
        segments.next().map(str::to_owned)
    };
    let seconds: f64 = in_query.or_else(in_path)?.parse().ok()?;
    // A number from before 2001 is no point in time.
    system_time(seconds).filter(|_| seconds > 1e9)
}

/// Returns the largest thumbnail that browsers and files support, or the one that the page names.
fn thumbnail<const MAX: usize>(
    all: Option<First<Lenient<Thumbnail>, MAX>>,
    named: Option<String>,
) -> Option<RemoteLocation> {
    let all = all.into_iter().flat_map(|First(list)| list).filter_map(|Lenient(one)| one);
    let usable = |text: &str| {
        let url = Url::parse(text).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
    };
    let candidates = all.filter_map(|one| Some((one.width, usable(one.url.as_deref()?)?)));
    let best = candidates
        // Larger ones than a page shows waste bandwidth.
        .filter(|(width, _)| width.is_none_or(|width| width <= 1280.0))
        .max_by_key(|(width, url)| {
            let is_jpeg = url.path().ends_with(".jpg") || url.path().ends_with(".jpeg");
            // A thumbnail without a size is mostly the original.
            (is_jpeg, width.is_none(), width.and_then(integer))
        })
        .map(|(_, url)| url);
    best.or_else(|| usable(&named?)).map(RemoteLocation::from)
}

/// Converts `20260501` to `2026-05-01`.
fn date(text: &str) -> Option<String> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]))
}

/// Cleans a text for metadata and `/info`.
fn text(text: &str) -> String {
    one_line(text, MAX_TEXT)
}

#[cfg(test)]
mod tests;
