//! The names of requests: who gives them, and where they are found.

use serde_json::json;

use super::{from_far, start};
use crate::support::client::ask;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::ytdlp::{self, Site, download_path};

#[test]
fn a_trusted_proxy_names_requests_unless_the_name_is_hostile() {
    let directory = tempfile::tempdir().unwrap();
    let (behind_proxy, alone) = (start(directory.path(), "text"), Daemon::start(LOOPBACK));
    let named = |daemon: &Daemon, fields: &str| {
        let answer = from_far(daemon, "GET", "/nothing", fields);
        let id = answer.head.header("X-Request-Id").unwrap().to_owned();
        assert_eq!(answer.problem()["request_id"], id.as_str());
        daemon.logs(&format!(" [{id}]\n"));
        id
    };
    let longest = "x".repeat(64);
    for fine in ["5", "2f0e7c1e-9d9c-4d2c-8f4e-0d6c3f5b7a11", "7F000001:9C40_1", &longest] {
        let field = format!("X-Request-Id: {fine}\r\n");
        assert_eq!(named(&behind_proxy, &field), fine);
        // A stranger could have a line look like that of another request.
        assert_ne!(named(&alone, &field), fine);
    }
    let long = "x".repeat(65);
    for wrong in ["", "a b", "a,b", "a\"b", "<b>", "[x]", "a;b=c", "\u{e4}", "a\tb", "{}", &long] {
        let id = named(&behind_proxy, &format!("X-Request-Id: {wrong}\r\n"));
        assert_eq!(id.len(), 16, "{wrong:?}: {id}");
    }
    let twice = named(&behind_proxy, "X-Request-Id: one\r\nX-Request-Id: two\r\n");
    assert_eq!(twice.len(), 16);
    let page = ask(alone.address(), "GET", "/nothing", "Accept: text/html\r\n");
    let id = page.head.header("X-Request-Id").unwrap();
    assert!(page.text().contains(&format!("request <code>{id}</code>")), "{}", page.text());
}

/// All that is done for a request is found under its name: an archive reads its pages on several threads.
#[test]
fn the_pages_of_a_list_are_read_under_the_name_of_its_request() {
    let site = Site::start();
    for id in ["one", "two"] {
        site.put_film(id);
    }
    site.put_page("best", &json!({ "title": "The best", "entries": ["one", "two"] }));
    let daemon = ytdlp::daemon("[log]\nlevel = \"debug\"\n");
    let list = site.origin.url("list?list=best");
    let parameters = [("quality", "360"), ("container", "mp4"), ("as", "zip"), ("length", "none")];
    let answer = daemon.good(&download_path(&list, &parameters));
    let end = format!(" [{}]", answer.head.header("X-Request-Id").unwrap());
    daemon.logs(" fetched in ");
    let log = daemon.log();
    let reads: Vec<_> = log.lines().filter(|line| line.contains("read a page of")).collect();
    assert!(reads.len() >= 3 && reads.iter().all(|line| line.ends_with(&end)), "{log}");
}
