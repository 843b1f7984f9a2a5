//! Files that would not fit on this disk.

use super::fixture::{ENTRY, be, sidx};
use super::*;
use crate::container::isobmff::boxed;

/// A moof and the header of its media, where they are; zeros everywhere else.
struct Sparse {
    len: u64,
    runs: Vec<(u64, Vec<u8>)>,
}

impl Sparse {
    fn read(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for (at, run) in &self.runs {
            let (from, to) = (range.start.max(*at), range.end.min(at + run.len() as u64));
            if from < to {
                let run = &run[(from - at) as usize..(to - at) as usize];
                bytes[(from - range.start) as usize..][..run.len()].copy_from_slice(run);
            }
        }
        bytes
    }
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        assert!(range.end <= self.len && range.end - range.start <= MAX_READ);
        Ok(self.read(range).into())
    }
}

/// Fragments of `len` bytes, a second each.
fn sparse(fixture: &Fixture, count: u64, len: u32) -> Sparse {
    let references = vec![(false, len, fixture.timescale, ENTRY); count as usize];
    let head = [fixture.head(), sidx(fixture.timescale, 0, 0, &references)].concat();
    let begin = head.len() as u64;
    let mut runs = vec![(0, head)];
    for number in 0..count {
        let fragment = &fixture::fragment(number * u64::from(fixture.timescale), 0);
        let at = begin + number * u64::from(len);
        let mut fixture = fixture.clone();
        fixture.runs =
            vec![fixture::Run { fragments: vec![fragment.clone()], front: Vec::new(), sap: ENTRY }];
        let mut bytes = fixture.runs_at(0).concat();
        let moof = bytes.len() - fixture::MEDIA - 8;
        bytes.truncate(moof + 8);
        bytes[moof..moof + 4].copy_from_slice(&(len - moof as u32).to_be_bytes());
        runs.push((at, bytes));
    }
    Sparse { len: begin + count * u64::from(len), runs }
}

/// Returns zeros in the holes.
fn part_of(plan: &Plan, files: &[(TrackKind, Sparse)], part: Range<u64>) -> Vec<u8> {
    let mut inputs = Vec::new();
    for (track, (kind, file)) in files.iter().enumerate() {
        let needs = plan.source_range(track, &part).unwrap_or(0..0);
        // What lies between the head of a fragment and what is wanted of it is not brought.
        let (mut at, mut gap) = (needs.start, 0..0);
        if let Some(target) = plan.seek_target(track, &part) {
            let peek = file.read(at..needs.end.min(at + 1000));
            let inside = plan.media_start(&peek, target - at).unwrap_or(0) as u64;
            gap = at + inside..target;
        }
        let without = gap.clone();
        inputs.push(
            TrackInput::new(*kind, at, move |_| {
                if at == gap.start {
                    at = at.max(gap.end);
                }
                let most = if at < gap.start { gap.start } else { needs.end };
                assert!(at < most, "more is read than is needed");
                let end = most.min(at + 100_000);
                let bytes = file.read(at..end);
                at = end;
                let len = bytes.len();
                Ok((bytes, len))
            })
            .without(without),
        );
    }
    let mut made = Vec::new();
    plan.write_range(&part, &mut inputs, &mut |bytes| {
        made.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(made.len() as u64, part.end - part.start);
    made
}

#[test]
fn beyond_four_gibibytes() {
    const GIB: u32 = 1 << 30;
    let video = sparse(&fixture(TrackKind::Video), 9, GIB);
    let audio = sparse(&fixture(TrackKind::Audio), 9, 1 << 20);
    let mut files = [(TrackKind::Video, video), (TrackKind::Audio, audio)];
    let tracks: Vec<_> = files
        .iter_mut()
        .map(|(kind, file)| (*kind, read_index(file, TimeRange::default()).unwrap().unwrap()))
        .collect();
    let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
    let plan = plan(&tracks, &options(TimeRange::default())).unwrap();
    let media = 9 * u64::from(GIB) + (9 << 20);
    let head = made(&plan);
    assert_eq!(plan.len(), head + media);
    // The indexes reach to the end, across each other's fragments.
    let front = part_of(&plan, &files, 0..head + 200);
    let boxes: Vec<_> = crate::container::isobmff::children(&front[..head as usize])
        .unwrap()
        .into_iter()
        .filter(|found| found.kind == *b"sidx")
        .collect();
    let reach = |place: usize| {
        let lens = boxes[place].payload()[32..].chunks(12);
        lens.map(|entry| u64::from(u32::from_be_bytes(*entry.first_chunk().unwrap()))).sum::<u64>()
    };
    assert_eq!(reach(1), media);
    // The first one of the audio follows the first of the video.
    assert_eq!(reach(0), media - u64::from(GIB));
    // The last fragments of both, video first, and a few bytes around them.
    let mut last = plan.extents().rev();
    let (audio, video) = (last.next().unwrap(), last.next().unwrap());
    for (piece, track, place) in [(video, 1, 16), (audio, 2, 17)] {
        let part = part_of(&plan, &files, piece.at - 50..piece.at + 3000);
        assert_eq!(part[..50], [0; 50]);
        let moof = seen::inside(&part[50..50 + 8 + moof_len(&part[50..])], &[b"moof"]);
        assert_eq!(seen::inside(moof, &[b"mfhd"])[4..], be(&[place * moof::SEQUENCE_NUMBERS + 1]));
        assert_eq!(seen::inside(moof, &[b"traf", b"tfhd"])[4..8], be(&[track]));
    }
    // A part within the media of the last fragment, beyond 9 GiB.
    let near_end = plan.len() - 5000..plan.len() - 10;
    assert!(plan.seek_target(1, &near_end).is_some());
    assert!(part_of(&plan, &files, near_end).iter().all(|byte| *byte == 0));
}

/// How much of the joined file is made.
fn made(plan: &Plan) -> u64 {
    plan.extents().next().unwrap().at
}

fn moof_len(bytes: &[u8]) -> usize {
    u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize - 8
}

#[test]
fn references_of_two_gibibytes_are_not_made() {
    // Two fragments of the video of 1.5 GiB lie between those of the audio.
    let video = sparse(&fixture(TrackKind::Video), 4, 3 << 29);
    let mut slow = fixture(TrackKind::Audio);
    slow.timescale = 48_000;
    let mut audio = sparse(&slow, 2, 1000);
    // The second one is two seconds later.
    let at = audio.runs[0].1.len() - 16;
    audio.runs[0].1[at - 4..at].copy_from_slice(&be(&[96_000]));
    let mut files = [(TrackKind::Video, video), (TrackKind::Audio, audio)];
    let tracks: Vec<_> = files
        .iter_mut()
        .map(|(kind, file)| (*kind, read_index(file, TimeRange::default()).unwrap().unwrap()))
        .collect();
    let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
    let plan = plan(&tracks, &options(TimeRange::default())).unwrap();
    let head = part_of(&plan, &files, 0..made(&plan));
    assert!(!head.windows(4).any(|window| window == b"sidx"));
}

#[test]
fn nothing_is_allocated_by_a_length_that_is_claimed() {
    for kind in [b"moov", b"sidx", b"moof"] {
        for claimed in [1_u64 << 24, 1 << 31, 1 << 40, u64::MAX - 7] {
            let head = fixture(TrackKind::Video).head();
            let ftyp = &head[..16];
            let large = [&be(&[1])[..], kind, &claimed.to_be_bytes()].concat();
            let head = if kind == b"moov" { ftyp } else { &head };
            let runs = vec![(0, [head, &large].concat())];
            // A look at more than MAX_READ would panic.
            let found = read_index(&mut Sparse { len: 1 << 42, runs }, TimeRange::default());
            assert!(
                matches!(
                    found,
                    Ok(None) | Err(SurveyError::Refused(_) | SurveyError::Incomplete(_))
                ),
                "{kind:?}"
            );
        }
    }
    // Counts without the bytes to it.
    let trun = boxed(b"trun", &[&be(&[0x100, u32::MAX])]);
    let tfdt = boxed(b"tfdt", &[&be(&[0, 0])]);
    let traf = boxed(b"traf", &[&boxed(b"tfhd", &[&be(&[0, 7])]), &tfdt, &trun]);
    let moof = boxed(b"moof", &[&boxed(b"mfhd", &[&be(&[0, 1])]), &traf]);
    let bytes = [fixture(TrackKind::Video).head(), moof, boxed(b"mdat", &[])].concat();
    assert!(read_index(&mut File::of(bytes), TimeRange::default()).is_err());
}
