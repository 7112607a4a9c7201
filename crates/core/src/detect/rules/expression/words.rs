//! Words without which an expression cannot match: looking for them is quicker than trying it.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The most texts that stand for one expression, or part of it.
const MOST: usize = 24;

/// The shortest word that is worth looking for, in bytes.
const SHORTEST: usize = 2;

/// Words longer than this are no better.
const LONG_ENOUGH: usize = 6;

/// Texts, in small letters.
type Texts = Vec<Vec<u8>>;

/// All that an expression fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct All {
    pub(super) texts: Texts,
    /// Whether it fits them wherever they stand, in capitals too.
    pub(super) plain: bool,
}

impl All {
    fn nothing(plain: bool) -> Self {
        Self { texts: vec![Vec::new()], plain }
    }

    /// Each of these, with each of those behind it.
    fn then(&self, next: &Self) -> Option<Self> {
        if self.texts.len() * next.texts.len() > MOST {
            return None;
        }
        let of =
            |first: &Vec<u8>| next.texts.iter().map(|second| [&**first, second].concat()).collect::<Texts>();
        Some(Self { texts: self.texts.iter().flat_map(of).collect(), plain: self.plain && next.plain })
    }
}

/// Everything `hir` fits, if that is not much.
pub(super) fn all(hir: &Hir) -> Option<All> {
    match hir.kind() {
        HirKind::Empty => Some(All::nothing(true)),
        HirKind::Look(_) => Some(All::nothing(false)),
        HirKind::Literal(literal) => {
            let text = literal.0.to_ascii_lowercase();
            let plain = !text.iter().any(u8::is_ascii_lowercase);
            Some(All { texts: vec![text], plain })
        }
        HirKind::Class(class) => of_class(class),
        HirKind::Repetition(repetition) => {
            let one = all(&repetition.sub)?;
            match (repetition.min, repetition.max) {
                (0, Some(1)) => Some(All { texts: [one.texts, vec![Vec::new()]].concat(), plain: one.plain }),
                (1, Some(1)) => Some(one),
                _ => None,
            }
        }
        HirKind::Capture(capture) => all(&capture.sub),
        HirKind::Concat(parts) => {
            parts.iter().try_fold(All::nothing(true), |before, part| before.then(&all(part)?))
        }
        HirKind::Alternation(arms) => {
            let mut together = All { texts: Vec::new(), plain: true };
            for arm in arms {
                let arm = all(arm)?;
                together.plain &= arm.plain;
                together.texts.extend(arm.texts);
            }
            (together.texts.len() <= MOST).then_some(together)
        }
    }
}

fn of_class(class: &Class) -> Option<All> {
    let bytes: Vec<u8> = match class {
        Class::Unicode(class) if class.is_ascii() => {
            let ranges = class.iter().map(|range| (u32::from(range.start()), u32::from(range.end())));
            ranges
                .flat_map(|(start, end)| start..=end)
                .take(MOST)
                .filter_map(|c| u8::try_from(c).ok())
                .collect()
        }
        Class::Bytes(class) if class.is_ascii() => {
            class.iter().flat_map(|range| range.start()..=range.end()).take(MOST).collect()
        }
        Class::Unicode(_) | Class::Bytes(_) => return None,
    };
    let mut letters: Vec<u8> = bytes.iter().map(u8::to_ascii_lowercase).collect();
    letters.sort_unstable();
    letters.dedup();
    let other_case = |byte: &u8| {
        if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
    };
    let plain = bytes.iter().all(|byte| bytes.contains(&other_case(byte)));
    (bytes.len() < MOST && !letters.is_empty())
        .then(|| All { texts: letters.into_iter().map(|letter| vec![letter]).collect(), plain })
}

/// Texts of which one stands in everything that `hir` fits, whatever its case: the longest there are.
pub(super) fn needed(hir: &Hir) -> Option<Texts> {
    let whole = all(hir).map(|all| all.texts).filter(|texts| worth(texts) > 0);
    match hir.kind() {
        _ if whole.is_some() => whole,
        HirKind::Concat(parts) => of_sequence(parts),
        HirKind::Capture(capture) => needed(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needed(&repetition.sub),
        HirKind::Alternation(arms) => {
            let texts = arms.iter().map(needed).collect::<Option<Vec<Texts>>>()?.concat();
            (texts.len() <= 2 * MOST).then_some(texts)
        }
        _ => None,
    }
}

/// The best of what the parts need, and of what stands next to each other in them.
fn of_sequence(parts: &[Hir]) -> Option<Texts> {
    let mut found: Vec<Texts> = Vec::new();
    let mut run = All::nothing(true);
    for part in parts {
        let next = all(part);
        if let Some(longer) = next.as_ref().and_then(|next| run.then(next)) {
            run = longer;
            continue;
        }
        found.push(std::mem::take(&mut run.texts));
        run = next.unwrap_or_else(|| All::nothing(true));
        found.extend(needed(part));
    }
    found.push(run.texts);
    found
        .into_iter()
        .filter(|texts| worth(texts) > 0)
        .max_by_key(|texts| (worth(texts), std::cmp::Reverse(texts.len())))
}

/// How much looking for these tells: the length of the shortest. Nothing if they are too short.
pub(super) fn worth(texts: &[Vec<u8>]) -> usize {
    let shortest = texts.iter().map(Vec::len).min().unwrap_or_default();
    if shortest < SHORTEST { 0 } else { shortest.min(LONG_ENOUGH) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pattern: &str) -> Option<Vec<String>> {
        let hir = super::super::plan::read(pattern).unwrap();
        let mut words =
            needed(&hir)?.into_iter().map(|word| String::from_utf8(word).unwrap()).collect::<Vec<_>>();
        words.sort();
        Some(words)
    }

    #[test]
    fn the_words_are_those_that_every_match_has() {
        for (pattern, wanted) in [
            ("abc", &["abc"][..]),
            ("(?i)aBc", &["abc"]),
            ("(?i)ab[cd]e?", &["abc", "abce", "abd", "abde"]),
            (r"(?i)x.*(left|right)\s+to", &["left", "right"]),
            (r"a+bcd\d*", &["bcd"]),
            (r"(abc)+\s", &["abc"]),
            ("(one|other)?two", &["onetwo", "othertwo", "two"]),
            (r"\bnet1?\b", &["net", "net1"]),
        ] {
            assert_eq!(
                words(pattern).as_deref(),
                Some(&wanted.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..]),
                "{pattern}"
            );
        }
        for pattern in [r"\w+", "a", "(abc)?", "(abc|d)", ".*", "[a-z]x?[a-z]"] {
            assert_eq!(words(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn what_fits_in_any_case_is_told_from_what_does_not() {
        let plain = |pattern: &str| all(&super::super::plan::read(pattern).unwrap()).map(|all| all.plain);
        assert_eq!(plain("(?i)fltmc"), Some(true));
        assert_eq!(plain("(?i)kiosks"), Some(true));
        assert_eq!(plain("fltmc"), Some(false));
        assert_eq!(plain("(?i)x[A-B]"), Some(true));
        assert_eq!(plain(r"(?i)\bsense"), Some(false));
        assert_eq!(plain("::1"), Some(true));
        assert_eq!(plain("a{3}"), None);
    }
}
