//! What yt-dlp says of a page: whatever it is, nothing panics, and what can be chosen can be had.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::media::Delivery;
use ytcanal::media::format_list::list_formats;
use ytcanal::media::page_list::PART_LEN;
use ytcanal::media::selection::{FormatRequest, Quality, select_formats};
use ytcanal::options::ContainerChoice;
use ytcanal::resolve;
use ytcanal::resolve::ytdlp_json::{self, Page};

fuzz_target!(|said: &[u8]| {
    let page_url = resolve::parse_page_url("https://films.example/watch?v=1").expect("a page URL");
    let Ok(page) = ytdlp_json::read(&page_url, 0, said.to_vec()) else { return };
    if let Page::List(list) = &page {
        assert!(list.entries.len() <= PART_LEN as usize);
        for url in list.entries.iter().filter_map(|entry| entry.page_url.as_ref()) {
            assert!(matches!(url.scheme(), "http" | "https"));
        }
    }
    let Ok(offer) = page.into_media() else { return };
    assert!(!offer.renditions.is_empty());
    for rendition in &offer.renditions {
        assert!(rendition.video.is_some() || rendition.audio.is_some());
        assert!(matches!(rendition.location.url.scheme(), "http" | "https"));
        assert!(rendition.is_same_file(rendition));
        let location = rendition.track_location().expect("segments that were read once");
        assert_eq!(location.delivery != Delivery::File, rendition.is_segmented());
    }
    let menu = list_formats(&offer);
    for row in menu.videos.iter().chain(&menu.audios) {
        assert_eq!(select_formats(&offer, &row.request).as_ref(), Ok(&row.formats));
        row.size();
    }
    for container in
        [ContainerChoice::Auto, ContainerChoice::Webm, ContainerChoice::Mkv, ContainerChoice::Mp3]
    {
        for quality in [Quality::Best, Quality::AtMost(480), Quality::AudioOnly] {
            let language = Some("de".into());
            let choice = FormatRequest { quality, container, language, ..FormatRequest::default() };
            if let Ok(chosen) = select_formats(&offer, &choice) {
                assert!(chosen.video.is_some() || chosen.audio.is_some());
                assert!(quality != Quality::AudioOnly || chosen.video.is_none());
            }
        }
    }
});
