//! What `ytcanal check` says of yt-dlp: whether it is there, how old it is, and whether it has what
//! it needs for YouTube.

use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime};

use crate::config::{self, Config};
use crate::resolve;

/// Sites change; an older one soon stops to understand some of them.
const OLD: i64 = 60;
/// How to have a newer one.
const UPDATE: &str = "pip install -U \"yt-dlp[default]\" deno";

/// Looks at it, and says what it found.
pub(super) fn look(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let command = &config.resolver.command;
    let Some(place) = config::locate(command) else {
        return writeln!(
            out,
            "yt-dlp   none    {} was not found: there are no page links without it; install it \
             ({UPDATE}) or set resolver.command to where it is",
            command.display()
        );
    };
    let said = ask(config, &place);
    let Some(version) = version(&said) else {
        return writeln!(
            out,
            "yt-dlp   none    {} does not run, or tells no version; page links will not work",
            place.display()
        );
    };
    let place = place.display();
    match age(&version, today()) {
        Some(days) if days > OLD => writeln!(
            out,
            "yt-dlp   old     {place} ({version}, {days} days old): sites change; update it \
             ({UPDATE})"
        )?,
        Some(days) => writeln!(out, "yt-dlp   ok      {place} ({version}, {days} days old)")?,
        None => writeln!(out, "yt-dlp   ok      {place} ({version})")?,
    }
    match said.lines().find_map(|line| line.split_once("JS runtimes: ")) {
        Some((_, "none")) => writeln!(
            out,
            "js       none    yt-dlp finds no JavaScript runtime, without which YouTube gives it \
             few formats or none; install deno ({UPDATE})"
        ),
        Some((_, found)) => writeln!(out, "js       ok      {found}"),
        None => Ok(()),
    }
}

/// What it says of itself, called as for a page but without a link.
fn ask(config: &Config, place: &Path) -> String {
    let ask = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
        resolve::ask(place, &arguments, config.resolver.timeout.0).unwrap_or_default()
    };
    let mut arguments = vec!["--ignore-config", "--no-plugin-dirs", "--color", "never"];
    arguments.extend(config.resolver.extra_args.iter().map(String::as_str));
    arguments.push("--verbose");
    let said = ask(&arguments);
    // Something else may speak its interface, and have less to say.
    if version(&said).is_some() { said } else { ask(&["--version"]) }
}

/// The version in its words: alone in a line, or `yt-dlp version stable@2026.10.26 from ...`.
fn version(said: &str) -> Option<String> {
    let is_version = |word: &str| {
        word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let named = said.lines().find_map(|line| line.split_once("yt-dlp version "));
    let word = match named {
        Some((_, rest)) => rest.split_whitespace().next()?.rsplit('@').next()?,
        None => said.lines().map(str::trim).find(|line| is_version(line))?,
    };
    Some(word.chars().filter(|letter| letter.is_ascii_graphic()).take(40).collect())
}

/// How many days have gone by since the version, which is a date, came out.
fn age(version: &str, today: Date) -> Option<i64> {
    let mut numbers = version.split('.').map(str::parse::<i32>);
    let mut next = || numbers.next()?.ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    Some((today - date).whole_days().max(0))
}

#[expect(clippy::disallowed_methods, reason = "versions are dates")]
fn today() -> Date {
    OffsetDateTime::from(SystemTime::now()).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_their_age() {
        let said =
            "[debug] yt-dlp version stable@2026.10.26 from yt-dlp/yt-dlp [c91f8de0b] (pip)\n";
        assert_eq!(version(said).as_deref(), Some("2026.10.26"));
        assert_eq!(version("2026.10.26\n").as_deref(), Some("2026.10.26"));
        assert_eq!(version("Usage: x\n"), None);
        let today = Date::from_calendar_date(2026, Month::November, 26).unwrap();
        assert_eq!(age("2026.10.26", today), Some(31));
        assert_eq!(age("2026.10.26.1", today), Some(31));
        assert_eq!((age("1.2", today), age("2026.13.1", today)), (None, None));
    }
}
