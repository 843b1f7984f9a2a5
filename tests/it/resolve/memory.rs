//! What reads a page and takes too much memory is ended, and nothing else is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::process_snapshot::{descendants, memory};
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, path_of};
use crate::support::{PATIENCE, eventually};

/// What the daemon of a test lets one reading take, in MiB.
const MOST: u64 = 256;
/// What may be taken beyond that before it is seen: a machine may be busy.
const SLACK: u64 = 400;

/// Asks for a page; the answer, and the most memory that all readers together had meanwhile, in MiB.
fn peak_while(daemon: &Daemon, path: &str) -> (crate::support::answer::Answer, u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                let all = descendants(daemon.pid());
                peak = peak.max(all.iter().map(|pid| memory(*pid, "RssAnon")).sum());
                thread::sleep(Duration::from_millis(5));
            }
            peak >> 20
        });
        let answer = daemon.get(path);
        over.store(true, Ordering::Relaxed);
        (answer, watching.join().unwrap())
    })
}

#[test]
fn a_page_that_takes_all_memory_is_given_up() {
    for way in WAYS {
        let site = Site::start();
        let daemon = ytdlp::daemon(&format!("{way}memory = \"{MOST}MiB\""));
        let good = path_of("info", &site.page_url(FILM), &[]);
        assert_eq!(daemon.get(&good).head.status, 200);
        let staying = eventually("only what stays is there", PATIENCE, || {
            let all = descendants(daemon.pid());
            (all.len() == daemon.children().len()).then_some(all)
        });
        for id in ["devour", "devour-with-children"] {
            let (answer, peak) = peak_while(&daemon, &download_path(&site.page_url(id), &[]));
            let found = (answer.head.status, answer.code());
            assert_eq!(found, (500, "resolver-failed".into()), "{id}, {way}: {}", answer.text());
            assert!(answer.text().contains("resolver.memory"), "{id}, {way}: {}", answer.text());
            println!("{id}, {}: {peak} MiB at the most", way.trim());
            assert!(peak < MOST + SLACK, "{id}, {way}: {peak} MiB");
            eventually("all that it started is gone", PATIENCE, || {
                (descendants(daemon.pid()) == staying).then_some(())
            });
        }
        site.put_film("next");
        let next = daemon.get(&path_of("info", &site.page_url("next"), &[]));
        assert_eq!(next.head.status, 200, "{way}: {}", next.text());
    }
}
