//! From a wish for a file name to a header that is safe, for whoever saves the file.

use std::fmt::Write;

use deunicode::deunicode_with_tofu;
use ring::digest::{SHA256, digest};

/// The longest name, in bytes of UTF-8, without the extension: file systems take 255, and programs
/// hang something of their own on the name of what they have not got all of.
const LONGEST: usize = 180;
/// What a file is called whose client did not say.
const NAMELESS: &str = "video";

/// The value of Content-Disposition (RFC 6266): a plain name for those that know no other (curl,
/// for one), and the real one. Two names that differ also do so in plain letters.
pub fn attachment(wish: Option<&str>, extension: &str) -> String {
    let name = file_name(wish.unwrap_or_default(), extension);
    let mut value =
        format!("attachment; filename=\"{}\"; filename*=UTF-8''", plain_name(&name, extension));
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

/// The same name in ASCII: as it sounds, for most of the letters of the world.
fn plain_name(name: &str, extension: &str) -> String {
    let sound = deunicode_with_tofu(name, "_");
    let is_told =
        sound.trim_end_matches(extension).bytes().any(|byte| byte.is_ascii_alphanumeric());
    let wish = if name.is_ascii() || is_told {
        // There may be quotes in it now, and an escape would be undone by some.
        sound.replace('"', "'").replace('%', "_")
    } else {
        format!("{NAMELESS} {}", mark(name))
    };
    file_name(&wish, extension)
}

/// A name that every file system takes and that hides nothing.
fn file_name(wish: &str, extension: &str) -> String {
    let mut stem = wish.trim();
    while let Some(shorter) = without_extension(stem, extension) {
        stem = shorter;
    }
    let mut name = String::new();
    for c in stem.chars().filter(|c| !is_invisible(*c)) {
        let c = match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            // It would be taken for an option.
            '-' if name.is_empty() => '_',
            c if c.is_control() || c.is_whitespace() => ' ',
            c => c,
        };
        // No name begins with a dot or a blank, and no two blanks follow each other.
        if !(c == ' ' && (name.is_empty() || name.ends_with(' ')) || c == '.' && name.is_empty()) {
            name.push(c);
        }
    }
    if name.len() > LONGEST {
        // What makes it another one than the next of a series may stand at its end.
        let mark = format!(" {}", mark(&name));
        let room = LONGEST - mark.len();
        let end = (0..=room).rfind(|end| name.is_char_boundary(*end)).unwrap_or_default();
        name.truncate(end);
        name.truncate(name.trim_end_matches([' ', '.']).len());
        name += &mark;
    }
    let name = name.trim_end_matches([' ', '.']);
    let name = if name.is_empty() { NAMELESS } else { name };
    let before = if is_device(name) { "_" } else { "" };
    format!("{before}{name}.{extension}")
}

fn without_extension<'n>(name: &'n str, extension: &str) -> Option<&'n str> {
    let (stem, last) = name.rsplit_once('.')?;
    last.eq_ignore_ascii_case(extension).then_some(stem)
}

/// Some letters that stand for a whole name, since no two names have the same.
fn mark(name: &str) -> String {
    let hash = digest(&SHA256, name.as_bytes());
    hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// What Windows takes for a device, whatever stands behind the first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = ["COM", "LPT"].iter().find_map(|device| stem.strip_prefix(device));
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
        || numbered.is_some_and(|number| {
            let mut digits = number.chars();
            let digit = digits.next().is_some_and(|c| matches!(c, '0'..='9' | '¹' | '²' | '³'));
            digit && digits.next().is_none()
        })
}

/// Marks that nobody sees: those that make `exe.mp4` look like `4pm.exe`, and some without width.
/// Two of them stay, which join letters of Persian and of emojis (U+200C and U+200D).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain name and the real one.
    fn names(wish: &str) -> (String, String) {
        let value = attachment(Some(wish), "mp4");
        let names = value.strip_prefix("attachment; filename=\"").unwrap();
        let (plain, real) = names.split_once("\"; filename*=UTF-8''").unwrap();
        let real = percent_encoding::percent_decode_str(real).decode_utf8().unwrap();
        (plain.into(), real.into_owned())
    }

    #[test]
    fn names_are_made_safe() {
        for (wish, name) in [
            ("A film", "A film.mp4"),
            ("", "video.mp4"),
            ("a/../b\\c", "a_.._b_c.mp4"),
            ("..hidden. ", "hidden.mp4"),
            ("two\r\nlines\0", "two lines.mp4"),
            ("film.mp4", "film.mp4"),
            ("film.MP4.mp4", "film.mp4"),
            ("\u{202e}4pm.exe", "4pm.exe.mp4"),
            ("a\u{200b}b\u{feff}c", "abc.mp4"),
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
            assert_eq!(file_name(wish, "mp4"), name, "{wish:?}");
        }
        assert_eq!(
            attachment(Some("Ö \"x\" 🎬"), "mp4"),
            "attachment; filename=\"O _x_ clapper.mp4\"; \
             filename*=UTF-8''%C3%96%20_x_%20%F0%9F%8E%AC.mp4"
        );
    }

    #[test]
    fn every_alphabet_has_a_plain_name() {
        for (wish, plain) in [
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
            assert_eq!(names(wish).0, plain, "{wish:?}");
        }
        // Nobody knows how these sound.
        let [one, other] = ["\u{e000}", "\u{e001}"].map(|wish| names(wish).0);
        assert!(one.starts_with("video ") && one != other, "{one}");
    }

    #[test]
    fn names_that_are_cut_stay_apart() {
        for long in ["x".repeat(300), "é".repeat(300), "日本".repeat(60), "🎬".repeat(100)] {
            let (first, second) = (names(&format!("{long} 1")), names(&format!("{long} 2")));
            assert!(first.0 != second.0 && first.1 != second.1, "{first:?}");
            for name in [first.0, first.1] {
                assert!(name.len() <= LONGEST + 4 && name.ends_with(".mp4"), "{name}");
            }
        }
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
