//! Where the fragments are: indexes of all shapes, and what is done where one is of no use.

use super::fixture::{Index, Reference, Run, be, sidx};
use super::*;
use crate::container::completeness::Incomplete;
use crate::container::isobmff::boxed;

/// How many fragments are found, and by how many looks beyond the front.
fn found(bytes: Vec<u8>) -> Result<(usize, usize), &'static str> {
    let mut file = File::of(bytes);
    match read_index(&mut file, TimeRange::default()) {
        Ok(track) => Ok((track.unwrap().fragments.len(), file.looks)),
        Err(SurveyError::Refused(Unsupported(why)) | SurveyError::Incomplete(Incomplete(why))) => {
            Err(why)
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Returns a video whose index `with` makes of the lengths of its runs.
fn indexed(with: impl FnOnce(&[u32]) -> Vec<u8>) -> Vec<u8> {
    let fixture = Fixture { index: Index::None, ..fixture(TrackKind::Video) };
    let runs = fixture.runs_at(0);
    let lens: Vec<u32> = runs.iter().map(|run| run.len() as u32).collect();
    [fixture.head(), with(&lens), runs.concat()].concat()
}

const SECOND: u32 = 12_800;
const SAP: u32 = fixture::ENTRY;

fn flat(lens: &[u32]) -> Vec<Reference> {
    lens.iter().map(|len| (false, *len, SECOND, SAP)).collect()
}

#[test]
fn each_kind_of_index_finds_the_same() {
    let by_sidx = joined(&pair(|_| {}));
    assert_eq!(by_sidx.front, ["ftyp", "moov", "sidx", "sidx", "moof"]);
    let numbers = (0..10).map(|place| place * moof::SEQUENCE_NUMBERS + 1);
    assert_eq!(by_sidx.numbers(), numbers.collect::<Vec<_>>());
    assert_eq!(by_sidx.times(1), [0, 12_800, 25_600, 38_400, 51_200]);
    for index in [Index::None, Index::Mfra, Index::Sidx(1000, 0), Index::Sidx(90_000, 0)] {
        let other = joined(&pair(|fixture| fixture.index = index));
        assert_eq!(other.times(1), by_sidx.times(1));
        let lens =
            |seen: &Seen| seen.indexes.iter().map(|i| i.references.clone()).collect::<Vec<_>>();
        assert_eq!(lens(&other), lens(&by_sidx));
        assert_eq!(other.indexes[1].timescale, 12_800);
    }
}

#[test]
fn priming_that_an_index_omits_is_counted() {
    let ends = |omitted: u32| {
        let fixture = Fixture { index: Index::None, ..fixture(TrackKind::Audio) };
        let runs = fixture.runs_at(0);
        let references = runs.iter().enumerate().map(|(number, run)| {
            let omitted = if number == 0 { omitted } else { 0 };
            (false, run.len() as u32, 48_000 - omitted, SAP)
        });
        let index = sidx(48_000, 0, 0, &references.collect::<Vec<_>>());
        let mut file = File::of([fixture.head(), index, runs.concat()].concat());
        let track = read_index(&mut file, TimeRange::default()).unwrap().unwrap();
        (track.fragments[1].time, track.end)
    };
    // That of AAC and of HE-AAC; an index that omits more than any encoder needs is not used.
    for omitted in [0, 1024, 2112, 9600] {
        assert_eq!(ends(omitted), (48_000, 240_000), "{omitted}");
    }
}

#[test]
fn what_is_at_the_front_takes_no_further_look() {
    assert_eq!(found(fixture(TrackKind::Video).bytes()), Ok((5, 0)));
}

#[test]
fn entries_lead_to_several_fragments() {
    let pairs = |fixture: &mut Fixture| {
        let fragments: Vec<_> = fixture.fragments().cloned().collect();
        let runs = fragments.chunks(2).map(|pair| Run {
            fragments: pair.to_vec(),
            front: Vec::new(),
            sap: SAP,
        });
        fixture.runs = runs.collect();
    };
    for index in [Index::Sidx(SECOND, 0), Index::Mfra] {
        let seen = joined(&pair(|fixture| {
            pairs(fixture);
            fixture.index = index;
        }));
        assert!(seen.numbers().windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(seen.indexes[1].references.len(), seen.times(1).len().div_ceil(2));
    }
}

/// Returns the stream access points in the index of the video, and the durations of its references in seconds.
fn sap_and_durations(seen: &Seen) -> (Vec<u32>, Vec<u32>) {
    let index = &seen.indexes[1];
    (index.kinds.clone(), index.references.iter().map(|(_, lasts)| lasts / SECOND).collect())
}

#[test]
fn of_key_frames_nothing_is_said_that_was_not_seen() {
    let pair = |index| pair(|fixture| (fixture.index, fixture.runs[2].sap) = (index, 0));
    // The third one is none, says the index; the others may be.
    assert_eq!(
        sap_and_durations(&joined(&pair(Index::Sidx(SECOND, 0)))),
        (vec![0; 4], vec![1, 2, 1, 1])
    );
    assert_eq!(sap_and_durations(&joined(&pair(Index::None))), (vec![1 << 31; 5], vec![1; 5]));
}

#[test]
fn references_lead_to_key_frames() {
    for index in [Index::Sidx(SECOND, 0), Index::Mfra, Index::None] {
        // Key frames every other second, whatever the index says of them.
        let seen = joined(&pair(|fixture| {
            fixture.index = index;
            fixture.runs[1].fragments[0].syncs = (false, false);
            fixture.runs[3].fragments[0].syncs = (false, true);
        }));
        assert_eq!(sap_and_durations(&seen), (vec![1 << 31; 3], vec![2, 2, 1]));
    }
    // None but the first.
    let seen = joined(&pair(|fixture| {
        fixture.fragments_mut().skip(1).for_each(|fragment| fragment.syncs = (false, false));
    }));
    assert_eq!(sap_and_durations(&seen), (vec![1 << 31], vec![5]));
    // Not even the first one: decoding cannot begin there, and no access point is declared.
    let seen = joined(&pair(|fixture| {
        fixture.fragments_mut().for_each(|fragment| fragment.syncs = (false, false));
    }));
    assert_eq!(sap_and_durations(&seen), (vec![0], vec![5]));
}

#[test]
fn a_part_begins_with_a_key_frame() {
    for index in [Index::Sidx(SECOND, 0), Index::Mfra, Index::None] {
        let pair = pair(|fixture| {
            fixture.index = index;
            let others = fixture.fragments_mut().enumerate().filter(|(place, _)| place % 3 > 0);
            others.for_each(|(_, fragment)| fragment.syncs = (false, false));
        });
        for (start, first) in [(1700, 0), (2999, 0), (3000, 3), (4500, 3)] {
            let seen = cut_and_joined(&pair, part(start, None));
            assert_eq!(seen.of(1)[0].1, pair[0].runs[first].fragments[0].media(), "{start}");
        }
    }
}

#[test]
fn an_index_that_says_nothing_of_key_frames_is_not_taken_to_deny_them() {
    let seen = joined(&pair(|fixture| fixture.runs.iter_mut().for_each(|run| run.sap = 0)));
    assert_eq!(sap_and_durations(&seen), (vec![1 << 31; 5], vec![1; 5]));
    let seen = joined(&pair(|fixture| {
        // It takes no time, says the index; and so it does not advance.
        fixture.index = Index::None;
        fixture.runs[2].fragments[0].time = 12_800;
    }));
    assert_eq!(sap_and_durations(&seen).1, [1, 2, 1, 1]);
}

#[test]
fn times_of_an_index_that_are_not_those_of_the_fragments_are_not_believed() {
    // Half of the ticks a second that it counts in.
    let pair = pair(|fixture| fixture.index = Index::Sidx(SECOND, 0));
    let mut bytes = pair[0].bytes();
    let at = bytes.windows(4).position(|window| window == b"sidx").unwrap() + 12;
    bytes[at..at + 4].copy_from_slice(&(SECOND / 2).to_be_bytes());
    let track = read_index(&mut File::of(bytes), TimeRange::default()).unwrap().unwrap();
    let times: Vec<_> = track.fragments.iter().map(|fragment| fragment.time).collect();
    assert_eq!(times, [0, 12_800, 25_600, 38_400, 51_200]);
    assert_eq!(track.end, 64_000);
}

#[test]
fn each_track_has_an_index_of_its_own() {
    let own = |lens: &[u32]| sidx(SECOND, 0, 0, &flat(lens));
    let of = |id: u8, mut sidx: Vec<u8>| {
        sidx[15] = id;
        sidx
    };
    let other = |lens: &[u32]| of(9, sidx(SECOND, 0, 0, &flat(&lens[..1])));
    for is_first in [true, false] {
        let bytes = indexed(|lens| {
            let own = of(
                7,
                if is_first {
                    sidx(SECOND, 0, other(lens).len() as u64, &flat(lens))
                } else {
                    own(lens)
                },
            );
            if is_first { [own, other(lens)].concat() } else { [other(lens), own].concat() }
        });
        assert_eq!(found(bytes), Ok((5, 0)));
    }
}

#[test]
fn an_index_of_indexes() {
    let nested = |lens: &[u32], cut: u32| {
        let (front, back) = lens.split_at(2);
        let len = |lens: &[u32]| lens.iter().sum::<u32>();
        let inner = sidx(SECOND, 0, 0, &flat(front));
        let outer = [(true, inner.len() as u32 + len(front), 2 * SECOND, 0)];
        let outer =
            sidx(SECOND, 0, 0, &[&outer[..], &flat(&back[..back.len() - cut as usize])].concat());
        [outer, inner].concat()
    };
    assert_eq!(found(indexed(|lens| nested(lens, 0))), Ok((5, 0)));
    // Where it ends early, everything is found one by one.
    assert_eq!(found(indexed(|lens| nested(lens, 1))), Ok((5, 0)));
}

#[test]
fn an_inner_index_that_leaves_something_out_is_of_no_use() {
    let of = |inner: &dyn Fn(&[u32]) -> Vec<u8>| {
        found(indexed(|lens| {
            let inner = inner(lens);
            let all = inner.len() as u32 + lens.iter().sum::<u32>();
            [sidx(SECOND, 0, 0, &[(true, all, 5 * SECOND, 0)]), inner].concat()
        }))
    };
    let all = |lens: &[u32]| sidx(SECOND, 0, 0, &flat(lens));
    let early = |lens: &[u32]| sidx(SECOND, 0, 0, &flat(&lens[..3]));
    let late = |lens: &[u32]| sidx(SECOND, 0, lens[0].into(), &flat(&lens[1..]));
    for inner in [&all as &dyn Fn(&[u32]) -> Vec<u8>, &early, &late] {
        assert_eq!(of(inner), Ok((5, 0)));
    }
}

#[test]
fn indexes_in_indexes_for_ever() {
    // Each one leads to the next one, which is all of the rest.
    let deep = |depth: usize| {
        found(indexed(|lens| {
            let mut bytes = sidx(SECOND, 0, 0, &flat(lens));
            let media: u32 = lens.iter().sum();
            for _ in 0..depth {
                let all = bytes.len() as u32 + media;
                bytes = [sidx(SECOND, 0, 0, &[(true, all, 5 * SECOND, 0)]), bytes].concat();
            }
            bytes
        }))
    };
    assert_eq!(deep(4).map(|found| found.0), Ok(5));
    // A few more precede the first fragment.
    assert_eq!(deep(9).map(|found| found.0), Err("expected a fragment (moof)"));
}

#[test]
fn a_crowd_of_indexes_is_not_read_one_by_one() {
    let empty = |len: usize| [sidx(1, 0, 0, &[]), boxed(b"free", &[&vec![0; len]])].concat();
    let bytes = indexed(|lens| {
        let one = empty(100_000).len() as u32;
        let to: Vec<_> = (0..1000).map(|_| (true, one, 1, 0)).collect();
        let inner: Vec<u8> = (0..1000).flat_map(|_| empty(100_000)).collect();
        [sidx(1, 0, 0, &[&to[..], &flat(lens)].concat()), inner].concat()
    });
    let mut file = File::of(bytes);
    assert!(read_index(&mut file, TimeRange::default()).is_err());
    assert!(file.looks < 200, "{}", file.looks);
}

#[test]
fn references_that_cannot_be_are_not_followed() {
    type Change = fn(&mut Vec<Reference>);
    let with = |change: Change| {
        found(indexed(|lens| {
            let mut to = flat(lens);
            change(&mut to);
            sidx(SECOND, 0, 0, &to)
        }))
    };
    let changes: [Change; 4] = [
        |to| to.iter_mut().for_each(|to| to.1 = 0),
        |to| to[4].1 -= 1,
        |to| to[0].0 = true,
        |to| to.truncate(4),
    ];
    for change in changes {
        assert_eq!(with(change), Ok((5, 0)));
    }
    // So it would be if the file had been cut.
    let beyond: [Change; 2] = [|to| to[4].1 += 1, |to| to[4].1 = 0x7fff_ffff];
    for change in beyond {
        assert_eq!(with(change), Err("the file is shorter than its index (sidx) declares"));
    }
    assert_eq!(found(indexed(|lens| sidx(0, 0, 0, &flat(lens)))), Ok((5, 0)), "no timescale");
    assert_eq!(found(indexed(|lens| sidx(SECOND, 0, u64::MAX, &flat(lens)))), Ok((5, 0)));
    assert_eq!(found(indexed(|_| sidx(SECOND, 0, 0, &[]))), Ok((5, 0)));
}

#[test]
fn the_first_reference_may_be_further_on_but_not_behind_a_fragment() {
    let free = boxed(b"free", &[&[1; 30]]);
    let seen = joined(&pair(|fixture| fixture.between = free.clone()));
    assert_eq!(seen.times(1).len(), 5);
    assert_eq!(seen.indexes.len(), 2);
    let behind_first = indexed(|lens| sidx(SECOND, 0, lens[0].into(), &flat(&lens[1..])));
    assert_eq!(found(behind_first), Ok((5, 0)), "the one before is not lost");
}

#[test]
fn mfra_that_does_not_fit() {
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Fixture { index: Index::Mfra, ..fixture(TrackKind::Video) }.bytes();
        let before = bytes.len();
        change(&mut bytes);
        (found(bytes), before)
    };
    // Entries of 11 bytes, and then 16 of mfro.
    let last = 16 + 11;
    assert_eq!(with(&|_| {}).0.unwrap().0, 5);
    // The second sample of a fragment: players could not begin there.
    assert_eq!(with(&|bytes| *bytes.iter_mut().nth_back(16).unwrap() = 2).0.unwrap().0, 5);
    // Times, places and lengths that make no sense are not believed.
    for (back, value) in [(last - 1, 0xff), (last - 5, 0xff), (last - 8, 1), (0, 0), (3, 0xff)] {
        let found = with(&|bytes: &mut Vec<u8>| {
            let at = bytes.len() - 1 - back;
            bytes[at] = value;
        });
        println!("{back}: {found:?}");
        assert!(matches!(found.0, Ok((5, _)) | Err(_)));
    }
    let wide = |mut bytes: Vec<u8>, times: [u64; 2]| {
        let fixture = fixture(TrackKind::Video);
        let runs = fixture.runs_at(0);
        let begin = bytes.len();
        let at = [begin, begin + runs[0].len()];
        bytes.extend(runs[..2].concat());
        let entries: Vec<u8> = times
            .iter()
            .zip(at)
            .flat_map(|(time, at)| {
                [&time.to_be_bytes()[..], &(at as u64).to_be_bytes(), &[1, 1, 1]].concat()
            })
            .collect();
        let tfra = boxed(b"tfra", &[&be(&[1 << 24, 7, 0, 2]), &entries]);
        let mfro = boxed(b"mfro", &[&be(&[0, 8 + tfra.len() as u32 + 16])]);
        bytes.extend(boxed(b"mfra", &[&tfra, &mfro]));
        found(bytes)
    };
    let head = fixture(TrackKind::Video).head();
    assert_eq!(wide(head.clone(), [5, 12_805]), Ok((2, 0)));
    assert_eq!(wide(head.clone(), [0, u64::MAX]), Ok((2, 0)), "the fragments know better");
    assert!(wide(head, [u64::MAX - 1, u64::MAX]).is_ok(), "a difference of one");
}

#[test]
fn an_index_that_counts_from_elsewhere_counts_from_the_first_fragment() {
    for earliest in [0, 12_345, 1 << 40] {
        let seen = joined(&pair(|fixture| fixture.index = Index::Sidx(SECOND, earliest)));
        assert_eq!(seen.times(1), [0, 12_800, 25_600, 38_400, 51_200]);
        assert_eq!(seen.indexes[1].earliest, 0);
    }
    let insane = pair(|fixture| fixture.index = Index::Sidx(SECOND, u64::MAX - 20_000));
    assert!(
        insane[0].read_index(TimeRange::default()).is_ok(),
        "as there is another way to find them"
    );
}
