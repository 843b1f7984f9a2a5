//! One connection of an origin: reads requests and answers each as its resource is scripted.
//!
//! It must never wait without looking at the stop, except on its socket, which the server shuts
//! down at the end.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::origin::Holdings;
use super::request::Request;
use super::resource::{Fault, Resource};
use super::response_range::{Asked, Span};
use super::stop::Stop;
use super::transport::Wire;

pub(super) struct Connection<'a> {
    wire: Wire,
    number: usize,
    holdings: &'a Holdings,
    stop: &'a Stop,
    /// When the request after this one was first seen waiting.
    next_since: Option<Instant>,
}

/// What becomes of the connection after an answer.
enum After {
    NextRequest,
    End,
    /// An end without a good bye.
    Cut,
}

impl<'a> Connection<'a> {
    pub(super) fn new(wire: Wire, number: usize, holdings: &'a Holdings, stop: &'a Stop) -> Self {
        Self { wire, number, holdings, stop, next_since: None }
    }

    /// Answers requests until one side has had enough.
    pub(super) fn serve(&mut self) -> io::Result<()> {
        let mut trips = 2;
        while let Some(request) = self.request()? {
            let since = self.next_since.take().unwrap_or_else(Instant::now);
            let after = match self.holdings.meet(&request) {
                Some(resource) => {
                    if !matches!(resource.fault, Fault::ResetAt(_)) {
                        self.take_last_byte()?;
                        self.take_body(&request)?;
                    }
                    self.travel(&resource, since, trips)?;
                    if self.stop.is_said() {
                        return Ok(());
                    }
                    self.deliver(&request, &resource)?
                }
                None => {
                    self.take_last_byte()?;
                    self.short(&request, false, 404, &[])?
                }
            };
            match after {
                After::NextRequest => trips = 1,
                After::End => return self.wire.end(),
                After::Cut => return Ok(()),
            }
        }
        Ok(())
    }

    /// Reads the head up to the byte before its last: a socket that is closed with a byte
    /// unread sends a reset, which is how `ResetAt` gets one without unsafe code.
    fn request(&mut self) -> io::Result<Option<Request>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r") && head.len() < 64 * 1024 {
            if self.wire.read(&mut byte)? == 0 {
                return Ok(None);
            }
            head.push(byte[0]);
        }
        Ok(Some(Request::parse(&String::from_utf8_lossy(&head), self.number)))
    }

    fn take_last_byte(&mut self) -> io::Result<()> {
        self.wire.read_exact(&mut [0])
    }

    /// Reads what is posted, which nobody here is interested in.
    fn take_body(&mut self, request: &Request) -> io::Result<()> {
        let len = request.header("content-length").and_then(|len| len.parse().ok());
        self.wire.read_exact(&mut vec![0; len.unwrap_or(0).min(1 << 20)])
    }

    /// Waits until the answer could have come from afar. Requests in a pipeline travel together:
    /// the one behind this one counts from when it was first seen here.
    fn travel(&mut self, resource: &Resource, since: Instant, trips: u32) -> io::Result<()> {
        let Some(delay) = resource.delay else {
            return Ok(());
        };
        if self.wire.has_input()? {
            self.next_since = Some(since);
        }
        loop {
            let missing = (delay * trips).saturating_sub(since.elapsed());
            if missing.is_zero() || self.stop.is_said() {
                return Ok(());
            }
            self.stop.wait(missing.min(Duration::from_millis(5)));
            self.look_for_next(resource)?;
        }
    }

    fn look_for_next(&mut self, resource: &Resource) -> io::Result<()> {
        if resource.delay.is_some() && self.next_since.is_none() && self.wire.has_input()? {
            self.next_since = Some(Instant::now());
        }
        Ok(())
    }

    fn deliver(&mut self, request: &Request, resource: &Resource) -> io::Result<After> {
        let asked_to_close =
            request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let keep = resource.keep_alive && !asked_to_close;
        let own_path = || vec![("Location", request.path.clone())];
        match &resource.fault {
            Fault::Status(status, headers) => return self.short(request, keep, *status, headers),
            Fault::Redirect(to) => {
                return self.short(request, keep, 302, &[("Location", to.clone())]);
            }
            Fault::Words(status, kind, words) => {
                return self.words(
                    request,
                    keep,
                    *status,
                    &[("Content-Type", (*kind).into())],
                    words,
                );
            }
            Fault::RefuseRanges(status) if request.header("range").is_some() => {
                return self.short(request, keep, *status, &[]);
            }
            Fault::RedirectLoop => return self.short(request, keep, 302, &own_path()),
            Fault::Silent => return self.stall(),
            Fault::HangUp => return Ok(After::End),
            Fault::Garbage => return self.garbage(),
            _ => {}
        }
        let span = match Asked::by(request, resource) {
            Asked::Span(span) => span,
            Asked::Refused => return self.short(request, keep, 403, &[]),
            Asked::TooFar(tells) => {
                let size = [("Content-Range", format!("bytes */{}", resource.len()))];
                let fields = if tells { &size[..] } else { &[] };
                return self.short(request, keep, 416, fields);
            }
        };
        let head = span.head(resource, keep);
        if matches!(resource.fault, Fault::Twice) {
            let mut both = head.clone().into_bytes();
            resource
                .content
                .open(span.start)?
                .take(span.end - span.start)
                .read_to_end(&mut both)?;
            both.extend(head.as_bytes());
            both.resize(both.len() + (span.end - span.start) as usize, b'x');
            self.wire.write_all(&both)?;
            return Ok(After::whole(keep));
        }
        self.wire.write_all(head.as_bytes())?;
        if request.method == "HEAD" {
            return Ok(After::whole(keep));
        }
        self.send(resource, &span)?;
        self.finish(resource, &span, keep)
    }

    /// A status with a few words instead of the resource.
    fn short(
        &mut self,
        request: &Request,
        keep: bool,
        status: u16,
        headers: &[(&str, String)],
    ) -> io::Result<After> {
        self.words(request, keep, status, headers, "scripted\n")
    }

    fn words(
        &mut self,
        request: &Request,
        keep: bool,
        status: u16,
        headers: &[(&str, String)],
        words: &str,
    ) -> io::Result<After> {
        let connection = if keep { "" } else { "Connection: close\r\n" };
        let mut head = format!("HTTP/1.1 {status} Scripted\r\n{connection}");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let length = if status == 204 {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", words.len())
        };
        head += &format!("{length}\r\n");
        self.wire.write_all(head.as_bytes())?;
        if request.method != "HEAD" && status != 204 {
            self.wire.write_all(words.as_bytes())?;
        }
        Ok(After::whole(keep))
    }

    /// Sends the span up to the offset of the fault.
    fn send(&mut self, resource: &Resource, span: &Span) -> io::Result<()> {
        let until = resource.fault.sound_until().map_or(span.end, |at| span.end.min(at));
        let mut content = resource.content.open(span.start)?;
        self.pour(resource, span, &mut content, span.start..until)
    }

    /// Does what the fault wants after the sound part of the span.
    fn finish(&mut self, resource: &Resource, span: &Span, keep: bool) -> io::Result<After> {
        match resource.fault {
            Fault::StallAt(_) => self.stall(),
            Fault::DripAt(at) => self.drip(resource, at..span.end),
            Fault::TrailersAt(_) => self.trailers(b"X: y\r\n", Duration::from_millis(100)),
            Fault::TrailerFloodAt(_) => self.trailers(&b"X: y\r\n".repeat(1000), Duration::ZERO),
            Fault::Surplus(count) => {
                let more = span.end..span.end + count;
                self.pour(resource, span, &mut io::repeat(b'x'), more)?;
                self.wire.write_all(b"0\r\n\r\n")?;
                Ok(After::whole(keep))
            }
            Fault::Endless => {
                self.pour(resource, span, &mut io::repeat(b'x'), span.end..u64::MAX)?;
                Ok(After::Cut)
            }
            Fault::ResetAt(_) => {
                // The unread byte must have arrived, or the close would be a plain one.
                self.wire.await_unread()?;
                Ok(After::Cut)
            }
            Fault::CutAt(_) | Fault::ChunkedCutAt(_) | Fault::AlmostChunkedCutAt(..) => {
                Ok(After::Cut)
            }
            Fault::LengthTooLargeBy(_) | Fault::NoLength => Ok(After::End),
            Fault::Chunked => {
                self.wire.write_all(b"0\r\n\r\n")?;
                Ok(After::whole(keep))
            }
            _ => Ok(After::whole(keep)),
        }
    }

    /// Sends the bytes at these offsets as the script wants them: at its pace, in chunks or not,
    /// held at the gate on the way.
    fn pour(
        &mut self,
        resource: &Resource,
        span: &Span,
        content: &mut dyn Read,
        mut offsets: Range<u64>,
    ) -> io::Result<()> {
        let chunked = span.chunked(&resource.fault);
        // A gate at the end of a range stands before the next range.
        let gate = resource.gate.as_ref().filter(|(at, _)| *at != span.end || !span.is_followed());
        let mut block =
            vec![0; resource.pace.map_or(64 * 1024, |pace| (pace / 20).max(1) as usize)];
        loop {
            let mut limit = offsets.end;
            if let Some((at, gate)) = gate {
                if offsets.start == *at {
                    gate.pass(self.stop);
                } else if offsets.start < *at {
                    limit = limit.min(*at);
                }
            }
            if offsets.is_empty() || self.stop.is_said() {
                return Ok(());
            }
            let wanted = (block.len() as u64).min(limit - offsets.start) as usize;
            content.read_exact(&mut block[..wanted])?;
            self.write(&block[..wanted], chunked)?;
            self.look_for_next(resource)?;
            offsets.start += wanted as u64;
            if resource.pace.is_some() {
                self.stop.wait(Duration::from_millis(50));
            }
        }
    }

    fn write(&mut self, bytes: &[u8], chunked: bool) -> io::Result<()> {
        if chunked {
            write!(self.wire, "{:x}\r\n", bytes.len())?;
        }
        self.wire.write_all(bytes)?;
        if chunked {
            self.wire.write_all(b"\r\n")?;
        }
        Ok(())
    }

    /// Keeps the connection open until the other side or the origin ends it.
    fn stall(&mut self) -> io::Result<After> {
        while !self.wire.peer_left(Duration::from_millis(50))? && !self.stop.is_said() {}
        Ok(After::Cut)
    }

    fn drip(&mut self, resource: &Resource, offsets: Range<u64>) -> io::Result<After> {
        let mut content = resource.content.open(offsets.start)?;
        let mut byte = [0];
        for _ in offsets {
            content.read_exact(&mut byte)?;
            self.wire.write_all(&byte)?;
            for _ in 0..20 {
                if self.stop.is_said() || self.wire.peer_left(Duration::from_millis(50))? {
                    return Ok(After::Cut);
                }
            }
        }
        Ok(After::End)
    }

    fn trailers(&mut self, lines: &[u8], pause: Duration) -> io::Result<After> {
        self.wire.write_all(b"0\r\n")?;
        while !self.stop.is_said() && (pause.is_zero() || !self.wire.peer_left(pause)?) {
            self.wire.write_all(lines)?;
        }
        Ok(After::Cut)
    }

    fn garbage(&mut self) -> io::Result<After> {
        self.wire.write_all(b"220 this is no web server\r\n\0\xff\r\n\r\n")?;
        Ok(After::End)
    }
}

impl After {
    /// After an answer that was sent whole.
    fn whole(keep: bool) -> Self {
        if keep { Self::NextRequest } else { Self::End }
    }
}
