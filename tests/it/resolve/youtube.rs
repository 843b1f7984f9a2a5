//! A link of YouTube's, all the way: yt-dlp's own extractor and solver with the real deno, under the
//! daemon's limits, and media whose URLs are only right when a script of the player's size has run.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::answer::Ending;
use crate::support::daemon::{Daemon, LOOPBACK, Setup};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::names::Names;
use crate::support::origin::Request;
use crate::support::youtube::Youtube;
use crate::support::ytdlp::{self, WAYS, download_path, file};

/// A daemon that reads the site's links; `more` as for `ytdlp::daemon`. It is confined as by the unit:
/// no home, no place for caches but its own, and only the system calls that it may use there.
fn daemon(site: &Youtube, names: &Names, more: &str) -> Daemon {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let confined = ["tests/system/sandbox.py", "systemd/ytcanal.service"]
        .map(|file| place.join(file).display().to_string());
    let arguments = ["--extractor-args", &site.argument()];
    let setup = Setup {
        // In parts of which there are some even in a short film.
        config: ytdlp::config(
            &arguments,
            // A script of this size takes seconds, and on a busy machine many.
            &format!("extractors = [\"youtube.*\"]\ntimeout = \"3m\"\n{more}"),
        )
        .replace(LOOPBACK, &format!("{LOOPBACK}chunk = \"512KiB\"\n")),
        environment: names.environment(),
        through: ["python3".to_owned()].into_iter().chain(confined).collect(),
        ..Setup::default()
    };
    Daemon::start_with(&setup)
}

#[test]
fn the_riddles_are_solved_in_either_way() {
    for way in WAYS {
        let site = Youtube::start(|_| ());
        let (page_url, names) = Youtube::page_url();
        let daemon = daemon(&site, &names, way);
        let path = download_path(&page_url, &[("quality", "1080"), ("engine", "splice")]);
        let answer = daemon.get(&path);
        assert_eq!(answer.head.status, 200, "{way}: {}", answer.text());
        assert_eq!(answer.ending, Ending::Complete, "{way}");
        let media = site.media_requests();
        assert!(media.len() >= 2, "{way}: {media:?}");
        let directory = tempfile::tempdir().unwrap();
        let film = directory.path().join("film");
        std::fs::write(&film, &answer.body).unwrap();
        for (stream, format) in [("v", "137"), ("a", "140-1")] {
            let of = |file| packets(file, stream);
            assert_same(&of(file(format)), &of(&film), Exactness::Millisecond, way);
        }
        // What deno keeps is where everything else is, and goes with it.
        let kept = walk(daemon.runtime_dir());
        assert!(kept.iter().any(|file| file.contains("/deno/")), "{way}: {kept:?}");
    }
}

/// The page is read again in mid-download: the riddles are others, and the file is the same.
#[test]
fn what_is_refused_in_the_middle_is_read_anew() {
    let (page_url, names) = Youtube::page_url();
    let path = download_path(&page_url, &[("quality", "1080"), ("engine", "splice")]);
    let [undisturbed, refused] = [Youtube::start(|_| ()), Youtube::expiring(3)].map(|site| {
        let daemon = daemon(&site, &names, "");
        let answer = daemon.get(&path);
        assert_eq!(answer.ending, Ending::Complete, "{}", answer.text());
        let later = |request: &&Request| request.path.starts_with("/later/");
        (answer.body, site.media_requests().iter().filter(later).count())
    });
    assert!(refused.0 == undisturbed.0, "it is another file");
    assert!(refused.1 > 0 && undisturbed.1 == 0, "{} and {}", refused.1, undisturbed.1);
}

/// Before a film there may be an advertisement, and its media are refused until that could be skipped.
#[test]
fn media_are_not_asked_for_before_they_are_there() {
    const SECONDS: u64 = 15;
    let site = Youtube::start(|answer| {
        let config = json!({ "adPlacementConfig": { "kind": "AD_PLACEMENT_KIND_START" } });
        let renderer = json!({ "playerVars": format!("length_seconds={SECONDS}") });
        answer["adPlacements"] = json!([{ "adPlacementRenderer": {
            "config": config, "renderer": { "instreamVideoAdRenderer": renderer } } }]);
    });
    let (page_url, names) = Youtube::page_url();
    let daemon = daemon(&site, &names, "");
    let begun = Instant::now();
    let answer = daemon.get(&download_path(&page_url, &[("quality", "1080")]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    // The API was asked later than this test began.
    assert!(begun.elapsed() >= Duration::from_secs(SECONDS), "{:?}", begun.elapsed());
    assert!(!site.media_requests().is_empty());
}

/// Without a runtime the film cannot be had, and it is said what is missing.
#[test]
fn without_a_runtime_there_is_no_film() {
    let site = Youtube::start(|_| ());
    let (page_url, names) = Youtube::page_url();
    let setup = Setup {
        config: ytdlp::config(
            &["--extractor-args", &site.argument(), "--no-js-runtimes"],
            "extractors = [\"youtube.*\"]\ntimeout = \"3m\"\n",
        ),
        environment: names.environment(),
        ..Setup::default()
    };
    let answer = Daemon::start_with(&setup).get(&download_path(&page_url, &[]));
    let found = (answer.head.status, answer.code());
    assert_eq!(found, (500, "resolver-missing".into()), "{}", answer.text());
    assert!(site.media_requests().is_empty());
}

/// So it is where the site gives its media to its own player only.
#[test]
fn formats_without_a_url_are_none() {
    let site = Youtube::start(|answer| {
        for format in answer["streamingData"]["adaptiveFormats"].as_array_mut().unwrap() {
            format.as_object_mut().unwrap().remove("signatureCipher");
        }
    });
    let (page_url, names) = Youtube::page_url();
    let answer = daemon(&site, &names, "").get(&download_path(&page_url, &[]));
    let found = (answer.head.status, answer.code());
    assert_eq!(found, (502, "extractor-broken".into()), "{}", answer.text());
}

/// docs/youtube.md names a test for each part of the way.
#[test]
fn the_tests_that_the_documentation_names_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/youtube.md")).unwrap();
    let mut rows = 0;
    for tests in text.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| ")) {
        for name in tests.1.split("`").skip(1).step_by(2).filter(|name| name.contains("::")) {
            let (place, function) = name.rsplit_once("::").unwrap();
            let place = place.replace("::", "/");
            let files = ["tests/it", "src"].map(|part| root.join(part).join(&place));
            let texts = files.iter().flat_map(|file| {
                let own = std::fs::read_to_string(file.with_extension("rs"));
                [own, std::fs::read_to_string(file.join("tests.rs"))].into_iter().flatten()
            });
            let is_there = |text: String| text.contains(&format!("fn {function}()"));
            assert!(texts.into_iter().any(is_there), "there is no {name}");
            rows += 1;
        }
    }
    assert!(rows > 20, "{rows}");
}

fn walk(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path()),
            _ => vec![entry.path().display().to_string()],
        })
        .collect()
}
