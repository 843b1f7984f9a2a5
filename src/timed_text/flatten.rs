//! Makes cues follow one another: MP4 has one text at a time in a track.

use std::time::Duration;

use crate::media::subtitles::Cue;

/// Maximum number of cues that are shown together. More would not fit a screen.
const MAX_TOGETHER: usize = 8;
/// Maximum length of all texts together. A text that is shown while others change is repeated.
const MAX_TOTAL: usize = 16 << 20;

/// Returns the cues as texts that follow one another, where those shown together are one; `None` if that repeats too
/// much. `cues` are in the order of their beginnings.
pub fn flatten(cues: &[Cue]) -> Option<Vec<Cue>> {
    let mut times: Vec<Duration> = cues.iter().flat_map(|cue| [cue.start, cue.end]).collect();
    times.sort_unstable();
    times.dedup();
    let (mut flat, mut shown, mut total): (Vec<Cue>, Vec<&Cue>, usize) =
        (Vec::new(), Vec::new(), 0);
    let mut next = cues.iter().peekable();
    for span in times.windows(2) {
        let [start, end] = [span[0], span[1]];
        shown.retain(|cue| cue.end > start);
        while let Some(cue) = next.next_if(|cue| cue.start <= start) {
            if shown.len() < MAX_TOGETHER {
                shown.push(cue);
            }
        }
        if shown.is_empty() {
            continue;
        }
        let text = shown.iter().map(|cue| &cue.text[..]).collect::<Vec<_>>().join("\n");
        match flat.last_mut() {
            Some(last) if last.end == start && last.text == text => last.end = end,
            _ => {
                total += text.len();
                if total > MAX_TOTAL {
                    return None;
                }
                flat.push(Cue { start, end, text });
            }
        }
    }
    Some(flat)
}
