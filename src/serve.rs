//! Runs the daemon: binds the listeners, serves until a signal, drains, and aborts what is left.

use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use crossbeam::select;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::app::App;
use crate::config::{Config, SystemdEnv};
use crate::handler::AppHandler;
use crate::http_server::{HttpServer, Listener};
use crate::media::page_media::PageMedia;
use crate::sandbox;
use crate::sd_notify::SdNotify;
use crate::sys;
use crate::web_ui::Prefill;

/// How long the threads of connections may take to end after the abort. Only a name look-up can take
/// longer: getaddrinfo(3) cannot be interrupted.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// A server whose sockets are bound: connections queue up in the kernel until [`run`](Server::run).
pub struct Server {
    app: App,
    listeners: Vec<Listener>,
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
        Ok(Server { app: App::new(config)?, listeners })
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

    /// Serves until the first message on `shutdown`, then drains: refuses new streams with 503, lets
    /// running ones complete within `limits.drain_timeout`, and aborts the rest. A second message
    /// aborts at once.
    ///
    /// Returns an error if the threads of connections do not end after the abort.
    pub fn run(
        self,
        prefill: &Prefill,
        shutdown: &Receiver<()>,
        notify: &SdNotify,
    ) -> io::Result<()> {
        // A scope cannot be left while one of its threads hangs, but the thread that owns the scope,
        // and all that is borrowed in it, can be abandoned.
        let runtime_dir = self.app.runtime_dir.clone();
        let (prefill, shutdown, notify) = (prefill.clone(), shutdown.clone(), notify.clone());
        let (hanging, hangs) = channel::bounded(1);
        let supervisor = thread::Builder::new()
            .name("serve".into())
            .spawn(move || self.serve_and_drain(&prefill, &shutdown, &notify, &hanging))?;
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
        shutdown: &Receiver<()>,
        notify: &SdNotify,
        hanging: &Sender<()>,
    ) -> io::Result<()> {
        let (limits, stream_limiter) = (&self.app.config.limits, &self.app.stream_limiter);
        let http_server = HttpServer::new(&self.app.config)?;
        let handler = AppHandler { app: &self.app, http_server: &http_server, prefill };
        // Every connection holds a sender: when all are dropped, the receiver is disconnected.
        let (alive, all_closed) = channel::bounded::<()>(0);
        thread::scope(|scope| {
            for listener in self.listeners {
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
            notify.ready();
            // Any other error means that the sender is gone, which ends the server, too.
            let upstream = &self.app.upstream;
            while shutdown.recv_timeout(upstream.evict_idle()) == Err(RecvTimeoutError::Timeout) {}
            notify.stopping();
            log::info!("draining: {} streams", stream_limiter.in_use());
            let deadline = channel::after(limits.drain_timeout.0);
            self.app.lookup_limiter.close();
            let mut in_time = wait_for_drain(stream_limiter.close(), shutdown, &deadline);
            http_server.close();
            // The last bytes of streams and of small responses are still on their way.
            in_time = in_time && wait_for_drain(&all_closed, shutdown, &deadline);
            http_server.abort();
            if !in_time && all_closed.recv_timeout(ABORT_LIMIT) == Err(RecvTimeoutError::Timeout) {
                log::error!("a connection did not end: its name look-up cannot be interrupted");
                hanging.send(()).ok();
            } else {
                log::info!("all connections are closed");
            }
            Ok(())
        })
    }
}

/// Waits until all senders of `done` are dropped; `false` if a second signal or the deadline comes first.
fn wait_for_drain(
    done: &Receiver<()>,
    shutdown: &Receiver<()>,
    deadline: &Receiver<Instant>,
) -> bool {
    select! {
        recv(done) -> _ => return true,
        recv(shutdown) -> _ => log::warn!("second signal: aborting active downloads"),
        recv(deadline) -> _ => {
            log::warn!("limits.drain_timeout has passed: aborting active downloads");
        }
    }
    false
}

/// Runs `f` with a channel that receives a message for each SIGTERM, SIGINT and SIGHUP (a closed
/// terminal).
pub fn with_signals<T>(f: impl FnOnce(&Receiver<()>) -> io::Result<T>) -> io::Result<T> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    // nohup(1) ignores SIGHUP, so that the process outlives its terminal.
    if !sys::is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let handle = signals.handle();
    let (sender, shutdown) = channel::unbounded();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in signals.forever() {
                if sender.send(()).is_err() {
                    return;
                }
            }
        });
        // Ends the thread also if `f` panics; otherwise the scope would wait for it for ever.
        let _close = CloseOnDrop(handle);
        f(&shutdown)
    })
}

/// Ends the thread that waits for signals.
struct CloseOnDrop(Handle);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs `ytcanal serve`.
pub fn serve(config: Config, service: &SystemdEnv) -> io::Result<()> {
    let server = Server::bind(config)?;
    let notify = SdNotify::new(service.notify_socket.clone());
    with_signals(|shutdown| server.run(&Prefill::default(), shutdown, &notify))
}
