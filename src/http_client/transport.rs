//! The TCP transport below ureq, whose waits also end with the stream.
//!
//! ureq's own transport blocks in `connect` and `read`; this one polls the socket together with the
//! stream's [`CancelToken`](crate::cancel::CancelToken), so a stream that is over releases its
//! upstreams at once.
//!
//! **API boundary:** nothing here knows HTTP.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};
use ureq::{Error, Timeout};

use crate::config::Proxy;
use crate::http_client::connection::{Connection, CountedBuffers, IoGuard};
use crate::net::{Families, proxy, target};
use crate::sys;

/// Size of the input buffer for plain HTTP, and so the maximum length of a response head there: a
/// stream may have several connections, with a buffer for each.
const PLAIN_BUFFER: usize = 32 << 10;

/// Makes the TCP connections of one HTTP client.
pub(crate) struct TcpConnector {
    pub(crate) io_guard: Arc<IoGuard>,
    pub(crate) families: Arc<Families>,
    /// The proxy that all connections lead through.
    pub(crate) proxy: Option<Proxy>,
}

impl TcpConnector {
    /// Connects to one of the addresses, trying each in turn.
    pub(crate) fn connect(&self, details: &ConnectionDetails) -> Result<TcpTransport, Error> {
        let limit = limit(details.timeout);
        let deadline = Instant::now() + limit;
        let mut last = Error::HostNotFound;
        let mut left = u32::try_from(details.addrs.len()).unwrap_or(1);
        for address in &details.addrs[..] {
            // Each address gets a share of the time, so that a silent one does not use it all up.
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match connect(*address, share, &self.io_guard) {
                Ok(socket) => {
                    if self.proxy.is_none() {
                        self.families.record_success(*address, &details.addrs[..]);
                    }
                    let to = (origin(details.uri), *address);
                    let connection = Connection::new(socket, to, self.io_guard.clone());
                    return self.through_proxy(connection, details, deadline);
                }
                Err(error) => last = error,
            }
            if self.io_guard.is_cancelled() {
                break;
            }
            left -= 1;
        }
        Err(match last {
            Error::Io(error) if self.proxy.is_some() => proxy::refused(&error.to_string()).into(),
            last => last,
        })
    }

    /// Wraps the connection in a transport, and extends it to the upstream if it leads to a proxy.
    fn through_proxy(
        &self,
        connection: Arc<Connection>,
        details: &ConnectionDetails,
        deadline: Instant,
    ) -> Result<TcpTransport, Error> {
        let sizes = details.config;
        let input = match details.uri.scheme_str() {
            // Most of a body is read past this buffer.
            Some("http") => PLAIN_BUFFER,
            _ => sizes.input_buffer_size(),
        };
        let buffers = LazyBuffers::new(input, sizes.output_buffer_size());
        let transport = TcpTransport {
            buffers: CountedBuffers { buffers, connection: connection.clone() },
            connection,
        };
        let Some(proxy) = &self.proxy else { return Ok(transport) };
        let left = deadline.saturating_duration_since(Instant::now());
        let mut adapter = TransportAdapter::new(transport, details.current_time.clone());
        adapter.set_timeout(NextTimeout { after: left.into(), ..details.timeout });
        let (host, port) = target(details.uri);
        proxy::connect_through(proxy, &mut adapter, host, port)?;
        Ok(adapter.into_inner())
    }
}

/// Returns the origin of `uri` (RFC 9110 §4.3.1).
pub(crate) fn origin(uri: &Uri) -> String {
    let (host, port) = target(uri);
    format!("{}://{host}:{port}", uri.scheme_str().unwrap_or_default())
}

fn connect(address: SocketAddr, limit: Duration, io_guard: &IoGuard) -> Result<TcpStream, Error> {
    let socket = sys::start_connect(address)?;
    io_guard.wait(socket.as_fd(), sys::WRITABLE, limit, Timeout::Connect)?;
    if let Some(error) = socket.take_error()? {
        return Err(error.into());
    }
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A TCP connection with its ureq buffers.
pub(crate) struct TcpTransport {
    pub(crate) connection: Arc<Connection>,
    buffers: CountedBuffers,
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TcpTransport")
    }
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let mut sent = 0;
        while sent < amount {
            match (&self.connection.socket).write(&self.buffers.output()[sent..amount]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.connection.wait(sys::WRITABLE, limit(timeout), timeout.reason)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let buffer = self.buffers.input_append_buf();
        let next = |mut socket: &TcpStream| socket.read(buffer);
        let count = self.connection.retry_when_ready(limit(timeout), timeout.reason, next)?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_idle()
    }
}

/// Converts the timeout of ureq, whose "no limit" is a variant of its own.
fn limit(timeout: NextTimeout) -> Duration {
    match timeout.after {
        ureq::unversioned::transport::time::Duration::Exact(limit) => limit,
        ureq::unversioned::transport::time::Duration::NotHappening => Duration::from_secs(86_400),
    }
}
