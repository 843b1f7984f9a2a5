//! mpv and VLC with films in segments over a slow line: they play, know the duration, and seek.
//!
//! `make players` has an hour, and each player alone. How long a seek takes is printed (`--nocapture`); the
//! bound on it is there for hangs.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::client::{any_path, ask};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::hls::named;
use crate::support::mpv::Mpv;
use crate::support::origin::Origin;
use crate::support::segmented::SegmentedFilm;
use crate::support::vlc::Vlc;
use crate::support::{media, number_from};

/// Bytes a second that each connection to the origin brings.
const LINE: u64 = 1_000_000;
const FILMS: [&str; 4] =
    ["transport stream", "transport stream, apart", "fragments, apart", "fragments"];
/// A seek that takes longer was no seek but a download up to there.
const SEEK_AT_MOST: Duration = Duration::from_secs(20);

/// What a player did with a film: what it takes for its duration, and how long it took to begin, and to be at
/// each of the moments.
type Row = (f64, Vec<Duration>);
/// A player, with the film at this URL and moments in it.
type Play = fn(&str, &[f64]) -> Row;

fn with_mpv(url: &str, moments: &[f64]) -> Row {
    let mut mpv = Mpv::start();
    let mut took = vec![mpv.open(url)];
    mpv.assert_plays();
    for moment in moments {
        took.push(mpv.seek(*moment));
        mpv.assert_plays();
    }
    (mpv.duration(), took)
}

fn with_vlc(url: &str, moments: &[f64]) -> Row {
    let (vlc, begin) = Vlc::open(url);
    let mut took = vec![begin];
    vlc.assert_plays(0.0);
    for moment in moments {
        took.push(vlc.seek(*moment));
        vlc.assert_plays(*moment);
    }
    (vlc.duration(), took)
}

/// Lets both players play a film of this kind, made of this file, and go to these moments.
fn play(kind: &str, source: &Path, seconds: f64, moments: &[f64]) {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::of(named(kind), source);
    let url = film.put_with(&origin, "film", |_, resource| resource.pace(LINE));
    let path = any_path(Some(&url), None, &[("length", "wait")]);
    // The first request finds out how long all segments are.
    assert_eq!(ask(daemon.address(), "HEAD", &path, "").head.status, 200, "{kind}");
    let url = daemon.url(&path);
    let players: [(&str, Play); 2] = [("mpv", with_mpv), ("VLC", with_vlc)];
    for (player, plays) in players {
        let (duration, took) = plays(&url, moments);
        let times: Vec<_> =
            took.iter().map(|took| format!("{:.2} s", took.as_secs_f64())).collect();
        println!("| {kind} | {player} | {duration:.2} s | {} |", times.join(" | "));
        assert!((duration - seconds).abs() < 1.0, "{player}: {kind} lasts {duration} s");
        let longest = took[1..].iter().max().expect("it sought");
        assert!(*longest < SEEK_AT_MOST, "{player}: {kind}: a seek took {longest:?}");
    }
}

#[test]
fn players_seek_in_films_in_segments() {
    println!("| film | player | duration | begins | seeks ... |");
    println!("|---|---|---|---|---|");
    // None of the moments is at a key frame.
    if number_from("YTCANAL_PLAYERS").is_some() {
        let source = media::hour().finished();
        for kind in FILMS {
            play(kind, &source, 3600.0, &[1802.7, 3569.7, 899.6]);
        }
    } else {
        let source = media::five_minutes().finished();
        let source = source.as_path();
        thread::scope(|scope| {
            for kind in ["transport stream, apart", "fragments"] {
                scope.spawn(move || play(kind, source, 300.0, &[269.7]));
            }
        });
    }
}
