//! Wraps the operating system in safe functions: every `unsafe` block and every libc call of the
//! project is in this module.
//!
//! **Invariant:** no policy here: no limits, no retries, no log lines about requests.

#![allow(unsafe_code, reason = "the one place where libc is called")]

use std::ffi::CString;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

mod allocator;
mod confinement;
mod epoll;
mod files;
mod inherited;
mod memory_file;
mod splice_pipe;

pub use allocator::{release_free_memory, tune_allocator};
pub use confinement::{
    Confinement, Resource, forbid_core_files, has_seccomp, hide_memory, landlock_version,
};
pub use epoll::Epoll;
pub use files::{make_new_files_readable, sync_file_system};
pub use inherited::{inherit_detached, kill_process, prepare_listener, take_descriptor};
pub use memory_file::memory_file;
pub use splice_pipe::SplicePipe;

/// Interest in [`poll`]: data is readable, or every writer is gone.
pub const READABLE: i16 = libc::POLLIN;
/// Interest in [`poll`]: a write would make progress.
pub const WRITABLE: i16 = libc::POLLOUT;
/// Interest in [`poll`]: the peer closed its side; reported without reading anything.
pub const HUNG_UP: i16 = libc::POLLRDHUP;

/// Waits until one of `fds` is ready or `timeout` has passed; returns which are ready.
///
/// A descriptor counts as ready when anything is reported for it, including an error or a hang-up,
/// which the read or write that follows returns.
pub fn poll<const N: usize>(
    fds: [(BorrowedFd<'_>, i16); N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut entries =
        fds.map(|(fd, events)| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 });
    loop {
        let millis = deadline.map_or(-1, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that a wait never ends before its deadline and spins.
            i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        // SAFETY: `entries` is a live array of N pollfd structs for the length of the call.
        let count = unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, millis) };
        if count >= 0 {
            return Ok(entries.map(|entry| entry.revents != 0));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// An eventfd that stays readable once signalled: every later [`poll`] returns at once.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Makes an unsignalled eventfd.
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        owned(fd).map(EventFd)
    }

    /// Makes it readable, for good.
    pub fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: `one` is eight readable bytes, which is what an eventfd takes. It cannot
        // fail in a way that matters: EAGAIN means that it has been rung 2^64 - 2 times.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Returns whether it was signalled.
    pub fn is_signalled(&self) -> bool {
        poll([(self.as_fd(), READABLE)], Some(Duration::ZERO)).is_ok_and(|[rung]| rung)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller has just received this descriptor from the kernel; no one else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens a non-blocking TCP listener: [`poll`] it, then accept. An IPv6 one accepts IPv6 only, so
/// that `0.0.0.0` and `[::]` may stand in one configuration.
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = tcp_socket(address)?;
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, &1i32)?;
    if address.is_ipv6() {
        set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1i32)?;
    }
    with_sockaddr(address, |pointer, len| {
        // SAFETY: `pointer` and `len` describe a live sockaddr of the right family.
        checked(unsafe { libc::bind(socket.as_raw_fd(), pointer, len) })
    })?;
    // SAFETY: takes no pointers.
    checked(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(TcpListener::from(socket))
}

/// Begins a TCP connection without waiting for it: [`poll`] for [`WRITABLE`], then check
/// [`TcpStream::take_error`].
pub fn start_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = tcp_socket(address)?;
    let started = with_sockaddr(address, |pointer, len| {
        // SAFETY: `pointer` and `len` describe a live sockaddr of the right family.
        checked(unsafe { libc::connect(socket.as_raw_fd(), pointer, len) })
    });
    match started {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from(socket)),
    }
}

fn tcp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes no pointers; the result is checked before it is owned.
    owned(unsafe { libc::socket(family, kind, 0) })
}

/// Calls `f` with the C form of `address`.
fn with_sockaddr<T>(
    address: SocketAddr,
    f: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> T,
) -> T {
    match address {
        SocketAddr::V4(v4) => {
            let sockaddr = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            f((&raw const sockaddr).cast(), size_of_val(&sockaddr) as libc::socklen_t)
        }
        SocketAddr::V6(v6) => {
            let sockaddr = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            f((&raw const sockaddr).cast(), size_of_val(&sockaddr) as libc::socklen_t)
        }
    }
}

fn set_option<T>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    let pointer: *const T = value;
    // SAFETY: `pointer` is valid for `len` bytes for the length of the call.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer.cast(), len) })
}

/// Sets whether closing `socket`, also by the end of the process, sends a reset instead of an
/// orderly end and discards unsent bytes: then the peer cannot take the response for complete.
pub fn reset_on_close(socket: &TcpStream, reset: bool) -> io::Result<()> {
    let linger = libc::linger { l_onoff: i32::from(reset), l_linger: 0 };
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &linger)
}

/// Restricts `socket` to destinations that are reached without a gateway (socket(7), SO_DONTROUTE).
pub fn set_dontroute(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_DONTROUTE, &on)
}

/// Limits the unsent bytes in the buffer of `socket` to about `len`. It becomes writable again when
/// half of them are sent (tcp(7), TCP_NOTSENT_LOWAT).
pub fn set_notsent_lowat(socket: &TcpStream, len: u32) -> io::Result<()> {
    set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &len)
}

/// Returns the number of bytes that have arrived at a pipe or socket and were not read.
pub fn unread_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    count_of(fd, libc::FIONREAD)
}

/// Returns the number of bytes that were written to a socket and not acknowledged by its peer, which may have
/// left meanwhile.
pub fn unacknowledged_bytes(socket: &TcpStream) -> io::Result<usize> {
    count_of(socket.as_fd(), libc::TIOCOUTQ)
}

fn count_of(fd: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: both requests write one int through the pointer, which is valid for it.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut count) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Returns whether `signal` was ignored by the parent of this process, and still is.
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: a `sigaction` of zeros is a valid one to be overwritten; the call only reads the
    // disposition.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Makes a named pipe that only this user can open.
pub fn make_fifo(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a live, NUL-terminated string.
    checked(unsafe { libc::mkfifo(path.as_ptr(), 0o600) })
}

/// Makes a descriptor non-blocking.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    checked(flags)?;
    // SAFETY: F_SETFL takes an int and no pointers.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })
}

/// Requests a pipe buffer of `len` bytes. The kernel may refuse (a limit per user).
pub fn set_pipe_len(pipe: BorrowedFd<'_>, len: i32) -> io::Result<()> {
    // SAFETY: F_SETPIPE_SZ takes an int and no pointers.
    checked(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, len) })
}

/// Puts the coming child in a process group of its own and makes the kernel kill it when the thread
/// that spawns it ends: it never outlives this process.
pub fn kill_on_parent_exit(command: &mut Command) {
    command.process_group(0);
    let parent = std::process::id();
    // SAFETY: between fork and exec only prctl and getppid are called, both async-signal-safe,
    // and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            // The parent may have died before PR_SET_PDEATHSIG took effect.
            if libc::getppid().cast_unsigned() != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Kills a process group. The caller must know that its leader has not been reaped, or the number
/// may belong to another one.
pub fn kill_group(leader: u32) -> io::Result<()> {
    let Ok(leader @ 2..) = libc::pid_t::try_from(leader) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: takes no pointers.
    checked(unsafe { libc::killpg(leader, libc::SIGKILL) })
}

/// Returns a descriptor that becomes [`READABLE`] when the child `pid` (not yet reaped) has ended.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: pidfd_open(2) takes a pid and flags, and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    owned(RawFd::try_from(fd).unwrap_or(-1))
}

/// Raises the soft limit of open descriptors to the hard one, and returns it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit for the length of the call.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    // A service manager has raised it already, and may forbid the call.
    if limit.rlim_cur == limit.rlim_max {
        return Ok(limit.rlim_cur);
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above, and only read.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

/// Returns the processor time that this process has used.
pub fn processor_time() -> Duration {
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(time.tv_sec.try_into().unwrap_or_default());
        seconds + Duration::from_micros(time.tv_usec.try_into().unwrap_or_default())
    };
    // SAFETY: all zeros are a rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a live rusage for the length of the call.
    match unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } {
        0 => time(usage.ru_utime) + time(usage.ru_stime),
        _ => Duration::ZERO,
    }
}

/// Returns the size of a memory page.
pub fn page_size() -> u64 {
    // SAFETY: takes no pointers.
    let len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(len).unwrap_or(4096)
}

/// Returns the time of CLOCK_MONOTONIC, which systemd shares: since the machine started.
pub fn monotonic_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a live timespec. The clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns the effective user id of this process.
pub fn user_id() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_signalled_eventfd_stays_readable() {
        let event = EventFd::new().unwrap();
        assert!(!event.is_signalled());
        event.signal();
        event.signal();
        assert!(event.is_signalled());
        assert!(event.is_signalled());
    }

    #[test]
    fn both_families_may_listen_on_one_port() {
        let v4 = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let port = v4.local_addr().unwrap().port();
        // Another process may hold the IPv6 port by chance; only our own clash would be a fault.
        if let Err(error) = listen(SocketAddr::new("::1".parse().unwrap(), port), 16) {
            assert_ne!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
        }
    }

    #[test]
    fn a_connection_is_made_without_waiting_and_reset_is_seen() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let ours = start_connect(listener.local_addr().unwrap()).unwrap();
        let [ready] = poll([(ours.as_fd(), WRITABLE)], Some(Duration::from_secs(5))).unwrap();
        assert!(ready);
        assert!(ours.take_error().unwrap().is_none());
        let (mut theirs, _) = listener.accept().unwrap();
        theirs.set_nonblocking(false).unwrap();
        theirs.write_all(&[0; 5]).unwrap();
        poll([(ours.as_fd(), READABLE)], Some(Duration::from_secs(5))).unwrap();
        assert_eq!(unread_bytes(ours.as_fd()).unwrap(), 5);
        // More than anybody's buffers have.
        theirs.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        drop(theirs.write_all(&vec![0; 32 << 20]));
        let before = unacknowledged_bytes(&theirs).unwrap();
        assert!(before > 0);
        reset_on_close(&ours, true).unwrap();
        drop(ours);
        assert_eq!(theirs.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(unacknowledged_bytes(&theirs).unwrap(), before);
    }
}
