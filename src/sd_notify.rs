//! Telling systemd how we are (sd_notify(3)): one datagram a message.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The way to systemd, if it wants to know.
#[derive(Debug, Default)]
pub struct SdNotify {
    socket: Option<OsString>,
}

impl SdNotify {
    /// With the socket that systemd named, if it did.
    pub fn new(socket: Option<OsString>) -> SdNotify {
        SdNotify { socket }
    }

    /// We take requests.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=Serving\n");
    }

    /// We are on our way out.
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
            log::warn!("systemd cannot be told: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_that_we_are_ready() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        SdNotify::new(Some(path.into())).ready();
        let mut buffer = [0; 64];
        let len = systemd.recv(&mut buffer).unwrap();
        assert!(buffer[..len].starts_with(b"READY=1\n"));
    }
}
