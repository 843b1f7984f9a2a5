//! Text as man(7) has it.

use std::fmt::Write;

/// Returns the first line of a page. It has no date, so that the same source gives the same page.
pub(crate) fn title(name: &str, section: u8) -> String {
    format!(".TH {name} {section} \"\" \"ytcanal {}\" \"YtCanal\"\n", env!("CARGO_PKG_VERSION"))
}

/// Returns a line of text without anything that is a command of roff.
pub(crate) fn line(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    // At the beginning of a line, these are commands.
    if text.starts_with(['.', '\'']) { format!("\\&{text}\n") } else { format!("{text}\n") }
}

/// Returns the text below a help as sections: each headline, which ends in a colon, is one, and what is indented stays
/// as it is laid out. Text before the first headline is no part of the option that the page ends with.
pub(crate) fn sections(help: &str) -> String {
    let mut text = String::new();
    let mut in_table = false;
    if help.lines().next().is_some_and(|first| !first.ends_with(':')) {
        text.push_str(".PP\n");
    }
    for row in help.lines() {
        let is_row = row.starts_with(' ');
        if is_row != in_table {
            text.push_str(if is_row { ".nf\n" } else { ".fi\n" });
            in_table = is_row;
        }
        match row.strip_suffix(':') {
            Some(headline) if !is_row => {
                // Writing to a String cannot fail.
                writeln!(text, ".SH \"{}\"", headline.to_uppercase()).ok();
            }
            _ if row.is_empty() => text.push_str(".PP\n"),
            _ => text.push_str(&line(row)),
        }
    }
    if in_table {
        text.push_str(".fi\n");
    }
    text
}
