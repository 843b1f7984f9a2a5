//! The table: files and what was found with them; how often each engine worked; what was refused.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::folder::Subject;
use super::test_setup::Outcome;

pub(super) struct Report<'a> {
    subjects: &'a [Subject],
    outcomes: &'a [Outcome],
}

impl<'a> Report<'a> {
    pub(super) fn new(subjects: &'a [Subject], outcomes: &'a [Outcome]) -> Self {
        Self { subjects, outcomes }
    }

    pub(super) fn count_of_faults(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.faults.is_empty()).count()
    }

    pub(super) fn is_clean(&self) -> bool {
        self.count_of_faults() == 0
    }

    /// Counts: engines, refusals with the reason why they are right, faults.
    pub(super) fn summary(&self) -> String {
        let mut made: BTreeMap<&str, usize> = BTreeMap::new();
        let mut refused: BTreeMap<(u16, &str, &str), usize> = BTreeMap::new();
        for outcome in self.outcomes {
            if outcome.status == 200 {
                let engine = outcome.engine.split(" (").next().unwrap_or_default();
                *made.entry(engine).or_default() += 1;
            } else {
                let reason = outcome.accepted.unwrap_or("NO REASON");
                let key = (outcome.status, outcome.code.as_str(), reason);
                *refused.entry(key).or_default() += 1;
            }
        }
        let mut text = format!(
            "{} files, {} requests, {} with a fault, {} whose source, or what ffmpeg -c copy makes of it, has the same\n\n",
            self.subjects.len(),
            self.outcomes.len(),
            self.count_of_faults(),
            self.outcomes.iter().filter(|outcome| !outcome.shared.is_empty()).count(),
        );
        text += "| engine | answers |\n|---|---|\n";
        for (engine, count) in made {
            writeln!(text, "| {engine} | {count} |").unwrap();
        }
        text += "\n| refused | because | answers |\n|---|---|---|\n";
        for ((status, code, reason), count) in refused {
            writeln!(text, "| {status} {code} | {reason} | {count} |").unwrap();
        }
        text
    }

    /// Everything that is wrong, one line each.
    pub(super) fn faults(&self) -> String {
        let mut text = String::new();
        for outcome in self.outcomes {
            for fault in &outcome.faults {
                self.line(&mut text, outcome, fault);
            }
        }
        text
    }

    fn line(&self, text: &mut String, outcome: &Outcome, what: &str) {
        let asked = outcome.ask.describe(self.subjects);
        let engine = if outcome.engine.is_empty() { "–" } else { &outcome.engine };
        writeln!(text, "| {asked} | {engine} | {} |", what.replace('|', "/")).unwrap();
    }

    /// The summary, the faults, and a line for each file.
    pub(super) fn whole(&self) -> String {
        let head = "| request | engine | finding |\n|---|---|---|\n";
        let mut text = format!("{}\n## Faults\n\n{head}{}", self.summary(), self.faults());
        text += "\n## As in the source, or as ffmpeg -c copy makes it\n\n";
        text += head;
        for outcome in self.outcomes {
            for fault in &outcome.shared {
                self.line(&mut text, outcome, fault);
            }
        }
        text += "\n## Files\n\n| file | tracks | pass | splice | ffmpeg | refused | faults | why not spliced |\n";
        text += "|---|---|---|---|---|---|---|---|\n";
        for number in 0..self.subjects.len() {
            text += &self.file(number);
        }
        text
    }

    fn file(&self, number: usize) -> String {
        let of_it = self.outcomes.iter().filter(|outcome| {
            // In pairs it stands with the one that was paired with it, too.
            outcome.ask.files().any(|file| file == number)
        });
        let of_it: Vec<&Outcome> = of_it.collect();
        let by = |engine: &str| of_it.iter().filter(|one| one.engine.starts_with(engine)).count();
        let refused = of_it.iter().filter(|one| one.status != 200).count();
        let faults = of_it.iter().filter(|one| !one.faults.is_empty()).count();
        let subject = &self.subjects[number];
        let codecs = subject.probe.tracks.iter().map(|track| track.codec.as_str());
        let mut whys = of_it.iter().filter(|one| one.ask.is_plain() && one.engine.contains('('));
        let why = whys.next().map_or("", |one| one.engine.as_str());
        format!(
            "| {} | {} | {} | {} | {} | {refused} | {faults} | {why} |\n",
            subject.name,
            codecs.collect::<Vec<_>>().join("+"),
            by("pass"),
            by("splice"),
            by("ffmpeg"),
        )
    }
}
