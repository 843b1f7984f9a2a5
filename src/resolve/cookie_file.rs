//! Files of cookies with which yt-dlp reads pages, in the Netscape format that extensions of browsers export.
//!
//! yt-dlp gets a copy, because it writes to the file that it is given. Lines that it would skip are not in the copy:
//! its warnings quote them.
//!
//! **Invariants:** a file is only read. No value of it is in an error or in the output of `Debug`.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

/// Maximum length of a file. All cookies of a browser that is used for everything take half a MiB.
const MAX_FILE: u64 = 1 << 20;
/// Precedes the domain of a cookie that is not for scripts.
const HTTP_ONLY: &str = "#HttpOnly_";
/// The first line, without which Python refuses a file.
const HEADER: &str = "# Netscape HTTP Cookie File\n";
/// More than any time in seconds since 1970; Python fails to convert numbers far beyond it.
const MAX_EXPIRY: f64 = 1e12;

/// Tells whose cookies a page is read with: none, or those of a file with this hash. What is read with one is not for
/// those with another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CookiesId(Option<[u8; 32]>);

/// The cookies of a file.
#[derive(Clone)]
pub struct CookieFile {
    text: String,
    id: CookiesId,
    /// Number of cookies.
    pub count: usize,
    /// The number of the first line that is neither a cookie nor a comment.
    pub unusable_line: Option<usize>,
}

/// Why a file of cookies cannot be used.
#[derive(Debug)]
pub enum CookieFileError {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is too long.
    TooLong,
    /// It has no cookie in the Netscape format.
    NoCookies,
}

/// Knows the files of cookies that tokens have of their own.
pub trait TokenCookies: Send + Sync {
    /// Returns the file of the token with this id.
    fn cookies_file(&self, token: u64) -> Option<PathBuf>;
}

impl CookieFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<CookieFile, CookieFileError> {
        // Opening a pipe would wait for its writer.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a regular file").into());
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(CookieFileError::TooLong);
        }
        let text = String::from_utf8(bytes).map_err(|_| CookieFileError::NoCookies)?;
        CookieFile::parse(&text)
    }

    fn parse(text: &str) -> Result<CookieFile, CookieFileError> {
        let (mut copy, mut count, mut unusable_line) = (HEADER.to_owned(), 0, None);
        // Files of other systems have other ends of lines, and editors put a mark in front.
        let lines = text.trim_start_matches('\u{feff}').lines();
        for (index, line) in lines.enumerate().filter(|(_, line)| !is_comment(line)) {
            match cookie(line) {
                Some(line) => {
                    copy += &line;
                    count += 1;
                }
                None => unusable_line = unusable_line.or(Some(index + 1)),
            }
        }
        if count == 0 {
            return Err(CookieFileError::NoCookies);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, copy.as_bytes()).as_ref());
        Ok(CookieFile { text: copy, id: CookiesId(Some(hash)), count, unusable_line })
    }

    /// Returns the text of the copy for yt-dlp.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns what tells these cookies from others.
    pub(super) fn id(&self) -> CookiesId {
        self.id
    }

    /// Returns a warning if other users of the machine can read the file.
    pub fn is_readable_by_others(path: &Path) -> Option<String> {
        let meta = fs::metadata(path).ok()?;
        let file = path.display();
        (meta.mode() & 0o004 != 0).then(|| {
            format!(
                "other users of this machine can read {file}, and use the accounts in it; take the permission away \
                 from them (chmod o= {file})"
            )
        })
    }
}

impl fmt::Debug for CookieFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieFile").field("count", &self.count).finish_non_exhaustive()
    }
}

impl From<io::Error> for CookieFileError {
    fn from(error: io::Error) -> CookieFileError {
        CookieFileError::Unreadable(error)
    }
}

impl fmt::Display for CookieFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CookieFileError::Unreadable(error) => write!(f, "the file cannot be read: {error}"),
            CookieFileError::TooLong => write!(f, "the file is longer than {} MiB", MAX_FILE >> 20),
            CookieFileError::NoCookies => f.write_str(
                "the file has no cookie in the Netscape format; export it again as cookies.txt, not as JSON",
            ),
        }
    }
}

impl std::error::Error for CookieFileError {}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#') && !line.starts_with(HTTP_ONLY)
}

/// Returns a line with a cookie such that Python accepts it; `None` if it is not one.
fn cookie(line: &str) -> Option<String> {
    let (prefix, rest) = match line.strip_prefix(HTTP_ONLY) {
        Some(rest) => (HTTP_ONLY, rest),
        None => ("", line),
    };
    let fields: Vec<&str> = rest.split('\t').collect();
    let [domain, subdomains, path, secure, expires, name, value] = fields[..] else { return None };
    let is_plain = fields.iter().all(|field| !field.contains(char::is_control));
    let is_domain = !domain.is_empty() && !domain.contains(['#', '$', ' ']);
    if !is_plain || !is_domain || !is_expiry(expires) || name.is_empty() && value.is_empty() {
        return None;
    }
    // Python fails unless a dot in front says the same as the second field.
    let is_address = domain.parse::<IpAddr>().is_ok();
    let lacks_dot = is_true(subdomains) && !domain.starts_with('.') && !is_address;
    let domain = if lacks_dot { format!(".{domain}") } else { domain.to_owned() };
    let subdomains = flag(domain.starts_with('.'));
    let secure = flag(is_true(secure));
    Some(format!("{prefix}{domain}\t{subdomains}\t{path}\t{secure}\t{expires}\t{name}\t{value}\n"))
}

/// Returns whether it is a time in seconds, or that of a cookie that ends with the session.
fn is_expiry(field: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let (whole, fraction) = field.split_once('.').unwrap_or((field, "0"));
    let is_number =
        [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(is_digit));
    field.is_empty() || is_number && field.parse().is_ok_and(|seconds: f64| seconds < MAX_EXPIRY)
}

fn is_true(field: &str) -> bool {
    field.eq_ignore_ascii_case("TRUE")
}

fn flag(is_set: bool) -> &'static str {
    if is_set { "TRUE" } else { "FALSE" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_copy_has_what_python_accepts() {
        for (line, expected) in [
            (
                ".films.example\tTRUE\t/\tTRUE\t1900000000\tsid\ta b",
                Some(".films.example\tTRUE\t/\tTRUE\t1900000000\tsid\ta b"),
            ),
            (
                "films.example\tTRUE\t/\tfalse\t\tsid\t1",
                Some(".films.example\tTRUE\t/\tFALSE\t\tsid\t1"),
            ),
            (
                ".films.example\tFALSE\t/\tTRUE\t0\tsid\t",
                Some(".films.example\tTRUE\t/\tTRUE\t0\tsid\t"),
            ),
            ("127.0.0.1\tTRUE\t/\tFALSE\t1.5\t\tv", Some("127.0.0.1\tFALSE\t/\tFALSE\t1.5\t\tv")),
            (
                "#HttpOnly_films.example\tFALSE\t/\tTRUE\t0\tsid\t1\r",
                Some("#HttpOnly_films.example\tFALSE\t/\tTRUE\t0\tsid\t1"),
            ),
            ("films.example\tFALSE\t/\tTRUE\t-1\tsid\t1", None),
            ("films.example\tFALSE\t/\tTRUE\t1e9\tsid\t1", None),
            (&format!("films.example\tFALSE\t/\tTRUE\t{}\tsid\t1", "9".repeat(400)), None),
            ("films.example\tFALSE\t/\tTRUE\t0\tsid", None),
            ("films.example FALSE / TRUE 0 sid 1", None),
            ("films.example\tFALSE\t/\tTRUE\t0\tsid\t1\r2", None),
            ("$films.example\tFALSE\t/\tTRUE\t0\tsid\t1", None),
            ("\tFALSE\t/\tTRUE\t0\tsid\t1", None),
            ("{\"sid\": \"hunter2\"}", None),
        ] {
            let found = CookieFile::parse(&format!("\u{feff}# a comment\r\n\r\n{line}\n"));
            let text = found.map(|file| file.text).ok();
            let expected = expected.map(|line| format!("{HEADER}{line}\n"));
            assert_eq!(text, expected, "{line}");
        }
    }

    #[test]
    fn lines_that_cannot_be_used_are_told_by_number_and_change_nothing() {
        let good = "films.example\tFALSE\t/\tTRUE\t0\tsid\thunter2\n";
        let alone = CookieFile::parse(good).unwrap();
        let file = CookieFile::parse(&format!("# x\n{good}hunter3\n\nhunter4")).unwrap();
        assert_eq!((file.count, file.unusable_line), (1, Some(3)));
        assert_eq!((file.id(), alone.unusable_line), (alone.id(), None));
        let other = CookieFile::parse(&good.replace('2', "3")).unwrap();
        assert!(other.id() != alone.id() && alone.id() != CookiesId::default());
        assert!(!format!("{file:?}").contains("hunter"), "{file:?}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cookies.txt");
        let said = || CookieFile::read(&file).unwrap_err().to_string();
        assert!(said().contains("No such file"), "{}", said());
        crate::sys::make_fifo(&file).unwrap();
        assert!(said().contains("not a regular file"), "{}", said());
        fs::remove_file(&file).unwrap();
        for (content, expected) in [
            (&b"# Netscape HTTP Cookie File\n"[..], "no cookie in the Netscape format"),
            (b"[{\"name\": \"hunter2\"}]", "not as JSON"),
            (b"\xff\xfe", "not as JSON"),
            (&[b'#'; (1 << 20) + 1], "longer than 1 MiB"),
        ] {
            fs::write(&file, content).unwrap();
            assert!(said().contains(expected) && !said().contains("hunter"), "{}", said());
        }
    }

    proptest! {
        #[test]
        fn every_line_of_a_copy_is_a_cookie(text in "([#$a.]{0,2}[a-z1]?\t(TRUE|x)\t/?\t(TRUE)?\t[0-9.e-]{0,3}\ta?\t\\PC?[\r\n]{1,2}){0,3}") {
            if let Ok(file) = CookieFile::parse(&text) {
                let again = CookieFile::parse(file.text()).unwrap();
                prop_assert_eq!(&again.text, &file.text);
                prop_assert_eq!((again.count, again.unusable_line), (file.count, None));
            }
        }
    }
}
