//! yt-dlp that is loaded already: one Python with it in memory, which forks a child for each page.
//!
//! Half a second of each call is Python reading yt-dlp's own code; here it is done once. The server
//! (`forkserver.py`) begins with the first page and ends with the daemon, however that ends: it
//! holds a pipe whose other end is here. A call is a connection: closing it kills the child. Must
//! never be needed: whatever goes wrong here, the command can do.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::backend::{Backend, BackendError, MAX_STDERR, MAX_STDOUT, Output};
use super::memory_watch::{self, MemoryWatch};
use crate::cancel::{CancelToken, WaitOutcome};
use crate::config::{self, ChildEnv};
use crate::runtime_dir::RuntimeDir;
use crate::sys;

const SERVER: &str = include_str!("forkserver.py");
/// The longest answer: what is printed, in JSON, where each byte may become six.
const MAX_RESPONSE: usize = 6 * (MAX_STDOUT + MAX_STDERR);
/// More digits than the number of a process has.
const MAX_PID_DIGITS: usize = 20;
/// Within this a child has begun, also if the server has to be loaded first; else it hangs.
const BEGIN_LIMIT: Duration = Duration::from_secs(10);
/// After a server has failed, the command is called for so long before another one is tried.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// What a server gets to end by itself.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The way through the server.
pub(super) struct ForkServerBackend {
    command: PathBuf,
    environment: ChildEnv,
    /// Where the server listens.
    runtime: Arc<RuntimeDir>,
    /// What a child may take of memory, with all that it starts.
    memory: u64,
    state: Mutex<State>,
}

enum State {
    Idle,
    Running(ServerProcess),
    /// It failed; not before then again.
    Failed(Instant),
}

impl ForkServerBackend {
    /// For the yt-dlp that is called so.
    pub(super) fn new(
        command: PathBuf,
        environment: ChildEnv,
        runtime: Arc<RuntimeDir>,
        memory: u64,
    ) -> ForkServerBackend {
        ForkServerBackend { command, environment, runtime, memory, state: Mutex::new(State::Idle) }
    }

    /// A connection to the server, which is started for calls with these arguments if it does not
    /// run.
    fn connect(&self, arguments: &[String]) -> io::Result<UnixStream> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Failed(until) = &*state
            && Instant::now() < *until
        {
            return Err(io::Error::other("it has failed lately"));
        }
        let pages = self.runtime.pages();
        let socket = pages.join("server");
        if let State::Running(server) = &mut *state
            && server.socket == socket
            && !server.has_ended()
        {
            return UnixStream::connect(&socket);
        }
        let started = self.start(arguments, &pages, &socket);
        match started {
            Ok(server) => *state = State::Running(server),
            Err(error) => {
                *state = State::Failed(Instant::now() + RETRY_AFTER_FAILURE);
                return Err(error);
            }
        }
        UnixStream::connect(&socket)
    }

    fn start(
        &self,
        arguments: &[String],
        pages: &Path,
        socket: &Path,
    ) -> io::Result<ServerProcess> {
        let command = config::find_in_path(&self.command).ok_or(io::ErrorKind::NotFound)?;
        let words = interpreter(&command)
            .ok_or_else(|| io::Error::other("it is not a Python script with its #! line"))?;
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        let (reader, lifeline) = io::pipe()?;
        let (program, words) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
        // What all calls have in common it can do beforehand; only the link differs.
        let common = arguments.iter().take_while(|argument| *argument != "--");
        let mut python = Command::new(program);
        python
            .args(words)
            .args(["-c", SERVER, &memory_watch::data_limit(self.memory).to_string()])
            .arg(&command)
            .args(common)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::from(OwnedFd::from(reader)))
            // A line for the operator, should something be wrong with it.
            .stderr(Stdio::inherit())
            // Ctrl-C is for us; it ends when we do.
            .process_group(0);
        self.environment.apply(&mut python, pages);
        // Not tied to this thread, which serves one client: the lifeline does it.
        let child = python.spawn()?;
        log::debug!("yt-dlp is being loaded by {program}");
        Ok(ServerProcess { lifeline: Some(lifeline.into()), child, socket: socket.to_owned() })
    }

    /// Lets go of a server that has not answered as it should.
    fn give_up(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::Failed(Instant::now() + RETRY_AFTER_FAILURE);
    }
}

#[derive(Serialize)]
struct ForkRequest<'a> {
    argv: &'a [String],
}

#[derive(Deserialize)]
struct ForkResponse {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Backend for ForkServerBackend {
    fn run(
        &self,
        arguments: &[String],
        until: Instant,
        cancel: &CancelToken,
    ) -> Result<Output, BackendError> {
        let connection = self.connect(arguments).map_err(|error| unavailable(&error))?;
        let said = Session { connection, until, cancel, watch: None }.run(arguments, self.memory);
        if let Err(BackendError::Unavailable(_)) = said {
            // It answers for each child of its, whatever becomes of that: so it is gone itself.
            self.give_up();
        }
        said
    }
}

/// One question and its answer.
struct Session<'s> {
    connection: UnixStream,
    until: Instant,
    cancel: &'s CancelToken,
    /// Over the child, once it is known which that is.
    watch: Option<MemoryWatch>,
}

impl Session<'_> {
    fn run(mut self, arguments: &[String], memory: u64) -> Result<Output, BackendError> {
        let broken = |_| BackendError::Unavailable("its server broke off".into());
        let mut question = serde_json::to_vec(&ForkRequest { argv: arguments }).map_err(broken)?;
        question.push(b'\n');
        self.send(&question)?;
        self.await_begin()?;
        self.watch = Some(MemoryWatch::over(self.child()?, memory));
        let line = self.read_response()?;
        let ForkResponse { code, stdout, stderr } =
            serde_json::from_slice(&line).map_err(broken)?;
        Ok(Output { code, stdout: stdout.into_bytes(), stderr })
    }

    fn send(&mut self, mut question: &[u8]) -> Result<(), BackendError> {
        self.connection.set_nonblocking(true).map_err(|error| unavailable(&error))?;
        while !question.is_empty() {
            match self.connection.write(question) {
                Ok(count) => question = &question[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::WRITABLE)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Ok(())
    }

    /// Waits for a child to say that it has begun, by a line in front of its answer.
    fn await_begin(&mut self) -> Result<(), BackendError> {
        let left = self.until.saturating_duration_since(Instant::now());
        match self.cancel.wait(self.connection.as_fd(), sys::READABLE, left.min(BEGIN_LIMIT)) {
            Ok(WaitOutcome::Ready) => Ok(()),
            Ok(WaitOutcome::Stopped) => Err(BackendError::Cancelled),
            Ok(WaitOutcome::TimedOut) if left > BEGIN_LIMIT => {
                Err(BackendError::Unavailable("its server does not answer".into()))
            }
            Ok(WaitOutcome::TimedOut) => Err(BackendError::TimedOut),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Reads the number of the child, which leads a process group of its own.
    fn child(&mut self) -> Result<u32, BackendError> {
        let (mut line, mut byte) = (String::new(), [0]);
        while line.len() < MAX_PID_DIGITS {
            match self.connection.read(&mut byte) {
                Ok(0) => break,
                Ok(_) if byte == *b"\n" => break,
                Ok(_) => line.push(byte[0].into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::READABLE)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        line.parse().map_err(|_| BackendError::Unavailable("its server broke off".into()))
    }

    fn read_response(&mut self) -> Result<Vec<u8>, BackendError> {
        let mut said = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.connection.read(&mut buffer) {
                Ok(0) => return Ok(said),
                Ok(count) if said.len() + count <= MAX_RESPONSE => said.extend(&buffer[..count]),
                Ok(_) => return Err(BackendError::Unavailable("its answer is too long".into())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::READABLE)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
    }

    fn wait(&mut self, interest: i16) -> Result<(), BackendError> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let pause = self.watch.as_ref().map_or(left, |watch| watch.next_wait(left));
            match self.cancel.wait(self.connection.as_fd(), interest, pause) {
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

/// The running server. Fields drop in this order: it ends when its lifeline does.
struct ServerProcess {
    lifeline: Option<OwnedFd>,
    child: Child,
    socket: PathBuf,
}

impl ServerProcess {
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may be gone already, with its directory.
        fs::remove_file(&self.socket).ok();
        self.lifeline = None;
        let ended = sys::pidfd(self.child.id())
            .and_then(|exit| sys::poll([(exit.as_fd(), sys::READABLE)], Some(END_LIMIT)));
        if !matches!(ended, Ok([true]))
            && let Err(error) = self.child.kill()
        {
            log::warn!("cannot kill the server of yt-dlp: {error}");
        }
        if let Err(error) = self.child.wait() {
            log::warn!("cannot wait for the server of yt-dlp: {error}");
        }
    }
}

/// What runs a script: the words of its first line.
fn interpreter(script: &Path) -> Option<Vec<String>> {
    let mut begin = Vec::new();
    fs::File::open(script).ok()?.take(1024).read_to_end(&mut begin).ok()?;
    interpreter_in(&begin)
}

fn interpreter_in(begin: &[u8]) -> Option<Vec<String>> {
    let mut lines = begin.split(|byte| *byte == b'\n').map(str::from_utf8);
    let first = lines.next()?.ok()?.strip_prefix("#!")?;
    let mut words: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
    if words.first()?.ends_with("/sh") {
        // What pip writes where the path has blanks in it, or is long: a line that is shell and
        // Python at once.
        let line = lines.next()?.ok()?.strip_prefix("'''exec' ")?;
        let line = line.strip_suffix(" \"$0\" \"$@\"")?;
        words = vec![line.trim_matches('"').to_owned()];
    }
    // `env -S` and the like are for the shell to understand.
    let plain = words.len() == 1 || (words.len() == 2 && words[0].ends_with("/env"));
    let is_python = Path::new(words.last()?)
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("python"));
    (plain && is_python).then_some(words)
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
