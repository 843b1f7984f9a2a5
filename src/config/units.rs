//! Durations such as `"30s"` and sizes such as `"10MiB"`, as the configuration writes them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A duration: digits and one of `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

/// A number of bytes: digits and one of `B`, `KiB`, `MiB`, `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

impl HumanDuration {
    /// Parses a duration; `None` if it is none.
    pub fn parse(text: &str) -> Option<HumanDuration> {
        let (count, unit) = split(text)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        Some(HumanDuration(Duration::from_millis(count.checked_mul(millis)?)))
    }
}

impl ByteSize {
    /// Parses a size; `None` if it is none.
    pub fn parse(text: &str) -> Option<ByteSize> {
        let (count, unit) = split(text)?;
        let bytes = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        Some(ByteSize(count.checked_mul(bytes)?))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => write!(f, "0s"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
        let text = String::deserialize(deserializer)?;
        HumanDuration::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is not a duration; write for example \"500ms\", \"30s\", \"2m\", \
                 \"1h\" or \"30d\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        let text = String::deserialize(deserializer)?;
        ByteSize::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is not a size; write for example \"512B\", \"16KiB\" or \"10MiB\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for text in ["500ms", "30s", "2m", "1h", "90s", "0s", "30d"] {
            let span = HumanDuration::parse(text).unwrap();
            assert_eq!(HumanDuration::parse(&span.to_string()), Some(span));
        }
        for text in ["", "s", "30", "-1s", "1.5s", "30 parsecs", "99999999999999999999s"] {
            assert_eq!(HumanDuration::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_read() {
        assert_eq!(ByteSize::parse("16KiB"), Some(ByteSize(16384)));
        assert_eq!(ByteSize::parse("0B"), Some(ByteSize(0)));
        for text in ["16", "16kb", "KiB", "99999999999999GiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text:?}");
        }
    }
}
