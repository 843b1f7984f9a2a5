//! A client that waits for the response to its request. Responding consumes it, so that there is one
//! response: a small one, or by [`commit`](ClientConnection::commit) a media body.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;

use super::body::BodyWriter;
use super::connection::Connection;
use super::head::ResponseHead;
use super::request::Request;
use super::response::Response;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::sys;

/// A connection whose request waits for its response.
pub struct ClientConnection(Connection);

impl ClientConnection {
    pub(super) fn new(connection: Connection) -> ClientConnection {
        ClientConnection(connection)
    }

    /// Returns the address of the client.
    pub fn address(&self) -> IpAddr {
        self.0.peer.ip().to_canonical()
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.0.socket
    }

    /// Returns a token that is cancelled when the client leaves or the server aborts.
    pub fn cancel_token(&self) -> io::Result<CancelToken> {
        CancelToken::with(self.0.socket.as_fd(), self.0.abort())
    }

    /// Sends a small response and closes the connection in order.
    pub fn respond(self, response: Response, request: Option<&Request>) {
        let sent = match response.print(request) {
            Ok(bytes) => self.0.send([&bytes], self.0.abort()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => self.0.close(),
            Err(error) => log::debug!("cannot respond to {}: {error}", self.address()),
        }
    }

    /// Sends the head of a media response without a body (HEAD, or 304).
    pub fn respond_head(self, head: &ResponseHead, request: &Request) {
        if self.0.send([&head.print(request)], self.0.abort()).is_ok() {
            self.0.close();
        }
    }

    /// Passes the commit point: from here on, the only error that the client can see is a reset. Gives the
    /// connection back if that cannot be armed.
    pub fn commit(
        self,
        head: &ResponseHead,
        request: &Request,
    ) -> Result<BodyWriter, (ClientConnection, Error)> {
        match sys::reset_on_close(&self.0.socket, true) {
            Ok(()) => Ok(BodyWriter::new(self.0, head, request)),
            Err(error) => Err((self, Error::system("arm the reset of a connection", &error))),
        }
    }
}
