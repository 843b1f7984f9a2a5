//! The minute with one of its tracks replaced: the request that most fault tests make.

use std::path::Path;

use super::answer::Ending;
use super::client::mux_path;
use super::daemon::Daemon;
use super::media;
use super::origin::Origin;
use super::resource::Resource;

/// The tracks by their parameter names.
pub(crate) const TRACKS: [&str; 2] = ["video", "audio"];

/// The request for a minute whose `track` comes from `faulty`, the other one being healthy.
pub(crate) fn request(origin: &Origin, track: &str, faulty: &str) -> String {
    let pair = media::minute();
    if track == "video" {
        let audio = origin.put("good-audio", Resource::file(&pair.audio));
        mux_path(Some(faulty), Some(&audio), &[])
    } else {
        let video = origin.put("good-video", Resource::file(&pair.video));
        mux_path(Some(&video), Some(faulty), &[])
    }
}

/// The file of a track of the minute.
pub(crate) fn track_file(track: &str) -> &'static Path {
    let pair = media::minute();
    if track == "video" { &pair.video } else { &pair.audio }
}

/// Puts both tracks of the minute on an origin that does ranges; says their URLs.
pub(crate) fn put_film(origin: &Origin) -> [String; 2] {
    TRACKS.map(|track| {
        let file = Resource::file(track_file(track));
        origin.put(track, file.ranges().keep_alive().etag("\"film\""))
    })
}

/// The whole body of a download that came to its good end.
pub(crate) fn download(daemon: &Daemon, video: Option<&str>, audio: Option<&str>) -> Vec<u8> {
    let answer = daemon.get(&mux_path(video, audio, &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    answer.body
}
