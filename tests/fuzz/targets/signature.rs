//! Signed links: what is signed is verified, and nothing else is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::access::signature::{DEFAULT_LIFETIME, claim, sign};
use ytcanal::form;

const TOKEN: [u8; 32] = [7; 32];
const NOW: u64 = 1_800_000_000;

fuzz_target!(|input: (&str, &str)| {
    let (target, more) = input;
    if let Some(claim) = claim(target) {
        assert!(claim.verify(None, NOW).is_err(), "{target}");
        assert!(claim.verify(Some(&TOKEN), NOW).is_err(), "{target}");
    }
    let Ok(signed) = sign(target, ("eve", &TOKEN), DEFAULT_LIFETIME, NOW) else { return };
    let link = signed.target;
    let is_right = |link: &str| claim(link).is_some_and(|c| c.verify(Some(&TOKEN), NOW).is_ok());
    assert!(is_right(&link), "{link}");
    for changed in [format!("{link}&{more}"), format!("{link}{more}"), format!("{more}{link}")] {
        assert!(!is_right(&changed) || is_same(&changed, &link), "{changed}");
    }
});

/// Whether two targets have the same path and parameters.
fn is_same(one: &str, other: &str) -> bool {
    let parts = |target: &str| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut parameters = form::parse(query).ok()?;
        parameters.sort();
        Some((path.to_owned(), parameters))
    };
    parts(one) == parts(other)
}
