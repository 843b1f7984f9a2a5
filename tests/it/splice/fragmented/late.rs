//! Films that begin late: by their fragments, or by an edit list; whole, and in part.

use std::collections::HashMap;
use std::time::Duration;

use ytcanal::options::TimeRange;
use ytcanal::splice::Options;

use super::*;
use crate::support::framemd5::{Packet, packets};

/// Without edit lists; the fragments tell their times as they are.
const EMPTY_MOOV: &str =
    "+frag_discont+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";
const DELAY_MOOV: &str = "+frag_keyframe+delay_moov+default_base_moof+dash+global_sidx";

/// The film in fragments, its tracks later by these seconds.
fn late(video: &str, audio: &str, flags: &str) -> Pair {
    let pair = media::in_fragments(SHAPES[0].1);
    let late = |name: &str, by: &str, track: &Path| {
        let input = ["-itsoffset", by, "-i", track.to_str().unwrap(), "-c", "copy", "-copyts"];
        let output =
            ["-frag_duration", "2000000", "-avoid_negative_ts", "disabled", "-movflags", flags];
        let arguments: Vec<_> = input.iter().chain(&output).map(|&text| text.to_owned()).collect();
        media::generate(&format!("late-{name}"), "mp4", &arguments)
    };
    Pair { video: late("video", video, &pair.video), audio: late("audio", audio, &pair.audio) }
}

/// By how much every packet of a part is earlier than in its film. Most pictures are there once.
fn moved(film: &Path, part: &Path, stream: &str) -> i64 {
    moved_from(&times(film, stream), part, stream)
}

/// When each packet of a film is shown.
pub(super) type Times = HashMap<String, Vec<i64>>;

pub(super) fn times(film: &Path, stream: &str) -> Times {
    let mut times = Times::new();
    for Packet { md5, pts, .. } in packets(film, stream) {
        times.entry(md5).or_default().push(pts);
    }
    times
}

/// The same of a film whose times are known.
pub(super) fn moved_from(times: &Times, part: &Path, stream: &str) -> i64 {
    let by = packets(part, stream).into_iter().filter_map(|packet| match times[&packet.md5][..] {
        [time] => Some(time - packet.pts),
        _ => None,
    });
    let by: Vec<i64> = by.collect();
    assert!(by.len() > 5 && by.iter().all(|one| (one - by[0]).abs() < IN_STEP), "{stream}: {by:?}");
    by[0]
}

const MILLISECOND: i64 = 1_000_000;
/// A tick of the film, and one of each track.
pub(super) const IN_STEP: i64 = 2 * MILLISECOND;

#[test]
fn whole_seconds_are_taken_from_both() {
    let directory = tempfile::tempdir().unwrap();
    for (video, audio, seconds) in [("7.52", "9.3", 7), ("7.52", "0.3", 0), ("3600", "3600", 3600)]
    {
        let pair = late(video, audio, EMPTY_MOOV);
        let (_, file) = joined(&pair, directory.path());
        let [of_video, of_audio] =
            [("v", &pair.video), ("a", &pair.audio)].map(|(s, film)| moved(film, &file, s));
        println!("{video}, {audio}: {of_video}, {of_audio}");
        assert!((of_video - of_audio).abs() < IN_STEP);
        assert!((of_video - seconds * 1000 * MILLISECOND).abs() < IN_STEP);
    }
}

#[test]
fn an_empty_edit_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    for (video, audio) in [("0", "1.3"), ("1.3", "0"), ("2", "2.5")] {
        let pair = late(video, audio, DELAY_MOOV);
        let (_, file) = joined(&pair, directory.path());
        assert_joined(&file, &[("v", &pair.video), ("a", &pair.audio)], Exactness::Every);
    }
}

#[test]
fn parts_stay_in_step() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = |text: f64| Duration::from_secs_f64(text);
    for (flags, video, audio) in [
        (DELAY_MOOV, "0", "1.3"),
        (DELAY_MOOV, "1.3", "0"),
        (EMPTY_MOOV, "0", "1.3"),
        (EMPTY_MOOV, "7.52", "9.3"),
    ] {
        let pair = late(video, audio, flags);
        let film = Film::of(&pair.video, &pair.audio);
        for (start, end) in [(0.0, Some(12.0)), (6.5, None), (11.0, Some(17.3)), (1.0, Some(9.0))] {
            let trim = TimeRange { start: seconds(start), end: end.map(seconds) };
            let options = Options { time_range: trim, ..as_it_is(&TAGS) };
            let plan = film.plan(&options);
            let file = directory.path().join("part.mp4");
            fs::write(&file, film.whole(&plan)).unwrap();
            let [of_video, of_audio] =
                [("v", &pair.video), ("a", &pair.audio)].map(|(s, film)| moved(film, &file, s));
            println!("{video}, {audio} from {start} to {end:?}: {of_video}, {of_audio}");
            assert!((of_video - of_audio).abs() < IN_STEP);
            // It is the part of what is played of the whole film, from the last key frame on; one is
            // there every 5 seconds.
            let late = if (flags, video) == (EMPTY_MOOV, "7.52") { 7.0 } else { 0.0 };
            let begins = of_video as f64 / 1e9 - late;
            assert!(begins < f64::max(start, 1.4) + 0.1 && begins > start - 5.1, "{begins}");
            let shown = packets(&file, "v").iter().map(|packet| packet.pts).max().unwrap();
            let ends = begins + shown as f64 / 1e9;
            assert!(end.is_none_or(|end| (end - 0.1..end + 5.1).contains(&ends)), "{ends}");
        }
    }
}
