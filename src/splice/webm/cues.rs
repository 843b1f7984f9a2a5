//! Reads the index of a WebM file (Cues, RFC 9559 §5.1.5): which clusters there are, and their times.
//!
//! **Invariant:** at most one entry is stored per cluster.

use std::ops::Range;

use super::{ClusterRun, MAX_TICKS, ids};
use crate::container::ebml::{self, Element, MALFORMED};
use crate::error::Unsupported;

/// The maximum number of cluster runs: five hours of clusters, each shorter than 0.2 s.
const MAX_RUNS: usize = 100_000;
/// The maximum length of what precedes the first block of a cluster: time, position, size, checksum.
const MAX_PREFIX: u64 = 64;
/// How much of a cluster is read to find its first block.
pub(super) const CLUSTER_READ: u64 = 512;

/// Returns the clusters that the cues of track `number` point to, in their order.
pub(super) fn read(
    payload: &[u8],
    number: u64,
    segment: &Range<u64>,
) -> Result<Vec<ClusterRun>, Unsupported> {
    let mut runs: Vec<ClusterRun> = Vec::new();
    for point in ebml::children(payload) {
        let point = point?;
        if point.id != ids::CUE_POINT {
            continue;
        }
        let Some(run) = run(point, number, segment)? else { continue };
        match runs.last() {
            // Another cue into the same cluster.
            Some(last) if last.at == run.at && last.time <= run.time => {}
            Some(last) if last.at >= run.at || last.time >= run.time => {
                return Err(Unsupported("the index (Cues) is not in order"));
            }
            _ if runs.len() == MAX_RUNS => {
                return Err(Unsupported("the file has too many clusters"));
            }
            _ => runs.push(run),
        }
    }
    Ok(runs)
}

/// Returns the cluster that a CuePoint points to in track `number`, if it does.
pub(super) fn run(
    point: Element<'_>,
    number: u64,
    segment: &Range<u64>,
) -> Result<Option<ClusterRun>, Unsupported> {
    let (mut time, mut cue) = (None, None);
    for field in ebml::children(point.payload) {
        let field = field?;
        match field.id {
            ids::CUE_TIME => time = Some(field.uint()?),
            ids::CUE_TRACK_POSITIONS if cue.is_none() => cue = position(field, number)?,
            _ => {}
        }
    }
    let Some((position, is_inside)) = cue else { return Ok(None) };
    let time = time
        .filter(|time| *time < MAX_TICKS)
        .ok_or(Unsupported("a cue has no valid time (CueTime)"))?;
    let at = segment.start.checked_add(position).filter(|at| *at < segment.end);
    let at = at.ok_or(Unsupported("a cue points past the end of the file"))?;
    Ok(Some(ClusterRun { at, time, is_cue: true, is_inside }))
}

/// Returns the position of the cluster in the segment, and whether the block may have earlier ones
/// before it.
fn position(positions: Element<'_>, number: u64) -> Result<Option<(u64, bool)>, Unsupported> {
    let (mut track, mut cluster, mut relative, mut count) = (None, None, None, None);
    for field in ebml::children(positions.payload) {
        let field = field?;
        match field.id {
            ids::CUE_TRACK => track = Some(field.uint()?),
            ids::CUE_CLUSTER_POSITION => cluster = Some(field.uint()?),
            ids::CUE_RELATIVE_POSITION => relative = Some(field.uint()?),
            ids::CUE_BLOCK_NUMBER => count = Some(field.uint()?),
            _ => {}
        }
    }
    if track != Some(number) {
        return Ok(None);
    }
    // Both fields are optional.
    let is_first = relative.map_or(count == Some(1), |relative| relative <= MAX_PREFIX);
    Ok(Some((cluster.ok_or(MALFORMED)?, !is_first)))
}

/// Checks that all runs begin before `end` and that their offsets and times ascend.
pub(super) fn are_in_order(runs: &[ClusterRun], end: u64) -> Result<(), Unsupported> {
    let ascend = runs.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].time < pair[1].time);
    let is_within = runs.last().is_some_and(|last| last.at < end);
    if ascend && is_within { Ok(()) } else { Err(Unsupported("the index (Cues) is not in order")) }
}

/// The first block of a cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstBlock {
    /// The time in ticks.
    pub(super) time: u64,
    /// Whether decoding can begin with it, as far as its header tells.
    pub(super) is_key: bool,
}

/// Returns the first block of a cluster, given the first bytes of the cluster.
pub(super) fn first_block(bytes: &[u8]) -> Result<FirstBlock, Unsupported> {
    const NO_BLOCK: Unsupported =
        Unsupported("the first cluster has no cue and does not begin with a block");
    let cluster = ebml::header(bytes).filter(|header| header.id == ids::CLUSTER).ok_or(NO_BLOCK)?;
    let mut rest = &bytes[cluster.len..];
    let mut time = None;
    loop {
        let header = ebml::header(rest).ok_or(NO_BLOCK)?;
        let payload = &rest[header.len..];
        match header.id {
            // The Block is mostly the first element of its group.
            ids::BLOCK_GROUP => {
                rest = payload;
                continue;
            }
            ids::SIMPLE_BLOCK | ids::BLOCK => {
                let [_, high, low, flags, ..] = *payload else { return Err(NO_BLOCK) };
                let time: Option<i64> = time;
                let block = time.ok_or(NO_BLOCK)? + i64::from(i16::from_be_bytes([high, low]));
                let time = u64::try_from(block).map_err(|_| NO_BLOCK)?;
                // Only a SimpleBlock has this flag (RFC 9559 §10.2).
                let is_key = header.id == ids::SIMPLE_BLOCK && flags & 0x80 != 0;
                return Ok(FirstBlock { time, is_key });
            }
            _ => {}
        }
        let size = header.size.and_then(|size| usize::try_from(size).ok()).ok_or(NO_BLOCK)?;
        if header.id == ids::TIMESTAMP {
            let ticks = payload.get(..size).and_then(ebml::uint_of).filter(|t| *t < MAX_TICKS);
            time = ticks.and_then(|ticks| i64::try_from(ticks).ok());
        }
        rest = payload.get(size..).ok_or(NO_BLOCK)?;
    }
}
