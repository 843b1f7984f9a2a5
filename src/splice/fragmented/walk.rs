//! A walk from fragment to fragment, where no index can be believed.
//!
//! Each fragment tells where the next one begins, and to look at one takes a round trip; so the walk
//! goes on at several places of the file at once, each up to where the next one began. Where an index
//! says where fragments are, it begins there; else at guessed places, from which it looks for what may
//! be a fragment. Must never believe what the chain from the first fragment on does not lead to: what
//! looks like a fragment may be part of the media.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fragment::{FragmentInfo, fragment_at};
use super::index::is_all;
use super::init::InitSegment;
use super::table::{MAX_SAMPLES, Table};
use super::{Fragment, MAX_TICKS};
use crate::container::isobmff::{self, Header};
use crate::container::probe::PROBE_SIZE;
use crate::error::Unsupported;
use crate::splice::{MAX_ELEMENT, ReadAt, SurveyError};

/// Fragments of one file, at most: two days in pieces of two seconds.
pub(super) const MAX_FRAGMENTS: usize = 1 << 17;
/// At how many places at once; and to how many fragments, more or less, one place is worth its
/// connection.
const MAX_CHAINS: u64 = 16;
const FRAGMENTS_PER_CHAIN: u64 = 8;
/// What is looked at of a fragment at first, later on as much as the one before it needed, and some
/// more.
const HEAD_READ: u64 = 4 << 10;
const MIN_HEAD_READ: u64 = 1 << 10;
/// What is looked through at once for a fragment.
const SCAN_READ: u64 = 256 << 10;
/// How often a walk may begin anew where it began with what was no fragment.
const MAX_GUESSES: u32 = 64;
/// The most that is looked at once at each of the places.
const MAX_WINDOW: u64 = 1 << 20;
/// Header of a moof, and the mfhd that it must begin with (§8.8.5).
const SIGNATURE: usize = 24;

/// A fragment that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) from: u64,
    pub(super) info: FragmentInfo,
    /// Its samples, if they are wanted.
    pub(super) table: Option<Box<Table>>,
}

impl Step {
    fn moof(&self) -> u64 {
        self.from + self.info.moof
    }

    fn end(&self) -> u64 {
        self.from + self.info.len
    }
}

/// What is to be walked over.
pub(super) struct Walk<'a> {
    init: &'a InitSegment,
    first: u64,
    known: &'a [Fragment],
    tables: bool,
    /// How many fragments, and samples, have been taken note of.
    fragments: AtomicUsize,
    samples: AtomicUsize,
}

impl<'a> Walk<'a> {
    /// From the fragment at `first` on, and from some of those that are `known`.
    pub(super) fn new(init: &'a InitSegment, first: u64, known: &'a [Fragment]) -> Walk<'a> {
        let (fragments, samples) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Walk { init, first, known, tables: false, fragments, samples }
    }

    /// On which the samples are taken note of, too.
    pub(super) fn with_samples(self) -> Walk<'a> {
        Walk { tables: true, ..self }
    }

    /// All fragments up to the end of the file.
    pub(super) fn steps(&self, reader: &mut dyn ReadAt) -> Result<Vec<Step>, SurveyError> {
        let mut steps = Vec::new();
        // What is at the front is here, or comes by itself.
        let mut at = self.first;
        while at + HEAD_READ <= PROBE_SIZE as u64 && !is_all(reader, at)? {
            let step = self.step(reader, at)?;
            at = step.end();
            steps.push(step);
        }
        if !is_all(reader, at)? {
            let chains = self.chains(reader, at, steps.last());
            let chains = self.walk_abreast(reader, chains)?;
            self.link(reader, &mut steps, at, chains)?;
        }
        tell_times(&mut steps);
        Ok(steps)
    }

    fn step(&self, reader: &mut dyn ReadAt, from: u64) -> Result<Step, SurveyError> {
        let mut table = self.tables.then(Box::<Table>::default);
        let info = fragment_at(reader, from, self.init, table.as_deref_mut())?;
        if let Some(table) = &mut table {
            if !table.lies_within(from, &info) {
                return Err(Unsupported("samples lie outside the media data (mdat)").into());
            }
            table.shrink();
            let count = table.sizes.len();
            if self.samples.fetch_add(count, Ordering::Relaxed) + count > MAX_SAMPLES {
                return Err(Unsupported("the track has too many samples").into());
            }
        }
        if self.fragments.fetch_add(1, Ordering::Relaxed) >= MAX_FRAGMENTS {
            return Err(Unsupported("the file has too many fragments").into());
        }
        Ok(Step { from, info, table })
    }

    /// Where the walk begins, from the fragment at `at` on, and how far it goes from each place.
    fn chains(&self, reader: &dyn ReadAt, at: u64, before: Option<&Step>) -> Vec<Chain> {
        let len = reader.len();
        let known = self.known.partition_point(|fragment| fragment.from < at);
        let known = &self.known[known..];
        // Of the first fragment little is known of how large the others are, but nothing better.
        let typical = before.map_or(SCAN_READ, |step| step.info.len).max(1);
        let count = if known.is_empty() { (len - at) / typical } else { known.len() as u64 };
        let count = (count / FRAGMENTS_PER_CHAIN).clamp(1, MAX_CHAINS);
        let begins = (1..count).map(|place| match known {
            [] => at + ((len - at) as u128 * place as u128 / count as u128) as u64,
            known => known[known.len() * place as usize / count as usize].from,
        });
        let begins: Vec<u64> = std::iter::once(at).chain(begins).collect();
        let untils = begins[1..].iter().copied().chain([u64::MAX]);
        let chains = begins.iter().zip(untils).enumerate();
        chains
            .map(|(place, (&at, until))| Chain {
                at,
                until,
                guesses: if place > 0 { MAX_GUESSES } else { 0 },
                is_searching: place > 0 && known.is_empty(),
                ahead: HEAD_READ,
                steps: Vec::new(),
            })
            .collect()
    }

    /// Walks along all of them.
    fn walk_abreast(
        &self,
        reader: &mut dyn ReadAt,
        chains: Vec<Chain>,
    ) -> Result<Vec<Chain>, SurveyError> {
        let len = reader.len();
        let begins = chains.iter().map(|chain| chain.wanted(len)).collect();
        let chains: Vec<_> = chains.into_iter().map(Mutex::new).collect();
        reader.chains(begins, &|place, at, bytes| {
            let mut window = Window { at, bytes, len, missing: None };
            lock(&chains[place]).go_on(self, &mut window)
        })?;
        // Nothing in them is half-changed by a panic, after which nobody would be here.
        let chains = chains.into_iter();
        Ok(chains.map(|chain| chain.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
    }

    /// Puts together what belongs together: the steps of a chain from the one on to which the chain
    /// before it has led. Where it has led to none of them, it is gone on with up to where it does.
    fn link(
        &self,
        reader: &mut dyn ReadAt,
        steps: &mut Vec<Step>,
        mut at: u64,
        chains: Vec<Chain>,
    ) -> Result<(), SurveyError> {
        for (place, chain) in chains.into_iter().enumerate() {
            let mut found = if place == 0 { Some(0) } else { chain.place_of(steps.last()) };
            while found.is_none() && chain.steps.last().is_some_and(|last| at <= last.moof()) {
                let step = self.step(reader, at)?;
                at = step.end();
                steps.push(step);
                found = chain.place_of(steps.last());
            }
            let Some(found) = found else { continue };
            // The one that both have is there already.
            for step in chain.steps.into_iter().skip(if place == 0 { 0 } else { found + 1 }) {
                at = step.end();
                steps.push(step);
            }
        }
        while !is_all(reader, at)? {
            let step = self.step(reader, at)?;
            at = step.end();
            steps.push(step);
        }
        Ok(())
    }
}

/// Fragments that do not tell when they begin go on where the ones before them end.
fn tell_times(steps: &mut [Step]) {
    let mut time: u64 = 0;
    for Step { info, .. } in steps {
        if !info.is_timed {
            info.earliest = info.earliest.saturating_add(time);
            info.composed = info.composed.saturating_add(time);
            info.time = time;
        }
        time = info.time.saturating_add(info.duration).min(MAX_TICKS);
    }
}

/// A walk from one place on.
struct Chain {
    /// Where the next fragment begins, or is looked for.
    at: u64,
    /// It ends with the first fragment whose moof is not in front of this.
    until: u64,
    /// How often it may be wrong about where it began; and whether it looks for a fragment.
    guesses: u32,
    is_searching: bool,
    /// What is looked at of a fragment.
    ahead: u64,
    steps: Vec<Step>,
}

impl Chain {
    /// What is to be looked at next.
    fn wanted(&self, len: u64) -> Range<u64> {
        let count = if self.is_searching { SCAN_READ } else { self.ahead };
        self.at..self.at.saturating_add(count).min(len)
    }

    /// Goes on as far as these bytes reach; what is to be looked at next, if anything. What it cannot
    /// go on from ends it, and is met again by whoever is led there.
    fn go_on(
        &mut self,
        walk: &Walk<'_>,
        window: &mut Window<'_>,
    ) -> Result<Option<Range<u64>>, SurveyError> {
        loop {
            if self.is_searching {
                if self.at < window.at {
                    return Ok(Some(self.wanted(window.len)));
                }
                let Some(found) = self.search(window) else {
                    self.at = window.end().saturating_sub(SIGNATURE as u64 - 1).max(self.at + 1);
                    let is_over =
                        self.at >= self.until.min(window.len.saturating_sub(SIGNATURE as u64));
                    return Ok((!is_over).then(|| self.wanted(window.len)));
                };
                (self.at, self.is_searching) = (found, false);
            }
            if self.steps.last().is_some_and(|last| last.moof() >= self.until) {
                return Ok(None);
            }
            match is_all(window, self.at) {
                Ok(true) => return Ok(None),
                Ok(false) => {}
                Err(_) => return Ok(self.missing(window)),
            }
            match walk.step(window, self.at) {
                Ok(step) => {
                    let head = step.info.media + 16;
                    self.ahead = (head + head / 4).clamp(MIN_HEAD_READ, SCAN_READ);
                    self.at = step.end();
                    self.steps.push(step);
                }
                Err(_) if window.missing.is_some() => return Ok(self.missing(window)),
                Err(_) if self.guesses > 0 => self.guess_again(),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Where it began was none, or only looked like one.
    fn guess_again(&mut self) {
        let began = self.steps.first().map_or(self.at, Step::moof);
        self.steps.clear();
        (self.at, self.guesses, self.is_searching) = (began + 8, self.guesses - 1, true);
    }

    /// What is to be looked at to go on from the fragment at hand, if that is not too much.
    fn missing(&self, window: &Window<'_>) -> Option<Range<u64>> {
        let missing = window.missing.clone()?;
        let wanted = self.wanted(window.len);
        let all = wanted.start..wanted.end.max(missing.end);
        (all.end - all.start <= MAX_WINDOW).then_some(all)
    }

    /// Where something begins that may be a fragment.
    fn search(&self, window: &Window<'_>) -> Option<u64> {
        let from = usize::try_from(self.at.checked_sub(window.at)?).ok()?;
        let bytes = window.bytes.get(from..)?;
        let is_moof = |sign: &[u8]| {
            let moof = isobmff::header(sign).filter(|moof| moof.kind == *b"moof");
            let Some(Header { header: 8, len: Some(len), .. }) = moof else { return false };
            let mfhd = isobmff::header(&sign[8..]).filter(|mfhd| mfhd.kind == *b"mfhd");
            mfhd.is_some_and(|mfhd| mfhd.len == Some(16)) && len <= MAX_ELEMENT as u64
        };
        let found = bytes.windows(SIGNATURE).position(|sign| sign[4] == b'm' && is_moof(sign))?;
        Some(self.at + found as u64)
    }

    /// Which of its steps is at the same fragment.
    fn place_of(&self, step: Option<&Step>) -> Option<usize> {
        let moof = step?.moof();
        self.steps.binary_search_by_key(&moof, Step::moof).ok()
    }
}

fn lock(chain: &Mutex<Chain>) -> MutexGuard<'_, Chain> {
    chain.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a file that are here; notes what is looked for in vain.
struct Window<'a> {
    at: u64,
    bytes: &'a [u8],
    len: u64,
    missing: Option<Range<u64>>,
}

impl Window<'_> {
    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }
}

impl ReadAt for Window<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        let place = |at: u64| usize::try_from(at.checked_sub(self.at)?).ok();
        let within = place(range.start).zip(place(range.end));
        match within.and_then(|(from, to)| self.bytes.get(from..to)) {
            Some(bytes) => Ok(bytes.into()),
            None => {
                self.missing = Some(range);
                Err(Unsupported("the index reader lost track of its window").into())
            }
        }
    }
}
