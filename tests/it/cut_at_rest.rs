//! Files that were cut before they were put on their server, which serves what is left of them
//! without any fault: in every format, at every kind of boundary, through every engine, and as either
//! track. None may come out complete. The second table of docs/reliability.md is
//! generated here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::support::answer::Ending;
use crate::support::client::{Client, any_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::media::{self, generate};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::{generated_table, run};

/// What is told of a file by its bytes alone ends where two fragments or frames of it meet: nothing
/// in these says that more of them were there.
const UNTELLABLE: [(&str, &str); 5] = [
    ("mp4, fragments, index at the end", BETWEEN),
    ("mp4, fragments, no index", BETWEEN),
    ("webm, live", BETWEEN),
    ("mp3 without a Xing header", BETWEEN),
    ("aac (ADTS)", BETWEEN),
];

/// Where files are cut.
const PLACES: [&str; 8] = [
    "in its head",
    "in front of its media",
    "in a packet",
    BETWEEN,
    "between moof and mdat",
    "in front of its index",
    "in its index",
    "by its last byte",
];
const BETWEEN: &str = "between two packets or fragments";
const LOOKS_WHOLE: &str = "looks whole";

struct Sample {
    name: &'static str,
    file: PathBuf,
    /// The tracks as which it is asked for.
    tracks: &'static [&'static str],
    /// What else there is of the film, to be joined with.
    partner: [PathBuf; 2],
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn samples() -> Vec<Sample> {
    const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 600k -g 25 -bf 2";
    const AAC: &str = "-c:a aac -b:a 128k";
    const VP8: &str = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 600k -g 25";
    const OPUS: &str = "-c:a libopus -b:a 128k";
    let (picture, sound) = (media::picture("320x180", 25, 12), media::sound(48_000, 20));
    let video = |extension: &str, coded: &str| {
        generate("cut-video", extension, &[&picture[..], &words(coded)].concat())
    };
    let audio = |extension: &str, coded: &str| {
        generate("cut-audio", extension, &[&sound[..], &words(coded)].concat())
    };
    let film = |extension: &str, coded: &str| {
        generate("cut-film", extension, &[&picture[..], &sound, &words(coded)].concat())
    };
    let faststart = "-movflags +faststart";
    let indexed = "-movflags +frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";
    let random = "-movflags +frag_keyframe+empty_moov+default_base_moof";
    let bare = "-movflags +frag_keyframe+empty_moov+default_base_moof+skip_trailer";
    let fragments = "-frag_duration 2000000";
    let progressive = || {
        [video("mp4", &format!("{H264} {faststart}")), audio("m4a", &format!("{AAC} {faststart}"))]
    };
    let fragmented = || {
        [
            video("mp4", &format!("{H264} {indexed}")),
            audio("mp4", &format!("{AAC} {fragments} {indexed}")),
        ]
    };
    let webm = || [video("webm", VP8), audio("webm", OPUS)];
    const V: &[&str] = &["video"];
    const A: &[&str] = &["audio"];
    const BOTH: &[&str] = &["video", "audio"];
    let sample = |name, file, tracks, partner| Sample { name, file, tracks, partner };
    let [p_video, p_audio] = progressive();
    let [f_video, f_audio] = fragmented();
    let [w_video, w_audio] = webm();
    vec![
        sample("mp4, index in front", p_video, V, progressive()),
        sample("m4a, index in front", p_audio, A, progressive()),
        sample("mp4, index at the end", video("mp4", H264), V, progressive()),
        sample(
            "mp4 of video and audio",
            film("mp4", &format!("{H264} {AAC} {faststart}")),
            BOTH,
            progressive(),
        ),
        sample(
            "mov of video and audio",
            film("mov", &format!("{H264} {AAC} {faststart}")),
            BOTH,
            progressive(),
        ),
        sample("mp4, fragments, index in front", f_video, V, fragmented()),
        sample("m4a, fragments, index in front", f_audio, A, fragmented()),
        sample(
            "mp4, fragments, index at the end",
            video("mp4", &format!("{H264} {random}")),
            V,
            fragmented(),
        ),
        sample(
            "mp4, fragments, no index",
            video("mp4", &format!("{H264} {bare}")),
            V,
            fragmented(),
        ),
        sample("webm, live", video("webm", &format!("{VP8} -live 1")), V, webm()),
        sample("webm, video", w_video, V, webm()),
        sample("webm, audio", w_audio, A, webm()),
        sample(
            "mkv of video and audio",
            film("mkv", &format!("{H264} {AAC}")),
            BOTH,
            progressive(),
        ),
        sample("ogg (Opus)", audio("ogg", OPUS), A, webm()),
        sample(
            "mp3 with a Xing header",
            audio("mp3", "-c:a libmp3lame -b:a 128k"),
            A,
            progressive(),
        ),
        sample(
            "mp3 without a Xing header",
            audio("mp3", "-c:a libmp3lame -b:a 128k -write_xing 0"),
            A,
            progressive(),
        ),
        sample("aac (ADTS)", audio("aac", AAC), A, progressive()),
        sample("flac", audio("flac", "-c:a flac"), A, progressive()),
        sample("wav", audio("wav", "-c:a pcm_s16le"), A, progressive()),
        sample("w64", audio("w64", "-c:a pcm_s16le"), A, progressive()),
        sample("aiff", audio("aiff", "-c:a pcm_s16be"), A, progressive()),
        sample("au", audio("au", "-c:a pcm_s16be"), A, progressive()),
    ]
}

/// Where packets of the first stream begin, and their sizes.
fn packets(file: &Path) -> Vec<(usize, usize)> {
    let entries = "-v error -select_streams 0 -show_entries packet=pos,size -of csv=p=0";
    let output = run(Command::new("ffprobe").args(words(entries)).arg(file));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers = text.lines().filter_map(|line| {
        let mut fields = line.split(',').map(|field| field.trim().parse().ok());
        Some((fields.next()??, fields.next()??)).map(|(a, b)| order(line, a, b))
    });
    numbers.collect()
}

/// ffprobe prints the size first, in all its versions.
fn order(_: &str, size: usize, at: usize) -> (usize, usize) {
    (at, size)
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let at = bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted)?;
    Some(from + at)
}

/// Where a file is cut, by what is cut there.
fn cuts(file: &Path, bytes: &[u8]) -> Vec<(&'static str, usize)> {
    let half = bytes.len() / 2;
    let packets = packets(file);
    let (packet, size) = packets.iter().copied().find(|(at, _)| *at > half).unwrap();
    let mut cuts = vec![
        ("in its head", 120),
        ("in a packet", packet + size / 2),
        ("by its last byte", bytes.len() - 1),
    ];
    // A fragment, a cluster or a page begins in front of its first packet.
    let unit = |magic: &[u8], before: usize| find(bytes, magic, half).map(|at| at - before);
    let between = unit(b"moof", 4).or(unit(b"OggS", 0)).filter(|_| !bytes.starts_with(b"fLaC"));
    let between = between.or_else(|| {
        bytes.starts_with(&[0x1a, 0x45]).then(|| unit(&[0x1f, 0x43, 0xb6, 0x75], 0))?
    });
    cuts.push((BETWEEN, between.unwrap_or(packet)));
    if let Some(at) = find(bytes, b"mdat", 0) {
        cuts.push(("in front of its media", at - 4));
    }
    if let Some(moof) = find(bytes, b"moof", half) {
        cuts.push(("between moof and mdat", find(bytes, b"mdat", moof).unwrap() - 4));
    } else if let Some(moov) = find(bytes, b"moov", half) {
        cuts.push(("in front of its index", moov - 4));
        cuts.push(("in its index", (moov + bytes.len()) / 2));
    }
    cuts
}

/// How a download of `path` ends; `from` which byte on, if not from the first.
fn end_of(daemon: &Daemon, path: &str, from: usize) -> (String, usize) {
    let mut client = Client::connect(daemon.address());
    let range = format!("Range: bytes={from}-");
    client.ask(
        path,
        if from > 0 { std::slice::from_ref(&range) } else { &[] }
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice(),
    );
    let head = client.head();
    let (body, ending) = client.body(&head);
    let word = match (head.status, ending) {
        (200 | 206, Ending::Complete) => LOOKS_WHOLE.to_owned(),
        (200 | 206, _) => "failed".to_owned(),
        (status, _) => status.to_string(),
    };
    (word, body.len())
}

#[test]
fn no_file_that_was_cut_comes_out_complete() {
    let origin = Origin::start();
    let daemon = Daemon::start(&format!(
        "{LOOPBACK}[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 64\nmuxers_per_client = 64\n"
    ));
    let baseline = daemon.baseline();
    let jobs = Mutex::new(Vec::new());
    for sample in &samples() {
        let bytes = std::fs::read(&sample.file).unwrap();
        let partner = sample.partner.each_ref().map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            origin.put(name, Resource::file(file).ranges().etag("\"p\""))
        });
        for (place, at) in cuts(&sample.file, &bytes) {
            for ranged in [true, false] {
                let name = format!("{}-{place}-{ranged}", sample.name).replace([' ', ','], "-");
                let cut = Resource::bytes(&bytes[..at]);
                let cut = if ranged { cut.ranges().etag("\"c\"") } else { cut };
                let url = origin.put(&name, cut);
                for track in sample.tracks {
                    let alone =
                        |url| if *track == "video" { (Some(url), None) } else { (None, Some(url)) };
                    let pair =
                        if *track == "video" { [&url, &partner[1]] } else { [&partner[0], &url] };
                    let (video, audio) = alone(&url[..]);
                    let paths = [
                        ("alone", any_path(video, audio, &[])),
                        ("alone, ffmpeg", any_path(video, audio, &[("engine", "ffmpeg")])),
                        ("in a pair", any_path(Some(pair[0]), Some(pair[1]), &[])),
                        (
                            "in a pair, mkv",
                            any_path(Some(pair[0]), Some(pair[1]), &[("container", "mkv")]),
                        ),
                    ];
                    for (column, path) in paths {
                        jobs.lock().unwrap().push((sample.name, place, column, path));
                    }
                }
            }
        }
    }
    let seen = Mutex::new(Seen::new());
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some((name, place, column, path)) = { jobs.lock().unwrap().pop() } {
                    let (mut word, received) = end_of(&daemon, &path, 0);
                    // Who resumes is not given the rest, either.
                    if word == "failed" && column == "alone" && received > 0 {
                        let (resumed, _) = end_of(&daemon, &path, received);
                        if resumed == LOOKS_WHOLE {
                            word = format!("{LOOKS_WHOLE} when resumed");
                        }
                    }
                    let mut seen = seen.lock().unwrap();
                    seen.entry((name, place)).or_default().entry(column).or_default().push(word);
                }
            });
        }
    });
    daemon.settles(&baseline, crate::support::PATIENCE);
    let (table, wrong) = report(seen.into_inner().unwrap());
    assert!(wrong.is_empty(), "these were cut and look whole:\n{}", wrong.join("\n"));
    generated_table::compare("cut_at_rest", &table);
}

/// What each column shows, by sample and by what was cut.
type Seen = BTreeMap<(&'static str, &'static str), BTreeMap<&'static str, Vec<String>>>;

/// The table, a row for each sample, and what is wrong in it.
fn report(seen: Seen) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let mut rows = BTreeMap::<&str, BTreeMap<&str, Vec<String>>>::new();
    for ((name, place), columns) in seen {
        let cell = rows.entry(name).or_default().entry(place).or_default();
        if UNTELLABLE.contains(&(name, place)) {
            cell.push("not told".into());
            continue;
        }
        for (column, words) in columns {
            if words.iter().any(|word| word.starts_with(LOOKS_WHOLE)) {
                wrong.push(format!("{name}, cut {place}, {column}: {words:?}"));
            }
            cell.extend(words);
        }
    }
    let mut table =
        format!("| cut | {} |\n|{}\n", PLACES.join(" | "), "---|".repeat(PLACES.len() + 1));
    for (name, mut cells) in rows {
        table += &format!("| {name} |");
        for place in PLACES {
            let mut words = cells.remove(place).unwrap_or_default();
            words.sort();
            words.dedup();
            // Whether anything was sent before is then a matter of chance for some.
            let is_reset = words.iter().any(|word| word == "failed");
            let text = match &words[..] {
                [] => "–".to_owned(),
                _ if is_reset => "failed".to_owned(),
                words => words.join(" or "),
            };
            table += &format!(" {text} |");
        }
        table.push('\n');
    }
    (table, wrong)
}
