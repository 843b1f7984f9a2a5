//! A thousand downloads over connections that break at random places, all byte-identical.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;

use crate::support::answer::Ending;
use crate::support::client::{get, mux_path};
use crate::support::daemon::Daemon;
use crate::support::origin::Origin;
use crate::support::script::{Fault, Resource};
use crate::support::{PATIENCE, media, number_from};

const DOWNLOADS: usize = 1000;
const ABREAST: usize = 6;
/// Each track breaks so often at most.
const BREAKS: u64 = 4;

const SETTINGS: &str = "[limits]\nstreams = 16\nstreams_per_client = 16\nmuxers = 32\n\
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
        [mux_path(Some(&video), Some(&audio), &[]), mux_path(Some(&video), None, &[])]
    };
    let whole = paths("healthy", healthy.clone()).map(|path| daemon.get(&path).body);
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
                    let broken = healthy.clone().map(|resource| {
                        let places: Vec<u64> = (0..random.u64(1..=BREAKS))
                            .map(|_| random.u64(0..resource.len()))
                            .collect();
                        breaks.fetch_add(places.len(), Ordering::SeqCst);
                        let broken = resource.fault(Fault::CutsAt(places));
                        // Half of them prove by an ETag that they are the same file.
                        if random.bool() { broken.etag("\"1\"") } else { broken }
                    });
                    // Two of five go through ffmpeg.
                    let engine = usize::from(number % 5 > 1);
                    let path = &paths(&number.to_string(), broken)[engine];
                    let answer = get(daemon.address(), path);
                    let what = format!("download {number} of seed {seed}: {path}");
                    assert_eq!(
                        (answer.head.status, answer.ending),
                        (200, Ending::Complete),
                        "{what}"
                    );
                    assert!(answer.body == whole[engine], "{what} is another file");
                }
            });
        }
    });
    println!("{DOWNLOADS} downloads, {} breaks, seed {seed}: all identical", breaks.into_inner());
    daemon.settles(&baseline, PATIENCE);
}
