//! X-Forwarded-For and Forwarded of a trusted proxy: whatever a stranger sends, the client is the one that the
//! proxy appended.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::access::{Provenance, client_address};
use ytcanal::config::{AccessConfig, ForwardedField};

fuzz_target!(|field: &str| {
    let proxy = [10, 0, 0, 1].into();
    let client = |forwarded, field: String| {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let access = AccessConfig { trusted_proxies, forwarded, ..AccessConfig::default() };
        let provenance = Provenance {
            x_forwarded_for: Some(field.clone()),
            forwarded: Some(field),
            ..Provenance::default()
        };
        client_address(proxy, &provenance, &access)
    };
    for forwarded in [ForwardedField::XForwardedFor, ForwardedField::Forwarded] {
        client(forwarded, field.to_owned()).ok();
    }
    let appended = client(ForwardedField::XForwardedFor, format!("{field}, 9.9.9.9, 10.1.1.1"));
    assert_eq!(appended, Ok([9, 9, 9, 9].into()), "{field}");
    for (node, address) in [("9.9.9.9", "9.9.9.9"), ("\"[2600::1]:1\"", "2600::1")] {
        let appended = client(ForwardedField::Forwarded, format!("{field}, for={node}"));
        assert!(appended.is_err() || appended == Ok(address.parse().unwrap()), "{field}");
    }
});
