//! Sends a body to the client. Bytes that need not be inspected go from the socket of the upstream to
//! that of the client by splice(2), without a copy.

use std::cell::OnceCell;
use std::os::fd::BorrowedFd;

use super::planned_reader::TrackSource;
use crate::error::Error;
use crate::http_client::SPLICE_CHUNK;
use crate::http_server::BodyWriter;
use crate::sys::SplicePipe;

/// A body, and a pipe for zero-copy transfers into it.
pub(super) struct ClientSink<'b> {
    pub(super) body: &'b mut BodyWriter,
    /// Created on first use; `None` if that failed. Empty between transfers.
    splice_pipe: OnceCell<Option<SplicePipe>>,
}

impl<'b> ClientSink<'b> {
    pub(super) fn new(body: &'b mut BodyWriter) -> ClientSink<'b> {
        ClientSink { body, splice_pipe: OnceCell::new() }
    }

    /// Transfers at most `max` of the next bytes of `source`; returns how many. 0 if zero-copy is not
    /// possible now, and the caller must read them.
    pub(super) fn splice_from(
        &mut self,
        source: &mut dyn TrackSource,
        max: u64,
        cancelled: BorrowedFd<'_>,
    ) -> Result<usize, Error> {
        let Some(mut body) = self.body.unframed().filter(|_| source.can_splice()) else {
            return Ok(0);
        };
        let Some(pipe) = self.splice_pipe.get_or_init(new_splice_pipe) else { return Ok(0) };
        // The upstream may have to be waited for.
        body.flush(cancelled)?;
        let count = source.splice_into(pipe, max)?;
        body.splice_from(pipe, count, cancelled)?;
        Ok(count)
    }
}

/// Creates a pipe. Without one, bytes are copied; a smaller one is only slower.
fn new_splice_pipe() -> Option<SplicePipe> {
    let created =
        SplicePipe::new().inspect_err(|error| log::debug!("cannot create a splice pipe: {error}"));
    let pipe = created.ok()?;
    if let Err(error) = pipe.resize(SPLICE_CHUNK as i32) {
        log::debug!("cannot enlarge a splice pipe: {error}");
    }
    Some(pipe)
}
