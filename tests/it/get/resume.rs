//! A file that was begun is continued, unless it is another one by now.

use std::fs;

use super::{Shell, len};
use crate::support::barrier::Gate;
use crate::support::client::{ask, splice_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::{put_film, track_file};
use crate::support::number_from;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::signal;

/// The name is in the metadata, too.
const NAMED: [(&str, &str); 1] = [("name", "film")];

/// It is killed at ever later places, and never looks complete before it is.
#[test]
fn what_was_killed_is_continued() {
    let (origin, shell) = (Origin::start(), Shell::new());
    let [video, audio] = put_film(&origin);
    let daemon = Daemon::start(LOOPBACK);
    let expected = daemon.get(&splice_path(&video, &audio, &NAMED));
    let etag = expected.head.header("ETag").unwrap();
    let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let film = Resource::file(track_file("video")).ranges().etag("\"film\"");
    let mut places: Vec<u64> = (0..4).map(|_| random.u64(1..film.len())).collect();
    places.sort_unstable();
    let arguments = ["--video", &video, "--audio", &audio, "--name", "film"];
    for place in places {
        let gate = Gate::default();
        origin.put("video", film.clone().gate(place, &gate));
        let get = shell.start(&arguments);
        gate.reached();
        signal(get.0.id(), "KILL");
        let ran = get.ended();
        gate.open();
        assert_eq!(ran.status, None, "{place}: {ran:?}");
        assert!(!shell.path("film.mp4").exists(), "{place}");
        let part = fs::read(shell.path("film.mp4.part")).unwrap_or_default();
        assert!(expected.body.starts_with(&part), "killed at {place}: {} bytes", part.len());
        if !part.is_empty() {
            assert_eq!(shell.read("film.mp4.part.etag"), format!("{etag}\n").into_bytes());
        }
    }
    origin.put("video", film);
    let begun = len(&shell.path("film.mp4.part"));
    let ran = shell.get(&arguments);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert_eq!(ran.stderr.contains("continuing"), begun > 0, "{ran:?}");
    assert!(shell.read("film.mp4") == expected.body, "it is another file");
    assert_eq!(shell.files(), ["film.mp4"]);
    // The directories of those that were killed are swept by the next one.
    assert!(!shell.has_leftovers());
}

/// By every name that it can have, from every beginning that there can be.
#[test]
fn a_beginning_is_used_only_as_what_it_is() {
    let (origin, shell) = (Origin::start(), Shell::new());
    let [video, audio] = put_film(&origin);
    let daemon = Daemon::start(LOOPBACK);
    let path = splice_path(&video, &audio, &NAMED);
    let whole = daemon.get(&path).body;
    let etag = ask(daemon.address(), "HEAD", &path, "").head.header("ETag").unwrap().to_owned();
    let half = whole.len() / 2;
    let longer = [&whole[..], b"more"].concat();
    for (begun, its_etag, says) in [
        (&whole[..half], Some(etag.as_str()), "continuing"),
        (&whole[..1], Some(&etag), "continuing"),
        (&whole[..], Some(&etag), ""),
        (&longer[..], Some(&etag), "cannot be continued; beginning again"),
        (&whole[..half], Some("\"other\""), "is of another file; beginning again"),
        (b"garbage", None, "cannot be continued; beginning again"),
        (b"garbage", Some("garbage"), "cannot be continued; beginning again"),
        (b"", Some(&etag), ""),
    ] {
        for named in [true, false] {
            fs::write(shell.path("film.mp4.part"), begun).unwrap();
            let sidecar = shell.path("film.mp4.part.etag");
            match its_etag {
                Some(etag) => fs::write(sidecar, etag).unwrap(),
                None => drop(fs::remove_file(sidecar)),
            }
            let output: &[&str] = if named { &["-o", "film.mp4"] } else { &[] };
            let urls = ["--video", &video, "--audio", &audio, "--name", "film"];
            let ran = shell.get(&[&urls[..], output].concat());
            let what = format!("{} bytes of {its_etag:?}, named: {named}: {ran:?}", begun.len());
            assert_eq!(ran.status, Some(0), "{what}");
            assert!(ran.stderr.contains(says), "{what}");
            let talks = ["continu", "again"].iter().any(|word| ran.stderr.contains(word));
            assert_eq!(talks, !says.is_empty(), "{what}");
            assert!(shell.read("film.mp4") == whole, "{what}");
            assert_eq!(shell.files(), ["film.mp4"], "{what}");
            fs::remove_file(shell.path("film.mp4")).unwrap();
        }
    }
}
