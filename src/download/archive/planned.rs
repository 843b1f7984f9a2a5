//! Writes a byte range of an archive of known length.

use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::Job;
use super::entries::Entry;
use super::file::{self, Expected};
use crate::archive::{ArchiveFormat, Part};
use crate::download::new_token;
use crate::error::Error;
use crate::http_server::BodyWriter;
use crate::planned_archives::{PlannedArchive, PlannedFile};

/// Writes these bytes of the archive.
pub(super) fn write(
    job: Job<'_>,
    plan: &PlannedArchive,
    range: &Range<u64>,
    body: &mut BodyWriter,
) -> Result<(), Arc<Error>> {
    let format = plan.layout.format();
    let cancel = new_token(body.cancel_token()).map_err(Arc::new)?;
    let put = |body: &mut BodyWriter, bytes: &[u8], range: &Range<u64>| {
        let slice = index(range).and_then(|range| bytes.get(range));
        let slice = slice.ok_or(Error::Internal("an archive differs from its layout"));
        let written = slice.and_then(|slice| body.write(slice, cancel.as_fd()));
        written.map_err(|error| cancel.cancel_with(error))
    };
    let unknown = || Arc::new(Error::Internal("the checksum of a file is unknown"));
    for part in plan.layout.parts(range) {
        match part {
            Part::Header(index, bytes) => {
                put(body, &format.header(&plan.layout.members()[index]), &bytes)?;
            }
            Part::Content(index, bytes) => match &plan.files[index] {
                PlannedFile::Text(text) => put(body, text.as_bytes(), &bytes)?,
                media @ PlannedFile::Media { .. } => {
                    write_content(job, plan, (index, media), bytes, body)?;
                }
            },
            Part::Footer(index, bytes) => {
                put(body, &format.footer(plan.sent(index).ok_or_else(unknown)?), &bytes)?;
            }
            Part::Trailer(bytes) => {
                let members = plan.layout.members().iter().cloned().enumerate();
                let files = members.map(|(index, member)| Some((member, plan.sent(index)?)));
                let files: Option<Vec<_>> = files.collect();
                put(body, &format.trailer(&files.ok_or_else(unknown)?), &bytes)?;
            }
        }
    }
    body.flush(cancel.as_fd()).map_err(|error| cancel.cancel_with(error))
}

/// Writes these bytes of a file. Those before them are read, too, as far as its checksum is not known there.
fn write_content(
    job: Job<'_>,
    plan: &PlannedArchive,
    (index, file): (usize, &PlannedFile),
    bytes: Range<u64>,
    body: &mut BodyWriter,
) -> Result<(), Arc<Error>> {
    let PlannedFile::Media { number, page_url, etag, .. } = file else { return Ok(()) };
    let entry = Entry { number: *number, page_url: Some(page_url.clone()), title: None };
    let known = plan.checksum(index);
    let is_zip = plan.layout.format() == ArchiveFormat::Zip;
    let checksum = if is_zip { known.back_to(bytes.start) } else { None };
    let expected =
        Expected { member: &plan.layout.members()[index], etag: etag.as_deref(), bytes, checksum };
    let written = file::write_range(job, &entry, expected, body);
    if let Some(checksum) = body.take_checksum() {
        plan.keep_checksum(index, checksum);
    }
    written
}

fn index(range: &Range<u64>) -> Option<Range<usize>> {
    Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}
