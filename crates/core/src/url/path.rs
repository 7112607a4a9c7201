//! The path of a URL, in every way in which servers read one.
//!
//! A proxy that keeps `/a/..;/admin` out of `/admin` and a servlet behind it that lets it in are both right by
//! their own rules. So a path has readings: one for each combination of the habits below that makes a
//! difference for it. What restricts asks whether any reading fits, what allows asks whether all do.

use std::borrow::Cow;

/// A path; at least one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// That of most servers.
    plain: Reading<'a>,
    others: Vec<Reading<'a>>,
}

/// The segments of a path, decoded. In them `%` stands as `%25`, and a slash within one as `%2F`.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// The segments with slashes between them: as they stand in the URL, if nothing there had to be decoded.
    text: Cow<'a, str>,
}

impl Reading<'_> {
    /// The segments, none of them empty.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.text.split('/').filter(|segment| !segment.is_empty())
    }
}

impl PartialEq for Reading<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Reading<'_> {}

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

impl<'a> Path<'a> {
    /// Reads what stands between authority and `?`; `None` if it has a control character in it, encoded.
    #[must_use]
    pub fn read(raw: &'a str) -> Option<Self> {
        let dots = |segment: &str| matches!(segment, "." | "..");
        if !raw.contains(['%', ';']) && !raw.split('/').any(dots) {
            // All servers take it as it stands.
            return Some(Self { plain: Reading { text: raw.into() }, others: Vec::new() });
        }
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
        let mut readings = Vec::with_capacity(1);
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
        let mut readings = readings.into_iter();
        Some(Self { plain: readings.next()?, others: readings.collect() })
    }

    /// Every reading, that of most servers first.
    pub fn readings(&self) -> impl Iterator<Item = &Reading<'a>> {
        std::iter::once(&self.plain).chain(&self.others)
    }

    /// The segments as most servers read them.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        self.plain.iter()
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.segments().try_for_each(|segment| write!(f, "/{segment}"))
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

    fn read(self, raw: &str) -> Option<Reading<'static>> {
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
        Some(Reading { text: segments.join("/").into() })
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
