//! What ffprobe and a decoder say of a file.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::moov;
use crate::support::run;

/// A file as ffprobe sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    /// What ffmpeg calls its format.
    pub(super) format: String,
    /// What it says of itself, in seconds.
    pub(super) duration: Option<f64>,
    /// Video and audio; no covers, no subtitles.
    pub(super) tracks: Vec<Track>,
    /// Streams of any other kind.
    pub(super) others: usize,
    /// Whether it says where keys for its packets are to be had.
    encrypted: bool,
    /// Whether it lacks something, or holds what cannot be.
    pub(super) is_broken: bool,
    /// Whether it is media, of which ffprobe gets no packet.
    pub(super) is_unread: bool,
}

/// Video or audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) kind: Kind,
    pub(super) codec: String,
    pub(super) packets: Vec<Packet>,
}

/// A packet; times in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) pts: i64,
    pub(super) duration: i64,
    pub(super) size: u64,
    pub(super) key: bool,
    pub(super) hash: String,
}

const ENTRIES: &str = "stream=index,codec_type,codec_name,nb_frames:stream_tags=enc_key_id:\
    stream_disposition=attached_pic:format=format_name,duration:\
    packet=stream_index,pts_time,dts_time,duration_time,size,flags,data_hash";

/// Formats whose duration is a count of what is in them.
const ENTIRE: [&str; 4] = ["mp3", "flac", "aiff", "wav"];

/// What ffprobe says of a file that is not as it says itself, or as it should be.
const BROKEN: [&str; 6] = [
    "ended prematurely",
    "partial file",
    "runcat",
    "exceeds containing master element",
    "as first byte of an EBML number",
    "Error parsing frame sizes",
];

/// What decoders say of tracks whose packets ffprobe then does not tell of: those of MPEG audio, and of
/// Vorbis without its headers.
const UNDECODABLE: [&str; 2] = ["rame size", "Extradata missing"];

impl Probe {
    /// Reads all of the file.
    pub(super) fn of(file: &Path) -> Self {
        let mut probe = Self::by(Command::new("ffprobe").arg(file));
        // It calls the packets by what they are behind the encryption.
        if probe.format.contains("mp4") {
            let bytes = std::fs::read(file).unwrap();
            probe.duration = moov::duration(&bytes).or(probe.duration);
            probe.encrypted |= has_encrypted_entry(&bytes);
            probe.is_broken |= !consists_of_boxes(&bytes);
        } else if probe.format == "ogg" {
            probe.is_broken |= !ends_with_page(&std::fs::read(file).unwrap());
        }
        if ["mp3", "aac", "ac3", "eac3", "flac"].contains(&probe.format.as_str()) {
            probe.is_broken |= !all_decodes(file);
        }
        if ENTIRE.contains(&probe.format.as_str()) {
            let end = probe.tracks.iter().map(|track| track.span().1).max().unwrap_or_default();
            probe.is_broken |= probe.duration.is_some_and(|said| said > end as f64 / 1e6 + 0.1);
        }
        probe
    }

    /// The same through a pipe, so that nothing that is at the end can help.
    pub(super) fn streamed(file: &Path) -> Self {
        let pipe = Stdio::from(std::fs::File::open(file).unwrap());
        let mut program = Command::new("sh");
        // A file at standard input would be one that can be looked into anywhere.
        let args = ["-c", "cat | exec ffprobe \"$@\" pipe:0", "sh"];
        let mut probe = Self::by(program.args(args).stdin(pipe));
        if probe.format.contains("mp4") {
            // ffprobe takes the first fragment for all, and counts from 0 what begins later.
            let bytes = std::fs::read(file).unwrap();
            let is_told = !moov::is_silent(&bytes);
            probe.duration = moov::duration(&bytes).or(probe.duration.filter(|_| is_told));
        }
        probe
    }

    fn by(program: &mut Command) -> Self {
        let output = run(program
            .args(["-v", "error", "-show_data_hash", "md5", "-of", "json", "-show_entries"])
            .arg(ENTRIES));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let complaints = String::from_utf8_lossy(&output.stderr);
        let mut probe = Self {
            is_broken: BROKEN.iter().any(|sign| complaints.contains(sign)),
            format: text(&said["format"]["format_name"]),
            duration: seconds(&said["format"]["duration"]),
            ..Self::default()
        };
        // ffprobe counts streams anew when it finds more; the index is what packets go by.
        let (mut places, mut counts) = (Vec::new(), Vec::<usize>::new());
        for stream in list(&said["streams"]) {
            let is_cover = stream["disposition"]["attached_pic"] == 1;
            probe.encrypted |= stream["tags"]["enc_key_id"].is_string();
            let kind = match stream["codec_type"].as_str() {
                Some("video") if !is_cover => Kind::Video,
                Some("audio") => Kind::Audio,
                _ => {
                    probe.others += 1;
                    continue;
                }
            };
            let codec = text(&stream["codec_name"]);
            let count = text(&stream["nb_frames"]).parse().unwrap_or_default();
            counts.push(count);
            places.push(stream["index"].as_u64());
            probe.tracks.push(Track { kind, codec, packets: Vec::new() });
        }
        for packet in list(&said["packets"]) {
            let index = packet["stream_index"].as_u64();
            if let Some(place) = places.iter().position(|place| *place == index) {
                probe.tracks[place].packets.push(Packet::read(packet));
            }
        }
        let mut told = probe.tracks.iter().zip(counts);
        probe.is_broken |= told.any(|(track, count)| count > track.packets.len());
        let is_undecodable = UNDECODABLE.iter().any(|sign| complaints.contains(sign));
        let has_any = probe.tracks.iter().any(|track| !track.packets.is_empty());
        probe.is_unread = !has_any && (!probe.tracks.is_empty() || is_undecodable);
        probe.tracks.retain(|track| !track.packets.is_empty());
        probe
    }

    pub(super) fn first(&self, kind: Kind) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == kind)
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.tracks.iter().filter(|track| track.kind == kind).count()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.encrypted
    }
}

/// Whether a sample entry is one of encrypted samples (ISO/IEC 23001-7 §4.2): behind its type are six
/// zeros.
fn has_encrypted_entry(bytes: &[u8]) -> bool {
    let mut tens = bytes.windows(10);
    tens.any(|ten| ten.starts_with(b"encv\0\0\0\0\0\0") || ten.starts_with(b"enca\0\0\0\0\0\0"))
}

/// Whether its boxes end where it ends (ISO/IEC 14496-12 §4.2).
fn consists_of_boxes(mut bytes: &[u8]) -> bool {
    while let Some(size) = bytes.first_chunk() {
        let size = match u32::from_be_bytes(*size) {
            0 => return true,
            1 => bytes
                .get(8..)
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |size| u64::from_be_bytes(*size)),
            size => size.into(),
        };
        let rest = usize::try_from(size).ok().filter(|size| *size >= 8);
        match rest.and_then(|size| bytes.get(size..)) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    bytes.is_empty()
}

/// Whether the last page is whole, and says that it is the last (RFC 3533 §6).
fn ends_with_page(bytes: &[u8]) -> bool {
    let last = bytes.windows(4).rposition(|four| four == b"OggS");
    last.map(|at| &bytes[at..]).is_some_and(|page| {
        let count = page.get(26).map_or(0, |count| usize::from(*count));
        let lens = page.get(27..27 + count).unwrap_or_default();
        let len = 27 + count + lens.iter().map(|len| usize::from(*len)).sum::<usize>();
        page.len() >= len && page[5] & 4 != 0
    })
}

impl Packet {
    fn read(packet: &Value) -> Self {
        let micros = |field: &str| seconds(&packet[field]).map(|time| (time * 1e6).round() as i64);
        Self {
            pts: micros("pts_time").or_else(|| micros("dts_time")).unwrap_or_default(),
            duration: micros("duration_time").unwrap_or_default(),
            size: packet["size"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default(),
            key: packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K')),
            hash: text(&packet["data_hash"]),
        }
    }
}

impl Track {
    /// When its first packet is shown, and when its last one ends.
    pub(super) fn span(&self) -> (i64, i64) {
        let starts = self.packets.iter().map(|packet| packet.pts);
        let untold = if self.has_durations() { 0 } else { self.longest_packet() };
        let ends = self.packets.iter().map(|packet| packet.pts + packet.duration + untold);
        (starts.min().unwrap_or_default(), ends.max().unwrap_or_default())
    }

    /// The longest that a packet is shown: until the next one, where ffprobe does not say it (FLAC in MP4).
    pub(super) fn longest_packet(&self) -> i64 {
        if self.has_durations() {
            return self.packets.iter().map(|packet| packet.duration).max().unwrap_or_default();
        }
        let mut times: Vec<_> = self.packets.iter().map(|packet| packet.pts).collect();
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    fn has_durations(&self) -> bool {
        self.packets.iter().any(|packet| packet.duration > 0)
    }

    pub(super) fn is_pcm(&self) -> bool {
        // What ffprobe does not know in an MP4 it cuts as it does PCM.
        let unknown = ["", "unknown"].contains(&self.codec.as_str());
        unknown || self.codec.starts_with("pcm_") || self.codec.starts_with("adpcm_")
    }
}

/// So many seconds show whether a decoder can make anything of a file.
const ENOUGH: &str = "10";

/// What a decoder complains of, at the beginning of the first video and the first audio.
pub(super) fn decodes(file: &Path) -> Vec<String> {
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1", "-t", ENOUGH, "-i"])
        .arg(file)
        .args(["-map", "0:V:0?", "-map", "0:a:0?", "-fps_mode", "passthrough"])
        // Else it complains of itself, where it guesses the frame rate wrong.
        .args(["-enc_time_base", "-1", "-f", "null", "-"]));
    let said = String::from_utf8_lossy(&output.stderr);
    let status = (!output.status.success()).then(|| format!("ffmpeg: {}", output.status));
    said.lines().map(String::from).chain(status).collect()
}

/// Whether a decoder takes all of a sound.
fn all_decodes(file: &Path) -> bool {
    let decode = ["-map", "0:a:0", "-f", "null", "-"];
    let mut command = Command::new("ffmpeg");
    let output = run(command.args(["-v", "error", "-nostdin", "-i"]).arg(file).args(decode));
    output.status.success() && output.stderr.is_empty()
}

/// A hash of all bytes of a track, however they are cut into packets.
pub(super) fn hash_of_all(file: &Path, kind: Kind) -> String {
    let map = if kind == Kind::Video { "0:V:0" } else { "0:a:0" };
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", map, "-c", "copy", "-f", "md5", "-"]));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seconds(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}
