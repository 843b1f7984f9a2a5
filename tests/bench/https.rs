//! An origin that speaks HTTPS: nginx, which serves a directory under a certificate made for this run.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{CertificateParams, KeyPair};

use crate::Outcome;
use crate::relays;
use crate::server::Server;
use crate::systems::LOOPBACK;
use crate::upstream::Upstream;

pub(crate) struct HttpsOrigin {
    upstream: Upstream,
    /// Dropped with it.
    _nginx: Server,
}

impl HttpsOrigin {
    /// Serves the files in `dir`.
    pub(crate) fn start(dir: &Path, scratch: &Path) -> Outcome<Self> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([LOOPBACK.to_owned()])?.self_signed(&key)?;
        let (ca_file, key_file) = (scratch.join("origin.crt"), scratch.join("origin.key"));
        fs::write(&ca_file, pem("CERTIFICATE", certificate.der()))?;
        fs::write(&key_file, pem("PRIVATE KEY", &key.serialize_der()))?;
        // nginx takes no port 0; nobody else is likely to get this one in the meantime.
        let addr = TcpListener::bind((LOOPBACK, 0))?.local_addr()?;
        let site = format!(
            "listen {addr} ssl; ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; root {};",
            ca_file.display(),
            key_file.display(),
            dir.canonicalize()?.display()
        );
        let command = relays::nginx(&site, &scratch.join("nginx-https"))?;
        let nginx = Server::nginx_at("nginx, HTTPS", addr, command)?;
        Ok(Self { upstream: Upstream::https(addr, &ca_file)?, _nginx: nginx })
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
