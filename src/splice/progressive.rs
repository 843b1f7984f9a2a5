//! Splices progressive MP4 (ISO/IEC 14496-12 §8), where the moov describes all samples. The joined file
//! has the selected tracks in one moov at its start, and their samples after it in the order of their
//! timestamps: it can be played while it arrives, and from anywhere.
//!
//! Tables about single samples are copied from the inputs; only the offsets of samples are written
//! anew. The bytes of the samples themselves are copied, never changed.
//!
//! **Invariant:** no plan reads a file backwards, and of a file no more than its moov is stored.

use std::ops::Range;
use std::time::Duration;

use super::chapter_track::ChapterTrack;
use super::edits::{self, Edit, NANOS, Rescale, simple};
use super::entry;
use super::labels::header_labels;
use super::layout::Rewriter;
use super::tags::udta;
use super::text_track::TextTracks;
use super::top_level::TopLevelBoxes;
use super::trak::{Moov, Trak};
use super::{Options, Plan, SurveyError, Unsupported};
use crate::container::Container;
use crate::media::{Metadata, TrackKind};
use crate::options::TimeRange;

mod chunks;
#[cfg(test)]
mod crafted;
mod head;
mod moov;
mod presentation_times;
mod sample_count;
mod samples;
mod subset;
mod tables;
#[cfg(test)]
mod tests;
mod texts;
mod trim;

use head::{Brand, Contents, MovieBuilder};
pub use sample_count::CountedAudio;
use samples::Sizes;
use tables::Tables;
use trim::TimeOrigin;

/// The index of a progressive MP4 file: its moov, and the byte ranges of its media data. The tables of
/// the moov are as compact as any other form; they are checked when a track is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movie {
    moov: Vec<u8>,
    /// The brands of the file.
    brands: Vec<Brand>,
    /// The payloads of the mdat boxes that hold samples, in file order.
    media: Vec<Range<u64>>,
}

/// A track of a [`Movie`].
struct ParsedTrack<'a> {
    /// The index of its file.
    file: u8,
    /// Whether its sample descriptions may be QuickTime's and have to be converted to MP4's.
    is_quicktime: bool,
    trak: Trak<'a>,
    tables: Tables<'a>,
    edits: Vec<Edit>,
    /// The movie timescale, in which edits have their durations.
    movie_scale: u32,
}

impl ParsedTrack<'_> {
    fn kind(&self) -> TrackKind {
        if &self.trak.handler == b"vide" { TrackKind::Video } else { TrackKind::Audio }
    }
}

/// The part of a track that goes into the joined file.
struct Selection {
    /// The samples, counted from 0.
    samples: Range<u32>,
    /// The edit list, in the movie timescale of the joined file.
    edits: Vec<Edit>,
    /// The total duration of the samples, in the media timescale.
    media: u64,
    /// Whether samples are omitted.
    is_cut: bool,
}

/// Reads the index of a file with this moov, after which `top` is positioned.
pub(super) fn read_index(top: TopLevelBoxes<'_>, moov: Vec<u8>) -> Result<Movie, SurveyError> {
    let mut movie = Movie { moov, brands: top.brands().to_vec(), media: Vec::new() };
    let mut end = 0;
    for kind in [TrackKind::Video, TrackKind::Audio] {
        // An unusable track is reported when it is opened for a plan.
        if let Ok(Some(track)) = movie.open(kind, 0) {
            end = end.max(track.tables.last_chunk().map_or(0, |at| at.saturating_add(1)));
        }
    }
    movie.media = top.media_up_to(end)?;
    Ok(movie)
}

impl Movie {
    /// Returns the index of a fragmented file whose fragments were gathered in a moov.
    pub(super) fn gathered(moov: Vec<u8>, brands: &[Brand], media: Vec<Range<u64>>) -> Movie {
        Movie { moov, brands: brands.to_vec(), media }
    }

    /// Returns the duration that the moov declares.
    pub(super) fn duration(&self) -> Option<Duration> {
        let Moov { scale, duration, .. } = Moov::read(&self.moov).ok()?;
        Rescale { from: scale, to: NANOS }.floor(duration?).ok().map(Duration::from_nanos)
    }

    /// Returns the presentation time at which the first track begins.
    pub(super) fn begin(&self) -> Duration {
        let kinds = [TrackKind::Video, TrackKind::Audio].into_iter();
        let tracks: Vec<_> = kinds.filter_map(|kind| self.open(kind, 0).ok().flatten()).collect();
        begin(&tracks)
    }

    /// Returns the decode time of the last sync sample of the video at or before `start`.
    pub(super) fn entry(&self, start: Duration) -> Option<Duration> {
        trim::entry(&self.open(TrackKind::Video, 0).ok()??, start)
    }

    /// Returns whether the file has a track of this kind.
    pub(super) fn has(&self, kind: TrackKind) -> bool {
        Moov::read(&self.moov).is_ok_and(|moov| moov.has(kind))
    }

    /// Returns whether the file is QuickTime; so are files without a ftyp, which came later.
    fn is_quicktime(&self) -> bool {
        self.brands.is_empty() || self.brands.contains(head::QUICKTIME)
    }

    /// Opens the track of this kind, if the file has one.
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
            // QuickTime stores 1 for uncompressed audio, and means one sample of all channels.
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

/// Opens the selected tracks of the files, video first. A single file that was requested for its video
/// contributes its audio, too.
fn open_tracks<'a>(
    files: &[(TrackKind, &'a Movie)],
    alone: bool,
) -> Result<Vec<ParsedTrack<'a>>, Unsupported> {
    const NONE: Unsupported = Unsupported("the file has no track of the expected kind");
    let mut tracks = Vec::new();
    for (index, (kind, movie)) in (0u8..).zip(files) {
        tracks.push((movie.open(*kind, index)?.ok_or(NONE)?, movie));
        if alone && *kind == TrackKind::Video {
            tracks.extend(movie.open(TrackKind::Audio, index)?.map(|audio| (audio, movie)));
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
    let tracks = open_tracks(files, files.len() == 1)?;
    let brands: Vec<_> = files.iter().map(|(_, movie)| &movie.brands[..]).collect();
    let trim = match options.time_range.is_full() {
        true => options.time_range,
        false => options.time_range.on_clock_from(begin(&tracks)),
    };
    let boxes = HeadBoxes { ftyp: &head::ftyp(&brands), tags: options.metadata };
    lay_out(&tracks, trim, TimeOrigin::Trimmed, &boxes)
}

/// Returns the presentation time at which the first of these tracks begins, as far as their edit lists
/// are simple.
fn begin(tracks: &[ParsedTrack<'_>]) -> Duration {
    let begins = tracks.iter().map(|track| {
        let empty = simple(&track.edits).map_or(0, |simple| simple.empty);
        Rescale { from: track.movie_scale, to: NANOS }.floor(empty).unwrap_or(0)
    });
    Duration::from_nanos(begins.min().unwrap_or_default())
}

/// Returns the tracks of one file for ffmpeg, and its ftyp. A QuickTime file stays one, with everything that MP4 does not
/// have.
fn for_ffmpeg<'m>(
    kind: TrackKind,
    movie: &'m Movie,
    alone: bool,
) -> Result<(Vec<ParsedTrack<'m>>, Vec<u8>), Unsupported> {
    let mut tracks = open_tracks(&[(kind, movie)], alone)?;
    let ftyp = if movie.is_quicktime() {
        tracks.iter_mut().for_each(|track| track.is_quicktime = false);
        head::quicktime()
    } else {
        head::ftyp(&[&movie.brands])
    };
    Ok((tracks, ftyp))
}

/// Lays out one file for streaming, with its timestamps as they are; `trim` is in the file's own time.
pub(super) fn for_streaming(
    kind: TrackKind,
    movie: &Movie,
    alone: bool,
    trim: TimeRange,
) -> Result<Plan, Unsupported> {
    let (tracks, ftyp) = for_ffmpeg(kind, movie, alone)?;
    let boxes = HeadBoxes { ftyp: &ftyp, tags: &Metadata::default() };
    lay_out(&tracks, trim, TimeOrigin::Input, &boxes)
        .or_else(|_| lay_out(&tracks, TimeRange::default(), TimeOrigin::Input, &boxes))
}

/// What the header has beside its tracks, and the labels of these.
struct HeadBoxes<'a> {
    ftyp: &'a [u8],
    tags: &'a Metadata,
}

fn lay_out(
    tracks: &[ParsedTrack<'_>],
    trim: TimeRange,
    origin: TimeOrigin,
    HeadBoxes { ftyp, tags }: &HeadBoxes<'_>,
) -> Result<Plan, Unsupported> {
    let scale = edits::common_timescale(tracks.iter().map(|track| track.movie_scale));
    let (selections, begin) = trim::select(tracks, trim, origin, scale)?;
    let durations = head::durations(tracks, &selections, scale)?;
    let duration = durations.iter().copied().max().unwrap_or(0);
    let duration = Duration::from_nanos(Rescale { from: scale, to: NANOS }.floor(duration)?);
    let metadata = tags.within(begin.into(), duration);
    let texts = TextTracks::new(&metadata.subtitles)?;
    let (layout, chunks, placed) = chunks::lay_out(tracks, &selections, &texts)?;
    let files = tracks.iter().map(|track| (track.kind(), usize::from(track.file)));
    let labels = &header_labels(files, &tags.labels);
    let builder = MovieBuilder { tracks, selections: &selections, chunks: &chunks, labels, scale };
    let contents = Contents {
        udta: &udta(&metadata),
        texts: texts.iter().zip(&placed).collect(),
        chapters: ChapterTrack::new(&metadata.chapters, duration),
        media: layout.len(),
    };
    let head = builder.head(ftyp, &contents, &durations)?;
    Ok(layout.plan(head, Container::Mp4, duration, Rewriter::None))
}
