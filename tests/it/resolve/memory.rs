//! What reads a page and takes too much memory is ended, and nothing else is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::daemon::{Daemon, LOOPBACK, script};
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

/// Prints nearly as much as may be read, in the form that the URL names.
const FLOOD: &str = r#"
import sys
size, form = 15_900_000, sys.argv[-1].rsplit("/", 1)[1]
def many(item):
    return ",".join([item] * (size // (len(item) + 1)))
film = '"format_id": "1", "url": "https://cdn.example/1"'
escaped = r"\u00e4"
print({
    "title": "{%s, \"title\": [%s]}" % (film, many("1")),
    "text": "{%s, \"title\": \"%s\"}" % (film, escaped * (size // 6)),
    "halves": "{%s, \"title\": \"%s\"}" % (film, r"\ud83c" * (size // 6)),
    "formats": "{%s, \"formats\": [%s]}" % (film, many("1")),
    "empty": "{%s, \"formats\": [%s]}" % (film, many("{}")),
    "thumbnails": "{%s, \"thumbnails\": [%s]}" % (film, many("{}")),
    "fragments": "{%s, \"fragments\": [%s]}" % (film, many("{}")),
    "fields": "{%s, \"http_headers\": {%s}}" % (film, many("\"a\":\"\"")),
    "browser": "{%s, \"impersonate\": [%s]}" % (film, many("[]")),
}[form])
"#;

/// Two at a time, as one client may.
#[test]
fn a_page_as_long_as_may_be_costs_the_daemon_little() {
    const LIMIT: u64 = 110 << 20;
    let directory = tempfile::tempdir().unwrap();
    let command = script(
        directory.path(),
        &format!("exec python3 -c '{}' \"$@\"", FLOOD.replace('\'', "'\\''")),
    );
    let daemon = Daemon::start(&format!(
        "{LOOPBACK}[resolver]\ncommand = {command:?}\nfork_server = false\n"
    ));
    let forms = [
        "title",
        "text",
        "halves",
        "formats",
        "empty",
        "thumbnails",
        "fragments",
        "fields",
        "browser",
    ];
    for pair in forms.chunks(2) {
        thread::scope(|scope| {
            for form in pair {
                let daemon = &daemon;
                scope.spawn(move || {
                    let page = format!("http://127.0.0.1:1/{form}");
                    let answer = daemon.get(&path_of("info", &page, &[]));
                    assert!(
                        [200, 404, 422, 502].contains(&answer.head.status),
                        "{form}: {}",
                        answer.text()
                    );
                    println!("{form}: {} {}", answer.head.status, answer.text().len());
                });
            }
        });
        let peak = memory(daemon.pid(), "VmHWM");
        println!("{pair:?}: peak {} MiB", peak >> 20);
        assert!(peak < LIMIT, "{pair:?}: {} MiB", peak >> 20);
    }
    let rest = memory(daemon.pid(), "VmRSS");
    println!("afterwards: {} MiB", rest >> 20);
    assert!(rest < 40 << 20, "{} MiB stay", rest >> 20);
}
