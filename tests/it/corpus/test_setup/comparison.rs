//! What is wrong with a file that came, beside those that it was made of.

use std::path::Path;

use super::super::ask::Ask;
use super::super::judge::{self, Form, Matched};
use super::super::probe::{self, Kind, Probe};
use super::TestSetup;

/// Formats whose packets have another form in another container.
const OWN_FORMS: [&str; 6] = ["aac", "mpegts", "avi", "h264", "hevc", "loas"];
/// What was asked for and what could be cut differ by this many seconds.
const CUT: f64 = 0.1;
/// So many packets are decoded before one that is shown first.
const REORDERED: f64 = 3.0;
/// What decoders say where a film is cut at a key frame that earlier pictures lean on, too.
const OPEN_GOP: [&str; 4] = ["mmco", "reference", "co located", "ref with POC"];

impl TestSetup<'_> {
    pub(super) fn faults(&self, ask: &Ask, file: &Path, probe: &Probe) -> Vec<String> {
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
    pub(super) fn tell_durations(&self, ask: &Ask) -> bool {
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

/// A line of ffmpeg's without the place in memory that it names.
fn without_address(line: &str) -> String {
    let (before, after) = line.split_once(" @ 0x").unwrap_or((line, ""));
    let after = after.split_once(']').map_or(after, |(_, rest)| rest);
    if after.is_empty() { before.to_owned() } else { format!("{before}]{after}") }
}
