//! What is asked of the files: alone and in pairs, whole and in part.

use super::folder::Subject;
use super::probe::Kind;
use super::recipes::Nature;

/// A request; the tracks are numbers of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) video: Option<usize>,
    pub(super) audio: Option<usize>,
    pub(super) engine: &'static str,
    pub(super) container: &'static str,
    pub(super) start: Option<&'static str>,
    pub(super) end: Option<&'static str>,
}

/// How something is asked for: engine, container, start, end.
type How = (&'static str, &'static str, Option<&'static str>, Option<&'static str>);

const FEW_ALONE: [How; 2] = [("auto", "auto", None, None), ("auto", "mkv", None, None)];
const ALONE: [How; 3] = [
    ("auto", "auto", None, None),
    ("auto", "mkv", None, None),
    ("auto", "auto", Some("1.3"), Some("3.1")),
];
/// One of these for each file, in turn.
const IN_TURN: [How; 5] = [
    ("auto", "mp4", None, None),
    ("ffmpeg", "auto", None, None),
    ("auto", "webm", None, None),
    ("ffmpeg", "mkv", None, Some("2.5")),
    ("splice", "auto", None, None),
];
/// The first one stands for the rest where the files are of two families.
const PAIRED: [How; 2] = [("auto", "auto", None, None), ("auto", "auto", Some("1.3"), Some("3.1"))];
const WHOLE: How = ("auto", "auto", None, None);

/// The short form.
pub(super) fn few(subjects: &[Subject]) -> Vec<Ask> {
    asks(subjects, &FEW_ALONE, &[], &[&PAIRED])
}

/// All of it.
pub(super) fn many(subjects: &[Subject]) -> Vec<Ask> {
    asks(subjects, &ALONE, &IN_TURN, &[&PAIRED, &PAIRED[..1]])
}

/// Each file alone, and beside one of each family that there are ways for.
fn asks(subjects: &[Subject], alone: &[How], in_turn: &[How], paired: &[&[How]]) -> Vec<Ask> {
    let mut asks = Vec::new();
    for (number, subject) in subjects.iter().enumerate() {
        let has = |kind| subject.probe.first(kind).is_some();
        // Who cannot tell what is in a file may take it for anything.
        let unknown = subject.probe.tracks.is_empty();
        for kind in [Kind::Video, Kind::Audio] {
            if !has(kind) && !unknown {
                continue;
            }
            let is_lost = matches!(subject.nature, Nature::Junk | Nature::Unread);
            let ways = if is_lost { &alone[..1] } else { alone };
            let turn = in_turn.get(number % in_turn.len().max(1));
            let ways = ways.iter().chain(turn);
            asks.extend(ways.map(|how| Ask::of(kind, number, None, *how)));
            if is_lost {
                continue;
            }
            for (other, ways) in partners_of(subjects, number, kind).zip(paired) {
                asks.extend(ways.iter().map(|how| Ask::of(kind, number, Some(other), *how)));
            }
        }
    }
    asks.dedup();
    asks
}

/// Whose other track may go with it: first one of its family, then one of another. Each file has
/// others, so that all kinds meet.
fn partners_of(
    subjects: &[Subject],
    number: usize,
    kind: Kind,
) -> impl Iterator<Item = usize> + use<> {
    let other = if kind == Kind::Video { Kind::Audio } else { Kind::Video };
    let fits = |candidate: &Subject, same_family: bool| {
        candidate.nature.is_good()
            && candidate.probe.count(other) == 1
            && candidate.probe.tracks.len() == 1
            && (candidate.family == subjects[number].family) == same_family
    };
    let pick = |same_family| {
        let fitting: Vec<usize> =
            (0..subjects.len()).filter(|at| fits(&subjects[*at], same_family)).collect();
        (!fitting.is_empty()).then(|| fitting[number * 7 % fitting.len()])
    };
    [pick(true), pick(false)].into_iter().flatten()
}

impl Ask {
    fn of(kind: Kind, number: usize, partner: Option<usize>, how: How) -> Self {
        let (engine, container, start, end) = how;
        let (video, audio) = match kind {
            Kind::Video => (Some(number), partner),
            Kind::Audio => (partner, Some(number)),
        };
        Self { video, audio, engine, container, start, end }
    }

    /// Whether all of the film is asked for.
    pub(super) fn is_whole(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// The plainest way of asking for these files.
    pub(super) fn is_plain(&self) -> bool {
        (self.engine, self.container, self.start, self.end) == WHOLE
    }

    /// The files, the video first.
    pub(super) fn files(&self) -> impl Iterator<Item = usize> + use<> {
        self.video.into_iter().chain(self.audio)
    }

    /// The parameters, beside the URLs.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &'static str)> {
        let trim = [("start", self.start), ("end", self.end)];
        let trim = trim.into_iter().filter_map(|(name, value)| Some((name, value?)));
        [("engine", self.engine), ("container", self.container)].into_iter().chain(trim).collect()
    }

    /// As a person would say it.
    pub(super) fn describe(&self, subjects: &[Subject]) -> String {
        let track = |name: &str, number: Option<usize>| {
            number.map(|number| format!("{name}={}", subjects[number].name))
        };
        let tracks = [track("video", self.video), track("audio", self.audio)];
        let settings = self.parameters().into_iter().filter(|(_, value)| *value != "auto");
        let settings = settings.map(|(name, value)| format!("{name}={value}"));
        tracks.into_iter().flatten().chain(settings).collect::<Vec<_>>().join(" ")
    }
}
