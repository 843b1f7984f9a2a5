//! Fetches the subtitles of a download, before its first byte: the length of the file depends on them.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::context::DownloadContext;
use super::representation::{Representation, etag, select_representation};
use super::{MediaBody, MediaResponse, Prepared};
use crate::app::App;
use crate::cancel::CancelToken;
use crate::error::{Error, LimitExceeded, SubtitleError, SubtitleFault, UpstreamError};
use crate::fetch::read_document;
use crate::http_server::BodyWriter;
use crate::media::page_media::PageMedia;
use crate::media::subtitles::{Cue, SubtitleOffer, SubtitleRequest, SubtitleSource, Subtitles};
use crate::memory_budget::Reservation;
use crate::options::TextFormat;
use crate::request_id::carried;
use crate::subtitle_cache::SubtitleKey;
use crate::timed_text::{self, MAX_DOCUMENT, Unreadable, write_srt, write_vtt};

/// How many subtitles are fetched at a time.
const ABREAST: usize = 4;

/// Fetches the subtitles that are requested of a page, with the memory that they take. One that cannot be fetched, or read,
/// is an error: nobody would see that it is missing.
pub(super) fn fetch_all(
    app: &App,
    page: &PageMedia,
    request: &SubtitleRequest,
    cancel: &Arc<CancelToken>,
) -> Result<(Vec<Subtitles>, Reservation), Error> {
    let selected = request.select(&page.subtitles, original_language(page)).map_err(|missing| {
        let usable = page.subtitles.iter();
        let usable = usable.filter(|offer| request.allows_automatic || !offer.is_automatic);
        let reason = SubtitleFault::Missing(usable.map(|offer| offer.language.clone()).collect());
        failure(missing, reason)
    })?;
    let mut fetched: Vec<Subtitles> = Vec::with_capacity(selected.len());
    let mut memory = app.memory_budget.reservation();
    let size = |fetched: &[Subtitles]| fetched.iter().map(Subtitles::memory_size).sum::<usize>();
    for group in selected.chunks(ABREAST) {
        reserve(&mut memory, size(&fetched) + group.len() * MAX_DOCUMENT)?;
        thread::scope(|scope| {
            let fetch = |offer: &SubtitleOffer| fetch(app, offer, cancel);
            let threads = group.iter().map(|offer| {
                let thread = thread::Builder::new().name("subtitles".into());
                let started = thread.spawn_scoped(scope, carried(move || fetch(offer)));
                started.map_err(|e| Error::system("start a thread", &e))
            });
            let threads = threads.collect::<Result<Vec<_>, Error>>()?;
            for thread in threads {
                let panicked = |_| Err(Error::Internal("a thread panicked"));
                fetched.push(thread.join().unwrap_or_else(panicked)?);
            }
            Ok::<_, Error>(())
        })?;
    }
    reserve(&mut memory, size(&fetched))?;
    Ok((fetched, memory))
}

fn reserve(memory: &mut Reservation, size: usize) -> Result<(), Error> {
    if memory.resize(size as u64) { Ok(()) } else { Err(LimitExceeded::Memory.into()) }
}

/// Returns the language that is spoken in the original, if the page tells it.
fn original_language(page: &PageMedia) -> Option<&str> {
    let audios = page.renditions.iter().filter_map(|rendition| rendition.audio.as_ref());
    let original =
        audios.filter(|audio| audio.language.is_some()).max_by_key(|audio| audio.preference);
    original?.language.as_deref()
}

/// Fetches subtitles, or takes them from the cache.
fn fetch(app: &App, offer: &SubtitleOffer, cancel: &Arc<CancelToken>) -> Result<Subtitles, Error> {
    let cues = match &offer.source {
        SubtitleSource::Inline(text) => read(offer, text.as_bytes())?,
        SubtitleSource::Remote(location) => {
            let key = SubtitleKey::new(location);
            match app.subtitle_cache.get(&key) {
                Some(cues) => cues,
                None => {
                    let document = read_document(&app.upstream, location, MAX_DOCUMENT, cancel);
                    let document = document.map_err(|fault| {
                        // The cause, if the download was cancelled.
                        if cancel.is_cancelled() { Error::Stopped } else { unfetched(offer, fault) }
                    })?;
                    let cues = read(offer, &document.bytes)?;
                    app.subtitle_cache.insert(key, &cues);
                    cues
                }
            }
        }
    };
    let language = offer.spoken_language().to_owned();
    Ok(Subtitles { language, name: offer.name.clone().unwrap_or_default(), cues })
}

fn read(offer: &SubtitleOffer, bytes: &[u8]) -> Result<Arc<[Cue]>, Error> {
    let cues = timed_text::read(offer.format, bytes);
    let unreadable =
        |Unreadable(why)| failure(offer.language.clone(), SubtitleFault::Unreadable(why));
    cues.map(Arc::from).map_err(unreadable)
}

fn unfetched(offer: &SubtitleOffer, fault: UpstreamError) -> Error {
    let reason = match fault {
        UpstreamError::TooLong(_) => SubtitleFault::Unreadable("it is too long".into()),
        fault => SubtitleFault::Upstream(fault),
    };
    failure(offer.language.clone(), reason)
}

fn failure(language: String, reason: SubtitleFault) -> Error {
    Error::Subtitles(Box::new(SubtitleError { language, reason }))
}

/// Prepares the response with subtitles alone: those of the media, of which there is one.
pub(super) fn prepare<'scope>(
    context: &DownloadContext<'scope, '_>,
    format: TextFormat,
) -> Result<Prepared<'scope>, Error> {
    let planned = Instant::now();
    let [subtitles] = &context.media.metadata.subtitles[..] else {
        return Err(Error::Internal("there are no subtitles"));
    };
    let range = context.options.time_range;
    let origin = i128::try_from(range.start.as_nanos()).unwrap_or_default();
    let duration = range.end.map(|end| end.saturating_sub(range.start)).unwrap_or_default();
    let subtitles = subtitles.within(origin, duration);
    let (text, media_type, extension) = match format {
        TextFormat::Vtt => (write_vtt(&subtitles.cues), "text/vtt; charset=utf-8", "vtt"),
        TextFormat::Srt => {
            (write_srt(&subtitles.cues), "application/x-subrip; charset=utf-8", "srt")
        }
    };
    let bytes = text.into_bytes();
    let etag = etag([&bytes[..]]);
    let (request, head) = ((context.app, context.request), context.head(media_type, extension));
    let len = Some(bytes.len() as u64);
    match select_representation(request, head, Some(&etag), len, true) {
        Representation::Short(response) => Ok(Prepared::Short(response)),
        Representation::Send(head, range) => {
            let range =
                range.map_or(0..bytes.len(), |range| range.start as usize..range.end as usize);
            let bytes = bytes.get(range).unwrap_or_default().to_vec();
            let body = Box::new(TextBody { context: *context, bytes });
            Ok(Prepared::Media(MediaResponse { head, engine: "text".into(), planned, body }))
        }
    }
}

/// A file in memory.
struct TextBody<'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    bytes: Vec<u8>,
}

impl MediaBody for TextBody<'_, '_> {
    fn write(self: Box<Self>, body: &mut BodyWriter) -> Result<(), Error> {
        body.write(&self.bytes, self.context.cancelled())
    }
}
