//! Films in segments, as ffmpeg's HLS muxer makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::framemd5::packets;
use super::media;
use super::origin::Origin;
use super::packed_audio::{Packing, pack};
use super::resource::Resource;
use super::run;

/// A film in segments: its files, and the one that it was made from.
pub(crate) struct HlsFilm {
    pub(crate) source: PathBuf,
    /// Names and contents.
    files: Vec<(String, Vec<u8>)>,
    /// The name of the playlist to begin with.
    playlist: &'static str,
}

/// How a film is cut into segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether the file that comes out has a length.
    pub(crate) is_exact: bool,
    arguments: &'static str,
    playlist: &'static str,
}

const fn kind(
    name: &'static str,
    is_exact: bool,
    playlist: &'static str,
    arguments: &'static str,
) -> Kind {
    Kind { name, is_exact, arguments, playlist }
}

const ONE: &str = "list.m3u8";
const APART: &str = "master.m3u8";
/// The playlist of the audio, if it is apart.
const AUDIO: &str = "stream_1.m3u8";

/// All kinds.
pub(crate) const KINDS: [Kind; 9] = [
    kind("fragments", true, ONE, "-hls_segment_type fmp4"),
    kind("fragments in one file", true, ONE, "-hls_segment_type fmp4 -hls_flags single_file"),
    kind("fragments, apart", true, APART, "-hls_segment_type fmp4"),
    kind("transport stream", true, ONE, ""),
    kind("transport stream in one file", true, ONE, "-hls_flags single_file"),
    kind("transport stream, apart", true, APART, ""),
    kind("transport stream, encrypted", true, ONE, "-hls_key_info_file info-with-iv"),
    kind("transport stream, implied vectors", true, ONE, "-hls_key_info_file info"),
    kind(
        "transport stream, later sequence numbers",
        true,
        ONE,
        "-hls_key_info_file info -start_number 7794",
    ),
];

/// A transport stream whose timestamps wrap in its third segment.
pub(crate) const WRAPPING: Kind = kind("wrapping", true, ONE, "-output_ts_offset 95438");

/// The kinds of live streams, in segments of a second.
pub(crate) const LIVE: [Kind; 6] = [
    kind("fragments", false, ONE, "-hls_time 1 -hls_segment_type fmp4"),
    kind("transport stream", false, ONE, "-hls_time 1"),
    kind("fragments, apart", false, APART, "-hls_time 1 -hls_segment_type fmp4"),
    kind("transport stream, encrypted", false, ONE, "-hls_time 1 -hls_key_info_file info"),
    kind("transport stream, video alone", false, ONE, "-hls_time 1 -an"),
    kind("transport stream, encrypted again", false, ONE, "-hls_time 1 -hls_key_info_file info-2"),
];

/// The kind with this name.
pub(crate) fn named(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).expect("there is this kind")
}

/// The film of all kinds: half a minute, with B-frames and key frames every second.
pub(crate) fn source() -> PathBuf {
    let coded = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 500k -g 25 -bf 2 \
                 -c:a aac -b:a 96k -movflags +faststart";
    let coded: Vec<String> = coded.split_whitespace().map(str::to_owned).collect();
    let (picture, sound) = (media::picture("320x180", 25, 30), media::sound(48_000, 30));
    media::generate("hls-source", "mp4", &[&picture[..], &sound, &coded].concat())
}

/// The film of live streams: ten seconds, with B-frames and key frames every second.
pub(crate) fn live_source() -> PathBuf {
    let coded = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 500k -g 25 -bf 2 \
                 -c:a aac -b:a 96k -movflags +faststart";
    let coded: Vec<String> = coded.split_whitespace().map(str::to_owned).collect();
    let (picture, sound) = (media::picture("320x180", 25, 10), media::sound(48_000, 10));
    media::generate("live-source", "mp4", &[&picture[..], &sound, &coded].concat())
}

impl HlsFilm {
    /// Makes the film of all kinds.
    pub(crate) fn new(kind: Kind) -> HlsFilm {
        HlsFilm::of(kind, &source())
    }

    /// Makes a film of a file.
    pub(crate) fn of(kind: Kind, source: &Path) -> HlsFilm {
        let recipe = (source, kind.arguments, kind.playlist);
        let directory = media::made("hls", "d", &recipe, |partial| make(partial, source, kind));
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        HlsFilm { source: source.to_owned(), files, playlist: kind.playlist }
    }

    /// The names of the media segments of the first playlist, in their order.
    pub(crate) fn segments(&self) -> Vec<String> {
        let playlist = if self.playlist == APART { "stream_0.m3u8" } else { ONE };
        self.text(playlist)
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// The text of a playlist.
    pub(crate) fn text(&self, playlist: &str) -> String {
        let (_, text) = self.files.iter().find(|(name, _)| name == playlist).unwrap();
        String::from_utf8(text.clone()).unwrap()
    }

    /// Changes the text of a playlist.
    pub(crate) fn edit(mut self, edit: impl Fn(String) -> String) -> HlsFilm {
        let playlist = self.playlist;
        let (_, text) = self.files.iter_mut().find(|(name, _)| name == playlist).unwrap();
        *text = edit(String::from_utf8(text.clone()).unwrap()).into_bytes();
        self
    }

    /// The same film, of a kind with video and audio apart, with packed audio.
    pub(crate) fn with_packed_audio(mut self) -> HlsFilm {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in &self.files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let list = directory.path().join(AUDIO);
        let frames = directory.path().join("frames.aac");
        let mut extract = Command::new("ffmpeg");
        extract.args(["-v", "error", "-nostdin", "-i"]).arg(&list).args(["-c", "copy"]);
        assert!(run(extract.arg(&frames)).status.success());
        let begin = Some((packets(&list, "a")[0].pts.max(0) as u64 * 9).div_ceil(100_000));
        let packing = Packing { frames: 90, samples: 1024, rate: 48_000, begin };
        let mut text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n".to_owned();
        for (number, (segment, duration)) in pack(&frames, packing).into_iter().enumerate() {
            let name = format!("packed{number}.aac");
            text += &format!("#EXTINF:{:.6},\n{name}\n", duration.as_secs_f64());
            self.files.push((name, segment));
        }
        text += "#EXT-X-ENDLIST\n";
        let (_, playlist) = self.files.iter_mut().find(|(name, _)| name == AUDIO).unwrap();
        *playlist = text.into_bytes();
        self
    }

    /// Puts all files on an origin, below `directory`, and returns the URL of the playlist.
    pub(crate) fn put(&self, origin: &Origin, directory: &str) -> String {
        self.put_with(origin, directory, |_, resource| resource)
    }

    /// Likewise, with each resource changed by its name.
    pub(crate) fn put_with(
        &self,
        origin: &Origin,
        directory: &str,
        change: impl Fn(&str, Resource) -> Resource,
    ) -> String {
        for (name, content) in &self.files {
            let resource = Resource::bytes(content.clone()).ranges().etag("\"1\"").keep_alive();
            origin.put(&format!("{directory}/{name}"), change(name, resource));
        }
        origin.url(&format!("{directory}/{}", self.playlist))
    }
}

fn make(directory: &Path, source: &Path, kind: Kind) {
    fs::create_dir(directory).unwrap();
    fs::write(directory.join("key"), b"0123456789abcdef").unwrap();
    fs::write(directory.join("info"), "key\nkey\n").unwrap();
    fs::write(directory.join("key-2"), b"fedcba9876543210").unwrap();
    fs::write(directory.join("info-2"), "key-2\nkey-2\n").unwrap();
    let vector = "000102030405060708090a0b0c0d0e0f";
    fs::write(directory.join("info-with-iv"), format!("key\nkey\n{vector}\n")).unwrap();
    let apart = "-map 0:v -map 0:a -var_stream_map v:0,agroup:g_a:0,agroup:g \
                 -master_pl_name master.m3u8 stream_%v.m3u8";
    let end = if kind.playlist == APART { apart } else { ONE };
    let words = |text: &str| {
        let words = text.split_whitespace().map(|word| word.replace("g_a", "g a"));
        words.collect::<Vec<_>>()
    };
    let output = run(Command::new("ffmpeg")
        .current_dir(directory)
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(source)
        .args(words("-c copy -f hls -hls_time 2 -hls_playlist_type vod"))
        .args(words(kind.arguments))
        .args(words(end)));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
