//! A page is read once, however many ask for it, as long as what it said is good.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, ask};
use crate::support::resource::Resource;
use crate::support::ytdlp::{self, FILM, Site, download_path, path_of, sizes};

/// As a browser, a player and a download program do it one after the other.
#[test]
fn a_head_a_download_and_eight_parts_read_it_once() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let path = download_path(&site.page_url(FILM), &[("quality", "720")]);
    let head = ask(daemon.address(), "HEAD", &path, "").head;
    let whole = daemon.get(&path);
    assert_eq!((whole.head.status, whole.ending), (200, Ending::Complete));
    let etag = head.header("ETag").unwrap();
    assert_eq!(whole.head.header("ETag"), Some(etag));
    assert_eq!(head.header("Content-Length"), whole.head.header("Content-Length"));
    let length = whole.body.len();
    let parts: Vec<Vec<u8>> = thread::scope(|scope| {
        let part = |index: usize| {
            let (first, end) = (length * index / 8, length * (index + 1) / 8);
            let fields = format!("Range: bytes={first}-{}\r\nIf-Range: {etag}\r\n", end - 1);
            let answer = ask(daemon.address(), "GET", &path, &fields);
            assert_eq!((answer.head.status, answer.ending), (206, Ending::Complete));
            answer.body
        };
        let asking: Vec<_> = (0..8).map(|index| scope.spawn(move || part(index))).collect();
        asking.into_iter().map(|part| part.join().unwrap()).collect()
    });
    assert!(parts.concat() == whole.body, "the parts are not the whole");
    // Another quality of it is on the same page, and so is what is told of it.
    assert_eq!(daemon.get(&path_of("info", &site.page_url(FILM), &[])).head.status, 200);
    assert_eq!(
        daemon.get(&download_path(&site.page_url(FILM), &[("container", "m4a")])).head.status,
        200
    );
    assert_eq!(site.reads(FILM), 1);
}

#[test]
fn ten_at_once_read_it_once() {
    let (site, daemon, gate) = (Site::start(), ytdlp::daemon(""), Gate::default());
    let page = json!({ "formats": sizes(["137", "140-1"]) }).to_string();
    site.put_at_page(FILM, Resource::bytes(page).gate(1, &gate));
    let path = download_path(&site.page_url(FILM), &[]);
    let mut clients: Vec<Client> = (0..10).map(|_| Client::get(daemon.address(), &path)).collect();
    gate.reached();
    crate::support::eventually("all of them are waiting", crate::support::PATIENCE, || {
        (daemon.metric("ytcanal_streams_active") == 10.0).then_some(())
    });
    gate.open();
    let bodies: Vec<Vec<u8>> = clients.iter_mut().map(|client| client.answer().body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0] && body.len() > 1_000_000));
    assert_eq!(site.reads(FILM), 1);
}

/// Whoever does it for all may leave.
#[test]
fn the_first_one_leaves_and_the_others_get_it() {
    let (site, daemon, gate) = (Site::start(), ytdlp::daemon(""), Gate::default());
    let page = json!({ "formats": sizes(["137", "140-1"]) }).to_string();
    let held = Resource::bytes(page.clone()).gate(1, &gate);
    site.put_at_page(FILM, held.becomes(Resource::bytes(page), 1));
    let path = download_path(&site.page_url(FILM), &[]);
    let first = Client::get(daemon.address(), &path);
    gate.reached();
    let mut second = Client::get(daemon.address(), &path);
    crate::support::eventually("both are waiting", crate::support::PATIENCE, || {
        (daemon.metric("ytcanal_streams_active") == 2.0).then_some(())
    });
    drop(first);
    let answer = second.answer();
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    assert_eq!(site.reads(FILM), 2);
    gate.open();
}

/// URLs that have expired, by their own word, are used, but not kept.
#[test]
fn what_expires_is_read_again() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let path = download_path(&site.page_url(FILM), &[]);
    let ask = |path: &str| ask(daemon.address(), "HEAD", path, "").head.status;
    site.put_page(FILM, &json!({ "formats": sizes(["137", "140-1"]), "expires_in": -60 }));
    assert_eq!([ask(&path), ask(&path)], [200; 2]);
    assert_eq!(site.reads(FILM), 2);
    // And those that lie longer than the operator wants.
    let brief = ytdlp::daemon("cache_ttl = \"1ms\"");
    let path = download_path(&site.page_url("other"), &[]);
    site.put_film("other");
    for _ in 0..2 {
        let status = crate::support::client::ask(brief.address(), "HEAD", &path, "").head.status;
        assert_eq!(status, 200);
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(site.reads("other"), 2);
}

/// Errors are not kept, but whoever waits for the same page shares them.
#[test]
fn an_error_is_shared_and_forgotten() {
    let daemon = ytdlp::daemon("failure_ttl = \"0s\"\n");
    let (site, gate) = (Site::start(), Gate::default());
    let broken = Resource::bytes("no JSON").gate(1, &gate);
    let good = json!({ "formats": sizes(["137", "140-1"]) }).to_string();
    site.put_at_page(FILM, broken.becomes(Resource::bytes(good), 1));
    let path = download_path(&site.page_url(FILM), &[]);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::get(daemon.address(), &path)).collect();
    gate.reached();
    crate::support::eventually("all of them are waiting", crate::support::PATIENCE, || {
        (daemon.metric("ytcanal_streams_active") == 3.0).then_some(())
    });
    gate.open();
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!(answer.head.status, 502, "{}", answer.text());
    }
    assert_eq!(site.reads(FILM), 1);
    assert_eq!(daemon.get(&path).head.status, 200);
}
