//! Asks the daemon, and looks at what comes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use tempfile::{NamedTempFile, TempDir};

use super::ask::Ask;
use super::baseline::Baselines;
use super::folder::{Subject, abreast};
use super::probe::{Kind, Probe};
use super::recipes::Nature;
use super::{ranges, refusals};
use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::daemon::Daemon;
use crate::support::origin::Origin;
use crate::support::resource::Resource;

mod comparison;

const CONFIG: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 64\nmuxers_per_client = 64\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\n";

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
            outcome.engine = answer.made_by().to_owned();
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
