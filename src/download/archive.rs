//! Serves several pages as the files of one archive. Each file is what a client gets who requests it by itself.
//!
//! If the lengths of all files are found out in time, the archive behaves like a static file: its plan says where
//! each of its bytes is. Otherwise the files are sent as they come, and what fails before its first byte becomes a text
//! that says why.
//!
//! **Invariant:** an archive that ends in order has a file for each entry that was requested.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use super::context::file_head;
use super::record::Record;
use super::representation::{Representation, select_representation};
use super::{Ended, ShortResponse, check_sponsorblock, conclude, new_token};
use crate::app::App;
use crate::archive::ArchiveFormat;
use crate::cancel::CancelToken;
use crate::error::{ArchiveError, Error};
use crate::http_server::{BodyWriter, ClientConnection, Request, ResponseHead};
use crate::labels::EngineName;
use crate::limits::Client;
use crate::options::{LengthPolicy, OutputOptions};
use crate::planned_archives::{ArchiveKey, PlannedArchive};
use crate::request_id::carried;
use crate::resolve::RequestContext;
use crate::route::ArchiveRequest;

mod entries;
mod file;
mod plan;
mod planned;

use entries::{Entries, Entry};
use file::Text;

/// How long to look for the lengths of all files before an archive starts without them.
const LENGTH_TIMEOUT: Duration = Duration::from_secs(3);
/// The name of an archive of pages that have no list.
const DEFAULT_NAME: &str = "videos";

/// What the files of one archive have in common.
#[derive(Clone, Copy)]
struct Job<'j> {
    app: &'j App,
    archive: &'j ArchiveRequest,
    /// Tells of which hosts the client may request pages.
    may_request: &'j dyn Fn(&str) -> bool,
    request: &'j Request,
    client: Client,
    started: Instant,
}

impl Job<'_> {
    /// Returns the options of each file. A tar needs its length beforehand.
    fn options(&self) -> OutputOptions {
        let options = self.archive.options;
        match self.archive.format {
            ArchiveFormat::Tar => OutputOptions { length: LengthPolicy::Wait, ..options },
            ArchiveFormat::Zip => options,
        }
    }

    /// Returns what tells the archive from others.
    fn key(&self) -> Result<ArchiveKey, Error> {
        let cookies = self.app.resolver.cookies_id(self.client)?;
        Ok(ArchiveKey { target: self.request.target.clone(), cookies })
    }

    /// Returns until when lengths are looked for; `None` if they are not. Who requests a range knows that they can be
    /// found.
    fn plan_until(&self) -> Option<Deadline> {
        let is_ranged = self.request.preconditions.range.is_some();
        match self.archive.options.length {
            LengthPolicy::None => None,
            LengthPolicy::Auto if !is_ranged => Some(Deadline(Some(self.started + LENGTH_TIMEOUT))),
            LengthPolicy::Auto | LengthPolicy::Wait => Some(Deadline(None)),
        }
    }
}

/// A point in time, or none.
#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn has_passed(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }
}

/// Sends the archive to `client`. On an error, sends a problem before the commit point and resets the connection after
/// it. `may_request` tells of which hosts the client may request pages.
pub fn serve(
    app: &App,
    archive: &ArchiveRequest,
    may_request: &dyn Fn(&str) -> bool,
    request: &Request,
    client: ClientConnection,
) {
    let mut record = Record::new(app, archive, &client);
    let started = Instant::now();
    let job = Job { app, archive, may_request, request, client: client.client(), started };
    conclude(&mut record, run(job, client), request);
}

/// Runs the download with its permit held.
fn run(job: Job<'_>, client: ClientConnection) -> Ended {
    let Job { app, .. } = job;
    let cancel = match new_token(client.cancel_token()) {
        Ok(cancel) => cancel,
        Err(error) => return Ended::Failed(client, Arc::new(error)),
    };
    let timeout = app.config.limits.slot_timeout.0;
    let permit = app.stream_limiter.try_acquire(job.client, &cancel, timeout);
    let prepared = permit.and_then(|permit| {
        check_sponsorblock(app, &job.archive.choice)?;
        let context = RequestContext { client: job.client, cancel: &cancel };
        let mut entries = Entries::new(job, &context)?;
        let plan = match job.plan_until() {
            Some(until) => plan::plan(job, &mut entries, until, &|| client.cancel_token())?,
            None => None,
        };
        Ok((permit, entries, plan))
    });
    let (_permit, entries, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Ended::Failed(client, cancel.cancel_with(error)),
    };
    match plan {
        Some(plan) => send_planned(job, &plan, client, &cancel),
        None => send_open(job, entries, client, &cancel),
    }
}

/// Returns the head of the response.
fn head(job: Job<'_>, title: Option<&str>) -> ResponseHead {
    let format = job.archive.format;
    file_head(Some(title.unwrap_or(DEFAULT_NAME)), format.media_type(), format.extension())
}

/// Passes the commit point.
fn commit(
    job: Job<'_>,
    head: &ResponseHead,
    client: ClientConnection,
    cancel: &CancelToken,
) -> Result<BodyWriter, Box<Ended>> {
    let engine = Some(EngineName::Archive);
    job.app.metrics.first_byte(engine, job.started.elapsed());
    client.record().first_byte(engine);
    client.commit(head, job.request).map_err(|refused| {
        let (client, error) = *refused;
        Box::new(Ended::Failed(client, cancel.cancel_with(error)))
    })
}

/// Sends an archive of known length.
fn send_planned(
    job: Job<'_>,
    plan: &Arc<PlannedArchive>,
    client: ClientConnection,
    cancel: &CancelToken,
) -> Ended {
    let head = head(job, plan.title.as_deref());
    let is_ranged = plan.has_ranges(job.request);
    let (etag, len) = (plan.etag.as_deref(), Some(plan.layout.total_len()));
    let selected = select_representation((job.app, job.request), head, etag, len, is_ranged);
    let (head, range) = match selected {
        Representation::Short(response) => return Ended::Unsent(client, response),
        Representation::Send(head, range) => (head, range.unwrap_or(0..plan.layout.total_len())),
    };
    let mut body = match commit(job, &head, client, cancel) {
        Ok(body) => body,
        Err(ended) => return *ended,
    };
    match planned::write(job, plan, &range, &mut body) {
        Ok(()) => Ended::Sent(body),
        Err(cause) => {
            if *cause == Error::Archive(ArchiveError::Changed)
                && let Ok(key) = job.key()
            {
                job.app.planned_archives.remove(&key);
            }
            Ended::Aborted(body, cause)
        }
    }
}

/// Sends an archive whose files are sent as they come.
fn send_open(
    job: Job<'_>,
    mut entries: Entries<'_>,
    client: ClientConnection,
    cancel: &CancelToken,
) -> Ended {
    entries.rewind();
    let head = head(job, entries.title()).with("Accept-Ranges", "none");
    if job.request.head_only {
        return Ended::Unsent(client, ShortResponse::Head(head));
    }
    let mut body = match commit(job, &head, client, cancel) {
        Ok(body) => body,
        Err(ended) => return *ended,
    };
    match write_open(job, &mut entries, &mut body) {
        Ok(()) => Ended::Sent(body),
        Err(cause) => Ended::Aborted(body, cause),
    }
}

/// Writes the files one after the other. While one is sent, the page of the next one is read.
fn write_open(
    job: Job<'_>,
    entries: &mut Entries<'_>,
    body: &mut BodyWriter,
) -> Result<(), Arc<Error>> {
    let format = job.archive.format;
    let mut files = Vec::new();
    loop {
        let cancel = new_token(body.cancel_token()).map_err(Arc::new)?;
        // Whoever waits for a page has all that comes before it.
        body.flush(cancel.as_fd()).map_err(Arc::new)?;
        let context = RequestContext { client: job.client, cancel: &cancel };
        match entries.next(&context) {
            None => break,
            Some(Ok(entry)) => {
                let may_request = |url: &Url| url.host_str().is_some_and(job.may_request);
                let ahead = entries.following().filter(may_request);
                let resolver = &job.app.resolver;
                files.push(thread::scope(|scope| {
                    if let Some(page_url) = ahead {
                        let read = move || drop(resolver.resolve(&page_url, &context));
                        // Whether it can be read is seen when it is its turn; then there is time for it, too.
                        let reader = thread::Builder::new().name("ahead".into());
                        reader.spawn_scoped(scope, carried(read)).ok();
                    }
                    let written = file::write(job, &entry, body);
                    cancel.cancel();
                    written
                })?);
            }
            Some(Err((number, cause))) => {
                let cause = file::unless_fatal(cancel.cancel_with(cause))?;
                let text = Text::new(&Entry { number, ..Entry::default() }, &cause);
                files.push(file::write_text(job, &text, body)?);
                break;
            }
        }
    }
    let cancel = new_token(body.cancel_token()).map_err(Arc::new)?;
    let trailer = format.trailer(&files);
    let written = body.write(&trailer, cancel.as_fd()).and_then(|()| body.flush(cancel.as_fd()));
    written.map_err(|error| cancel.cancel_with(error))
}
