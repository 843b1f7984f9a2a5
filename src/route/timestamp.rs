//! Parses times in media: `90`, `90.5`, `1:30`, `1:02:03.5`. Pure.

use std::time::Duration;

/// The maximum time: 1,000 hours, longer than any media.
const MAX_SECONDS: u64 = 1000 * 3600;

/// Parses `S`, `M:S` or `H:M:S`, with an optional fraction of a second.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut seconds: u64 = 0;
    let fields: Vec<&str> = clock.split(':').collect();
    for (index, field) in fields.iter().enumerate() {
        let number = crate::range::decimal(field.as_bytes())?;
        // 1:75 is a typing error; 90 and 90:00 are not.
        if index > 0 && (number >= 60 || field.len() > 2) {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(number)?;
    }
    if fields.len() > 3 || seconds > MAX_SECONDS || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}");
    Some(Duration::new(seconds, nanos.get(..9)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        for (text, millis) in [
            ("0", 0),
            ("90", 90_000),
            ("90.5", 90_500),
            ("1:30", 90_000),
            ("90:00", 5_400_000),
            ("1:02:03.25", 3_723_250),
            ("01:00:00", 3_600_000),
            ("0.0001", 0),
            ("7.", 7000),
        ] {
            let read = time(text).map(|time| time.as_millis());
            assert_eq!(read, Some(millis), "{text}");
        }
        for text in
            ["", ":", "1:", ":1", "-1", "+1", "1:60", "1:2:3:4", "1e3", "1.-5", "x", "1:075"]
        {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(time("99999999999999999999999"), None);
    }
}
