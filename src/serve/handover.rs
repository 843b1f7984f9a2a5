//! Hands the listening sockets to a new process of the program, which may be a newer one: no connection is refused
//! while that starts, and none is dropped.
//!
//! The new process gets the sockets, and a channel as its standard input. When it could serve, it sends its id; the
//! old one makes it the main process of the service, lets it begin by a byte, and accepts no more connections.
//!
//! **Invariant:** until then the old process goes on, whatever becomes of the new one.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Stdio};
use std::thread;
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
    /// Fails where there can be no successor; says why.
    pub(super) fn new(
        listeners: &[Listener],
        is_socket_activated: bool,
    ) -> Result<Handover, String> {
        // A container ends with its first process.
        if process::id() == 1 {
            return Err("it is the first process of its container, which would end with it".into());
        }
        let invocation = Invocation::current();
        let sockets = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
        match (invocation, sockets.collect::<io::Result<_>>()) {
            (Ok(invocation), Ok(sockets)) => {
                Ok(Handover { invocation, sockets, is_socket_activated })
            }
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        }
    }

    /// Starts a process that takes over, and sends it when it could serve.
    pub(super) fn start(&self, started: &Sender<io::Result<Successor>>) -> io::Result<NewProcess> {
        let (process, control) = self.start_process()?;
        let started = started.clone();
        thread::Builder::new().name("handover".into()).spawn(move || {
            // Nobody receives it if this process ends meanwhile.
            started.send(Successor::wait_until_ready(control)).ok();
        })?;
        Ok(process)
    }

    /// Starts a process of the program with the sockets; returns it with the channel to it.
    fn start_process(&self) -> io::Result<(NewProcess, UnixStream)> {
        let (mut control, theirs) = UnixStream::pair()?;
        control.set_read_timeout(Some(START_TIMEOUT))?;
        let sockets = || self.sockets.iter().map(AsFd::as_fd);
        let mut command = self.invocation.command(sockets(), self.is_socket_activated);
        sys::inherit_detached(&mut command, sockets());
        command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?.wait()?;
        // It, too, has the other end, which is closed here with the command.
        drop(command);
        let pid = read_id(&mut control)?;
        // Fails if it has ended already; then there is nothing to end.
        Ok((NewProcess(sys::pidfd(pid).ok()), control))
    }
}

/// A process that is to take over. Dropping it ends it, unless it was [released](NewProcess::release): what hangs, and
/// is no child, would keep the sockets for good.
pub(super) struct NewProcess(Option<OwnedFd>);

impl NewProcess {
    /// Lets it live.
    pub(super) fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for NewProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        if let Some(process) = &self.0 {
            sys::kill_process(process.as_fd()).ok();
        }
    }
}

/// A process that could serve.
pub(super) struct Successor {
    pid: u32,
    control: UnixStream,
}

impl Successor {
    /// Waits until the process at the other end of `control` could serve.
    fn wait_until_ready(mut control: UnixStream) -> io::Result<Successor> {
        let pid = read_id(&mut control)?;
        Ok(Successor { pid, control })
    }

    pub(super) fn id(&self) -> u32 {
        self.pid
    }

    /// Lets the process begin to serve.
    pub(super) fn begin(mut self) -> io::Result<()> {
        self.control.write_all(&[1])
    }
}

/// Reads the id of the process at the other end, which it writes when it begins, and again when it could serve.
fn read_id(control: &mut UnixStream) -> io::Result<u32> {
    let mut pid = [0; 4];
    control.read_exact(&mut pid).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other("the new process ended first"),
        io::ErrorKind::WouldBlock => {
            io::Error::other(format!("the new process took longer than {START_TIMEOUT:?}"))
        }
        _ => error,
    })?;
    Ok(u32::from_ne_bytes(pid))
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
