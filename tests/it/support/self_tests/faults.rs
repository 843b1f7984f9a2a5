//! Faults that heal, that begin late, and those of ranges.

use super::{address, content};
use crate::support::answer::{Answer, Ending};
use crate::support::client::{Client, get};
use crate::support::curl::curl;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource, WrongRange};

/// Asks for a range of `/x` on a connection of its own.
fn range(origin: &Origin, range: &str) -> Answer {
    let mut client = Client::connect(address(origin));
    client.ask("/x", &[&format!("Range: bytes={range}")]);
    client.answer()
}

fn ranged() -> Resource {
    Resource::bytes(content()).ranges()
}

/// How much came, and whether the connection was cut.
fn got(answer: &Answer) -> (usize, Ending) {
    (answer.body.len(), answer.ending)
}

#[test]
fn a_fault_heals_after_its_times() {
    let origin = Origin::start();
    let busy = Fault::Status(503, vec![]);
    origin.put("x", Resource::bytes(content()).fault(busy).fault_times(2));
    let statuses = [(); 4].map(|()| get(address(&origin), "/x").head.status);
    assert_eq!(statuses, [503, 503, 200, 200]);
    origin.put("x", ranged().fault(Fault::CutAt(150)).fault_times(2));
    let ranges = ["0-149", "151-199", "100-150", "0-149", "150-199", "100-199"];
    let seen = ranges.map(|asked| got(&range(&origin, asked)));
    let (whole, cut) = (Ending::Complete, Ending::Cut);
    assert_eq!(seen, [(150, whole), (49, whole), (50, cut), (150, whole), (0, cut), (100, whole)]);
}

#[test]
fn a_fault_waits_for_its_offset() {
    let origin = Origin::start();
    origin.put("x", ranged().fault(Fault::Status(403, vec![])).fault_from(100));
    let ranges = ["0-99", "99-199", "100-199", "0-"];
    assert_eq!(ranges.map(|asked| range(&origin, asked).head.status), [206, 206, 403, 206]);
}

#[test]
fn each_cut_comes_once() {
    let origin = Origin::start();
    origin.put("x", ranged().fault(Fault::CutsAt(vec![120, 50])));
    let seen = ["0-", "50-", "120-", "0-"].map(|asked| got(&range(&origin, asked)));
    let (whole, cut) = (Ending::Complete, Ending::Cut);
    assert_eq!(seen, [(50, cut), (70, cut), (299_880, whole), (300_000, whole)]);
}

#[test]
fn a_wrong_range_is_wrong_in_one_way() {
    let origin = Origin::start();
    let table = [
        (WrongRange::StartOff, "10-19", "bytes 11-19/300000", 10),
        (WrongRange::TotalOff, "10-19", "bytes 10-19/300001", 10),
        (WrongRange::UnknownTotal, "10-19", "bytes 10-19/*", 10),
        (WrongRange::Unlabelled, "10-19", "", 10),
        (WrongRange::Shifted, "10-19", "bytes 11-20/300000", 11),
        (WrongRange::Shifted, "299990-", "bytes 299989-299998/300000", 299_989),
    ];
    for (wrong, asked, label, first) in table {
        origin.put("x", ranged().fault(Fault::WrongRange(wrong)));
        let answer = range(&origin, asked);
        assert_eq!(answer.head.status, 206);
        assert_eq!(answer.head.header("Content-Range").unwrap_or_default(), label, "{wrong:?}");
        assert_eq!(answer.body, content()[first..first + 10], "{wrong:?}");
        assert_eq!(got(&get(address(&origin), "/x")), (300_000, Ending::Complete));
    }
}

#[test]
fn a_range_may_be_ignored() {
    let origin = Origin::start();
    origin.put("x", ranged().fault(Fault::IgnoreRange).fault_from(100));
    let [first, next] = ["0-99", "100-199"].map(|asked| range(&origin, asked));
    assert_eq!((first.head.status, first.body), (206, content()[..100].to_vec()));
    assert_eq!((next.head.status, next.body), (200, content()));
}

#[test]
fn a_resource_becomes_another() {
    let origin = Origin::start();
    let last = Resource::bytes("last");
    let other = Resource::bytes("other").ranges().etag("\"v2\"").becomes(last, 1);
    origin.put("x", ranged().etag("\"v1\"").becomes(other, 2));
    let seen = [(); 4].map(|()| {
        let answer = range(&origin, "0-3");
        (answer.head.header("ETag").unwrap_or_default().to_owned(), answer.body)
    });
    let [first, second, third, fourth] = seen.each_ref().map(|(tag, body)| (tag.as_str(), &**body));
    assert_eq!((first, second), (("\"v1\"", &content()[..4]), first));
    assert_eq!((third, fourth), (("\"v2\"", &b"othe"[..]), ("", &b"last"[..])));
}

#[test]
fn an_endless_body_ends_with_the_origin() {
    let origin = Origin::start();
    origin.put("x", ranged().keep_alive().fault(Fault::Endless));
    let mut whole = Client::get(address(&origin), "/x");
    assert_eq!(whole.head().header("Transfer-Encoding"), Some("chunked"));
    let mut part = Client::connect(address(&origin));
    part.ask("/x", &["Range: bytes=0-9"]);
    assert_eq!(part.next_answer().body, content()[..10]);
    for client in [&mut whole, &mut part] {
        client.read_raw(3_000_000);
    }
    drop(origin);
    for mut client in [whole, part] {
        client.until_closed();
    }
}

#[test]
fn garbage_is_no_answer() {
    let origin = Origin::start();
    let url = origin.put("x", ranged().fault(Fault::Garbage).fault_times(1));
    // What curl says to an answer without a head, which it takes for HTTP/0.9.
    assert_eq!(curl(&[&url]).exit, 1);
    assert_eq!(curl(&[&url]).body, content());
}
