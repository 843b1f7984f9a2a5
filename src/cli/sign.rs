//! Parses the command line of `ytcanal sign`.

use std::time::Duration;

use lexopt::prelude::*;

use super::Command;
use crate::access::signature;
use crate::config::HumanDuration;
use crate::sign::Voucher;

/// Parses the arguments behind `sign`.
pub(super) fn parse(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut url, mut by, mut voucher) = (None, None, None);
    let mut lifetime = signature::DEFAULT_LIFETIME;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("by") => by = Some(parser.value()?.string()?),
            Long("for") => lifetime = parser.value()?.parse_with(parse_lifetime)?,
            Long("token-file") if voucher.is_none() => {
                voucher = Some(Voucher::TokenFile(parser.value()?.into()));
            }
            Long("config") if voucher.is_none() => {
                voucher = Some(Voucher::Config(parser.value()?.into()));
            }
            Value(value) if url.is_none() => url = Some(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    match (url, by, voucher) {
        (Some(url), Some(by), Some(voucher)) => Ok(Command::Sign { url, by, voucher, lifetime }),
        (None, ..) => Err("missing link: ytcanal sign URL --by NAME --token-file FILE".into()),
        (_, None, _) => Err("missing --by: the name of the token".into()),
        (.., None) => {
            Err("missing --token-file (with the token) or --config (of the server)".into())
        }
    }
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = HumanDuration::parse(text);
    lifetime
        .map(|lifetime| lifetime.0)
        .ok_or(format!("{text:?} is not a time such as 30m, 12h or 7d"))
}
