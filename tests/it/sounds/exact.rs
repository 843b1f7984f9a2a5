//! The lengths of encoded files are those that were promised, and any part of one is the same bytes.

use std::process::Command;

use super::recipes::{self, Kind, Recipe};
use super::{Site, length, samples, served, stored};
use crate::support::answer::Ending;
use crate::support::curl::curl_command;
use crate::support::{number_from, run};

/// A sample of the hundred, or all with `YTCANAL_SOUNDS=1`, the three hours included.
#[test]
fn a_hundred_sounds_have_the_length_that_was_promised() {
    let all = number_from("YTCANAL_SOUNDS").is_some();
    let recipes = recipes::all();
    let site = Site::start();
    for (number, recipe) in recipes.iter().enumerate() {
        if all || number < 12 {
            check(&site, number, recipe);
        }
    }
}

fn check(site: &Site, number: usize, recipe: &Recipe) {
    let (name, parameters) = (format!("sound{number}"), recipe.parameters());
    let what = format!("{number}: {recipe:?}");
    let source = recipe.source();
    site.put(&name, served(&source), recipe.codec(), None);
    let head = site.head(&name, &parameters);
    assert_eq!(head.head.status, 200, "{what}: {}", head.text());
    let promised = length(&head).unwrap_or_else(|| panic!("{what}: no length"));
    let etag = head.head.header("ETag").expect("an ETag").to_owned();
    let answer = site.good(&name, &parameters);
    assert_eq!((answer.body.len() as u64, length(&answer)), (promised, Some(promised)), "{what}");
    assert_eq!(answer.head.header("ETag"), Some(&*etag), "{what}");
    check_samples(recipe, &source, &answer.body, &what);
    // A resumed download, and a part from the middle.
    let len = answer.body.len();
    for (from, to) in [(len / 3, len), (len / 2, len / 2 + 1000.min(len / 4)), (0, 10)] {
        let range = format!("Range: bytes={from}-{}\r\nIf-Range: {etag}\r\n", to - 1);
        let part = site.part(&name, &parameters, &range);
        assert_eq!((part.head.status, part.ending), (206, Ending::Complete), "{what}");
        assert!(part.body == answer.body[from..to], "{what}: the bytes from {from} on differ");
    }
}

/// Makes sure that the file has the samples that were requested.
fn check_samples(recipe: &Recipe, source: &std::path::Path, body: &[u8], what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let extension = if recipe.kbits.is_some() { "mp3" } else { "wav" };
    let file = directory.path().join(format!("sound.{extension}"));
    std::fs::write(&file, body).unwrap();
    let width = 2 * u64::from(recipe.channels);
    let decoded = samples(&file, recipe.channels);
    let count = decoded.len() as u64 / width;
    let requested = recipe.requested();
    // A fragmented file without an edit list presents what its encoder put in front, too.
    let is_padded =
        matches!(recipe.kind, Kind::AacFragments | Kind::OpusFragments | Kind::AacOfFilm);
    let expected = requested.end - requested.start;
    let probed = super::probed(&file);
    let rate: u64 = probed["streams"][0]["sample_rate"].as_str().unwrap().parse().unwrap();
    let expected = expected * rate / u64::from(recipe.rate);
    let slack = if is_padded { 3 * 2048 } else { 0 };
    assert!(
        count >= expected && count <= expected + slack,
        "{what}: {count} samples of {expected}"
    );
    let is_lossless = matches!(recipe.kind, Kind::Flac | Kind::FlacMp4 | Kind::Alac);
    if recipe.kbits.is_none() && is_lossless {
        let all = samples(source, recipe.channels);
        let [from, to] = [requested.start, requested.end].map(|at| (at * width) as usize);
        assert!(decoded == all[from..to], "{what}: the samples differ");
    }
}

/// As who was interrupted does.
#[test]
fn curl_resumes_an_encoded_file() {
    let site = Site::start();
    let recipe = &recipes::all()[0];
    site.put("sound", served(&recipe.source()), "aac", None);
    for parameters in ["container=mp3", "container=wav&start=0.5"] {
        let complete = site.good("sound", parameters).body;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sound");
        for cut in [1, complete.len() / 2, complete.len() - 1] {
            std::fs::write(&file, &complete[..cut]).unwrap();
            let url = site.daemon.url(&site.path("sound", parameters));
            let output = run(curl_command(&file).args(["-C", "-", &url]));
            assert!(output.status.success(), "{parameters} at {cut}");
            assert!(std::fs::read(&file).unwrap() == complete, "{parameters} at {cut}");
        }
    }
}

#[test]
fn preconditions_are_those_of_a_static_file() {
    let site = Site::start();
    let recipe = &recipes::all()[1];
    site.put("sound", served(&recipe.source()), "aac", None);
    let parameters = "container=mp3&bitrate=64";
    let head = site.head("sound", parameters);
    let etag = head.head.header("ETag").unwrap();
    let status = |fields: &str| site.part("sound", parameters, fields).head.status;
    assert_eq!(status(&format!("If-None-Match: {etag}\r\n")), 304);
    assert_eq!(status("If-Match: \"other\"\r\n"), 412);
    assert_eq!(status("Range: bytes=999999999-\r\n"), 416);
    assert_eq!(status("Range: bytes=0-9\r\nIf-Range: \"other\"\r\n"), 200);
    assert_eq!(status(&format!("Range: bytes=0-9\r\nIf-Range: {etag}\r\n")), 206);
    // Whatever changes the bytes changes the validator.
    for other in ["container=mp3&bitrate=80", "container=mp3&bitrate=64&end=1", "container=wav"] {
        let head = site.head("sound", other);
        assert_ne!(head.head.header("ETag"), Some(etag), "{other}");
    }
    // Nobody counts samples for engine=ffmpeg.
    let plain = site.good("sound", "container=mp3&engine=ffmpeg");
    assert_eq!((length(&plain), plain.head.header("Accept-Ranges")), (None, Some("none")));
}

/// An encoded file in an archive has its length there, too.
#[test]
fn an_encoded_file_goes_into_a_tar() {
    let site = Site::start();
    let recipe = &recipes::all()[0];
    site.put("sound", served(&recipe.source()), "aac", None);
    let alone = site.good("sound", "container=mp3").body;
    let archive = site.good("sound", "container=mp3&as=tar");
    assert_eq!(length(&archive), Some(archive.body.len() as u64));
    let directory = tempfile::tempdir().unwrap();
    let file = stored(&archive, directory.path(), "tar");
    let output = run(Command::new("tar").arg("-xOf").arg(&file));
    assert!(output.stdout == alone, "the file in the archive differs");
}
