//! Reads the index of a WebM file: the elements before its clusters, the cues wherever they are, and
//! the element headers after its clusters.
//!
//! **Invariant:** no cluster is read, except the first bytes of one that no cue points to.

use std::ops::Range;

use super::reader::EbmlReader;
use super::{ClusterRun, Track, cues, entry, ids, segments};
use crate::container::completeness::Incomplete;
use crate::container::ebml::{self, Header, MALFORMED};
use crate::error::Unsupported;
use crate::splice::{MAX_READ, ReadAt, SourceSegment, SurveyError};

/// The maximum length of Info, Tracks and SeekHead: the largest hold the tables of Vorbis, or a long
/// title.
const MAX_METADATA: u64 = 1 << 20;
/// The maximum number of elements before the first cluster, and after the last one.
const MAX_ELEMENTS: usize = 64;

pub(super) fn read_index(reader: &mut dyn ReadAt) -> Result<Track, SurveyError> {
    if let Some(segments) = reader.segments().map(<[SourceSegment]>::to_vec) {
        return segments::read_index(reader, &segments);
    }
    let mut reader = EbmlReader::new(reader);
    let (doc_type, segment) = segment(&mut reader)?;
    check_doc_type(&doc_type)?;
    let preamble = preamble(&mut reader, &segment)?;
    let entry = preamble.entry()?;
    let at = preamble.cues_offset().ok_or(Unsupported("the file has no index (Cues)"))?;
    let info = entry::info(preamble.info()?)?;
    let header = reader.header(at)?;
    if header.id != ids::CUES {
        return Err(Unsupported("the SeekHead does not point to Cues").into());
    }
    let payload = reader.payload(at, header, MAX_READ - ebml::MAX_HEADER as u64)?;
    let mut runs = cues::read(&payload, u64::from(entry.number), &segment)?;
    let (first, last) = match &runs[..] {
        [first, .., last] => (first.at, last.at),
        [lone] => (lone.at, lone.at),
        [] => return Err(Unsupported("the index (Cues) is empty").into()),
    };
    if first < preamble.cluster {
        return Err(Unsupported("a cue points before the first cluster").into());
    }
    if first > preamble.cluster {
        let time = cues::first_block(&reader.bytes(preamble.cluster, cues::CLUSTER_READ)?)?.time;
        runs.insert(0, ClusterRun { at: preamble.cluster, time, is_cue: false, is_inside: false });
    }
    // Some SeekHeads list clusters, too.
    let others = preamble.seeks.iter().filter(|(id, _)| *id != ids::CLUSTER).map(|(_, at)| *at);
    let following = others.chain([at]).filter(|at| *at > last);
    let end = following.min().unwrap_or(segment.end);
    check_trailer(&mut reader, end..segment.end)?;
    cues::are_in_order(&runs, end)?;
    Ok(Track { info, entry, runs, end, declared: Vec::new() })
}

pub(super) fn check_doc_type(doc_type: &[u8]) -> Result<(), Unsupported> {
    match doc_type {
        b"webm" => Ok(()),
        _ => Err(Unsupported("the file is Matroska, but not WebM")),
    }
}

/// Returns the DocType, and the byte range of the payload of the Segment, to which all positions are
/// relative (RFC 9559 §16).
pub(super) fn segment(reader: &mut EbmlReader<'_>) -> Result<(Vec<u8>, Range<u64>), SurveyError> {
    let (doc_type, start, size) = segment_header(reader)?;
    let end = match size {
        Some(size) => start.checked_add(size).ok_or(MALFORMED)?,
        // A segment of unknown size extends to the end of the file. An unfinished one has no cues.
        None => reader.len(),
    };
    match end.cmp(&reader.len()) {
        std::cmp::Ordering::Less => Err(Unsupported("the file has data after its Segment").into()),
        std::cmp::Ordering::Equal => Ok((doc_type, start..end)),
        std::cmp::Ordering::Greater => {
            Err(Incomplete("the file is shorter than its Segment declares").into())
        }
    }
}

/// Returns the DocType, and the offset of the payload of the Segment, which is as long as it may be.
pub(super) fn segment_start(reader: &mut EbmlReader<'_>) -> Result<(Vec<u8>, u64), SurveyError> {
    let (doc_type, start, _) = segment_header(reader)?;
    Ok((doc_type, start))
}

/// Returns the DocType, and offset and size of the payload of the Segment.
fn segment_header(reader: &mut EbmlReader<'_>) -> Result<(Vec<u8>, u64, Option<u64>), SurveyError> {
    let ebml = reader.header(0)?;
    if ebml.id != ids::EBML {
        return Err(MALFORMED.into());
    }
    let payload = reader.payload(0, ebml, MAX_METADATA)?;
    let at = (ebml.len + payload.len()) as u64;
    let mut doc_type = Vec::new();
    for field in ebml::children(&payload) {
        let field = field?;
        match field.id {
            ids::DOC_TYPE => doc_type = ebml::text_of(field.payload).to_vec(),
            ids::EBML_MAX_ID_LENGTH if field.uint()? > 4 => return Err(MALFORMED.into()),
            ids::EBML_MAX_SIZE_LENGTH if field.uint()? > 8 => return Err(MALFORMED.into()),
            _ => {}
        }
    }
    let Header { id, len, size } = reader.header(at)?;
    if id != ids::SEGMENT {
        return Err(MALFORMED.into());
    }
    Ok((doc_type, at + len as u64, size))
}

/// The elements before the clusters.
#[derive(Default)]
pub(super) struct SegmentPreamble {
    /// Parsed later: the Info of a live recording lacks required fields.
    pub(super) info: Option<Vec<u8>>,
    pub(super) tracks: Option<Vec<u8>>,
    cues: Option<u64>,
    /// The elements that the SeekHead points to, by ID and file offset.
    seeks: Vec<(u32, u64)>,
    /// The offset of the first cluster.
    pub(super) cluster: u64,
}

impl SegmentPreamble {
    /// Returns the only track.
    pub(super) fn entry(&self) -> Result<entry::TrackEntry, Unsupported> {
        let tracks = self.tracks.as_ref();
        entry::only_track(tracks.ok_or(Unsupported("the file has no Tracks before its clusters"))?)
    }

    /// Returns the payload of Info.
    pub(super) fn info(&self) -> Result<&[u8], Unsupported> {
        self.info.as_deref().ok_or(Unsupported("the file has no Info before its clusters"))
    }

    /// Returns the file offset of the Cues.
    pub(super) fn cues_offset(&self) -> Option<u64> {
        let sought = self.seeks.iter().find(|(id, _)| *id == ids::CUES);
        self.cues.or(sought.map(|(_, at)| *at))
    }
}

pub(super) fn preamble(
    reader: &mut EbmlReader<'_>,
    segment: &Range<u64>,
) -> Result<SegmentPreamble, SurveyError> {
    let mut preamble = SegmentPreamble::default();
    let mut at = segment.start;
    for _ in 0..MAX_ELEMENTS {
        if at >= segment.end {
            return Err(Unsupported("the file has no clusters").into());
        }
        let header = reader.header(at)?;
        match header.id {
            ids::CLUSTER if header.size.is_none() => {
                return Err(
                    Unsupported("the clusters have unknown sizes, as in a live recording").into()
                );
            }
            ids::CLUSTER => {
                preamble.cluster = at;
                return Ok(preamble);
            }
            ids::SEEK_HEAD => {
                preamble.seeks.extend(seeks(&reader.payload(at, header, MAX_METADATA)?, segment)?);
            }
            ids::INFO => preamble.info = Some(reader.payload(at, header, MAX_METADATA)?.to_vec()),
            ids::TRACKS if preamble.tracks.is_some() => {
                return Err(Unsupported("the file has several tracks").into());
            }
            ids::TRACKS => {
                preamble.tracks = Some(reader.payload(at, header, MAX_METADATA)?.to_vec());
            }
            ids::CUES => preamble.cues = Some(at),
            _ => {}
        }
        at = element_end(at, header, segment.end)?;
    }
    Err(Unsupported("the file has too many elements before its clusters").into())
}

/// Returns the end of the element at `at`, if that is not past `end`.
fn element_end(at: u64, header: Header, end: u64) -> Result<u64, Unsupported> {
    let len = header.size.and_then(|size| size.checked_add(header.len as u64));
    let element_end = len.and_then(|len| at.checked_add(len)).ok_or(MALFORMED)?;
    if element_end <= end { Ok(element_end) } else { Err(MALFORMED) }
}

/// Returns the entries of a SeekHead (RFC 9559 §5.1.1).
fn seeks(payload: &[u8], segment: &Range<u64>) -> Result<Vec<(u32, u64)>, Unsupported> {
    let mut seeks = Vec::new();
    for seek in ebml::children(payload) {
        let seek = seek?;
        if seek.id != ids::SEEK || seeks.len() == MAX_ELEMENTS {
            continue;
        }
        let (mut id, mut position) = (None, None);
        for field in ebml::children(seek.payload) {
            let field = field?;
            match field.id {
                ids::SEEK_ID => id = Some(field.uint()?),
                ids::SEEK_POSITION => position = Some(field.uint()?),
                _ => {}
            }
        }
        let id = id.and_then(|id| u32::try_from(id).ok()).ok_or(MALFORMED)?;
        let at = position.and_then(|position| segment.start.checked_add(position));
        let at = at.filter(|at| *at < segment.end);
        seeks.push((id, at.ok_or(Unsupported("the SeekHead points past the end of the file"))?));
    }
    Ok(seeks)
}

/// Checks that `range`, which is left out of the joined file, holds no media.
fn check_trailer(reader: &mut EbmlReader<'_>, range: Range<u64>) -> Result<(), SurveyError> {
    let mut at = range.start;
    for _ in 0..MAX_ELEMENTS {
        if at == range.end {
            return Ok(());
        }
        let header = reader.header(at)?;
        match header.id {
            ids::CUES
            | ids::TAGS
            | ids::SEEK_HEAD
            | ids::VOID
            | ids::ATTACHMENTS
            | ids::CHAPTERS => at = element_end(at, header, range.end)?,
            _ => return Err(Unsupported("the file has clusters after its index (Cues)").into()),
        }
    }
    Err(Unsupported("the file has too many elements after its clusters").into())
}
