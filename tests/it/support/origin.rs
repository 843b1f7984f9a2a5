//! An HTTP origin on loopback that serves scripted resources, over TLS if asked to.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use super::connection::Connection;
use super::path_state::Place;
use super::resource::Resource;
use super::server::Server;
use super::test_ca::{Authority, Certificate};
use super::transport::Wire;

pub(crate) use super::request::Request;

/// A running origin; dropping it ends its connections and joins its threads.
pub(crate) struct Origin {
    holdings: Arc<Holdings>,
    server: Server,
    base: String,
}

/// What all connections of an origin share.
#[derive(Default)]
pub(super) struct Holdings {
    places: Mutex<HashMap<String, Place>>,
    requests: Mutex<Vec<Request>>,
}

impl Origin {
    /// Starts an empty origin on 127.0.0.1.
    pub(crate) fn start() -> Self {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Starts an empty origin on this loopback address.
    pub(crate) fn start_at(ip: IpAddr) -> Self {
        Self::launch((ip, 0), None, |address| format!("http://{address}"))
    }

    /// Starts an empty origin on this port of a loopback address.
    pub(crate) fn start_at_port(ip: IpAddr, port: u16) -> Self {
        Self::launch((ip, port), None, |address| format!("http://{address}"))
    }

    /// Starts an empty origin on this port of 127.0.0.1, where another one was dropped.
    pub(crate) fn start_on(port: u16) -> Self {
        Self::launch((Ipv4Addr::LOCALHOST, port), None, |address| format!("http://{address}"))
    }

    /// As `start`, over TLS, with a good certificate for this name, which its URLs then bear.
    pub(crate) fn start_tls(authority: &Authority, name: &str) -> Self {
        let certificate = authority.certificate_for(name);
        Self::launch((Ipv4Addr::LOCALHOST, 0), Some(certificate), |address| {
            format!("https://{name}:{}", address.port())
        })
    }

    /// As `start`, over TLS, with any certificate; its URLs have the address 127.0.0.1.
    pub(crate) fn start_tls_with(certificate: Certificate) -> Self {
        Self::launch((Ipv4Addr::LOCALHOST, 0), Some(certificate), |address| {
            format!("https://{address}")
        })
    }

    fn launch(
        address: impl Into<SocketAddr>,
        certificate: Option<Certificate>,
        base: impl Fn(SocketAddr) -> String,
    ) -> Self {
        let holdings = Arc::new(Holdings::default());
        let tls = certificate.map(|certificate| Arc::new(certificate.server()));
        let server = Server::start(address.into(), {
            let holdings = Arc::clone(&holdings);
            move |number, stream, stop| {
                let wire = Wire::new(stream, tls.as_ref());
                // An error means that the other side left, which it may.
                drop(Connection::new(wire, number, &holdings, stop).serve());
            }
        });
        let base = base(server.address());
        Self { holdings, server, base }
    }

    /// Puts a resource under a path (without its slash) and says its URL.
    pub(crate) fn put(&self, name: &str, resource: Resource) -> String {
        let mut places = self.holdings.places.lock().unwrap();
        places.insert(format!("/{name}"), Place::new(resource));
        self.url(name)
    }

    /// The URL of a path, whether something is there or not.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.holdings.requests.lock().unwrap().clone()
    }
}

impl Holdings {
    /// Writes the request down and says what it meets, if anything is at its path.
    pub(super) fn meet(&self, request: &Request) -> Option<Resource> {
        self.requests.lock().unwrap().push(request.clone());
        let path = request.path.split('?').next().unwrap_or_default();
        Some(self.places.lock().unwrap().get_mut(path)?.meet(request))
    }
}

/// A URL nobody listens at.
pub(crate) fn refused_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/x", listener.local_addr().unwrap())
}
