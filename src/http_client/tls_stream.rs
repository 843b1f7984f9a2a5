//! TLS over a socket, by the unbuffered interface of rustls: a connection has buffers only while they hold something.
//!
//! Records are received into memory that all connections share, and decrypted there. What stays with the connection is
//! an incomplete record, and what a reader with a small buffer left of a decrypted one.
//!
//! **Invariant:** the end of the connection is an error, unless the peer announced it (RFC 8446 §6.1).
//!
//! **API boundary:** nothing here knows HTTP.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};

use crate::http_client::scratch::{SCRATCH_SIZE, Scratch};
use crate::http_client::transport::Socket;

/// The longest record: a header, 16 KiB of plaintext, and what ciphers may add (RFC 5246 §6.2.3).
const MAX_RECORD: usize = 5 + (16 << 10) + (2 << 10);

/// A TLS connection.
pub(crate) struct TlsStream {
    tls: Box<UnbufferedClientConnection>,
    socket: Socket,
    /// What was received of the next record.
    received: Vec<u8>,
    /// Decrypted bytes, and how many of them have been read.
    decrypted: Vec<u8>,
    read: usize,
    /// Whether the handshake is complete.
    is_open: bool,
    /// Whether the peer has announced the end.
    is_ended: bool,
}

impl TlsStream {
    /// Performs the handshake with `host`.
    pub(crate) fn connect(
        socket: Socket,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<TlsStream> {
        let invalid = |_| io::Error::other("the host name does not suit TLS");
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        let tls =
            UnbufferedClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut stream = TlsStream {
            tls: Box::new(tls),
            socket,
            received: Vec::new(),
            decrypted: Vec::new(),
            read: 0,
            is_open: false,
            is_ended: false,
        };
        // The first message of the handshake is ours.
        stream.process(&mut [], &mut [])?;
        while !stream.is_open {
            if stream.is_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            stream.receive(&mut [])?;
        }
        Ok(stream)
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Returns whether everything that was received has been read and the peer has not ended the connection.
    pub(crate) fn is_drained(&self) -> bool {
        self.received.is_empty() && self.decrypted.is_empty() && !self.is_ended
    }

    /// Receives once, and decrypts what is complete into `buffer`; returns how many bytes. More of them, for which it
    /// has no room, are kept.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let kept = self.received.len();
        // Plaintext is shorter than its records, so that all of it has room, unless there is hardly any. Messages of a
        // handshake may be longer than a record.
        let least = if kept < MAX_RECORD { MAX_RECORD } else { kept + MAX_RECORD };
        let end = buffer.len().max(least).min(SCRATCH_SIZE);
        let mut filled = None;
        let count = self.socket.receive(|mut tcp| {
            let mut scratch = Scratch::take();
            let count = tcp.read(&mut scratch[kept..end])?;
            filled = Some(scratch);
            Ok(count)
        })?;
        let Some(mut scratch) = filled.filter(|_| count > 0) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        scratch[..kept].copy_from_slice(&self.received);
        self.received = Vec::new();
        let input = &mut scratch[..kept + count];
        let (used, decrypted) = self.process(input, buffer)?;
        self.received = input[used..].to_vec();
        Ok(decrypted)
    }

    /// Processes the records in `input` and sends what TLS has to send. Returns how many bytes of `input` were used and
    /// how many were decrypted into `buffer`.
    fn process(&mut self, input: &mut [u8], buffer: &mut [u8]) -> io::Result<(usize, usize)> {
        let (mut used, mut decrypted) = (0, 0);
        let mut output = Vec::new();
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut input[used..]);
            let is_blocked = match state.map_err(invalid_data)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid_data)?;
                        discard += record.discard;
                        let room = &mut buffer[decrypted..];
                        let (now, later) =
                            record.payload.split_at(room.len().min(record.payload.len()));
                        room[..now.len()].copy_from_slice(now);
                        decrypted += now.len();
                        self.decrypted.extend_from_slice(later);
                    }
                    false
                }
                ConnectionState::EncodeTlsData(data) => {
                    encode(data, &mut output)?;
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    self.socket.write_all(&output)?;
                    output.clear();
                    data.done();
                    false
                }
                ConnectionState::PeerClosed => {
                    self.is_ended = true;
                    false
                }
                ConnectionState::WriteTraffic(_) => {
                    self.is_open = true;
                    true
                }
                ConnectionState::BlockedHandshake | ConnectionState::Closed => true,
                _ => return Err(io::Error::other("TLS is in an unknown state")),
            };
            used += discard;
            if is_blocked {
                return Ok((used, decrypted));
            }
        }
    }

    /// Encrypts `bytes`.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        // What was received is incomplete, and stays as it is.
        let state = self.tls.process_tls_records(&mut self.received).state.map_err(invalid_data)?;
        let ConnectionState::WriteTraffic(mut traffic) = state else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut output = Vec::new();
        if let Err(EncryptError::InsufficientSize(size)) = traffic.encrypt(bytes, &mut output) {
            output.resize(size.required_size, 0);
        }
        let count = traffic.encrypt(bytes, &mut output).map_err(io::Error::other)?;
        output.truncate(count);
        Ok(output)
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decrypted.is_empty() && !self.is_ended && !buffer.is_empty() {
            let count = self.receive(buffer)?;
            if count > 0 {
                return Ok(count);
            }
        }
        let count = (&self.decrypted[self.read..]).read(buffer)?;
        self.read += count;
        if self.read == self.decrypted.len() {
            (self.decrypted, self.read) = (Vec::new(), 0);
        }
        Ok(count)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let records = self.encrypt(bytes)?;
        self.socket.write_all(&records)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends a record of the handshake to `output`.
fn encode(
    mut data: EncodeTlsData<'_, ClientConnectionData>,
    output: &mut Vec<u8>,
) -> io::Result<()> {
    let start = output.len();
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        output.resize(start + size.required_size, 0);
    }
    data.encode(&mut output[start..]).map(drop).map_err(io::Error::other)
}

fn invalid_data(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
