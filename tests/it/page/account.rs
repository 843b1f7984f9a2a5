//! The page where a token is needed: signing in, with the script and without, and sharing a link.

use serde_json::json;

use super::looks::look;
use super::site::Site;
use super::{Chromium, find};
use crate::support::curl::curl;

/// SHA-256 of "abc" (FIPS 180-2, B.1).
const TOKENS: &str =
    "[alice]\nhash = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";

/// Enters a token, where the focus has to be.
fn sign_in(chromium: &mut Chromium, token: &str) {
    // Which is when the page is rendered.
    chromium.until("document.activeElement.id === 'token'");
    chromium.write(token);
    chromium.press("Enter");
    chromium.event("Page.loadEventFired", |_| true);
}

#[test]
fn people_sign_in_and_share_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens.toml");
    std::fs::write(&tokens, TOKENS).unwrap();
    let access = format!("[access]\nmode = \"closed\"\ntokens_file = {:?}\n", tokens.display());
    let site = Site::start_with(&access, |resource| resource);
    let mut chromium = site.open();
    // Without its script, too.
    chromium.scripts(false);
    let page_url: String =
        url::form_urlencoded::byte_serialize(site.page_url("film").as_bytes()).collect();
    chromium.open(&site.daemon.url(&format!("/?url={page_url}")));
    sign_in(&mut chromium, "abd");
    assert!(chromium.text("#problem").contains("unknown"));
    chromium.scripts(true);
    look(&mut chromium, "sign-in");
    sign_in(&mut chromium, "abc");
    // It goes on where it was to go.
    chromium.until("!document.querySelector('#result').hidden");
    assert_eq!(chromium.evaluate("document.querySelector('#url').value"), site.page_url("film"));

    let permissions = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
    chromium.browser("Browser.grantPermissions", &permissions);
    chromium.click("#link");
    chromium.until("document.querySelector('#said').textContent");
    assert!(chromium.text("#said").contains("12 hours"), "{}", chromium.text("#said"));
    let link = chromium.evaluate("navigator.clipboard.readText()");
    let link = link.as_str().unwrap().to_owned();
    assert!(link.starts_with(&site.daemon.url("/download?url=")), "{link}");
    let shared = curl(&["-r", "0-99", &link]);
    assert_eq!((shared.status, shared.body.len()), (206, 100));
    chromium.evaluate("scrollTo(0, 0)");
    chromium.screenshot("page-signed-in");

    // The session ends while the page is open.
    chromium.page("Network.clearBrowserCookies", &json!({}));
    chromium.paste("#url", &site.page_url("segments"));
    chromium.event("Page.loadEventFired", |_| true);
    sign_in(&mut chromium, "abc");
    chromium.until("!document.querySelector('#result').hidden");
    let field = "document.querySelector('#url').value";
    assert_eq!(chromium.evaluate(field), site.page_url("segments"));
    chromium.click("header button");
    chromium.event("Page.loadEventFired", |_| true);
    chromium.until("document.activeElement.id === 'token'");
    site.assert_clean(&mut chromium);
}

#[test]
fn where_nobody_signs_in_a_link_is_shared_as_it_is() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    assert_eq!(chromium.evaluate("document.querySelectorAll('header button').length"), 0);
    find(&mut chromium, &site.page_url("film"));
    // Without a clipboard, as over plain HTTP, it can be copied by hand.
    chromium.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })");
    chromium.click("#link");
    chromium.until("document.querySelector('#said').textContent");
    let link = chromium.evaluate("document.querySelector('#line').value");
    assert_eq!(link, chromium.evaluate("document.querySelector('#download').href"));
    site.assert_clean(&mut chromium);
}
