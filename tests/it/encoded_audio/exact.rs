//! The lengths of encoded files are those that were promised, and any part of one is the same bytes.

use std::process::Command;

use serde_json::{Value, json};

use super::recipes::{self, Kind, Recipe};
use super::{Site, length, samples, served, stored};
use crate::support::answer::Ending;
use crate::support::client::ask;
use crate::support::curl::curl_command;
use crate::support::daemon::{Daemon, LOOPBACK, script};
use crate::support::{number_from, run};

/// A sample of the hundred, or all with `YTCANAL_ENCODED_AUDIO=1`, the three hours included.
#[test]
fn a_hundred_files_have_the_length_that_was_promised() {
    let all = number_from("YTCANAL_ENCODED_AUDIO").is_some();
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

/// What /info tells of each container is what the download is.
#[test]
fn information_tells_how_sound_is_made() {
    let site = Site::start();
    site.put("sound", served(&recipes::all()[0].source()), "aac", None);
    let link = site.path("sound", "").replace("/download?", "/info?").replace("&", "");
    let told: Value = serde_json::from_slice(&site.daemon.get(&link).body).unwrap();
    let rows = told["audio_containers"].as_array().unwrap();
    let expected = [
        ("m4a", "aac", true, "abr", Some(160)),
        ("mp3", "mp3", false, "cbr", Some(192)),
        ("opus", "opus", false, "vbr", Some(128)),
        ("ogg", "vorbis", false, "vbr", Some(192)),
        ("flac", "flac", false, "lossless", None),
        ("wav", "pcm", false, "lossless", None),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (container, codec, copied, mode, kbits)) in rows.iter().zip(expected) {
        let wanted = json!([container, codec, copied, mode, kbits]);
        let found = ["container", "codec", "copied", "mode", "bitrate"].map(|name| &row[name]);
        assert_eq!(json!(found), wanted);
        assert_eq!(row["bitrates"].as_array().unwrap().is_empty(), kbits.is_none());
        let answer = site.daemon.get(row["download"].as_str().unwrap());
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{row}");
        let directory = tempfile::tempdir().unwrap();
        let probed = super::probed(&stored(&answer, directory.path(), container));
        let name = probed["streams"][0]["codec_name"].as_str().unwrap();
        assert!(name.starts_with(codec), "{row}: {name}");
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

/// Another ffmpeg may encode otherwise.
#[test]
fn the_validator_is_that_of_the_encoder() {
    let site = Site::start();
    site.put("sound", served(&recipes::all()[0].source()), "aac", None);
    let ffmpeg = script(
        site.directory.path(),
        "case \"$*\" in -version) echo ffmpeg version other ;; *) exec ffmpeg \"$@\" ;; esac",
    );
    let command = site.directory.path().join("yt-dlp-stand-in");
    let other = Daemon::start(&format!(
        "{LOOPBACK}[resolver]\ncommand = {command:?}\nfork_server = false\n[muxer]\nffmpeg = {ffmpeg:?}\n"
    ));
    let path = site.path("sound", "container=wav");
    let head = |daemon: &Daemon| ask(daemon.address(), "HEAD", &path, "").head;
    let [own, others] = [&site.daemon, &other].map(head);
    assert_eq!(own.header("Content-Length"), others.header("Content-Length"));
    assert_ne!(own.header("ETag"), others.header("ETag"));
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
