//! Counts the end of each download, and adds it to the record of its request.

use std::fmt::Display;
use std::sync::Arc;

use log::Level;

use crate::app::App;
use crate::error::Error;
use crate::http_server::ClientConnection;
use crate::metrics::{StreamCount, StreamResult};
use crate::problem::Problem;
use crate::request_record::RequestRecord;

/// The record of one download.
pub(super) struct Record<'a> {
    count: StreamCount<'a>,
    request: Arc<RequestRecord>,
}

impl Record<'_> {
    /// Begins the record of the download of `source`.
    pub(super) fn new<'a>(
        app: &'a App,
        source: &impl Display,
        client: &ClientConnection,
    ) -> Record<'a> {
        client.record().source(source.to_string());
        Record { count: app.metrics.stream(), request: client.record().clone() }
    }

    /// Records that the response is complete.
    pub(super) fn complete(&mut self) {
        self.count.end(StreamResult::Complete);
    }

    /// Records a failure, at `level` unless its cause tells another one; returns the problem.
    pub(super) fn failed(&mut self, cause: &Error, level: Level) -> Problem {
        let problem = self.request.failed_by(cause, level);
        self.count.end(StreamResult::Failed(problem.code));
        problem
    }
}
