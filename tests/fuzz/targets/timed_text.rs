//! Subtitles: whatever a document says, its cues are in order and bounded, what is written of them is read as the same,
//! and a time range only shifts and cuts them.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ytcanal::media::subtitles::{SubtitleFormat, Subtitles};
use ytcanal::timed_text::{MAX_CUES, flatten, markup, read, write_srt, write_vtt};

fuzz_target!(|input: (u8, u32, u32, &[u8])| {
    let (format, origin, duration, document) = input;
    let formats = [SubtitleFormat::Vtt, SubtitleFormat::Srt, SubtitleFormat::Ttml];
    let cues = match read(formats[usize::from(format) % formats.len()], document) {
        Ok(cues) => cues,
        Err(why) => return assert!(why.to_string().len() < 200, "{why}"),
    };
    assert!(cues.len() <= MAX_CUES && cues.is_sorted_by_key(|cue| cue.start));
    for cue in &cues {
        assert!(cue.start < cue.end && !markup::plain(&cue.text).trim().is_empty());
        assert!(!cue.text.contains("\n\n") && !cue.text.contains("-->"), "{:?}", cue.text);
    }
    let again = read(SubtitleFormat::Vtt, write_vtt(&cues).as_bytes()).expect("WebVTT");
    assert_eq!(again, cues);
    // SRT has no escapes, so that its texts may differ.
    if !cues.is_empty() {
        read(SubtitleFormat::Srt, write_srt(&cues).as_bytes()).expect("SRT");
    }
    if let Some(flat) = flatten(&cues) {
        assert!(flat.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
    let subtitles = Subtitles { language: "en".into(), name: String::new(), cues: cues.into() };
    let duration = Duration::from_millis(duration.into());
    let within = subtitles.within(i128::from(origin) * 1_000_000, duration);
    for cue in within.cues.iter() {
        assert!(cue.start < cue.end && (duration.is_zero() || cue.end <= duration));
    }
});
