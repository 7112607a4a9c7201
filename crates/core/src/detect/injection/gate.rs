//! Which clauses are worth reading. The pass over all literals knows the key words of a clause; with these, and a look at
//! which signs stand in it, most clauses are known to be such that no signal can hold in them, whatever else they say.

use super::lexicon::Lexicon;
use super::marks::Mark;
use super::phrase::Sign;
use super::set::Set;
use super::signal::Signal;

/// Says so.
#[derive(Debug)]
pub(super) struct Gate {
    /// For each form, and for a call: from each of these one.
    forms: Vec<Vec<Set>>,
    /// For each set of features the concepts of which one suffices.
    alone: Vec<Set>,
}

/// What a look at a clause and at its text tells: without it some marks and phrases cannot be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features(u8);

impl Features {
    /// In the clause: `@`; digits or letters beyond ASCII; a sign after which somebody is told something; a comma.
    const AT: u8 = 1;
    const NUMBER: u8 = 2;
    const SIGN: u8 = 4;
    const COMMA: u8 = 8;
    /// In the text: it is a record; has regions or a table; is hardly longer than a clause.
    const RECORD: u8 = 16;
    const REGIONS: u8 = 32;
    const SHORT: u8 = 64;
    const SETS: u8 = 128;
    /// White space follows white space: words that belong together may not have been found together.
    const WIDE: u8 = 128;

    /// Those of a whole text.
    pub(super) fn of_text(record: bool, regions: bool, length: usize) -> Self {
        let short = length < 2 * super::fold::LONGEST;
        let bit = |is: bool, bit| if is { bit } else { 0 };
        Self(bit(record, Self::RECORD) | bit(regions, Self::REGIONS) | bit(short, Self::SHORT))
    }

    /// The same for `clause` of that text.
    pub(super) fn with(self, clause: &[u8]) -> Self {
        let (mut all, mut before) = (self.0, false);
        for byte in clause {
            all |= SIGNS.get(usize::from(*byte)).copied().unwrap_or_default();
            let space = byte.is_ascii_whitespace();
            all |= if before && space { Self::WIDE } else { 0 };
            before = space;
        }
        Self(all)
    }

    /// The marks that may be there, but those of what was decoded or called.
    pub(super) fn marks(self) -> Set {
        let without = |bit: u8, marks: &[Mark]| {
            if self.0 & bit != 0 { Set::EMPTY } else { marks.iter().map(|mark| mark.bit()).collect() }
        };
        let never = Mark::DECODED
            | Mark::Called.bit()
            | without(Self::AT, &[Mark::Email])
            | without(Self::NUMBER, &[Mark::Amount, Mark::Sum, Mark::Foreign])
            | without(Self::RECORD, &[Mark::Value])
            | without(Self::REGIONS, &[Mark::Comment, Mark::Attribute, Mark::Unseen, Mark::Fence])
            | without(Self::REGIONS, &[Mark::Cell, Mark::Outside])
            | without(Self::SHORT, &[Mark::Alone])
            | without(Self::SIGN, &[Mark::Slot]);
        Mark::ALL_BITS & !never
    }

    /// Whether a phrase may end with `sign`.
    pub(super) const fn may_close(self, sign: Sign) -> bool {
        match sign {
            Sign::Colon => self.0 & Self::SIGN != 0,
            Sign::Comma => self.0 & (Self::SIGN | Self::COMMA) != 0,
            Sign::End => true,
        }
    }
}

/// The features that each byte tells.
const SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    let (mut rest, mut byte) = (signs.as_mut_slice(), 0u8);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = match byte {
            b'@' => Features::AT,
            b'0'..=b'9' | b'$' => Features::NUMBER,
            b':' | b'!' | b']' | b'>' | b'-' => Features::SIGN,
            b',' | b';' => Features::COMMA,
            // Dashes, commas and digits of other scripts.
            0x80.. => Features::NUMBER | Features::SIGN | Features::COMMA | Features::AT,
            _ => 0,
        };
        (rest, byte) = (others, byte.wrapping_add(1));
    }
    signs
};

impl Gate {
    pub(super) fn new(lexicon: &Lexicon, signals: &[Signal]) -> Self {
        let mut forms: Vec<Vec<Set>> = signals.iter().flat_map(Signal::needs).map(<[Set]>::to_vec).collect();
        forms.push(vec![lexicon.calls]);
        let mut gate = Self { forms, alone: Vec::new() };
        let keys = || lexicon.key_concepts().each();
        let suffice = |features| keys().filter(|key| gate.hold(lexicon, *key, features)).collect();
        let alone = (0..Features::SETS).map(|features| suffice(Features(features))).collect();
        gate.alone = alone;
        gate
    }

    /// Whether a signal may hold in a clause with these key words, or a clause with them may call the model. It is asked
    /// about clauses of no decoded layer, after no call.
    pub(super) fn opens(&self, lexicon: &Lexicon, keys: Set, features: Features) -> bool {
        if features.0 & Features::WIDE != 0 {
            return true;
        }
        let alone = self.alone.get(usize::from(features.0)).copied().unwrap_or(Set::FULL);
        keys.meets(alone) || keys.is_many() && self.hold(lexicon, keys, features)
    }

    fn hold(&self, lexicon: &Lexicon, keys: Set, features: Features) -> bool {
        let set = lexicon.with_phrases(keys | features.marks() | lexicon.unsought(), features);
        self.forms.iter().any(|form| form.iter().all(|wanted| wanted.meets(set)))
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::injection::tests::detector;

    use super::*;

    fn opens(words: &str, features: Features) -> bool {
        let rules = detector();
        let injection = rules.injection().unwrap();
        let keys =
            injection.see(words, &crate::pace::Pace::whole()).keys.iter().map(|key| key.set).collect::<Set>();
        assert_ne!(keys, Set::EMPTY, "{words}");
        injection.gate.opens(&injection.lexicon, keys, features.with(words.as_bytes()))
    }

    #[test]
    fn what_can_mean_nothing_is_not_read() {
        let long = Features::of_text(false, false, 1 << 20);
        for words in
            ["they send it by mail", "the root of a tree", "a new system", "answer", "could you come"]
        {
            assert!(!opens(words, long), "{words}");
        }
        for words in [
            "send $900",
            "system note:",
            "ignore what was said",
            "my account",
            "silently",
            "agents should",
            "could you send $9",
        ] {
            assert!(opens(words, long), "{words}");
        }
        assert!(opens("they send  it by mail", long));
        assert!(opens("they send it by mail", Features::of_text(true, false, 1 << 20)));
        assert!(!opens("os.system", long) && opens("os.system", Features::of_text(false, true, 1 << 20)));
    }
}
