//! Whether a payload is random to the last bit: encrypted, or packed so that nobody can look inside.
//!
//! The measure is Shannon's entropy over bytes. Long random data has 8 bits of it in each byte; but of `n` bytes at most
//! log2(n), so that no payload of 64 bytes has more than 6, and a fixed line at 7.5 would be out of reach for whatever
//! has less than 400. The line is therefore 7.5 of 8 parts of what `n` random bytes have on average.

/// Payloads of this many bytes and less are not measured: too few to tell random from text.
pub const SHORTEST: usize = 64;

/// How much of a payload is measured. Packing one byte in a thousand differently does not hide the rest.
const MEASURED: usize = 1 << 16;

/// The line for long payloads, in bits per byte.
const LINE: f64 = 7.5;

/// Whether `bytes` are more than [`SHORTEST`] and as random as bytes get.
#[must_use]
pub fn is_random(bytes: &[u8]) -> bool {
    if bytes.len() <= SHORTEST {
        return false;
    }
    let measured = bytes.get(..MEASURED).unwrap_or(bytes);
    entropy(measured) >= threshold(measured.len())
}

/// The entropy of `bytes`, in bits per byte: 0 to 8.
pub(super) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = count(bytes.len());
    let part = |count: f64| count * count.log2();
    let used = counts.iter().filter(|count| **count > 1).map(|count| part(f64::from(*count)));
    if bytes.is_empty() { 0.0 } else { all.log2() - used.sum::<f64>() / all }
}

/// The line for `length` bytes, in bits per byte: 15/16 of what so many random bytes have on average.
#[must_use]
pub fn threshold(length: usize) -> f64 {
    LINE / 8.0 * of_random(length)
}

/// The average entropy of `length` random bytes. How often a value of a byte comes is nearly Poisson's, with a mean of
/// `length / 256`; its tail is cut where nothing is left of it.
fn of_random(length: usize) -> f64 {
    let all = count(length);
    let mean = all / 256.0;
    // Here the expansion is exact to a thousandth of a bit, and the sum would be long (Miller, 1955).
    if mean > 64.0 {
        return 8.0 - 255.0 / (2.0 * all * std::f64::consts::LN_2);
    }
    let mut probability = (-mean).exp();
    let mut sum = 0.0;
    for k in 1..=256u32 {
        let times = f64::from(k);
        probability *= mean / times;
        sum += probability * times * times.log2();
    }
    all.log2() - 256.0 * sum / all
}

fn count(length: usize) -> f64 {
    f64::from(u32::try_from(length).unwrap_or(u32::MAX))
}

/// What a payload that is random and yet ordinary begins with: pictures, sound, films, fonts, documents, certificates.
/// Archives and compressed data are not among them: anything can be in those.
pub(super) fn is_media(bytes: &[u8]) -> bool {
    const MAGIC: [&[u8]; 15] = [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF87a",
        b"GIF89a",
        b"%PDF-",
        b"OggS",
        b"fLaC",
        b"ID3",
        b"\xff\xfb",
        b"wOFF",
        b"wOF2",
        b"\x1aE\xdf\xa3",
        b"\0asm",
        b"II*\0",
        // ASN.1: certificates and keys, for other detectors to know.
        b"\x30\x82",
    ];
    let inside = |at: usize, wanted: &[u8]| bytes.get(at..at + wanted.len()) == Some(wanted);
    let riff = inside(0, b"RIFF") && (inside(8, b"WEBP") || inside(8, b"WAVE") || inside(8, b"AVI "));
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || riff || inside(4, b"ftyp")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator without any dependency (xorshift64*), so that the same bytes come each time.
    fn random(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn the_average_of_random_bytes_is_what_the_formula_says() {
        for length in [65usize, 100, 256, 1000, 5000, 16_000, 17_000, 60_000] {
            let rounds = 40;
            let sum: f64 = (0..rounds).map(|seed| entropy(&random(seed + 1, length))).sum();
            let (average, formula) = (sum / rounds as f64, of_random(length));
            assert!((average - formula).abs() < 0.03, "{length}: {average} and {formula}");
        }
    }

    #[test]
    fn random_bytes_are_above_the_line_at_every_length_and_text_is_below() {
        for length in [65usize, 80, 128, 200, 256, 300, 400, 1000, 10_000, 100_000] {
            let above = (0..100).filter(|seed| is_random(&random(seed + 7, length))).count();
            assert!(above >= 97, "{length}: {above} of 100");
        }
        let prose = "Whoever reads a log at three in the morning wants to know what happened, where, and what to do. ";
        let code = "fn entropy(bytes: &[u8]) -> f64 { let mut counts = [0u32; 256]; counts[7] += 1; 0.5 * (1 + 2) }\n";
        let json = "{\"id\": \"9f1c4e7a-2b60-4d8e-b1c3-77aa00d1e2f4\", \"at\": \"2026-11-21T10:30:00Z\", \"n\": 17.25}";
        for text in [prose, code, json] {
            for times in [1, 3, 40] {
                assert!(!is_random(text.repeat(times).as_bytes()), "{times} times {text}");
            }
        }
        assert!(!is_random(&random(1, 64)), "64 bytes and less are not measured");
        assert!((threshold(1 << 16) - 7.5).abs() < 0.01);
    }

    #[test]
    fn text_in_base64_is_below_the_line_until_it_is_decoded() {
        let alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/").collect();
        for length in [100, 300, 5000] {
            let text: Vec<u8> =
                random(3, length).iter().map(|byte| alphabet[usize::from(byte & 63)]).collect();
            assert!(!is_random(&text), "{length}");
        }
    }
}
