//! The target of a request: what comes out of it are one or two plain web addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::media::TrackKind;
use ytcanal::resolve;
use ytcanal::route::{MediaSource, Route, route};

fuzz_target!(|input: (&str, &str, &str)| {
    let (query, video, audio) = input;
    plain(query);
    plain(&format!("/mux?{query}"));
    plain(&format!("/mux?video={}&audio={}&{query}", encoded(video), encoded(audio)));
    // Few texts are a URL by themselves: one as the host, and one in front of it.
    plain(&format!("/mux?audio=http://{}&video=https://{}@a/", encoded(audio), encoded(video)));
    for path in ["download", "info", "watch", ""] {
        plain(&format!("/{path}?{query}"));
        plain(&format!("/{path}?url={}&{query}", encoded(video)));
        plain(&format!("/{path}?url={}&url={}&as=zip&{query}", encoded(video), encoded(audio)));
        plain(&format!("/{path}?url=a.b/&as=tar&items={}", encoded(video)));
    }
});

fn plain(target: &str) {
    match route(target) {
        Ok(Route::Download { source: MediaSource::Urls(media), .. }) => {
            let kinds: Vec<TrackKind> = media.tracks.iter().map(|track| track.kind).collect();
            let orders = [
                &[TrackKind::Video, TrackKind::Audio][..],
                &[TrackKind::Video],
                &[TrackKind::Audio],
            ];
            assert!(orders.contains(&&kinds[..]), "{target:?}");
            media.tracks.iter().for_each(|track| is_plain(&track.location.url));
            assert!(media.name.is_none_or(|name| !name.is_empty()), "{target:?}");
        }
        Ok(
            Route::Download { source: MediaSource::Page { page_url, .. }, .. }
            | Route::Info { page_url, .. },
        ) => {
            is_plain(&page_url);
            // Read a second time, as the page does with what `/info` tells it, it is the same.
            assert_eq!(resolve::parse_page_url(page_url.as_str()).expect("a page URL"), page_url);
        }
        Ok(Route::Archive(archive)) => {
            archive.links.iter().for_each(is_plain);
            assert!(archive.items.next_from(1).is_some(), "{target:?}");
        }
        Ok(_) => {}
        Err(problem) => {
            assert!(matches!(problem.status, 400 | 404), "{problem:?}");
            assert!(!problem.detail.contains(char::is_control), "{problem:?}");
        }
    }
}

fn is_plain(url: &url::Url) {
    assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
    assert!(!url.as_str().contains(|c: char| c.is_control() || c == ' '), "{url}");
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
