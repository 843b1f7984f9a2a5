//! One finished file is passed through as it is, and behaves as on the server that it is on:
//! length, ranges, conditions.

use std::time::Instant;

use super::fetch::Opened;
use super::out::Out;
use super::select::{self, Choice, choose};
use super::{Answering, Served};
use crate::edge::Body;
use crate::error::Error;
use crate::mux::Finished;
use crate::source::File;

/// Sends what the client wants of the file.
pub(super) fn pass<'c, 'edge>(
    answering: &Answering<'c, 'edge, '_>,
    opened: Opened<'_, '_>,
    finished: Finished,
) -> Result<Served<'c, 'edge>, Error> {
    let mut source = opened.source;
    let file = source.file().clone();
    let etag = etag(&file);
    let planned = Instant::now();
    let head = answering.head(finished.media_type, finished.extension);
    let (head, part) = match choose(answering, head, etag.as_deref(), file.len, file.ranged) {
        Choice::Done(served) => return Ok(served),
        Choice::Send(head, part) => (head, part),
    };
    if let Some(part) = part {
        source.narrow(part);
    }

    // Nothing is sent before there is something to send.
    let mut first = source.take_head();
    if first.is_empty() {
        first.resize(Body::CHUNK, 0);
        let count = source.fetch(&mut first)?;
        first.truncate(count);
    }
    answering.canal.stats.first_byte(answering.asked.elapsed());
    let timing = answering.timing(planned, Instant::now(), "pass");
    let mut body = answering.commit(&head.with("Server-Timing", timing))?;
    body.push(&first, answering.over())?;
    body.flush(answering.over())?;
    let mut out = Out::new(body);
    loop {
        if out.pass_on(&mut source, u64::MAX, answering.over())? > 0 {
            continue;
        }
        match source.fetch(out.body.room())? {
            0 => return Ok(Served::Body(out.body)),
            count => out.body.send(count, answering.over())?,
        }
    }
}

/// A strong validator that is the same on every server that passes this file through: made of
/// its length and of the upstream's own validators. Without those there is none.
fn etag(file: &File) -> Option<String> {
    file.validators.best()?;
    Some(select::etag([&b"pass 2"[..], &file.identity()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Validators;
    use ureq::http::HeaderValue;

    #[test]
    fn an_etag_tells_files_apart() {
        let of = |len, etag, modified| {
            let value = |text: Option<&'static str>| text.map(HeaderValue::from_static);
            let validators = Validators { etag: value(etag), modified: value(modified) };
            super::etag(&File { len: Some(len), ranged: true, validators })
        };
        let one = of(7, Some("\"a\""), None);
        assert_eq!(one, of(7, Some("\"a\""), None));
        assert_eq!(one.as_ref().unwrap().len(), 34);
        for other in [
            of(8, Some("\"a\""), None),
            of(7, Some("\"b\""), None),
            of(7, None, Some("\"a\"")),
            of(7, Some("\"a\""), Some("x")),
        ] {
            assert!(other.is_some() && other != one);
        }
        assert_eq!(of(7, None, None), None);
    }
}
