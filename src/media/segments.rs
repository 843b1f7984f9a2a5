//! A track that is delivered in segments, as playlists (HLS, RFC 8216) and manifests (DASH) list them. Pure.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};
use url::Url;

use super::remote_file::RemoteFile;

/// The segments of one track, in the order of their presentation.
#[derive(Clone, PartialEq, Eq)]
pub struct SegmentList {
    /// The initialisation segments; media segments refer to them by index.
    pub inits: Vec<InitSegment>,
    /// The media segments.
    pub segments: Vec<MediaSegment>,
    /// Whether the list is complete; otherwise the media is live, and the list grows.
    pub is_complete: bool,
    /// Sequence number of the first segment.
    pub media_sequence: u64,
    /// Number of discontinuities before the first segment.
    pub discontinuity_sequence: u64,
    /// How many segments were before the first one: they were read, and forgotten.
    pub forgotten: usize,
    /// When the end of the last segment was recorded (EXT-X-PROGRAM-DATE-TIME).
    pub end_date: Option<SystemTime>,
    /// By how much the declared durations may differ from those of the media.
    pub rounding: Duration,
    /// Maximum duration of a segment; how often a live list is to be requested again.
    pub target_duration: Duration,
    /// Whether there may be one segment less: their number was computed from a duration (DASH, `$Number$`).
    pub may_end_early: bool,
    /// What is known of the files of the segments, in the order of [`SegmentList::part`]. With it,
    /// the segments are one file of known length.
    pub files: Option<Arc<[SegmentFile]>>,
}

/// What is known of the file of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// Length of the segment in bytes, without encryption.
    pub len: u64,
    /// The resource that the segment is, or is a range of, if a response has described it.
    pub resource: Option<RemoteFile>,
}

/// How long a segment lasts by the list that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// The duration.
    pub duration: Duration,
    /// By how much it may differ from that of the media.
    pub rounding: Duration,
}

/// A segment as a part of the file that all segments are.
#[derive(Debug, Clone, Copy)]
pub struct Part<'l> {
    /// Where its bytes are.
    pub location: &'l SegmentLocation,
    /// How they are encrypted.
    pub encryption: Option<&'l SegmentEncryption>,
}

/// Where the bytes of a segment are: a resource, or a range of one.
#[derive(Clone, PartialEq, Eq)]
pub struct SegmentLocation {
    /// An http or https URL. It may be signed, hence secret.
    pub url: Url,
    /// The bytes of the resource; all of it if there is none.
    pub range: Option<Range<u64>>,
}

/// An initialisation segment (EXT-X-MAP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitSegment {
    /// Where its bytes are.
    pub location: SegmentLocation,
    /// How they are encrypted.
    pub encryption: Option<SegmentEncryption>,
}

/// A media segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSegment {
    /// Where its bytes are.
    pub location: SegmentLocation,
    /// Duration, as the list declares it.
    pub duration: Duration,
    /// Index of its initialisation segment.
    pub init: Option<u32>,
    /// How its bytes are encrypted.
    pub encryption: Option<SegmentEncryption>,
    /// Whether timestamps, or anything else, may change before this segment.
    pub is_discontinuous: bool,
}

/// Encryption of a complete segment by AES-128 in CBC mode with PKCS #7 padding (RFC 8216 §4.3.2.4).
#[derive(Clone, PartialEq, Eq)]
pub struct SegmentEncryption {
    /// The key.
    pub key: Arc<SegmentKey>,
    /// The initialisation vector.
    pub iv: [u8; 16],
}

/// A key, or where to fetch it.
#[derive(Clone, PartialEq, Eq)]
pub enum SegmentKey {
    /// An http or https URL whose content is the key.
    Remote(Url),
    /// The key itself.
    Inline([u8; 16]),
}

impl SegmentList {
    /// Returns the sum of the durations of all segments.
    pub fn duration(&self) -> Duration {
        self.segments
            .iter()
            .map(|segment| segment.duration)
            .fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Returns whether timestamps begin again behind any segment.
    pub fn is_discontinuous(&self) -> bool {
        self.segments.iter().skip(1).any(|segment| segment.is_discontinuous)
    }

    /// Takes what is known of the files of the segments. A last segment without a file does not exist.
    pub fn set_files(&mut self, files: Arc<[SegmentFile]>) {
        if self.may_end_early && files.len() + 1 == self.part_count() {
            self.segments.pop();
        }
        self.files = Some(files);
    }

    /// Feeds `add` what distinguishes this list from others.
    pub fn identify(&self, add: &mut dyn FnMut(&[u8])) {
        for Part { location, .. } in (0..self.part_count()).map_while(|index| self.part(index)) {
            add(location.url.as_str().as_bytes());
            let range = location.range.clone().unwrap_or_default();
            add(&[range.start.to_be_bytes(), range.end.to_be_bytes()].concat());
        }
        add(&[self.files.is_some().into()]);
    }

    /// Returns how many parts the joined file has.
    pub fn part_count(&self) -> usize {
        self.first_segment() + self.segments.len()
    }

    /// Returns which part of the joined file the first segment is.
    pub fn first_segment(&self) -> usize {
        usize::from(!self.inits.is_empty()) + self.forgotten
    }

    /// Returns the media segment that is this part of the joined file, and the number of discontinuities
    /// before it in the media.
    pub fn segment(&self, part: usize) -> Option<(&MediaSegment, u64)> {
        let index = part.checked_sub(self.first_segment())?;
        let segment = self.segments.get(index)?;
        let flags = self.segments[..=index].iter().filter(|segment| segment.is_discontinuous);
        Some((segment, self.discontinuity_sequence.saturating_add(flags.count() as u64)))
    }

    /// Returns a part of the joined file: the initialisation segment is the first, and the media
    /// segments follow.
    pub fn part(&self, index: usize) -> Option<Part<'_>> {
        let InitSegment { location, encryption } = match self.inits.first() {
            Some(init) if index == 0 => init,
            _ => {
                let segment = self.segments.get(index.checked_sub(self.first_segment())?)?;
                let MediaSegment { location, encryption, .. } = segment;
                return Some(Part { location, encryption: encryption.as_ref() });
            }
        };
        Some(Part { location, encryption: encryption.as_ref() })
    }

    /// Returns the joined file, as far as it is known.
    pub fn remote_file(&self) -> RemoteFile {
        let Some(files) = &self.files else { return RemoteFile::default() };
        let mut context = Context::new(&SHA256);
        for SegmentFile { len, resource } in &**files {
            context.update(&len.to_be_bytes());
            let identity = resource.as_ref().map(RemoteFile::identity).unwrap_or_default();
            context.update(&identity.len().to_be_bytes());
            context.update(&identity);
        }
        let len = files.iter().map(|file| file.len).sum();
        let ranged = files.iter().all(|file| file.resource.as_ref().is_none_or(|file| file.ranged));
        RemoteFile { ranged, ..RemoteFile::joined(len, context.finish().as_ref()) }
    }

    /// Returns the approximate memory on the heap, in bytes.
    pub fn memory_size(&self) -> usize {
        let inits =
            self.inits.iter().map(|init| size_of::<InitSegment>() + init.location.heap_size());
        let segments = self
            .segments
            .iter()
            .map(|segment| size_of::<MediaSegment>() + segment.location.heap_size());
        // Segments in sequence share their key.
        let encryptions = self.segments.iter().filter_map(|segment| segment.encryption.as_ref());
        let mut keys: Vec<_> = encryptions.map(|encryption| &encryption.key).collect();
        keys.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let keys = keys.into_iter().map(|key| size_of::<SegmentKey>() + key.heap_size());
        let files = self.files.as_ref().map_or(0, |files| files.len() * size_of::<SegmentFile>());
        inits.sum::<usize>() + segments.sum::<usize>() + keys.sum::<usize>() + files
    }
}

impl SegmentLocation {
    fn heap_size(&self) -> usize {
        self.url.as_str().len()
    }
}

impl SegmentKey {
    fn heap_size(&self) -> usize {
        match self {
            SegmentKey::Remote(url) => url.as_str().len(),
            SegmentKey::Inline(_) => 0,
        }
    }
}

impl fmt::Debug for SegmentList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} segments", self.segments.len())
    }
}

impl fmt::Debug for SegmentLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.host_str().unwrap_or("nowhere"))
    }
}

impl fmt::Debug for SegmentEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AES-128")
    }
}

impl fmt::Debug for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
}
