//! Cookies of a browser: whatever stands among them, only a session that a token vouches for is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::access::session::{begin, claim};

const TOKEN: [u8; 32] = [7; 32];
const NOW: u64 = 1_800_000_000;

fuzz_target!(|cookies: &str| {
    let set = begin(("eve", &TOKEN), NOW, false);
    let genuine = set.split(';').next().unwrap();
    for is_https in [false, true] {
        if let Some(claim) = claim(cookies, is_https) {
            assert!(claim.verify(None, NOW).is_err(), "{cookies}");
            assert!(claim.verify(Some(&TOKEN), NOW).is_err() || cookies.contains(genuine));
        }
    }
    // What other services of the host have set comes along.
    if !cookies.contains("ytcanal-session") {
        let claim = claim(&format!("{cookies};{genuine}"), false).unwrap();
        assert!(claim.name() == "eve" && claim.verify(Some(&TOKEN), NOW).is_ok(), "{cookies}");
    }
});
