//! What a reply of a model used: tokens, and what they cost.

use std::sync::Arc;

/// How many bytes are taken for one token where nobody says how many tokens there were. Prose has about 4.2 bytes
/// to a token, code and JSON about 3.
const BYTES_TO_A_TOKEN: u64 = 3;

/// The same of what a request holds besides text that could be read. Most of it is images and documents in Base64,
/// of which providers count less than a token for each 64 bytes.
const OTHER_BYTES_TO_A_TOKEN: u64 = 64;

/// What is taken for the output of a reply of which nothing is known: one that is fetched later, or one that this
/// process did not live to see the end of.
pub const UNSEEN_OUTPUT: u64 = 4096;

/// Which model an action asks for a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// None: it uses no tokens.
    #[default]
    Nothing,
    /// The model of this name.
    Model(Arc<str>),
    /// One that nobody here knows: the request is not read.
    Unknown,
    /// One or several, for replies that are made later and fetched then.
    Deferred,
}

/// Tokens as a provider counts them, as far as it says, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All that was read: what came from a cache and what was written to one as well.
    pub input: Option<u64>,
    /// Of these, those that came from a cache.
    pub cached: Option<u64>,
    /// Of these, those that were written to a cache.
    pub cache_write: Option<u64>,
    /// All that was written: thinking as well.
    pub output: Option<u64>,
}

impl Usage {
    /// Takes in what is said later in the same reply. Figures of one reply only grow; one that shrinks, or is left
    /// out, takes nothing back.
    pub fn note(&mut self, later: &Self) {
        let pairs = [
            (&mut self.input, later.input),
            (&mut self.cached, later.cached),
            (&mut self.cache_write, later.cache_write),
            (&mut self.output, later.output),
        ];
        for (known, later) in pairs {
            *known = (*known).max(later);
        }
    }
}

/// How large a request and its reply were: what tokens are estimated from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of the request's content that could be read.
    pub content: u64,
    /// Bytes of its body.
    pub body: u64,
    /// Bytes of text and arguments in the reply.
    pub reply: u64,
}

/// What a reply used in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// As in [`Usage`].
    pub input: u64,
    /// As in [`Usage`]; never more than the input.
    pub cached: u64,
    /// As in [`Usage`]; never more than what of the input is not cached.
    pub cache_write: u64,
    /// As in [`Usage`].
    pub output: u64,
}

impl Tokens {
    /// What a reply used of which the provider said `usage`. If that is nothing, it is estimated from `size`; of a
    /// reply that was not `whole` the larger of both counts.
    #[must_use]
    pub fn of(usage: &Usage, size: Size, whole: bool) -> Self {
        let told = Self {
            input: usage.input.unwrap_or_default(),
            cached: usage.cached.unwrap_or_default(),
            cache_write: usage.cache_write.unwrap_or_default(),
            output: usage.output.unwrap_or_default(),
        };
        let guess = Self::estimated(size);
        // Some servers have the members and leave them at zero.
        let says = whole && told.all() > 0;
        let (input, output) = match says {
            true => (usage.input.unwrap_or(guess.input), usage.output.unwrap_or(guess.output)),
            false => (told.input.max(guess.input), told.output.max(guess.output)),
        };
        let cached = told.cached.min(input);
        Self { input, cached, cache_write: told.cache_write.min(input - cached), output }
    }

    /// What a request and a reply of this size may have used; never nothing.
    #[must_use]
    pub const fn estimated(size: Size) -> Self {
        let other = size.body.saturating_sub(size.content);
        let read = size.content.div_ceil(BYTES_TO_A_TOKEN);
        let input = read.saturating_add(other.div_ceil(OTHER_BYTES_TO_A_TOKEN));
        Self {
            input: if input == 0 { 1 } else { input },
            cached: 0,
            cache_write: 0,
            output: size.reply.div_ceil(BYTES_TO_A_TOKEN),
        }
    }

    /// Input and output together.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// What tokens of one model cost, in billionths of the currency for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of input that is neither cached nor written to a cache.
    pub input: u64,
    /// Of input from a cache.
    pub cached: u64,
    /// Of input written to a cache.
    pub cache_write: u64,
    /// Of output.
    pub output: u64,
}

impl Price {
    /// What `tokens` cost, in billionths of the currency. Exact, and rounded up once in the end.
    #[must_use]
    pub fn of(&self, tokens: &Tokens) -> u64 {
        let plain = tokens.input.saturating_sub(tokens.cached).saturating_sub(tokens.cache_write);
        let pairs = [
            (plain, self.input),
            (tokens.cached, self.cached),
            (tokens.cache_write, self.cache_write),
            (tokens.output, self.output),
        ];
        // Four products of two u64 may be more than 128 bits.
        let sum = pairs.iter().fold(0u128, |sum, (count, price)| {
            sum.saturating_add(u128::from(*count).saturating_mul(u128::from(*price)))
        });
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// The higher of both, price by price.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cached: self.cached.max(other.cached),
            cache_write: self.cache_write.max(other.cache_write),
            output: self.output.max(other.output),
        }
    }
}

/// Billionths as a decimal, without zeros at its end.
#[must_use]
pub fn decimal(billionths: u64) -> String {
    const WHOLE: u64 = 1_000_000_000;
    let text = format!("{}.{:09}", billionths / WHOLE, billionths % WHOLE);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn size(content: u64, body: u64, reply: u64) -> Size {
        Size { content, body, reply }
    }

    fn told(input: u64, cached: u64, cache_write: u64, output: u64) -> Usage {
        Usage {
            input: Some(input),
            cached: Some(cached),
            cache_write: Some(cache_write),
            output: Some(output),
        }
    }

    #[test]
    fn what_a_provider_says_counts() {
        let tokens = Tokens::of(&told(100, 60, 30, 7), size(9_000, 10_000, 9_000), true);
        assert_eq!(tokens, Tokens { input: 100, cached: 60, cache_write: 30, output: 7 });
        assert_eq!(tokens.all(), 107);
    }

    #[test]
    fn what_it_does_not_say_is_estimated_and_never_nothing() {
        let silent = Usage::default();
        let of = |size| Tokens::of(&silent, size, true);
        assert_eq!(of(size(30, 30, 31)), Tokens { input: 10, output: 11, ..Tokens::default() });
        // An image of 64,000 bytes beside ten bytes of text.
        assert_eq!(of(size(10, 64_010, 0)).input, 4 + 1_000);
        assert_eq!(of(size(0, 0, 0)).all(), 1);
        let zeros = told(0, 0, 0, 0);
        assert_eq!(Tokens::of(&zeros, size(30, 30, 30), true).all(), 20);
        let half = Usage { input: Some(5), ..silent };
        assert_eq!(
            Tokens::of(&half, size(30, 30, 30), true),
            Tokens { input: 5, output: 10, ..Tokens::default() }
        );
    }

    #[test]
    fn of_what_was_cut_off_the_larger_counts() {
        let begun = Usage { input: Some(472), output: Some(1), ..Usage::default() };
        let tokens = Tokens::of(&begun, size(30, 30, 3_000), false);
        assert_eq!((tokens.input, tokens.output), (472, 1_000));
        assert_eq!(Tokens::of(&told(9, 0, 0, 5_000), size(30, 30, 3), false).output, 5_000);
    }

    #[test]
    fn figures_of_one_reply_only_grow() {
        let mut usage = told(10, 4, 2, 1);
        usage.note(&Usage { output: Some(50), ..Usage::default() });
        usage.note(&Usage { input: Some(3), output: Some(20), ..Usage::default() });
        assert_eq!(usage, told(10, 4, 2, 50));
    }

    #[test]
    fn parts_are_never_more_than_the_whole() {
        let tokens = Tokens::of(&told(10, 99, 99, 0), Size::default(), true);
        assert_eq!((tokens.cached, tokens.cache_write), (10, 0));
    }

    #[test]
    fn money_is_exact_and_rounded_up_once() {
        // 3, 0.3, 3.75 and 15 for a million.
        let price = Price {
            input: 3_000_000_000,
            cached: 300_000_000,
            cache_write: 3_750_000_000,
            output: 15_000_000_000,
        };
        let tokens = Tokens { input: 1_000_000, cached: 600_000, cache_write: 100_000, output: 200_000 };
        // 300,000 × 3 + 600,000 × 0.3 + 100,000 × 3.75 + 200,000 × 15, for a million: 4.455.
        assert_eq!(price.of(&tokens), 4_455_000_000);
        let least = Price { input: 1, cached: 1, cache_write: 1, output: 1 };
        assert_eq!(least.of(&Tokens { input: 1, output: 1, ..Tokens::default() }), 1);
        assert_eq!(least.of(&Tokens { input: 1_000_000, output: 1, ..Tokens::default() }), 2);
        assert_eq!(least.of(&Tokens::default()), 0);
        let most = Price { input: u64::MAX, cached: u64::MAX, cache_write: u64::MAX, output: u64::MAX };
        assert_eq!(most.of(&Tokens { input: u64::MAX, output: u64::MAX, ..Tokens::default() }), u64::MAX);
    }

    #[test]
    fn decimals_are_written_without_zeros() {
        for (billionths, text) in [(0, "0"), (1, "0.000000001"), (2_500_000_000, "2.5"), (7_000_000_000, "7")]
        {
            assert_eq!(decimal(billionths), text);
        }
    }
}
