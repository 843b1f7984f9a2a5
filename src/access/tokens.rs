//! The tokens that clients may show, as their file has them: who each is, and what it may do.
//!
//! The file has the hashes of the secrets only. It is to be kept secret nevertheless: what is signed in the
//! name of a token is signed with its hash.
//!
//! **Invariant:** no error quotes a value of the file, which may be a secret in the wrong place.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use toml::Table;

use super::{Secret, TokenHash};
use crate::limits::TokenLimits;
use fields::Fields;

mod fields;

/// The maximum number of tokens: each request with a secret compares all of them.
const MAX_TOKENS: usize = 1024;
/// The maximum length of a name, in bytes.
const MAX_NAME: usize = 64;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// `/download`
    Download,
    /// `/mux`
    Mux,
    /// `/info` and `/thumbnail`
    Info,
    /// `/metrics`
    Metrics,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Permission; 4] =
        [Permission::Download, Permission::Mux, Permission::Info, Permission::Metrics];
    /// What a token may be used for if its file does not say.
    const DEFAULT: [Permission; 3] = [Permission::Download, Permission::Mux, Permission::Info];

    /// Returns its name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Permission::Download => "download",
            Permission::Mux => "mux",
            Permission::Info => "info",
            Permission::Metrics => "metrics",
        }
    }
}

/// One token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name, for people: letters, digits, `-` and `_`.
    pub name: String,
    /// SHA-256 of the secret.
    pub hash: TokenHash,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
    /// The networks that it may be used from; empty means all.
    pub from: Vec<IpNet>,
    /// What it may be used for.
    pub may: Vec<Permission>,
    /// The host names that a link may have, or end with behind a dot; empty means all.
    pub sites: Vec<String>,
    /// Maximum number of simultaneous downloads.
    pub streams: Option<u32>,
    /// Maximum number of these that use ffmpeg.
    pub muxers: Option<u32>,
    /// Maximum number of pages read in an hour.
    pub pages_per_hour: Option<u32>,
    /// Maximum number of bytes sent in a day.
    pub bytes_per_day: Option<u64>,
    /// The file of cookies that pages are read with, instead of `resolver.cookies_file`.
    pub cookies_file: Option<PathBuf>,
}

impl fmt::Debug for Token {
    /// Formats the name: the hash can sign.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").field(&self.name).finish()
    }
}

impl Token {
    /// Returns what tells it from others, for limits.
    pub fn id(&self) -> u64 {
        let (id, _) = self.hash.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_be_bytes(*id)
    }

    /// Returns its limits, in the form that those of clients have.
    pub fn limits(&self) -> TokenLimits {
        let Token { streams, muxers, pages_per_hour, bytes_per_day, .. } = *self;
        let (id, has_cookies) = (self.id(), self.cookies_file.is_some());
        TokenLimits { id, streams, muxers, pages_per_hour, bytes_per_day, has_cookies }
    }

    /// Returns whether it has ended.
    pub fn has_ended(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Returns whether it may be used from `address`.
    pub fn may_come_from(&self, address: IpAddr) -> bool {
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&address))
    }

    /// Returns whether it may be used for links to `host`, in lower case.
    pub fn may_ask_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        let is_of = |site: &String| {
            host.strip_suffix(site.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.sites.is_empty() || self.sites.iter().any(is_of)
    }
}

/// The tokens of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Arc<Token>>);

/// Why a file of tokens cannot be used: the token, the key, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensError(pub(super) String);

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokensError {}

impl Tokens {
    /// Parses the text of a file: a table for each token, `[NAME]`.
    pub fn parse(text: &str) -> Result<Tokens, TokensError> {
        let tables: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().and_then(|span| text.get(..span.start));
            let line = line.map_or(1, |before| before.matches('\n').count() + 1);
            TokensError(format!(
                "line {line} is not valid TOML, or repeats a name or a key; a token is the lines that \
                 `ytcanal token new NAME` prints"
            ))
        })?;
        if tables.len() > MAX_TOKENS {
            return Err(TokensError(format!(
                "there are more than {MAX_TOKENS} tokens; remove some"
            )));
        }
        let mut hashes = HashSet::new();
        let mut tokens = Vec::with_capacity(tables.len());
        for (name, table) in tables {
            let token = token(&name, table)?;
            if !hashes.insert(token.hash) {
                let name = &token.name;
                return Err(TokensError(format!(
                    "[{name}]: another token has the same hash; run `ytcanal token new {name}` for one of its own"
                )));
            }
            tokens.push(Arc::new(token));
        }
        Ok(Tokens(tokens))
    }

    /// Returns the token with this secret. All are compared, each in constant time, so that the time tells
    /// nothing about any of them.
    pub fn find(&self, secret: &Secret) -> Option<&Arc<Token>> {
        let hash = hash(secret);
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token);
            }
        }
        found
    }

    /// Returns the token with this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Token>> {
        self.0.iter().find(|token| token.name == name)
    }

    /// Returns all tokens, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.0.iter()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the hash of a secret as the file has it.
pub fn hash(secret: &Secret) -> TokenHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.reveal().as_bytes()).as_ref());
    hash
}

/// Returns whether a token may have this name, which needs no quotes in the file.
pub fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Reads the table of one token.
fn token(name: &str, value: toml::Value) -> Result<Token, TokensError> {
    if !is_name(name) {
        return Err(TokensError(format!(
            "a token has another name than 1 to {MAX_NAME} letters, digits, - and _; rename it"
        )));
    }
    let toml::Value::Table(table) = value else {
        return Err(TokensError(
            "a key stands outside of a table; a token begins with a line [NAME]".into(),
        ));
    };
    let mut fields = Fields::new(name, table);
    let token = Token {
        hash: fields.hash()?,
        expires: fields.expires()?,
        from: fields.networks("from")?,
        may: fields.permissions()?.unwrap_or(Permission::DEFAULT.into()),
        sites: fields.sites()?,
        streams: fields.count("streams")?,
        muxers: fields.count("muxers")?,
        pages_per_hour: fields.count("pages_per_hour")?,
        bytes_per_day: fields.size("bytes_per_day")?,
        cookies_file: fields.path("cookies_file")?,
        name: name.to_owned(),
    };
    fields.reject_unknown()?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SHA-256 of "abc" (FIPS 180-2, B.1).
    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn with(lines: &str) -> Result<Tokens, TokensError> {
        Tokens::parse(&format!("[alice]\nhash = \"{HASH}\"\n{lines}"))
    }

    #[test]
    fn a_token_has_what_its_table_says() {
        let tokens = with(
            "expires = 2030-01-01T01:00:00+01:00\nfrom = [\"10.0.0.0/8\", \"::1\"]\n\
             may = [\"info\", \"metrics\"]\nsites = [\"YouTube.com\", \"münchen.example\"]\nstreams = 2\n\
             muxers = 1\npages_per_hour = 10\nbytes_per_day = \"5GiB\"\ncookies_file = \"/a b\"\n",
        )
        .unwrap();
        let token = tokens.named("alice").unwrap();
        assert_eq!(token.expires, Some(1_893_456_000));
        assert!(!token.has_ended(1_893_455_999) && token.has_ended(1_893_456_000));
        assert_eq!(token.may, [Permission::Info, Permission::Metrics]);
        assert_eq!(
            (token.streams, token.muxers, token.pages_per_hour),
            (Some(2), Some(1), Some(10))
        );
        assert_eq!(token.bytes_per_day, Some(5 << 30));
        assert_eq!(token.cookies_file, Some("/a b".into()));
        assert!(token.limits().has_cookies);
        for (address, may) in [("10.9.9.9", true), ("::1", true), ("11.0.0.1", false)] {
            assert_eq!(token.may_come_from(address.parse().unwrap()), may, "{address}");
        }
        for (host, may) in [
            ("youtube.com", true),
            ("www.youtube.com", true),
            ("youtube.com.", true),
            ("xn--mnchen-3ya.example", true),
            ("notyoutube.com", false),
            ("youtube.com.evil.example", false),
            ("com", false),
        ] {
            assert_eq!(token.may_ask_for(host), may, "{host}");
        }
        let plain = with("expires = 2030-01-01").unwrap();
        let plain = plain.named("alice").unwrap();
        assert_eq!(plain.expires, Some(1_893_456_000));
        assert_eq!(plain.may, Permission::DEFAULT);
        assert!(plain.may_come_from([9, 9, 9, 9].into()) && plain.may_ask_for("a.example"));
    }

    #[test]
    fn a_secret_finds_its_token() {
        let other = "0".repeat(64);
        let tokens = with(&format!("[bob]\nhash = \"{other}\"")).unwrap();
        let found = tokens.find(&Secret::new("abc")).unwrap();
        assert_eq!(found.name, "alice");
        for wrong in ["", "abC", "abcd", HASH, &other] {
            assert!(tokens.find(&Secret::new(wrong)).is_none(), "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains("186"), "{tokens:?}");
    }

    #[test]
    fn errors_name_token_and_remedy_and_no_value() {
        let (secret, empty) =
            ("hunter2", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (text, expected) in [
            ("hash = \"hunter2\"", "begins with a line [NAME]"),
            ("[alice]\nhash = hunter2", "line 2"),
            ("[alice]\n[alice]", "line 2"),
            ("[alice]", "[alice]: hash is missing"),
            ("[alice]\nhash = \"hunter2\"", "[alice]: hash must be"),
            ("[alice]\nhash = 5", "[alice]: hash must be"),
            (&format!("[alice]\nhash = \"{empty}\""), "[alice]: hash must be"),
            ("[\"hunter2 \"]\nhash = 1", "rename it"),
            (&format!("[a]\nhash = \"{HASH}\"\n[b]\nhash = \"{HASH}\""), "ytcanal token new b"),
        ] {
            let error = Tokens::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains(secret), "{text}: {error}");
        }
        for (line, expected) in [
            ("secret = \"hunter2\"", "has no key \"secret\""),
            ("expires = \"hunter2\"", "2030-12-31T00:00:00Z"),
            ("expires = 2030-01-01T00:00:00", "2030-12-31T00:00:00Z"),
            ("from = \"10.0.0.0/8\"", "from must be"),
            ("from = [\"hunter2\"]", "from must be"),
            ("from = []", "from must be"),
            ("may = [\"hunter2\"]", "download, mux, info, metrics"),
            ("may = \"info\"", "download, mux, info, metrics"),
            ("sites = [\"https://hunter2/\"]", "sites must be"),
            ("sites = []", "sites must be"),
            ("streams = 0", "streams must be"),
            ("streams = \"hunter2\"", "streams must be"),
            ("bytes_per_day = \"hunter2\"", "bytes_per_day must be"),
            ("bytes_per_day = \"0B\"", "bytes_per_day must be"),
            ("cookies_file = \"hunter2\"", "cookies_file must be"),
            ("cookies_file = 2", "cookies_file must be"),
        ] {
            let error = with(line).unwrap_err().to_string();
            assert!(error.starts_with("[alice]: "), "{line}: {error}");
            assert!(error.contains(expected) && !error.contains(secret), "{line}: {error}");
        }
        let many: String =
            (0..=MAX_TOKENS).map(|n| format!("[a{n}]\nhash = \"{n:064x}\"\n")).collect();
        assert!(Tokens::parse(&many).unwrap_err().0.contains("more than 1024"));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "(\\[[a-z.]{1,3}\\]\n|(hash|may|expires) ?= ?[ -~]{0,12}\n){0,6}") {
            Tokens::parse(&text).ok();
        }
    }
}
