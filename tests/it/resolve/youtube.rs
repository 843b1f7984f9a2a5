//! A link of YouTube's, all the way: yt-dlp's own extractor and solver with the real deno, under the
//! daemon's limits, and media whose URLs are only right when a script of the player's size has run.

use crate::support::answer::Ending;
use crate::support::daemon::{Daemon, Setup};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::names::Names;
use crate::support::youtube::Youtube;
use crate::support::ytdlp::{self, WAYS, download_path, file};

/// A daemon that reads the site's links; `more` as for `ytdlp::daemon`.
fn daemon(site: &Youtube, names: &Names, more: &str) -> Daemon {
    let setup = Setup {
        config: ytdlp::config(
            &["--extractor-args", &site.argument()],
            // A script of this size takes seconds, and on a busy machine many.
            &format!("extractors = [\"youtube.*\"]\ntimeout = \"3m\"\n{more}"),
        ),
        environment: names.environment(),
        // As a service has it: no home, and no place for caches but the daemon's own.
        through: ["env", "-u", "HOME", "-u", "XDG_CACHE_HOME", "-u", "DENO_DIR"]
            .map(str::to_owned)
            .into(),
        ..Setup::default()
    };
    Daemon::start_with(&setup)
}

#[test]
fn the_riddles_are_solved_in_either_way() {
    for way in WAYS {
        let site = Youtube::start(|_| ());
        let (link, names) = Youtube::link();
        let daemon = daemon(&site, &names, way);
        let path = download_path(&link, &[("quality", "1080"), ("engine", "splice")]);
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

fn walk(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path()),
            _ => vec![entry.path().display().to_string()],
        })
        .collect()
}
