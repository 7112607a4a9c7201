//! Times as people type them: `7d` ago, `2026-11-21`.

use doorward_core::session::Millis;

const SECOND: Millis = 1000;
const DAY: Millis = 24 * 60 * 60 * SECOND;

/// A length of time: a number with `s`, `m`, `h`, `d` or `w`, at most ten years. In milliseconds.
fn length(text: &str) -> Option<Millis> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    let length = number.parse::<Millis>().ok().filter(|_| digits)?.checked_mul(unit)?;
    (length <= 3660 * DAY).then_some(length)
}

/// The beginning of a day, UTC.
fn day(text: &str) -> Option<Millis> {
    let mut numbers = text.split('-').map(|part| {
        let digits = part.bytes().all(|digit| digit.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| digits)
    });
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if numbers.next().is_some() || text.len() != 10 || !(1970..=9999).contains(&year) {
        return None;
    }
    let millis = Millis::try_from(days(year, month, day)).ok()?.checked_mul(DAY)?;
    // What is no day (the 30th of February) is another one when written back.
    (date(millis) == text).then_some(millis)
}

/// Days from the Unix epoch to a day of the Gregorian calendar. Years are counted from March, so that the day that
/// leap years have more is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From March on the lengths of months repeat after five: 31 30 31 30 31.
    let of_months = (153 * month + 2) / 5;
    // From the first of March of the year 0 to the epoch it is 719,468 days.
    365 * year + leap_days + of_months + day - 1 - 719_468
}

/// The day of a time, UTC, as `2026-11-21`.
pub fn date(millis: Millis) -> String {
    let wanted = i64::try_from(millis / DAY).unwrap_or(0);
    // A year too high at most, since no year is shorter than 365 days.
    let mut year = 1970 + wanted / 365;
    while days(year, 1, 1) > wanted {
        year -= 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= wanted).unwrap_or(1);
    let day = wanted - days(year, month, 1) + 1;
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time that `text` says, before `now`: a length of time ago, or the beginning of a day.
///
/// # Errors
/// How it is to be written.
pub fn past(text: &str, now: Millis) -> Result<Millis, String> {
    let time = length(text).map(|length| now.saturating_sub(length)).or_else(|| day(text));
    time.ok_or_else(|| format!("`{}` is no time: write 24h, 7d or 2026-11-21", text.escape_debug()))
}

/// The time that `text` says, after `now`: in a length of time, or the end of a day.
///
/// # Errors
/// How it is to be written, or that it is past.
pub fn future(text: &str, now: Millis) -> Result<Millis, String> {
    let time = length(text).map(|length| now.saturating_add(length)).or_else(|| Some(day(text)? + DAY));
    let time =
        time.ok_or_else(|| format!("`{}` is no time: write 24h, 7d or 2026-11-21", text.escape_debug()))?;
    if time > now { Ok(time) } else { Err(format!("`{text}` is past")) }
}

/// A time by RFC 3339, UTC, to the second.
pub fn rfc3339(millis: Millis) -> String {
    let seconds = millis % DAY / SECOND;
    format!("{}T{:02}:{:02}:{:02}Z", date(millis), seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_795_251_600_000;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1970-12-31", 364),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-11-21", 20_778),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(day(text), Some(days * DAY), "{text}");
        }
        for day in 0..200_000 {
            let text = date(day * DAY + 7);
            assert_eq!(super::day(&text), Some(day * DAY), "{text}");
        }
        for bad in
            ["2026-02-30", "1900-02-29", "2026-13-01", "2026-1-1", "2026-11-21Z", "+026-01-01", "1969-01-01"]
        {
            assert_eq!(day(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_lengths_or_days() {
        assert_eq!(past("2h", NOW), Ok(NOW - 7_200_000));
        assert_eq!(past("1w", NOW), Ok(NOW - 7 * DAY));
        assert_eq!(past("2026-11-21", NOW), Ok(20_778 * DAY));
        assert_eq!(future("30s", NOW), Ok(NOW + 30_000));
        assert_eq!(future("2026-11-21", NOW), Ok(20_779 * DAY), "until its end");
        assert!(future("2026-11-20", NOW).is_err(), "past");
        assert_eq!(rfc3339(NOW + 1_999), "2026-11-21T09:00:01Z");
        for bad in ["", "7", "d", "-1d", "+1d", "1y", "99999w", "99999999999999999999d", "١d"] {
            assert!(past(bad, NOW).is_err(), "{bad}");
        }
        assert!(past("x", NOW).unwrap_err().contains("7d"));
    }
}
