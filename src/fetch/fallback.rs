//! Changes a request after it was refused or answered with something else.
//!
//! Each change is tried once, or a few times, until a response brings something new.
//!
//! **Invariant:** no change accepts bytes that are not proven to belong to the same file.

use std::sync::Arc;

use crate::error::UpstreamError;
use crate::fetch::cursor::Cursor;
use crate::fetch::entity::Entity;
use crate::fetch::requester::Requester;
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
    /// Whether If-Range (RFC 9110 §13.1.5) is left out, which some upstreams refuse.
    pub(super) without_if_range: bool,
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

    /// Repeats the request: many servers share one name, and one of them may hold another version
    /// or be faulty.
    fn another_node(&mut self, fault: &UpstreamError, is_known: bool) -> bool {
        let is_of_another_file = match fault {
            UpstreamError::ValidatorsDisagree => true,
            UpstreamError::EntityChanged(_)
            | UpstreamError::WrongRange
            | UpstreamError::Multipart
            | UpstreamError::RangeIgnored
            | UpstreamError::UnexpectedEncoding
            | UpstreamError::LengthUnknown
            | UpstreamError::Protocol(_) => is_known,
            _ => false,
        };
        if !is_of_another_file || self.nodes >= MAX_NODES {
            return false;
        }
        self.nodes += 1;
        self.is_unproven |= *fault == UpstreamError::ValidatorsDisagree;
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
        if !refuses_ranges || self.tried_full {
            return false;
        }
        (self.tried_full, self.next_is_full) = (true, true);
        true
    }

    /// Counts a refreshed location at `offset`; returns whether it is permitted: only a few are
    /// without progress of one `chunk`.
    fn may_refresh(&mut self, offset: u64, chunk: u64) -> bool {
        if offset.saturating_sub(self.refreshed_at.unwrap_or(0)) >= chunk {
            self.refreshes = 0;
        }
        self.refreshes += 1;
        self.refreshes <= MAX_REFRESHES
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

impl Requester<'_> {
    /// Changes how the next request is made; returns `false` if nothing is left to change.
    pub(super) fn try_fallback(
        &mut self,
        fault: &UpstreamError,
        mut entity: Option<&mut Entity>,
        cursor: &mut Cursor,
    ) -> bool {
        let was_full = std::mem::take(&mut self.retry.fallbacks.next_is_full);
        let is_known = entity.is_some();
        self.without_condition(fault, entity.as_deref())
            || self.with_smaller_range(fault, cursor)
            || (!is_known && clamped_to_size(fault, cursor))
            || compares_bytes(fault, entity.as_deref_mut(), cursor)
            || self.retry.fallbacks.another_node(fault, is_known)
            || (!was_full && !is_known && self.retry.fallbacks.without_range(fault))
            || (is_stale(fault) && self.refreshed(entity, cursor))
    }

    /// Drops If-Range: some servers reject the field, or do not recognise their own validator in
    /// it.
    fn without_condition(&mut self, fault: &UpstreamError, entity: Option<&Entity>) -> bool {
        let without_if_range = &mut self.retry.fallbacks.without_if_range;
        let has_any = entity.is_some_and(|entity| entity.file.validators.best().is_some());
        let may_be_why = matches!(
            fault,
            UpstreamError::RangeIgnored | UpstreamError::Status(400 | 403 | 412 | 416 | 501)
        );
        let drops = has_any && !*without_if_range && may_be_why;
        *without_if_range |= drops;
        drops
    }

    /// Requests less at once: some servers limit the size of a range.
    fn with_smaller_range(&mut self, fault: &UpstreamError, cursor: &Cursor) -> bool {
        let requested = self.sizing.request_size(self.target.chunk, cursor.offset);
        // The largest body received so far is a good limit, unless it was tiny.
        let less = match self.sizing.largest_body {
            0..MIN_CHUNK => (requested / 2).max(MIN_CHUNK),
            largest_body => largest_body,
        };
        if less >= requested || !matches!(fault, UpstreamError::Status(403 | 413)) {
            return false;
        }
        self.target.chunk = less;
        true
    }

    /// Fetches a fresh location; returns `false` if there is none to continue with.
    pub(super) fn refreshed(&mut self, entity: Option<&mut Entity>, cursor: &Cursor) -> bool {
        let Some(refresh) = self.target.refresh.clone() else { return false };
        let (fallbacks, location) = (&mut self.retry.fallbacks, &mut self.target.location);
        if fallbacks.refreshed_at == Some(cursor.offset) {
            refresh.report_refused_again(location);
            fallbacks.is_futile = true;
            return false;
        }
        if !fallbacks.may_refresh(cursor.offset, self.upstream.chunk) {
            return false;
        }
        let fresh = match refresh.refresh(location, &self.cancel) {
            Ok(fresh) => fresh,
            Err(why) => {
                log::warn!("cannot refresh location: {} {location:?}: {why}", self.track);
                return false;
            }
        };
        // The same location was refused, and will be again.
        fallbacks.is_futile = fresh.location == **location;
        if fallbacks.is_futile {
            return false;
        }
        if fresh.is_new {
            fallbacks.refreshed_at = Some(cursor.offset);
        }
        fallbacks.nodes = 0;
        *location = Arc::new(fresh.location);
        self.target.chunk = self.upstream.chunk_size(location);
        if let Some(entity) = entity {
            entity.relocate(cursor);
        }
        true
    }
}

/// Clamps the range to the end of the file: some servers refuse ranges beyond it, but report the
/// length.
fn clamped_to_size(fault: &UpstreamError, cursor: &mut Cursor) -> bool {
    let UpstreamError::PastEnd(len) = *fault else { return false };
    let is_nearer = cursor.end.is_none_or(|end| len < end);
    if is_nearer {
        cursor.end = Some(len);
    }
    is_nearer
}

/// Decides to compare bytes when the validators contradict each other and bytes were read before.
fn compares_bytes(fault: &UpstreamError, entity: Option<&mut Entity>, cursor: &Cursor) -> bool {
    let can_compare = |entity: &Entity| cursor.progress() > 0 && entity.has_tail(cursor);
    match entity {
        Some(entity) if *fault == UpstreamError::ValidatorsDisagree && can_compare(entity) => {
            entity.file.validators_vary = true;
            true
        }
        _ => false,
    }
}
