//! Looking ahead: how much is asked for at once, and that the next part is asked for before the last
//! one has ended, so that what an upstream takes to answer is not seen.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver};

use super::Source;
use super::ask::Answer;
use super::budget::jittered_chunk;
use super::upstream::Lane;
use crate::error::Fault;

/// What is asked for first of what is to be sent. While an upstream that is near pours out a large
/// part, it has no time for the other track; and by the end of a short one it does not show yet how
/// quickly the client reads, whose buffers are being filled.
pub const FIRST_PART: u64 = 640 << 10;
/// Later on, no less is asked for, however slowly it is read, where so much may be.
pub(super) const LEAST_PART: u64 = 512 << 10;
/// More is asked for when no more than this is still to come of what was, or earlier.
const LEAD: u64 = 128 << 10;
/// The lead in answer times: some for the answer, and some for the connection to gather speed.
const LEAD_ANSWERS: f64 = 4.0;
/// Parts that are asked for before their time, at most.
const MAX_AHEAD: usize = 4;
/// A part is no longer than what is read in this time: what waits for a slow reader waits in the
/// memory of the kernel, and for a reader that leaves it was fetched in vain.
const PART_TIME: Duration = Duration::from_secs(4);
/// What arrives within less than this says nothing about the speed of an upstream.
const LEAST_TIME: Duration = Duration::from_millis(10);

/// A part that was asked for before its time.
pub(super) struct Ahead {
    pub(super) end: u64,
    pub(super) lane: Arc<Lane>,
    pub(super) answer: Receiver<Result<Answer, Fault>>,
}

impl Source<'_, '_> {
    /// Asks for the next parts, each on a thread of its own, once the end of what was asked for
    /// is near: what the upstream takes to answer is then not seen. The threads end with their
    /// answers or with the stream.
    pub(super) fn ask_ahead(&mut self) {
        let Some(part) = &self.part else { return };
        // Slower answers were slow because of what was asked for ahead, or of a busy machine; to ask
        // for still more of it then would help neither.
        let answer = self.quickest.unwrap_or(part.answered_after).as_secs_f64();
        let lead = LEAD.max((self.rate() * answer * LEAD_ANSWERS) as u64);
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
            let thread = thread::Builder::new().name("ask ahead".into());
            let started = thread.spawn_scoped(self.scope, move || {
                // Nobody listens any more when the part before has failed.
                say.send(question.ask()).ok();
                drop(asking);
            });
            if let Err(error) = started {
                // Then it is asked for in its time.
                log::debug!("cannot look ahead: {error}");
                break;
            }
            self.ahead.push_back(Ahead { end, lane, answer });
        }
    }

    /// How much to ask for: what is wanted at once, or else as much as is read in some time.
    pub(super) fn part_len(&self) -> u64 {
        if self.wanted > 0 {
            return self.wanted.min(self.chunk);
        }
        let quick = (self.rate() * PART_TIME.as_secs_f64()) as u64;
        jittered_chunk(quick.max(LEAST_PART).min(self.chunk))
    }

    /// Bytes a second in this part and the one before it, whoever was slower: the upstream or the
    /// reader. Players read as fast as they can until they have enough.
    fn rate(&self) -> f64 {
        let (since, from) = self.since[0];
        (self.offset - from) as f64 / since.elapsed().max(LEAST_TIME).as_secs_f64()
    }
}
