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
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, Either, RustlsConnector, Transport,
};

use super::address::{Checked, Policy};
use super::line::{Lines, Patience};
use super::wire::Dial;
use crate::config::{self, Proxy};
use crate::stop::Stop;

/// The buffer between a socket and its reader.
pub const SOCKET_BUFFER: usize = 128 << 10;
/// What goes at once through a conduit from an upstream's socket to a client's.
pub const POURED: usize = 256 << 10;
/// Room for a request head: URL, fields and cookies of a site that is generous with them.
const REQUEST_BUFFER: usize = 32 << 10;
/// Bytes of a response head that are read at most. Behind an interim answer (1xx) ureq takes all
/// that is in the buffer for the head.
const MAX_RESPONSE_HEAD: usize = SOCKET_BUFFER;

/// The settings, and what is made of them once.
#[derive(Debug)]
pub struct Upstream {
    policy: Policy,
    proxy: Option<Proxy>,
    tls: Tls,
    roots: RootCerts,
    pub(super) connect_timeout: Duration,
    pub(super) stall_timeout: Duration,
    pub(super) min_throughput: u64,
    pub(super) retries: u32,
    pub(super) max_wait: Duration,
    pub(super) chunk: u64,
    /// How often something was asked for again, in all.
    pub(super) retries_made: AtomicU64,
}

impl Upstream {
    /// As the configuration wants it; fails when `ca_file` cannot be read.
    pub fn new(config: &config::Upstream) -> io::Result<Upstream> {
        let roots = match &config.ca_file {
            None => RootCerts::WebPki,
            Some(file) => read_roots(file).map_err(|error| {
                let named = format!("upstream.ca_file {}: {error}", file.display());
                io::Error::new(error.kind(), named)
            })?,
        };
        Ok(Upstream {
            policy: Policy::of(config),
            proxy: config.proxy.clone(),
            tls: Tls::default(),
            roots,
            connect_timeout: config.connect_timeout.0,
            stall_timeout: config.stall_timeout.0,
            min_throughput: config.min_throughput.0,
            retries: config.retries,
            max_wait: config.max_wait.0,
            chunk: config.chunk.0,
            retries_made: AtomicU64::new(0),
        })
    }

    /// How often something was asked for again, all tracks together.
    pub fn retries_made(&self) -> u64 {
        self.retries_made.load(Ordering::Relaxed)
    }

    /// What is being done when a connection is waited for.
    pub(super) fn connecting(&self) -> &'static str {
        if self.proxy.is_some() { "while connecting through the proxy" } else { "while connecting" }
    }

    /// What a healthy upstream brings within a stall timeout at the least.
    pub(super) fn least_progress(&self) -> u64 {
        self.min_throughput.saturating_mul(self.stall_timeout.as_secs())
    }

    /// A connection's worth of HTTP client for one track of one stream; its waits end with the
    /// stream.
    pub(super) fn lane(&self, stop: &Arc<Stop>) -> Arc<Lane> {
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
            .max_idle_connections(1)
            .timeout_connect(Some(self.connect_timeout))
            .timeout_send_request(Some(self.stall_timeout))
            .timeout_recv_response(Some(self.stall_timeout))
            // Per read: a total would forbid long films.
            .timeout_per_read(Some(self.stall_timeout))
            .build();
        let patience = Arc::new(Patience::default());
        let proxy = self.proxy.clone();
        let lines = Arc::new(Lines::default());
        let (stop, dials) = (stop.clone(), lines.clone());
        let dial = Dial { stop, patience: patience.clone(), lines: dials, proxy };
        let checked = Checked { policy: self.policy.clone(), proxy: self.proxy.clone() };
        let connector = ().chain(dial).chain(self.tls.clone());
        Arc::new(Lane { agent: Agent::with_parts(config, connector, checked), patience, lines })
    }
}

/// An HTTP client with at most one connection at rest, and the patience with its reads.
pub(super) struct Lane {
    pub(super) agent: Agent,
    pub(super) patience: Arc<Patience>,
    pub(super) lines: Arc<Lines>,
}

/// TLS for all connections of a daemon: it keeps the certificates and the sessions of servers.
#[derive(Debug, Clone, Default)]
struct Tls(Arc<RustlsConnector>);

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, <RustlsConnector as Connector<In>>::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(self.0.connect(details, chained)?.map(Either::B))
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
