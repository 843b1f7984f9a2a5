//! An answer with a length behaves like a file: its ranges are its bytes, and HEAD is its head.

use fastrand::Rng;

use crate::support::answer::{Answer, Ending};
use crate::support::client::ask;
use crate::support::daemon::Daemon;

/// Fields that may differ from one answer to the next.
const OWN: [&str; 5] = ["date", "server-timing", "x-request-id", "connection", "content-range"];

/// What is not as it should be, if anything is not.
pub(super) fn faults(daemon: &Daemon, path: &str, whole: &Answer, seed: u64) -> Vec<String> {
    let mut faults = Vec::new();
    let head = ask(daemon.address(), "HEAD", path, "");
    if fields(&head) != fields(whole) || head.head.status != whole.head.status {
        faults.push(format!("HEAD is not GET's: {:?} and {:?}", head.head, whole.head));
    }
    if whole.head.header("Content-Length").is_none() || whole.body.is_empty() {
        return faults;
    }
    let len = whole.body.len();
    let mut random = Rng::with_seed(seed ^ len as u64);
    let middle = random.usize(0..len);
    let places = [(0, 0), (len - 1, len - 1), (middle, random.usize(middle..len))];
    let near = random.usize(0..len.min(2000));
    for (first, last) in places.into_iter().chain([(near, (near + 700).min(len - 1))]) {
        let part = ask(daemon.address(), "GET", path, &format!("Range: bytes={first}-{last}\r\n"));
        if part.head.status != 206 || part.ending != Ending::Complete {
            let what = (part.head.status, part.ending, part.code());
            faults.push(format!("bytes {first}-{last} of {len}: {what:?}"));
        } else if part.body != whole.body[first..=last] {
            faults.push(format!("bytes {first}-{last} of {len} are others than in the whole"));
        }
    }
    faults
}

fn fields(answer: &Answer) -> Vec<(String, String)> {
    let fields = answer.head.headers.iter();
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let framing = ["transfer-encoding"];
    let mut fields: Vec<_> = fields
        .filter(|(name, _)| !OWN.contains(&name.as_str()) && !framing.contains(&name.as_str()))
        .collect();
    fields.sort();
    fields
}
