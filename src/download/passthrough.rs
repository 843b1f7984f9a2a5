//! Passes a lone file through as it is, with the length, ranges and preconditions of a static file.

use std::time::Instant;

use url::Url;

use super::index_reader;
use super::probe::{ProbedTrack, incomplete};
use super::representation::{self, Representation, select_representation};
use super::sink::ClientSink;
use super::{DownloadContext, MediaBody, MediaResponse, Prepared};
use crate::container::OutputType;
use crate::container::completeness::{Completeness, Incomplete};
use crate::container::probe::{ProbeInfo, ProbedInput};
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::http_client::RemoteFile;
use crate::http_server::BodyWriter;
use crate::media::{RemoteLocation, Track, TrackKind};

/// The smallest zero-copy transfer: below it, a copy is as fast.
const MIN_SPLICE_SIZE: u64 = 32 << 10;

/// Prepares the response with the requested range of the file.
pub(super) fn prepare<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    mut track: ProbedTrack<'scope, 'env>,
    output_type: OutputType,
) -> Result<Prepared<'scope>, Error> {
    let ProbedInput { kind, probe: ProbeInfo { format, .. } } = track.input;
    let file = track.file.source.file().clone();
    let [Track { location: RemoteLocation { url, .. }, .. }, ..] = &context.media.tracks[..] else {
        return Err(Error::Internal("a download has no track"));
    };
    if let Some(reason) = context.app.incomplete_files.get(url, &file) {
        return Err(incomplete(kind, Incomplete(reason)));
    }
    let etag = etag(&file);
    let planned = Instant::now();
    let head = context.head(output_type.media_type, output_type.extension);
    let (head, range) = match select_representation(
        (context.app, context.request),
        head,
        etag.as_deref(),
        file.len,
        file.ranged,
    ) {
        Representation::Short(response) => return Ok(Prepared::Short(response)),
        Representation::Send(head, range) => (head, range),
    };
    let start = range.as_ref().map_or(0, |range| range.start);
    if start > 0 {
        index_reader::check_boxes(&mut track)?;
    }
    let mut source = track.file.source;
    if let Some(range) = range {
        source.restrict_to(range);
    }
    // Completeness can be followed from the beginning of a file only.
    let completeness = (start == 0).then(|| Completeness::new(format, file.len));
    let mut check = Check { context: *context, kind, url, file, completeness };

    // The commit waits for the first bytes, since an error before them can still be a response.
    let mut first = source.take_peeked();
    if first.is_empty() {
        first.resize(BodyWriter::CHUNK, 0);
        let count = source.read(&mut first)?;
        first.truncate(count);
    }
    check.see(&first)?;
    let body = Box::new(PassedBody { check, first, source });
    Ok(Prepared::Media(MediaResponse { head, engine: "pass".into(), planned, body }))
}

/// A byte range of a remote file.
struct PassedBody<'scope, 'env> {
    check: Check<'scope, 'env>,
    first: Vec<u8>,
    /// The rest.
    source: TrackReader<'scope, 'env>,
}

impl MediaBody for PassedBody<'_, '_> {
    fn write(self: Box<Self>, body: &mut BodyWriter) -> Result<(), Error> {
        let PassedBody { mut check, first, mut source } = *self;
        let cancelled = check.context.cancelled();
        body.write(&first, cancelled)?;
        body.flush(cancelled)?;
        drop(first);
        let mut sink = ClientSink::new(body);
        loop {
            let skippable = check.skippable();
            if skippable >= MIN_SPLICE_SIZE {
                let count = sink.splice_from(&mut source, skippable, cancelled)? as u64;
                if count > 0 {
                    check.skip(count)?;
                    continue;
                }
            }
            let count = sink.body.write_from(cancelled, |buffer| {
                let count = source.read(buffer)?;
                // Before they are sent: with the last byte, the client considers the file complete.
                check.see(&buffer[..count])?;
                Ok(count)
            })?;
            if count == 0 {
                return check.end();
            }
        }
    }
}

/// Checks the bytes of a file on their way, and remembers that it is truncated.
struct Check<'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    kind: TrackKind,
    url: &'scope Url,
    file: RemoteFile,
    /// `None` for a range from the middle of the file.
    completeness: Option<Completeness>,
}

impl Check<'_, '_> {
    fn see(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.verify(|completeness| completeness.see(bytes))
    }

    /// Returns how many of the next bytes need not be seen.
    fn skippable(&self) -> u64 {
        self.completeness.as_ref().map_or(u64::MAX, Completeness::skippable)
    }

    fn skip(&mut self, count: u64) -> Result<(), Error> {
        self.verify(|completeness| completeness.skip(count))
    }

    /// Checks that the file may end here. With a length, that was known before the last byte.
    fn end(&mut self) -> Result<(), Error> {
        if self.file.len.is_some() {
            return Ok(());
        }
        self.verify(|completeness| completeness.end())
    }

    fn verify(
        &mut self,
        check: impl FnOnce(&mut Completeness) -> Result<(), Incomplete>,
    ) -> Result<(), Error> {
        let Some(completeness) = &mut self.completeness else { return Ok(()) };
        check(completeness).map_err(|reason| {
            self.context.app.incomplete_files.insert(self.url, &self.file, reason.0);
            incomplete(self.kind, reason)
        })
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
