//! Files that hold more than one track: what is wanted of them, and nothing else.

use std::path::Path;

use ytcanal::media::{Metadata, TrackKind};

use super::{Joined, joined, probed};
use crate::support::films::{crowded, film};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::spliced::{Film, as_it_is};

fn of(files: &[(TrackKind, &Path)]) -> Film {
    let read = |path: &Path| std::fs::read(path).unwrap();
    Film {
        files: files.iter().map(|(kind, path)| (*kind, read(path))).collect(),
        ..Film::default()
    }
}

/// Joins the files, and makes sure that these tracks, and no others, are what comes out.
fn assert_tracks(files: &[(TrackKind, &Path)], tracks: &[(&str, &Path, &str)]) -> Joined {
    let joined = joined(&of(files), &as_it_is(&Metadata::default()));
    let streams = probed(&joined.path, "stream=codec_type");
    assert_eq!(streams.len(), tracks.len(), "{files:?}: {streams:?}");
    for (stream, source, of) in tracks {
        let what = format!("{stream} of {files:?}");
        let before = packets(source, of);
        assert_same(&before, &packets(&joined.path, stream), Exactness::Every, &what);
    }
    joined
}

#[test]
fn a_film_alone_keeps_video_and_audio() {
    let film = film();
    let joined =
        assert_tracks(&[(TrackKind::Video, &film)], &[("v", &film, "v"), ("a", &film, "a")]);
    let bytes = std::fs::read(&joined.path).unwrap();
    let moov = bytes.windows(4).position(|window| window == b"moov").unwrap();
    assert!(moov < 64, "the index is in front");
}

#[test]
fn one_track_is_taken_out_of_a_film() {
    let film = film();
    assert_tracks(&[(TrackKind::Audio, &film)], &[("a", &film, "a")]);
}

#[test]
fn a_film_keeps_the_order_of_its_file() {
    let film = of(&[(TrackKind::Video, &film())]);
    let plan = film.plan(&as_it_is(&Metadata::default()));
    assert_eq!(plan.extents().len(), 1, "all samples as they lie in their file");
}

#[test]
fn each_file_gives_the_track_that_it_is_named_for() {
    let (film, other) = (film(), crowded("mp4"));
    let tracks = [("v", &*film, "v"), ("a", &*film, "a")];
    for files in [[&film, &film], [&film, &other], [&other, &film], [&other, &other]] {
        assert_tracks(&[(TrackKind::Video, files[0]), (TrackKind::Audio, files[1])], &tracks);
    }
    assert_tracks(&[(TrackKind::Video, &other)], &tracks);
    assert_tracks(&[(TrackKind::Audio, &other)], &tracks[1..]);
}
