//! Reads the index of a WebM file in segments. It has no cues, but each segment is a cluster, so that the list of the
//! segments is an index: ffmpeg and Shaka Packager make them for DASH.
//!
//! **Invariant:** of each segment the beginning is read, and no more; but all of a short last one where the list does not
//! tell how long that is.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::cues::{CLUSTER_READ, FirstBlock, first_block};
use super::reader::EbmlReader;
use super::{ClusterRun, Track, cut, entry, ids, index};
use crate::container::completeness::Incomplete;
use crate::container::ebml;
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::place::Places;
use crate::splice::{ReadAt, SourceSegment, SurveyError};

/// The maximum number of concurrent chains of reads, and the number of segments for which one more is worth its
/// connection.
const MAX_CHAINS: usize = 16;
const SEGMENTS_PER_CHAIN: usize = 8;

/// The longest last segment that is read to know how long it is. Longer ones keep what is declared of them.
const MAX_LAST: u64 = 1 << 20;

const NO_CLUSTER: Unsupported =
    Unsupported("a segment is not a cluster that begins with a block, of known size");

pub(super) fn read_index(
    reader: &mut dyn ReadAt,
    segments: &[SourceSegment],
) -> Result<Track, SurveyError> {
    if segments.iter().skip(1).any(|segment| segment.is_discontinuous) {
        return Err(Unsupported("the timestamps of its segments begin again").into());
    }
    let end = reader.len();
    let mut head = EbmlReader::new(reader);
    let (doc_type, segment) = index::segment_start(&mut head)?;
    index::check_doc_type(&doc_type)?;
    let preamble = index::preamble(&mut head, &(segment..end))?;
    if segments.first().is_none_or(|first| first.offset != preamble.cluster) {
        return Err(NO_CLUSTER.into());
    }
    let entry = preamble.entry()?;
    let scale = entry::scale(preamble.info()?)?;
    let blocks = first_blocks(reader, segments)?;
    check_places(segments, &blocks, scale)?;
    let runs = segments.iter().zip(&blocks).map(|(segment, block)| ClusterRun {
        at: segment.offset,
        time: block.time,
        // Any frame of audio can be decoded.
        is_cue: block.is_key || entry.kind == TrackKind::Audio,
        is_inside: false,
    });
    let runs: Vec<ClusterRun> = runs.collect();
    let duration = duration(reader, segments, &blocks, scale)?;
    let declared = segments.iter().map(SourceSegment::declared).collect();
    Ok(Track { info: entry::Info { scale, duration }, entry, runs, end, declared })
}

/// Reads the first block of each segment.
fn first_blocks(
    reader: &mut dyn ReadAt,
    segments: &[SourceSegment],
) -> Result<Vec<FirstBlock>, SurveyError> {
    let count = (segments.len() / SEGMENTS_PER_CHAIN).clamp(1, MAX_CHAINS);
    let bounds: Vec<usize> = (0..=count).map(|number| segments.len() * number / count).collect();
    let head = |index: usize| -> Range<u64> {
        let SourceSegment { offset, len, .. } = segments[index];
        offset..offset + len.min(CLUSTER_READ)
    };
    let found: Vec<_> = (0..count).map(|_| Mutex::new(Vec::new())).collect();
    let begins = bounds[..count].iter().map(|first| head(*first)).collect();
    reader.chains(begins, &|chain, _, bytes| {
        let mut found = found[chain].lock().unwrap_or_else(PoisonError::into_inner);
        let index = bounds[chain] + found.len();
        let cluster = ebml::header(bytes).filter(|header| header.id == ids::CLUSTER);
        let len = cluster.and_then(|header| header.size?.checked_add(header.len as u64));
        if len.is_none_or(|len| len > segments[index].len) {
            return Err(NO_CLUSTER.into());
        }
        found.push(first_block(bytes).map_err(|_| NO_CLUSTER)?);
        let next = index + 1;
        Ok((next < bounds[chain + 1]).then(|| head(next)))
    })?;
    let found = found.into_iter().map(|found| found.into_inner());
    Ok(found.flat_map(|found| found.unwrap_or_else(PoisonError::into_inner)).collect())
}

/// Compares where the segments begin with what the list declares.
fn check_places(
    segments: &[SourceSegment],
    blocks: &[FirstBlock],
    scale: u64,
) -> Result<(), Incomplete> {
    let mut places = Places::default();
    for (segment, block) in segments.iter().zip(blocks) {
        places.begin(Some(segment.declared()), false).map_err(Incomplete)?;
        places.add(0, cut::on_clock(block.time, scale), None);
    }
    places.verify(false).map_err(Incomplete)
}

/// Returns the time at which the file ends.
fn duration(
    reader: &mut dyn ReadAt,
    segments: &[SourceSegment],
    blocks: &[FirstBlock],
    scale: u64,
) -> Result<Duration, SurveyError> {
    let (Some(last), Some(block)) = (segments.last(), blocks.last()) else {
        return Err(Unsupported("the file has no segments").into());
    };
    let declared = cut::duration(block.time, scale).saturating_add(last.duration);
    if last.rounding.is_zero() || last.len > MAX_LAST {
        return Ok(declared);
    }
    let bytes = reader.read_at(last.offset..last.offset + last.len)?;
    Ok(end_of_cluster(&bytes).map_or(declared, |end| cut::duration(end, scale)))
}

/// Returns the time at which the last block of a cluster ends, if there are several. It lasts as long as the one
/// before it.
fn end_of_cluster(bytes: &[u8]) -> Option<u64> {
    let cluster = ebml::children(bytes).next()?.ok()?;
    let (mut begin, mut times) = (None, Vec::new());
    for field in ebml::children(cluster.payload) {
        let field = field.ok()?;
        let block = match field.id {
            ids::TIMESTAMP => {
                begin = Some(i64::try_from(field.uint().ok()?).ok()?);
                continue;
            }
            ids::SIMPLE_BLOCK => field.payload,
            ids::BLOCK_GROUP => {
                let mut fields = ebml::children(field.payload).filter_map(Result::ok);
                fields.find(|field| field.id == ids::BLOCK)?.payload
            }
            _ => continue,
        };
        let [_, high, low, ..] = *block else { return None };
        times.push(begin?.checked_add(i64::from(i16::from_be_bytes([high, low])))?);
    }
    let [.., before, last] = times[..] else { return None };
    u64::try_from(last.checked_add((last - before).max(0))?).ok()
}
