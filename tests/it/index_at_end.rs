//! MP4 as it lies on servers: the index behind the media. It is read first, and the rest goes on in
//! order, to splice and to ffmpeg alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::films::{crowded, film, m4a};
use crate::support::framemd5::{Exactness, Packet, assert_same, packets};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{media, run};

mod pcm;

/// As much as tracks may be moved against each other.
const IN_STEP: i64 = 2_000_000;

/// A daemon, an origin, and a place for what is downloaded.
struct TestSetup {
    origin: Origin,
    daemon: Daemon,
    directory: TempDir,
}

impl TestSetup {
    fn new() -> TestSetup {
        let directory = tempfile::tempdir().unwrap();
        TestSetup { origin: Origin::start(), daemon: Daemon::start(LOOPBACK), directory }
    }

    fn ask(&self, video: Option<&Path>, audio: Option<&Path>, extra: &[(&str, &str)]) -> Answer {
        let put = |name, file| {
            self.origin.put(name, Resource::file(file).ranges().keep_alive().etag("\"1\""))
        };
        let [video, audio] =
            [("v", video), ("a", audio)].map(|(name, file)| Some(put(name, file?)));
        self.daemon.get(&any_path(video.as_deref(), audio.as_deref(), extra))
    }

    /// What comes, complete, and by this engine.
    fn file(
        &self,
        video: Option<&Path>,
        audio: Option<&Path>,
        extra: &[(&str, &str)],
        engine: &str,
    ) -> PathBuf {
        let answer = self.ask(video, audio, extra);
        let what = format!("{video:?} + {audio:?}, {extra:?}");
        assert_eq!(answer.head.status, 200, "{what}: {}", answer.text());
        assert_eq!(answer.ending, Ending::Complete, "{what}: {}", self.daemon.log());
        let timing = answer.head.header("Server-Timing").unwrap();
        assert!(timing.contains(&format!("desc=\"{engine}")), "{what}: {timing}");
        let path = self.directory.path().join("joined");
        std::fs::write(&path, &answer.body).unwrap();
        path
    }

    /// How many bytes of this place were asked for so far.
    fn asked_for(&self, name: &str) -> u64 {
        let path = format!("/{name}");
        let requests = self.origin.requests().into_iter().filter(|request| request.path == path);
        let range = |field: &str| -> Option<u64> {
            let (from, to) = field.strip_prefix("bytes=")?.split_once('-')?;
            Some(to.parse::<u64>().ok()? + 1 - from.parse::<u64>().ok()?)
        };
        requests.filter_map(|request| range(request.header("range")?)).sum()
    }
}

/// The kinds of streams of a file.
fn streams(file: &Path) -> Vec<String> {
    let entries = ["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"];
    let output = run(Command::new("ffprobe").args(entries).arg(file));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn assert_lasts(file: &Path, seconds: f64) {
    for duration in [media::file_duration(file), media::streamed_duration(file)] {
        assert!((duration.unwrap() - seconds).abs() < 0.1, "{file:?} lasts {duration:?}");
    }
}

#[test]
fn a_film_goes_into_another_container() {
    let (scene, film) = (TestSetup::new(), film());
    for file in [&film, &crowded("mp4"), &crowded("mov")] {
        let joined = scene.file(Some(file), None, &[("container", "mkv")], "ffmpeg");
        assert_eq!(streams(&joined), ["video", "audio"], "{file:?}");
        assert_in_step(&joined, [&film, &film], &format!("{file:?}"));
        assert_lasts(&joined, 12.0);
    }
}

/// What MP4 does not know, ffmpeg is given as QuickTime has it.
#[test]
fn what_only_quicktime_knows_goes_into_matroska() {
    let (scene, inputs) = (TestSetup::new(), ["-i", film().to_str().unwrap()].map(String::from));
    for coded in [["-c:v", "copy", "-c:a", "pcm_s16le"], ["-c:v", "mjpeg", "-c:a", "pcm_s24le"]] {
        let file = media::generate(
            "only-mov",
            "mov",
            &[inputs.clone().to_vec(), coded.map(String::from).to_vec()].concat(),
        );
        let joined = scene.file(Some(&file), None, &[("container", "mkv")], "ffmpeg");
        let [before, after] = [&file, &joined].map(|file| packets(file, "v"));
        assert_eq!(before.len(), after.len());
        moved(&before, &after);
        assert_eq!(streams(&joined), ["video", "audio"]);
        assert_lasts(&joined, 12.0);
    }
}

#[test]
fn it_is_joined_with_files_of_other_kinds() {
    let (scene, film, webm) = (TestSetup::new(), film(), media::webm());
    let joined = scene.file(Some(&film), Some(&webm.audio), &[], "ffmpeg");
    assert_in_step(&joined, [&film, &webm.audio], "with webm audio");
    let joined = scene.file(Some(&webm.video), Some(&crowded("mp4")), &[], "ffmpeg");
    assert_in_step(&joined, [&webm.video, &film], "with webm video");
}

#[test]
fn ffmpeg_joins_it_if_it_is_to() {
    let (scene, film, other) = (TestSetup::new(), film(), crowded("mp4"));
    let by_ffmpeg = [("engine", "ffmpeg")];
    for (video, audio) in
        [(Some(&*film), None), (Some(&*film), Some(&*other)), (None, Some(&*film))]
    {
        let joined = scene.file(video, audio, &by_ffmpeg, "ffmpeg");
        for (stream, is_wanted) in [("v", video.is_some()), ("a", true)] {
            if is_wanted {
                let [before, after] = [&film, &joined].map(|file| packets(file, stream));
                assert_same(&before, &after, Exactness::Millisecond, stream);
            }
        }
        assert_eq!(streams(&joined).len(), if video.is_some() { 2 } else { 1 });
    }
}

#[test]
fn sound_is_taken_out_into_another_container() {
    let scene = TestSetup::new();
    for file in [film(), crowded("mp4"), crowded("mov"), m4a()] {
        let joined = scene.file(None, Some(&file), &[("container", "mkv")], "ffmpeg");
        assert_eq!(streams(&joined), ["audio"], "{file:?}");
        assert_lasts(&joined, 12.0);
    }
}

/// With everything else that it holds: chapters, cover, and what it says of itself.
#[test]
fn sound_that_is_wanted_as_it_is_is_passed() {
    let (scene, file) = (TestSetup::new(), m4a());
    for extra in [&[][..], &[("container", "mp4")]] {
        let passed = scene.file(None, Some(&file), extra, "pass");
        assert!(std::fs::read(passed).unwrap() == std::fs::read(&file).unwrap(), "{extra:?}");
    }
}

/// All packets are there, and the tracks as far from each other as in their sources: Matroska begins at
/// 0 what begins before that.
fn assert_in_step(joined: &Path, sources: [&Path; 2], what: &str) {
    let [video, audio] = [0, 1].map(|of| {
        let stream = ["v", "a"][of];
        let [before, after] = [sources[of], joined].map(|file| packets(file, stream));
        assert_eq!(before.len(), after.len(), "{what}");
        moved(&before, &after)
    });
    assert!((video - audio).abs() < IN_STEP, "{what}: {video} and {audio}");
}

/// Where each packet of a part was in the film: how much earlier it is now, the same for all.
fn moved(film: &[Packet], part: &[Packet]) -> i64 {
    // Of a packet that is there more than once, nobody knows which one it is.
    let by = part.iter().filter_map(|packet| {
        let same = film.iter().filter(|other| other.md5 == packet.md5);
        match same.map(|other| other.pts).collect::<Vec<_>>()[..] {
            [] => panic!("{packet:?} is not in the film"),
            [pts] => Some(pts - packet.pts),
            _ => None,
        }
    });
    let by: Vec<_> = by.collect();
    assert!(by.iter().all(|one| (one - by[0]).abs() < IN_STEP), "{by:?}");
    by[0]
}

#[test]
fn a_part_of_it_stays_in_step_and_costs_no_more() {
    let (film, webm) = (film(), media::webm());
    let part = [("start", "4.3"), ("end", "8")];
    let mkv = [&part[..], &[("container", "mkv")]].concat();
    let film = film.as_path();
    let cases = [
        (Some(film), None, &mkv[..]),
        (Some(film), Some(&*webm.audio), &part),
        (Some(&*webm.video), Some(film), &part),
        (None, Some(film), &mkv),
    ];
    for (video, audio, extra) in cases {
        let scene = TestSetup::new();
        let joined = scene.file(video, audio, extra, "ffmpeg");
        let what = format!("{video:?} + {audio:?}");
        let sources = [("v", video), ("a", audio.or(video))];
        let moved = sources.map(|(stream, source)| {
            Some(moved(&packets(source?, stream), &packets(&joined, stream)))
        });
        if let [Some(video), Some(audio)] = moved {
            assert!((video - audio).abs() < IN_STEP, "{what}: {video} and {audio}");
        }
        let name = if video == Some(film) { "v" } else { "a" };
        let (asked, len) = (scene.asked_for(name), film.metadata().unwrap().len());
        assert!(asked < len * 3 / 4, "{what}: {asked} of {len}");
    }
}

#[test]
fn without_parts_of_it_there_is_no_way() {
    let (scene, film) = (TestSetup::new(), film());
    let url = scene.origin.put("v", Resource::file(&film));
    for extra in [[("container", "mkv")], [("engine", "ffmpeg")]] {
        let answer = scene.daemon.get(&any_path(Some(&url), None, &extra));
        assert_eq!((answer.head.status, answer.code().as_str()), (422, "index-at-end"));
        let detail = answer.problem()["detail"].to_string();
        assert!(detail.contains("does not support byte ranges"), "{detail}");
    }
}

/// What lies between the chunks of the sound is not fetched.
#[test]
fn of_a_film_only_the_sound_is_fetched() {
    let coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "30M"];
    let rate = ["-minrate", "30M", "-maxrate", "30M", "-bufsize", "30M", "-g", "50"];
    let noise = "nullsrc=size=640x360:rate=25:duration=8,geq=random(1)*255:128:128";
    let video = media::progressive("loud-video", noise, &[&coded[..], &rate].concat());
    let tone = "anoisesrc=seed=9:sample_rate=48000:duration=8";
    let audio = media::progressive("loud-audio", tone, &["-c:a", "aac", "-b:a", "96k"]);
    let scene = TestSetup::new();
    // Chunks of half a second, hence of more than a MiB.
    let film = scene.file(Some(&video), Some(&audio), &[], "splice");
    for (extra, engine) in [(&[][..], "splice"), (&[("container", "mkv")], "ffmpeg")] {
        let scene = TestSetup::new();
        let sound = scene.file(None, Some(&film), extra, engine);
        let [before, after] = [&audio, &sound].map(|file| packets(file, "a"));
        assert_eq!(before.len(), after.len());
        moved(&before, &after);
        let (asked, len) = (scene.asked_for("a"), film.metadata().unwrap().len());
        assert!(asked < len / 10, "{engine}: {asked} of {len}");
    }
    // Any part of it is the same alone.
    let scene = TestSetup::new();
    let whole = scene.ask(None, Some(&film), &[]).body;
    let path = any_path(None, Some(&scene.origin.url("a")), &[]);
    for (from, to) in [(0, 99), (500, 60_000), (30_000, 30_001), (50_000, whole.len() - 1)] {
        let field = format!("Range: bytes={from}-{to}\r\n");
        let part = crate::support::client::ask(scene.daemon.address(), "GET", &path, &field);
        assert_eq!((part.head.status, part.ending), (206, Ending::Complete));
        assert!(part.body == whole[from..=to], "{from} to {to}");
    }
}

/// The first of it lies among the bytes that are looked at to find the index, the next far behind them.
#[test]
fn sound_whose_beginning_was_looked_at_goes_on_far_behind() {
    let tone = "anoisesrc=seed=9:sample_rate=48000:duration=0.4";
    let audio = media::progressive("wide-audio", tone, &["-c:a", "aac", "-b:a", "96k"]);
    // Each of its pictures is longer than what is fetched to get from one place to another.
    let size = "testsrc2=size=1024x512:rate=25:duration=0.4";
    let words = ["-i", audio.to_str().unwrap(), "-f", "lavfi", "-i", size];
    let coded = ["-map", "0:a", "-map", "1:v", "-c:a", "copy", "-c:v", "rawvideo"];
    let words = [&words[..], &coded, &["-pix_fmt", "yuv420p"]].concat();
    let words: Vec<String> = words.into_iter().map(String::from).collect();
    let film = media::generate("wide-film", "mov", &words);
    for (extra, engine) in [(&[][..], "splice"), (&[("container", "mkv")], "ffmpeg")] {
        let scene = TestSetup::new();
        let sound = scene.file(None, Some(&film), extra, engine);
        let [before, after] = [&audio, &sound].map(|file| packets(file, "a"));
        assert_eq!(before.len(), after.len(), "{engine}");
        moved(&before, &after);
    }
}
