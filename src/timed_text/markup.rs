//! The text of cues: lines with `&`, `<` and `>` escaped, and the tags `b`, `i` and `u`, properly nested.

/// Maximum length of the text of a cue, in bytes. What is longer is cut: it would not fit a screen.
const MAX_TEXT: usize = 4096;
/// Maximum number of tags that are open at a time.
const MAX_OPEN: usize = 8;

/// Builds the text of a cue. The end of a tag that is not the last one that was opened closes the others, too.
#[derive(Default)]
pub(super) struct Builder {
    text: String,
    /// The open tags.
    open: Vec<u8>,
    /// How many tags are not kept because too many are open.
    ignored: usize,
}

impl Builder {
    pub(super) fn push(&mut self, letter: char) {
        if self.text.len() > MAX_TEXT {
            return;
        }
        match letter {
            '&' => self.text.push_str("&amp;"),
            '<' => self.text.push_str("&lt;"),
            '>' => self.text.push_str("&gt;"),
            '\n' => self.end_line(),
            letter if letter.is_control() => {}
            letter => self.text.push(letter),
        }
    }

    pub(super) fn push_text(&mut self, text: &str) {
        text.chars().for_each(|letter| self.push(letter));
    }

    /// Adds a blank, unless there is one or the line begins.
    pub(super) fn push_blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.push(' ');
        }
    }

    /// Ends a line, unless it is empty.
    fn end_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches([' ', '\t']).len());
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Opens one of the tags `b`, `i` and `u`; others are left out.
    pub(super) fn open(&mut self, name: &str) {
        let [tag @ (b'b' | b'i' | b'u')] = *name.as_bytes() else { return };
        if self.open.len() == MAX_OPEN || self.text.len() > MAX_TEXT {
            self.ignored += 1;
            return;
        }
        self.open.push(tag);
        self.text.extend(['<', char::from(tag), '>']);
    }

    /// Closes a tag that was opened.
    pub(super) fn close(&mut self, name: &str) {
        let [tag @ (b'b' | b'i' | b'u')] = *name.as_bytes() else { return };
        if self.ignored > 0 {
            self.ignored -= 1;
        } else if self.open.contains(&tag) {
            while let Some(last) = self.open.pop() {
                self.text.extend(['<', '/', char::from(last), '>']);
                if last == tag {
                    break;
                }
            }
        }
    }

    /// Returns the text.
    pub(super) fn finish(mut self) -> String {
        while let Some(last) = self.open.pop() {
            self.text.extend(['<', '/', char::from(last), '>']);
        }
        let text = self.text.trim();
        // Tags around nothing are nothing.
        if plain(text).trim().is_empty() { String::new() } else { text.to_owned() }
    }
}

/// Returns the text of a cue without tags, and with nothing escaped.
pub fn plain(text: &str) -> String {
    pieces(text).into_iter().map(|(piece, _)| piece).collect()
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underlined: bool,
}

/// Returns the pieces of a text, with nothing escaped, each with its style.
pub fn pieces(text: &str) -> Vec<(String, Style)> {
    let (mut pieces, mut depths) = (Vec::new(), [0_usize; 3]);
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find('<').unwrap_or(rest.len());
        if end > 0 {
            let piece = rest[..end].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            let [bold, italic, underlined] = depths.map(|depth| depth > 0);
            pieces.push((piece, Style { bold, italic, underlined }));
        }
        rest = &rest[end..];
        let Some((tag, behind)) = rest.split_once('>') else { break };
        let (name, is_end) = match tag[1..].strip_prefix('/') {
            Some(name) => (name, true),
            None => (&tag[1..], false),
        };
        if let Some(at) = ["b", "i", "u"].iter().position(|known| *known == name) {
            depths[at] = if is_end { depths[at].saturating_sub(1) } else { depths[at] + 1 };
        }
        rest = behind;
    }
    pieces
}

/// Returns the character that a name between `&` and `;` stands for.
pub(super) fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|letter| *letter != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "lrm" => '\u{200e}',
        "rlm" => '\u{200f}',
        _ => return None,
    })
}

/// Maximum length of the name of an entity.
const MAX_ENTITY: usize = 10;

/// Takes an entity from the beginning of `rest`, which is behind its `&`; returns it with what follows.
pub(super) fn take_entity(rest: &str) -> Option<(char, &str)> {
    let end = rest.bytes().take(MAX_ENTITY).position(|byte| byte == b';')?;
    Some((entity(rest.get(..end)?)?, &rest[end + 1..]))
}
