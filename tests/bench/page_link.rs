//! A page link from end to end: how soon the first byte of the joined film comes when the site and its media are a
//! round trip away, and how much of that is for the page.
//!
//! One server is both, and speaks HTTPS. Its pages are those that the tests' plugin of yt-dlp reads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::compare;
use crate::delay::DelayedLine;
use crate::figures::Spread;
use crate::https::HttpsOrigin;
use crate::media::{Film, Rate};
use crate::reader::{Body, Until};
use crate::server::{Engine, Server};
use crate::systems::{Links, path_of};
use crate::{Outcome, ROUND_TRIP};

const ROUNDS: usize = 15;

/// Prints a table. `resolver` is the daemon's section of that name.
pub(crate) fn run(target: &Path, resolver: &str) -> Outcome<()> {
    let film = Film::make(&target.join("bench-media"), Rate::Low, 60)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let directory = scratch.path().join("site");
    fs::create_dir_all(directory.join("page"))?;
    for file in [&film.video, &film.audio] {
        symlink(file, format!("{}{}", directory.display(), path_of(file)))?;
    }
    let origin = HttpsOrigin::start(&directory, scratch.path())?;
    let line = DelayedLine::to(origin.upstream().addr(), ROUND_TRIP)?;
    let site = origin.upstream().behind(&line);
    let page = page(&Links::new(&site, &film), &film)?;
    let config = format!("{}\n{resolver}", site.config());
    let daemon = Server::ytcanal("ytcanal", Engine::Auto, ["", &config], scratch.path())?;

    let (mut unread, mut cached) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        fs::write(directory.join(format!("page/film{round}")), &page)?;
        let link = format!("{}/watch?v=film{round}", site.url());
        let target = format!("/download?url={}", utf8_percent_encode(&link, NON_ALPHANUMERIC));
        for bodies in [&mut unread, &mut cached] {
            compare::settle();
            let body = Body::start(Until::Media).read_http(daemon.addr(), &target)?;
            // The first round makes everything ready.
            if round > 0 {
                bodies.push(body);
            }
        }
    }
    println!("\na page link, round trip {} ms, median of {ROUNDS}:\n", ROUND_TRIP.as_millis());
    println!("| the page was | first byte, ms | of which for the page | for the media |");
    println!("|---|--:|--:|--:|");
    for (name, bodies) in [("not read before", unread), ("in the cache", cached)] {
        let first = |body: &Body| body.first_byte() * 1e3;
        let read = |body: &Body| body.resolved.unwrap_or(f64::NAN);
        let of = |figure: &dyn Fn(&Body) -> f64| Spread::of(bodies.iter().map(figure)).with_ends();
        let rest = of(&|body| first(body) - read(body));
        println!("| {name} | {} | {} | {rest} |", of(&first), of(&read));
    }
    Ok(())
}

/// What the plugin is told of any film: two formats, and where they are.
fn page(links: &Links, film: &Film) -> Outcome<String> {
    let format = |url: &str, file: &Path| -> Outcome<_> {
        Ok(serde_json::json!({ "url": url, "filesize": fs::metadata(file)?.len() }))
    };
    let formats = serde_json::json!({
        "134": format(&links.video, &film.video)?,
        "140-1": format(&links.audio, &film.audio)?,
    });
    let info = serde_json::json!({ "duration": film.minutes * 60 });
    Ok(serde_json::json!({ "formats": formats, "info": info }).to_string())
}
