//! Why formats of a page cannot be downloaded.

use super::ResolveError;
use crate::text::one_line;

/// Why formats cannot be downloaded.
#[derive(Default)]
pub(super) struct Refusals {
    pub(super) is_protected: bool,
    /// Whether there is audio among them.
    pub(super) lack_audio: bool,
    /// What they depend on.
    reasons: Vec<String>,
}

impl Refusals {
    pub(super) fn add(&mut self, reason: &str) {
        /// Maximum number of reasons, and length of each: they are for people.
        const MAX_REASONS: usize = 5;
        const MAX_REASON: usize = 60;
        let reason = one_line(reason, MAX_REASON);
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_protected && self.reasons.is_empty()
    }

    pub(super) fn into_error(self) -> ResolveError {
        match (self.is_protected, self.reasons.is_empty()) {
            (true, _) => ResolveError::drm(),
            (_, true) => ResolveError::no_format("the page offers nothing that can be downloaded"),
            _ => ResolveError::no_format(&format!(
                "the page offers its media only in ways that are not supported: {}",
                self.reasons.join(", ")
            )),
        }
    }
}
