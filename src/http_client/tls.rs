//! The TLS configuration of all connections to upstreams, which also holds the sessions to resume.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Trusts the certificates in `ca_file`, or else those of Mozilla; fails if the file cannot be
/// read.
pub(crate) fn config(ca_file: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(file) => read_roots(file).map_err(|error| {
            let message = format!("upstream.ca_file {}: {error}", file.display());
            io::Error::new(error.kind(), message)
        })?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Returns the cryptography to use. AES-128 is preferred: it takes half the time of AES-256, which `ring` prefers, and
/// mostly servers leave the choice to their clients.
fn provider() -> CryptoProvider {
    use rustls::crypto::ring::{cipher_suite as suite, default_provider};
    let cipher_suites = vec![
        suite::TLS13_AES_128_GCM_SHA256,
        suite::TLS13_AES_256_GCM_SHA384,
        suite::TLS13_CHACHA20_POLY1305_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    CryptoProvider { cipher_suites, ..default_provider() }
}

fn read_roots(file: &Path) -> io::Result<RootCertStore> {
    let pem = fs::read(file)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let damaged = || io::Error::other("a certificate in it cannot be parsed; use PEM");
        roots.add(certificate.map_err(|_| damaged())?).map_err(|_| damaged())?;
    }
    if roots.is_empty() {
        return Err(io::Error::other("it contains no certificate; use PEM"));
    }
    Ok(roots)
}
