//! Whole numbers that a line works out: `$((7000+879))`, `let`, `expr`, `bc`.
//!
//! A port or an octet that is written as a sum must read like the number itself. Operators and their order are
//! those of C, as POSIX has them (XCU 2.6.4); `**`, `0x`, a leading zero and `base#digits` are bash's.

/// The longest expression that is worked out, in bytes.
const LONGEST: usize = 512;

/// How deep brackets and signs may nest.
const DEEPEST: u32 = 32;

/// The value of `text`, with the values of names from `named`; `None` if it is no expression, or one that is not
/// worked out (assignments, overflows, division by zero).
pub(super) fn evaluate(text: &str, named: &mut dyn FnMut(&str) -> Option<i64>) -> Option<i64> {
    if text.len() > LONGEST {
        return None;
    }
    let mut reader = Reader { rest: text.trim(), named, depth: 0 };
    let value = reader.binary(0)?;
    reader.rest.trim_start().is_empty().then_some(value)
}

/// Operators of two operands, the longest spelling first, with how strongly they bind.
const OPERATORS: [(&str, u8); 18] = [
    ("**", 10),
    ("<<", 7),
    (">>", 7),
    ("<=", 6),
    (">=", 6),
    ("==", 5),
    ("!=", 5),
    ("&&", 1),
    ("||", 0),
    ("*", 9),
    ("/", 9),
    ("%", 9),
    ("+", 8),
    ("-", 8),
    ("<", 6),
    (">", 6),
    ("&", 4),
    ("^", 3),
];

struct Reader<'t, 'n> {
    rest: &'t str,
    named: &'n mut dyn FnMut(&str) -> Option<i64>,
    depth: u32,
}

impl Reader<'_, '_> {
    fn binary(&mut self, least: u8) -> Option<i64> {
        let mut left = self.unary()?;
        loop {
            self.rest = self.rest.trim_start();
            let bar = self.rest.starts_with('|') && !self.rest.starts_with("||");
            let known = OPERATORS.into_iter().find(|(sign, _)| self.rest.starts_with(sign));
            let Some((sign, binds)) = known.or_else(|| bar.then_some(("|", 2))) else { return Some(left) };
            if binds < least {
                return Some(left);
            }
            self.rest = self.rest.get(sign.len()..)?;
            let right = self.binary(if sign == "**" { binds } else { binds + 1 })?;
            left = combine(sign, left, right)?;
        }
    }

    fn unary(&mut self) -> Option<i64> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.rest = self.rest.trim_start();
        let first = self.rest.bytes().next()?;
        let value = match first {
            b'-' | b'+' | b'!' | b'~' => {
                self.rest = self.rest.get(1..)?;
                let value = self.unary()?;
                match first {
                    b'-' => value.checked_neg()?,
                    b'!' => i64::from(value == 0),
                    b'~' => !value,
                    _ => value,
                }
            }
            b'(' => {
                self.rest = self.rest.get(1..)?;
                let value = self.binary(0)?;
                self.rest = self.rest.trim_start().strip_prefix(')')?;
                value
            }
            _ => self.operand()?,
        };
        self.depth -= 1;
        Some(value)
    }

    fn operand(&mut self) -> Option<i64> {
        let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'#' | b'@');
        let length = self.rest.bytes().take_while(word).count();
        let (token, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        if token.starts_with(|c: char| c.is_ascii_digit()) {
            return number(token);
        }
        if token.is_empty() || token.contains(['#', '@']) {
            return None;
        }
        (self.named)(token)
    }
}

/// A literal of bash.
pub(super) fn number(token: &str) -> Option<i64> {
    let token = token.trim();
    if let Some((base, digits)) = token.split_once('#') {
        let base = base.parse().ok().filter(|base| (2..=36).contains(base))?;
        return i64::from_str_radix(digits, base).ok();
    }
    if let Some(digits) = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")) {
        return i64::from_str_radix(digits, 16).ok();
    }
    match token.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => i64::from_str_radix(digits, 8).ok(),
        _ => token.parse().ok(),
    }
}

fn combine(sign: &str, a: i64, b: i64) -> Option<i64> {
    let small = |n: i64| u32::try_from(n).ok();
    Some(match sign {
        "**" => a.checked_pow(small(b)?)?,
        "*" => a.checked_mul(b)?,
        "/" => a.checked_div(b)?,
        "%" => a.checked_rem(b)?,
        "+" => a.checked_add(b)?,
        "-" => a.checked_sub(b)?,
        "<<" => a.checked_shl(small(b)?)?,
        ">>" => a.checked_shr(small(b)?)?,
        "<" => i64::from(a < b),
        ">" => i64::from(a > b),
        "<=" => i64::from(a <= b),
        ">=" => i64::from(a >= b),
        "==" => i64::from(a == b),
        "!=" => i64::from(a != b),
        "&" => a & b,
        "^" => a ^ b,
        "|" => a | b,
        "&&" => i64::from(a != 0 && b != 0),
        "||" => i64::from(a != 0 || b != 0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::evaluate;

    fn value(text: &str) -> Option<i64> {
        evaluate(text, &mut |name| (name == "p").then_some(7000))
    }

    #[test]
    fn numbers_are_worked_out_as_shells_do() {
        for (text, expected) in [
            ("7000+879", 7879),
            (" p + 0x36f ", 7879),
            ("2**3**2", 512),
            ("1+2*3", 7),
            ("(1+2)*3", 9),
            ("-3+~0", -4),
            ("017", 15),
            ("16#1ec7", 7879),
            ("1<<4|3", 19),
            ("10/3%2", 1),
            ("3>2&&2>=2", 1),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in ["", "1/0", "q+1", "1+", "(1", "p=3", "9223372036854775807+1", "1 2", "${x}+1", "08"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_ends() {
        assert_eq!(value(&"(".repeat(400)), None);
        assert_eq!(value(&"-".repeat(400)), None);
        assert_eq!(value(&"1+".repeat(1000)), None);
    }
}
