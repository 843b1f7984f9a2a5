//! Two tracks in, one file out.
//!
//! [`Joint`] decides (purely) what the file will be; [`ffmpeg`] makes it. Must never know HTTP
//! beyond the media type of a file.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::{Error, Unusable};
use crate::media::{Kind, Tags};

pub mod ffmpeg;
pub mod fifo;
pub mod moov;
pub mod sniff;
pub mod splice;

use sniff::{Format, Head};
use splice::{Refusal, Survey};

/// The container that a client would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Wanted {
    /// Whatever suits the tracks.
    #[default]
    Auto,
    /// MP4.
    Mp4,
    /// WebM.
    Webm,
    /// Matroska, which takes nearly everything.
    Mkv,
    /// Sound alone: MP4 with AAC.
    M4a,
    /// Sound alone: MP3.
    Mp3,
    /// Sound alone: Ogg with Opus.
    Opus,
}

impl Wanted {
    /// The one that is called so.
    pub fn named(name: &str) -> Option<Wanted> {
        Some(match name {
            "auto" => Wanted::Auto,
            "mp4" => Wanted::Mp4,
            "webm" => Wanted::Webm,
            "mkv" => Wanted::Mkv,
            "m4a" => Wanted::M4a,
            "mp3" => Wanted::Mp3,
            "opus" => Wanted::Opus,
            _ => return None,
        })
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Wanted::Auto => "auto",
            Wanted::Mp4 => "mp4",
            Wanted::Webm => "webm",
            Wanted::Mkv => "mkv",
            Wanted::M4a => "m4a",
            Wanted::Mp3 => "mp3",
            Wanted::Opus => "opus",
        }
    }

    /// Whether there can be no picture in it.
    pub fn is_sound(self) -> bool {
        matches!(self, Wanted::M4a | Wanted::Mp3 | Wanted::Opus)
    }
}

/// What of the film is wanted. Cuts fall where the tracks can be cut: at or before `start`, and at
/// or behind `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Trim {
    /// From here on.
    pub start: Duration,
    /// Up to here; all the rest if it is not given.
    pub end: Option<Duration>,
}

impl Trim {
    /// Whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        *self == Trim::default()
    }
}

/// What joins the tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Engine {
    /// Splice where it can, ffmpeg for the rest.
    #[default]
    Auto,
    /// Splice or nothing.
    Splice,
    /// ffmpeg in any case.
    Ffmpeg,
}

impl Engine {
    /// This one, or another if this says nothing.
    pub fn or(self, other: Engine) -> Engine {
        if self == Engine::Auto { other } else { self }
    }

    /// The one that is called so.
    pub fn named(name: &str) -> Option<Engine> {
        match name {
            "auto" => Some(Engine::Auto),
            "splice" => Some(Engine::Splice),
            "ffmpeg" => Some(Engine::Ffmpeg),
            _ => None,
        }
    }
}

/// What a client would like of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Wish {
    /// Its container.
    pub container: Wanted,
    /// What makes it.
    pub engine: Engine,
    /// What of the film is in it.
    pub trim: Trim,
}

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
    pub kind: Kind,
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
    Join(Joint, Option<Refused>),
}

/// Why tracks are not spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The track that it is about, if it is about one.
    pub track: Option<Kind>,
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

/// Decides what becomes of `inputs`; `surveys` are there for all of them, or for none.
pub fn plan(
    inputs: Vec<Input>,
    surveys: Option<Vec<Surveyed>>,
    wish: &Wish,
    tags: &Tags,
) -> Result<Plan, Error> {
    if let [lone] = inputs[..]
        && is_passable(lone, wish)
        && tags.cover.is_none()
    {
        return Ok(Plan::Pass(finished(lone)));
    }
    if is_beyond(&inputs, wish.trim) {
        return Err(Error::BeyondEnd);
    }
    let refused = match surveys.map(|surveys| spliced(&inputs, surveys, wish, tags)) {
        Some(Ok(plan)) => return Ok(Plan::Splice(plan)),
        Some(Err(refused)) if wish.engine == Engine::Splice => {
            return Err(Error::NotSpliced(refused));
        }
        Some(Err(refused)) => Some(refused),
        None => None,
    };
    Ok(Plan::Join(Joint::new(inputs, wish, tags)?, refused))
}

/// Whether it is worth the while to survey a track of a film that has so many.
pub fn may_be_spliced(input: Input, tracks: usize, wish: &Wish, tags: &Tags) -> bool {
    let is_passed = tracks == 1 && is_passable(input, wish) && tags.cover.is_none();
    wish.engine != Engine::Ffmpeg && !is_passed
}

fn spliced(
    inputs: &[Input],
    surveys: Vec<Surveyed>,
    wish: &Wish,
    tags: &Tags,
) -> Result<splice::Plan, Refused> {
    let mut tracks = Vec::with_capacity(inputs.len());
    for (input, survey) in inputs.iter().zip(surveys) {
        let track = Some(input.kind);
        tracks.push((input.kind, survey.map_err(|why| Refused { track, why })?));
    }
    let options = splice::Options { container: wish.container, trim: wish.trim, tags };
    splice::plan(&tracks, &options).map_err(|why| Refused { track: None, why })
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
    kind == Kind::Video || head.has_picture == Some(false)
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
        Format::Ogg if kind == Kind::Video => ("video/ogg", "ogv"),
        Format::Ogg => ("audio/ogg", "ogg"),
        Format::Mp3 => ("audio/mpeg", "mp3"),
        Format::Adts => ("audio/aac", "aac"),
        Format::Flac => ("audio/flac", "flac"),
        Format::Wav => ("audio/wav", "wav"),
    };
    Finished { media_type, extension }
}

/// What the downloaders of a stream give to its muxer.
#[derive(Debug, Default)]
pub struct Supply {
    given: AtomicU64,
    awaiting: AtomicUsize,
}

impl Supply {
    /// Takes note of bytes that were given.
    pub fn add(&self, count: usize) {
        self.given.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Does something that may have to wait for an upstream.
    pub fn while_awaiting<T>(&self, fetch: impl FnOnce() -> T) -> T {
        self.awaiting.fetch_add(1, Ordering::Relaxed);
        let fetched = fetch();
        self.awaiting.fetch_sub(1, Ordering::Relaxed);
        fetched
    }

    /// Bytes that were given so far, all tracks together.
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Whether the muxer may be waiting for an upstream.
    pub fn is_awaited(&self) -> bool {
        self.awaiting.load(Ordering::Relaxed) > 0
    }
}

/// How the tracks will be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// Video first.
    pub inputs: Vec<Input>,
    /// What the file will be.
    pub container: Container,
    /// What of the film will be in it.
    pub trim: Trim,
    /// What it will say of itself.
    pub tags: Tags,
    /// How its sound is coded anew, if it does not fit as it is.
    pub recoding: Option<Recoding>,
}

/// A sound that is coded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recoding {
    /// As AAC.
    Aac,
    /// As MP3.
    Mp3,
    /// As Opus.
    Opus,
}

impl Joint {
    /// Decides how to join `inputs`.
    pub fn new(inputs: Vec<Input>, wish: &Wish, tags: &Tags) -> Result<Joint, Error> {
        if let Some(input) = inputs.iter().find(|input| !input.head.index_first) {
            return Err(Error::Unusable { track: input.kind, reason: Unusable::IndexAtEnd });
        }
        let container = match wish.container {
            Wanted::Mp4 => Container::Mp4,
            Wanted::Webm => Container::Webm,
            Wanted::Mkv => Container::Mkv,
            Wanted::M4a => Container::Mp4,
            Wanted::Mp3 => Container::Mp3,
            Wanted::Opus => Container::Ogg,
            Wanted::Auto => suitable(&inputs),
        };
        if container != Container::Mp4
            && let Some(raw) = inputs.iter().find(|input| input.head.format == Format::Adts)
        {
            return Err(Error::Unusable { track: raw.kind, reason: Unusable::OnlyInMp4 });
        }
        let recoding = inputs.first().and_then(|input| recoding(input.head, wish.container));
        Ok(Joint { inputs, container, trim: wish.trim, tags: tags.clone(), recoding })
    }

    /// How long each track will play, if it tells.
    pub fn durations(&self) -> Vec<Option<Duration>> {
        let left = |duration: Duration| {
            duration.min(self.trim.end.unwrap_or(duration)).saturating_sub(self.trim.start)
        };
        self.inputs.iter().map(|input| input.head.duration.map(left)).collect()
    }

    /// Whether an MP4 needs edit lists to keep the tracks in step. They stand in the index, and
    /// ffmpeg knows them only at the end of the first fragment: the first byte has to wait for
    /// it. Only tracks that begin at 0 and were not shifted do without.
    pub fn needs_edit_lists(&self) -> bool {
        !self.trim.is_whole() || self.inputs.iter().any(|input| input.head.shifted)
    }

    /// After how much film a fragment of an MP4 ends if no picture begins a new one before: with
    /// sound alone none ever does, and ffmpeg would keep all of it until its end.
    pub fn longest_fragment(&self) -> Duration {
        let has_picture = self.inputs.iter().any(|input| input.kind == Kind::Video);
        Duration::from_secs(if has_picture { 10 } else { 1 })
    }

    /// What the file is to those who get it.
    pub fn finished(&self) -> Finished {
        type_of(self.container, self.inputs.iter().map(|input| input.kind))
    }
}

/// What has to become of a sound for it to be what its container promises.
fn recoding(head: Head, wanted: Wanted) -> Option<Recoding> {
    match wanted {
        Wanted::M4a if !matches!(head.format, Format::Mp4 | Format::Adts) => Some(Recoding::Aac),
        Wanted::Mp3 if head.format != Format::Mp3 => Some(Recoding::Mp3),
        // Nothing but Opus has it.
        Wanted::Opus if head.pre_skip.is_none() => Some(Recoding::Opus),
        _ => None,
    }
}

/// The media type (RFC 4337, RFC 9559 §14) and the file extension of tracks in a container.
pub fn type_of(container: Container, mut kinds: impl Iterator<Item = Kind>) -> Finished {
    let has_picture = kinds.any(|kind| kind == Kind::Video);
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
    let durations = inputs.iter().map(|input| input.head.duration).collect::<Option<Vec<_>>>();
    let longest = durations.and_then(|durations| durations.into_iter().max());
    longest.is_some_and(|longest| trim.start >= longest)
}

/// The narrowest container that takes whatever files of these formats hold.
fn suitable(inputs: &[Input]) -> Container {
    let all = |fits: fn(Format) -> bool| inputs.iter().all(|input| fits(input.head.format));
    if !all(|format| format != Format::Adts)
        || all(|format| matches!(format, Format::Mp4 | Format::Adts | Format::Mp3))
    {
        Container::Mp4
    } else if all(|format| format == Format::Webm) {
        Container::Webm
    } else {
        Container::Mkv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint(formats: &[Format], wanted: Wanted) -> Joint {
        let kinds = [Kind::Video, Kind::Audio];
        let inputs = formats.iter().zip(kinds).enumerate().map(|(seconds, (format, kind))| {
            let duration = Some(Duration::from_secs(seconds as u64 + 1));
            let head = Head { duration, ..Head::of(*format) };
            Input { kind, head }
        });
        Joint::new(inputs.collect(), &wish(wanted), &Tags::default()).unwrap()
    }

    fn wish(container: Wanted) -> Wish {
        Wish { container, ..Wish::default() }
    }

    #[test]
    fn the_container_suits_both_tracks() {
        for (formats, container) in [
            (&[Format::Mp4, Format::Mp4][..], Container::Mp4),
            (&[Format::Mp4, Format::Adts], Container::Mp4),
            (&[Format::Webm, Format::Webm], Container::Webm),
            (&[Format::Mp4, Format::Webm], Container::Mkv),
            (&[Format::Matroska], Container::Mkv),
            (&[Format::Webm, Format::Flac], Container::Mkv),
            (&[Format::Webm, Format::Adts], Container::Mp4),
        ] {
            assert_eq!(joint(formats, Wanted::Auto).container, container, "{formats:?}");
        }
    }

    #[test]
    fn a_lone_file_that_is_as_wanted_is_passed_through() {
        let plan = |format, wanted, index_first| {
            let head = Head { index_first, has_picture: Some(false), ..Head::of(format) };
            plan(vec![Input { kind: Kind::Audio, head }], None, &wish(wanted), &Tags::default())
        };
        let passed = Finished { media_type: "audio/mpeg", extension: "mp3" };
        assert_eq!(plan(Format::Mp3, Wanted::Auto, true), Ok(Plan::Pass(passed)));
        assert!(matches!(plan(Format::Mp4, Wanted::Mp4, false), Ok(Plan::Pass(_))));
        assert!(matches!(plan(Format::Mp4, Wanted::Mkv, true), Ok(Plan::Join(..))));
        assert!(matches!(plan(Format::Webm, Wanted::Mp4, true), Ok(Plan::Join(..))));
        assert!(plan(Format::Mp4, Wanted::Mkv, false).is_err());
    }

    #[test]
    fn what_a_joint_tells_of_itself() {
        let both = joint(&[Format::Mp4, Format::Mp4], Wanted::Auto);
        let durations = vec![Some(Duration::from_secs(1)), Some(Duration::from_secs(2))];
        assert_eq!(both.durations(), durations);
        assert_eq!(both.finished().media_type, "video/mp4");
    }
}
