//! A part of a film: what it holds, and that its tracks stay in step.

use std::collections::HashMap;
use std::path::Path;

use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::framemd5::{Packet, packets};
use crate::support::media::{self, Pair};
use crate::support::origin::Origin;
use crate::support::resource::Resource;

mod one_file;

const SECOND: i64 = 1_000_000_000;
/// The sound of a frame may begin a little before or behind it.
const IN_STEP: i64 = SECOND / 500;

/// A downloaded part of a film.
struct Part {
    /// When the packets of its tracks are shown, in it and in the film.
    video: Vec<(i64, i64)>,
    audio: Vec<(i64, i64)>,
    fetched: u64,
}

fn part(pair: &Pair, engine: &str, extra: &[(&str, &str)]) -> Part {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let put = |name, path| origin.put(name, Resource::file(path).ranges().etag("\"1\""));
    let (video, audio) = (put("v", &pair.video), put("a", &pair.audio));
    let path = any_path(Some(&video), Some(&audio), &[extra, &[("engine", engine)]].concat());
    let answer = daemon.get(&path);
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("part");
    std::fs::write(&file, &answer.body).unwrap();
    Part {
        video: places(&packets(&pair.video, "v"), &packets(&file, "v")),
        audio: places(&packets(&pair.audio, "a"), &packets(&file, "a")),
        fetched: answer.body.len() as u64,
    }
}

/// Times in the part and in the film, of each packet that is there once in the film.
fn places(film: &[Packet], part: &[Packet]) -> Vec<(i64, i64)> {
    let mut times: HashMap<&str, Vec<i64>> = HashMap::new();
    film.iter().for_each(|packet| times.entry(&packet.md5).or_default().push(packet.pts));
    let place = |packet: &Packet| match times.get(packet.md5.as_str()).map(Vec::as_slice) {
        Some([time]) => Some((packet.pts, *time)),
        Some(_) => None,
        None => panic!("{packet:?} is not in the film"),
    };
    part.iter().filter_map(place).collect()
}

impl Part {
    /// By how much its tracks are moved against the film; the same for both.
    fn moved(&self) -> i64 {
        let moved = |places: &[(i64, i64)]| {
            let by: Vec<i64> = places.iter().map(|(part, film)| film - part).collect();
            assert!(by.iter().all(|one| (one - by[0]).abs() < IN_STEP), "{by:?}");
            by[0]
        };
        let (video, audio) = (moved(&self.video), moved(&self.audio));
        assert!((video - audio).abs() < IN_STEP, "picture and sound: {video} and {audio}");
        video
    }

    /// Times in the film.
    fn spans(&self) -> [(i64, i64); 2] {
        [&self.video, &self.audio].map(|places| {
            let times = places.iter().map(|(_, film)| *film);
            (times.clone().min().unwrap(), times.max().unwrap())
        })
    }
}

fn whole_len(pair: &Pair) -> u64 {
    let len = |path: &Path| path.metadata().unwrap().len();
    len(&pair.video) + len(&pair.audio)
}

#[test]
fn splice_cuts_at_fragments_and_stays_in_step() {
    let pair = media::minute();
    for (start, end) in [("17", "33"), ("0:21.5", ""), ("", "12"), ("20", "25"), ("59", "600")] {
        let part = part(pair, "splice", &[("start", start), ("end", end)]);
        let moved = part.moved();
        let [video, audio] = part.spans();
        println!("{start}–{end}: moved by {moved}, {video:?}, {audio:?}");
        let seconds = |text: &str| -> i64 {
            let text = text.rsplit(':').next().unwrap();
            (text.parse::<f64>().unwrap() * SECOND as f64) as i64
        };
        if !start.is_empty() {
            let start = seconds(start);
            assert!(video.0 <= start + SECOND / 10 && video.0 > start - 6 * SECOND, "{video:?}");
            assert!(audio.0 <= video.0 + SECOND / 10, "{audio:?}");
            // What is shown first is shown at 0.
            assert!((video.0 - moved).abs() < SECOND / 10);
        }
        if !end.is_empty() && end != "600" {
            let end = seconds(end);
            // Most pictures of the film are the same as the one before; key frames are not.
            assert!(video.1 > end - 6 * SECOND && video.1 < end + 6 * SECOND, "{video:?}");
            assert!(audio.1 > end - SECOND / 10 && audio.1 < end + 12 * SECOND, "{audio:?}");
        }
        assert!(part.fetched < whole_len(pair) * 9 / 10 || start.is_empty(), "{}", part.fetched);
    }
}

#[test]
fn ffmpeg_cuts_at_the_next_key_frame_and_stays_in_step() {
    let pair = media::minute();
    for container in ["mp4", "mkv"] {
        let part =
            part(pair, "ffmpeg", &[("start", "17"), ("end", "33"), ("container", container)]);
        let moved = part.moved();
        let [video, audio] = part.spans();
        println!("{container}: moved by {moved}, {video:?}, {audio:?}");
        assert!((moved - 17 * SECOND).abs() < SECOND / 10);
        assert!((17 * SECOND..23 * SECOND).contains(&video.0), "{video:?}");
        assert!((audio.0 - 17 * SECOND).abs() < SECOND / 10, "{audio:?}");
        assert!([video.1, audio.1].iter().all(|last| (last - 33 * SECOND).abs() < SECOND / 5));
    }
}

#[test]
fn a_start_behind_the_end_is_told() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let pair = media::minute();
    let put = |name, path| origin.put(name, Resource::file(path).ranges());
    let (video, audio) = (put("v", &pair.video), put("a", &pair.audio));
    for engine in ["auto", "splice", "ffmpeg"] {
        let query = [("start", "1:01:00"), ("engine", engine)];
        let answer = daemon.get(&any_path(Some(&video), Some(&audio), &query));
        assert_eq!((answer.head.status, answer.code().as_str()), (422, "start-beyond-end"));
    }
}
