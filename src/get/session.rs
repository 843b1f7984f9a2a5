//! What a server has for its requests, for the one request of a command: its state, and signals that cancel it.

use std::io;
use std::panic::resume_unwind;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel;
use crossbeam::select;

use super::exit_status::ExitStatus;
use crate::access::Provenance;
use crate::app::App;
use crate::config::{AccessConfig, Config};
use crate::http_server::{ClientConnection, LocalControl, Preconditions, Receiver, Request};
use crate::sandbox;
use crate::serve::{Signal, with_signals};

/// How often progress is drawn.
const TICK: Duration = Duration::from_secs(1);
/// How long a request may take to end after it was interrupted. Only a name look-up, or a reader of standard output
/// that does not read, takes longer.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// The state behind a request.
pub(super) struct Session {
    pub(super) app: App,
    pub(super) control: LocalControl,
}

/// What became of the work.
pub(super) struct Ended<T> {
    pub(super) result: T,
    /// Whether a signal has ended it.
    pub(super) was_interrupted: bool,
}

impl Session {
    /// Prepares for requests. If `is_long`, yt-dlp stays loaded between the pages that it reads.
    pub(super) fn start(config: Config, is_long: bool) -> io::Result<Session> {
        let mut config = config;
        let defaults = Config::default();
        // The directory of the server, and the file of its tokens, are those of another user, as a rule.
        config.runtime_dir = defaults.runtime_dir;
        config.access = AccessConfig::default();
        config.listen = defaults.listen;
        // Loaded for one page, it would take its memory for as long as the download lasts.
        config.resolver.fork_server &= is_long;
        sandbox::hide_daemon(&config.sandbox);
        Ok(Session { app: App::new(config)?, control: LocalControl::new()? })
    }

    /// Returns the GET request for `target`.
    pub(super) fn request(target: &str, preconditions: Preconditions) -> Request {
        Request {
            head_only: false,
            has_other_method: false,
            form: None,
            target: target.to_owned(),
            http_1_1: true,
            wants_html: false,
            preconditions,
            provenance: Provenance::default(),
        }
    }

    /// Returns the client whose response goes to `receiver`.
    pub(super) fn client(&self, receiver: Arc<dyn Receiver>) -> io::Result<ClientConnection> {
        ClientConnection::local(receiver, &self.control)
    }

    /// Runs `work` until it ends, or a signal ends it; calls `tick` once a second meanwhile. A second signal ends the
    /// process at once.
    pub(super) fn run<T: Send>(
        &self,
        work: impl FnOnce() -> T + Send,
        mut tick: impl FnMut(),
    ) -> io::Result<Ended<T>> {
        with_signals(Signal::Shutdown, |signals| {
            thread::scope(|scope| {
                let (alive, ended) = channel::bounded::<()>(0);
                let worker = move || {
                    // Dropped at the end of the thread, by a panic, too.
                    let _alive = alive;
                    work()
                };
                let worker =
                    thread::Builder::new().name("get".into()).spawn_scoped(scope, worker)?;
                let mut aborted: Option<Instant> = None;
                loop {
                    select! {
                        recv(ended) -> _ => break,
                        recv(signals) -> _ => {
                            if aborted.is_some() {
                                self.quit();
                            }
                            aborted = Some(Instant::now());
                            self.control.abort();
                        }
                        default(TICK) => {
                            if aborted.is_some_and(|at| at.elapsed() > ABORT_LIMIT) {
                                self.quit();
                            }
                            tick();
                        }
                    }
                }
                let result = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
                Ok(Ended { result, was_interrupted: aborted.is_some() })
            })
        })
    }

    /// Ends the process although a thread hangs. The kernel ends its children with it.
    fn quit(&self) -> ! {
        self.app.runtime_dir.remove();
        process::exit(i32::from(ExitStatus::Interrupted.code()));
    }
}
