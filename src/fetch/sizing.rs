//! Sizes range requests, and decides how early the next one is sent. Pure, but for the clock and
//! the jitter.

use std::time::Duration;

use crate::fetch::pace::Pace;
use crate::fetch::retry_budget::jittered_chunk;
use crate::media::TrackKind;

/// Size of the first request for video that goes to the client. While a nearby upstream sends a large
/// range it leaves no bandwidth for the other track; and a shorter one ends before it shows how
/// quickly the client reads, whose buffers are still filling.
const FIRST_VIDEO_REQUEST_SIZE: u64 = 640 << 10;
/// Later requests are at least this large, however slow the reader, unless the chunk limit is
/// lower.
const MIN_REQUEST_SIZE: u64 = 128 << 10;
/// What a caller needs at once is requested with more, for it mostly needs that next.
const MIN_HINTED_SIZE: u64 = 512 << 10;
/// The next request is sent when at most this many bytes are still to be read, or earlier.
const MIN_PREFETCH_DISTANCE: u64 = 128 << 10;
/// The prefetch distance in response times: some for the response, and some for the connection to
/// gather speed.
const PREFETCH_RESPONSE_TIMES: f64 = 4.0;
/// A range is no longer than what is read in this time: bytes that wait for a slow reader occupy
/// kernel memory, and were fetched in vain if the reader leaves.
const TARGET_REQUEST_DURATION: Duration = Duration::from_secs(4);
/// A range is at most so many times as long as the longest one before it: a client that will read slowly takes the first
/// bytes as fast as its buffers do.
const MAX_GROWTH: u64 = 4;

/// Returns the size of the first request of a track whose bytes go to the client. 256 KiB of audio mostly last longer than
/// 640 KiB of video.
pub fn first_request_size(kind: TrackKind) -> u64 {
    match kind {
        TrackKind::Video => FIRST_VIDEO_REQUEST_SIZE,
        TrackKind::Audio => 256 << 10,
    }
}

/// What the size of the next request depends on.
pub(super) struct RequestSizing {
    /// Number of bytes that the caller needs at once; 0 if it reads as they come.
    size_hint: u64,
    /// Size of the largest body received so far.
    pub(super) largest_body: u64,
    pub(super) pace: Pace,
    /// Response time of the quickest response.
    min_response_time: Duration,
}

impl RequestSizing {
    /// Begins at `offset`; the caller needs `size_hint` bytes at once.
    pub(super) fn new(offset: u64, size_hint: u64) -> RequestSizing {
        RequestSizing {
            size_hint,
            largest_body: 0,
            pace: Pace::new(offset),
            min_response_time: Duration::MAX,
        }
    }

    /// Forgets the rate: how quickly the reader reads shows from now on.
    pub(super) fn restart(&mut self, offset: u64) {
        self.pace = Pace::new(offset);
    }

    /// Announces that the caller needs the next `len` bytes at once; 0 if it reads as they come.
    pub(super) fn set_size_hint(&mut self, len: u64) {
        self.size_hint = if len > 0 { len.max(MIN_HINTED_SIZE) } else { 0 };
    }

    /// Records a body of `len` bytes that begins at `offset`.
    pub(super) fn record_body(&mut self, len: u64, response_time: Duration, offset: u64) {
        self.largest_body = self.largest_body.max(len);
        self.min_response_time = self.min_response_time.min(response_time);
        self.pace.mark(offset);
    }

    /// Returns the size of the next request of a reader at `offset`, at most `chunk`: the size
    /// hint, or else what is read within [`TARGET_REQUEST_DURATION`].
    pub(super) fn request_size(&self, chunk: u64, offset: u64) -> u64 {
        if self.size_hint > 0 {
            return self.size_hint.min(chunk);
        }
        let expected = (self.pace.rate(offset) * TARGET_REQUEST_DURATION.as_secs_f64()) as u64;
        let expected = expected.min(self.largest_body.saturating_mul(MAX_GROWTH));
        jittered_chunk(expected.max(MIN_REQUEST_SIZE).min(chunk))
    }

    /// Returns how many bytes before the end of what is requested the next request is due: none if the reader is slow,
    /// whose next request then finds the connection of the one before it.
    pub(super) fn prefetch_distance(&self, offset: u64) -> u64 {
        if self.pace.is_slow(offset) {
            return 0;
        }
        // Slower responses were slowed by prefetching itself, or by a busy machine; prefetching
        // even more would help neither.
        let response_time = self.min_response_time.as_secs_f64();
        let distance = self.pace.rate(offset) * response_time * PREFETCH_RESPONSE_TIMES;
        MIN_PREFETCH_DISTANCE.max(distance as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = 10 << 20;

    /// A reader that has read `count` bytes in the last ten seconds.
    fn after(count: u64) -> (RequestSizing, u64) {
        let mut sizing = RequestSizing::new(0, 0);
        sizing.record_body(count, Duration::from_millis(100), 0);
        sizing.pace.age(Duration::from_secs(10));
        (sizing, count)
    }

    #[test]
    fn the_size_follows_the_reader() {
        let size = |count| {
            let (sizing, offset) = after(count);
            sizing.request_size(CHUNK, offset)
        };
        let about = |expected: u64| expected * 9 / 10..=expected;
        assert!(about(MIN_REQUEST_SIZE).contains(&size(1000)));
        assert!(about(4 << 20).contains(&size(10 << 20)));
        assert!(about(CHUNK).contains(&size(1 << 30)));
        let (mut sizing, offset) = after(1 << 30);
        sizing.largest_body = 1 << 20;
        assert!(about(4 << 20).contains(&sizing.request_size(CHUNK, offset)), "not at once");
        let hinted = RequestSizing::new(0, 5000);
        assert_eq!((hinted.request_size(CHUNK, 0), hinted.request_size(100, 0)), (5000, 100));
    }

    #[test]
    fn the_next_request_is_sent_in_time() {
        let distance = |count, waited| {
            let (mut sizing, offset) = after(count);
            sizing.pace.record_wait(Duration::from_secs(waited));
            sizing.prefetch_distance(offset)
        };
        // Four times a tenth of a second.
        assert!((3_900_000..=4_000_000).contains(&distance(100_000_000, 0)));
        // The upstream is slow.
        assert_eq!(distance(1000, 9), MIN_PREFETCH_DISTANCE);
        // The reader is.
        assert_eq!(distance(1000, 1), 0);
    }
}
