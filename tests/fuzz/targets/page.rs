//! What yt-dlp says of a page: whatever it is, nothing panics, and what can be chosen can be had.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::media::choice::{Choice, Quality, choose};
use ytcanal::media::menu::menu;
use ytcanal::mux::Wanted;
use ytcanal::resolve::{self, output};

fuzz_target!(|said: &[u8]| {
    let link = resolve::link("https://films.example/watch?v=1").expect("a link");
    let Ok(offer) = output::read(&link, said) else { return };
    assert!(!offer.renditions.is_empty());
    for rendition in &offer.renditions {
        assert!(rendition.picture.is_some() || rendition.sound.is_some());
        assert!(matches!(rendition.location.url.scheme(), "http" | "https"));
        assert!(rendition.is_same_file(rendition));
    }
    let menu = menu(&offer);
    for row in menu.videos.iter().chain(&menu.audios) {
        assert_eq!(choose(&offer, &row.choice).as_ref(), Ok(&row.chosen));
        row.size();
    }
    for container in [Wanted::Auto, Wanted::Webm, Wanted::Mkv, Wanted::Mp3] {
        for quality in [Quality::Best, Quality::AtMost(480), Quality::Sound] {
            let language = Some("de".into());
            let choice = Choice { quality, container, language, ..Choice::default() };
            if let Ok(chosen) = choose(&offer, &choice) {
                assert!(chosen.video.is_some() || chosen.audio.is_some());
                assert!(quality != Quality::Sound || chosen.video.is_none());
            }
        }
    }
});
