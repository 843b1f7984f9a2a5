//! One record of the log, as text and as JSON. Pure.

use std::fmt::Write;
use std::net::IpAddr;

use log::Level;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::shown;
use crate::request_id::RequestId;

/// RFC 3339, in UTC.
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// Not known, or there is none.
    None,
    /// Text.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// A time in seconds.
    Seconds(f64),
    /// An address.
    Address(IpAddr),
}

impl<'a> Field<'a> {
    /// Returns the field of a text that may be missing.
    pub fn text(text: Option<&'a str>) -> Field<'a> {
        text.map_or(Field::None, Field::Text)
    }

    /// Returns the field of a number that may be missing.
    pub fn number(number: Option<u64>) -> Field<'a> {
        number.map_or(Field::None, Field::Number)
    }
}

/// One record.
pub(super) struct Entry<'a> {
    pub(super) level: Level,
    /// A text without control characters.
    pub(super) message: &'a str,
    pub(super) request_id: Option<RequestId>,
    /// Whether other programs read the text.
    pub(super) is_fixed: bool,
    pub(super) fields: &'a [(&'static str, Field<'a>)],
}

impl Entry<'_> {
    /// Returns the record for people, without its time and its level.
    pub(super) fn text(&self) -> String {
        match shown(self.request_id.as_ref(), self.is_fixed) {
            Some(id) => format!("{} [{id}]", self.message),
            None => self.message.to_owned(),
        }
    }

    /// Returns the record as an object of JSON, with its keys in this order.
    pub(super) fn json(&self, now: OffsetDateTime) -> String {
        let mut line = String::with_capacity(self.message.len() + 512);
        let mut add = |key: &str, value: &Value| {
            let start = if line.is_empty() { '{' } else { ',' };
            // Writing to a String cannot fail.
            write!(line, "{start}\"{key}\":{value}").ok();
        };
        add("time", &now.format(MILLISECONDS).unwrap_or_default().into());
        add("level", &self.level.as_str().to_ascii_lowercase().into());
        add("message", &self.message.into());
        add("request_id", &self.request_id.as_ref().map(RequestId::as_str).into());
        for (key, field) in self.fields {
            add(key, &field.json());
        }
        line.push('}');
        line
    }
}

impl Field<'_> {
    fn json(&self) -> Value {
        match *self {
            Field::None => Value::Null,
            Field::Text(text) => text.into(),
            Field::Number(number) => number.into(),
            Field::Seconds(seconds) => seconds.into(),
            Field::Address(address) => address.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(is_fixed: bool, fields: &'a [(&'static str, Field<'a>)]) -> Entry<'a> {
        let request_id = RequestId::parse("abc");
        Entry { level: Level::Warn, message: "a \"b\" c", request_id, is_fixed, fields }
    }

    #[test]
    fn text_names_the_request_unless_others_read_it() {
        assert_eq!(entry(false, &[]).text(), "a \"b\" c [abc]");
        assert_eq!(entry(true, &[]).text(), "a \"b\" c");
    }

    #[test]
    fn json_has_every_field_in_order() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let fields = [
            ("text", Field::Text("\u{e4}\u{1}\"")),
            ("number", Field::number(Some(7))),
            ("seconds", Field::Seconds(0.25)),
            ("nothing", Field::text(None)),
        ];
        let expected = "{\"time\":\"2023-11-14T22:13:20.000Z\",\"level\":\"warn\",\
                        \"message\":\"a \\\"b\\\" c\",\"request_id\":\"abc\",\"text\":\"\u{e4}\\u0001\\\"\",\
                        \"number\":7,\"seconds\":0.25,\"nothing\":null}";
        assert_eq!(entry(true, &fields).json(now), expected);
    }
}
