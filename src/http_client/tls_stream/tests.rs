//! Against the server of rustls, over a real socket: whatever the sizes of records, of what arrives, and of what is
//! read, the bytes are the same, and only an announced end is one.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
    version,
};

use super::*;
use crate::cancel::CancelToken;
use crate::http_client::io_guard::IoGuard;

const HOST: &str = "localhost";
const LIMIT: Duration = Duration::from_secs(60);

/// How the server of a test behaves.
#[derive(Clone, Copy)]
struct Behaviour {
    version: &'static SupportedProtocolVersion,
    suite: SupportedCipherSuite,
    /// Maximum size of a record.
    record: Option<usize>,
    /// How many bytes it sends in one call.
    piece: usize,
    /// Whether it announces the end.
    is_polite: bool,
    /// Whether it changes its keys after each 100,000 bytes.
    changes_keys: bool,
}

const PLAIN: Behaviour = Behaviour {
    version: &version::TLS13,
    suite: cipher_suite::TLS13_AES_128_GCM_SHA256,
    record: None,
    piece: usize::MAX,
    is_polite: true,
    changes_keys: false,
};

/// Bytes that differ wherever a piece is missing or comes twice.
fn content() -> Vec<u8> {
    (0..100_000u32).flat_map(|number| number.to_be_bytes()).collect()
}

/// Sends what TLS has to send, in pieces.
fn send(tls: &mut ServerConnection, mut tcp: &TcpStream, piece: usize) {
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes).unwrap();
    }
    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
        tcp.write_all(piece).unwrap();
    }
}

fn serve(config: Arc<ServerConfig>, mut tcp: &TcpStream, behaviour: Behaviour) {
    let mut tls = ServerConnection::new(config).unwrap();
    tls.set_buffer_limit(None);
    let mut question = [0; 5];
    while tls.reader().read_exact(&mut question).is_err() {
        send(&mut tls, tcp, behaviour.piece);
        tls.read_tls(&mut tcp).unwrap();
        tls.process_new_packets().unwrap();
    }
    assert_eq!(&question, b"hello");
    for part in content().chunks(100_000) {
        tls.writer().write_all(part).unwrap();
        if behaviour.changes_keys {
            tls.refresh_traffic_keys().unwrap();
        }
    }
    if behaviour.is_polite {
        tls.send_close_notify();
    }
    send(&mut tls, tcp, behaviour.piece);
}

/// Reads to the end, `size` bytes at a time.
fn read_all(behaviour: Behaviour, size: usize) -> (Vec<u8>, io::Result<()>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([HOST.to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut provider = default_provider();
    provider.cipher_suites = vec![behaviour.suite];
    let provider = Arc::new(provider);
    let versions = [behaviour.version];
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    config.max_fragment_size = behaviour.record;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    let server = thread::spawn(move || serve(Arc::new(config), &server, behaviour));
    tcp.set_nonblocking(true).unwrap();
    let cancel = Arc::new(CancelToken::new().unwrap());
    let guard = IoGuard::new(&cancel, Instant::now() + LIMIT, &Arc::default());
    let mut stream = TlsStream::connect(Socket { tcp, guard }, HOST, &Arc::new(client)).unwrap();
    stream.write_all(b"hello").unwrap();
    let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
    let outcome = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => break Err(error),
        }
    };
    server.join().unwrap();
    (all, outcome)
}

#[test]
fn the_bytes_are_the_same_whatever_the_sizes() {
    for (record, piece) in
        [(None, usize::MAX), (None, 1000), (None, 16_500), (Some(64), usize::MAX), (Some(64), 7777)]
    {
        for size in [1, 1000, 16 << 10, 20_000, 64 << 10] {
            let (all, outcome) = read_all(Behaviour { record, piece, ..PLAIN }, size);
            assert!(outcome.is_ok(), "{record:?} {piece} {size}: {outcome:?}");
            assert!(all == content(), "{record:?} {piece} {size}: {} bytes", all.len());
        }
    }
    // A handshake that comes byte by byte.
    assert!(read_all(Behaviour { piece: 1, ..PLAIN }, 64 << 10).0 == content());
}

#[test]
fn every_version_and_cipher_is_understood() {
    for suite in default_provider().cipher_suites {
        let version = suite.version();
        // Each is one of a version, and of a kind of key; the key here is ECDSA.
        if format!("{suite:?}").contains("_RSA_") {
            continue;
        }
        let (all, outcome) = read_all(Behaviour { version, suite, ..PLAIN }, 64 << 10);
        assert!(outcome.is_ok() && all == content(), "{suite:?}: {outcome:?}");
    }
}

#[test]
fn keys_may_change() {
    let (all, outcome) = read_all(Behaviour { changes_keys: true, ..PLAIN }, 30_000);
    assert!(outcome.is_ok() && all == content(), "{outcome:?}");
}

#[test]
fn an_end_that_is_not_announced_is_an_error() {
    for size in [100, 64 << 10] {
        let (all, outcome) = read_all(Behaviour { is_polite: false, ..PLAIN }, size);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(all == content());
    }
}
