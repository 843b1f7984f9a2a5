//! What is refused, or answered with something else, is asked for in another way: each way once, or
//! some few times, until it brings something new. Must never take what is not proven to be of the
//! same file.

use std::sync::Arc;

use crate::error::UpstreamError;
use crate::fetch::TrackReader;
use crate::http_client::Validators;
use crate::http_client::validate::LENGTH_CHANGED;

/// What is refused is not asked for in smaller parts than this.
const MIN_CHUNK: u64 = 256 << 10;
/// Answers in a row that are not of the file, whose place another server may take.
const MAX_NODES: u32 = 3;
/// Fresh locations that are asked for without the length of a chunk in between.
const MAX_REFRESHES: u32 = 3;

/// What was tried since something new came.
#[derive(Default)]
pub(super) struct Fallbacks {
    /// Other servers.
    nodes: u32,
    /// Whether one of them has the file under another name.
    is_unproven: bool,
    /// A question without a range, which is of use before the first answer only; and whether that is
    /// what is to be asked next.
    all: bool,
    pub(super) asks_for_all: bool,
    /// Fresh locations; where the last new one was asked for, and whether it was of no use.
    refreshes: u32,
    refreshed_at: Option<u64>,
    pub(super) in_vain: bool,
}

impl Fallbacks {
    /// Whether another server may be asked, and was.
    pub(super) fn other_nodes(&self) -> (bool, bool) {
        (self.nodes < MAX_NODES, self.nodes > 0)
    }

    /// Whether the file has several names, and that of before was found again.
    pub(super) fn is_found_again(&self) -> bool {
        self.is_unproven
    }

    /// An answer has brought something of the file.
    pub(super) fn came(&mut self) {
        (self.nodes, self.is_unproven, self.asks_for_all) = (0, false, false);
    }
}

/// Whether a fault may be due to a location that has expired. Sites say that in many ways: with a
/// status, a redirect to a login, a web page, or some words of another length than the file.
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
    /// Changes how the next question is asked: whether there is another way.
    pub(super) fn try_fallback(&mut self, fault: &UpstreamError) -> bool {
        let asked_for_all = std::mem::take(&mut self.tried.asks_for_all);
        self.without_condition(fault)
            || self.with_smaller_range(fault)
            || self.clamped_to_size(fault)
            || self.comparing_bytes(fault)
            || self.another_node(fault)
            || (!asked_for_all && self.without_range(fault))
            || (is_stale(fault) && self.refreshed())
    }

    /// Some do not like If-Range, or take no validator of their own for theirs.
    fn without_condition(&mut self, fault: &UpstreamError) -> bool {
        let asked_if = self.if_range && self.file().validators.best().is_some();
        let may_be_why = matches!(
            fault,
            UpstreamError::RangeIgnored | UpstreamError::Status(400 | 403 | 412 | 416 | 501)
        );
        if asked_if && may_be_why {
            self.if_range = false;
        }
        asked_if && may_be_why
    }

    /// Some do not give much at once.
    fn with_smaller_range(&mut self, fault: &UpstreamError) -> bool {
        let part_len = self.request_size();
        // As much as they have given before; if that was next to nothing, it does not tell.
        let less = match self.fits {
            0..MIN_CHUNK => (part_len / 2).max(MIN_CHUNK),
            fits => fits,
        };
        if less >= part_len || !matches!(fault, UpstreamError::Status(403 | 413)) {
            return false;
        }
        self.chunk = less;
        true
    }

    /// Some refuse what reaches beyond the end, but say where that is.
    fn clamped_to_size(&mut self, fault: &UpstreamError) -> bool {
        let UpstreamError::PastEnd(len) = *fault else { return false };
        let is_nearer = self.file.is_none() && self.end.is_none_or(|end| len < end);
        if is_nearer {
            self.end = Some(len);
        }
        is_nearer
    }

    /// A validator says no, and another one yes: where bytes were read, they tell.
    fn comparing_bytes(&mut self, fault: &UpstreamError) -> bool {
        let can_compare = self.offset > self.begin && self.has_tail();
        let Some(file) = self
            .file
            .as_mut()
            .filter(|_| can_compare && *fault == UpstreamError::ValidatorsDisagree)
        else {
            return false;
        };
        file.wavers = true;
        true
    }

    /// Many servers answer to one name; not all of them may have the file as it was, or be in order.
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
        if !is_of_another_file || self.tried.nodes >= MAX_NODES {
            return false;
        }
        self.tried.nodes += 1;
        self.tried.is_unproven |= *fault == UpstreamError::ValidatorsDisagree;
        true
    }

    /// Some know no ranges, and refuse them instead of ignoring them.
    fn without_range(&mut self, fault: &UpstreamError) -> bool {
        let refuses_ranges = matches!(
            fault,
            UpstreamError::Status(400 | 403 | 405 | 406 | 416 | 417 | 501)
                | UpstreamError::WrongRange
                | UpstreamError::Multipart
                | UpstreamError::PastEnd(_)
        );
        let may_be = self.file.is_none() && self.begin == 0;
        if !refuses_ranges || !may_be || self.tried.all {
            return false;
        }
        (self.tried.all, self.tried.asks_for_all) = (true, true);
        true
    }

    /// Whether there is a fresh location to go on with.
    pub(super) fn refreshed(&mut self) -> bool {
        let Some(refresh) = self.refresh.clone() else { return false };
        if self.tried.refreshed_at == Some(self.offset) {
            refresh.is_in_vain(&self.location);
            self.tried.in_vain = true;
            return false;
        }
        let since = self.offset.saturating_sub(self.tried.refreshed_at.unwrap_or(0));
        if since >= self.upstream.chunk {
            self.tried.refreshes = 0;
        }
        if self.tried.refreshes >= MAX_REFRESHES {
            return false;
        }
        self.tried.refreshes += 1;
        let fresh = match refresh.refresh(&self.location, &self.cancel) {
            Ok(fresh) => fresh,
            Err(why) => {
                log::warn!("no fresh location for {} from {:?}: {why}", self.track, self.location);
                return false;
            }
        };
        // It was refused, and will be again.
        self.tried.in_vain = fresh.location == *self.location;
        if self.tried.in_vain {
            return false;
        }
        if fresh.is_new {
            self.tried.refreshed_at = Some(self.offset);
        }
        if fresh.location.url.origin() != self.location.url.origin() {
            self.idle_clients.clear();
        }
        self.location = Arc::new(fresh.location);
        self.chunk = self.upstream.chunk_size(&self.location);
        self.tried.nodes = 0;
        // Its length must be the same, and the bytes before the break; or, where there are
        // none of these, what the client was told of the file.
        let has_read = self.offset > self.begin || (self.begin == 0 && !self.foretold);
        if let Some(file) = self.file.as_mut().filter(|_| has_read) {
            file.validators = Validators::default();
            self.is_renewed = true;
        }
        true
    }
}
