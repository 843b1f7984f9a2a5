//! Checks the files of cookies that pages are read with.

use std::io::{self, Write};
use std::path::Path;

use crate::access::read_tokens;
use crate::config::Config;
use crate::resolve::CookieFile;

/// Prints what is in the file for all, and in those of tokens. Fails if the former cannot be used; without the others,
/// no more is lacking than the pages of a token.
pub(super) fn check(config: &Config, out: &mut impl Write) -> io::Result<bool> {
    let passed = match &config.resolver.cookies_file {
        Some(file) => check_file(file, "resolver.cookies_file", "FAILED", out)?,
        None => true,
    };
    // A file of tokens that cannot be used is reported by itself.
    let tokens = config.tokens_file().and_then(|file| read_tokens(&file).ok()).unwrap_or_default();
    for token in tokens.iter() {
        if let Some(file) = &token.cookies_file {
            check_file(file, &format!("cookies_file of [{}]", token.name), "broken", out)?;
        }
    }
    Ok(passed)
}

fn check_file(file: &Path, key: &str, failed: &str, out: &mut impl Write) -> io::Result<bool> {
    let read = CookieFile::read(file);
    let path = file.display();
    match &read {
        Ok(CookieFile { count, unusable_line: None, .. }) => {
            writeln!(out, "cookies  ok      {path} ({count}; {key})")?;
        }
        Ok(CookieFile { count, unusable_line: Some(line), .. }) => writeln!(
            out,
            "cookies  partial {path} ({count}; {key}): line {line} is no cookie in the Netscape format, \
             and is not used"
        )?,
        Err(why) => writeln!(out, "cookies  {failed:7} {path} ({key}): {why}")?,
    }
    if let Some(warning) = CookieFile::is_readable_by_others(file) {
        writeln!(out, "cookies  open    {warning}")?;
    }
    Ok(read.is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const COOKIE: &str = "films.example\tFALSE\t/\tTRUE\t0\tsid\thunter2\n";

    #[test]
    fn it_says_which_files_can_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let [file, tokens] = ["cookies.txt", "tokens.toml"].map(|name| dir.path().join(name));
        let mut config = Config::default();
        let said = |config: &Config| {
            let mut out = Vec::new();
            let passed = check(config, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains("hunter"), "{out}");
            (passed, out)
        };
        assert_eq!(said(&config), (true, String::new()));
        config.resolver.cookies_file = Some(file.clone());
        for (content, mode, passes, expected) in [
            (COOKIE.into(), 0o600, true, "cookies.txt (1; resolver.cookies_file)\n"),
            (COOKIE.into(), 0o604, true, "cookies  open    other users of this machine"),
            (format!("{COOKIE}hunter"), 0o600, true, "cookies  partial"),
            (format!("{COOKIE}hunter"), 0o600, true, "line 2 is no cookie"),
            ("{\"sid\": \"hunter2\"}".into(), 0o600, false, "cookies  FAILED "),
        ] {
            fs::write(&file, &content).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let (passed, out) = said(&config);
            assert!(passed == passes && out.contains(expected), "{out}");
        }
        config.resolver.cookies_file = None;
        config.access.tokens_file = Some(tokens.clone());
        let missing = dir.path().join("missing.txt");
        let keys = format!("hash = \"{:064x}\"\ncookies_file = {:?}", 1, missing.display());
        fs::write(&tokens, format!("[alice]\n{keys}\n")).unwrap();
        let (passed, out) = said(&config);
        assert!(passed && out.contains("cookies  broken ") && out.contains("[alice]"), "{out}");
    }
}
