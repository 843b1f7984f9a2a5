//! The daemon: from a configuration to listeners, and from a signal to a good end.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError};
use crossbeam::select;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::app::App;
use crate::config::{Config, SystemdEnv};
use crate::handler::AppHandler;
use crate::http_server::{HttpServer, Listener};
use crate::media::page_media::PageMedia;
use crate::sd_notify::SdNotify;
use crate::sys;
use crate::web_ui::Prefill;

/// What threads get to end after the abort. Only a look-up of a name can take longer: it
/// cannot be interrupted.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// A server whose sockets are bound: connections queue up, nobody is served yet.
pub struct Server {
    app: App,
    listeners: Vec<Listener>,
}

impl Server {
    /// Takes hold of all that a running server needs.
    pub fn bind(config: Config) -> io::Result<Server> {
        if let Err(error) = sys::raise_descriptor_limit() {
            log::warn!("the limit of open descriptors stays as it is: {error}");
        }
        let mut listeners = Vec::with_capacity(config.listen.len());
        for address in &config.listen {
            listeners.push(Listener::bind(*address).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?);
        }
        Ok(Server { app: App::new(config)?, listeners })
    }

    /// The same, with a link that needs no reading of a page.
    pub fn with_built_in(self, offer: PageMedia) -> Server {
        self.app.resolver.register_builtin(offer);
        self
    }

    /// The addresses that it listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Serves until `quit` says so, then drains: gives out no more streams, lets those that run
    /// come to their end within the drain timeout, and aborts the rest. A second word from
    /// `quit` aborts at once. Until the streams have ended, it still answers that it drains.
    pub fn run(
        self,
        prefill: &Prefill,
        shutdown: &Receiver<()>,
        notify: &SdNotify,
    ) -> io::Result<()> {
        let (limits, slots) = (&self.app.config.limits, &self.app.stream_limiter);
        let edge = HttpServer::new(limits)?;
        let desk = AppHandler { app: &self.app, http_server: &edge, prefill };
        // Every connection holds a sender: when all are gone, the receiver is told.
        let (alive, all_gone) = channel::bounded::<()>(0);
        thread::scope(|scope| {
            for listener in self.listeners {
                log::info!("listening on http://{}", listener.address());
                let (edge, desk, alive) = (&edge, &desk, alive.clone());
                thread::Builder::new()
                    .name("accept".into())
                    .spawn_scoped(scope, move || edge.accept_loop(scope, &listener, desk, &alive))
                    .inspect_err(|_| edge.abort())?;
            }
            drop(alive);
            notify.ready();
            // Another error means that whoever could say so is gone: then it is time, too.
            let upstream = &self.app.upstream;
            while shutdown.recv_timeout(upstream.evict_idle()) == Err(RecvTimeoutError::Timeout) {}
            notify.stopping();
            log::info!("draining: {} streams", slots.in_use());
            let deadline = channel::after(limits.drain_timeout.0);
            let mut in_time = wait_for_drain(slots.close(), shutdown, &deadline);
            edge.close();
            // The last bytes of the last streams, and of other answers, are still on their way.
            in_time = in_time && wait_for_drain(&all_gone, shutdown, &deadline);
            edge.abort();
            if !in_time && all_gone.recv_timeout(ABORT_LIMIT) == Err(RecvTimeoutError::Timeout) {
                log::warn!("a name is still being looked up, which cannot be stopped");
                // The other ends have been reset; there is nothing left to be said or saved.
                std::process::exit(0);
            }
            log::info!("all connections are closed");
            Ok(())
        })
    }
}

/// Waits until all holders of `done` are gone; `false` when something else came first.
fn wait_for_drain(done: &Receiver<()>, quit: &Receiver<()>, deadline: &Receiver<Instant>) -> bool {
    select! {
        recv(done) -> _ => return true,
        recv(quit) -> _ => log::warn!("told again: aborting what still runs"),
        recv(deadline) -> _ => {
            log::warn!("limits.drain_timeout is over: aborting what still runs");
        }
    }
    false
}

/// SIGTERM, SIGINT and SIGHUP (the terminal was closed) as messages, for as long as `f` runs.
pub fn with_signals<T>(f: impl FnOnce(&Receiver<()>) -> io::Result<T>) -> io::Result<T> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    // nohup(1) has it ignored, to outlive the terminal.
    if !sys::is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let handle = signals.handle();
    let (say, quit) = channel::unbounded();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in signals.forever() {
                if say.send(()).is_err() {
                    return;
                }
            }
        });
        // Ends the thread also when `f` panics, or the scope would wait for it for ever.
        let _close = CloseOnDrop(handle);
        f(&quit)
    })
}

struct CloseOnDrop(Handle);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// `ytcanal serve`
pub fn serve(config: Config, service: &SystemdEnv) -> io::Result<()> {
    let server = Server::bind(config)?;
    let notify = SdNotify::new(service.notify_socket.clone());
    with_signals(|quit| server.run(&Prefill::default(), quit, &notify))
}
