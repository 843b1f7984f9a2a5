//! What an upstream does wrong, and when.

use crate::support::resource::{Fault, Resource, WrongRange};

/// When it happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    BeforeTheFirstByte,
    InTheFirstFragment,
    AtASeam,
    AtTheLastByte,
}

pub(crate) use Moment::{AtASeam, AtTheLastByte, BeforeTheFirstByte, InTheFirstFragment};

pub(crate) const MOMENTS: [Moment; 4] =
    [BeforeTheFirstByte, InTheFirstFragment, AtASeam, AtTheLastByte];

impl Moment {
    pub(crate) fn name(self) -> &'static str {
        match self {
            BeforeTheFirstByte => "before the first byte",
            InTheFirstFragment => "in the first fragment",
            AtASeam => "at a seam",
            AtTheLastByte => "at the last byte",
        }
    }

    /// The byte at which it happens. The second of two parts begins a little before 512 KiB.
    fn offset(self, len: u64) -> u64 {
        match self {
            BeforeTheFirstByte => 0,
            InTheFirstFragment => 30_000,
            AtASeam => 512 << 10,
            AtTheLastByte => len - 1,
        }
    }
}

/// Puts a fault into a resource of this length, at this moment, for so many requests. `None` where
/// that makes no sense.
pub(crate) type Script =
    Box<dyn Fn(Resource, Moment, u64, usize) -> Option<Resource> + Send + Sync>;

/// What a site says whose URL has expired.
pub(crate) const PAGE: Fault =
    Fault::Words(200, "text/html", "<!DOCTYPE html><title>Log in</title>");

/// Something that happens at a byte.
fn at(fault: fn(u64) -> Fault) -> Script {
    Box::new(move |resource, moment, len, times| {
        Some(resource.fault(fault(moment.offset(len))).fault_times(times))
    })
}

/// Bytes so slow that they are of no use, from a moment on, on one connection or on all.
fn drip(resource: Resource, moment: Moment, len: u64, times: usize) -> Option<Resource> {
    if times == 1 {
        return Some(resource.fault(Fault::DripAt(moment.offset(len))).fault_times(1));
    }
    let slow = resource.clone().pace(1);
    Some(match moment {
        BeforeTheFirstByte => slow,
        AtASeam => resource.becomes(slow, 1),
        _ => after_a_cut(resource, slow, moment, len),
    })
}

/// Something that is said instead of an answer: to the first request, to that for the second
/// part, or to the one that would go on after a cut.
fn answer(fault: Fault) -> Script {
    Box::new(move |resource, moment, len, times| {
        let faulty = resource.clone().fault(fault.clone()).fault_times(times);
        Some(match moment {
            BeforeTheFirstByte => faulty,
            AtASeam => faulty.fault_from(1),
            _ => after_a_cut(resource, faulty, moment, len),
        })
    })
}

/// The file behind the URL is another one from that moment on.
fn another(change: fn(Vec<u8>) -> (Vec<u8>, &'static str)) -> Script {
    Box::new(move |resource, moment, len, _| {
        let (bytes, etag) = change(resource.read());
        let other = Resource::bytes(bytes).ranges().etag(etag);
        match moment {
            BeforeTheFirstByte => None,
            AtASeam => Some(resource.becomes(other, 1)),
            _ => Some(after_a_cut(resource, other, moment, len)),
        }
    })
}

/// Each request comes to another server, which names the same file otherwise.
fn by_nodes(resource: Resource, moment: Moment, len: u64, _: usize) -> Option<Resource> {
    let date = Some("Sun, 22 Nov 2026 10:00:00 GMT");
    let resource = resource.nodes(&[(Some("\"0\""), date), (Some("\"1\""), date)]);
    Some(match moment {
        BeforeTheFirstByte | AtASeam => resource,
        _ => resource.fault(Fault::CutAt(moment.offset(len))).fault_times(1),
    })
}

/// Nothing that reaches to a byte is given, as without a token that the site wants.
fn beyond(resource: Resource, moment: Moment, len: u64, times: usize) -> Option<Resource> {
    let makes_sense = moment != BeforeTheFirstByte && times > 1;
    makes_sense.then(|| resource.forbidden_from(moment.offset(len)))
}

fn after_a_cut(resource: Resource, then: Resource, moment: Moment, len: u64) -> Resource {
    resource.fault(Fault::CutAt(moment.offset(len))).then_becomes(then)
}

/// The scripts with their names. `untrusted` leads to a certificate of nobody, `login` to a page.
pub(crate) fn scripts(untrusted: &str, login: &str) -> Vec<(&'static str, Script)> {
    let status = |status| answer(Fault::Status(status, vec![]));
    let longer = |mut bytes: Vec<u8>| {
        bytes.push(0);
        (bytes, "\"1\"")
    };
    let grown = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len() + 300_000, 0);
        (bytes, "\"1\"")
    };
    let nobody = "http://nobody.invalid/".to_owned();
    vec![
        ("cut", at(Fault::CutAt)),
        ("reset", at(Fault::ResetAt)),
        ("stall", at(Fault::StallAt)),
        ("some bytes a second", Box::new(drip)),
        ("no answer", answer(Fault::Silent)),
        ("not HTTP", answer(Fault::Garbage)),
        ("403", status(403)),
        ("404", status(404)),
        ("416", status(416)),
        ("429", status(429)),
        ("500", status(500)),
        ("other bytes than asked for", answer(Fault::WrongRange(WrongRange::Shifted))),
        ("wrong Content-Range", answer(Fault::WrongRange(WrongRange::StartOff))),
        ("206 without Content-Range", answer(Fault::WrongRange(WrongRange::Unlabelled))),
        ("200 instead of 206", answer(Fault::IgnoreRange)),
        ("206 to the end of the file", answer(Fault::WrongRange(WrongRange::ToTheEnd))),
        ("206 with everything", answer(Fault::WrongRange(WrongRange::Everything))),
        ("length kept back (`/*`)", answer(Fault::WrongRange(WrongRange::UnknownTotal))),
        ("416 beyond the end, with the length", answer(Fault::RefusePastEnd(true))),
        ("400 to every range", answer(Fault::RefuseRanges(400))),
        ("403 beyond a byte", Box::new(beyond)),
        ("an ETag for each node", Box::new(by_nodes)),
        ("another validator", another(|bytes| (bytes, "\"2\""))),
        ("another length", another(longer)),
        ("it grows", another(grown)),
        ("a web page instead", answer(PAGE)),
        ("redirect to a login page", answer(Fault::Redirect(login.to_owned()))),
        ("gzip", answer(Fault::Encoded)),
        ("more than announced, endlessly", answer(Fault::Endless)),
        ("redirect loop", answer(Fault::RedirectLoop)),
        ("redirect to a name that is not found", answer(Fault::Redirect(nobody))),
        ("redirect to https with a bad certificate", answer(Fault::Redirect(untrusted.to_owned()))),
    ]
}
