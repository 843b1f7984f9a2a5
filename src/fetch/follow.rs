//! Follows a live stream: loads its list again until a segment is added, or until it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::error::{Error, InputError, UpstreamError};
use crate::fetch::segment_refresh::CurrentLocation;
use crate::media::TrackKind;
use crate::media::segments::SegmentList;

/// The list is not loaded again sooner than this.
const MIN_INTERVAL: Duration = Duration::from_millis(250);

/// When the list of a live stream was loaded, and with what result.
pub(super) struct Follower {
    loaded_at: Instant,
    /// Whether the last one had something new.
    had_news: bool,
    /// How long nothing new may come, if two target durations are less.
    min_patience: Duration,
}

impl Follower {
    /// Begins with a list that was just loaded.
    pub(super) fn new(min_patience: Duration) -> Follower {
        Follower { loaded_at: Instant::now(), had_news: true, min_patience }
    }

    /// Returns when the list is due again: after a target duration, or after half of one if there was
    /// nothing new (RFC 8216 §6.3.4).
    fn due(&self, target: Duration) -> Instant {
        let interval = if self.had_news { target } else { target / 2 };
        self.loaded_at + interval.max(MIN_INTERVAL)
    }

    /// Waits until the list has the part `next`, or is complete; returns it. A list that cannot be loaded
    /// has nothing new, for as long as that may last.
    pub(super) fn wait_for(
        &mut self,
        next: usize,
        kind: TrackKind,
        location: &CurrentLocation,
        cancel: &CancelToken,
    ) -> Result<Arc<SegmentList>, Error> {
        let since = Instant::now().max(self.loaded_at);
        loop {
            let list = location.list().ok_or(Error::Internal("a live stream has no list"))?;
            if next < list.part_count() || !list.is_live() {
                return Ok(list);
            }
            let wait = self.due(list.target_duration).saturating_duration_since(Instant::now());
            if !matches!(cancel.sleep(wait), Ok(false)) {
                return Err(Error::Stopped);
            }
            self.loaded_at = Instant::now();
            let grown = location.reload(kind, next);
            self.had_news = grown.as_ref().is_ok_and(|is_news| *is_news);
            let error = match grown {
                Ok(true) => continue,
                Ok(false) => {
                    let patience = self.patience(&list);
                    let fault = UpstreamError::Timeout("waiting for a new segment", patience);
                    Error::Upstream { track: kind, fault }
                }
                Err(error) => error,
            };
            if cancel.is_cancelled() {
                return Err(Error::Stopped);
            }
            if !is_passing(&error) || since.elapsed() >= self.patience(&list) {
                return Err(error);
            }
            log::debug!("a live playlist has nothing new: {error}");
        }
    }

    fn patience(&self, list: &SegmentList) -> Duration {
        list.target_duration.saturating_mul(2).max(self.min_patience)
    }
}

/// Returns whether the next attempt may succeed: the upstream has a fault, or the playlist is just being
/// written.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Upstream { fault, .. } => {
            !matches!(fault, UpstreamError::AddressRefused(_) | UpstreamError::EntityChanged(_))
        }
        Error::Playlist { .. } | Error::Unusable { reason: InputError::NotMedia(_), .. } => true,
        _ => false,
    }
}
