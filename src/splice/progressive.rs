//! Progressive MP4: all samples of a file stand in its moov (ISO/IEC 14496-12 §8). The joined file
//! has the wanted tracks in one moov in front, and behind it their samples in the order of their
//! times: it can be played from its first bytes on, and from anywhere.
//!
//! What is told of single samples stays as the inputs have it; only where samples lie is written
//! anew. The bytes of the samples themselves are copied, never changed. Must never plan to read a
//! file backwards, nor keep more of it than its moov.

use std::ops::Range;
use std::time::Duration;

use super::edits::{self, Edit, NANOS, Rescale, simple};
use super::entry;
use super::layout::Rewriter;
use super::tags::udta;
use super::top_level::TopLevelBoxes;
use super::trak::{Moov, Trak};
use super::{Options, Plan, SurveyError, Unsupported};
use crate::container::Container;
use crate::media::TrackKind;
use crate::options::TimeRange;

mod chunks;
#[cfg(test)]
mod crafted;
mod head;
mod moov;
mod samples;
mod shown;
mod subset;
mod tables;
#[cfg(test)]
mod tests;
mod trim;

use head::{Brand, MovieBuilder};
use samples::Sizes;
use tables::Tables;
use trim::Clock;

/// What is known of a progressive MP4 file: its moov, and where its media lie. The tables in it are as
/// compact as anything that could be made of them; they are checked when a track is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movie {
    moov: Vec<u8>,
    /// What the file calls itself.
    brands: Vec<Brand>,
    /// In their order, as far as samples lie in them.
    media: Vec<Range<u64>>,
}

/// A track that is read from a [`Movie`].
struct ParsedTrack<'a> {
    /// The place of its file among all files.
    file: u8,
    /// Whether its descriptions may be those of QuickTime, and have to become those of MP4.
    is_quicktime: bool,
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
pub(super) fn read_index(top: TopLevelBoxes<'_>, moov: Vec<u8>) -> Result<Movie, SurveyError> {
    let mut movie = Movie { moov, brands: top.brands().to_vec(), media: Vec::new() };
    let mut end = 0;
    for kind in [TrackKind::Video, TrackKind::Audio] {
        // Whoever wants the track hears why it cannot be had.
        if let Ok(Some(track)) = movie.open(kind, 0) {
            end = end.max(track.tables.last_chunk().map_or(0, |at| at.saturating_add(1)));
        }
    }
    movie.media = top.media_up_to(end)?;
    Ok(movie)
}

impl Movie {
    /// One whose moov was made of what its fragments say.
    pub(super) fn gathered(moov: Vec<u8>, brands: &[Brand], media: Vec<Range<u64>>) -> Movie {
        Movie { moov, brands: brands.to_vec(), media }
    }

    /// How long it says that it plays.
    pub(super) fn duration(&self) -> Option<Duration> {
        let Moov { scale, duration, .. } = Moov::read(&self.moov).ok()?;
        Rescale { from: scale, to: NANOS }.floor(duration?).ok().map(Duration::from_nanos)
    }

    /// When the first of its tracks begins to be shown.
    pub(super) fn begin(&self) -> Duration {
        let kinds = [TrackKind::Video, TrackKind::Audio].into_iter();
        let tracks: Vec<_> = kinds.filter_map(|kind| self.open(kind, 0).ok().flatten()).collect();
        begin(&tracks)
    }

    /// When its last picture before `start` that can be decoded alone is decoded.
    pub(super) fn entry(&self, start: Duration) -> Option<Duration> {
        trim::entry(&self.open(TrackKind::Video, 0).ok()??, start)
    }

    /// Whether there is a track of this kind in it.
    pub(super) fn has(&self, kind: TrackKind) -> bool {
        Moov::read(&self.moov).is_ok_and(|moov| moov.has(kind))
    }

    /// Files of before there was a ftyp are of QuickTime, too.
    fn is_quicktime(&self) -> bool {
        self.brands.is_empty() || self.brands.contains(head::QUICKTIME)
    }

    /// Its track of this kind, if it has one.
    fn open(&self, kind: TrackKind, file: u8) -> Result<Option<ParsedTrack<'_>>, Unsupported> {
        let moov = Moov::read(&self.moov)?;
        if moov.mvex.is_some() {
            return Err(Unsupported("the file has samples in fragments"));
        }
        let Some(trak) = moov.track_of_kind(kind) else { return Ok(None) };
        let trak = Trak::read(trak)?;
        let mut tables = Tables::read(&trak)?;
        if self.is_quicktime()
            && let Sizes::Same { size: size @ 1, .. } = &mut tables.sizes
        {
            // Of sound without compression QuickTime says so, and means the samples of all channels.
            let stsd = trak.stbl.iter().find(|found| found.kind == *b"stsd");
            *size = stsd.and_then(entry::pcm_size).unwrap_or(*size);
        }
        let edits = edits::read(&trak)?;
        Ok(Some(ParsedTrack {
            file,
            is_quicktime: self.is_quicktime(),
            trak,
            tables,
            edits,
            movie_scale: moov.scale,
        }))
    }
}

/// The tracks that are wanted of files that were named for these kinds, video first. Whoever names
/// one file for its video, and no other, means the film, hence its audio, too.
fn wanted<'a>(
    files: &[(TrackKind, &'a Movie)],
    alone: bool,
) -> Result<Vec<ParsedTrack<'a>>, Unsupported> {
    const NONE: Unsupported = Unsupported("the file has no track of the expected kind");
    let mut tracks = Vec::new();
    for (place, (kind, movie)) in (0u8..).zip(files) {
        tracks.push((movie.open(*kind, place)?.ok_or(NONE)?, movie));
        if alone && *kind == TrackKind::Video {
            tracks.extend(movie.open(TrackKind::Audio, place)?.map(|audio| (audio, movie)));
        }
    }
    for (track, movie) in &tracks {
        track.tables.check(&movie.media)?;
    }
    Ok(tracks.into_iter().map(|(track, _)| track).collect())
}

pub(super) fn plan(
    files: &[(TrackKind, &Movie)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    let tracks = wanted(files, files.len() == 1)?;
    let brands: Vec<_> = files.iter().map(|(_, movie)| &movie.brands[..]).collect();
    let trim = match options.time_range.is_full() {
        true => options.time_range,
        false => options.time_range.on_clock_from(begin(&tracks)),
    };
    laid_out(&tracks, trim, Clock::Anew, &head::ftyp(&brands), &udta(options.metadata))
}

/// When the first of these tracks is shown, as far as their edit lists are simple enough to tell.
fn begin(tracks: &[ParsedTrack<'_>]) -> Duration {
    let begins = tracks.iter().map(|track| {
        let empty = simple(&track.edits).map_or(0, |simple| simple.empty);
        Rescale { from: track.movie_scale, to: NANOS }.floor(empty).unwrap_or(0)
    });
    Duration::from_nanos(begins.min().unwrap_or_default())
}

/// One file as if it were made for streaming, with its times as they are; `trim` is by its own clock.
/// One of QuickTime stays one, with all that MP4 does not know.
pub(super) fn for_streaming(
    kind: TrackKind,
    movie: &Movie,
    alone: bool,
    trim: TimeRange,
) -> Result<Plan, Unsupported> {
    let mut tracks = wanted(&[(kind, movie)], alone)?;
    let ftyp = if movie.is_quicktime() {
        tracks.iter_mut().for_each(|track| track.is_quicktime = false);
        head::quicktime()
    } else {
        head::ftyp(&[&movie.brands])
    };
    laid_out(&tracks, trim, Clock::Kept, &ftyp, &[])
        .or_else(|_| laid_out(&tracks, TimeRange::default(), Clock::Kept, &ftyp, &[]))
}

fn laid_out(
    tracks: &[ParsedTrack<'_>],
    trim: TimeRange,
    clock: Clock,
    ftyp: &[u8],
    udta: &[u8],
) -> Result<Plan, Unsupported> {
    let scale = edits::common_timescale(tracks.iter().map(|track| track.movie_scale));
    let selections = trim::select(tracks, trim, clock, scale)?;
    let (layout, chunks) = chunks::lay_out(tracks, &selections)?;
    let film = MovieBuilder { tracks, selections: &selections, chunks: &chunks, scale };
    let (head, duration) = film.head(ftyp, udta, layout.len())?;
    let duration = Duration::from_nanos(Rescale { from: scale, to: NANOS }.floor(duration)?);
    Ok(layout.plan(head, Container::Mp4, duration, Rewriter::None))
}
