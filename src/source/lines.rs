//! The connections of one HTTP client, and those that it keeps: ureq has one for as long as a
//! question and its answer take, and no longer.
//!
//! It would keep some itself, but not those whose answers were read past it, and none on which
//! something was asked and not yet answered: to ask before its time costs no thread where a
//! connection from before is there for it. Must never know what is asked.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, RustlsConnector, Transport,
};
use ureq::{Error, Timeout};

use super::address::Checked;
use super::line::{Line, lock};
use super::wire::{Dial, Wire, origin};
use crate::sys;

/// Connections that one client keeps: to where it asks, and to where that redirects it.
const MOST_KEPT: usize = 2;

/// A connection, with TLS on it or without.
type Clad = <RustlsConnector as Connector<Wire>>::Out;

/// The connections of one HTTP client.
pub(super) struct Lines {
    known: Mutex<Known>,
    /// One that has been at rest for longer is not used again: whoever is on the way may have
    /// forgotten it, and would not say so.
    longest_rest: Duration,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

#[derive(Default)]
struct Known {
    /// The last one on which something was asked.
    asked: Weak<Line>,
    kept: Vec<Kept>,
    /// How often one of them was used again.
    used_again: u64,
    /// Whether answers are not waited for.
    only_asks: bool,
}

struct Kept {
    clad: Clad,
    line: Arc<Line>,
    since: Instant,
    /// Whether the next thing on it is the answer to what was asked last.
    is_asked: bool,
}

impl Kept {
    fn is_of_use(&self, longest_rest: Duration) -> bool {
        self.is_asked || (self.since.elapsed() < longest_rest && self.line.is_idle())
    }
}

impl Lines {
    /// None yet, which are to rest for so long at most.
    pub(super) fn new(longest_rest: Duration) -> Lines {
        Lines { known: Mutex::default(), longest_rest }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// The one on which the last question was asked, and so its answer comes.
    pub(super) fn asked(&self) -> Option<Arc<Line>> {
        self.lock().asked.upgrade()
    }

    /// How often one that was kept was used so far.
    pub(super) fn used_again(&self) -> u64 {
        self.lock().used_again
    }

    /// Whether one is of use for any question, and none is owed an answer.
    pub(super) fn is_at_rest(&self) -> bool {
        let known = self.lock();
        let is_of_use = |kept: &Kept| kept.is_of_use(self.longest_rest);
        known.kept.iter().any(is_of_use) && !known.kept.iter().any(|kept| kept.is_asked)
    }

    /// Has `ask` ask and not wait for the answer, if there is a connection for that: whether it was
    /// asked. The answer is there for whoever asks the same next.
    pub(super) fn only(&self, ask: impl FnOnce()) -> bool {
        self.forget_asked();
        self.lock().only_asks = true;
        ask();
        let mut known = self.lock();
        known.only_asks = false;
        known.kept.iter().any(|kept| kept.is_asked)
    }

    /// Nobody wants the answer to what was only asked.
    pub(super) fn forget_asked(&self) {
        self.lock().kept.retain(|kept| !kept.is_asked);
    }

    /// Whether there is something to be read of what was asked last, now or within `limit`.
    pub(super) fn is_answered(&self, limit: Duration) -> bool {
        let line = self.asked();
        line.is_some_and(|line| line.wait(sys::READABLE, limit, Timeout::RecvResponse).is_ok())
    }

    /// Where a connection that is kept leads to, if it is of use for `uri`. An error where one must
    /// not be made.
    pub(super) fn peer(&self, uri: &Uri) -> Result<Option<SocketAddr>, Error> {
        let to = origin(uri);
        let mut known = self.lock();
        known.kept.retain(|kept| kept.line.to != to || kept.is_of_use(self.longest_rest));
        let peer = known.kept.iter().find(|kept| kept.line.to == to).map(|kept| kept.line.peer);
        if peer.is_none() && known.only_asks { Err(unasked()) } else { Ok(peer) }
    }

    fn take(&self, to: &str) -> Option<Kept> {
        let mut known = self.lock();
        let place = known.kept.iter().position(|kept| kept.line.to == to)?;
        Some(known.kept.remove(place))
    }

    fn keep(&self, kept: Kept) {
        let mut known = self.lock();
        known.kept.retain(|other| other.line.to != kept.line.to);
        known.kept.push(kept);
        let excess = known.kept.len().saturating_sub(MOST_KEPT);
        known.kept.drain(..excess);
    }
}

/// Travels through ureq, and is seen by nobody.
fn unasked() -> Error {
    io::Error::other("it is not waited for").into()
}

/// Gives ureq its connections: one that is kept, or a new one.
pub(super) struct Exchange {
    pub(super) dial: Dial,
    /// It keeps the certificates and the sessions of servers, for all connections of a daemon.
    pub(super) tls: Arc<RustlsConnector>,
    pub(super) lines: Arc<Lines>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl Connector for Exchange {
    type Out = Lent;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Lent>, Error> {
        let lines = self.lines.clone();
        if let Some(Kept { clad, line, is_asked, .. }) = lines.take(&origin(details.uri)) {
            lines.lock().used_again += 1;
            return Ok(Some(Lent { clad: Some(clad), line, lines, is_asked }));
        }
        let wire = self.dial.connect(details)?;
        let line = wire.line.clone();
        let clad = self.tls.connect(details, Some(wire))?;
        Ok(Some(Lent { clad, line, lines, is_asked: false }))
    }
}

/// Tells ureq where a name leads to: where a connection is kept that leads there, it is not looked
/// up.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) checked: Checked,
    pub(super) lines: Arc<Lines>,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let Some(peer) = self.lines.peer(uri)? else {
            return self.checked.resolve(uri, config, timeout);
        };
        let mut addresses = self.empty();
        addresses.push(peer);
        Ok(addresses)
    }
}

/// A connection that ureq has.
pub(super) struct Lent {
    /// Until it is let go of.
    clad: Option<Clad>,
    line: Arc<Line>,
    lines: Arc<Lines>,
    /// Whether what is to be asked was asked already.
    is_asked: bool,
}

impl Lent {
    fn clad(&mut self) -> &mut Clad {
        match &mut self.clad {
            Some(clad) => clad,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}

impl Transport for Lent {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.clad().buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.lines.lock().asked = Arc::downgrade(&self.line);
        if self.is_asked {
            return Ok(());
        }
        self.line.asked();
        self.clad().transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.is_asked = self.lines.lock().only_asks;
        if self.is_asked {
            return Err(unasked());
        }
        self.clad().await_input(timeout)
    }

    /// ureq wants to know when an answer is over and it would keep the connection. It does not look
    /// below TLS.
    fn is_open(&mut self) -> bool {
        let is_open = self.clad().is_open() && self.line.is_drained();
        if is_open {
            self.line.answered();
        }
        is_open
    }

    fn is_tls(&self) -> bool {
        self.clad.as_ref().is_some_and(Transport::is_tls)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(clad) = self.clad.take().filter(|_| self.is_asked || self.line.is_free()) {
            let (line, since) = (self.line.clone(), Instant::now());
            self.lines.keep(Kept { clad, line, since, is_asked: self.is_asked });
        }
    }
}
