//! A line with a round trip, in front of any server: bytes pass unchanged, each half a round trip late.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::systems::LOOPBACK;

pub(crate) struct DelayedLine {
    addr: SocketAddr,
    ending: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

const PIECE: usize = 64 * 1024;

impl DelayedLine {
    pub(crate) fn to(server: SocketAddr, round_trip: Duration) -> Outcome<Self> {
        let listener = TcpListener::bind((LOOPBACK, 0))?;
        let addr = listener.local_addr()?;
        let ending = Arc::new(AtomicBool::new(false));
        let accepting = thread::Builder::new().name("line".into()).spawn({
            let ending = Arc::clone(&ending);
            move || {
                for near in listener.incoming() {
                    if ending.load(Ordering::Acquire) {
                        break;
                    }
                    // A client that leaves early is no fault of the line's.
                    drop(near.and_then(|near| connect(near, server, round_trip)));
                }
            }
        })?;
        Ok(Self { addr, ending, accepting: Some(accepting) })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for DelayedLine {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Wakes `accept`; when even this fails there is no listener left to wait for.
        if TcpStream::connect(self.addr).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            drop(accepting.join());
        }
    }
}

/// Joins a client with the server. The kernel opened the connection at once, so what the client sends first
/// is a whole round trip later.
fn connect(near: TcpStream, server: SocketAddr, round_trip: Duration) -> io::Result<()> {
    let far = TcpStream::connect(server)?;
    let opened = Instant::now() + round_trip;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
        thread::spawn(move || {
            while let Ok(piece) = read(&from) {
                let due = Instant::now().max(opened) + round_trip / 2;
                let is_end = piece.is_empty();
                if sender.send((due, piece)).is_err() || is_end {
                    break;
                }
            }
        });
        thread::spawn(move || {
            for (due, piece) in pieces {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if piece.is_empty() || (&to).write_all(&piece).is_err() {
                    break;
                }
            }
            // The other side may have closed it already.
            drop(to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}

fn read(mut from: &TcpStream) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE];
    let len = from.read(&mut piece)?;
    piece.truncate(len);
    Ok(piece)
}
