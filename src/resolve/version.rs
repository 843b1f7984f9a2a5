//! The version of yt-dlp, which is the date of its release: where it is found, and how old it is.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime};

/// The age in days from which yt-dlp counts as old: sites change, and old versions fail for some.
pub const MAX_AGE: i64 = 60;
/// Maximum length of a version.
const MAX_LEN: usize = 40;
/// Where Python keeps packages beside its programs, and Debian those of its own.
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];

/// A version, such as `2026.10.26`; maybe with more numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YtdlpVersion(String);

impl YtdlpVersion {
    /// Parses what yt-dlp prints: the version alone on a line, or `yt-dlp version stable@2026.10.26 from ...`.
    pub fn in_output(output: &str) -> Option<YtdlpVersion> {
        let is_version = |word: &str| {
            word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        let named = output.lines().find_map(|line| line.split_once("yt-dlp version "));
        let word = match named {
            Some((_, rest)) => rest.split_whitespace().next()?.rsplit('@').next()?,
            None => output.lines().map(str::trim).find(|line| is_version(line))?,
        };
        Some(YtdlpVersion::clean(word))
    }

    /// Reads the version of the package that `command` belongs to, without running it; `None` where it is no Python
    /// script beside its packages.
    pub fn installed(command: &Path) -> Option<YtdlpVersion> {
        let command = command.canonicalize().ok()?;
        let text = fs::read_to_string(package_file(command.parent()?.parent()?)?).ok()?;
        let quoted = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
        Some(YtdlpVersion::clean(quoted.trim().trim_matches(['\'', '"'])))
    }

    /// Makes a version of a package index, in which numbers have no leading zeros, the one that yt-dlp prints.
    pub fn from_index(version: &str) -> YtdlpVersion {
        let numbers = version.split('.').map(|number| format!("{number:0>2}"));
        YtdlpVersion::clean(&numbers.collect::<Vec<_>>().join("."))
    }

    fn clean(word: &str) -> YtdlpVersion {
        let letters = word.chars().filter(|letter| letter.is_ascii_graphic() && *letter != '/');
        YtdlpVersion(letters.take(MAX_LEN).collect())
    }

    /// Returns whether a version is older than another one.
    pub fn is_before(&self, other: &YtdlpVersion) -> bool {
        let numbers = |version: &YtdlpVersion| -> Vec<u32> {
            version.0.split('.').map(|number| number.parse().unwrap_or(0)).collect()
        };
        numbers(self) < numbers(other)
    }

    /// Returns the age in days.
    pub fn age(&self) -> Option<i64> {
        self.age_on(today())
    }

    fn age_on(&self, today: Date) -> Option<i64> {
        Some((today - self.date()?).whole_days().max(0))
    }

    /// Returns the time of the release, in seconds since 1970.
    pub fn timestamp(&self) -> Option<i64> {
        Some(self.date()?.midnight().assume_utc().unix_timestamp())
    }

    fn date(&self) -> Option<Date> {
        let mut numbers = self.0.split('.').map(str::parse::<i32>);
        let mut next = || numbers.next()?.ok();
        let (year, month, day) = (next()?, next()?, next()?);
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
    }
}

impl fmt::Display for YtdlpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the file with the version in the environment at `prefix`.
fn package_file(prefix: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(prefix.join("lib")).ok()?.flatten();
    let pythons =
        versions.filter(|entry| entry.file_name().to_string_lossy().starts_with("python"));
    let homes = pythons.flat_map(|entry| PACKAGES.map(|packages| entry.path().join(packages)));
    homes.map(|home| home.join("yt_dlp/version.py")).find(|file| file.is_file())
}

#[expect(clippy::disallowed_methods, reason = "versions are dates")]
fn today() -> Date {
    OffsetDateTime::from(SystemTime::now()).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> YtdlpVersion {
        YtdlpVersion(text.into())
    }

    #[test]
    fn versions_and_their_age() {
        let output =
            "[debug] yt-dlp version stable@2026.10.26 from yt-dlp/yt-dlp [c91f8de0b] (pip)\n";
        assert_eq!(YtdlpVersion::in_output(output), Some(version("2026.10.26")));
        assert_eq!(YtdlpVersion::in_output("2026.10.26\n"), Some(version("2026.10.26")));
        assert_eq!(YtdlpVersion::in_output("Usage: x\n"), None);
        assert_eq!(YtdlpVersion::from_index("2026.1.5"), version("2026.01.05"));
        assert_eq!(YtdlpVersion::from_index("2026.11.5.232900"), version("2026.11.05.232900"));
        // It becomes the name of a directory.
        assert!(!YtdlpVersion::from_index("../../x").to_string().contains('/'));
        let today = Date::from_calendar_date(2026, Month::November, 26).unwrap();
        assert_eq!(version("2026.10.26").age_on(today), Some(31));
        assert_eq!(version("2026.10.26.1").age_on(today), Some(31));
        assert_eq!(
            (version("1.2").age_on(today), version("2026.13.1").age_on(today)),
            (None, None)
        );
        assert_eq!(version("2026.10.26").timestamp(), Some(1_792_972_800));
        assert!(version("2026.09.30").is_before(&version("2026.10.01")));
        assert!(version("2026.10.01").is_before(&version("2026.10.01.1")));
        assert!(!version("2026.10.01").is_before(&version("2026.10.01")));
    }

    #[test]
    fn the_version_of_an_installation_is_read_from_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("venv/lib/python3.13/site-packages/yt_dlp");
        fs::create_dir_all(&package).unwrap();
        fs::create_dir(dir.path().join("venv/bin")).unwrap();
        let (command, link) = (dir.path().join("venv/bin/yt-dlp"), dir.path().join("yt-dlp"));
        fs::write(&command, "#!/venv/bin/python3\n").unwrap();
        std::os::unix::fs::symlink(&command, &link).unwrap();
        assert_eq!(YtdlpVersion::installed(&link), None);
        fs::write(package.join("version.py"), "# made\n\n__version__ = '2026.10.26'\n\nX = 'y'\n")
            .unwrap();
        assert_eq!(YtdlpVersion::installed(&link), Some(version("2026.10.26")));
    }
}
