//! HTTP clients and the pool of idle ones: a client that seeks, resumes or fetches the next file
//! from the same host saves the DNS lookup and the TCP and TLS handshakes.
//!
//! **API boundary:** the pool knows origins, and nothing of the requests.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::Agent;
use url::{Origin, Url};

use crate::cancel::CancelToken;
use crate::http_client::connection::IoGuard;
use crate::http_client::pool::ConnectionPool;

/// Maximum number of idle clients, for all upstreams together.
const MAX_IDLE_CLIENTS: usize = 16;

/// An HTTP client for one request at a time, with the guard that bounds its waits.
pub(crate) struct HttpClient {
    pub(crate) agent: Agent,
    pub(crate) io_guard: Arc<IoGuard>,
    pub(crate) pool: Arc<ConnectionPool>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// Idle clients whose streams are over, each with the origin of its requests.
#[derive(Debug, Default)]
pub(crate) struct ClientPool(Mutex<VecDeque<(Origin, Arc<HttpClient>)>>);

impl ClientPool {
    /// Takes the most recent client of the origin of `url`, for a stream that ends with `cancel`.
    pub(crate) fn checkout(&self, url: &Url, cancel: &Arc<CancelToken>) -> Option<Arc<HttpClient>> {
        let mut idle = self.lock();
        let index = idle.iter().rposition(|(to, _)| *to == url.origin())?;
        let (_, client) = idle.remove(index)?;
        client.io_guard.set_cancel_token(Some(cancel));
        Some(client)
    }

    /// Stores a client, if its connection is reusable and nothing else holds the client.
    pub(crate) fn put_back(&self, client: &Arc<HttpClient>, url: &Url) {
        if Arc::strong_count(client) > 1 || !client.pool.is_idle() {
            return;
        }
        client.io_guard.set_cancel_token(None);
        let mut idle = self.lock();
        idle.push_back((url.origin(), client.clone()));
        let excess = idle.len().saturating_sub(MAX_IDLE_CLIENTS);
        idle.drain(..excess);
    }

    /// Drops clients whose connections were idle for too long, or were closed.
    pub(crate) fn evict_expired(&self) {
        self.lock().retain(|(_, client)| client.pool.is_idle());
    }

    /// No panic leaves this state half-changed.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Origin, Arc<HttpClient>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
