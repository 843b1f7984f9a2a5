//! `ytcanal get`: downloads to a file without a server, by the code that serves the download of a client. `ytcanal
//! info` is the same for what a page offers.
//!
//! The command is a second caller of what the handler calls for a request, with a
//! [local client](crate::http_server::ClientConnection::local) in place of a connection: engines, limits, ranges and
//! the proof that a file is complete are those of the server.

use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::download;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::route::{Route, route};

mod console;
mod delivery;
mod exit_status;
mod info;
mod info_table;
mod parameters;
mod part_file;
mod progress;
mod session;

use console::Console;
pub use delivery::Destination;
use delivery::{Delivery, Failure, Outcome};
pub use exit_status::ExitStatus;
pub use info::{InfoOptions, info};
pub use parameters::{PARAMETERS, Parameter, Use, Wanted};
use progress::size;
use session::Session;

/// The options of `ytcanal get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOptions {
    /// What is to be downloaded.
    pub wanted: Wanted,
    /// Where it goes.
    pub destination: Destination,
    /// Whether a file that exists is replaced.
    pub force: bool,
    /// Whether only errors are printed.
    pub silent: bool,
}

/// Runs `ytcanal get`. Fails if there cannot be a download, for want of a directory for its pipes, for example.
pub fn get(config: Config, options: &GetOptions) -> io::Result<ExitStatus> {
    let started = Instant::now();
    let console = Arc::new(Console::new(options.silent));
    if options.destination == Destination::Stdout && io::stdout().is_terminal() {
        console.report("-o - needs a pipe or a file: media would not be readable on a terminal");
        return Ok(ExitStatus::Usage);
    }
    let target = match options.wanted.target() {
        Ok(target) => target,
        Err(wrong) => {
            console.report(&wrong);
            return Ok(ExitStatus::Usage);
        }
    };
    let route = match route(&target) {
        Ok(route) => route,
        Err(problem) => return Ok(report_problem(&console, &problem)),
    };
    let session = Session::start(config, options.wanted.is_archive())?;
    let (destination, control) = (options.destination.clone(), session.control.clone());
    let delivery = match Delivery::new(destination, options.force, console.clone(), control) {
        Ok(delivery) => Arc::new(delivery),
        Err(failure) => return Ok(report(&console, &failure)),
    };
    let work = || download(&session, &route, &target, &delivery);
    let ended = session.run(work, || console.draw(delivery.position()))?;
    let finished = ended.result.and_then(|()| delivery.finish());
    let failure = match finished {
        Ok(path) => {
            let done = delivery.position().map_or(0, |position| position.done);
            let seconds = started.elapsed().as_secs_f64();
            let name = path.as_ref().map_or("complete".into(), |path| path.display().to_string());
            console.say(&format!("{name}: {} in {seconds:.1} s", size(done)));
            // For scripts. On a terminal it was said already.
            if let Some(path) = path.filter(|_| !io::stdout().is_terminal()) {
                print_path(&path);
            }
            return Ok(ExitStatus::Complete);
        }
        Err(_) if ended.was_interrupted => {
            console.report("interrupted");
            ExitStatus::Interrupted
        }
        Err(failure) => report(&console, &failure),
    };
    if let Some(kept) = delivery.abandon() {
        console.say(&kept);
    }
    Ok(failure)
}

/// Makes requests until one is received, in full or as the rest of a file that was begun.
fn download(
    session: &Session,
    route: &Route,
    target: &str,
    delivery: &Arc<Delivery>,
) -> Result<(), Failure> {
    loop {
        let request = Session::request(target, delivery.preconditions());
        let client = session.client(delivery.clone());
        let client = client.map_err(|error| internal(&error.to_string()))?;
        match route.clone() {
            Route::Download { source, options } => {
                download::serve(&session.app, source, options, &request, client);
            }
            Route::Archive(archive) => {
                download::archive::serve(&session.app, &archive, &|_| true, &request, client);
            }
            _ => return Err(internal("the command line leads to no download")),
        }
        match delivery.take_outcome() {
            Outcome::Complete => return Ok(()),
            Outcome::Again => {}
            Outcome::Failed(failure) => return Err(failure),
        }
    }
}

fn internal(why: &str) -> Failure {
    Failure::Problem(Problem::new(ProblemCode::Internal, why))
}

/// Reports a failure; returns its exit status.
fn report(console: &Console, failure: &Failure) -> ExitStatus {
    match failure {
        Failure::Problem(problem) => report_problem(console, problem),
        Failure::File(why) => {
            console.report(why);
            ExitStatus::File
        }
        // Whoever has closed it knows.
        Failure::ClosedPipe => ExitStatus::ClosedPipe,
    }
}

fn report_problem(console: &Console, problem: &Problem) -> ExitStatus {
    console.report(&format!("{} ({})", problem.detail, problem.code));
    ExitStatus::of_problem(problem.code)
}

/// Writes the name of a complete file to standard output, as it is: it need not be UTF-8.
fn print_path(path: &Path) {
    let mut line = path.as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    // Whether the name is read or not, the file is there.
    print(&line).ok();
}

/// Writes to standard output; whether it is still read.
fn print(bytes: &[u8]) -> io::Result<ExitStatus> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Ok(()) => Ok(ExitStatus::Complete),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitStatus::ClosedPipe),
        Err(error) => Err(error),
    }
}
