//! Runs of characters without spaces: long ones are looked at one by one, for what no literal announces.

/// The shortest run that is looked at.
pub(super) const SHORTEST: usize = 16;

/// Which bytes belong to a run.
const RUNS: [bool; 256] = {
    let mut runs = [false; 256];
    let (mut rest, mut byte) = (runs.as_mut_slice(), 0u8);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-');
        (rest, byte) = (others, byte.wrapping_add(1));
    }
    runs
};

#[inline]
fn in_token(byte: u8) -> bool {
    RUNS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Every run of at least [`SHORTEST`] letters, digits and `+/=_-`, in order.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    runs(text, SHORTEST, in_token)
}

/// Every run of at least `shortest` bytes that belong to one, in order. Only every so many bytes of what lies between are
/// looked at.
pub(super) fn runs(
    text: &str,
    shortest: usize,
    belongs: impl Fn(u8) -> bool,
) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = shortest - 1;
    let mut after = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            if !belongs(*byte) {
                at += shortest;
                continue;
            }
            let mut start = at;
            while start > after && bytes.get(start - 1).is_some_and(|byte| belongs(*byte)) {
                start -= 1;
            }
            let mut end = at + 1;
            while bytes.get(end).is_some_and(|byte| belongs(*byte)) {
                end += 1;
            }
            (after, at) = (end, end + shortest);
            if end - start >= shortest
                && let Some(token) = text.get(start..end)
            {
                return Some((start, token));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_long_run_is_found_wherever_it_stands() {
        for before in 0..40 {
            let text = format!("{}abcdefgh12345678 x 0123456789abcdef0", "a ".repeat(before));
            let found: Vec<&str> = tokens(&text).map(|(_, token)| token).collect();
            assert_eq!(found, ["abcdefgh12345678", "0123456789abcdef0"], "{before}");
        }
        assert_eq!(tokens("short words only, nothing of sixteen").count(), 0);
    }
}
