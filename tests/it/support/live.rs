//! Live playlists (HLS), as they grow from one request to the next.

use super::origin::Origin;
use super::resource::{Fault, Resource};
use super::segmented::SegmentedFilm;

/// The segments of a playlist that a live stream announces one after the other.
#[derive(Clone)]
pub(crate) struct LiveList {
    /// The lines before the first segment, the initialisation segment among them.
    head: Vec<String>,
    pub(crate) segments: Vec<LiveSegment>,
    /// What the playlist says, in seconds.
    pub(crate) target: &'static str,
}

/// The lines of a segment.
#[derive(Clone)]
pub(crate) struct LiveSegment {
    /// The lines that hold until the next such ones: key and initialisation segment.
    pub(crate) state: Vec<String>,
    /// The lines of the segment alone, its URI last.
    pub(crate) lines: Vec<String>,
}

/// A state of a live playlist: from this segment to before that one, and whether it has ended.
pub(crate) type Window = (usize, usize, bool);

impl LiveList {
    /// Takes the segments of a playlist of a film.
    pub(crate) fn of(film: &SegmentedFilm, playlist: &str) -> LiveList {
        let text = film.text(playlist);
        let (mut head, mut segments): (Vec<String>, Vec<LiveSegment>) = (Vec::new(), Vec::new());
        let (mut state, mut lines) = (Vec::new(), Vec::new());
        for line in text.lines().map(str::to_owned) {
            let is = |tags: &[&str]| tags.iter().any(|tag| line.starts_with(tag));
            if is(&["#EXT-X-KEY", "#EXT-X-MAP"]) {
                state.push(line);
            } else if is(&["#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY"]) {
                lines.push(line);
            } else if !line.starts_with('#') {
                lines.push(line);
                let lines = std::mem::take(&mut lines);
                segments.push(LiveSegment { state: state.clone(), lines });
            } else if is(&["#EXTM3U", "#EXT-X-VERSION"]) {
                head.push(line);
            }
        }
        LiveList { head, segments, target: "0.5" }
    }

    /// The playlist in one of its states.
    pub(crate) fn text(&self, (first, end, is_over): Window) -> String {
        let mut lines = self.head.clone();
        lines.push(format!("#EXT-X-TARGETDURATION:{}", self.target));
        lines.push(format!("#EXT-X-MEDIA-SEQUENCE:{first}"));
        let mut state: &[String] = &[];
        for segment in &self.segments[first..end] {
            if segment.state != state {
                lines.extend_from_slice(&segment.state);
                state = &segment.state;
            }
            lines.extend_from_slice(&segment.lines);
        }
        lines.extend(is_over.then(|| "#EXT-X-ENDLIST".to_owned()));
        lines.join("\n") + "\n"
    }

    /// Puts the playlist on an origin: each request finds the next state, the last one for ever.
    pub(crate) fn put(&self, origin: &Origin, path: &str, windows: &[Window]) -> String {
        let states = windows.iter().map(|window| playlist(self.text(*window)));
        origin.put(path, chain(states.collect()))
    }
}

/// A playlist with this text.
pub(crate) fn playlist(text: String) -> Resource {
    Resource::bytes(text).keep_alive()
}

/// A resource that is another one at each request.
pub(crate) fn chain(states: Vec<Resource>) -> Resource {
    let mut states = states.into_iter().rev();
    let last = states.next().expect("there is a state");
    states.fold(last, |next, state| state.becomes(next, 1))
}

/// An answer with this status, once, before what is there at last.
pub(crate) fn status(status: u16) -> Resource {
    Resource::bytes("").keep_alive().fault(Fault::Status(status, Vec::new()))
}
