//! Numbers that are as good as money: cards and bank accounts.

use super::checks;

/// A card number in `text` around the digits at `start..end`: an issuer's range, Luhn's check, and either a form in
/// groups or a word before it that says what it is.
pub(super) fn card(text: &str, start: usize, end: usize) -> bool {
    let Some(number) = text.get(start..end) else { return false };
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if !issued(&digits) || !checks::luhn(&digits) || super::value::is_placeholder(&digits) {
        return false;
    }
    let grouped = number.len() > digits.len();
    grouped || announced(text, start)
}

/// The ranges that card networks issue from, with the lengths they use (ISO/IEC 7812).
fn issued(digits: &str) -> bool {
    let number = |length: usize| digits.get(..length).and_then(|head| head.parse::<u32>().ok()).unwrap_or(0);
    match digits.len() {
        15 => matches!(number(2), 34 | 37),
        14 => matches!(number(2), 36 | 38) || (300..=305).contains(&number(3)),
        16 => {
            matches!(number(1), 4)
                || (51..=55).contains(&number(2))
                || (2221..=2720).contains(&number(4))
                || matches!(number(4), 6011)
                || matches!(number(2), 65)
                || (644..=649).contains(&number(3))
                || (3528..=3589).contains(&number(4))
        }
        13 | 19 => number(1) == 4,
        _ => false,
    }
}

/// Whether one of the words that go with cards stands shortly before.
fn announced(text: &str, start: usize) -> bool {
    const WORDS: [&str; 15] = [
        "card",
        "visa",
        "mastercard",
        "amex",
        "american express",
        "discover",
        "credit",
        "debit",
        "ccnum",
        "cc:",
        "pan:",
        "pan=",
        "pan\"",
        "pan'",
        "kreditkarte",
    ];
    let mut from = start.saturating_sub(48);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = text.get(from..start).unwrap_or_default().to_ascii_lowercase();
    WORDS.iter().any(|word| before.contains(word))
}

/// Where a number with digits in groups ends that begins at `start`: digits with single spaces or dashes between.
pub(super) fn groups(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut end = start;
    while end < start + 24 {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        if digit(end) || matches!(bytes.get(end), Some(b' ' | b'-')) && digit(end + 1) {
            end += 1;
        } else {
            break;
        }
    }
    end
}

/// Whether `text` is an account number (ISO 13616), spaces left out.
pub(super) fn iban(text: &str) -> bool {
    const COUNTRIES: &str = "AD AE AL AT AZ BA BE BG BH BI BR BY CH CR CY CZ DE DJ DK DO EE EG ES FI FK FO FR GB GE GI GL GR \
                             GT HR HU IE IL IQ IS IT JO KW KZ LB LC LI LT LU LV LY MC MD ME MK MN MR MT MU NI NL NO OM PK PL PS \
                             PT QA RO RS RU SA SC SD SE SI SK SM SO ST SV TL TN TR UA VA VG XK YE";
    // Asked of each long run that begins with a capital: of base64 that is every other one.
    let mut digits = text.bytes().filter(|byte| *byte != b' ');
    let begins = digits.by_ref().take(2).all(|byte| byte.is_ascii_uppercase())
        && digits.take(2).all(|byte| byte.is_ascii_digit());
    if !begins {
        return false;
    }
    let number: String = text.chars().filter(|c| *c != ' ').collect();
    let country = number.get(..2).unwrap_or_default();
    let known = country.len() == 2 && COUNTRIES.split_whitespace().any(|known| known == country);
    known && (15..=34).contains(&number.len()) && checks::iban(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> bool {
        let start = text.find(|c: char| c.is_ascii_digit()).unwrap();
        card(text, start, groups(text, start))
    }

    #[test]
    fn cards_need_issuer_check_and_context() {
        assert!(
            seen("card 4539578763621486") && seen("4539 5787 6362 1486") && seen("pay 3782-822463-10005")
        );
        // Another check digit, no context, a time in nanoseconds, an issuer that is none.
        assert!(!seen("card 4539578763621487") && !seen("order 4539578763621486"));
        assert!(!seen("card 1700000000000000005") && !seen("card 9999578763621489"));
    }

    #[test]
    fn accounts_need_a_country_and_a_check() {
        assert!(iban("DE89370400440532013000") && iban("GB82 WEST 1234 5698 7654 32"));
        assert!(!iban("DE89370400440532013001") && !iban("ZZ82WEST12345698765432") && !iban("DE89"));
    }
}
