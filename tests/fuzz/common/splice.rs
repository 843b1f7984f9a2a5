//! Reads the indexes of two files, plans and joins them: whatever they hold, the joined file has the planned
//! length or is an error; any byte range of it is the same on its own; no byte is read in vain. They are joined while
//! they arrive, too: that ends, and takes no more room than they do.
//!
//! An input is a line of numbers, followed by both files. The numbers are the length of the first file, that
//! of the chunks in which the files arrive, start and length of the time range in milliseconds (a length of 0
//! means all), and the start of a byte range; of transport streams also the length and the duration of a segment,
//! in packets and milliseconds; of MP4, the offset of the only segment, if there is one; of WebM, whether each cluster
//! is a segment, and the duration of a segment in milliseconds.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use ytcanal::container::probe::{Format, PROBE_SIZE};
use ytcanal::container::retime::Restart;
use ytcanal::error::Error;
use ytcanal::media::removal::Removal;
use ytcanal::media::segments::Declared;
use ytcanal::media::{Metadata, TrackKind};
use ytcanal::options::{ContainerChoice, TimeRange};
use ytcanal::splice::{
    self, CountedAudio, MAX_READ, Options, Plan, ReadAt, SourceSegment, SurveyError, TrackIndex,
    TrackInput, read_index,
};

static TAGS: Metadata = Metadata::NONE;
/// Reading an index in more steps than this would keep the client waiting for too long.
const MAX_READS: usize = 2000;

/// How much longer the part of a segment is in the joined file.
const PADDING: u64 = 4096;

struct File<'a>(&'a [u8], usize, Option<Vec<SourceSegment>>);

impl ReadAt for File<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?}");
        assert!(range.end - range.start <= MAX_READ, "{range:?}");
        // The first bytes are buffered already.
        self.1 += usize::from(range.end > PROBE_SIZE as u64);
        assert!(self.1 <= MAX_READS, "it does not stop reading");
        Ok(self.0[range.start as usize..range.end as usize].into())
    }

    fn segments(&self) -> Option<&[SourceSegment]> {
        self.2.as_deref()
    }
}

/// Segments of so many packets.
fn segments(bytes: &[u8], packets: u64, milliseconds: u64) -> Vec<SourceSegment> {
    let each = (packets as usize % 1000 + 1) * 188;
    let chunks = bytes.chunks(each).enumerate();
    let segments = chunks.map(|(index, chunk)| SourceSegment {
        offset: (index * each) as u64,
        len: chunk.len() as u64,
        duration: Duration::from_millis(milliseconds % 100_000),
        rounding: Duration::ZERO,
        is_discontinuous: false,
    });
    segments.collect()
}

/// The segment behind what initialises it.
fn only_segment(bytes: &[u8], offset: u64) -> Vec<SourceSegment> {
    let len = (bytes.len() as u64).saturating_sub(offset);
    let duration = Duration::from_secs(1);
    let rounding = Duration::ZERO;
    vec![SourceSegment { offset, len, duration, rounding, is_discontinuous: false }]
}

/// A segment for whatever looks like a cluster.
fn clusters(bytes: &[u8], milliseconds: u64) -> Vec<SourceSegment> {
    const CLUSTER: &[u8] = &[0x1f, 0x43, 0xb6, 0x75];
    let begins = bytes.windows(4).zip(0..).filter(|(window, _)| *window == CLUSTER);
    let begins: Vec<u64> = begins.map(|(_, at)| at).take(MAX_READS / 2).collect();
    let ends = begins.iter().skip(1).copied().chain([bytes.len() as u64]);
    let segments = begins.iter().zip(ends).map(|(offset, end)| SourceSegment {
        offset: *offset,
        len: end - offset,
        duration: Duration::from_millis(milliseconds % 100_000),
        rounding: Duration::from_millis(milliseconds % 3 * 1000),
        is_discontinuous: false,
    });
    segments.collect()
}

/// Returns the format of a transport stream or of packed audio.
fn stream_format(bytes: &[u8]) -> Format {
    match bytes {
        [0x0b, ..] => Format::Ac3,
        [0xff, second, ..] if second & 6 != 0 => Format::Mp3,
        [0xff | b'I', ..] => Format::Adts,
        _ => Format::MpegTs,
    }
}

/// Joins the files of an input, and each one with itself.
pub fn joined(format: Format, input: &[u8]) {
    let end = input.iter().take(64).position(|byte| *byte == b'\n').unwrap_or(0);
    let (line, rest) = input.split_at(end);
    let line = String::from_utf8_lossy(line);
    let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0_u64));
    let [first, chunk, start, length, part, packets, each] =
        std::array::from_fn(|_| numbers.next().unwrap_or(0));
    let rest = rest.get(1..).unwrap_or_default();
    let first = usize::try_from(first).map_or(rest.len() / 2, |first| first.min(rest.len()));
    let (video, audio) = rest.split_at(first);
    let start = start % 100_000;
    let is_stream = format == Format::MpegTs;
    let trim = TimeRange {
        start: Duration::from_millis(start),
        end: (length > 0).then(|| Duration::from_millis(start + length % 100_000)),
    };
    let files = [(TrackKind::Video, video), (TrackKind::Audio, audio)];
    let segmented = |bytes: &[u8]| match format {
        Format::MpegTs => Some(segments(bytes, packets, each)),
        Format::Mp4 if packets > 0 => Some(only_segment(bytes, packets)),
        Format::Webm if packets > 0 => {
            Some(clusters(bytes, each)).filter(|segments| !segments.is_empty())
        }
        _ => None,
    };
    let file = |bytes| File(bytes, 0, segmented(bytes));
    let format_of = |bytes: &[u8]| if is_stream { stream_format(bytes) } else { format };
    let removal = without(trim).removal;
    let index = |bytes| read_index(format_of(bytes), &mut file(bytes), trim, &removal).ok();
    let [video, audio] = files.map(|(_, bytes)| index(bytes));
    for (_, bytes) in files {
        splice::key_frame(format, &mut file(bytes), trim.start).ok();
    }
    let case = Case { chunk: (chunk as usize).max(1), trim, part };
    for files in [&files[..1], &files[1..], &files] {
        case.stream(&format_of, files);
    }
    if let Some(video) = &video {
        case.join(&files[..1], std::slice::from_ref(video));
    }
    if let Some(audio) = &audio {
        case.join(&files[1..], std::slice::from_ref(audio));
        case.decode(&files[1..], audio);
    }
    if let (Some(video), Some(audio)) = (video, audio) {
        case.join(&files, &[video, audio]);
    }
}

/// Metadata of media of which a time range is left out.
fn without(trim: TimeRange) -> Metadata {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let end = trim.end.map_or(u64::MAX, nanos);
    Metadata { removal: Removal::new([nanos(trim.start)..end]), ..Metadata::default() }
}

struct Case {
    chunk: usize,
    trim: TimeRange,
    part: u64,
}

impl Case {
    /// Joins files within the time range, and without what is in it.
    fn join(&self, files: &[(TrackKind, &[u8])], indexes: &[TrackIndex]) {
        self.join_as(files, indexes, self.trim, &TAGS);
        self.join_as(files, indexes, TimeRange::default(), &without(self.trim));
    }

    fn join_as(
        &self,
        files: &[(TrackKind, &[u8])],
        indexes: &[TrackIndex],
        time_range: TimeRange,
        metadata: &Metadata,
    ) {
        let options = Options { container: ContainerChoice::Auto, time_range, metadata };
        let kinds = files.iter().map(|(kind, _)| *kind);
        let tracks: Vec<_> = kinds.zip(indexes.iter().cloned()).collect();
        let Ok(plan) = splice::plan(&tracks, &options) else { return };
        assert!(splice::plan(&tracks, &options).as_ref() == Ok(&plan), "another plan");
        let sources: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        // The output is bounded by the inputs, plus heads, indexes and new tables.
        let padding = plan.extents().len() as u64 * PADDING;
        assert!(
            plan.len() <= 8 * sources + padding + (64 << 10),
            "{} of {sources} bytes",
            plan.len()
        );
        let whole = self.emit(&plan, 0..plan.len(), files);
        if let Ok(whole) = &whole {
            assert_eq!(whole.len() as u64, plan.len());
        }
        let from = self.part % plan.len().max(1);
        let to = plan.len().min(from + 1 + self.part % 5000);
        let part = self.emit(&plan, from..to, files);
        match (whole, part) {
            (Ok(whole), Ok(part)) => assert!(whole[from as usize..to as usize] == part),
            (Ok(_), Err(error)) => panic!("all of it can be made, but not {from} to {to}: {error}"),
            (Err(_), _) => {}
        }
    }

    /// Lays out a part of the sound for a decoder.
    fn decode(&self, files: &[(TrackKind, &[u8])], index: &TrackIndex) {
        let Some(CountedAudio { rate, begin, len, .. }) = index.counted_audio() else { return };
        let from = begin + self.part % len;
        let Some((plan, lacking)) = index.decodable(&(from..begin + len), rate) else { return };
        assert!(lacking <= from, "{lacking} of {from}");
        self.emit(&plan, 0..plan.len(), files).ok();
    }

    /// Joins files as segments of unknown length.
    fn stream(&self, format_of: &dyn Fn(&[u8]) -> Format, files: &[(TrackKind, &[u8])]) {
        let front = |bytes: &[u8]| {
            let length = Duration::from_millis(self.part % 10_000);
            splice::read_front(format_of(bytes), bytes, true, Some(length)).ok().flatten()
        };
        let tracks = files.iter().map(|(kind, bytes)| Some((*kind, front(bytes)?)));
        let Some(tracks) = tracks.collect::<Option<Vec<_>>>() else { return };
        let options = Options {
            container: ContainerChoice::Auto,
            time_range: TimeRange::default(),
            metadata: &TAGS,
        };
        let Ok(plan) = splice::plan_streaming(&tracks, &options) else { return };
        let mut rest: Vec<_> = files.iter().map(|(_, bytes)| *bytes).collect();
        let (mut muxer, mut out, mut number) = (plan.start(), 0, 0);
        while let Some(file) = muxer.next() {
            let chunk = &rest[file][..self.chunk.min(rest[file].len())];
            number += 1;
            let after = Duration::from_millis(self.part);
            let restart = (number % 7 == 0).then_some(Restart { number, after });
            let begun = if number % 5 == 1 {
                let rounding = Duration::from_millis(self.part % 3000);
                let declared =
                    Declared { duration: Duration::from_millis(self.part % 5000), rounding };
                muxer.begin_segment(file, (number % 2 == 0).then_some(declared), restart)
            } else {
                Ok(())
            };
            let result = begun.and_then(|()| match chunk {
                [] => muxer.end(file),
                chunk => muxer.push(file, chunk).map(|count| rest[file] = &rest[file][count..]),
            });
            muxer.write(|bytes| Ok::<_, ()>(out += bytes.len())).unwrap();
            if result.is_err() {
                break;
            }
        }
        let sources: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(out <= 8 * sources + (number as usize) * 400, "{out} of {sources} bytes");
    }

    /// Writes a byte range from inputs that deliver exactly what the plan needs.
    fn emit(
        &self,
        plan: &Plan,
        part: Range<u64>,
        files: &[(TrackKind, &[u8])],
    ) -> Result<Vec<u8>, Error> {
        let mut inputs = Vec::new();
        for (track, (kind, bytes)) in files.iter().enumerate() {
            let needs = plan.source_range(track, &part).unwrap_or(0..0);
            let mut rest = bytes[needs.start as usize..needs.end as usize].chunks(self.chunk);
            inputs.push(TrackInput::new(*kind, needs.start, move |_| {
                let chunk = rest.next().expect("more is read than is needed");
                Ok((chunk.to_vec(), chunk.len()))
            }));
        }
        let len = (part.end - part.start) as usize;
        let mut made = Vec::new();
        plan.write_range(&part, &mut inputs, &mut |bytes| {
            made.extend_from_slice(bytes);
            assert!(made.len() <= len, "more than was said");
            Ok(())
        })?;
        Ok(made)
    }
}
