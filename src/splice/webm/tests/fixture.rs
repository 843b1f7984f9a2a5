//! Made-up files. Must never be right by the code that is tested: they are laid out by hand.

use super::File;
use crate::container::completeness::Incomplete;
use crate::container::ebml::{element, fixed, opening, uint};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::SurveyError;
use crate::splice::webm::{Track, head, ids, read_index};

/// A file to generate, and its oddities.
#[derive(Clone)]
pub(super) struct Fixture {
    pub(super) kind: TrackKind,
    pub(super) doc_type: &'static str,
    pub(super) info: Vec<Vec<u8>>,
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) clusters: Vec<(u64, Vec<u8>)>,
    /// Whether the clusters of these numbers have a cue.
    pub(super) cued: fn(usize) -> bool,
    /// What cues say of the place of their block in its cluster.
    pub(super) place: Vec<u8>,
    pub(super) behind: Vec<u8>,
    pub(super) unknown: bool,
}

pub(super) fn entry(kind: TrackKind, more: &[u8]) -> Vec<u8> {
    let (number, codec) = if kind == TrackKind::Video { (1, "V_VP9") } else { (2, "A_OPUS") };
    let fields =
        [uint(ids::TRACK_NUMBER, 5), uint(ids::TRACK_UID, 9), uint(ids::TRACK_TYPE, number)];
    let codec = head::text(ids::CODEC_ID, codec);
    element(ids::TRACK_ENTRY, &[&fields.concat(), &codec, more])
}

fn block(relative: i16, payload: &[u8]) -> Vec<u8> {
    element(ids::SIMPLE_BLOCK, &[&[0x85], &relative.to_be_bytes(), &[0x80], payload])
}

fn group(relative: i16) -> Vec<u8> {
    let crc = element(ids::CRC_32, &[&[1, 2, 3, 4]]);
    let block = element(ids::BLOCK, &[&[0x85], &relative.to_be_bytes(), &[0], b"grouped"]);
    element(ids::BLOCK_GROUP, &[&crc, &block, &uint(0x9b, 20)])
}

/// Ten blocks in each of five clusters of a second.
pub(super) fn fixture(kind: TrackKind) -> Fixture {
    let clusters = (0..5u64).map(|second| {
        let blocks = (0..10).flat_map(|tenth: i16| match tenth {
            7 => group(tenth * 100),
            _ => block(tenth * 100, &[second as u8; 50]),
        });
        let old =
            [uint(ids::POSITION, 7), uint(ids::PREV_SIZE, 1), element(ids::CRC_32, &[b"sum!"])];
        let time = element(ids::TIMESTAMP, &[&fixed(second * 1000, 2)]);
        let blocks: Vec<u8> = blocks.collect();
        (second * 1000, [time, old.concat(), blocks].concat())
    });
    Fixture {
        kind,
        doc_type: "webm",
        info: vec![element(ids::DURATION, &[&5000f64.to_be_bytes()])],
        entries: vec![entry(kind, &[])],
        clusters: clusters.collect(),
        cued: |_| true,
        place: uint(ids::CUE_RELATIVE_POSITION, 0),
        behind: Vec::new(),
        unknown: false,
    }
}

impl Fixture {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let info = element(ids::INFO, &[&self.info.concat()]);
        let mut front = [info, element(ids::TRACKS, &[&self.entries.concat()])].concat();
        let (mut at, mut cues, mut clusters) = (front.len() + 24, Vec::new(), Vec::new());
        for (number, (time, content)) in self.clusters.iter().enumerate() {
            let mut cluster = opening(ids::CLUSTER, content.len() as u64, 4);
            if self.unknown {
                cluster.splice(4..8, [0x1f, 0xff, 0xff, 0xff]);
            }
            cluster.extend_from_slice(content);
            if (self.cued)(number) {
                let place = [
                    uint(ids::CUE_TRACK, 5),
                    uint(ids::CUE_CLUSTER_POSITION, at as u64),
                    self.place.clone(),
                ];
                let place = element(ids::CUE_TRACK_POSITIONS, &[&place.concat()]);
                cues.extend(element(ids::CUE_POINT, &[&uint(ids::CUE_TIME, *time), &place]));
            }
            at += cluster.len();
            clusters.extend(cluster);
        }
        // A SeekHead of fixed length, since the following offsets depend on it.
        let id = element(ids::SEEK_ID, &[&ids::CUES.to_be_bytes()]);
        let place = element(ids::SEEK_POSITION, &[&fixed(at as u64, 4)]);
        let seek = element(ids::SEEK, &[&id, &place]);
        let seek_head = element(ids::SEEK_HEAD, &[&seek]);
        assert_eq!(seek_head.len(), 22);
        front.splice(0..0, [seek_head, element(ids::VOID, &[])].concat());
        let cues = element(ids::CUES, &[&cues]);
        let segment = [&front[..], &clusters, &cues, &self.behind].concat();
        let doc_type = head::text(ids::DOC_TYPE, self.doc_type);
        let segment = [&opening(ids::SEGMENT, segment.len() as u64, 8), &segment[..]].concat();
        [element(ids::EBML, &[&doc_type]), segment].concat()
    }

    pub(super) fn read_index(&self) -> Result<Track, SurveyError> {
        read_index(&mut File(self.bytes()))
    }

    pub(super) fn refusal(&self) -> &'static str {
        match self.read_index() {
            Err(
                SurveyError::Refused(Unsupported(why)) | SurveyError::Incomplete(Incomplete(why)),
            ) => why,
            other => panic!("{other:?}"),
        }
    }
}
