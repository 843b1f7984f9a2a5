//! The lines of a playlist (RFC 8216 §4.1).

/// A line that is neither blank nor a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'t> {
    /// A tag, with its name and what follows the colon.
    Tag(&'t str, &'t str),
    /// A URI.
    Uri(&'t str),
}

/// Returns the lines, whichever of LF, CRLF and CR ends them.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.filter_map(|line| match line.strip_prefix('#') {
        None => Some(Line::Uri(line)),
        Some(tag) if tag.starts_with("EXT") => {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            Some(Line::Tag(name.trim_end(), value.trim_start()))
        }
        Some(_) => None,
    })
}
