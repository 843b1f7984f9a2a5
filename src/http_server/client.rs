//! A client that waits for the response to its request. Responding consumes it, so that there is one
//! response: a small one, or by [`commit`](ClientConnection::commit) a media body.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::Level;

use super::body::BodyWriter;
use super::connection::Connection;
use super::head::ResponseHead;
use super::output::{LocalControl, LocalOutput, Output, Receiver};
use super::request::Request;
use super::response::Response;
use crate::access::{Grant, Identity};
use crate::cancel::CancelToken;
use crate::config::AccessConfig;
use crate::error::Error;
use crate::limits::Client;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::request_record::RequestRecord;
use crate::traffic::{Account, Traffic};

/// How long a program that reads a response of this process may pause: it is the user's own.
const LOCAL_STALL: Duration = Duration::from_secs(7 * 24 * 3600);

/// A connection whose request waits for its response.
pub struct ClientConnection {
    connection: Connection,
    identity: Identity,
}

impl ClientConnection {
    pub(super) fn new(connection: Connection, identity: Identity) -> ClientConnection {
        ClientConnection { connection, identity }
    }

    /// Returns a client in this process, which is on this machine as limits see it.
    pub fn local(
        receiver: Arc<dyn Receiver>,
        control: &LocalControl,
    ) -> io::Result<ClientConnection> {
        let output = Output::Local(LocalOutput::new(receiver)?);
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let (peer, shared) = ((address, 0).into(), control.0.clone());
        // Nothing is asked, and so nothing logged.
        let connection = Connection::new(output, peer, LOCAL_STALL, shared);
        let identity = Identity::of_peer(address, &AccessConfig::default());
        Ok(ClientConnection { connection, identity })
    }

    /// Returns the connection of the client that the request tells.
    pub(super) fn identified(self, identity: Identity) -> ClientConnection {
        self.record().client(identity.client.address());
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

    /// Gives the request another ID.
    pub(super) fn with_id(mut self, id: RequestId) -> ClientConnection {
        self.connection.id = id;
        self
    }

    pub(super) fn id(&self) -> &RequestId {
        &self.connection.id
    }

    /// Returns the record of the request.
    pub fn record(&self) -> &Arc<RequestRecord> {
        &self.connection.record
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

    /// Returns the socket; `None` for a client in this process.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        match &self.connection.output {
            Output::Socket(socket) => Some(socket),
            Output::Local(_) => None,
        }
    }

    /// Returns a token that is cancelled when the client leaves or the server aborts.
    pub fn cancel_token(&self) -> io::Result<CancelToken> {
        self.connection.cancel_token()
    }

    /// Sends a small response and closes the connection in order.
    pub fn respond(mut self, response: Response, request: Option<&Request>) {
        if let Output::Local(local) = &self.connection.output {
            return local.respond(response);
        }
        let record = self.record();
        record.responded(response.status(), None);
        if let Some(code) = response.problem_code() {
            record.failed(code, None, Level::Info);
        }
        let sent = match response.print(request, &self.connection.id) {
            Ok((bytes, body_len)) => {
                let sent = self.connection.send([&bytes], self.connection.abort());
                sent.map(|()| self.connection.body_sent = body_len as u64)
            }
            Err(error) => Err(Error::system("print a response", &error)),
        };
        self.end(sent);
    }

    /// Closes the connection in order if its response was sent.
    fn end(self, sent: Result<(), Error>) {
        match sent {
            Ok(()) => {
                self.record().complete();
                self.connection.close();
            }
            Err(error) => drop(self.record().failed_by(&error, Level::Info)),
        }
    }

    /// Responds with a problem, in the form that the client accepts.
    pub fn refuse(mut self, problem: &Problem, request: &Request) {
        if self.connection.output.is_local() {
            return self.connection.output.fail(problem);
        }
        self.respond(Response::problem(problem, request.wants_html), Some(request));
    }

    /// Sends the head of a media response without a body (HEAD, or 304).
    pub fn respond_head(self, head: &ResponseHead, request: &Request) {
        self.record().responded(head.status_code(), None);
        let bytes = head.print(request, &self.connection.id);
        let sent = self.connection.send([&bytes], self.connection.abort());
        self.end(sent);
    }

    /// Passes the commit point: from here on, the only error that the client can see is a reset. Gives the
    /// connection back if that cannot be armed.
    pub fn commit(
        mut self,
        head: &ResponseHead,
        request: &Request,
    ) -> Result<BodyWriter, Box<(ClientConnection, Error)>> {
        match self.connection.output.begin(head) {
            Ok(()) => {
                self.record().responded(head.status_code(), head.begins_at());
                Ok(BodyWriter::new(self.connection, head, request))
            }
            // It has its own reason.
            Err(_) if self.connection.output.is_local() => Err(Box::new((self, Error::ClientLeft))),
            Err(error) => {
                Err(Box::new((self, Error::system("arm the reset of a connection", &error))))
            }
        }
    }
}
