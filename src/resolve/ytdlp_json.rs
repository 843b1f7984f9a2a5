//! What yt-dlp's `-J` says of a page. Pure: bytes in, offer out.
//!
//! Must never trust it: every field may be missing, of another type, or absurd.

use std::time::{Duration, SystemTime};

use ureq::http::{HeaderName, HeaderValue};
use url::Url;

use super::classify::ResolveError;
use super::cookies;
use crate::media::RemoteLocation;
use crate::media::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, Size, VideoCodec, VideoFormat,
};
use crate::media::variant::Variant;

mod schema;

use schema::{Format, Page, Thumbnail, whole_letters};

/// The most renditions that are looked at; a film with many languages has some hundreds.
const MAX_FORMATS: usize = 2000;
/// The longest text that is kept of a page.
const MAX_TEXT: usize = 500;
/// The longest URL of a file, the longest name of a rendition, and the most that a location takes
/// with its fields and cookies: others are not of use to anybody.
const MAX_URL: usize = 8 << 10;
const MAX_ID: usize = 100;
const MAX_LOCATION: usize = 32 << 10;

/// Reads what was said of `link`.
pub fn read(link: &Url, said: &[u8]) -> Result<PageMedia, ResolveError> {
    let said = &*whole_letters(said);
    let page: Option<Page> = serde_json::from_slice(said)
        .map_err(|_| ResolveError::broken("what it printed is not the JSON that yt-dlp prints"))?;
    let mut page = page.ok_or(ResolveError::broken("it printed nothing about the page"))?;
    match page.kind.as_deref() {
        None | Some("video") => {}
        Some("playlist" | "multi_video") => return Err(ResolveError::playlist(link)),
        Some(_) => return Err(ResolveError::broken("it is neither a video nor a playlist")),
    }
    match page.live_status.as_deref() {
        Some("is_upcoming") => return Err(ResolveError::not_yet("it has not begun yet")),
        Some("is_live") => return Err(ResolveError::live()),
        Some("post_live") => return Err(ResolveError::just_ended()),
        _ => {}
    }
    let mut formats = std::mem::take(&mut page.formats).unwrap_or_default();
    if formats.is_empty() {
        // A page that is one file says at its top what else is said of each format.
        formats.extend(serde_json::from_slice::<Format>(said));
    }
    let renditions: Vec<Rendition> =
        formats.iter().take(MAX_FORMATS).filter_map(Format::rendition).collect();
    if renditions.is_empty() {
        // What is protected yt-dlp leaves out by itself.
        let protected = page.has_drm == Some(true);
        return Err(if protected { ResolveError::drm() } else { nothing_usable(&formats) });
    }
    let expires = renditions.iter().filter_map(|r| expiry(&r.location.url)).min();
    Ok(PageMedia {
        link: link.clone(),
        generation: 0,
        id: page.id.as_deref().map(text).unwrap_or_default(),
        extractor: page.extractor.as_deref().map(text).unwrap_or_default(),
        title: page.title.as_deref().map(text).filter(|title| !title.is_empty()),
        uploader: page.uploader.or(page.channel).or(page.creator).as_deref().map(text),
        date: page.release_date.or(page.upload_date).as_deref().and_then(date),
        duration: page.duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        thumbnail: thumbnail(page.thumbnails.as_deref().unwrap_or_default(), page.thumbnail),
        renditions,
        expires,
    })
}

impl Format {
    /// What can be fetched as one file and may be; else it is none of the renditions.
    fn rendition(&self) -> Option<Rendition> {
        if self.has_drm == Some(true) || !self.is_one_file() {
            return None;
        }
        let id = self.format_id.clone().unwrap_or_default();
        let url = self.url.as_deref().filter(|url| url.len() <= MAX_URL)?;
        if id.len() > MAX_ID {
            return None;
        }
        let url = Url::parse(url).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return None;
        }
        let (picture, sound) = (self.picture(), self.sound());
        if picture.is_none() && sound.is_none() {
            return None;
        }
        let size = self.filesize.and_then(integer).map(Size::Exact);
        let len = size.map(|size| size.bytes());
        let location = RemoteLocation { len, ..self.location(url) };
        if location.memory_size() > MAX_LOCATION {
            return None;
        }
        let note = self.format_note.as_deref().unwrap_or_default();
        let variant = Variant::detect(&id, note, self.language.as_deref(), &location.url);
        let rank = [self.preference, self.quality, self.source_preference];
        Some(Rendition {
            id,
            video: picture,
            audio: sound,
            family: self.family(),
            variant,
            location,
            size: size.or(self.filesize_approx.and_then(integer).map(Size::Approximate)),
            bitrate: self.tbr.and_then(|kilobits| integer(kilobits * 1000.0)),
            // In halves: a quality may lie between two others.
            rank: rank.map(|rank| (rank.unwrap_or(-1.0) * 2.0) as i64),
        })
    }

    fn is_one_file(&self) -> bool {
        matches!(self.protocol.as_deref(), None | Some("http" | "https"))
            // Small pictures for the bar of a player are no film.
            && !matches!(self.ext.as_deref(), Some("mhtml" | "jpg" | "jpeg" | "png" | "webp"))
    }

    fn picture(&self) -> Option<VideoFormat> {
        let codec = match self.vcodec.as_deref() {
            Some("none") => return None,
            // Nobody says what is in it: then its name has to tell.
            None if self.is_named_as_sound() => return None,
            codec => codec.map_or(VideoCodec::Other, VideoCodec::from_codec_string),
        };
        let range = self.dynamic_range.as_deref().unwrap_or("SDR");
        let fps = self.fps.and_then(integer).and_then(|fps| u32::try_from(fps).ok());
        Some(VideoFormat { codec, height: self.lines(), fps, hdr: range != "SDR" })
    }

    /// As the site calls it, or else the shorter side: a film on a phone stands upright.
    fn lines(&self) -> u32 {
        let number = |side: Option<f64>| side.and_then(integer).and_then(|s| u32::try_from(s).ok());
        let (width, height) = (number(self.width), number(self.height));
        let shorter = height.unwrap_or(0).min(width.unwrap_or(u32::MAX));
        let note = self.format_note.as_deref().unwrap_or_default();
        let named = note.split_once('p').and_then(|(lines, _)| lines.parse().ok());
        // 1920 × 800 is called 1080p; other numbers mean something else.
        named.filter(|named| (shorter..=2 * shorter).contains(named)).unwrap_or(shorter)
    }

    fn sound(&self) -> Option<AudioFormat> {
        let codec = match self.acodec.as_deref() {
            Some("none") => return None,
            codec => codec.map_or(AudioCodec::Other, AudioCodec::from_codec_string),
        };
        let preference = self.language_preference.unwrap_or(-1.0) as i64;
        let is_tag = |tag: &String| {
            (2..=35).contains(&tag.len())
                && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        Some(AudioFormat { codec, language: self.language.clone().filter(is_tag), preference })
    }

    fn is_named_as_sound(&self) -> bool {
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
        let fields = self.http_headers.iter().flatten().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        });
        let mut headers: Vec<_> = fields.collect();
        // A map has no order, and the same fields must be the same location.
        headers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        let chunk = self.downloader_options.as_ref().and_then(|options| options.http_chunk_size);
        let available_at = self.available_at.and_then(system_time);
        let cookies = self.cookies.as_deref().map(cookies::read).unwrap_or_default();
        RemoteLocation {
            url,
            headers,
            cookies,
            available_at,
            chunk: chunk.and_then(integer),
            len: None,
        }
    }
}

/// Why none of these can be taken.
fn nothing_usable(formats: &[Format]) -> ResolveError {
    if formats.iter().any(|format| format.has_drm == Some(true)) {
        return ResolveError::drm();
    }
    let in_pieces = |format: &Format| format.url.is_some() && !format.is_one_file();
    if formats.iter().any(in_pieces) {
        ResolveError::no_format(
            "it is offered in pieces only (HLS or DASH), which cannot be joined yet",
        )
    } else {
        ResolveError::no_format("nothing that can be downloaded is on offer")
    }
}

/// A number that is one of something.
fn integer(number: f64) -> Option<u64> {
    // More than this and a float does not know it exactly.
    (1.0..9e15).contains(&number).then_some(number as u64)
}

fn system_time(seconds: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(integer(seconds)?))
}

/// Sites tell it in the URL: `expire=SECONDS`, or `/expire/SECONDS/` in its path.
fn expiry(url: &Url) -> Option<SystemTime> {
    let named = |name: &str| name == "expire" || name == "expires";
    let asked =
        url.query_pairs().find(|(name, _)| named(name)).map(|(_, value)| value.into_owned());
    let in_path = || {
        let mut segments = url.path_segments()?;
        segments.find(|segment| named(segment))?;
        segments.next().map(str::to_owned)
    };
    let seconds: f64 = asked.or_else(in_path)?.parse().ok()?;
    // Something else than a time of day if it lies in the last century.
    system_time(seconds).filter(|_| seconds > 1e9)
}

/// The largest one that browsers and files take, or the one that the page names.
fn thumbnail(all: &[Thumbnail], named: Option<String>) -> Option<RemoteLocation> {
    let usable = |text: &str| {
        let url = Url::parse(text).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
    };
    let candidates = all.iter().filter_map(|one| Some((one, usable(one.url.as_deref()?)?)));
    let best = candidates
        // More than a page shows is a waste.
        .filter(|(one, _)| one.width.is_none_or(|width| width <= 1280.0))
        .max_by_key(|(one, url)| {
            let is_jpeg = url.path().ends_with(".jpg") || url.path().ends_with(".jpeg");
            // One without a size is mostly the original.
            (is_jpeg, one.width.is_none(), one.width.and_then(integer))
        })
        .map(|(_, url)| url);
    best.or_else(|| usable(&named?)).map(RemoteLocation::from)
}

/// `20260501` as `2026-05-01`.
fn date(text: &str) -> Option<String> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]))
}

/// One line of text, and not too much.
fn text(text: &str) -> String {
    let clean = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    clean.take(MAX_TEXT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
