//! A film as YouTube has them, read by the real yt-dlp: in several languages, codecs and dynamic
//! ranges.

use super::{Chromium, choose, download_to, downloaded, find, path_of_download};
use crate::support::ytdlp::{self, FILM, Site};

#[test]
fn its_languages_and_formats_can_be_chosen() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let directory = tempfile::tempdir().unwrap();
    let mut chromium = Chromium::start();
    download_to(&mut chromium, directory.path());
    chromium.open(&daemon.url("/"));
    find(&mut chromium, &site.page_url(FILM));
    // One of each height is in view, in the container that most things play.
    let offered = chromium.text("#videos");
    println!("offered: {offered:?}");
    for (row, times) in [("2160p", 1), ("1080p50", 1), ("HDR", 0), ("webm", 0)] {
        assert_eq!(offered.matches(row).count(), times, "{row} in {offered:?}");
    }
    chromium.click("#rest summary");
    chromium.screenshot("page-formats");
    let others = chromium.text("#others");
    assert!(others.contains("HDR") && others.contains("webm"), "{others:?}");

    assert_eq!(chromium.text("#lang option"), "English (original)");
    choose(&mut chromium, "#lang", "de");
    let path = path_of_download(&mut chromium);
    assert!(path.contains("quality=1080") && path.ends_with("&lang=de"), "{path}");
    chromium.click("#download");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    let file = downloaded(&mut chromium, &begun, directory.path());
    let asked = site.formats_asked(FILM);
    assert!(asked.contains(&"140-0".to_owned()), "another sound than the German one: {asked:?}");
    assert!(file == daemon.get(&path).body, "another file");
}
