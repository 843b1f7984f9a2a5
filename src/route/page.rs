//! Parses the parameters of requests with page links. Pure.

use url::Url;

use super::{
    ArchiveRequest, MediaSource, Prefill, Query, Route, bad_parameter, container, options,
    subtitles,
};
use crate::archive::ArchiveFormat;
use crate::audio::encoding::Encoder;
use crate::error::Error;
use crate::form;
use crate::media::language::Language;
use crate::media::page_list::Items;
use crate::media::page_media::VideoCodec;
use crate::media::selection::{AudioTracks, CoverRequest, FormatRequest, Quality};
use crate::media::sponsorblock::SponsorBlockUse;
use crate::media::track_label::MAX_AUDIO_TRACKS;
use crate::media::variant::Variant;
use crate::options::{ContainerChoice, OutputOptions};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::resolve;

/// How many parts of a list can be requested.
const MAX_PARTS: u32 = 1000;

/// Parses `/download`.
pub(super) fn download(mut query: Query) -> Result<Route, Problem> {
    let mut links = vec![page_url(&mut query)?];
    while let Some(text) = query.text(form::LINK) {
        links.push(parse_link(&text)?);
    }
    let format = archive_format(&mut query)?;
    let items = items(&mut query)?;
    let wish = subtitles::take(&mut query)?;
    let container = container(&mut query)?;
    let (language, audio_tracks) = languages(&mut query, container)?;
    let mut choice = FormatRequest {
        quality: quality(&mut query)?,
        container,
        codec: codec(&mut query)?,
        language,
        audio_tracks,
        hdr: bool_param(&mut query, "hdr")?,
        variant: variant(&mut query)?,
        cover: cover(&mut query, container)?,
        subtitles: wish.request,
        sponsorblock: sponsorblock(&mut query, wish.alone.is_some())?,
    };
    // An audio container implies audio only.
    if container.is_audio() {
        choice.quality = Quality::AudioOnly;
    }
    subtitles::check(&choice)?;
    let bitrate = bitrate(&mut query, container)?;
    let text_only = wish.alone;
    let options = OutputOptions { bitrate, text_only, ..options(&mut query, container)? };
    query.reject_unknown()?;
    match (format, items, &links[..]) {
        (Some(format), items, [_]) => {
            let items = items.unwrap_or_default();
            Ok(Route::Archive(Box::new(ArchiveRequest { links, items, format, choice, options })))
        }
        (Some(_), Some(_), _) => {
            Err(bad_parameter("items selects entries of a list; it needs one url"))
        }
        (Some(format), None, _) => {
            let items = Items::default();
            Ok(Route::Archive(Box::new(ArchiveRequest { links, items, format, choice, options })))
        }
        (None, None, [page_url]) => {
            let source = MediaSource::Page { page_url: page_url.clone(), choice };
            Ok(Route::Download { source, options })
        }
        (None, ..) => {
            let detail = "the parameter as is missing: several url, or items of one, are downloaded as one \
                          archive, by as=tar or as=zip";
            Err(Problem::new(ProblemCode::MissingParameter, detail))
        }
    }
}

/// Parses `/info`.
pub(super) fn info(mut query: Query) -> Result<Route, Problem> {
    let page_url = page_url(&mut query)?;
    let page = query.text("page");
    let number = page.map_or(Some(1), |text| crate::range::decimal(text.as_bytes()));
    let part = number.and_then(|number| u32::try_from(number.checked_sub(1)?).ok());
    let part = part.filter(|part| *part < MAX_PARTS);
    let part = part.ok_or_else(|| bad_parameter("page must be a number from 1 to 1000"))?;
    query.reject_unknown()?;
    Ok(Route::Info { page_url, part })
}

/// Parses `/thumbnail`: a page link and nothing else.
pub(super) fn lone_link(mut query: Query) -> Result<Url, Problem> {
    let page_url = page_url(&mut query)?;
    query.reject_unknown()?;
    Ok(page_url)
}

/// Parses `/watch`: a YouTube link whose host was replaced by this server's.
pub(super) fn watch(mut query: Query) -> Result<Route, Problem> {
    let video = query.text("v").ok_or_else(|| {
        Problem::new(
            ProblemCode::MissingParameter,
            "the parameter v is missing; it must be a YouTube video ID",
        )
    })?;
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if video.len() > 64 || !video.bytes().all(is_id) {
        return Err(bad_parameter("v must be a YouTube video ID"));
    }
    // Other parameters of YouTube links (list, t, si) are ignored.
    let page_url = format!("https://www.youtube.com/watch?v={video}");
    Ok(Route::Page(Prefill { page_url, ..Prefill::default() }))
}

/// Parses `/`, with or without a link shared by a phone, which may be inside the text or the title, or with
/// the parameters of a request for media.
pub(super) fn front(mut query: Query) -> Result<Route, Problem> {
    let mut prefill = Prefill::take(&mut query);
    if query.take(form::AUDIO).is_some() {
        let detail = "the parameter audio is there twice; the page has a form for one";
        return Err(Problem::new(ProblemCode::DuplicateParameter, detail));
    }
    let (text, title) = (query.text("text"), query.text("title"));
    query.reject_unknown()?;
    if prefill.page_url.is_empty() {
        let shared = [text, title].into_iter().flatten();
        let shared = shared.filter_map(|text| link_in(&text).map(str::to_owned)).next();
        prefill.page_url = shared.unwrap_or_default();
    }
    Ok(Route::Page(prefill))
}

/// Finds the first http(s) link in a text.
fn link_in(text: &str) -> Option<&str> {
    let begins = |word: &str| {
        ["http://", "https://"].iter().any(|scheme| {
            word.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
        })
    };
    let mut suffixes = text.char_indices().map(|(at, _)| &text[at..]);
    let page_url = suffixes.find(|rest| begins(rest))?;
    let end =
        page_url.find(|letter: char| letter.is_whitespace() || matches!(letter, '<' | '>' | '"'));
    Some(&page_url[..end.unwrap_or(page_url.len())])
}

fn archive_format(query: &mut Query) -> Result<Option<ArchiveFormat>, Problem> {
    let Some(name) = query.text("as") else { return Ok(None) };
    let format = ArchiveFormat::from_name(&name);
    format.map(Some).ok_or_else(|| bad_parameter("as must be tar or zip"))
}

fn items(query: &mut Query) -> Result<Option<Items>, Problem> {
    let Some(text) = query.text("items") else { return Ok(None) };
    let wrong = "items must be numbers and ranges in ascending order, such as 1-10,15,20-";
    Items::parse(&text).map(Some).ok_or_else(|| bad_parameter(wrong))
}

fn page_url(query: &mut Query) -> Result<Url, Problem> {
    let text = query.text(form::LINK).ok_or_else(|| {
        let detail = "the parameter url is missing; it must be a page link, percent-encoded";
        Problem::new(ProblemCode::MissingParameter, detail)
    })?;
    parse_link(&text)
}

fn parse_link(text: &str) -> Result<Url, Problem> {
    resolve::parse_page_url(text).map_err(|why| Problem::from(&Error::Resolve(Box::new(why))))
}

fn quality(query: &mut Query) -> Result<Quality, Problem> {
    let wrong =
        || bad_parameter("quality must be best, audio, or a maximum height in pixels such as 1080");
    match query.text("quality").as_deref() {
        None | Some("best") => Ok(Quality::Best),
        Some("audio") => Ok(Quality::AudioOnly),
        Some(height) => {
            let height = crate::range::decimal(height.as_bytes()).ok_or_else(wrong)?;
            let height = u32::try_from(height).ok().filter(|height| (1..=10_000).contains(height));
            height.map(Quality::AtMost).ok_or_else(wrong)
        }
    }
}

fn codec(query: &mut Query) -> Result<Option<VideoCodec>, Problem> {
    let Some(name) = query.text("codec").filter(|name| name != "auto") else { return Ok(None) };
    let named = VideoCodec::NAMED.into_iter().find(|codec| codec.as_str() == Some(&*name));
    let wrong = || bad_parameter("codec must be auto, h264, h265, vp9 or av1");
    named.map(Some).ok_or_else(wrong)
}

/// Returns the preferred language, or the languages of several audio tracks.
fn languages(
    query: &mut Query,
    container: ContainerChoice,
) -> Result<(Option<String>, AudioTracks), Problem> {
    let Some(text) = query.text("lang") else { return Ok((None, AudioTracks::One)) };
    let wrong = "lang must be a language tag such as en or pt-BR, several such as en,pt-BR, or all";
    let tags = || text.split(',').map(str::to_owned);
    let tracks = match &*text {
        "all" => AudioTracks::All,
        _ if tags().any(|tag| tag == "all" || Language::from_tag(&tag).is_none()) => {
            return Err(bad_parameter(wrong));
        }
        _ if tags().count() > MAX_AUDIO_TRACKS => {
            return Err(bad_parameter(&format!(
                "lang names more than {MAX_AUDIO_TRACKS} languages"
            )));
        }
        _ if text.contains(',') => AudioTracks::Languages(tags().collect()),
        _ => return Ok((Some(text), AudioTracks::One)),
    };
    if !container.holds_several_audio() {
        let container = container.as_str();
        return Err(bad_parameter(&format!(
            "lang must be one language, because a file in {container} has one audio track"
        )));
    }
    Ok((None, tracks))
}

fn variant(query: &mut Query) -> Result<Option<Variant>, Problem> {
    let Some(name) = query.text("variant") else { return Ok(None) };
    let wrong = || bad_parameter("variant must be one that /info lists");
    Variant::from_name(&name).map(Some).ok_or_else(wrong)
}

/// Parses `cover`. Files of audio have one by default, but for those that would be passed through without.
fn cover(query: &mut Query, container: ContainerChoice) -> Result<CoverRequest, Problem> {
    match query.text("cover").as_deref() {
        None if container.is_audio() && container != ContainerChoice::M4a => {
            Ok(CoverRequest::IfAvailable)
        }
        None | Some("0") => Ok(CoverRequest::None),
        Some("auto") => Ok(CoverRequest::IfAvailable),
        Some("1") => Ok(CoverRequest::Required),
        Some(_) => Err(bad_parameter("cover must be 0, 1 or auto")),
    }
}

/// Parses `sponsorblock`; `is_text` tells that the file is subtitles.
fn sponsorblock(query: &mut Query, is_text: bool) -> Result<Option<SponsorBlockUse>, Problem> {
    let wanted = match query.text("sponsorblock").as_deref() {
        None | Some("none") => return Ok(None),
        Some("mark") => SponsorBlockUse::Mark,
        Some("remove") => SponsorBlockUse::Remove,
        Some(_) => return Err(bad_parameter("sponsorblock must be none, mark or remove")),
    };
    if is_text {
        return Err(bad_parameter("sponsorblock needs video or audio, and the file is subtitles"));
    }
    Ok(Some(wanted))
}

/// Parses `bitrate`, in kbit/s.
fn bitrate(query: &mut Query, container: ContainerChoice) -> Result<Option<u32>, Problem> {
    let Some(text) = query.text("bitrate") else { return Ok(None) };
    let encoder = Encoder::of(container).ok_or_else(|| {
        bad_parameter("bitrate needs a container that audio is encoded for: m4a, mp3, opus or ogg")
    })?;
    let kbits = crate::range::decimal(text.as_bytes()).and_then(|kbits| u32::try_from(kbits).ok());
    let checked = encoder.check_bitrate(kbits.unwrap_or(0));
    checked.map_err(|wanted| bad_parameter(&format!("bitrate, in kbit/s, must be {wanted}")))?;
    Ok(kbits)
}

fn bool_param(query: &mut Query, name: &str) -> Result<bool, Problem> {
    match query.text(name).as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(bad_parameter(&format!("{name} must be 0 or 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::route;
    use super::*;

    #[test]
    fn a_link_and_what_is_wanted_of_it() {
        let target = "/download?url=https%3A%2F%2Ffilms.example%2Fa&quality=720&container=webm\
                      &codec=vp9&lang=pt-BR&hdr=1&variant=drc&start=&end=1:30&engine=";
        let Ok(Route::Download { source: MediaSource::Page { page_url, choice }, options }) =
            route(target)
        else {
            panic!()
        };
        assert_eq!(page_url.as_str(), "https://films.example/a");
        let wanted = FormatRequest {
            quality: Quality::AtMost(720),
            container: ContainerChoice::Webm,
            codec: Some(VideoCodec::Vp9),
            language: Some("pt-BR".into()),
            audio_tracks: AudioTracks::One,
            hdr: true,
            variant: Some(Variant::Drc),
            cover: CoverRequest::None,
            subtitles: None,
            sponsorblock: None,
        };
        assert_eq!((choice, options.container), (wanted, ContainerChoice::Webm));
        let target = "/download?url=films.example&quality=1080&container=mp3";
        let Ok(Route::Download { source: MediaSource::Page { choice, .. }, .. }) = route(target)
        else {
            panic!()
        };
        assert_eq!(choice.quality, Quality::AudioOnly);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let code = |target: &str| route(target).unwrap_err().code.as_str();
        for path in ["/download", "/info", "/thumbnail", "/download?url="] {
            assert_eq!(code(path), "missing-parameter", "{path}");
        }
        for wrong in [
            "quality=1080p",
            "quality=-1",
            "codec=x",
            "lang=x",
            "lang=en,",
            "lang=en,x",
            "lang=all,en",
            "lang=all&container=mp3",
            "lang=en,de&container=opus",
            "hdr=yes",
            "cover=2",
            "bitrate=128",
            "bitrate=100&container=mp3",
            "bitrate=128k&container=mp3",
            "bitrate=128&container=wav",
            "bitrate=512&container=opus",
            "variant=odd",
            "sponsorblock=1",
            "sponsorblock=mark&container=srt",
            "container=x",
        ] {
            assert_eq!(
                code(&format!("/download?url=https://a/&{wrong}")),
                "bad-parameter",
                "{wrong}"
            );
        }
        assert_eq!(code("/info?url=https://a/&quality=1"), "unknown-parameter");
        assert_eq!(code("/info?url=file:///etc/passwd"), "bad-link");
        assert_eq!((code("/watch"), code("/watch?v=a%22")), ("missing-parameter", "bad-parameter"));
    }

    #[test]
    fn links_are_filled_in() {
        let filled = |target: &str| match route(target) {
            Ok(Route::Page(prefill)) => prefill.page_url,
            other => panic!("{target}: {other:?}"),
        };
        assert_eq!(filled("/"), "");
        assert_eq!(filled("/?url=a"), "a");
        assert_eq!(
            filled("/?title=A+film&text=Look:+https://a.example/b+!&url="),
            "https://a.example/b"
        );
        assert_eq!(filled("/?title=Film+http://c.example/&text=none"), "http://c.example/");
        assert_eq!(filled("/watch?v=abc-_1&list=x&t=9"), "https://www.youtube.com/watch?v=abc-_1");
    }

    #[test]
    fn a_shared_text_has_a_link_in_it() {
        for (text, page_url) in [
            (
                "Look: HTTPS://youtu.be/abc?si=1 \u{2013} fine, http://b/",
                Some("HTTPS://youtu.be/abc?si=1"),
            ),
            ("see(https://a.example/)\nor", Some("https://a.example/)")),
            ("<https://a.example/ü>", Some("https://a.example/ü")),
            ("", None),
            ("a film", None),
            ("ftp://a.example/ http:/a", None),
        ] {
            assert_eq!(link_in(text), page_url, "{text}");
        }
    }
}
