//! [`Walk`] reads a file fragment by fragment, where no index can be trusted.
//!
//! Each fragment tells where the next one begins, and reading one takes a round trip. So the walk
//! proceeds in several chains at once, each up to where the next one began. Where an index lists
//! fragments, the chains begin there; otherwise at guessed offsets, from which each searches for a
//! signature of a fragment.
//!
//! **Invariant:** only fragments that the chain from the first fragment leads to are believed: what
//! looks like a fragment may be media data.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fragment::{FragmentInfo, fragment_at};
use super::index::is_all;
use super::init::InitSegment;
use super::table::{MAX_SAMPLES, Table};
use super::{Fragment, MAX_TICKS};
use crate::container::completeness::Incomplete;
use crate::container::isobmff::{self, Header};
use crate::container::probe::PROBE_SIZE;
use crate::error::Unsupported;
use crate::splice::{MAX_ELEMENT, ReadAt, SurveyError};

/// The maximum number of fragments of a file: three days in fragments of two seconds.
pub(super) const MAX_FRAGMENTS: usize = 1 << 17;
/// The maximum number of concurrent chains, and the number of fragments from which one more chain is
/// worth its connection.
const MAX_CHAINS: u64 = 16;
const FRAGMENTS_PER_CHAIN: u64 = 8;
/// The size of the first read of a fragment, and the minimum of later ones, which are as large as the
/// fragment before needed, and some more.
const HEAD_READ: u64 = 4 << 10;
const MIN_HEAD_READ: u64 = 1 << 10;
/// The size of a read that searches for a fragment.
const SCAN_READ: u64 = 256 << 10;
/// How often a chain may restart because it began with bytes that were no fragment.
const MAX_GUESSES: u32 = 64;
/// The largest read of a chain.
const MAX_WINDOW: u64 = 1 << 20;
/// The length of the signature: the header of a moof, and the mfhd that it must begin with (§8.8.5).
const SIGNATURE: usize = 24;

/// A fragment that was read.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) from: u64,
    pub(super) info: FragmentInfo,
    /// The samples, if they were requested.
    pub(super) table: Option<Box<Table>>,
}

impl Step {
    pub(super) fn moof(&self) -> u64 {
        self.from + self.info.moof
    }

    pub(super) fn end(&self) -> u64 {
        self.from + self.info.len
    }
}

/// The parameters of a walk.
pub(super) struct Walk<'a> {
    init: &'a InitSegment,
    first: u64,
    known: &'a [Fragment],
    tables: bool,
    /// Where the segments of the file end, if it is delivered in segments.
    ends: Vec<u64>,
    /// The numbers of fragments and of samples that were recorded.
    fragments: AtomicUsize,
    samples: AtomicUsize,
}

impl<'a> Walk<'a> {
    /// Returns a walk from the fragment at `first` on, whose chains begin at some of the `known`
    /// fragments.
    pub(super) fn new(init: &'a InitSegment, first: u64, known: &'a [Fragment]) -> Walk<'a> {
        let (fragments, samples) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Walk { init, first, known, tables: false, ends: Vec::new(), fragments, samples }
    }

    /// Records the samples, too.
    pub(super) fn with_samples(self) -> Walk<'a> {
        Walk { tables: true, ..self }
    }

    /// Reads all fragments up to the end of the file.
    pub(super) fn steps(mut self, reader: &mut dyn ReadAt) -> Result<Vec<Step>, SurveyError> {
        let segments = reader.segments().unwrap_or_default().iter();
        self.ends = segments.map(|segment| segment.offset + segment.len).collect();
        let mut steps = Vec::new();
        // The start of the file is buffered or on its way.
        let mut at = self.first;
        while at + HEAD_READ <= PROBE_SIZE as u64 && !is_all(reader, at)? {
            let step = self.step(reader, at)?;
            at = step.end();
            steps.push(step);
        }
        if !is_all(reader, at)? {
            let chains = self.chains(reader, at, steps.last());
            let chains = self.follow(reader, chains)?;
            self.link(reader, &mut steps, at, chains)?;
        }
        derive_times(&mut steps);
        Ok(steps)
    }

    fn step(&self, reader: &mut dyn ReadAt, from: u64) -> Result<Step, SurveyError> {
        let mut table = self.tables.then(Box::<Table>::default);
        let info = fragment_at(reader, from, self.init, table.as_deref_mut())?;
        let end = self.ends.get(self.ends.partition_point(|end| *end <= from));
        if end.is_some_and(|end| from + info.len > *end) {
            return Err(Incomplete("a segment ends within a fragment").into());
        }
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

    /// Returns the chains from the fragment at `at` on, each with its start and end.
    fn chains(&self, reader: &dyn ReadAt, at: u64, before: Option<&Step>) -> Vec<Chain> {
        let len = reader.len();
        // Each segment begins with a fragment, as do those that an index lists.
        let known: Vec<u64> = match reader.segments() {
            Some(segments) => segments.iter().map(|segment| segment.offset).collect(),
            None => self.known.iter().map(|fragment| fragment.from).collect(),
        };
        let known = &known[known.partition_point(|from| *from < at)..];
        // The size of the first fragment is a poor estimate for the others, but the best one.
        let typical = before.map_or(SCAN_READ, |step| step.info.len).max(1);
        let count = if known.is_empty() { (len - at) / typical } else { known.len() as u64 };
        let count = (count / FRAGMENTS_PER_CHAIN).clamp(1, MAX_CHAINS);
        let begins = (1..count).map(|number| match known {
            [] => at + ((len - at) as u128 * number as u128 / count as u128) as u64,
            known => known[known.len() * number as usize / count as usize],
        });
        let begins: Vec<u64> = std::iter::once(at).chain(begins).collect();
        let ends = begins[1..].iter().copied().chain([u64::MAX]);
        let chains = begins.iter().zip(ends).enumerate();
        chains
            .map(|(number, (&at, end))| Chain {
                at,
                end,
                guesses: if number > 0 { MAX_GUESSES } else { 0 },
                is_searching: number > 0 && known.is_empty(),
                head_read: HEAD_READ,
                steps: Vec::new(),
            })
            .collect()
    }

    /// Follows all chains concurrently.
    fn follow(
        &self,
        reader: &mut dyn ReadAt,
        chains: Vec<Chain>,
    ) -> Result<Vec<Chain>, SurveyError> {
        let len = reader.len();
        let begins = chains.iter().map(|chain| chain.next_read(len)).collect();
        let chains: Vec<_> = chains.into_iter().map(Mutex::new).collect();
        reader.chains(begins, &|number, at, bytes| {
            let mut window = Window { at, bytes, len, missing: None };
            lock(&chains[number]).advance(self, &mut window)
        })?;
        // A panic would end the request before a half-changed chain is used.
        let chains = chains.into_iter();
        Ok(chains.map(|chain| chain.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
    }

    /// Links the chains: of each chain, the steps from the one on to which the chains before it lead.
    /// Where they lead to none of them, the walk continues from there until it meets the chain.
    fn link(
        &self,
        reader: &mut dyn ReadAt,
        steps: &mut Vec<Step>,
        mut at: u64,
        chains: Vec<Chain>,
    ) -> Result<(), SurveyError> {
        for (number, chain) in chains.into_iter().enumerate() {
            let mut found = if number == 0 { Some(0) } else { chain.position_of(steps.last()) };
            while found.is_none() && chain.steps.last().is_some_and(|last| at <= last.moof()) {
                let step = self.step(reader, at)?;
                at = step.end();
                steps.push(step);
                found = chain.position_of(steps.last());
            }
            let Some(found) = found else { continue };
            // The step that both have is in `steps` already.
            for step in chain.steps.into_iter().skip(if number == 0 { 0 } else { found + 1 }) {
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

/// Sets the times of fragments without a decode time: each continues where the one before it ends.
fn derive_times(steps: &mut [Step]) {
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

/// A walk from one offset on.
struct Chain {
    /// The offset of the next fragment, or of the search for it.
    at: u64,
    /// The chain ends with the first fragment whose moof is not before this offset.
    end: u64,
    /// The number of restarts that are left, and whether the chain searches for a fragment.
    guesses: u32,
    is_searching: bool,
    /// The size of the next read of a fragment.
    head_read: u64,
    steps: Vec<Step>,
}

impl Chain {
    /// Returns the range to read next.
    fn next_read(&self, len: u64) -> Range<u64> {
        let count = if self.is_searching { SCAN_READ } else { self.head_read };
        self.at..self.at.saturating_add(count).min(len)
    }

    /// Advances as far as `window` reaches and returns the range to read next, if any. A fragment that
    /// cannot be read ends the chain, and is read again by the chain that leads there.
    fn advance(
        &mut self,
        walk: &Walk<'_>,
        window: &mut Window<'_>,
    ) -> Result<Option<Range<u64>>, SurveyError> {
        loop {
            if self.is_searching {
                if self.at < window.at {
                    return Ok(Some(self.next_read(window.len)));
                }
                let Some(found) = self.search(window) else {
                    self.at = window.end().saturating_sub(SIGNATURE as u64 - 1).max(self.at + 1);
                    let is_over =
                        self.at >= self.end.min(window.len.saturating_sub(SIGNATURE as u64));
                    return Ok((!is_over).then(|| self.next_read(window.len)));
                };
                (self.at, self.is_searching) = (found, false);
            }
            if self.steps.last().is_some_and(|last| last.moof() >= self.end) {
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
                    self.head_read = (head + head / 4).clamp(MIN_HEAD_READ, SCAN_READ);
                    self.at = step.end();
                    self.steps.push(step);
                }
                Err(_) if window.missing.is_some() => return Ok(self.missing(window)),
                Err(_) if self.guesses > 0 => self.guess_again(),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Restarts the search: the chain began with bytes that only looked like a fragment.
    fn guess_again(&mut self) {
        let began = self.steps.first().map_or(self.at, Step::moof);
        self.steps.clear();
        (self.at, self.guesses, self.is_searching) = (began + 8, self.guesses - 1, true);
    }

    /// Returns the range to read to complete the current fragment, if that is not too large.
    fn missing(&self, window: &Window<'_>) -> Option<Range<u64>> {
        let missing = window.missing.clone()?;
        let next_read = self.next_read(window.len);
        let all = next_read.start..next_read.end.max(missing.end);
        (all.end - all.start <= MAX_WINDOW).then_some(all)
    }

    /// Returns the offset of the next signature of a fragment.
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

    /// Returns which of the chain's steps is at the fragment of `step`.
    fn position_of(&self, step: Option<&Step>) -> Option<usize> {
        let moof = step?.moof();
        self.steps.binary_search_by_key(&moof, Step::moof).ok()
    }
}

fn lock(chain: &Mutex<Chain>) -> MutexGuard<'_, Chain> {
    chain.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A byte range of a file in memory, which records the read that was not possible.
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
        let index = |at: u64| usize::try_from(at.checked_sub(self.at)?).ok();
        let within = index(range.start).zip(index(range.end));
        match within.and_then(|(from, to)| self.bytes.get(from..to)) {
            Some(bytes) => Ok(bytes.into()),
            None => {
                self.missing = Some(range);
                Err(Unsupported("the index reader lost track of its window").into())
            }
        }
    }
}
