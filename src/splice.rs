//! Splice: joins two tracks without a muxer, into a file whose every byte is known beforehand.
//!
//! The files of a film have an index each. From the two, [`plan`] computes the layout of the
//! joined file: its head, made anew, and behind it the pieces of both files in the order of their
//! times. Hence the file has a length before its first byte is there, and any part of it can be
//! made alone: it behaves like a file on a disk.
//!
//! Three steps: [`read_index`] reads the index of one file (through [`ReadAt`], its only way out),
//! [`plan`] lays out the joined file, [`Plan::write_range`] makes its bytes. What does not fit is
//! refused with a reason, and ffmpeg does it. Must never know HTTP, nor allocate by a length that
//! a file claims before that length was held to a limit.

use std::borrow::{Borrow, Cow};
use std::ops::Range;
use std::time::Duration;

use crate::container::completeness::Incomplete;
use crate::container::probe::Format;
use crate::error::Error;
use crate::media::{Metadata, TrackKind};
use crate::options::{ContainerChoice, TimeRange};

mod edits;
mod entry;
mod fragmented;
#[cfg(test)]
mod golden;
mod headers;
mod input;
mod layout;
mod progressive;
mod tags;
mod top_level;
mod trak;
mod webm;
mod windowed_reader;

pub use crate::error::Unsupported;
pub use input::{ChunkSource, RangeWriter, TrackInput};
pub use layout::{Extent, Layout, Plan, Rewriter, Runs};

use fragmented::Gathered;
use top_level::TopLevelBoxes;
use trak::Moov;
use windowed_reader::{WindowPolicy, WindowedReader};

/// Changes whenever the same inputs and options would give other bytes than before: the client
/// that resumes must not be given the rest of another layout.
pub const VERSION: u32 = 5;

/// The longest run of bytes that is looked at in one go.
pub const MAX_READ: u64 = 16 << 20;
/// The longest element that is held whole, to be changed: a moof, the head of a block.
pub const MAX_ELEMENT: usize = 8 << 20;

/// Looks at the bytes of one file, wherever they are.
pub trait ReadAt {
    /// The length of the file.
    fn len(&self) -> u64;

    /// Exactly these bytes. They must lie within the file and be no more than [`MAX_READ`].
    /// The first 64 KiB come by themselves, and are waited for as far as the range reaches; anything
    /// else is one more request.
    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError>;

    /// Looks at several places of the file in turn, at each as far as `next` wants: `begins` says where
    /// first, and whatever was seen is given to `next`, with the number of its chain and its place,
    /// which says where to look next in this chain. Chains know nothing of each other, and may go
    /// on at the same time. None of the ranges may be longer than 1 MiB.
    fn chains(&mut self, begins: Vec<Range<u64>>, next: &NextRead<'_>) -> Result<(), SurveyError> {
        for (chain, begin) in begins.into_iter().enumerate() {
            let mut wanted = Some(begin);
            while let Some(range) = wanted {
                let at = range.start;
                wanted = next(chain, at, &self.read_at(range)?)?;
            }
        }
        Ok(())
    }

    /// How many of the first bytes are here already: to look at them takes no time at all.
    fn buffered_len(&self) -> u64 {
        0
    }

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is to be looked at next in a chain in which these bytes were seen there, if anything.
pub type NextRead<'n> =
    dyn Fn(usize, u64, &[u8]) -> Result<Option<Range<u64>>, SurveyError> + Sync + 'n;

/// Why nobody can join a file, nor play it.
pub const ENCRYPTED: Unsupported = Unsupported("it is encrypted");

/// What ends a survey early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SurveyError {
    /// The file is none that can be spliced.
    Refused(Unsupported),
    /// The file lacks its end: nothing else may join it, either.
    Incomplete(Incomplete),
    /// Its bytes could not be had.
    Failed(Error),
}

impl From<Unsupported> for SurveyError {
    fn from(refusal: Unsupported) -> SurveyError {
        SurveyError::Refused(refusal)
    }
}

impl From<Incomplete> for SurveyError {
    fn from(incomplete: Incomplete) -> SurveyError {
        SurveyError::Incomplete(incomplete)
    }
}

impl From<Error> for SurveyError {
    fn from(error: Error) -> SurveyError {
        SurveyError::Failed(error)
    }
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackIndex {
    /// Fragmented MP4: an index, and fragments that carry their own times.
    Fragmented(Box<fragmented::Track>),
    /// MP4 with all of its samples in its moov.
    Progressive(progressive::Movie),
    /// WebM: clusters.
    Webm(webm::Track),
}

/// What the joined file is to be.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Its container.
    pub container: ContainerChoice,
    /// What of the film is wanted.
    pub time_range: TimeRange,
    /// What it says of itself.
    pub metadata: &'a Metadata,
}

impl TrackIndex {
    /// How long the file says that it plays, if that was looked at.
    pub fn duration(&self) -> Option<Duration> {
        match self {
            TrackIndex::Progressive(movie) => movie.duration(),
            TrackIndex::Fragmented(track) => track.shown_until(),
            TrackIndex::Webm(_) => None,
        }
    }

    /// When it begins to play, by its own clock, if that was looked at.
    pub fn begin(&self) -> Option<Duration> {
        match self {
            TrackIndex::Progressive(movie) => Some(movie.begin()),
            TrackIndex::Fragmented(_) | TrackIndex::Webm(_) => None,
        }
    }

    /// When the key frame is decoded that must come first for a picture to be shown from `start` on, by
    /// the clock of the file, if it is known.
    pub fn entry(&self, start: Duration) -> Option<Duration> {
        let entry = match self {
            TrackIndex::Progressive(movie) => movie.entry(start),
            TrackIndex::Fragmented(track) => track.entry(),
            TrackIndex::Webm(track) => track.entry(start),
        };
        entry.filter(|entry| *entry <= start)
    }

    /// Whether there is video in the file, be it a still picture, if that was looked at.
    pub fn has_video(&self) -> Option<bool> {
        match self {
            TrackIndex::Progressive(movie) => Some(movie.has(TrackKind::Video)),
            TrackIndex::Fragmented(_) | TrackIndex::Webm(_) => None,
        }
    }
}

/// Reads the index of a file of `format`, of which `trim` is wanted.
pub fn read_index(
    format: Format,
    look: &mut dyn ReadAt,
    trim: TimeRange,
) -> Result<TrackIndex, SurveyError> {
    if look.len() > Layout::MAX_FILE_LEN {
        return Err(Unsupported("it is too long").into());
    }
    match format {
        Format::Mp4 => {
            let look = &mut WindowedReader::new(look, WindowPolicy::FRAGMENTS);
            let mut top = TopLevelBoxes::new(look);
            let moov = top.moov()?;
            if Moov::read(&moov)?.mvex.is_none() {
                return progressive::survey(top, moov).map(TrackIndex::Progressive);
            }
            top.refuse_quicktime()?;
            let behind = top.at();
            let track = fragmented::survey(look, &moov, behind, trim)?;
            Ok(TrackIndex::Fragmented(Box::new(track)))
        }
        Format::Webm => webm::survey(look).map(TrackIndex::Webm),
        _ => Err(Unsupported("its format is neither MP4 nor WebM").into()),
    }
}

/// When the key frame comes of a file of `format` that cannot be spliced, with which its video is shown from
/// `start` on, by its own clock, if an index or its fragments tell.
pub fn key_frame(
    format: Format,
    look: &mut dyn ReadAt,
    start: Duration,
) -> Result<Option<Duration>, SurveyError> {
    let found = match format {
        Format::Mp4 => {
            let look = &mut WindowedReader::new(look, WindowPolicy::FRAGMENTS);
            let mut top = TopLevelBoxes::new(look);
            let moov = top.moov()?;
            let behind = top.at();
            fragmented::key_frame(look, &moov, behind, start)
        }
        Format::Webm | Format::Matroska => webm::key_frame(look, start),
        _ => Ok(None),
    };
    match found {
        Err(SurveyError::Refused(_)) => Ok(None),
        found => found,
    }
}

/// Makes sure that the boxes of an MP4 file end where it ends. `Halt::Refused` says that they are too
/// many to tell.
pub fn check_boxes(look: &mut dyn ReadAt) -> Result<(), SurveyError> {
    let look = &mut WindowedReader::new(look, WindowPolicy::FRAGMENTS);
    TopLevelBoxes::new(look).check_all()
}

/// Reads all heads of the fragments of an MP4 with sound alone: it is as if it had none, and so is the
/// file that is made of it.
pub fn read_gathered_index(look: &mut dyn ReadAt) -> Result<TrackIndex, SurveyError> {
    if look.len() > Layout::MAX_FILE_LEN {
        return Err(Unsupported("it is too long").into());
    }
    let look = &mut WindowedReader::new(look, WindowPolicy::FRAGMENTS);
    let mut top = TopLevelBoxes::new(look);
    let moov = top.moov()?;
    top.refuse_quicktime()?;
    let (behind, brands) = (top.at(), top.brands().to_vec());
    let Gathered { moov, media } = fragmented::gather(look, &moov, behind)?;
    Ok(TrackIndex::Progressive(progressive::Movie::gathered(moov, &brands, media)))
}

/// Lays out the joined file. `tracks` are one or two files, video first. Pure: the same surveys and
/// options give the same plan, wherever it is made.
pub fn plan<S: Borrow<TrackIndex>>(
    tracks: &[(TrackKind, S)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    let mp4 = matches!(
        options.container,
        ContainerChoice::Auto | ContainerChoice::Mp4 | ContainerChoice::M4a
    );
    let webm = matches!(options.container, ContainerChoice::Auto | ContainerChoice::Webm);
    if let Some(tracks) = all(tracks, |survey| match survey {
        TrackIndex::Fragmented(track) => Some(&**track),
        _ => None,
    }) {
        return if mp4 { fragmented::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    if let Some(tracks) = all(tracks, |survey| match survey {
        TrackIndex::Progressive(track) => Some(track),
        _ => None,
    }) {
        return if mp4 { progressive::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    if let Some(tracks) = all(tracks, |survey| match survey {
        TrackIndex::Webm(track) => Some(track),
        _ => None,
    }) {
        return if webm { webm::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    Err(Unsupported("the files are of different kinds"))
}

const OTHER_CONTAINER: Unsupported = Unsupported("another container is wanted than the files have");

/// All surveys as this kind of track, if they are all of it.
fn all<'a, S: Borrow<TrackIndex>, T>(
    tracks: &'a [(TrackKind, S)],
    of: impl Fn(&'a TrackIndex) -> Option<&'a T>,
) -> Option<Vec<(TrackKind, &'a T)>> {
    tracks.iter().map(|(kind, survey)| of(survey.borrow()).map(|track| (*kind, track))).collect()
}

/// Lays out a file that has its samples in its moov as if it were made for streaming: the index in
/// front, and behind it what is wanted. `alone` says whether it is all of the film, so that a file
/// that was named for its video gives its audio, too. Of what `trim` leaves out as much is left out
/// as can be; all else keeps its times. `None` if it is a file of another kind.
pub fn for_streaming(
    (kind, survey): (TrackKind, &TrackIndex),
    alone: bool,
    trim: TimeRange,
) -> Option<Result<Plan, Unsupported>> {
    match survey {
        TrackIndex::Progressive(movie) => {
            Some(progressive::for_streaming(kind, movie, alone, trim))
        }
        TrackIndex::Fragmented(_) | TrackIndex::Webm(_) => None,
    }
}
