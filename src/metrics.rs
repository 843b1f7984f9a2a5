//! Counters, and their text for Prometheus. Must never slow the stream.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is counted over the life of a daemon.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Streams that were begun.
    started: AtomicU64,
    /// How they ended: `"complete"`, or the code of the error.
    ended: Mutex<BTreeMap<&'static str, u64>>,
    first_byte_micros: AtomicU64,
    first_bytes: AtomicU64,
}

/// What is read off when it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    /// Open connections.
    pub connections: usize,
    /// Running streams.
    pub streams: usize,
    /// Streams that wait to be let run.
    pub streams_waiting: usize,
    /// Bytes sent to clients.
    pub sent_bytes: u64,
    /// Those of them that went from socket to socket without a copy.
    pub zero_copy_bytes: u64,
    /// Questions that were asked upstreams again.
    pub retries: u64,
    /// Pages that were read.
    pub pages_read: u64,
    /// Pages that could not be read.
    pub pages_failed: u64,
}

impl Metrics {
    /// A stream begins.
    pub fn stream_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// The first muxed bytes were there so long after the request.
    pub fn first_byte(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.first_byte_micros.fetch_add(micros, Ordering::Relaxed);
        self.first_bytes.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream came to its end.
    pub fn stream_ended(&self, how: &'static str) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(how).or_default() += 1;
    }

    /// The text (Prometheus exposition format 0.0.4).
    pub fn render(&self, now: Snapshot) -> String {
        let mut text = String::with_capacity(1024);
        let mut metric = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
            let name = format!("ytcanal_{name}");
            // Writing to a String cannot fail.
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
            for (labels, value) in samples {
                writeln!(text, "{name}{labels} {value}").ok();
            }
        };
        let one = |value: f64| [(String::new(), value)];
        let count = |value: &AtomicU64| value.load(Ordering::Relaxed) as f64;
        metric("connections_active", "gauge", "Open connections.", &one(now.connections as f64));
        metric("streams_active", "gauge", "Running streams.", &one(now.streams as f64));
        metric(
            "streams_waiting",
            "gauge",
            "Streams that wait for a slot.",
            &one(now.streams_waiting as f64),
        );
        metric("streams_total", "counter", "Streams begun.", &one(count(&self.started)));
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Vec<_> = ended
            .iter()
            .map(|(how, count)| (format!("{{result=\"{how}\"}}"), *count as f64))
            .collect();
        metric(
            "streams_ended_total",
            "counter",
            "Streams ended, by result: complete or the code of the error.",
            &ended,
        );
        metric(
            "sent_bytes_total",
            "counter",
            "Bytes sent to clients.",
            &one(now.sent_bytes as f64),
        );
        metric(
            "zero_copy_bytes_total",
            "counter",
            "Bytes sent to clients that went from socket to socket without a copy.",
            &one(now.zero_copy_bytes as f64),
        );
        metric(
            "upstream_retries_total",
            "counter",
            "Requests to upstreams that were made again after a failure.",
            &one(now.retries as f64),
        );
        let pages = [("ok", now.pages_read), ("failed", now.pages_failed)];
        metric(
            "pages_read_total",
            "counter",
            "Pages read by the resolver, by result.",
            &pages.map(|(how, count)| (format!("{{result=\"{how}\"}}"), count as f64)),
        );
        let name = "first_byte_seconds";
        let help = "Time from the request to the first muxed byte.";
        let samples = [
            ("_sum".to_owned(), count(&self.first_byte_micros) / 1e6),
            ("_count".to_owned(), count(&self.first_bytes)),
        ];
        metric(name, "summary", help, &samples);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_help_type_and_samples() {
        let stats = Metrics::default();
        stats.stream_started();
        stats.first_byte(Duration::from_millis(1500));
        stats.stream_ended("complete");
        stats.stream_ended("client-left");
        let text = stats.render(Snapshot {
            connections: 2,
            streams: 1,
            streams_waiting: 6,
            sent_bytes: 7,
            zero_copy_bytes: 4,
            retries: 3,
            pages_read: 5,
            pages_failed: 0,
        });
        for line in [
            "# TYPE ytcanal_streams_active gauge",
            "ytcanal_streams_active 1",
            "ytcanal_streams_waiting 6",
            "ytcanal_streams_ended_total{result=\"client-left\"} 1",
            "ytcanal_first_byte_seconds_sum 1.5",
            "ytcanal_sent_bytes_total 7",
            "ytcanal_zero_copy_bytes_total 4",
            "ytcanal_upstream_retries_total 3",
            "ytcanal_pages_read_total{result=\"ok\"} 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
    }
}
