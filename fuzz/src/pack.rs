//! A corpus in one file: thousands of small files would be a burden to everyone who clones the repository.
//!
//! The first line is `doorward corpus 1`; then each input is its length in bytes as a decimal number, a line
//! feed, the bytes, a line feed. Inputs are sorted and distinct.

const HEAD: &[u8] = b"doorward corpus 1\n";

/// The inputs of a packed corpus; `None` if it is not one.
#[must_use]
pub fn unpack(packed: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = packed.strip_prefix(HEAD)?;
    let mut inputs = Vec::new();
    while !rest.is_empty() {
        let at = rest.iter().position(|byte| *byte == b'\n')?;
        let (length, after) = rest.split_at_checked(at)?;
        let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
        let (input, after) = after.get(1..)?.split_at_checked(length)?;
        inputs.push(input.to_vec());
        rest = after.strip_prefix(b"\n")?;
    }
    Some(inputs)
}

/// These inputs, packed.
#[must_use]
pub fn pack(mut inputs: Vec<Vec<u8>>) -> Vec<u8> {
    inputs.sort();
    inputs.dedup();
    let mut packed = HEAD.to_vec();
    for input in inputs {
        packed.extend_from_slice(format!("{}\n", input.len()).as_bytes());
        packed.extend_from_slice(&input);
        packed.push(b'\n');
    }
    packed
}
