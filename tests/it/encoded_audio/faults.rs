//! What the client sees when a sound cannot be made as it was promised.

use std::time::Instant;

use super::recipes::{self, Kind};
use super::{Site, length, served};
use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::Client;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::media::{derive, generate};
use crate::support::resource::{Fault, Resource};
use crate::support::{PATIENCE, abreast, eventually, signal};

fn source(kind: Kind) -> std::path::PathBuf {
    recipes::all().into_iter().find(|recipe| recipe.kind == kind).unwrap().source()
}

#[test]
fn a_source_that_breaks_off_is_no_end() {
    let site = Site::start_with("retries = 1\nmax_wait = \"1s\"\n");
    for (kind, codec) in [(Kind::Aac, "aac"), (Kind::Flac, "flac")] {
        let file = source(kind);
        let cut = std::fs::metadata(&file).unwrap().len() * 2 / 3;
        site.put(codec, served(&file).fault(Fault::CutAt(cut)), codec, None);
        for container in ["mp3", "wav"] {
            let answer = site.get(codec, &format!("container={container}"));
            let is_refused = answer.head.status >= 500;
            assert!(is_refused || answer.ending != Ending::Complete, "{container} of {codec}");
        }
    }
}

#[test]
fn a_source_that_changed_is_another_file() {
    let site = Site::start();
    let [one, other] = [Kind::Aac, Kind::AacBehind].map(source);
    site.put("sound", served(&one), "aac", None);
    let first = site.head("sound", "container=wav");
    let etag = first.head.header("ETag").unwrap();
    let replaced = Resource::file(&other).ranges().keep_alive().etag("\"other\"");
    site.origin.put("sound.sound", replaced);
    let fields = format!("Range: bytes=100-\r\nIf-Range: {etag}\r\n");
    let answer = site.part("sound", "container=wav", &fields);
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    assert_ne!(answer.head.header("ETag"), Some(etag));
}

#[test]
fn an_encoder_that_is_killed_is_no_end() {
    let site = Site::start();
    let file = source(Kind::Flac);
    let gate = Gate::default();
    let half = std::fs::metadata(&file).unwrap().len() / 2;
    site.put("sound", served(&file).gate(half, &gate), "flac", None);
    for container in ["wav", "mp3"] {
        let path = site.path("sound", &format!("container={container}"));
        let mut client = Client::get(site.daemon.address(), &path);
        let head = client.first_byte();
        assert!(head.header("Content-Length").is_some());
        let children = eventually("ffmpeg runs", PATIENCE, || {
            let children = site.daemon.children();
            (!children.is_empty()).then_some(children)
        });
        for child in children {
            signal(child.pid, "KILL");
        }
        let (_, ending) = client.body(&head);
        assert_ne!(ending, Ending::Complete, "{container}");
    }
    gate.open();
}

/// The index tells of packets that are twice as long as they are.
#[test]
fn a_length_that_proves_wrong_is_not_promised_again() {
    let coded = "-f lavfi -i sine=sample_rate=48000:duration=5 -c:a libopus -frame_duration 10 -movflags +faststart";
    let arguments: Vec<_> = coded.split(' ').map(String::from).collect();
    let true_one = generate("sound-short-packets", "mp4", &arguments);
    let file = derive("sound-lies", "mp4", &true_one, |mut bytes| {
        let at = bytes.windows(4).position(|four| four == b"stts").unwrap();
        let count = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        for run in 0..count {
            let delta = &mut bytes[at + 12 + 8 * run + 4..][..4];
            let doubled = 2 * u32::from_be_bytes((&*delta).try_into().unwrap());
            delta.copy_from_slice(&doubled.to_be_bytes());
        }
        bytes
    });
    let site = Site::start();
    for container in ["wav", "mp3"] {
        let name = format!("lies-{container}");
        site.put(&name, served(&file), "opus", None);
        let parameters = format!("container={container}");
        let answer = site.get(&name, &parameters);
        assert!(length(&answer).is_some_and(|promised| promised > answer.body.len() as u64));
        assert_ne!(answer.ending, Ending::Complete, "{container}");
        let again = site.good(&name, &parameters);
        assert_eq!(length(&again), None, "{container}");
    }
}

/// A file that ends where its header says, and not where it ends, would look whole.
#[test]
fn a_source_with_more_samples_than_it_tells_is_not_cut() {
    let coded = "-f lavfi -i sine=sample_rate=48000:duration=5 -c:a flac";
    let arguments: Vec<_> = coded.split(' ').map(String::from).collect();
    let true_one = generate("sound-of-five-seconds", "flac", &arguments);
    let file = derive("sound-says-less", "flac", &true_one, |mut bytes| {
        // The last 32 bits of the number of samples (RFC 9639 §8.2).
        bytes[22..26].copy_from_slice(&48_000u32.to_be_bytes());
        bytes
    });
    let site = Site::start();
    for container in ["wav", "mp3"] {
        let name = format!("less-{container}");
        site.put(&name, served(&file), "flac", None);
        let parameters = format!("container={container}");
        let answer = site.get(&name, &parameters);
        assert_ne!(answer.ending, Ending::Complete, "{container}");
    }
}

/// The sound comes without, in a few seconds, and stays as it is for who resumes.
#[test]
fn a_cover_that_cannot_be_had_is_no_reason_to_fail() {
    let site = Site::start();
    let aac = source(Kind::Aac);
    site.put("none", served(&aac), "aac", None);
    let bare = site.good("none", "container=mp3").body;
    let huge = [&[0xff, 0xd8, 0xff][..], &vec![0; 3 << 20]].concat();
    let images = [
        ("silent", Resource::bytes("x").fault(Fault::Silent)),
        ("stalled", Resource::file(&super::tags::cover("jpg")).fault(Fault::StallAt(500))),
        ("huge", Resource::bytes(huge)),
        ("text", Resource::bytes("<html>no image</html>")),
        ("webp", Resource::bytes(&b"RIFF\x10\0\0\0WEBPVP8 0000"[..])),
        ("gone", Resource::bytes("x").fault(Fault::Status(404, Vec::new()))),
    ];
    abreast(3, images, |(name, image)| {
        site.put(name, served(&aac), "aac", Some(image));
        let begun = Instant::now();
        let answer = site.good(name, "container=mp3");
        assert!(begun.elapsed() < PATIENCE / 2, "{name}");
        assert!(answer.body == bare, "{name}: it is not the file without a cover");
    });
    // Now it can be had. Who resumes must not get the end of another file.
    site.origin.put("gone.image", Resource::file(&super::tags::cover("jpg")));
    assert!(site.good("gone", "container=mp3").body == bare);
}

#[test]
fn encoders_are_limited_apart() {
    let limits = "[limits]\nmuxers = 1\nencoders = 1\nslot_timeout = \"0s\"\n";
    let site = Site::start();
    let file = source(Kind::Flac);
    let gate = Gate::default();
    let half = std::fs::metadata(&file).unwrap().len() / 2;
    let url = site.origin.put("held.flac", served(&file).gate(half, &gate));
    drop(url);
    let command = site.directory.path().join("yt-dlp-stand-in");
    let config = format!(
        "{limits}{LOOPBACK}[resolver]\ncommand = {command:?}\nfork_server = false\nfailure_ttl = \"0s\"\n"
    );
    let daemon = Daemon::start(&config);
    site.put("held", served(&file).gate(half, &gate), "flac", None);
    site.put("free", served(&file), "flac", None);
    let mut first = Client::get(daemon.address(), &site.path("held", "container=mp3"));
    let head = first.first_byte();
    let second = daemon.get(&site.path("free", "container=mp3"));
    assert_eq!((second.head.status, second.code().as_str()), (503, "encoders-full"));
    assert!(second.head.header("Retry-After").is_some());
    // A job that encodes nothing goes on.
    let copied = daemon.get(&site.path("free", "container=flac&engine=ffmpeg"));
    assert_eq!((copied.head.status, copied.ending), (200, Ending::Complete));
    gate.open();
    assert_eq!(first.body(&head).1, Ending::Complete);
}
