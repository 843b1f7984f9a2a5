//! The environment: what systemd and the session say to us through it, and what we pass on to
//! others. The only place that reads it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sys;

/// The directory that systemd made for the service, else one in the session's runtime directory,
/// else one in the system's temporary directory.
pub(super) fn runtime_dir() -> PathBuf {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if let Some(made_for_us) = absolute("RUNTIME_DIRECTORY") {
        return made_for_us;
    }
    match absolute("XDG_RUNTIME_DIR").filter(|dir| dir.is_dir()) {
        Some(session) => session.join("ytcanal"),
        None => env::temp_dir().join(format!("ytcanal-{}", sys::user_id())),
    }
}

/// The environment of a program that reads pages: what it needs, and nothing that could turn it to
/// other ways.
#[derive(Debug, Clone)]
pub struct ChildEnv(Vec<(&'static str, OsString)>);

impl ChildEnv {
    /// With this proxy for all that it connects to: on a command line everybody could read its
    /// password.
    pub fn with(proxy: Option<&str>) -> ChildEnv {
        const PASSED_ON: [&str; 5] = ["PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];
        const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy"];
        let passed_on = PASSED_ON.into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
        let mut all: Vec<_> = passed_on.collect();
        // What it prints is UTF-8.
        all.push(("LC_ALL", "C.UTF-8".into()));
        all.extend(PROXIES.into_iter().filter_map(|name| Some((name, proxy?.into()))));
        ChildEnv(all)
    }

    /// Has `command` run in it. What it starts may write below `dir`.
    pub fn apply(&self, command: &mut Command, dir: &Path) {
        command.env_clear().envs(self.0.iter().cloned());
        // Without this, or a home, deno does not start; and what it says is for a log.
        command.env("DENO_DIR", dir.join("deno")).env("NO_COLOR", "1");
    }
}

/// Where `program` is: itself if it is a path, else the first of that name in PATH.
pub fn find_in_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Whether `stream`, "device:inode" (systemd.exec(5)), is what our standard error leads to: a
/// service's children inherit the variable, wherever their output goes.
fn is_our_stderr(stream: &str) -> bool {
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(fs::File::from);
    stderr
        .and_then(|stderr| stderr.metadata())
        .is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

/// What systemd says to a service through its environment.
#[derive(Debug, Default)]
pub struct SystemdEnv {
    /// Where to say that we are ready.
    pub notify_socket: Option<OsString>,
    /// Whether the log goes to the journal, which wants priorities and has its own clock.
    pub journal: bool,
}

impl SystemdEnv {
    /// Reads the environment.
    pub fn from_env() -> SystemdEnv {
        SystemdEnv {
            notify_socket: env::var_os("NOTIFY_SOCKET"),
            journal: env::var("JOURNAL_STREAM").is_ok_and(|stream| is_our_stderr(&stream)),
        }
    }
}
