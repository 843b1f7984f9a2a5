//! Finds out how long the segments of a track are, by a small range request for each.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::container::mpeg_ts::PACKET_SIZE;
use crate::error::UpstreamError;
use crate::fetch::decrypt::{BLOCK, Decryption};
use crate::fetch::segment_refresh::{self, CurrentLocation};
use crate::http_client::body::RangeBody;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::{RemoteFile, UpstreamClient};
use crate::media::segments::{Part, SegmentFile, SegmentKey, SegmentList};
use crate::media::{RemoteLocation, Track};
use crate::request_id::carried;

/// The lengths of all segments of a track.
pub struct SegmentSizes {
    /// What is known of their files. There is none for the last segment if that does not exist.
    pub files: Arc<[SegmentFile]>,
    /// Their first bytes, as far as they came; empty where nobody needs them.
    pub heads: Vec<Vec<u8>>,
}

/// How much of each segment is requested if it is a fragment (of an MP4), which begins with its index;
/// and if not.
const HEAD_SIZE: u64 = 4 << 10;
const NO_HEAD: u64 = 1;
/// Number of requests at a time.
const CONCURRENCY: usize = 16;
/// Maximum number of segments that are asked for.
const MAX_PROBED: usize = 4000;
/// The number of encrypted segments that have to be transport streams until all are taken for such.
const ENOUGH: usize = 4;
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
) -> Result<Option<SegmentSizes>, UpstreamError> {
    let Some(list) = segment_refresh::list(&track.location) else { return Ok(None) };
    if let Some(files) = declared(list) {
        return Ok(Some(SegmentSizes { files, heads: Vec::new() }));
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
        lacks_last: AtomicBool::new(false),
        in_packets: AtomicUsize::new(0),
        is_mixed: AtomicBool::new(false),
        found: Mutex::new(vec![None; count]),
        fault: Mutex::new(None),
    };
    thread::scope(|scope| {
        for _ in 1..CONCURRENCY.min(count) {
            let thread = thread::Builder::new().name("sizes".into());
            // With fewer threads it takes longer.
            thread.spawn_scoped(scope, carried(|| search.run())).ok();
        }
        search.run();
    });
    let Search { found, fault, lacks_last, .. } = search;
    if let Some(fault) = fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(fault);
    }
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if lacks_last.into_inner() {
        found.pop();
    }
    let found = found.into_iter().collect::<Option<Vec<_>>>();
    Ok(found.map(|found| {
        let (files, heads): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        SegmentSizes { files: Arc::from(files), heads }
    }))
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

/// What a segment told: its file, and its first bytes.
type Found = (SegmentFile, Vec<u8>);

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
    /// Whether the last segment does not exist.
    lacks_last: AtomicBool,
    /// How many encrypted segments consist of packets, by their lengths, and whether others do not.
    in_packets: AtomicUsize,
    is_mixed: AtomicBool,
    found: Mutex<Vec<Option<Found>>>,
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
            let found = match self.find(index) {
                // One that is missed by chance is there the next time.
                Err(UpstreamError::Status(404)) if self.may_lack(index) => self.find(index),
                found => found,
            };
            match found {
                Ok(Some(file)) => {
                    let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                    found[index] = Some(file);
                }
                Ok(None) => self.is_over.store(true, Ordering::Relaxed),
                Err(UpstreamError::Status(404)) if self.may_lack(index) => {
                    self.lacks_last.store(true, Ordering::Relaxed);
                }
                Err(fault) => {
                    self.is_over.store(true, Ordering::Relaxed);
                    let mut first = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(fault);
                }
            }
        }
    }

    /// Returns whether the list may have this segment by mistake.
    fn may_lack(&self, index: usize) -> bool {
        let list = self.list;
        list.may_end_early && list.segments.len() > 1 && index + 1 == list.part_count()
    }

    /// Finds out the length of one segment.
    fn find(&self, index: usize) -> Result<Option<Found>, UpstreamError> {
        let Some(part) = self.list.part(index) else { return Ok(None) };
        let Some(track) = self.location.track(self.track.kind, index) else { return Ok(None) };
        let location = Arc::new(track.location);
        let (stored, resource, head) = match &part.location.range {
            Some(range) => (range.clone(), None, Vec::new()),
            None => {
                let is_fragment = !self.list.inits.is_empty() && part.encryption.is_none();
                let size = if is_fragment { HEAD_SIZE } else { NO_HEAD };
                let Some((file, head)) = self.describe(&location, size)? else { return Ok(None) };
                (0..file.len.unwrap_or(0), Some(file), head)
            }
        };
        let len = stored.end - stored.start;
        let padding = match part.encryption {
            None => Some(0),
            Some(_) => self
                .padding_of_packets(len)
                .or_else(|| self.padding(&location, resource.as_ref(), stored, &part)),
        };
        Ok(padding.map(|padding| (SegmentFile { len: len - padding, resource }, head)))
    }

    /// Returns the file of a segment by the response to a request for its first `size` bytes, and
    /// these.
    fn describe(
        &self,
        location: &Arc<RemoteLocation>,
        size: u64,
    ) -> Result<Option<(RemoteFile, Vec<u8>)>, UpstreamError> {
        let found = self.ask(|| self.request(location, 0..size, None).fetch().and_then(read_head));
        Ok(found?.filter(|(file, _)| file.len.is_some()))
    }

    /// Asks again where that may help. Returns `None` if the upstream does not tell, or not in time.
    fn ask<T>(
        &self,
        request: impl Fn() -> Result<T, UpstreamError>,
    ) -> Result<Option<T>, UpstreamError> {
        let mut retries = 0..RETRIES;
        loop {
            let (wait, fault) = match request() {
                Ok(found) => return Ok(Some(found)),
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
        let request = || self.request(location, range.clone(), file).fetch();
        let response = self.ask(|| request().and_then(|response| read_from(response, &range)));
        let bytes = response.ok()??;
        if bytes.len() < count {
            return None;
        }
        let mut output = Vec::new();
        let iv = (count < TAIL).then_some(encryption.iv);
        let mut decryption = Decryption::new(key, iv);
        decryption.update(&bytes, &mut output);
        decryption.finish(&mut output).ok()?;
        let padding = (BLOCK - output.len()) as u64;
        match (len - padding).is_multiple_of(PACKET_SIZE as u64) {
            true => drop(self.in_packets.fetch_add(1, Ordering::Relaxed)),
            false => self.is_mixed.store(true, Ordering::Relaxed),
        }
        Some(padding)
    }

    /// Returns the length of the padding of an encrypted segment of `len` bytes if it consists of packets, as
    /// those before it do: only one number of them is possible, and what is decrypted later has to be as long.
    fn padding_of_packets(&self, len: u64) -> Option<u64> {
        let is_known = self.in_packets.load(Ordering::Relaxed) >= ENOUGH
            && !self.is_mixed.load(Ordering::Relaxed)
            && len.is_multiple_of(BLOCK as u64);
        let packets = len.checked_sub(1)? / PACKET_SIZE as u64;
        let padding = len - packets * PACKET_SIZE as u64;
        (is_known && packets > 0 && padding <= BLOCK as u64).then_some(padding)
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

/// Reads the bytes of a range, or none if others are coming.
fn read_from(response: RangeResponse, range: &Range<u64>) -> Result<Vec<u8>, UpstreamError> {
    let RangeResponse { mut body, .. } = response;
    let is_right = body.start == range.start;
    let mut bytes = vec![0; if is_right { (range.end - range.start) as usize } else { 0 }];
    let filled = fill(&mut body, &mut bytes)?;
    bytes.truncate(filled);
    body.drain_for_reuse();
    Ok(bytes)
}

/// Reads until `bytes` are filled, or the body ends. Returns how many they are.
fn fill(body: &mut RangeBody, bytes: &mut [u8]) -> Result<usize, UpstreamError> {
    let mut filled = 0;
    while filled < bytes.len() {
        match body.read(&mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Reads the first bytes of a segment, unless all of it is coming.
fn read_head(response: RangeResponse) -> Result<(RemoteFile, Vec<u8>), UpstreamError> {
    let RangeResponse { mut body, file, is_more, .. } = response;
    let mut head = Vec::new();
    let len = body.end.filter(|end| !is_more && *end <= HEAD_SIZE).unwrap_or(0);
    head.resize(len as usize, 0);
    let filled = fill(&mut body, &mut head)?;
    head.truncate(filled);
    body.drain_for_reuse();
    Ok((file, head))
}
