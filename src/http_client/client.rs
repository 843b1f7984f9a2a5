//! HTTP clients, and those that rest between two streams: whoever seeks, resumes or takes the next
//! film from the same place saves the time that a name, TCP and TLS take. Must never know what is
//! asked.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::Agent;
use url::{Origin, Url};

use crate::cancel::CancelToken;
use crate::http_client::connection::IoGuard;
use crate::http_client::pool::ConnectionPool;

/// Clients that may rest, all upstreams together.
const MAX_IDLE_CLIENTS: usize = 16;

/// An HTTP client for one question at a time, and what its waits end with.
pub(crate) struct HttpClient {
    pub(crate) agent: Agent,
    pub(crate) io_guard: Arc<IoGuard>,
    pub(crate) pool: Arc<ConnectionPool>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane")
    }
}

/// Clients whose streams are over, and where they have asked.
#[derive(Debug, Default)]
pub(crate) struct ClientPool(Mutex<VecDeque<(Origin, Arc<HttpClient>)>>);

impl ClientPool {
    /// The last one that has asked there, for a stream that ends with `stop`.
    pub(crate) fn checkout(&self, url: &Url, cancel: &Arc<CancelToken>) -> Option<Arc<HttpClient>> {
        let mut resting = self.lock();
        let place = resting.iter().rposition(|(to, _)| *to == url.origin())?;
        let (_, client) = resting.remove(place)?;
        client.io_guard.set_cancel_token(Some(cancel));
        Some(client)
    }

    /// Keeps a client that has asked there, if its connection is of use and nobody else has it.
    pub(crate) fn put_back(&self, client: &Arc<HttpClient>, url: &Url) {
        if Arc::strong_count(client) > 1 || !client.pool.is_idle() {
            return;
        }
        client.io_guard.set_cancel_token(None);
        let mut resting = self.lock();
        resting.push_back((url.origin(), client.clone()));
        let excess = resting.len().saturating_sub(MAX_IDLE_CLIENTS);
        resting.drain(..excess);
    }

    /// Lets go of those whose connections have rested for too long, or were closed.
    pub(crate) fn evict_expired(&self) {
        self.lock().retain(|(_, client)| client.pool.is_idle());
    }

    /// Nothing here is left half-changed by a panic.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Origin, Arc<HttpClient>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
