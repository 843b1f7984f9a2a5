//! The TCP connection below ureq: every wait on it also ends when its stream does.
//!
//! ureq's own transport blocks in `connect` and `read`; this one polls the socket beside the
//! stream's [`Stop`], so a stream that is over lets go of its upstreams at once. Must never
//! know HTTP.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};
use ureq::{Error, Timeout};

use super::proxy;
use crate::config::Proxy;
use crate::stop::{Stop, Wait};
use crate::sys;

/// Until when the next bytes of a body must be there, however many segments ureq has to read for
/// them: the trailers of a chunked body give it segments, but its reader nothing.
#[derive(Default)]
pub(super) struct Patience(Mutex<Option<Instant>>);

impl Patience {
    /// From now on, until `deadline`.
    pub(super) fn until(&self, deadline: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    }

    /// No longer: until the next [`until`](Patience::until).
    pub(super) fn rest(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is left of it, if it has begun to count.
    fn left(&self) -> Option<Duration> {
        let deadline = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// Makes connections that belong to one track of one stream.
pub(super) struct Dial {
    pub(super) stop: Arc<Stop>,
    pub(super) patience: Arc<Patience>,
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
        let limit = limit(details.timeout);
        let deadline = Instant::now() + limit;
        let mut last = Error::HostNotFound;
        let mut left = u32::try_from(details.addrs.len()).unwrap_or(1);
        for address in &details.addrs[..] {
            // The time is shared out, so that one silent address does not use it all up.
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match connect(*address, share, &self.stop) {
                Ok(socket) => return self.introduced(socket, details, deadline).map(Some),
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
    /// The connection, led on to the upstream if `socket` only leads to the proxy.
    fn introduced(
        &self,
        socket: TcpStream,
        details: &ConnectionDetails,
        deadline: Instant,
    ) -> Result<Wire, Error> {
        let (stop, patience) = (self.stop.clone(), self.patience.clone());
        let sizes = details.config;
        let buffers = LazyBuffers::new(sizes.input_buffer_size(), sizes.output_buffer_size());
        let wire = Wire { socket, stop, patience, buffers };
        let Some(proxy) = &self.proxy else { return Ok(wire) };
        let left = deadline.saturating_duration_since(Instant::now());
        let mut line = TransportAdapter::new(wire, details.current_time.clone());
        line.set_timeout(NextTimeout { after: left.into(), ..details.timeout });
        let (host, port) = target(details.uri);
        proxy::introduce(proxy, &mut line, host, port)?;
        Ok(line.into_inner())
    }
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

/// A connection of one stream.
pub(super) struct Wire {
    socket: TcpStream,
    stop: Arc<Stop>,
    patience: Arc<Patience>,
    buffers: LazyBuffers,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    fn wait(&self, interest: i16, timeout: NextTimeout) -> Result<(), Error> {
        let patience = self.patience.left().unwrap_or(Duration::MAX);
        let limit = limit(timeout).min(patience);
        match self.stop.wait(self.socket.as_fd(), interest, limit)? {
            Wait::Ready => Ok(()),
            Wait::Stopped => Err(over().into()),
            Wait::TimedOut => Err(Error::Timeout(timeout.reason)),
        }
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let mut sent = 0;
        while sent < amount {
            match (&self.socket).write(&self.buffers.output()[sent..amount]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::WRITABLE, timeout)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        loop {
            // Also where bytes are always there: some that ureq reads give its reader nothing.
            if self.patience.left() == Some(Duration::ZERO) {
                return Err(Error::Timeout(timeout.reason));
            }
            if self.stop.is_over() {
                return Err(over().into());
            }
            match (&self.socket).read(self.buffers.input_append_buf()) {
                Ok(count) => {
                    self.buffers.input_appended(count);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::READABLE, timeout)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // An idle connection has nothing to say: data or a hang-up mean that it is of no use.
        let idle = sys::poll([(self.socket.as_fd(), sys::READABLE)], Some(Duration::ZERO));
        idle.is_ok_and(|[spoke]| !spoke)
    }
}

/// ureq's way of saying "no limit" is an enum of its own.
fn limit(timeout: NextTimeout) -> Duration {
    match timeout.after {
        ureq::unversioned::transport::time::Duration::Exact(limit) => limit,
        ureq::unversioned::transport::time::Duration::NotHappening => Duration::from_secs(86_400),
    }
}

fn over() -> io::Error {
    io::Error::other("the stream is over")
}
