//! Programs in a machine's own code, by how their files begin; and what findings of written content are called.

/// The category of findings for which what is written is held.
pub const CATEGORY: &str = "quarantine";

/// A native binary is written.
pub const BINARY: &str = "quarantine.native-binary";

/// What untrusted content gave is written.
pub const TAINTED: &str = "quarantine.tainted-content";

/// Something that can be run is written.
pub const EXECUTABLE: &str = "quarantine.executable";

/// The ids of all of them.
pub const FINDINGS: [&str; 3] = [BINARY, TAINTED, EXECUTABLE];

/// What kind of native binary `bytes` is; `None` if it is none.
///
/// Text may begin with the letters `MZ`: such a file has to hold a zero byte within its header too. Universal binaries
/// of macOS and class files of Java begin alike; a class file's next number is its version, 45 or more, a universal
/// binary's how many machines it is for.
#[must_use]
pub fn native(bytes: &[u8]) -> Option<&'static str> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    match magic {
        b"\x7fELF" => Some("ELF"),
        b"\xfe\xed\xfa\xce" | b"\xfe\xed\xfa\xcf" | b"\xce\xfa\xed\xfe" | b"\xcf\xfa\xed\xfe" => {
            Some("Mach-O")
        }
        b"\xca\xfe\xba\xbe" | b"\xca\xfe\xba\xbf" => {
            let machines = u32::from_be_bytes(*rest.first_chunk()?);
            (1..45).contains(&machines).then_some("universal Mach-O")
        }
        [b'M', b'Z', ..] => bytes.iter().take(DOS_HEADER).any(|byte| *byte == 0).then_some("PE"),
        _ => None,
    }
}

/// How long the header of a program for DOS is, which every program for Windows begins with.
const DOS_HEADER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_are_known_by_their_beginning_and_text_is_none() {
        let of = |bytes: &[u8]| native(bytes);
        assert_eq!(of(b"\x7fELF\x02\x01\x01"), Some("ELF"));
        assert_eq!(of(b"MZ\x90\x00\x03\x00"), Some("PE"));
        assert_eq!(of(b"\xcf\xfa\xed\xfe\x07"), Some("Mach-O"));
        assert_eq!(of(b"\xca\xfe\xba\xbe\x00\x00\x00\x02"), Some("universal Mach-O"));
        for text in [
            &b"MZ is how it begins"[..],
            b"#!/bin/sh\n",
            b"ELF",
            b"",
            b"\x7fEL",
            b"\xca\xfe\xba\xbe\x00\x00\x00\x41",
            b"\xca\xfe\xba\xbe",
        ] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }
}
