//! Dates of segments (EXT-X-PROGRAM-DATE-TIME, RFC 8216 §4.3.2.6), in the format of ISO 8601.

use std::time::{Duration, SystemTime};

/// Parses a date such as `2010-02-19T14:54:23.031+08:00`; without a time zone it is in UTC. `None` if it
/// is malformed, or before 1970.
pub(super) fn date(text: &str) -> Option<SystemTime> {
    let (day, time) = text.trim().split_once(['T', 't', ' '])?;
    let (time, offset) = match time.find(['Z', 'z', '+', '-']) {
        None => (time, 0),
        Some(at) => (&time[..at], offset(&time[at..])?),
    };
    let mut fields = day.splitn(3, '-').map(number);
    let (year, month, day) = (fields.next()??, fields.next()??, fields.next()??);
    let mut fields = time.splitn(3, ':');
    let (hour, minute) = (number(fields.next()?)?, number(fields.next()?)?);
    let second: f64 = fields.next()?.parse().ok()?;
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month);
    let is_time = hour < 24 && minute < 60 && (0.0..61.0).contains(&second);
    if !is_date || !(1..=31).contains(&day) || !is_time {
        return None;
    }
    let whole = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 - offset;
    let whole = Duration::from_secs(u64::try_from(whole).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(whole + Duration::try_from_secs_f64(second).ok()?)
}

/// Returns the seconds that a time zone is ahead of UTC.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at(1) {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        (_, rest) => return rest.is_empty().then_some(0),
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits)?, 0),
        4 => (number(digits.get(..2)?)?, number(digits.get(2..)?)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(digits: &str) -> Option<i64> {
    let is_number = digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Returns the number of days since 1970-01-01 in the Gregorian calendar, counted in years that begin in
/// March, so that the day that some of them have more is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_all_notations() {
        let millis = |text: &str| {
            let date = date(text)?.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            Some(date.as_millis())
        };
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2010-02-19T14:54:23.031+08:00", 1_266_562_463_031),
            ("2010-02-19T06:54:23.031Z", 1_266_562_463_031),
            ("2010-02-19T06:54:23.031", 1_266_562_463_031),
            ("2010-02-19 01:24:23.031-0530", 1_266_562_463_031),
            ("2000-02-29T23:59:59+00", 951_868_799_000),
            ("2024-03-01T00:00:00Z", 1_709_251_200_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "2010-02-19",
            "2010-02-19T14:54",
            "2010-13-19T14:54:23Z",
            "2010-00-19T14:54:23Z",
            "2010-02-19T24:54:23Z",
            "2010-02-19T14:54:-1Z",
            "2010-02-19T14:54:nanZ",
            "2010-02-19T14:54:23+8",
            "20100-02-19T14:54:23Z",
            "1970-01-01T00:00:00+01:00",
            "+010-02-19T14:54:23Z",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
