//! Lists on the page: which of their films are to be downloaded, and how.

use super::looks::look;
use super::site::Site;
use super::{choose, download_to, downloaded, path_of_download};
use crate::support::chromium::Chromium;
use crate::support::client::get;

fn find_list(chromium: &mut Chromium, text: &str) {
    chromium.paste("#url", text);
    chromium.until("!document.querySelector('#list').hidden");
}

/// The parameters of the archive that the button leads to.
fn query(chromium: &mut Chromium, id: &str) -> Vec<(String, String)> {
    let script = format!("[...new URL(document.querySelector('#{id}').href).searchParams]");
    serde_json::from_value(chromium.evaluate(&script)).unwrap()
}

fn value<'q>(query: &'q [(String, String)], name: &str) -> Option<&'q str> {
    query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_list_is_pasted_and_some_of_it_comes_as_an_archive() {
    let site = Site::start(|resource| resource);
    let directory = tempfile::tempdir().unwrap();
    let mut chromium = site.open();
    download_to(&mut chromium, directory.path());
    find_list(&mut chromium, &site.page_url("list"));
    assert_eq!(chromium.text("#name"), "Canals <i>of</i> the north");
    assert_eq!(chromium.text("#of"), "Somebody afloat · 4 entries");
    let entries = chromium.text("#entries");
    for told in ["The first", "1:00", "[Private video]", "[Deleted video]", "The last", "1:02:05"] {
        assert!(entries.contains(told), "{told} in {entries}");
    }
    assert_eq!(chromium.text("#count"), "3", "one of them has no link");
    look(&mut chromium, "list");
    let all = query(&mut chromium, "archive");
    assert_eq!((value(&all, "items"), value(&all, "as")), (Some("1-2,4"), Some("tar")));
    assert_eq!(value(&all, "quality"), Some("1080"));
    // Without the private one, in another quality, and as a ZIP.
    chromium.click("#entries li:nth-child(2) input");
    choose(&mut chromium, "#wish select", "360");
    choose(&mut chromium, "#as", "zip");
    let some = query(&mut chromium, "archive");
    assert_eq!((value(&some, "items"), value(&some, "as")), (Some("1,4"), Some("zip")));
    assert_eq!(value(&some, "quality"), Some("360"));
    // Of one there is nothing to wait for.
    chromium.click("#entries li:nth-child(4) input");
    chromium.click("#sizes");
    chromium.until("document.querySelector('#entries li small').textContent.includes('MB')");
    chromium.click("#archive");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    let name = begun["suggestedFilename"].as_str().unwrap();
    assert!(name.starts_with("Canals") && name.ends_with(".zip"), "{name}");
    let archive = downloaded(&mut chromium, &begun, directory.path());
    assert!(archive.starts_with(b"PK\x03\x04") && archive.len() > 100_000, "{}", archive.len());
    // One after the other.
    chromium.click("#each");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    let film = downloaded(&mut chromium, &begun, directory.path());
    assert_eq!(&film[4..8], b"ftyp");
    site.assert_clean(&mut chromium);
    // The way back to a single film.
    super::find(&mut chromium, &site.page_url("film"));
    chromium.until("document.querySelector('#list').hidden");
    assert!(path_of_download(&mut chromium).starts_with("/download?url="));
}

#[test]
fn several_links_are_pasted_at_once() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    let links = [site.page_url("film"), site.page_url("segments")];
    find_list(&mut chromium, &format!("These two:\n{}\n{}\n", links[0], links[1]));
    assert_eq!(chromium.text("#name"), "Several links");
    let query = query(&mut chromium, "archive");
    let urls: Vec<_> = query.iter().filter(|(name, _)| name == "url").map(|(_, url)| url).collect();
    assert_eq!(urls, [&links[0], &links[1]]);
    let script = "(link => link.pathname + link.search)(document.querySelector('#archive'))";
    let path = chromium.evaluate(script).as_str().unwrap().to_owned();
    let answer = get(site.daemon.address(), &path.replace("quality=1080", "quality=360"));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    site.assert_clean(&mut chromium);
}
