//! Builds the Content-Disposition field (RFC 6266): a requested file name becomes one that is safe on
//! every file system.

use std::fmt::Write;

use deunicode::deunicode_with_tofu;
use percent_encoding::percent_decode_str;
use ring::digest::{SHA256, digest};

use crate::text::is_invisible;

/// The maximum length of a name without its extension, in bytes of UTF-8. File systems allow 255, and
/// programs append suffixes of their own to the names of incomplete files.
const MAX_NAME: usize = 180;
/// The name of a file for which none was requested.
const DEFAULT_NAME: &str = "video";

/// Returns the value of Content-Disposition: `filename` in ASCII, for clients that ignore `filename*`
/// (curl, for one), and `filename*` in UTF-8. Names that differ in UTF-8 also differ in ASCII.
pub fn attachment(requested: Option<&str>, extension: &str) -> String {
    let name = file_name(requested.unwrap_or_default(), extension);
    let mut value =
        format!("attachment; filename=\"{}\"; filename*=UTF-8''", ascii_name(&name, extension));
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

/// Returns the file name in a value that [`attachment`] made.
pub fn attached_name(value: &str) -> Option<String> {
    let (_, name) = value.split_once("; filename*=UTF-8''")?;
    percent_decode_str(name).decode_utf8().ok().map(Into::into)
}

/// Transliterates a file name to ASCII. A name of which no letter or digit is left gets the default
/// name and a hash.
fn ascii_name(name: &str, extension: &str) -> String {
    let transliterated = deunicode_with_tofu(name, "_");
    let is_readable =
        transliterated.trim_end_matches(extension).bytes().any(|byte| byte.is_ascii_alphanumeric());
    let stem = if name.is_ascii() || is_readable {
        // Transliteration may yield quotes and percent signs, which some clients would decode.
        transliterated.replace('"', "'").replace('%', "_")
    } else {
        format!("{DEFAULT_NAME} {}", short_hash(name))
    };
    file_name(&stem, extension)
}

/// Returns a name that every file system accepts, without invisible characters.
pub fn file_name(requested: &str, extension: &str) -> String {
    let mut stem = requested.trim();
    while let Some(shorter) = without_extension(stem, extension) {
        stem = shorter;
    }
    let mut name = String::new();
    let mut chars = stem.chars().filter(|c| !is_invisible(*c)).peekable();
    while let Some(c) = chars.next() {
        // They join letters of some scripts and emojis; anywhere else they make names that look alike.
        let is_joiner = matches!(c, '\u{200c}' | '\u{200d}');
        let between = [name.chars().next_back(), chars.peek().copied()];
        if is_joiner && !between.iter().all(|c| c.is_some_and(|c| !c.is_ascii())) {
            continue;
        }
        let c = match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            // Programs would parse it as an option.
            '-' if name.is_empty() => '_',
            c if c.is_control() || c.is_whitespace() => ' ',
            c => c,
        };
        // No name begins with a dot or a blank, and no two blanks follow each other.
        if !(c == ' ' && (name.is_empty() || name.ends_with(' ')) || c == '.' && name.is_empty()) {
            name.push(c);
        }
    }
    if name.len() > MAX_NAME {
        // The names of a series may differ only at their ends, which are cut off.
        let hash = format!(" {}", short_hash(&name));
        let room = MAX_NAME - hash.len();
        let end = (0..=room).rfind(|end| name.is_char_boundary(*end)).unwrap_or_default();
        name.truncate(end);
        name.truncate(name.trim_end_matches([' ', '.']).len());
        name += &hash;
    }
    let name = name.trim_end_matches([' ', '.']);
    let name = if name.is_empty() { DEFAULT_NAME } else { name };
    let prefix = if is_device(name) { "_" } else { "" };
    format!("{prefix}{name}.{extension}")
}

fn without_extension<'n>(name: &'n str, extension: &str) -> Option<&'n str> {
    let (stem, last) = name.rsplit_once('.')?;
    last.eq_ignore_ascii_case(extension).then_some(stem)
}

/// Returns eight hexadecimal digits of the hash of a name.
fn short_hash(name: &str) -> String {
    let hash = digest(&SHA256, name.as_bytes());
    hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether Windows reserves the name for a device; it ignores everything after the first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = ["COM", "LPT"].iter().find_map(|device| stem.strip_prefix(device));
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].contains(&stem.as_str())
        || numbered.is_some_and(|number| {
            let mut digits = number.chars();
            let digit = digits.next().is_some_and(|c| matches!(c, '0'..='9' | '¹' | '²' | '³'));
            digit && digits.next().is_none()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The ASCII name and the UTF-8 name.
    fn names(requested: &str) -> (String, String) {
        let value = attachment(Some(requested), "mp4");
        let names = value.strip_prefix("attachment; filename=\"").unwrap();
        let (plain, real) = names.split_once("\"; filename*=UTF-8''").unwrap();
        let real = percent_encoding::percent_decode_str(real).decode_utf8().unwrap();
        (plain.into(), real.into_owned())
    }

    #[test]
    fn names_are_made_safe() {
        for (requested, name) in [
            ("A film", "A film.mp4"),
            ("", "video.mp4"),
            ("a/../b\\c", "a_.._b_c.mp4"),
            ("..hidden. ", "hidden.mp4"),
            ("two\r\nlines\0", "two lines.mp4"),
            ("film.mp4", "film.mp4"),
            ("film.MP4.mp4", "film.mp4"),
            ("\u{202e}4pm.exe", "4pm.exe.mp4"),
            ("a\u{200b}b\u{feff}c", "abc.mp4"),
            ("fi\u{200d}lm\u{200c}", "film.mp4"),
            ("C\u{200d}ON", "_CON.mp4"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم.mp4"),
            ("\u{1f469}\u{200d}\u{1f4bb}", "\u{1f469}\u{200d}\u{1f4bb}.mp4"),
            ("\u{61c}\u{3164}exe.\u{2066}txt", "exe.txt.mp4"),
            ("clock$", "_clock$.mp4"),
            ("...", "video.mp4"),
            (" . .a", "a.mp4"),
            ("-rf", "_rf.mp4"),
            ("con", "_con.mp4"),
            ("NUL.tar", "_NUL.tar.mp4"),
            ("COM1 .x", "_COM1 .x.mp4"),
            ("LPT\u{b9}", "_LPT\u{b9}.mp4"),
            ("console", "console.mp4"),
            ("COM10", "COM10.mp4"),
            ("a\u{2028}b\u{3000}c", "a b c.mp4"),
        ] {
            assert_eq!(file_name(requested, "mp4"), name, "{requested:?}");
        }
        assert_eq!(
            attachment(Some("Ö \"x\" 🎬"), "mp4"),
            "attachment; filename=\"O _x_ clapper.mp4\"; \
             filename*=UTF-8''%C3%96%20_x_%20%F0%9F%8E%AC.mp4"
        );
    }

    #[test]
    fn every_alphabet_has_a_plain_name() {
        for (requested, ascii) in [
            ("東京物語", "Dong Jing Wu Yu.mp4"),
            ("ひらがな", "hiragana.mp4"),
            ("Привет, мир", "Privet, mir.mp4"),
            ("שלום", "shlvm.mp4"),
            ("한국어", "hangugeo.mp4"),
            ("“Über” ½ – 50 %", "'Uber' 1_2 - 50 _.mp4"),
            ("／．．／ＣＯＮ", "_.._CON.mp4"),
            ("ＣＯＮ", "_CON.mp4"),
            ("．ｈ", "h.mp4"),
        ] {
            assert_eq!(names(requested).0, ascii, "{requested:?}");
        }
        // Private use: there is no transliteration.
        let [one, other] = ["\u{e000}", "\u{e001}"].map(|requested| names(requested).0);
        assert!(one.starts_with("video ") && one != other, "{one}");
    }

    #[test]
    fn names_that_are_cut_stay_apart() {
        for long in ["x".repeat(300), "é".repeat(300), "日本".repeat(60), "🎬".repeat(100)] {
            let (first, second) = (names(&format!("{long} 1")), names(&format!("{long} 2")));
            assert!(first.0 != second.0 && first.1 != second.1, "{first:?}");
            for name in [first.0, first.1] {
                assert!(name.len() <= MAX_NAME + 4 && name.ends_with(".mp4"), "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_name_is_one_line_of_ascii_and_short(requested in "\\PC{0,400}|(?s).{0,60}") {
            let value = attachment(Some(&requested), "webm");
            prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{}", value);
            prop_assert_eq!(value.matches('"').count(), 2);
            prop_assert!(file_name(&requested, "webm").len() <= MAX_NAME + 5);
        }
    }
}
