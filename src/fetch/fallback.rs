//! Changes a request after it was refused or answered with something else.
//!
//! Each change is tried once, or a few times, until a response brings something new.
//!
//! **Invariant:** no change accepts bytes that are not proven to belong to the same file.

use std::sync::Arc;

use crate::error::UpstreamError;
use crate::fetch::TrackReader;
use crate::http_client::Validators;
use crate::http_client::validate::LENGTH_CHANGED;

/// Requests do not shrink below this size after a refusal.
const MIN_CHUNK: u64 = 256 << 10;
/// Maximum number of consecutive responses of another file before the request fails; another server
/// behind the same name may answer the next one.
const MAX_NODES: u32 = 3;
/// Maximum number of refreshed locations without progress of one chunk in between.
const MAX_REFRESHES: u32 = 3;

/// The changes since the last response that brought something new.
#[derive(Default)]
pub(super) struct Fallbacks {
    /// Number of requests repeated in the hope of another server.
    nodes: u32,
    /// Whether one of the servers reported other validators.
    is_unproven: bool,
    /// Whether a request without a range was tried, which helps before the first response only; and
    /// whether the next request is one.
    tried_full: bool,
    pub(super) next_is_full: bool,
    /// Number of refreshed locations; the offset at which the last new one was fetched; and whether
    /// it did not help.
    refreshes: u32,
    refreshed_at: Option<u64>,
    pub(super) is_futile: bool,
}

impl Fallbacks {
    /// Returns whether another server may be tried, and whether one was.
    pub(super) fn other_nodes(&self) -> (bool, bool) {
        (self.nodes < MAX_NODES, self.nodes > 0)
    }

    /// Returns whether the file has several validators and the earlier one was seen again.
    pub(super) fn is_found_again(&self) -> bool {
        self.is_unproven
    }

    /// Records a response that brought bytes of the file.
    pub(super) fn came(&mut self) {
        (self.nodes, self.is_unproven, self.next_is_full) = (0, false, false);
    }
}

/// Returns whether a fault may come from an expired location. Sites signal that in many ways: a
/// status, a redirect to a login, a web page, or a message whose length differs from that of the
/// file.
pub(super) fn is_stale(fault: &UpstreamError) -> bool {
    match fault {
        UpstreamError::Status(_)
        | UpstreamError::WebPage
        | UpstreamError::Redirect(_)
        | UpstreamError::WrongRange
        | UpstreamError::Multipart
        | UpstreamError::RangeIgnored
        | UpstreamError::LengthUnknown
        | UpstreamError::UnexpectedEncoding
        | UpstreamError::Protocol(_) => true,
        UpstreamError::EntityChanged(why) => *why == LENGTH_CHANGED,
        _ => false,
    }
}

impl TrackReader<'_, '_> {
    /// Changes how the next request is made; returns `false` if nothing is left to change.
    pub(super) fn try_fallback(&mut self, fault: &UpstreamError) -> bool {
        let was_full = std::mem::take(&mut self.fallbacks.next_is_full);
        self.without_condition(fault)
            || self.with_smaller_range(fault)
            || self.clamped_to_size(fault)
            || self.comparing_bytes(fault)
            || self.another_node(fault)
            || (!was_full && self.without_range(fault))
            || (is_stale(fault) && self.refreshed())
    }

    /// Drops If-Range: some servers reject the field, or do not recognise their own validator in
    /// it.
    fn without_condition(&mut self, fault: &UpstreamError) -> bool {
        let sent_if_range = self.send_if_range && self.file().validators.best().is_some();
        let may_be_why = matches!(
            fault,
            UpstreamError::RangeIgnored | UpstreamError::Status(400 | 403 | 412 | 416 | 501)
        );
        if sent_if_range && may_be_why {
            self.send_if_range = false;
        }
        sent_if_range && may_be_why
    }

    /// Requests less at once: some servers limit the size of a range.
    fn with_smaller_range(&mut self, fault: &UpstreamError) -> bool {
        let part_len = self.request_size();
        // The largest body received so far is a good limit, unless it was tiny.
        let less = match self.largest_body {
            0..MIN_CHUNK => (part_len / 2).max(MIN_CHUNK),
            largest_body => largest_body,
        };
        if less >= part_len || !matches!(fault, UpstreamError::Status(403 | 413)) {
            return false;
        }
        self.chunk = less;
        true
    }

    /// Clamps the range to the end of the file: some servers refuse ranges beyond it, but report
    /// the length.
    fn clamped_to_size(&mut self, fault: &UpstreamError) -> bool {
        let UpstreamError::PastEnd(len) = *fault else { return false };
        let is_nearer = self.file.is_none() && self.end.is_none_or(|end| len < end);
        if is_nearer {
            self.end = Some(len);
        }
        is_nearer
    }

    /// Compares bytes when the validators contradict each other and bytes were read before.
    fn comparing_bytes(&mut self, fault: &UpstreamError) -> bool {
        let can_compare = self.offset > self.start && self.has_tail();
        let Some(file) = self
            .file
            .as_mut()
            .filter(|_| can_compare && *fault == UpstreamError::ValidatorsDisagree)
        else {
            return false;
        };
        file.validators_vary = true;
        true
    }

    /// Repeats the request: many servers share one name, and one of them may hold another version
    /// or be faulty.
    fn another_node(&mut self, fault: &UpstreamError) -> bool {
        let is_of_another_file = match fault {
            UpstreamError::ValidatorsDisagree => true,
            UpstreamError::EntityChanged(_)
            | UpstreamError::WrongRange
            | UpstreamError::Multipart
            | UpstreamError::RangeIgnored
            | UpstreamError::UnexpectedEncoding
            | UpstreamError::LengthUnknown
            | UpstreamError::Protocol(_) => self.file.is_some(),
            _ => false,
        };
        if !is_of_another_file || self.fallbacks.nodes >= MAX_NODES {
            return false;
        }
        self.fallbacks.nodes += 1;
        self.fallbacks.is_unproven |= *fault == UpstreamError::ValidatorsDisagree;
        true
    }

    /// Requests the full file: some servers refuse a range instead of ignoring it.
    fn without_range(&mut self, fault: &UpstreamError) -> bool {
        let refuses_ranges = matches!(
            fault,
            UpstreamError::Status(400 | 403 | 405 | 406 | 416 | 417 | 501)
                | UpstreamError::WrongRange
                | UpstreamError::Multipart
                | UpstreamError::PastEnd(_)
        );
        let can_be_tried = self.file.is_none() && self.start == 0;
        if !refuses_ranges || !can_be_tried || self.fallbacks.tried_full {
            return false;
        }
        (self.fallbacks.tried_full, self.fallbacks.next_is_full) = (true, true);
        true
    }

    /// Fetches a fresh location; returns `false` if there is none to continue with.
    pub(super) fn refreshed(&mut self) -> bool {
        let Some(refresh) = self.refresh.clone() else { return false };
        if self.fallbacks.refreshed_at == Some(self.offset) {
            refresh.report_refused_again(&self.location);
            self.fallbacks.is_futile = true;
            return false;
        }
        let since = self.offset.saturating_sub(self.fallbacks.refreshed_at.unwrap_or(0));
        if since >= self.upstream.chunk {
            self.fallbacks.refreshes = 0;
        }
        if self.fallbacks.refreshes >= MAX_REFRESHES {
            return false;
        }
        self.fallbacks.refreshes += 1;
        let fresh = match refresh.refresh(&self.location, &self.cancel) {
            Ok(fresh) => fresh,
            Err(why) => {
                let (track, location) = (self.track, &self.location);
                log::warn!("cannot refresh location: {track} {location:?}: {why}");
                return false;
            }
        };
        // The same location was refused, and will be again.
        self.fallbacks.is_futile = fresh.location == *self.location;
        if self.fallbacks.is_futile {
            return false;
        }
        if fresh.is_new {
            self.fallbacks.refreshed_at = Some(self.offset);
        }
        self.location = Arc::new(fresh.location);
        self.chunk = self.upstream.chunk_size(&self.location);
        self.fallbacks.nodes = 0;
        // The refreshed file must have the same length and repeat the bytes before the break. Where
        // no bytes were read, the validators that the client was given decide.
        let has_read = self.offset > self.start || (self.start == 0 && !self.is_pinned);
        if let Some(file) = self.file.as_mut().filter(|_| has_read) {
            file.validators = Validators::default();
            self.has_new_location = true;
        }
        true
    }
}
