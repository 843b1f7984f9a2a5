//! What heads say, and which are refused.

use super::fixture::{Index, be};
use super::*;
use crate::container::isobmff::{boxed, children, u32_at, u64_at};

#[test]
fn heads_that_do_not_fit_are_refused() {
    let with = |change: fn(&mut Fixture)| {
        let mut fixture = fixture(TrackKind::Video);
        change(&mut fixture);
        fixture.refusal()
    };
    assert_eq!(with(|s| s.codec = *b"encv"), "the file is encrypted");
    assert_eq!(with(|s| s.codec = *b"enca"), "the file is encrypted");
    assert!(with(|s| s.samples = 1).contains("samples both"));
    assert!(with(|s| s.traks = 2).contains("one track"));
    assert!(with(|s| s.traks = 0).contains("no track"));
    assert!(with(|s| s.has_trex = false).contains("malformed"));
    assert!(with(|s| s.timescale = 0).contains("malformed"));
    assert!(with(|s| s.movie_scale = 0).contains("malformed"));
    assert!(with(|s| s.id = 0).contains("malformed"));
    let empty = |s: &mut Fixture| (s.runs, s.index) = (Vec::new(), Index::None);
    assert!(with(empty).contains("no fragments"));
}

#[test]
fn an_unknown_box_in_front_of_the_fragments_is_refused() {
    let mut fixture = Fixture { index: Index::None, ..fixture(TrackKind::Video) };
    fixture.between = boxed(b"what", &[]);
    assert!(fixture.refusal().contains("unknown box"));
    fixture.between = boxed(b"free", &[]).repeat(40);
    assert!(fixture.refusal().contains("no fragment index"));
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    for index in [Index::None, Index::Sidx(12_800, 0), Index::Mfra] {
        let mut bytes = Fixture { index, ..fixture(TrackKind::Video) }.bytes();
        let whole = bytes.len();
        // Up to the head everything is missing of which the file could be known.
        while bytes.len() > whole - 400 {
            bytes.pop();
            let found = read_index(&mut File::of(bytes.clone()), TimeRange::default());
            if let Ok(Some(track)) = found {
                let end = track.fragments.last().map(|last| last.range().end);
                assert!(end.unwrap() <= bytes.len() as u64);
                assert!(index != Index::Sidx(12_800, 0) || track.fragments.len() < 5);
            }
        }
    }
}

#[test]
fn the_other_kind_is_refused() {
    let video = fixture(TrackKind::Video).read_index(TimeRange::default()).unwrap();
    let refusal = plan(&[(TrackKind::Audio, &video)], &options(TimeRange::default())).unwrap_err();
    assert!(refusal.0.contains("another kind"));
}

#[test]
fn the_joined_head_is_of_the_whole_film() {
    let mut pair = pair(|fixture| fixture.edits = vec![(300, -1), (3000, 1280)]);
    pair[1].runs.truncate(4);
    pair[1].movie_scale = 90_000;
    let seen = joined(&pair);
    let kinds: Vec<_> = children(&seen.moov).unwrap().iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [*b"mvhd", *b"trak", *b"trak", *b"mvex"]);
    let mvhd = seen::inside(&seen.moov, &[b"mvhd"]);
    assert_eq!(u32_at(mvhd, 12), Some(90_000), "the finer one of both");
    // Half a second of empty edit, and without the first tenth: 5.4 s of video, 4 s of audio.
    assert_eq!(u32_at(mvhd, 16), Some(486_000));
    assert_eq!(mvhd[mvhd.len() - 4..], be(&[3]), "the next number of a track");
    let mvex = seen::inside(&seen.moov, &[b"mvex"]);
    assert_eq!(u64_at(seen::inside(mvex, &[b"mehd"]), 4), Some(486_000));
    let trex: Vec<_> =
        children(mvex).unwrap()[1..].iter().map(|t| u32_at(t.payload(), 4)).collect();
    assert_eq!(trex, [Some(1), Some(2)]);
    assert_eq!(seen.edits(1), [(45_000, u64::from(u32::MAX)), (450_000, 1280)]);
    assert_eq!(seen.edits(2), []);
    for (number, found) in children(&seen.moov).unwrap()[1..3].iter().enumerate() {
        let tkhd = seen::inside(found.payload(), &[b"tkhd"]);
        assert_eq!((tkhd[3], u32_at(tkhd, 12)), (3, Some(number as u32 + 1)));
        assert_eq!(u32_at(tkhd, 20), Some([486_000, 360_000][number]));
        let mdhd = seen::inside(found.payload(), &[b"mdia", b"mdhd"]);
        assert_eq!(u32_at(mdhd, 16), Some([64_000, 192_000][number]));
    }
}
