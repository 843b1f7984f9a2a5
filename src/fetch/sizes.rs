//! Finds out how long the segments of a track are, by a small range request for each.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::error::UpstreamError;
use crate::fetch::decrypt::{BLOCK, Decryption};
use crate::fetch::segment_refresh::{self, CurrentLocation};
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::{RemoteFile, UpstreamClient};
use crate::media::segments::{Part, SegmentFile, SegmentKey, SegmentList};
use crate::media::{RemoteLocation, Track};

/// Number of requests at a time.
const CONCURRENCY: usize = 16;
/// Maximum number of segments that are asked for.
const MAX_PROBED: usize = 4000;
/// How long to wait for an upstream that does not say so itself.
const BUSY_WAIT: Duration = Duration::from_millis(500);
/// Number of retries for each segment.
const RETRIES: u32 = 3;

/// Finds out the lengths of all segments of a track. Returns `None` if there is not enough time until
/// `deadline`, or if an upstream does not tell; fails if a segment is missing.
pub fn find_sizes(
    upstream: &UpstreamClient,
    track: &Track,
    deadline: Instant,
    cancel: &Arc<CancelToken>,
) -> Result<Option<Arc<[SegmentFile]>>, UpstreamError> {
    let Some(list) = segment_refresh::list(&track.location) else { return Ok(None) };
    if let Some(files) = declared(list) {
        return Ok(Some(files));
    }
    let count = list.part_count();
    if count > MAX_PROBED {
        return Ok(None);
    }
    let search = Search {
        upstream,
        cancel,
        track,
        location: CurrentLocation::new(track),
        list,
        deadline,
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        found: Mutex::new(vec![None; count]),
        fault: Mutex::new(None),
    };
    thread::scope(|scope| {
        for _ in 1..CONCURRENCY.min(count) {
            let thread = thread::Builder::new().name("sizes".into());
            // With fewer threads it takes longer.
            thread.spawn_scoped(scope, || search.run()).ok();
        }
        search.run();
    });
    let Search { found, fault, .. } = search;
    if let Some(fault) = fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(fault);
    }
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(found.into_iter().collect::<Option<Vec<_>>>().map(Arc::from))
}

/// Returns the lengths that the list itself declares, if it does so for all segments.
fn declared(list: &SegmentList) -> Option<Arc<[SegmentFile]>> {
    let parts = (0..list.part_count()).map_while(|index| list.part(index));
    let files = parts.map(|Part { location, encryption }| {
        let range = location.range.as_ref().filter(|_| encryption.is_none())?;
        Some(SegmentFile { len: range.end - range.start, resource: None })
    });
    files.collect::<Option<Vec<_>>>().map(Arc::from)
}

/// The search for the lengths of all segments.
struct Search<'s> {
    upstream: &'s UpstreamClient,
    cancel: &'s Arc<CancelToken>,
    track: &'s Track,
    location: CurrentLocation,
    list: &'s SegmentList,
    deadline: Instant,
    /// The next segment to ask for.
    next: AtomicUsize,
    is_over: AtomicBool,
    found: Mutex<Vec<Option<SegmentFile>>>,
    /// Why there is no such track.
    fault: Mutex<Option<UpstreamError>>,
}

impl Search<'_> {
    /// Asks for one segment after the other until there is none, or one does not tell.
    fn run(&self) {
        while !self.is_over.load(Ordering::Relaxed) && Instant::now() < self.deadline {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.list.part_count() {
                break;
            }
            match self.find(index) {
                Ok(Some(file)) => {
                    let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                    found[index] = Some(file);
                }
                Ok(None) => self.is_over.store(true, Ordering::Relaxed),
                Err(fault) => {
                    self.is_over.store(true, Ordering::Relaxed);
                    let mut first = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(fault);
                }
            }
        }
    }

    /// Finds out the length of one segment.
    fn find(&self, index: usize) -> Result<Option<SegmentFile>, UpstreamError> {
        let Some(part) = self.list.part(index) else { return Ok(None) };
        let Some(track) = self.location.track(self.track.kind, index) else { return Ok(None) };
        let location = Arc::new(track.location);
        let stored = match &part.location.range {
            Some(range) => range.clone(),
            None => {
                let Some(file) = self.describe(&location)? else { return Ok(None) };
                let len = file.len.unwrap_or(0);
                if part.encryption.is_none() {
                    return Ok(Some(SegmentFile { len, resource: Some(file) }));
                }
                let padding = self.padding(&location, Some(&file), 0..len, &part);
                let len = padding.map(|padding| len - padding);
                return Ok(len.map(|len| SegmentFile { len, resource: Some(file) }));
            }
        };
        let len = stored.end - stored.start;
        if part.encryption.is_none() {
            return Ok(Some(SegmentFile { len, resource: None }));
        }
        let padding = self.padding(&location, None, stored, &part);
        Ok(padding.map(|padding| SegmentFile { len: len - padding, resource: None }))
    }

    /// Returns the file of a segment by the response to a request for its first byte.
    fn describe(
        &self,
        location: &Arc<RemoteLocation>,
    ) -> Result<Option<RemoteFile>, UpstreamError> {
        let mut retries = 0..RETRIES;
        loop {
            let response = self.request(location, 0..1, None).fetch();
            let (wait, fault) = match response {
                Ok(RangeResponse { body, file, .. }) => {
                    body.drain_for_reuse();
                    return Ok(Some(file).filter(|file| file.len.is_some()));
                }
                Err(fault @ UpstreamError::Status(404 | 410)) => return Err(fault),
                Err(fault @ UpstreamError::Busy(_, wait)) => (wait.unwrap_or(BUSY_WAIT), fault),
                Err(
                    fault @ (UpstreamError::Unreachable(_)
                    | UpstreamError::Truncated { .. }
                    | UpstreamError::Timeout(..)
                    | UpstreamError::Status(408 | 500 | 502 | 504)),
                ) => (Duration::ZERO, fault),
                Err(fault) => (Duration::MAX, fault),
            };
            let is_late = wait > self.deadline.saturating_duration_since(Instant::now());
            let is_over = is_late || retries.next().is_none();
            if is_over || !matches!(self.cancel.sleep(wait), Ok(false)) {
                log::debug!("a segment does not tell its length: {fault}");
                return Ok(None);
            }
        }
    }

    /// Returns the length of the padding of an encrypted segment, by its last two blocks.
    fn padding(
        &self,
        location: &Arc<RemoteLocation>,
        file: Option<&RemoteFile>,
        stored: Range<u64>,
        part: &Part<'_>,
    ) -> Option<u64> {
        const TAIL: usize = 2 * BLOCK;
        let encryption = part.encryption?;
        let SegmentKey::Inline(key) = &*encryption.key else { return None };
        let len = stored.end - stored.start;
        if len == 0 || !len.is_multiple_of(BLOCK as u64) {
            return None;
        }
        let count = TAIL.min(len as usize);
        let range = stored.end - count as u64..stored.end;
        let response = self.request(location, range.clone(), file).fetch();
        let RangeResponse { mut body, .. } = response.ok()?;
        if body.start != range.start {
            return None;
        }
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match body.read(&mut bytes[filled..]) {
                Ok(0) | Err(_) => return None,
                Ok(read) => filled += read,
            }
        }
        body.drain_for_reuse();
        let mut output = Vec::new();
        let iv = (count < TAIL).then_some(encryption.iv);
        let mut decryption = Decryption::new(key, iv);
        decryption.update(&bytes, &mut output);
        decryption.finish(&mut output).ok()?;
        Some((BLOCK - output.len()) as u64)
    }

    fn request(
        &self,
        location: &Arc<RemoteLocation>,
        range: Range<u64>,
        file: Option<&RemoteFile>,
    ) -> RangeRequest<'_> {
        RangeRequest {
            upstream: self.upstream,
            cancel: self.cancel.clone(),
            location: location.clone(),
            effective_url: None,
            range: Some(range),
            file: file.cloned(),
            send_if_range: false,
            may_reuse: true,
        }
    }
}
