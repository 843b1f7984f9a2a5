//! Reads XML as far as TTML needs it: tags with their attributes, and text. Names lose their prefixes; a document type
//! declares nothing.

use super::markup::take_entity;
use super::{Unreadable, unreadable};

/// Maximum number of attributes of a tag.
const MAX_ATTRIBUTES: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'x> {
    Start(Start<'x>),
    End(&'x str),
    Text(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start<'x> {
    pub(super) name: &'x str,
    attributes: Vec<(&'x str, String)>,
    /// Whether it ends at once (`<br/>`).
    pub(super) is_empty: bool,
}

impl Start<'_> {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| &value[..])
    }
}

/// The rest of a document.
pub(super) struct Reader<'x>(pub(super) &'x str);

impl<'x> Reader<'x> {
    /// Returns the next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'x>>, Unreadable> {
        loop {
            if self.0.is_empty() {
                return Ok(None);
            }
            if !self.0.starts_with('<') {
                let end = self.0.find('<').unwrap_or(self.0.len());
                let (text, rest) = self.0.split_at(end);
                self.0 = rest;
                return Ok(Some(Token::Text(unescaped(text))));
            }
            if let Some(rest) = self.0.strip_prefix("<![CDATA[") {
                let (text, rest) = rest.split_once("]]>").ok_or_else(cut)?;
                self.0 = rest;
                return Ok(Some(Token::Text(text.to_owned())));
            }
            let skipped = [("<!--", "-->"), ("<?", "?>"), ("<!", ">")].into_iter();
            let mut skipped = skipped.filter(|(begin, _)| self.0.starts_with(begin));
            let Some((_, end)) = skipped.next() else { return self.tag().map(Some) };
            self.0 = self.0.split_once(end).ok_or_else(cut)?.1;
        }
    }

    fn tag(&mut self) -> Result<Token<'x>, Unreadable> {
        let rest = &self.0[1..];
        if let Some(rest) = rest.strip_prefix('/') {
            let (name, rest) = rest.split_once('>').ok_or_else(cut)?;
            self.0 = rest;
            return Ok(Token::End(local(name.trim())));
        }
        let end = rest.find([' ', '\t', '\n', '/', '>']).ok_or_else(cut)?;
        let (name, mut rest) = (local(&rest[..end]), &rest[end..]);
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_ascii_start();
            if let Some(behind) = rest.strip_prefix("/>") {
                self.0 = behind;
                return Ok(Token::Start(Start { name, attributes, is_empty: true }));
            }
            if let Some(behind) = rest.strip_prefix('>') {
                self.0 = behind;
                return Ok(Token::Start(Start { name, attributes, is_empty: false }));
            }
            let (name, behind) = rest.split_once('=').ok_or_else(cut)?;
            let behind = behind.trim_ascii_start();
            let quote = behind.chars().next().filter(|quote| matches!(quote, '"' | '\''));
            let quote = quote.ok_or_else(cut)?;
            let (value, behind) = behind[1..].split_once(quote).ok_or_else(cut)?;
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(unreadable("a tag has too many attributes"));
            }
            attributes.push((local(name.trim()), unescaped(value)));
            rest = behind;
        }
    }
}

fn cut() -> Unreadable {
    unreadable("it is not well-formed XML")
}

/// Returns a name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn unescaped(text: &str) -> String {
    let (mut unescaped, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once('&') {
        unescaped.push_str(before);
        let entity = take_entity(behind);
        unescaped.push(entity.map_or('&', |(letter, _)| letter));
        rest = entity.map_or(behind, |(_, behind)| behind);
    }
    unescaped.push_str(rest);
    unescaped
}
