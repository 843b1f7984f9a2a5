//! Parses the standard error of ffmpeg line by line: the report of its inputs, and error messages.
//!
//! **Invariant:** stores at most a few lines, and removes the paths of the named pipes from them.

use crate::ffmpeg::report::Report;
use crate::text::one_line;

/// The maximum length of a line; the rest is dropped.
const MAX_LINE: usize = 2 << 10;
/// The maximum length of a message, in characters.
const MAX_MESSAGE: usize = 300;

/// What ffmpeg has written to standard error so far.
#[derive(Debug, Default)]
pub(super) struct StderrTail {
    /// The report of the inputs.
    pub(super) report: Report,
    /// The message about a truncated input.
    pub(super) short_input: Option<String>,
    /// The index of an input without a track of the mapped kind.
    pub(super) lacking: Option<usize>,
    /// Whether ffmpeg reported an empty output.
    pub(super) is_empty: bool,
    last: Option<String>,
    /// The current, incomplete line.
    line: Vec<u8>,
}

impl StderrTail {
    /// Parses the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        // What follows the last line break is an incomplete line.
        let unfinished = lines.next_back().unwrap_or(&[]);
        for end in lines {
            self.add(end);
            self.end_line();
        }
        self.add(unfinished);
    }

    /// Returns the last message, once the output has ended.
    pub(super) fn last(&mut self) -> Option<&str> {
        self.end_line();
        self.last.as_deref()
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim();
        if !line.is_empty() && !self.report.parse_line(line) {
            self.is_empty |= line.contains(EMPTY);
            let line = for_clients(line);
            if self.short_input.is_none() && is_about_short_input(&line) {
                self.short_input = Some(one_line(&line, MAX_MESSAGE));
            }
            self.lacking = self.lacking.or_else(|| lacking(&line));
            if self.last.is_none() || !is_generic_failure(&line) {
                self.last = Some(one_line(&line, MAX_MESSAGE));
            }
        }
        self.line.clear();
    }
}

/// Whether a message is about a truncated input: ffmpeg treats that as its end, and exits with success.
fn is_about_short_input(line: &str) -> bool {
    const SIGNS: [&str; 4] = ["ended prematurely", "partial file", "truncat", "unexpected end of"];
    let line = line.to_ascii_lowercase();
    SIGNS.iter().any(|sign| line.contains(sign))
}

/// Whether a message follows every failure of a muxer, after the one with the reason.
fn is_generic_failure(line: &str) -> bool {
    const PREFIXES: [&str; 3] =
        ["Error initializing output stream", "Could not write header", "Conversion failed"];
    PREFIXES.iter().any(|prefix| line.starts_with(prefix))
}

/// Returns the index of an input that lacks a mapped track: `Stream map '1:a:0' matches no streams.`, and since
/// version 7 `Failed to set value '1:a:0' for option 'map': Invalid argument`.
fn lacking(line: &str) -> Option<usize> {
    let prefix = if line.contains("matches no streams") {
        "Stream map '"
    } else if line.contains("for option 'map'") {
        "Failed to set value '"
    } else {
        return None;
    };
    line.split_once(prefix)?.1.split(':').next()?.parse().ok()
}

/// How ffmpeg reports an output file, or a track of one, without packets.
const EMPTY: &str = "Empty output";
/// The message for clients in that case.
const EMPTY_TRACK: &str =
    "a track has no media in the requested range; video begins with a key frame";

/// Removes the paths of the named pipes and the memory addresses of ffmpeg's contexts from a line.
fn for_clients(line: &str) -> String {
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    if line.contains(EMPTY) {
        return EMPTY_TRACK.into();
    }
    // Paths of the server are not for clients.
    match line.split_once("file:") {
        Some((start, path)) => {
            let rest = path.split_once(": ").map_or("", |(_, rest)| rest);
            format!("{start}input: {rest}")
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> StderrTail {
        let mut tail = StderrTail::default();
        tail.push(bytes);
        tail
    }

    #[test]
    fn x() {
        for (bytes, message) in [
            (
                &b"[matroska,webm @ 0x5] File ended prematurely at pos. 4096 (0x1000)\n[x @ 1] y\n"
                    [..],
                Some("File ended prematurely at pos. 4096 (0x1000)"),
            ),
            (
                b"[mov,mp4 @ 0x5] stream 0, offset 0x99: partial file\n",
                Some("stream 0, offset 0x99: partial file"),
            ),
            (b"[mp4 @ 0x5] Non-monotonous DTS\n", None),
        ] {
            assert_eq!(parsed(bytes).short_input.as_deref(), message);
        }
    }

    #[test]
    fn the_last_message_has_no_paths() {
        let output = b"file:/run/x/stream-1/video: Invalid data found when processing input\n\n";
        let line = "input: Invalid data found when processing input";
        assert_eq!(parsed(output).last(), Some(line));
        let output = b"noise\n[webm @ 0x55d] Only VP8 or VP9 are supported";
        assert_eq!(parsed(output).last(), Some("Only VP8 or VP9 are supported"));
        assert_eq!(parsed(b"\n").last(), None);
        let output = b"[x @ 1] No wav codec tag found\nError initializing output stream 0:1 -- \n";
        assert_eq!(parsed(output).last(), Some("No wav codec tag found"));
    }

    #[test]
    fn a_report_is_no_message_however_it_is_split() {
        let output = b"#tb 0: 1/25\n[mp4 @ 0x5] broken\n#codec_id 0: h264\n#sar 0: 1/1\n";
        for step in 1..output.len() {
            let mut tail = StderrTail::default();
            output.chunks(step).for_each(|piece| tail.push(piece));
            assert_eq!(tail.last(), Some("broken"), "{step}");
        }
    }

    #[test]
    fn a_track_that_is_not_there_is_named() {
        let output = "Stream map '1:a:0' matches no streams.\n\
                    To ignore this, add a trailing '?' to the map.\n";
        assert_eq!(parsed(output.as_bytes()).lacking, Some(1));
        let output =
            b"Stream map '' matches no streams.\nFailed to set value '1:a:0' for option 'map': \
                     Invalid argument\nError opening output files: Invalid argument\n";
        assert_eq!(parsed(output).lacking, Some(1));
        assert_eq!(parsed(b"Stream map 'x' is odd\n").lacking, None);
    }

    #[test]
    fn little_of_a_long_output_is_stored() {
        let mut tail = StderrTail::default();
        for _ in 0..100 {
            tail.push(&[b'x'; 1 << 10]);
        }
        assert_eq!(tail.line.len(), MAX_LINE);
        tail.push(b"\nwell\n");
        assert_eq!(tail.last(), Some("well"));
    }
}
