//! Hands the listening sockets to a new process of the program, which may be a newer one: no connection is refused
//! while that starts, and none is dropped.
//!
//! The new process gets the sockets, and a channel as its standard input. When it could serve, it sends its id; the
//! old one makes it the main process of the service, lets it begin by a byte, and accepts no more connections.
//!
//! **Invariant:** until then the old process goes on, whatever becomes of the new one.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::config::Invocation;
use crate::http_server::Listener;
use crate::sys;

/// How long the new process may take until it could serve.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the old one may take to let it begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a successor needs.
pub(super) struct Handover {
    invocation: Invocation,
    /// The listening sockets. They stay open as long as this does.
    sockets: Vec<OwnedFd>,
    /// Whether they are systemd's.
    is_socket_activated: bool,
}

impl Handover {
    pub(super) fn new(
        invocation: Invocation,
        listeners: &[Listener],
        is_socket_activated: bool,
    ) -> io::Result<Handover> {
        let sockets = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
        Ok(Handover {
            invocation,
            sockets: sockets.collect::<io::Result<_>>()?,
            is_socket_activated,
        })
    }

    /// Starts a successor, which is sent when it could serve.
    pub(super) fn start(&self, started: &Sender<io::Result<Successor>>) -> io::Result<Starting> {
        let (started, control) = (started.clone(), self.start_process()?);
        let successor = control.try_clone()?;
        let thread = thread::Builder::new().name("handover".into()).spawn(move || {
            // Nobody receives it if this process ends meanwhile.
            started.send(Successor::wait_until_ready(successor)).ok();
        })?;
        Ok(Starting { control, thread: Some(thread) })
    }

    /// Starts a process of the program with the sockets; returns the channel to it.
    fn start_process(&self) -> io::Result<UnixStream> {
        let (control, theirs) = UnixStream::pair()?;
        control.set_read_timeout(Some(START_TIMEOUT))?;
        let sockets = || self.sockets.iter().map(AsFd::as_fd);
        let mut command = self.invocation.command(sockets(), self.is_socket_activated);
        sys::inherit_detached(&mut command, sockets());
        command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?.wait()?;
        Ok(control)
    }
}

/// A process that starts. Dropping this ends the wait for it, and itself if it has not begun to serve.
pub(super) struct Starting {
    control: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.control.shutdown(Shutdown::Both).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The process that takes over. Dropping it before it begins ends it.
pub(super) struct Successor {
    pid: u32,
    control: UnixStream,
}

impl Successor {
    /// Waits until the process at the other end of `control` could serve.
    fn wait_until_ready(mut control: UnixStream) -> io::Result<Successor> {
        let mut pid = [0; 4];
        control.read_exact(&mut pid).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("the new process ended first"),
            io::ErrorKind::WouldBlock => {
                io::Error::other(format!("the new process took longer than {START_TIMEOUT:?}"))
            }
            _ => error,
        })?;
        Ok(Successor { pid: u32::from_ne_bytes(pid), control })
    }

    pub(super) fn id(&self) -> u32 {
        self.pid
    }

    /// Lets the process begin to serve.
    pub(super) fn begin(mut self) -> io::Result<()> {
        self.control.write_all(&[1])
    }
}

/// Tells the old process that this one could serve, and waits until it may.
pub(super) fn take_over() -> io::Result<()> {
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    control.set_read_timeout(Some(BEGIN_TIMEOUT))?;
    control.write_all(&process::id().to_ne_bytes())?;
    let begun = control.read_exact(&mut [0]);
    begun.map_err(|error| {
        io::Error::new(error.kind(), format!("the process that was to hand over did not: {error}"))
    })
}
