//! Confines the programs that read what strangers send: ffmpeg, and yt-dlp with the JavaScript runtime
//! that it starts.
//!
//! Landlock (landlock(7)) limits the files and TCP ports of a child, seccomp its system calls, and
//! resource limits what it may take. Landlock and seccomp are properties of the kernel; where it has
//! none, the limits remain.
//!
//! **Invariant:** what confines a program is inherited by everything that it starts.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{self, Config, SandboxConfig};
use crate::sys::{self, Confinement};

mod files;
mod support;
mod system_calls;

pub use support::{Support, warn_if_incomplete};

/// Open files of ffmpeg: two pipes, two outputs, and some libraries, one at a time.
const FFMPEG_FILES: u64 = 64;
/// Open files of yt-dlp, and of each process that it starts: some sockets and libraries.
const YTDLP_FILES: u64 = 1024;
/// The stack of a thread in ffmpeg. The default of 8 MiB counts as used memory for each thread.
const FFMPEG_STACK: u64 = 1 << 20;
/// Length of a file that yt-dlp or a JavaScript runtime writes. An executable that unpacks itself writes the
/// libraries of Python.
const MAX_FILE: u64 = 64 << 20;
/// The daemon, which serves everybody, comes first.
const NICE: i32 = 5;
/// Which of the processes the kernel kills first when memory runs out (0 to 1000): a page reading takes more
/// than ffmpeg, and its client has received nothing yet.
const FFMPEG_OOM_SCORE: u16 = 500;
const YTDLP_OOM_SCORE: u16 = 1000;

/// Returns what confines ffmpeg, which may read the pipes in `pipes`.
pub fn ffmpeg(config: &Config, pipes: Option<&Path>) -> io::Result<Confinement> {
    let limits = vec![
        (libc::RLIMIT_DATA, config.muxer.memory.0),
        (libc::RLIMIT_STACK, FFMPEG_STACK),
        (libc::RLIMIT_NOFILE, FFMPEG_FILES),
        (libc::RLIMIT_CORE, 0),
    ];
    let mut confinement = Confinement {
        limits,
        oom_score_adj: Some(FFMPEG_OOM_SCORE),
        nice: NICE,
        ..Default::default()
    };
    if config.sandbox.enabled {
        // It writes to pipes only.
        confinement.limits.push((libc::RLIMIT_FSIZE, 0));
        let program = config::find_in_path(&config.muxer.ffmpeg);
        let more = program.as_deref().into_iter().chain(paths(&config.sandbox.read));
        confinement.landlock = files::read_only(more, pipes)?;
        confinement.seccomp = system_calls::without_sockets();
    }
    Ok(confinement)
}

/// What yt-dlp may take and use.
#[derive(Debug, Clone, Copy)]
pub struct YtdlpLimits<'a> {
    /// RLIMIT_DATA of each process.
    pub data: u64,
    /// The port of the gateway.
    pub gateway: u16,
    /// Directories that it may write to.
    pub writable: &'a [&'a Path],
}

/// Returns what confines yt-dlp when it reads one page.
pub fn ytdlp(config: &Config, limits: YtdlpLimits<'_>) -> io::Result<Confinement> {
    let mut confinement = ytdlp_server(config, limits)?;
    if config.sandbox.enabled {
        confinement.seccomp = system_calls::with_tcp();
    }
    confinement.limits.extend([
        (libc::RLIMIT_DATA, limits.data),
        (libc::RLIMIT_CPU, cpu_seconds(config)),
        (libc::RLIMIT_FSIZE, MAX_FILE),
    ]);
    Ok(confinement)
}

/// Returns what confines the process that forks a child for each page. The limits of a single reading are set
/// by the child.
pub fn ytdlp_server(config: &Config, limits: YtdlpLimits<'_>) -> io::Result<Confinement> {
    let mut confinement = Confinement {
        limits: vec![(libc::RLIMIT_NOFILE, YTDLP_FILES), (libc::RLIMIT_CORE, 0)],
        // Of its children, too: Landlock keeps them from setting their own.
        oom_score_adj: Some(YTDLP_OOM_SCORE),
        nice: NICE,
        ..Default::default()
    };
    let sandbox = &config.sandbox;
    if sandbox.enabled {
        let writable = limits.writable.iter().copied().chain(paths(&sandbox.write));
        let ports = std::iter::once(limits.gateway).chain(sandbox.ports.iter().copied());
        confinement.landlock = files::write_only_to(writable, ports)?;
        confinement.seccomp = system_calls::with_tcp_and_groups();
    }
    Ok(confinement)
}

/// Returns the seccomp filter, in hexadecimal digits, that such a child sets for itself; empty for none.
pub fn group_filter(config: &Config) -> String {
    let filter = if config.sandbox.enabled { system_calls::of_group() } else { Vec::new() };
    filter.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn paths(list: &[PathBuf]) -> impl Iterator<Item = &Path> {
    list.iter().map(PathBuf::as_path)
}

/// Returns the processor time of a process that reads a page: as much as it can use on all processors before
/// `resolver.timeout`. It ends what has escaped from the process group, which is killed then.
pub fn cpu_seconds(config: &Config) -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = config.resolver.timeout.0.as_secs().max(1);
    seconds.saturating_mul(u64::try_from(processors).unwrap_or(u64::MAX))
}

/// Makes the memory of this process unreadable for its children, which have the same user, if they are to be confined.
/// Landlock does that, where there is one: a process cannot trace one outside of its own rules.
pub fn hide_daemon(config: &SandboxConfig) {
    let is_exposed = config.enabled && sys::landlock_version().is_none();
    let hidden = if is_exposed { sys::hide_memory() } else { Ok(()) };
    if let Err(error) = hidden.and_then(|()| sys::forbid_core_files()) {
        log::warn!("cannot hide the memory of the server from its child processes: {error}");
    }
}
