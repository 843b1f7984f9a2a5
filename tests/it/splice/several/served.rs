//! Several audio files over HTTP: `/mux` with `audio` more than once.

use super::*;
use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, any_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::hls::named;
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;

fn put(origin: &Origin, name: &str, file: &Path) -> String {
    origin.put(name, Resource::file(file).ranges().keep_alive().etag("\"1\""))
}

fn downloaded(daemon: &Daemon, path: &str) -> (tempfile::TempDir, PathBuf) {
    let answer = daemon.get(path);
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("joined.mp4");
    std::fs::write(&file, &answer.body).unwrap();
    (directory, file)
}

#[test]
fn several_urls_are_several_tracks() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    for coding in [FRAGMENTED, PROGRESSIVE] {
        let (video, audios) = sources(coding);
        let place = |name: &str| format!("{}-{name}", coding.name);
        let video_url = put(&origin, &place("v"), &video);
        let urls = [0, 1, 2].map(|n| put(&origin, &place(&n.to_string()), &audios[n]));
        for engine in ["splice", "ffmpeg"] {
            let tracks = urls.iter().map(|url| ("audio", &**url));
            let more: Vec<_> = tracks.chain([("lang", "en,,fr-CA"), ("engine", engine)]).collect();
            let (_directory, file) = downloaded(&daemon, &any_path(Some(&video_url), None, &more));
            let what = format!("{} {engine}", coding.name);
            let expected = [("eng", true), ("und", false), ("fra", false)];
            assert_eq!(
                listed(&file),
                expected.map(|(code, first)| Listed::new(code, "", first)),
                "{what}"
            );
            for (number, audio) in audios.iter().enumerate() {
                let found = packets(&file, &format!("a:{number}"));
                assert_same(&packets(audio, "a"), &found, Exactness::Millisecond, &what);
            }
        }
    }
}

/// The audio that a playlist has beside its video is not that which was requested.
#[test]
fn a_master_playlist_gives_the_track_that_was_requested_of_it() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::new(named("fragments, apart"));
    let video = film.put(&origin, "film");
    let audio = tongue(FRAGMENTED, 4, 20);
    let audio_url = put(&origin, "a", &audio);
    let (_directory, file) = downloaded(&daemon, &any_path(Some(&video), Some(&audio_url), &[]));
    assert_eq!(listed(&file).len(), 1);
    assert_same(&packets(&audio, "a"), &packets(&file, "a"), Exactness::Millisecond, "the audio");
}

/// A permit is for two tracks.
#[test]
fn many_tracks_take_many_permits() {
    let (origin, gate) = (Origin::start(), Gate::default());
    let limits = "[limits]\nstreams = 2\nstreams_per_client = 8\nslot_timeout = \"0s\"\n";
    let daemon = Daemon::start(&format!("{LOOPBACK}{limits}"));
    let (video, audios) = sources(FRAGMENTED);
    let held = Resource::file(&video).ranges();
    let half = held.len() / 2;
    let held = origin.put("held", held.gate(half, &gate));
    let urls = [0, 1].map(|n| put(&origin, &n.to_string(), &audios[n]));
    let three: Vec<_> = urls.iter().map(|url| ("audio", &**url)).collect();
    let mut client = Client::get(daemon.address(), &any_path(Some(&held), None, &three));
    client.first_byte();
    let refused = daemon.get(&any_path(Some(&put(&origin, "v", &video)), None, &[]));
    assert_eq!((refused.head.status, &*refused.code()), (503, "streams-full"));
    gate.open();
    drop(client);
}
