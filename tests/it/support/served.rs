//! A video file at a URL of the daemon that must look like a static file there: of a known length,
//! resumable, seekable. It is asked for here and nowhere else.

use std::path::Path;

use super::client::{mux_path, splice_path};
use super::media::{Film, file_end};
use super::origin::Origin;
use super::resource::Resource;

/// The engines that can serve a video.
pub(crate) const WAYS: [Way; 2] = [Way::Lone, Way::Spliced];

/// How a video is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From one file that is passed through.
    Lone,
    /// From two that are joined without ffmpeg.
    Spliced,
}

impl Way {
    /// Puts the files on an origin, under a script, and returns the request for them.
    pub(crate) fn request(
        self,
        origin: &Origin,
        film: &Film,
        script: impl Fn(Resource) -> Resource,
    ) -> String {
        let put = |name: &str, file: &Path| {
            let resource = Resource::file(file).ranges().keep_alive().etag("\"film\"");
            origin.put(name, script(resource))
        };
        let name = ("name", "A film");
        match self {
            Self::Lone => mux_path(Some(&put("film", &film.finished())), None, &[name]),
            Self::Spliced => {
                let video = put("video", &film.tracks.video);
                let audio = put("audio", &film.tracks.audio);
                splice_path(&video, &audio, &[name])
            }
        }
    }

    /// When the video ends, in seconds.
    pub(crate) fn duration(self, film: &Film) -> f64 {
        match self {
            Self::Lone => file_end(&film.finished()),
            Self::Spliced => file_end(&film.tracks.video).max(file_end(&film.tracks.audio)),
        }
    }
}
