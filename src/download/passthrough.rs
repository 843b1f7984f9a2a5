//! One finished file is passed through as it is, and behaves as on the server that it is on:
//! length, ranges, conditions.

use std::thread::Scope;
use std::time::Instant;

use super::index_reader;
use super::probe::{ProbedTrack, incomplete};
use super::representation::{self, Representation, select_representation};
use super::sink::ClientSink;
use super::{DownloadContext, Outcome};
use crate::container::OutputType;
use crate::container::completeness::{Completeness, Incomplete};
use crate::container::probe::{ProbeInfo, ProbedInput};
use crate::error::Error;
use crate::http_client::RemoteFile;
use crate::http_server::BodyWriter;
use crate::media::{RemoteLocation, Track};

/// Fewer bytes are sent on no quicker unseen.
const MIN_SPLICE_SIZE: u64 = 32 << 10;

/// Sends what the client wants of the file.
pub(super) fn serve<'scope, 'env, 'c, 'edge>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'c, 'edge, '_>,
    mut opened: ProbedTrack<'scope, 'env>,
    finished: OutputType,
) -> Result<Outcome<'c, 'edge>, Error> {
    let ProbedInput { kind, probe: ProbeInfo { format, .. } } = opened.input;
    let file = opened.source.file().clone();
    let [Track { location: RemoteLocation { url, .. }, .. }, ..] = &context.media.tracks[..] else {
        return Err(Error::Internal("a download has no track"));
    };
    if let Some(how) = context.app.incomplete_files.get(url, &file) {
        return Err(incomplete(kind, Incomplete(how)));
    }
    let etag = etag(&file);
    let planned = Instant::now();
    let head = context.head(finished.media_type, finished.extension);
    let (head, part) =
        match select_representation(context, head, etag.as_deref(), file.len, file.ranged) {
            Representation::Done(served) => return Ok(served),
            Representation::Send(head, part) => (head, part),
        };
    let begin = part.as_ref().map_or(0, |part| part.start);
    if begin > 0 {
        index_reader::check(scope, context, &mut opened)?;
    }
    let mut source = opened.source;
    if let Some(part) = part {
        source.restrict_to(part);
    }
    // Who begins elsewhere cannot tell what the bytes are.
    let mut completeness = (begin == 0).then(|| Completeness::new(format, file.len));
    let is_cut = |how: Incomplete| {
        context.app.incomplete_files.insert(url, &file, how.0);
        incomplete(kind, how)
    };

    // Nothing is sent before there is something to send.
    let mut first = source.take_peeked();
    if first.is_empty() {
        first.resize(BodyWriter::CHUNK, 0);
        let count = source.read(&mut first)?;
        first.truncate(count);
    }
    if let Some(completeness) = &mut completeness {
        completeness.see(&first).map_err(is_cut)?;
    }
    context.app.metrics.first_byte(context.started.elapsed());
    let timing = context.server_timing(planned, Instant::now(), "pass");
    let mut body = context.commit(&head.with("Server-Timing", timing))?;
    body.write(&first, context.cancelled())?;
    body.flush(context.cancelled())?;
    let mut out = ClientSink::new(body);
    loop {
        let skippable = completeness.as_ref().map_or(u64::MAX, Completeness::skippable);
        if skippable >= MIN_SPLICE_SIZE {
            let count = out.splice_from(&mut source, skippable, context.cancelled())? as u64;
            if count > 0 {
                if let Some(completeness) = &mut completeness {
                    completeness.skip(count).map_err(is_cut)?;
                }
                continue;
            }
        }
        let count = source.read(out.body.spare_buffer())?;
        let bytes = &out.body.spare_buffer()[..count];
        // Before they are sent: with the last byte, a client has what it takes for the file.
        if let Some(completeness) = &mut completeness {
            completeness.see(bytes).map_err(is_cut)?;
            if count == 0 && file.len.is_none() {
                completeness.end().map_err(is_cut)?;
            }
        }
        match count {
            0 => return Ok(Outcome::Body(out.body)),
            count => out.body.commit_buffer(count, context.cancelled())?,
        }
    }
}

/// A strong validator that is the same on every server that passes this file through: made of
/// its length and of the upstream's own validators. Without those there is none.
fn etag(file: &RemoteFile) -> Option<String> {
    file.validators.best()?;
    Some(representation::etag([&b"pass 2"[..], &file.identity()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::Validators;
    use ureq::http::HeaderValue;

    #[test]
    fn an_etag_tells_files_apart() {
        let of = |len, etag, modified| {
            let value = |text: Option<&'static str>| text.map(HeaderValue::from_static);
            let validators = Validators { etag: value(etag), modified: value(modified) };
            super::etag(&RemoteFile {
                len: Some(len),
                ranged: true,
                validators,
                validators_vary: false,
            })
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
