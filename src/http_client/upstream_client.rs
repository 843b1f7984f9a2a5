//! How upstreams are treated: the same for every stream of a daemon.

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

/// The buffer between a socket and its reader.
pub const SOCKET_BUFFER: usize = 128 << 10;
/// What goes at once through a conduit from an upstream's socket to a client's.
pub const SPLICE_CHUNK: usize = 256 << 10;
/// Room for a request head: URL, fields and cookies of a site that is generous with them.
const REQUEST_BUFFER: usize = 32 << 10;
/// A resolver that wants a track to be asked for in smaller parts than this does not get its way:
/// a part has to bring something new.
const MIN_CHUNK: u64 = 16 << 10;
/// Bytes of a response head that are read at most. Behind an interim answer (1xx) ureq takes all
/// that is in the buffer for the head.
const MAX_RESPONSE_HEAD: usize = SOCKET_BUFFER;

/// The settings, and what is made of them once.
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
    /// How often something was asked for again, in all.
    pub(crate) retries_made: AtomicU64,
    /// HTTP clients of streams that are over.
    pub(crate) idle_clients: ClientPool,
    pub(crate) host_memory: HostMemory,
}

impl UpstreamClient {
    /// As the configuration wants it; fails when `ca_file` cannot be read.
    pub fn new(config: &config::UpstreamConfig) -> io::Result<UpstreamClient> {
        let roots = match &config.ca_file {
            None => RootCerts::WebPki,
            Some(file) => read_roots(file).map_err(|error| {
                let named = format!("upstream.ca_file {}: {error}", file.display());
                io::Error::new(error.kind(), named)
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

    /// By which of a name's addresses it is asked: what reads pages for it must choose alike.
    pub fn families(&self) -> &Arc<Families> {
        &self.families
    }

    /// How often something was asked for again, all tracks together.
    pub fn retries_made(&self) -> u64 {
        self.retries_made.load(Ordering::Relaxed)
    }

    /// What may be asked for at once there.
    pub(crate) fn chunk_size(&self, location: &RemoteLocation) -> u64 {
        let known = self.host_memory.chunk(&location.url).unwrap_or(u64::MAX);
        location.chunk.unwrap_or(u64::MAX).min(known).clamp(MIN_CHUNK, self.chunk)
    }

    /// What is being done when a connection is waited for.
    pub(crate) fn connecting(&self) -> &'static str {
        if self.proxy.is_some() { "while connecting through the proxy" } else { "while connecting" }
    }

    /// What a healthy upstream brings within a stall timeout at the least.
    pub(crate) fn min_progress(&self) -> u64 {
        self.min_throughput.saturating_mul(self.stall_timeout.as_secs())
    }

    /// An HTTP client whose waits end with the stream, for whoever asks there: one that has asked
    /// there before, if one rests.
    pub(crate) fn client(&self, url: &Url, cancel: &Arc<CancelToken>) -> Arc<HttpClient> {
        self.idle_clients.checkout(url, cancel).unwrap_or_else(|| self.new_client(cancel))
    }

    /// Closes connections that have been at rest for too long; after how long to call this again.
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

    /// The same without a connection.
    pub(crate) fn new_client(&self, cancel: &Arc<CancelToken>) -> Arc<HttpClient> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed by hand, to look at each hop.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The environment's proxy is not ours to use: it would bypass the policy. The
            // configuration's is not ureq's to use: see `source/proxy.rs`.
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(self.roots.clone()).build())
            .user_agent(concat!("ytcanal/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            // A compressed body would hide the length.
            .accept_encoding("identity")
            .max_response_header_size(MAX_RESPONSE_HEAD)
            .input_buffer_size(SOCKET_BUFFER)
            .output_buffer_size(REQUEST_BUFFER)
            // They are kept in `source/lines.rs`.
            .max_idle_connections(0)
            .timeout_connect(Some(self.connect_timeout))
            .timeout_send_request(Some(self.stall_timeout))
            .timeout_recv_response(Some(self.stall_timeout))
            // Per read: a total would forbid long films.
            .timeout_per_read(Some(self.stall_timeout))
            .build();
        let (io_guard, pool) =
            (Arc::new(IoGuard::new(cancel)), Arc::new(ConnectionPool::new(self.keepalive_timeout)));
        let proxy = self.proxy.clone();
        let families = self.families.clone();
        let dial = TcpConnector {
            io_guard: io_guard.clone(),
            families: families.clone(),
            proxy: proxy.clone(),
        };
        let exchange = PoolingConnector { dial, tls: self.tls.clone(), pool: pool.clone() };
        let checked = PolicyResolver { policy: self.policy.clone(), families, proxy };
        let names = PoolingResolver { checked, pool: pool.clone() };
        Arc::new(HttpClient { agent: Agent::with_parts(config, exchange, names), io_guard, pool })
    }
}

fn read_roots(file: &std::path::Path) -> io::Result<RootCerts> {
    let pem = fs::read(file)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        let damaged = || io::Error::other("a certificate in it is damaged");
        if let PemItem::Certificate(certificate) = item.map_err(|_| damaged())? {
            // Tried here, for later on a certificate that is none would only fail to match.
            let der = CertificateDer::from_slice(certificate.der());
            RootCertStore::empty().add(der).map_err(|_| damaged())?;
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(io::Error::other("there is no certificate (PEM) in it"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
