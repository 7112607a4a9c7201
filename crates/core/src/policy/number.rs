//! Exact decimals of any size. A number is compared as it is written: nothing is rounded through a float, and
//! nothing is written out, so that `1e999999999` costs its twelve characters.

use std::cmp::Ordering;

/// The longest spelling of a number that is read, in bytes. What is longer no reader takes exactly, and few
/// take alike.
pub(super) const LONGEST: usize = 1024;

/// Exponents beyond this count as this.
const FARTHEST: i64 = 1_000_000_000_000_000_000;

/// A decimal: ±0.d₁d₂d₃… × 10^magnitude with d₁ ≠ 0, or zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal<'a> {
    negative: bool,
    /// `None`: zero.
    magnitude: Option<i64>,
    /// The digits from the first that counts on, in two pieces: where the point stood.
    whole: &'a str,
    fraction: &'a str,
}

/// What a text is as a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numeral<'a> {
    /// Every reader that takes it for a number takes it for this one.
    Exact(Decimal<'a>),
    /// Readers differ: `060`, `+5`, `6e4`, `60,000`, `12 apples`.
    Unclear,
    /// No reader takes it for a number.
    None,
}

impl<'a> Decimal<'a> {
    /// Reads a number as JSON and YAML spell it: sign, digits with or without a point, exponent. `None` if it
    /// is none, or longer than [`LONGEST`].
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, whole_number(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return None;
        }
        Some(Self::of(negative, whole, fraction, exponent))
    }

    fn of(negative: bool, whole: &'a str, fraction: &'a str, exponent: i64) -> Self {
        let whole = whole.trim_start_matches('0');
        let significant = if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction };
        let point = if whole.is_empty() {
            // The zeros between point and first digit.
            i64::try_from(fraction.len() - significant.len()).map_or(-FARTHEST, |zeros| -zeros)
        } else {
            i64::try_from(whole.len()).unwrap_or(FARTHEST)
        };
        let zero = whole.is_empty() && significant.is_empty();
        let magnitude = (!zero).then(|| point.saturating_add(exponent));
        Self { negative: negative && !zero, magnitude, whole, fraction: significant }
    }

    /// The same text for the same number, whatever its spelling.
    pub(super) fn canonical(&self) -> String {
        let digits: String = self.digits().map(char::from).collect();
        let sign = if self.negative { "-" } else { "" };
        match self.magnitude {
            Some(magnitude) => format!("{sign}0.{}e{magnitude}", digits.trim_end_matches('0')),
            None => "0".to_owned(),
        }
    }

    /// The number in billionths, if it is that exactly, is not negative and fits.
    pub(super) fn billionths(&self) -> Option<u64> {
        let Some(magnitude) = self.magnitude else { return Some(0) };
        if self.negative {
            return None;
        }
        let mut digits: Vec<u8> = self.digits().collect();
        while digits.pop_if(|digit| *digit == b'0').is_some() {}
        // 0.d₁d₂d₃… × 10^magnitude × 10⁹, as a whole number and the zeros behind it.
        let zeros = magnitude.checked_add(9)?.checked_sub(i64::try_from(digits.len()).ok()?)?;
        let zeros = u32::try_from(zeros).ok()?;
        let whole = digits.iter().try_fold(0u64, |whole, digit| {
            whole.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?))
        })?;
        whole.checked_mul(10u64.checked_pow(zeros)?)
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// Which is larger, exactly.
    pub(super) fn compare(&self, other: &Decimal<'_>) -> Ordering {
        let size = || self.magnitude.cmp(&other.magnitude).then_with(|| self.compare_digits(other));
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            // Zero has no magnitude, and nothing is less than something.
            (false, false) => size(),
            (true, true) => size().reverse(),
        }
    }

    /// Of two numbers of one magnitude; digits that are not written are zeros.
    fn compare_digits(&self, other: &Decimal<'_>) -> Ordering {
        let (mut ours, mut theirs) = (self.digits(), other.digits());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return Ordering::Equal,
                (a, b) => match a.unwrap_or(b'0').cmp(&b.unwrap_or(b'0')) {
                    Ordering::Equal => {}
                    different => return different,
                },
            }
        }
    }
}

impl<'a> Numeral<'a> {
    /// What `text` is as a number: exact is `-?(0|[1-9][0-9]*)(\.[0-9]+)?` and nothing around it. Unclear is
    /// everything else with a digit in it (of any script), the words for infinity and for no number, and any
    /// text longer than [`LONGEST`] bytes.
    pub(super) fn of(text: &'a str) -> Self {
        if text.len() > LONGEST {
            return Self::Unclear;
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits);
        if plain {
            return Self::Exact(Decimal::of(text != unsigned, whole, fraction.unwrap_or_default(), 0));
        }
        let word = unsigned.trim().trim_start_matches(['+', '-']);
        let is_word = ["inf", "infinity", "nan"].iter().any(|known| word.eq_ignore_ascii_case(known));
        if is_word || text.contains(char::is_numeric) { Self::Unclear } else { Self::None }
    }
}

/// An exponent, held to ±[`FARTHEST`].
fn whole_number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return None;
    }
    let size = digits.bytes().try_fold(0i64, |size, byte| {
        let digit = char::from(byte).to_digit(10)?;
        Some(size.saturating_mul(10).saturating_add(i64::from(digit)).min(FARTHEST))
    })?;
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(a: &str, b: &str) -> Ordering {
        Decimal::parse(a).unwrap().compare(&Decimal::parse(b).unwrap())
    }

    #[test]
    fn numbers_of_any_spelling_are_compared_by_value() {
        for (a, b) in [
            ("60000", "6e4"),
            ("60000", "60000.000"),
            ("60000", "0.6E+5"),
            ("60000", "600000e-1"),
            ("0", "-0.0e7"),
            ("0", "0e999999999"),
            ("1e20", "100000000000000000000"),
            ("0.001", "1e-3"),
            (".5", "+0.50"),
            ("5.", "5"),
            ("-1.10", "-11e-1"),
            ("1e99999999999999999999", "1e999999999999999999999999"),
        ] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
        let ascending = [
            "-1e999999999",
            "-60000.5",
            "-60000",
            "-0.1",
            "-1e-999999999",
            "0",
            "1e-999999999",
            "0.09",
            "0.1",
            "0.10000000000000000000000000001",
            "50000",
            "50000.0000000000000000001",
            "60000.5",
            "9007199254740992",
            "9007199254740993",
            "1e20",
            "100000000000000000001",
            "1e999999999",
            "2e999999999",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn billionths_are_exact_or_none() {
        for (text, expected) in [
            ("0", 0),
            ("0.000", 0),
            ("1", 1_000_000_000),
            ("2.50", 2_500_000_000),
            ("0.000000001", 1),
            ("0.0000000010", 1),
            ("1e-9", 1),
            ("12.5e3", 12_500_000_000_000),
            ("1e9", 1_000_000_000_000_000_000),
            ("100000.000000001", 100_000_000_000_001),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().billionths(), Some(expected), "{text}");
        }
        for text in ["-1", "0.0000000001", "1e-10", "1e11", "1e999999999", "18446744074", "1.0000000001"] {
            assert_eq!(Decimal::parse(text).unwrap().billionths(), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".", "e5", "1e", "1e+", "1.2.3", "0x10", "1 ", "١", "--1", "1e5.0", "NaN"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
        assert!(Decimal::parse(&"1".repeat(LONGEST)).is_some());
        assert!(Decimal::parse(&"1".repeat(LONGEST + 1)).is_none());
    }

    #[test]
    fn numerals_in_text() {
        for text in ["0", "60000", "-5", "60000.50", "0.5", "-0"] {
            assert!(matches!(Numeral::of(text), Numeral::Exact(_)), "{text}");
        }
        let unclear =
            ["060", "+5", "6e4", " 60", "60 ", "60,000", "0x1F", "1_0", "5.", ".5", "٦٠", "12 apples"];
        for text in unclear.into_iter().chain(["Infinity", "-inf", "NaN", "½", &"9".repeat(LONGEST + 1)]) {
            assert!(matches!(Numeral::of(text), Numeral::Unclear), "{text}");
        }
        for text in ["", "-", "abc", ".", "ten", "information"] {
            assert!(matches!(Numeral::of(text), Numeral::None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn comparing_agrees_with_whole_numbers(a in any::<i64>(), b in any::<i64>(), zeros in 0usize..20) {
            let shifted = |n: i64| format!("{n}{}e-{zeros}", "0".repeat(zeros));
            prop_assert_eq!(compare(&a.to_string(), &shifted(b)), a.cmp(&b));
            prop_assert_eq!(compare(&shifted(a), &format!("{b}.0")), a.cmp(&b));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (Decimal::parse(&text).is_some(), Numeral::of(&text));
        }

        #[test]
        fn an_exact_numeral_is_a_number_of_that_value(text in "-?[0-9]{1,6}(\\.[0-9]{1,4})?") {
            if let Numeral::Exact(value) = Numeral::of(&text) {
                prop_assert_eq!(value.compare(&Decimal::parse(&text).unwrap()), Ordering::Equal);
            } else {
                prop_assert!(text.trim_start_matches('-').starts_with('0'));
            }
        }
    }
}
