//! Exact decimals.

use std::cmp::Ordering;

/// The longest number that is read, in characters.
const LONGEST: usize = 1024;

/// The largest exponent; one beyond counts as this.
const FARTHEST: i64 = 1_000_000_000_000_000_000;

/// A decimal: ±0.DIGITS × 10^magnitude, where DIGITS neither begins nor ends with a zero. Zero has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: String,
    magnitude: i64,
}

impl Decimal {
    /// Reads a number of JSON; `None` if it is longer than what is read.
    pub fn of(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading = all.len() - digits.len();
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
        let digits = digits.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, magnitude: 0 });
        }
        Some(Self { negative, digits, magnitude: bounded(exponent) + point })
    }

    /// Which is greater.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.sign(), other.sign()) {
            (a, b) if a != b => a.cmp(&b),
            (0, _) => Ordering::Equal,
            (1, _) => self.size(other),
            _ => other.size(self),
        }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn size(&self, other: &Self) -> Ordering {
        self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits))
    }
}

/// An exponent, brought within bounds.
fn bounded(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    sign * digits.parse::<i64>().unwrap_or(FARTHEST).min(FARTHEST)
}

/// What a text is, seen as a number.
pub enum Written {
    /// A number by every reader.
    Number(Decimal),
    /// Readers differ.
    Unclear,
    /// No number.
    No,
}

/// Reads a text as a number.
pub fn written(text: &str) -> Written {
    if text.len() > LONGEST {
        return Written::Unclear;
    }
    if plain(text) {
        return Decimal::of(text).map_or(Written::Unclear, Written::Number);
    }
    let bare = text.trim_start_matches(|c: char| c == '+' || c == '-' || c.is_whitespace()).to_lowercase();
    if text.chars().any(char::is_numeric) || ["inf", "infinity", "nan"].contains(&&*bare) {
        Written::Unclear
    } else {
        Written::No
    }
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?`
fn plain(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}
