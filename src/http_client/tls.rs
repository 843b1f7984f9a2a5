//! The TLS configuration of all connections to upstreams, which also holds the sessions to resume.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
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
