//! Fragmented MP4, in all shapes that ffmpeg makes.

use std::fs;
use std::path::Path;

use ytcanal::media::Tags;
use ytcanal::mux::splice::Plan;

use crate::support::framemd5::Exactness;
use crate::support::media::{self, Pair, file_duration, streamed_duration};
use crate::support::spliced::{Film, as_it_is, assert_joined};

/// Index of all fragments, or of each; at the end; none. Offsets from the start of the file or of
/// the fragment. Edit lists, negative composition offsets.
const SHAPES: [(&str, &str); 9] = [
    ("sidx", "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx"),
    ("sidx, no mfra", "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx+skip_trailer"),
    ("a sidx for each", "+frag_keyframe+empty_moov+default_base_moof+dash"),
    ("mfra", "+frag_keyframe+empty_moov+default_base_moof"),
    ("no index", "+frag_keyframe+empty_moov+default_base_moof+skip_trailer"),
    ("from the start", "+frag_keyframe+empty_moov"),
    ("edit lists", "+frag_keyframe+delay_moov+default_base_moof"),
    ("cmaf", "+frag_keyframe+cmaf+delay_moov"),
    ("edit lists and sidx", "+frag_keyframe+delay_moov+default_base_moof+dash+global_sidx"),
];

fn joined(pair: &Pair, directory: &Path) -> (Plan, std::path::PathBuf) {
    let film = Film::of(&pair.video, &pair.audio);
    let plan = film.plan(&as_it_is(&Tags::default()));
    let file = directory.join("joined.mp4");
    fs::write(&file, film.whole(&plan)).unwrap();
    (plan, file)
}

#[test]
fn every_shape_is_joined_packet_by_packet() {
    let directory = tempfile::tempdir().unwrap();
    for (name, flags) in SHAPES {
        let pair = media::in_fragments(flags);
        let (plan, file) = joined(&pair, directory.path());
        let requests = Film::of(&pair.video, &pair.audio).requests();
        let durations = (streamed_duration(&file), file_duration(&file));
        println!(
            "{name:20} {requests:?} looks, {durations:?} s, {:?}, {} pieces",
            plan.duration,
            plan.pieces().len()
        );

        assert_joined(&file, &[("v", &pair.video), ("a", &pair.audio)], Exactness::Every);
        for duration in [durations.0, durations.1] {
            // ffprobe counts the time before the first picture twice.
            assert!((duration.unwrap() - 20.0).abs() < 0.2, "{name}: {durations:?}");
        }
    }
}
