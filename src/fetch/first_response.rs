//! Completes the description of the file from its first response: determines what that leaves open
//! before anything relies on it.

use crate::error::UpstreamError;
use crate::fetch::cursor::Cursor;
use crate::fetch::requester::Requester;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::media::remote_file::{RemoteFile, ValidatorMatch};

impl<'u> Requester<'u> {
    /// Completes the first response.
    pub(super) fn complete(
        &mut self,
        mut response: RangeResponse,
        cursor: &Cursor,
    ) -> Result<RangeResponse, UpstreamError> {
        if response.file.ranged && response.file.len.is_none() {
            response = self.with_size(response, cursor)?;
        }
        // A server that sent the full file instead of a range, or refused a range before, may
        // support ranges all the same.
        let gave_all = response.file.ranged
            && response.is_more
            && response.body.start == 0
            && response.body.end == response.file.len;
        if gave_all || self.retry.fallbacks.next_is_full {
            response.file.ranged = self.supports_ranges(&response.file, cursor);
        }
        let (may_retry, was_tried) = self.retry.fallbacks.other_nodes();
        self.upstream.host_memory.canonicalize(
            &self.target.location.url,
            &mut response.file,
            may_retry,
            was_tried,
        )?;
        Ok(response)
    }

    /// Returns the response with the length of the file where the server withheld it
    /// (`Content-Range: bytes …/*`); or another response, whose end is delimited.
    fn with_size(
        &self,
        mut response: RangeResponse,
        cursor: &Cursor,
    ) -> Result<RangeResponse, UpstreamError> {
        if let Ok(full) = (RangeRequest { range: None, ..self.probe_request(None, cursor) }).fetch()
        {
            let validators = &response.file.validators;
            match validators.compare(&full.file.validators) {
                ValidatorMatch::Different => return Err(UpstreamError::ValidatorsDisagree),
                _ if full.file.len.is_some() => {
                    response.file.len = full.file.len;
                    return Ok(response);
                }
                // A chunked body; its last chunk marks the end.
                _ => return Ok(full),
            }
        }
        let location = &self.target.location;
        let named = location.url.query_pairs().find(|(name, _)| name == "clen");
        let named = named.and_then(|(_, len)| len.parse().ok());
        let hints = [location.len, named, self.probe_request(None, cursor).head_len()];
        let len = hints.into_iter().flatten().find(|len| self.ends_at(*len, cursor));
        response.file.len = Some(len.ok_or(UpstreamError::LengthUnknown)?);
        Ok(response)
    }

    /// Returns whether the file has exactly `len` bytes: of the two bytes around that offset only
    /// the first one exists.
    fn ends_at(&self, len: u64, cursor: &Cursor) -> bool {
        let Some(last) = len.checked_sub(1) else { return false };
        let range = Some(last..len.saturating_add(1));
        let response = RangeRequest { range, ..self.probe_request(None, cursor) }.fetch();
        response.is_ok_and(|RangeResponse { body, .. }| body.start == last && body.end == Some(len))
    }

    /// Returns whether the server sends byte ranges of the file: the last byte comes alone.
    fn supports_ranges(&self, file: &RemoteFile, cursor: &Cursor) -> bool {
        let Some((len, last)) = file.len.and_then(|len| Some((len, len.checked_sub(1)?))) else {
            return false;
        };
        let file = RemoteFile { ranged: true, ..file.clone() };
        let response =
            RangeRequest { range: Some(last..len), ..self.probe_request(Some(file), cursor) }
                .fetch();
        response.is_ok_and(|RangeResponse { body, .. }| body.start == last)
    }

    /// Makes a separate request on a connection of its own.
    fn probe_request(&self, file: Option<RemoteFile>, cursor: &Cursor) -> RangeRequest<'u> {
        let request = self.request(None, cursor, cursor.offset);
        RangeRequest { file, send_if_range: false, may_reuse: false, ..request }
    }
}
