//! What origins make of ranges: those that clamp nothing, send more, keep the length back, or want
//! to know nothing of them.

use ytcanal::config::{self, ByteSize};
use ytcanal::error::UpstreamError;

use super::{LEN, content, ranges, read, settings, track};
use crate::support::origin::Origin;
use crate::support::resource::{Fault as Scripted, Resource, WrongRange};

/// One part is longer than the file.
fn wide() -> config::UpstreamConfig {
    config::UpstreamConfig { chunk: ByteSize(10 << 20), ..settings() }
}

fn film() -> Resource {
    Resource::bytes(content()).ranges()
}

/// With an ETag, a date, or nothing that names the file.
fn named(film: &Resource) -> [Resource; 3] {
    let date = "Sun, 22 Nov 2026 10:00:00 GMT";
    [film.clone(), film.clone().etag("\"1\""), film.clone().last_modified(date)]
}

/// Whether all of a file comes from each of these, asked for in short parts and in one that is longer
/// than the file.
fn comes(film: &Resource) {
    for film in named(film) {
        for settings in [settings(), wide()] {
            let origin = Origin::start();
            let outcome = read(&settings, &track(&origin.put("v", film.clone())));
            let script = format!("{film:?}");
            // Without its bytes.
            let script = script.split_once("fault:").map_or("", |(_, script)| script);
            let what = format!("{script:.300}: {:?}", ranges(&origin));
            match outcome {
                Ok(bytes) => assert!(bytes == film.read(), "{what}"),
                Err(fault) => panic!("{what}: {fault}"),
            }
            assert!(origin.requests().len() <= 12, "{what}");
        }
    }
}

#[test]
fn a_range_that_reaches_beyond_the_end_may_be_refused() {
    for tells in [true, false] {
        comes(&film().fault(Scripted::RefusePastEnd(tells)));
        // Shorter than the first part, and just as long.
        for len in [1000, 512 << 10] {
            let short = Resource::bytes(&content()[..len]).ranges();
            comes(&short.fault(Scripted::RefusePastEnd(tells)));
        }
    }
    // Its answer to what it does not have is of another file.
    let origin = Origin::start();
    let shorter = Resource::bytes(&content()[..600_000]).ranges();
    let url = origin.put("v", film().becomes(shorter, 1));
    assert!(matches!(read(&settings(), &track(&url)), Err(UpstreamError::EntityChanged(_))));
}

#[test]
fn what_refuses_ranges_is_asked_for_all_once() {
    for status in [400, 403, 405, 416, 501] {
        comes(&film().fault(Scripted::RefuseRanges(status)));
        let origin = Origin::start();
        let url = origin.put("v", film().fault(Scripted::Status(status, vec![])));
        assert_eq!(read(&settings(), &track(&url)), Err(UpstreamError::Status(status)));
        let all = ranges(&origin).iter().filter(|range| *range == "all").count();
        assert_eq!(all, 1, "{status}: {:?}", ranges(&origin));
    }
    for wrong in [WrongRange::SeveralParts, WrongRange::OneLess, WrongRange::Unlabelled] {
        comes(&film().fault(Scripted::WrongRange(wrong)));
    }
}

#[test]
fn more_than_was_asked_for_does_no_harm() {
    for wrong in [
        WrongRange::ToTheEnd,
        WrongRange::Everything,
        WrongRange::Early(1),
        WrongRange::Early(70_000),
    ] {
        comes(&film().fault(Scripted::WrongRange(wrong)));
        comes(&film().keep_alive().fault(Scripted::WrongRange(wrong)));
    }
    // But not whatever it is.
    let origin = Origin::start();
    let early = Scripted::WrongRange(WrongRange::Early(2 << 20));
    let long = Resource::bytes(content().repeat(4)).ranges().fault(early);
    let url = origin.put("v", long.fault_from(3 << 20));
    assert_eq!(read(&settings(), &track(&url)), Err(UpstreamError::WrongRange));
}

#[test]
fn a_length_that_is_kept_back_is_found_out() {
    let unknown = || film().fault(Scripted::WrongRange(WrongRange::UnknownTotal));
    comes(&unknown());
    let origin = Origin::start();
    // Nothing but bounded ranges, and the page knows how long the file is; or its URL does.
    let bounded = unknown().only_bounded_ranges();
    let mut known = track(&origin.put("v", bounded));
    assert_eq!(read(&settings(), &known), Err(UpstreamError::LengthUnknown));
    known.location.len = Some(LEN as u64);
    assert!(read(&settings(), &known) == Ok(content()));
    known.location.url.set_query(Some(&format!("clen={LEN}")));
    // Whoever says something else does not get a part of it for the whole.
    for wrong in [LEN as u64 - 1, LEN as u64 + 1, 1000, 0, u64::MAX] {
        known.location.len = Some(wrong);
        assert!(read(&settings(), &known) == Ok(content()), "{wrong}");
        let mut lied_to = known.clone();
        lied_to.location.url.set_query(None);
        assert_eq!(read(&settings(), &lied_to), Err(UpstreamError::LengthUnknown), "{wrong}");
    }
}

#[test]
fn a_coding_that_is_none_is_none() {
    for coding in ["none", "identity", "identity, identity", "binary", "utf-8", "\"identity\"", ""]
    {
        comes(&film().fault(Scripted::Coding(coding)));
    }
    let origin = Origin::start();
    for coding in ["gzip", "br", "deflate", "zstd", "identity, gzip"] {
        let url = origin.put("v", film().fault(Scripted::Coding(coding)));
        assert_eq!(
            read(&settings(), &track(&url)),
            Err(UpstreamError::UnexpectedEncoding),
            "{coding}"
        );
    }
}
