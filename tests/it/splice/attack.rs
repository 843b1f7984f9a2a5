//! Splice under attack: by its clients, by its origins, and by what changes behind its back.

mod clients;
mod economy;
mod origins;
mod plans;

use std::path::Path;

use crate::support::answer::{Answer, Ending};
use crate::support::client::{ask, splice_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::{TRACKS, track_file};
use crate::support::media::Pair;
use crate::support::origin::Origin;
use crate::support::request_range;
use crate::support::resource::Resource;

const ONE: &str = "\"1\"";
const TWO: &str = "\"2\"";

/// An origin with the minute on it, and a daemon.
struct TestSetup {
    origin: Origin,
    daemon: Daemon,
    path: String,
}

impl TestSetup {
    fn new() -> Self {
        Self::with(LOOPBACK)
    }

    fn with(config: &str) -> Self {
        Self::of(config, |track| healthy(track).etag(ONE))
    }

    fn of(config: &str, resource: impl Fn(&str) -> Resource) -> Self {
        let (origin, daemon) = (Origin::start(), Daemon::start(config));
        let [video, audio] = TRACKS.map(|track| origin.put(track, resource(track)));
        Self { origin, daemon, path: splice_path(&video, &audio, &[]) }
    }

    /// Of a longer film, which is not over before its client has left.
    fn of_film(config: &str, Pair { video, audio }: &Pair) -> Self {
        let file = |path: &Path| Resource::file(path).ranges().keep_alive().etag(ONE);
        Self::of(config, |track| file(if track == "video" { video } else { audio }))
    }

    fn ask(&self, method: &str, fields: &str) -> Answer {
        ask(self.daemon.address(), method, &self.path, fields)
    }

    /// Puts the minute there again as it was.
    fn restore(&self) {
        for track in TRACKS {
            self.origin.put(track, healthy(track).etag(ONE));
        }
    }

    /// All of the film.
    fn whole(&self) -> Answer {
        let answer = self.ask("GET", "");
        assert_eq!(
            (answer.head.status, answer.ending),
            (200, Ending::Complete),
            "{}",
            answer.code()
        );
        answer
    }

    fn etag(&self) -> String {
        header(&self.ask("HEAD", ""), "ETag")
    }

    /// What the origin was asked for while this was done: the track, and the bytes of it.
    fn asked_during(&self, act: impl FnOnce()) -> Vec<(String, std::ops::Range<u64>)> {
        let before = self.origin.requests().len();
        act();
        let requests = self.origin.requests().split_off(before);
        requests.iter().map(|request| (request.path.clone(), request_range(request))).collect()
    }
}

/// A track of the minute on an origin that does ranges.
fn healthy(track: &str) -> Resource {
    Resource::file(track_file(track)).ranges().keep_alive()
}

/// The same with one box more behind its media, which must be looked at: what is there otherwise is as
/// long as an index would be, and is seen in passing.
fn with_more(track: &str) -> Resource {
    let free = [0, 0, 0, 9, b'f', b'r', b'e', b'e', 0];
    Resource::bytes([healthy(track).read(), free.to_vec()].concat()).ranges().keep_alive()
}

fn header(answer: &Answer, name: &str) -> String {
    answer.head.header(name).unwrap_or_default().to_owned()
}
