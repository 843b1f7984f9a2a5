//! Counts downloads, and renders all metrics for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The counters of the daemon.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Downloads that were started.
    started: AtomicU64,
    /// Downloads that ended, by result: `"complete"` or the problem code.
    ended: Mutex<BTreeMap<&'static str, u64>>,
    /// Wrong credentials that clients have shown.
    login_failures: AtomicU64,
    first_byte_micros: AtomicU64,
    first_bytes: AtomicU64,
}

/// Values that other modules count, read when the metrics are requested.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    /// Open connections.
    pub connections: usize,
    /// Active downloads.
    pub streams: usize,
    /// Downloads that wait for a permit.
    pub streams_waiting: usize,
    /// Active look-ups of pages and thumbnails.
    pub lookups: usize,
    /// Bytes sent to clients.
    pub sent_bytes: u64,
    /// Bytes sent to clients by splice(2), from socket to socket without a copy.
    pub zero_copy_bytes: u64,
    /// Retried requests to upstreams.
    pub retries: u64,
    /// Page links resolved by yt-dlp.
    pub pages_read: u64,
    /// Page links that yt-dlp failed to resolve.
    pub pages_failed: u64,
}

impl Metrics {
    /// Counts a download that starts.
    pub fn stream_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wrong credential.
    pub fn login_failed(&self) {
        self.login_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the time from the request to the first byte of the body.
    pub fn first_byte(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.first_byte_micros.fetch_add(micros, Ordering::Relaxed);
        self.first_bytes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a download that ended, by its result.
    pub fn stream_ended(&self, result: &'static str) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(result).or_default() += 1;
    }

    /// Renders the metrics (Prometheus text exposition format 0.0.4).
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
        metric("streams_active", "gauge", "Active downloads.", &one(now.streams as f64));
        metric(
            "streams_waiting",
            "gauge",
            "Downloads that wait for a free slot (limits.streams).",
            &one(now.streams_waiting as f64),
        );
        metric(
            "lookups_active",
            "gauge",
            "Active look-ups of pages and thumbnails.",
            &one(now.lookups as f64),
        );
        metric("streams_total", "counter", "Downloads started.", &one(count(&self.started)));
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Vec<_> = ended
            .iter()
            .map(|(result, count)| (format!("{{result=\"{result}\"}}"), *count as f64))
            .collect();
        metric(
            "streams_ended_total",
            "counter",
            "Downloads ended, by result: complete or a problem code.",
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
            "Bytes sent to clients by splice(2), without a copy.",
            &one(now.zero_copy_bytes as f64),
        );
        metric(
            "upstream_retries_total",
            "counter",
            "Requests to upstreams that were retried after a failure.",
            &one(now.retries as f64),
        );
        let pages = [("ok", now.pages_read), ("failed", now.pages_failed)];
        metric(
            "pages_read_total",
            "counter",
            "Page links resolved by yt-dlp, by result.",
            &pages.map(|(result, count)| (format!("{{result=\"{result}\"}}"), count as f64)),
        );
        metric(
            "login_failures_total",
            "counter",
            "Wrong credentials that clients have shown.",
            &one(count(&self.login_failures)),
        );
        let name = "first_byte_seconds";
        let help = "Time from the request to the first byte of the body.";
        let samples = [
            ("_sum".to_owned(), count(&self.first_byte_micros) / 1e6),
            ("_count".to_owned(), count(&self.first_bytes)),
        ];
        metric(name, "summary", help, &samples);
        text
    }
}

/// Renders which yt-dlp reads the pages; `released` is in seconds since 1970.
pub fn render_resolver(version: &str, released: Option<i64>) -> String {
    let mut text = format!(
        "# HELP ytcanal_resolver_version_info The yt-dlp that reads page links, by its version.\n\
         # TYPE ytcanal_resolver_version_info gauge\n\
         ytcanal_resolver_version_info{{version=\"{version}\"}} 1\n"
    );
    if let Some(released) = released {
        text += &format!(
            "# HELP ytcanal_resolver_release_timestamp_seconds When this version of yt-dlp was released.\n\
             # TYPE ytcanal_resolver_release_timestamp_seconds gauge\n\
             ytcanal_resolver_release_timestamp_seconds {released}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_help_type_and_samples() {
        let stats = Metrics::default();
        stats.stream_started();
        stats.login_failed();
        stats.first_byte(Duration::from_millis(1500));
        stats.stream_ended("complete");
        stats.stream_ended("client-left");
        let text = stats.render(Snapshot {
            connections: 2,
            streams: 1,
            streams_waiting: 6,
            lookups: 8,
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
            "ytcanal_lookups_active 8",
            "ytcanal_streams_ended_total{result=\"client-left\"} 1",
            "ytcanal_login_failures_total 1",
            "ytcanal_first_byte_seconds_sum 1.5",
            "ytcanal_sent_bytes_total 7",
            "ytcanal_zero_copy_bytes_total 4",
            "ytcanal_upstream_retries_total 3",
            "ytcanal_pages_read_total{result=\"ok\"} 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
    }
    #[test]
    fn the_version_of_ytdlp_is_a_label_and_its_date_a_time() {
        let text = render_resolver("2026.10.26", Some(1_792_972_800));
        assert!(
            text.contains("\nytcanal_resolver_version_info{version=\"2026.10.26\"} 1\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\nytcanal_resolver_release_timestamp_seconds 1792972800\n"),
            "{text}"
        );
        assert!(!render_resolver("1.2", None).contains("timestamp"));
    }
}
