//! Marks: what can be told about a clause from its letters and its place, without a lexicon.

use memchr::memchr_iter;

use super::set::Set;

macro_rules! marks {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// A mark. In signals it is written with an `@`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Mark { $($(#[doc = $doc])+ $name,)+ }

        impl Mark {
            const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$name),)+];

            /// How many there are.
            pub(super) const COUNT: usize = Self::ALL.len();

            /// All of them.
            pub(super) const ALL_BITS: Set = Set::EMPTY$(.or(Self::$name.bit()))+;
        }
    };
}

marks! {
    /// A mail address stands in it.
    Email = "email",
    /// A URL stands in it.
    Url = "url",
    /// An amount of money, or an account number.
    Amount = "amount",
    /// A quoted word: a concrete argument.
    Quoted = "quoted",
    /// Its letters are capitals.
    Loud = "loud",
    /// It holds letters that are not ASCII.
    Foreign = "foreign",
    /// It reads as a line of source code.
    Source = "source",
    /// It ends as a question.
    Question = "question",
    /// Block of code right after it.
    CodeFollows = "code-follows",
    /// `2+2`.
    Sum = "sum",
    /// In an HTML comment.
    Comment = "comment",
    /// In an attribute that readers of a page rarely see.
    Attribute = "attribute",
    /// In a part of a page that styles hide.
    Unseen = "unseen",
    /// A value of a record: JSON or the like.
    Value = "value",
    /// In a table's row or cell.
    Cell = "cell",
    /// Prose before, between or after the rows of a table.
    Outside = "outside",
    /// A comment of code.
    CodeComment = "code-comment",
    /// In a fenced block.
    Fence = "fence",
    /// Came out of a decoded layer.
    Encoded = "encoded",
    /// Letters in base64 that read as prose.
    Base64 = "base64",
    /// The same in hexadecimal, or as numbers.
    Hex = "hex",
    /// The same in zeroes and ones.
    Binary = "binary",
    /// The same in Morse code.
    Morse = "morse",
    /// Letters moved along the alphabet.
    Shifted = "shifted",
    /// Written backwards.
    Reversed = "reversed",
    /// Digits for letters.
    Leet = "leet",
    /// Letters set apart.
    Spaced = "spaced",
    /// Plain letters written as entities or escapes.
    Escaped = "escaped",
    /// The clause is most of the text.
    Alone = "alone",
    /// The first clause of the text.
    First = "first",
    /// The last clause of the text.
    Last = "last",
    /// The text is one of documentation: Markdown headings, lists, code.
    Manual = "manual",
    /// A clause shortly before it called the model, or pretended to be the system.
    Called = "called",
    /// Text of mail: a greeting or a signature.
    Mail = "mail",
    /// A URL with a place in it that somebody is to fill: `?d={text}`, `/<name>`, `?q=SUMMARY`.
    Slot = "slot",
    /// The text defines a tool, or is a word of a tool server's.
    Tool = "tool",
}

impl Mark {
    /// Marks that say where something stands.
    pub(super) const PLACES: Set =
        Self::Comment.bit().or(Self::Attribute.bit()).or(Self::Unseen.bit()).or(Self::CodeComment.bit());

    /// Marks that say what a layer was decoded from.
    pub(super) const DECODED: Set = Self::Encoded
        .bit()
        .or(Self::Base64.bit())
        .or(Self::Hex.bit())
        .or(Self::Binary.bit())
        .or(Self::Morse.bit())
        .or(Self::Shifted.bit())
        .or(Self::Reversed.bit())
        .or(Self::Leet.bit())
        .or(Self::Spaced.bit())
        .or(Self::Escaped.bit());

    /// The mark called `word`, written without its `@`.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, mark)| *mark)
    }

    /// All names, written without their `@`, and the numbers of their bits.
    pub(super) fn names() -> impl Iterator<Item = (&'static str, usize)> {
        Self::ALL.iter().map(|(name, mark)| (*name, Set::BITS - 1 - *mark as usize))
    }

    /// Its bit; concepts have the lower ones.
    pub(super) const fn bit(self) -> Set {
        Set::of(Set::BITS - 1 - self as usize)
    }
}

/// For each byte 4 if it may show something in a folded clause, and how much it may count as a sign of source code.
const TELLING: [u8; 256] = {
    let mut telling = [0; 256];
    let (mut rest, mut byte) = (telling.as_mut_slice(), 0u8);
    while let Some((first, others)) = rest.split_first_mut() {
        let shows = matches!(
            byte,
            b'@' | b':' | b'.' | b'$' | b'?' | b'\'' | b'"' | b'+' | b'*' | b'-' | 0xe2 | 0xc2 | 0xef | 0xd8
        );
        let sign = match byte {
            b'{' | b'}' | b';' | b'=' | b'$' | b'\\' | b':' => 2,
            b'(' | b'.' | b'[' | b')' | b'<' | b'>' | b'_' | b'&' | b'|' => 1,
            _ => 0,
        };
        *first = sign | if shows { 4 } else { 0 };
        (rest, byte) = (others, byte.wrapping_add(1));
    }
    telling
};

#[inline]
fn telling(byte: u8) -> u8 {
    TELLING.get(usize::from(byte)).copied().unwrap_or_default()
}

/// What the letters of a folded clause show.
pub(super) fn of_letters(folded: &str) -> Set {
    let bytes = folded.as_bytes();
    let mut set = Set::EMPTY;
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| telling(**byte) & 4 != 0) {
        let next = |n: usize| bytes.get(at + n).copied().unwrap_or(b' ');
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
        match byte {
            b'@' if before.is_ascii_alphanumeric() && next(1).is_ascii_alphanumeric() => {
                set |= Mark::Email.bit()
            }
            b':' if next(1) == b'/' && next(2) == b'/' => set |= Mark::Url.bit(),
            b'.' if bytes.get(..at).is_some_and(|before| before.ends_with(b"www")) => set |= Mark::Url.bit(),
            b'$' if next(1).is_ascii_digit() => set |= Mark::Amount.bit(),
            b'?' => set |= Mark::Question.bit(),
            b'\'' | b'"' if quotes(bytes, at) => set |= Mark::Quoted.bit(),
            b'+' | b'*' | b'-' if sum(bytes, at) => set |= Mark::Sum.bit(),
            0xe2 | 0xc2
                if ["€", "£", "₿", "¥"]
                    .iter()
                    .any(|sign| folded.get(at..).is_some_and(|rest| rest.starts_with(sign))) =>
            {
                set |= Mark::Amount.bit();
            }
            0xef | 0xd8
                if ["？", "؟"]
                    .iter()
                    .any(|mark| folded.get(at..).is_some_and(|rest| rest.starts_with(mark))) =>
            {
                set |= Mark::Question.bit();
            }
            _ => {}
        }
    }
    if !folded.is_ascii() && folded.chars().any(|c| !c.is_ascii() && c.is_alphabetic()) {
        set |= Mark::Foreign.bit();
    }
    set | account_number(bytes)
}

/// Whether a quoted word begins at `at`, inside of the clause: `with the name 'x'`.
fn quotes(bytes: &[u8], at: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let rest = bytes.get(at + 2..).unwrap_or_default();
    at > 8
        && !letter(at.checked_sub(1))
        && letter(Some(at + 1))
        && rest.iter().take(64).any(|b| bytes.get(at) == Some(b))
}

/// A digit on both sides, at most one space away.
fn sum(bytes: &[u8], at: usize) -> bool {
    let side = |near: Option<&u8>, far: Option<&u8>| match near {
        Some(b' ') => far.is_some_and(u8::is_ascii_digit),
        near => near.is_some_and(u8::is_ascii_digit),
    };
    let before = |n: usize| at.checked_sub(n).and_then(|at| bytes.get(at));
    side(before(1), before(2)) && side(bytes.get(at + 1), bytes.get(at + 2))
}

/// Fourteen digits or more, in groups or not, as account numbers of banks are written; or a number with the name
/// of a currency after it.
fn account_number(bytes: &[u8]) -> Set {
    if !bytes.iter().any(u8::is_ascii_digit) {
        return Set::EMPTY;
    }
    let (mut run, mut gap) = (0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        if byte.is_ascii_digit() {
            (run, gap) = (run + 1, 0);
            if run >= 14 {
                return Mark::Amount.bit();
            }
            continue;
        }
        if gap == 0 && run > 0 && is_money(bytes.get(at..).unwrap_or_default()) {
            return Mark::Amount.bit();
        }
        gap += 1;
        if gap > 1 || *byte != b' ' {
            run = 0;
        }
    }
    Set::EMPTY
}

/// Whether the name of a currency begins `rest`, after a space or none.
fn is_money(rest: &[u8]) -> bool {
    const NAMES: [&str; 22] = [
        "eur", "usd", "dollar", "gbp", "pound", "chf", "btc", "eth", "inr", "rupe", "rub", "yen", "jpy",
        "yuan", "cny", "reais", "peso", "zl", "руб", "евро", "元", "円",
    ];
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    NAMES.iter().any(|name| rest.starts_with(name.as_bytes()))
}

/// Whether a clause reads as source code: signs stand where a sentence has none. Addresses and what is set as code within
/// a sentence do not count.
pub(super) fn is_source(clause: &str) -> bool {
    let bytes = clause.as_bytes();
    // Most clauses have so few signs that nothing need be counted.
    let most: usize = bytes.iter().map(|byte| usize::from(telling(*byte) & 3)).sum();
    if most < 3 && bytes.iter().filter(|byte| **byte == b',').count() < 6 {
        return false;
    }
    let (mut signs, mut all, mut commas) = (0usize, 0usize, 0usize);
    let mut before = b' ';
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let skipped = match byte {
            b'`' => rest.iter().position(|b| *b == b'`').map(|end| end + 2),
            b':' if rest.starts_with(b"//") => {
                Some(rest.iter().position(|b| matches!(b, b' ' | b'\n' | b'"')).unwrap_or(rest.len()))
            }
            _ => None,
        };
        at += skipped.unwrap_or(1);
        if byte.is_ascii_whitespace() || skipped.is_some() {
            before = b' ';
            all += usize::from(skipped.is_some());
            continue;
        }
        all += 1;
        let joins = before.is_ascii_alphanumeric();
        signs += match byte {
            b'{' | b'}' | b';' | b'=' | b'$' | b'\\' => 2,
            b'(' | b'.' | b'[' | b':' if joins => 1,
            b':' if before == b':' => 2,
            b'(' | b')' | b'<' | b'>' | b'_' | b'&' | b'|' => 1,
            _ => 0,
        };
        commas += usize::from(byte == b',');
        before = byte;
    }
    // Names in a row, as in the list of an import.
    signs >= 3 && signs * 9 >= all || commas >= 6 && commas * 16 >= all
}

/// Whether most letters of a clause are capitals.
pub(super) fn is_loud(clause: &str) -> bool {
    let (mut upper, mut all) = (0u32, 0u32);
    let mut count = |is_upper: bool, has_case: bool| {
        all += u32::from(has_case);
        upper += u32::from(is_upper);
    };
    if clause.is_ascii() {
        if clause.bytes().filter(u8::is_ascii_uppercase).count() < 8 {
            return false;
        }
        clause.bytes().for_each(|b| count(b.is_ascii_uppercase(), b.is_ascii_alphabetic()));
    } else {
        let letters = clause.chars().filter(|c| c.is_alphabetic());
        letters.for_each(|c| count(c.is_uppercase(), c.is_uppercase() || c.is_lowercase()));
    }
    all >= 12 && upper * 5 >= all * 3
}

/// How far a URL is looked at.
const URL_REACH: usize = 240;

/// Whether a URL that begins in `start..stop` has a place in it that somebody is to fill. The clause may end within it.
pub(super) fn has_slot(text: &str, start: usize, stop: usize) -> bool {
    let bytes = text.as_bytes();
    let clause = bytes.get(start..stop).unwrap_or_default();
    let mut from = 0;
    // A clause is bounded, and so is what is looked at of each of its URLs.
    while let Some(at) = clause.get(from..).and_then(|rest| {
        let mut slashes = memchr_iter(b'/', rest);
        slashes.find(|at| rest.get(at + 1) == Some(&b'/'))
    }) {
        let begin = start + from + at + 2;
        let url = bytes.get(begin..bytes.len().min(begin + URL_REACH)).unwrap_or_default();
        let end = url.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`'));
        if is_to_fill(url.get(..end.unwrap_or(url.len())).unwrap_or_default()) {
            return true;
        }
        from += at + 2;
    }
    false
}

/// Whether a path or a query of `url` has a name in brackets or in capitals where a value belongs, or none.
fn is_to_fill(url: &[u8]) -> bool {
    let mut inside = false;
    for (at, byte) in url.iter().enumerate() {
        let next = |n: usize| url.get(at + n).copied().unwrap_or(b' ');
        let query = inside && matches!(byte, b'=' | b'/' | b'+');
        let capitals = || {
            url.get(at + 1..).unwrap_or_default().iter().take_while(|b| b.is_ascii_uppercase() || **b == b'_')
        };
        match byte {
            b'/' | b'?' if !inside => inside = true,
            // The host ends the address: what follows belongs to the sentence.
            b')' if !inside => return false,
            b'{' | b'<' | b'[' | b'='
                if inside && (*byte != b'=' && next(1).is_ascii_alphabetic() || next(1) >= 0x80) =>
            {
                return true;
            }
            _ => {}
        }
        if query && *byte != b'/' {
            let length = capitals().count();
            let ends = !next(length + 1).is_ascii_alphanumeric();
            if length >= 3 && ends || *byte == b'=' && matches!(next(1), b')' | b'\'' | b' ' | 0xe2) {
                return true;
            }
        } else if query && capitals().count() >= 4 && !next(capitals().count() + 1).is_ascii_alphanumeric() {
            return true;
        }
    }
    url.last() == Some(&b'=')
}
