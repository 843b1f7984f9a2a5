//! Fragments of all shapes on their way, and those that contradict.

use super::fixture::{Base, Index, Mdat, be, sidx};
use super::*;
use crate::container::isobmff::boxed;

#[test]
fn media_of_all_lengths() {
    let seen = joined(&pair(|fixture| {
        fixture.fragments_mut().for_each(|fragment| fragment.mdat = Mdat::Wide);
    }));
    assert_eq!(seen.times(1).len(), 5);
    // The last one extends to the end of its file, and gets a length, since the audio follows it.
    for index in [Index::Sidx(12_800, 0), Index::None] {
        let mut pair = pair(|fixture| {
            fixture.index = index;
            fixture.runs[4].fragments[0].mdat = Mdat::ToTheEnd;
        });
        let late = pair[1].runs[4].clone();
        pair[1].runs.push(late);
        pair[1].runs[5].fragments[0].time += 48_000;
        assert_eq!(joined(&pair).times(2).len(), 6);
    }
}

#[test]
fn places_in_the_file_move_with_it() {
    for base in [Base::Moof, Base::Absolute, Base::Silent] {
        let mut pair = pair(|fixture| {
            fixture.fragments_mut().for_each(|fragment| fragment.base = base);
            fixture.runs[2].front = boxed(b"styp", &[b"msdhiso6"]);
        });
        pair[1].fragments_mut().for_each(|fragment| fragment.base = base);
        joined(&pair);
    }
}

#[test]
fn narrow_times_are_moved_as_wide_ones() {
    for is_wide in [true, false] {
        let mut pair = pair(|_| {});
        for fixture in &mut pair {
            let second = u64::from(fixture.timescale);
            fixture.index = Index::None;
            for fragment in fixture.fragments_mut() {
                fragment.time += 1000 * second + second / 2;
                fragment.is_wide = is_wide;
            }
        }
        let seen = joined(&pair);
        assert_eq!(seen.times(1)[..2], [6400, 19_200]);
        assert_eq!(seen.times(2)[..2], [24_000, 72_000]);
        let earliest: Vec<_> = seen.indexes.iter().map(|index| index.earliest).collect();
        assert_eq!(earliest, [24_000, 6400]);
    }
}

#[test]
fn another_track_becomes_free() {
    for (in_front, base) in [(false, Base::Silent), (true, Base::Moof), (true, Base::Absolute)] {
        let seen = joined(&pair(|fixture| {
            for fragment in fixture.fragments_mut() {
                (fragment.foreign, fragment.base) = (Some(in_front), base);
            }
        }));
        let mut expected = vec!["mfhd", "traf", "free"];
        if in_front {
            expected.swap(1, 2);
        }
        assert_eq!(seen.fragments[0].boxes, expected);
    }
    // Without the other traf, its media offset would be that of the other one.
    let pair = pair(|fixture| {
        for fragment in fixture.fragments_mut() {
            (fragment.foreign, fragment.base) = (Some(true), Base::Silent);
        }
    });
    assert!(pair[0].refusal().contains("after that of another track"));
}

#[test]
fn boxes_between_fragments() {
    let prft = boxed(b"prft", &[&be(&[0, 7, 1, 2, 3])]);
    let emsg = boxed(b"emsg", &[&[9; 40]]);
    let styp = boxed(b"styp", &[b"msdhiso6"]);
    let own = sidx(12_800, 0, 0, &[]);
    let front = [styp, own.clone(), emsg.clone(), prft].concat();
    let pair = pair(|fixture| fixture.runs.iter_mut().for_each(|run| run.front = front.clone()));
    let (plan, files) = planned(&pair, TimeRange::default());
    let made = emit(&plan, 0..plan.len(), &files).unwrap();
    let whole = seen(&made);
    whole.check();
    assert_eq!(whole.front[4..], ["styp", "free", "emsg", "prft", "moof"]);
    let has = |bytes: &[u8]| made.windows(bytes.len()).filter(|window| *window == bytes).count();
    assert_eq!(has(&emsg), 5);
    assert_eq!(has(&boxed(b"prft", &[&be(&[0, 1, 1, 2, 3])])), 5, "that of track 1 now");
    assert_eq!(has(&own[8..]), 5, "what is free has the bytes that it had");
}

#[test]
fn what_tells_of_times_becomes_free_where_they_are_moved() {
    let prft = boxed(b"prft", &[&be(&[0, 7, 1, 2, 3])]);
    let emsg = boxed(b"emsg", &[&[9; 40]]);
    let mut pair = pair(|fixture| {
        fixture.runs.iter_mut().for_each(|run| run.front = [&prft[..], &emsg].concat());
    });
    for fixture in &mut pair {
        let second = u64::from(fixture.timescale);
        fixture.fragments_mut().for_each(|fragment| fragment.time += 10 * second);
    }
    assert_eq!(joined(&pair).front[4..], ["free", "free", "moof"]);
}

#[test]
fn an_empty_box_at_the_end_is_left_out_with_what_is_behind_it() {
    let index = boxed(b"mfra", &[&[0; 20]]);
    let pair = pair(|fixture| fixture.behind = index.clone());
    let (plan, mut files) = planned(&pair[..1], TimeRange::default());
    // The media of the last fragment are shorter by what it takes.
    let bytes = &mut files[0].1;
    let end = bytes.len() - index.len();
    let last = end - fixture::MEDIA - 8;
    bytes[last..last + 4].copy_from_slice(&(fixture::MEDIA as u32).to_be_bytes());
    bytes[end - 8..end].copy_from_slice(&boxed(b"free", &[]));
    let whole = emit(&plan, 0..plan.len(), &files).unwrap();
    for left in 0..10 {
        let part = 1000..plan.len() - left;
        let expected = &whole[1000..part.end as usize];
        assert_eq!(emit(&plan, part, &files).unwrap(), expected, "without the last {left}");
    }
}

/// Where the moof of this number begins.
fn moof(bytes: &[u8], number: usize) -> usize {
    let mut moofs = (0..bytes.len() - 4).filter(|at| &bytes[*at..*at + 4] == b"moof");
    moofs.nth(number).unwrap() - 4
}

/// Returns the offset of the first box of this type after the second moof.
fn behind(bytes: &[u8], kind: &[u8; 4]) -> usize {
    let from = moof(bytes, 1);
    from + bytes[from..].windows(4).position(|window| window == kind).unwrap() - 4
}

#[test]
fn bytes_that_contradict_are_not_passed_on() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, &str); 14] = [
        (|b| rename(b, b"moof", b"free"), "precedes its fragment"),
        (|b| rename(b, b"mdat", b"free"), "expected a fragment (moof)"),
        (|b| rename(b, b"mdat", b"what"), "unknown box"),
        (|b| rename(b, b"mdat", b"moof"), "no media"),
        (|b| rename(b, b"mfhd", b"free"), "malformed"),
        (|b| rename(b, b"tfhd", b"free"), "malformed"),
        (|b| rename(b, b"traf", b"free"), "another track"),
        (|b| resize(b, b"moof", 4), "shorter than its own header"),
        (|b| resize(b, b"moof", 8), "malformed"),
        (|b| resize(b, b"moof", 0x7fff_ffff), "past the end of its fragment"),
        (|b| resize(b, b"mdat", 0x7fff_ffff), "past the end of its fragment"),
        (|b| resize(b, b"mdat", 1), "past the end of its fragment"),
        (|b| resize(b, b"traf", 9), "malformed"),
        (|b| resize(b, b"tfhd", 0x7fff_ffff), "malformed"),
    ];
    for (change, why) in changes {
        let said = contradiction(change);
        assert!(said.contains(why), "{said}, not {why}");
    }
    let other = contradiction(|bytes| {
        let at = behind(bytes, b"tfhd") + 15;
        bytes[at] = 8;
    });
    assert_eq!(other, "a fragment belongs to another track");
}

fn rename(bytes: &mut [u8], from: &[u8; 4], to: &[u8; 4]) {
    let at = behind(bytes, from) + 4;
    bytes[at..at + 4].copy_from_slice(to);
}

fn resize(bytes: &mut [u8], kind: &[u8; 4], len: u32) {
    let at = behind(bytes, kind);
    bytes[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

#[test]
fn a_time_that_is_earlier_than_what_is_taken_from_it_contradicts() {
    let mut pair = pair(|_| {});
    for fixture in &mut pair {
        let second = u64::from(fixture.timescale);
        fixture.fragments_mut().for_each(|fragment| fragment.time += 10 * second);
    }
    let (plan, mut files) = planned(&pair, TimeRange::default());
    let at = behind(&files[0].1, b"tfdt") + 12;
    files[0].1[at..at + 8].fill(0);
    let Err(Error::Upstream { fault: UpstreamError::IndexMismatch(why), .. }) =
        emit(&plan, 0..plan.len(), &files)
    else {
        panic!();
    };
    assert!(why.contains("earlier"));
}

#[test]
fn a_box_without_content_at_the_end_of_the_needed_bytes() {
    // Nothing after it is read in vain.
    let pair = pair(|fixture| {
        let fragment = &mut fixture.runs[4];
        fragment.front = boxed(b"free", &[]);
    });
    joined(&pair);
    let (plan, mut files) = planned(&pair[..1], TimeRange::default());
    let bytes = &mut files[0].1;
    let last = bytes.len() - fixture::MEDIA - 8;
    // The media are shorter, and an empty prft ends the file.
    bytes[last..last + 4].copy_from_slice(&(fixture::MEDIA as u32).to_be_bytes());
    let end = bytes.len() - 8;
    bytes[end..].copy_from_slice(&boxed(b"prft", &[]));
    let error = emit(&plan, 0..plan.len(), &files).unwrap_err();
    assert!(format!("{error}").contains("prft"), "{error}");
}
