//! Writes the log to standard error: one line per record, without control characters, and without the
//! records of libraries.

use std::io::{self, LineWriter};

use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, FormatItem, WriteLogger, format_description};

use crate::text::escaped;

/// RFC 3339, in UTC, without simplelog's nanoseconds.
const TIME_FORMAT: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// Installs the logger. For the journal, records have priorities (sd-daemon(3)) instead of times and
/// levels, which it adds itself.
pub fn start(level: LevelFilter, journal: bool) {
    let prefix_level = if journal { LevelFilter::Off } else { LevelFilter::Error };
    let config = ConfigBuilder::new()
        .set_time_level(prefix_level)
        .set_time_format_custom(TIME_FORMAT)
        .set_max_level(prefix_level)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // Libraries log URLs, and a URL may be signed.
        .add_filter_allow_str("ytcanal")
        .build();
    // Standard error is unbuffered: a line would be written in several calls, and mix with others.
    let lines = LineWriter::new(io::stderr());
    // The level is that of the log crate, which can be changed.
    let inner = WriteLogger::new(LevelFilter::Trace, config, lines);
    // A second call, in a test, keeps the first logger.
    if log::set_boxed_logger(Box::new(OneLine { inner, journal })).is_ok() {
        log::set_max_level(level);
    }
}

/// Makes each record one line before simplelog prints it.
struct OneLine<L> {
    inner: L,
    journal: bool,
}

impl<L: Log> Log for OneLine<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let priority = match record.level() {
            _ if !self.journal => "",
            log::Level::Error => "<3>",
            log::Level::Warn => "<4>",
            log::Level::Info => "<6>",
            _ => "<7>",
        };
        let text = format!("{priority}{}", escaped(&record.args().to_string()));
        self.inner.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{text}"))
                .build(),
        );
    }

    fn flush(&self) {
        self.inner.flush();
    }
}
