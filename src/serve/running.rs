//! A server that serves: what it does beside that, and how it ends.
//!
//! **Invariant:** every end has a deadline.

use std::io;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use crossbeam::select;

use super::handover::{Handover, NewProcess, Successor};
use super::reloader::Reloader;
use super::reporter::Reporter;
use super::signals::Signal;
use crate::app::App;
use crate::http_server::HttpServer;
use crate::sd_notify::SdNotify;
use crate::sys;

/// How long the threads of connections may take to end after the abort. Only a name look-up can take
/// longer: getaddrinfo(3) cannot be interrupted.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// How often free memory goes back to the system: each time the whole heap is walked.
const RELEASE_INTERVAL: Duration = Duration::from_secs(15);

/// Why a server stops to serve.
pub(super) enum End {
    Shutdown,
    HandedOver,
}

/// A server that serves.
pub(super) struct Running<'r> {
    pub(super) app: &'r App,
    pub(super) http_server: &'r HttpServer<'r>,
    pub(super) signals: &'r Receiver<Signal>,
    pub(super) notify: &'r SdNotify,
}

impl Running<'_> {
    /// Does what a running server does beside serving, until it is to end.
    pub(super) fn wait(
        &self,
        mut reloader: Reloader,
        handover: &Result<Handover, String>,
        reporter: &mut Reporter<'_>,
    ) -> End {
        let mut released = Instant::now();
        let (sender, started) = channel::bounded::<io::Result<Successor>>(1);
        let mut starting: Option<NewProcess> = None;
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
                        Ok(_) if starting.is_some() => {
                            log::info!("a new process is starting already");
                        }
                        Ok(handover) => {
                            let process = handover.start(&sender);
                            starting = process.inspect_err(report_no_handover).ok();
                        }
                        Err(why) => log::warn!("this server cannot hand over: {why}"),
                    },
                    // The sender is gone, which ends the server, too.
                    Ok(Signal::Shutdown) | Err(_) => return End::Shutdown,
                },
                recv(started) -> successor => {
                    let process = starting.take();
                    let successor = successor.unwrap_or_else(|error| Err(io::Error::other(error)));
                    match successor.and_then(|successor| self.hand_over(successor)) {
                        Ok(()) => {
                            if let Some(process) = process {
                                process.release();
                            }
                            return End::HandedOver;
                        }
                        Err(error) => report_no_handover(&error),
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
    pub(super) fn retire(
        &self,
        all_closed: &Receiver<()>,
        mut reporter: Option<Reporter<'_>>,
    ) -> bool {
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
    pub(super) fn drain(&self, all_closed: &Receiver<()>, mut reporter: Reporter<'_>) -> bool {
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
    pub(super) fn end(&self, in_time: bool, all_closed: &Receiver<()>, hanging: &Sender<()>) {
        self.http_server.abort();
        if !in_time && all_closed.recv_timeout(ABORT_LIMIT) == Err(RecvTimeoutError::Timeout) {
            log::error!("a connection did not end: its name look-up cannot be interrupted");
            hanging.send(()).ok();
        } else {
            log::info!("all connections are closed");
        }
    }
}

fn report_no_handover(error: &io::Error) {
    log::error!("cannot hand over, and so going on: {error}");
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
