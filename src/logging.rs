//! Writes the log: to standard error, or to the journal with fields. One line per record, without control characters,
//! and without the records of libraries.
//!
//! **Invariant:** a line is written in one call, so that no two mix.

use std::io::{self, LineWriter, Stderr, Write};
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, FormatItem, WriteLogger, format_description};
use time::OffsetDateTime;

use crate::config::{LogConfig, LogFormat};
use crate::request_id::{self, RequestId};
use crate::text::escaped;

mod entry;
mod journal;

use entry::Entry;
pub use entry::Field;
use journal::Journal;

/// The target of records whose text other programs read: nothing is added to it.
pub const FIXED: &str = "ytcanal::fixed";

/// RFC 3339, in UTC, without simplelog's nanoseconds.
const TIME_FORMAT: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// No line is longer, but for one with a very long header field of a client.
const MAX_LINE: usize = 16 << 10;

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Installs the logger, for text.
pub fn start(level: LevelFilter, journal: bool) {
    start_as(LogConfig { level, ..LogConfig::default() }, journal);
}

/// Installs the logger. For the journal, lines have priorities (sd-daemon(3)) instead of times and levels, which it
/// adds itself.
pub fn start_as(config: LogConfig, journal: bool) {
    let logger = LOGGER.get_or_init(|| {
        // Lines of JSON have all fields already, and nothing else is asked of the combined format.
        let native =
            if config.format == LogFormat::Text && journal { Journal::open() } else { None };
        Logger { format: config.format, journal, native, text: text_logger(journal) }
    });
    // A second call, in a test, keeps the first logger.
    if log::set_logger(logger).is_ok() {
        // The level is that of the log crate, which can be changed.
        log::set_max_level(config.level);
    }
}

/// Returns the format of the log.
pub fn format() -> LogFormat {
    LOGGER.get().map_or(LogFormat::Text, |logger| logger.format)
}

/// Writes the line of a request: `message`, for people, which is a line of the combined format where that is chosen;
/// and the same as fields.
pub fn request(level: Level, message: &str, fields: &[(&'static str, Field<'_>)]) {
    if let Some(logger) = LOGGER.get()
        && level <= log::max_level()
    {
        let (message, request_id) = (&escaped(message), request_id::current());
        logger.write(&Entry { level, message, request_id, is_fixed: false, fields });
    }
}

struct Logger {
    format: LogFormat,
    /// Whether standard error is the journal.
    journal: bool,
    /// The journal, if lines have fields.
    native: Option<Journal>,
    /// Prints lines for people.
    text: Box<WriteLogger<LineWriter<Stderr>>>,
}

/// Returns what prints lines for people: with times and levels, unless the journal adds them.
fn text_logger(journal: bool) -> Box<WriteLogger<LineWriter<Stderr>>> {
    let prefix_level = if journal { LevelFilter::Off } else { LevelFilter::Error };
    let config = ConfigBuilder::new()
        .set_time_level(prefix_level)
        .set_time_format_custom(TIME_FORMAT)
        .set_max_level(prefix_level)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    // Standard error is unbuffered: a line would be written in several calls. The level is that of the log crate.
    WriteLogger::new(LevelFilter::Trace, config, LineWriter::with_capacity(MAX_LINE, io::stderr()))
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries log URLs, and a URL may be signed.
        metadata.target().starts_with("ytcanal")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = escaped(&record.args().to_string());
        self.write(&Entry {
            level: record.level(),
            message: &message,
            request_id: request_id::current(),
            is_fixed: record.target() == FIXED,
            fields: &[],
        });
    }

    fn flush(&self) {}
}

impl Logger {
    fn write(&self, entry: &Entry<'_>) {
        if self.native.as_ref().is_some_and(|journal| journal.send(entry)) {
            return;
        }
        let priority = if self.journal { priority_prefix(entry.level) } else { "" };
        let is_of_request = !entry.fields.is_empty();
        let line = match self.format {
            LogFormat::Json => entry.json(OffsetDateTime::now_utc()),
            LogFormat::Combined if is_of_request => entry.message.to_owned(),
            LogFormat::Text | LogFormat::Combined => {
                let text = entry.text();
                let args = format_args!("{priority}{text}");
                return self.text.log(&Record::builder().level(entry.level).args(args).build());
            }
        };
        // There is no other place to say that it cannot be written.
        io::stderr().write_all(format!("{priority}{line}\n").as_bytes()).ok();
    }
}

/// Returns what the journal takes for the priority of a line (sd-daemon(3)).
fn priority_prefix(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Returns whether a request is to be named in a line of text.
fn shown(request_id: Option<&RequestId>, is_fixed: bool) -> Option<&RequestId> {
    request_id.filter(|_| !is_fixed)
}
