//! The client of all upstreams: settings and shared state of a daemon's connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;

use crate::config;
use crate::http_client::host_memory::HostMemory;
use crate::http_client::pool::ConnectionPool;
use crate::http_client::tls;
use crate::instruments::Counter;
use crate::media::RemoteLocation;
use crate::net::Dialer;
use crate::reloadable::Reloadable;

/// Maximum number of bytes moved at once from an upstream's socket to a client's by splice(2).
pub const SPLICE_CHUNK: usize = 256 << 10;
/// Minimum chunk size that a location may demand: each response has to bring something new.
const MIN_CHUNK: u64 = 16 << 10;
/// The settings, and what is derived from them once.
#[derive(Debug)]
pub struct UpstreamClient {
    pub(crate) dialer: Arc<Dialer>,
    /// Shared by all connections: it holds certificates and TLS sessions.
    tls: Reloadable<Arc<ClientConfig>>,
    pub(crate) pool: Arc<ConnectionPool>,
    pub(crate) stall_timeout: Duration,
    pub(crate) min_throughput: u64,
    keepalive_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) max_wait: Duration,
    pub(crate) chunk: u64,
    /// Total number of retries.
    pub(crate) retries_made: AtomicU64,
    /// The bytes that all connections have received.
    pub(crate) received: Arc<Counter>,
    pub(crate) host_memory: HostMemory,
}

/// The certificates to trust, with the other settings of TLS.
pub struct Certificates(Arc<ClientConfig>);

impl UpstreamClient {
    /// Makes the client that `config` describes; fails if `ca_file` cannot be read.
    pub fn new(config: &config::UpstreamConfig) -> io::Result<UpstreamClient> {
        Ok(UpstreamClient {
            dialer: Arc::new(Dialer::new(config)),
            tls: Reloadable::new(tls::config(config.ca_file.as_deref())?),
            pool: Arc::new(ConnectionPool::new(config.keepalive_timeout.0)),
            keepalive_timeout: config.keepalive_timeout.0,
            stall_timeout: config.stall_timeout.0,
            min_throughput: config.min_throughput.0,
            retries: config.retries,
            max_wait: config.max_wait.0,
            chunk: config.chunk.0,
            retries_made: AtomicU64::new(0),
            received: Arc::default(),
            host_memory: HostMemory::default(),
        })
    }

    /// Returns what makes connections. yt-dlp must share it: its pages and their media belong to one address
    /// family.
    pub fn dialer(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    /// Reads the certificates to trust.
    pub fn read_certificates(config: &config::UpstreamConfig) -> io::Result<Certificates> {
        tls::config(config.ca_file.as_deref()).map(Certificates)
    }

    /// Applies these certificates, and what `config` says of addresses and ports, to new connections.
    pub fn reload(&self, config: &config::UpstreamConfig, certificates: Certificates) {
        self.tls.set(certificates.0);
        self.dialer.reload(config);
        // Requests on idle connections would not be held to that.
        self.pool.clear();
    }

    /// Returns the settings of TLS.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls.get())
    }

    /// Returns the total number of retries, for all tracks.
    pub fn retries_made(&self) -> u64 {
        self.retries_made.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes received from upstreams.
    pub fn bytes_received(&self) -> u64 {
        self.received.get()
    }

    /// Returns the maximum size of a request for `location`.
    pub(crate) fn chunk_size(&self, location: &RemoteLocation) -> u64 {
        let learned = self.host_memory.request_limit(&location.url).unwrap_or(u64::MAX);
        location.chunk.unwrap_or(u64::MAX).min(learned).clamp(MIN_CHUNK, self.chunk)
    }

    /// Returns the minimum number of bytes that a healthy upstream sends within a stall timeout.
    pub(crate) fn min_progress(&self) -> u64 {
        self.min_throughput.saturating_mul(self.stall_timeout.as_secs())
    }

    /// Closes connections that were idle for too long; returns the time until the next call is due.
    pub fn evict_idle(&self) -> Duration {
        const MIN_EVICT_INTERVAL: Duration = Duration::from_millis(10);
        const MAX_EVICT_INTERVAL: Duration = Duration::from_secs(15);
        self.pool.evict_expired();
        let timeout = self.keepalive_timeout;
        if timeout.is_zero() {
            MAX_EVICT_INTERVAL
        } else {
            timeout.clamp(MIN_EVICT_INTERVAL, MAX_EVICT_INTERVAL)
        }
    }
}
