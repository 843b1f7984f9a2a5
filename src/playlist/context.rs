//! What all readers of a playlist share: where it is from, its variables, and the limits of its URLs.

use url::Url;

use super::variables::Variables;
use super::{PlaylistError, invalid};
use crate::media::PlaylistHints;
use crate::media::extra_query::ExtraQuery;

/// Maximum length of a tag that is obeyed.
pub(super) const MAX_LINE: usize = 16 << 10;
/// Maximum length of a URL.
pub(super) const MAX_URL: usize = 8 << 10;
/// Maximum length of all URLs. Short relative ones may grow by a long base.
const MAX_URLS: usize = 16 << 20;

/// What the readers of a playlist share.
pub(super) struct Context<'p> {
    pub(super) base: &'p Url,
    pub(super) hints: &'p PlaylistHints,
    pub(super) variables: Variables,
    segment_query: Option<ExtraQuery<'p>>,
    key_query: Option<ExtraQuery<'p>>,
    urls_len: usize,
}

impl<'p> Context<'p> {
    pub(super) fn new(base: &'p Url, hints: &'p PlaylistHints) -> Context<'p> {
        let key_query = hints.key_query.as_deref().or(hints.segment_query.as_deref());
        Context {
            base,
            hints,
            variables: Variables::default(),
            segment_query: hints.segment_query.as_deref().map(ExtraQuery::new),
            key_query: key_query.map(ExtraQuery::new),
            urls_len: 0,
        }
    }

    /// Obeys EXT-X-DEFINE.
    pub(super) fn define(&mut self, text: &str) -> Result<(), PlaylistError> {
        self.variables.define(text, self.base, self.hints)
    }

    /// Returns the URL of a segment or of an initialisation segment, without variables left in it.
    pub(super) fn segment_url(&mut self, what: &str, text: &str) -> Result<Url, PlaylistError> {
        let mut url = self.join(what, text)?;
        if let Some(query) = &self.segment_query {
            query.add_to(&mut url);
        }
        self.counted(what, url)
    }

    /// Returns the URL of a key.
    pub(super) fn key_url(&mut self, text: &str) -> Result<Url, PlaylistError> {
        let mut url = self.join("EXT-X-KEY", text)?;
        if let Some(query) = &self.key_query {
            query.add_to(&mut url);
        }
        self.counted("EXT-X-KEY", url)
    }

    /// Returns the URL of a playlist.
    pub(super) fn playlist_url(&mut self, what: &str, text: &str) -> Result<Url, PlaylistError> {
        let url = self.join(what, text)?;
        self.counted(what, url)
    }

    fn join(&self, what: &str, text: &str) -> Result<Url, PlaylistError> {
        if text.len() > MAX_URL {
            return Err(too_long(what));
        }
        let url = self.base.join(text);
        let url = url.map_err(|_| invalid(format!("{what} has a malformed URL")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(invalid(format!("{what} has a URL that is neither http nor https")));
        }
        Ok(url)
    }

    fn counted(&mut self, what: &str, url: Url) -> Result<Url, PlaylistError> {
        if url.as_str().len() > MAX_URL {
            return Err(too_long(what));
        }
        self.urls_len += url.as_str().len();
        if self.urls_len > MAX_URLS {
            let limit = format!("its URLs are longer than {} MiB together", MAX_URLS >> 20);
            return Err(PlaylistError::LimitExceeded(limit));
        }
        Ok(url)
    }
}

fn too_long(what: &str) -> PlaylistError {
    PlaylistError::LimitExceeded(format!("{what} has a URL that is longer than {MAX_URL}"))
}
