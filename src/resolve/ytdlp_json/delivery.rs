//! How the bytes of a format are delivered: in a file, or in segments that a playlist or the page lists.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::MAX_URL;
use super::lenient::{AtMost, Text, parse};
use super::schema::{Format, Fragment, Fragments, HlsAes, ShortFragments};
use crate::media::packed_segments::{PackedLocations, PackedSegments, Run};
use crate::media::segments::SegmentKey;
use crate::media::{Delivery, PlaylistHints};
use crate::playlist;

/// Where a format comes from.
pub(super) struct Source {
    /// The file, the playlist or the manifest.
    pub(super) url: Url,
    pub(super) delivery: Delivery,
    pub(super) segments: Option<Arc<PackedSegments>>,
}

impl Format<'_> {
    /// Returns where the format comes from, or what it depends on that is not supported; nothing if it
    /// has no usable URL.
    pub(super) fn source(&self, page_url: &Url) -> Result<Option<Source>, String> {
        match self.protocol.as_deref() {
            None | Some("http" | "https") => Ok(self.file()),
            Some("m3u8_native" | "m3u8") => Ok(self.playlist(page_url)),
            Some("http_dash_segments") => self.segments(page_url).map(Some),
            Some(protocol) => Err(protocol.to_owned()),
        }
    }

    /// Returns whether it is a playlist, which tells how a live stream goes on, and when it ends.
    pub(super) fn is_playlist(&self) -> bool {
        matches!(self.protocol.as_deref(), Some("m3u8_native" | "m3u8"))
    }

    fn text_of_url(&self) -> Option<&str> {
        self.url.as_ref().map(|Text(url)| url.as_str())
    }

    fn file(&self) -> Option<Source> {
        let url = http_url(self.text_of_url()?)?;
        Some(Source { url, delivery: Delivery::File, segments: None })
    }

    fn playlist(&self, page_url: &Url) -> Option<Source> {
        let mut text = self.hls_media_playlist_data.as_ref().map(|Text(text)| text.clone());
        let url = self.text_of_url()?;
        let url = match url.strip_prefix("data:") {
            // Such a playlist has no location, hence all its URLs should be absolute.
            Some(data) => {
                let bytes = playlist::inline_data(data)?;
                text = text.or(Some(String::from_utf8_lossy(&bytes).into_owned()));
                page_url.clone()
            }
            None => http_url(url)?,
        };
        if text.as_ref().is_some_and(|text| text.len() > playlist::MAX_SIZE) {
            return None;
        }
        let (key, iv) = match &self.hls_aes {
            Some(aes) => (aes.key(&url).ok()?, aes.iv().ok()?),
            None => (None, None),
        };
        let query = |query: &Option<String>| query.clone().filter(|query| query.len() <= MAX_URL);
        let hints = PlaylistHints {
            text,
            segment_query: query(&self.extra_param_to_segment_url),
            key_query: query(&self.extra_param_to_key_url),
            key,
            iv,
            variables: Vec::new(),
        };
        Some(Source { url, delivery: Delivery::Playlist(Arc::new(hints)), segments: None })
    }

    /// Returns the segments that the page lists.
    fn segments(&self, page_url: &Url) -> Result<Source, String> {
        let base = self.fragment_base_url.as_deref().and_then(http_url);
        let url = self.text_of_url().and_then(http_url).or(base.clone());
        let url = url.unwrap_or_else(|| page_url.clone());
        let (locations, runs) = self.fragments().ok_or("segments that the page does not list")?;
        let query = self.extra_param_to_segment_url.clone();
        let base = base.unwrap_or_else(|| url.clone());
        let segments = PackedSegments::new(base, query, locations, runs)?;
        Ok(Source { url, delivery: Delivery::File, segments: Some(Arc::new(segments)) })
    }

    fn fragments(&self) -> Option<(PackedLocations, Vec<Run>)> {
        let json = self.fragments?;
        let (locations, durations) = if json.get().starts_with('{') {
            let short: ShortFragments = parse(json)?;
            let (prefix, suffix, Text(parts)) = (short.prefix?, short.suffix?, short.parts?);
            (PackedLocations { prefix, suffix, parts }, short.durations?.0)
        } else {
            let AtMost(list) = parse::<Fragments>(json)?;
            let list: Vec<Fragment> = list.into_iter().map(|one| one.0).collect::<Option<_>>()?;
            let locations = list.iter().map(|one| one.url.as_deref().or(one.path.as_deref()));
            let locations = locations.collect::<Option<Vec<_>>>()?;
            let durations = list.iter().map(|one| (1, one.duration)).collect();
            (PackedLocations::new(&locations), durations)
        };
        Some((locations, runs(durations)))
    }
}

/// Joins segments of one duration. The initialisation segment is the one without a duration; if none has
/// any, it is the first.
fn runs(durations: Vec<(usize, Option<f64>)>) -> Vec<Run> {
    let are_unknown = durations.iter().all(|(_, seconds)| seconds.is_none());
    let mut runs: Vec<Run> = Vec::new();
    for (mut count, seconds) in durations {
        if are_unknown && runs.is_empty() && count > 0 {
            runs.push(Run { count: 1, duration: None });
            count -= 1;
        }
        let unknown = are_unknown.then_some(Duration::ZERO);
        let duration =
            seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let duration = duration.or(unknown);
        match runs.last_mut() {
            Some(run) if run.duration == duration => run.count = run.count.saturating_add(count),
            _ if count > 0 => runs.push(Run { count, duration }),
            _ => {}
        }
    }
    runs
}

impl HlsAes {
    /// Returns the key that replaces those of the playlist at `base`, or an error if it is malformed.
    fn key(&self, base: &Url) -> Result<Option<SegmentKey>, ()> {
        if let Some(digits) = &self.key {
            let digits = without_prefix(digits);
            let key = playlist::initialisation_vector(digits).filter(|_| digits.len() == 32);
            return key.map(|key| Some(SegmentKey::Inline(key))).ok_or(());
        }
        let Some(uri) = &self.uri else { return Ok(None) };
        let url = base.join(uri).ok().and_then(|url| http_url(url.as_str()));
        url.map(|url| Some(SegmentKey::Remote(url))).ok_or(())
    }

    fn iv(&self) -> Result<Option<[u8; 16]>, ()> {
        let iv = self
            .iv
            .as_deref()
            .map(|digits| playlist::initialisation_vector(without_prefix(digits)).ok_or(()));
        iv.transpose()
    }
}

fn without_prefix(digits: &str) -> &str {
    digits.strip_prefix("0x").unwrap_or(digits)
}

fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL)?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}
