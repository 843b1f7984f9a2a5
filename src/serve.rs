//! Runs the daemon: binds the listeners, serves until a signal, drains, and aborts what is left.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use crossbeam::select;

use crate::app::App;
use crate::config::{Config, ConfigFile, SystemdEnv};
use crate::handler::AppHandler;
use crate::http_server::{HttpServer, Listener};
use crate::media::page_media::PageMedia;
use crate::sandbox;
use crate::sd_notify::SdNotify;
use crate::sys;
use crate::web_ui::Prefill;

mod reloader;
mod reporter;
mod signals;

use reloader::Reloader;
use reporter::Reporter;
pub use signals::{Signal, with_signals};

/// How long the threads of connections may take to end after the abort. Only a name look-up can take
/// longer: getaddrinfo(3) cannot be interrupted.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// How often free memory goes back to the system: each time the whole heap is walked.
const RELEASE_INTERVAL: Duration = Duration::from_secs(15);

/// A server whose sockets are bound: connections queue up in the kernel until [`run`](Server::run).
pub struct Server {
    app: App,
    listeners: Vec<Listener>,
    reloader: Reloader,
}

impl Server {
    /// Acquires everything that a running server needs: descriptors, sockets, the runtime directory.
    pub fn bind(config: Config) -> io::Result<Server> {
        sandbox::hide_daemon(&config.sandbox);
        if let Err(error) = sys::raise_descriptor_limit() {
            log::warn!("cannot raise the limit of open descriptors: {error}");
        }
        let mut listeners = Vec::with_capacity(config.listen.len());
        for address in &config.listen {
            listeners.push(Listener::bind(*address).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?);
        }
        Ok(Server { app: App::new(config)?, listeners, reloader: Reloader::new(None) })
    }

    /// Has [`Signal::Reload`] read `file` again, which the configuration is from.
    pub fn with_config_file(self, file: Option<ConfigFile>) -> Server {
        Server { reloader: Reloader::new(file), ..self }
    }

    /// Registers a page link that is resolved without yt-dlp.
    pub fn with_builtin(self, media: PageMedia) -> Server {
        self.app.resolver.register_builtin(media);
        self
    }

    /// Returns the addresses that the server listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Serves until [`Signal::Shutdown`], then drains: refuses new streams with 503, lets running ones complete
    /// within `limits.drain_timeout`, and aborts the rest. The signal aborts at once when it comes again.
    ///
    /// Returns an error if the threads of connections do not end after the abort.
    pub fn run(
        self,
        prefill: &Prefill,
        signals: &Receiver<Signal>,
        notify: &SdNotify,
    ) -> io::Result<()> {
        // A scope cannot be left while one of its threads hangs, but the thread that owns the scope,
        // and all that is borrowed in it, can be abandoned.
        let runtime_dir = self.app.runtime_dir.clone();
        let (prefill, signals, notify) = (prefill.clone(), signals.clone(), notify.clone());
        let (hanging, hangs) = channel::bounded(1);
        let supervisor = thread::Builder::new()
            .name("serve".into())
            .spawn(move || self.serve_and_drain(&prefill, &signals, &notify, &hanging))?;
        if hangs.recv().is_ok() {
            runtime_dir.remove();
            return Err(io::Error::other(
                "a name look-up did not return, so that a connection could not be ended; check the \
                 name servers",
            ));
        }
        supervisor.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Does what [`run`](Server::run) promises; sends on `hanging` if threads outlive the abort.
    fn serve_and_drain(
        self,
        prefill: &Prefill,
        signals: &Receiver<Signal>,
        notify: &SdNotify,
        hanging: &Sender<()>,
    ) -> io::Result<()> {
        let Server { app, listeners, mut reloader } = self;
        let http_server = HttpServer::new(&app.config, reporter::turn_interval(notify))?;
        let handler = AppHandler { app: &app, http_server: &http_server, prefill };
        let pulses = listeners.iter().map(Listener::pulse).collect();
        // Every connection holds a sender: when all are dropped, the receiver is disconnected.
        let (alive, all_closed) = channel::bounded::<()>(0);
        thread::scope(|scope| {
            for listener in listeners {
                log::info!("listening on http://{}", listener.address());
                let (http_server, handler, alive) = (&http_server, &handler, alive.clone());
                thread::Builder::new()
                    .name("accept".into())
                    .spawn_scoped(scope, move || {
                        http_server.accept_loop(scope, &listener, handler, &alive);
                    })
                    .inspect_err(|_| http_server.abort())?;
            }
            drop(alive);
            let mut reporter = Reporter::new(notify, pulses);
            notify.ready();
            wait_for_shutdown(&app, &http_server, signals, &mut reloader, &mut reporter);
            reporter.stopping();
            drain(&app, &http_server, &all_closed, signals, reporter, hanging);
            Ok(())
        })
    }
}

/// Does what a running server does beside serving, until it is to shut down.
fn wait_for_shutdown(
    app: &App,
    http_server: &HttpServer<'_>,
    signals: &Receiver<Signal>,
    reloader: &mut Reloader,
    reporter: &mut Reporter<'_>,
) {
    let mut released = Instant::now();
    loop {
        if released.elapsed() >= RELEASE_INTERVAL {
            sys::release_free_memory();
            released = Instant::now();
        }
        let evict = app.upstream.evict_idle();
        let due = evict.min(reporter.report(app.stream_limiter.in_use())).min(RELEASE_INTERVAL);
        match signals.recv_timeout(due) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Signal::Reload) => reporter.reload(|| reloader.reload(app, http_server)),
            // The sender is gone, which ends the server, too.
            Ok(Signal::Shutdown) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Lets running streams complete, and aborts the rest; sends on `hanging` if threads outlive that.
fn drain(
    app: &App,
    http_server: &HttpServer<'_>,
    all_closed: &Receiver<()>,
    signals: &Receiver<Signal>,
    mut reporter: Reporter<'_>,
    hanging: &Sender<()>,
) {
    let streams = &app.stream_limiter;
    log::info!("draining: {} streams", streams.in_use());
    let deadline = channel::after(app.config.limits.drain_timeout.0);
    app.lookup_limiter.close();
    let drained = streams.close();
    let mut report = || reporter.report(streams.in_use());
    let mut in_time = wait_for_drain(drained, signals, &deadline, &mut report);
    http_server.close();
    reporter.release_loops();
    // The last bytes of streams and of small responses are still on their way.
    let mut report = || reporter.report(streams.in_use());
    in_time = in_time && wait_for_drain(all_closed, signals, &deadline, &mut report);
    http_server.abort();
    if !in_time && all_closed.recv_timeout(ABORT_LIMIT) == Err(RecvTimeoutError::Timeout) {
        log::error!("a connection did not end: its name look-up cannot be interrupted");
        hanging.send(()).ok();
    } else {
        log::info!("all connections are closed");
    }
}

/// Waits until all senders of `done` are dropped; `false` if a second signal or the deadline comes first. Calls
/// `report` whenever that is due.
fn wait_for_drain(
    done: &Receiver<()>,
    signals: &Receiver<Signal>,
    deadline: &Receiver<Instant>,
    report: &mut impl FnMut() -> Duration,
) -> bool {
    loop {
        let due = report();
        select! {
            recv(done) -> _ => return true,
            recv(signals) -> signal => {
                if signal == Ok(Signal::Reload) {
                    log::info!("not reloading the configuration: shutting down");
                    continue;
                }
                log::warn!("second signal: aborting active downloads");
            }
            recv(deadline) -> _ => {
                log::warn!("limits.drain_timeout has passed: aborting active downloads");
            }
            default(due) => continue,
        }
        return false;
    }
}

/// Runs `ytcanal serve`.
pub fn serve(config: Config, file: Option<ConfigFile>, service: &SystemdEnv) -> io::Result<()> {
    let server = Server::bind(config)?.with_config_file(file);
    let notify = SdNotify::new(service.notify_socket.clone(), service.watchdog);
    // A terminal that is closed ends what runs on it.
    let hangup = if io::stdin().is_terminal() { Signal::Shutdown } else { Signal::Reload };
    with_signals(hangup, |signals| server.run(&Prefill::default(), signals, &notify))
}
