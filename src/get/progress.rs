//! The progress of a download on a terminal: one line, once a second.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The rate is that of the last so many lines, hence seconds.
const WINDOW: usize = 10;
/// The width of the bar.
const BAR: u64 = 20;
/// Erases the line and returns to its start (ECMA-48).
const ERASE_LINE: &str = "\r\x1b[K";

/// How far a download is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The bytes that are there.
    pub(super) done: u64,
    /// The bytes of the file, if that is known.
    pub(super) total: Option<u64>,
}

/// Shows progress on standard error, if that is a terminal.
pub(super) struct Progress {
    is_shown: bool,
    is_drawn: bool,
    samples: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// Makes one that is silent if `silent`.
    pub(super) fn new(silent: bool) -> Progress {
        let is_shown = !silent && io::stderr().is_terminal();
        Progress { is_shown, is_drawn: false, samples: VecDeque::new() }
    }

    /// Draws a line; `None` before the first byte.
    pub(super) fn draw(&mut self, position: Option<Position>) {
        if !self.is_shown {
            return;
        }
        let line = match position {
            None => "looking for the media ...".to_owned(),
            Some(position) => {
                let now = Instant::now();
                // A download that began again.
                if self.samples.back().is_some_and(|(_, done)| *done > position.done) {
                    self.samples.clear();
                }
                self.samples.push_back((now, position.done));
                if self.samples.len() > WINDOW {
                    self.samples.pop_front();
                }
                let (since, first) = self.samples[0];
                line(position, rate(position.done - first, now - since))
            }
        };
        self.is_drawn = true;
        // A terminal that is gone ends the download by its signal.
        write!(io::stderr(), "{ERASE_LINE}{line}").ok();
    }

    /// Erases the line, so that a message can stand there.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            write!(io::stderr(), "{ERASE_LINE}").ok();
        }
    }
}

/// Returns bytes per second; 0 where too little is known.
fn rate(bytes: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    bytes.saturating_mul(1000).checked_div(millis).unwrap_or(0)
}

fn line(position: Position, rate: u64) -> String {
    let Position { done, total } = position;
    let speed = format!("{:>10}", format!("{}/s", size(rate)));
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{:>9} {speed}", size(done));
    };
    let share = |parts: u64| {
        let parts = u128::from(done.min(total)) * u128::from(parts) / u128::from(total);
        usize::try_from(parts).unwrap_or(0)
    };
    let (percent, bar) = (share(100), "=".repeat(share(BAR)));
    let left = (total.saturating_sub(done)).checked_div(rate);
    let left = left.map_or_else(String::new, |seconds| format!("  {} left", clock(seconds)));
    let (done, total, width) = (size(done), size(total), BAR as usize);
    format!("{percent:>3}% [{bar:<width$}] {done:>9} of {total} {speed}{left}")
}

/// Returns a number of bytes for people: three digits, as disks and sites count.
pub(super) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1000.0, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", units[unit])
}

/// Returns a duration as `m:ss` or `h:mm:ss`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_known() {
        let position = |done, total| Position { done, total };
        assert_eq!(
            line(position(45_000_000, Some(100_000_000)), 1_000_000),
            " 45% [=========           ]   45.0 MB of 100 MB  1.00 MB/s  0:55 left"
        );
        assert_eq!(line(position(5_000_000, None), 0), "  5.00 MB      0 B/s");
        assert!(line(position(0, Some(7)), 0).starts_with("  0% ["));
        assert!(line(position(9, Some(7)), 1).starts_with("100% [===================="));
        let longest = line(position(u64::MAX - 1, Some(u64::MAX)), 1);
        assert!(longest.len() < 100, "{longest}");
    }

    #[test]
    fn sizes_have_three_digits() {
        let table = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_995, "10.0 kB"),
            (99_949, "99.9 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!((clock(59), clock(3_661)), ("0:59".into(), "1:01:01".into()));
    }

    #[test]
    fn a_rate_needs_time() {
        assert_eq!(rate(5, Duration::ZERO), 0);
        assert_eq!(rate(500, Duration::from_millis(250)), 2000);
    }
}
