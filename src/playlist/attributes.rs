//! Attribute lists (RFC 8216 §4.2).

use std::borrow::Cow;

use super::context::MAX_LINE;
use super::variables::Variables;
use super::{PlaylistError, invalid};

/// The attributes of a tag, with variables substituted.
pub(super) struct Attributes<'t> {
    tag: &'static str,
    list: Vec<(&'t str, Cow<'t, str>)>,
}

impl<'t> Attributes<'t> {
    /// Parses the attribute list of a tag.
    pub(super) fn parse(
        tag: &'static str,
        text: &'t str,
        variables: &Variables,
    ) -> Result<Attributes<'t>, PlaylistError> {
        if text.len() > MAX_LINE {
            return Err(PlaylistError::LimitExceeded(format!("{tag} is longer than {MAX_LINE}")));
        }
        let malformed = || invalid(format!("the attributes of {tag} are malformed"));
        let mut list = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(Attributes { tag, list });
            }
            let (name, tail) = rest.split_once('=').ok_or_else(malformed)?;
            let (value, tail) = match tail.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or_else(malformed)?,
                None => tail.split_at(tail.find(',').unwrap_or(tail.len())),
            };
            if !(tail.is_empty() || tail.starts_with([',', ' ', '\t'])) {
                return Err(malformed());
            }
            list.push((name.trim(), variables.substitute(value.trim())?));
            rest = tail;
        }
    }

    /// Returns the value of an attribute.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|(found, _)| *found == name).map(|(_, value)| &**value)
    }

    /// Returns the value of an attribute without which the tag makes no sense.
    pub(super) fn require(&self, name: &str) -> Result<&str, PlaylistError> {
        self.get(name).ok_or_else(|| invalid(format!("{} lacks {name}", self.tag)))
    }
}
