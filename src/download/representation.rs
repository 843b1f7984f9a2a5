//! Applies preconditions and ranges to a file of known content: selects status, fields and bytes. Says how
//! long caches may keep it.

use std::ops::Range;

use super::ShortResponse;
use crate::access::Audience;
use crate::app::App;
use crate::http_server::{MediaStatus, Request, Response, ResponseHead, Selection, select};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;

/// The selected response.
pub(super) enum Representation {
    /// A response without bytes of the file.
    Short(ShortResponse),
    /// This head, then this byte range of the file; `None` for the complete file.
    Send(ResponseHead, Option<Range<u64>>),
}

/// Selects the response to `request` for a file and completes its `head`. `etag` is the strong ETag, if there is one,
/// `len` the length, if known; `ranged` says whether byte ranges can be sent.
pub(super) fn select_representation(
    (app, request): (&App, &Request),
    mut head: ResponseHead,
    etag: Option<&str>,
    len: Option<u64>,
    ranged: bool,
) -> Representation {
    let ranged_len = len.filter(|_| ranged);
    let selection = select(request, etag, ranged_len);
    let refuse = |problem: &Problem| Response::problem(problem, request.wants_html);
    head = head.with("Accept-Ranges", if ranged_len.is_some() { "bytes" } else { "none" });
    if let Some(etag) = etag {
        head = head.with("ETag", etag);
    }
    // Without a length, a cache could take a part for all of it; without an ETag, parts of two files for one.
    if etag.is_some() && len.is_some() {
        head = head.with("Cache-Control", cache_control(app, request));
    }
    match (selection, ranged_len) {
        (Selection::NotModified, _) => {
            Representation::Short(ShortResponse::Head(head.status(MediaStatus::NotModified)))
        }
        (Selection::PreconditionFailed, _) => {
            let detail = "the file does not match If-Match; download it again";
            let problem = Problem::new(ProblemCode::PreconditionFailed, detail);
            Representation::Short(ShortResponse::Response(refuse(&problem)))
        }
        (Selection::Unsatisfiable, Some(len)) => {
            let detail = format!("the file has {len} bytes, and none of the requested range");
            let response = refuse(&Problem::new(ProblemCode::RangeNotSatisfiable, detail));
            Representation::Short(ShortResponse::Response(
                response.with("Content-Range", format!("bytes */{len}")),
            ))
        }
        (Selection::Range(range), Some(len)) => {
            let content_range = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            let head =
                head.status(MediaStatus::PartialContent).with("Content-Range", content_range);
            Representation::Send(head.length(range.end - range.start), Some(range))
        }
        _ => {
            let head = match len {
                Some(len) => head.length(len),
                None => head,
            };
            if request.head_only {
                return Representation::Short(ShortResponse::Head(head));
            }
            Representation::Send(head, None)
        }
    }
}

/// Returns the value of Cache-Control for a file that caches can keep.
fn cache_control(app: &App, request: &Request) -> String {
    let audience = Audience::new(*app.access_mode.get(), &request.provenance, &request.target);
    audience.cache_control(app.config.cache.max_age.0.as_secs())
}

/// Returns a strong ETag: the hash of everything that the content of a file depends on.
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
