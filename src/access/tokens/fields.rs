//! Reads the keys of one token's table. Written by hand, because the errors of `serde` quote values.

use std::path::PathBuf;

use ipnet::IpNet;
use ring::digest::{SHA256, digest};
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};
use toml::value::{Datetime, Offset};
use toml::{Table, Value};
use url::Host;

use super::{Permission, TokenHash, TokensError};
use crate::config::{ByteSize, HostPattern};

/// The maximum length of an unknown key that is shown.
const MAX_SHOWN: usize = 20;

/// The table of a token, of which each key is taken once.
pub(super) struct Fields<'a> {
    name: &'a str,
    table: Table,
}

impl<'a> Fields<'a> {
    pub(super) fn new(name: &'a str, table: Table) -> Fields<'a> {
        Fields { name, table }
    }

    fn error(&self, what: impl std::fmt::Display) -> TokensError {
        TokensError(format!("[{}]: {what}", self.name))
    }

    /// Takes a key, converted; `None` if it is missing.
    fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, TokensError> {
        let Some(value) = self.table.remove(key) else { return Ok(None) };
        let value =
            convert(value).ok_or_else(|| self.error(format!("{key} must be {expected}")))?;
        Ok(Some(value))
    }

    /// Takes a list of texts with at least one, each converted.
    fn list<T>(
        &mut self,
        key: &str,
        expected: &str,
        convert: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, TokensError> {
        self.take(key, expected, |value| {
            let values = value.as_array().filter(|values| !values.is_empty())?;
            values.iter().map(|value| convert(value.as_str()?)).collect()
        })
    }

    pub(super) fn hash(&mut self) -> Result<TokenHash, TokensError> {
        let expected =
            "the SHA-256 of the secret, in 64 hexadecimal digits; `ytcanal token new` prints both";
        let hash = self.take("hash", expected, |value| {
            let hash = hex(value.as_str()?)?;
            // Nobody shows an empty secret.
            (hash != digest(&SHA256, b"").as_ref()).then_some(hash)
        })?;
        hash.ok_or_else(|| self.error("hash is missing; `ytcanal token new` prints it"))
    }

    pub(super) fn expires(&mut self) -> Result<Option<u64>, TokensError> {
        let expected =
            "a date, or a time with its zone, without quotes: 2030-12-31 or 2030-12-31T00:00:00Z";
        self.take("expires", expected, |value| unix_time(value.as_datetime()?))
    }

    pub(super) fn networks(&mut self, key: &str) -> Result<Vec<IpNet>, TokensError> {
        let expected = "a list of networks or addresses: [\"10.0.0.0/8\", \"2001:db8::1\"]";
        let networks = self.list(key, expected, |text| match text.parse() {
            Ok(HostPattern::Net(network)) => Some(network),
            _ => None,
        })?;
        Ok(networks.unwrap_or_default())
    }

    pub(super) fn permissions(&mut self) -> Result<Option<Vec<Permission>>, TokensError> {
        self.list("may", "a list of some of download, mux, info, metrics", |text| {
            Permission::ALL.into_iter().find(|permission| permission.as_str() == text)
        })
    }

    /// Takes the host names, in the form that those of URLs have.
    pub(super) fn sites(&mut self) -> Result<Vec<String>, TokensError> {
        let expected = "a list of host names without scheme and path: [\"youtube.com\"]";
        let sites = self.list("sites", expected, |text| match Host::parse(text) {
            Ok(Host::Domain(name)) => Some(name.trim_matches('.').to_owned()),
            Ok(address) => Some(address.to_string()),
            Err(_) => None,
        })?;
        Ok(sites.unwrap_or_default())
    }

    pub(super) fn count(&mut self, key: &str) -> Result<Option<u32>, TokensError> {
        self.take(key, "a number of at least 1", |value| {
            u32::try_from(value.as_integer()?).ok().filter(|count| *count > 0)
        })
    }

    pub(super) fn size(&mut self, key: &str) -> Result<Option<u64>, TokensError> {
        self.take(key, "a size of more than 0B: \"500MiB\" or \"20GiB\"", |value| {
            ByteSize::parse(value.as_str()?).map(|size| size.0).filter(|size| *size > 0)
        })
    }

    pub(super) fn path(&mut self, key: &str) -> Result<Option<PathBuf>, TokensError> {
        self.take(key, "the absolute path of a file: \"/etc/ytcanal/cookies.txt\"", |value| {
            Some(PathBuf::from(value.as_str()?)).filter(|path| path.is_absolute())
        })
    }

    pub(super) fn reject_unknown(self) -> Result<(), TokensError> {
        match self.table.keys().next() {
            // A longer one may be a secret in the wrong place.
            Some(key) => Err(self.error(format!(
                "a token has no key {:?}; the keys are hash, expires, from, may, sites, streams, muxers, \
                 pages_per_hour, bytes_per_day and cookies_file",
                if key.len() <= MAX_SHOWN { key } else { "…" }
            ))),
            None => Ok(()),
        }
    }
}

/// Parses 64 hexadecimal digits.
fn hex(text: &str) -> Option<TokenHash> {
    let mut bytes = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}

/// Returns the seconds since 1970 of a date, which begins in UTC, or of a time with its zone.
fn unix_time(datetime: &Datetime) -> Option<u64> {
    let date = datetime.date?;
    let month = Month::try_from(date.month).ok()?;
    let date = Date::from_calendar_date(date.year.into(), month, date.day).ok()?;
    let (time, offset) = match (datetime.time, datetime.offset) {
        (None, None) => (Time::MIDNIGHT, UtcOffset::UTC),
        (Some(time), Some(offset)) => {
            let minutes = match offset {
                Offset::Z => 0,
                Offset::Custom { minutes } => i32::from(minutes),
            };
            // A leap second ends with the second before it.
            let second = time.second.unwrap_or(0).min(59);
            let time = Time::from_hms(time.hour, time.minute, second).ok()?;
            (time, UtcOffset::from_whole_seconds(minutes * 60).ok()?)
        }
        _ => return None,
    };
    let time = PrimitiveDateTime::new(date, time).assume_offset(offset);
    u64::try_from(time.unix_timestamp()).ok()
}
