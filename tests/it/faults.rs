//! What the client sees when a source or the muxer fails. Before the first byte it is a status
//! that names the track; after it, a download that visibly failed.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{Client, get, mux_path};
use crate::support::curl::curl_command;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::{TRACKS, request, track_file};
use crate::support::origin::{Origin, refused_url};
use crate::support::resource::{Fault, Resource};
use crate::support::{PATIENCE, eventually, media};

/// Short waits, so that a stall is found soon; the muxer's own wait is longer, so that the
/// source is blamed.
const IMPATIENT: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 128\nmuxers_per_client = 128\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\nconnect_timeout = \"5s\"\nstall_timeout = \"5s\"\n";

/// Runs every job on a few threads; most of them only wait.
fn all_at_once<T: Send>(jobs: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(VecDeque::from(jobs));
    let next = || queue.lock().unwrap().pop_front();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(job) = next() {
                    work(job);
                }
            });
        }
    });
}

/// A fault that shows before anything was muxed, the URL it is at, and the status and code
/// that fit it.
type Early = (&'static str, String, &'static str);

fn early_faults(origin: &Origin, track: &str) -> Vec<Early> {
    let status = |status| Fault::Status(status, vec![]);
    let almost = |version, encoding| Fault::AlmostChunkedCutAt(900_000, version, encoding);
    let busy = Fault::Status(429, vec![("Retry-After", "7".into())]);
    let to_a_file = Fault::Redirect("file:///etc/passwd".into());
    let faults = [
        ("cut before its first byte", Fault::CutAt(0), "502 upstream-cut"),
        ("cut in its head", Fault::CutAt(100), "502 upstream-cut"),
        ("reset", Fault::ResetAt(100), "502 upstream-cut"),
        ("chunked, cut", Fault::ChunkedCutAt(100), "502 upstream-cut"),
        ("almost chunked", almost("1.1", "xchunked"), "502 upstream-length-unknown"),
        ("chunked in HTTP/1.0", almost("1.0", "chunked"), "502 upstream-length-unknown"),
        ("endless trailers", Fault::TrailersAt(100), "504 upstream-timeout"),
        ("a flood of trailers", Fault::TrailerFloodAt(100), "504 upstream-timeout"),
        ("stall", Fault::StallAt(100), "504 upstream-timeout"),
        ("no answer at all", Fault::Silent, "504 upstream-timeout"),
        ("a byte a second", Fault::DripAt(0), "504 upstream-slow"),
        ("404", status(404), "404 upstream-not-found"),
        ("410", status(410), "404 upstream-not-found"),
        ("403", status(403), "502 upstream-status"),
        ("500", status(500), "502 upstream-status"),
        ("429", busy, "503 upstream-busy"),
        ("503", status(503), "503 upstream-busy"),
        ("no length", Fault::NoLength, "502 upstream-length-unknown"),
        ("encoded", Fault::Encoded, "502 upstream-encoded"),
        ("redirect loop", Fault::RedirectLoop, "502 upstream-redirect"),
        ("redirect to a file", to_a_file, "502 upstream-redirect"),
        ("redirect to nobody", Fault::Redirect(refused_url()), "502 upstream-unreachable"),
    ]
    .map(|(name, fault, answer)| (name, Resource::file(track_file(track)).fault(fault), answer));
    let start = std::fs::read(track_file(track)).unwrap()[..100].to_vec();
    let short = Resource::bytes(start).fault(Fault::LengthTooLargeBy(900_000));
    let playlist = "#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n";
    let list = "ffconcat version 1.0\nfile /etc/passwd\n";
    let page = "<!doctype html><p>Sign in</p>".repeat(50);
    let contents = [
        ("wrong length", short, "502 upstream-cut"),
        ("playlist", Resource::bytes(playlist), "422 not-media"),
        ("concat list", Resource::bytes(list), "422 not-media"),
        ("web page", Resource::bytes(page), "422 not-media"),
        ("empty", Resource::bytes(""), "422 not-media"),
        ("index at the end", Resource::file(media::index_at_end()), "422 index-at-end"),
    ];
    let refused = ("refused port", refused_url(), "502 upstream-unreachable");
    let nobody = "http://nobody.invalid/film".to_owned();
    let unnamed = ("no such name", nobody, "502 upstream-unreachable");
    let scripted = faults.into_iter().chain(contents);
    scripted
        .map(|(name, resource, answer)| {
            let place = format!("{track}-{}", name.replace(' ', "-"));
            (name, origin.put(&place, resource), answer)
        })
        .chain([refused, unnamed])
        .collect()
}

#[test]
fn before_the_first_byte_a_fault_is_a_status() {
    let origin = Origin::start();
    let daemon = Daemon::start(IMPATIENT);
    let baseline = daemon.baseline();
    let jobs = TRACKS
        .into_iter()
        .flat_map(|track| {
            let faults = early_faults(&origin, track).into_iter();
            faults.map(move |fault| (track, fault))
        })
        .collect();
    let wrong = Mutex::new(Vec::new());
    println!("before the first byte      track  status and code");
    all_at_once(jobs, |(track, (name, url, wanted))| {
        let answer = get(daemon.address(), &request(&origin, track, &url));
        let seen = format!("{} {}", answer.head.status, answer.code());
        println!("{name:26} {track:6} {seen}");
        if seen != wanted || answer.problem()["track"] != track {
            let text = answer.text();
            let line = format!("{name} ({track}): wanted {wanted}, got {seen}: {text:.300}");
            wrong.lock().unwrap().push(line);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    daemon.settles(&baseline, PATIENCE);
}

/// Faults half-way; the gate there holds them back until the client has its first byte.
fn late_faults(track: &str) -> Vec<(&'static str, Resource, u64)> {
    let file = || Resource::file(track_file(track));
    let half = file().len() / 2;
    let first_half = || std::fs::read(track_file(track)).unwrap()[..half as usize].to_vec();
    let too_long = Resource::bytes(first_half()).fault(Fault::LengthTooLargeBy(half));
    vec![
        ("cut", file().fault(Fault::CutAt(half)), half),
        ("reset", file().fault(Fault::ResetAt(half)), half),
        ("stall", file().fault(Fault::StallAt(half)), half),
        ("a byte a second", file().fault(Fault::DripAt(half)), half),
        ("wrong length", too_long, half),
        ("chunked, cut", file().fault(Fault::ChunkedCutAt(half)), half),
        ("endless trailers", file().fault(Fault::TrailersAt(half)), half),
    ]
}

#[test]
fn after_the_first_byte_a_fault_is_a_broken_download() {
    let origin = Origin::start();
    let daemon = Daemon::start(IMPATIENT);
    let baseline = daemon.baseline();
    let mut jobs = Vec::new();
    for track in TRACKS {
        for client in ["curl", "raw", "old"] {
            let faults = late_faults(track).into_iter();
            jobs.extend(faults.map(|(name, resource, half)| (track, client, name, resource, half)));
        }
    }
    println!("{:20} {:6} {:5} seen as", "after the first byte", "track", "by");
    all_at_once(jobs, |(track, client, name, resource, half)| {
        let gate = Gate::default();
        let place = format!("{track}-{client}-{}", name.replace(' ', "-"));
        let url = origin.put(&place, resource.gate(half, &gate));
        let path = request(&origin, track, &url);
        let seen = match client {
            "curl" => curl_sees(&daemon.url(&path), &gate),
            "raw" => raw_client_sees(&daemon, &path, "1.1", &gate),
            _ => raw_client_sees(&daemon, &path, "1.0", &gate),
        };
        println!("{name:20} {track:6} {client:5} {seen}");
        let failed: &[&str] = match client {
            "curl" => &["exit 18", "exit 56"],
            "raw" => &["Cut", "Reset"],
            // Without chunks a plain close would mean that the file is whole.
            _ => &["Reset"],
        };
        assert!(failed.contains(&seen.as_str()), "{name} of {track} by {client}: {seen}");
    });
    daemon.settles(&baseline, PATIENCE);
}

fn raw_client_sees(daemon: &Daemon, path: &str, version: &str, gate: &Gate) -> String {
    let mut client = Client::connect(daemon.address());
    client.send(format!("GET {path} HTTP/{version}\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
    let head = client.head();
    if head.status == 502 {
        gate.open();
        let answer = Answer { body: client.body(&head).0, head, ending: Ending::Complete };
        return answer.code();
    }
    assert_eq!(head.status, 200);
    client.wait_for_a_byte();
    gate.reached();
    gate.open();
    format!("{:?}", client.body(&head).1)
}

fn curl_sees(url: &str, gate: &Gate) -> String {
    let body = tempfile::NamedTempFile::new().unwrap();
    let mut curl = curl_command(body.path())
        .arg(url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = eventually("curl has its first byte", PATIENCE, || {
        let ended = curl.try_wait().unwrap().is_some();
        (ended || body.as_file().metadata().unwrap().len() > 0).then_some(!ended)
    });
    if begun {
        let start = std::fs::read(body.path()).unwrap();
        if !start.starts_with(b"{") {
            gate.reached();
        }
    }
    gate.open();
    let status = curl.wait().unwrap();
    let bytes = std::fs::read(body.path()).unwrap();
    if bytes.starts_with(b"{") {
        let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        return problem["code"].as_str().unwrap().to_owned();
    }
    format!("exit {}", status.code().unwrap())
}

/// The muxer has the start of both tracks and holds its first byte back for their edit lists. It
/// must be stopped before it sees the end of a pipe, or it would be blamed, or the track.
#[test]
fn a_cut_while_the_muxer_holds_back_is_told_as_such() {
    let origin = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    let pair = media::edit_listed();
    let audio = origin.put("a", Resource::file(&pair.audio));
    for at in [20_000, 40_000, 80_000] {
        let cut = Resource::file(&pair.video).fault(Fault::CutAt(at));
        let video = origin.put("v", cut);
        let answer = get(daemon.address(), &mux_path(Some(&video), Some(&audio), &[]));
        assert_eq!((answer.head.status, answer.code().as_str()), (502, "upstream-cut"), "{at}");
    }
}

/// In chunks the proof of the end is the last one; nothing else is amiss.
#[test]
fn a_chunked_upstream_is_fine() {
    let origin = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    for track in TRACKS {
        let whole = Resource::file(track_file(track));
        let plain = daemon.get(&request(&origin, track, &origin.put("plain", whole.clone())));
        let chunked = origin.put("chunked", whole.fault(Fault::Chunked));
        let chunked = daemon.get(&request(&origin, track, &chunked));
        assert_eq!((chunked.head.status, chunked.ending), (200, Ending::Complete));
        assert!(chunked.body == plain.body, "{track}");
    }
}

/// The healthy track waits in its pipe while the other is slow to begin; it must not be blamed.
#[test]
fn a_waiting_track_is_not_a_slow_one() {
    let origin = Origin::start();
    let daemon = Daemon::start(IMPATIENT);
    let gate = Gate::default();
    let video = Resource::file(track_file("video")).pace(400_000);
    let url = origin.put("slow", video.gate(1_000_000, &gate));
    let mut client = Client::get(daemon.address(), &request(&origin, "video", &url));
    let head = client.first_byte();
    gate.reached();
    gate.open();
    let (_, ending) = client.body(&head);
    assert_eq!(ending, Ending::Complete);
}
