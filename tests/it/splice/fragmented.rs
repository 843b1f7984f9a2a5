//! Fragmented MP4, in all shapes that ffmpeg makes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ytcanal::media::{CoverArt, Metadata};
use ytcanal::splice::Plan;

use crate::support::framemd5::Exactness;
use crate::support::media::{self, Pair, file_duration, file_end, streamed_duration};
use crate::support::run;
use crate::support::spliced::{Film, as_it_is, assert_joined};
use crate::support::webms::cover;

mod alone;
mod late;
mod layout;
mod shifted;
mod walks;

static TAGS: Metadata = Metadata::NONE;

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
    let plan = film.plan(&as_it_is(&TAGS));
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
            plan.extents().len()
        );

        assert_eq!(layout::check(&fs::read(&file).unwrap()), 2, "{name}: indexes");
        assert_joined(&file, &[("v", &pair.video), ("a", &pair.audio)], Exactness::Every);
        let end = file_end(&pair.video).max(file_end(&pair.audio));
        for duration in [durations.0, durations.1] {
            assert!((duration.unwrap() - end).abs() < 0.1, "{name}: {durations:?}, not {end}");
        }
    }
}

#[test]
fn the_file_says_what_it_is() {
    let pair = media::in_fragments(SHAPES[0].1);
    let film = Film::of(&pair.video, &pair.audio);
    let tags = Metadata {
        title: Some("Ein Zug – 列車".into()),
        artist: Some("Nobody & sons".into()),
        date: Some("2021-03-04".into()),
        cover: Some(CoverArt { is_jpeg: true, bytes: Arc::from(&cover()[..]) }),
        ..Metadata::default()
    };
    let plan = film.plan(&as_it_is(&tags));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("joined.mp4");
    let whole = film.whole(&plan);
    layout::check(&whole);
    fs::write(&file, whole).unwrap();
    let output = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams"])
        .arg(&file));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = &shown["format"]["tags"];
    assert_eq!(said["title"].as_str(), tags.title.as_deref(), "{said}");
    assert_eq!(said["artist"].as_str(), tags.artist.as_deref(), "{said}");
    assert_eq!(said["date"].as_str(), tags.date.as_deref(), "{said}");
    let streams = shown["streams"].as_array().unwrap();
    let coders: Vec<_> = streams.iter().map(|stream| stream["codec_name"].as_str()).collect();
    assert_eq!(coders, [Some("h264"), Some("aac"), Some("mjpeg")]);
    assert_eq!(streams[2]["disposition"]["attached_pic"], 1);
}
