//! Made-up files: every shape that an index or a fragment can have, what is refused, and what
//! contradicts.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use super::*;
use crate::container::probe::{Format, PROBE_SIZE};
use crate::error::{Error, UpstreamError};
use crate::media::Metadata;
use crate::options::ContainerChoice;
use crate::splice::golden::{self, Case};
use crate::splice::top_level::TopLevelBoxes;
use crate::splice::trak::Moov;
use crate::splice::windowed_reader::{WindowPolicy, WindowedReader};
use crate::splice::{MAX_READ, TrackInput};

mod boxes;
mod cuts;
mod fixture;
mod heads;
mod huge;
mod indexes;
mod random;
mod seen;
mod times;
mod trailer;
mod walks;

use fixture::{Fixture, Index, fixture};
use seen::{Seen, seen};

/// The survey from the beginning of a file on; `None` if it has no fragments.
fn read_index(reader: &mut dyn ReadAt, trim: TimeRange) -> Result<Option<Track>, SurveyError> {
    read_index_without(reader, trim, &Removal::NONE)
}

/// The same of a file of which something is left out.
fn read_index_without(
    reader: &mut dyn ReadAt,
    trim: TimeRange,
    removal: &Removal,
) -> Result<Option<Track>, SurveyError> {
    let reader = &mut WindowedReader::new(reader, WindowPolicy::FRAGMENTS);
    let mut top = TopLevelBoxes::new(reader);
    let moov = top.moov()?;
    if Moov::read(&moov)?.mvex.is_none() {
        return Ok(None);
    }
    let behind = top.at();
    super::read_index(reader, &moov, behind, trim, removal).map(Some)
}

/// A file in memory that counts the looks at it, but for those at its front, which is here already.
struct File {
    bytes: Vec<u8>,
    looks: usize,
}

impl File {
    fn of(bytes: Vec<u8>) -> File {
        File { bytes, looks: 0 }
    }
}

impl ReadAt for File {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        assert!(range.start <= range.end && range.end - range.start <= MAX_READ, "{range:?}");
        self.looks += usize::from(range.end > PROBE_SIZE as u64);
        Ok(self.bytes[range.start as usize..range.end as usize].into())
    }

    fn buffered_len(&self) -> u64 {
        self.len().min(PROBE_SIZE as u64)
    }
}

static TAGS: Metadata = Metadata::NONE;

fn part(start: u64, end: Option<u64>) -> TimeRange {
    TimeRange { start: Duration::from_millis(start), end: end.map(Duration::from_millis) }
}

fn options(trim: TimeRange) -> Options<'static> {
    Options { container: ContainerChoice::Auto, time_range: trim, metadata: &TAGS }
}

type Files = Vec<(TrackKind, Vec<u8>)>;

/// Brings what is needed in chunks of 37 bytes, and not a byte more.
fn emit(plan: &Plan, part: Range<u64>, files: &Files) -> Result<Vec<u8>, Error> {
    let mut inputs = Vec::new();
    for (track, (kind, bytes)) in files.iter().enumerate() {
        let needs = plan.source_range(track, &part).unwrap_or(0..0);
        let mut rest = bytes[needs.start as usize..needs.end as usize].chunks(37);
        inputs.push(TrackInput::new(*kind, needs.start, move |_| {
            let chunk = rest.next().expect("more is read than is needed");
            Ok((chunk.to_vec(), chunk.len()))
        }));
    }
    let mut made = Vec::new();
    plan.write_range(&part, &mut inputs, &mut |bytes| {
        made.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(made)
}

fn planned(fixtures: &[Fixture], trim: TimeRange) -> (Plan, Files) {
    let files = fixtures.iter().map(|fixture| (fixture.kind, fixture.bytes())).collect();
    let tracks: Vec<_> = fixtures.iter().map(|s| (s.kind, s.read_index(trim).unwrap())).collect();
    let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
    (plan(&tracks, &options(trim)).unwrap(), files)
}

/// Joins these, and makes sure of the length, of its parts, and of what always holds.
fn cut_and_joined(fixtures: &[Fixture], trim: TimeRange) -> Seen {
    let (plan, files) = planned(fixtures, trim);
    let made = emit(&plan, 0..plan.len(), &files).unwrap();
    assert_eq!(made.len() as u64, plan.len());
    for (start, end) in (0..plan.len()).step_by(101).zip((1..plan.len()).step_by(149)) {
        let part = start.min(end)..end.max(start + 1);
        let expected = &made[part.start as usize..part.end as usize];
        assert_eq!(emit(&plan, part.clone(), &files).unwrap(), expected, "{part:?}");
    }
    let seen = seen(&made);
    seen.check();
    seen
}

/// Joins these whole, and makes sure that all media are there.
fn joined(fixtures: &[Fixture]) -> Seen {
    let seen = cut_and_joined(fixtures, TimeRange::default());
    for (track, fixture) in (1..).zip(fixtures) {
        let media: Vec<_> = seen.of(track).into_iter().map(|(_, media)| media).collect();
        let expected: Vec<_> = fixture.fragments().map(|fragment| fragment.media()).collect();
        assert_eq!(media, expected, "of track {track}");
    }
    seen
}

/// Returns a video and an audio fixture; `change` is applied to the video.
fn pair(change: impl FnOnce(&mut Fixture)) -> [Fixture; 2] {
    let mut fixtures = [fixture(TrackKind::Video), fixture(TrackKind::Audio)];
    change(&mut fixtures[0]);
    fixtures
}

/// Returns why the video, changed after planning, contradicts the plan.
fn contradiction(change: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    contradiction_in(&pair(|_| {}), change)
}

/// Like [`contradiction`], for these fixtures.
fn contradiction_in(pair: &[Fixture], change: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    let (plan, mut files) = planned(pair, TimeRange::default());
    let before = files[0].1.len();
    change(&mut files[0].1);
    assert_eq!(files[0].1.len(), before, "a file of the same length");
    match emit(&plan, 0..plan.len(), &files) {
        Err(Error::Upstream { fault: UpstreamError::IndexMismatch(why), .. }) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is passed on"),
    }
}

#[test]
fn golden_files() {
    let files = |kinds: &[TrackKind]| -> Vec<_> {
        kinds.iter().map(|kind| (*kind, fixture(*kind).bytes())).collect()
    };
    let pair = files(&[TrackKind::Video, TrackKind::Audio]);
    let check = |files: &[_], how, expected| golden::check(Format::Mp4, files, how, expected);
    check(
        &pair,
        Case::default(),
        ("ac7210048af6c80e1af92e084e67bcac", "ad38005877b5e95436112f2f6104f08d"),
    );
    check(
        &pair,
        Case { is_tagged: true, ..Case::default() },
        ("4b9c37611918454f667d26fe14192155", "7df3422b753c3d59d720a76bede7d983"),
    );
    check(
        &pair,
        Case { trim: (1800, Some(3500)), ..Case::default() },
        ("7863504c5601bd91246f5afe2e0a3a0c", "3ccc60681e873382362a4c95ed8f0174"),
    );
    check(
        &files(&[TrackKind::Video]),
        Case::default(),
        ("de4c0a20d24cb8699c8b8ddec2cece03", "8afe29441ccabcd760b8a0cda454ba99"),
    );
    check(
        &files(&[TrackKind::Audio]),
        Case { is_gathered: true, ..Case::default() },
        ("8999feeb08e7d6e34e7a19e52f0c6670", "311e701ee2d5f616aaa1386498c6cc04"),
    );
    // Edit lists, and an index that does not tell what follows the last fragment.
    let mut late = fixture(TrackKind::Video);
    late.edits = vec![(50, -1), (0, 1024)];
    late.index = Index::Mfra;
    let late =
        [(TrackKind::Video, late.bytes()), (TrackKind::Audio, fixture(TrackKind::Audio).bytes())];
    check(
        &late,
        Case { is_tagged: true, ..Case::default() },
        ("6c096dcc8117a23bb9c76c1d79a9f438", "32c76084892611f65c4931f5ca367c58"),
    );
}
