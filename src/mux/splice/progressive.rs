//! Progressive MP4: all samples of a file stand in its moov (ISO/IEC 14496-12 §8). The joined file
//! has both tracks in one moov in front, and behind it the samples of both in the order of their
//! times: it can be played from its first bytes on, and from anywhere.
//!
//! What is told of single samples stays as the inputs have it; only where samples lie is written
//! anew. The bytes of the samples themselves are copied, never changed. Must never plan to read a
//! file backwards, nor keep more of it than its moov.

use std::ops::Range;
use std::time::Duration;

use super::edits::{self, Edit, NANOS, Scale};
use super::layout::Rules;
use super::tags::udta;
use super::top::Top;
use super::trak::{Moov, Trak};
use super::{Halt, Layout, Options, Plan, Refusal};
use crate::media::Kind;
use crate::mux::Container;

mod chunks;
#[cfg(test)]
mod crafted;
mod cut;
mod head;
mod moov;
mod samples;
mod tables;
#[cfg(test)]
mod tests;
mod trim;

use chunks::{Chunked, interleaved};
use head::{Brand, Film};
use tables::Tables;

/// What is known of a progressive MP4 file: its moov, which has passed every check. Its tables are
/// as compact as anything that could be made of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    moov: Vec<u8>,
    /// What the file calls itself.
    brands: Vec<Brand>,
}

/// A track that is read from a [`Track`].
struct Open<'a> {
    trak: Trak<'a>,
    tables: Tables<'a>,
    edits: Vec<Edit>,
    /// That of the durations of edits.
    movie_scale: u32,
}

/// What of a track goes into the joined file.
struct Selection {
    /// Its samples, counted from 0.
    samples: Range<u32>,
    /// When they are shown, in the time scale of the joined file.
    edits: Vec<Edit>,
    /// How long the samples last together, in the time scale of the media.
    media: u64,
    /// Whether they are not all.
    is_cut: bool,
}

/// Checks a file by its moov, behind which `top` stands.
pub(super) fn survey(mut top: Top<'_>, moov: Vec<u8>) -> Result<Track, Halt> {
    top.refuse_quicktime()?;
    let track = Track { moov, brands: top.brands().to_vec() };
    if track.brands.is_empty() {
        return Err(Refusal("it does not say what it is (no ftyp)").into());
    }
    let extents = track.open()?.tables.check()?;
    top.holds(&extents)?;
    Ok(track)
}

impl Track {
    fn open(&self) -> Result<Open<'_>, Refusal> {
        let Moov { scale: movie_scale, trak, mvex } = Moov::read(&self.moov)?;
        if mvex.is_some() {
            return Err(Refusal("it has samples in fragments"));
        }
        let trak = Trak::read(trak)?;
        let tables = Tables::read(&trak)?;
        let edits = edits::read(&trak)?;
        Ok(Open { trak, tables, edits, movie_scale })
    }
}

pub(super) fn plan(tracks: &[(Kind, &Track)], options: &Options<'_>) -> Result<Plan, Refusal> {
    let mut open = Vec::new();
    for (kind, track) in tracks {
        let track = track.open()?;
        if track.trak.handler != *handler(*kind) {
            return Err(Refusal("it is not the kind of track that it was named for"));
        }
        open.push(track);
    }
    let scale = edits::common(open.iter().map(|track| track.movie_scale));
    let selections = trim::select(&open, options.trim, scale)?;
    let step = chunks::step(&open, &selections)?;
    let mut chunked = Vec::new();
    for (track, selection) in open.iter().zip(&selections) {
        chunked.push(Chunked::of(track, &selection.samples, step)?);
    }
    let brands: Vec<_> = tracks.iter().map(|(_, track)| &track.brands[..]).collect();
    let film = Film { tracks: &open, selections: &selections, chunked: &chunked, scale };
    let (head, duration) = film.head(&head::ftyp(&brands), &udta(options.tags))?;
    let duration = Duration::from_nanos(Scale { from: scale, to: NANOS }.down(duration)?);
    Ok(laid_out(&chunked)?.plan(head, Container::Mp4, duration, Rules::None))
}

/// The handler of a track (§8.4.3).
fn handler(kind: Kind) -> &'static [u8; 4] {
    match kind {
        Kind::Video => b"vide",
        Kind::Audio => b"soun",
    }
}

/// The samples behind the head. What is one run in a file stays one piece.
fn laid_out(tracks: &[Chunked]) -> Result<Layout, Refusal> {
    let mut layout = Layout::default();
    let mut runs: Vec<_> = tracks.iter().map(|track| track.runs.iter()).collect();
    let mut pending: Option<(u8, Range<u64>)> = None;
    for (place, chunk) in interleaved(tracks) {
        let track = u8::try_from(place).map_err(|_| Refusal("too many tracks"))?;
        let runs = runs[place].by_ref().take(chunk.runs as usize);
        for run in runs.filter(|run| !run.is_empty()) {
            match &mut pending {
                Some((of, range)) if *of == track && range.end == run.start => range.end = run.end,
                _ => {
                    if let Some((track, range)) = pending.replace((track, run.clone())) {
                        layout.add(track, range);
                    }
                }
            }
        }
    }
    if let Some((track, range)) = pending {
        layout.add(track, range);
    }
    Ok(layout)
}
