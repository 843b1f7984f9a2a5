//! Connections that have not logged in yet: the newest ones. A client of the gateway logs in at once, so a crowd
//! that stays silent only drives itself out.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of connections without a login.
const MAX_LOGINS: usize = 64;

/// The connections, in order of arrival.
#[derive(Default)]
pub(super) struct Logins {
    next: AtomicU64,
    waiting: Mutex<VecDeque<(u64, TcpStream)>>,
}

/// A connection that has not logged in; dropped when it has, or when it has ended.
pub(super) struct Login<'l> {
    logins: &'l Logins,
    number: u64,
}

impl Logins {
    /// Adds a connection, and shuts the oldest one down if there are too many.
    pub(super) fn begin(&self, socket: &TcpStream) -> io::Result<Login<'_>> {
        let socket = socket.try_clone()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.lock();
        waiting.push_back((number, socket));
        if waiting.len() > MAX_LOGINS
            && let Some((_, oldest)) = waiting.pop_front()
        {
            // Its thread reads the end. A connection that the peer has reset is gone already.
            oldest.shutdown(Shutdown::Both).ok();
        }
        Ok(Login { logins: self, number })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, TcpStream)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Login<'_> {
    fn drop(&mut self) {
        self.logins.lock().retain(|(number, _)| *number != self.number);
    }
}
