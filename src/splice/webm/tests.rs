//! Made-up files: what is refused, what contradicts, and that no bytes make any of it panic.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::container::ebml::{self, element, opening, uint};
use crate::container::probe::Format;
use crate::error::{Error, UpstreamError};
use crate::media::removal::Removal;
use crate::media::{CoverArt, Metadata};
use crate::options::{ContainerChoice, TimeRange};
use crate::splice::golden::{self, Case};
use crate::splice::{TrackIndex, TrackInput, plan as splice_plan, read_index as splice_survey};

mod fixture;
mod segments;
use fixture::{Fixture, entry, fixture};

/// A file in memory.
struct File(Vec<u8>);

impl ReadAt for File {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        assert!(range.end - range.start <= crate::splice::MAX_READ);
        Ok(self.0[range.start as usize..range.end as usize].into())
    }
}

static TAGS: Metadata = Metadata::NONE;

fn options(start: u64, end: Option<u64>) -> Options<'static> {
    let trim =
        TimeRange { start: Duration::from_millis(start), end: end.map(Duration::from_millis) };
    Options { container: ContainerChoice::Auto, time_range: trim, metadata: &TAGS }
}

fn emit(plan: &Plan, part: Range<u64>, files: &[(TrackKind, Vec<u8>)]) -> Result<Vec<u8>, Error> {
    let mut inputs = Vec::new();
    for (track, (kind, bytes)) in files.iter().enumerate() {
        let needs = plan.source_range(track, &part).unwrap_or(0..0);
        let mut rest = bytes[needs.start as usize..needs.end as usize].chunks(37);
        inputs.push(TrackInput::new(*kind, needs.start, move |_| {
            rest.next().map(|chunk| (chunk.to_vec(), chunk.len())).ok_or(Error::Stopped)
        }));
    }
    let mut made = Vec::new();
    plan.write_range(&part, &mut inputs, &mut |bytes| {
        made.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(made)
}

/// Joins these, and makes sure of the length.
fn joined(fixtures: &[Fixture], options: &Options<'_>) -> Result<Vec<u8>, Error> {
    let files: Vec<_> = fixtures.iter().map(|fixture| (fixture.kind, fixture.bytes())).collect();
    let tracks: Vec<_> = fixtures.iter().map(|s| (s.kind, s.read_index().unwrap())).collect();
    let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
    let plan = plan(&tracks, options).unwrap();
    let made = emit(&plan, 0..plan.len(), &files)?;
    assert_eq!(made.len() as u64, plan.len());
    Ok(made)
}

/// The level-1 elements of a file.
fn top(bytes: &[u8]) -> Vec<ebml::Element<'_>> {
    let all: Vec<_> = ebml::children(bytes).map(Result::unwrap).collect();
    assert_eq!((all[0].id, all[1].id, all.len()), (ids::EBML, ids::SEGMENT, 2));
    ebml::children(all[1].payload).map(Result::unwrap).collect()
}

/// Track and time of all blocks that are left, in the order of the file.
fn blocks(bytes: &[u8]) -> Vec<(u8, i64)> {
    let mut blocks = Vec::new();
    for cluster in top(bytes).iter().filter(|element| element.id == ids::CLUSTER) {
        let mut time = 0;
        for field in ebml::children(cluster.payload).map(Result::unwrap) {
            let mut push = |head: &[u8]| {
                let relative = i64::from(i16::from_be_bytes([head[1], head[2]]));
                blocks.push((head[0], time + relative));
            };
            match field.id {
                ids::TIMESTAMP => time = field.uint().unwrap() as i64,
                ids::SIMPLE_BLOCK => push(field.payload),
                ids::BLOCK_GROUP => {
                    let fields: Vec<_> =
                        ebml::children(field.payload).map(Result::unwrap).collect();
                    assert_eq!((fields[0].id, fields[1].id), (ids::VOID, ids::BLOCK), "no sums");
                    push(fields[1].payload);
                }
                ids::VOID => {}
                other => panic!("{other:x} in a cluster"),
            }
        }
    }
    blocks
}

fn of(blocks: &[(u8, i64)], track: u8) -> Vec<i64> {
    blocks.iter().filter(|block| block.0 == 0x80 | track).map(|block| block.1).collect()
}

#[test]
fn both_tracks_are_numbered_anew_and_in_step() {
    let made =
        joined(&[fixture(TrackKind::Video), fixture(TrackKind::Audio)], &options(0, None)).unwrap();
    let blocks = blocks(&made);
    let times: Vec<i64> = (0..50).map(|tenth| tenth * 100).collect();
    assert_eq!(of(&blocks, 1), times);
    assert_eq!(of(&blocks, 2), times);
    assert_eq!(blocks[0].0, 0x82, "audio first, where a cue leads to");
    assert!(!top(&made).iter().any(|element| element.id == ids::VOID), "nothing of no use");
    let tracks = top(&made).into_iter().find(|element| element.id == ids::TRACKS).unwrap();
    let entries: Vec<_> = ebml::children(tracks.payload).map(Result::unwrap).collect();
    let named = |entry: &ebml::Element<'_>, id| {
        let field = ebml::children(entry.payload).map(Result::unwrap).find(|f| f.id == id);
        field.unwrap().uint().unwrap()
    };
    assert_eq!(entries.len(), 2);
    for id in [ids::TRACK_NUMBER, ids::TRACK_UID] {
        assert_ne!(named(&entries[0], id), named(&entries[1], id), "both files say the same");
    }
}

#[test]
fn sound_is_cut_inside_its_clusters() {
    // Its clusters begin 300 ms earlier than those of the video, but for the first one.
    let mut video = fixture(TrackKind::Video);
    video.clusters.remove(0);
    for (time, content) in &mut video.clusters {
        *time -= 300;
        content.splice(2..4, (*time as u16).to_be_bytes());
    }
    let made = joined(&[video, fixture(TrackKind::Audio)], &options(1800, Some(2700))).unwrap();
    let blocks = blocks(&made);
    let times: Vec<i64> = (0..10).map(|tenth| tenth * 100).collect();
    assert_eq!(of(&blocks, 1), times);
    assert_eq!(of(&blocks, 2), times);
}

#[test]
fn what_stands_in_front_of_a_cue_is_cut_off_or_kept() {
    // Each cue leads to the block after half a second.
    let mut video = fixture(TrackKind::Video);
    video.clusters.iter_mut().for_each(|cluster| cluster.0 += 500);
    // Not all say where in the cluster it is.
    for place in [uint(ids::CUE_RELATIVE_POSITION, 300), uint(ids::CUE_BLOCK_NUMBER, 6), vec![]] {
        video.place = place;
        let pair = [video.clone(), fixture(TrackKind::Audio)];
        let made = joined(&pair, &options(1700, Some(2200))).unwrap();
        let blocks = blocks(&made);
        let times: Vec<i64> = (0..10).map(|tenth| tenth * 100).collect();
        assert_eq!(of(&blocks, 1), times);
        assert_eq!(of(&blocks, 2), times);
    }
}

#[test]
fn clusters_without_cues_are_found_and_kept() {
    let mut video = fixture(TrackKind::Video);
    video.cued = |number| number == 2;
    let made = joined(&[video, fixture(TrackKind::Audio)], &options(0, None)).unwrap();
    assert_eq!(of(&blocks(&made), 1).len(), 50);
}

#[test]
fn what_lies_between_the_clusters_says_nothing_any_more() {
    let tags = element(ids::TAGS, &[&[7; 40]]);
    let long = [&opening(ids::TAGS, 3, 8), &b"abc"[..]].concat();
    let mut video = fixture(TrackKind::Video);
    let mut last = std::mem::take(&mut video.clusters[4].1);
    last.truncate(last.len() - tags.len() - long.len());
    // The bytes of the last cluster are now those of a shorter one, followed by two bytes of tags.
    video.clusters.truncate(4);
    video.behind = Vec::new();
    let bytes = video.bytes();
    let cues = bytes.windows(4).rposition(|w| w == ids::CUES.to_be_bytes()).unwrap();
    let mut track = video.read_index().unwrap();
    let more = [&tags[..], &long].concat();
    let bytes = [&bytes[..cues], &more, &bytes[cues..]].concat();
    track.end += more.len() as u64;
    let plan = plan(&[(TrackKind::Video, &track)], &options(0, None)).unwrap();
    let made = emit(&plan, 0..plan.len(), &[(TrackKind::Video, bytes)]).unwrap();
    let ends: Vec<_> = top(&made).iter().rev().take(3).map(|e| (e.id, e.bytes.len())).collect();
    assert_eq!(ends[..2], [(ids::VOID, long.len()), (ids::VOID, tags.len())]);
    assert_eq!(ends[2].0, ids::CLUSTER);
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let with = |change: fn(&mut Fixture)| {
        let mut fixture = fixture(TrackKind::Video);
        change(&mut fixture);
        fixture.refusal()
    };
    let entry_with = |more: &[u8]| {
        let mut fixture = fixture(TrackKind::Video);
        fixture.entries = vec![entry(TrackKind::Video, more)];
        fixture.refusal()
    };
    assert!(with(|s| s.doc_type = "matroska").contains("Matroska"));
    assert!(with(|s| s.entries.push(entry(TrackKind::Audio, &[]))).contains("several"));
    assert!(with(|s| s.entries.clear()).contains("no track"));
    assert!(with(|s| s.info.clear()).contains("no Duration"));
    assert!(with(|s| s.info.push(uint(ids::TIMESTAMP_SCALE, 0))).contains("TimestampScale"));
    assert!(with(|s| s.unknown = true).contains("live recording"));
    assert!(with(|s| s.clusters.clear()).contains("no clusters"));
    assert!(with(|s| s.cued = |_| false).contains("empty"));
    assert!(with(|s| s.clusters[1].0 = 0).contains("not in order"));
    assert!(with(|s| s.clusters[3].0 = u64::MAX).contains("no valid time"));
    assert!(with(|s| s.behind = element(ids::CLUSTER, &[])).contains("clusters after"));
    assert!(entry_with(&element(ids::CONTENT_ENCODINGS, &[])).contains("encrypted"));
    assert!(entry_with(&uint(ids::TRACK_NUMBER, 128)).contains("one byte"));
    assert!(entry_with(&uint(ids::TRACK_TYPE, 17)).contains("not allowed in WebM"));
    let clock = element(ids::TRACK_TIMESTAMP_SCALE, &[&2f32.to_be_bytes()]);
    assert!(entry_with(&clock).contains("TrackTimestampScale"));
}

#[test]
fn files_that_do_not_go_together_are_refused() {
    let video = fixture(TrackKind::Video).read_index().unwrap();
    let mut audio = fixture(TrackKind::Audio);
    audio.info.push(uint(ids::TIMESTAMP_SCALE, 100_000));
    let audio = audio.read_index().unwrap();
    let both = [(TrackKind::Video, &video), (TrackKind::Audio, &audio)];
    assert!(plan(&both, &options(0, None)).unwrap_err().0.contains("TimestampScale"));
    assert!(
        plan(&[(TrackKind::Audio, &video)], &options(0, None)).unwrap_err().0.contains("reverse")
    );
    let cover = CoverArt { is_jpeg: false, bytes: Arc::from(vec![0; 5 << 20]) };
    let tags = Metadata { cover: Some(cover), ..TAGS.clone() };
    let options = Options { metadata: &tags, ..options(0, None) };
    assert!(plan(&[(TrackKind::Video, &video)], &options).unwrap_err().0.contains("cover"));
}

#[test]
fn clusters_that_contradict_are_not_passed_on() {
    let contradiction = |change: fn(&mut Vec<u8>)| {
        let fixture = fixture(TrackKind::Video);
        let plan =
            plan(&[(TrackKind::Video, &fixture.read_index().unwrap())], &options(0, None)).unwrap();
        let mut other = fixture;
        let before = other.clusters[2].1.len();
        change(&mut other.clusters[2].1);
        assert_eq!(other.clusters[2].1.len(), before, "a file of the same length");
        match emit(&plan, 0..plan.len(), &[(TrackKind::Video, other.bytes())]) {
            Err(Error::Upstream { fault: UpstreamError::IndexMismatch(why), .. }) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it is passed on"),
        }
    };
    assert!(contradiction(|c| c[0] = ids::VOID as u8).contains("before the timestamp"));
    assert!(contradiction(|c| c[3] ^= 1).contains("time of its cue"));
    assert!(contradiction(|c| c[2] ^= 0x80).contains("time of its cue"));
    assert!(contradiction(|c| c[1] = 0x89).contains("malformed timestamp"));
    // Its time, place, size and sum are in front of the first block.
    assert!(contradiction(|c| c[18] ^= 1).contains("another track"));
    let longer_last_block = |c: &mut Vec<u8>| *c.iter_mut().rev().nth(54).unwrap() += 1;
    assert!(contradiction(longer_last_block).contains("add up"));
    assert!(contradiction(|c| c[4] = ids::TIMESTAMP as u8).contains("two timestamps"));
    assert!(contradiction(|c| c[4] = 0xaf).contains("unexpected"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Changes to a file, before or after planning, cause no panic, and an output has the planned
    /// length.
    #[test]
    fn no_bytes_make_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        later in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<Option<prop::sample::Index>>(),
        start in 0u64..6000,
        length in any::<Option<u16>>(),
        gone in any::<Option<(u16, u16)>>(),
    ) {
        let nanos = |millis: u16| u64::from(millis) % 6000 * 1_000_000;
        let gone = gone.map(|(one, other)| nanos(one).min(nanos(other))..nanos(one).max(nanos(other)));
        let metadata = Metadata { removal: Removal::new(gone), ..Metadata::default() };
        let mut bytes = fixture(TrackKind::Video).bytes();
        for (at, value) in &changes {
            // Most of what matters is in front.
            let at = if value % 2 == 0 { at.index(200) } else { at.index(bytes.len()) };
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let Ok(video) = splice_survey(Format::Webm, &mut File(bytes.clone()), TimeRange::default(), &metadata.removal) else { return Ok(()) };
        let audio = fixture(TrackKind::Audio);
        let tracks = [(TrackKind::Video, video), (TrackKind::Audio, TrackIndex::Webm(audio.read_index().unwrap()))];
        let end = length.map(|length| start + u64::from(length));
        let Ok(plan) = splice_plan(&tracks, &Options { metadata: &metadata, ..options(start, end) }) else { return Ok(()) };
        for (at, value) in &later {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let files = [(TrackKind::Video, bytes), (TrackKind::Audio, audio.bytes())];
        if let Ok(made) = emit(&plan, 0..plan.len(), &files) {
            prop_assert_eq!(made.len() as u64, plan.len());
        }
    }

    /// Clusters of random bytes end in an error, not in a panic.
    #[test]
    fn no_cluster_makes_it_panic(content in prop::collection::vec(any::<u8>(), 40..200)) {
        let fixture = fixture(TrackKind::Video);
        let plan = plan(&[(TrackKind::Video, &fixture.read_index().unwrap())], &options(500, None)).unwrap();
        let mut bytes = fixture.bytes();
        let id = ids::CLUSTER.to_be_bytes();
        let at = bytes.windows(4).position(|window| window == id).unwrap() + 12;
        bytes[at..at + content.len()].copy_from_slice(&content);
        prop_assert!(emit(&plan, 0..plan.len(), &[(TrackKind::Video, bytes)]).is_err());
    }
}

#[test]
fn golden_files() {
    let files = |kinds: &[TrackKind]| -> Vec<_> {
        kinds.iter().map(|kind| (*kind, fixture(*kind).bytes())).collect()
    };
    let pair = files(&[TrackKind::Video, TrackKind::Audio]);
    let check = |files: &[_], how, expected| golden::check(Format::Webm, files, how, expected);
    check(
        &pair,
        Case::default(),
        ("72f6ddb168e0c168d7a9988d8b853ace", "72a493bc57cfee5d199fc3f0041f89b5"),
    );
    check(
        &pair,
        Case { is_tagged: true, ..Case::default() },
        ("6134e3bc36f7e627e140e9d27211ff3b", "ff74b290441f8b238de670d2d23f753d"),
    );
    check(
        &pair,
        Case { trim: (1800, Some(2700)), ..Case::default() },
        ("7b2ef15e97c6fc919fc1e3543dedcaa4", "8bcc9b7dda837c85e1e33cccb46cf1dd"),
    );
    check(
        &files(&[TrackKind::Audio]),
        Case::default(),
        ("58f8a7291b70d04d368b3f6cf5699693", "b1515e16fb7f8eda3cc1ec66907ac145"),
    );
}
