//! Reads a small file as a whole: a playlist, or a key.

use std::sync::Arc;

use url::Url;

use crate::cancel::CancelToken;
use crate::error::UpstreamError;
use crate::fetch::retry_budget::RetryBudget;
use crate::http_client::UpstreamClient;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::media::{Cookie, RemoteLocation};

/// Maximum number of retries.
const RETRIES: u32 = 2;
/// Bytes read at once.
const STEP: usize = 16 << 10;

/// A small file.
pub struct Document {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its URL, after redirects.
    pub url: Url,
    /// The cookies that came with it.
    pub cookies: Vec<Cookie>,
}

/// Reads the file at `location`; fails if it has more than `limit` bytes.
pub fn read_document(
    upstream: &UpstreamClient,
    location: &RemoteLocation,
    limit: usize,
    cancel: &Arc<CancelToken>,
) -> Result<Document, UpstreamError> {
    let location = Arc::new(location.clone());
    let mut budget = RetryBudget::new(upstream.retries.min(RETRIES), upstream.min_progress());
    loop {
        let request = RangeRequest {
            upstream,
            cancel: cancel.clone(),
            location: location.clone(),
            effective_url: None,
            range: None,
            file: None,
            send_if_range: false,
            may_reuse: true,
        };
        let fault = match request.fetch().and_then(|response| read_all(response, limit)) {
            Ok(document) => return Ok(document),
            Err(fault) => fault,
        };
        let is_passing = matches!(
            fault,
            UpstreamError::Truncated { .. }
                | UpstreamError::Timeout(..)
                | UpstreamError::Busy(_, None)
                | UpstreamError::Status(408 | 500 | 502 | 504)
        );
        let wait = if is_passing { budget.spend(false) } else { None };
        match wait {
            Some(wait) if !matches!(cancel.sleep(wait), Ok(false)) => return Err(fault),
            Some(_) => {}
            None => return Err(fault),
        }
    }
}

fn read_all(response: RangeResponse, limit: usize) -> Result<Document, UpstreamError> {
    let RangeResponse { mut body, url, cookies, .. } = response;
    let mut bytes = Vec::new();
    loop {
        let len = bytes.len();
        bytes.resize(len + STEP, 0);
        let count = body.read(&mut bytes[len..])?;
        bytes.truncate(len + count);
        if bytes.len() > limit {
            return Err(UpstreamError::TooLong(limit));
        }
        if count == 0 {
            body.drain_for_reuse();
            return Ok(Document { bytes, url, cookies });
        }
    }
}
