//! Splice: joins two tracks without a muxer, into a file whose every byte is known beforehand.
//!
//! The files of a film have an index each. From the two, [`plan`] computes the layout of the
//! joined file: its head, made anew, and behind it the pieces of both files in the order of their
//! times. Hence the file has a length before its first byte is there, and any part of it can be
//! made alone: it behaves like a file on a disk.
//!
//! Three steps: [`survey`] reads the index of one file (through [`Look`], its only way out),
//! [`plan`] lays out the joined file, [`Plan::emit`] makes its bytes. What does not fit is
//! refused with a reason, and ffmpeg does it. Must never know HTTP, nor allocate by a length that
//! a file claims before that length was held to a limit.

use std::borrow::{Borrow, Cow};
use std::ops::Range;
use std::time::Duration;

use crate::error::Error;
use crate::media::{Metadata, TrackKind};
use crate::mux::completeness::Incomplete;
use crate::mux::probe::Format;
use crate::mux::{ContainerChoice, TimeRange};

pub mod boxes;
pub mod ebml;
mod edits;
mod entry;
mod fragmented;
#[cfg(test)]
mod golden;
mod headers;
mod input;
mod layout;
mod near;
mod progressive;
mod tags;
mod top;
mod trak;
mod webm;

pub use input::{Flow, Input, Window};
pub use layout::{Layout, Piece, Plan, Rules, Runs};

use fragmented::Gathered;
use near::{Near, Reach};
use top::Top;
use trak::Moov;

/// Changes whenever the same inputs and options would give other bytes than before: the client
/// that resumes must not be given the rest of another layout.
pub const VERSION: u32 = 5;

/// The longest run of bytes that is looked at in one go.
pub const MAX_LOOK: u64 = 16 << 20;
/// The longest element that is held whole, to be changed: a moof, the head of a block.
pub const MAX_ELEMENT: usize = 8 << 20;

/// Looks at the bytes of one file, wherever they are.
pub trait Look {
    /// The length of the file.
    fn len(&self) -> u64;

    /// Exactly these bytes. They must lie within the file and be no more than [`MAX_LOOK`].
    /// The first 64 KiB come by themselves, and are waited for as far as the range reaches; anything
    /// else is one more request.
    fn look(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, Halt>;

    /// Looks at several places of the file in turn, at each as far as `next` wants: `begins` says where
    /// first, and whatever was seen is given to `next`, with the number of its chain and its place,
    /// which says where to look next in this chain. Chains know nothing of each other, and may go
    /// on at the same time. None of the ranges may be longer than 1 MiB.
    fn chains(&mut self, begins: Vec<Range<u64>>, next: &Next<'_>) -> Result<(), Halt> {
        for (chain, begin) in begins.into_iter().enumerate() {
            let mut wanted = Some(begin);
            while let Some(range) = wanted {
                let at = range.start;
                wanted = next(chain, at, &self.look(range)?)?;
            }
        }
        Ok(())
    }

    /// How many of the first bytes are here already: to look at them takes no time at all.
    fn at_hand(&self) -> u64 {
        0
    }

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is to be looked at next in a chain in which these bytes were seen there, if anything.
pub type Next<'n> = dyn Fn(usize, u64, &[u8]) -> Result<Option<Range<u64>>, Halt> + Sync + 'n;

/// Why these files cannot be spliced. An ordinary value: ffmpeg joins them then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

/// Why nobody can join a file, nor play it.
pub const ENCRYPTED: Refusal = Refusal("it is encrypted");

/// What ends a survey early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// The file is none that can be spliced.
    Refused(Refusal),
    /// The file lacks its end: nothing else may join it, either.
    Incomplete(Incomplete),
    /// Its bytes could not be had.
    Failed(Error),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Halt {
        Halt::Refused(refusal)
    }
}

impl From<Incomplete> for Halt {
    fn from(incomplete: Incomplete) -> Halt {
        Halt::Incomplete(incomplete)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Failed(error)
    }
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Survey {
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
    pub trim: TimeRange,
    /// What it says of itself.
    pub tags: &'a Metadata,
}

impl Survey {
    /// How long the file says that it plays, if that was looked at.
    pub fn duration(&self) -> Option<Duration> {
        match self {
            Survey::Progressive(movie) => movie.duration(),
            Survey::Fragmented(track) => track.shown_until(),
            Survey::Webm(_) => None,
        }
    }

    /// When it begins to play, by its own clock, if that was looked at.
    pub fn begin(&self) -> Option<Duration> {
        match self {
            Survey::Progressive(movie) => Some(movie.begin()),
            Survey::Fragmented(_) | Survey::Webm(_) => None,
        }
    }

    /// When the key frame is decoded that must come first for a picture to be shown from `start` on, by
    /// the clock of the file, if it is known.
    pub fn entry(&self, start: Duration) -> Option<Duration> {
        let entry = match self {
            Survey::Progressive(movie) => movie.entry(start),
            Survey::Fragmented(track) => track.entry(),
            Survey::Webm(track) => track.entry(start),
        };
        entry.filter(|entry| *entry <= start)
    }

    /// Whether there is video in the file, be it a still picture, if that was looked at.
    pub fn has_video(&self) -> Option<bool> {
        match self {
            Survey::Progressive(movie) => Some(movie.has(TrackKind::Video)),
            Survey::Fragmented(_) | Survey::Webm(_) => None,
        }
    }
}

/// Reads the index of a file of `format`, of which `trim` is wanted.
pub fn survey(format: Format, look: &mut dyn Look, trim: TimeRange) -> Result<Survey, Halt> {
    if look.len() > Layout::LONGEST_FILE {
        return Err(Refusal("it is too long").into());
    }
    match format {
        Format::Mp4 => {
            let look = &mut Near::new(look, Reach::FRAGMENTS);
            let mut top = Top::new(look);
            let moov = top.moov()?;
            if Moov::read(&moov)?.mvex.is_none() {
                return progressive::survey(top, moov).map(Survey::Progressive);
            }
            top.refuse_quicktime()?;
            let behind = top.at();
            let track = fragmented::survey(look, &moov, behind, trim)?;
            Ok(Survey::Fragmented(Box::new(track)))
        }
        Format::Webm => webm::survey(look).map(Survey::Webm),
        _ => Err(Refusal("its format is neither MP4 nor WebM").into()),
    }
}

/// When the key frame comes of a file of `format` that cannot be spliced, with which its video is shown from
/// `start` on, by its own clock, if an index or its fragments tell.
pub fn key_frame(
    format: Format,
    look: &mut dyn Look,
    start: Duration,
) -> Result<Option<Duration>, Halt> {
    let found = match format {
        Format::Mp4 => {
            let look = &mut Near::new(look, Reach::FRAGMENTS);
            let mut top = Top::new(look);
            let moov = top.moov()?;
            let behind = top.at();
            fragmented::key_frame(look, &moov, behind, start)
        }
        Format::Webm | Format::Matroska => webm::key_frame(look, start),
        _ => Ok(None),
    };
    match found {
        Err(Halt::Refused(_)) => Ok(None),
        found => found,
    }
}

/// Makes sure that the boxes of an MP4 file end where it ends. `Halt::Refused` says that they are too
/// many to tell.
pub fn check_boxes(look: &mut dyn Look) -> Result<(), Halt> {
    let look = &mut Near::new(look, Reach::FRAGMENTS);
    Top::new(look).pass_all()
}

/// Reads all heads of the fragments of an MP4 with sound alone: it is as if it had none, and so is the
/// file that is made of it.
pub fn survey_gathered(look: &mut dyn Look) -> Result<Survey, Halt> {
    if look.len() > Layout::LONGEST_FILE {
        return Err(Refusal("it is too long").into());
    }
    let look = &mut Near::new(look, Reach::FRAGMENTS);
    let mut top = Top::new(look);
    let moov = top.moov()?;
    top.refuse_quicktime()?;
    let (behind, brands) = (top.at(), top.brands().to_vec());
    let Gathered { moov, media } = fragmented::gather(look, &moov, behind)?;
    Ok(Survey::Progressive(progressive::Movie::gathered(moov, &brands, media)))
}

/// Lays out the joined file. `tracks` are one or two files, video first. Pure: the same surveys and
/// options give the same plan, wherever it is made.
pub fn plan<S: Borrow<Survey>>(
    tracks: &[(TrackKind, S)],
    options: &Options<'_>,
) -> Result<Plan, Refusal> {
    let mp4 = matches!(
        options.container,
        ContainerChoice::Auto | ContainerChoice::Mp4 | ContainerChoice::M4a
    );
    let webm = matches!(options.container, ContainerChoice::Auto | ContainerChoice::Webm);
    if let Some(tracks) = all(tracks, |survey| match survey {
        Survey::Fragmented(track) => Some(&**track),
        _ => None,
    }) {
        return if mp4 { fragmented::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    if let Some(tracks) = all(tracks, |survey| match survey {
        Survey::Progressive(track) => Some(track),
        _ => None,
    }) {
        return if mp4 { progressive::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    if let Some(tracks) = all(tracks, |survey| match survey {
        Survey::Webm(track) => Some(track),
        _ => None,
    }) {
        return if webm { webm::plan(&tracks, options) } else { Err(OTHER_CONTAINER) };
    }
    Err(Refusal("the files are of different kinds"))
}

const OTHER_CONTAINER: Refusal = Refusal("another container is wanted than the files have");

/// All surveys as this kind of track, if they are all of it.
fn all<'a, S: Borrow<Survey>, T>(
    tracks: &'a [(TrackKind, S)],
    of: impl Fn(&'a Survey) -> Option<&'a T>,
) -> Option<Vec<(TrackKind, &'a T)>> {
    tracks.iter().map(|(kind, survey)| of(survey.borrow()).map(|track| (*kind, track))).collect()
}

/// Lays out a file that has its samples in its moov as if it were made for streaming: the index in
/// front, and behind it what is wanted. `alone` says whether it is all of the film, so that a file
/// that was named for its video gives its audio, too. Of what `trim` leaves out as much is left out
/// as can be; all else keeps its times. `None` if it is a file of another kind.
pub fn for_streaming(
    (kind, survey): (TrackKind, &Survey),
    alone: bool,
    trim: TimeRange,
) -> Option<Result<Plan, Refusal>> {
    match survey {
        Survey::Progressive(movie) => Some(progressive::for_streaming(kind, movie, alone, trim)),
        Survey::Fragmented(_) | Survey::Webm(_) => None,
    }
}
