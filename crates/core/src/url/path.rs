//! The path of a URL, in every way in which servers read one.
//!
//! A proxy that keeps `/a/..;/admin` out of `/admin` and a servlet behind it that lets it in are both right by
//! their own rules. So a path has readings: one for each combination of the habits below that makes a
//! difference for it. What restricts asks whether any reading fits, what allows asks whether all do.

use std::borrow::Cow;

/// A path; at least one reading, the plain one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    readings: Vec<Vec<String>>,
}

/// In what servers differ, behind what all do: escapes are decoded once, `.` and `..` taken away (RFC 3986,
/// sections 6.2.2.2 and 5.2.4), empty segments and a slash at the end left out.
#[derive(Clone, Copy, Default)]
struct Habits {
    /// Escapes are decoded twice: `%2564` is `d`.
    twice: bool,
    /// An encoded slash or backslash is a slash.
    slashes: bool,
    /// What follows a `;` in a segment is a parameter and no part of its name (RFC 2396).
    parameters: bool,
    /// `//` is a slash before `..` takes a segment away, not an empty segment to be taken.
    merge_first: bool,
}

impl Path {
    /// Reads what stands between authority and `?`; `None` if it has a control character in it, encoded.
    #[must_use]
    pub fn read(raw: &str) -> Option<Self> {
        let differs = Habits {
            twice: encodes_percent(raw),
            slashes: contains_ignoring_case(raw, "%2f") || contains_ignoring_case(raw, "%5c"),
            parameters: raw.contains(';') || contains_ignoring_case(raw, "%3b"),
            merge_first: raw.contains("//") && (raw.contains("..") || contains_ignoring_case(raw, "%2e")),
        };
        // Decoding twice may bring to light what the others are about.
        let differs = if differs.twice {
            Habits { twice: true, slashes: true, parameters: true, merge_first: true }
        } else {
            differs
        };
        let mut readings: Vec<Vec<String>> = Vec::with_capacity(1);
        for choice in 0u8..16 {
            let on = |bit: u8| choice & (1 << bit) != 0;
            let habits = Habits { twice: on(0), slashes: on(1), parameters: on(2), merge_first: on(3) };
            if habits.within(differs) {
                let reading = habits.read(raw)?;
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
        }
        Some(Self { readings })
    }

    /// The segments by each reading, decoded. In them `%` stands as `%25`, and a slash within one as `%2F`.
    pub fn readings(&self) -> impl Iterator<Item = &[String]> {
        self.readings.iter().map(Vec::as_slice)
    }

    /// The segments as most servers read them.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        self.readings.first().map_or(&[], Vec::as_slice)
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.segments().iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

impl Habits {
    /// Whether all that is on here is on there.
    const fn within(self, differs: Self) -> bool {
        (differs.twice || !self.twice)
            && (differs.slashes || !self.slashes)
            && (differs.parameters || !self.parameters)
            && (differs.merge_first || !self.merge_first)
    }

    fn read(self, raw: &str) -> Option<Vec<String>> {
        let mut text = Cow::Borrowed(raw);
        if self.twice {
            text = Cow::Owned(text.replace("%25", "%"));
        }
        let text = decode(&text, self.slashes)?;
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            let name = match segment.split_once(';') {
                Some((name, _)) if self.parameters => name,
                _ => segment,
            };
            match name {
                "." => {}
                ".." => drop(segments.pop()),
                "" if self.merge_first => {}
                name => segments.push(name),
            }
        }
        segments.retain(|segment| !segment.is_empty());
        Some(segments.into_iter().map(str::to_owned).collect())
    }
}

/// Decodes escapes once, but for `%25` and, unless `slashes`, those of slashes; what is no escape, or no
/// UTF-8, stays as it is. `None` if a control character comes out.
fn decode(text: &str, slashes: bool) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        decoded.extend_from_slice(before.as_bytes());
        rest = match hex_pair(behind) {
            Some((byte, behind)) => {
                match byte {
                    b'/' | b'\\' if slashes => decoded.push(b'/'),
                    b'/' | b'\\' | b'%' => decoded.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                    byte if byte.is_ascii_control() => return None,
                    byte => decoded.push(byte),
                }
                behind
            }
            None => {
                decoded.extend_from_slice(b"%25");
                behind
            }
        };
    }
    decoded.extend_from_slice(rest.as_bytes());
    Some(decoded.utf8_chunks().fold(String::with_capacity(decoded.len()), |mut text, chunk| {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
        text
    }))
}

fn hex_pair(text: &str) -> Option<(u8, &str)> {
    let (pair, rest) = text.split_at_checked(2)?;
    if !pair.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u8::from_str_radix(pair, 16).ok()?, rest))
}

/// Whether an escape is itself encoded.
fn encodes_percent(raw: &str) -> bool {
    raw.match_indices("%25")
        .any(|(at, found)| raw.get(at + found.len()..).is_some_and(|behind| hex_pair(behind).is_some()))
}

fn contains_ignoring_case(text: &str, what: &str) -> bool {
    text.as_bytes().windows(what.len()).any(|window| window.eq_ignore_ascii_case(what.as_bytes()))
}
