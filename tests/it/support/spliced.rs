//! The splice engine on files, without a daemon around it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use ytcanal::container::probe::{PROBE_SIZE, Probe, View, probe};
use ytcanal::error::{Error, Unsupported};
use ytcanal::media::removal::Removal;
use ytcanal::media::{Metadata, TrackKind};
use ytcanal::options::{ContainerChoice, TimeRange};
use ytcanal::splice::{
    ChunkSource, MAX_READ, Options, Plan, ReadAt, SourceSegment, SurveyError, TrackIndex,
    TrackInput, plan, read_index,
};

use super::framemd5::{Exactness, assert_same, packets};
use super::{number_from, run};

/// The complete video, in the container that suits it.
pub(crate) fn as_it_is(tags: &Metadata) -> Options<'_> {
    Options { container: ContainerChoice::Auto, time_range: TimeRange::default(), metadata: tags }
}

/// A file in memory that counts how often it is looked at beyond its first bytes.
pub(crate) struct Looked {
    pub(crate) bytes: Vec<u8>,
    pub(crate) requests: usize,
    pub(crate) segments: Option<Vec<SourceSegment>>,
}

impl ReadAt for Looked {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        assert!(range.end - range.start <= MAX_READ, "{range:?}");
        if range.end > PROBE_SIZE as u64 {
            self.requests += 1;
        }
        Ok(self.bytes[range.start as usize..range.end as usize].into())
    }

    fn segments(&self) -> Option<&[SourceSegment]> {
        self.segments.as_deref()
    }
}

/// What is to be joined, in memory.
#[derive(Default)]
pub(crate) struct Film {
    pub(crate) files: Vec<(TrackKind, Vec<u8>)>,
    /// The segments of each file, if they have any.
    pub(crate) segments: Vec<Vec<SourceSegment>>,
}

fn surveyed(
    (_, bytes): &(TrackKind, Vec<u8>),
    segments: Option<&Vec<SourceSegment>>,
    trim: TimeRange,
) -> Result<(TrackIndex, usize), SurveyError> {
    let head = &bytes[..bytes.len().min(PROBE_SIZE)];
    let Probe::Recognised(head) = probe(&View::front(head, Some(bytes.len() as u64), true)) else {
        return Err(Unsupported("the file's format is not known").into());
    };
    let mut looked = Looked { bytes: bytes.clone(), requests: 0, segments: segments.cloned() };
    let survey = read_index(head.format, &mut looked, trim, &Removal::NONE)?;
    Ok((survey, looked.requests))
}

impl Film {
    /// Of a video and an audio track.
    pub(crate) fn of(video: &Path, audio: &Path) -> Film {
        let read = |path| fs::read(path).unwrap();
        let files = vec![(TrackKind::Video, read(video)), (TrackKind::Audio, read(audio))];
        Film { files, segments: Vec::new() }
    }

    /// The surveys of all files.
    pub(crate) fn surveys(
        &self,
        trim: TimeRange,
    ) -> Result<Vec<(TrackKind, TrackIndex)>, SurveyError> {
        let survey = |(index, file)| surveyed(file, self.segments.get(index), trim);
        let files = self.files.iter().enumerate();
        files.map(|(index, file)| Ok((file.0, survey((index, file))?.0))).collect()
    }

    /// How many requests beyond the first the survey of each file takes.
    pub(crate) fn requests(&self) -> Vec<usize> {
        let files = self.files.iter().enumerate();
        let survey = |(index, file)| surveyed(file, self.segments.get(index), TimeRange::default());
        files.map(|file| survey(file).unwrap().1).collect()
    }

    /// The plan; panics if there is none.
    pub(crate) fn plan(&self, options: &Options<'_>) -> Plan {
        self.try_plan(options).unwrap()
    }

    /// The plan, or why there is none.
    pub(crate) fn try_plan(&self, options: &Options<'_>) -> Result<Plan, Unsupported> {
        match self.surveys(options.time_range) {
            Ok(surveys) => plan(&surveys, options),
            Err(SurveyError::Refused(refusal)) => Err(refusal),
            Err(SurveyError::Incomplete(how)) => Err(Unsupported(how.0)),
            Err(SurveyError::Failed(error)) => panic!("{error}"),
        }
    }

    /// These bytes of the joined file, or why they could not be made. The inputs bring exactly
    /// what is said to be needed, in chunks of any size, and send some of it on unseen.
    pub(crate) fn emit(&self, plan: &Plan, part: Range<u64>) -> Result<Vec<u8>, Error> {
        let mut random = fastrand::Rng::with_seed(part.start ^ part.end);
        let made = RefCell::new(Vec::new());
        let mut inputs = Vec::new();
        for (track, (kind, bytes)) in self.files.iter().enumerate() {
            let needs = plan.source_range(track, &part).unwrap_or(0..0);
            let rest = &bytes[needs.start as usize..needs.end as usize];
            let (largest, random) = (random.usize(1..200_000), random.fork());
            let bytes = Bytes { rest, largest, random, made: &made };
            inputs.push(TrackInput::new(*kind, needs.start, bytes));
        }
        plan.write_range(&part, &mut inputs, &mut |bytes| {
            made.borrow_mut().extend_from_slice(bytes);
            Ok(())
        })?;
        drop(inputs);
        Ok(made.into_inner())
    }

    /// All of the joined file. Makes sure that it has the length it should have, and that parts of
    /// it, at random and around the beginnings of pieces, are the same bytes made alone.
    pub(crate) fn whole(&self, plan: &Plan) -> Vec<u8> {
        let whole = self.emit(plan, 0..plan.len()).unwrap();
        assert_eq!(whole.len() as u64, plan.len(), "bytes made, and their number as announced");
        let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("YTCANAL_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let len = plan.len();
        let check = |part: Range<u64>| {
            let made = self.emit(plan, part.clone()).unwrap();
            let expected = &whole[part.start as usize..part.end as usize];
            assert!(made == expected, "the part {part:?} is not the same alone");
        };
        for _ in 0..40 {
            let start = random.u64(0..len);
            check(start..random.u64(start + 1..=len));
        }
        let pieces: Vec<_> = plan.extents().collect();
        for _ in 0..60 {
            let at = pieces[random.usize(0..pieces.len())].at;
            let start = at.saturating_add(random.u64(0..40)).saturating_sub(20).min(len - 1);
            check(start..(start + random.u64(1..3000)).min(len));
        }
        whole
    }
}

/// Makes sure that the joined file plays without complaint, and that its tracks are packet by
/// packet those of the sources.
pub(crate) fn assert_joined(joined: &Path, sources: &[(&str, &Path)], exactness: Exactness) {
    let decoded = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(joined)
        .args(["-f", "null", "-"]));
    let said = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && said.is_empty(), "{joined:?}: {said}");
    for (stream, source) in sources {
        let what = format!("{stream} of {joined:?}");
        assert_same(&packets(source, stream), &packets(joined, stream), exactness, &what);
    }
}

/// What is needed of a file, in chunks up to the largest.
struct Bytes<'a> {
    rest: &'a [u8],
    largest: usize,
    random: fastrand::Rng,
    /// Where the joined file goes.
    made: &'a RefCell<Vec<u8>>,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, most: usize) -> &'a [u8] {
        let (chunk, later) = self.rest.split_at(self.rest.len().min(most));
        self.rest = later;
        chunk
    }
}

impl ChunkSource for Bytes<'_> {
    fn next_chunk(&mut self, _: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        assert!(!self.rest.is_empty(), "more is read than is needed");
        let chunk = self.take(self.largest);
        Ok((chunk.to_vec(), chunk.len()))
    }

    fn splice_to_sink(&mut self, most: u64) -> Result<u64, Error> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let count = self.random.usize(0..=self.largest).min(most);
        assert!(count <= self.rest.len(), "more is passed on than is needed");
        let chunk = self.take(count);
        self.made.borrow_mut().extend_from_slice(chunk);
        Ok(count as u64)
    }
}
