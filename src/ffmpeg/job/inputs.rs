//! The inputs of a job that its tracks come from.

use super::{FfmpegJob, MappedTrack};
use crate::container::Container;
use crate::container::probe::ProbedInput;
use crate::media::track_label::TrackLabel;
use crate::media::{Metadata, TrackKind};
use crate::splice;

/// Returns the inputs that these tracks come from, and their indexes among all; renumbers those of the tracks.
pub(super) fn used(
    inputs: Vec<ProbedInput>,
    tracks: &mut [MappedTrack],
) -> (Vec<ProbedInput>, Vec<usize>) {
    let is_used = |index: &usize| tracks.iter().any(|track| track.from == *index);
    let used: Vec<usize> = (0..inputs.len()).filter(is_used).collect();
    for track in tracks {
        track.from = used.iter().position(|index| *index == track.from).unwrap_or(0);
    }
    let inputs = inputs.into_iter().enumerate().filter(|(index, _)| used.contains(index));
    (inputs.map(|(_, input)| input).collect(), used)
}

impl FfmpegJob {
    /// Returns the file that ffmpeg reads from its standard input, beside the tracks: of metadata or of text. `None` if
    /// it needs none.
    pub fn input_file(&self) -> Option<Vec<u8>> {
        self.metadata_file().or_else(|| self.text_file())
    }

    /// Returns the file of text that ffmpeg reads. The chapters of an MP4 are added to its header instead: from ffmpeg
    /// they would become a track. Those of audio alone are in its tags.
    pub(in crate::ffmpeg) fn text_file(&self) -> Option<Vec<u8>> {
        let has_chapters = self.container != Container::Mp4 && !self.is_audio_only;
        let chapters = if has_chapters { self.metadata.chapters.clone() } else { Vec::new() };
        splice::text_file(&Metadata { chapters, ..self.metadata.clone() })
    }

    /// Returns the input that the first track of this kind comes from.
    pub fn source(&self, kind: TrackKind) -> Option<&ProbedInput> {
        self.inputs.get(self.tracks.iter().find(|track| track.kind == kind)?.from)
    }

    /// Returns the audio tracks, each with its input and its label.
    pub fn audios(&self) -> impl Iterator<Item = (&ProbedInput, Option<&TrackLabel>)> + Clone {
        let audios = self.tracks.iter().filter(|track| track.kind == TrackKind::Audio);
        audios.filter_map(|track| {
            let file = self.used.get(track.from)?;
            Some((self.inputs.get(track.from)?, self.metadata.labels.get(*file)))
        })
    }
}
