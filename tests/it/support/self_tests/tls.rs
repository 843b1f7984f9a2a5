//! The origin over TLS, with certificates good and bad, as curl sees them and a client that is
//! stricter about ends.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::NamedTempFile;

use super::{address, content};
use crate::support::PATIENCE;
use crate::support::curl::{Curl, curl};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::test_ca::{Authority, Certificate};

/// What curl says when it does not trust the other side.
const UNTRUSTED: i32 = 60;

fn trusting(authority: &Authority, arguments: &[&str]) -> Curl {
    let mut root = NamedTempFile::new().unwrap();
    root.write_all(authority.pem().as_bytes()).unwrap();
    curl(&[&["--cacert", root.path().to_str().unwrap()], arguments].concat())
}

#[test]
fn a_good_certificate_is_trusted_by_who_has_the_root() {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let origin = Origin::start_tls(&authority, name);
        let url = origin.put("x", Resource::bytes(content()).ranges());
        assert!(url.starts_with(&format!("https://{name}:")), "{url}");
        assert_eq!(trusting(&authority, &[&url]).body, content());
        assert_eq!(trusting(&authority, &["-r", "5-9", &url]).body, content()[5..10]);
        assert_eq!(curl(&[&url]).exit, UNTRUSTED);
        assert_eq!(trusting(&Authority::new(), &[&url]).exit, UNTRUSTED);
        assert_eq!(origin.requests().len(), 2);
    }
}

#[test]
fn a_bad_certificate_is_not_trusted() {
    let authority = Authority::new();
    let certificates = [
        Certificate::self_signed("127.0.0.1"),
        authority.certificate_for("elsewhere.example"),
        authority.expired_certificate_for("127.0.0.1"),
    ];
    for certificate in certificates {
        let origin = Origin::start_tls_with(certificate);
        let url = origin.put("x", Resource::bytes(content()));
        assert_eq!(trusting(&authority, &[&url]).exit, UNTRUSTED);
        assert!(origin.requests().is_empty());
        assert_eq!(trusting(&authority, &["--insecure", &url]).body, content());
    }
}

#[test]
fn connections_over_tls_stay_and_break() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority, "127.0.0.1");
    let near = Resource::bytes(content()).keep_alive();
    let url = origin.put("x", near.clone().delay(Duration::from_millis(20)));
    trusting(&authority, &["-w", "0", &format!("{url}?[1-3]")]);
    let connections: Vec<usize> = origin.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 0, 0]);
    for fault in [Fault::CutAt(1000), Fault::ResetAt(1000), Fault::ChunkedCutAt(1000)] {
        let url = origin.put("x", near.clone().fault(fault));
        let seen = trusting(&authority, &[&url]);
        assert!([18, 56].contains(&seen.exit), "{seen:?}");
        assert_eq!(seen.body, content()[..1000]);
    }
}

/// A connection to an origin called localhost that hides no end.
fn connect(origin: &Origin, authority: &Authority) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(address(origin)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(session, stream)
}

#[test]
fn an_end_over_tls_is_no_cut() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority, "localhost");
    for (fault, ending) in [
        (Fault::None, None),
        (Fault::NoLength, None),
        (Fault::CutAt(1000), Some(ErrorKind::UnexpectedEof)),
    ] {
        origin.put("x", Resource::bytes(content()).fault(fault.clone()));
        let mut client = connect(&origin, &authority);
        client.write_all(b"GET /x HTTP/1.1\r\n\r\n").unwrap();
        let ended = client.read_to_end(&mut Vec::new());
        assert_eq!(ended.err().map(|error| error.kind()), ending, "{fault:?}");
    }
}

#[test]
fn a_pipeline_in_one_record_travels_together() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority, "localhost");
    let trip = Duration::from_millis(300);
    origin.put("x", Resource::bytes("x").keep_alive().delay(trip));
    let mut client = connect(&origin, &authority);
    let start = Instant::now();
    let requests = "GET /x HTTP/1.1\r\n\r\n".repeat(19);
    let last = "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n";
    client.write_all((requests + last).as_bytes()).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("200 OK").count(), 20);
    assert!(start.elapsed() < trip * 10, "{:?}", start.elapsed());
}
