//! Receives a request, within limits of size and time: its head, and the form of a POST.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::request::{Request, parse_head};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::sys;

/// Bytes read per system call.
const READ_SIZE: usize = 4 << 10;

/// Why there is no request.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The client closed the connection, sent nothing in time, or the server is closing.
    Disconnected,
    /// The request is invalid; the response is this problem.
    Invalid(Problem),
}

/// Receives a request, with a head of at most `max_len` bytes, within `limit`; `closing` ends the wait.
pub(super) fn receive(
    socket: &TcpStream,
    max_len: usize,
    limit: Duration,
    closing: BorrowedFd<'_>,
) -> Result<Request, RequestError> {
    let deadline = Instant::now() + limit;
    let bytes = Vec::with_capacity(READ_SIZE);
    let mut receiver = Receiver { socket, closing, deadline, bytes };
    let len = loop {
        let old = receiver.bytes.len();
        receiver.more(max_len + 1 - old)?;
        // Parsed only once it is complete: a head that trickles in costs one parse.
        if let Some(len) = end_of_head(&receiver.bytes, old) {
            break len;
        }
        if receiver.bytes.len() > max_len {
            return Err(bad(
                ProblemCode::HeadTooLarge,
                format!("the request head is longer than {max_len} bytes (limits.head_bytes)"),
            ));
        }
    };
    let (mut request, form_len) =
        parse_head(&receiver.bytes[..len]).map_err(RequestError::Invalid)?;
    let end = len + form_len;
    while receiver.bytes.len() < end {
        receiver.more(end - receiver.bytes.len())?;
    }
    if let Some(form) = &mut request.form {
        let text = std::str::from_utf8(&receiver.bytes[len..end]);
        *form = text.map_err(|_| bad(ProblemCode::BadRequest, "the form is not UTF-8"))?.to_owned();
    }
    Ok(request)
}

struct Receiver<'a> {
    socket: &'a TcpStream,
    closing: BorrowedFd<'a>,
    deadline: Instant,
    bytes: Vec<u8>,
}

impl Receiver<'_> {
    /// Receives at least one and at most `max_count` further bytes.
    fn more(&mut self, max_count: usize) -> Result<(), RequestError> {
        let old = self.bytes.len();
        self.bytes.resize(old + READ_SIZE.min(max_count), 0);
        let count = self.wait_and_read(old);
        self.bytes.truncate(old + count.as_ref().unwrap_or(&0));
        count.map(drop)
    }

    /// Reads into the bytes behind `old` as soon as there are any; returns their number.
    fn wait_and_read(&mut self, old: usize) -> Result<usize, RequestError> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let readable = (self.socket.as_fd(), sys::READABLE);
            match sys::poll([(self.closing, sys::READABLE), readable], Some(left)) {
                Ok([true, _]) | Err(_) => return Err(RequestError::Disconnected),
                Ok([_, true]) => {}
                // A connection without a request, as browsers open ahead of time, gets no response.
                Ok(_) if old == 0 => return Err(RequestError::Disconnected),
                Ok(_) => return Err(bad(ProblemCode::HeadTimeout, "the request took too long")),
            }
            match self.socket.read(&mut self.bytes[old..]) {
                Ok(0) => return Err(RequestError::Disconnected),
                Ok(count) => return Ok(count),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(_) => return Err(RequestError::Disconnected),
            }
        }
    }
}

fn bad(code: ProblemCode, detail: impl Into<String>) -> RequestError {
    RequestError::Invalid(Problem::new(code, detail))
}

/// Returns the length of the head including its empty line, if that has arrived; the first `searched`
/// bytes do not contain it.
fn end_of_head(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3);
    (from..bytes.len()).find_map(|at| {
        let rest = &bytes[at..];
        if rest.starts_with(b"\n\r\n") {
            Some(at + 3)
        } else if rest.starts_with(b"\n\n") {
            Some(at + 2)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;
    use crate::sys::EventFd;

    /// What is received of these bytes, which arrive in two pieces.
    fn received(bytes: &[u8], cut: usize) -> Result<Request, RequestError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        client.write_all(first).unwrap();
        let closing = EventFd::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| client.write_all(second).unwrap());
            receive(&socket, 1000, Duration::from_secs(9), closing.as_fd())
        })
    }

    #[test]
    fn a_form_is_received_with_its_head_or_behind_it() {
        let head = "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\n\r\n";
        let request = format!("{head}token=abcGET / HTTP/1.1\r\n");
        for cut in [0, 30, head.len(), head.len() + 3, head.len() + 20] {
            let form = received(request.as_bytes(), cut).unwrap().form;
            assert_eq!(form.as_deref(), Some("token=abc"), "{cut}");
        }
        let wrong = [head.as_bytes(), b"token=\xff\xff\xff"].concat();
        let Err(RequestError::Invalid(problem)) = received(&wrong, 30) else { panic!() };
        assert_eq!(problem.code, ProblemCode::BadRequest);
        let form = received(b"GET / HTTP/1.0\r\n\r\nmore", 5).unwrap().form;
        assert_eq!(form, None);
    }

    proptest! {
        #[test]
        fn the_end_is_found_however_the_head_arrives(cut in 0usize..40) {
            let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore behind it";
            let cut = cut.min(head.len());
            let found = end_of_head(&head[..cut], 0).or_else(|| end_of_head(head, cut));
            prop_assert_eq!(found, Some(27));
        }
    }
}
