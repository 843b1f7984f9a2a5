//! An HTTP origin on loopback that serves scripted resources: raw sockets, one thread per
//! connection, every thread joined when the origin is dropped.
//!
//! It must never wait without looking at its stop flag.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::script::{Fault, Resource};
use super::span::Span;

/// A running origin; dropping it ends its connections and joins its threads.
pub(crate) struct Origin {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Default)]
struct Shared {
    resources: Mutex<HashMap<String, Resource>>,
    requests: Mutex<Vec<Request>>,
    /// A twin of every open socket, to wake its thread at the end.
    open: Mutex<HashMap<usize, TcpStream>>,
    stop: AtomicBool,
}

impl Origin {
    /// Starts an empty origin on 127.0.0.1.
    pub(crate) fn start() -> Self {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Starts an empty origin on this loopback address.
    pub(crate) fn start_at(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { shared, address, acceptor: Some(acceptor) }
    }

    /// Puts a resource under a path (without its slash) and says its URL.
    pub(crate) fn put(&self, name: &str, resource: Resource) -> String {
        let path = format!("/{name}");
        self.shared.resources.lock().unwrap().insert(path, resource);
        self.url(name)
    }

    /// The URL of a path, whether something is there or not.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // The connect wakes the acceptor, which then sees the flag.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of an origin thread has already been printed.
            drop(acceptor.join());
        }
    }
}

/// A URL nobody listens at.
pub(crate) fn refused_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/x", listener.local_addr().unwrap())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (number, stream) in listener.incoming().enumerate() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let Ok(twin) = stream.try_clone() else {
            continue;
        };
        shared.open.lock().unwrap().insert(number, twin);
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || {
            let mut connection = Connection { stream, shared };
            // An error means that the other side left, which it may.
            drop(connection.answer());
            // The twin goes first, so that dropping the connection closes the socket.
            connection.shared.open.lock().unwrap().remove(&number);
        }));
        threads.retain(|thread| !thread.is_finished());
    }
    for twin in shared.open.lock().unwrap().values() {
        drop(twin.shutdown(Shutdown::Both));
    }
    for thread in threads {
        drop(thread.join());
    }
}

struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Connection {
    fn answer(&mut self) -> io::Result<()> {
        let Some(request) = self.request()? else {
            return Ok(());
        };
        self.shared.requests.lock().unwrap().push(request.clone());
        let path = request.path.split('?').next().unwrap_or_default();
        let resource = self.shared.resources.lock().unwrap().get(path).cloned();
        match resource {
            Some(resource) => self.deliver(&request, &resource),
            None => {
                self.take_last_byte()?;
                self.short(404, &[])
            }
        }
    }

    /// Reads the head up to the byte before its last: a socket that is closed with a byte
    /// unread sends a reset, which is how `ResetAt` gets one without unsafe code.
    fn request(&mut self) -> io::Result<Option<Request>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r") && head.len() < 64 * 1024 {
            if self.stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        Ok(Some(Request {
            method: first.next().unwrap_or_default().to_owned(),
            path: first.next().unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
        }))
    }

    fn take_last_byte(&mut self) -> io::Result<()> {
        self.stream.read_exact(&mut [0])
    }

    fn short(&mut self, status: u16, headers: &[(&str, String)]) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} Scripted\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "Content-Length: 9\r\n\r\n";
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(b"scripted\n")
    }

    fn deliver(&mut self, request: &Request, resource: &Resource) -> io::Result<()> {
        if !matches!(resource.fault, Fault::ResetAt(_)) {
            self.take_last_byte()?;
        }
        match &resource.fault {
            Fault::Status(status, headers) => return self.short(*status, headers),
            Fault::Redirect(to) => return self.short(302, &[("Location", to.clone())]),
            Fault::RedirectLoop => {
                return self.short(302, &[("Location", request.path.clone())]);
            }
            Fault::Silent => return self.stall(),
            _ => {}
        }
        let span = Span::of(request, resource);
        self.stream.write_all(span.head(&resource.fault).as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        self.send(resource, &span)?;
        match resource.fault {
            Fault::StallAt(_) => self.stall(),
            Fault::DripAt(_) => self.drip(resource, &span),
            Fault::Chunked => self.stream.write_all(b"0\r\n\r\n"),
            Fault::TrailersAt(_) => self.trailers(),
            // The unread byte must have arrived, or the close would be a plain one.
            Fault::ResetAt(_) => self.stream.peek(&mut [0]).map(drop),
            _ => Ok(()),
        }
    }

    /// Sends the span up to the offset of the fault, held at the gate on the way.
    fn send(&mut self, resource: &Resource, span: &Span) -> io::Result<()> {
        let until = match resource.fault {
            Fault::CutAt(at)
            | Fault::ResetAt(at)
            | Fault::StallAt(at)
            | Fault::DripAt(at)
            | Fault::ChunkedCutAt(at)
            | Fault::TrailersAt(at)
            | Fault::AlmostChunkedCutAt(at, ..) => span.end.min(at),
            _ => span.end,
        };
        let chunked = matches!(
            resource.fault,
            Fault::Chunked | Fault::ChunkedCutAt(_) | Fault::TrailersAt(_)
        );
        let mut content = resource.content.open(span.start)?;
        let mut block =
            vec![0; resource.pace.map_or(64 * 1024, |pace| (pace / 20).max(1) as usize)];
        let mut offset = span.start;
        loop {
            let mut limit = until;
            if let Some((at, gate)) = &resource.gate {
                if offset == *at {
                    gate.pass(&self.shared.stop);
                } else if offset < *at {
                    limit = limit.min(*at);
                }
            }
            if offset >= until || self.stopped() {
                return Ok(());
            }
            let wanted = block.len().min((limit - offset) as usize);
            content.read_exact(&mut block[..wanted])?;
            if chunked {
                write!(self.stream, "{wanted:x}\r\n")?;
            }
            self.stream.write_all(&block[..wanted])?;
            if chunked {
                self.stream.write_all(b"\r\n")?;
            }
            offset += wanted as u64;
            if resource.pace.is_some() {
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Keeps the connection open until the other side or the origin ends it.
    fn stall(&mut self) -> io::Result<()> {
        while !self.peer_left(Duration::from_millis(50))? && !self.stopped() {}
        Ok(())
    }

    fn drip(&mut self, resource: &Resource, span: &Span) -> io::Result<()> {
        let Fault::DripAt(at) = resource.fault else {
            return Ok(());
        };
        let mut content = resource.content.open(at)?;
        let mut byte = [0];
        for _ in at..span.end {
            content.read_exact(&mut byte)?;
            self.stream.write_all(&byte)?;
            for _ in 0..20 {
                if self.stopped() || self.peer_left(Duration::from_millis(50))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn trailers(&mut self) -> io::Result<()> {
        self.stream.write_all(b"0\r\n")?;
        while !self.stopped() && !self.peer_left(Duration::from_millis(100))? {
            self.stream.write_all(b"X: y\r\n")?;
        }
        Ok(())
    }

    fn peer_left(&mut self, within: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(within))?;
        match self.stream.read(&mut [0; 64]) {
            Ok(count) => Ok(count == 0),
            Err(error) => {
                Ok(!matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
            }
        }
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }
}
