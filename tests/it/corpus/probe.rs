//! What ffprobe and a decoder say of a file.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

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
    /// Whether the first lines of complaint were about what it is.
    encrypted: bool,
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

const ENTRIES: &str = "stream=index,codec_type,codec_name,codec_tag_string:\
    stream_disposition=attached_pic:format=format_name,duration:\
    packet=stream_index,pts_time,dts_time,duration_time,size,flags,data_hash";

impl Probe {
    /// Reads all of the file.
    pub(super) fn of(file: &Path) -> Self {
        Self::by(Command::new("ffprobe").arg(file))
    }

    /// The same through a pipe, so that nothing that is at the end can help.
    pub(super) fn streamed(file: &Path) -> Self {
        let pipe = Stdio::from(std::fs::File::open(file).unwrap());
        let mut program = Command::new("sh");
        // A file at standard input would be one that can be looked into anywhere.
        Self::by(program.args(["-c", "cat | exec ffprobe \"$@\" pipe:0", "sh"]).stdin(pipe))
    }

    fn by(program: &mut Command) -> Self {
        let output = run(program
            .args(["-v", "error", "-show_data_hash", "md5", "-of", "json", "-show_entries"])
            .arg(ENTRIES));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut probe = Self {
            format: text(&said["format"]["format_name"]),
            duration: seconds(&said["format"]["duration"]),
            ..Self::default()
        };
        // ffprobe counts streams anew when it finds more; the index is what packets go by.
        let mut places = Vec::new();
        for stream in list(&said["streams"]) {
            let is_cover = stream["disposition"]["attached_pic"] == 1;
            let tag = text(&stream["codec_tag_string"]);
            probe.encrypted |= ["encv", "enca"].contains(&tag.as_str());
            let kind = match stream["codec_type"].as_str() {
                Some("video") if !is_cover => Kind::Video,
                Some("audio") => Kind::Audio,
                _ => {
                    probe.others += 1;
                    continue;
                }
            };
            let codec = text(&stream["codec_name"]);
            places.push(stream["index"].as_u64());
            probe.tracks.push(Track { kind, codec, packets: Vec::new() });
        }
        for packet in list(&said["packets"]) {
            let index = packet["stream_index"].as_u64();
            if let Some(place) = places.iter().position(|place| *place == index) {
                probe.tracks[place].packets.push(Packet::read(packet));
            }
        }
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
        let ends = self.packets.iter().map(|packet| packet.pts + packet.duration);
        (starts.min().unwrap_or_default(), ends.max().unwrap_or_default())
    }

    /// The longest that a packet is shown.
    pub(super) fn longest_packet(&self) -> i64 {
        self.packets.iter().map(|packet| packet.duration).max().unwrap_or_default()
    }

    pub(super) fn is_pcm(&self) -> bool {
        self.codec.starts_with("pcm_") || self.codec.starts_with("adpcm_")
    }
}

/// What a decoder complains of, in the first video and the first audio.
pub(super) fn decodes(file: &Path) -> Vec<String> {
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1", "-i"])
        .arg(file)
        .args(["-map", "0:V:0?", "-map", "0:a:0?", "-fps_mode", "passthrough"])
        .args(["-f", "null", "-"]));
    let said = String::from_utf8_lossy(&output.stderr);
    let status = (!output.status.success()).then(|| format!("ffmpeg: {}", output.status));
    said.lines().map(String::from).chain(status).collect()
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
