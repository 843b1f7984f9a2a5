//! Subtitles of many downloads do not exhaust memory together.

use std::fmt::Write;

use serde_json::{Map, json};

use crate::support::barrier::Gate;
use crate::support::client::Client;
use crate::support::resource::Resource;
use crate::support::ytdlp::{self, FILM, Site, download_path, file, sizes};
use crate::support::{PATIENCE, eventually};

/// As many cues, and nearly as many bytes, as subtitles may have.
fn longest() -> String {
    let mut text = String::from("WEBVTT\n\n");
    for at in 0..40_000 {
        let (minute, second, milli) = (at / 1000, at / 20 % 50, at % 20 * 50);
        let time = format!("{minute:02}:{second:02}.{milli:03}");
        write!(
            text,
            "{time} --> {minute:02}:{second:02}.{:03}\nTwenty letters of it\n\n",
            milli + 1
        )
        .unwrap();
    }
    text
}

#[test]
fn they_share_a_budget() {
    let (site, daemon) = (Site::start(), ytdlp::daemon("[muxer]\nplan_cache = \"0B\"\n"));
    let gate = Gate::default();
    let video = Resource::file(file("137")).only_bounded_ranges().keep_alive();
    site.origin.put(&format!("f/{FILM}/137"), video.gate(1, &gate));
    let longest = longest();
    let letters = (b'a'..=b'z').map(char::from);
    let languages = letters
        .clone()
        .flat_map(|first| letters.clone().map(move |second| format!("{first}{second}")));

    let subtitles: Map<_, _> = languages
        .take(32)
        .map(|language| {
            let formats = json!([{ "ext": "vtt", "url": site.origin.put(&language, Resource::bytes(longest.clone())) }]);
            (language, formats)
        })
        .collect();
    let page = json!({ "formats": sizes(["137", "140-1"]), "info": { "subtitles": subtitles } });
    site.put_page(FILM, &page);
    let path = download_path(&site.page_url(FILM), &[("subs", "all"), ("engine", "ffmpeg")]);
    let mut first = Client::connect(daemon.address());
    first.ask(&path, &[]);
    // It has its subtitles.
    gate.reached();
    let second = daemon.get(&path);
    assert_eq!(
        (second.head.status, second.code().as_str()),
        (503, "streams-full"),
        "{}",
        second.text()
    );
    drop(first);
    gate.open();
    // What it took comes back.
    let again = format!("{path}&container=mkv");
    eventually("the memory to be free", PATIENCE, || {
        let mut third = Client::connect(daemon.address());
        third.ask(&again, &[]);
        (third.head().status == 200).then_some(())
    });
}
