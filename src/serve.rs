//! Runs the daemon: binds the listeners, serves until a signal, drains, and aborts what is left.

use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use crossbeam::select;

use crate::app::App;
use crate::config::{Config, ConfigFile, InheritedSockets, Invocation, ListenAddress, SystemdEnv};
use crate::handler::AppHandler;
use crate::http_server::{HttpServer, Listener};
use crate::media::page_media::PageMedia;
use crate::sandbox;
use crate::sd_notify::SdNotify;
use crate::sys;
use crate::web_ui::Prefill;

mod handover;
mod reloader;
mod reporter;
mod signals;

use handover::{Handover, Successor};
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
    /// Whether systemd keeps the sockets: then connections wait there for the next process.
    sockets_are_kept: bool,
    /// `None` if there can be no successor.
    handover: Option<Handover>,
}

impl Server {
    /// Acquires everything that a running server needs: descriptors, sockets, the runtime directory.
    pub fn bind(config: Config) -> io::Result<Server> {
        let bind = |address: &ListenAddress| {
            Listener::bind(address).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })
        };
        let listeners = config.listen.iter().map(bind).collect::<io::Result<_>>()?;
        Server::with_listeners(config, listeners, false)
    }

    /// Does the same with sockets that another process has bound, instead of those of the configuration.
    fn adopt(mut config: Config, sockets: Vec<OwnedFd>, are_kept: bool) -> io::Result<Server> {
        let listeners = sockets.into_iter().map(Listener::adopt).collect::<io::Result<Vec<_>>>();
        let listeners = listeners.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on an inherited socket: {error}"))
        })?;
        let addresses: Vec<_> =
            listeners.iter().map(|listener| listener.address().clone()).collect();
        if addresses != config.listen {
            log::info!("listening on the sockets that were passed, and not on those of `listen`");
        }
        config.listen = addresses;
        Server::with_listeners(config, listeners, are_kept)
    }

    fn with_listeners(
        config: Config,
        listeners: Vec<Listener>,
        sockets_are_kept: bool,
    ) -> io::Result<Server> {
        sandbox::hide_daemon(&config.sandbox);
        if let Err(error) = sys::raise_descriptor_limit() {
            log::warn!("cannot raise the limit of open descriptors: {error}");
        }
        let (app, reloader) = (App::new(config)?, Reloader::new(None));
        // No download has to wait for it.
        app.ffmpeg_version();
        Ok(Server { app, listeners, reloader, sockets_are_kept, handover: None })
    }

    /// Has [`Signal::Reload`] read `file` again, which the configuration is from.
    pub fn with_config_file(self, file: Option<ConfigFile>) -> Server {
        Server { reloader: Reloader::new(file), ..self }
    }

    /// Has [`Signal::HandOver`] start a process of this program that takes the sockets over.
    fn with_handover(self, invocation: Invocation) -> io::Result<Server> {
        let handover = Handover::new(invocation, &self.listeners, self.sockets_are_kept)?;
        Ok(Server { handover: Some(handover), ..self })
    }

    /// Registers a page link that is resolved without yt-dlp.
    pub fn with_builtin(self, media: PageMedia) -> Server {
        self.app.resolver.register_builtin(media);
        self
    }

    /// Returns the addresses that the server listens on.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.listeners.iter().map(|listener| listener.address().clone()).collect()
    }

    /// Serves until [`Signal::Shutdown`], then drains: refuses new streams with 503, or leaves them to the next process,
    /// lets running ones complete within `limits.drain_timeout`, and aborts the rest. The signal aborts at once when it comes again.
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
        let Server { app, listeners, reloader, sockets_are_kept, handover } = self;
        let http_server = HttpServer::new(&app.config, reporter::turn_interval(notify))?;
        let handler = AppHandler { app: &app, http_server: &http_server, prefill };
        let pulses = listeners.iter().map(Listener::pulse).collect();
        // Every connection holds a sender: when all are dropped, the receiver is disconnected.
        let (alive, all_closed) = channel::bounded::<()>(0);
        thread::scope(|scope| {
            for listener in listeners {
                log::info!("listening on {}", listener.address());
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
            let running = Running { app: &app, http_server: &http_server, signals, notify };
            let ended = running.wait(reloader, handover.as_ref(), &mut reporter);
            // Its sockets: whoever connects now is refused, unless another process listens.
            drop(handover);
            let in_time = match ended {
                End::Shutdown => {
                    reporter.stopping();
                    match sockets_are_kept {
                        true => running.retire(&all_closed, Some(reporter)),
                        false => running.drain(&all_closed, reporter),
                    }
                }
                End::HandedOver => running.retire(&all_closed, None),
            };
            running.end(in_time, &all_closed, hanging);
            Ok(())
        })
    }
}

/// Why a server stops to serve.
enum End {
    Shutdown,
    HandedOver,
}

/// A server that serves.
struct Running<'r> {
    app: &'r App,
    http_server: &'r HttpServer<'r>,
    signals: &'r Receiver<Signal>,
    notify: &'r SdNotify,
}

impl Running<'_> {
    /// Does what a running server does beside serving, until it is to end.
    fn wait(
        &self,
        mut reloader: Reloader,
        handover: Option<&Handover>,
        reporter: &mut Reporter<'_>,
    ) -> End {
        let mut released = Instant::now();
        let (starting, started) = channel::bounded::<io::Result<Successor>>(1);
        loop {
            if released.elapsed() >= RELEASE_INTERVAL {
                sys::release_free_memory();
                released = Instant::now();
            }
            let evict = self.app.upstream.evict_idle();
            let report = self.report(reporter);
            let due = evict.min(report).min(RELEASE_INTERVAL);
            select! {
                recv(self.signals) -> signal => match signal {
                    Ok(Signal::Reload) => {
                        reporter.reload(|| reloader.reload(self.app, self.http_server));
                    }
                    Ok(Signal::HandOver) => match handover {
                        Some(handover) => handover.start(&starting),
                        None => log::warn!("this server cannot hand over"),
                    },
                    // The sender is gone, which ends the server, too.
                    Ok(Signal::Shutdown) | Err(_) => return End::Shutdown,
                },
                recv(started) -> successor => {
                    let successor = successor.unwrap_or_else(|error| Err(io::Error::other(error)));
                    match successor.and_then(|successor| self.hand_over(successor)) {
                        Ok(()) => return End::HandedOver,
                        Err(error) => log::error!("cannot hand over, and so going on: {error}"),
                    }
                }
                default(due) => {}
            }
        }
    }

    /// Sends what is due to systemd; returns the time until the next call is due.
    fn report(&self, reporter: &mut Reporter<'_>) -> Duration {
        reporter.report(self.app.stream_limiter.in_use(), self.http_server.bytes_sent())
    }

    /// Makes a process that could serve the one that does.
    fn hand_over(&self, successor: Successor) -> io::Result<()> {
        let pid = successor.id();
        // Before it begins, so that systemd accepts what it reports.
        self.notify.main_pid(pid);
        successor.begin().inspect_err(|_| self.notify.main_pid(std::process::id()))?;
        log::info!("process {pid} serves from now on");
        Ok(())
    }

    /// Lets all requests complete that it has accepted, and leaves others to another process; `false` if they do not in
    /// time. Nothing is reported of a process that is not that of the service any more.
    fn retire(&self, all_closed: &Receiver<()>, mut reporter: Option<Reporter<'_>>) -> bool {
        self.http_server.retire();
        if let Some(reporter) = &mut reporter {
            reporter.release_loops();
        }
        let streams = &self.app.stream_limiter;
        log::info!("completing {} streams", streams.in_use());
        let deadline = channel::after(self.app.config.limits.drain_timeout.0);
        let mut report = || {
            let reporter = reporter.as_mut();
            reporter.map_or(RELEASE_INTERVAL, |reporter| self.report(reporter))
        };
        wait_for_drain(all_closed, self.signals, &deadline, &mut report)
    }

    /// Lets running streams complete, and refuses others; `false` if they do not in time.
    fn drain(&self, all_closed: &Receiver<()>, mut reporter: Reporter<'_>) -> bool {
        let (app, streams) = (self.app, &self.app.stream_limiter);
        log::info!("draining: {} streams", streams.in_use());
        let deadline = channel::after(app.config.limits.drain_timeout.0);
        app.lookup_limiter.close();
        let drained = streams.close();
        let mut report = || self.report(&mut reporter);
        let in_time = wait_for_drain(drained, self.signals, &deadline, &mut report);
        self.http_server.close();
        reporter.release_loops();
        // The last bytes of streams and of small responses are still on their way.
        let mut report = || self.report(&mut reporter);
        in_time && wait_for_drain(all_closed, self.signals, &deadline, &mut report)
    }

    /// Aborts what is left; sends on `hanging` if threads outlive that.
    fn end(&self, in_time: bool, all_closed: &Receiver<()>, hanging: &Sender<()>) {
        self.http_server.abort();
        if !in_time && all_closed.recv_timeout(ABORT_LIMIT) == Err(RecvTimeoutError::Timeout) {
            log::error!("a connection did not end: its name look-up cannot be interrupted");
            hanging.send(()).ok();
        } else {
            log::info!("all connections are closed");
        }
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
                if matches!(signal, Ok(Signal::Reload | Signal::HandOver)) {
                    log::info!("neither reloading nor handing over: this process ends");
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
    let InheritedSockets { sockets, is_handover, are_kept } = InheritedSockets::take()?;
    let server = match sockets.is_empty() {
        true => Server::bind(config)?,
        false => Server::adopt(config, sockets, are_kept)?,
    };
    let mut server = server.with_config_file(file);
    match Invocation::current() {
        Ok(invocation) => server = server.with_handover(invocation)?,
        Err(error) => log::debug!("this server cannot hand over: {error}"),
    }
    let notify = SdNotify::new(service.notify_socket.clone(), service.watchdog);
    // A terminal that is closed ends what runs on it.
    let hangup = if io::stdin().is_terminal() { Signal::Shutdown } else { Signal::Reload };
    with_signals(hangup, |signals| {
        if is_handover {
            handover::take_over()?;
        }
        server.run(&Prefill::default(), signals, &notify)
    })
}
