//! Where a file goes, and the short way there: what need not be seen passes from the socket of an
//! upstream to that of the client without a copy.

use std::cell::OnceCell;
use std::os::fd::BorrowedFd;

use crate::error::Error;
use crate::fetch::TrackReader;
use crate::http_client::SPLICE_CHUNK;
use crate::http_server::BodyWriter;
use crate::sys::SplicePipe;

/// A body, and the short way to it.
pub(super) struct ClientSink<'c, 'edge> {
    pub(super) body: BodyWriter<'c, 'edge>,
    /// Made when it is first of use. Empty but while bytes are being passed on.
    splice_pipe: OnceCell<Option<SplicePipe>>,
}

impl<'c, 'edge> ClientSink<'c, 'edge> {
    pub(super) fn new(body: BodyWriter<'c, 'edge>) -> ClientSink<'c, 'edge> {
        ClientSink { body, splice_pipe: OnceCell::new() }
    }

    /// Passes on up to `most` of the next bytes of `source`: how many, none if they must be fetched.
    pub(super) fn splice_from(
        &mut self,
        source: &mut TrackReader<'_, '_>,
        most: u64,
        over: BorrowedFd<'_>,
    ) -> Result<usize, Error> {
        if !self.body.is_unframed() || !source.can_splice() {
            return Ok(0);
        }
        let Some(conduit) = self.splice_pipe.get_or_init(conduit) else { return Ok(0) };
        // They may have to be waited for.
        self.body.flush(over)?;
        let count = source.splice_into(conduit, most)?;
        self.body.send_through(conduit, count, over)?;
        Ok(count)
    }
}

/// It is of use with less room than it might have, and nobody depends on it.
fn conduit() -> Option<SplicePipe> {
    let made = SplicePipe::new().inspect_err(|error| log::debug!("no conduit: {error}"));
    let conduit = made.ok()?;
    if let Err(error) = conduit.resize(SPLICE_CHUNK as i32) {
        log::debug!("a conduit is smaller than it might be: {error}");
    }
    Some(conduit)
}
