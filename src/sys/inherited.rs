//! Listening sockets that one process passes to another.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{checked, owned, set_nonblocking};

/// Has a listening socket that another process has bound queue up to `backlog` connections, and makes it non-blocking.
/// Fails for what is no stream socket.
pub fn prepare_listener(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    set_nonblocking(socket)?;
    // SAFETY: takes no pointers.
    checked(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
}

/// Owns a descriptor that this process was started with, and closes it in children. Each can be taken once: the caller
/// must know that nothing else uses its number.
pub fn take_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes an int and no pointers, and fails for a number that is no descriptor.
    checked(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    owned(number)
}

/// Has the command run in a child of init, which inherits these descriptors with their numbers, and writes its id to its
/// standard input first; the child of this process ends at once. systemd supervises no other processes than its own
/// children. The descriptors must stay open until the command was started.
pub fn inherit_detached<'s>(
    command: &mut Command,
    descriptors: impl Iterator<Item = BorrowedFd<'s>>,
) {
    let numbers: Vec<RawFd> = descriptors.map(|descriptor| descriptor.as_raw_fd()).collect();
    // SAFETY: between fork and exec only fcntl, fork, getpid, write and _exit are called, in a process of one thread,
    // and nothing is allocated. `id` is readable memory of its length.
    unsafe {
        command.pre_exec(move || {
            numbers
                .iter()
                .try_for_each(|number| checked(libc::fcntl(*number, libc::F_SETFD, 0)))?;
            match libc::fork() {
                0 => {
                    let id = libc::getpid().to_ne_bytes();
                    match libc::write(libc::STDIN_FILENO, id.as_ptr().cast(), id.len()) {
                        -1 => Err(io::Error::last_os_error()),
                        _ => Ok(()),
                    }
                }
                -1 => Err(io::Error::last_os_error()),
                _ => libc::_exit(0),
            }
        });
    }
}

/// Kills the process that a [`pidfd`](super::pidfd) is of, if it has not ended.
pub fn kill_process(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal(2) takes no memory without a siginfo.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, no_info, 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
