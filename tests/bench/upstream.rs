//! An origin as its clients see it: where it is, and whether they speak TLS to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

use crate::Outcome;
use crate::delay::DelayedLine;
use crate::reader::{Body, PATIENCE, Until};
use crate::systems::LOOPBACK;

#[derive(Clone)]
pub(crate) struct Upstream {
    addr: SocketAddr,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    ca_file: PathBuf,
    /// Remembers sessions, too.
    config: Arc<ClientConfig>,
}

pub(crate) trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Upstream {
    pub(crate) fn http(addr: SocketAddr) -> Self {
        Self { addr, tls: None }
    }

    /// An origin that speaks HTTPS, with the certificate in this file.
    pub(crate) fn https(addr: SocketAddr, ca_file: &Path) -> Outcome<Self> {
        let config = client_config(ca_file)?;
        Ok(Self { addr, tls: Some(Tls { ca_file: ca_file.to_owned(), config }) })
    }

    /// The same origin at the far end of a line.
    pub(crate) fn behind(&self, line: &DelayedLine) -> Self {
        Self { addr: line.addr(), ..self.clone() }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| &*tls.ca_file)
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// What the daemon's section `[upstream]` needs.
    pub(crate) fn config(&self) -> String {
        self.ca_file().map(|file| format!("ca_file = {file:?}")).unwrap_or_default()
    }

    pub(crate) fn connect(&self) -> Outcome<Box<dyn Connection>> {
        let stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // A request does not wait for the end of the handshake in front of it (Nagle's algorithm).
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let tls = ClientConnection::new(Arc::clone(&tls.config), LOOPBACK.try_into()?)?;
        Ok(Box::new(StreamOwned::new(tls, stream)))
    }

    /// Asks for a file directly, up to its first byte of media: what nobody can be faster than.
    pub(crate) fn ask(&self, path: &str) -> Outcome<Body> {
        Body::start(Until::Media).read_from(&mut self.connect()?, self.addr, path)
    }
}

/// The same cryptography as the daemon's.
fn client_config(ca_file: &Path) -> Outcome<Arc<ClientConfig>> {
    let mut provider = crypto::ring::default_provider();
    provider.cipher_suites = vec![crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
