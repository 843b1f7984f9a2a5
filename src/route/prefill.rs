//! What the forms of the web page begin with: the parameters of a request.

use super::query::Query;

/// The initial content of the forms of the web page; may be empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Prefill {
    /// The page link.
    pub page_url: String,
    /// The video URL.
    pub video: String,
    /// The audio URL.
    pub audio: String,
    /// The quality, as in the parameter.
    pub quality: String,
    /// The container.
    pub container: String,
    /// The start of the time range.
    pub start: String,
    /// The end of the time range.
    pub end: String,
}

impl Prefill {
    /// Returns the forms filled in with the parameters of a request for media.
    pub fn of_target(target: &str) -> Prefill {
        let query = Query::parse(target.split_once('?').unwrap_or_default().1);
        query.map(|mut query| Prefill::take(&mut query)).unwrap_or_default()
    }

    /// Takes the parameters out of a query for which the forms have fields.
    pub(super) fn take(query: &mut Query) -> Prefill {
        let mut text = |name: &str| query.text(name).unwrap_or_default();
        Prefill {
            page_url: text("url"),
            video: text("video"),
            audio: text("audio"),
            quality: text("quality"),
            container: text("container"),
            start: text("start"),
            end: text("end"),
        }
    }

    /// Returns the names of these parameters, and their values.
    pub fn parameters(&self) -> [(&'static str, &str); 7] {
        [
            ("url", &self.page_url),
            ("video", &self.video),
            ("audio", &self.audio),
            ("quality", &self.quality),
            ("container", &self.container),
            ("start", &self.start),
            ("end", &self.end),
        ]
    }
}
