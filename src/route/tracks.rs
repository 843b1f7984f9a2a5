//! Parses the media URLs of `/mux`, with the languages of audio files. Pure.

use super::query::Query;
use super::{bad_parameter, media_url};
use crate::media::language::Language;
use crate::media::track_label::{MAX_AUDIO_TRACKS, TrackLabel};
use crate::media::{Delivery, RemoteLocation, Track, TrackKind};
use crate::problem::Problem;

/// Returns the tracks, video first and then audio in the order of the request, and their labels.
pub(super) fn tracks(query: &mut Query) -> Result<(Vec<Track>, Vec<TrackLabel>), Problem> {
    let mut tracks = Vec::new();
    if let Some(video) = query.text(TrackKind::Video.as_str()) {
        tracks.push(track(TrackKind::Video, &video)?);
    }
    let videos = tracks.len();
    for audio in query.texts(TrackKind::Audio.as_str()) {
        tracks.push(track(TrackKind::Audio, &audio)?);
    }
    let labels = labels(query, videos, tracks.len() - videos)?;
    Ok((tracks, labels))
}

fn track(kind: TrackKind, text: &str) -> Result<Track, Problem> {
    let url = media_url(kind, text)?;
    // Others are recognised by their first bytes, which takes one more request.
    let is_playlist = [".m3u8", ".m3u"].iter().any(|end| url.path().ends_with(end));
    let playlist = || Delivery::Playlist(std::sync::Arc::default());
    let delivery = if is_playlist { playlist() } else { Delivery::File };
    let location = RemoteLocation { delivery, ..url.into() };
    Ok(Track { kind, location, refresh: None })
}

/// Returns the labels of `videos` files, which have none, and of the `audios` behind them, in the order of their URLs.
fn labels(query: &mut Query, videos: usize, audios: usize) -> Result<Vec<TrackLabel>, Problem> {
    if audios > MAX_AUDIO_TRACKS {
        return Err(bad_parameter(&format!("audio is there more than {MAX_AUDIO_TRACKS} times")));
    }
    let Some(text) = query.text("lang") else { return Ok(Vec::new()) };
    let tags: Vec<&str> = text.split(',').collect();
    // That of a file whose language is not known stays empty.
    let is_tag = |tag: &&str| tag.is_empty() || Language::from_tag(tag).is_some();
    if tags.len() > audios || !tags.iter().all(is_tag) {
        let wrong =
            "lang must be the language tags of the audio files, in their order, such as en,pt-BR";
        return Err(bad_parameter(wrong));
    }
    let labels = std::iter::repeat_n(TrackLabel::default(), videos);
    Ok(labels.chain(tags.into_iter().map(|tag| TrackLabel::new(Some(tag), None))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{MediaSource, Route, route};
    use super::*;

    #[test]
    fn several_audio_files_have_their_languages() {
        let audios = "audio=http://b/x&audio=&audio=http://b/de&lang=en,,de-AT";
        let target = format!("/mux?audio=http://b/en&video=http://b/v&{audios}");
        let Ok(Route::Download { source: MediaSource::Urls(media), .. }) = route(&target) else {
            panic!()
        };
        let paths: Vec<_> = media.tracks.iter().map(|track| track.location.url.path()).collect();
        assert_eq!(paths, ["/v", "/en", "/x", "/de"]);
        let tags = media.metadata.labels.iter().map(|label| label.language.as_ref());
        let tags: Vec<_> = tags.map(|tag| tag.map(Language::as_str)).collect();
        assert_eq!(tags, [None, Some("en"), None, Some("de-AT")]);
    }

    #[test]
    fn what_is_wrong_with_several_is_named() {
        let code = |target: &str| route(target).unwrap_err().code.as_str();
        assert_eq!(code("/mux?audio=http://a/&audio=b"), "bad-url");
        let many = "&audio=http://a/".repeat(MAX_AUDIO_TRACKS + 1);
        assert_eq!(code(&format!("/mux?{many}")), "bad-parameter");
        for wrong in ["lang=e", "lang=en,de,fr", "lang=en%20de"] {
            let target = format!("/mux?video=http://a/&audio=http://a/&audio=http://b/&{wrong}");
            assert_eq!(code(&target), "bad-parameter", "{wrong}");
        }
        assert_eq!(code("/mux?video=http://a/&lang=en"), "bad-parameter");
        assert_eq!(code("/mux?audio=http://a/&lang=en&lang=de"), "duplicate-parameter");
        assert_eq!(code("/?audio=http://a/&audio=http://b/"), "duplicate-parameter");
    }
}
