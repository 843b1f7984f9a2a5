//! Counts and logs the end of each download.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Instant;

use log::Level;

use crate::app::App;
use crate::error::Error;
use crate::http_server::ClientConnection;
use crate::problem::Problem;

/// The record of one download.
pub(super) struct Record<'a> {
    app: &'a App,
    client: IpAddr,
    label: String,
    started: Instant,
}

impl Record<'_> {
    /// Begins the record of the download of `source`.
    pub(super) fn new<'a>(
        app: &'a App,
        source: &impl Display,
        client: &ClientConnection,
    ) -> Record<'a> {
        let (label, started) = (source.to_string(), Instant::now());
        Record { app, client: client.address(), label, started }
    }

    /// Records that the response is complete.
    pub(super) fn complete(&self, sent: u64) {
        self.app.metrics.stream_ended("complete");
        self.log(Level::Info, &"complete", sent);
    }

    /// Records a failure, at `level` unless its cause tells another one; returns the problem.
    pub(super) fn failed(&self, cause: &Error, level: Level, sent: u64) -> Problem {
        let problem = Problem::from(cause);
        self.app.metrics.stream_ended(problem.code.as_str());
        // Errors that the operator can fix must stand out from those of clients and upstreams.
        let level = match cause {
            cause if cause.is_server_fault() => Level::Error,
            Error::ClientLeft => Level::Info,
            _ => level,
        };
        self.log(level, cause, sent);
        problem
    }

    fn log(&self, level: Level, result: &dyn Display, sent: u64) {
        let Record { client, label, started, .. } = self;
        log::log!(level, "{client} {label}: {result}, {sent} bytes in {:.1?}", started.elapsed());
    }
}
