//! Passes a lone file through as it is, with the length, ranges and preconditions of a static file.

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

/// The smallest zero-copy transfer: below it, a copy is as fast.
const MIN_SPLICE_SIZE: u64 = 32 << 10;

/// Sends the requested range of the file.
pub(super) fn serve<'scope, 'env, 'c, 'server>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'c, 'server, '_>,
    mut track: ProbedTrack<'scope, 'env>,
    output_type: OutputType,
) -> Result<Outcome<'c, 'server>, Error> {
    let ProbedInput { kind, probe: ProbeInfo { format, .. } } = track.input;
    let file = track.source.file().clone();
    let [Track { location: RemoteLocation { url, .. }, .. }, ..] = &context.media.tracks[..] else {
        return Err(Error::Internal("a download has no track"));
    };
    if let Some(reason) = context.app.incomplete_files.get(url, &file) {
        return Err(incomplete(kind, Incomplete(reason)));
    }
    let etag = etag(&file);
    let planned = Instant::now();
    let head = context.head(output_type.media_type, output_type.extension);
    let (head, range) =
        match select_representation(context, head, etag.as_deref(), file.len, file.ranged) {
            Representation::Done(outcome) => return Ok(outcome),
            Representation::Send(head, range) => (head, range),
        };
    let start = range.as_ref().map_or(0, |range| range.start);
    if start > 0 {
        index_reader::check_boxes(scope, context, &mut track)?;
    }
    let mut source = track.source;
    if let Some(range) = range {
        source.restrict_to(range);
    }
    // Completeness can be followed from the beginning of a file only.
    let mut completeness = (start == 0).then(|| Completeness::new(format, file.len));
    let truncated = |reason: Incomplete| {
        context.app.incomplete_files.insert(url, &file, reason.0);
        incomplete(kind, reason)
    };

    // The commit waits for the first bytes, since an error before them can still be a response.
    let mut first = source.take_peeked();
    if first.is_empty() {
        first.resize(BodyWriter::CHUNK, 0);
        let count = source.read(&mut first)?;
        first.truncate(count);
    }
    if let Some(completeness) = &mut completeness {
        completeness.see(&first).map_err(truncated)?;
    }
    context.app.metrics.first_byte(context.started.elapsed());
    let timing = context.server_timing(planned, Instant::now(), "pass");
    let mut body = context.commit(&head.with("Server-Timing", timing))?;
    body.write(&first, context.cancelled())?;
    body.flush(context.cancelled())?;
    let mut sink = ClientSink::new(body);
    loop {
        let skippable = completeness.as_ref().map_or(u64::MAX, Completeness::skippable);
        if skippable >= MIN_SPLICE_SIZE {
            let count = sink.splice_from(&mut source, skippable, context.cancelled())? as u64;
            if count > 0 {
                if let Some(completeness) = &mut completeness {
                    completeness.skip(count).map_err(truncated)?;
                }
                continue;
            }
        }
        let count = source.read(sink.body.spare_buffer())?;
        let bytes = &sink.body.spare_buffer()[..count];
        // Before they are sent: with the last byte, the client considers the file complete.
        if let Some(completeness) = &mut completeness {
            completeness.see(bytes).map_err(truncated)?;
            if count == 0 && file.len.is_none() {
                completeness.end().map_err(truncated)?;
            }
        }
        match count {
            0 => return Ok(Outcome::Body(sink.body)),
            count => sink.body.commit_buffer(count, context.cancelled())?,
        }
    }
}

/// Returns the strong ETag of a file, the same on every server that passes it through: the hash of its
/// length and the upstream's validators. `None` without validators.
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
