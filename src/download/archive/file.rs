//! One file of an archive: inspects it, and writes it, or the text that says why it is missing.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use time::{Date, Month};

use super::Job;
use super::entries::Entry;
use crate::archive::{ArchiveFormat, Checksum, Member, Sent};
use crate::cancel::CancelToken;
use crate::disposition::file_name;
use crate::download::deliver::{Order, Recipient, deliver};
use crate::download::{
    DownloadContext, MediaResponse, Prepared, ShortResponse, media_of, new_token,
};
use crate::error::{ArchiveError, Error};
use crate::http_server::{BodyWriter, Request, ResponseHead};
use crate::media::Media;
use crate::memory_budget::Reservation;
use crate::planned_archives::PlannedFile;
use crate::problem::Problem;
use crate::resolve::RequestContext;

/// A text in place of a file.
pub(super) struct Text {
    name: String,
    pub(super) content: String,
}

impl Text {
    /// Says why the file of `entry` is missing.
    pub(super) fn new(entry: &Entry, cause: &Error) -> Text {
        let problem = Problem::from(cause);
        let link = entry.page_url.as_ref().map(|url| format!("{url}\n")).unwrap_or_default();
        let content = format!("{link}is missing: {} ({})\n", problem.detail, problem.code);
        let title = entry.title.as_deref().unwrap_or("missing");
        Text { name: numbered(entry.number, title, "txt"), content }
    }

    pub(super) fn member(&self) -> Member {
        Member { name: self.name.clone(), len: Some(self.content.len() as u64), modified: 0 }
    }
}

/// Returns the cause as an error if it ends the whole archive.
pub(super) fn unless_fatal(cause: Arc<Error>) -> Result<Arc<Error>, Arc<Error>> {
    match *cause {
        Error::ClientLeft | Error::ClientStalled(_) | Error::Draining | Error::Stopped => {
            Err(cause)
        }
        _ => Ok(cause),
    }
}

/// Returns the name of the file of an entry.
fn numbered(number: u32, title: &str, extension: &str) -> String {
    file_name(&format!("{number:03} {title}"), extension)
}

/// Returns the file that a response is of.
fn member(entry: &Entry, media: &Described, head: &ResponseHead, len: Option<u64>) -> Member {
    let title = media.title.as_deref().or(entry.title.as_deref()).unwrap_or_default();
    let name = numbered(entry.number, title, head.file_extension());
    Member { name, len, modified: media.modified }
}

/// What a file is called, and when it was made.
struct Described {
    title: Option<String>,
    modified: u64,
}

impl Described {
    fn new(media: &Media) -> Described {
        let modified = media.metadata.date.as_deref().and_then(seconds).unwrap_or(0);
        Described { title: media.name.clone(), modified }
    }
}

/// Returns the beginning of a day (`YYYY-MM-DD`), in seconds since 1970.
fn seconds(date: &str) -> Option<u64> {
    let mut numbers = date.split('-');
    let (year, month) = (numbers.next()?.parse().ok()?, numbers.next()?.parse::<u8>().ok()?);
    let month = Month::try_from(month).ok()?;
    let date = Date::from_calendar_date(year, month, numbers.next()?.parse().ok()?).ok()?;
    u64::try_from(date.midnight().assume_utc().unix_timestamp()).ok()
}

/// Returns the media of an entry.
fn media(
    job: Job<'_>,
    entry: &Entry,
    cancel: &Arc<CancelToken>,
) -> Result<(Media, Reservation), Error> {
    let Job { app, archive, client, .. } = job;
    let page_url = entry.page_url.as_ref().ok_or(Error::Archive(ArchiveError::NoLink))?;
    if !page_url.host_str().is_some_and(job.may_request) {
        return Err(Error::Archive(ArchiveError::HostNotAllowed));
    }
    let page = app.resolver.resolve(page_url, &RequestContext { client, cancel })?;
    if page.is_live {
        return Err(Error::Archive(ArchiveError::Live));
    }
    media_of(app, &page, &archive.choice, (&job.options(), client), cancel)
}

fn order<'o>(
    job: Job<'o>,
    (media, memory): (Media, Reservation),
    request: &'o Request,
) -> Order<'o> {
    let Job { app, client, started, .. } = job;
    Order { app, media, memory, options: job.options(), request, client, started }
}

/// Returns the file of an entry, as a HEAD request would tell.
pub(super) fn inspect(
    job: Job<'_>,
    entry: &Entry,
    cancel_token: &dyn Fn() -> io::Result<CancelToken>,
) -> Result<(Member, PlannedFile), Arc<Error>> {
    let cancel = new_token(cancel_token()).map_err(Arc::new)?;
    let media = media(job, entry, &cancel).map_err(|error| cancel.cancel_with(error))?;
    let described = Described::new(&media.0);
    let request = job.request.for_file(true, None);
    let order = order(job, media, &request);
    let head = deliver(order, cancel, Inspector(cancel_token))?;
    let len = head.content_length();
    if len.is_none() && job.archive.format == ArchiveFormat::Tar {
        return Err(Arc::new(Error::Archive(ArchiveError::LengthUnknown)));
    }
    let page_url = entry.page_url.clone();
    let file = PlannedFile::Media {
        number: entry.number,
        page_url: page_url.ok_or(Arc::new(Error::Archive(ArchiveError::NoLink)))?,
        etag: head.field("ETag").map(str::to_owned),
        is_ranged: head.field("Accept-Ranges") == Some("bytes"),
    };
    Ok((member(entry, &described, &head, len), file))
}

/// Looks at the head of a response.
struct Inspector<'i>(&'i dyn Fn() -> io::Result<CancelToken>);

impl Recipient for Inspector<'_> {
    type Outcome = Result<ResponseHead, Arc<Error>>;

    fn cancel_token(&self) -> io::Result<CancelToken> {
        (self.0)()
    }

    fn receive(self, _: &DownloadContext<'_, '_>, response: Prepared<'_>) -> Self::Outcome {
        match response {
            Prepared::Short(ShortResponse::Head(head)) => Ok(head),
            _ => Err(Arc::new(Error::Internal(
                "a request for the head of a file has another response",
            ))),
        }
    }

    fn fail(self, cause: Arc<Error>) -> Self::Outcome {
        Err(cause)
    }

    fn cause(outcome: &Self::Outcome) -> Option<&Error> {
        outcome.as_ref().err().map(|cause| &**cause)
    }
}

/// Writes the file of an entry with what stands around it, or the text that says why it is missing.
pub(super) fn write(
    job: Job<'_>,
    entry: &Entry,
    body: &mut BodyWriter,
) -> Result<(Member, Sent), Arc<Error>> {
    let cancel = new_token(body.cancel_token()).map_err(Arc::new)?;
    let format = job.archive.format;
    let media = match media(job, entry, &cancel) {
        Ok(media) => media,
        Err(error) => {
            let cause = unless_fatal(cancel.cancel_with(error))?;
            return write_text(job, &Text::new(entry, &cause), body);
        }
    };
    let described = Described::new(&media.0);
    let request = job.request.for_file(false, None);
    let order = order(job, media, &request);
    let mut written = None;
    let mut begin = |head: &ResponseHead, body: &mut BodyWriter, cancelled: BorrowedFd<'_>| {
        let len = head.content_length();
        if len.is_none() && format == ArchiveFormat::Tar {
            return Err(Error::Archive(ArchiveError::LengthUnknown));
        }
        let member = member(entry, &described, head, len);
        body.write(&format.header(&member), cancelled)?;
        if format == ArchiveFormat::Zip {
            body.begin_checksum(Checksum::default(), 0);
        }
        written = Some(member);
        Ok(())
    };
    let outcome = deliver(order, cancel, Writer { body, begin: &mut begin });
    let checksum = body.take_checksum();
    let len = match outcome {
        Written::All(len) => len,
        Written::Nothing(cause) => {
            let cause = unless_fatal(cause)?;
            return write_text(job, &Text::new(entry, &cause), body);
        }
        Written::Part(cause) => return Err(cause),
    };
    let Some(member) = written else {
        return Err(Arc::new(Error::Internal("a file of an archive has no header")));
    };
    if member.len.is_some_and(|expected| expected != len) {
        return Err(Arc::new(Error::Internal(
            "a file of an archive has another length than its header",
        )));
    }
    end(job, member, Sent { len, crc: checksum.map_or(0, |checksum| checksum.value()) }, body)
}

/// Writes a text as a file, with what stands around it.
pub(super) fn write_text(
    job: Job<'_>,
    text: &Text,
    body: &mut BodyWriter,
) -> Result<(Member, Sent), Arc<Error>> {
    let cancel = new_token(body.cancel_token()).map_err(Arc::new)?;
    let (member, bytes) = (text.member(), text.content.as_bytes());
    let header = job.archive.format.header(&member);
    let written =
        body.write(&header, cancel.as_fd()).and_then(|()| body.write(bytes, cancel.as_fd()));
    written.map_err(|error| cancel.cancel_with(error))?;
    let mut checksum = Checksum::default();
    checksum.update(bytes);
    end(job, member, Sent { len: checksum.len(), crc: checksum.value() }, body)
}

/// Writes what stands behind a file.
fn end(
    job: Job<'_>,
    member: Member,
    sent: Sent,
    body: &mut BodyWriter,
) -> Result<(Member, Sent), Arc<Error>> {
    let cancel = new_token(body.cancel_token()).map_err(Arc::new)?;
    let written = body.write(&job.archive.format.footer(sent), cancel.as_fd());
    written.map_err(|error| cancel.cancel_with(error))?;
    Ok((member, sent))
}

/// What a file has to be, to be sent as planned.
pub(super) struct Expected<'e> {
    pub(super) member: &'e Member,
    pub(super) etag: Option<&'e str>,
    /// The bytes that are to be sent.
    pub(super) bytes: Range<u64>,
    /// The checksum of the bytes before them, or of fewer.
    pub(super) checksum: Option<Checksum>,
}

/// Writes bytes of the file of an entry. The checksum of all before their end is left with `body`.
pub(super) fn write_range(
    job: Job<'_>,
    entry: &Entry,
    expected: Expected<'_>,
    body: &mut BodyWriter,
) -> Result<(), Arc<Error>> {
    let Expected { member, etag, bytes, checksum } = expected;
    let from = checksum.as_ref().map_or(bytes.start, Checksum::len);
    let needed = from..bytes.end;
    let all = 0..member.len.unwrap_or(0);
    let cancel = new_token(body.cancel_token()).map_err(Arc::new)?;
    let media = media(job, entry, &cancel).map_err(|error| cancel.cancel_with(error))?;
    let request = job.request.for_file(false, (needed != all).then_some(&needed));
    let order = order(job, media, &request);
    let mut checksum = checksum;
    let mut begin = |head: &ResponseHead, body: &mut BodyWriter, _: BorrowedFd<'_>| {
        let is_whole = match head.field("Content-Range") {
            Some(range) => range.ends_with(&format!("/{}", all.end)),
            None => needed == all,
        };
        let is_same = head.content_length() == Some(needed.end - needed.start)
            && is_whole
            && (etag.is_none() || head.field("ETag") == etag);
        if !is_same {
            return Err(Error::Archive(ArchiveError::Changed));
        }
        if let Some(checksum) = checksum.take() {
            body.begin_checksum(checksum, bytes.start - from);
        }
        Ok(())
    };
    match deliver(order, cancel, Writer { body, begin: &mut begin }) {
        Written::All(_) => Ok(()),
        Written::Nothing(cause) | Written::Part(cause) => Err(cause),
    }
}

/// Is called with the head of a file before its bytes are written.
type Begin<'w> =
    dyn FnMut(&ResponseHead, &mut BodyWriter, BorrowedFd<'_>) -> Result<(), Error> + 'w;

/// Writes a file into an archive.
struct Writer<'w> {
    body: &'w mut BodyWriter,
    begin: &'w mut Begin<'w>,
}

/// How much of a file was written.
enum Written {
    /// All of it, which are so many bytes.
    All(u64),
    /// Nothing, because of this.
    Nothing(Arc<Error>),
    /// A part, because of this.
    Part(Arc<Error>),
}

impl Recipient for Writer<'_> {
    type Outcome = Written;

    fn cancel_token(&self) -> io::Result<CancelToken> {
        self.body.cancel_token()
    }

    fn receive(self, context: &DownloadContext<'_, '_>, response: Prepared<'_>) -> Written {
        let Writer { body, begin } = self;
        let Prepared::Media(MediaResponse { head, body: media, .. }) = response else {
            return Written::Nothing(Arc::new(Error::Internal(
                "a file of an archive has no bytes",
            )));
        };
        let cancelled = context.cancelled();
        let begun = begin(&head, body, cancelled);
        if let Err(error) = begun {
            return Written::Nothing(context.cancel.cancel_with(error));
        }
        let written = body.flush(cancelled).and_then(|()| {
            let before = body.sent();
            media.write(body)?;
            body.flush(cancelled)?;
            Ok(body.sent() - before)
        });
        match written {
            Ok(len) => Written::All(len),
            Err(error) => Written::Part(context.cancel.cancel_with(error)),
        }
    }

    fn fail(self, cause: Arc<Error>) -> Written {
        Written::Nothing(cause)
    }

    fn cause(outcome: &Written) -> Option<&Error> {
        match outcome {
            Written::All(_) => None,
            Written::Nothing(cause) | Written::Part(cause) => Some(cause),
        }
    }
}
