//! A certificate authority for one test, and the certificates that go wrong.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{
    BasicConstraints, Certificate as Signed, CertificateParams, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// Made at run time; nobody trusts it but who is given its root.
pub(crate) struct Authority {
    root: Signed,
    key: KeyPair,
}

/// What a server shows, with its key.
pub(crate) struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        // Under one name for all, a wrong root would look like a forged signature.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        let mut params = parameters(&[], &format!("test authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { root: params.self_signed(&key).unwrap(), key }
    }

    /// The root certificate, to be trusted.
    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.root.der())
    }

    /// The root certificate in a file, as `upstream.ca_file` wants it.
    pub(crate) fn file(&self) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.pem()).unwrap();
        file
    }

    /// A good certificate for a host name or an IP address.
    pub(crate) fn certificate_for(&self, name: &str) -> Certificate {
        self.sign(&parameters(&[name], name))
    }

    /// As `certificate_for`, for several of them.
    pub(crate) fn certificate_for_all(&self, names: &[&str]) -> Certificate {
        self.sign(&parameters(names, names[0]))
    }

    /// As `certificate_for`, but its time is over.
    pub(crate) fn expired_certificate_for(&self, name: &str) -> Certificate {
        let mut params = parameters(&[name], name);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let signed = params.clone().signed_by(&key, &self.root, &self.key).unwrap();
        Certificate { chain: vec![signed.der().clone()], key }
    }
}

impl Certificate {
    /// Signed by nobody but itself.
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let signed = parameters(&[name], name).self_signed(&key).unwrap();
        Self { chain: vec![signed.der().clone()], key }
    }

    /// The certificate and its key, as the files of a server hold them.
    pub(crate) fn pem(&self) -> (String, String) {
        let chain = self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect();
        (chain, pem("PRIVATE KEY", &self.key.serialize_der()))
    }

    /// The configuration of a server that shows this certificate.
    pub(super) fn server(self) -> ServerConfig {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain, key.into())
            .unwrap()
    }
}

/// Names that are IP addresses become such; the common name only tells people whose it is.
fn parameters(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// DER as text (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let lines = lines.join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}
