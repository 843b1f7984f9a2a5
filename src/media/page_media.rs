//! The media that a page offers in several renditions, as yt-dlp reports them. Pure.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use url::Url;

use super::chapters::Chapter;
use super::packed_segments::PackedSegments;
use super::sponsorblock::{self, Segment, SponsorBlock};
use super::subtitles::SubtitleOffer;
use super::variant::Variant;
use super::{Delivery, RemoteLocation};

/// The media of one page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageMedia {
    /// URL of the page.
    pub page_url: Url,
    /// Number of the reading, which increases: a later one has fresher locations.
    pub generation: u64,
    /// Id on the site.
    pub id: String,
    /// The yt-dlp extractor that read the page.
    pub extractor: String,
    /// Title.
    pub title: Option<String>,
    /// Author or uploader.
    pub uploader: Option<String>,
    /// `YYYY-MM-DD`
    pub date: Option<String>,
    /// Duration.
    pub duration: Option<Duration>,
    /// Whether it is live.
    pub is_live: bool,
    /// Its chapters.
    pub chapters: Vec<Chapter>,
    /// What SponsorBlock has told of it; `None` if it was not asked.
    pub sponsorblock: Option<SponsorBlock>,
    /// Its subtitles and automatic captions.
    pub subtitles: Vec<SubtitleOffer>,
    /// Location of a thumbnail.
    pub thumbnail: Option<RemoteLocation>,
    /// From the worst to the best, in yt-dlp's order.
    pub renditions: Vec<Rendition>,
    /// When the first of the locations expires.
    pub expires: Option<SystemTime>,
}

/// Video, audio, or both, in one file or in segments that are as good as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition {
    /// Id on the site; stable across readings of the page.
    pub id: String,
    /// Its video, if it has any.
    pub video: Option<VideoFormat>,
    /// Its audio, if it has any.
    pub audio: Option<AudioFormat>,
    /// Its container family.
    pub family: ContainerFamily,
    /// How it differs from the original.
    pub variant: Option<Variant>,
    /// Its location, without the segments that the page lists.
    pub location: RemoteLocation,
    /// The segments that the page lists; then the location is that of their manifest.
    pub segments: Option<Arc<PackedSegments>>,
    /// Size of the file.
    pub size: Option<Size>,
    /// Bits per second.
    pub bitrate: Option<u64>,
    /// yt-dlp's preferences, the most important first.
    pub rank: [i64; 3],
}

/// A video format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFormat {
    /// Codec.
    pub codec: VideoCodec,
    /// Nominal resolution: 1080 for 1920 × 1080, for 1080 × 1920 and for 1920 × 800.
    pub height: u32,
    /// Frames per second.
    pub fps: Option<u32>,
    /// Whether the dynamic range is high.
    pub hdr: bool,
}

/// An audio format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFormat {
    /// Codec.
    pub codec: AudioCodec,
    /// Language tag (BCP 47).
    pub language: Option<String>,
    /// The name that the page has for it.
    pub name: Option<String>,
    /// Preference of the language: the original above a translation, and an audio description below
    /// both.
    pub preference: i64,
}

/// Video codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264, AVC
    H264,
    /// H.265, HEVC
    H265,
    /// VP9
    Vp9,
    /// AV1
    Av1,
    /// Another or unknown codec.
    Other,
}

/// Audio codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC
    Aac,
    /// Opus
    Opus,
    /// MP3
    Mp3,
    /// Vorbis
    Vorbis,
    /// Another or unknown codec.
    Other,
}

/// Container families. Two files of one family can be spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerFamily {
    /// MP4, M4A
    Mp4,
    /// WebM
    Webm,
    /// Another or unknown container.
    Other,
}

/// The size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exact size in bytes.
    Exact(u64),
    /// Approximate size in bytes.
    Approximate(u64),
}

impl Size {
    /// Returns the size in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Size::Exact(bytes) | Size::Approximate(bytes) => bytes,
        }
    }
}

impl VideoCodec {
    /// The codecs that have a name in the API.
    pub const NAMED: [VideoCodec; 4] =
        [VideoCodec::H264, VideoCodec::H265, VideoCodec::Vp9, VideoCodec::Av1];

    /// Returns the name in parameters and in the JSON response.
    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            VideoCodec::H264 => "h264",
            VideoCodec::H265 => "h265",
            VideoCodec::Vp9 => "vp9",
            VideoCodec::Av1 => "av1",
            VideoCodec::Other => return None,
        })
    }

    /// Parses a codec of a `codecs` parameter (RFC 6381) or of yt-dlp.
    pub fn from_codec_string(name: &str) -> VideoCodec {
        match prefix(name) {
            "avc1" | "avc3" | "h264" => VideoCodec::H264,
            "hvc1" | "hev1" | "h265" | "hevc" | "dvh1" | "dvhe" => VideoCodec::H265,
            "vp9" | "vp09" => VideoCodec::Vp9,
            "av01" | "av1" => VideoCodec::Av1,
            _ => VideoCodec::Other,
        }
    }
}

impl AudioCodec {
    /// The codecs that have a name in the API.
    pub const NAMED: [AudioCodec; 4] =
        [AudioCodec::Aac, AudioCodec::Opus, AudioCodec::Mp3, AudioCodec::Vorbis];

    /// Returns the name in the JSON response.
    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            AudioCodec::Aac => "aac",
            AudioCodec::Opus => "opus",
            AudioCodec::Mp3 => "mp3",
            AudioCodec::Vorbis => "vorbis",
            AudioCodec::Other => return None,
        })
    }

    /// Parses a codec of a `codecs` parameter (RFC 6381) or of yt-dlp.
    pub fn from_codec_string(name: &str) -> AudioCodec {
        match prefix(name) {
            // Object type indications 0x6b and 0x69 are MPEG-1 and MPEG-2 audio.
            "mp4a" if name.starts_with("mp4a.6b") || name.starts_with("mp4a.69") => AudioCodec::Mp3,
            "mp4a" | "aac" => AudioCodec::Aac,
            "opus" => AudioCodec::Opus,
            "mp3" => AudioCodec::Mp3,
            "vorbis" => AudioCodec::Vorbis,
            _ => AudioCodec::Other,
        }
    }
}

fn prefix(codec: &str) -> &str {
    codec.split_once('.').map_or(codec, |(prefix, _)| prefix)
}

impl PageMedia {
    /// Returns the rendition with this id.
    pub fn rendition(&self, id: &str) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.id == id)
    }

    /// Returns the chapters with the segments of SponsorBlock.
    pub fn marked_chapters(&self) -> Vec<Chapter> {
        let title = self.title.as_deref().unwrap_or(&self.id);
        sponsorblock::marked(&self.chapters, self.segments(), title, self.duration)
    }

    /// Returns the segments of SponsorBlock.
    pub fn segments(&self) -> &[Segment] {
        self.sponsorblock.as_ref().map_or(&[], |told| &told.segments)
    }
}

impl PageMedia {
    /// Returns the approximate memory, in bytes.
    pub fn memory_size(&self) -> usize {
        let texts = [&self.title, &self.uploader, &self.date];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let renditions: usize = self.renditions.iter().map(Rendition::memory_size).sum();
        let thumbnail = self.thumbnail.as_ref().map_or(0, RemoteLocation::memory_size);
        let chapters = self.chapters.iter().map(|c| size_of::<Chapter>() + c.title.len());
        let page_url = self.page_url.as_str().len();
        let own = size_of::<PageMedia>() + page_url + texts + chapters.sum::<usize>();
        let subtitles = self.subtitles.iter().map(SubtitleOffer::memory_size);
        let segments = self.sponsorblock.iter().flat_map(|sponsorblock| &sponsorblock.segments);
        let segments = segments.map(Segment::memory_size).sum::<usize>();
        own + thumbnail + renditions + subtitles.sum::<usize>() + segments
    }
}

impl Rendition {
    fn memory_size(&self) -> usize {
        let segments = self.segments.as_ref().map_or(0, |segments| segments.memory_size());
        size_of::<Rendition>() + self.id.len() + self.location.memory_size() + segments
    }

    /// Returns whether it is delivered in segments.
    pub fn is_segmented(&self) -> bool {
        self.segments.is_some() || self.location.delivery != Delivery::File
    }

    /// Returns its location with its segments, for a track.
    pub fn track_location(&self) -> Result<RemoteLocation, &'static str> {
        let location = self.location.clone();
        let Some(segments) = &self.segments else { return Ok(location) };
        let delivery = Delivery::Segments(Arc::new(segments.unpack()?));
        Ok(RemoteLocation { delivery, ..location })
    }

    /// Returns whether another rendition is the same file, as far as the page tells: by its size, by
    /// the number of its segments, and by what YouTube's URLs reveal of the file.
    pub fn is_same_file(&self, other: &Rendition) -> bool {
        let sizes = [self.size, other.size].map(|size| match size {
            Some(Size::Exact(bytes)) => Some(bytes),
            _ => None,
        });
        let same_size = match sizes {
            [Some(one), Some(two)] => one == two,
            _ => true,
        };
        let identifiers = |rendition: &Rendition| {
            let pairs = rendition.location.url.query_pairs();
            let mut identifiers: Vec<(String, String)> = pairs
                .filter(|(name, _)| ["itag", "clen", "lmt", "xtags"].contains(&&**name))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            identifiers.sort();
            identifiers
        };
        let count = |rendition: &Rendition| rendition.segments.as_ref().map(|list| list.count());
        let is_same = same_size && count(self) == count(other) && self.id == other.id;
        is_same && identifiers(self) == identifiers(other)
    }
}
