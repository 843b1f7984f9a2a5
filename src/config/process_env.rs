//! The process environment: what systemd and the session pass in, and what is passed on to child
//! processes. No other module reads it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use crate::sys;

/// The directory in which `ytcanal update-resolver` keeps yt-dlp, unless it is told another one.
pub const RESOLVER_DIR: &str = "/var/lib/ytcanal-resolver";
/// The unit that runs it.
pub const RESOLVER_UNIT: &str = "ytcanal-resolver-update";
/// What it installs from PyPI: yt-dlp with what it recommends, and a JavaScript runtime for YouTube.
pub const RESOLVER_PACKAGES: [&str; 2] = ["yt-dlp[default]", "deno"];

/// Returns the directory that systemd made for the service, else one in the session's runtime
/// directory, else one in the system's temporary directory.
pub(super) fn runtime_dir() -> PathBuf {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if let Some(by_systemd) = absolute("RUNTIME_DIRECTORY") {
        return by_systemd;
    }
    match absolute("XDG_RUNTIME_DIR").filter(|dir| dir.is_dir()) {
        Some(session) => session.join("ytcanal"),
        None => env::temp_dir().join(format!("ytcanal-{}", sys::user_id())),
    }
}

/// The environment of yt-dlp: what it needs, and nothing that could change its behaviour.
#[derive(Debug, Clone)]
pub struct ChildEnv(Vec<(&'static str, OsString)>);

impl ChildEnv {
    /// Makes an environment with this proxy for every connection: on the command line, its password
    /// would be public.
    pub fn with(proxy: Option<&str>) -> ChildEnv {
        const PASSED_ON: [&str; 4] = ["PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"];
        const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy"];
        let mut variables = inherited(&PASSED_ON);
        // Makes the output UTF-8.
        variables.push(("LC_ALL", "C.UTF-8".into()));
        variables.extend(PROXIES.into_iter().filter_map(|name| Some((name, proxy?.into()))));
        ChildEnv(variables)
    }

    /// Sets the environment of `command`. Its processes keep files in `cache`, and others, for as long as they
    /// run, in `temporary`.
    pub fn apply(&self, command: &mut Command, cache: &Path, temporary: &Path) {
        command.env_clear().envs(self.0.iter().cloned()).env("TMPDIR", temporary);
        // Without this or a home directory, deno does not start; and its output goes to a log.
        command.env("DENO_DIR", cache.join("deno")).env("NO_COLOR", "1");
    }
}

/// Returns the environment of ffmpeg: where programs and libraries are. Others may be secrets of the service, or
/// change what ffmpeg does (FFREPORT).
pub fn ffmpeg_env() -> Vec<(&'static str, OsString)> {
    inherited(&["PATH", "LD_LIBRARY_PATH"])
}

fn inherited(names: &[&'static str]) -> Vec<(&'static str, OsString)> {
    names.iter().filter_map(|name| Some((*name, env::var_os(name)?))).collect()
}

/// Returns the path of `program`: itself if it is a path, else the first of that name in PATH.
pub fn find_in_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Returns the path of the program that reads pages. One that `ytcanal update-resolver` keeps comes before those in PATH.
pub fn find_resolver(program: &Path) -> Option<PathBuf> {
    find_resolver_in(Path::new(RESOLVER_DIR), program)
}

fn find_resolver_in(dir: &Path, program: &Path) -> Option<PathBuf> {
    let kept = dir.join("current/bin").join(program);
    let is_name = program.components().count() == 1;
    if is_name && kept.is_file() { Some(kept) } else { find_in_path(program) }
}

/// Returns the directory that systemd made for the state of the service, if it did.
pub fn state_dir() -> Option<PathBuf> {
    env::var_os("STATE_DIRECTORY").map(PathBuf::from).filter(|dir| dir.is_absolute())
}

/// Returns the file that systemd passes to the service by `LoadCredential=` under this name, if it does.
pub(super) fn credential(name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    file.is_file().then_some(file)
}

/// Returns the name of the machine. A service in a sandbox sees no /proc/sys.
pub fn host_name() -> Option<String> {
    let read = |path| fs::read_to_string(path).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"))?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Returns whether `stream`, "device:inode" (systemd.exec(5)), is the standard error of this
/// process: the children of a service inherit the variable, wherever their output goes.
fn is_our_stderr(stream: &str) -> bool {
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(fs::File::from);
    stderr
        .and_then(|stderr| stderr.metadata())
        .is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

/// Returns the time that these variables set for this process; they may be meant for its parent.
fn watchdog(usec: Option<String>, pid: Option<String>) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(process::id()));
    let usec = usec.filter(|_| is_ours)?.parse().ok()?;
    Some(Duration::from_micros(usec)).filter(|time| !time.is_zero())
}

/// What systemd passes to a service.
#[derive(Debug, Default)]
pub struct SystemdEnv {
    /// The socket for sd_notify(3).
    pub notify_socket: Option<OsString>,
    /// The time after which systemd restarts a service that shows no sign of life (sd_watchdog_enabled(3)).
    pub watchdog: Option<Duration>,
    /// Whether the log goes to the journal, which expects priorities and adds timestamps.
    pub journal: bool,
}

impl SystemdEnv {
    /// Reads the environment.
    pub fn from_env() -> SystemdEnv {
        SystemdEnv {
            notify_socket: env::var_os("NOTIFY_SOCKET"),
            watchdog: watchdog(env::var("WATCHDOG_USEC").ok(), env::var("WATCHDOG_PID").ok()),
            journal: env::var("JOURNAL_STREAM").is_ok_and(|stream| is_our_stderr(&stream)),
        }
    }
}

/// Listening sockets that another process has bound.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    /// The sockets; none if this process binds its own.
    pub sockets: Vec<OwnedFd>,
    /// Whether they are from an older process of this program, which waits to hand over.
    pub is_handover: bool,
    /// Whether systemd keeps them, so that connections wait for the next process.
    pub is_socket_activated: bool,
}

/// The first descriptor that systemd passes (sd_listen_fds(3)).
const LISTEN_FDS_START: RawFd = 3;
/// The descriptors that an older process of this program passes, separated by commas, behind [`SOCKET_ACTIVATED`] if systemd keeps
/// them.
const HANDOVER: &str = "YTCANAL_LISTENERS";
const SOCKET_ACTIVATED: &str = "socket-activated:";

impl InheritedSockets {
    /// Takes the sockets of an older process or of systemd. To be called once, before the process opens any descriptor.
    pub fn take() -> io::Result<InheritedSockets> {
        if let Ok(list) = env::var(HANDOVER) {
            let numbers = list.trim_start_matches(SOCKET_ACTIVATED).split(',').map(str::parse);
            let numbers = numbers.collect::<Result<Vec<RawFd>, _>>().map_err(io::Error::other)?;
            let (sockets, is_socket_activated) =
                (take_descriptors(numbers)?, list.starts_with(SOCKET_ACTIVATED));
            return Ok(InheritedSockets { sockets, is_handover: true, is_socket_activated });
        }
        let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
        let is_ours = number("LISTEN_PID") == Some(process::id());
        let count = number("LISTEN_FDS").filter(|_| is_ours).unwrap_or(0);
        let numbers = (0..count).filter_map(|at| LISTEN_FDS_START.checked_add_unsigned(at));
        let sockets = take_descriptors(numbers)?;
        let is_socket_activated = !sockets.is_empty();
        Ok(InheritedSockets { sockets, is_handover: false, is_socket_activated })
    }
}

fn take_descriptors(numbers: impl IntoIterator<Item = RawFd>) -> io::Result<Vec<OwnedFd>> {
    let take = |number| {
        sys::take_descriptor(number).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("there is no socket {number} to listen on: {error}"),
            )
        })
    };
    numbers.into_iter().map(take).collect()
}

/// How this program was called.
#[derive(Debug, Clone)]
pub struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Invocation {
    /// Returns how this process was called. Later, its program may have been replaced.
    pub fn current() -> io::Result<Invocation> {
        let (mut arguments, itself) = (env::args_os(), env::current_exe()?);
        let program = called_as(arguments.next().map(PathBuf::from), itself);
        Ok(Invocation { program, arguments: arguments.collect() })
    }

    /// Returns a command that calls it again, with these listening sockets, which systemd keeps or not.
    pub fn command<'s>(
        &self,
        sockets: impl Iterator<Item = BorrowedFd<'s>>,
        is_socket_activated: bool,
    ) -> Command {
        let numbers: Vec<String> = sockets.map(|socket| socket.as_raw_fd().to_string()).collect();
        let list = format!(
            "{}{}",
            if is_socket_activated { SOCKET_ACTIVATED } else { "" },
            numbers.join(",")
        );
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(HANDOVER, list);
        // They name this process.
        for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        command
    }
}

/// Returns the path that a program was called by, which may be a link that leads to a newer version later. It is `itself`,
/// where all links were followed, if the name is not that of the program.
fn called_as(name: Option<PathBuf>, itself: PathBuf) -> PathBuf {
    let path = name.and_then(|name| find_in_path(&name));
    let path = path.and_then(|path| std::path::absolute(path).ok());
    let is_program = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path == itself);
    path.filter(is_program).unwrap_or(itself)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_up_to_date_comes_before_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let find = |program: &str| find_resolver_in(dir.path(), Path::new(program));
        assert_eq!(find("sh"), find_in_path(Path::new("sh")));
        let kept = dir.path().join("current/bin/sh");
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::write(&kept, "").unwrap();
        assert_eq!(find("sh"), Some(kept));
        assert_eq!(find("/bin/sh"), Some("/bin/sh".into()));
        assert_eq!((find("none-of-this-name"), find("/bin/none")), (None, None));
    }

    #[test]
    fn a_program_that_was_called_by_a_link_is_so_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (program, link) = (dir.join("ytcanal-1"), dir.join("ytcanal"));
        fs::write(&program, "").unwrap();
        std::os::unix::fs::symlink(&program, &link).unwrap();
        let called = |name: Option<&Path>| called_as(name.map(Path::to_owned), program.clone());
        assert_eq!(called(Some(&link)), link);
        for other in
            [None, Some(Path::new("sh")), Some(Path::new("/bin/sh")), Some(Path::new("/none"))]
        {
            assert_eq!(called(other), program, "{other:?}");
        }
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let set = |usec: &str, pid: Option<u32>| {
            watchdog(Some(usec.into()), pid.map(|pid| pid.to_string()))
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(set("1000000", None), second);
        assert_eq!(set("1000000", Some(process::id())), second);
        for (usec, pid) in [("1000000", Some(1)), ("0", None), ("soon", None), ("-1", None)] {
            assert_eq!(set(usec, pid), None, "{usec} {pid:?}");
        }
        assert_eq!(watchdog(None, None), None);
    }
}
