//! Runs the daemon: binds the listeners, serves until a signal, drains, and aborts what is left.

use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};

use crate::app::App;
use crate::config::{Config, ConfigFile, InheritedSockets, ListenAddress, SystemdEnv};
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
mod running;
mod signals;

use handover::Handover;
use reloader::Reloader;
use reporter::Reporter;
use running::{End, Running};
pub use signals::{Signal, with_signals};

/// A server whose sockets are bound: connections queue up in the kernel until [`run`](Server::run).
pub struct Server {
    app: App,
    listeners: Vec<Listener>,
    reloader: Reloader,
    /// Whether systemd keeps the sockets: then connections wait there for the next process.
    is_socket_activated: bool,
    /// Or why there can be no successor.
    handover: Result<Handover, String>,
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
    fn adopt(
        mut config: Config,
        sockets: Vec<OwnedFd>,
        is_socket_activated: bool,
    ) -> io::Result<Server> {
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
        Server::with_listeners(config, listeners, is_socket_activated)
    }

    fn with_listeners(
        config: Config,
        listeners: Vec<Listener>,
        is_socket_activated: bool,
    ) -> io::Result<Server> {
        sandbox::hide_daemon(&config.sandbox);
        if let Err(error) = sys::raise_descriptor_limit() {
            log::warn!("cannot raise the limit of open descriptors: {error}");
        }
        let (app, reloader) = (App::new(config)?, Reloader::new(None));
        // No download has to wait for it.
        app.ffmpeg_version();
        let handover = Err("only `ytcanal serve` does".into());
        Ok(Server { app, listeners, reloader, is_socket_activated, handover })
    }

    /// Has [`Signal::Reload`] read `file` again, which the configuration is from.
    pub fn with_config_file(self, file: Option<ConfigFile>) -> Server {
        Server { reloader: Reloader::new(file), ..self }
    }

    /// Has [`Signal::HandOver`] start a process of this program that takes the sockets over.
    fn with_handover(self) -> Server {
        let handover = Handover::new(&self.listeners, self.is_socket_activated);
        Server { handover, ..self }
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
        let Server { app, listeners, reloader, is_socket_activated, handover } = self;
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
            let ended = running.wait(reloader, &handover, &mut reporter);
            // Its sockets: whoever connects now is refused, unless another process listens.
            drop(handover);
            let in_time = match ended {
                End::Shutdown => {
                    reporter.stopping();
                    match is_socket_activated {
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

/// Runs `ytcanal serve`.
pub fn serve(
    config: Config,
    file: Option<ConfigFile>,
    service: &SystemdEnv,
    inherited: InheritedSockets,
) -> io::Result<()> {
    let InheritedSockets { sockets, is_handover, is_socket_activated } = inherited;
    let server = match sockets.is_empty() {
        true => Server::bind(config)?,
        false => Server::adopt(config, sockets, is_socket_activated)?,
    };
    let server = server.with_config_file(file).with_handover();
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
