//! The page in Chromium, used as people do: with the clipboard, a pointer, the keyboard alone, on a
//! phone, without its script, and through what reads pages aloud.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::barrier::Gate;
use crate::support::chromium::{Chromium, View};
use crate::support::firefox::Firefox;
use crate::support::{media, run};

mod account;
mod choices;
mod lists;
mod looks;
mod otherwise;
mod site;
mod tongues;

use site::{Site, TITLE};

/// Pastes a link and waits until there is something to choose.
fn find(chromium: &mut Chromium, page_url: &str) {
    chromium.paste("#url", page_url);
    chromium.until("!document.querySelector('#result').hidden");
}

/// Makes downloads go to a directory, under names that the protocol gives.
fn download_to(chromium: &mut Chromium, directory: &Path) {
    let behaviour = json!({
        "behavior": "allowAndName", "downloadPath": directory, "eventsEnabled": true,
    });
    chromium.browser("Browser.setDownloadBehavior", &behaviour);
}

/// Waits for an event about this download.
fn progress(chromium: &mut Chromium, begun: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    chromium
        .event("Browser.downloadProgress", |event| event["guid"] == begun["guid"] && wanted(event))
}

/// Waits for the end of a download, which must be a good one, and reads its file.
fn downloaded(chromium: &mut Chromium, begun: &Value, directory: &Path) -> Vec<u8> {
    let ended = progress(chromium, begun, |event| event["state"] != "inProgress");
    assert_eq!(ended["state"], "completed", "{ended}");
    std::fs::read(directory.join(begun["guid"].as_str().unwrap())).unwrap()
}

/// Where the button leads, as a path of the daemon.
fn path_of_download(chromium: &mut Chromium) -> String {
    let script = "(link => link.pathname + link.search)(document.querySelector('#download'))";
    chromium.evaluate(script).as_str().unwrap().to_owned()
}

/// Chooses from a menu.
fn choose(chromium: &mut Chromium, selector: &str, value: &str) {
    chromium.evaluate(&format!(
        "(select => {{ select.value = '{value}'; select.dispatchEvent(new Event('change', {{ bubbles: true }})) }})\
         (document.querySelector('{selector}'))"
    ));
}

#[test]
fn a_link_is_pasted_and_its_film_comes_with_its_size() {
    let gate = Gate::default();
    let site = Site::start(|resource| {
        let half = resource.len() / 2;
        resource.gate(half, &gate)
    });
    let directory = tempfile::tempdir().unwrap();
    let mut chromium = site.open();
    download_to(&mut chromium, directory.path());
    chromium.evaluate(
        "window.moved = 0; new PerformanceObserver(list => list.getEntries().forEach(shift => \
         { if (!shift.hadRecentInput) moved += shift.value })).observe({ type: 'layout-shift' })",
    );
    chromium.until("document.activeElement.id === 'url'");
    // People copy more than the link.
    find(&mut chromium, &format!("Look at this: {} It is long.", site.page_url("film")));
    assert_eq!(chromium.evaluate("document.querySelector('#url').value"), site.page_url("film"));
    assert_eq!(chromium.text("#title"), TITLE);
    assert_eq!(chromium.text("#by"), "Somebody afloat · 1\u{a0}May\u{a0}2026");
    assert_eq!(chromium.text("#time"), "1:00");
    chromium.until("document.querySelector('#picture').naturalWidth > 0");
    let offered = chromium.text("#videos");
    println!("offered: {offered:?}, {:?}", chromium.text("#audios"));
    assert!(offered.contains("2160p") && offered.contains("1080p"), "{offered}");
    assert_eq!(chromium.text("#videos :checked + b"), "1080p");
    // What came moved nothing that had been there.
    let moved = chromium.evaluate("moved").as_f64().unwrap();
    assert!(moved < 0.05, "things moved: {moved}");

    chromium.click("#videos label:nth-child(3)");
    let path = path_of_download(&mut chromium);
    assert!(path.contains("quality=720") && path.contains("container=mp4"), "{path}");
    chromium.click("#download");
    let begun = chromium.event("Browser.downloadWillBegin", |_| true);
    gate.reached();
    let running = progress(&mut chromium, &begun, |event| event["totalBytes"] != 0);
    gate.open();
    let whole = site.daemon.get(&path).body;
    assert_eq!(running["totalBytes"].as_f64(), Some(whole.len() as f64), "{running}");
    assert!(downloaded(&mut chromium, &begun, directory.path()) == whole, "another file");
    let name = begun["suggestedFilename"].as_str().unwrap();
    assert!(name.contains("Göteborg") && name.ends_with(".mp4"), "{name}");
    assert_ne!(chromium.text("#said"), "");
    site.assert_clean(&mut chromium);
}

#[test]
fn a_film_is_watched_and_sought_in_where_it_was_found() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    find(&mut chromium, &site.page_url("film"));
    chromium.click("#thumb");
    chromium.until("document.querySelector('#player').currentTime > 0.5");
    let duration = chromium.evaluate("player.duration").as_f64().unwrap();
    assert!((duration - 60.0).abs() < 0.5, "{duration}");
    chromium.evaluate("player.currentTime = 45");
    chromium.until("!player.seeking && player.currentTime > 45.2");
    let decoded = "[player.getVideoPlaybackQuality().totalVideoFrames, \
                   player.webkitAudioDecodedByteCount]";
    let before = chromium.evaluate(decoded);
    chromium.until("player.currentTime > 46.5");
    let after = chromium.evaluate(decoded);
    for (at, what) in ["picture", "sound"].into_iter().enumerate() {
        assert!(after[at].as_f64() > before[at].as_f64(), "no {what}: {before} {after}");
    }
    // Another quality goes on where this one was.
    chromium.click("#videos label:nth-child(4)");
    chromium.until("player.src.includes('quality=360') && player.readyState > 2");
    assert!(chromium.evaluate("player.currentTime").as_f64() > Some(45.0));
    chromium.screenshot("page-watching");
    chromium.click("#watch");
    assert_eq!(
        chromium.evaluate("[player.hidden, player.getAttribute('src')]"),
        json!([true, null])
    );
    site.assert_clean(&mut chromium);
}

#[test]
fn firefox_is_led_by_the_index() {
    let site = Site::start(|resource| resource);
    let mut firefox = Firefox::start();
    firefox.open(&site.daemon.url(&format!("/?url={}", site.page_url("film"))));
    let until = "const until = async (condition) => {
        while (!condition()) await new Promise(done => setTimeout(done, 20));
    };
    const player = document.querySelector('#player');";
    let found = firefox.evaluate(&format!(
        "{until}
        await until(() => !document.querySelector('#result').hidden);
        document.querySelector('#thumb').click();
        await until(() => player.currentTime > 0.5);
        player.currentTime = 45;
        await until(() => !player.seeking && player.currentTime > 45.5);
        const before = player.src;
        document.querySelector('#videos label:nth-child(4)').click();
        await until(() => player.src !== before && player.currentTime > 46);
        const source = player.src, {{ duration }} = player;
        document.querySelector('#watch').click();
        return [before, source, duration, player.hidden, player.getAttribute('src')];"
    ));
    let [before, source, duration, rest @ ..] = found.as_array().unwrap().as_slice() else {
        panic!("{found}")
    };
    for source in [before, source] {
        assert!(source.as_str().unwrap().starts_with("blob:"), "{found}");
    }
    assert!((duration.as_f64().unwrap() - 60.0).abs() < 0.5, "{found}");
    assert_eq!(rest, [json!(true), Value::Null]);
}

#[test]
fn a_part_is_chosen_and_the_line_for_curl_brings_it() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    find(&mut chromium, &site.page_url("film"));
    chromium.click("#trim summary");
    chromium.click("#start");
    for (wrong, hint) in [("1:75", "1:30"), ("2:00", "it lasts 1:00"), ("x", "1:30")] {
        chromium.evaluate("document.activeElement.select()");
        chromium.write(wrong);
        assert!(chromium.text("#trouble").contains(hint), "{wrong}");
        assert_eq!(chromium.evaluate("document.activeElement.ariaInvalid"), "true", "{wrong}");
    }
    // Nothing is begun with times that make no sense.
    chromium.click("#download");
    assert_eq!(chromium.evaluate("document.activeElement.id"), "start");
    assert_eq!(chromium.text("#said"), "");
    chromium.evaluate("document.activeElement.select()");
    chromium.write("0:20");
    chromium.press("Tab");
    chromium.write("30.5");
    assert_eq!(chromium.text("#trouble"), "");
    let path = path_of_download(&mut chromium);
    assert!(path.ends_with("&start=20&end=30.5"), "{path}");

    // Without a clipboard, as over plain HTTP, the line can be copied by hand.
    chromium.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })");
    chromium.click("#copy");
    chromium.until("document.querySelector('#said').textContent");
    let line = chromium.evaluate("document.querySelector('#line').value");
    let line = line.as_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut shell = std::process::Command::new("sh");
    let output = run(shell.args(["-c", line]).current_dir(directory.path()));
    assert!(output.status.success(), "{line}: {output:?}");
    let file = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let part = media::file_duration(&file).unwrap();
    // Both ends lie on cuts of picture and sound, which are five seconds apart.
    assert!((10.5..25.0).contains(&part), "{part} s");
    site.assert_clean(&mut chromium);
}

#[test]
fn what_is_wrong_is_said_below_the_field() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    let problem = "document.querySelector('#problem').textContent";
    let table = [
        (site.page_url("private"), "private"),
        (site.page_url("busy"), "Try again in "),
        (site.page_url("gone"), ""),
        ("a film about canals".into(), "https://"),
        ("ftp://films.example/film".into(), "https://"),
    ];
    for (text, words) in table {
        chromium.paste("#url", &text);
        chromium.until(&format!("{problem} && document.querySelector('#waiting').hidden"));
        let said = chromium.text("#problem");
        println!("{text}: {said}");
        assert!(said.to_lowercase().contains(&words.to_lowercase()), "{text}: {said}");
        assert!(said.ends_with('.') && !said.ends_with(".."), "{said}");
        assert_eq!(chromium.evaluate("document.querySelector('#url').ariaInvalid"), "true");
        assert_eq!(chromium.evaluate("document.querySelector('#card').hidden"), true);
        chromium.paste("#url", &site.page_url("film"));
        chromium.until(&format!("!{problem} && !document.querySelector('#result').hidden"));
        assert_eq!(chromium.evaluate("document.querySelector('#url').ariaInvalid"), "false");
    }
    site.assert_clean(&mut chromium);
}

#[test]
fn a_new_link_ends_the_look_at_the_old_one() {
    let site = Site::start(|resource| resource);
    let baseline = site.daemon.baseline();
    let mut chromium = site.open();
    chromium.paste("#url", &site.page_url("slow"));
    chromium.until("!document.querySelector('#waiting').hidden");
    crate::support::eventually("the old link is looked at", crate::support::PATIENCE, || {
        (!site.daemon.children().is_empty()).then_some(())
    });
    find(&mut chromium, &site.page_url("film"));
    let failed = chromium.event("Network.loadingFailed", |_| true);
    assert_eq!(failed["canceled"], true, "{failed}");
    site.assert_clean(&mut chromium);
    drop(chromium);
    site.daemon.settles(&baseline, crate::support::PATIENCE);
}
