//! One download of the table.

use std::fmt;
use std::sync::OnceLock;

use super::LOOKS_WHOLE;
use super::scripts::{BeforeTheFirstByte, MOMENTS, Moment, PAGE, Script, scripts};
use crate::support::answer::Ending;
use crate::support::client::{any_path, get};
use crate::support::daemon::Daemon;
use crate::support::film::{TRACKS, track_file};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::test_ca::Certificate;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Engine {
    Pass,
    Splice,
    Ffmpeg,
}

pub(super) const ENGINES: [Engine; 3] = [Engine::Pass, Engine::Splice, Engine::Ffmpeg];

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::Pass => "pass",
            Engine::Splice => "splice",
            Engine::Ffmpeg => "ffmpeg",
        }
    }

    /// A healthy track as this engine is given it. Splice looks behind the media once if there is
    /// something, with a request that would meet the faults of a later moment; so there is nothing.
    fn track(self, track: &str) -> Resource {
        static BARE: OnceLock<[Resource; 2]> = OnceLock::new();
        let resource = if self == Engine::Splice {
            let bare = BARE.get_or_init(|| TRACKS.map(|track| Resource::bytes(bare(track))));
            bare[usize::from(track == "audio")].clone()
        } else {
            Resource::file(track_file(track))
        };
        resource.ranges().etag("\"1\"")
    }
}

/// A track of the minute without the index at its end (mfra, ISO/IEC 14496-12 §8.8.9), whose last
/// four bytes are its length.
fn bare(track: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(track_file(track)).unwrap();
    let index = u32::from_be_bytes(*bytes.last_chunk().unwrap());
    let end = bytes.len() - index as usize;
    assert_eq!(&bytes[end + 4..end + 8], b"mfra");
    bytes.truncate(end);
    bytes
}

/// An origin with healthy tracks, the scripts by which others fail, and what is to come of both.
pub(crate) struct Stage {
    origin: Origin,
    scripts: Vec<(&'static str, Script)>,
    /// By splice and by ffmpeg.
    joined: [Vec<u8>; 2],
    /// Shows a certificate that nobody trusts.
    _tls: Origin,
}

impl Stage {
    /// The daemon makes the files that are to come.
    pub(crate) fn new(daemon: &Daemon) -> Stage {
        let (origin, tls) =
            (Origin::start(), Origin::start_tls_with(Certificate::self_signed("127.0.0.1")));
        let untrusted = tls.put("v", Resource::file(track_file("video")));
        let scripts = scripts(&untrusted, &origin.put("login", Resource::bytes("").fault(PAGE)));
        for track in TRACKS {
            origin.put(&bare_name(track), Engine::Splice.track(track));
            origin.put(&good_name(track), Resource::file(track_file(track)));
        }
        let joined = [("splice", bare_name as fn(&str) -> String), ("ffmpeg", good_name)].map(
            |(engine, name)| {
                let [video, audio] = TRACKS.map(|track| origin.url(&name(track)));
                daemon.good(&any_path(Some(&video), Some(&audio), &[("engine", engine)])).body
            },
        );
        Stage { origin, scripts, joined, _tls: tls }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.scripts.iter().map(|(name, _)| *name)
    }

    /// All downloads of the table, row by row.
    pub(crate) fn cells(&self) -> Vec<Cell<'_>> {
        (0..self.scripts.len()).flat_map(|row| self.row(row)).collect()
    }

    /// The downloads of a row.
    pub(crate) fn row(&self, row: usize) -> Vec<Cell<'_>> {
        let mut cells = Vec::new();
        for engine in ENGINES {
            for moment in MOMENTS {
                for (track, lasting) in
                    TRACKS.into_iter().flat_map(|track| [(track, false), (track, true)])
                {
                    cells.push(Cell { stage: self, row, engine, track, moment, lasting });
                }
            }
        }
        cells
    }
}

/// One download of the table.
pub(crate) struct Cell<'a> {
    stage: &'a Stage,
    pub(super) row: usize,
    pub(super) engine: Engine,
    track: &'static str,
    pub(crate) moment: Moment,
    pub(super) lasting: bool,
}

/// What is asked for.
pub(crate) struct Media {
    pub(crate) video: Option<String>,
    pub(crate) audio: Option<String>,
    pub(crate) options: &'static [(&'static str, &'static str)],
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fault, _) = self.stage.scripts[self.row];
        let times = if self.lasting { "always" } else { "once" };
        let (engine, moment) = (self.engine.name(), self.moment.name());
        write!(f, "{fault} of {} by {engine}, {moment}, {times}", self.track)
    }
}

impl Cell<'_> {
    /// The faulty track; `None` where the fault makes no sense.
    pub(crate) fn resource(&self) -> Option<Resource> {
        let (_, script) = &self.stage.scripts[self.row];
        let healthy = self.engine.track(self.track);
        let len = healthy.len();
        script(healthy, self.moment, len, if self.lasting { usize::MAX } else { 1 })
    }

    /// The media with the faulty track.
    pub(crate) fn faulty(&self) -> Option<Media> {
        let place = format!(
            "{}-{}-{}-{}-{}",
            self.row, self.engine as u8, self.moment as u8, self.track, self.lasting
        );
        let url = self.stage.origin.put(&place, self.resource()?);
        Some(self.media(url))
    }

    /// The same without a fault.
    pub(crate) fn healthy(&self) -> Media {
        let place = format!("healthy-{}-{}", self.engine as u8, self.track);
        self.media(self.stage.origin.put(&place, self.engine.track(self.track)))
    }

    fn media(&self, url: String) -> Media {
        let is_video = self.track == "video";
        let other = if is_video { "audio" } else { "video" };
        let (other, options): (_, &[_]) = match self.engine {
            Engine::Splice => (Some(bare_name(other)), &[("engine", "splice")]),
            Engine::Ffmpeg => (Some(good_name(other)), &[("engine", "ffmpeg")]),
            Engine::Pass if is_video => (None, &[]),
            // Sound in fragments is made better than it is, unless it is named.
            Engine::Pass => (None, &[("container", "mp4")]),
        };
        let (url, other) = (Some(url), other.map(|name| self.stage.origin.url(&name)));
        let (video, audio) = if is_video { (url, other) } else { (other, url) };
        Media { video, audio, options }
    }

    /// Whether that is the file.
    pub(crate) fn is_whole(&self, body: &[u8]) -> bool {
        match self.engine {
            Engine::Pass => body == self.engine.track(self.track).read(),
            Engine::Splice => body == self.stage.joined[0],
            Engine::Ffmpeg => body == self.stage.joined[1],
        }
    }

    /// What the client of a daemon sees; `None` where the fault makes no sense.
    pub(super) fn download(&self, daemon: &Daemon) -> Option<String> {
        let Media { video, audio, options } = self.faulty()?;
        let answer = get(daemon.address(), &any_path(video.as_deref(), audio.as_deref(), options));
        Some(match (answer.head.status, answer.ending) {
            (200, Ending::Complete) if self.is_whole(&answer.body) => "same".into(),
            (200, Ending::Complete) => LOOKS_WHOLE.into(),
            // Whether the first joined byte is there by then is a matter of chance, but for splice,
            // which makes it by itself.
            (200, _) => "failed".into(),
            (_, _) if self.moment != BeforeTheFirstByte && self.engine != Engine::Splice => {
                "failed".into()
            }
            (status, _) => status.to_string(),
        })
    }
}

/// Where the healthy tracks for splice are.
fn bare_name(track: &str) -> String {
    format!("bare-{track}")
}

/// Where those for ffmpeg are.
fn good_name(track: &str) -> String {
    format!("good-{track}")
}
