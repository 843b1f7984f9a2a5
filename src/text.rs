//! Makes text of foreign origin fit to be shown: in messages, metadata, header fields and log lines.
//!
//! **Invariant:** nothing that these functions return can end a line, change the direction of the text
//! around it, or control a terminal.

/// Returns `text` as one line of at most `max_chars` characters. Line breaks, other control characters and
/// runs of blanks become one blank; invisible characters are left out. `…` marks what was cut off.
pub fn one_line(text: &str, max_chars: usize) -> String {
    let visible = text.trim().chars().filter(|c| !is_invisible(*c));
    let mut line = String::new();
    let mut left = max_chars;
    for c in visible.map(|c| if ends_line(c) || c.is_control() { ' ' } else { c }) {
        if c == ' ' && (line.is_empty() || line.ends_with(' ')) {
            continue;
        }
        if left == 0 {
            line.pop();
            line.truncate(line.trim_end().len());
            line.push('…');
            return line;
        }
        line.push(c);
        left -= 1;
    }
    line.truncate(line.trim_end().len());
    line
}

/// Returns `text` with everything escaped that is invisible.
pub fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || ends_line(c) || is_invisible(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Returns `text` as the value of a header field (RFC 9110 §5.5): visible ASCII and blanks, with `?` for
/// all else.
pub fn field_value(text: String) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
    }
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

/// Whether `c` is invisible: direction marks, which make `exe.mp4` look like `4pm.exe`, characters without
/// width, and letters that are blank. U+200C and U+200D stay: Persian and emojis need them.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{3164}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether `c` is the line or the paragraph separator of Unicode.
fn ends_line(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_no_control_characters_and_a_limit() {
        for (text, line) in [
            ("", ""),
            ("  a\r\n\tb \u{1b}[31mc ", "a b [31mc"),
            ("\u{202e}4pm.exe\u{2028}x", "4pm.exe x"),
            ("\u{3164}a\u{180e}b", "ab"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("0123456789ab", "0123456789ab"),
            ("0123456789abc", "0123456789a…"),
            ("0123456789 abc", "0123456789…"),
        ] {
            assert_eq!(one_line(text, 12), line, "{text:?}");
        }
    }

    #[test]
    fn a_log_line_shows_what_was_there() {
        assert_eq!(escaped("a\nb\r\x1b[31mc\u{7f}ü"), "a\\nb\\r\\u{1b}[31mc\\u{7f}ü");
        assert_eq!(escaped("\u{202e}\u{2029}"), "\\u{202e}\\u{2029}");
    }

    #[test]
    fn a_header_field_cannot_be_split() {
        assert_eq!(field_value("a\r\nSet-Cookie: x\0ü".into()), "a??Set-Cookie: x??");
    }

    proptest! {
        #[test]
        fn nothing_ends_a_line(text in "\\PC*|.*", max in 1..40usize) {
            let line = one_line(&text, max);
            prop_assert!(line.chars().count() <= max, "{line:?}");
            prop_assert!(!line.contains(|c: char| c.is_control() || ends_line(c) || is_invisible(c)));
            prop_assert_eq!(one_line(&line, max), line);
            prop_assert!(!escaped(&text).contains(|c: char| c.is_control() || ends_line(c)));
        }
    }
}
