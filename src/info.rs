//! What a page link offers, told to those who ask: as JSON, and its picture.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use url::Url;

use crate::app::App;
use crate::cancel::CancelToken;
use crate::download;
use crate::error::Error;
use crate::http_server::{ClientConnection, Response};
use crate::media::format_list::{FormatList, FormatOption, list_formats};
use crate::media::page_media::{PageMedia, Size};
use crate::media::selection::{FormatRequest, Quality};
use crate::media::variant::Variant;
use crate::problem::Problem;
use crate::resolve::RequestContext;
use crate::thumbnail::Thumbnail;

/// What must be encoded inside a query (RFC 3986 §2.3).
pub const NOT_UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How a browser may keep a picture; nobody on the way may.
const CACHE_CONTROL: &str = "private, max-age=3600";

/// Tells what is on offer behind `link`.
pub fn info(app: &App, link: &Url, client: &ClientConnection<'_>) -> Result<Response, Problem> {
    let offer = with_client_cancellation(app, link, client, |context, _| {
        app.resolver.resolve(link, context)
    })?;
    Ok(Response::ok("application/json", format!("{:#}\n", offer_json(&offer))))
}

/// Gives the picture of what is behind `link`.
pub fn thumbnail(
    app: &App,
    link: &Url,
    client: &ClientConnection<'_>,
) -> Result<Response, Problem> {
    let picture = with_client_cancellation(app, link, client, |context, cancel| {
        let offer = app.resolver.resolve(link, context)?;
        Thumbnail::fetch(&offer, &app.upstream, cancel)
    })?;
    Ok(Response::ok(picture.media_type, picture.bytes).with("Cache-Control", CACHE_CONTROL))
}

/// Does something that a client waits for, until it leaves.
fn with_client_cancellation<T>(
    app: &App,
    link: &Url,
    client: &ClientConnection<'_>,
    work: impl FnOnce(&RequestContext<'_>, &Arc<CancelToken>) -> Result<T, Error>,
) -> Result<T, Problem> {
    let problem = |error: &Error| {
        let host = link.host_str().unwrap_or("nowhere");
        log::info!("{} a page of {host}: {error}", client.address());
        Problem::from(error)
    };
    download::with_client_cancellation(client, |cancel| {
        let patience = app.config.limits.slot_timeout.0;
        let _slot = app.stream_limiter.try_acquire(client.address(), cancel, patience)?;
        work(&RequestContext { client: client.address(), cancel }, cancel)
    })
    .map_err(|error| problem(&error))
}

fn offer_json(offer: &PageMedia) -> Value {
    let FormatList { videos, audios, languages } = list_formats(offer);
    let link = percent_encode(offer.link.as_str());
    let thumbnail = offer.thumbnail.as_ref().map(|_| format!("/thumbnail?url={link}"));
    json!({
        "url": offer.link.as_str(),
        "id": offer.id,
        "extractor": offer.extractor,
        "title": offer.title,
        "uploader": offer.uploader,
        "duration": offer.duration.map(|duration| duration.as_secs_f64()),
        "date": offer.date,
        "thumbnail": thumbnail,
        "videos": videos.iter().map(|row| video(row, &link)).collect::<Vec<_>>(),
        "audios": audios.iter().map(|row| audio(row, &link, &languages)).collect::<Vec<_>>(),
        "languages": languages,
    })
}

fn video(row: &FormatOption<'_>, link: &str) -> Value {
    let picture = row.video();
    json!({
        "quality": quality(row.request.quality),
        "height": picture.map(|picture| picture.height).filter(|lines| *lines > 0),
        "fps": picture.and_then(|picture| picture.fps),
        "container": row.request.container.as_str(),
        "video_codec": picture.and_then(|picture| picture.codec.as_str()),
        "audio_codec": row.audio().and_then(|sound| sound.codec.as_str()),
        "hdr": picture.is_some_and(|picture| picture.hdr),
        "variant": row.variant().map(Variant::as_str),
        "size": row.size().map(Size::bytes),
        "exact": matches!(row.size(), Some(Size::Exact(_))),
        "download": download(&row.request, link),
    })
}

fn audio(row: &FormatOption<'_>, link: &str, languages: &[&str]) -> Value {
    let sound = row.audio();
    let language = sound.and_then(|sound| sound.language.as_deref());
    let original = languages.first().is_none_or(|original| Some(*original) == language);
    json!({
        "container": row.request.container.as_str(),
        "codec": match row.request.container.as_str() {
            "mp3" => Some("mp3"),
            "opus" => Some("opus"),
            "m4a" => Some("aac"),
            _ => sound.and_then(|sound| sound.codec.as_str()),
        },
        "language": language,
        "original": original,
        "variant": row.variant().map(Variant::as_str),
        "bitrate": row.formats.audio.and_then(|rendition| rendition.bitrate),
        "size": row.size().map(Size::bytes),
        "exact": matches!(row.size(), Some(Size::Exact(_))),
        "download": download(&row.request, link),
    })
}

/// The request that leads to a row.
fn download(choice: &FormatRequest, link: &str) -> String {
    let FormatRequest { quality: how_good, container, codec, language, hdr, variant, cover: _ } =
        choice;
    let mut target = format!("/download?url={link}&quality={}", quality(*how_good));
    target += &format!("&container={}", container.as_str());
    if let Some(codec) = codec.and_then(crate::media::page_media::VideoCodec::as_str) {
        target += &format!("&codec={codec}");
    }
    if let Some(language) = language {
        target += &format!("&lang={}", percent_encode(language));
    }
    if *hdr {
        target += "&hdr=1";
    }
    if let Some(variant) = variant {
        target += &format!("&variant={}", variant.as_str());
    }
    target
}

fn quality(quality: Quality) -> String {
    match quality {
        Quality::Best => "best".into(),
        Quality::AtMost(lines) => lines.to_string(),
        Quality::AudioOnly => "audio".into(),
    }
}

fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, NOT_UNRESERVED).to_string()
}
