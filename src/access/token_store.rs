//! The tokens of a running server, which can be read anew.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::tokens::{Tokens, TokensError};
use crate::config::Config;
use crate::resolve::{CookieFile, TokenCookies};

/// The maximum length of the file.
const MAX_FILE: u64 = 1 << 20;

/// The tokens, and the file that they are from.
#[derive(Debug)]
pub struct TokenStore {
    file: Option<PathBuf>,
    tokens: RwLock<Arc<Tokens>>,
}

impl TokenCookies for TokenStore {
    fn cookies_file(&self, token: u64) -> Option<PathBuf> {
        self.current().iter().find(|known| known.id() == token)?.cookies_file.clone()
    }
}

impl TokenStore {
    /// Reads the file that the configuration, or the service, names; without one there are no tokens.
    pub fn open(config: &Config) -> Result<TokenStore, TokensError> {
        let file = config.tokens_file();
        let tokens = file.as_deref().map_or(Ok(Tokens::default()), read)?;
        Ok(TokenStore { file, tokens: RwLock::new(Arc::new(tokens)) })
    }

    /// Reads the file again, and returns the number of tokens. After an error those before it remain.
    pub fn reload(&self) -> Result<usize, TokensError> {
        let Some(file) = &self.file else { return Ok(0) };
        let tokens = read(file)?;
        let count = tokens.iter().count();
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        Ok(count)
    }

    /// Returns the tokens.
    pub fn current(&self) -> Arc<Tokens> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether there is a file. Without one, no credential is meant for this server: it may be that of
    /// a proxy, which passes it on.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }
}

/// Reads a file of tokens; warns if others can read it, and of files of cookies that cannot be used: those are for the
/// pages of one token only.
fn read(path: &Path) -> Result<Tokens, TokensError> {
    if let Some(warning) = is_readable_by_others(path) {
        log::warn!("{warning}");
    }
    let tokens = read_tokens(path)?;
    for token in tokens.iter() {
        let Some(file) = &token.cookies_file else { continue };
        if let Err(why) = CookieFile::read(file) {
            log::warn!(
                "cannot use {}, the cookies_file of [{}]: {why}",
                file.display(),
                token.name
            );
        }
        if let Some(warning) = CookieFile::is_readable_by_others(file) {
            log::warn!("{warning}");
        }
    }
    Ok(tokens)
}

/// Reads a file of tokens. Errors name it.
pub fn read_tokens(path: &Path) -> Result<Tokens, TokensError> {
    let file = path.display();
    let unreadable = |error: std::io::Error| {
        TokensError(format!(
            "cannot read the tokens in {file}: {error}; correct access.tokens_file, or let the user of this \
             server read it"
        ))
    };
    let mut text = String::new();
    let opened = File::open(path).map_err(unreadable)?;
    opened.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(TokensError(format!("{file} is longer than 1 MiB; it is no file of tokens")));
    }
    Tokens::parse(&text).map_err(|TokensError(why)| TokensError(format!("{file}: {why}")))
}

/// Returns a warning if other users of the machine can read the file.
pub fn is_readable_by_others(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    let file = path.display();
    (meta.mode() & 0o004 != 0).then(|| {
        format!(
            "other users of this machine can read {file}, and act in the name of the tokens in it; take the \
             permission away from them (chmod o= {file})"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_read_anew_and_a_bad_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let mut config = Config::default();
        assert!(!TokenStore::open(&config).unwrap().has_file());
        config.access.tokens_file = Some(file.clone());
        let missing = TokenStore::open(&config).unwrap_err().to_string();
        assert!(missing.contains("tokens.toml") && missing.contains("tokens_file"), "{missing}");
        write(&format!("[a]\nhash = \"{:064x}\"\n", 1));
        let store = TokenStore::open(&config).unwrap();
        assert!(store.current().named("a").is_some());
        write(&format!("[b]\nhash = \"{:064x}\"\n[c]\nhash = \"{:064x}\"\n", 1, 2));
        assert_eq!(store.reload(), Ok(2));
        assert!(store.current().named("a").is_none() && store.current().named("b").is_some());
        write("[d]\n");
        let error = store.reload().unwrap_err().to_string();
        assert!(error.contains("tokens.toml: [d]: hash is missing"), "{error}");
        assert!(store.current().named("b").is_some());
        write(&"#".repeat(2 << 20));
        assert!(store.reload().unwrap_err().to_string().contains("1 MiB"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_readable_by_others(&file).unwrap().contains("chmod o="));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(is_readable_by_others(&file), None);
    }
}
