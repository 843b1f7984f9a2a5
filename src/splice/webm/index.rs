//! Surveys a WebM file: its head from the front, its cues wherever they are, and what lies behind
//! its clusters. Must never read a cluster, but for the beginning of one that no cue leads to.

use std::ops::Range;

use super::reader::EbmlReader;
use super::{ClusterRun, Track, cues, entry, ids};
use crate::container::completeness::Incomplete;
use crate::container::ebml::{self, Header, MALFORMED};
use crate::error::Unsupported;
use crate::splice::{MAX_READ, ReadAt, SurveyError};

/// No Info, Tracks or SeekHead comes near this: the largest have the tables of Vorbis in them, or
/// the title of a film.
const MAX_PART: u64 = 1 << 20;
/// Elements in front of the first cluster, and behind the last one.
const MAX_ELEMENTS: usize = 64;

pub(super) fn survey(look: &mut dyn ReadAt) -> Result<Track, SurveyError> {
    let mut sight = EbmlReader::new(look);
    let (doc_type, segment) = segment(&mut sight)?;
    if doc_type != b"webm" {
        return Err(Unsupported("it is Matroska, but not WebM").into());
    }
    let front = front(&mut sight, &segment)?;
    let tracks = front.tracks.as_ref();
    let tracks = tracks.ok_or(Unsupported("its Tracks are not in front of its clusters"))?;
    let entry = entry::lone(tracks)?;
    let at = front.place_of_cues().ok_or(Unsupported("it has no index (Cues)"))?;
    let info = front.info.ok_or(Unsupported("its Info is not in front of its clusters"))?;
    let info = entry::info(&info)?;
    let header = sight.header(at)?;
    if header.id != ids::CUES {
        return Err(Unsupported("its SeekHead leads to no Cues").into());
    }
    let payload = sight.payload(at, header, MAX_READ - ebml::MAX_HEADER as u64)?;
    let mut pieces = cues::read(&payload, u64::from(entry.number), &segment)?;
    let (first, last) = match &pieces[..] {
        [first, .., last] => (first.at, last.at),
        [lone] => (lone.at, lone.at),
        [] => return Err(Unsupported("its index (Cues) is empty").into()),
    };
    if first < front.cluster {
        return Err(Unsupported("a cue leads to the front of its first cluster").into());
    }
    if first > front.cluster {
        let time = cues::first_block(&sight.bytes(front.cluster, cues::BEGINNING)?)?;
        pieces.insert(0, ClusterRun { at: front.cluster, time, is_cue: false, is_inside: false });
    }
    // Some SeekHeads list clusters too.
    let others = front.seeks.iter().filter(|(id, _)| *id != ids::CLUSTER).map(|(_, at)| *at);
    let behind = others.chain([at]).filter(|at| *at > last);
    let end = behind.min().unwrap_or(segment.end);
    only_leftovers(&mut sight, end..segment.end)?;
    cues::are_in_order(&pieces, end)?;
    Ok(Track { info, entry, pieces, end })
}

/// What the file calls its kind, and what its segment has in it: the bounds of all positions (RFC 9559
/// §16).
pub(super) fn segment(sight: &mut EbmlReader<'_>) -> Result<(Vec<u8>, Range<u64>), SurveyError> {
    let ebml = sight.header(0)?;
    if ebml.id != ids::EBML {
        return Err(MALFORMED.into());
    }
    let payload = sight.payload(0, ebml, MAX_PART)?;
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
    let Header { id, len, size } = sight.header(at)?;
    if id != ids::SEGMENT {
        return Err(MALFORMED.into());
    }
    let start = at + len as u64;
    let end = match size {
        Some(size) => start.checked_add(size).ok_or(MALFORMED)?,
        // It reaches to the end. If it was never finished, it has no cues.
        None => sight.len(),
    };
    match end.cmp(&sight.len()) {
        std::cmp::Ordering::Less => {
            Err(Unsupported("there is something behind its segment").into())
        }
        std::cmp::Ordering::Equal => Ok((doc_type, start..end)),
        std::cmp::Ordering::Greater => {
            Err(Incomplete("its segment is shorter than it says").into())
        }
    }
}

/// What stands in front of the clusters.
#[derive(Default)]
pub(super) struct SegmentPreamble {
    /// Read later: that of a live recording lacks what must be there.
    pub(super) info: Option<Vec<u8>>,
    pub(super) tracks: Option<Vec<u8>>,
    cues: Option<u64>,
    /// What the SeekHead leads to, and where that is in the file.
    seeks: Vec<(u32, u64)>,
    cluster: u64,
}

impl SegmentPreamble {
    /// Where its index is.
    pub(super) fn place_of_cues(&self) -> Option<u64> {
        let sought = self.seeks.iter().find(|(id, _)| *id == ids::CUES);
        self.cues.or(sought.map(|(_, at)| *at))
    }
}

pub(super) fn front(
    sight: &mut EbmlReader<'_>,
    segment: &Range<u64>,
) -> Result<SegmentPreamble, SurveyError> {
    let mut front = SegmentPreamble::default();
    let mut at = segment.start;
    for _ in 0..MAX_ELEMENTS {
        if at >= segment.end {
            return Err(Unsupported("it has no clusters").into());
        }
        let header = sight.header(at)?;
        match header.id {
            ids::CLUSTER if header.size.is_none() => {
                return Err(
                    Unsupported("its clusters have no sizes, as in a live recording").into()
                );
            }
            ids::CLUSTER => {
                front.cluster = at;
                return Ok(front);
            }
            ids::SEEK_HEAD => {
                front.seeks.extend(seeks(&sight.payload(at, header, MAX_PART)?, segment)?);
            }
            ids::INFO => front.info = Some(sight.payload(at, header, MAX_PART)?.to_vec()),
            ids::TRACKS if front.tracks.is_some() => {
                return Err(Unsupported("it has several tracks").into());
            }
            ids::TRACKS => front.tracks = Some(sight.payload(at, header, MAX_PART)?.to_vec()),
            ids::CUES => front.cues = Some(at),
            _ => {}
        }
        at = behind(at, header, segment.end)?;
    }
    Err(Unsupported("there is too much in front of its clusters").into())
}

/// Where the element at `at` ends, if that is not beyond `end`.
fn behind(at: u64, header: Header, end: u64) -> Result<u64, Unsupported> {
    let len = header.size.and_then(|size| size.checked_add(header.len as u64));
    let behind = len.and_then(|len| at.checked_add(len)).ok_or(MALFORMED)?;
    if behind <= end { Ok(behind) } else { Err(MALFORMED) }
}

/// What a SeekHead leads to (RFC 9559 §5.1.1).
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
        seeks.push((id, at.ok_or(Unsupported("its SeekHead leads beyond its end"))?));
    }
    Ok(seeks)
}

/// Makes sure that nothing of the film is in `range`, which the joined file is to do without.
fn only_leftovers(sight: &mut EbmlReader<'_>, range: Range<u64>) -> Result<(), SurveyError> {
    let mut at = range.start;
    for _ in 0..MAX_ELEMENTS {
        if at == range.end {
            return Ok(());
        }
        let header = sight.header(at)?;
        match header.id {
            ids::CUES
            | ids::TAGS
            | ids::SEEK_HEAD
            | ids::VOID
            | ids::ATTACHMENTS
            | ids::CHAPTERS => at = behind(at, header, range.end)?,
            _ => return Err(Unsupported("there are clusters behind its index").into()),
        }
    }
    Err(Unsupported("there is too much behind its clusters").into())
}
