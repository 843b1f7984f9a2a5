//! Runs yt-dlp in children of a fork server: one Python process with yt-dlp loaded, which forks a
//! child for each page.
//!
//! Half a second of each run is Python reading yt-dlp's own code; the fork server does that once.
//! The server (`forkserver.py`) starts with the first page and ends with the daemon, however that
//! ends: it holds a pipe whose other end is here. A run is a connection; closing it kills the
//! child.
//!
//! When the command leads to another file, as after an update into a directory of its own, the next page starts a new
//! server; the old one ends with the last of its runs. (A change in place is the server's own business.)
//!
//! **Invariant:** nothing depends on this backend: whatever fails here, the subprocess backend can
//! do.

use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::backend::{
    Backend, BackendError, Call, Launch, MAX_STDERR, MAX_STDOUT, Output, reserve,
};
use super::cookie_file::CookieFile;
use super::memory_watch::{self, MemoryWatch};
use super::plugin;
use crate::cancel::WaitOutcome;
use crate::child_group::ChildGroup;
use crate::config;
use crate::memory_budget::Reservation;
use crate::sandbox;
use crate::sys;

const SERVER: &str = include_str!("forkserver.py");
/// Maximum length of a line of a response.
const MAX_LINE: usize = 200;
/// Maximum time until a child has started, including loading the server; afterwards the server
/// counts as hanging.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after a failure of the server until another one is started.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// Time that a server gets to exit by itself.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The backend that uses the server.
pub(super) struct ForkServerBackend {
    launch: Arc<Launch>,
    state: Mutex<State>,
}

enum State {
    Idle,
    Running(Arc<ServerProcess>),
    /// The server of this command failed; the next one is started at this time.
    Failed(PathBuf, Instant),
}

impl ForkServerBackend {
    /// Makes the backend; the server starts with the first run.
    pub(super) fn new(launch: Arc<Launch>) -> ForkServerBackend {
        ForkServerBackend { launch, state: Mutex::new(State::Idle) }
    }

    /// Connects to the server, and starts it for runs with these arguments if it is not running.
    fn connect(&self, arguments: &[String]) -> io::Result<(Arc<ServerProcess>, UnixStream)> {
        let command = config::find_resolver(&self.launch.config.resolver.command)
            .ok_or(io::ErrorKind::NotFound)?
            .canonicalize()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Failed(failed, retry_at) = &*state
            && *failed == command
            && Instant::now() < *retry_at
        {
            return Err(io::Error::other("the fork server failed a moment ago"));
        }
        let pages = self.launch.runtime.pages();
        let socket = pages.join("server");
        if let State::Running(server) = &*state
            && server.command == command
            && server.socket == socket
            && !server.has_ended()
            // The socket may be gone.
            && let Ok(connection) = UnixStream::connect(&socket)
        {
            return Ok((server.clone(), connection));
        }
        let started = self.start(arguments, &command, &pages, &socket);
        let (next, started) = match started.map(Arc::new) {
            Ok(server) => (State::Running(server.clone()), Ok(server)),
            Err(error) => {
                (State::Failed(command, Instant::now() + RETRY_AFTER_FAILURE), Err(error))
            }
        };
        let before = mem::replace(&mut *state, next);
        let connected =
            started.and_then(|server| UnixStream::connect(&socket).map(|stream| (server, stream)));
        // Others need not wait for the end of the server before, if nobody uses it.
        drop(state);
        drop(before);
        connected
    }

    fn start(
        &self,
        arguments: &[String],
        command: &Path,
        pages: &Path,
        socket: &Path,
    ) -> io::Result<ServerProcess> {
        let Launch { config, environment, .. } = &*self.launch;
        let words = interpreter(command)
            .ok_or_else(|| io::Error::other("yt-dlp is not a Python script with a #! line"))?;
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        let (reader, lifeline) = io::pipe()?;
        let (program, words) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
        let plugins = serde_json::to_string(&plugin::PLUGINS.map(|(_, source)| source))?;
        // Everything that all runs share is done beforehand; only the link differs.
        let common = arguments.iter().take_while(|argument| *argument != "--");
        let mut python = Command::new(program);
        python
            .args(words)
            .args(["-c", SERVER, &memory_watch::data_limit(self.launch.memory()).to_string()])
            .args([sandbox::cpu_seconds(config).to_string(), sandbox::group_filter(config)])
            .arg(plugins)
            .arg(command)
            .args(common)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::from(OwnedFd::from(reader)))
            // The server reports its own failures to the daemon's log.
            .stderr(Stdio::inherit());
        environment.apply(&mut python, pages, pages);
        self.launch.server_confinement(&[pages])?.apply(&mut python);
        // Not killed with this thread, which serves one client: the lifeline ends it. Ctrl-C is for the
        // daemon, which ends the server; hence it is in a group of its own.
        let child = ChildGroup::spawn(&mut python)?.with_grace(EXIT_TIMEOUT);
        log::debug!("starting the fork server with {program}");
        let (command, socket) = (command.to_owned(), socket.to_owned());
        Ok(ServerProcess { _lifeline: lifeline, child, command, socket })
    }

    /// Records that the server did not respond as it should, which also ends it.
    fn mark_failed(&self, server: &Arc<ServerProcess>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been replaced.
        if matches!(&*state, State::Running(current) if Arc::ptr_eq(current, server)) {
            let retry_at = Instant::now() + RETRY_AFTER_FAILURE;
            *state = State::Failed(server.command.clone(), retry_at);
        }
    }
}

#[derive(Serialize)]
struct ForkRequest<'a> {
    argv: &'a [String],
    /// The text of a file of cookies. The child has it in its memory only, into which no other one can look.
    cookies: Option<&'a str>,
}

/// The second line of a response, before both outputs.
#[derive(Deserialize)]
struct ForkResponse {
    code: i32,
    /// Length of standard output.
    stdout: usize,
    /// Length of standard error.
    stderr: usize,
}

impl Backend for ForkServerBackend {
    fn run(&self, call: Call<'_>, memory: &mut Reservation) -> Result<Output, BackendError> {
        let (server, connection) =
            self.connect(call.arguments).map_err(|error| unavailable(&error))?;
        let session = Session { connection, call, watch: None };
        let result = session.run(self.launch.memory(), memory);
        if let Err(BackendError::Unavailable(_)) = result {
            // The server responds for each child, whatever becomes of that: so the server itself is
            // gone.
            self.mark_failed(&server);
        }
        result
    }
}

/// One request and its response.
struct Session<'s> {
    connection: UnixStream,
    call: Call<'s>,
    /// Watches the child, once its pid is known.
    watch: Option<MemoryWatch>,
}

impl Session<'_> {
    /// Runs yt-dlp, with at most `limit` bytes of memory.
    fn run(mut self, limit: u64, memory: &mut Reservation) -> Result<Output, BackendError> {
        let malformed =
            |_| BackendError::Unavailable("the response of the fork server is malformed".into());
        let Call { arguments: argv, cookies, .. } = self.call;
        let request = ForkRequest { argv, cookies: cookies.map(CookieFile::text) };
        let mut request = serde_json::to_vec(&request).map_err(malformed)?;
        request.push(b'\n');
        self.send(&request)?;
        self.await_start()?;
        // The child leads a process group of its own.
        let child = serde_json::from_slice(&self.read_line()?).map_err(malformed)?;
        self.watch = Some(MemoryWatch::over(child, limit));
        let response: ForkResponse =
            serde_json::from_slice(&self.read_line()?).map_err(malformed)?;
        if response.stdout > MAX_STDOUT || response.stderr > MAX_STDERR {
            let message = "the response of the fork server is too long";
            return Err(BackendError::Unavailable(message.into()));
        }
        reserve(memory, response.stdout)?;
        let stdout = self.read_exact(response.stdout)?;
        let stderr = self.read_exact(response.stderr)?;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Output { code: response.code, stdout, stderr })
    }

    fn send(&mut self, mut request: &[u8]) -> Result<(), BackendError> {
        self.connection.set_nonblocking(true).map_err(|error| unavailable(&error))?;
        while !request.is_empty() {
            match self.connection.write(request) {
                Ok(count) => request = &request[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::WRITABLE)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Ok(())
    }

    /// Waits until a child announces its start by a line before its response.
    fn await_start(&mut self) -> Result<(), BackendError> {
        let left = self.call.deadline.saturating_duration_since(Instant::now());
        match self.call.cancel.wait(self.connection.as_fd(), sys::READABLE, left.min(START_TIMEOUT))
        {
            Ok(WaitOutcome::Ready) => Ok(()),
            Ok(WaitOutcome::Stopped) => Err(BackendError::Cancelled),
            Ok(WaitOutcome::TimedOut) if left > START_TIMEOUT => {
                Err(BackendError::Unavailable("the fork server does not respond".into()))
            }
            Ok(WaitOutcome::TimedOut) => Err(BackendError::TimedOut),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Reads a line, byte by byte: it is short, and what follows it is not.
    fn read_line(&mut self) -> Result<Vec<u8>, BackendError> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while line.len() < MAX_LINE {
            self.fill(&mut byte)?;
            if byte == *b"\n" {
                return Ok(line);
            }
            line.extend(byte);
        }
        Err(BackendError::Unavailable("the fork server sent a line that is too long".into()))
    }

    fn read_exact(&mut self, len: usize) -> Result<Vec<u8>, BackendError> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), BackendError> {
        while !buffer.is_empty() {
            match self.connection.read(buffer) {
                Ok(0) => {
                    let message = "the fork server closed the connection";
                    return Err(BackendError::Unavailable(message.into()));
                }
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::READABLE)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Ok(())
    }

    fn wait(&mut self, interest: i16) -> Result<(), BackendError> {
        loop {
            let left = self.call.deadline.saturating_duration_since(Instant::now());
            let pause = self.watch.as_ref().map_or(left, |watch| watch.next_wait(left));
            match self.call.cancel.wait(self.connection.as_fd(), interest, pause) {
                Ok(WaitOutcome::Ready) => return Ok(()),
                Ok(WaitOutcome::Stopped) => return Err(BackendError::Cancelled),
                Ok(WaitOutcome::TimedOut) if left.is_zero() => return Err(BackendError::TimedOut),
                Ok(WaitOutcome::TimedOut) => {}
                Err(error) => return Err(unavailable(&error)),
            }
            if let Some(watch) = &mut self.watch {
                watch.check()?;
            }
        }
    }
}

fn unavailable(error: &io::Error) -> BackendError {
    BackendError::Unavailable(error.to_string())
}

/// The running server. Dropping it closes its lifeline, upon which it kills its children and exits, and
/// then waits for it (fields drop in this order).
struct ServerProcess {
    _lifeline: PipeWriter,
    child: ChildGroup<'static>,
    /// The program, with no link in its path.
    command: PathBuf,
    socket: PathBuf,
}

impl ServerProcess {
    fn has_ended(&self) -> bool {
        // One that cannot be observed is replaced.
        self.child.has_exited_within(Duration::ZERO).unwrap_or(true)
    }
}

/// Returns the command that runs a script, as its first line names it.
fn interpreter(script: &Path) -> Option<Vec<String>> {
    let mut start = Vec::new();
    fs::File::open(script).ok()?.take(1024).read_to_end(&mut start).ok()?;
    interpreter_in(&start)
}

fn interpreter_in(start: &[u8]) -> Option<Vec<String>> {
    let mut lines = start.split(|byte| *byte == b'\n').map(str::from_utf8);
    let first = lines.next()?.ok()?.strip_prefix("#!")?;
    let mut command: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
    if command.first()?.ends_with("/sh") {
        // pip writes this where the path contains blanks or is long: a line that is both shell and
        // Python.
        let line = lines.next()?.ok()?.strip_prefix("'''exec' ")?;
        let line = line.strip_suffix(" \"$0\" \"$@\"")?;
        command = vec![line.trim_matches('"').to_owned()];
    }
    // `env -S` and the like are left to the shell.
    let is_plain = command.len() == 1 || (command.len() == 2 && command[0].ends_with("/env"));
    let is_python = Path::new(command.last()?)
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("python"));
    (is_plain && is_python).then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_a_script() {
        for (begin, words) in [
            ("#!/opt/venv/bin/python3\nimport x", Some(&["/opt/venv/bin/python3"][..])),
            ("#!/usr/bin/env python3\nPK", Some(&["/usr/bin/env", "python3"])),
            (
                "#!/bin/sh\n'''exec' \"/with blank/bin/python\" \"$0\" \"$@\"\n' '''\n",
                Some(&["/with blank/bin/python"]),
            ),
            ("#!/bin/sh\necho\n", None),
            ("#!/usr/bin/python3 -I\n", None),
            ("\u{7f}ELF", None),
            ("", None),
        ] {
            let found = interpreter_in(begin.as_bytes());
            assert_eq!(
                found.as_deref().map(|w| w.iter().map(String::as_str).collect()),
                words.map(<[&str]>::to_vec),
                "{begin}"
            );
        }
    }
}
