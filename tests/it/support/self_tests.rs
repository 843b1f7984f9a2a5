//! The origin and the client tried on each other: a test is only worth what these two are.

mod answers;
mod faults;
mod proxies;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::answer::Ending;
use super::barrier::Gate;
use super::client::{Client, get};
use super::curl::curl;
use super::framemd5::{Exactness, assert_same, packets};
use super::media;
use super::origin::{Origin, refused_url};
use super::resource::{Fault, Resource};

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|index| (index % 251) as u8).collect()
}

fn address(origin: &Origin) -> SocketAddr {
    ([127, 0, 0, 1], origin.port()).into()
}

#[test]
fn the_client_tells_how_a_body_ended() {
    let origin = Origin::start();
    let address = address(&origin);
    let table = [
        (Fault::None, 300_000, Ending::Complete, 0),
        (Fault::Chunked, 300_000, Ending::Complete, 0),
        (Fault::NoLength, 300_000, Ending::Complete, 0),
        (Fault::CutAt(1000), 1000, Ending::Cut, 18),
        (Fault::ChunkedCutAt(1000), 1000, Ending::Cut, 18),
        (Fault::LengthTooLargeBy(5), 300_000, Ending::Cut, 18),
    ];
    for (fault, len, ending, exit) in table {
        let url = origin.put("x", Resource::bytes(content()).fault(fault.clone()));
        let answer = get(address, "/x");
        assert_eq!(answer.head.status, 200);
        assert_eq!((answer.body.len(), answer.ending), (len, ending), "{fault:?}");
        assert_eq!(answer.body, content()[..len], "{fault:?}");
        let curl = curl(&[&url]);
        assert_eq!((curl.exit, curl.body.len()), (exit, len), "{fault:?}");
    }
    origin.put("x", Resource::bytes(content()).fault(Fault::ResetAt(1000)));
    assert_eq!(get(address, "/x").ending, Ending::Reset);
}

#[test]
fn the_origin_answers_ranges_and_redirects() {
    let origin = Origin::start();
    let url = origin.put("x", Resource::bytes(content()).ranges());
    let part = curl(&["-r", "100-199", &url]);
    assert_eq!((part.status, part.body), (206, content()[100..200].to_vec()));
    let away = origin.put("y", Resource::bytes("").fault(Fault::Redirect(url)));
    assert_eq!(curl(&["-L", &away]).body, content());
    let round = origin.put("z", Resource::bytes("").fault(Fault::RedirectLoop));
    assert_eq!(curl(&["-L", &round]).exit, 47);
    assert_eq!(curl(&[&refused_url()]).exit, 7);
    assert_eq!(origin.requests()[0].method, "GET");
    assert!(origin.requests()[0].headers.contains(&("range".into(), "bytes=100-199".into())));
}

#[test]
fn a_gate_holds_the_origin_and_a_stall_ends_with_it() {
    let origin = Origin::start();
    let address = address(&origin);
    let gate = Gate::default();
    origin.put("x", Resource::bytes(content()).gate(1000, &gate));
    let mut client = Client::get(address, "/x");
    client.first_byte();
    gate.reached();
    client.read_raw(1000);
    gate.open();
    client.read_raw(299_000);
    origin.put("y", Resource::bytes(content()).fault(Fault::StallAt(1000)));
    let mut client = Client::get(address, "/y");
    client.first_byte();
    client.read_raw(1000);
    drop(origin);
    assert_eq!(client.until_closed(), Ending::Cut);
}

#[test]
fn the_origin_keeps_a_pace() {
    let origin = Origin::start();
    let start = std::time::Instant::now();
    let url = origin.put("x", Resource::bytes(content()).pace(1_000_000));
    assert_eq!(curl(&[&url]).body, content());
    assert!(start.elapsed() > Duration::from_millis(250));
}

#[test]
fn packets_compare_across_containers() {
    let source = &media::minute().video;
    let copy = tempfile::tempdir().unwrap();
    let copy: &Path = &copy.path().join("copy.mkv");
    super::run(
        std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-copyts", "-i"])
            .arg(source)
            .args(["-c", "copy"])
            .arg(copy),
    );
    let (source, copy) = (packets(source, "v"), packets(copy, "v"));
    assert_same(&source, &copy, Exactness::Millisecond, "copy");
    assert_eq!(source.len(), 1500);
}
