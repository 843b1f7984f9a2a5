//! Reports to systemd while the server runs: that it lives, what it does, and that its shutdown goes on.
//!
//! **Invariant:** no sign of life is sent unless every accept loop has turned since the last one. What hangs in the
//! handler of a request is no reason to restart a server that serves others.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http_server::Pulse;
use crate::sd_notify::SdNotify;

/// Minimum time between two changes of the status, and between two extensions of the time to shut down.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// How long systemd is to wait for the next extension, and after the last one for the end.
const EXTENSION: Duration = Duration::from_secs(20);
/// How many times within the watchdog's time an idle accept loop turns, and how many times that is looked at.
const TURNS: u32 = 8;
const CHECKS: u32 = 4;

const INVALID: &str = "; the changed configuration is invalid (see the log) and not in effect";

/// What the server does.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
}

/// Sends the reports that are due.
pub(super) struct Reporter<'n> {
    notify: &'n SdNotify,
    pulses: Vec<Arc<Pulse>>,
    phase: Phase,
    /// The last status, and when it was sent. `None` if the next one need not wait.
    status: (String, Option<Instant>),
    throughput: Throughput,
    /// Added to the status.
    remark: &'static str,
    lived: Instant,
    extended: Option<Instant>,
}

/// How many bytes were sent lately.
struct Throughput {
    sent: u64,
    since: Instant,
    megabytes_per_second: f64,
}

impl Throughput {
    fn update(&mut self, sent: u64) {
        let elapsed = self.since.elapsed();
        if elapsed >= STATUS_INTERVAL {
            let bytes = sent.saturating_sub(self.sent) as f64;
            let megabytes_per_second = bytes / 1e6 / elapsed.as_secs_f64();
            *self = Throughput { sent, since: Instant::now(), megabytes_per_second };
        }
    }
}

/// As in ", 12 MB/s"; nothing below 0.1.
impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.megabytes_per_second {
            ..0.1 => Ok(()),
            few @ ..10.0 => write!(f, ", {few:.1} MB/s"),
            many => write!(f, ", {many:.0} MB/s"),
        }
    }
}

/// Returns how often an accept loop must turn for the watchdog that is set.
pub(super) fn turn_interval(notify: &SdNotify) -> Option<Duration> {
    notify.watchdog().map(|time| time / TURNS)
}

impl<'n> Reporter<'n> {
    /// Reports on a server whose accept loops have these pulses.
    pub(super) fn new(notify: &'n SdNotify, pulses: Vec<Arc<Pulse>>) -> Reporter<'n> {
        let status = (String::new(), None);
        let (phase, lived) = (Phase::Serving, Instant::now());
        let throughput = Throughput { sent: 0, since: lived, megabytes_per_second: 0.0 };
        Reporter { notify, pulses, phase, status, throughput, remark: "", lived, extended: None }
    }

    /// Reports that `reload` runs, and what came of it: whether the configuration is valid.
    pub(super) fn reload(&mut self, reload: impl FnOnce() -> bool) {
        self.notify.reloading();
        self.remark = if reload() { "" } else { INVALID };
        self.notify.ready();
        self.status.1 = None;
    }

    /// Reports that the server drains.
    pub(super) fn stopping(&mut self) {
        self.notify.stopping();
        self.phase = Phase::Draining;
        self.status.1 = None;
    }

    /// Expects no more turns of the accept loops, which are about to end.
    pub(super) fn release_loops(&mut self) {
        self.pulses.clear();
    }

    /// Sends what is due of a server with so many streams, which has sent so many bytes; returns the time until the next
    /// call is due.
    pub(super) fn report(&mut self, streams: usize, sent: u64) -> Duration {
        self.throughput.update(sent);
        self.report_status(streams);
        if self.phase == Phase::Draining && has_passed(self.extended, STATUS_INTERVAL) {
            self.notify.extend_timeout(EXTENSION);
            self.extended = Some(Instant::now());
        }
        let Some(interval) = self.notify.watchdog().map(|time| time / CHECKS) else {
            return STATUS_INTERVAL;
        };
        if self.lived.elapsed() >= interval && self.pulses.iter().all(|pulse| pulse.has_beaten()) {
            for pulse in &self.pulses {
                pulse.reset();
            }
            self.notify.keep_alive();
            self.lived = Instant::now();
        }
        STATUS_INTERVAL.min(interval)
    }

    fn report_status(&mut self, streams: usize) {
        let (last, sent) = &self.status;
        if !self.notify.has_receiver() || !has_passed(*sent, STATUS_INTERVAL) {
            return;
        }
        let plural = if streams == 1 { "" } else { "s" };
        let Reporter { phase, throughput, remark, .. } = self;
        let status = format!("{phase:?}: {streams} stream{plural}{throughput}{remark}");
        if status != *last {
            self.notify.status(&status);
            self.status = (status, Some(Instant::now()));
        }
    }
}

fn has_passed(since: Option<Instant>, time: Duration) -> bool {
    since.is_none_or(|since| since.elapsed() >= time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::thread;

    /// systemd as a service sees it.
    struct Systemd {
        socket: UnixDatagram,
        notify: SdNotify,
        _dir: tempfile::TempDir,
    }

    impl Systemd {
        fn new(watchdog: Option<Duration>) -> Systemd {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            Systemd { socket, notify: SdNotify::new(Some(path.into()), watchdog), _dir: dir }
        }

        /// What it received since the last call.
        fn received(&self) -> Vec<String> {
            let mut buffer = [0; 256];
            let mut all = Vec::new();
            while let Ok(len) = self.socket.recv(&mut buffer) {
                all.push(String::from_utf8_lossy(&buffer[..len]).trim_end().to_owned());
            }
            all
        }
    }

    #[test]
    fn a_status_is_sent_when_it_changed_but_seldom() {
        let systemd = Systemd::new(None);
        let mut reporter = Reporter::new(&systemd.notify, Vec::new());
        let mut report = |streams| {
            reporter.report(streams, 0);
            systemd.received()
        };
        assert_eq!(report(1), ["STATUS=Serving: 1 stream"]);
        assert!(report(2).is_empty() && report(1).is_empty());
        let long_ago = Instant::now().checked_sub(STATUS_INTERVAL);
        reporter.status.1 = long_ago;
        reporter.report(1, 0);
        assert!(systemd.received().is_empty());
        reporter.report(3, 0);
        assert_eq!(systemd.received(), ["STATUS=Serving: 3 streams"]);
        reporter.reload(|| false);
        reporter.report(3, 0);
        let received = systemd.received();
        assert!(received[0].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{received:?}");
        let status = format!("STATUS=Serving: 3 streams{INVALID}");
        assert_eq!(received[1..], ["READY=1".to_owned(), status]);
        reporter.reload(|| true);
        reporter.report(3, 0);
        assert_eq!(systemd.received()[2], "STATUS=Serving: 3 streams");
    }

    #[test]
    fn the_status_tells_how_fast_bytes_are_sent() {
        let systemd = Systemd::new(None);
        let mut reporter = Reporter::new(&systemd.notify, Vec::new());
        for (sent, expected) in
            [(61_000_000, ", 12 MB/s"), (73_250_000, ", 2.4 MB/s"), (73_300_000, "")]
        {
            reporter.throughput.since = Instant::now().checked_sub(STATUS_INTERVAL).unwrap();
            reporter.status.1 = None;
            reporter.report(3, sent);
            assert_eq!(systemd.received(), [format!("STATUS=Serving: 3 streams{expected}")]);
        }
    }

    #[test]
    fn a_drain_is_given_more_time_again_and_again() {
        let systemd = Systemd::new(None);
        let mut reporter = Reporter::new(&systemd.notify, Vec::new());
        reporter.report(1, 0);
        reporter.stopping();
        reporter.report(2, 0);
        let more = "EXTEND_TIMEOUT_USEC=20000000";
        let received = systemd.received();
        assert_eq!(received[1..], ["STOPPING=1", "STATUS=Draining: 2 streams", more]);
        reporter.report(2, 0);
        assert!(systemd.received().is_empty());
        reporter.extended = Instant::now().checked_sub(STATUS_INTERVAL);
        reporter.report(2, 0);
        assert_eq!(systemd.received(), [more]);
    }

    #[test]
    fn life_is_shown_only_while_all_loops_turn() {
        const WATCHDOG: Duration = Duration::from_millis(80);
        let systemd = Systemd::new(Some(WATCHDOG));
        let pulses = vec![Arc::<Pulse>::default(), Arc::default()];
        let mut reporter = Reporter::new(&systemd.notify, pulses.clone());
        reporter.report(0, 0);
        systemd.received();
        let lives = |reporter: &mut Reporter<'_>| {
            thread::sleep(WATCHDOG / CHECKS);
            reporter.report(0, 0);
            systemd.received() == ["WATCHDOG=1"]
        };
        assert!(!lives(&mut reporter), "no loop has turned");
        pulses[0].beat();
        assert!(!lives(&mut reporter), "one has not");
        pulses[1].beat();
        assert!(lives(&mut reporter));
        assert!(!lives(&mut reporter), "none has turned since");
        pulses[0].beat();
        assert!(!lives(&mut reporter));
        reporter.release_loops();
        assert!(lives(&mut reporter) && lives(&mut reporter));
        assert_eq!(reporter.report(0, 0), WATCHDOG / CHECKS);
        assert!(turn_interval(&systemd.notify).unwrap() < WATCHDOG / CHECKS);
    }
}
