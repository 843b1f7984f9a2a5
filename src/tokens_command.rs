//! `ytcanal token`: makes tokens, and lists those of a file.
//!
//! **Invariant:** a secret is printed once, to standard error, and stored nowhere: standard output can be appended
//! to the file of the tokens as it is.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::access::tokens::{Token, Tokens, hash, is_name};
use crate::access::{self, Secret, read_tokens};
use crate::config::Config;

/// The length of a secret: 160 bits.
const SECRET_LEN: usize = 20;
/// The alphabet of base32 in lower case (RFC 4648 §6).
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a new token is to have; texts are those of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenOptions {
    /// How long it lasts.
    pub expires: Option<Duration>,
    /// The lists of its table, by key.
    pub lists: Vec<(&'static str, Vec<String>)>,
    /// The numbers of its table, by key.
    pub numbers: Vec<(&'static str, String)>,
    /// The sizes of its table, by key.
    pub sizes: Vec<(&'static str, String)>,
}

/// Makes a token: prints its secret to `terminal`, and its table to `out`.
pub fn new(
    name: &str,
    options: &TokenOptions,
    out: &mut impl Write,
    terminal: &mut impl Write,
) -> io::Result<()> {
    if !is_name(name) {
        return Err(io::Error::other(
            "the name of a token has 1 to 64 letters, digits, - and _; write `ytcanal token new NAME`",
        ));
    }
    let secret = Secret::new(random_secret()?);
    let table = table(name, &secret, options, access::now()).map_err(io::Error::other)?;
    Tokens::parse(&table).map_err(io::Error::other)?;
    out.write_all(table.as_bytes())?;
    out.flush()?;
    writeln!(
        terminal,
        "The token of {name} follows. It is stored nowhere and not shown again; the lines above belong into \
         access.tokens_file.\n{}",
        secret.reveal()
    )
}

/// Lists the tokens of the file that the configuration names.
pub fn list(config: Option<&Path>, out: &mut impl Write) -> io::Result<()> {
    let config = config.map_or(Ok(Config::default()), Config::read).map_err(io::Error::other)?;
    let file = config.tokens_file().ok_or_else(|| {
        io::Error::other(
            "no file of tokens is configured; set access.tokens_file, and name the configuration by --config",
        )
    })?;
    let tokens = read_tokens(&file).map_err(io::Error::other)?;
    let now = access::now();
    for token in tokens.iter() {
        writeln!(out, "{}", line(token, now))?;
    }
    Ok(())
}

/// Returns one line on a token.
fn line(token: &Token, now: u64) -> String {
    let mut line = token.name.clone();
    let mut add = |text: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        write!(line, "  {text}").ok();
    };
    match token.expires.map(|expires| (timestamp(expires), token.has_ended(now))) {
        Some((Some(at), true)) => add(format_args!("ENDED {at}")),
        Some((Some(at), false)) => add(format_args!("until {at}")),
        _ => add(format_args!("for ever")),
    }
    let may: Vec<_> = token.may.iter().map(|permission| permission.as_str()).collect();
    add(format_args!("may {}", may.join(", ")));
    if !token.from.is_empty() {
        let from: Vec<_> = token.from.iter().map(ToString::to_string).collect();
        add(format_args!("from {}", from.join(", ")));
    }
    if !token.sites.is_empty() {
        add(format_args!("sites {}", token.sites.join(", ")));
    }
    let counts = [
        ("streams", token.streams),
        ("muxers", token.muxers),
        ("pages_per_hour", token.pages_per_hour),
    ];
    for (key, count) in counts {
        if let Some(count) = count {
            add(format_args!("{key} {count}"));
        }
    }
    if let Some(bytes) = token.bytes_per_day {
        add(format_args!("bytes_per_day {bytes}"));
    }
    line
}

/// Returns the table of a new token.
fn table(name: &str, secret: &Secret, options: &TokenOptions, now: u64) -> Result<String, String> {
    let mut table = format!("[{name}]\nhash = \"");
    for byte in hash(secret) {
        // Writing to a String cannot fail.
        write!(table, "{byte:02x}").ok();
    }
    table.push_str("\"\n");
    if let Some(lifetime) = options.expires {
        let expires = now.saturating_add(lifetime.as_secs());
        let expires =
            timestamp(expires).ok_or("--expires is too far away; write for example 30d")?;
        table += &format!("expires = {expires}\n");
    }
    for (key, values) in &options.lists {
        let values: Result<Vec<_>, _> = values.iter().map(|value| quoted(value)).collect();
        table += &format!("{key} = [{}]\n", values?.join(", "));
    }
    for (key, number) in &options.numbers {
        let number: u32 =
            number.parse().map_err(|_| format!("{key} must be a number of at least 1"))?;
        table += &format!("{key} = {number}\n");
    }
    for (key, size) in &options.sizes {
        table += &format!("{key} = {}\n", quoted(size)?);
    }
    Ok(table)
}

/// Returns a text as TOML has it.
fn quoted(text: &str) -> Result<String, String> {
    match text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        true => Err("a value contains quotes, backslashes or control characters".into()),
        false => Ok(format!("\"{text}\"")),
    }
}

/// Returns a time as TOML has it.
fn timestamp(seconds: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(seconds.try_into().ok()?).ok()?;
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    time.format(format).ok()
}

/// Returns a new secret, in base32: letters and digits need no quotes in a shell or a URL.
fn random_secret() -> io::Result<String> {
    let mut bytes = [0; SECRET_LEN];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(base32(&bytes))
}

/// Encodes groups of five bytes as eight characters.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 5 * 8);
    for group in bytes.chunks_exact(5) {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let digits = (0..8).rev().map(|place| BASE32[(bits >> (5 * place)) as usize & 31]);
        text.extend(digits.map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a token; returns what is printed to the output and to the terminal.
    fn made(options: &TokenOptions) -> io::Result<(String, String)> {
        let (mut out, mut terminal) = (Vec::new(), Vec::new());
        new("alice", options, &mut out, &mut terminal)?;
        Ok((String::from_utf8(out).unwrap(), String::from_utf8(terminal).unwrap()))
    }

    #[test]
    fn what_is_printed_is_the_file_and_the_secret_is_not_in_it() {
        let options = TokenOptions {
            expires: Some(Duration::from_secs(3600)),
            lists: vec![
                ("from", vec!["10.0.0.0/8".into()]),
                ("may", vec!["info".into(), "metrics".into()]),
                ("sites", vec!["site.example".into()]),
            ],
            numbers: vec![("streams", "3".into())],
            sizes: vec![("bytes_per_day", "2GiB".into())],
        };
        let (table, said) = made(&options).unwrap();
        let secret = said.lines().last().unwrap();
        assert_eq!(secret.len(), 32, "{said}");
        assert!(secret.bytes().all(|byte| BASE32.contains(&byte)) && !table.contains(secret));
        // As a second one is appended.
        let second = made(&TokenOptions::default()).unwrap().0.replace("alice", "bob");
        let tokens = Tokens::parse(&format!("{table}{second}")).unwrap();
        let token = tokens.find(&Secret::new(secret)).unwrap();
        assert_eq!((token.name.as_str(), token.streams), ("alice", Some(3)));
        let lasts = token.expires.unwrap() - access::now();
        assert!((3590..=3600).contains(&lasts), "{lasts}");
        let line = line(token, access::now());
        assert!(line.starts_with("alice  until 20"), "{line}");
        let rest = "may info, metrics  from 10.0.0.0/8  sites site.example  streams 3  bytes_per_day 2147483648";
        assert!(line.ends_with(rest), "{line}");
        assert_ne!(made(&options).unwrap().1.lines().last().unwrap(), secret);
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_is_printed() {
        let lists = |key, value: &str| TokenOptions {
            lists: vec![(key, vec![value.into()])],
            ..TokenOptions::default()
        };
        let numbers = |value: &str| TokenOptions {
            numbers: vec![("streams", value.into())],
            ..TokenOptions::default()
        };
        let endless = Some(Duration::from_secs(u64::MAX));
        for (options, expected) in [
            (lists("may", "everything"), "download, mux, info, metrics"),
            (lists("sites", "a\"]\nhash = \"b"), "quotes"),
            (lists("from", "nowhere"), "from must be"),
            (numbers("0"), "streams must be"),
            (numbers("1\nmay = []"), "streams must be"),
            (TokenOptions { expires: endless, ..TokenOptions::default() }, "--expires"),
        ] {
            let error = made(&options).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for name in ["", "a.b", "a b", "[a]"] {
            let made = new(name, &TokenOptions::default(), &mut Vec::new(), &mut Vec::new());
            assert!(made.unwrap_err().to_string().contains("the name of a token"), "{name}");
        }
    }

    #[test]
    fn secrets_are_base32() {
        // RFC 4648 §10.
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(&[0xff; 10]), "7".repeat(16));
    }
}
