//! Files in segments, whose list is their index.

use super::*;
use crate::container::ebml::fixed;
use crate::splice::SourceSegment;

/// A file in memory, in segments.
struct Segmented {
    bytes: Vec<u8>,
    segments: Vec<SourceSegment>,
}

impl ReadAt for Segmented {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        Ok(self.bytes[range.start as usize..range.end as usize].into())
    }

    fn segments(&self) -> Option<&[SourceSegment]> {
        Some(&self.segments)
    }
}

impl Segmented {
    /// The file of a fixture without its cues and its duration, each cluster in a segment of a second.
    fn new(fixture: &Fixture) -> Segmented {
        let doc_type = crate::splice::webm::head::text(ids::DOC_TYPE, fixture.doc_type);
        let tracks = element(ids::TRACKS, &[&fixture.entries.concat()]);
        let mut bytes = element(ids::EBML, &[&doc_type]);
        bytes.extend(ids::SEGMENT.to_be_bytes());
        // Of unknown size.
        bytes.extend([0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        bytes.extend([element(ids::INFO, &[]), tracks].concat());
        let segments = fixture.clusters.iter().map(|(_, content)| {
            let offset = bytes.len() as u64;
            bytes.extend(opening(ids::CLUSTER, content.len() as u64, 4));
            bytes.extend_from_slice(content);
            SourceSegment {
                offset,
                len: bytes.len() as u64 - offset,
                duration: Duration::from_secs(1),
                rounding: Duration::ZERO,
                is_discontinuous: false,
            }
        });
        let segments = segments.collect();
        Segmented { bytes, segments }
    }

    fn read_index(&mut self) -> Result<Track, SurveyError> {
        read_index(self)
    }
}

fn refusal(change: impl Fn(&mut Segmented)) -> String {
    let mut file = Segmented::new(&fixture(TrackKind::Video));
    change(&mut file);
    format!("{:?}", file.read_index().unwrap_err())
}

/// Plans to join two files, which then have other clusters of the same lengths.
fn join(change: impl Fn(&mut Fixture), options: &Options<'_>) -> Result<Vec<u8>, Error> {
    let kinds = [TrackKind::Video, TrackKind::Audio];
    let tracks = kinds.map(|kind| (kind, Segmented::new(&fixture(kind)).read_index().unwrap()));
    let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
    let plan = plan(&tracks, options).unwrap();
    let files = kinds.map(|kind| {
        let mut fixture = fixture(kind);
        if kind == TrackKind::Video {
            change(&mut fixture);
        }
        (kind, Segmented::new(&fixture).bytes)
    });
    emit(&plan, 0..plan.len(), &files)
}

#[test]
fn a_list_of_segments_is_an_index() {
    let pair = [fixture(TrackKind::Video), fixture(TrackKind::Audio)];
    for (start, end) in [(0, None), (1800, Some(2700))] {
        let options = options(start, end);
        let made = join(|_| {}, &options).unwrap();
        // But for offsets in the file, which are as long.
        let expected = joined(&pair, &options).unwrap();
        assert_eq!(made.len(), expected.len());
        assert_eq!(blocks(&made), blocks(&expected));
        let durations = [&made, &expected].map(|file| {
            let info = top(file).into_iter().find(|element| element.id == ids::INFO).unwrap();
            info.bytes.to_vec()
        });
        assert_eq!(durations[0], durations[1]);
    }
}

#[test]
fn the_last_segment_tells_how_long_it_is_if_the_list_does_not() {
    let mut file = Segmented::new(&fixture(TrackKind::Video));
    file.segments.iter_mut().for_each(|segment| segment.duration = Duration::from_millis(1300));
    let mut duration = |rounding| {
        file.segments.iter_mut().for_each(|segment| segment.rounding = rounding);
        file.read_index().unwrap().info.duration
    };
    assert_eq!(duration(Duration::ZERO), Duration::from_millis(5300));
    assert_eq!(duration(Duration::from_millis(1300)), Duration::from_secs(5));
}

#[test]
fn what_is_not_as_listed_is_refused() {
    assert!(refusal(|file| file.segments[3].is_discontinuous = true).contains("begin again"));
    assert!(refusal(|file| file.segments[2].len -= 1).contains("not a cluster"));
    assert!(refusal(|file| file.segments[2].offset += 1).contains("not a cluster"));
    let at = |file: &Segmented, segment: usize| file.segments[segment].offset as usize;
    let unknown = |file: &mut Segmented| {
        let at = at(file, 1);
        file.bytes[at + 4..at + 8].copy_from_slice(&[0x1f, 0xff, 0xff, 0xff]);
    };
    assert!(refusal(unknown).contains("not a cluster"));
    let timed = |time: u64| {
        refusal(move |file| {
            let at = at(file, 2);
            file.bytes[at + 10..at + 12].copy_from_slice(&fixed(time, 2));
        })
    };
    assert!(timed(500).contains("earlier than the one before"));
    assert!(timed(3900).contains("not where the list"));
    let doubled = |file: &mut Segmented| {
        file.segments.iter_mut().for_each(|segment| segment.duration *= 4);
    };
    assert!(refusal(doubled).contains("not where the list"));
}

/// The blocks of a cluster from this time on become what a player passes over.
fn void(content: &mut [u8], from: i16) {
    let mut at = 0;
    while at < content.len() {
        let header = ebml::header(&content[at..]).unwrap();
        let payload = at + header.len;
        let time = match header.id {
            ids::SIMPLE_BLOCK => i16::from_be_bytes([content[payload + 1], content[payload + 2]]),
            ids::BLOCK_GROUP => 700,
            _ => -1,
        };
        if time >= from {
            content[at] = ids::VOID as u8;
        }
        at = payload + header.size.unwrap() as usize;
    }
}

#[test]
fn a_segment_without_its_end_is_not_passed_on() {
    for segment in [0, 2, 4] {
        let cut = |from: i16| {
            join(|fixture| void(&mut fixture.clusters[segment].1, from), &options(0, None))
        };
        assert!(cut(700).is_ok(), "{segment}");
        match cut(400) {
            Err(Error::Upstream { fault: UpstreamError::IndexMismatch(why), .. }) => {
                assert!(why.contains("lacks its end"), "{segment}: {why}");
            }
            other => panic!("{segment}: {:?}", other.map(|made| made.len())),
        }
    }
}
