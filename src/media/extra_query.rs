//! A query that is added to URLs, as signatures are. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use url::{Url, form_urlencoded};

/// A query to add to URLs.
pub struct ExtraQuery<'q> {
    query: &'q str,
    names: HashSet<Cow<'q, str>>,
}

impl<'q> ExtraQuery<'q> {
    /// Makes it from a query, with or without the leading `?`.
    pub fn new(query: &'q str) -> ExtraQuery<'q> {
        let query = query.strip_prefix('?').unwrap_or(query);
        let names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).collect();
        ExtraQuery { query, names }
    }

    /// Adds the query to a URL; parameters of the same names are replaced. What stays is not encoded
    /// anew, because a signature may cover its spelling.
    pub fn add_to(&self, url: &mut Url) {
        if self.query.is_empty() {
            return;
        }
        let is_kept = |pair: &&str| {
            let mut names = form_urlencoded::parse(pair.as_bytes()).map(|(name, _)| name);
            !pair.is_empty() && !names.next().is_some_and(|name| self.names.contains(&name))
        };
        let old = url.query().unwrap_or_default().split('&').filter(is_kept);
        let query = old.chain([self.query]).collect::<Vec<_>>().join("&");
        url.set_query(Some(&query));
    }
}
