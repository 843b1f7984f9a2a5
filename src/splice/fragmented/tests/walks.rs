//! Walks over fragments: many of them, at several places at once, and what only looks like one.

use std::time::Instant;

use super::fixture::{Index, Run, fragment};
use super::walk::MAX_FRAGMENTS;
use super::*;
use crate::container::completeness::Incomplete;
use crate::container::isobmff::boxed;

const SECOND: u64 = 12_800;

/// Returns a video of `count` fragments with boxes before each, and without an index.
fn long(count: u64, front: &dyn Fn(u64) -> Vec<u8>) -> Fixture {
    let mut fixture = Fixture { index: Index::None, ..fixture(TrackKind::Video) };
    let run = |at: u64| Run {
        fragments: vec![fragment(at * SECOND, at as u8)],
        front: front(at),
        sap: fixture::ENTRY,
    };
    fixture.runs = (0..count).map(run).collect();
    fixture
}

/// Makes sure that all of its fragments are found, from their moof on, and only they.
fn assert_found(fixture: &Fixture) {
    let track = fixture.read_index(TimeRange::default()).unwrap();
    let head = fixture.head().len();
    let mut at = head as u64;
    let runs = fixture.runs_at(head);
    assert_eq!(track.fragments.len(), runs.len());
    let fronts = fixture.runs.iter().map(|run| run.front.len());
    for (place, ((found, run), front)) in track.fragments.iter().zip(&runs).zip(fronts).enumerate()
    {
        let (from, time) = (at + front as u64, place as u64 * SECOND);
        assert_eq!((found.from, found.len as usize, found.time), (from, run.len() - front, time));
        at += run.len() as u64;
    }
    assert_eq!(track.end, runs.len() as u64 * SECOND);
    assert!(track.is_verified);
}

/// Something in front of each fragment, of another length each time.
fn styp(at: u64) -> Vec<u8> {
    boxed(b"styp", &[&vec![0; 8 + (at * 7919 % 3001) as usize]])
}

#[test]
fn fragments_are_found_wherever_the_walk_begins() {
    for count in [64, 65, 400, 3600] {
        assert_found(&long(count, &styp));
        assert_found(&long(count, &|at| boxed(b"emsg", &[&vec![1; (at % 40) as usize * 50]])));
    }
    let mut late = long(300, &styp);
    late.behind = boxed(b"mfra", &[&[0; 5000]]);
    assert_found(&late);
}

#[test]
fn what_looks_like_a_fragment_is_none() {
    // The media of another file, fragment by fragment, in front of each fragment: a chain that begins
    // in there goes on in there for a while.
    let decoy = |at: u64| {
        let other = long(30, &|_| Vec::new());
        let bytes = other.runs_at(0).concat();
        boxed(b"emsg", &[&bytes[..bytes.len() - (at % 100) as usize]])
    };
    assert_found(&long(600, &decoy));
    // One that claims a length past the next ones.
    let leaps = |at: u64| {
        let mut bytes = long(1, &|_| Vec::new()).runs_at(0).concat();
        let mdat = bytes.len() - fixture::MEDIA - 8;
        bytes[mdat..mdat + 4].copy_from_slice(&(20_000 + at as u32).to_be_bytes());
        boxed(b"emsg", &[&bytes])
    };
    assert_found(&long(600, &leaps));
}

#[test]
fn an_index_that_lies_says_where_to_begin_at_most() {
    let with = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = long(800, &styp);
        fixture.index = Index::Sidx(12_800, 0);
        fixture.fragments_mut().skip(1).for_each(|fragment| fragment.syncs = (false, false));
        change(&mut fixture);
        fixture.read_index(TimeRange::default())
    };
    let track = with(&|_| {}).unwrap();
    assert!(track.is_verified && track.fragments.len() == 800);
    assert_eq!(track.fragments.iter().filter(|fragment| fragment.is_entry).count(), 1);
}

#[test]
fn an_index_whose_lengths_miss_the_fragments_is_not_followed() {
    let mut fixture = long(300, &styp);
    fixture.index = Index::Sidx(12_800, 0);
    let mut bytes = fixture.bytes();
    let at = bytes.windows(4).position(|window| window == b"sidx").unwrap() - 4 + 40;
    // Each is off by what the one before it has too much.
    for place in 0..300 {
        let at = at + 12 * place;
        let len = u32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
        let len = if place % 2 == 0 { len + 5 } else { len - 5 };
        bytes[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
    let track = read_index(&mut File::of(bytes), TimeRange::default()).unwrap().unwrap();
    assert!(track.is_verified && track.fragments.len() == 300);
}

#[test]
fn a_walk_ends_with_a_reason() {
    let refusal = |bytes: Vec<u8>| match read_index(&mut File::of(bytes), TimeRange::default()) {
        Err(SurveyError::Refused(Unsupported(why)) | SurveyError::Incomplete(Incomplete(why))) => {
            why
        }
        other => panic!("{other:?}"),
    };
    let whole = long(300, &styp).bytes();
    for kind in [b"moof", b"mdat", b"tfhd", b"trun"] {
        let mut bytes = whole.clone();
        let places: Vec<_> =
            (0..bytes.len() - 4).filter(|at| &bytes[*at..*at + 4] == kind).collect();
        bytes[places[150]] = b'x';
        let why = refusal(bytes);
        assert!(why.contains("fragment"), "{why}");
    }
    assert_eq!(
        refusal(whole[..whole.len() - 1].to_vec()),
        "the file is shorter than its fragments declare"
    );
    let many = long(MAX_FRAGMENTS as u64 + 1, &|_| Vec::new()).bytes();
    let begun = Instant::now();
    assert_eq!(refusal(many), "the file has too many fragments");
    println!("{:?}", begun.elapsed());
}

#[test]
fn more_fragments_than_an_index_can_number() {
    for (count, each) in [(65_535, 1), (65_536, 2), (100_000, 2)] {
        let pair = [long(count, &|_| Vec::new()), fixture(TrackKind::Audio)];
        let (plan, files) = planned(&pair, TimeRange::default());
        let front = plan.extents().next().unwrap().at;
        let head = emit(&plan, 0..front, &files).unwrap();
        let sidx = crate::container::isobmff::children(&head).unwrap();
        let sidx = sidx.iter().rfind(|found| found.kind == *b"sidx").unwrap().payload();
        let references = sidx[32..].chunks(12);
        assert_eq!(references.len() as u64, count.div_ceil(each));
        let lasts =
            |entry: &[u8]| u64::from(u32::from_be_bytes(*entry[4..].first_chunk().unwrap()));
        assert_eq!(references.map(lasts).sum::<u64>(), count * SECOND);
    }
}

#[test]
fn key_frames_within_fragments_are_none_to_cut_at() {
    // Each second begins with what cannot be decoded alone, but for the first; in the fourth is what
    // can.
    let mut pair = pair(|fixture| fixture.index = Index::None);
    for (place, fragment) in pair[0].fragments_mut().enumerate().skip(1) {
        fragment.syncs = (false, place == 3);
    }
    for start in [1000, 2999] {
        assert_eq!(cut_and_joined(&pair, part(start, None)).times(1).len(), 5);
    }
    for start in [3000, 4999] {
        match pair[0].read_index(part(start, None)) {
            Err(SurveyError::Refused(Unsupported(why))) => {
                assert!(why.contains("inside a fragment"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn fragments_that_do_not_tell_their_times_follow_each_other() {
    let pair = pair(|fixture| {
        fixture.index = Index::None;
        fixture.fragments_mut().for_each(|fragment| fragment.is_timed = false);
    });
    let track = pair[0].read_index(TimeRange::default()).unwrap();
    let times: Vec<_> = track.fragments.iter().map(|fragment| fragment.time).collect();
    assert_eq!(times, [0, 12_800, 25_600, 38_400, 51_200]);
    assert_eq!(joined(&pair).indexes[1].references.len(), 5);
    match pair[0].read_index(part(1000, None)) {
        Err(SurveyError::Refused(Unsupported(why))) => {
            assert!(why.contains("have no decode time"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}
