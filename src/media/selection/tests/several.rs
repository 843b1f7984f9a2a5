//! Several languages in one file.

use super::{film, offer, picture, sound, with};
use crate::media::page_media::{PageMedia, Rendition};
use crate::media::selection::{AudioTracks, FormatRequest, Quality, select_tracks};
use crate::media::track_label::MAX_AUDIO_TRACKS;
use crate::options::ContainerChoice;

fn in_languages(tags: &str) -> FormatRequest {
    let audio_tracks = match tags {
        "all" => AudioTracks::All,
        tags => AudioTracks::Languages(tags.split(',').map(str::to_owned).collect()),
    };
    FormatRequest { audio_tracks, quality: Quality::AtMost(720), ..FormatRequest::default() }
}

fn ids(page: &PageMedia, request: &FormatRequest) -> String {
    match select_tracks(page, request) {
        Ok(selected) => {
            let files: Vec<&Rendition> =
                selected.video.into_iter().chain(selected.audios).collect();
            files.iter().map(|file| &*file.id).collect::<Vec<_>>().join("+")
        }
        Err(why) => why,
    }
}

/// A page with four languages, of which none is the original.
fn equals() -> PageMedia {
    offer(&[
        sound("a-pt", "m4a", "mp4a.40.2", "pt-BR", -1),
        sound("a-de", "m4a", "mp4a.40.2", "de", -1),
        sound("a-fr", "webm", "opus", "fr", -1),
        sound("a-de-AT", "m4a", "mp4a.40.2", "de-AT", -1),
        picture("v", 720, "mp4", "avc1.4d401f"),
    ])
}

#[test]
fn the_original_is_first_and_the_others_as_requested() {
    assert_eq!(ids(&film(), &in_languages("de,en")), "136+140-1+140-0");
    assert_eq!(ids(&film(), &in_languages("DE,de")), "136+140-0");
    assert_eq!(ids(&film(), &in_languages("all")), "136+140-1+140-0");
    assert_eq!(ids(&equals(), &in_languages("fr,pt,de-at")), "v+a-fr+a-pt+a-de-AT");
    assert_eq!(ids(&equals(), &in_languages("all")), "v+a-pt+a-de+a-fr+a-de-AT");
    let webm = FormatRequest { container: ContainerChoice::Webm, ..in_languages("de,en") };
    assert_eq!(ids(&film(), &webm), "247+251-1+251-0");
    let alone = FormatRequest { quality: Quality::AudioOnly, ..in_languages("all") };
    assert_eq!(ids(&film(), &alone), "140-1+140-0");
}

#[test]
fn what_is_not_there_is_named() {
    let unknown = ids(&film(), &in_languages("de,it"));
    assert_eq!(unknown, "the page has no audio in it; it has en, de");
    let webm = FormatRequest { container: ContainerChoice::Webm, ..in_languages("fr,de") };
    let webm = ids(
        &offer(&[
            sound("a-de", "m4a", "mp4a.40.2", "de", -1),
            sound("a-fr", "webm", "opus", "fr", -1),
            picture("v", 720, "webm", "vp9"),
        ]),
        &webm,
    );
    assert!(webm.contains("in de fits into webm"), "{webm}");
    let many: Vec<_> = (0..=MAX_AUDIO_TRACKS)
        .map(|number| sound(&format!("a{number}"), "m4a", "mp4a.40.2", &format!("x{number}"), -1))
        .chain([picture("v", 720, "mp4", "avc1.4d401f")])
        .collect();
    let many = ids(&offer(&many), &in_languages("all"));
    assert!(many.contains("17 languages") && many.contains("x0, x1, "), "{many}");
    let silent = offer(&[picture("v", 720, "mp4", "avc1.4d401f")]);
    assert!(ids(&silent, &in_languages("de,en")).contains("does not tell the languages"));
    assert_eq!(ids(&silent, &in_languages("all")), "v");
}

#[test]
fn audio_in_the_video_is_not_used() {
    let muxed = with(picture("both", 720, "mp4", "avc1.4d401f"), "acodec", "mp4a.40.2");
    let audios = ["de", "en"].map(|tag| sound(tag, "m4a", "mp4a.40.2", tag, -1));
    let silent = picture("silent", 720, "mp4", "avc1.4d401f");
    let all = [&audios[..], &[silent, muxed.clone()]].concat();
    assert_eq!(ids(&offer(&all), &in_languages("all")), "silent+de+en");
    // Its video is, if there is no other.
    assert_eq!(
        ids(&offer(&[&audios[..], &[muxed]].concat()), &in_languages("en,de")),
        "both+en+de"
    );
}

#[test]
fn tracks_are_labelled_where_a_language_was_requested() {
    let film = film();
    let labels = |request: &FormatRequest| {
        let labels = select_tracks(&film, request).unwrap().labels(request);
        labels
            .into_iter()
            .map(|label| label.language.map(|tag| tag.to_string()))
            .collect::<Vec<_>>()
    };
    let [none, en, de] = [None, Some("en".to_owned()), Some("de".to_owned())];
    assert_eq!(labels(&in_languages("de,en")), [none.clone(), en, de.clone()]);
    let one = FormatRequest { language: Some("de".into()), ..FormatRequest::default() };
    assert_eq!(labels(&one), [none, de]);
    assert_eq!(labels(&FormatRequest::default()), []);
}
