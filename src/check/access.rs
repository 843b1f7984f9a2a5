//! Says who may use the server, and checks the tokens.

use std::io::{self, Write};

use crate::access::{self, is_readable_by_others, read_tokens};
use crate::config::{AccessMode, Config};

/// Prints the mode and what it means, and the tokens. Fails if their file cannot be used.
pub(super) fn check(config: &Config, out: &mut impl Write) -> io::Result<bool> {
    let file = config.tokens_file();
    let tokens = file.as_deref().map(read_tokens).transpose();
    let has_tokens =
        tokens.as_ref().is_ok_and(|tokens| tokens.as_ref().is_some_and(|t| !t.is_empty()));
    writeln!(out, "access   {}", mode(config, has_tokens))?;
    match (&tokens, &file) {
        (Ok(Some(tokens)), Some(file)) => {
            let now = access::now();
            let ended = tokens.iter().filter(|token| token.has_ended(now)).count();
            let count = tokens.iter().count();
            writeln!(out, "tokens   ok      {} ({count}, {ended} of them ended)", file.display())?;
        }
        (Err(error), _) => writeln!(out, "tokens   FAILED  {error}")?,
        _ => {}
    }
    if let Some(warning) = file.as_deref().and_then(is_readable_by_others) {
        writeln!(out, "tokens   open    {warning}")?;
    }
    Ok(tokens.is_ok())
}

/// Returns what is open to whom.
fn mode(config: &Config, has_tokens: bool) -> String {
    let is_everywhere = AccessMode::Auto.resolve(&config.listen) != AccessMode::Open;
    match (config.access_mode(), has_tokens) {
        (AccessMode::Open, _) if is_everywhere => {
            "open    everybody who reaches this server may use it \
             (access.mode = \"open\", and it listens on other addresses than loopback ones)"
                .into()
        }
        (AccessMode::Open, _) => {
            "ok      open: to this machine, on whose loopback addresses it listens only; a \
             reverse proxy lets in whom it lets in (access.mode)"
                .into()
        }
        (AccessMode::Local, true) => {
            "ok      local: to this machine, private networks and access.local; others \
             need a token"
                .into()
        }
        (AccessMode::Local, false) => {
            "ok      local: to this machine, private networks and access.local; others \
             are refused, as there are no tokens (access.tokens_file)"
                .into()
        }
        (AccessMode::Closed | AccessMode::Auto, true) => {
            "ok      closed: everybody needs a token".into()
        }
        (AccessMode::Closed | AccessMode::Auto, false) => {
            "closed  nobody may use this server: make a token by \
             `ytcanal token new NAME`, and name its file in access.tokens_file"
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(listen: &str, mode: AccessMode, tokens: Option<&str>) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { listen: vec![listen.parse().unwrap()], ..Config::default() };
        config.access.mode = mode;
        config.access.tokens_file = tokens.map(|text| {
            let file = dir.path().join("tokens.toml");
            std::fs::write(&file, text).unwrap();
            file
        });
        let mut out = Vec::new();
        let passed = check(&config, &mut out).unwrap();
        (passed, String::from_utf8(out).unwrap())
    }

    #[test]
    fn it_says_what_is_open_to_whom() {
        let token = format!("[a]\nhash = \"{:064x}\"\nexpires = 2020-01-01\n", 1);
        for (listen, mode, tokens, expected) in [
            ("127.0.0.1:1", AccessMode::Auto, None, "access   ok      open: to this machine"),
            ("0.0.0.0:1", AccessMode::Open, None, "access   open    everybody who reaches"),
            ("0.0.0.0:1", AccessMode::Auto, None, "others are refused"),
            ("0.0.0.0:1", AccessMode::Auto, Some(&token), "others need a token"),
            ("127.0.0.1:1", AccessMode::Closed, Some(&token), "everybody needs a token"),
            ("127.0.0.1:1", AccessMode::Closed, None, "access   closed  nobody"),
            ("127.0.0.1:1", AccessMode::Auto, Some(&token), "(1, 1 of them ended)"),
        ] {
            let (passed, said) = said(listen, mode, tokens.map(String::as_str));
            assert!(passed && said.contains(expected), "{said}");
        }
        let (passed, said) = said("127.0.0.1:1", AccessMode::Auto, Some("[a]\n"));
        assert!(!passed && said.contains("tokens   FAILED"), "{said}");
        assert!(said.contains("[a]: hash is missing"), "{said}");
    }
}
