//! What a page link offers: a film in several renditions, as whoever read the page tells. Pure.

use std::time::{Duration, SystemTime};

use url::Url;

use super::RemoteLocation;
use super::variant::Variant;

/// A film as its page offers it.
#[derive(Debug, Clone, PartialEq)]
pub struct PageMedia {
    /// The page.
    pub link: Url,
    /// Counts up with each reading of a page: a later one has fresher locations.
    pub generation: u64,
    /// What its site calls it.
    pub id: String,
    /// Who read the page.
    pub extractor: String,
    /// What it is called.
    pub title: Option<String>,
    /// Who made it, or put it there.
    pub uploader: Option<String>,
    /// `YYYY-MM-DD`
    pub date: Option<String>,
    /// How long it plays.
    pub duration: Option<Duration>,
    /// A picture of it.
    pub thumbnail: Option<RemoteLocation>,
    /// From the least to the best, as whoever read the page sees it.
    pub renditions: Vec<Rendition>,
    /// When the first of the locations ceases to be of use.
    pub expires: Option<SystemTime>,
}

/// One file of the film: a picture, a sound, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition {
    /// What its site calls it; the same after each reading of the page.
    pub id: String,
    /// Its picture, if it has one.
    pub video: Option<VideoFormat>,
    /// Its sound, if it has one.
    pub audio: Option<AudioFormat>,
    /// What kind of file it is.
    pub family: ContainerFamily,
    /// How it differs from the film as it was made.
    pub variant: Option<Variant>,
    /// Where it is.
    pub location: RemoteLocation,
    /// How long the file is.
    pub size: Option<Size>,
    /// Bits a second.
    pub bitrate: Option<u64>,
    /// How much the reader of the page prefers it, most important first.
    pub rank: [i64; 3],
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFormat {
    /// How it is coded.
    pub codec: VideoCodec,
    /// What people call its resolution: 1080 for 1920 × 1080, for 1080 × 1920 and for 1920 × 800.
    pub height: u32,
    /// Pictures a second.
    pub fps: Option<u32>,
    /// Whether it is of high dynamic range.
    pub hdr: bool,
}

/// A sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFormat {
    /// How it is coded.
    pub codec: AudioCodec,
    /// Its language, as a tag of BCP 47.
    pub language: Option<String>,
    /// How much this language is the one that is meant: the original above a translation, and a
    /// description of the picture below both.
    pub preference: i64,
}

/// Codecs of pictures.
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
    /// Another one, or nobody knows.
    Other,
}

/// Codecs of sounds.
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
    /// Another one, or nobody knows.
    Other,
}

/// Kinds of files. Two files of one kind can be spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerFamily {
    /// MP4, M4A
    Mp4,
    /// WebM
    Webm,
    /// Another one, or nobody knows.
    Other,
}

/// The length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many bytes.
    Exact(u64),
    /// About so many.
    Approximate(u64),
}

impl Size {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Size::Exact(bytes) | Size::Approximate(bytes) => bytes,
        }
    }
}

impl VideoCodec {
    /// The word for it in parameters and in what is told of a film.
    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            VideoCodec::H264 => "h264",
            VideoCodec::H265 => "h265",
            VideoCodec::Vp9 => "vp9",
            VideoCodec::Av1 => "av1",
            VideoCodec::Other => return None,
        })
    }

    /// By its name in a `codecs` parameter (RFC 6381) or in yt-dlp.
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
    /// The word for it in what is told of a film.
    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            AudioCodec::Aac => "aac",
            AudioCodec::Opus => "opus",
            AudioCodec::Mp3 => "mp3",
            AudioCodec::Vorbis => "vorbis",
            AudioCodec::Other => return None,
        })
    }

    /// By its name in a `codecs` parameter (RFC 6381) or in yt-dlp.
    pub fn from_codec_string(name: &str) -> AudioCodec {
        match prefix(name) {
            // Object type 0x6b of MPEG-4 is MPEG-1 audio.
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
    /// The rendition that is called so.
    pub fn rendition(&self, id: &str) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.id == id)
    }
}

impl PageMedia {
    /// About how many bytes of memory it takes.
    pub fn memory_size(&self) -> usize {
        let texts = [&self.title, &self.uploader, &self.date];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let renditions: usize = self.renditions.iter().map(Rendition::memory_size).sum();
        let thumbnail = self.thumbnail.as_ref().map_or(0, RemoteLocation::memory_size);
        size_of::<PageMedia>() + self.link.as_str().len() + texts + thumbnail + renditions
    }
}

impl Rendition {
    fn memory_size(&self) -> usize {
        size_of::<Rendition>() + self.id.len() + self.location.memory_size()
    }

    /// Whether another location leads to the same file as this one, as far as the page tells: the
    /// length, and what YouTube writes into its URLs of the file itself.
    pub fn is_same_file(&self, other: &Rendition) -> bool {
        let sizes = [self.size, other.size].map(|size| match size {
            Some(Size::Exact(bytes)) => Some(bytes),
            _ => None,
        });
        let same_size = match sizes {
            [Some(one), Some(two)] => one == two,
            _ => true,
        };
        let facts = |rendition: &Rendition| {
            let pairs = rendition.location.url.query_pairs();
            let mut facts: Vec<(String, String)> = pairs
                .filter(|(name, _)| ["itag", "clen", "lmt", "xtags"].contains(&&**name))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            facts.sort();
            facts
        };
        same_size && self.id == other.id && facts(self) == facts(other)
    }
}
