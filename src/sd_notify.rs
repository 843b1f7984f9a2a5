//! Reports the state of the service to systemd (sd_notify(3)): one datagram per message.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::sys;

/// How long a message may take to send: systemd may be busy, but must not keep the server from its work.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The notification socket of systemd, if there is one. It stays open: when descriptors have run out, a sign of
/// life is most needed.
#[derive(Debug, Clone, Default)]
pub struct SdNotify {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl SdNotify {
    /// Uses the socket of `NOTIFY_SOCKET`; without one, messages are dropped. `watchdog` is the time after which
    /// systemd restarts a service that sent no [`keep_alive`](SdNotify::keep_alive).
    pub fn new(socket: Option<OsString>, watchdog: Option<Duration>) -> SdNotify {
        let opened = socket.and_then(|name| match open(&name) {
            Ok(opened) => Some(Arc::new(opened)),
            Err(error) => {
                log::warn!("cannot notify systemd: {error}");
                None
            }
        });
        SdNotify { watchdog: watchdog.filter(|_| opened.is_some()), socket: opened }
    }

    /// Returns whether anybody receives the messages.
    pub fn has_receiver(&self) -> bool {
        self.socket.is_some()
    }

    /// Returns the time after which systemd restarts a service that sent no sign of life.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Reports that the service accepts requests, for the first time or after it reloaded its configuration.
    pub fn ready(&self) {
        self.send("READY=1\n");
    }

    /// Reports that the service reloads its configuration. [`ready`](SdNotify::ready) ends that.
    pub fn reloading(&self) {
        // `Type=notify-reload` requires the time, which tells this reload from an earlier one.
        let now = sys::monotonic_time().as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}\n"));
    }

    /// Makes another process that of the service, whose messages count from now on.
    pub fn main_pid(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}\n"));
    }

    /// Reports that the service is shutting down.
    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// Sets the text that `systemctl status` shows.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={text}\n"));
    }

    /// Reports that the service lives.
    pub fn keep_alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// Lets the shutdown take at least `time` from now, however long it has taken.
    pub fn extend_timeout(&self, time: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}\n", time.as_micros()));
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = self.socket.as_deref() else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            log::warn!("cannot notify systemd: {error}");
        }
    }
}

/// Returns a socket to send from, and the address with this name.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_in_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let notify = SdNotify::new(Some(path.into()), None);
        let received = || {
            let mut buffer = [0; 128];
            let len = systemd.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..len].to_vec()).unwrap()
        };
        notify.ready();
        assert_eq!(received(), "READY=1\n");
        notify.status("1 stream");
        assert_eq!(received(), "STATUS=1 stream\n");
        notify.keep_alive();
        assert_eq!(received(), "WATCHDOG=1\n");
        notify.extend_timeout(Duration::from_secs(20));
        assert_eq!(received(), "EXTEND_TIMEOUT_USEC=20000000\n");
        notify.stopping();
        assert_eq!(received(), "STOPPING=1\n");
        let before = sys::monotonic_time().as_micros();
        notify.reloading();
        let text = received();
        let at = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let at: u128 = at.trim_end().parse().unwrap();
        assert!((before..=sys::monotonic_time().as_micros()).contains(&at), "{text}");
    }

    #[test]
    fn without_a_socket_nobody_watches() {
        let notify = SdNotify::new(None, Some(Duration::from_secs(1)));
        assert_eq!((notify.watchdog(), notify.has_receiver()), (None, false));
        notify.ready();
    }

    #[test]
    fn a_receiver_that_does_not_read_delays_little() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _systemd = UnixDatagram::bind(&path).unwrap();
        let notify = SdNotify::new(Some(path.clone().into()), None);
        // Until its queue is full.
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        while sender.send_to(b"X=1", &path).is_ok() {}
        let started = std::time::Instant::now();
        notify.ready();
        assert!(started.elapsed() < 10 * SEND_TIMEOUT);
    }
}
