//! The page ytcanal.toml(5), from `config/ytcanal.toml`: its comments are the text, and its keys the headlines.

use std::fmt::Write;
use std::io;

use crate::roff;

const SHIPPED: &str = include_str!("../../config/ytcanal.toml");

/// Comments and the keys below them, of which the page has the keys first.
#[derive(Default)]
struct Entry<'a> {
    text: Vec<&'a str>,
    keys: Vec<(&'a str, &'a str)>,
}

impl Entry<'_> {
    /// Writes the entry and begins another.
    fn finish(&mut self, page: &mut String) {
        for (number, (key, value)) in self.keys.iter().enumerate() {
            let value = if *value == "..." { "(unset)" } else { value };
            let begin = if number == 0 { ".TP" } else { ".TQ" };
            // Writing to a String cannot fail.
            write!(page, "{begin}\n\\fB{key}\\fR = {}", roff::line(value)).ok();
        }
        page.extend(self.text.iter().map(|text| roff::line(text)));
        *self = Self::default();
    }
}

/// Returns the page. A line that is none of the known kinds is an error.
pub(crate) fn page() -> io::Result<String> {
    let mut page = roff::title("ytcanal.toml", 5);
    page.push_str(".SH NAME\nytcanal.toml \\- configuration of ytcanal\n.SH DESCRIPTION\n");
    let mut entry = Entry::default();
    let mut in_preface = true;
    for line in SHIPPED.lines() {
        if line.is_empty() {
            entry.finish(&mut page);
            if std::mem::take(&mut in_preface) {
                page.push_str(".SH KEYS\n");
            }
        } else if let Some(text) = line.strip_prefix("# ") {
            if !entry.keys.is_empty() {
                entry.finish(&mut page);
            }
            entry.text.push(text);
        } else if line.starts_with('[') {
            writeln!(page, ".SS {line}").ok();
        } else if let Some(key) = line.strip_prefix('#').and_then(|key| key.split_once(" = ")) {
            entry.keys.push(key);
        } else {
            return Err(io::Error::other(format!("config/ytcanal.toml: unknown line {line:?}")));
        }
    }
    entry.finish(&mut page);
    page.push_str(".SH FILES\n/etc/ytcanal/ytcanal.toml\n.SH \"SEE ALSO\"\n.BR ytcanal (1)\n");
    Ok(page)
}
