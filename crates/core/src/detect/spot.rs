//! Many literals in one pass. An automaton of thousands of them takes tens of megabytes, and each of its steps waits for
//! the one before; so the first bytes of every place are looked up in small tables instead, all of which fit into the
//! fastest cache, and only where some literal begins like that are the few that do compared, eight bytes at once.

use super::swar::{load, load_end, lower, with_spaces};
use crate::pace::Pace;

/// A literal to be found.
#[derive(Clone, Debug)]
pub(super) struct Literal<'a> {
    pub(super) text: &'a str,
    /// Whether an ASCII letter or digit may stand before it.
    pub(super) within: bool,
    /// Whether one may stand after it.
    pub(super) open: bool,
    /// Whether it is words: a space in it stands for the end of a line too. It is looked up by its longest word, for the
    /// first is often one that stands everywhere.
    pub(super) words: bool,
}

/// Finds literals, whatever the case of their ASCII letters.
#[derive(Debug)]
pub(super) struct Spotter {
    literals: Vec<Kept>,
    /// By the first three bytes of their anchors, all of them: most places are left here.
    first: Filter<3, 16>,
    /// By the first bytes of their anchors: those with six and more, with four and five, and with less.
    long: Filter<6, 17>,
    short: Filter<4, 15>,
    shortest: Filter<3, 15>,
    /// Those of the first two together, and the others: these by two bytes, for what may follow two letters would fill it.
    longer: Lists<4, 13>,
    shorter: Lists<2, 10>,
}

/// A place where a literal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which one, in the order they were given.
    pub(super) literal: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A literal in small letters, and where it is looked up.
#[derive(Debug)]
struct Kept {
    text: Box<[u8]>,
    anchor: usize,
    within: bool,
    open: bool,
    words: bool,
}

impl Spotter {
    /// # Errors
    /// What is wrong with the literals, in words: one has less than two bytes, or there are too many.
    pub(super) fn new<'a>(literals: impl Iterator<Item = Literal<'a>>) -> Result<Self, String> {
        let literals: Vec<Kept> = literals.map(|literal| Kept::of(&literal)).collect();
        let (mut long, mut short, mut shortest) = (Vec::new(), Vec::new(), Vec::new());
        for (index, kept) in literals.iter().enumerate() {
            let entry = kept.entry(u32::try_from(index).map_err(|_| "too many literals".to_owned())?);
            let all = match kept.front().len() {
                6.. => &mut long,
                4.. => &mut short,
                2.. => &mut shortest,
                _ => return Err(format!("`{}` is too short", String::from_utf8_lossy(&kept.text))),
            };
            all.extend(kept.heads().into_iter().map(|head| (head, entry)));
        }
        Ok(Self {
            literals,
            first: Filter::new(&[long.as_slice(), &short, &shortest].concat()),
            long: Filter::new(&long),
            short: Filter::new(&short),
            shortest: Filter::new(&shortest),
            longer: Lists::new([long, short].concat())?,
            shorter: Lists::new(shortest)?,
        })
    }

    /// Gives `found` each place where a literal stands, by where they begin; but literals of words by where the
    /// longest of these does.
    pub(super) fn each(&self, text: &str, found: impl FnMut(Spot)) {
        self.each_in_steps(text, &Pace::whole(), found);
    }

    /// The same, in steps.
    pub(super) fn each_in_steps(&self, text: &str, pace: &Pace<'_>, mut found: impl FnMut(Spot)) {
        let bytes = text.as_bytes();
        let mut word = false;
        // Places are gathered before they are looked at, and once more before literals are: a branch at each would be taken
        // wrongly too often.
        let mut places = [0u16; STRETCH];
        let last = bytes.len().saturating_sub(7);
        let mut from = 0;
        while from < last {
            let stretch = bytes.get(from..(from + STRETCH + 7).min(bytes.len())).unwrap_or_default();
            let mut count = 0;
            for (at, eight) in (0u16..).zip(stretch.windows(8)) {
                let &[a, b, c, d, e, f, g, h] = eight else { break };
                let head = head(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
                // The lower bit is for what begins anywhere, the other for what begins words.
                let wanted = 3 >> u8::from(word);
                word = a.is_ascii_alphanumeric();
                if let Some(place) = places.get_mut(count) {
                    *place = at << 2 | u16::from(wanted);
                }
                count += usize::from(self.first.has(head) & wanted != 0);
            }
            let first = count;
            count = 0;
            for index in 0..first {
                let Some(kept) = places.get(index).copied() else { break };
                let head = head(load(stretch.get(usize::from(kept >> 2)..).unwrap_or_default()));
                let begins = self.long.has(head) | self.short.has(head) | self.shortest.has(head);
                if let Some(place) = places.get_mut(count) {
                    *place = kept;
                }
                count += usize::from(u16::from(begins) & kept & 3 != 0);
            }
            for kept in places.iter().take(count) {
                let at = from + usize::from(kept >> 2);
                self.at(bytes, at, head(load(bytes.get(at..).unwrap_or_default())), &mut found);
            }
            from += STRETCH;
            pace.went(STRETCH);
        }
        // What is left at the end is too short for a window.
        for at in bytes.len().saturating_sub(7)..bytes.len() {
            let head = head(load(bytes.get(at..).unwrap_or_default()));
            if self.first.has(head) & 3 != 0 {
                self.at(bytes, at, head, &mut found);
            }
        }
    }

    /// The literals whose anchor stands at `at`, where the text begins like `head`.
    fn at(&self, bytes: &[u8], at: usize, head: u64, found: &mut impl FnMut(Spot)) {
        let after = lower(load(bytes.get(at..).unwrap_or_default()));
        // The end of a line is a space to words.
        let loose = with_spaces(after);
        let mut look = |entries: &[Entry]| {
            for entry in entries {
                if ((if entry.words { loose } else { after }) ^ entry.after) & entry.after_mask == 0
                    && entry.before_fits(bytes, at)
                    && let Some((start, end)) = entry.place(bytes, at)
                    && (entry.is_whole
                        || self
                            .literals
                            .get(entry.literal as usize)
                            .is_some_and(|kept| kept.stands(bytes, start)))
                {
                    found(Spot { literal: entry.literal as usize, start, end });
                }
            }
        };
        if self.shortest.has(head) & 3 != 0 {
            look(self.shorter.of(head));
        }
        look(self.longer.of(head));
    }
}

impl Kept {
    fn of(literal: &Literal<'_>) -> Self {
        let text: Box<[u8]> = literal.text.to_ascii_lowercase().into_bytes().into();
        let first = text.first().copied().unwrap_or_default();
        // A sign at its beginning is rarer than any word.
        let begins = first.is_ascii_alphanumeric() || !first.is_ascii();
        let anchor = if literal.words && begins { longest_word(&text) } else { 0 };
        Self { text, anchor, within: literal.within, open: literal.open, words: literal.words }
    }

    /// What stands from its anchor on.
    fn front(&self) -> &[u8] {
        self.text.get(self.anchor..).unwrap_or_default()
    }

    /// Itself at its anchor.
    fn entry(&self, literal: u32) -> Entry {
        let (before, after) = self.text.split_at_checked(self.anchor).unwrap_or((&[], &self.text));
        let low = |length: usize| (0..length.min(8)).fold(0, |mask: u64, _| mask << 8 | 0xff);
        Entry {
            after: load(after),
            after_mask: low(after.len()),
            before: load_end(before),
            before_mask: low(before.len()).swap_bytes(),
            literal,
            length: u32::try_from(self.text.len()).unwrap_or(u32::MAX),
            anchor: u32::try_from(self.anchor).unwrap_or(u32::MAX),
            is_whole: before.len() <= 8 && after.len() <= 8,
            within: self.within,
            open: self.open,
            words: self.words,
            at_word: self.anchor > 0 || !self.within,
        }
    }

    /// The first bytes of texts in which it may stand there.
    fn heads(&self) -> Vec<u64> {
        let front = self.front();
        let mut heads = vec![0u64];
        for at in 0..6 {
            let bytes: Vec<u64> = match front.get(at) {
                Some(b' ') if self.words => vec![u64::from(b' '), u64::from(b'\n')],
                Some(wanted) => vec![u64::from(*wanted)],
                // What stands after a short one: as many bytes as its table looks at.
                None if at == front.len() && at < 3 => {
                    let may_follow = |byte: &u8| self.open || !byte.is_ascii_alphanumeric();
                    (0..=u8::MAX).filter(may_follow).map(u64::from).collect()
                }
                None => vec![0],
            };
            heads =
                heads.iter().flat_map(|head| bytes.iter().map(move |byte| head | byte << (8 * at))).collect();
        }
        let mut heads: Vec<u64> = heads.into_iter().map(head).collect();
        heads.sort_unstable();
        heads.dedup();
        heads
    }

    /// Whether it stands at `start`, where there is place for it.
    fn stands(&self, bytes: &[u8], start: usize) -> bool {
        let same = |(byte, wanted): (&u8, &u8)| {
            byte.eq_ignore_ascii_case(wanted) || self.words && (*wanted, *byte) == (b' ', b'\n')
        };
        bytes.get(start..).is_some_and(|rest| rest.iter().zip(&self.text).all(same))
    }
}

/// How many places are looked up at once.
const STRETCH: usize = 256;

/// Where the longest word of `text` begins.
fn longest_word(text: &[u8]) -> usize {
    let (mut best, mut start) = ((0, 0), 0);
    for word in text.split(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric()) {
        if word.len() > best.0 {
            best = (word.len(), start);
        }
        start += word.len() + 1;
    }
    best.1
}

/// The bytes at one place, as the tables have them. Letters of either case are the same; so are some signs, which
/// costs a look and no more.
#[inline]
const fn head(eight: u64) -> u64 {
    eight | 0x2020_2020_2020_2020
}

/// A literal at its anchor.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The eight bytes from there on and those before, and which of them count.
    after: u64,
    after_mask: u64,
    before: u64,
    before_mask: u64,
    literal: u32,
    /// Of the whole literal, in bytes: the shorter ones come first.
    length: u32,
    /// How many of them stand before its anchor.
    anchor: u32,
    /// The bytes above are all of them.
    is_whole: bool,
    within: bool,
    open: bool,
    words: bool,
    at_word: bool,
}

impl Entry {
    /// Where the literal begins and ends if its anchor is at `at`, if it may stand there among what is before and after.
    #[inline]
    fn place(&self, bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        let start = at.checked_sub(self.anchor as usize)?;
        let end = start + self.length as usize;
        let letter =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        let bounded = (self.within || !letter(start.checked_sub(1))) && (self.open || !letter(Some(end)));
        (bounded && end <= bytes.len()).then_some((start, end))
    }

    #[inline]
    fn before_fits(&self, bytes: &[u8], at: usize) -> bool {
        self.before_mask == 0 || {
            let before = lower(load_end(bytes.get(..at).unwrap_or_default()));
            (with_spaces(before) ^ self.before) & self.before_mask == 0
        }
    }
}

/// A hash of the first `BYTES` of a head, which has so many `BITS`. Fibonacci hashing: the highest bits of a product
/// depend on all bits of the factor.
#[inline]
const fn hash<const BYTES: u32, const BITS: u32>(head: u64) -> usize {
    ((head << (64 - 8 * BYTES)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as usize
}

/// Two bits for each hash: some literal begins like that anywhere, at the beginning of a word.
#[derive(Debug)]
struct Filter<const BYTES: u32, const BITS: u32>(Vec<u8>);

impl<const BYTES: u32, const BITS: u32> Filter<BYTES, BITS> {
    fn new(all: &[(u64, Entry)]) -> Self {
        let mut flags = vec![0; 1 << (BITS - 2)];
        for (head, entry) in all {
            let hash = hash::<BYTES, BITS>(*head);
            if let Some(flags) = flags.get_mut(hash / 4) {
                *flags |= (1 + u8::from(entry.at_word)) << (hash % 4 * 2);
            }
        }
        Self(flags)
    }

    #[inline]
    fn has(&self, head: u64) -> u8 {
        let hash = hash::<BYTES, BITS>(head);
        self.0.get(hash / 4).copied().unwrap_or_default() >> (hash % 4 * 2)
    }
}

/// Literals by a hash of their heads.
#[derive(Debug)]
struct Lists<const BYTES: u32, const BITS: u32> {
    /// For each hash the first of its entries; one more for the end.
    firsts: Vec<u16>,
    entries: Vec<Entry>,
}

impl<const BYTES: u32, const BITS: u32> Lists<BYTES, BITS> {
    fn new(mut all: Vec<(u64, Entry)>) -> Result<Self, String> {
        all.sort_by_key(|(head, entry)| (hash::<BYTES, BITS>(*head), entry.length, entry.literal));
        all.dedup_by_key(|(head, entry)| (hash::<BYTES, BITS>(*head), entry.literal));
        let mut firsts = vec![0; (1 << BITS) + 1];
        for (count, (head, _)) in (1..).zip(&all) {
            let count = u16::try_from(count).map_err(|_| "too many literals".to_owned())?;
            firsts.get_mut(hash::<BYTES, BITS>(*head) + 1).into_iter().for_each(|first| *first = count);
        }
        let mut last = 0;
        for first in &mut firsts {
            last = last.max(*first);
            *first = last;
        }
        Ok(Self { firsts, entries: all.into_iter().map(|(_, entry)| entry).collect() })
    }

    /// The literals that may begin like `head`, and a few more.
    #[inline]
    fn of(&self, head: u64) -> &[Entry] {
        let from = self.firsts.get(hash::<BYTES, BITS>(head)..).unwrap_or_default();
        let Some(&[first, last]) = from.first_chunk() else { return &[] };
        self.entries.get(usize::from(first)..usize::from(last)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn anywhere(text: &str) -> Literal<'_> {
        Literal { text, within: true, open: true, words: false }
    }

    fn spots(literals: &[Literal<'_>], text: &str) -> Vec<Spot> {
        let mut found = Vec::new();
        Spotter::new(literals.iter().cloned()).unwrap().each(text, |spot| found.push(spot));
        found
    }

    #[test]
    fn literals_are_found_wherever_they_stand() {
        let spot = |literal, start, end| Spot { literal, start, end };
        let literals = ["pass", "password", "sword", "key", "ab", "é"].map(anywhere);
        assert_eq!(spots(&literals, "PassWord"), [spot(0, 0, 4), spot(1, 0, 8), spot(2, 3, 8)],);
        assert_eq!(spots(&literals, "x KEY"), [spot(3, 2, 5)]);
        assert_eq!(spots(&literals, "key"), [spot(3, 0, 3)]);
        assert_eq!(spots(&literals, "caB"), [spot(4, 1, 3)]);
        assert_eq!(spots(&literals, "ab é ab"), [spot(4, 0, 2), spot(5, 3, 5), spot(4, 6, 8)]);
        assert_eq!(spots(&literals, ""), []);
        assert!(Spotter::new(["a"].into_iter().map(anywhere)).is_err());
    }

    #[test]
    fn words_are_found_across_lines() {
        let words = |text| Literal { text, within: false, open: false, words: true };
        let literals = [words("set it aside"), words("my"), words("do not say")];
        let ends =
            |text| spots(&literals, text).iter().map(|spot| (spot.start, spot.end)).collect::<Vec<_>>();
        assert_eq!(ends("Set it\naside, my\n"), [(0, 12), (14, 16)]);
        assert_eq!(ends("set it asides; reset it aside; mys"), []);
        assert_eq!(ends("do not\nsay"), [(0, 10)]);
        assert_eq!(ends("do notsay"), []);
    }

    proptest! {
        #[test]
        fn everything_that_stands_there_is_found(
            literals in proptest::collection::vec("[a-cA-C.é]{2,5}", 1..6),
            text in "[a-cA-C.é ]{0,24}",
            within in any::<bool>(),
            open in any::<bool>(),
            words in any::<bool>(),
        ) {
            let all: Vec<Literal<'_>> =
                literals.iter().map(|text| Literal { text, within, open, words }).collect();
            let mut found = spots(&all, &text);
            let letter = |c: char| c.is_ascii_alphanumeric();
            let mut wanted = Vec::new();
            for (start, _) in text.char_indices() {
                if !within && text.split_at(start).0.ends_with(letter) {
                    continue;
                }
                for (literal, word) in literals.iter().enumerate() {
                    let end = start + word.len();
                    if text.get(start..end).is_some_and(|there| there.eq_ignore_ascii_case(word))
                        && (open || !text.split_at(end).1.starts_with(letter))
                    {
                        wanted.push(Spot { literal, start, end });
                    }
                }
            }
            let order = |spot: &Spot| (spot.start, spot.end, spot.literal);
            let starts: Vec<usize> = found.iter().map(|spot| spot.start).collect();
            prop_assert!(words || starts.is_sorted());
            found.sort_by_key(order);
            wanted.sort_by_key(order);
            prop_assert_eq!(found, wanted);
        }
    }
}
