//! Pages that cannot be read are not read again and again, and a site that refuses this server is left alone.

use std::path::Path;

use tempfile::TempDir;

use crate::support::answer::Answer;
use crate::support::client::ask;
use crate::support::daemon::{Daemon, LOOPBACK, script};
use crate::support::ytdlp::path_of;

/// A stand-in for yt-dlp that notes the pages it is to read, and fails as they say; and its daemon.
struct Reader {
    directory: TempDir,
    daemon: Daemon,
}

impl Reader {
    fn start(settings: &str) -> Reader {
        let directory = tempfile::tempdir().unwrap();
        let notes = directory.path().join("notes");
        let body = format!(
            "for page; do :; done\necho \"$page\" >> {notes:?}\ncase \"$page\" in\n\
             *busy*) echo 'ERROR: [x] y: HTTP Error 429: Too Many Requests' ;;\n\
             *net*) echo 'ERROR: [x] y: Connection refused' ;;\n\
             *) echo 'ERROR: [x] y: This video is private' ;;\nesac >&2\nexit 1"
        );
        let command = script(directory.path(), &body);
        let sandbox = format!("[sandbox]\nwrite = [{:?}]\n", directory.path());
        let resolver =
            format!("[resolver]\ncommand = {command:?}\nfork_server = false\n{settings}\n");
        let proxy = "[access]\ntrusted_proxies = [\"127.0.0.1\"]\n";
        let limits = "[limits]\nrequests_per_minute = 1000\npages_per_hour = 1000\n";
        let config = format!("{proxy}{limits}{sandbox}{resolver}{LOOPBACK}");
        Reader { daemon: Daemon::start(&config), directory }
    }

    fn ask(&self, client: &str, page: &str) -> Answer {
        let page_url = format!("http://127.0.0.1/{page}");
        let fields = format!("X-Forwarded-For: {client}\r\n");
        ask(self.daemon.address(), "GET", &path_of("info", &page_url, &[]), &fields)
    }

    /// The code of the answer, and when to come back.
    fn code(&self, page: &str) -> (String, Option<u32>) {
        let answer = self.ask("9.9.9.9", page);
        let wait = answer.head.header("Retry-After").map(|wait| wait.parse().unwrap());
        (answer.code(), wait)
    }

    fn reads(&self) -> usize {
        reads(self.directory.path())
    }
}

fn reads(directory: &Path) -> usize {
    std::fs::read_to_string(directory.join("notes")).unwrap_or_default().lines().count()
}

#[test]
fn what_failed_is_remembered_for_a_moment() {
    let reader = Reader::start("failure_ttl = \"300ms\"\nbusy_pause = \"0s\"");
    for _ in 0..20 {
        assert_eq!(reader.code("one"), ("private".into(), None));
    }
    let first = reader.reads();
    assert!((1..15).contains(&first), "{first} times");
    for _ in 0..5 {
        assert_eq!(reader.code("busy"), ("site-busy".into(), Some(600)));
    }
    // What the network does passes.
    let before = reader.reads();
    for _ in 0..3 {
        assert_eq!(reader.code("net").0, "site-unreachable");
    }
    assert_eq!(reader.reads(), before + 3);
}

/// Whatever is appended to a link.
#[test]
fn a_site_that_refuses_is_left_alone() {
    let reader = Reader::start("");
    for number in 0..3 {
        assert_eq!(reader.code(&format!("busy?x={number}")), ("site-busy".into(), Some(600)));
    }
    for page in ["busy?x=4", "one", "net"] {
        let (code, wait) = reader.code(page);
        assert_eq!(code, "site-busy", "{page}");
        assert!(wait.is_some_and(|wait| wait <= 61), "{wait:?}");
    }
    assert_eq!(reader.reads(), 3);
    // So it is for everybody.
    assert_eq!(reader.ask("10.0.0.1", "one").code(), "site-busy");
    // After a refusal in between it is asked again.
    let reader = Reader::start("busy_pause = \"200ms\"");
    let asked = |page: &str| reader.code(page).0;
    let pages = ["busy?1", "busy?2", "one", "busy?3", "busy?4"];
    assert_eq!(pages.map(asked).last().unwrap(), "site-busy");
    assert_eq!(asked("two"), "private");
}

#[test]
fn strangers_share_what_is_read_of_a_site() {
    let reader = Reader::start("site_pages_per_minute = 5");
    let from = |network: usize| reader.ask(&format!("9.{network}.1.1"), &format!("{network}"));
    for network in 0..5 {
        assert_eq!(from(network).code(), "private");
    }
    let refused = from(9);
    assert_eq!((refused.head.status, refused.code().as_str()), (503, "resolver-busy"));
    assert!(refused.text().contains("resolver.site_pages_per_minute"));
    let wait = refused.head.header("Retry-After").unwrap().parse::<u32>().unwrap();
    assert!((1..=13).contains(&wait), "{wait}");
    assert_eq!(reader.reads(), 5);
    // The operator's own devices are spared.
    for page in 20..30 {
        assert_eq!(reader.ask("10.0.0.1", &page.to_string()).code(), "private");
    }
}
