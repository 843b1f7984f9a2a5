//! A server that says the same to everybody, whatever it is asked.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use super::server::Server;

/// A running server; dropping it ends its connections and joins its threads.
pub(crate) struct Blurter(Server);

impl Blurter {
    /// Starts on 127.0.0.1; it hears something, says `words` and hangs up.
    pub(crate) fn start(words: &'static [u8]) -> Self {
        Self(Server::start((Ipv4Addr::LOCALHOST, 0).into(), move |_, mut stream, _| {
            let said = stream.read(&mut [0; 16 * 1024]).and_then(|_| stream.write_all(words));
            drop(said.and_then(|()| stream.shutdown(Shutdown::Write)));
            // What stood unread at a close would make it a reset, which could overtake the words.
            drop(io::copy(&mut stream, &mut io::sink()));
        }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }
}
