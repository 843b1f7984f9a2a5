//! The record of one request: what is known of it while it is served, and its one line in the log, which is written when
//! the last byte of the answer has gone, or the connection broke.
//!
//! A record begins with the connection and is concluded with it, so that a request has one line however it ends. Who
//! learns something on the way adds it.
//!
//! **Invariant:** no text in it contains a URL or a secret: a path is that of a known route, and of a link there is the
//! host alone.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::Level;

use crate::error::Error;
use crate::labels::{EngineName, RouteName};
use crate::logging;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::text::{escaped, one_line};

mod line;
mod totals;

use line::Line;
pub use totals::RequestTotals;

/// The maximum length of a User-Agent in the log, in characters.
const MAX_USER_AGENT: usize = 200;

/// A request, as far as the record tells of it.
#[derive(Debug)]
pub struct ReceivedRequest {
    /// The method; `None` if what was sent is no request.
    pub method: Option<&'static str>,
    /// The route.
    pub route: RouteName,
    /// Whether the client speaks HTTP/1.1.
    pub http_1_1: bool,
    /// User-Agent
    pub user_agent: Option<String>,
}

/// The record of a request.
#[derive(Debug)]
pub struct RequestRecord {
    totals: Arc<RequestTotals>,
    facts: Mutex<Facts>,
}

/// What is known of a request.
#[derive(Debug)]
struct Facts {
    client: IpAddr,
    /// The request, and when it came; `None` before that, and again once it is concluded.
    received: Option<(ReceivedRequest, Instant)>,
    token: Option<String>,
    source: Option<String>,
    engine: Option<EngineName>,
    first_byte: Option<Duration>,
    status: Option<u16>,
    resumed_at: Option<u64>,
    failure: Option<Failure>,
    /// Whether the answer was sent to its end.
    is_complete: bool,
}

/// Why a request failed.
#[derive(Debug)]
struct Failure {
    code: ProblemCode,
    detail: Option<String>,
    level: Level,
}

impl RequestRecord {
    /// Begins the record of a connection on which no request has come yet.
    pub fn new(client: IpAddr, totals: &Arc<RequestTotals>) -> RequestRecord {
        let facts = Facts {
            client,
            received: None,
            token: None,
            source: None,
            engine: None,
            first_byte: None,
            status: None,
            resumed_at: None,
            failure: None,
            is_complete: false,
        };
        RequestRecord { totals: totals.clone(), facts: Mutex::new(facts) }
    }

    /// Adds the request. Without one there is no line.
    pub fn received(&self, received: ReceivedRequest) {
        let user_agent = received.user_agent.map(|agent| one_line(&agent, MAX_USER_AGENT));
        self.lock().received = Some((ReceivedRequest { user_agent, ..received }, Instant::now()));
    }

    /// Adds the client that the request tells.
    pub fn client(&self, client: IpAddr) {
        self.lock().client = client;
    }

    /// Adds the name of the token by which the client is let in.
    pub fn token(&self, name: &str) {
        self.lock().token = Some(name.to_owned());
    }

    /// Adds where the media come from: hosts alone.
    pub fn source(&self, source: String) {
        self.lock().source = Some(source);
    }

    /// Adds what makes the file, at the moment when its first byte is there.
    pub fn first_byte(&self, engine: Option<EngineName>) {
        let mut facts = self.lock();
        facts.first_byte = facts.received.as_ref().map(|(_, since)| since.elapsed());
        facts.engine = engine;
    }

    /// Adds the status of the answer, and where in the file a part of it begins.
    pub fn responded(&self, status: u16, begins_at: Option<u64>) {
        let mut facts = self.lock();
        facts.status = Some(status);
        facts.resumed_at = begins_at.filter(|at| *at > 0);
    }

    /// Adds why the request failed, unless that is known. A detail must not contain a part of the request.
    pub fn failed(&self, code: ProblemCode, detail: Option<&str>, level: Level) {
        let detail = detail.map(escaped);
        self.lock().failure.get_or_insert(Failure { code, detail, level });
    }

    /// Adds the error by which the request failed, at `level` unless the error tells another one; returns it as a
    /// problem.
    pub fn failed_by(&self, cause: &Error, level: Level) -> Problem {
        let problem = Problem::from(cause);
        // Errors that the operator can fix must stand out from those of clients and upstreams.
        let level = match cause {
            cause if cause.is_server_fault() => Level::Error,
            Error::ClientLeft => Level::Info,
            _ => level,
        };
        self.failed(problem.code, Some(&problem.detail), level);
        problem
    }

    /// Adds that the answer was sent to its end. Without that, or another end, the request failed by a fault here.
    pub fn complete(&self) {
        self.lock().is_complete = true;
    }

    /// Counts the request and writes its line, once. It received this many bytes of a body, for which this many were
    /// fetched.
    pub fn conclude(&self, bytes_out: u64, bytes_in: u64) {
        let mut facts = self.lock();
        let Some((received, since)) = facts.received.take() else { return };
        // Whoever gets no answer sees the connection reset.
        let status = *facts.status.get_or_insert(ProblemCode::Internal.status());
        let line = Line { received: &received, status, facts: &facts, since, bytes_out, bytes_in };
        self.totals.count(received.route, status);
        logging::request(line.level(), &line.message(logging::format()), &line.fields());
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
