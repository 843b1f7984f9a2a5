//! What a source does when something fails: it waits, changes what must be changed, and asks
//! again; or it gives up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::{Source, Validators};
use crate::error::{Error, Fault};

/// A busy upstream that asks for a longer wait than this before its first answer is reported
/// rather than waited for: the client can come back by itself.
const OPENING_WAIT: Duration = Duration::from_secs(5);
/// A chunk that was refused is not made smaller than this.
const LEAST_CHUNK: u64 = 256 << 10;
/// Fresh locations that are asked for without the length of a chunk in between.
const MAX_REFRESHES: u32 = 3;

impl Source<'_, '_> {
    /// Makes everything ready for the next try, and waits until it is time for it; or gives up.
    pub(super) fn recover(&mut self, fault: Fault) -> Result<(), Error> {
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
    pub(super) fn pause(&self, wait: Duration) -> Result<(), Error> {
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
        let part_len = self.part_len();
        let asked_if = self.if_range && self.file().validators.best().is_some();
        match fault {
            Fault::RangeIgnored | Fault::Status(403) if asked_if => {
                self.if_range = false;
                Some(Duration::ZERO)
            }
            Fault::Status(403) if part_len > LEAST_CHUNK => {
                self.chunk = (part_len / 2).max(LEAST_CHUNK);
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
        match refresh.ask(&self.location, &self.stop) {
            // It was refused, and will be again.
            Ok(location) if location == *self.location => false,
            Ok(location) => {
                self.location = Arc::new(location);
                // Its length must be the same, and the bytes before the break; or, where there are
                // none of these, what the client was told of the file.
                let has_read = self.offset > self.begin || (self.begin == 0 && !self.foretold);
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
        let limit = if self.opening { OPENING_WAIT } else { Duration::MAX };
        limit.min(self.upstream.max_wait)
    }

    /// Lets go of all connections, so that the next question is asked on a new one.
    pub(super) fn hang_up(&mut self) {
        (self.part, self.shortcut) = (None, None);
        self.ahead.clear();
        self.idle.clear();
        self.lane = self.upstream.new_lane(&self.stop);
    }
}
