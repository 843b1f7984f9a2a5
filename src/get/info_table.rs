//! Prints the JSON of `/info` as a table for people. Pure.

use serde_json::Value;

use super::progress::{clock, size};
use crate::text::one_line;

/// The maximum length of a title, a name or a link, in characters.
const MAX_TEXT: usize = 200;

/// Returns the table of what a page offers, or of the entries of a list.
pub(super) fn table(json: &Value) -> String {
    let mut lines = heading(json);
    lines.push(String::new());
    if json["type"] == "list" {
        lines.extend(entries(json));
    } else {
        lines.extend(formats(json));
    }
    lines.join("\n") + "\n"
}

fn heading(json: &Value) -> Vec<String> {
    let title = text(&json["title"]).unwrap_or_else(|| "(no title)".into());
    let live = (json["live"] == true).then(|| "live".to_owned());
    let count = json["count"].as_u64().map(|count| format!("{count} entries"));
    let facts = [text(&json["uploader"]), duration(json), text(&json["date"]), live, count];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    if facts.is_empty() { vec![title] } else { vec![title, facts.join(", ")] }
}

/// Returns the formats, each with what selects it.
fn formats(json: &Value) -> Vec<String> {
    let mut rows =
        vec![["QUALITY", "CONTAINER", "VIDEO", "AUDIO", "SIZE", ""].map(String::from).to_vec()];
    for video in list(&json["videos"]) {
        let fps =
            video["fps"].as_f64().filter(|fps| *fps > 0.0).map(|fps| format!(" {fps:.0} fps"));
        let codec = cell(&video["video_codec"]) + &fps.unwrap_or_default();
        let hdr = (video["hdr"] == true).then_some("HDR");
        rows.push(vec![
            cell(&video["quality"]),
            cell(&video["container"]),
            codec,
            cell(&video["audio_codec"]),
            length(video),
            notes([hdr.map(String::from), text(&video["variant"])]),
        ]);
    }
    for audio in list(&json["audios"]) {
        let bitrate =
            audio["bitrate"].as_u64().map(|bits| format!(" {} kbit/s", bits.div_ceil(1000)));
        rows.push(vec![
            "audio".into(),
            cell(&audio["container"]),
            "-".into(),
            cell(&audio["codec"]) + &bitrate.unwrap_or_default(),
            length(audio),
            notes([text(&audio["language"]), text(&audio["variant"])]),
        ]);
    }
    let mut lines = aligned(&rows);
    let languages = list(&json["languages"]).filter_map(text).collect::<Vec<_>>();
    let containers = list(&json["audio_containers"]).filter_map(|entry| text(&entry["container"]));
    let of = |automatic: bool| {
        let offers = list(&json["subtitles"]).filter(move |offer| offer["automatic"] == automatic);
        offers.filter_map(|offer| text(&offer["language"])).collect::<Vec<_>>()
    };
    let lists = [
        ("Languages", languages),
        ("Audio alone", containers.collect()),
        ("Subtitles", of(false)),
        ("Automatic captions", of(true)),
    ];
    let named = lists.iter().filter(|(_, values)| !values.is_empty());
    lines.push(String::new());
    lines.extend(named.map(|(name, values)| format!("{name}: {}", values.join(", "))));
    if let count @ 1.. = list(&json["chapters"]).count() {
        lines.push(format!("Chapters: {count}"));
    }
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

fn entries(json: &Value) -> Vec<String> {
    let mut rows = vec![["NUMBER", "LENGTH", "TITLE", "LINK"].map(String::from).to_vec()];
    for entry in list(&json["entries"]) {
        let number =
            entry["number"].as_u64().map_or_else(|| "-".into(), |number| number.to_string());
        let length = duration(entry).unwrap_or_else(|| "-".into());
        rows.push(vec![number, length, cell(&entry["title"]), cell(&entry["url"])]);
    }
    let mut lines = aligned(&rows);
    // Pages are counted from 1 on, in the link to the next one.
    let next = json["next"].as_str().and_then(|next| next.rsplit_once("&page="));
    if let Some((_, page)) = next {
        lines.push(format!("\nMore: --page {page}"));
    }
    lines
}

/// Returns rows with their columns as wide as their longest cell.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Returns a text of the page, which can neither end a line nor control the terminal.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(|text| one_line(text, MAX_TEXT)).filter(|text| !text.is_empty())
}

fn cell(value: &Value) -> String {
    text(value).unwrap_or_else(|| "-".into())
}

fn length(format: &Value) -> String {
    let about = if format["exact"] == true { "" } else { "~" };
    format["size"].as_u64().map_or_else(|| "-".into(), |bytes| format!("{about}{}", size(bytes)))
}

fn notes<const N: usize>(notes: [Option<String>; N]) -> String {
    notes.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn duration(value: &Value) -> Option<String> {
    let seconds = value["duration"].as_f64()?;
    Some(clock(seconds.round().max(0.0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_is_a_table() {
        let page = json!({
            "type": "video", "title": "A \u{1b}[2Jfilm", "uploader": "Eve", "duration": 185.4,
            "date": null, "live": false,
            "videos": [
                { "quality": "1080", "container": "mp4", "fps": 29.97, "video_codec": "h264",
                  "audio_codec": "aac", "hdr": false, "variant": null, "size": 12_345_678, "exact": true },
                { "quality": "best", "container": "webm", "fps": null, "video_codec": null,
                  "audio_codec": "opus", "hdr": true, "variant": "drc", "size": 1_000, "exact": false },
            ],
            "audios": [{ "container": "m4a", "codec": "aac", "language": "en", "bitrate": 128_000,
                "variant": null, "size": null, "exact": false }],
            "languages": ["en"], "audio_containers": [{ "container": "mp3" }, { "container": "opus" }],
            "subtitles": [{ "language": "en", "automatic": false }, { "language": "fr", "automatic": true }],
            "chapters": [{}, {}],
        });
        let expected = "\
A [2Jfilm
Eve, 3:05

QUALITY  CONTAINER  VIDEO        AUDIO           SIZE
1080     mp4        h264 30 fps  aac             12.3 MB
best     webm       -            opus            ~1.00 kB  HDR, drc
audio    m4a        -            aac 128 kbit/s  -         en

Languages: en
Audio alone: mp3, opus
Subtitles: en
Automatic captions: fr
Chapters: 2
";
        assert_eq!(table(&page), expected);
    }

    #[test]
    fn a_list_has_a_line_for_each_entry() {
        let page = json!({
            "type": "list", "title": null, "count": 3,
            "entries": [
                { "number": 1, "title": "One", "url": "https://a.example/1", "duration": 59.6 },
                { "number": 2, "title": null, "url": null, "duration": null },
            ],
            "next": "/info?url=x&page=2",
        });
        let expected = "\
(no title)
3 entries

NUMBER  LENGTH  TITLE  LINK
1       1:00    One    https://a.example/1
2       -       -      -

More: --page 2
";
        assert_eq!(table(&page), expected);
    }
}
