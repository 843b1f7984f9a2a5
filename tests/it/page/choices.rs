//! What there is beside qualities: subtitles, several languages, chapters, and sound alone in any format.

use super::looks::look;
use super::site::Site;
use super::{choose, download_to, downloaded, find, path_of_download};
use crate::support::chromium::Chromium;

/// Chooses audio alone in this format.
fn choose_audio(chromium: &mut Chromium, format: &str) {
    chromium.evaluate(&format!(
        "[...document.querySelectorAll('#audio b')].find(b => b.textContent === '{format}').parentElement.click()"
    ));
}

#[test]
fn subtitles_and_languages_are_ticked_and_remembered() {
    let site = Site::start(|resource| resource);
    let directory = tempfile::tempdir().unwrap();
    let mut chromium = site.open();
    download_to(&mut chromium, directory.path());
    find(&mut chromium, &site.page_url("tongues"));
    assert!(!path_of_download(&mut chromium).contains("subs="));
    chromium.click("#tongues summary");
    let offered = chromium.text("#subs");
    for words in ["English", "German", "French (automatic)"] {
        assert!(offered.contains(words), "{words} in {offered}");
    }
    assert!(!offered.contains("English (automatic)"), "where there are better ones: {offered}");
    chromium.click("#subs [value=en]");
    chromium.click("#subs [value=fr]");
    chromium.click("#spoken li:nth-child(1) input");
    look(&mut chromium, "tongues");
    let path = path_of_download(&mut chromium);
    for part in ["subs=en%2Cfr", "captions=auto", "lang=en%2Cde"] {
        assert!(path.contains(part), "{part} in {path}");
    }
    assert!(chromium.text("#ticked").starts_with("English, French"));
    chromium.click("#download");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    let file = downloaded(&mut chromium, &begun, directory.path());
    assert!(file == site.daemon.get(&path).body, "another file");
    // The browser shows what was ticked.
    chromium.click("#watch");
    chromium.until("player.textTracks[0]?.cues?.length > 0 && player.currentTime > 0.2");
    assert_eq!(chromium.evaluate("player.textTracks[0].mode"), "showing");
    assert_eq!(chromium.evaluate("player.textTracks[0].cues[0].text"), "The first lock");
    // By themselves.
    let alone = chromium
        .evaluate("document.querySelector('#subs li:has([value=en]) a').getAttribute('href')");
    let alone = site.daemon.get(alone.as_str().unwrap()).body;
    assert!(alone.starts_with(b"WEBVTT"), "{}", String::from_utf8_lossy(&alone));
    // As last time.
    chromium.open(&site.daemon.url("/"));
    find(&mut chromium, &site.page_url("tongues"));
    assert_eq!(path_of_download(&mut chromium), path);
    site.assert_clean(&mut chromium);
}

#[test]
fn a_chapter_is_a_section() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    find(&mut chromium, &site.page_url("tongues"));
    chromium.click("#trim summary");
    assert!(chromium.text("#chapter").contains("The tunnel"));
    choose(&mut chromium, "#chapter", "The tunnel");
    assert_eq!(chromium.evaluate("[start.value, end.value].join()"), "0:20,0:41");
    let path = path_of_download(&mut chromium);
    assert!(path.contains("start=20") && path.contains("end=41"), "{path}");
    look(&mut chromium, "chapter");
    choose(&mut chromium, "#chapter", "all");
    assert_eq!(chromium.evaluate("start.value + end.value"), "");
    site.assert_clean(&mut chromium);
}

#[test]
fn sponsors_stay_or_not() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    find(&mut chromium, &site.page_url("film"));
    assert!(chromium.evaluate("sponsors.hidden").as_bool().unwrap(), "it has none");
    find(&mut chromium, &site.page_url("tongues"));
    assert!(!path_of_download(&mut chromium).contains("sponsorblock"));
    choose(&mut chromium, "#sponsor", "remove");
    let path = path_of_download(&mut chromium);
    assert!(path.contains("sponsorblock=remove"), "{path}");
    look(&mut chromium, "sponsors");
    // As last time.
    chromium.open(&site.daemon.url("/"));
    find(&mut chromium, &site.page_url("tongues"));
    assert_eq!(path_of_download(&mut chromium), path);
    // Nothing can be left out of what is encoded.
    choose_audio(&mut chromium, "mp3");
    let path = path_of_download(&mut chromium);
    assert!(path.contains("mp3") && !path.contains("sponsorblock"), "{path}");
    site.assert_clean(&mut chromium);
}

#[test]
fn sound_comes_in_any_format_and_bit_rate() {
    let site = Site::start(|resource| resource);
    let directory = tempfile::tempdir().unwrap();
    let mut chromium = site.open();
    download_to(&mut chromium, directory.path());
    find(&mut chromium, &site.page_url("film"));
    assert!(chromium.evaluate("document.querySelector('#rates').hidden").as_bool().unwrap());
    chromium.click("#kinds summary");
    let offered = chromium.text("#kinds") + &chromium.text("#audios");
    for kind in ["m4a", "mp3", "opus", "ogg", "flac", "wav"] {
        assert!(offered.contains(kind), "{kind} in {offered}");
    }
    choose_audio(&mut chromium, "mp3");
    choose(&mut chromium, "#rate", "128");
    look(&mut chromium, "sound");
    let path = path_of_download(&mut chromium);
    assert!(path.contains("container=mp3") && path.contains("bitrate=128"), "{path}");
    chromium.click("#download");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    let file = downloaded(&mut chromium, &begun, directory.path());
    assert!(file.starts_with(b"ID3") && file == site.daemon.get(&path).body, "another file");
    // As last time.
    chromium.open(&site.daemon.url("/"));
    find(&mut chromium, &site.page_url("film"));
    assert_eq!(path_of_download(&mut chromium), path);
    site.assert_clean(&mut chromium);
}
