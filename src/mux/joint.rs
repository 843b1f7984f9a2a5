//! How ffmpeg is to join tracks: into which container, what is coded anew, what the file says. Pure.

use std::time::Duration;

use super::sniff::{Format, Head};
use super::{Container, Finished, Input, Trim, Wanted, Wish, type_of};
use crate::error::{Error, Unusable};
use crate::media::{Kind, Tags};

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
    fn what_a_joint_tells_of_itself() {
        let both = joint(&[Format::Mp4, Format::Mp4], Wanted::Auto);
        let durations = vec![Some(Duration::from_secs(1)), Some(Duration::from_secs(2))];
        assert_eq!(both.durations(), durations);
        assert_eq!(both.finished().media_type, "video/mp4");
    }

    #[test]
    fn a_sound_is_coded_anew_only_where_it_must() {
        let recoding = |format, pre_skip, container| {
            let head = Head { pre_skip, ..Head::of(format) };
            let inputs = vec![Input { kind: Kind::Audio, head }];
            Joint::new(inputs, &wish(container), &Tags::default()).unwrap().recoding
        };
        let skip = Some(Duration::from_millis(6));
        assert_eq!(recoding(Format::Mp4, None, Wanted::M4a), None);
        assert_eq!(recoding(Format::Webm, skip, Wanted::M4a), Some(Recoding::Aac));
        assert_eq!(recoding(Format::Mp4, None, Wanted::Mp3), Some(Recoding::Mp3));
        assert_eq!(recoding(Format::Webm, skip, Wanted::Opus), None);
        assert_eq!(recoding(Format::Webm, None, Wanted::Opus), Some(Recoding::Opus));
        assert_eq!(recoding(Format::Webm, skip, Wanted::Webm), None);
    }
}
