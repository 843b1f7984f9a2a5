//! Receives a response as the file that the user asked for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::console::Console;
use super::part_file::{Beginning, PartFile};
use super::progress::{Position, size};
use crate::disposition::attached_name;
use crate::http_server::{LocalControl, Preconditions, Receiver, Response, ResponseHead};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;

/// Where a file is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To standard output.
    Stdout,
    /// To this file, or into this directory.
    Path(PathBuf),
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The body is complete.
    Complete,
    /// It has to be made again, as [`Delivery::preconditions`] says.
    Again,
    /// It failed.
    Failed(Failure),
}

/// Why there is no complete file.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request failed.
    Problem(Problem),
    /// The file cannot be written; why.
    File(String),
    /// Nobody reads standard output any more.
    ClosedPipe,
}

/// Where the bytes of a response go.
pub(super) struct Delivery {
    destination: Destination,
    /// Whether a file that exists is replaced.
    force: bool,
    console: Arc<Console>,
    control: LocalControl,
    /// Standard output, if it is a pipe or a socket.
    pipe: Option<File>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    part: Option<PartFile>,
    /// What the current request continues.
    continued: Option<Beginning>,
    /// Whether there was an attempt to continue; there is one.
    has_continued: bool,
    begun: Option<Begun>,
    outcome: Option<Outcome>,
}

/// A body that has begun.
#[derive(Clone, Copy)]
struct Begun {
    /// How much of the file there was before.
    offset: u64,
    total: Option<u64>,
    /// What the control had counted before.
    written: u64,
}

impl Delivery {
    /// Prepares for a response. Fails if the file cannot be written.
    pub(super) fn new(
        destination: Destination,
        force: bool,
        console: Arc<Console>,
        control: LocalControl,
    ) -> Result<Delivery, Failure> {
        let (mut state, mut pipe) = (State::default(), None);
        match &destination {
            Destination::Stdout => pipe = stdout_pipe().map_err(|e| file_failure("-", &e))?,
            Destination::Path(path) => {
                if let Kind::File = Kind::of(path) {
                    let part = open_part(path, force)?;
                    state.continued = part.beginning();
                    state.has_continued = state.continued.is_some();
                    state.part = Some(part);
                }
            }
        }
        let state = Mutex::new(state);
        Ok(Delivery { destination, force, console, control, pipe, state })
    }

    /// Returns the preconditions of the next request.
    pub(super) fn preconditions(&self) -> Preconditions {
        let state = self.lock();
        let Some(Beginning { etag, len }) = &state.continued else {
            return Preconditions::default();
        };
        Preconditions {
            range: Some(format!("bytes={len}-")),
            if_range: Some(etag.clone()),
            ..Preconditions::default()
        }
    }

    /// Returns how the request ended, so that another one can be made.
    pub(super) fn take_outcome(&self) -> Outcome {
        let taken = self.lock().outcome.take();
        taken.unwrap_or_else(|| {
            let problem =
                Problem::new(ProblemCode::Internal, "the download ended without a result");
            Outcome::Failed(Failure::Problem(problem))
        })
    }

    /// Gives the complete file its name; returns that, unless the file has none.
    pub(super) fn finish(&self) -> Result<Option<PathBuf>, Failure> {
        let state = self.lock();
        let Some(part) = &state.part else { return Ok(None) };
        let target = part.target();
        refuse_existing(target, self.force)?;
        part.finish().map_err(|error| file_failure(&target.display().to_string(), &error))?;
        Ok(Some(target.to_owned()))
    }

    /// Leaves an incomplete file; returns what to say about it.
    pub(super) fn abandon(&self) -> Option<String> {
        let state = self.lock();
        let part = state.part.as_ref()?;
        part.remove_if_empty();
        let (path, len) = (part.path(), part.len());
        if len == 0 || !part.is_in_place() {
            return None;
        }
        let kept = format!("{} of it are in {}", size(len), path.display());
        if part.beginning().is_some() {
            return Some(format!("{kept}; the same command continues it"));
        }
        let why = match state.begun.and_then(|begun| begun.total) {
            Some(_) => "nothing tells whether the file is still the same later (an ETag)",
            None => "this download has no length that is known beforehand",
        };
        Some(format!("{kept}, which cannot be continued: {why}"))
    }

    /// Returns how far it is; `None` before the first byte.
    pub(super) fn position(&self) -> Option<Position> {
        let Begun { offset, total, written } = self.lock().begun?;
        Some(Position { done: offset + self.control.written().saturating_sub(written), total })
    }

    /// Opens what the body is written to. An outcome in place of it ends the request.
    fn open(&self, state: &mut State, head: &ResponseHead) -> Result<(File, u64), Outcome> {
        let path = match &self.destination {
            Destination::Stdout => return self.open_stdout().map(|file| (file, 0)),
            Destination::Path(path) => path,
        };
        let target = match Kind::of(path) {
            Kind::Device => {
                let opened = OpenOptions::new().write(true).open(path);
                let name = path.display().to_string();
                let failed = |error| Outcome::Failed(file_failure(&name, &error));
                return opened.map(|file| (file, 0)).map_err(failed);
            }
            Kind::Directory if path == Path::new(".") => file_name(head).into(),
            Kind::Directory => path.join(file_name(head)),
            Kind::File => path.clone(),
        };
        let State { part, continued, has_continued, .. } = state;
        let part = match part {
            Some(part) => part,
            None => part.insert(open_part(&target, self.force).map_err(Outcome::Failed)?),
        };
        let name = part.path().display().to_string();
        let failed = |error| Outcome::Failed(file_failure(&name, &error));
        if head.is_partial() {
            let len = part.len();
            self.console.say(&format!("continuing {name} at {}", size(len)));
            return part.writer().map(|file| (file, len)).map_err(failed);
        }
        let (etag, beginning) = (head.field("ETag"), part.beginning());
        let is_same = beginning.as_ref().is_some_and(|known| Some(known.etag.as_str()) == etag);
        if is_same && !*has_continued && head.field("Accept-Ranges") == Some("bytes") {
            (*continued, *has_continued) = (beginning, true);
            return Err(Outcome::Again);
        }
        match beginning {
            Some(_) if !is_same => {
                self.console.say(&format!("{name} is of another file; beginning again"));
            }
            None if part.len() == 0 => {}
            _ => self.console.say(&format!("{name} cannot be continued; beginning again")),
        }
        part.restart(etag).map_err(failed)?;
        part.writer().map(|file| (file, 0)).map_err(failed)
    }

    fn open_stdout(&self) -> Result<File, Outcome> {
        let opened = match &self.pipe {
            Some(pipe) => pipe.try_clone(),
            None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        };
        opened.map_err(|error| Outcome::Failed(file_failure("standard output", &error)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver for Delivery {
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    fn begin(&self, head: &ResponseHead) -> io::Result<File> {
        let mut state = self.lock();
        match self.open(&mut state, head) {
            Ok((file, offset)) => {
                let total = head.content_length().map(|len| offset + len);
                state.begun = Some(Begun { offset, total, written: self.control.written() });
                Ok(file)
            }
            Err(outcome) => {
                state.outcome = Some(outcome);
                Err(io::Error::other("the response is not received"))
            }
        }
    }

    fn respond(&self, response: Response) {
        let mut state = self.lock();
        let len = state.continued.take().map(|beginning| beginning.len);
        let total =
            response.field("Content-Range").and_then(|field| field.strip_prefix("bytes */"));
        let is_complete = total.and_then(|total| total.parse().ok()) == len;
        state.outcome = match (response.status(), len) {
            // All of the file is there already; it lacks its name only.
            (416, Some(_)) if is_complete => Some(Outcome::Complete),
            (416, Some(_)) => Some(Outcome::Again),
            _ => None,
        };
    }

    fn complete(&self) {
        self.lock().outcome = Some(Outcome::Complete);
    }

    fn fail(&self, problem: &Problem, written: Option<io::Error>) {
        let mut state = self.lock();
        let is_pipe = self.destination == Destination::Stdout;
        let client_left = problem.code == ProblemCode::ClientLeft;
        let failure = match written {
            Some(error) if is_pipe && error.kind() == io::ErrorKind::BrokenPipe => {
                Failure::ClosedPipe
            }
            Some(error) => {
                let part = state.part.as_ref().map(|part| part.path().display().to_string());
                let name = match (&self.destination, part) {
                    (_, Some(part)) => part,
                    (Destination::Stdout, None) => "standard output".into(),
                    (Destination::Path(path), None) => path.display().to_string(),
                };
                file_failure(&name, &error)
            }
            None if client_left && is_pipe => Failure::ClosedPipe,
            None => Failure::Problem(problem.clone()),
        };
        // What refused to begin is the cause.
        state.outcome.get_or_insert(Outcome::Failed(failure));
    }
}

/// What a path leads to.
enum Kind {
    /// A file, or nothing yet.
    File,
    Directory,
    /// What can be written to and not be renamed: /dev/null, or a named pipe.
    Device,
}

impl Kind {
    fn of(path: &Path) -> Kind {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Kind::Directory,
            Ok(meta) if !meta.is_file() => Kind::Device,
            _ => Kind::File,
        }
    }
}

/// Opens the part of a file, unless that exists.
fn open_part(target: &Path, force: bool) -> Result<PartFile, Failure> {
    refuse_existing(target, force)?;
    let part = PartFile::open(target)
        .map_err(|error| file_failure(&target.display().to_string(), &error))?;
    // Another download may have finished it meanwhile.
    refuse_existing(target, force).inspect_err(|_| part.remove_if_empty())?;
    Ok(part)
}

fn refuse_existing(target: &Path, force: bool) -> Result<(), Failure> {
    if force || fs::symlink_metadata(target).is_err() {
        return Ok(());
    }
    let name = target.display();
    Err(Failure::File(format!("{name} exists; --force replaces it, and -o gives another name")))
}

fn file_failure(name: &str, error: &io::Error) -> Failure {
    Failure::File(format!("cannot write {name}: {error}"))
}

/// Returns the name that the response gives its file.
fn file_name(head: &ResponseHead) -> String {
    let name = head.field("Content-Disposition").and_then(attached_name);
    name.unwrap_or_else(|| format!("video.{}", head.file_extension()))
}

/// Returns standard output, if a reader can leave or pause. Opened anew, it can be written to without being waited for,
/// while those who share it see no difference.
fn stdout_pipe() -> io::Result<Option<File>> {
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let kind = stdout.metadata()?.file_type();
    if !kind.is_fifo() {
        return Ok(kind.is_socket().then_some(stdout));
    }
    let opened = {
        use std::os::unix::fs::OpenOptionsExt;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&stdout));
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path)
    };
    // Without /proc it is waited for.
    Ok(Some(opened.unwrap_or(stdout)))
}
