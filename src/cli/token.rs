//! Parses `ytcanal token`.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::config::HumanDuration;
use crate::tokens_command::TokenOptions;

/// What to do with tokens.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenCommand {
    /// `ytcanal token new`: makes a token.
    New {
        /// Its name.
        name: String,
        /// What it is to have.
        options: TokenOptions,
    },
    /// `ytcanal token list`: lists the tokens.
    List {
        /// `--config`
        config: Option<PathBuf>,
    },
}

/// The options with lists, and the keys of the file that they are for.
const LISTS: [(&str, &str); 3] = [("from", "from"), ("may", "may"), ("site", "sites")];
const NUMBERS: [(&str, &str); 3] =
    [("streams", "streams"), ("muxers", "muxers"), ("pages-per-hour", "pages_per_hour")];
const SIZES: [(&str, &str); 1] = [("bytes-per-day", "bytes_per_day")];

/// Parses what follows `token`; `None` if it asks for help.
pub(super) fn parse(parser: &mut lexopt::Parser) -> Result<Option<TokenCommand>, lexopt::Error> {
    let action = match parser.next()? {
        Some(Short('h') | Long("help")) => return Ok(None),
        Some(Value(value)) => value.string()?,
        Some(other) => return Err(other.unexpected()),
        None => String::new(),
    };
    match action.as_str() {
        "new" => new(parser),
        "list" => list(parser),
        _ => Err("use `ytcanal token new NAME` or `ytcanal token list`".into()),
    }
}

fn new(parser: &mut lexopt::Parser) -> Result<Option<TokenCommand>, lexopt::Error> {
    let mut name = None;
    let mut options = TokenOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("expires") => options.expires = Some(parser.value()?.parse_with(lifetime)?),
            Long(option) => {
                let key = |known: &[(&'static str, &'static str)]| {
                    known.iter().find(|(name, _)| *name == option).map(|(_, key)| *key)
                };
                let keys = [key(&LISTS), key(&NUMBERS), key(&SIZES)];
                let [list, number, size] = keys;
                if keys == [None; 3] {
                    return Err(Long(option).unexpected());
                }
                let value = parser.value()?.string()?;
                let values = value.split(',').map(|value| value.trim().to_owned());
                match list
                    .map(|key| (key, options.lists.iter_mut().find(|(known, _)| *known == key)))
                {
                    Some((_, Some((_, known)))) => known.extend(values),
                    Some((key, None)) => options.lists.push((key, values.collect())),
                    None => {}
                }
                options.numbers.extend(number.map(|key| (key, value.clone())));
                options.sizes.extend(size.map(|key| (key, value)));
            }
            Value(value) if name.is_none() => name = Some(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    let name = name.ok_or("the token needs a name: `ytcanal token new NAME`")?;
    Ok(Some(TokenCommand::New { name, options }))
}

fn list(parser: &mut lexopt::Parser) -> Result<Option<TokenCommand>, lexopt::Error> {
    let mut config = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("config") => config = Some(parser.value()?.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(TokenCommand::List { config }))
}

fn lifetime(text: &str) -> Result<std::time::Duration, String> {
    let parsed = HumanDuration::parse(text).map(|duration| duration.0);
    parsed
        .filter(|lifetime| lifetime.as_secs() > 0)
        .ok_or_else(|| format!("{text:?} is not the time that a token lasts, such as 12h or 30d"))
}
