//! Films whose fragments must be found one by one: how long their first byte takes where each answer
//! does, and what of an index is believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ytcanal::container::isobmff::children;

use super::layout;
use crate::support::answer::{Answer, Ending};
use crate::support::client::{Client, ask, splice_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::framemd5::{Exactness, packets};
use crate::support::media::{self, Pair};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::spliced::assert_joined;
use crate::support::{number_from, run};

/// An index for each fragment and none for all, as HLS in a single file has it.
const ONE_EACH: &str = "+frag_keyframe+empty_moov+default_base_moof+dash+skip_trailer";

/// Two tracks of so many fragments of two seconds.
fn film(fragments: u32) -> Pair {
    let copy = |name: &str, clip: &Path, cut: &[&str]| {
        let (times, seconds) = ((fragments / 30).to_string(), (fragments * 2).to_string());
        let input = ["-stream_loop", &times, "-i", clip.to_str().unwrap(), "-t", &seconds];
        let output = ["-c", "copy", "-movflags", ONE_EACH];
        let arguments = [&input[..], &output, cut].concat();
        let arguments: Vec<_> = arguments.into_iter().map(String::from).collect();
        media::generate(&format!("walk-{name}"), "mp4", &arguments)
    };
    let coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    let rate = ["-b:v", "120k", "-g", "50", "-bf", "2", "-keyint_min", "50", "-sc_threshold", "0"];
    let clip = [&coded[..], &rate].concat().into_iter().map(String::from);
    let clip: Vec<_> = media::picture("160x90", 25, 60).into_iter().chain(clip).collect();
    let video = media::generate("walk-clip", "mp4", &clip);
    let coded = ["-c:a", "aac", "-b:a", "32k"].map(String::from);
    let clip: Vec<_> = media::sound(22_050, 60).into_iter().chain(coded).collect();
    let audio = media::generate("walk-clip", "m4a", &clip);
    Pair {
        video: copy("video", &video, &[]),
        audio: copy("audio", &audio, &["-frag_duration", "2000000"]),
    }
}

/// An origin whose answers take a round trip, and a daemon.
struct TestSetup {
    origin: Origin,
    daemon: Daemon,
    path: String,
}

impl TestSetup {
    fn of(pair: &Pair, round_trip: Duration) -> Self {
        Self::with(pair, round_trip, LOOPBACK)
    }

    fn with(pair: &Pair, round_trip: Duration, config: &str) -> Self {
        let (origin, daemon) = (Origin::start(), Daemon::start(config));
        let [video, audio] =
            [("video", &pair.video), ("audio", &pair.audio)].map(|(name, file)| {
                let file = Resource::file(file).ranges().keep_alive().etag("\"film\"");
                origin.put(name, file.delay(round_trip))
            });
        let path = splice_path(&video, &audio, &[]);
        Self { origin, daemon, path }
    }
}

/// How long the plan of the film takes, and what it says.
fn plan_of(fragments: u32, round_trip: Duration) -> (Duration, usize) {
    let pair = film(fragments);
    let scene = TestSetup::of(&pair, round_trip);
    let begun = Instant::now();
    let answer = ask(scene.daemon.address(), "HEAD", &scene.path, "");
    let took = begun.elapsed();
    assert_eq!(answer.head.status, 200, "{}", answer.code());
    let length: u64 = answer.head.header("Content-Length").expect("a length").parse().unwrap();
    let lens = [&pair.video, &pair.audio].map(|file| fs::metadata(file).unwrap().len());
    assert!(length > lens.iter().sum::<u64>() * 9 / 10, "{length} of {lens:?}");
    let requests = scene.origin.requests().len();
    println!("{fragments} fragments: {took:.1?}, {requests} requests");
    (took, requests)
}

#[test]
fn a_film_of_ordinary_length_has_a_length() {
    let round_trip = Duration::from_millis(number_from("YTCANAL_ROUND_TRIP").unwrap_or(50));
    let fragments = number_from("YTCANAL_FRAGMENTS").unwrap_or(90) as u32;
    let (took, _) = plan_of(fragments, round_trip);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// A walk that would take far longer than it may is given up soon, and ffmpeg joins: it would have all
/// the same, only later.
#[test]
fn nobody_waits_for_a_walk_without_hope() {
    let config = format!("{LOOPBACK}[muxer]\nplan_timeout = \"4s\"\n");
    let scene = TestSetup::with(&film(1200), Duration::from_millis(200), &config);
    let path = scene.path.replace("splice", "auto");
    let begun = Instant::now();
    let mut client = Client::get(scene.daemon.address(), &path);
    let head = client.first_byte();
    let (took, requests) = (begun.elapsed(), scene.origin.requests().len());
    println!(
        "the first byte after {took:.1?}, {requests} requests, {:?}",
        head.header("Server-Timing")
    );
    assert_eq!(head.status, 200);
    assert!(head.header("Server-Timing").unwrap().contains("took too long"), "{head:?}");
    // In all of its time the walk would have asked for some six hundred.
    assert!(requests < 400, "{requests} requests");
}

#[test]
fn an_index_for_each_fragment_becomes_one_of_all() {
    let pair = film(90);
    let scene = TestSetup::of(&pair, Duration::ZERO);
    let answer = ask(scene.daemon.address(), "GET", &scene.path, "");
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.code());
    assert!(answer.head.header("Server-Timing").unwrap().contains("splice"));
    assert_eq!(layout::check(&answer.body), 2);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("joined.mp4");
    fs::write(&file, &answer.body).unwrap();
    assert_joined(&file, &[("v", &pair.video), ("a", &pair.audio)], Exactness::Every);
}

/// A picture of ten seconds with a key frame every two, in fragments that are cut so.
fn cut_anywhere(name: &str, cut: &[&str]) -> PathBuf {
    let coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "600k"];
    let shape = ["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-bf", "2"];
    let clip = [&coded[..], &shape].concat().into_iter().map(String::from);
    let clip: Vec<_> = media::picture("320x180", 25, 10).into_iter().chain(clip).collect();
    let clip = media::generate("anywhere-clip", "mp4", &clip);
    let input = ["-i", clip.to_str().unwrap(), "-map", "0:v", "-c", "copy"];
    let arguments: Vec<_> = input.iter().chain(cut).map(|&text| text.to_owned()).collect();
    media::generate(&format!("anywhere-{name}"), "mp4", &arguments)
}

/// Makes sure that whatever the index of the picture says of key frames is so; how many references
/// there are, and how many lead to one.
fn references(file: &[u8]) -> (usize, usize) {
    let boxes = children(file).unwrap();
    let sidx = boxes.iter().rfind(|found| found.kind == *b"sidx").expect("an index");
    let moofs: Vec<_> = boxes.iter().filter(|found| found.kind == *b"moof").collect();
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
    let (mut at, mut entries, mut all) = (sidx.at + sidx.bytes.len(), 0, 0);
    for reference in sidx.payload()[32..].chunks(12) {
        let moof = moofs.iter().find(|moof| moof.at >= at).unwrap();
        // In what ffmpeg writes, the first sample has flags of its own (trun), or of all (tfhd).
        let bytes = moof.bytes;
        let find = |kind: &[u8; 4]| bytes.windows(4).position(|window| window == kind).unwrap();
        let (trun, tfhd) = (find(b"trun") + 4, find(b"tfhd") + 4);
        let behind = |flags: u32, fields: &[u32]| {
            4 * fields.iter().filter(|field| flags & **field != 0).count()
        };
        let (of_run, of_all) = (word(bytes, trun), word(bytes, tfhd));
        let flags = match (of_run & 0x400, of_run & 4) {
            (0, 0) => word(bytes, tfhd + 8 + behind(of_all, &[8, 0x10])),
            (0, _) => word(bytes, trun + 12),
            _ => word(bytes, trun + 8 + behind(of_run, &[1, 4, 0x100, 0x200])),
        };
        let is_sync = flags & 0x1_0000 == 0;
        assert!(is_sync || word(reference, 8) >> 31 == 0, "it says what is not so, at {at}");
        entries += usize::from(is_sync);
        all += 1;
        at += word(reference, 0) as usize;
    }
    assert_eq!(at, file.len());
    (all, entries)
}

/// When the last key frame of a video is shown, in seconds.
fn last_key_frame(video: &Path) -> f64 {
    let entries = ["-v", "error", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"];
    let said = run(std::process::Command::new("ffprobe").args(entries).arg(video)).stdout;
    let said = String::from_utf8_lossy(&said);
    let keys = said.lines().filter(|line| line.contains(",K"));
    keys.filter_map(|line| line.split(',').next()?.parse().ok()).fold(0.0, f64::max)
}

#[test]
fn what_an_index_says_of_key_frames_is_so_or_is_not_passed_on() {
    let directory = tempfile::tempdir().unwrap();
    let audio = &media::in_fragments(super::SHAPES[0].1).audio;
    const SIDX: &str = "+dash+global_sidx";
    const MFRA: &str = "+empty_moov+default_base_moof";
    let shapes: [(&str, &[&str]); 6] = [
        ("half", &["-movflags", SIDX, "-frag_duration", "500000"]),
        ("three", &["-movflags", SIDX, "-frag_duration", "3000000"]),
        ("size", &["-movflags", SIDX, "-frag_size", "20000"]),
        ("mfra", &["-movflags", MFRA, "-frag_duration", "500000"]),
        ("none", &["-movflags", "+dash+skip_trailer", "-frag_duration", "500000"]),
        ("key", &["-movflags", "+dash+global_sidx+frag_keyframe"]),
    ];
    for (name, cut) in shapes {
        let video = cut_anywhere(name, cut);
        let scene =
            TestSetup::of(&Pair { video: video.clone(), audio: audio.clone() }, Duration::ZERO);
        let get = |path: &str| ask(scene.daemon.address(), "GET", path, "");
        let complete = |answer: Answer| {
            let ending = (answer.head.status, answer.ending);
            assert_eq!(ending, (200, Ending::Complete), "{name}: {}", answer.code());
            let is_spliced = answer.head.header("Server-Timing").unwrap().contains("splice");
            (answer.body, is_spliced)
        };
        let last_key = last_key_frame(&video);
        let (whole, is_spliced) = complete(get(&scene.path));
        assert!(is_spliced, "{name}");
        let (all, entries) = references(&whole);
        println!("{name}: {entries} of {all} references lead to key frames");
        assert_eq!(all, entries, "{name}");
        let file = directory.path().join("joined.mp4");
        fs::write(&file, &whole).unwrap();
        assert_joined(&file, &[("v", &video), ("a", audio)], Exactness::Every);
        for start in ["0.3", "1.3", "2.0", "4.9", "7.7", "9.5"] {
            // Where key frames are within fragments, ffmpeg cuts.
            let path = scene.path.replace("&engine=splice", "");
            let answer = get(&format!("{path}&start={start}"));
            // It does not find what is in front of the start, and behind the last one there is nothing.
            if start.parse::<f64>().unwrap() > last_key && answer.ending != Ending::Complete {
                println!("{name} from {start}: no key frame is behind it");
                continue;
            }
            let (part, is_spliced) = complete(answer);
            if !is_spliced {
                println!("{name} from {start}: by ffmpeg");
                continue;
            }
            fs::write(&file, &part).unwrap();
            let first = run(std::process::Command::new("ffprobe")
                .args(["-v", "error", "-select_streams", "v", "-show_packets"])
                .args(["-show_entries", "packet=flags", "-of", "csv=p=0"])
                .arg(&file));
            let first = String::from_utf8_lossy(&first.stdout);
            assert!(first.starts_with('K'), "{name} from {start}: {first:.9}");
            let (all, entries) = references(&part);
            assert_eq!(all, entries, "{name} from {start}");
            assert!(!packets(&file, "v").is_empty());
        }
    }
}
