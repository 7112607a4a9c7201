//! Base64 (RFC 4648), as detection reads it: either alphabet, wherever it ends.

/// What no digit is.
const NONE: u8 = 0xff;

const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let (mut rest, mut byte) = (digits.as_mut_slice(), 0u8);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => NONE,
        };
        (rest, byte) = (others, byte.wrapping_add(1));
    }
    digits
};

fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(NONE)
}

/// Appends to `out` what the digits at the beginning of `text` stand for, and returns how many there are. Padding and
/// white space are no digits; bits that make no whole byte are dropped.
pub(crate) fn decode_into(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut done = 0;
    for four in text.chunks_exact(4) {
        let &[a, b, c, d] = four else { break };
        let (a, b, c, d) = (digit(a), digit(b), digit(c), digit(d));
        if (a | b | c | d) & 0xc0 != 0 {
            break;
        }
        out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
        done += 4;
    }
    let mut rest = text
        .get(done..)
        .unwrap_or_default()
        .iter()
        .map(|byte| digit(*byte))
        .take_while(|digit| *digit != NONE);
    match (rest.next(), rest.next(), rest.next()) {
        (Some(a), Some(b), None) => {
            out.push(a << 2 | b >> 4);
            done + 2
        }
        (Some(a), Some(b), Some(c)) => {
            out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]);
            done + 3
        }
        (first, ..) => done + usize::from(first.is_some()),
    }
}

/// What `text` stands for; `None` if something in it is no digit. Padding is optional.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    (decode_into(digits, &mut out) == digits.len()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_read() {
        // RFC 4648, section 10.
        for (text, wanted) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYmE", "fooba"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(wanted.as_bytes()), "{text}");
        }
        assert_eq!(decode("+/-_"), Some(vec![0xfb, 0xff, 0xbf]));
        for text in ["Zm9v Yg", "Zm=9v", "Zm9vYm*y", "\u{e9}"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_beginning_is_read_up_to_what_is_no_digit() {
        for (text, digits, wanted) in
            [("Zm9vYmFy!", 8, "foobar"), ("Zm9vY!mFy", 5, "foo"), ("Zm9vYm!y", 6, "foob"), ("!Zm9v", 0, "")]
        {
            let mut out = Vec::new();
            assert_eq!(decode_into(text.as_bytes(), &mut out), digits, "{text}");
            assert_eq!(out, wanted.as_bytes(), "{text}");
        }
    }
}
