//! Two tracks in, one file out.
//!
//! [`Joint`] decides (purely) what the file will be; [`ffmpeg`] makes it. Must never know HTTP
//! beyond the media type of a file.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, InputError};
use crate::media::{Metadata, TrackKind};

pub mod completeness;
pub mod ffmpeg;
pub mod fifo;
mod joint;
pub mod moov;
mod parameter_sets;
pub mod sniff;
pub mod splice;
mod supply;
mod wish;

pub use joint::{Joint, Mapped, Recoding};
pub use parameter_sets::SampleEntry;
pub use supply::Supply;
pub use wish::{Engine, Trim, Wanted, Wish};

use sniff::{Codec, Format, Head, View};
use splice::{Refusal, Survey};

/// The container of the joined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Fragmented MP4.
    Mp4,
    /// WebM.
    Webm,
    /// Matroska.
    Mkv,
    /// MP3.
    Mp3,
    /// Ogg with Opus in it.
    Ogg,
}

/// One track with what is known of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Picture or sound.
    pub kind: TrackKind,
    /// What its first bytes say.
    pub head: Head,
}

/// What becomes of the tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// The only one is finished as it is.
    Pass(Finished),
    /// They are spliced.
    Splice(splice::Plan),
    /// They are joined by ffmpeg.
    Join(Join),
}

/// How ffmpeg joins tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// What it makes of them.
    pub joint: Joint,
    /// What each input is given instead of its file, where that is not as it must be to be joined
    /// while it arrives, or holds more than is wanted.
    pub feeds: Vec<Option<splice::Plan>>,
    /// Why they are not spliced, if that was tried.
    pub refused: Option<Refused>,
}

/// Why tracks are not spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The track that it is about, if it is about one.
    pub track: Option<TrackKind>,
    /// What is in the way.
    pub why: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.track {
            Some(track) => write!(f, "{track}: {}", self.why.0),
            None => f.write_str(self.why.0),
        }
    }
}

/// What a file is to those who get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Its media type.
    pub media_type: &'static str,
    /// Its file extension.
    pub extension: &'static str,
}

/// What splice found out about a track, or why it is of no use to it.
pub type Surveyed = Result<Survey, Refusal>;

/// Decides what becomes of `inputs`; of each there is a survey, if it was worth the while. `key_frame` is
/// where what is wanted of the video begins, if that was looked for beside it.
pub fn plan(
    mut inputs: Vec<Input>,
    surveys: &[Option<Surveyed>],
    key_frame: Option<Duration>,
    wish: &Wish,
    tags: &Metadata,
) -> Result<Plan, Error> {
    if let [lone] = inputs[..]
        && is_passable(lone, wish)
        && tags.cover.is_none()
    {
        if is_gathered(lone, 1, wish) {
            match spliced(&inputs, surveys, wish, tags) {
                Some(Ok(plan)) => return Ok(Plan::Splice(plan)),
                Some(Err(refused)) => log::debug!("passed through as it is: {refused}"),
                None => {}
            }
        }
        return Ok(Plan::Pass(finished(lone)));
    }
    if is_beyond(&inputs, wish.trim) {
        return Err(Error::StartBeyondEnd);
    }
    let refused = match spliced(&inputs, surveys, wish, tags) {
        Some(Ok(plan)) => return Ok(Plan::Splice(plan)),
        Some(Err(refused)) if wish.engine == Engine::Splice => {
            // Which of them it is shows when they are looked at one by one.
            if refused.why == splice::ENCRYPTED {
                feeds(&mut inputs, surveys, wish.trim)?;
            }
            return Err(Error::NotSpliced(refused));
        }
        Some(Err(refused)) => Some(refused),
        None => None,
    };
    let wish = &Wish { trim: with_entry(&inputs, surveys, key_frame, wish.trim), ..*wish };
    let feeds = feeds(&mut inputs, surveys, wish.trim)?;
    Ok(Plan::Join(Join { joint: Joint::new(inputs, wish, tags)?, feeds, refused }))
}

/// Whether it is worth the while to survey a track of a film that has so many: it may be spliced, or
/// ffmpeg cannot have it as it is.
pub fn is_surveyed(input: Input, tracks: usize, wish: &Wish, tags: &Metadata) -> bool {
    let is_finished = is_passed(input, tracks, wish, tags) && !is_gathered(input, tracks, wish);
    !is_finished && (wish.engine != Engine::Ffmpeg || !input.head.index_first)
}

/// Whether it is sound alone, in fragments, for which players want one index of all samples; who names
/// MP4 gets it as it is.
pub fn is_gathered(input: Input, tracks: usize, wish: &Wish) -> bool {
    tracks == 1
        && wish.engine != Engine::Ffmpeg
        && input.kind == TrackKind::Audio
        && is_as_asked(input)
        && input.head.in_fragments
        && matches!(wish.container, Wanted::Auto | Wanted::M4a)
}

fn is_passed(input: Input, tracks: usize, wish: &Wish, tags: &Metadata) -> bool {
    tracks == 1 && is_passable(input, wish) && tags.cover.is_none()
}

/// Whether more should be known of a track than its front tells, which may take another request: how
/// long it plays, if only its end tells that, and if it is joined; when it begins, if it is cut; what its
/// tracks are, if they are told of far behind, it is joined, and no survey will tell. Where no part of
/// it can be asked for (`ranged`), its end is too far.
pub fn deserves_a_look(
    input: Input,
    tracks: usize,
    wish: &Wish,
    tags: &Metadata,
    ranged: bool,
) -> bool {
    let head = input.head;
    let is_joined = !is_passed(input, tracks, wish, tags);
    match head.format {
        Format::Ogg => ranged && head.end.is_none() && is_joined,
        Format::Webm | Format::Matroska => ranged && !wish.trim.is_whole(),
        Format::Mp4 => {
            let is_surveyed = ranged && wish.engine != Engine::Ffmpeg;
            head.is_encrypted.is_none() && is_joined && !is_surveyed
        }
        _ => false,
    }
}

/// From when on the video of an input is to be shown, on its own clock, if its key frames are to be looked
/// for: it is cut, no survey told of them, and ffmpeg is not what was asked for.
pub fn awaits_key_frame(
    inputs: &[Input],
    kind: TrackKind,
    survey: Option<&Surveyed>,
    wish: &Wish,
) -> Option<Duration> {
    let Wish { engine, trim: Trim { start, .. }, .. } = *wish;
    let is_told = matches!(survey, Some(Ok(_)));
    let is_cut = kind == TrackKind::Video && engine == Engine::Auto && !start.is_zero();
    (is_cut && !is_told).then(|| start.saturating_add(joint::begin(inputs)))
}

/// The tracks spliced, or why not; `None` if nobody wants that.
fn spliced(
    inputs: &[Input],
    surveys: &[Option<Surveyed>],
    wish: &Wish,
    tags: &Metadata,
) -> Option<Result<splice::Plan, Refused>> {
    if wish.engine == Engine::Ffmpeg {
        return None;
    }
    let surveys = surveys.iter().map(Option::as_ref).collect::<Option<Vec<_>>>()?;
    let tracks = inputs.iter().zip(surveys).map(|(input, survey)| match survey {
        Ok(survey) => Ok((input.kind, survey)),
        Err(why) => Err(Refused { track: Some(input.kind), why: *why }),
    });
    let options = splice::Options { container: wish.container, trim: wish.trim, tags };
    Some(tracks.collect::<Result<Vec<_>, _>>().and_then(|tracks| {
        splice::plan(&tracks, &options).map_err(|why| Refused { track: None, why })
    }))
}

/// A part that begins with a key frame of its picture, where that is known: ffmpeg would leave out all of
/// it up to the next one. What is decoded before the start is left out, whenever it is shown.
fn with_entry(
    inputs: &[Input],
    surveys: &[Option<Surveyed>],
    key_frame: Option<Duration>,
    trim: Trim,
) -> Trim {
    let begin = joint::begin(inputs);
    let start = trim.start.saturating_add(begin);
    let mut picture = inputs.iter().zip(surveys).filter(|(Input { kind, head }, _)| {
        let end = head.video_end.or(head.end);
        *kind == TrackKind::Video && end.is_none_or(|end| end > start)
    });
    let entry = picture.find_map(|(_, survey)| match survey {
        Some(Ok(survey)) => survey.entry(start),
        _ => key_frame.filter(|key_frame| *key_frame <= start),
    });
    match entry.filter(|_| !trim.start.is_zero()) {
        Some(entry) => Trim { start: entry.saturating_sub(begin), ..trim },
        None => trim,
    }
}

/// What ffmpeg is given instead of files: a film with its samples in its index as if it were made for
/// streaming, with that index in front and no more than what is wanted. The inputs are then such
/// files. One with its index at its end can be joined in no other way.
fn feeds(
    inputs: &mut [Input],
    surveys: &[Option<Surveyed>],
    trim: Trim,
) -> Result<Vec<Option<splice::Plan>>, Error> {
    let alone = inputs.len() == 1;
    let trim = if trim.is_whole() { trim } else { trim.on_clock_from(joint::begin(inputs)) };
    let mut feeds = Vec::with_capacity(inputs.len());
    for (input, survey) in inputs.iter_mut().zip(surveys) {
        let laid_out = match survey {
            Some(Ok(survey)) => splice::for_streaming((input.kind, survey), alone, trim),
            Some(Err(why)) => Some(Err(*why)),
            None => None,
        };
        feeds.push(match laid_out {
            Some(Ok(plan)) => {
                let view = View::front(plan.head(), Some(plan.len()), false);
                if let sniff::Verdict::Known(head) = sniff::sniff(&view) {
                    // Cut, it keeps its clock.
                    input.head = Head { begin: input.head.begin, ..head };
                }
                Some(plan)
            }
            Some(Err(splice::ENCRYPTED)) => {
                return Err(Error::Unusable { track: input.kind, reason: InputError::Encrypted });
            }
            Some(Err(Refusal(why))) if !input.head.index_first => {
                let reason = InputError::IndexAtEnd(why);
                return Err(Error::Unusable { track: input.kind, reason });
            }
            _ => None,
        });
    }
    Ok(feeds)
}

/// Whether a lone file is what is wanted as it is.
fn is_passable(lone: Input, wish: &Wish) -> bool {
    wish.engine != Engine::Ffmpeg
        && wish.trim.is_whole()
        && is_as_asked(lone)
        && fits(lone.head.format, wish.container)
}

/// Whether a file holds what it was named for: who asks for a picture takes the sound in it, but
/// who asks for sound alone does not want the film.
fn is_as_asked(Input { kind, head }: Input) -> bool {
    kind == TrackKind::Video || head.has_picture == Some(false)
}

/// Whether a file of this format is what a client would like.
fn fits(format: Format, wanted: Wanted) -> bool {
    match wanted {
        Wanted::Auto => true,
        Wanted::Mp4 => format == Format::Mp4,
        Wanted::Webm => format == Format::Webm,
        Wanted::Mkv => format == Format::Matroska,
        Wanted::M4a => format == Format::Mp4,
        Wanted::Mp3 => format == Format::Mp3,
        // Ogg may have Vorbis in it.
        Wanted::Opus => false,
    }
}

/// Media types as IANA has them; RFC 5334 for Ogg.
fn finished(Input { kind, head }: Input) -> Finished {
    let kinds = std::iter::once(kind);
    let (media_type, extension) = match head.format {
        Format::Mp4 => return type_of(Container::Mp4, kinds),
        Format::Webm => return type_of(Container::Webm, kinds),
        Format::Matroska => return type_of(Container::Mkv, kinds),
        Format::Ogg if kind == TrackKind::Video => ("video/ogg", "ogv"),
        Format::Ogg => ("audio/ogg", "ogg"),
        Format::Mp3 if head.audio == Some(Codec::Mp2) => ("audio/mpeg", "mp2"),
        Format::Mp3 => ("audio/mpeg", "mp3"),
        Format::Adts => ("audio/aac", "aac"),
        Format::Flac => ("audio/flac", "flac"),
        Format::Wav => ("audio/wav", "wav"),
        Format::Aiff => ("audio/aiff", "aiff"),
        Format::Au => ("audio/basic", "au"),
        Format::Wave64 => ("audio/x-w64", "w64"),
        // RFC 4184 and RFC 4598.
        Format::Ac3 => ("audio/ac3", "ac3"),
        Format::Eac3 => ("audio/eac3", "eac3"),
        Format::Flv => ("video/x-flv", "flv"),
    };
    Finished { media_type, extension }
}

/// The media type (RFC 4337, RFC 9559 §14) and the file extension of tracks in a container.
pub fn type_of(container: Container, mut kinds: impl Iterator<Item = TrackKind>) -> Finished {
    let has_picture = kinds.any(|kind| kind == TrackKind::Video);
    let (media_type, extension) = match (container, has_picture) {
        (Container::Mp4, true) => ("video/mp4", "mp4"),
        (Container::Mp4, false) => ("audio/mp4", "m4a"),
        (Container::Webm, true) => ("video/webm", "webm"),
        (Container::Webm, false) => ("audio/webm", "webm"),
        (Container::Mkv, true) => ("video/x-matroska", "mkv"),
        (Container::Mkv, false) => ("audio/x-matroska", "mka"),
        (Container::Mp3, _) => ("audio/mpeg", "mp3"),
        (Container::Ogg, _) => ("audio/ogg", "opus"),
    };
    Finished { media_type, extension }
}

/// Whether nothing of the film is left, as far as it is known how long it plays.
fn is_beyond(inputs: &[Input], trim: Trim) -> bool {
    let ends = inputs.iter().map(|input| input.head.end).collect::<Option<Vec<_>>>();
    let last = ends.and_then(|ends| ends.into_iter().max());
    last.is_some_and(|last| trim.start.saturating_add(joint::begin(inputs)) >= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_file_that_is_as_wanted_is_passed_through() {
        let plan = |format, wanted, index_first| {
            let head = Head { index_first, has_picture: Some(false), ..Head::of(format) };
            let survey = (!index_first).then_some(Err(Refusal("it is none")));
            plan(
                vec![Input { kind: TrackKind::Audio, head }],
                &[survey],
                None,
                &Wish { container: wanted, ..Wish::default() },
                &Metadata::default(),
            )
        };
        let passed = Finished { media_type: "audio/mpeg", extension: "mp3" };
        assert_eq!(plan(Format::Mp3, Wanted::Auto, true), Ok(Plan::Pass(passed)));
        assert!(matches!(plan(Format::Mp4, Wanted::Mp4, false), Ok(Plan::Pass(_))));
        assert!(matches!(plan(Format::Mp4, Wanted::Mkv, true), Ok(Plan::Join(..))));
        assert!(matches!(plan(Format::Webm, Wanted::Mp4, true), Ok(Plan::Join(..))));
        assert!(plan(Format::Mp4, Wanted::Mkv, false).is_err());
    }
}
