//! Long runs of bytes of one kind, without a look at most of what lies between: what no literal announces is looked for in them.

use std::ops::Range;

use super::swar;

/// The shortest token that is looked at.
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
    of(text, SHORTEST, in_token)
}

/// Every run of at least `shortest` bytes for which `belongs` holds, which are all ASCII, in order.
pub(super) fn of(
    text: &str,
    shortest: usize,
    belongs: impl Fn(u8) -> bool + Copy,
) -> impl Iterator<Item = (usize, &str)> {
    spans(text.as_bytes(), shortest, belongs).filter_map(|span| Some((span.start, text.get(span)?)))
}

/// Where such runs stand, whatever their bytes are.
pub(super) fn spans(
    bytes: &[u8],
    shortest: usize,
    belongs: impl Fn(u8) -> bool + Copy,
) -> impl Iterator<Item = Range<usize>> {
    runs(bytes, shortest, move |bytes| ahead(bytes, belongs), move |bytes| back(bytes, belongs))
}

/// How many bytes at the beginning belong to a run.
fn ahead(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

/// How many at the end do.
fn back(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().rev().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

/// Every run of at least `shortest` characters that ink is used for, in order.
pub(super) fn graphic(text: &str, shortest: usize) -> impl Iterator<Item = (usize, &str)> {
    runs(text.as_bytes(), shortest, graphic_ahead, graphic_back)
        .filter_map(|span| Some((span.start, text.get(span)?)))
}

/// Eight at once: these runs are most of what is no prose.
fn graphic_ahead(bytes: &[u8]) -> usize {
    let mut chunks = bytes.chunks_exact(8);
    let mut length = 0;
    for eight in chunks.by_ref() {
        let others = swar::others(swar::load(eight), b'!', b'~');
        if others != 0 {
            return length + others.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + ahead(chunks.remainder(), |byte| byte.is_ascii_graphic())
}

fn graphic_back(bytes: &[u8]) -> usize {
    let mut chunks = bytes.rchunks_exact(8);
    let mut length = 0;
    for eight in chunks.by_ref() {
        let others = swar::others(swar::load(eight), b'!', b'~');
        if others != 0 {
            return length + others.leading_zeros() as usize / 8;
        }
        length += 8;
    }
    length + back(chunks.remainder(), |byte| byte.is_ascii_graphic())
}

/// Every run of at least `shortest` bytes that belong to one, in order: `ahead` and `back` say how many do at the beginning and at
/// the end of some bytes. Only every so many bytes of what lies between are looked at.
fn runs(
    bytes: &[u8],
    shortest: usize,
    ahead: impl Fn(&[u8]) -> usize,
    back: impl Fn(&[u8]) -> usize,
) -> impl Iterator<Item = Range<usize>> {
    let mut at = shortest - 1;
    let mut after = 0;
    std::iter::from_fn(move || {
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let long = ahead(rest);
            if long == 0 {
                at += shortest;
                continue;
            }
            let start = at - bytes.get(after..at).map_or(0, &back);
            let end = at + long;
            (after, at) = (end, end + shortest);
            if end - start >= shortest {
                return Some(start..end);
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

    #[test]
    fn runs_of_ink_end_at_what_is_none_wherever_it_stands() {
        for end in [" ", "\n", "\u{7f}", "é", "\0", ""] {
            for before in 0..24 {
                for length in 24..50 {
                    let run = "{\"~!".repeat(20).get(..length).unwrap().to_owned();
                    let text = format!("{}{end}{run}{end}x", " ".repeat(before));
                    let found: Vec<(usize, &str)> = graphic(&text, 25).collect();
                    let whole = if end.is_empty() { format!("{run}x") } else { run };
                    let expected = (whole.len() >= 25).then_some((before + end.len(), whole.as_str()));
                    assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{text:?}");
                }
            }
        }
    }
}
