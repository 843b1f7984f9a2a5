//! One track's bytes, from its upstream to whoever reads them, whatever the network does.
//!
//! A track is fetched in parts of bounded length, the next one asked for while the last is still
//! arriving. What breaks is taken up again at the exact byte, as long as the upstream proves that
//! it is still the same file; where it does not, the track fails. Must never know the muxer.

use std::collections::VecDeque;
use std::mem::replace;
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use url::Url;

use crate::cancel::CancelToken;
use crate::error::{Error, Fault};
use crate::media::{Kind, Location, Refresh, Track};

pub mod address;
mod ahead;
mod ask;
mod budget;
mod family;
mod first;
mod gate;
mod head;
mod judge;
mod lane;
mod learned;
mod line;
mod lines;
mod otherwise;
mod pace;
mod part;
mod pour;
mod proof;
mod proxy;
mod recover;
mod upstream;
mod wire;

pub use address::Policy;
pub use ahead::FIRST_PART;
pub use family::Families;
pub use gate::Gate;
pub use judge::{File, Validators};
pub use upstream::{POURED, SOCKET_BUFFER, Upstream};

use ahead::Ahead;
use ask::{Answer, Question};
use budget::Budget;
use lane::Lane;
use otherwise::Tried;
use pace::Pace;
use part::Part;
use proof::Seen;

/// Tries for a first answer: whoever pasted a wrong link is not to wait long for being told.
const OPENING_RETRIES: u32 = 2;
/// The reader of one track.
pub struct Source<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    upstream: &'scope Upstream,
    stop: Arc<CancelToken>,
    track: Kind,
    location: Arc<Location>,
    refresh: Option<Refresh>,
    /// What is asked for at once, at most; the most that was given at once; and what is wanted at
    /// once just now, if anything.
    chunk: u64,
    fits: u64,
    wanted: u64,
    /// What was done when something was refused.
    tried: Tried,
    budget: Budget,
    /// Whether somebody still waits for a first answer.
    opening: bool,
    pace: Pace,
    /// The HTTP client whose turn it is, and those that have had theirs.
    lane: Arc<Lane>,
    idle: Vec<Arc<Lane>>,
    /// Where the last answer came from, after all redirects.
    shortcut: Option<Url>,
    /// What is known of the file since its first answer.
    file: Option<File>,
    /// Whether that was told by somebody else before the first answer, which must agree with it.
    foretold: bool,
    /// Whether the upstream is to compare validators itself: some refuse the question.
    if_range: bool,
    /// Whether the location is another one than the validators were of.
    is_renewed: bool,
    /// Where reading began, where it is, and where it ends, if that is known.
    begin: u64,
    offset: u64,
    end: Option<u64>,
    part: Option<Part>,
    ahead: VecDeque<Ahead<'scope>>,
    /// Held by each thread that asks ahead, also by those whose answer is not wanted any more.
    asking: Arc<()>,
    /// When, and where, this part began and the one before it.
    since: [(Instant, u64); 2],
    /// What the quickest answer took.
    quickest: Option<Duration>,
    /// The last bytes read, and what was looked at before or elsewhere: what must be there again.
    tail: Seen,
    seen: Vec<Seen>,
    /// Bytes that were looked at but not yet taken.
    head: Vec<u8>,
}

impl<'scope, 'env> Source<'scope, 'env> {
    /// Asks the track's upstream for its first `first` bytes (or as many as it gives at once) and
    /// waits for the answer.
    pub fn open(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope Upstream,
        track: &Track,
        first: u64,
        stop: &Arc<CancelToken>,
    ) -> Result<Source<'scope, 'env>, Error> {
        Source::of(scope, upstream, track, first, stop).opened()
    }

    /// Asks the track's upstream for `part` of a file that is known already, first for `first` bytes of
    /// it, and waits for the answer, which must be of that same file.
    pub fn reopen(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope Upstream,
        track: &Track,
        part: Range<u64>,
        first: u64,
        file: &File,
        stop: &Arc<CancelToken>,
    ) -> Result<Source<'scope, 'env>, Error> {
        Source::of_known(scope, upstream, track, part, first, file, stop).opened()
    }

    /// One that is to be [opened](Source::opened): it asks already, if that needs no waiting.
    pub fn of(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope Upstream,
        track: &Track,
        first: u64,
        stop: &Arc<CancelToken>,
    ) -> Source<'scope, 'env> {
        let mut source = Source::new(scope, upstream, track, stop);
        source.wanted = first;
        source.put();
        source
    }

    /// The same of `part` of a file that is known already.
    pub fn of_known(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope Upstream,
        track: &Track,
        part: Range<u64>,
        first: u64,
        file: &File,
        stop: &Arc<CancelToken>,
    ) -> Source<'scope, 'env> {
        let mut source = Source::new(scope, upstream, track, stop);
        source.wanted = first;
        let wavers = file.wavers || upstream.learned.is_wavering(&track.location.url, file);
        (source.file, source.foretold) = (Some(File { wavers, ..file.clone() }), true);
        source.begin_at(part.start);
        source.end = Some(part.end);
        source.put();
        source
    }

    /// Waits for the first answer.
    pub fn opened(mut self) -> Result<Source<'scope, 'env>, Error> {
        self.pause(Duration::ZERO)?;
        self.ask_first()?;
        // From now on it is worth the while to be patient.
        self.opening = false;
        self.budget = Budget::new(self.upstream.retries, self.upstream.least_progress());
        Ok(self)
    }

    fn ask_first(&mut self) -> Result<(), Error> {
        while self.part.is_none() && self.left() != Some(0) {
            self.next_part().or_else(|fault| self.recover(fault))?;
        }
        self.wanted = 0;
        Ok(())
    }

    /// What came is not the file: whether there is a fresh location, which is then asked for its first
    /// `first` bytes.
    pub fn begin_anew(&mut self, first: u64) -> Result<bool, Error> {
        self.hang_up();
        self.begin_at(0);
        if !self.refreshed() {
            return Ok(false);
        }
        (self.file, self.is_renewed, self.end, self.wanted) = (None, false, None, first);
        (self.tail, self.seen, self.head) = (Seen::default(), Vec::new(), Vec::new());
        self.pause(Duration::ZERO)?;
        self.ask_first().map(|()| true)
    }

    fn begin_at(&mut self, at: u64) {
        (self.begin, self.offset, self.since) = (at, at, [(Instant::now(), at); 2]);
    }

    fn new(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope Upstream,
        track: &Track,
        stop: &Arc<CancelToken>,
    ) -> Source<'scope, 'env> {
        Source {
            scope,
            upstream,
            stop: stop.clone(),
            track: track.kind,
            location: Arc::new(track.location.clone()),
            refresh: track.refresh.clone(),
            chunk: upstream.chunk_of(&track.location),
            fits: 0,
            wanted: 0,
            tried: Tried::default(),
            budget: Budget::new(upstream.retries.min(OPENING_RETRIES), upstream.least_progress()),
            opening: true,
            pace: Pace::new(upstream.min_throughput, upstream.stall_timeout),
            lane: upstream.lane(&track.location.url, stop),
            idle: Vec::new(),
            shortcut: None,
            file: None,
            foretold: false,
            if_range: true,
            is_renewed: false,
            begin: 0,
            offset: 0,
            end: None,
            part: None,
            ahead: VecDeque::new(),
            asking: Arc::new(()),
            since: [(Instant::now(), 0); 2],
            quickest: None,
            tail: Seen::default(),
            seen: Vec::new(),
            head: Vec::new(),
        }
    }

    /// Which track this is.
    pub fn track(&self) -> Kind {
        self.track
    }

    /// The same, where it is now.
    pub fn as_track(&self) -> Track {
        let location = Location::clone(&self.location);
        Track { kind: self.track, location, refresh: self.refresh.clone() }
    }

    /// What its upstream says of the file.
    pub fn file(&self) -> &File {
        const UNKNOWN: &File = &File {
            len: None,
            ranged: false,
            validators: Validators { etag: None, modified: None },
            wavers: false,
        };
        // There is one as soon as there is a source.
        self.file.as_ref().unwrap_or(UNKNOWN)
    }

    /// The next bytes. 0 means that the track is complete, and nothing else (or that `buffer`
    /// is empty).
    pub fn fetch(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let count = self.more(buffer)?;
        self.ask_ahead();
        Ok(count)
    }

    fn more(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        while !buffer.is_empty() && self.left() != Some(0) {
            match self.read(buffer) {
                Ok(0) => {}
                Ok(count) => {
                    self.remember(&buffer[..count]);
                    return Ok(count);
                }
                Err(fault) => self.recover(fault)?,
            }
        }
        Ok(0)
    }

    /// How much is still to come, if that is known. What was looked at may reach behind the end.
    fn left(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.offset))
    }

    /// The next bytes of this part, or 0 when it is over.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let asked = Instant::now();
        let count = self.read_part(buffer)?;
        // The wait for an answer counts, too, or a byte an answer would be fast enough.
        self.pace.step(count, asked.elapsed()).map_err(Fault::Slow)?;
        Ok(count)
    }

    fn read_part(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        if self.part.is_none() {
            self.next_part()?;
        }
        let left = self.left().unwrap_or(u64::MAX);
        let Some(part) = &mut self.part else { return Ok(0) };
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = part.read(&mut buffer[..room])?;
        if count == 0 {
            if part.end.is_none() {
                self.end = Some(self.offset);
            }
            self.part = None;
        }
        Ok(count)
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.passed(bytes.len());
        self.tail.goes_on(bytes, self.offset);
    }

    fn passed(&mut self, count: usize) {
        self.offset += count as u64;
        self.budget.progress(count);
    }

    /// Takes the answer that was asked for ahead, or asks now.
    fn next_part(&mut self) -> Result<(), Fault> {
        let answer = match self.ahead.pop_front() {
            Some(ahead) => {
                let before = replace(&mut self.lane, ahead.lane.clone());
                if !Arc::ptr_eq(&before, &self.lane) {
                    self.idle.push(before);
                }
                ahead.answer()
            }
            None => self.question(self.offset, self.lane.clone()).ask(),
        };
        let mut answer = answer?;
        if self.file.is_none() {
            answer = self.complete(answer)?;
        }
        let Answer { mut part, file, url, .. } = answer;
        if !self.verify(&mut part)? {
            // The part before was shorter than it had been asked for.
            self.ahead.clear();
            return Ok(());
        }
        self.learn(&part);
        self.tried.came();
        self.fits = self.fits.max(part.end.map_or(0, |end| end - part.begin));
        let quickest = self.quickest.unwrap_or(Duration::MAX).min(part.answered_after);
        (self.shortcut, self.quickest) = (Some(url), Some(quickest));
        match &mut self.file {
            // Behind a fresh location the same file may have other validators.
            Some(known) if self.is_renewed => {
                (known.validators, self.is_renewed) = (file.validators, false);
            }
            Some(_) => {}
            None => {
                self.end = file.len;
                self.file = Some(file);
            }
        }
        self.part = Some(part);
        self.since = [self.since[1], (Instant::now(), self.offset)];
        Ok(())
    }

    fn lane(&self) -> Arc<Lane> {
        self.upstream.lane(&self.location.url, &self.stop)
    }

    /// What to ask for next, from the byte at `from` on.
    fn question(&self, from: u64, lane: Arc<Lane>) -> Question<'scope> {
        let ranged = self.file.as_ref().is_none_or(|file| file.ranged);
        let from = from - self.overlap(from);
        let to = from.saturating_add(self.part_len()).min(self.end.unwrap_or(u64::MAX));
        Question {
            upstream: self.upstream,
            lane,
            location: self.location.clone(),
            shortcut: self.shortcut.clone(),
            part: (ranged && !self.tried.asks_for_all).then_some(from..to),
            file: self.file.clone(),
            if_range: self.if_range,
            put_at: None,
        }
    }
}

impl Drop for Source<'_, '_> {
    /// Connections on which everything was read are of use for those who come next.
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            part.put_down();
        }
        for lane in self.idle.iter().chain([&self.lane]) {
            self.upstream.resting.keep(lane, &self.location.url);
        }
    }
}
