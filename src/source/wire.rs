//! The TCP connection below ureq: every wait on it also ends when its stream does.
//!
//! ureq's own transport blocks in `connect` and `read`; this one polls the socket beside the
//! stream's [`Stop`], so a stream that is over lets go of its upstreams at once. Must never know
//! HTTP.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};
use ureq::{Error, Timeout};

use super::line::{Counted, Line, Lines, Patience, over};
use super::proxy;
use crate::config::Proxy;
use crate::stop::{Stop, Wait};
use crate::sys;

/// What is read of an answer over plain HTTP at once, and the longest head of one: a stream may have
/// several connections, and holds as much for each.
const PLAIN_BUFFER: usize = 32 << 10;

/// Makes connections that belong to one track of one stream.
pub(super) struct Dial {
    pub(super) stop: Arc<Stop>,
    pub(super) patience: Arc<Patience>,
    pub(super) lines: Arc<Lines>,
    /// What all connections lead through.
    pub(super) proxy: Option<Proxy>,
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

impl Connector for Dial {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Wire>, Error> {
        if let Some((line, buffers)) = self.lines.take_free(&origin(details.uri), &details.addrs) {
            return Ok(Some(self.wire(line, buffers)));
        }
        let limit = limit(details.timeout);
        let deadline = Instant::now() + limit;
        let mut last = Error::HostNotFound;
        let mut left = u32::try_from(details.addrs.len()).unwrap_or(1);
        for address in &details.addrs[..] {
            // The time is shared out, so that one silent address does not use it all up.
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match connect(*address, share, &self.stop) {
                Ok(socket) => {
                    let (stop, patience) = (self.stop.clone(), self.patience.clone());
                    let to = (origin(details.uri), *address);
                    let line = Line::new(socket, to, stop, patience);
                    return self.introduced(line, details, deadline).map(Some);
                }
                Err(error) => last = error,
            }
            if self.stop.is_over() {
                break;
            }
            left -= 1;
        }
        Err(match last {
            Error::Io(error) if self.proxy.is_some() => proxy::refused(&error.to_string()).into(),
            last => last,
        })
    }
}

impl Dial {
    fn wire(&self, line: Arc<Line>, buffers: LazyBuffers) -> Wire {
        let buffers = Counted { buffers, line: line.clone() };
        Wire { line, lines: self.lines.clone(), buffers }
    }

    /// The connection, led on to the upstream if `line` only leads to the proxy.
    fn introduced(
        &self,
        line: Arc<Line>,
        details: &ConnectionDetails,
        deadline: Instant,
    ) -> Result<Wire, Error> {
        let sizes = details.config;
        let input = match details.uri.scheme_str() {
            // Bodies are mostly read past it.
            Some("http") => PLAIN_BUFFER,
            _ => sizes.input_buffer_size(),
        };
        let buffers = LazyBuffers::new(input, sizes.output_buffer_size());
        let wire = self.wire(line, buffers);
        let Some(proxy) = &self.proxy else { return Ok(wire) };
        let left = deadline.saturating_duration_since(Instant::now());
        let mut line = TransportAdapter::new(wire, details.current_time.clone());
        line.set_timeout(NextTimeout { after: left.into(), ..details.timeout });
        let (host, port) = target(details.uri);
        proxy::introduce(proxy, &mut line, host, port)?;
        Ok(line.into_inner())
    }
}

/// What a connection leads to.
fn origin(uri: &Uri) -> String {
    let (host, port) = target(uri);
    format!("{}://{host}:{port}", uri.scheme_str().unwrap_or_default())
}

/// Host (IPv6 without brackets) and port of a URL.
pub(super) fn target(uri: &Uri) -> (&str, u16) {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    });
    (host, port)
}

fn connect(address: SocketAddr, limit: Duration, stop: &Stop) -> Result<TcpStream, Error> {
    let socket = sys::start_connect(address)?;
    match stop.wait(socket.as_fd(), sys::WRITABLE, limit)? {
        Wait::Ready => {}
        Wait::Stopped => return Err(over().into()),
        Wait::TimedOut => return Err(Error::Timeout(Timeout::Connect)),
    }
    if let Some(error) = socket.take_error()? {
        return Err(error.into());
    }
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A connection of one stream, as ureq has it.
pub(super) struct Wire {
    line: Arc<Line>,
    lines: Arc<Lines>,
    buffers: Counted,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.lines.ask_on(&self.line);
        let mut sent = 0;
        while sent < amount {
            match (&self.line.socket).write(&self.buffers.output()[sent..amount]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.line.wait(sys::WRITABLE, limit(timeout), timeout.reason)?;
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
        let count = self.line.next(limit(timeout), timeout.reason, next)?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.line.is_idle()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.lines.leave(&self.line, &mut self.buffers.buffers);
    }
}

/// ureq's way of saying "no limit" is an enum of its own.
fn limit(timeout: NextTimeout) -> Duration {
    match timeout.after {
        ureq::unversioned::transport::time::Duration::Exact(limit) => limit,
        ureq::unversioned::transport::time::Duration::NotHappening => Duration::from_secs(86_400),
    }
}
