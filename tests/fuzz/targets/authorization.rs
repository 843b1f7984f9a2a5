//! Authorization: what is there is never taken for nothing, and the secret that it carries is the one that was
//! put in.
#![no_main]

use base64::prelude::{BASE64_STANDARD, Engine};
use libfuzzer_sys::fuzz_target;
use ytcanal::access::{Credential, Provenance, Secret};

fuzz_target!(|input: (&str, &str)| {
    let (field, secret) = input;
    let shown = |field: &str| {
        let authorization = Some(Secret::new(field));
        Credential::new(
            &Provenance { authorization, ..Provenance::default() },
            "/mux?video=a",
            false,
        )
    };
    let credential = shown(field);
    assert!(credential.is_secret(), "{credential:?}");
    assert!(!format!("{credential:?}").contains("hunter2"));
    let expected = |credential: fn(Secret) -> Credential| match secret {
        "" => Credential::Unusable,
        secret => credential(Secret::new(secret)),
    };
    let login = BASE64_STANDARD.encode(format!("user:{secret}"));
    assert_eq!(shown(&format!("Basic {login}")), expected(Credential::Basic));
    if !secret.starts_with(' ') {
        assert_eq!(shown(&format!("bearer {secret}")), expected(Credential::Bearer));
    }
});
