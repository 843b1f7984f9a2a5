//! SubRip (SRT), which has no standard: numbered cues with their timings, and tags of HTML.

use super::markup::{Builder, take_entity};
use super::webvtt::ARROW;
use super::{Cues, Unreadable, clock, unreadable, write_clock};
use crate::media::subtitles::Cue;

/// Tags and overrides that are left out; a `<` before anything else is text.
const TAGS: [&str; 5] = ["b", "i", "u", "s", "font"];

pub(super) fn read(text: &str) -> Result<Vec<Cue>, Unreadable> {
    let mut cues = Cues::default();
    let mut current: Option<(u64, u64)> = None;
    // The lines since the timings. The last one may be the number of the next cue.
    let mut lines: Vec<&str> = Vec::new();
    let mut add = |timings: Option<(u64, u64)>, lines: &[&str]| match timings {
        Some((start, end)) => cues.add(start, end, payload(lines)),
        // What precedes the first cue is its number.
        None if lines.iter().all(|line| line.is_empty() || is_number(line)) => Ok(()),
        None => Err(unreadable("it is not SRT")),
    };
    for (number, line) in text.lines().map(str::trim).enumerate() {
        let Some((start, end)) = line.split_once(ARROW) else {
            lines.push(line);
            continue;
        };
        let timings = timings(start, end);
        let timings = timings
            .ok_or_else(|| Unreadable(format!("line {} has no valid timings", number + 1)))?;
        if lines.last().is_some_and(|line| is_number(line)) {
            lines.pop();
        }
        add(current, &lines)?;
        lines.clear();
        current = Some(timings);
    }
    add(current, &lines)?;
    match current {
        Some(_) => Ok(cues.0),
        None => Err(unreadable("it is not SRT")),
    }
}

fn is_number(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns start and end of a cue; behind the end there may be coordinates.
fn timings(start: &str, end: &str) -> Option<(u64, u64)> {
    let end = end.split_ascii_whitespace().next()?;
    Some((clock(start.trim(), &[',', '.'])?, clock(end, &[',', '.'])?))
}

fn payload(lines: &[&str]) -> String {
    let mut text = Builder::default();
    for line in lines {
        push_line(&mut text, line);
        text.push('\n');
    }
    text.finish()
}

fn push_line(text: &mut Builder, line: &str) {
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let behind = &rest[letter.len_utf8()..];
        rest = if letter == '<'
            && let Some((name, is_end, behind)) = tag(behind)
        {
            if is_end {
                text.close(&name);
            } else {
                text.open(&name);
            }
            behind
        } else if letter == '&'
            && let Some((letter, behind)) = take_entity(behind)
        {
            text.push(letter);
            behind
        } else if letter == '{' && behind.starts_with('\\') {
            // A position, as of SSA.
            behind.split_once('}').map_or("", |(_, behind)| behind)
        } else {
            text.push(letter);
            behind
        };
    }
}

/// Takes a tag from the beginning of `rest`, which is behind its `<`: its name, whether it ends, and what follows.
fn tag(rest: &str) -> Option<(String, bool, &str)> {
    let (tag, behind) = rest.split_once('>')?;
    let (name, is_end) = match tag.strip_prefix('/') {
        Some(name) => (name, true),
        None => (tag, false),
    };
    let name = name.split([' ', '=']).next()?.to_ascii_lowercase();
    TAGS.contains(&&*name).then_some((name, is_end, behind))
}

/// Writes an SRT file. What is a tag in it is one for players, too, which know no escapes.
pub fn write(cues: &[Cue]) -> String {
    let mut file = String::new();
    for (number, Cue { start, end, text }) in (1..).zip(cues) {
        let [start, end] = [start, end].map(|time| write_clock(*time, ','));
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        // It would begin a cue, however many dashes are before it.
        let text = text.replace(ARROW, "→");
        // An empty line would end the cue; there is none in a text.
        file.push_str(&format!("{number}\n{start} {ARROW} {end}\n{text}\n\n"));
    }
    file
}
