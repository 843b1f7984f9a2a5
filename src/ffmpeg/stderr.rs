//! What ffmpeg says on its standard error, line by line: its report, and what went wrong.
//!
//! Must never keep more than a few lines, however much is said, nor hand on the names of our pipes.

use crate::ffmpeg::report::Report;

/// So much of a line is read.
const MAX_LINE: usize = 2 << 10;

/// What it said so far.
#[derive(Debug, Default)]
pub(super) struct StderrTail {
    /// What it sees in its inputs.
    pub(super) report: Report,
    /// What it said of an input that lacks its end.
    pub(super) short_input: Option<String>,
    /// The number of an input in which it found no track of the kind that was wanted.
    pub(super) lacking: Option<usize>,
    /// Whether it said that an output is empty.
    pub(super) is_empty: bool,
    last: Option<String>,
    /// The line that it is in the middle of.
    line: Vec<u8>,
}

impl StderrTail {
    /// Takes in what it says.
    pub(super) fn hear(&mut self, said: &[u8]) {
        let mut lines = said.split(|byte| *byte == b'\n');
        // Whatever is behind the last line break belongs to a line that is not over.
        let unfinished = lines.next_back().unwrap_or(&[]);
        for end in lines {
            self.add(end);
            self.end_line();
        }
        self.add(unfinished);
    }

    /// The last thing that it said, all being said.
    pub(super) fn last(&mut self) -> Option<&str> {
        self.end_line();
        self.last.as_deref()
    }

    fn add(&mut self, said: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend(&said[..said.len().min(room)]);
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim();
        if !line.is_empty() && !self.report.note(line) {
            self.is_empty |= line.contains(EMPTY);
            let line = for_people(line);
            if self.short_input.is_none() && is_of_short_input(&line) {
                self.short_input = Some(line.clone());
            }
            self.lacking = self.lacking.or_else(|| lacking(&line));
            if self.last.is_none() || !is_of_any_failure(&line) {
                self.last = Some(line);
            }
        }
        self.line.clear();
    }
}

/// Whether this is said of an input that breaks off: ffmpeg takes that for its end, and ends well.
fn is_of_short_input(line: &str) -> bool {
    const SIGNS: [&str; 4] = ["ended prematurely", "partial file", "truncat", "unexpected end of"];
    let line = line.to_ascii_lowercase();
    SIGNS.iter().any(|sign| line.contains(sign))
}

/// Whether this is said of every failure of a muxer, behind what the reason was.
fn is_of_any_failure(line: &str) -> bool {
    const BEGINNINGS: [&str; 3] =
        ["Error initializing output stream", "Could not write header", "Conversion failed"];
    BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
}

/// The number of an input that lacks a track: `Stream map '1:a:0' matches no streams.`, and since
/// version 7 `Failed to set value '1:a:0' for option 'map': Invalid argument`.
fn lacking(line: &str) -> Option<usize> {
    let before = if line.contains("matches no streams") {
        "Stream map '"
    } else if line.contains("for option 'map'") {
        "Failed to set value '"
    } else {
        return None;
    };
    line.split_once(before)?.1.split(':').next()?.parse().ok()
}

/// What ffmpeg calls a file, or a track of one, in which there is nothing.
const EMPTY: &str = "Empty output";
/// What that means to users.
const NOTHING_OF_IT: &str =
    "there is no media of a track in what is wanted of it; a picture begins with a key frame";

/// A line without the names of our pipes and the addresses of its innards.
fn for_people(line: &str) -> String {
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    if line.contains(EMPTY) {
        return NOTHING_OF_IT.into();
    }
    // A path says nothing to a client and is none of its business.
    match line.split_once("file:") {
        Some((before, path)) => {
            let rest = path.split_once(": ").map_or("", |(_, rest)| rest);
            format!("{before}input: {rest}")
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &[u8]) -> StderrTail {
        let mut words = StderrTail::default();
        words.hear(said);
        words
    }

    #[test]
    fn words_about_an_input_that_breaks_off_are_heard() {
        for (said, heard_as) in [
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
            assert_eq!(heard(said).short_input.as_deref(), heard_as);
        }
    }

    #[test]
    fn last_words_name_no_paths() {
        let said = b"file:/run/x/stream-1/video: Invalid data found when processing input\n\n";
        let line = "input: Invalid data found when processing input";
        assert_eq!(heard(said).last(), Some(line));
        let said = b"noise\n[webm @ 0x55d] Only VP8 or VP9 are supported";
        assert_eq!(heard(said).last(), Some("Only VP8 or VP9 are supported"));
        assert_eq!(heard(b"\n").last(), None);
        let said = b"[x @ 1] No wav codec tag found\nError initializing output stream 0:1 -- \n";
        assert_eq!(heard(said).last(), Some("No wav codec tag found"));
    }

    #[test]
    fn a_report_is_no_last_word_in_whatever_pieces_it_comes() {
        let said = b"#tb 0: 1/25\n[mp4 @ 0x5] broken\n#codec_id 0: h264\n#sar 0: 1/1\n";
        for step in 1..said.len() {
            let mut words = StderrTail::default();
            said.chunks(step).for_each(|piece| words.hear(piece));
            assert_eq!(words.last(), Some("broken"), "{step}");
        }
    }

    #[test]
    fn a_track_that_is_not_there_is_named() {
        let said = "Stream map '1:a:0' matches no streams.\n\
                    To ignore this, add a trailing '?' to the map.\n";
        assert_eq!(heard(said.as_bytes()).lacking, Some(1));
        let said =
            b"Stream map '' matches no streams.\nFailed to set value '1:a:0' for option 'map': \
                     Invalid argument\nError opening output files: Invalid argument\n";
        assert_eq!(heard(said).lacking, Some(1));
        assert_eq!(heard(b"Stream map 'x' is odd\n").lacking, None);
    }

    #[test]
    fn however_much_is_said_little_is_kept() {
        let mut words = StderrTail::default();
        for _ in 0..100 {
            words.hear(&[b'x'; 1 << 10]);
        }
        assert_eq!(words.line.len(), MAX_LINE);
        words.hear(b"\nwell\n");
        assert_eq!(words.last(), Some("well"));
    }
}
