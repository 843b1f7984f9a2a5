//! Responds to `/info` with the formats of a page as JSON, and to `/thumbnail` with its image.

use std::sync::Arc;

use log::Level;
use serde_json::{Value, json};
use url::Url;

use crate::app::App;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::form::encode_value;
use crate::http_server::{ClientConnection, Response};
use crate::media::format_list::{FormatList, FormatOption, list_formats};
use crate::media::page_list::PageList;
use crate::media::page_media::{PageMedia, Size};
use crate::media::selection::languages::offered_languages;
use crate::media::selection::{FormatRequest, Quality};
use crate::media::sponsorblock::SponsorBlock;
use crate::media::subtitles::SubtitleOffer;
use crate::media::variant::Variant;
use crate::problem::Problem;
use crate::resolve::{PageContent, RequestContext};
use crate::thumbnail::Thumbnail;

mod audio_containers;

/// Browsers may cache a thumbnail; shared caches may not.
const CACHE_CONTROL: &str = "private, max-age=3600";

/// Lists the formats of the media behind `page_url`, or a part of the entries if it is a list.
pub fn info(
    app: &App,
    page_url: &Url,
    part: u32,
    client: &ClientConnection,
) -> Result<Response, Problem> {
    let page = with_client_cancellation(app, page_url, client, |context, _| match part {
        0 => app.resolver.resolve_any(page_url, context),
        part => app.resolver.list_part(page_url, part, context).map(PageContent::List),
    })?;
    let json = match page {
        PageContent::Media(media) => media_json(&media),
        PageContent::List(list) => list_json(&list),
    };
    Ok(Response::ok("application/json", format!("{json:#}\n")))
}

/// Returns the thumbnail of the media behind `page_url`.
pub fn thumbnail(
    app: &App,
    page_url: &Url,
    client: &ClientConnection,
) -> Result<Response, Problem> {
    let thumbnail = with_client_cancellation(app, page_url, client, |context, cancel| {
        let media = app.resolver.resolve(page_url, context)?;
        Thumbnail::fetch(&media, &app.upstream, cancel)
    })?;
    Ok(Response::ok(thumbnail.media_type, thumbnail.bytes).with("Cache-Control", CACHE_CONTROL))
}

/// Runs `work` with a permit for a look-up; cancels it if the client leaves.
fn with_client_cancellation<T>(
    app: &App,
    page_url: &Url,
    client: &ClientConnection,
    work: impl FnOnce(&RequestContext<'_>, &Arc<CancelToken>) -> Result<T, Error>,
) -> Result<T, Problem> {
    let host = page_url.host_str().unwrap_or("no host");
    client.record().source(format!("a page of {host}"));
    let problem = |error: &Error| client.record().failed_by(error, Level::Info);
    let cancel = client
        .cancel_token()
        .map_err(|e| problem(&Error::system("watch the connection of a client", &e)))?;
    let cancel = &Arc::new(cancel);
    let timeout = app.config.limits.slot_timeout.0;
    let permit = app.lookup_limiter.try_acquire(client.client(), cancel, timeout);
    permit
        .and_then(|_permit| work(&RequestContext { client: client.client(), cancel }, cancel))
        // If the client has left, that is the cause.
        .map_err(|error| problem(&cancel.cancel_with(error)))
}

fn list_json(list: &PageList) -> Value {
    let page_url = encode_value(list.page_url.as_str()).to_string();
    let entries = list.numbered().map(|(number, entry)| {
        let link = entry.page_url.as_ref().map(|url| encode_value(url.as_str()).to_string());
        json!({
            "number": number,
            "url": entry.page_url.as_ref().map(Url::as_str),
            "title": entry.title,
            "uploader": entry.uploader,
            "duration": entry.duration.map(|duration| duration.as_secs_f64()),
            "info": link.as_ref().map(|link| format!("/info?url={link}")),
            "download": link.as_ref().map(|link| format!("/download?url={link}")),
        })
    });
    // Pages are counted from 1 on.
    let next = list.has_more().then(|| format!("/info?url={page_url}&page={}", list.part + 2));
    json!({
        "type": "list",
        "url": list.page_url.as_str(),
        "id": list.id,
        "extractor": list.extractor,
        "title": list.title,
        "uploader": list.uploader,
        "count": list.count,
        "entries": entries.collect::<Vec<_>>(),
        "next": next,
        "tar": format!("/download?url={page_url}&as=tar"),
        "zip": format!("/download?url={page_url}&as=zip"),
    })
}

fn media_json(media: &PageMedia) -> Value {
    let FormatList { videos, audios, languages } = list_formats(media);
    let page_url = encode_value(media.page_url.as_str()).to_string();
    let thumbnail = media.thumbnail.as_ref().map(|_| format!("/thumbnail?url={page_url}"));
    let chapters = media
        .chapters
        .iter()
        .map(|chapter| json!({ "start": chapter.start.as_secs_f64(), "title": chapter.title }));
    json!({
        "type": "video",
        "url": media.page_url.as_str(),
        "id": media.id,
        "extractor": media.extractor,
        "title": media.title,
        "uploader": media.uploader,
        "live": media.is_live,
        "duration": media.duration.map(|duration| duration.as_secs_f64()),
        "date": media.date,
        "thumbnail": thumbnail,
        "chapters": chapters.collect::<Vec<_>>(),
        "sponsorblock": media.sponsorblock.as_ref().map(sponsorblock),
        "sponsorblock_failure": media.sponsorblock.as_ref().and_then(|told| told.failure.as_deref()),
        "subtitles": media.subtitles.iter().map(|offer| subtitles(offer, &page_url)).collect::<Vec<_>>(),
        "videos": videos.iter().map(|option| video(option, &page_url)).collect::<Vec<_>>(),
        "audios": audios.iter().map(|option| audio(option, &page_url, &languages)).collect::<Vec<_>>(),
        "languages": languages,
        "audio_tracks": audio_tracks(media),
        "audio_containers": audio_containers::entries(media, &page_url),
    })
}

fn sponsorblock(told: &SponsorBlock) -> Value {
    let segments = told.segments.iter().map(|segment| {
        json!({
            "start": segment.start.as_secs_f64(),
            "end": segment.end.as_secs_f64(),
            "category": segment.category,
            "title": segment.title,
        })
    });
    segments.collect()
}

/// Returns the audio tracks of a file with `lang=all`, in their order; none if that has only one.
fn audio_tracks(media: &PageMedia) -> Vec<Value> {
    let offered = offered_languages(media);
    if offered.len() < 2 {
        return Vec::new();
    }
    let original = &offered[0].language;
    let tracks = offered.iter().map(|audio| {
        let renditions = media.renditions.iter().filter(|rendition| {
            let own = rendition.audio.as_ref().filter(|_| rendition.video.is_none());
            own.is_some_and(|own| own.language == audio.language)
        });
        // All have it, or one of them is the language without it.
        let variants: Vec<_> = renditions.map(|rendition| rendition.variant).collect();
        let variant =
            if variants.contains(&None) { None } else { variants.first().copied().flatten() };
        json!({
            "language": audio.language,
            "name": audio.name,
            "original": audio.language == *original,
            "variant": variant.map(Variant::as_str),
        })
    });
    tracks.collect()
}

fn subtitles(offer: &SubtitleOffer, page_url: &str) -> Value {
    let language = encode_value(&offer.language);
    let captions = if offer.is_automatic { "&captions=auto" } else { "" };
    json!({
        "language": offer.language,
        "name": offer.name,
        "automatic": offer.is_automatic,
        "download": format!("/download?url={page_url}&subs={language}{captions}&container=vtt"),
    })
}

fn video(option: &FormatOption<'_>, page_url: &str) -> Value {
    let video = option.video();
    json!({
        "quality": quality_param(option.request.quality),
        "height": video.map(|video| video.height).filter(|height| *height > 0),
        "fps": video.and_then(|video| video.fps),
        "container": option.request.container.as_str(),
        "video_codec": video.and_then(|video| video.codec.as_str()),
        "audio_codec": option.audio().and_then(|audio| audio.codec.as_str()),
        "hdr": video.is_some_and(|video| video.hdr),
        "variant": option.variant().map(Variant::as_str),
        "size": option.size().map(Size::bytes),
        "exact": matches!(option.size(), Some(Size::Exact(_))),
        "segments": option.is_segmented(),
        "download": download(&option.request, page_url),
    })
}

fn audio(option: &FormatOption<'_>, page_url: &str, languages: &[&str]) -> Value {
    let audio = option.audio();
    let language = audio.and_then(|audio| audio.language.as_deref());
    let original = languages.first().is_none_or(|original| Some(*original) == language);
    json!({
        "container": option.request.container.as_str(),
        "codec": match option.request.container.as_str() {
            "mp3" => Some("mp3"),
            "opus" => Some("opus"),
            "m4a" => Some("aac"),
            _ => audio.and_then(|audio| audio.codec.as_str()),
        },
        "language": language,
        "original": original,
        "variant": option.variant().map(Variant::as_str),
        "bitrate": option.formats.audio.and_then(|rendition| rendition.bitrate),
        "size": option.size().map(Size::bytes),
        "exact": matches!(option.size(), Some(Size::Exact(_))),
        "segments": option.is_segmented(),
        "download": download(&option.request, page_url),
    })
}

/// Returns the request target that downloads a format.
fn download(choice: &FormatRequest, page_url: &str) -> String {
    let FormatRequest { quality, container, codec, language, hdr, variant, .. } = choice;
    let mut target = format!("/download?url={page_url}&quality={}", quality_param(*quality));
    target += &format!("&container={}", container.as_str());
    if let Some(codec) = codec.and_then(crate::media::page_media::VideoCodec::as_str) {
        target += &format!("&codec={codec}");
    }
    if let Some(language) = language {
        target += &format!("&lang={}", encode_value(language));
    }
    if *hdr {
        target += "&hdr=1";
    }
    if let Some(variant) = variant {
        target += &format!("&variant={}", variant.as_str());
    }
    target
}

/// Returns the value of the parameter `quality`.
fn quality_param(quality: Quality) -> String {
    match quality {
        Quality::Best => "best".into(),
        Quality::AtMost(height) => height.to_string(),
        Quality::AudioOnly => "audio".into(),
    }
}
