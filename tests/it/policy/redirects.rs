//! Where redirects may lead, and that they do not lead inwards.

use super::spellings::LOCATIONS;
use super::{ONLY_OUTER, at_port, origin_beside_tripwire};
use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::{request, track_file};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::test_ca::Authority;
use crate::support::{PATIENCE, eventually};

#[test]
fn no_redirect_leads_inwards() {
    let (outer, inner) = origin_beside_tripwire();
    let daemon = Daemon::start(ONLY_OUTER);
    for to in at_port(inner.port(), &LOCATIONS) {
        let away = outer.put("away", Resource::bytes("").fault(Fault::Redirect(to.clone())));
        let answer = daemon.get(&mux_path(Some(&away), None, &[]));
        let seen = (answer.head.status, answer.code());
        assert_eq!(seen, (403, "address-refused".to_owned()), "{to}: {}", answer.text());
    }
    assert_eq!(outer.requests().len(), LOCATIONS.len());
    assert_eq!(inner.connections(), 0);
}

/// The way over several hops is as good as its last one.
#[test]
fn a_redirect_to_a_redirect_does_not_lead_inwards() {
    let (outer, inner) = origin_beside_tripwire();
    let daemon = Daemon::start(ONLY_OUTER);
    let redirect = |to| Resource::bytes("").fault(Fault::Redirect(to));
    let last = outer.put("last", redirect(format!("http://127.0.0.1:{}/v", inner.port())));
    let first = outer.put("first", redirect(last));
    let answer = daemon.get(&mux_path(Some(&first), None, &[]));
    assert_eq!(answer.code(), "address-refused", "{}", answer.text());
    assert_eq!((outer.requests().len(), inner.connections()), (2, 0));
}

#[test]
fn a_redirect_must_be_one_that_a_client_could_have_asked_for() {
    let outer = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    let place = format!("127.0.0.1:{}", outer.port());
    outer.put("v", Resource::file(track_file("video")));
    for to in [
        format!("http://user@{place}/v"),
        format!("http://user:password@{place}/v"),
        format!("http://public.example@{place}/v"),
        format!("//user@{place}/v"),
        format!("ftp://{place}/v"),
        "http://[::1%25lo]/v".into(),
        "http://256.0.0.1/v".into(),
        "///".into(),
        "http://①②⑦.0.0.1/v".into(),
    ] {
        let away = outer.put("away", Resource::bytes("").fault(Fault::Redirect(to.clone())));
        let answer = daemon.get(&mux_path(Some(&away), None, &[]));
        assert_eq!(answer.code(), "upstream-redirect", "{to}: {}", answer.text());
        assert_eq!(answer.head.status, 502);
    }
    assert!(outer.requests().iter().all(|request| request.path == "/away"));
}

#[test]
fn five_redirects_are_followed_and_no_more() {
    let origin = Origin::start();
    let daemon = Daemon::start(LOOPBACK);
    let file = track_file("video");
    let mut url = origin.put("v", Resource::file(file));
    for hops in 1..=6 {
        url = origin.put(&format!("hop{hops}"), Resource::bytes("").fault(Fault::Redirect(url)));
        let before = origin.requests().len();
        let answer = daemon.get(&mux_path(Some(&url), None, &[]));
        if hops <= 5 {
            assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{hops}");
            assert!(answer.body == std::fs::read(file).unwrap(), "{hops}");
            assert_eq!(origin.requests().len() - before, hops + 1);
        } else {
            assert_eq!(answer.code(), "upstream-redirect", "{}", answer.text());
            assert_eq!(origin.requests().last().unwrap().path, "/hop1");
        }
    }
}

#[test]
fn redirects_lead_into_tls_but_not_out_of_it() {
    let authority = Authority::new();
    let root = authority.file();
    let (plain, secure) = (Origin::start(), Origin::start_tls(&authority, "localhost"));
    let config = format!("{LOOPBACK}ca_file = {:?}\n", root.path());
    let daemon = Daemon::start(&config);
    let file = track_file("video");
    let inside = secure.put("v", Resource::file(file));
    let outside = plain.put("v", Resource::file(file));
    let redirect = |to| Resource::bytes("").fault(Fault::Redirect(to));
    let inwards = plain.put("inwards", redirect(inside));
    let answer = daemon.get(&mux_path(Some(&inwards), None, &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.code());
    assert!(answer.body == std::fs::read(file).unwrap());
    let outwards = secure.put("outwards", redirect(outside));
    let round = plain.put("round", redirect(outwards.clone()));
    for url in [outwards, round] {
        let answer = daemon.get(&mux_path(Some(&url), None, &[]));
        assert_eq!(answer.code(), "upstream-redirect", "{}", answer.text());
        assert!(answer.text().contains("from https to http"), "{}", answer.text());
    }
    assert!(plain.requests().iter().all(|request| request.path != "/v"));
}

/// The first part was a good one; what comes after it is looked at all the same.
#[test]
fn a_later_part_is_not_led_inwards_either() {
    let (outer, inner) = origin_beside_tripwire();
    let daemon = Daemon::start(ONLY_OUTER);
    let to = format!("http://127.0.0.1:{}/v", inner.port());
    let video = Resource::file(track_file("video")).ranges().etag("\"v\"");
    for joined in [false, true] {
        let gate = Gate::default();
        let turned = video.clone().gate(1_200_000, &gate);
        let turned = turned.fault(Fault::Redirect(to.clone())).fault_from(1_600_000);
        let url = outer.put("turned", turned);
        let path =
            if joined { request(&outer, "video", &url) } else { mux_path(Some(&url), None, &[]) };
        let mut client = Client::get(daemon.address(), &path);
        client.first_byte();
        // So far that the part with the gate in it is asked for.
        client.read_raw(900_000);
        gate.reached();
        gate.open();
        // Without chunks a reset alone shows that there is no more.
        let ending = client.until_closed();
        assert!(ending == Ending::Reset, "joined: {joined}: {ending:?}");
    }
    // The log line of a download comes after its end.
    eventually("both say why", PATIENCE, || {
        (daemon.log().matches("is not a public address").count() == 2).then_some(())
    });
    assert_eq!(inner.connections(), 0);
}
