//! `ytcanal sign`: signs a link, for scripts and for operators.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::{Position, Url};

use crate::access::signature::{self, SigningError};
use crate::access::tokens::{self, is_name};
use crate::access::{Secret, TokenHash, now, read_tokens};
use crate::config::Config;
use crate::route::{Route, route};

/// What vouches for the link.
#[derive(Debug, PartialEq, Eq)]
pub enum Voucher {
    /// The file with the secret of a token, as its holder has it.
    TokenFile(PathBuf),
    /// The configuration that names the file of tokens, as the server has it.
    Config(PathBuf),
}

/// Returns a link to a server with the signature of the token `by`. Errors are for people.
pub fn sign(url: &str, by: &str, voucher: &Voucher, lifetime: Duration) -> Result<String, String> {
    let url = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or("the link must be the http or https URL of a download")?;
    let target = &url[Position::BeforePath..Position::AfterQuery];
    match route(target) {
        Ok(
            Route::Download { .. } | Route::Archive(_) | Route::Info { .. } | Route::Thumbnail(_),
        ) => {}
        Ok(_) => return Err("only /download, /mux, /info and /thumbnail can be signed".into()),
        Err(problem) => {
            return Err(format!("the server would refuse the link: {}", problem.detail));
        }
    }
    let token = match voucher {
        Voucher::TokenFile(file) => hash_of_secret(file, by)?,
        Voucher::Config(file) => known_hash(file, by)?,
    };
    let signed =
        signature::sign(target, (by, &token), lifetime, now()).map_err(|error| match error {
            SigningError::Signed => "the link is signed already",
            SigningError::Lifetime => "--for must be from 1s to 30d",
            SigningError::Query(_) => "the query of the link cannot be read",
        })?;
    Ok(format!("{}{}", &url[..Position::BeforePath], signed.target))
}

/// Returns the hash of the secret in a file.
fn hash_of_secret(file: &Path, by: &str) -> Result<TokenHash, String> {
    let secret = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read the token in {}: {error}", file.display()))?;
    match secret.trim() {
        _ if !is_name(by) => Err(format!("--by {by:?} is not the name of a token")),
        "" => Err(format!("there is no token in {}", file.display())),
        secret => Ok(tokens::hash(&Secret::new(secret))),
    }
}

/// Returns the hash of a token of the server.
fn known_hash(config: &Path, by: &str) -> Result<TokenHash, String> {
    let config_file = config.display();
    let config = Config::read(config).map_err(|error| error.to_string())?;
    let file = config
        .tokens_file()
        .ok_or_else(|| format!("{config_file} names no file of tokens (access.tokens_file)"))?;
    let tokens = read_tokens(&file).map_err(|error| error.to_string())?;
    match tokens.named(by) {
        None => Err(format!("{} has no token {by:?}", file.display())),
        Some(token) if token.has_ended(now()) => Err(format!("the token {by:?} has ended")),
        Some(token) => Ok(token.hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::signature::DEFAULT_LIFETIME;

    const LINK: &str = "https://video.example:8443/mux?video=http%3A%2F%2Fa%2F&name=a+b#t";

    /// Writes a file.
    fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
        let file = directory.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn holders_and_operators_sign_alike() {
        let directory = tempfile::tempdir().unwrap();
        let token = tokens::hash(&Secret::new("abc"));
        let hash: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        let ended = format!("[old]\nhash = \"{:064x}\"\nexpires = 2020-01-01\n", 1);
        let tokens = format!("[eve]\nhash = \"{hash}\"\n{ended}");
        let tokens = write(directory.path(), "tokens.toml", &tokens);
        let config = format!("[access]\ntokens_file = {:?}\n", tokens.display());
        let config = Voucher::Config(write(directory.path(), "a.toml", &config));
        let holder = Voucher::TokenFile(write(directory.path(), "secret", "abc\n"));
        let signed = |url: &str, by: &str, voucher| sign(url, by, voucher, DEFAULT_LIFETIME);
        for voucher in [&config, &holder] {
            let link = signed(LINK, "eve", voucher).unwrap();
            let (before, _) = link.split_once("&by=eve&exp=").unwrap();
            assert_eq!(before, LINK.strip_suffix("#t").unwrap());
            let target = link.strip_prefix("https://video.example:8443").unwrap();
            assert_eq!(signature::claim(target).unwrap().verify(Some(&token), now()), Ok(()));
            assert!(signed(&link, "eve", voucher).unwrap_err().contains("signed already"));
        }
        let empty = write(directory.path(), "empty", "");
        for (url, by, voucher, expected) in [
            ("/mux?video=http://a/", "eve", &holder, "http or https"),
            ("https://video.example/", "eve", &holder, "only /download"),
            ("https://video.example/mux", "eve", &holder, "would refuse"),
            (LINK, "e v", &holder, "not the name"),
            (LINK, "eve", &Voucher::TokenFile("/nowhere".into()), "/nowhere"),
            (LINK, "eve", &Voucher::TokenFile(empty.clone()), "no token in"),
            (LINK, "eve", &Voucher::Config(empty), "access.tokens_file"),
            (LINK, "bob", &config, "no token \"bob\""),
            (LINK, "old", &config, "has ended"),
        ] {
            let error = signed(url, by, voucher).unwrap_err();
            assert!(error.contains(expected), "{url} {by}: {error}");
        }
        let long = sign(LINK, "eve", &holder, Duration::from_secs(721 * 3600)).unwrap_err();
        assert!(long.contains("--for"), "{long}");
    }
}
