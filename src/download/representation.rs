//! What of a file is sent, as its request's conditions and ranges have it: the same for each file
//! whose length is known.

use std::ops::Range;

use super::{DownloadContext, Outcome};
use crate::http_server::{ResponseHead, Selection, select};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;

/// What is to be sent.
pub(super) enum Representation<'c, 'edge> {
    /// No bytes of the file.
    Done(Outcome<'c, 'edge>),
    /// This head, and then these bytes of the file; all of it, if nothing is said.
    Send(ResponseHead, Option<Range<u64>>),
}

/// Completes `head` for a file with this strong ETag, if it has one, of this length, if that is
/// known; `ranged` says whether parts of it can be sent.
pub(super) fn select_representation<'c, 'edge>(
    context: &DownloadContext<'c, 'edge, '_>,
    mut head: ResponseHead,
    etag: Option<&str>,
    len: Option<u64>,
    ranged: bool,
) -> Representation<'c, 'edge> {
    let part_of = len.filter(|_| ranged);
    let selected = select(context.request, etag, part_of);
    head = head.with("Accept-Ranges", if part_of.is_some() { "bytes" } else { "none" });
    if let Some(etag) = etag {
        head = head.with("ETag", etag);
    }
    match (selected, part_of) {
        (Selection::NotModified, _) => Representation::Done(Outcome::Head(head.status(304))),
        (Selection::PreconditionFailed, _) => {
            let detail = "the file is not the one that If-Match names";
            let problem = Problem::new(ProblemCode::PreconditionFailed, detail);
            Representation::Done(Outcome::Reply(context.problem_response(&problem)))
        }
        (Selection::Unsatisfiable, Some(len)) => {
            let detail = format!("the file has {len} bytes, and none of those asked for");
            let reply =
                context.problem_response(&Problem::new(ProblemCode::RangeNotSatisfiable, detail));
            Representation::Done(Outcome::Reply(
                reply.with("Content-Range", format!("bytes */{len}")),
            ))
        }
        (Selection::Range(part), Some(len)) => {
            let range = format!("bytes {}-{}/{len}", part.start, part.end - 1);
            let head = head.status(206).with("Content-Range", range);
            Representation::Send(head.length(part.end - part.start), Some(part))
        }
        _ => {
            let head = match len {
                Some(len) => head.length(len),
                None => head,
            };
            if context.request.head_only {
                return Representation::Done(Outcome::Head(head));
            }
            Representation::Send(head, None)
        }
    }
}

/// A strong validator made of everything that a file depends on.
pub(super) fn etag<'b>(identity: impl IntoIterator<Item = &'b [u8]>) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for bytes in identity {
        context.update(&bytes.len().to_be_bytes());
        context.update(bytes);
    }
    let hash = context.finish();
    let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}
