//! The packets that come out are the packets that went in, in every container.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp;

/// Seconds by which the duration of an output may differ from that of its longest input.
const DURATION_TOLERANCE: f64 = 0.1;

struct Muxed {
    origin: Origin,
    daemon: Daemon,
    directory: TempDir,
}

impl Muxed {
    fn new() -> Self {
        Self::with(LOOPBACK)
    }

    fn with(config: &str) -> Self {
        Self {
            origin: Origin::start(),
            daemon: Daemon::start(config),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn bytes(
        &self,
        video: Option<&Path>,
        audio: Option<&Path>,
        container: &str,
    ) -> (String, Vec<u8>) {
        let put = |name, path| self.origin.put(name, Resource::file(path));
        let (video, audio) = (video.map(|p| put("v", p)), audio.map(|p| put("a", p)));
        let path = mux_path(video.as_deref(), audio.as_deref(), &[("container", container)]);
        let answer = self.daemon.get(&path);
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        assert_eq!(answer.ending, Ending::Complete);
        let kind = answer.head.header("Content-Type").unwrap().to_owned();
        (kind, answer.body)
    }

    fn file(
        &self,
        video: Option<&Path>,
        audio: Option<&Path>,
        container: &str,
    ) -> (String, PathBuf) {
        let (kind, bytes) = self.bytes(video, audio, container);
        let file = self.directory.path().join("muxed");
        std::fs::write(&file, bytes).unwrap();
        (kind, file)
    }

    /// Downloads and compares every track with its source, and the duration with the longest.
    fn check(&self, video: Option<&Path>, audio: Option<&Path>, container: &str, kind: &str) {
        let what = format!("{video:?} + {audio:?} as {container}");
        let (found, file) = self.file(video, audio, container);
        assert_eq!(found, kind, "{what}");
        let mut longest: f64 = 0.0;
        for (source, stream) in [(video, "v"), (audio, "a")] {
            let Some(source) = source else { continue };
            let same_clock = source.extension().unwrap() == kind.split('/').nth(1).unwrap();
            let exactness = if same_clock { Exactness::Every } else { Exactness::Millisecond };
            let what = format!("{stream} of {what}");
            assert_same(&packets(source, stream), &packets(&file, stream), exactness, &what);
            longest = longest.max(media::file_duration(source).unwrap());
        }
        for (how, duration) in
            [("file", media::file_duration(&file)), ("stream", media::streamed_duration(&file))]
        {
            let duration = duration.unwrap_or_else(|| panic!("{what} as a {how} has no duration"));
            assert!(
                (duration - longest).abs() <= DURATION_TOLERANCE,
                "{what} as a {how} lasts {duration} s, its longest source {longest} s"
            );
        }
    }
}

#[test]
fn h264_and_aac_become_mp4() {
    let pair = media::minute();
    Muxed::new().check(Some(&pair.video), Some(&pair.audio), "auto", "video/mp4");
}

#[test]
fn vp9_and_opus_become_webm() {
    let pair = media::webm();
    Muxed::new().check(Some(&pair.video), Some(&pair.audio), "auto", "video/webm");
}

#[test]
fn a_mixed_pair_becomes_matroska() {
    let (video, audio) = (&media::minute().video, &media::webm().audio);
    Muxed::new().check(Some(video), Some(audio), "auto", "video/x-matroska");
}

#[test]
fn matroska_takes_mp4_tracks_when_asked() {
    let pair = media::minute();
    Muxed::new().check(Some(&pair.video), Some(&pair.audio), "mkv", "video/x-matroska");
}

#[test]
fn one_track_alone_is_enough() {
    let (mp4, webm) = (media::minute(), media::webm());
    let muxed = Muxed::new();
    muxed.check(Some(&mp4.video), None, "auto", "video/mp4");
    muxed.check(Some(&webm.video), None, "auto", "video/webm");
    muxed.check(None, Some(&mp4.audio), "auto", "audio/mp4");
    muxed.check(None, Some(&webm.audio), "auto", "audio/webm");
    muxed.check(None, Some(&webm.audio), "mkv", "audio/x-matroska");
}

/// Distributions have ffmpeg 5.1 to 8, users build newer ones. PyPI has a current one.
#[test]
fn a_current_ffmpeg_joins_as_the_one_of_the_distribution_does() {
    let ffmpeg = ytdlp::current_ffmpeg();
    let muxed = Muxed::with(&format!("{LOOPBACK}[muxer]\nffmpeg = {ffmpeg:?}\n"));
    let (mp4, webm) = (media::minute(), media::webm());
    muxed.check(Some(&mp4.video), Some(&mp4.audio), "auto", "video/mp4");
    muxed.check(Some(&webm.video), Some(&webm.audio), "auto", "video/webm");
    muxed.check(Some(&mp4.video), Some(&webm.audio), "auto", "video/x-matroska");
    // A part of a film, and a track that is not there.
    let put = |name, path| muxed.origin.put(name, Resource::file(path));
    let (video, audio) = (put("v", &mp4.video), put("a", &mp4.audio));
    let part = [("start", "10"), ("end", "20"), ("container", "mkv")];
    let answer = muxed.daemon.get(&mux_path(Some(&video), Some(&audio), &part));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(answer.ending, Ending::Complete, "{}", muxed.daemon.log());
    let answer = muxed.daemon.get(&mux_path(Some(&audio), Some(&audio), &[]));
    assert_eq!(answer.head.status, 422, "{}", muxed.daemon.log());
    assert_eq!(answer.problem()["track"], "video", "{}", answer.text());
}

/// Sound has no key frames to end a fragment at, and must not be kept back for that.
#[test]
fn sound_alone_arrives_while_it_is_fetched() {
    let (origin, daemon, gate) = (Origin::start(), Daemon::start(LOOPBACK), Gate::default());
    let audio = Resource::file(&media::minute().audio);
    let half = audio.len() / 2;
    let url = origin.put("a", audio.gate(half, &gate));
    let mut client = Client::get(daemon.address(), &mux_path(None, Some(&url), &[]));
    client.first_byte();
    client.read_raw(half as usize * 3 / 4);
    gate.reached();
    gate.open();
}

#[test]
fn an_index_at_the_head_is_fine() {
    let (video, audio) = (media::index_at_head(), &media::minute().audio);
    Muxed::new().check(Some(video), Some(audio), "auto", "video/mp4");
}

/// Edit lists put the first packets below zero; lost, they would move the tracks apart.
#[test]
fn edit_lists_keep_the_tracks_in_step() {
    let (pair, plain) = (media::edit_listed(), media::minute());
    let muxed = Muxed::new();
    for (video, audio) in [(&pair.video, &pair.audio), (&plain.video, &pair.audio)] {
        let (_, file) = muxed.file(Some(video), Some(audio), "auto");
        for (track, source) in [("v", video), ("a", audio)] {
            let source = packets(source, track);
            assert_same(&source, &packets(&file, track), Exactness::Every, track);
        }
    }
    assert!(packets(&pair.video, "v")[0].dts < 0 && packets(&pair.audio, "a")[0].dts < 0);
}

#[test]
fn an_old_client_gets_the_same_bytes_up_to_the_close() {
    let pair = media::minute();
    let muxed = Muxed::new();
    let (_, chunked) = muxed.bytes(Some(&pair.video), Some(&pair.audio), "mp4");
    let path = mux_path(
        Some(&muxed.origin.url("v")),
        Some(&muxed.origin.url("a")),
        &[("container", "mp4")],
    );
    let mut client = Client::connect(muxed.daemon.address());
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    client.send(request.as_bytes()).unwrap();
    let answer = client.answer();
    assert_eq!(answer.head.header("Transfer-Encoding"), None);
    assert_eq!(answer.head.header("Content-Length"), None);
    assert_eq!(answer.ending, Ending::Complete);
    assert!(answer.body == chunked, "the bytes differ");
}

#[test]
fn two_downloads_are_identical() {
    let muxed = Muxed::new();
    for (pair, container) in
        [(media::minute(), "mp4"), (media::webm(), "webm"), (media::minute(), "mkv")]
    {
        let download = || muxed.bytes(Some(&pair.video), Some(&pair.audio), container).1;
        assert!(download() == download(), "{container} differs");
    }
}

#[test]
fn a_redirect_and_a_slow_origin_change_nothing() {
    let pair = media::minute();
    let muxed = Muxed::new();
    let (_, expected) = muxed.bytes(Some(&pair.video), Some(&pair.audio), "auto");
    let target = muxed.origin.put("target", Resource::file(&pair.video).pace(4_000_000).ranges());
    let away = Resource::bytes("").fault(Fault::Redirect(target));
    let video = muxed.origin.put("away", away);
    let audio = muxed.origin.url("a");
    let answer = muxed.daemon.get(&mux_path(Some(&video), Some(&audio), &[]));
    assert_eq!(answer.ending, Ending::Complete);
    assert!(answer.body == expected, "the bytes differ");
}

/// Sounds as they lie around, with and without a container; none of them tells how long it is.
#[test]
fn other_sounds_are_taken() {
    let muxed = Muxed::new();
    let pictures = media::webm();
    for (name, sound) in media::sounds() {
        let (_, alone) = muxed.file(None, Some(sound), "auto");
        assert_eq!(hashes(sound, name), hashes(&alone, name), "{name} alone");
        let (_, joined) = muxed.file(Some(&pictures.video), Some(sound), "auto");
        assert_eq!(hashes(sound, name), hashes(&joined, name), "{name} beside a picture");
    }
}

#[test]
fn bare_aac_fits_only_into_mp4() {
    let muxed = Muxed::new();
    let (_, aac) = media::sounds().iter().find(|(name, _)| *name == "aac").unwrap();
    let url = muxed.origin.put("a", Resource::file(aac));
    for container in ["mkv", "webm"] {
        let answer = muxed.daemon.get(&mux_path(None, Some(&url), &[("container", container)]));
        assert_eq!((answer.head.status, answer.code().as_str()), (422, "mux-refused"));
        assert_eq!(answer.problem()["track"], "audio");
    }
}

/// What is in the packets. ADTS keeps a head of its own in each, which goes: then their number.
fn hashes(file: &Path, name: &str) -> Vec<String> {
    let packets = packets(file, "a").into_iter();
    packets.map(|packet| if name == "aac" { String::new() } else { packet.md5 }).collect()
}
