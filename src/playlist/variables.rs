//! Variables (EXT-X-DEFINE, rfc8216bis §4.3 and §4.4.2.3).

use std::borrow::Cow;

use url::Url;

use super::attributes::Attributes;
use super::context::MAX_URL;
use super::{PlaylistError, invalid};
use crate::media::PlaylistHints;
use crate::text::one_line;

/// Maximum number of variables.
const MAX_VARIABLES: usize = 100;

/// The variables defined so far.
#[derive(Default)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    /// Obeys an EXT-X-DEFINE tag of a playlist at `base`.
    pub(super) fn define(
        &mut self,
        text: &str,
        base: &Url,
        hints: &PlaylistHints,
    ) -> Result<(), PlaylistError> {
        let attributes = Attributes::parse("EXT-X-DEFINE", text, self)?;
        let undefined = |name: &str, origin: &str| {
            invalid(format!("EXT-X-DEFINE: {origin} has no \"{}\"", one_line(name, 50)))
        };
        let (name, value) = if let Some(name) = attributes.get("NAME") {
            (name, attributes.require("VALUE")?.to_owned())
        } else if let Some(name) = attributes.get("IMPORT") {
            let imported = hints.variables.iter().find(|(defined, _)| defined == name);
            let (_, value) = imported.ok_or_else(|| undefined(name, "the master playlist"))?;
            (name, value.clone())
        } else {
            let name = attributes.require("QUERYPARAM")?;
            let found = base.query_pairs().find(|(found, _)| found == name);
            let (_, value) = found.ok_or_else(|| undefined(name, "the URL of the playlist"))?;
            (name, value.into_owned())
        };
        if self.get(name).is_some() {
            return Err(invalid("EXT-X-DEFINE: a variable is defined twice"));
        }
        if self.0.len() == MAX_VARIABLES {
            let limit = format!("it defines more than {MAX_VARIABLES} variables");
            return Err(PlaylistError::LimitExceeded(limit));
        }
        let definition = (name.to_owned(), value);
        self.0.push(definition);
        Ok(())
    }

    /// Replaces `{$name}` by the value of the variable.
    pub(super) fn substitute<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, PlaylistError> {
        let Some((mut before, mut rest)) = text.split_once("{$") else {
            return Ok(Cow::Borrowed(text));
        };
        let mut output = String::new();
        loop {
            output.push_str(before);
            let (name, after) =
                rest.split_once('}').ok_or_else(|| invalid("a variable reference is open"))?;
            let undefined = || invalid(format!("{{${}}} is not defined", one_line(name, 50)));
            output.push_str(self.get(name).ok_or_else(undefined)?);
            if output.len() > MAX_URL {
                return Err(PlaylistError::LimitExceeded("a value is too long".into()));
            }
            let Some(next) = after.split_once("{$") else {
                output.push_str(after);
                return Ok(Cow::Owned(output));
            };
            (before, rest) = next;
        }
    }

    /// Returns all variables.
    pub(super) fn into_inner(self) -> Vec<(String, String)> {
        self.0
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(defined, _)| defined == name).map(|(_, value)| value.as_str())
    }
}
