//! Media playlists: lists of segments (RFC 8216 §4.3.2 and §4.3.3).

use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use url::Url;

use super::attributes::Attributes;
use super::context::Context;
use super::date::date;
use super::keys::{Keys, PlainKey};
use super::lines::{Line, lines};
use super::{MAX_HOSTS, MAX_SEGMENTS, PlaylistError, invalid};
use crate::media::segments::{
    InitSegment, MediaSegment, SegmentEncryption, SegmentKey, SegmentList, SegmentLocation,
};

/// Maximum number of initialisation segments.
const MAX_INITS: usize = 1000;
/// By how much durations without a fraction may differ from those of the media.
const WHOLE_SECONDS: Duration = Duration::from_secs(1);
/// Maximum duration of a segment.
const MAX_DURATION: Duration = Duration::from_secs(86_400);

/// Reads a media playlist.
pub(super) fn read(text: &str, context: Context<'_>) -> Result<SegmentList, PlaylistError> {
    let mut reader = Reader::new(context);
    for line in lines(text) {
        match line {
            Line::Tag(name, value) => reader.tag(name, value)?,
            Line::Uri(uri) => reader.segment(uri)?,
        }
    }
    reader.finish()
}

/// What the tags so far say of the segments to come.
struct Reader<'p> {
    context: Context<'p>,
    list: SegmentList,
    has_target_duration: bool,
    /// Whether its type says that it is complete.
    cannot_change: bool,
    hosts: Vec<String>,
    keys: Keys,
    /// The initialisation segment of the following segments.
    map: Option<Map>,
    /// For the next segment alone.
    duration: Option<Duration>,
    range: Option<ByteRange>,
    date: Option<SystemTime>,
    is_discontinuous: bool,
}

/// An initialisation segment.
struct Map {
    location: SegmentLocation,
    key: Option<PlainKey>,
    /// Its index, once a segment has needed it.
    index: Option<u32>,
}

/// A range of bytes, maybe without its start.
struct ByteRange {
    len: u64,
    start: Option<u64>,
}

impl<'p> Reader<'p> {
    fn new(context: Context<'p>) -> Reader<'p> {
        let list = SegmentList {
            inits: Vec::new(),
            segments: Vec::new(),
            is_complete: false,
            media_sequence: 0,
            discontinuity_sequence: 0,
            forgotten: 0,
            end_date: None,
            rounding: Duration::ZERO,
            target_duration: Duration::ZERO,
            may_end_early: false,
            files: None,
        };
        Reader {
            context,
            list,
            has_target_duration: false,
            cannot_change: false,
            hosts: Vec::new(),
            keys: Keys::default(),
            map: None,
            duration: None,
            range: None,
            date: None,
            is_discontinuous: false,
        }
    }

    fn tag(&mut self, name: &str, value: &str) -> Result<(), PlaylistError> {
        match name {
            "EXTINF" => {
                let seconds = value.split_once(',').map_or(value, |(seconds, _title)| seconds);
                self.duration = Some(duration("EXTINF", seconds)?);
                if !seconds.contains('.') {
                    self.list.rounding = WHOLE_SECONDS;
                }
            }
            "EXT-X-BYTERANGE" => self.range = Some(byte_range(name, value)?),
            "EXT-X-DISCONTINUITY" => self.is_discontinuous = true,
            "EXT-X-KEY" => self.keys.apply(value, &mut self.context)?,
            "EXT-X-MAP" => self.map(value)?,
            "EXT-X-GAP" => return Err(PlaylistError::Gap),
            "EXT-X-DEFINE" => self.context.define(value)?,
            "EXT-X-TARGETDURATION" => {
                self.list.target_duration = duration("EXT-X-TARGETDURATION", value)?;
                self.has_target_duration = true;
            }
            "EXT-X-MEDIA-SEQUENCE" => {
                if !self.list.segments.is_empty() {
                    return Err(invalid("EXT-X-MEDIA-SEQUENCE is behind the first segment"));
                }
                self.list.media_sequence = number(name, value)?;
            }
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.list.discontinuity_sequence = number(name, value).unwrap_or(0);
            }
            "EXT-X-PROGRAM-DATE-TIME" => self.date = date(value),
            "EXT-X-ENDLIST" => self.list.is_complete = true,
            "EXT-X-PLAYLIST-TYPE" => self.cannot_change = value == "VOD",
            "EXT-X-I-FRAMES-ONLY" | "EXT-X-SKIP" => {
                return Err(PlaylistError::Unsupported(name.to_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Obeys EXT-X-MAP.
    fn map(&mut self, value: &str) -> Result<(), PlaylistError> {
        const TAG: &str = "EXT-X-MAP";
        let attributes = Attributes::parse(TAG, value, &self.context.variables)?;
        let url = self.context.segment_url(TAG, attributes.require("URI")?)?;
        let range = attributes.get("BYTERANGE").map(|text| byte_range(TAG, text)).transpose()?;
        // Without an offset it is at the front: no segment precedes it whose end could count.
        let range = range.map(|range| range.from(range.start.unwrap_or(0), TAG)).transpose()?;
        let location = SegmentLocation { url, range };
        self.map = Some(Map { location, key: self.keys.current()?, index: None });
        Ok(())
    }

    /// Adds the segment to which the tags before it apply.
    fn segment(&mut self, uri: &str) -> Result<(), PlaylistError> {
        if self.list.segments.len() == MAX_SEGMENTS {
            let limit = format!("it has more than {MAX_SEGMENTS} segments");
            return Err(PlaylistError::LimitExceeded(limit));
        }
        let number = self.list.segments.len() + 1;
        let what = format!("segment {number}");
        let duration =
            self.duration.take().ok_or_else(|| invalid(format!("{what} lacks EXTINF")))?;
        let uri = self.context.variables.substitute(uri)?;
        let url = self.context.segment_url(&what, &uri)?;
        self.count_host(&url)?;
        let range = match self.range.take() {
            Some(range) => Some(range.from(self.range_start(&range, &url, &what)?, &what)?),
            None => None,
        };
        let begin = self.date.take().or(self.list.end_date);
        self.list.end_date = begin.and_then(|begin| begin.checked_add(duration));
        let key = self.keys.current()?;
        let encryption = key.map(|key| self.encryption(key)).transpose()?;
        let segment = MediaSegment {
            location: SegmentLocation { url, range },
            duration,
            init: self.init()?,
            encryption,
            is_discontinuous: std::mem::take(&mut self.is_discontinuous),
        };
        self.list.segments.push(segment);
        Ok(())
    }

    /// Returns where a range begins: without an offset, behind the previous segment's, if that is of
    /// the same resource (RFC 8216 §4.3.2.2).
    fn range_start(&self, range: &ByteRange, url: &Url, what: &str) -> Result<u64, PlaylistError> {
        let previous = self.list.segments.last().map(|segment| &segment.location);
        let previous = previous.filter(|location| location.url == *url);
        let end = previous.and_then(|location| Some(location.range.as_ref()?.end));
        range.start.or(end).ok_or_else(|| {
            invalid(format!("EXT-X-BYTERANGE of {what} has no offset, and no range precedes it"))
        })
    }

    /// Returns the encryption of the next segment.
    fn encryption(&mut self, key: PlainKey) -> Result<SegmentEncryption, PlaylistError> {
        if let SegmentKey::Remote(url) = &*key.key {
            let url = url.clone();
            self.count_host(&url)?;
        }
        let sequence = self.list.media_sequence.checked_add(self.list.segments.len() as u64);
        let sequence = sequence.ok_or_else(|| invalid("EXT-X-MEDIA-SEQUENCE is too large"))?;
        Ok(key.encryption(sequence))
    }

    /// Returns the index of the initialisation segment of the next segment. Tags for the same bytes and
    /// key mean the same one.
    fn init(&mut self) -> Result<Option<u32>, PlaylistError> {
        let Some(map) = &self.map else { return Ok(None) };
        if map.index.is_some() {
            return Ok(map.index);
        }
        let (location, key) = (map.location.clone(), map.key.clone());
        let plain = key.as_ref().map(|key| &key.key);
        let is_same = |init: &InitSegment| {
            let key = init.encryption.as_ref().map(|encryption| &encryption.key);
            init.location == location && key == plain
        };
        let index = match self.list.inits.iter().rposition(is_same) {
            Some(index) => index,
            None => {
                if self.list.inits.len() == MAX_INITS {
                    let limit = format!("it has more than {MAX_INITS} initialisation segments");
                    return Err(PlaylistError::LimitExceeded(limit));
                }
                self.count_host(&location.url)?;
                // An explicit vector is required here (§4.3.2.5). Without one, ffmpeg takes the number
                // of the segment that follows.
                let encryption = key.map(|key| self.encryption(key)).transpose()?;
                self.list.inits.push(InitSegment { location, encryption });
                self.list.inits.len() - 1
            }
        };
        let index = u32::try_from(index).ok();
        if let Some(map) = &mut self.map {
            map.index = index;
        }
        Ok(index)
    }

    /// Counts the hosts that are going to get requests.
    fn count_host(&mut self, url: &Url) -> Result<(), PlaylistError> {
        let host = url.host_str().unwrap_or_default();
        if self.hosts.iter().any(|known| known == host) {
            return Ok(());
        }
        if self.hosts.len() == MAX_HOSTS {
            let limit = format!("its segments are on more than {MAX_HOSTS} hosts");
            return Err(PlaylistError::LimitExceeded(limit));
        }
        self.hosts.push(host.to_owned());
        Ok(())
    }

    fn finish(self) -> Result<SegmentList, PlaylistError> {
        if self.duration.is_some() || self.range.is_some() {
            return Err(invalid("its last segment has no URL"));
        }
        // It is required (§4.3.3.1), and tells a media playlist from a list of songs.
        if !self.has_target_duration {
            return Err(invalid("EXT-X-TARGETDURATION is missing"));
        }
        // It need not be there (§6.2.1), but everything writes it, and nothing else tells a copy that was cut.
        if self.cannot_change && !self.list.is_complete {
            return Err(invalid("its type is VOD, and its end is missing (EXT-X-ENDLIST)"));
        }
        if self.list.segments.is_empty() && self.list.is_complete {
            return Err(invalid("it has no segments"));
        }
        Ok(self.list)
    }
}

impl ByteRange {
    /// Returns the range that begins at `start`.
    fn from(&self, start: u64, what: &str) -> Result<Range<u64>, PlaylistError> {
        let end = start.checked_add(self.len).filter(|end| *end > start);
        Ok(start..end.ok_or_else(|| invalid(format!("{what} has a malformed byte range")))?)
    }
}

/// Parses `n` or `n@o`.
fn byte_range(what: &str, text: &str) -> Result<ByteRange, PlaylistError> {
    let (len, start) = match text.split_once('@') {
        Some((len, start)) => (len, Some(number(what, start)?)),
        None => (text, None),
    };
    Ok(ByteRange { len: number(what, len)?, start })
}

/// Parses a decimal integer.
fn number<N: FromStr>(what: &str, text: &str) -> Result<N, PlaylistError> {
    let text = text.trim();
    let number = Some(text).filter(|text| text.starts_with(|c: char| c.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    number.ok_or_else(|| invalid(format!("{what} has a malformed number")))
}

/// Parses a duration in seconds.
fn duration(what: &str, text: &str) -> Result<Duration, PlaylistError> {
    let duration = Duration::try_from_secs_f64(number(what, text)?).ok();
    let duration = duration.filter(|duration| *duration <= MAX_DURATION);
    duration.ok_or_else(|| invalid(format!("{what} has an impossible duration")))
}
