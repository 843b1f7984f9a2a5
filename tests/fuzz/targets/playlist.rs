//! Playlists: whatever they list, it can be requested, it is not too much, and neither the ends of the
//! lines nor a second reading change anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use url::Url;
use ytcanal::media::PlaylistHints;
use ytcanal::media::segments::{SegmentKey, SegmentList};
use ytcanal::media::selection::{FormatRequest, Quality};
use ytcanal::playlist::{self, MAX_SEGMENTS, MasterPlaylist, Playlist};

fuzz_target!(|said: &[u8]| {
    let base = Url::parse("https://cdn.example/films/1/list.m3u8?token=a").expect("a URL");
    let hints = PlaylistHints {
        segment_query: said.first().is_some_and(|byte| byte % 2 == 0).then(|| "s=1&b=2".into()),
        variables: vec![("host".into(), "h.example".into())],
        ..PlaylistHints::default()
    };
    let outcome = playlist::parse(said, &base, &hints);
    if let Err(error) = &outcome {
        assert!(error.to_string().len() < 300, "{error}");
    }
    if !playlist::is_gzip(said) {
        let with_cr: Vec<u8> =
            said.iter().map(|byte| if *byte == b'\n' { b'\r' } else { *byte }).collect();
        assert!(outcome == playlist::parse(&with_cr, &base, &hints));
    }
    match outcome {
        Ok(Playlist::Media(list)) => check_list(&list),
        Ok(Playlist::Master(master)) => check_master(&master),
        Err(_) => {}
    }
});

fn check_list(list: &SegmentList) {
    assert!(list.segments.len() <= MAX_SEGMENTS);
    assert!(!list.is_complete || !list.segments.is_empty());
    let locations = list.inits.iter().map(|init| &init.location);
    for location in locations.chain(list.segments.iter().map(|segment| &segment.location)) {
        assert!(is_http(&location.url));
        assert!(location.range.as_ref().is_none_or(|range| range.start < range.end));
    }
    for segment in &list.segments {
        assert!(segment.init.is_none_or(|init| (init as usize) < list.inits.len()));
        if let Some(encryption) = &segment.encryption
            && let SegmentKey::Remote(url) = &*encryption.key
        {
            assert!(is_http(url));
        }
    }
    list.duration();
}

fn check_master(master: &MasterPlaylist) {
    for quality in [Quality::Best, Quality::AtMost(480), Quality::AudioOnly] {
        let language = Some("de".into());
        let request = FormatRequest { quality, language, ..FormatRequest::default() };
        if let Ok(selected) = master.select(&request) {
            assert!(selected.video.is_some() != (quality == Quality::AudioOnly));
            assert!(selected.video != selected.audio);
            assert!([selected.video, selected.audio].iter().flatten().all(is_http));
        }
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}
