//! TTML (W3C), also called DFXP: its paragraphs, with the times of the elements around them.

use super::markup::Builder;
use super::xml::{Reader, Start, Token};
use super::{Cues, MAX_MILLIS, Unreadable, clock, unreadable};
use crate::media::subtitles::Cue;

/// Maximum depth of elements.
const MAX_DEPTH: usize = 64;

/// An element that is open.
struct Open<'x> {
    name: &'x str,
    /// Its time, in milliseconds.
    begin: u64,
    end: u64,
    /// Whether blanks in it are kept.
    keeps_blanks: bool,
    /// The tag that it is for the text.
    tags: Vec<&'static str>,
}

/// How times are counted.
struct Rates {
    /// Frames per second.
    frames: f64,
    /// Ticks per second.
    ticks: f64,
}

pub(super) fn read(text: &str) -> Result<Vec<Cue>, Unreadable> {
    let mut reader = Reader(text);
    let mut rates = Rates { frames: 30.0, ticks: 1.0 };
    let mut cues = Cues::default();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut paragraph: Option<Builder> = None;
    let mut has_root = false;
    while let Some(token) = reader.next()? {
        match token {
            Token::Start(start) => {
                if open.is_empty() && (has_root || start.name != "tt") {
                    return Err(unreadable("it is not TTML"));
                }
                if open.is_empty() {
                    (rates, has_root) = (rates_of(&start), true);
                }
                if let Some(text) = &mut paragraph {
                    if start.name == "br" {
                        text.push('\n');
                    }
                } else if start.name == "p" {
                    paragraph = Some(Builder::default());
                }
                let element = element(&start, open.last(), &rates)?;
                if let Some(text) = &mut paragraph {
                    element.tags.iter().for_each(|tag| text.open(tag));
                }
                if open.len() == MAX_DEPTH {
                    return Err(unreadable("its elements are nested too deeply"));
                }
                let is_empty = start.is_empty;
                open.push(element);
                if is_empty {
                    close(&mut open, &mut paragraph, &mut cues)?;
                }
            }
            Token::End(name) => {
                if open.last().is_none_or(|last| last.name != name) {
                    return Err(unreadable("it is not well-formed XML"));
                }
                close(&mut open, &mut paragraph, &mut cues)?;
            }
            Token::Text(text) => {
                if let (Some(paragraph), Some(last)) = (&mut paragraph, open.last()) {
                    push(paragraph, &text, last.keeps_blanks);
                }
            }
        }
    }
    match has_root && open.is_empty() {
        true => Ok(cues.0),
        false => Err(unreadable("it is not TTML, or incomplete")),
    }
}

/// Closes the last element.
fn close(
    open: &mut Vec<Open<'_>>,
    paragraph: &mut Option<Builder>,
    cues: &mut Cues,
) -> Result<(), Unreadable> {
    let Some(last) = open.pop() else { return Ok(()) };
    if let Some(text) = paragraph {
        last.tags.iter().rev().for_each(|tag| text.close(tag));
    }
    match paragraph.take_if(|_| last.name == "p") {
        Some(text) => cues.add(last.begin, last.end, text.finish()),
        None => Ok(()),
    }
}

/// Returns an element, whose times are relative to those of the one around it.
fn element<'x>(
    start: &Start<'x>,
    around: Option<&Open<'_>>,
    rates: &Rates,
) -> Result<Open<'x>, Unreadable> {
    let (zero, limit) = around.map_or((0, MAX_MILLIS), |around| (around.begin, around.end));
    let keeps_blanks = match start.attribute("space") {
        Some(space) => space == "preserve",
        None => around.is_some_and(|around| around.keeps_blanks),
    };
    let time = |name: &str| match start.attribute(name) {
        Some(text) => {
            let wrong =
                || Unreadable(format!("{name}=\"{}\" is no time", crate::text::one_line(text, 20)));
            rates.time(text).map(Some).ok_or_else(wrong)
        }
        None => Ok(None),
    };
    let begin = zero.saturating_add(time("begin")?.unwrap_or(0)).min(limit);
    let until = time("end")?.map(|end| zero.saturating_add(end));
    let lasting = time("dur")?.map(|duration| begin.saturating_add(duration));
    let end = [until, lasting].into_iter().flatten().fold(limit, u64::min);
    let is = |name: &str, value: &str| start.attribute(name) == Some(value);
    let styles = [
        ("b", is("fontWeight", "bold")),
        ("i", is("fontStyle", "italic") || is("fontStyle", "oblique")),
        ("u", is("textDecoration", "underline")),
    ];
    let tags = styles.into_iter().filter_map(|(tag, is_set)| is_set.then_some(tag)).collect();
    Ok(Open { name: start.name, begin, end, keeps_blanks, tags })
}

fn rates_of(root: &Start<'_>) -> Rates {
    let number = |name: &str| {
        root.attribute(name)?.trim().parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate < 1e9)
    };
    let rate = number("frameRate");
    let multiplier = root.attribute("frameRateMultiplier").and_then(|text| {
        let (numerator, denominator) = text.trim().split_once([' ', ':'])?;
        let quotient = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
        (quotient > 0.0 && quotient < 1e9).then_some(quotient)
    });
    let frames = rate.unwrap_or(30.0) * multiplier.unwrap_or(1.0);
    // Without a tick rate, a tick is a frame where frames are counted.
    let ticks = number("tickRate").unwrap_or(if rate.is_some() { frames } else { 1.0 });
    Rates { frames, ticks }
}

impl Rates {
    /// Reads a time expression; returns milliseconds.
    fn time(&self, text: &str) -> Option<u64> {
        let text = text.trim();
        if text.contains(':') {
            return self.clock_time(text);
        }
        let at = text.find(|letter: char| letter.is_ascii_alphabetic())?;
        let (number, metric) = text.split_at(at);
        let number = decimal(number)?;
        millis(match metric {
            "h" => number * 3600.0,
            "m" => number * 60.0,
            "s" => number,
            "ms" => number / 1000.0,
            "f" => number / self.frames,
            "t" => number / self.ticks,
            _ => return None,
        })
    }

    /// Reads `HH:MM:SS`, with a fraction or a number of frames.
    fn clock_time(&self, text: &str) -> Option<u64> {
        let parts: Vec<&str> = text.split(':').collect();
        let (whole, frames) = match parts[..] {
            [hours, minutes, seconds, frames] => ([hours, minutes, seconds], decimal(frames)?),
            [hours, minutes, seconds] => ([hours, minutes, seconds], 0.0),
            _ => return None,
        };
        let (seconds, fraction) = whole[2].split_once('.').unwrap_or((whole[2], "0"));
        let base = clock(&format!("{}:{}:{seconds}.000", whole[0], whole[1]), &['.'])?;
        let fraction = decimal(&format!("0.{fraction}"))?;
        base.checked_add(millis(fraction + frames / self.frames)?).filter(|time| *time < MAX_MILLIS)
    }
}

/// Reads digits with an optional fraction.
fn decimal(text: &str) -> Option<f64> {
    let is_decimal = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let number = text.parse::<f64>().ok()?;
    text.bytes().all(is_decimal).then_some(number)
}

fn millis(seconds: f64) -> Option<u64> {
    let millis = (seconds * 1000.0).round();
    (0.0..MAX_MILLIS as f64).contains(&millis).then_some(millis as u64)
}

/// Adds text. Lines of the document are no lines of the text, unless blanks are kept.
fn push(paragraph: &mut Builder, text: &str, keeps_blanks: bool) {
    if keeps_blanks {
        return paragraph.push_text(text);
    }
    for letter in text.chars() {
        if letter.is_ascii_whitespace() { paragraph.push_blank() } else { paragraph.push(letter) }
    }
}
