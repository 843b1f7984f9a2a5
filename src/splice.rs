//! Splice joins tracks without a muxer, into a file whose every byte is known beforehand.
//!
//! Each input file has an index. From the indexes [`plan`] computes the layout of the joined
//! file: a new header, then byte ranges of all files in the order of their timestamps. Hence the
//! file has a length before its first byte is made, and any byte range of it can be made alone: it
//! behaves like a file on a disk.
//!
//! Splicing takes three steps: [`read_index`] reads the index of one file (through [`ReadAt`], the
//! only I/O), [`plan`] lays out the joined file, and [`Plan::write_range`] produces its bytes. An
//! input that does not fit is refused with a reason, and ffmpeg joins the tracks instead.
//!
//! **API boundary:** splice knows nothing of HTTP.
//!
//! **Invariant:** nothing is allocated by a length that a file claims before that length was
//! checked against a limit.

use std::borrow::Borrow;
use std::time::Duration;

use crate::container::probe::Format;
use crate::media::removal::Removal;
use crate::media::{Metadata, TrackKind};
use crate::options::{ContainerChoice, TimeRange};

mod chapter_track;
mod edits;
mod entry;
mod fragmented;
#[cfg(test)]
mod golden;
mod headers;
mod inline;
mod input;
mod labels;
mod layout;
mod mpeg_ts;
mod place;
mod placed_text;
mod progressive;
mod read_at;
mod runs;
mod sidx;
mod streaming;
mod tagged;
mod tags;
mod text_track;
mod top_level;
mod track_index;
mod trak;
mod webm;
mod windowed_reader;

pub use crate::error::Unsupported;
pub use input::{ChunkSource, RangeWriter, TrackInput};
pub use layout::{Extent, Layout, Plan, Rewriter};
pub use progressive::CountedAudio;
pub use read_at::{MAX_READ, NextRead, ReadAt, SourceSegment, SurveyError};
pub use runs::Runs;
pub use streaming::{StreamingMuxer, StreamingPlan};
pub use tagged::read_frames;
pub(crate) use tags::{chapter_list, udta};
pub use track_index::TrackIndex;

use fragmented::Gathered;
use top_level::TopLevelBoxes;
use trak::Moov;
use windowed_reader::{WindowPolicy, WindowedReader};

/// Version of the layout algorithm. It changes whenever the same inputs and options would give
/// other bytes than before, so that a resumed download never continues in another layout.
pub const VERSION: u32 = 7;

/// How much of a file of unknown length is read to plan the joined file, at most, about.
const MAX_FRONT: usize = 4 << 20;
/// The longest element that is buffered completely for rewriting: a moof, the header of a block.
pub const MAX_ELEMENT: usize = 8 << 20;

/// Refusal of an encrypted file, which ffmpeg cannot join either.
pub const ENCRYPTED: Unsupported = Unsupported("the file is encrypted");

/// What the client requested of the joined file.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The requested container.
    pub container: ContainerChoice,
    /// The requested time range.
    pub time_range: TimeRange,
    /// Title, artist, date and cover to write into the file, and the labels of its tracks.
    pub metadata: &'a Metadata,
}

/// Reads the index of a file of `format`, as far as the time range `trim` and the intervals that are left out need it, in
/// nanoseconds from the beginning of the media.
pub fn read_index(
    format: Format,
    reader: &mut dyn ReadAt,
    trim: TimeRange,
    removal: &Removal,
) -> Result<TrackIndex, SurveyError> {
    if reader.len() > Layout::MAX_FILE_LEN {
        return Err(Unsupported("the file is too long").into());
    }
    match format {
        Format::Mp4 => {
            let reader = &mut WindowedReader::new(reader, WindowPolicy::FRAGMENTS);
            let mut top = TopLevelBoxes::new(reader);
            let moov = top.moov()?;
            if Moov::read(&moov)?.mvex.is_none() {
                return progressive::read_index(top, moov).map(TrackIndex::Progressive);
            }
            top.refuse_quicktime()?;
            let behind = top.at();
            if trim.is_full() && removal.is_empty() && fragmented::is_muxed(reader, &moov) {
                let muxed = fragmented::read_muxed_index(reader, &moov, behind)?;
                return Ok(TrackIndex::Muxed(Box::new(muxed)));
            }
            let track = fragmented::read_index(reader, &moov, behind, trim, removal)?;
            Ok(TrackIndex::Fragmented(Box::new(track)))
        }
        Format::Webm => webm::read_index(reader).map(TrackIndex::Webm),
        _ if format == Format::MpegTs || format.is_raw() && reader.segments().is_some() => {
            let track = mpeg_ts::read_index(format, reader, trim.start)?;
            Ok(TrackIndex::MpegTs(Box::new(track)))
        }
        _ => Err(Unsupported("the file is neither MP4 nor WebM nor a transport stream").into()),
    }
}

/// Reads the beginning of a file in segments of unknown length, from its first bytes, `is_all` of the first
/// segment. Returns `None` if more of them are needed. The file lasts for `duration`, if that is known.
pub fn read_front(
    format: Format,
    front: &[u8],
    is_all: bool,
    duration: Option<Duration>,
) -> Result<Option<TrackIndex>, Unsupported> {
    let index = if format == Format::Mp4 {
        fragmented::read_front(front, is_all, duration)?
    } else if format == Format::MpegTs || format.is_raw() {
        let track = mpeg_ts::read_front(format, front, is_all, duration)?;
        track.map(|track| TrackIndex::MpegTs(Box::new(track)))
    } else {
        return Err(UNKNOWN_LENGTHS);
    };
    match &index {
        Some(index) => check_front(index, front)?,
        None if front.len() >= MAX_FRONT => {
            return Err(Unsupported("the first frames are too far from the beginning"));
        }
        None => {}
    }
    Ok(index)
}

/// Joins the first bytes of a file, to no purpose but to see that it can be done.
fn check_front(index: &TrackIndex, front: &[u8]) -> Result<(), Unsupported> {
    let kind = match index {
        TrackIndex::Fragmented(track) => track.kind(),
        _ if index.has_video() == Some(true) => TrackKind::Video,
        _ => TrackKind::Audio,
    };
    let (container, time_range) = (ContainerChoice::Auto, TimeRange::default());
    let options = Options { container, time_range, metadata: &Metadata::default() };
    let plan = plan_streaming(&[(kind, index)], &options)?;
    let mut muxer = plan.start();
    muxer.begin_segment(0, None, None).map_err(Unsupported)?;
    muxer.push(0, front).map(drop).map_err(Unsupported)
}

/// Finds the key frame from which decoding must start to show the video at `start`, in a file of
/// `format` that cannot be spliced. Returns its decode time on the clock of the file, if an index or
/// the fragments have it.
pub fn key_frame(
    format: Format,
    reader: &mut dyn ReadAt,
    start: Duration,
) -> Result<Option<Duration>, SurveyError> {
    let found = match format {
        Format::Mp4 => {
            let reader = &mut WindowedReader::new(reader, WindowPolicy::FRAGMENTS);
            let mut top = TopLevelBoxes::new(reader);
            let moov = top.moov()?;
            let behind = top.at();
            fragmented::key_frame(reader, &moov, behind, start)
        }
        Format::Webm | Format::Matroska => webm::key_frame(reader, start),
        _ => Ok(None),
    };
    match found {
        Err(SurveyError::Refused(_)) => Ok(None),
        found => found,
    }
}

/// Checks that the boxes of an MP4 file end where the file ends. [`SurveyError::Refused`] means that
/// there are too many boxes to check.
pub fn check_boxes(reader: &mut dyn ReadAt) -> Result<(), SurveyError> {
    let reader = &mut WindowedReader::new(reader, WindowPolicy::FRAGMENTS);
    TopLevelBoxes::new(reader).check_all()
}

/// Reads every moof of a fragmented MP4 with audio only and builds the index of a progressive file
/// from them, so that the joined file is progressive too.
pub fn read_gathered_index(reader: &mut dyn ReadAt) -> Result<TrackIndex, SurveyError> {
    if reader.len() > Layout::MAX_FILE_LEN {
        return Err(Unsupported("the file is too long").into());
    }
    let reader = &mut WindowedReader::new(reader, WindowPolicy::FRAGMENTS);
    let mut top = TopLevelBoxes::new(reader);
    let moov = top.moov()?;
    top.refuse_quicktime()?;
    let (behind, brands) = (top.at(), top.brands().to_vec());
    let Gathered { moov, media } = fragmented::gather(reader, &moov, behind)?;
    Ok(TrackIndex::Progressive(progressive::Movie::gathered(moov, &brands, media)))
}

/// Lays out the joined file. `tracks` are files of one track each, video first and then audio, the default first. The function is pure: the
/// same indexes and options give the same plan on every run and machine.
pub fn plan<S: Borrow<TrackIndex>>(
    tracks: &[(TrackKind, S)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    let mp4 = is_mp4(options);
    let webm = matches!(options.container, ContainerChoice::Auto | ContainerChoice::Webm);
    if let Some(tracks) = all_of_kind(tracks, |index| match index {
        TrackIndex::Fragmented(track) => Some(&**track),
        _ => None,
    }) {
        return if mp4 { fragmented::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    if let Some(tracks) = all_of_kind(tracks, |index| match index {
        TrackIndex::Webm(track) => Some(track),
        _ => None,
    }) {
        return if webm { webm::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    if !options.metadata.removal.is_empty() {
        return Err(Unsupported("nothing can be left out but of fragmented MP4 and of WebM"));
    }
    if let Some(tracks) = all_of_kind(tracks, |index| match index {
        TrackIndex::Progressive(track) => Some(track),
        _ => None,
    }) {
        return if mp4 { progressive::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    if let Some(tracks) = all_of_kind(tracks, |index| match index {
        TrackIndex::MpegTs(track) => Some(&**track),
        _ => None,
    }) {
        return if mp4 { mpeg_ts::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    match tracks {
        [(TrackKind::Audio, index)] if let TrackIndex::Mp3(frames) = index.borrow() => {
            tagged::plan(*frames, options)
        }
        [(TrackKind::Video, index)] if mp4 && let TrackIndex::Muxed(muxed) = index.borrow() => {
            fragmented::plan_muxed(muxed, options)
        }
        _ => Err(Unsupported("the files are in different container formats")),
    }
}

/// Plans to join files in segments of unknown length while they arrive, from their beginning to their end. `tracks`
/// are files, video first and then audio, and each index is from [`read_front`].
pub fn plan_streaming<S: Borrow<TrackIndex>>(
    tracks: &[(TrackKind, S)],
    options: &Options<'_>,
) -> Result<StreamingPlan, Unsupported> {
    if !is_mp4(options) {
        return Err(OTHER_CONTAINER);
    }
    if !options.metadata.removal.is_empty() {
        return Err(UNKNOWN_LENGTHS);
    }
    if !options.metadata.subtitles.is_empty() {
        return Err(Unsupported("subtitles need known lengths of the segments"));
    }
    if let Some(tracks) = all_of_kind(tracks, |index| match index {
        TrackIndex::MpegTs(track) => Some(&**track).filter(|track| track.is_open()),
        _ => None,
    }) {
        return mpeg_ts::plan_streaming(&tracks, options);
    }
    if let [(TrackKind::Video, index)] = tracks
        && let TrackIndex::Muxed(muxed) = index.borrow()
        && muxed.is_open()
    {
        return fragmented::plan_muxed_streaming(muxed, options);
    }
    let tracks = all_of_kind(tracks, |index| match index {
        TrackIndex::Fragmented(track) => Some(&**track).filter(|track| track.is_open()),
        _ => None,
    });
    let tracks = tracks.ok_or(Unsupported("the files cannot be joined while they arrive"))?;
    fragmented::plan_streaming(&tracks, options)
}

const UNKNOWN_LENGTHS: Unsupported = Unsupported("the lengths of the segments are not known");
/// Returns whether the requested container is MP4, or any.
fn is_mp4(options: &Options<'_>) -> bool {
    matches!(options.container, ContainerChoice::Auto | ContainerChoice::Mp4 | ContainerChoice::M4a)
}

const OTHER_CONTAINER: Unsupported =
    Unsupported("the requested container is not that of the files");

/// Returns all indexes as one variant of [`TrackIndex`], if all of them are of that variant.
fn all_of_kind<'a, S: Borrow<TrackIndex>, T>(
    tracks: &'a [(TrackKind, S)],
    select: impl Fn(&'a TrackIndex) -> Option<&'a T>,
) -> Option<Vec<(TrackKind, &'a T)>> {
    tracks.iter().map(|(kind, index)| select(index.borrow()).map(|track| (*kind, track))).collect()
}

/// Returns a Matroska file with the text of `metadata`, for ffmpeg; `None` if there is no text.
pub fn text_file(metadata: &Metadata) -> Option<Vec<u8>> {
    webm::text_file(metadata)
}

/// Lays out a progressive MP4 for streaming: the moov first, then the requested samples; or a transport
/// stream in segments as fragmented MP4, which has the configurations of the decoders first. `alone` says
/// that no other file is joined with it, so that a file passed as video contributes its audio, too.
/// Everything outside `trim` that can be omitted is omitted; timestamps stay as they are. Returns `None` if the
/// file is neither.
pub fn for_streaming(
    (kind, index): (TrackKind, &TrackIndex),
    alone: bool,
    trim: TimeRange,
) -> Option<Result<Plan, Unsupported>> {
    match index {
        TrackIndex::Progressive(movie) => {
            Some(progressive::for_streaming(kind, movie, alone, trim))
        }
        TrackIndex::MpegTs(track) => mpeg_ts::for_streaming((kind, track), alone, trim),
        _ => None,
    }
}
