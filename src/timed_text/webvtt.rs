//! WebVTT (W3C): its cues, without settings, comments, styles and regions.

use super::markup::{Builder, take_entity};
use super::{Cues, Unreadable, clock, unreadable, write_clock};
use crate::media::subtitles::Cue;

pub(super) const ARROW: &str = "-->";

pub(super) fn read(text: &str) -> Result<Vec<Cue>, Unreadable> {
    let signature = text
        .strip_prefix("WEBVTT")
        .filter(|rest| rest.is_empty() || rest.starts_with(['\n', ' ', '\t']));
    let rest = signature.ok_or_else(|| unreadable("it is not WebVTT"))?;
    let mut cues = Cues::default();
    // What is in the header up to the first empty line is no cue.
    let mut lines = rest.lines().enumerate().skip_while(|(_, line)| !line.is_empty()).peekable();
    while let Some((number, line)) = lines.next() {
        let Some((start, end)) = line.split_once(ARROW) else {
            // A comment ends with an empty line, even if it has an arrow in it; so do styles.
            if ["NOTE", "STYLE", "REGION"].iter().any(|name| is_block(line, name)) {
                while lines.next_if(|(_, line)| !line.is_empty()).is_some() {}
            }
            continue;
        };
        let timings = timings(start, end);
        let (start, end) = timings
            .ok_or_else(|| Unreadable(format!("line {} has no valid timings", number + 1)))?;
        let mut text = Builder::default();
        let mut payload = String::new();
        while let Some((_, line)) =
            lines.next_if(|(_, line)| !line.is_empty() && !line.contains(ARROW))
        {
            payload.push_str(line);
            payload.push('\n');
        }
        push_payload(&mut text, &payload);
        cues.add(start, end, text.finish())?;
    }
    Ok(cues.0)
}

fn is_block(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Returns start and end of a cue; behind the end there may be settings.
fn timings(start: &str, end: &str) -> Option<(u64, u64)> {
    let end = end.split_ascii_whitespace().next()?;
    Some((clock(start.trim(), &['.'])?, clock(end, &['.'])?))
}

/// Adds the text of a cue. Spans keep their content, but for timestamps.
fn push_payload(text: &mut Builder, payload: &str) {
    let mut rest = payload;
    while let Some(letter) = rest.chars().next() {
        let behind = &rest[letter.len_utf8()..];
        rest = match letter {
            '<' => {
                let (tag, behind) = behind.split_once('>').unwrap_or((behind, ""));
                let (name, is_end) = match tag.strip_prefix('/') {
                    Some(name) => (name, true),
                    None => (tag, false),
                };
                // Classes and annotations follow the name.
                let name = name.split(['.', ' ', '\t', '\n']).next().unwrap_or_default();
                if is_end {
                    text.close(name);
                } else {
                    text.open(name);
                }
                behind
            }
            '&' => {
                let entity = take_entity(behind);
                text.push(entity.map_or('&', |(letter, _)| letter));
                entity.map_or(behind, |(_, behind)| behind)
            }
            letter => {
                text.push(letter);
                behind
            }
        };
    }
}

/// Writes a WebVTT file.
pub fn write(cues: &[Cue]) -> String {
    let mut file = "WEBVTT\n".to_owned();
    for Cue { start, end, text } in cues {
        let [start, end] = [start, end].map(|time| write_clock(*time, '.'));
        file.push_str(&format!("\n{start} {ARROW} {end}\n{text}\n"));
    }
    file
}
