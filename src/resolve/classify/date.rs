//! Dates for people. Pure.

/// Returns the minute of a time in seconds since 1970, such as `2026-05-01 18:30 UTC`; `None` if it lies
/// beyond the year 9999.
pub(super) fn utc_minute(seconds: f64) -> Option<String> {
    const END: f64 = 253_402_300_800.0;
    let minutes = (0.0..END).contains(&seconds).then_some(seconds as i64 / 60)?;
    let (year, month, day) = civil(minutes / 1440);
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    Some(format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC"))
}

/// Returns year, month and day of a number of days since 1970-01-01 in the Gregorian calendar. Years are
/// counted from March, so that the day that some of them have more is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    const FOUR_CENTURIES: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / FOUR_CENTURIES, days % FOUR_CENTURIES);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_of_all_centuries() {
        for (seconds, expected) in [
            (0.0, "1970-01-01 00:00 UTC"),
            (951_868_799.9, "2000-02-29 23:59 UTC"),
            (951_868_800.0, "2000-03-01 00:00 UTC"),
            (1_777_660_200.0, "2026-05-01 18:30 UTC"),
            (4_107_542_399.0, "2100-02-28 23:59 UTC"),
            (4_107_542_400.0, "2100-03-01 00:00 UTC"),
            (253_402_300_799.0, "9999-12-31 23:59 UTC"),
        ] {
            assert_eq!(utc_minute(seconds).as_deref(), Some(expected));
        }
        for seconds in [-1.0, 1e12, f64::NAN, f64::INFINITY] {
            assert_eq!(utc_minute(seconds), None);
        }
    }
}
