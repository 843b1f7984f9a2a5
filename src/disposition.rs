//! From a wish for a file name to a header that is safe, for whoever saves the file.

use std::fmt::Write;

/// The longest name, in bytes of UTF-8, without the extension: file systems take 255.
const LONGEST: usize = 180;
/// What a file is called whose client did not say.
const NAMELESS: &str = "video";

/// The value of Content-Disposition (RFC 6266): a plain name for old clients, and the real one.
pub fn attachment(wish: Option<&str>, extension: &str) -> String {
    let name = file_name(wish.unwrap_or_default(), extension);
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii() && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    let mut value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        // RFC 8187 §3.2.1, attr-char.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(value, "%{byte:02X}").ok();
        }
    }
    value
}

/// A name that every file system takes and that hides nothing.
fn file_name(wish: &str, extension: &str) -> String {
    let wish = wish.trim().trim_end_matches(&format!(".{extension}"));
    let mut name = String::new();
    for c in wish.chars() {
        let c = match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            c if c.is_control() || turns_text_around(c) => ' ',
            c => c,
        };
        if name.len() + c.len_utf8() > LONGEST {
            break;
        }
        // No name begins with a dot or a blank, and no two blanks follow each other.
        let blank = c.is_whitespace();
        if !(blank && (name.is_empty() || name.ends_with(' ')) || c == '.' && name.is_empty()) {
            name.push(if blank { ' ' } else { c });
        }
    }
    let name = name.trim_end_matches([' ', '.']);
    let name = if name.is_empty() { NAMELESS } else { name };
    format!("{name}.{extension}")
}

/// Marks that make `exe.mp4` look like `4pm.exe`.
fn turns_text_around(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_made_safe() {
        for (wish, name) in [
            ("A film", "A film.mp4"),
            ("", "video.mp4"),
            ("a/../b\\c", "a_.._b_c.mp4"),
            ("..hidden. ", "hidden.mp4"),
            ("two\r\nlines\0", "two lines.mp4"),
            ("film.mp4", "film.mp4"),
            ("\u{202e}4pm.exe", "4pm.exe.mp4"),
            ("...", "video.mp4"),
        ] {
            assert_eq!(file_name(wish, "mp4"), name, "{wish:?}");
        }
        assert_eq!(
            attachment(Some("Ö \"x\" 🎬"), "mp4"),
            "attachment; filename=\"_ _x_ _.mp4\"; \
             filename*=UTF-8''%C3%96%20_x_%20%F0%9F%8E%AC.mp4"
        );
    }

    proptest! {
        #[test]
        fn every_name_is_one_line_of_ascii_and_short(wish in "\\PC{0,400}|(?s).{0,60}") {
            let value = attachment(Some(&wish), "webm");
            prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{}", value);
            prop_assert_eq!(value.matches('"').count(), 2);
            prop_assert!(file_name(&wish, "webm").len() <= LONGEST + 5);
        }
    }
}
