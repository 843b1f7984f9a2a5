//! One track's bytes, from its upstream to whoever reads them, whatever the network does.
//!
//! A track is fetched in parts of bounded length, the next one asked for while the last is still
//! arriving. What breaks is taken up again at the exact byte, as long as the upstream proves that
//! it is still the same file; where it does not, the track fails. Must never know the muxer.

use std::collections::VecDeque;
use std::mem::replace;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Scope};
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::{self, Receiver};
use url::Url;

use crate::error::{Error, Fault};
use crate::media::{Kind, Location, Refresh, Track};
use crate::stop::Stop;

pub mod address;
mod ask;
mod budget;
mod pace;
mod proxy;
mod upstream;
mod wire;

pub use ask::{File, Validators};
pub use upstream::{SOCKET_BUFFER, Upstream};

use ask::{Answer, Part, Question};
use budget::{Budget, jittered_chunk};
use pace::Pace;
use upstream::Lane;

/// Tries for a first answer: whoever pasted a wrong link is not to wait long for being told.
const OPENING_RETRIES: u32 = 2;
/// A busy upstream that asks for a longer wait than this before its first answer is reported
/// rather than waited for: the client can come back by itself.
const OPENING_WAIT: Duration = Duration::from_secs(5);
/// A chunk is not made smaller than this.
const LEAST_CHUNK: u64 = 512 << 10;
/// Nor is one that a resolver asks for smaller than this: it has to bring something new.
const PROGRESS: u64 = 16 << 10;
/// Fresh locations that are asked for without the length of a chunk in between.
const MAX_REFRESHES: u32 = 3;
/// More is asked for when no more than this is still to come of what was, or earlier.
const LEAD: u64 = 256 << 10;
/// The lead in answer times: some for the answer, and some for the connection to gather speed.
const LEAD_ANSWERS: f64 = 4.0;
/// Parts that are asked for before their time, at most.
const MAX_AHEAD: usize = 4;
/// What arrives within less than this says nothing about the speed of an upstream.
const LEAST_TIME: Duration = Duration::from_millis(10);
/// Bytes that are fetched a second time and compared, where no validator can prove that a part
/// belongs to the same file as the last.
const OVERLAP: usize = 1 << 10;

/// The reader of one track.
pub struct Source<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    upstream: &'scope Upstream,
    stop: Arc<Stop>,
    track: Kind,
    location: Arc<Location>,
    refresh: Option<Refresh>,
    refreshes: u32,
    /// Where the offset was at the last refresh.
    refreshed_at: u64,
    /// What is asked for at once.
    chunk: u64,
    budget: Budget,
    pace: Pace,
    /// The HTTP client whose turn it is, and those that have had theirs.
    lane: Arc<Lane>,
    idle: Vec<Arc<Lane>>,
    /// Where the last answer came from, after all redirects.
    shortcut: Option<Url>,
    /// What is known of the file since its first answer.
    file: Option<File>,
    /// Whether the upstream is to compare validators itself: some refuse the question.
    if_range: bool,
    /// Where reading began, where it is, and where it ends, if that is known.
    begin: u64,
    offset: u64,
    end: Option<u64>,
    part: Option<Part>,
    ahead: VecDeque<Ahead>,
    /// Held by each thread that asks ahead, also by those whose answer is not wanted any more.
    asking: Arc<()>,
    /// Since when it has been read.
    since: Instant,
    /// The last bytes read, at most [`OVERLAP`].
    tail: Vec<u8>,
    /// Bytes that were looked at but not yet taken.
    head: Vec<u8>,
}

/// A part that was asked for before its time.
struct Ahead {
    end: u64,
    lane: Arc<Lane>,
    answer: Receiver<Result<Answer, Fault>>,
}

impl<'scope, 'env> Source<'scope, 'env> {
    /// Asks the track's upstream for its first `first` bytes (or as many as it gives at once) and
    /// waits for the answer.
    pub fn open(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope Upstream,
        track: &Track,
        first: u64,
        stop: &Arc<Stop>,
    ) -> Result<Source<'scope, 'env>, Error> {
        let chunk = track.location.chunk.unwrap_or(u64::MAX).clamp(PROGRESS, upstream.chunk);
        let progress = upstream.least_progress();
        let mut source = Source {
            scope,
            upstream,
            stop: stop.clone(),
            track: track.kind,
            location: Arc::new(track.location.clone()),
            refresh: track.refresh.clone(),
            refreshes: 0,
            refreshed_at: 0,
            chunk: chunk.min(first),
            budget: Budget::new(upstream.retries.min(OPENING_RETRIES), progress),
            pace: Pace::new(upstream.min_throughput, upstream.stall_timeout),
            lane: upstream.lane(stop),
            idle: Vec::new(),
            shortcut: None,
            file: None,
            if_range: true,
            begin: 0,
            offset: 0,
            end: None,
            part: None,
            ahead: VecDeque::new(),
            asking: Arc::new(()),
            since: Instant::now(),
            tail: Vec::new(),
            head: Vec::new(),
        };
        source.pause(Duration::ZERO)?;
        while source.file.is_none() {
            source.next_part().or_else(|fault| source.recover(fault))?;
        }
        // An upstream that refused more than it gave now is not asked for more again.
        source.chunk = if source.chunk < first { source.chunk } else { chunk };
        source.budget = Budget::new(upstream.retries, progress);
        Ok(source)
    }

    /// Which track this is.
    pub fn track(&self) -> Kind {
        self.track
    }

    /// What its upstream says of the file.
    pub fn file(&self) -> &File {
        const UNKNOWN: &File = &File {
            len: None,
            ranged: false,
            validators: Validators { etag: None, modified: None },
        };
        // There is one as soon as there is a source.
        self.file.as_ref().unwrap_or(UNKNOWN)
    }

    /// The bytes looked at so far.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Looks at more bytes, up to `limit` in all; `false` when there are none to be had.
    pub fn look_further(&mut self, limit: usize) -> Result<bool, Error> {
        const STEP: usize = 16 << 10;
        let old = self.head.len();
        let wanted = STEP.min(limit.saturating_sub(old));
        self.head.resize(old + wanted, 0);
        let mut head = std::mem::take(&mut self.head);
        let count = self.more(&mut head[old..]);
        head.truncate(old + count.as_ref().copied().unwrap_or(0));
        self.head = head;
        Ok(count? > 0)
    }

    /// What was looked at, to be passed on before the first [`fetch`](Source::fetch).
    pub fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// From now on only these bytes of a file whose parts can be asked for, of which nothing but
    /// the head has been read.
    pub fn narrow(&mut self, part: Range<u64>) {
        self.end = Some(part.end);
        let seen = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.head.len());
        let (from, to) = (seen(part.start), seen(part.end));
        if (from as u64) < part.start || from == self.head.len() {
            // It lies beyond what was looked at.
            self.hang_up();
            self.head.clear();
            self.tail.clear();
            (self.begin, self.offset, self.since) = (part.start, part.start, Instant::now());
        } else {
            self.head.truncate(to);
            self.head.drain(..from);
        }
    }

    /// The next bytes. 0 means that the track is complete, and nothing else (or that `buffer`
    /// is empty).
    pub fn fetch(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let count = self.more(buffer)?;
        self.ask_ahead()?;
        Ok(count)
    }

    fn more(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        while !buffer.is_empty() && self.end.is_none_or(|end| self.offset < end) {
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
        let Some(part) = &mut self.part else { return Ok(0) };
        let left = self.end.map_or(u64::MAX, |end| end - self.offset);
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
        self.offset += bytes.len() as u64;
        self.budget.progress(bytes.len());
        let excess = (self.tail.len() + bytes.len()).saturating_sub(OVERLAP);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend(&bytes[bytes.len().saturating_sub(OVERLAP)..]);
    }

    /// Takes the answer that was asked for ahead, or asks now.
    fn next_part(&mut self) -> Result<(), Fault> {
        let answer = match self.ahead.pop_front() {
            Some(ahead) => {
                self.idle.push(replace(&mut self.lane, ahead.lane));
                ahead.answer.recv().map_err(|_| Fault::Unreachable("the stream is over".into()))?
            }
            None => self.question(self.offset, self.lane.clone()).ask(),
        };
        let Answer { mut part, file, url } = answer?;
        if !self.verify(&mut part)? {
            // The part before was shorter than it had been asked for.
            self.ahead.clear();
            return Ok(());
        }
        self.shortcut = Some(url);
        match &mut self.file {
            Some(known) if known.validators.best().is_some() => {}
            // Behind a fresh location the same file may have other validators.
            Some(known) => known.validators = file.validators,
            None => {
                self.end = file.len;
                self.file = Some(file);
            }
        }
        self.part = Some(part);
        Ok(())
    }

    /// What to ask for next, from the byte at `from` on.
    fn question(&self, from: u64, lane: Arc<Lane>) -> Question<'scope> {
        let ranged = self.file.as_ref().is_none_or(|file| file.ranged);
        let from = from - self.overlap(from);
        let to = from.saturating_add(jittered_chunk(self.chunk)).min(self.end.unwrap_or(u64::MAX));
        Question {
            upstream: self.upstream,
            lane,
            location: self.location.clone(),
            shortcut: self.shortcut.clone(),
            part: ranged.then_some(from..to),
            file: self.file.clone(),
            if_range: self.if_range,
        }
    }

    /// How many of the bytes before `from` are to be asked for again, and compared: where an ETag
    /// proves that it is the same file, none.
    fn overlap(&self, from: u64) -> u64 {
        let proven = self.file.as_ref().is_some_and(|file| file.validators.etag.is_some());
        if proven { 0 } else { (from - self.begin).min(OVERLAP as u64) }
    }

    /// Compares the bytes of a part that were read before; `false` if it does not go on where the
    /// last one ended.
    fn verify(&self, part: &mut Part) -> Result<bool, Fault> {
        let overlap = self.overlap(self.offset);
        if part.begin + overlap != self.offset {
            return Ok(false);
        }
        let mut again = vec![0; usize::try_from(overlap).unwrap_or(OVERLAP)];
        let mut filled = 0;
        while filled < again.len() {
            match part.read(&mut again[filled..])? {
                0 => return Err(Fault::WrongRange),
                count => filled += count,
            }
        }
        if !self.tail.ends_with(&again) {
            return Err(Fault::Changed("it repeats the bytes before a break differently"));
        }
        // One that has nothing else in it would be asked for again and again.
        let is_fruitless = overlap > 0 && part.end.is_some_and(|end| end <= self.offset);
        if is_fruitless { Err(Fault::WrongRange) } else { Ok(true) }
    }

    /// Asks for the next parts, each on a thread of its own, once the end of what was asked for
    /// is near: what the upstream takes to answer is then not seen. The threads end with their
    /// answers or with the stream.
    fn ask_ahead(&mut self) -> Result<(), Error> {
        let Some(part) = &self.part else { return Ok(()) };
        let lead =
            LEAD.max((self.rate() * part.answered_after.as_secs_f64() * LEAD_ANSWERS) as u64);
        while self.ahead.len() < MAX_AHEAD && Arc::strong_count(&self.asking) <= MAX_AHEAD {
            let asked_until = self.ahead.back().map_or(part.end, |ahead| Some(ahead.end));
            let (Some(from), Some(end)) = (asked_until, self.end) else { break };
            if from >= end || from.saturating_sub(self.offset) > lead {
                break;
            }
            let lane = self.idle.pop().unwrap_or_else(|| self.upstream.lane(&self.stop));
            let question = self.question(from, lane.clone());
            let (say, answer) = channel::bounded(1);
            let asking = self.asking.clone();
            let end = question.part.as_ref().map_or(end, |part| part.end);
            thread::Builder::new()
                .name("ask ahead".into())
                .spawn_scoped(self.scope, move || {
                    // Nobody listens any more when the part before has failed.
                    say.send(question.ask()).ok();
                    drop(asking);
                })
                .map_err(|e| Error::system("start a thread", &e))?;
            self.ahead.push_back(Ahead { end, lane, answer });
        }
        Ok(())
    }

    /// Bytes a second on average, whoever was slower: the upstream or the reader.
    fn rate(&self) -> f64 {
        (self.offset - self.begin) as f64 / self.since.elapsed().max(LEAST_TIME).as_secs_f64()
    }
}

/// What to do when something fails.
impl Source<'_, '_> {
    /// Makes everything ready for the next try, and waits until it is time for it; or gives up.
    fn recover(&mut self, fault: Fault) -> Result<(), Error> {
        let redirected = self.shortcut.as_ref().is_some_and(|url| *url != self.location.url);
        self.hang_up();
        let wait = match &fault {
            // What cannot be asked for in parts cannot be gone on with.
            _ if !self.file().ranged && self.offset > 0 => None,
            // Where a redirect led to may expire; it is asked where it leads to now.
            Fault::Status(401 | 403 | 404 | 410) if redirected => Some(Duration::ZERO),
            fault => self.try_again(fault),
        };
        let Some(wait) = wait else {
            return Err(Error::Upstream { track: self.track, fault });
        };
        self.upstream.retries_made.fetch_add(1, Ordering::Relaxed);
        log::debug!("{} upstream: {fault}; trying again in {wait:.1?}", self.track);
        self.pause(wait)
    }

    /// Lets `wait` pass, and the time before which the location must not be asked for.
    #[expect(clippy::disallowed_methods, reason = "that time is given as one of day")]
    fn pause(&self, wait: Duration) -> Result<(), Error> {
        let until = self.location.available_at;
        let early = until.and_then(|at| at.duration_since(SystemTime::now()).ok());
        let wait = wait.max(early.unwrap_or_default());
        if early.is_some_and(|early| early > self.upstream.max_wait) {
            return Err(Error::Upstream { track: self.track, fault: Fault::NotYet(wait) });
        }
        match self.stop.pause(wait) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::Stopped),
            Err(error) => Err(Error::system("wait for an upstream", &error)),
        }
    }

    /// Changes what the fault wants changed; after how long to ask again, if at all.
    fn try_again(&mut self, fault: &Fault) -> Option<Duration> {
        let asked_if = self.if_range && self.file().validators.best().is_some();
        match fault {
            Fault::RangeIgnored | Fault::Status(403) if asked_if => {
                self.if_range = false;
                Some(Duration::ZERO)
            }
            Fault::Status(403) if self.chunk > LEAST_CHUNK => {
                self.chunk = (self.chunk / 2).max(LEAST_CHUNK);
                Some(Duration::ZERO)
            }
            Fault::Status(401 | 403 | 404 | 410) => self.refreshed().then_some(Duration::ZERO),
            Fault::Unreachable(_) if self.file.is_none() => None,
            Fault::Busy(_, Some(wait)) if *wait > self.longest_wait() => None,
            Fault::Busy(_, wait) => {
                self.budget.spend(false).map(|backoff| backoff.max(wait.unwrap_or_default()))
            }
            Fault::Slow(_) => self.budget.spend(true),
            Fault::Cut { .. }
            | Fault::Timeout(..)
            | Fault::Unreachable(_)
            | Fault::Status(408 | 500 | 502 | 504) => self.budget.spend(false),
            _ => None,
        }
    }

    /// Whether there is a fresh location to go on with.
    fn refreshed(&mut self) -> bool {
        if self.offset.saturating_sub(self.refreshed_at) >= self.upstream.chunk {
            self.refreshes = 0;
        }
        let Some(refresh) = self.refresh.clone().filter(|_| self.refreshes < MAX_REFRESHES) else {
            return false;
        };
        self.refreshes += 1;
        self.refreshed_at = self.offset;
        match refresh.ask(&self.stop) {
            Ok(location) => {
                self.location = Arc::new(location);
                // Its length must be the same, and the bytes before the break; or, where there are
                // none of these, what the client was told of the file.
                let has_read = self.offset > self.begin || self.begin == 0;
                if let Some(file) = self.file.as_mut().filter(|_| has_read) {
                    file.validators = Validators::default();
                }
                true
            }
            Err(why) => {
                log::warn!("no fresh location for {} from {:?}: {why}", self.track, self.location);
                false
            }
        }
    }

    fn longest_wait(&self) -> Duration {
        let limit = if self.file.is_none() { OPENING_WAIT } else { Duration::MAX };
        limit.min(self.upstream.max_wait)
    }

    /// Lets go of all connections, so that the next question is asked on a new one.
    fn hang_up(&mut self) {
        (self.part, self.shortcut) = (None, None);
        self.ahead.clear();
        self.idle.clear();
        self.lane = self.upstream.lane(&self.stop);
    }
}
