//! The signals that a running server obeys.

use std::io;
use std::thread;

use crossbeam::channel::{self, Receiver};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};

use crate::sys;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// To drain and end; the second time, to end at once.
    Shutdown,
    /// To read the configuration again.
    Reload,
    /// To hand the listening sockets to a new process of the program.
    HandOver,
}

/// Runs `f` with a channel that receives a message for each SIGTERM, SIGINT, SIGUSR2 and SIGHUP. The last one is for
/// `hangup`: it is what daemons reload at, and what a closed terminal sends.
pub fn with_signals<T>(
    hangup: Signal,
    f: impl FnOnce(&Receiver<Signal>) -> io::Result<T>,
) -> io::Result<T> {
    // A file that must not grow (ulimit -f) then fails to be written, and does not end the process. It is not ignored:
    // children would inherit that.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR2, SIGXFSZ])?;
    // nohup(1) ignores SIGHUP, so that the process outlives its terminal.
    if !sys::is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let handle = signals.handle();
    let (sender, received) = channel::unbounded();
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in signals.forever() {
                let signal = match number {
                    SIGHUP => hangup,
                    SIGUSR2 => Signal::HandOver,
                    SIGXFSZ => continue,
                    _ => Signal::Shutdown,
                };
                if sender.send(signal).is_err() {
                    return;
                }
            }
        });
        // Ends the thread also if `f` panics; otherwise the scope would wait for it for ever.
        let _close = CloseOnDrop(handle);
        f(&received)
    })
}

/// Ends the thread that waits for signals.
struct CloseOnDrop(Handle);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
