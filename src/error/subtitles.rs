//! Why requested subtitles cannot be delivered.

use std::fmt;

use super::UpstreamError;

/// Why the subtitles in a language cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtitleError {
    /// The language; empty if none was requested.
    pub language: String,
    /// The reason.
    pub reason: SubtitleFault,
}

/// What is wrong with subtitles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubtitleFault {
    /// The page has none in the language, but these.
    Missing(Vec<String>),
    /// They could not be fetched.
    Upstream(UpstreamError),
    /// They are not what they are said to be.
    Unreadable(String),
}

impl fmt::Display for SubtitleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Maximum number of languages that are named.
        const MAX_NAMED: usize = 20;
        let SubtitleError { language, reason } = self;
        match reason {
            SubtitleFault::Missing(others) if others.is_empty() || language.is_empty() => f
                .write_str(
                    "the page has no such subtitles (captions=auto includes automatic captions)",
                ),
            SubtitleFault::Missing(others) => {
                let named: Vec<&str> = others.iter().map(String::as_str).take(MAX_NAMED).collect();
                let more = if others.len() > MAX_NAMED { ", …" } else { "" };
                write!(
                    f,
                    "the page has no subtitles in the language {language} (captions=auto includes automatic \
                     captions); it has {}{more}",
                    named.join(", ")
                )
            }
            SubtitleFault::Upstream(fault) => write!(f, "subtitles in {language}: {fault}"),
            SubtitleFault::Unreadable(why) => write!(f, "subtitles in {language}: {why}"),
        }
    }
}
