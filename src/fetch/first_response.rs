//! The first answer, which says what the file is: what it leaves open is found out otherwise, before
//! anybody builds on it.

use crate::error::UpstreamError;
use crate::fetch::TrackReader;
use crate::http_client::body::RangeBody;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::validate::{RemoteFile, ValidatorMatch};

impl<'scope> TrackReader<'scope, '_> {
    /// Completes the first answer.
    pub(super) fn complete(
        &mut self,
        mut answer: RangeResponse,
    ) -> Result<RangeResponse, UpstreamError> {
        if answer.file.ranged && answer.file.len.is_none() {
            answer = self.with_size(answer)?;
        }
        // One that was asked for a part and gives all of it, or was asked for all of it as it had
        // refused a part, may know parts all the same.
        let gave_all = answer.file.ranged
            && answer.is_more
            && answer.body.begin == 0
            && answer.body.end == answer.file.len;
        if gave_all || self.tried.asks_for_all {
            answer.file.ranged = self.supports_ranges(&answer.file);
        }
        let (may_ask, was_asked) = self.tried.other_nodes();
        self.upstream.host_memory.name(&self.location.url, &mut answer.file, may_ask, was_asked)?;
        Ok(answer)
    }

    /// Remembers what an answer shows of the host and its servers.
    pub(super) fn learn(&mut self, part: &RangeBody) {
        if let Some(file) = self.file.as_mut().filter(|_| self.tried.is_found_again()) {
            file.wavers = true;
        }
        let learned = &self.upstream.host_memory;
        if self.chunk < self.upstream.chunk_size(&self.location) && part.end.is_some() {
            learned.set_chunk(&self.location.url, self.chunk);
        }
        if let Some(file) = self.file.as_ref().filter(|file| file.wavers) {
            learned.mark_unstable(&self.location.url, file);
        }
    }

    /// The answer with the length of the file, where that was kept back (`Content-Range: … /*`); or
    /// another one, which shows where it ends.
    fn with_size(&self, mut answer: RangeResponse) -> Result<RangeResponse, UpstreamError> {
        if let Ok(all) = (RangeRequest { range: None, ..self.probe_request(None) }).send() {
            let validators = &answer.file.validators;
            match validators.compare(&all.file.validators) {
                ValidatorMatch::Different => return Err(UpstreamError::ValidatorsDisagree),
                _ if all.file.len.is_some() => {
                    answer.file.len = all.file.len;
                    return Ok(answer);
                }
                // In chunks, of which the last one is the end.
                _ => return Ok(all),
            }
        }
        let url = &self.location.url;
        let named = url.query_pairs().find(|(name, _)| name == "clen");
        let named = named.and_then(|(_, len)| len.parse().ok());
        let hints = [self.location.len, named, self.probe_request(None).head_len()];
        let len = hints.into_iter().flatten().find(|len| self.ends_at(*len));
        answer.file.len = Some(len.ok_or(UpstreamError::LengthUnknown)?);
        Ok(answer)
    }

    /// Whether the file has its last byte before `len`: of two bytes around it there is one.
    fn ends_at(&self, len: u64) -> bool {
        let Some(last) = len.checked_sub(1) else { return false };
        let part = Some(last..len.saturating_add(1));
        let answer = RangeRequest { range: part, ..self.probe_request(None) }.send();
        answer.is_ok_and(|RangeResponse { body: part, .. }| {
            part.begin == last && part.end == Some(len)
        })
    }

    /// Whether parts of the file can be asked for: its last byte comes alone.
    fn supports_ranges(&self, file: &RemoteFile) -> bool {
        let Some((len, last)) = file.len.and_then(|len| Some((len, len.checked_sub(1)?))) else {
            return false;
        };
        let file = RemoteFile { ranged: true, ..file.clone() };
        let answer =
            RangeRequest { range: Some(last..len), ..self.probe_request(Some(file)) }.send();
        answer.is_ok_and(|RangeResponse { body: part, .. }| part.begin == last)
    }

    /// A question beside the others, on a connection of its own.
    fn probe_request(&self, file: Option<RemoteFile>) -> RangeRequest<'scope> {
        let question = self.build_request(0, self.upstream.new_client(&self.cancel));
        RangeRequest { file, if_range: false, ..question }
    }
}
