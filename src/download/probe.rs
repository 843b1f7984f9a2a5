//! Opens and probes the tracks of a download.

use std::thread::{self, Scope};
use std::time::Duration;

use super::DownloadContext;
use super::index_reader::{self, RemoteFileReader};
use crate::container::completeness::{Completeness, Incomplete};
use crate::container::mpeg_ts;
use crate::container::probe::{self, Probe, ProbeInfo, ProbedInput, View};
use crate::error::{Error, InputError, Unsupported, UpstreamError};
use crate::fetch::{PendingReader, TrackReader, first_request_size};
use crate::http_client::RemoteFile;
use crate::media::{Delivery, Media, Track, TrackKind};
use crate::options::OutputOptions;
use crate::playlist;
use crate::request_id::carried;
use crate::splice::{self, TrackIndex};
use crate::strategy;

/// Upstreams that respond within this time are so near that threads would cost more than they save.
const INLINE_WAIT: Duration = Duration::from_millis(2);
/// How many bytes are probed first.
const FIRST_PROBE_SIZE: usize = 16 << 10;
/// The maximum number of reads at other offsets while a track is probed.
const MAX_FAR_READS: usize = 8;
/// How far a file without byte ranges is read to probe what follows its tags.
const MAX_TAG_SIZE: usize = 16 << 20;
/// The size of the first request if a complete file is not needed.
const PROBE_SIZE: u64 = probe::PROBE_SIZE as u64;

/// An open track whose format is known.
pub(super) struct ProbedTrack<'scope, 'env> {
    pub(super) file: RemoteFileReader<'scope, 'env>,
    pub(super) input: ProbedInput,
    /// The index of the track, or why splice does not support it; `None` if it was not read.
    pub(super) index: Option<Result<TrackIndex, Unsupported>>,
    /// The plan of the file to feed to ffmpeg instead of the remote file.
    pub(super) feed: Option<splice::Plan>,
}

/// What the tracks of a download turned out to be.
pub(super) enum Probed<'scope, 'env> {
    /// All are media.
    Tracks(Vec<ProbedTrack<'scope, 'env>>),
    /// Those at these indexes are playlists.
    Playlists(Vec<usize>),
}

/// Opens and probes all tracks at the same time. `wants_all` tells whether the complete file is needed.
pub(super) fn probe_tracks<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    wants_all: bool,
) -> Result<Probed<'scope, 'env>, Error> {
    let DownloadContext { scope, app, media, options, cancel, .. } = *context;
    let context = *context;
    let first_size = move |track: &Track| match wants_all {
        true => first_request_size(track.kind),
        false => PROBE_SIZE,
    };
    let begin =
        |track| PendingReader::begin(scope, &app.upstream, track, first_size(track), cancel);
    let sources = media.tracks.iter().enumerate();
    let sources = sources.map(|(index, track)| ((index, track), begin(track)));
    let open_one = move |(index, track): (usize, &'scope Track),
                         source: Result<TrackReader<'scope, 'env>, Error>| {
        let mut file = RemoteFileReader::new(context, index, source?);
        let prober = Prober { media, options: &options, track };
        let Some(mut input) = prober.probe_or_refresh(&mut file, first_size(track))? else {
            return Ok(Err(index));
        };
        input.probe.is_live = track.location.is_live();
        // The first bytes may show that the file is truncated, before anything is sent.
        let mut completeness = completeness(input.probe, file.source.file().len);
        let begin = usize::try_from(input.probe.skip).unwrap_or(usize::MAX);
        let peeked = file.source.peeked().get(begin..).unwrap_or(&[]);
        completeness.see(peeked).map_err(|how| incomplete(track.kind, how))?;
        with_segments(&mut input.probe, &track.location.delivery, file.source.peeked());
        let reads_index =
            strategy::needs_index(input, media.tracks.len(), &options, &media.metadata);
        let index = reads_index.then(|| index_reader::read_index(&mut file, input));
        let index = index.transpose()?;
        // The sample description may be out of reach of the probe.
        if matches!(index, Some(Err(splice::ENCRYPTED))) {
            return Err(prober.unusable(InputError::Encrypted));
        }
        if let Some(Ok(index)) = &index {
            // An index at the end of a file tells more than the first bytes.
            let info = &mut input.probe;
            info.has_video = index.has_video().or(info.has_video);
            info.begin = index.begin().unwrap_or(info.begin);
            info.end = info.end.or(index.end());
        }
        Ok(Ok(ProbedTrack { file, input, index, feed: None }))
    };
    // The first error cancels the other tracks at once.
    let probed = for_each_track(scope, sources, move |track, source| {
        open_one(track, source).inspect_err(|error: &Error| drop(cancel.cancel_with(error.clone())))
    })?;
    let mut probed = probed.into_iter().collect::<Result<Vec<_>, Error>>()?;
    align_untimed(&mut probed);
    let playlists = probed.iter().filter_map(|track| track.as_ref().err().copied());
    let playlists: Vec<_> = playlists.collect();
    Ok(if playlists.is_empty() {
        Probed::Tracks(probed.into_iter().flatten().collect())
    } else {
        Probed::Playlists(playlists)
    })
}

/// Corrects the info about a track that is delivered like this, by its first bytes: segments of frames
/// have timestamps.
fn with_segments(info: &mut ProbeInfo, delivery: &Delivery, peeked: &[u8]) {
    if let Delivery::Segments(list) = delivery {
        info.in_segments = true;
        // Frames alone have none that could begin again.
        info.is_discontinuous = list.is_discontinuous() && !info.is_packed();
    }
    if info.is_packed()
        && let Some(ticks) = mpeg_ts::packed_timestamp(peeked)
    {
        info.begin = mpeg_ts::duration(ticks);
    }
}

/// Lets packed audio without a timestamp begin when the other tracks do.
fn align_untimed(tracks: &mut [Result<ProbedTrack<'_, '_>, usize>]) {
    let begin = tracks.iter().flatten().map(|track| track.input.probe.begin).max();
    for track in tracks.iter_mut().flatten() {
        let info = &mut track.input.probe;
        if info.is_packed() && info.begin.is_zero() {
            info.begin = begin.unwrap_or_default();
            info.end = info.end.map(|end| end.saturating_add(info.begin));
        }
    }
}

/// Waits for the first response of each source and runs `work` with it, all in parallel: the last one on
/// this thread, the others on threads of their own. If all upstreams respond within [`INLINE_WAIT`], all
/// work is done on this thread.
pub(super) fn for_each_track<'scope, 'env: 'scope, I: Send + 'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    sources: impl Iterator<Item = (I, PendingReader<'scope, 'env>)>,
    work: impl Fn(I, Result<TrackReader<'scope, 'env>, Error>) -> Result<T, Error>
    + Send
    + Clone
    + 'scope,
) -> Result<Vec<Result<T, Error>>, Error> {
    let mut sources: Vec<_> = sources.collect();
    let all_sent = sources.iter().all(|(_, source)| source.is_sent());
    if all_sent && sources.iter().all(|(_, source)| source.poll_response(INLINE_WAIT)) {
        // All responses first, so that the throughput of each is measured without the work of others.
        let open = sources.into_iter().map(|(item, source)| (item, source.wait()));
        let open: Vec<_> = open.collect();
        return Ok(open.into_iter().map(|(item, source)| work(item, source)).collect());
    }
    let last = sources.pop();
    let mut threads = Vec::with_capacity(sources.len());
    for (item, source) in sources {
        let thread = thread::Builder::new().name("open".into());
        let work = work.clone();
        let started = thread.spawn_scoped(scope, carried(move || work(item, source.wait())));
        threads.push(started.map_err(|e| Error::system("start a thread", &e))?);
    }
    let last = last.map(|(item, source)| work(item, source.wait()));
    let done = threads.into_iter().map(|thread| thread.join().unwrap_or(Err(PANICKED)));
    Ok(done.chain(last).collect())
}

/// The error of a thread that panicked.
pub(super) const PANICKED: Error = Error::Internal("a thread panicked");

/// Returns the completeness check of a track of `len` bytes, if that is known, after the bytes that ffmpeg
/// does not get.
pub(super) fn completeness(info: ProbeInfo, len: Option<u64>) -> Completeness {
    Completeness::new(info.format, len.map(|len| len.saturating_sub(info.skip)))
}

/// The error of a track whose file is truncated.
pub(super) fn incomplete(track: TrackKind, Incomplete(how): Incomplete) -> Error {
    Error::Upstream { track, fault: UpstreamError::Incomplete(how) }
}

/// Whether these bytes are text, or none, rather than media of an unknown format.
fn is_text(bytes: &[u8]) -> bool {
    let first = &bytes[..bytes.len().min(1 << 10)];
    let is_text_byte = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    first.iter().all(is_text_byte)
}

/// Determines the format of a track.
struct Prober<'a> {
    media: &'a Media,
    options: &'a OutputOptions,
    track: &'a Track,
}

impl Prober<'_> {
    /// Probes the track; `None` if it is a playlist. If the response is text, the location may have expired, which some sites report by
    /// a web page with status 200: then it is refreshed, once, and `first_size` bytes are requested of it.
    fn probe_or_refresh(
        &self,
        file: &mut RemoteFileReader<'_, '_>,
        first_size: u64,
    ) -> Result<Option<ProbedInput>, Error> {
        loop {
            match self.probe(file) {
                Err(Error::Unusable { reason: InputError::NotMedia(_), .. })
                    if is_text(file.source.peeked()) && file.source.restart_from(first_size)? => {}
                result => return result,
            }
        }
    }

    /// Probes the first bytes, and bytes at other offsets where the format needs that.
    fn probe(&self, file: &mut RemoteFileReader<'_, '_>) -> Result<Option<ProbedInput>, Error> {
        let Prober { media, options, .. } = *self;
        let (mut all, mut is_thorough, mut far) = (false, false, Vec::new());
        loop {
            let RemoteFile { len, ranged, .. } = *file.source.file();
            let may_look = far.len() < MAX_FAR_READS && (ranged && len.is_some() || !all);
            let view =
                View { front: file.source.peeked(), len, all, far: &far, may_look, is_thorough };
            match probe::probe(&view) {
                Probe::Recognised(info) if info.is_encrypted == Some(true) => {
                    return Err(self.unusable(InputError::Encrypted));
                }
                Probe::Recognised(info) => {
                    let input = ProbedInput { kind: self.track.kind, probe: info };
                    let (count, metadata) = (media.tracks.len(), &media.metadata);
                    let needs_more =
                        strategy::needs_thorough_probe(input, count, options, metadata, ranged);
                    if is_thorough || !needs_more {
                        return Ok(Some(input));
                    }
                    is_thorough = true;
                }
                Probe::Unsupported(_) if playlist::is_playlist(file.source.peeked()) => {
                    return Ok(None);
                }
                Probe::Unsupported(reason) => return Err(self.unusable(reason)),
                Probe::At(at) if ranged && len.is_some() => {
                    let bytes = index_reader::probe_at(file, at)?;
                    far.push((at, bytes));
                }
                // Without byte ranges, the file is read up to there, if that is not too far.
                Probe::At(at) => {
                    let end = usize::try_from(at).map_or(MAX_TAG_SIZE, |at| at + probe::PROBE_SIZE);
                    let is_near = end < MAX_TAG_SIZE && file.memory.grow(end as u64);
                    while is_near
                        && file.source.peeked().len() < end
                        && file.source.fill_peeked(end)?
                    {}
                    all = true;
                }
                Probe::NeedMore => {
                    // Mostly a few bytes are enough; otherwise a long index is among them.
                    let is_first = file.source.peeked().is_empty();
                    let len = if is_first { FIRST_PROBE_SIZE } else { probe::PROBE_SIZE };
                    all = !file.source.fill_peeked(len)?;
                }
            }
        }
    }

    fn unusable(&self, reason: InputError) -> Error {
        Error::Unusable { track: self.track.kind, reason }
    }
}
