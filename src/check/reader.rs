//! What `ytcanal check` says of yt-dlp: whether it is there, how old it is, and whether it has what
//! it needs for YouTube.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime};

use crate::config::{self, Config};
use crate::net::Families;
use crate::resolve::{Javascript, Resolver};
use crate::runtime_dir::RuntimeDir;

/// Sites change; an older one soon stops to understand some of them.
const OLD: i64 = 60;
/// What it is called in an index of Python's, and what it needs for YouTube.
const PACKAGES: &str = "\"yt-dlp[default]\" deno";
/// Where it goes if it is nowhere yet. Debian refuses packages of pip's outside of such a directory.
const VENV: &str = "/opt/yt-dlp";

/// Looks at it, and says what it found.
pub(super) fn look(config: &Config, runtime: RuntimeDir, out: &mut impl Write) -> io::Result<()> {
    let command = &config.resolver.command;
    let Some(place) = config::find_in_path(command) else {
        return writeln!(
            out,
            "yt-dlp   none    {} was not found: there are no page links without it; install it, or \
             set resolver.command to where it is{}",
            command.display(),
            install()
        );
    };
    let families = Families::new(config.upstream.family);
    let resolver = Resolver::new(config, &Arc::new(families), &Arc::new(runtime))?;
    let (said, runs_scripts) = ask(config, &resolver);
    let Some(version) = version(&said) else {
        return writeln!(
            out,
            "yt-dlp   none    {} does not run, or tells no version; page links will not work",
            place.display()
        );
    };
    let update = update(&place);
    let place = place.display();
    match age(&version, today()) {
        Some(days) if days > OLD => writeln!(
            out,
            "yt-dlp   old     {place} ({version}, {days} days old): sites change; update it{update}"
        )?,
        Some(days) => writeln!(out, "yt-dlp   ok      {place} ({version}, {days} days old)")?,
        None => writeln!(out, "yt-dlp   ok      {place} ({version})")?,
    }
    // Something else may speak its interface, and know nothing of this.
    if !runs_scripts {
        return Ok(());
    }
    match resolver.try_javascript() {
        Javascript::Runs(runtime) => writeln!(out, "js       ok      {runtime}"),
        Javascript::Missing => writeln!(
            out,
            "js       none    yt-dlp finds no JavaScript runtime, without which YouTube gives it \
             few formats or none; install deno{update}"
        ),
        Javascript::Fails(why) => writeln!(
            out,
            "js       broken  yt-dlp cannot run the scripts of YouTube, which gives it few formats \
             or none then ({why}); {}",
            remedy(&why, &update)
        ),
        Javascript::Untried(why) => writeln!(out, "js       unknown it could not be tried: {why}"),
    }
}

/// The lines that install it where there is none.
fn install() -> String {
    format!(
        ":\n           sudo python3 -m venv {VENV} && sudo {VENV}/bin/pip install -U {PACKAGES}\n           \
         sudo ln -s {VENV}/bin/yt-dlp /usr/local/bin/"
    )
}

/// The line that renews the one at `place`, if it is from pip; else those that install one.
fn update(place: &Path) -> String {
    let pip = place.canonicalize().ok().map(|file| file.with_file_name("pip"));
    match pip.filter(|pip| pip.is_file()) {
        Some(pip) => format!(":\n           sudo {} install -U {PACKAGES}", pip.display()),
        None => install(),
    }
}

/// What may help when a runtime is there and does not run.
fn remedy(why: &str, update: &str) -> String {
    if why.contains("script available") {
        return format!("its solver is missing{update}");
    }
    if why.contains("resolver.memory") {
        return "raise resolver.memory".into();
    }
    format!(
        "where nothing may make machine code as it runs (MemoryDenyWriteExecute in a unit), set \
         resolver.extra_args = [\"--extractor-args\", \"youtube-ejs:jitless=true\"]; else renew \
         it{update}"
    )
}

/// What it says of itself, called as for a page but without a link; and whether it is one that runs
/// JavaScript, as far as is known: who did not come to an end may be.
fn ask(config: &Config, resolver: &Resolver) -> (String, bool) {
    let own = config.resolver.extra_args.iter().map(String::as_str);
    let mut arguments = vec!["--ignore-config", "--no-plugin-dirs", "--color", "never"];
    arguments.extend(own.chain(["--verbose"]));
    let said = resolver.run_tool(&arguments);
    let runs_scripts = said.as_ref().is_none_or(|said| said.contains("JS runtimes: "));
    // Something else may speak its interface, and have less to say.
    let said = said
        .filter(|said| version(said).is_some())
        .or_else(|| resolver.run_tool(&["--version"]))
        .unwrap_or_default();
    (said, runs_scripts)
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
