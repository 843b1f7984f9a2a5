//! Reports the state of the service to systemd (sd_notify(3)): one datagram per message.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The notification socket of systemd, if there is one.
#[derive(Debug, Clone, Default)]
pub struct SdNotify {
    socket: Option<OsString>,
}

impl SdNotify {
    /// Uses the socket of `NOTIFY_SOCKET`; without one, messages are dropped.
    pub fn new(socket: Option<OsString>) -> SdNotify {
        SdNotify { socket }
    }

    /// Reports that the service accepts requests.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=Serving\n");
    }

    /// Reports that the service is shutting down.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Draining\n");
    }

    fn send(&self, message: &str) {
        let Some(name) = &self.socket else { return };
        let sent = || -> io::Result<usize> {
            let address = match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
                _ => SocketAddr::from_pathname(name)?,
            };
            UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)
        };
        if let Err(error) = sent() {
            log::warn!("cannot notify systemd: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_notified_of_readiness() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        SdNotify::new(Some(path.into())).ready();
        let mut buffer = [0; 64];
        let len = systemd.recv(&mut buffer).unwrap();
        assert!(buffer[..len].starts_with(b"READY=1\n"));
    }
}
