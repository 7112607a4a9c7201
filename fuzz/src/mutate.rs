//! Small changes to an input, the same ones for the same seed.

/// Numbers that look random and depend on nothing but the seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next one below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound as u64).max(1)).unwrap_or(0)
    }
}

/// A number that depends on these bytes and the seed only.
#[must_use]
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut numbers = Numbers::new(bytes.iter().fold(seed, |hash, byte| {
        (hash.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x2545_f491_4f6c_dd1d)
    }));
    numbers.next()
}

/// `input` changed in one to four places: bytes flipped, removed, repeated, or spliced in from `other`,
/// and no longer than `longest`.
#[must_use]
pub fn mutate(input: &[u8], other: &[u8], longest: usize, numbers: &mut Numbers) -> Vec<u8> {
    const TELLING: [u8; 16] = *b"\n\r\"\\:{}[],0 \xff\x00-'";
    let mut out = input.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(out.len() + 1);
        let length = 1 + numbers.below(16);
        let end = (at + length).min(out.len());
        match numbers.below(6) {
            0 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
            1 => out.insert(at, TELLING.get(numbers.below(TELLING.len())).copied().unwrap_or(b' ')),
            2 => drop(out.drain(at..end)),
            3 => {
                let again = out.get(at..end).unwrap_or_default().to_vec();
                out.splice(at..at, again);
            }
            4 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte = TELLING.get(numbers.below(TELLING.len())).copied().unwrap_or(b' ');
                }
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                let to = (from + 4 * length).min(other.len());
                out.splice(at..at, other.get(from..to).unwrap_or_default().iter().copied());
            }
        }
    }
    out.truncate(longest);
    out
}

/// Cuts `bytes` into pieces at places that depend on the seed.
#[must_use]
pub fn split(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut numbers = Numbers::new(seed);
    // From single bytes to large pieces.
    let most = 1 << (1 + numbers.below(9));
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + numbers.below(most)));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
