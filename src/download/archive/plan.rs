//! Plans an archive: finds out the lengths of all its files.

use std::io;
use std::sync::Arc;

use super::entries::Entries;
use super::file::{self, Text};
use super::{Deadline, Job};
use crate::archive::{Layout, Member};
use crate::cancel::CancelToken;
use crate::download::{new_token, representation};
use crate::error::{ArchiveError, Error};
use crate::planned_archives::{PlannedArchive, PlannedFile};
use crate::resolve::RequestContext;

/// Returns the plan of the archive; `None` if a length is not known, or not until the deadline.
pub(super) fn plan(
    job: Job<'_>,
    entries: &mut Entries<'_>,
    until: Deadline,
    cancel_token: &dyn Fn() -> io::Result<CancelToken>,
) -> Result<Option<Arc<PlannedArchive>>, Error> {
    let planned = &job.app.planned_archives;
    let is_ranged = job.request.preconditions.range.is_some();
    let key = job.key()?;
    if let Some(plan) = planned.get(&key)
        // What failed may work now; but who resumes needs the archive as it was.
        && (is_ranged || !plan.lacks_any())
    {
        return Ok(Some(plan));
    }
    let (mut members, mut files) = (Vec::new(), Vec::new());
    loop {
        if until.has_passed() {
            return Ok(None);
        }
        let cancel = new_token(cancel_token())?;
        let entry = match entries.next(&RequestContext { client: job.client, cancel: &cancel }) {
            None => break,
            Some(Err((_, error @ Error::Archive(ArchiveError::TooMany(_))))) => return Err(error),
            Some(Err((_, error))) => {
                file::unless_fatal(cancel.cancel_with(error)).map_err(|cause| (*cause).clone())?;
                // It may be read when it is needed.
                return Ok(None);
            }
            Some(Ok(entry)) => entry,
        };
        let (member, planned) = match file::inspect(job, &entry, cancel_token) {
            Ok(file) => file,
            Err(cause) => {
                let cause = file::unless_fatal(cause).map_err(|cause| (*cause).clone())?;
                let text = Text::new(&entry, &cause);
                (text.member(), PlannedFile::Text(text.content))
            }
        };
        if member.len.is_none() {
            return Ok(None);
        }
        members.push(member);
        files.push(planned);
    }
    let etag = etag(job, &members, &files);
    let title = entries.title().map(str::to_owned);
    let layout = Layout::new(job.archive.format, members);
    let plan = layout.map(|layout| PlannedArchive::new(title, layout, files, etag));
    Ok(plan.map(|plan| planned.insert(key, plan)))
}

/// Returns the strong ETag: the hash of everything that the content of the archive depends on. `None` if a file has none.
fn etag(job: Job<'_>, members: &[Member], files: &[PlannedFile]) -> Option<String> {
    let mut identity = vec![b"archive 1".to_vec(), job.archive.format.extension().into()];
    for (member, file) in members.iter().zip(files) {
        identity.push(job.archive.format.header(member));
        identity.push(member.len?.to_be_bytes().to_vec());
        identity.push(match file {
            PlannedFile::Media { etag, .. } => etag.as_ref()?.clone().into(),
            PlannedFile::Text(text) => text.clone().into(),
        });
    }
    Some(representation::etag(identity.iter().map(Vec::as_slice)))
}
