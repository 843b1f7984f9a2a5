//! Tracks that begin early, late, and elsewhere than they say, in all pairs: joined, they are as far
//! from each other as they were.

use std::path::PathBuf;
use std::time::Duration;

use ytcanal::options::TimeRange;
use ytcanal::splice::Options;

use super::late::{IN_STEP, Times, moved_from, times};
use super::*;

const GLOBAL: &str = "+frag_discont+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";
const EDITS: &str = "+frag_keyframe+delay_moov+default_base_moof+dash+global_sidx";
const CMAF: &str = "+frag_keyframe+cmaf+delay_moov";

/// A track of twenty seconds that begins so much later, in fragments of two seconds, or of one key
/// frame.
fn track(kind: &str, coder: &str, late: &str, flags: &str) -> PathBuf {
    let source = match kind {
        "v" => media::picture("160x90", 25, 20),
        _ => media::sound(48_000, 20),
    };
    let clip = match kind {
        "v" => vec![
            "-c:v",
            coder,
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "50",
            "-bf",
            "2",
        ],
        _ => vec!["-c:a", coder, "-b:a", "64k"],
    };
    let clip: Vec<_> = source.into_iter().chain(clip.into_iter().map(String::from)).collect();
    let clip = media::generate(&format!("shifted-clip-{coder}"), "mkv", &clip);
    let cut: &[&str] = if kind == "v" { &[] } else { &["-frag_duration", "2000000"] };
    let input = ["-itsoffset", late, "-i", clip.to_str().unwrap(), "-c", "copy", "-copyts"];
    let output = ["-avoid_negative_ts", "disabled", "-movflags", flags];
    let arguments = [&input[..], &output, cut].concat();
    let arguments: Vec<_> = arguments.into_iter().map(String::from).collect();
    media::generate(&format!("shifted-{coder}"), "mp4", &arguments)
}

/// Each with what is odd about it.
fn tracks(kind: &str) -> Vec<(&'static str, PathBuf)> {
    let track = |coder, late, flags| track(kind, coder, late, flags);
    let coder = if kind == "v" { "libx264" } else { "aac" };
    let mut all = vec![
        ("plain", track(coder, "0", GLOBAL)),
        ("0.083 by tfdt", track(coder, "0.083", GLOBAL)),
        ("0.083 by edit list", track(coder, "0.083", EDITS)),
        ("edit list", track(coder, "0", EDITS)),
        ("cmaf", track(coder, "0", CMAF)),
        ("10 s by tfdt", track(coder, "10", GLOBAL)),
        ("3600 s by tfdt", track(coder, "3600", GLOBAL)),
        ("1.3 s by edit list", track(coder, "1.3", EDITS)),
    ];
    if kind == "a" {
        all.push(("opus", track("libopus", "0", EDITS)));
        all.push(("opus, no edit list", track("libopus", "0", GLOBAL)));
    }
    all
}

/// Makes sure that both tracks of a film, or of a part of it, are moved alike.
fn assert_in_step(film: &Film, shown: [&Times; 2], trim: TimeRange, what: &str) -> bool {
    let options = Options { time_range: trim, ..as_it_is(&TAGS) };
    let plan = match film.try_plan(&options) {
        Ok(plan) => plan,
        Err(refusal) => {
            println!("{what}: {}", refusal.0);
            return false;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("joined.mp4");
    fs::write(&file, film.emit(&plan, 0..plan.len()).unwrap()).unwrap();
    let [of_video, of_audio] =
        [("v", shown[0]), ("a", shown[1])].map(|(stream, shown)| moved_from(shown, &file, stream));
    assert!((of_video - of_audio).abs() < IN_STEP, "{what}: {of_video}, {of_audio}");
    true
}

#[test]
fn tracks_stay_as_far_apart_as_they_are() {
    let [videos, audios] = ["v", "a"].map(|kind| {
        let all = tracks(kind).into_iter();
        all.map(|(what, file)| (what, times(&file, kind), file)).collect::<Vec<_>>()
    });
    let (mut cut, mut tried) = (0, 0);
    for (place, (of_video, video_times, video)) in videos.iter().enumerate() {
        for (other, (of_audio, audio_times, audio)) in audios.iter().enumerate() {
            // All of them with `make corpus`, and here each with what is not odd, and some others.
            let with_plain = place == 0 || other == 0 || place == other;
            if !with_plain
                && (place + other) % 3 != 0
                && std::env::var_os("YTCANAL_CORPUS").is_none()
            {
                continue;
            }
            let film = Film::of(video, audio);
            let shown = [video_times, audio_times];
            let what = format!("{of_video} with {of_audio}");
            assert!(assert_in_step(&film, shown, TimeRange::default(), &what));
            // Of a part, each with what is not odd is enough.
            if !with_plain {
                continue;
            }
            for (start, end) in [(6500, None), (3000, Some(13_000))] {
                let [start, end] = [Some(start), end].map(|time| time.map(Duration::from_millis));
                let trim = TimeRange { start: start.unwrap_or_default(), end };
                let what = format!("{what} from {start:?}");
                cut += usize::from(assert_in_step(&film, shown, trim, &what));
                tried += 1;
            }
        }
    }
    println!("{cut} parts of {tried}");
    assert!(2 * cut > tried);
}
