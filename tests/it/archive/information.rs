//! What `/info` tells of a list.

use serde_json::{Value, json};

use super::{list_url, site};
use crate::support::daemon::Daemon;
use crate::support::ytdlp::{self, path_of};

fn told(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(path);
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn a_list_tells_its_entries() {
    for way in ytdlp::WAYS {
        let entries = json!([
            {"id": "one", "title": "The first", "duration": 61.5, "uploader": "Her"},
            {"list": "nested"},
            {"title": "[Private video]"},
        ]);
        let (site, daemon) = (site(&entries), ytdlp::daemon(way));
        let list = told(&daemon, &path_of("info", &list_url(&site, "best"), &[]));
        for (name, value) in [
            ("type", json!("list")),
            ("title", json!("The best")),
            ("id", json!("best")),
            ("extractor", json!("canal:list")),
            ("next", Value::Null),
        ] {
            assert_eq!(list[name], value, "{name} of {list:#}");
        }
        let entries = list["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 3, "{list:#}");
        let first = &entries[0];
        assert_eq!((&first["number"], &first["title"]), (&json!(1), &json!("The first")));
        assert_eq!((&first["duration"], &first["uploader"]), (&json!(61.5), &json!("Her")));
        assert_eq!(first["url"], site.page_url("one"));
        // What it says can be requested.
        assert_eq!(told(&daemon, first["info"].as_str().unwrap())["type"], "video");
        assert_eq!(entries[1]["url"], list_url(&site, "nested"), "{list:#}");
        assert_eq!(
            (&entries[2]["url"], &entries[2]["title"]),
            (&Value::Null, &json!("[Private video]"))
        );
        // A list is read once, and its entries are not read for it.
        told(&daemon, &path_of("info", &list_url(&site, "best"), &[]));
        assert_eq!((site.reads("best"), site.reads("one")), (1, 1), "{way}");
    }
}

#[test]
fn a_long_list_comes_page_by_page() {
    for way in ytdlp::WAYS {
        let entries: Vec<_> =
            (1..=250).map(|number| json!({"id": format!("film{number}")})).collect();
        let (site, daemon) = (site(&json!(entries)), ytdlp::daemon(way));
        let mut next = Some(path_of("info", &list_url(&site, "best"), &[]));
        let mut numbers = Vec::new();
        while let Some(path) = next {
            let list = told(&daemon, &path);
            for entry in list["entries"].as_array().unwrap() {
                let number = entry["number"].as_u64().unwrap();
                assert_eq!(entry["url"], site.page_url(&format!("film{number}")));
                numbers.push(number);
            }
            next = list["next"].as_str().map(str::to_owned);
        }
        assert_eq!(numbers, (1..=250).collect::<Vec<_>>(), "{way}");
        let behind = told(&daemon, &path_of("info", &list_url(&site, "best"), &[("page", "9")]));
        assert_eq!(behind["entries"], json!([]));
    }
}

#[test]
fn a_page_of_what_is_no_list_is_refused() {
    let (site, daemon) = (site(&json!(["one"])), ytdlp::daemon(""));
    let answer = daemon.get(&path_of("info", &site.page_url("one"), &[("page", "2")]));
    assert_eq!((answer.head.status, answer.code().as_str()), (400, "bad-parameter"));
    for page in ["0", "1001", "x", "-1"] {
        let answer = daemon.get(&path_of("info", &list_url(&site, "best"), &[("page", page)]));
        assert_eq!((answer.head.status, answer.code().as_str()), (400, "bad-parameter"), "{page}");
    }
    let answer = daemon.get(&path_of("download", &list_url(&site, "best"), &[]));
    assert_eq!((answer.head.status, answer.code().as_str()), (422, "playlist"));
    assert!(answer.text().contains("as=tar"), "{}", answer.text());
}
