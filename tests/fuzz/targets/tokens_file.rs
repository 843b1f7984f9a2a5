//! The file of the tokens: any text is tokens or an error, and no error shows a value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::access::Secret;
use ytcanal::access::tokens::{Tokens, hash};

/// A value that must not be shown. It is no key, name or number that a message may name.
const SECRET: &str = "hunter2-hunter2";

fuzz_target!(|text: &str| {
    match Tokens::parse(text) {
        Ok(tokens) => {
            for token in tokens.iter() {
                assert_eq!(tokens.named(&token.name), Some(token));
                assert_ne!(token.hash, hash(&Secret::new("")));
                assert!(!token.may.is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    // The text as a value of each key, and a secret within it.
    let text: String = text.chars().filter(|c| !matches!(c, '\'' | '\n' | '\r')).collect();
    for key in ["hash", "expires", "from", "may", "sites", "streams", "bytes_per_day"] {
        for value in [
            format!("'{text}{SECRET}'"),
            format!("{text}'{SECRET}'"),
            format!("['{SECRET}{text}']"),
        ] {
            let table = format!("[a]\n{key} = {value}\n");
            if let Err(error) = Tokens::parse(&table) {
                assert!(!error.to_string().contains(SECRET), "{table}: {error}");
            }
        }
    }
});
