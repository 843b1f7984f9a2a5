//! What an origin and a proxy have in common: a listener on loopback, one thread per connection,
//! every thread joined when it is dropped.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::stop::Stop;

/// A running server; dropping it ends its connections and joins its threads.
pub(super) struct Server {
    stop: Arc<Stop>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts on this address, port 0 being any free one; `serve` gets each connection with its number, counted from 0. It
    /// must never wait without looking at the stop, or on anything but that connection.
    pub(super) fn start(
        address: SocketAddr,
        serve: impl Fn(usize, TcpStream, &Arc<Stop>) + Send + Sync + 'static,
    ) -> Self {
        let listener =
            TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Stop::default());
        let acceptor = thread::spawn({
            let stop = Arc::clone(&stop);
            move || accept(&listener, &stop, &Arc::new(serve))
        });
        Self { stop, address, acceptor: Some(acceptor) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.say();
        // The connect wakes the acceptor, which then sees the stop.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of a server's thread has already been printed.
            drop(acceptor.join());
        }
    }
}

fn accept(
    listener: &TcpListener,
    stop: &Arc<Stop>,
    serve: &Arc<impl Fn(usize, TcpStream, &Arc<Stop>) + Send + Sync + 'static>,
) {
    // A twin of every open socket, to wake its thread at the end.
    let open: Arc<Mutex<HashMap<usize, TcpStream>>> = Arc::default();
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (number, stream) in listener.incoming().enumerate() {
        if stop.is_said() {
            break;
        }
        let Ok(stream) = stream else { continue };
        let Ok(twin) = stream.try_clone() else {
            continue;
        };
        // A short answer in several writes must not wait for the acknowledgement of the first.
        drop(stream.set_nodelay(true));
        open.lock().unwrap().insert(number, twin);
        let (stop, serve, open) = (Arc::clone(stop), Arc::clone(serve), Arc::clone(&open));
        threads.push(thread::spawn(move || {
            serve(number, stream, &stop);
            // The twin is the last that holds the socket open.
            open.lock().unwrap().remove(&number);
        }));
        threads.retain(|thread| !thread.is_finished());
    }
    for twin in open.lock().unwrap().values() {
        drop(twin.shutdown(Shutdown::Both));
    }
    for thread in threads {
        drop(thread.join());
    }
}
