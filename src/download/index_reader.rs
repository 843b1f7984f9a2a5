//! What splice looks at: the heads of the tracks, and whatever else tells of their layout.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::DownloadContext;
use super::probe::{PANICKED, ProbedTrack, incomplete};
use crate::container::probe::{Format, PROBE_SIZE, ProbedInput};
use crate::error::{Error, Unsupported, UpstreamError};
use crate::fetch::TrackReader;
use crate::http_client::RemoteFile;
use crate::media::Track;
use crate::memory_budget::Reservation;
use crate::splice::{self, NextRead, ReadAt, SurveyError, TrackIndex};
use crate::strategy;

/// What lies no further behind the bytes that are here is read on to rather than asked for.
const MAX_SKIP_AHEAD: u64 = 256 << 10;
/// No more than this is kept of the beginning of a file.
const MAX_BUFFERED: u64 = 48 << 20;

/// What a chain of looks may have at hand, more or less.
const CHAIN_WINDOW: u64 = 512 << 10;

/// While an index is read, there are so many copies of it, or of what is made of it.
const COPIES_OF_INDEX: u64 = 4;

/// Surveys a track whose upstream has answered, or says why that is of no use.
pub(super) fn survey<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'_, '_, '_>,
    track: &Track,
    source: &mut TrackReader<'scope, 'env>,
    input: ProbedInput,
    memory: &mut Reservation,
) -> Result<Result<TrackIndex, Unsupported>, Error> {
    let Some(len) = source.file().len.filter(|_| source.file().ranged) else {
        return Ok(Err(Unsupported("its upstream does not send parts of it")));
    };
    let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
    let mut looking = IndexReader { scope, context, source, len, deadline, memory };
    let DownloadContext { media, options, .. } = context;
    let gathered = if strategy::is_gathered(input, media.tracks.len(), options) {
        Some(splice::read_gathered_index(&mut looking))
    } else {
        None
    };
    let surveyed = match gathered {
        // A part of it must be made, if only of fragments.
        Some(Err(SurveyError::Refused(_))) if !options.time_range.is_full() => None,
        other => other,
    };
    match surveyed
        .unwrap_or_else(|| splice::read_index(input.probe.format, &mut looking, options.time_range))
    {
        Ok(survey) => Ok(Ok(survey)),
        Err(SurveyError::Refused(refusal)) => Ok(Err(refusal)),
        Err(SurveyError::Incomplete(how)) => Err(incomplete(track.kind, how)),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

/// Makes sure that an MP4 file whose end nobody will have seen with all that is in front of it is not
/// cut, as far as its boxes tell.
pub(super) fn check<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'_, '_, '_>,
    opened: &mut ProbedTrack<'scope, 'env>,
) -> Result<(), Error> {
    let (ProbedTrack { source, input, memory, .. }, [track]) = (opened, &context.media.tracks[..])
    else {
        return Ok(());
    };
    let Some(len) = source.file().len.filter(|_| input.probe.format == Format::Mp4) else {
        return Ok(());
    };
    let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
    let mut looking = IndexReader { scope, context, source, len, deadline, memory };
    match splice::check_boxes(&mut looking) {
        Ok(()) | Err(SurveyError::Refused(_)) => Ok(()),
        Err(SurveyError::Incomplete(how)) => Err(incomplete(track.kind, how)),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

/// Finds out with which key frame a part begins of a video whose survey does not tell.
pub(super) fn find_key_frame<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'_, '_, '_>,
    tracks: &mut [ProbedTrack<'scope, 'env>],
) -> Result<Option<Duration>, Error> {
    let inputs: Vec<ProbedInput> = tracks.iter().map(|track| track.input).collect();
    for (opened, track) in tracks.iter_mut().zip(&context.media.tracks) {
        let ProbedTrack { source, input, memory, survey, .. } = opened;
        let start =
            strategy::awaits_key_frame(&inputs, input.kind, survey.as_ref(), &context.options);
        let Some(start) = start else { continue };
        let Some(len) = source.file().len.filter(|_| source.file().ranged) else { continue };
        let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
        let mut looking = IndexReader { scope, context, source, len, deadline, memory };
        return match splice::key_frame(input.probe.format, &mut looking, start) {
            Ok(found) => Ok(found),
            Err(SurveyError::Refused(_)) => Ok(None),
            Err(SurveyError::Incomplete(how)) => Err(incomplete(track.kind, how)),
            Err(SurveyError::Failed(error)) => Err(error),
        };
    }
    Ok(None)
}

/// Bytes at `at` of a file that is being recognised, as many as a look takes; nothing if they cannot be
/// seen there.
pub(super) fn sniff_far<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'_, '_, '_>,
    source: &mut TrackReader<'scope, 'env>,
    at: u64,
    memory: &mut Reservation,
) -> Result<Vec<u8>, Error> {
    let Some(len) = source.file().len.filter(|_| source.file().ranged) else {
        return Ok(Vec::new());
    };
    let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
    let end = len.min(at.saturating_add(PROBE_SIZE as u64));
    if at >= end {
        return Ok(Vec::new());
    }
    let mut looking = IndexReader { scope, context, source, len, deadline, memory };
    match looking.read_at(at..end) {
        Ok(bytes) => Ok(bytes.into_owned()),
        Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) => Ok(Vec::new()),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

struct IndexReader<'l, 'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'a, 'a, 'a>,
    source: &'l mut TrackReader<'scope, 'env>,
    len: u64,
    /// Until when everything must have been seen.
    deadline: Instant,
    memory: &'l mut Reservation,
}

impl ReadAt for IndexReader<'_, '_, '_, '_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        let here = self.source.peeked().len() as u64;
        let is_near = range.end <= MAX_BUFFERED && range.start <= here + MAX_SKIP_AHEAD;
        let more = range.end.saturating_sub(if is_near { here } else { range.start });
        if !self.memory.grow((here + more).saturating_mul(COPIES_OF_INDEX)) {
            return Err(Unsupported("too many long indexes are being read").into());
        }
        if is_near {
            self.buffered(range).map(Cow::from)
        } else {
            self.remote(range).map(Cow::from)
        }
    }

    fn chains(&mut self, begins: Vec<Range<u64>>, next: &NextRead<'_>) -> Result<(), SurveyError> {
        if !self.memory.grow((begins.len() as u64).saturating_mul(CHAIN_WINDOW)) {
            return Err(Unsupported("too many long indexes are being read").into());
        }
        let (far, is_over) = (self.remote_reads(), &AtomicBool::new(false));
        // Together they go from where the first one begins to the end of the file.
        let total = begins.first().map_or(0, |first| self.len.saturating_sub(first.start));
        let (far, pace) = (&far, &Pace::new(self.deadline, total));
        let ended = thread::scope(|threads| {
            let chains = begins.into_iter().enumerate().map(|(chain, begin)| {
                let work = move || {
                    let ended = far.chain(chain, begin, next, pace, is_over);
                    is_over.fetch_or(ended.is_err(), Ordering::Relaxed);
                    ended
                };
                let thread = thread::Builder::new().name("look".into());
                let started = thread.spawn_scoped(threads, work);
                started.map_err(|e| Error::system("start a thread", &e))
            });
            let chains: Vec<_> = chains.collect();
            is_over.fetch_or(chains.iter().any(Result::is_err), Ordering::Relaxed);
            let ended = chains.into_iter().map(|chain| match chain {
                Ok(chain) => chain.join().unwrap_or(Err(PANICKED.into())),
                Err(error) => Err(error.into()),
            });
            ended.collect::<Vec<_>>()
        });
        // Those that were ended by another one's failure have none of their own.
        for source in
            ended.into_iter().collect::<Result<Vec<_>, SurveyError>>()?.into_iter().flatten()
        {
            self.source.absorb(source)?;
        }
        Ok(())
    }

    fn buffered_len(&self) -> u64 {
        self.source.peeked().len() as u64
    }
}

impl<'scope, 'env, 'a> IndexReader<'_, 'scope, 'env, 'a> {
    /// What the head reaches, or will.
    fn buffered(&mut self, range: Range<u64>) -> Result<&[u8], SurveyError> {
        // Neither is more than fits into memory.
        let (from, to) = (range.start as usize, range.end as usize);
        self.source.set_size_hint(range.end.saturating_sub(self.source.peeked().len() as u64));
        let looked = self.fill_up_to(to);
        self.source.set_size_hint(0);
        looked.map(|()| &self.source.peeked()[from..to])
    }

    fn fill_up_to(&mut self, end: usize) -> Result<(), SurveyError> {
        while self.source.peeked().len() < end {
            self.check_deadline()?;
            if !self.source.fill_peeked(end)? {
                return Err(self.remote_reads().truncated(self.source.peeked().len() as u64));
            }
        }
        Ok(())
    }

    /// What is asked for by itself.
    fn remote(&mut self, range: Range<u64>) -> Result<Vec<u8>, SurveyError> {
        let (source, bytes) = self.remote_reads().look(None, range)?;
        self.source.absorb(source)?;
        Ok(bytes)
    }

    fn remote_reads(&self) -> RemoteReads<'_, 'scope, 'env, 'a> {
        let (scope, context, deadline) = (self.scope, self.context, self.deadline);
        // Its location may be another one by now.
        let (track, file) = (self.source.as_track(), self.source.file());
        RemoteReads { scope, context, track, file, deadline }
    }

    fn check_deadline(&self) -> Result<(), Unsupported> {
        check_deadline(self.deadline)
    }
}

const TOO_LONG: Unsupported = Unsupported("its index took too long to read");

fn check_deadline(deadline: Instant) -> Result<(), Unsupported> {
    if Instant::now() > deadline { Err(TOO_LONG) } else { Ok(()) }
}

/// How fast a file is walked along, at several places at once.
struct Pace {
    begun: Instant,
    /// How long it may take.
    most: Duration,
    /// How long all of it is but for what the first looks saw, which are longer than those behind them.
    total: AtomicU64,
    /// How much of that is behind.
    passed: AtomicU64,
}

impl Pace {
    fn new(deadline: Instant, total: u64) -> Pace {
        let begun = Instant::now();
        let most = deadline.saturating_duration_since(begun);
        Pace { begun, most, total: AtomicU64::new(total), passed: AtomicU64::new(0) }
    }

    fn passed(&self, bytes: u64, at_first: bool) {
        if at_first {
            let rest = |total: u64| Some(total.saturating_sub(bytes));
            // It never says no.
            self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok();
        } else {
            self.passed.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Whether a quarter of the time is over, and all of the file would take more than twice of it.
    fn is_hopeless(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.begun);
        let passed = self.passed.load(Ordering::Relaxed);
        let whole = elapsed.as_secs_f64() * self.total.load(Ordering::Relaxed) as f64;
        elapsed > self.most / 4 && whole > 2.0 * self.most.as_secs_f64() * passed as f64
    }
}

/// What it takes to look anywhere in a file, on whatever thread.
struct RemoteReads<'l, 'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'a, 'a, 'a>,
    track: Track,
    file: &'l RemoteFile,
    deadline: Instant,
}

impl<'scope, 'env> RemoteReads<'_, 'scope, 'env, '_> {
    /// These bytes, on the connection of a source that has looked elsewhere, or on one of its own.
    fn look(
        &self,
        source: Option<TrackReader<'scope, 'env>>,
        range: Range<u64>,
    ) -> Result<(TrackReader<'scope, 'env>, Vec<u8>), SurveyError> {
        let DownloadContext { app, cancel, .. } = *self.context;
        let (start, len) = (range.start, range.end - range.start);
        let mut source = match source {
            Some(mut source) => {
                source.restrict_to(range);
                source
            }
            None => TrackReader::open_range(
                self.scope,
                &app.upstream,
                &self.track,
                range,
                len,
                self.file,
                cancel,
            )?,
        };
        let mut bytes = vec![0; len as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            check_deadline(self.deadline)?;
            match source.read(&mut bytes[filled..])? {
                0 => return Err(self.truncated(start + filled as u64)),
                count => filled += count,
            }
        }
        Ok((source, bytes))
    }

    /// Looks along a chain to its end, or until all are over, or without hope.
    fn chain(
        &self,
        chain: usize,
        begin: Range<u64>,
        next: &NextRead<'_>,
        pace: &Pace,
        is_over: &AtomicBool,
    ) -> Result<Option<TrackReader<'scope, 'env>>, SurveyError> {
        let (first, mut source, mut wanted) = (begin.start, None, Some(begin));
        while let Some(range) = wanted.filter(|_| !is_over.load(Ordering::Relaxed)) {
            let at = range.start;
            let (same, bytes) = self.look(source, range)?;
            source = Some(same);
            wanted = next(chain, at, &bytes)?;
            let passed = wanted.as_ref().map_or(0, |next| next.start.saturating_sub(at));
            pace.passed(passed, at == first);
            if wanted.is_some() && pace.is_hopeless(Instant::now()) {
                return Err(TOO_LONG.into());
            }
        }
        Ok(source)
    }

    /// A source gives all that it was asked for, or fails; this is for the case that it does not.
    fn truncated(&self, received: u64) -> SurveyError {
        let fault = UpstreamError::Truncated { received, announced: self.file.len };
        Error::Upstream { track: self.track.kind, fault }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hope_is_lost_after_a_while_and_only_far_behind() {
        let pace = Pace::new(Instant::now() + Duration::from_secs(20), 1500);
        pace.passed(500, true);
        let after = |passed: u64, seconds: u64| {
            pace.passed.store(passed, Ordering::Relaxed);
            pace.is_hopeless(pace.begun + Duration::from_secs(seconds))
        };
        assert!(!after(0, 4), "it has hardly begun");
        assert!(after(0, 6) && after(100, 6));
        // All of it in 30 s: others may be quicker.
        assert!(!after(200, 6) && !after(500, 15));
        assert!(after(300, 15));
    }
}
