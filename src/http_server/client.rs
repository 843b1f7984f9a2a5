//! A client that waits for the response to its request. Responding consumes it, so that there is one
//! response: a small one, or by [`commit`](ClientConnection::commit) a media body.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use super::body::BodyWriter;
use super::connection::Connection;
use super::head::ResponseHead;
use super::request::Request;
use super::response::Response;
use crate::access::{Grant, Identity};
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::limits::Client;
use crate::sys;
use crate::traffic::{Account, Traffic};

/// A connection whose request waits for its response.
pub struct ClientConnection {
    connection: Connection,
    identity: Identity,
}

impl ClientConnection {
    pub(super) fn new(connection: Connection, identity: Identity) -> ClientConnection {
        ClientConnection { connection, identity }
    }

    /// Returns the connection of the client that the request tells.
    pub(super) fn identified(self, identity: Identity) -> ClientConnection {
        ClientConnection { identity, ..self }
    }

    /// Returns the connection of a client with this right.
    pub fn granted(mut self, grant: &Grant) -> ClientConnection {
        self.identity.client = grant.client(self.identity.client);
        self
    }

    /// Returns the connection with its traffic on this account.
    pub fn charged_to(mut self, account: Option<Box<dyn Account>>) -> ClientConnection {
        self.connection.traffic = Arc::new(Traffic::new(account));
        self
    }

    /// Returns the client as limits see it.
    pub fn client(&self) -> Client {
        self.identity.client
    }

    /// Returns the address of the client.
    pub fn address(&self) -> IpAddr {
        self.client().address()
    }

    /// Returns where the client is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn peer(&self) -> IpAddr {
        self.connection.peer.ip()
    }

    pub(super) fn is_unix(&self) -> bool {
        self.connection.is_unix
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.connection.socket
    }

    /// Returns a token that is cancelled when the client leaves or the server aborts.
    pub fn cancel_token(&self) -> io::Result<CancelToken> {
        self.connection.cancel_token()
    }

    /// Sends a small response and closes the connection in order.
    pub fn respond(self, response: Response, request: Option<&Request>) {
        let sent = match response.print(request) {
            Ok(bytes) => {
                let sent = self.connection.send([&bytes], self.connection.abort());
                sent.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => self.connection.close(),
            Err(error) => log::debug!("cannot respond to {}: {error}", self.address()),
        }
    }

    /// Sends the head of a media response without a body (HEAD, or 304).
    pub fn respond_head(self, head: &ResponseHead, request: &Request) {
        if self.connection.send([&head.print(request)], self.connection.abort()).is_ok() {
            self.connection.close();
        }
    }

    /// Passes the commit point: from here on, the only error that the client can see is a reset. Gives the
    /// connection back if that cannot be armed.
    pub fn commit(
        self,
        head: &ResponseHead,
        request: &Request,
    ) -> Result<BodyWriter, Box<(ClientConnection, Error)>> {
        match sys::reset_on_close(&self.connection.socket, true) {
            Ok(()) => Ok(BodyWriter::new(self.connection, head, request)),
            Err(error) => {
                Err(Box::new((self, Error::system("arm the reset of a connection", &error))))
            }
        }
    }
}
