//! HTTP clients, and those that rest between two streams: whoever seeks, resumes or takes the next
//! film from the same place saves the time that a name, TCP and TLS take. Must never know what is
//! asked.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::Agent;
use url::{Origin, Url};

use super::line::Waits;
use super::lines::Lines;
use crate::cancel::CancelToken;

/// Clients that may rest, all upstreams together.
const MOST_AT_REST: usize = 16;

/// An HTTP client for one question at a time, and what its waits end with.
pub(super) struct Lane {
    pub(super) agent: Agent,
    pub(super) waits: Arc<Waits>,
    pub(super) lines: Arc<Lines>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane")
    }
}

/// Clients whose streams are over, and where they have asked.
#[derive(Debug, Default)]
pub(super) struct Resting(Mutex<VecDeque<(Origin, Arc<Lane>)>>);

impl Resting {
    /// The last one that has asked there, for a stream that ends with `stop`.
    pub(super) fn take(&self, url: &Url, stop: &Arc<CancelToken>) -> Option<Arc<Lane>> {
        let mut resting = self.lock();
        let place = resting.iter().rposition(|(to, _)| *to == url.origin())?;
        let (_, lane) = resting.remove(place)?;
        lane.waits.end_with(Some(stop));
        Some(lane)
    }

    /// Keeps a client that has asked there, if its connection is of use and nobody else has it.
    pub(super) fn keep(&self, lane: &Arc<Lane>, url: &Url) {
        if Arc::strong_count(lane) > 1 || !lane.lines.is_at_rest() {
            return;
        }
        lane.waits.end_with(None);
        let mut resting = self.lock();
        resting.push_back((url.origin(), lane.clone()));
        let excess = resting.len().saturating_sub(MOST_AT_REST);
        resting.drain(..excess);
    }

    /// Lets go of those whose connections have rested for too long, or were closed.
    pub(super) fn tidy(&self) {
        self.lock().retain(|(_, lane)| lane.lines.is_at_rest());
    }

    /// Nothing here is left half-changed by a panic.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Origin, Arc<Lane>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
