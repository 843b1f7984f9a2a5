//! A thousand downloads over connections that break at random places, all byte-identical.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;

use crate::support::answer::Ending;
use crate::support::client::{any_path, ask, mux_path, splice_path};
use crate::support::daemon::Daemon;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::{PATIENCE, media, number_from};

const DOWNLOADS: usize = 1000;
const ABREAST: usize = 6;
/// ffmpeg, pass and splice, in turn.
const ENGINES: usize = 3;
const SPLICE: usize = 2;
const ONE: &str = "\"1\"";
/// Each track breaks so often at most.
const BREAKS: u64 = 4;

const SETTINGS: &str = "[limits]\nstreams = 16\nstreams_per_client = 16\nmuxers = 32\nmuxers_per_client = 32\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\nchunk = \"512KiB\"\n";

#[test]
fn a_thousand_broken_downloads_are_byte_identical() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let baseline = daemon.baseline();
    let pair = media::edit_listed();
    let healthy = [&pair.video, &pair.audio].map(|file| Resource::file(file).ranges());
    let put = |name: String, resource: &Resource| origin.put(&name, resource.clone());
    let paths = |name: &str, [video, audio]: [Resource; 2]| {
        let (video, audio) = (put(format!("{name}-v"), &video), put(format!("{name}-a"), &audio));
        [
            mux_path(Some(&video), Some(&audio), &[]),
            any_path(Some(&video), None, &[]),
            splice_path(&video, &audio, &[]),
        ]
    };
    let healthy_paths = paths("healthy", healthy.clone().map(|resource| resource.etag(ONE)));
    let whole = healthy_paths.each_ref().map(|path| daemon.get(path).body);
    let head = ask(daemon.address(), "HEAD", &healthy_paths[SPLICE], "").head;
    let etag = head.header("ETag").expect("a spliced file has an ETag");
    let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    let next = AtomicUsize::new(0);
    let breaks = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= DOWNLOADS {
                        return;
                    }
                    let mut random = Rng::with_seed(seed.wrapping_add(number as u64));
                    let mut proven = true;
                    let broken = healthy.clone().map(|resource| {
                        let places: Vec<u64> = (0..random.u64(1..=BREAKS))
                            .map(|_| random.u64(0..resource.len()))
                            .collect();
                        breaks.fetch_add(places.len(), Ordering::SeqCst);
                        let broken = resource.fault(Fault::CutsAt(places));
                        // Half of them prove by an ETag that they are the same file.
                        let with_etag = random.bool();
                        proven &= with_etag;
                        if with_etag { broken.etag(ONE) } else { broken }
                    });
                    // A third of them by each engine.
                    let engine = number % ENGINES;
                    let path = &paths(&number.to_string(), broken)[engine];
                    let mut expected = &whole[engine][..];
                    let (mut status, mut fields) = (200, String::new());
                    if engine == SPLICE {
                        if random.bool() {
                            // The plan is then known from before.
                            let head = ask(daemon.address(), "HEAD", path, "").head;
                            assert_eq!(head.header("ETag"), proven.then_some(etag));
                        }
                        if random.bool() {
                            let from = random.usize(..expected.len());
                            fields = format!("Range: bytes={from}-\r\n");
                            let conditional = random.bool();
                            if conditional {
                                fields += &format!("If-Range: {etag}\r\n");
                            }
                            // Where nothing proves that it is the same file, it is not a part.
                            if proven || !conditional {
                                (status, expected) = (206, &expected[from..]);
                            }
                        }
                    }
                    let answer = ask(daemon.address(), "GET", path, &fields);
                    let what = format!("download {number} of seed {seed}: {path} {fields}");
                    assert_eq!(
                        (answer.head.status, answer.ending),
                        (status, Ending::Complete),
                        "{what}"
                    );
                    assert!(answer.body == expected, "{what} is another file");
                }
            });
        }
    });
    println!("{DOWNLOADS} downloads, {} breaks, seed {seed}: all identical", breaks.into_inner());
    daemon.settles(&baseline, PATIENCE);
}
