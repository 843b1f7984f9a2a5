//! Holds the tracks of a joined file against those of its sources. Pure, on what ffprobe said.

use super::probe::{Kind, Packet, Probe, Track};

/// By how much tracks may be moved against each other, in microseconds. Matroska keeps
/// milliseconds, and each of two files may round.
const IN_STEP: i64 = 2_000;
/// By how much a duration may differ, in seconds, where a packet is not longer than that.
const DURATION: f64 = 0.05;

/// A track of a source, and what came of it.
#[derive(Clone, Copy)]
pub(super) struct Matched<'a> {
    pub(super) source: &'a Track,
    pub(super) made: &'a Track,
}

/// What kind of packets are to be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// They are the same in each container.
    Same,
    /// The containers have forms of their own: ADTS, Annex B, chunks of PCM.
    Own,
}

impl Matched<'_> {
    fn name(&self) -> &'static str {
        if self.source.kind == Kind::Video { "video" } else { "audio" }
    }

    /// The packets of the whole track are those of the source, and all moved by as much: that is told,
    /// if it is known.
    pub(super) fn whole(&self, form: Form) -> Result<Vec<i64>, String> {
        let (source, made) = (&self.source.packets, &self.made.packets);
        if form == Form::Own {
            return Ok(vec![self.made.span().0 - self.source.span().0]);
        }
        if source.len() != made.len() {
            return Err(format!("{}: {} packets of {}", self.name(), made.len(), source.len()));
        }
        self.same(source, made).map(|by| vec![by])
    }

    /// They are some of those of the source, one after the other, the first of a video a key frame. Of
    /// silence nobody can tell which, so there may be several answers.
    pub(super) fn part(&self, form: Form) -> Result<Vec<i64>, String> {
        let (source, made) = (&self.source.packets, &self.made.packets);
        if form == Form::Own {
            return Ok(Vec::new());
        }
        let runs = source.windows(made.len());
        let runs = runs.filter(|run| run.iter().zip(made).all(|(a, b)| a.hash == b.hash));
        let (mut moves, mut faults) = (Vec::new(), Vec::new());
        for run in runs {
            // What comes first is one, even if an edit list makes ffprobe think otherwise.
            let is_first = std::ptr::eq(run.as_ptr(), source.as_ptr());
            if self.source.kind == Kind::Video && !run[0].key && !is_first {
                faults.push(format!("{}: the first packet is no key frame", self.name()));
                continue;
            }
            match self.same(run, made) {
                Ok(by) => moves.push(by),
                Err(fault) => faults.push(fault),
            }
        }
        match faults.into_iter().next() {
            _ if !moves.is_empty() => Ok(moves),
            Some(fault) => Err(fault),
            None => Err(format!(
                "{}: {} packets that are no run of the source's",
                self.name(),
                made.len()
            )),
        }
    }

    fn same(&self, source: &[Packet], made: &[Packet]) -> Result<i64, String> {
        let moves = source.iter().zip(made).map(|(before, after)| after.pts - before.pts);
        let moves: Vec<i64> = moves.collect();
        let by = moves.first().copied().unwrap_or_default();
        for (number, (before, after)) in source.iter().zip(made).enumerate() {
            if (before.size, &before.hash) != (after.size, &after.hash) {
                return Err(format!("{}: packet {number} is another one", self.name()));
            }
            if (moves[number] - by).abs() > IN_STEP {
                return Err(format!(
                    "{}: packet 0 is {:.1} ms later than in the source, packet {number} {:.1} ms",
                    self.name(),
                    by as f64 / 1e3,
                    moves[number] as f64 / 1e3,
                ));
            }
        }
        Ok(by)
    }
}

/// Whether the tracks are as far apart as they were.
pub(super) fn in_step(moves: &[Vec<i64>]) -> Result<(), String> {
    let [video, audio] = moves else { return Ok(()) };
    let apart = video.iter().flat_map(|video| audio.iter().map(move |audio| audio - video));
    match apart.min_by_key(|apart| apart.abs()) {
        Some(apart) if apart.abs() > IN_STEP => Err(format!(
            "audio is {:.1} ms later against the video than in the sources",
            apart as f64 / 1e3
        )),
        _ => Ok(()),
    }
}

/// Whether a duration, as a head says it, is that of the tracks, counted from 0 or from where they
/// begin.
pub(super) fn duration(
    said: Option<f64>,
    slack: f64,
    tracks: &[Matched<'_>],
) -> Result<(), String> {
    let spans = tracks.iter().map(|track| track.source.span());
    let made = tracks.iter().map(|track| track.made.span());
    let length = |spans: &mut dyn Iterator<Item = (i64, i64)>| {
        let spans: Vec<_> = spans.collect();
        let start = spans.iter().map(|(start, _)| *start).min().unwrap_or_default();
        let end = spans.iter().map(|(_, end)| *end).max().unwrap_or_default();
        [end, end - start].map(|micros| micros as f64 / 1e6)
    };
    let right = [length(&mut made.into_iter()), length(&mut spans.into_iter())].concat();
    let packet = tracks.iter().map(|track| track.source.longest_packet()).max().unwrap_or_default();
    let tolerance = DURATION.max(packet as f64 / 1e6) + 0.001 + slack;
    let Some(said) = said else { return Err("no duration".into()) };
    if right.iter().any(|right| (said - right).abs() <= tolerance) {
        return Ok(());
    }
    let [end, length, ..] = right[..] else { unreachable!("two of each") };
    Err(format!("duration {said:.3} s, and its tracks have {length:.3} s, up to {end:.3} s"))
}

/// Whether nothing of a track is in a part of a film whose files are these. A film begins where the
/// first of its tracks does, or at 0.
pub(super) fn is_outside(
    track: &Track,
    sources: &[(Kind, &Probe)],
    start: Option<f64>,
    end: Option<f64>,
) -> bool {
    let tracks = sources.iter().filter_map(|(kind, probe)| probe.first(*kind));
    let begin = tracks.map(|track| track.span().0).min().unwrap_or_default();
    let (first, last) = track.span();
    let micros = |seconds: f64| (seconds * 1e6) as i64;
    let is_over = |begin| start.is_some_and(|start| last - begin <= micros(start));
    let is_later = |begin| end.is_some_and(|end| first - begin >= micros(end));
    [begin, 0].into_iter().any(|begin| is_over(begin) || is_later(begin))
}

/// MP4 has one name for all layers of MPEG audio.
fn is_same_codec(source: &str, found: &str) -> bool {
    source == found || (source, found) == ("mp2", "mp3")
}

/// The tracks of a joined file and their sources: no more and no less than was asked for.
pub(super) fn matched<'a>(
    sources: &[(Kind, &'a Probe)],
    made: &'a Probe,
) -> Result<Vec<Matched<'a>>, String> {
    let mut tracks = Vec::new();
    for (kind, source) in sources {
        let Some(source) = source.first(*kind) else { continue };
        let found = made.first(*kind).ok_or_else(|| format!("no {kind:?} came out"))?;
        if !is_same_codec(&source.codec, &found.codec) {
            return Err(format!("{} came out as {}", source.codec, found.codec));
        }
        tracks.push(Matched { source, made: found });
    }
    if made.tracks.len() > tracks.len() {
        return Err(format!("{} tracks of {} came out", made.tracks.len(), tracks.len()));
    }
    if made.others > 0 {
        return Err(format!("{} streams beside video and audio", made.others));
    }
    Ok(tracks)
}
