//! Makes a new connection to an upstream: TCP, the proxy if there is one, and TLS.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use url::Url;

use crate::cancel::CancelToken;
use crate::error::UpstreamError;
use crate::http_client::connection::Connection;
use crate::http_client::exchange::unreachable;
use crate::http_client::io_guard::IoGuard;
use crate::http_client::transport::{Socket, Transport};
use crate::http_client::upstream_client::UpstreamClient;
use crate::net::dial::DialError;
use crate::net::{Refused, proxy, target};

impl UpstreamClient {
    /// Connects to the origin of `url`, for the stream of `cancel`.
    pub(crate) fn connect(
        &self,
        url: &Url,
        cancel: &Arc<CancelToken>,
    ) -> Result<Connection, UpstreamError> {
        let transport = self.connect_transport(url, cancel);
        let transport = transport.map_err(|error| self.connect_fault(error))?;
        Ok(Connection::new(url.origin(), transport))
    }

    fn connect_transport(
        &self,
        url: &Url,
        cancel: &Arc<CancelToken>,
    ) -> Result<Transport, DialError> {
        let (host, port) = target(url);
        let addresses = self.dialer.resolve(host, port)?;
        let deadline = Instant::now() + self.dialer.timeout;
        let guard = IoGuard::new(cancel, deadline, &self.received);
        let dialled = self.dialer.dial(&addresses, deadline, |socket, interest, limit| {
            cancel.wait(socket, interest, limit)
        });
        let tcp = dialled.map_err(|error| match error {
            DialError::Failed(error) if self.dialer.has_proxy() => {
                DialError::Failed(proxy::refused(&error.to_string()))
            }
            error => error,
        })?;
        let mut socket = Socket { tcp, guard };
        self.dialer.extend(&mut socket, host, port)?;
        match url.scheme() {
            "https" => Ok(Transport::secure(socket, host, &self.tls())?),
            _ => Ok(Transport::Tcp(socket)),
        }
    }

    fn connect_fault(&self, error: DialError) -> UpstreamError {
        match error {
            DialError::TimedOut => {
                let operation = if self.dialer.has_proxy() {
                    "while connecting through the proxy"
                } else {
                    "while connecting"
                };
                UpstreamError::Timeout(operation, self.dialer.timeout)
            }
            DialError::Refused(why) => {
                self.dialer.refusals().of(Refused::Media).increment();
                UpstreamError::AddressRefused(why)
            }
            DialError::Failed(error) => unreachable(&error),
            DialError::HostNotFound | DialError::Stopped => {
                unreachable(&io::Error::other(error.to_string()))
            }
        }
    }
}
