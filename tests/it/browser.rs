//! Chromium as a client: it plays a film of an hour, seeks in it over a slow line, downloads one
//! with the total in view, and shows the daemon's page. Firefox seeks by the player of that page.
//!
//! How long a seek takes is printed (`--nocapture`); the bound on it is there for hangs.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::barrier::Gate;
use crate::support::chromium::Chromium;
use crate::support::client::{any_path, ask};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::firefox::Firefox;
use crate::support::hls;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;
use crate::support::served::{WAYS, Way};
use crate::support::{media, number_from};

/// Bytes a second that each connection to the origin brings: some ten times what playing takes,
/// while the whole film takes minutes.
const LINE: u64 = 1_000_000;
/// A seek that takes longer was no seek but a download up to there.
const SEEK_AT_MOST: f64 = 10_000.0;

/// A player on the page of the daemon. Its functions measure in milliseconds and promise what they found.
const PLAYER: &str = r#"
document.body.replaceChildren(document.createElement("video"));
const film = document.querySelector("video");

const next = (event) => new Promise((done, fail) => {
  film.addEventListener(event, done, { once: true });
  film.addEventListener("error", () => fail(Error(film.error.message)), { once: true });
});

/// The first picture of this moment that is shown.
const picture = (moment) => new Promise((done) => {
  const look = (now, shown) => Math.abs(shown.mediaTime - moment) < 1
    ? done(shown.mediaTime) : film.requestVideoFrameCallback(look);
  film.requestVideoFrameCallback(look);
});

async function load(url) {
  const [since, loaded] = [performance.now(), next("loadedmetadata")];
  film.src = url;
  await loaded;
  return { took: performance.now() - since, duration: film.duration };
}

async function seek(moment) {
  const [since, there, shown] = [performance.now(), next("seeked"), picture(moment)];
  film.currentTime = moment;
  await there;
  const seeked = performance.now() - since;
  return { picture: await shown, seeked, shown: performance.now() - since };
}

const decoded = () =>
  [film.getVideoPlaybackQuality().totalVideoFrames, film.webkitAudioDecodedByteCount];

/// What is decoded, of either track, while so many seconds of the film go by.
async function watch(seconds) {
  const [until, before] = [film.currentTime + seconds, decoded()];
  await film.play();
  while (film.currentTime < until) await next("timeupdate");
  const after = decoded();
  return { frames: after[0] - before[0], sound: after[1] - before[1], at: film.currentTime };
}
"#;

/// A second and a half goes by in the player, with picture and sound.
fn assert_plays(chromium: &mut Chromium, what: &str) {
    let watched = chromium.evaluate("watch(1.5)");
    println!("{what}: {watched}");
    let count = |name: &str| watched[name].as_f64().unwrap();
    assert!(count("frames") >= 10.0, "{what}: no picture: {watched}");
    assert!(count("sound") >= 1000.0, "{what}: no sound: {watched}");
}

/// Plays what the daemon makes of `request`, a film of `meant` seconds (or up to `late` more, by Chromium's
/// count), and seeks in it.
fn plays_and_seeks(
    chromium: &mut Chromium,
    what: &str,
    (origin, daemon): (&Origin, &Daemon),
    (request, meant, late): (&str, f64, f64),
) {
    let asked = || (origin.requests().len(), daemon.metric("ytcanal_streams_total"));
    chromium.open(&daemon.url("/"));
    chromium.evaluate(PLAYER);
    let loaded = chromium.evaluate(&format!("load({})", json!(daemon.url(request))));
    let (requests, streams) = asked();
    println!(
        "{what}: metadata after {} ms; {streams} streams, {requests} requests at the origin",
        loaded["took"]
    );
    let found = loaded["duration"].as_f64().unwrap();
    let right = meant - 0.1..meant + late + 0.1;
    assert!(right.contains(&found), "{what}: a duration of {found} s, it is {meant}");
    assert_plays(chromium, "from the beginning");
    // None of them at a key frame, before which players need not fetch anything.
    let moments = [meant / 2.0 + 2.7, meant - 30.3, meant / 4.0 - 0.4];
    for (place, moment) in ["the middle", "near the end", "back"].into_iter().zip(moments) {
        let before = asked();
        let seek = chromium.evaluate(&format!("seek({moment})"));
        let (streams, requests) = (asked().1 - before.1, asked().0 - before.0);
        println!("{what}: {place}: {seek}; {streams} streams, {requests} requests at the origin");
        assert!(seek["shown"].as_f64().unwrap() < SEEK_AT_MOST, "{what}: {place}: {seek}");
        assert_plays(chromium, place);
    }
}

/// What films in segments are made of, and its seconds: an hour for `make players`.
fn in_segments() -> (PathBuf, f64) {
    match number_from("YTCANAL_PLAYERS") {
        Some(_) => (media::hour().finished(), 3600.0),
        None => (media::five_minutes().finished(), 300.0),
    }
}

#[test]
fn a_film_plays_and_can_be_sought_in() {
    let mut chromium = Chromium::start();
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let request = Way::Spliced.request(&origin, media::hour(), |resource| resource.pace(LINE));
    let film = (&*request, Way::Spliced.duration(media::hour()), 0.0);
    plays_and_seeks(&mut chromium, "spliced", (&origin, &daemon), film);
}

#[test]
fn a_film_in_segments_plays_and_can_be_sought_in() {
    let mut chromium = Chromium::start();
    let (source, seconds) = in_segments();
    for name in ["transport stream", "transport stream, apart", "fragments, apart", "fragments"] {
        let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
        let film = SegmentedFilm::of(hls::named(name), &source);
        let url = film.put_with(&origin, "film", |_, resource| resource.pace(LINE));
        let request = any_path(Some(&url), None, &[("length", "wait")]);
        // The first request finds out how long all segments are.
        assert_eq!(ask(daemon.address(), "HEAD", &request, "").head.status, 200, "{name}");
        // Chromium says 300.16: the first picture is composed late.
        plays_and_seeks(&mut chromium, name, (&origin, &daemon), (&request, seconds, 0.1));
    }
}

/// What is measured in Firefox, on the page of the daemon.
const IN_FIREFOX: &str = "
  const player = document.querySelector('#player');
  const plays = async (since) => {
    const at = player.currentTime, frames = player.mozDecodedFrames;
    await player.play();
    while (player.currentTime < at + 1) await new Promise(done => setTimeout(done, 20));
    if (player.mozDecodedFrames < frames + 10) throw Error('no picture');
    if (!player.mozHasAudio) throw Error('no sound');
  };
  const next = (event) => new Promise((done, fail) => {
    player.addEventListener(event, done, { once: true });
    player.addEventListener('error', () => fail(Error(player.error.message)), { once: true });
  });
  const shows = async (moment) => {
    const since = performance.now(), there = next('seeked');
    player.currentTime = moment;
    await there;
    const took = performance.now() - since;
    await plays();
    return took;
  };
  const has = (moment) => [...Array(player.buffered.length).keys()].some(
    (range) => player.buffered.start(range) <= moment && moment < player.buffered.end(range));
";

/// It ignores the index of a film in a plain player, and reads all that lies before a place.
#[test]
fn firefox_seeks_by_the_index() {
    let mut firefox = Firefox::start();
    let (source, length) = in_segments();
    for kind in [None, Some("transport stream, apart"), Some("fragments, apart")] {
        let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
        let request = match kind {
            None => Way::Spliced.request(&origin, media::hour(), |resource| resource.pace(LINE)),
            Some(name) => {
                let film = SegmentedFilm::of(hls::named(name), &source);
                let url = film.put_with(&origin, "film", |_, resource| resource.pace(LINE));
                any_path(Some(&url), None, &[("length", "wait")])
            }
        };
        firefox.open(&daemon.url("/"));
        let seconds = if kind.is_some() { length } else { Way::Spliced.duration(media::hour()) };
        let found = firefox.evaluate(&format!(
            "{IN_FIREFOX}
            await new Promise((onload) => document.head.append(
              Object.assign(document.createElement('script'), {{ src: '/player.js', onload }})));
            const isIndexed = await playByIndex(player, {url}, 0, new AbortController().signal);
            await plays();
            const {{ duration }} = player;
            const seeks = [];
            for (const part of [0.5, 0.9, 0.25]) seeks.push(await shows(duration * part + 1.3));
            const read = [0.2, 0.42, 0.7].filter((part) => has(duration * part));
            return {{ isIndexed, duration, seeks, read }};",
            url = json!(daemon.url(&request)),
        ));
        println!("{}: {found}", kind.unwrap_or("spliced"));
        let duration = found["duration"].as_f64().unwrap();
        assert!((duration - seconds).abs() < 0.2, "{duration} s, it is {seconds}");
        assert_eq!(found["isIndexed"], true);
        assert_eq!(found["read"], json!([]), "what lies between was read, too");
    }
}

#[test]
fn a_download_shows_its_total() {
    let mut chromium = Chromium::start();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let behaviour = json!({
        "behavior": "allowAndName", "downloadPath": directory, "eventsEnabled": true,
    });
    chromium.browser("Browser.setDownloadBehavior", &behaviour);
    for way in WAYS {
        let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
        let request = way.request(&origin, media::five_minutes(), |resource| resource);
        let whole = daemon.get(&request).body;
        // Held half-way, where the total must be known.
        let gate = Gate::default();
        let half = |resource: Resource| {
            let half = resource.len() / 2;
            resource.gate(half, &gate)
        };
        let request = way.request(&origin, media::five_minutes(), half);
        chromium.page("Page.navigate", &json!({"url": daemon.url(&request)}));
        let begun = chromium.event("Browser.downloadWillBegin", |_| true);
        assert_eq!(begun["suggestedFilename"], "A film.mp4", "{way:?}");
        let mut progress = |wanted: &dyn Fn(&Value) -> bool| {
            chromium.event("Browser.downloadProgress", |event| {
                event["guid"] == begun["guid"] && wanted(event)
            })
        };
        gate.reached();
        let running = progress(&|event| event["receivedBytes"].as_f64() > Some(0.0));
        println!("{way:?}: {running}");
        assert_eq!(running["state"], "inProgress", "{way:?}");
        assert_eq!(running["totalBytes"].as_f64(), Some(whole.len() as f64), "{way:?}");
        gate.open();
        let ended = progress(&|event| event["state"] != "inProgress");
        println!("{way:?}: {ended}");
        assert_eq!(ended["state"], "completed", "{way:?}");
        let file = directory.join(begun["guid"].as_str().unwrap());
        assert!(std::fs::read(file).unwrap() == whole, "{way:?}: the file is another one");
    }
}

#[test]
fn the_page_can_be_seen() {
    let daemon = Daemon::start(LOOPBACK);
    let mut chromium = Chromium::start();
    chromium.open(&daemon.url("/"));
    let picture = std::fs::read(chromium.screenshot("page")).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
}
