//! Asks the daemon, and looks at what comes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use tempfile::{NamedTempFile, TempDir};

use super::ask::Ask;
use super::baseline::Baselines;
use super::folder::{Subject, abreast};
use super::judge::{self, Form, Matched};
use super::probe::{self, Kind, Probe};
use super::recipes::Nature;
use super::{ranges, refusals};
use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::daemon::Daemon;
use crate::support::origin::Origin;
use crate::support::resource::Resource;

const CONFIG: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 64\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\n";
/// Formats whose packets have another form in another container.
const OWN_FORMS: [&str; 6] = ["aac", "mpegts", "avi", "h264", "hevc", "loas"];
/// What was asked for and what could be cut differ by this many seconds.
const CUT: f64 = 0.1;
/// So many packets are decoded before one that is shown first.
const REORDERED: f64 = 3.0;
/// What decoders say where a film is cut at a key frame that earlier pictures lean on, too.
const OPEN_GOP: [&str; 4] = ["mmco", "reference", "co located", "ref with POC"];

/// What came of a request.
pub(super) struct Outcome {
    pub(super) ask: Ask,
    /// What made the file, or nothing.
    pub(super) engine: String,
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) detail: String,
    /// Why a refusal is right.
    pub(super) accepted: Option<&'static str>,
    /// What is wrong.
    pub(super) faults: Vec<String>,
    /// What is wrong in the same way with what ffmpeg makes of these files by itself.
    pub(super) shared: Vec<String>,
}

/// The daemon, the origin with all files, and what is known of files that came.
pub(super) struct TestSetup<'a> {
    subjects: &'a [Subject],
    seed: u64,
    origin: Origin,
    daemon: Daemon,
    baselines: Baselines,
    folder: TempDir,
    /// What was wrong with a body of this hash, in answer to such a request: many are the same.
    judged: Mutex<HashMap<u64, Vec<String>>>,
    /// What decoders complain of in the files themselves.
    complaints: Mutex<HashMap<usize, usize>>,
    /// Whether the files say how long they are.
    durations: Mutex<HashMap<usize, bool>>,
}

impl<'a> TestSetup<'a> {
    pub(super) fn new(subjects: &'a [Subject], seed: u64) -> Self {
        let (origin, daemon) = (Origin::start(), Daemon::start(CONFIG));
        let folder = tempfile::tempdir().unwrap();
        for (number, subject) in subjects.iter().enumerate() {
            let resource = Resource::file(&subject.path).ranges().etag("\"1\"").keep_alive();
            origin.put(&number.to_string(), resource);
        }
        Self {
            subjects,
            seed,
            origin,
            daemon,
            baselines: Baselines::in_folder(folder.path()),
            folder,
            judged: Mutex::default(),
            complaints: Mutex::default(),
            durations: Mutex::default(),
        }
    }

    /// All outcomes, in the order of what was asked.
    pub(super) fn run(&self, asks: &[Ask]) -> Vec<Outcome> {
        abreast(asks, |ask| {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.outcome(*ask)));
            self.said(outcome.unwrap_or_else(|panic| {
                let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                let mut outcome = Outcome::of(*ask);
                outcome.faults.push(format!("the test itself failed: {what}"));
                outcome
            }))
        })
    }

    /// Says what is wrong as soon as it is found, for a run may be long.
    fn said(&self, outcome: Outcome) -> Outcome {
        let asked = outcome.ask.describe(self.subjects);
        outcome.faults.iter().for_each(|fault| println!("{asked}: {fault}"));
        outcome
    }

    fn outcome(&self, ask: Ask) -> Outcome {
        let url = |number: Option<usize>| number.map(|at| self.origin.url(&at.to_string()));
        let (video, audio) = (url(ask.video), url(ask.audio));
        let path = any_path(video.as_deref(), audio.as_deref(), &ask.parameters());
        let answer = self.daemon.get(&path);
        let mut outcome = Outcome::of(ask);
        outcome.status = answer.head.status;
        if answer.head.status == 200 {
            outcome.engine = engine(&answer);
            self.came(&mut outcome, &path, &answer);
        } else {
            let problem: serde_json::Value =
                serde_json::from_slice(&answer.body).unwrap_or_default();
            outcome.code = answer.code();
            outcome.detail = problem["detail"].as_str().unwrap_or_default().to_owned();
            self.was_refused(&mut outcome);
        }
        outcome
    }

    fn files(&self, ask: &Ask) -> Vec<&'a Subject> {
        ask.files().map(|number| &self.subjects[number]).collect()
    }

    /// Whether one of the files is like this.
    fn any(&self, ask: &Ask, nature: Nature) -> bool {
        self.files(ask).iter().any(|file| file.nature == nature)
    }

    fn was_refused(&self, outcome: &mut Outcome) {
        let ask = outcome.ask;
        if outcome.code.is_empty() || outcome.status == 500 {
            outcome.faults.push(format!("{} {}", outcome.status, outcome.code));
        }
        let files = self.files(&ask);
        let accepted = if self.any(&ask, Nature::Encrypted) {
            let is_unread = files.iter().any(|file| file.probe.is_unread);
            let is_known = outcome.code == "drm" || is_unread && outcome.code == "not-media";
            is_known.then_some("it is encrypted")
        } else if self.any(&ask, Nature::Cut) {
            Some("it was cut")
        } else if self.any(&ask, Nature::Junk) {
            Some("it is no media")
        } else if self.any(&ask, Nature::Unread) {
            Some("ffprobe does not get a packet of it either")
        } else if outcome.code == "upstream-cut" && files.iter().any(|file| file.probe.is_broken) {
            Some("it lacks what it says that it has")
        } else {
            let allowed = refusals::allowed(&outcome.code, &outcome.detail, &files);
            // It may end well with no packet in what it made.
            let does_it = || {
                let alone = self.baselines.of(&ask, self.subjects);
                alone.is_some_and(|file| !Probe::of(&file).tracks.is_empty())
            };
            allowed.or_else(|| (!does_it()).then_some("ffmpeg -c copy does not do it either"))
        };
        outcome.accepted = accepted;
        if accepted.is_none() {
            outcome.faults.push(format!("refused: {} ({})", outcome.code, outcome.detail));
        }
    }

    fn came(&self, outcome: &mut Outcome, path: &str, answer: &Answer) {
        let ask = outcome.ask;
        let complete = answer.ending == Ending::Complete;
        for (nature, what) in [
            (Nature::Cut, "it was cut at rest and looks whole"),
            (Nature::Encrypted, "it is encrypted and looks as if it were not"),
            (Nature::Junk, "it is no media and looks as if it were"),
        ] {
            if self.any(&ask, nature) {
                if complete {
                    outcome.faults.push(what.into());
                }
                return;
            }
        }
        if self.any(&ask, Nature::Unread) {
            if complete && outcome.engine == "pass" {
                self.check_sameness(outcome, answer);
            }
            return;
        }
        if !complete {
            let what = format!("{:?} after {} bytes", answer.ending, answer.body.len());
            let is_broken = self.files(&ask).iter().any(|file| file.probe.is_broken);
            let alone = !is_broken && self.baselines.of(&ask, self.subjects).is_some();
            let list = if alone { &mut outcome.faults } else { &mut outcome.shared };
            list.push(what);
            return;
        }
        outcome.faults.extend(ranges::faults(&self.daemon, path, answer, self.seed));
        self.check_type(outcome, answer);
        if outcome.engine == "pass" {
            self.check_sameness(outcome, answer);
            return;
        }
        let (unknown, faults): (Vec<_>, Vec<_>) = self
            .judged(&ask, answer)
            .into_iter()
            .partition(|fault| fault.contains("duration") && !self.tell_durations(&ask));
        outcome.shared = unknown;
        if faults.is_empty() {
            return;
        }
        // A part has nothing to be compared with: ffmpeg cuts elsewhere.
        let alone = ask.is_whole().then(|| self.of_ffmpeg(&ask, answer)).flatten();
        let alone = alone.unwrap_or_default();
        let (shared, own) = faults.into_iter().partition(|fault| {
            let kind =
                |fault: &str| fault.split(|c: char| c.is_ascii_digit()).next().map(String::from);
            alone.iter().any(|other| kind(other) == kind(fault))
        });
        outcome.shared.extend::<Vec<_>>(shared);
        outcome.faults.extend::<Vec<_>>(own);
    }

    /// What is passed through is the file itself.
    fn check_sameness(&self, outcome: &mut Outcome, answer: &Answer) {
        let source = self.files(&outcome.ask).into_iter().next();
        let bytes = source.map(|source| std::fs::read(&source.path).unwrap());
        if bytes.as_deref() != Some(&answer.body[..]) {
            outcome.faults.push("it was passed through and is not the same".into());
        }
    }

    /// Who asks for audio alone wants no video.
    fn check_type(&self, outcome: &mut Outcome, answer: &Answer) {
        let media_type = answer.head.header("Content-Type").unwrap_or_default();
        let ask = &outcome.ask;
        if ask.video.is_some() {
            return;
        }
        let has_video = self.files(ask).iter().any(|file| file.probe.first(Kind::Video).is_some());
        if !media_type.starts_with("audio/") {
            outcome.faults.push(format!("audio alone, as {media_type}"));
        } else if outcome.engine == "pass" && has_video {
            outcome.faults.push("audio alone was asked for, and the whole film came".into());
        }
    }

    /// What is wrong with a file that came, or came before.
    fn judged(&self, ask: &Ask, answer: &Answer) -> Vec<String> {
        let mut hash = DefaultHasher::new();
        (&answer.body, ask.video, ask.audio, ask.is_whole()).hash(&mut hash);
        let hash = hash.finish();
        if let Some(faults) = self.judged.lock().unwrap().get(&hash) {
            return faults.clone();
        }
        let file = NamedTempFile::new_in(&self.folder).unwrap();
        std::fs::write(&file, &answer.body).unwrap();
        let faults = self.faults(ask, file.path(), &Probe::streamed(file.path()));
        self.judged.lock().unwrap().insert(hash, faults.clone());
        faults
    }

    /// What is wrong with what ffmpeg makes of them in the same container.
    fn of_ffmpeg(&self, ask: &Ask, answer: &Answer) -> Option<Vec<String>> {
        let media_type = answer.head.header("Content-Type")?;
        let container = ["mp4", "webm"].into_iter().find(|name| media_type.ends_with(name));
        let file = self.baselines.made_as(ask, container.unwrap_or("mkv"), self.subjects)?;
        Some(self.faults(ask, &file, &Probe::of(&file)))
    }

    fn faults(&self, ask: &Ask, file: &Path, probe: &Probe) -> Vec<String> {
        let subject = |number: usize| &self.subjects[number].probe;
        let sources: Vec<_> = match (ask.video, ask.audio) {
            (Some(video), Some(audio)) => {
                vec![(Kind::Video, subject(video)), (Kind::Audio, subject(audio))]
            }
            (Some(film), None) => vec![(Kind::Video, subject(film)), (Kind::Audio, subject(film))],
            (_, audio) => audio.map(|audio| (Kind::Audio, subject(audio))).into_iter().collect(),
        };
        let is_outside = |(kind, source): &(Kind, &Probe)| {
            let [start, end] = [ask.start, ask.end].map(|time| time?.parse().ok());
            let track = source.first(*kind);
            track.is_some_and(|track| judge::is_outside(track, &sources, start, end))
        };
        let wanted: Vec<_> = sources
            .iter()
            .filter(|source| {
                ask.is_whole() || probe.first(source.0).is_some() || !is_outside(source)
            })
            .copied()
            .collect();
        let mut faults = Vec::new();
        let mut tracks = judge::matched(&wanted, probe).unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        let mut moves = Vec::new();
        for track in &tracks {
            let form = self.form(ask, track);
            let moved = if ask.is_whole() { track.whole(form) } else { track.part(form) };
            match moved {
                Ok(by) => moves.push(by),
                Err(fault) if !ask.is_whole() => match self.part_of_ffmpegs(ask, track) {
                    Some(by) => moves.push(by),
                    None => faults.push(fault),
                },
                Err(fault) => faults.push(fault),
            }
            if form == Form::Own && ask.is_whole() {
                faults.extend(self.differs_in_all(ask, track, file));
            }
        }
        faults.extend(judge::in_step(&moves).err());
        if !tracks.is_empty() {
            let mut slack = 0.0;
            if !ask.is_whole() {
                // ffmpeg counts when packets are decoded, which may be as long before they are shown.
                let longest = tracks.iter().map(|track| track.made.longest_packet()).max();
                slack = CUT + REORDERED * longest.unwrap_or_default() as f64 / 1e6;
                tracks.iter_mut().for_each(|track| track.source = track.made);
            }
            let right = judge::duration(probe.duration, slack, &tracks);
            faults.extend(right.err().filter(|_| !self.is_of_whole_files(ask, probe)));
        }
        // A decoder can make nothing of a track without packets.
        if wanted.len() < sources.len() {
            return faults;
        }
        let mut complaints = probe::decodes(file);
        if !ask.is_whole() {
            complaints.retain(|line| !OPEN_GOP.iter().any(|about| line.contains(about)));
        }
        let before: usize = ask.files().map(|number| self.complaints_about(number)).sum();
        if complaints.len() > before {
            let first = complaints.first().map(|line| without_address(line)).unwrap_or_default();
            faults.push(format!("a decoder complains: {first}"));
        }
        faults
    }

    /// The same of the file that ffmpeg makes of all: it joins frames that are not shown to those
    /// behind them.
    fn part_of_ffmpegs(&self, ask: &Ask, track: &Matched<'_>) -> Option<Vec<i64>> {
        let files = ["mkv", "mp4"].map(|name| self.baselines.made_as(ask, name, self.subjects));
        files.into_iter().flatten().find_map(|file| {
            let made = Probe::of(&file);
            let source = made.first(track.source.kind)?;
            Matched { source, made: track.made }.part(Form::Same).ok()
        })
    }

    /// Whether this is how long the longest of the files plays: of some with several tracks, their fronts
    /// tell nothing else, and what is left of one of those is shorter.
    fn is_of_whole_files(&self, ask: &Ask, probe: &Probe) -> bool {
        let fronts = ask.files().map(|number| {
            let subject = &self.subjects[number].probe;
            let is_told_as_one = !subject.format.contains("mp4") && subject.tracks.len() > 1;
            let length = subject.tracks.iter().map(|track| track.span().1).max();
            is_told_as_one.then(|| length.unwrap_or_default() as f64 / 1e6)
        });
        let longest = fronts.flatten().fold(0.0, f64::max);
        ask.is_whole() && probe.duration.is_some_and(|said| (said - longest).abs() < CUT)
    }

    /// Whether all files say how long they are to somebody who cannot look at their ends.
    fn tell_durations(&self, ask: &Ask) -> bool {
        ask.files().all(|number| {
            let known = self.durations.lock().unwrap().get(&number).copied();
            known.unwrap_or_else(|| {
                let subject = &self.subjects[number];
                let said = Probe::streamed(&subject.path).duration;
                let tracks = subject.probe.tracks.iter();
                let tracks: Vec<_> =
                    tracks.map(|track| Matched { source: track, made: track }).collect();
                // Matroska counts in milliseconds.
                let is_told = said.is_some_and(|said| said >= 0.001);
                let tells = is_told && judge::duration(said, 0.0, &tracks).is_ok();
                self.durations.lock().unwrap().insert(number, tells);
                tells
            })
        })
    }

    /// How the packets of a track are to be compared.
    fn form(&self, ask: &Ask, track: &Matched<'_>) -> Form {
        let own = self.files(ask).iter().any(|file| {
            file.probe.tracks.iter().any(|one| std::ptr::eq(one, track.source))
                && OWN_FORMS.contains(&file.probe.format.as_str())
        });
        if own || track.source.is_pcm() { Form::Own } else { Form::Same }
    }

    /// Chunks of PCM are cut anew, headers of ADTS go: all bytes of the track are compared, with
    /// the source's or with those that ffmpeg makes of them.
    fn differs_in_all(&self, ask: &Ask, track: &Matched<'_>, file: &Path) -> Option<String> {
        let kind = track.source.kind;
        let made = probe::hash_of_all(file, kind);
        let number = if kind == Kind::Video { ask.video } else { ask.audio.or(ask.video) };
        let source = probe::hash_of_all(&self.subjects[number?].path, kind);
        let by_ffmpeg = || {
            let whole = Ask { container: "auto", ..*ask };
            let files =
                ["mp4", "mkv"].map(|name| self.baselines.made_as(&whole, name, self.subjects));
            files.into_iter().flatten().any(|file| probe::hash_of_all(&file, kind) == made)
        };
        (made != source && !by_ffmpeg()).then(|| format!("{kind:?}: other bytes"))
    }

    fn complaints_about(&self, number: usize) -> usize {
        if let Some(count) = self.complaints.lock().unwrap().get(&number) {
            return *count;
        }
        let count = probe::decodes(&self.subjects[number].path).len();
        self.complaints.lock().unwrap().insert(number, count);
        count
    }
}

impl Outcome {
    fn of(ask: Ask) -> Self {
        Self {
            ask,
            engine: String::new(),
            status: 0,
            code: String::new(),
            detail: String::new(),
            accepted: None,
            faults: Vec::new(),
            shared: Vec::new(),
        }
    }
}

/// What made the file, with its reason.
fn engine(answer: &Answer) -> String {
    let timing = answer.head.header("Server-Timing").unwrap_or_default();
    let engine = timing.split("engine;desc=\"").nth(1);
    engine.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

/// A line of ffmpeg's without the place in memory that it names.
fn without_address(line: &str) -> String {
    let (before, after) = line.split_once(" @ 0x").unwrap_or((line, ""));
    let after = after.split_once(']').map_or(after, |(_, rest)| rest);
    if after.is_empty() { before.to_owned() } else { format!("{before}]{after}") }
}
