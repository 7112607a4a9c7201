//! Dates on which a rule ends: RFC 3339 times and plain dates, by the proleptic Gregorian calendar.

use crate::session::Millis;

const DAY: u64 = 86_400_000;

/// The first moment at which something that lasts until `text` has ended, in milliseconds since the Unix epoch.
/// A plain date lasts until the end of that day, UTC. `None` if it is neither a date nor a time by RFC 3339,
/// section 5.6, from 1970 on. A leap second counts as the last second of its minute.
pub(super) fn end_of(text: &str) -> Option<Millis> {
    let (date, time) = text.split_at_checked(10)?;
    let start = days_of(date)?.checked_mul(DAY)?;
    if time.is_empty() {
        return start.checked_add(DAY);
    }
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let fraction_end = match rest.strip_prefix('.') {
        Some(digits) => 1 + digits.find(|c: char| !c.is_ascii_digit()).filter(|count| *count > 0)?,
        None => 0,
    };
    let (fraction, zone) = rest.split_at_checked(fraction_end)?;
    let millis =
        fraction.bytes().skip(1).zip([100u64, 10, 1]).map(|(digit, worth)| u64::from(digit - b'0') * worth);
    let moment = start + clock_of(clock)? + millis.sum::<u64>();
    match zone {
        "Z" | "z" => Some(moment),
        _ => {
            let (sign, offset) = zone.split_at_checked(1)?;
            let [hours, minutes] = numbers(offset, ':')?;
            let offset = (hours < 24 && minutes < 60).then_some((hours * 60 + minutes) * 60_000)?;
            match sign {
                "+" => moment.checked_sub(offset),
                "-" => moment.checked_add(offset),
                _ => None,
            }
        }
    }
}

/// Milliseconds into the day of `HH:MM:SS`.
fn clock_of(text: &str) -> Option<u64> {
    let [hours, minutes, seconds] = numbers(text, ':')?;
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    Some(((hours * 60 + minutes) * 60 + seconds.min(59)) * 1000)
}

/// Days since 1 January 1970 of `YYYY-MM-DD`.
fn days_of(text: &str) -> Option<u64> {
    let (year, rest) = text.split_at_checked(4)?;
    let year = number(year, 4)?;
    let [month, day] = numbers(rest.strip_prefix('-')?, '-')?;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if year < 1970 || day < 1 || day > *lengths.get(before)? {
        return None;
    }
    let leaps = |until: u64| until / 4 - until / 100 + until / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some(years + lengths.iter().take(before).sum::<u64>() + day - 1)
}

/// Numbers of two digits each, divided by `by`.
fn numbers<const N: usize>(text: &str, by: char) -> Option<[u64; N]> {
    let mut parts = text.split(by);
    let mut found = [0; N];
    for slot in &mut found {
        *slot = number(parts.next()?, 2)?;
    }
    parts.next().is_none().then_some(found)
}

fn number(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        // Computed with Python's datetime.
        for (text, millis) in [
            ("1970-01-01", Some(86_400_000)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-12-31", Some(1_798_761_600_000)),
            ("2026-12-31T23:59:59Z", Some(1_798_761_599_000)),
            ("2026-12-31t23:59:59.1239z", Some(1_798_761_599_123)),
            ("2027-01-01T01:59:59+02:00", Some(1_798_761_599_000)),
            ("2026-12-31T18:59:59-05:00", Some(1_798_761_599_000)),
            ("2024-02-29", Some(1_709_251_200_000)),
            ("2000-02-29", Some(951_868_800_000)),
            ("2100-03-01", Some(4_107_628_800_000)),
            ("2023-02-29", None),
            ("2100-02-29", None),
            ("1969-12-31", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-01-00", None),
            ("2026-1-1", None),
            ("2026-01-01T", None),
            ("2026-01-01T00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00+2", None),
            ("2026-01-01T00:00:00+25:00", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(end_of(text), millis, "{text}");
        }
    }
}
