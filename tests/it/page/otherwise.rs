//! The page used otherwise than with a clipboard and a pointer: with the keyboard alone, without its
//! script, and with a link that somebody brings along.

use serde_json::Value;

use super::site::Site;
use super::{Chromium, download_to, downloaded, find};

/// Goes on to what is next, which must show that it has the focus, and says what it is.
fn tab(chromium: &mut Chromium) -> Value {
    chromium.press("Tab");
    let shown = "document.activeElement.closest('.chip') || document.activeElement";
    let outline = chromium.evaluate(&format!("getComputedStyle({shown}).outlineStyle"));
    let passed = chromium.evaluate(&format!("({shown}).outerHTML.slice(0, 60)"));
    assert_ne!(outline, "none", "the focus cannot be seen: {passed}");
    passed
}

#[test]
fn the_keyboard_is_enough() {
    let site = Site::start(|resource| resource);
    let directory = tempfile::tempdir().unwrap();
    let mut chromium = site.open();
    download_to(&mut chromium, directory.path());
    // A typed link is looked up without a key being pressed for it.
    chromium.write(&site.page_url("film"));
    chromium.until("!document.querySelector('#result').hidden");
    tab(&mut chromium);
    assert_eq!(chromium.evaluate("document.activeElement.id"), "go");
    tab(&mut chromium);
    chromium.press("ArrowRight");
    assert_eq!(chromium.text("#videos :checked + b"), "720p");
    let mut passed = Vec::new();
    while chromium.evaluate("document.activeElement.id") != "download" {
        assert!(passed.len() < 10, "the button is not reached: {passed:?}");
        passed.push(tab(&mut chromium));
    }
    chromium.press("Enter");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    assert!(!downloaded(&mut chromium, &begun, directory.path()).is_empty());
    site.assert_clean(&mut chromium);
}

#[test]
fn without_its_script_a_form_downloads() {
    let site = Site::start(|resource| resource);
    let directory = tempfile::tempdir().unwrap();
    let mut chromium = site.open();
    download_to(&mut chromium, directory.path());
    chromium.scripts(false);
    let page_url: String =
        url::form_urlencoded::byte_serialize(site.page_url("film").as_bytes()).collect();
    chromium.open(&site.daemon.url(&format!("/?url={page_url}")));
    assert_eq!(chromium.evaluate("document.querySelector('#url').value"), site.page_url("film"));
    assert_eq!(chromium.evaluate("document.querySelector('#go').offsetWidth"), 0);
    chromium.screenshot("page-without-script");
    chromium.click(".plain [name=end]");
    chromium.write("0:20");
    chromium.click(".plain button");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    let file = downloaded(&mut chromium, &begun, directory.path());
    let path = format!("/download?url={page_url}&quality=1080&container=auto&start=&end=0%3A20");
    assert!(file == site.daemon.get(&path).body, "another file");
    site.assert_clean(&mut chromium);
}

#[test]
fn a_link_can_be_brought_along() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let field = "document.querySelector('#url').value";
    // As a phone shares it.
    let text = encode(&format!("Canals: {} and more", site.page_url("film")));
    chromium.open(&site.daemon.url(&format!("/?title=Canals&text={text}")));
    chromium.until("!document.querySelector('#result').hidden");
    assert_eq!(chromium.evaluate(field), site.page_url("film"));
    // What was chosen last is chosen again.
    chromium.click("#audios label");
    let chosen = chromium.text(":checked + b");
    chromium.open(&site.daemon.url(&format!("/?url={}", encode(&site.page_url("film")))));
    chromium.until("!document.querySelector('#result').hidden");
    assert_eq!(chromium.text(":checked + b"), chosen);
    // As the bookmark brings it, from whatever page one is on.
    let bookmark = chromium.evaluate("decodeURIComponent(document.querySelector('#mark').href)");
    let elsewhere = site.daemon.url("/healthz");
    chromium.open(&elsewhere);
    chromium.evaluate(bookmark.as_str().unwrap().strip_prefix("javascript:").unwrap());
    chromium.event("Page.loadEventFired", |_| true);
    assert_eq!(chromium.evaluate(field), elsewhere);
    // In the place of another host; that one is not asked here, for there is no way to it.
    let page = site.daemon.get("/watch?v=a_b-c&list=PL1").text();
    assert!(page.contains("value=\"https://www.youtube.com/watch?v=a_b-c\""), "{page}");
    site.assert_clean(&mut chromium);
}

#[test]
fn a_size_that_is_not_known_is_told_to_be_so() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    find(&mut chromium, &site.page_url("segments"));
    let chip = |chromium: &mut Chromium, label: &str| chromium.text(&format!("{label} small"));
    assert_eq!(chip(&mut chromium, "#videos label:nth-child(2)"), "mp4 · size not known");
    assert_eq!(chip(&mut chromium, "#audios label"), "96 kbit/s · size not known");
    chromium.click("#videos label:nth-child(2)");
    assert_eq!(chromium.text("#size"), "720p · size not known");
    site.assert_clean(&mut chromium);
}

#[test]
fn a_live_stream_is_told_to_be_one() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    find(&mut chromium, &site.page_url("live"));
    assert_eq!(chromium.text("#videos label:nth-child(2) small"), "mp4 · live");
    assert_eq!(chromium.text("#time"), "live");
    chromium.click("#trim summary");
    chromium.click("#end");
    chromium.write("1:00");
    assert!(chromium.text("#trouble").starts_with("A live stream has no such times."));
    site.assert_clean(&mut chromium);
}
