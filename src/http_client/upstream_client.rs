//! The client of all upstreams: settings and shared state of a daemon's connections.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::RustlsConnector;
use url::Url;

use crate::cancel::CancelToken;
use crate::config::{self, Proxy};
use crate::http_client::client::{ClientPool, HttpClient};
use crate::http_client::connection::IoGuard;
use crate::http_client::host_memory::HostMemory;
use crate::http_client::pool::{ConnectionPool, PoolingConnector, PoolingResolver};
use crate::http_client::transport::TcpConnector;
use crate::media::RemoteLocation;
use crate::net::Families;
use crate::net::address_policy::{AddressPolicy, PolicyResolver};

/// Size of the buffer between a socket and its reader.
pub const SOCKET_BUFFER: usize = 128 << 10;
/// Maximum number of bytes moved at once from an upstream's socket to a client's by splice(2).
pub const SPLICE_CHUNK: usize = 256 << 10;
/// Room for a request head: URL, header fields, and the cookies of a site that sets many.
const REQUEST_BUFFER: usize = 32 << 10;
/// Minimum chunk size that a location may demand: each response has to bring something new.
const MIN_CHUNK: u64 = 16 << 10;
/// Maximum length of a response head. After an interim response (1xx), ureq counts everything in
/// its buffer as part of the head.
const MAX_RESPONSE_HEAD: usize = SOCKET_BUFFER;

/// The settings, and what is derived from them once.
#[derive(Debug)]
pub struct UpstreamClient {
    policy: AddressPolicy,
    families: Arc<Families>,
    proxy: Option<Proxy>,
    tls: Arc<RustlsConnector>,
    roots: RootCerts,
    pub(crate) connect_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) min_throughput: u64,
    keepalive_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) max_wait: Duration,
    pub(crate) chunk: u64,
    /// Total number of retries.
    pub(crate) retries_made: AtomicU64,
    /// Idle HTTP clients.
    pub(crate) idle_clients: ClientPool,
    pub(crate) host_memory: HostMemory,
}

impl UpstreamClient {
    /// Makes the client that `config` describes; fails if `ca_file` cannot be read.
    pub fn new(config: &config::UpstreamConfig) -> io::Result<UpstreamClient> {
        let roots = match &config.ca_file {
            None => RootCerts::WebPki,
            Some(file) => read_roots(file).map_err(|error| {
                let message = format!("upstream.ca_file {}: {error}", file.display());
                io::Error::new(error.kind(), message)
            })?,
        };
        Ok(UpstreamClient {
            policy: AddressPolicy::from_config(config),
            families: Arc::new(Families::new(config.family)),
            proxy: config.proxy.clone(),
            tls: Arc::default(),
            roots,
            connect_timeout: config.connect_timeout.0,
            stall_timeout: config.stall_timeout.0,
            min_throughput: config.min_throughput.0,
            keepalive_timeout: config.keepalive_timeout.0,
            retries: config.retries,
            max_wait: config.max_wait.0,
            chunk: config.chunk.0,
            retries_made: AtomicU64::new(0),
            idle_clients: ClientPool::default(),
            host_memory: HostMemory::default(),
        })
    }

    /// Returns the choice of address family, which yt-dlp must share.
    pub fn families(&self) -> &Arc<Families> {
        &self.families
    }

    /// Returns the total number of retries, for all tracks.
    pub fn retries_made(&self) -> u64 {
        self.retries_made.load(Ordering::Relaxed)
    }

    /// Returns the maximum size of a request for `location`.
    pub(crate) fn chunk_size(&self, location: &RemoteLocation) -> u64 {
        let learned = self.host_memory.request_limit(&location.url).unwrap_or(u64::MAX);
        location.chunk.unwrap_or(u64::MAX).min(learned).clamp(MIN_CHUNK, self.chunk)
    }

    /// Returns the operation named in a connect timeout.
    pub(crate) fn connecting(&self) -> &'static str {
        if self.proxy.is_some() { "while connecting through the proxy" } else { "while connecting" }
    }

    /// Returns the minimum number of bytes that a healthy upstream sends within a stall timeout.
    pub(crate) fn min_progress(&self) -> u64 {
        self.min_throughput.saturating_mul(self.stall_timeout.as_secs())
    }

    /// Returns an HTTP client whose waits end with the stream: an idle one of the same origin, or a
    /// new one.
    pub(crate) fn client(&self, url: &Url, cancel: &Arc<CancelToken>) -> Arc<HttpClient> {
        self.idle_clients.checkout(url, cancel).unwrap_or_else(|| self.new_client(cancel))
    }

    /// Closes connections that were idle for too long; returns the time until the next call is due.
    pub fn evict_idle(&self) -> Duration {
        const MIN_EVICT_INTERVAL: Duration = Duration::from_millis(10);
        const MAX_EVICT_INTERVAL: Duration = Duration::from_secs(15);
        self.idle_clients.evict_expired();
        let timeout = self.keepalive_timeout;
        if timeout.is_zero() {
            MAX_EVICT_INTERVAL
        } else {
            timeout.clamp(MIN_EVICT_INTERVAL, MAX_EVICT_INTERVAL)
        }
    }

    /// Makes an HTTP client without a connection.
    pub(crate) fn new_client(&self, cancel: &Arc<CancelToken>) -> Arc<HttpClient> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed in `request.rs`, which checks each hop.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The environment's proxy would bypass the address policy; the configured one is used
            // by `transport.rs`.
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(self.roots.clone()).build())
            .user_agent(concat!("ytcanal/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            // A compressed body would hide the length.
            .accept_encoding("identity")
            .max_response_header_size(MAX_RESPONSE_HEAD)
            .input_buffer_size(SOCKET_BUFFER)
            .output_buffer_size(REQUEST_BUFFER)
            // Idle connections stay in `pool.rs`.
            .max_idle_connections(0)
            .timeout_connect(Some(self.connect_timeout))
            .timeout_send_request(Some(self.stall_timeout))
            .timeout_recv_response(Some(self.stall_timeout))
            // Per read: a total would forbid long videos.
            .timeout_per_read(Some(self.stall_timeout))
            .build();
        let (io_guard, pool) =
            (Arc::new(IoGuard::new(cancel)), Arc::new(ConnectionPool::new(self.keepalive_timeout)));
        let proxy = self.proxy.clone();
        let families = self.families.clone();
        let tcp = TcpConnector {
            io_guard: io_guard.clone(),
            families: families.clone(),
            proxy: proxy.clone(),
        };
        let connector = PoolingConnector { dial: tcp, tls: self.tls.clone(), pool: pool.clone() };
        let checked = PolicyResolver { policy: self.policy.clone(), families, proxy };
        let resolver = PoolingResolver { checked, pool: pool.clone() };
        Arc::new(HttpClient {
            agent: Agent::with_parts(config, connector, resolver),
            io_guard,
            pool,
        })
    }
}

fn read_roots(file: &std::path::Path) -> io::Result<RootCerts> {
    let pem = fs::read(file)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        let damaged = || io::Error::other("a certificate in it cannot be parsed; use PEM");
        if let PemItem::Certificate(certificate) = item.map_err(|_| damaged())? {
            // Parsed here, because later an invalid certificate would only fail to match.
            let der = CertificateDer::from_slice(certificate.der());
            RootCertStore::empty().add(der).map_err(|_| damaged())?;
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(io::Error::other("it contains no certificate; use PEM"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
