//! One finished file is passed through as it is, and behaves as on the server that it is on:
//! length, ranges, conditions.

use std::time::Instant;

use ring::digest::{SHA256, digest};

use super::fetch::Opened;
use super::{Answering, Served};
use crate::edge::{Body, Selected, select};
use crate::error::{Error, Problem};
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
    // Parts of a file can be sent only if parts of it can be had.
    let len = file.len.filter(|_| file.ranged);
    let selected = select(answering.request, etag.as_deref(), len);
    let mut head = answering.head(finished.media_type, finished.extension);
    head = head.with("Accept-Ranges", if len.is_some() { "bytes" } else { "none" });
    if let Some(etag) = &etag {
        head = head.with("ETag", etag.clone());
    }
    let part = match (selected, len) {
        (Selected::NotModified, _) => return Ok(Served::Head(head.status(304))),
        (Selected::Failed, _) => {
            let detail = "the file is not the one that If-Match names";
            let problem = Problem::new(412, "precondition-failed", detail);
            return Ok(Served::Reply(answering.refusal(&problem)));
        }
        (Selected::Nothing, Some(len)) => {
            let detail = format!("the file has {len} bytes, and none of those asked for");
            let reply = answering.refusal(&Problem::new(416, "range-not-satisfiable", detail));
            return Ok(Served::Reply(reply.with("Content-Range", format!("bytes */{len}"))));
        }
        (Selected::Part(part), Some(len)) => {
            let range = format!("bytes {}-{}/{len}", part.start, part.end - 1);
            head = head.status(206).with("Content-Range", range).length(part.end - part.start);
            Some(part)
        }
        _ => {
            head = match file.len {
                Some(len) => head.length(len),
                None => head,
            };
            None
        }
    };
    if answering.request.head_only {
        return Ok(Served::Head(head));
    }
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
    body.send_all(&first, answering.over())?;
    loop {
        match source.fetch(body.room())? {
            0 => return Ok(Served::Body(body)),
            count => body.send(count, answering.over())?,
        }
    }
}

/// A strong validator that is the same on every server that passes this file through: made of
/// its length and of the upstream's own validators. Without those there is none.
fn etag(file: &File) -> Option<String> {
    file.validators.best()?;
    let bytes = |value: &Option<_>| -> Vec<u8> {
        value.as_ref().map(|v: &ureq::http::HeaderValue| v.as_bytes().to_vec()).unwrap_or_default()
    };
    let identity = [
        b"pass 1".to_vec(),
        file.len.map(|len| len.to_string()).unwrap_or_default().into_bytes(),
        bytes(&file.validators.etag),
        bytes(&file.validators.modified),
    ];
    let hash = digest(&SHA256, &identity.join(&b'\n'));
    let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("\"{hex}\""))
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
