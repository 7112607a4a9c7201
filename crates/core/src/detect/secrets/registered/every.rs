//! Every place where a registered secret stands, for those who take it out.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Hit, Registered, SHORTEST, Table, mac};
use crate::detect::normalize::normalize;
use crate::placeholder::Issuer;

/// The longest stretch that is taken out as one, in bytes: a secret with blanks between its letters has an end.
const LONGEST_STRETCH: usize = 16 * 1024;

/// A stretch of a text in which registered secrets stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The bytes it takes.
    pub start: usize,
    /// Behind them.
    pub end: usize,
    /// The name of the secret; of several that overlap, that of the first.
    pub name: Arc<str>,
}

impl Registered {
    /// What makes the placeholders of `session` of `agent`. Nobody who does not have the key can make them.
    #[must_use]
    pub fn issuer(&self, agent: &str, session: &str) -> Option<Issuer> {
        Issuer::new(&mac(&self.key, b"placeholders"), agent, session)
    }

    /// All stretches of `text` in which a registered secret stands, in order and apart: as it stands, in letters that
    /// look the same, in hexadecimal and base64, from its end to its beginning, with other characters between; and the
    /// same behind backslashes and percent signs. Not what is cut over several values, nor what is compressed.
    ///
    /// Encoded, it is taken out with the digits in which its neighbours have a part.
    #[must_use]
    pub fn every(&self, text: &str) -> Vec<Stretch> {
        if self.is_empty() || text.len() < SHORTEST {
            return Vec::new();
        }
        let mut found = self.direct(text);
        let normalized = normalize(text);
        if normalized.text != text {
            found.extend(self.direct(&normalized.text).into_iter().map(|stretch| {
                let span = normalized.original(stretch.start, stretch.end).range();
                Stretch { start: span.start, end: span.end, ..stretch }
            }));
        }
        for (mark, decode) in [('\\', backslash as Decode), ('%', percent)] {
            if let Some((view, runs)) = text.contains(mark).then(|| view(text, mark, decode)) {
                let place = |offset: usize| {
                    let after = runs.partition_point(|(here, _)| *here <= offset);
                    let run = after.checked_sub(1).and_then(|run| runs.get(run));
                    let (here, there) = run.copied().unwrap_or((0, 0));
                    there + (offset - here)
                };
                found.extend(self.direct(&view).into_iter().map(|stretch| Stretch {
                    start: place(stretch.start),
                    end: place(stretch.end),
                    ..stretch
                }));
            }
        }
        joined(found, text)
    }

    /// The same of a text as it stands.
    fn direct(&self, text: &str) -> Vec<Stretch> {
        let stretch = |hit: Hit| Stretch { start: hit.start, end: hit.end, name: hit.name };
        let mut plain: Vec<Stretch> =
            self.every_in(&self.plain, text.as_bytes()).into_iter().map(stretch).collect();
        let bare: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
        let hits = self.every_in(&self.bare, &bare);
        if hits.is_empty() {
            return plain;
        }
        let wanted: BTreeSet<usize> =
            hits.iter().flat_map(|hit| [hit.start, hit.end.saturating_sub(1)]).collect();
        let places = places(text, wanted);
        let bytes = text.as_bytes();
        let digit = |at: usize| {
            bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        };
        let literal = plain.len();
        for hit in hits {
            let (Some(start), Some(last)) = (places.get(&hit.start), places.get(&hit.end.saturating_sub(1)))
            else {
                continue;
            };
            let (mut start, mut end) = (*start, *last + 1);
            let known = plain.iter().take(literal);
            // What stands there as it was registered has no digits on its sides.
            if known.into_iter().any(|known| known.start <= start && end <= known.end) {
                continue;
            }
            if end - start > LONGEST_STRETCH {
                continue;
            }
            start -= usize::from(start > 0 && digit(start - 1));
            end += usize::from(digit(end));
            plain.push(Stretch { start, end, name: hit.name });
        }
        plain
    }

    /// Every form of `table` in `bytes`. Of one form, places that overlap count once: a hash is as long as its secret.
    fn every_in(&self, table: &Table, bytes: &[u8]) -> Vec<Hit> {
        let (mut hits, mut done) = (Vec::new(), HashMap::<&[u8; 32], usize>::new());
        for (at, head) in bytes.windows(SHORTEST).enumerate() {
            let Some(known) = head.first_chunk().and_then(|head| table.at(self.hash(head))) else { continue };
            for (form, name) in known {
                let Some(secret) = bytes.get(at..at + form.length) else { continue };
                let tail = secret.last_chunk().map(|tail| self.hash(tail));
                if tail != Some(form.tail) || done.get(&form.mac).is_some_and(|end| at < *end) {
                    continue;
                }
                if mac(&self.key, secret) == form.mac {
                    done.insert(&form.mac, at + form.length);
                    hits.push(Hit { name: Arc::clone(name), start: at, end: at + form.length });
                }
            }
        }
        hits
    }
}

/// Where in `text` the letters and digits of these numbers stand.
fn places(text: &str, wanted: BTreeSet<usize>) -> HashMap<usize, usize> {
    let letters = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric());
    let mut letters = letters.map(|(at, _)| at).enumerate();
    let find = |nth: usize| letters.find(|(number, _)| *number == nth);
    wanted.into_iter().filter_map(find).collect()
}

/// Stretches that overlap are one; each begins and ends at a character.
fn joined(mut found: Vec<Stretch>, text: &str) -> Vec<Stretch> {
    found.sort_by_key(|stretch| (stretch.start, std::cmp::Reverse(stretch.end)));
    let mut all: Vec<Stretch> = Vec::new();
    for mut stretch in found {
        stretch.start = text.floor_char_boundary(stretch.start);
        stretch.end = text.ceil_char_boundary(stretch.end.min(text.len()));
        match all.last_mut() {
            Some(last) if stretch.start < last.end => last.end = last.end.max(stretch.end),
            _ if stretch.start < stretch.end => all.push(stretch),
            _ => {}
        }
    }
    all
}

/// What stands for what: the character that an escape at the beginning of a text stands for, and its length in bytes.
type Decode = fn(&str) -> Option<(Cow<'_, str>, usize)>;

/// `text` with what is behind each `mark` decoded once, and where runs of it begin: offset there, offset in the text.
fn view(text: &str, mark: char, decode: Decode) -> (String, Vec<(usize, usize)>) {
    let (mut out, mut runs) = (String::with_capacity(text.len()), Vec::new());
    let mut next = 0;
    while let Some(rest) = text.get(next..).filter(|rest| !rest.is_empty()) {
        let run = rest.find(mark).unwrap_or(rest.len());
        let (plain, coded) = rest.split_at_checked(run).unwrap_or((rest, ""));
        out.push_str(plain);
        next += plain.len();
        if coded.is_empty() {
            break;
        }
        let (said, length) = decode(coded).unwrap_or_else(|| (Cow::Owned(mark.to_string()), mark.len_utf8()));
        runs.push((out.len(), next));
        out.push_str(&said);
        next += length;
        runs.push((out.len(), next));
    }
    (out, runs)
}

/// As JSON, shells and programming languages have it.
fn backslash(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut chars = text.chars();
    chars.next()?;
    let said = match chars.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let digits = text.get(2..6)?;
            let unit = u32::from_str_radix(digits, 16).ok()?;
            return char::from_u32(unit).map(|c| (Cow::Owned(c.to_string()), 6));
        }
        other => return Some((Cow::Owned(other.to_string()), 1 + other.len_utf8())),
    };
    Some((Cow::Owned(said.to_string()), 2))
}

/// One character behind percent signs (RFC 3986, 2.1).
fn percent(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut bytes = Vec::new();
    // A character is spelled in up to four of them.
    for nth in 0..4 {
        let digits = text.get(nth * 3..nth * 3 + 3)?.strip_prefix('%')?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        if let Ok(said) = std::str::from_utf8(&bytes) {
            return Some((Cow::Owned(said.to_owned()), bytes.len() * 3));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowing(secrets: &[&str]) -> Registered {
        let mut registered = Registered::new(&[7; 32]);
        for (nth, secret) in secrets.iter().enumerate() {
            let kept = registered.registration(secret).unwrap();
            registered.add(&format!("s{nth}"), kept);
        }
        registered
    }

    fn texts<'a>(registered: &Registered, text: &'a str) -> Vec<&'a str> {
        registered.every(text).iter().map(|stretch| text.get(stretch.start..stretch.end).unwrap()).collect()
    }

    const SECRET: &str = "Winter/Kayak+42~loom";

    #[test]
    fn every_place_is_found_in_every_spelling() {
        let registered = knowing(&[SECRET]);
        let back: String = SECRET.chars().rev().collect();
        let text = format!("a {SECRET} b={SECRET}{SECRET}; {back}");
        assert_eq!(texts(&registered, &text), [SECRET, SECRET, SECRET, back.as_str()]);
        for spelled in [
            "Winter\\/Kayak+42~loom",
            "Winter%2FKayak%2b42~loom",
            "\\u0057inter/Kayak+42~loo\\u006D",
            "Win\u{200b}ter/Kayak+42~loom",
            "W i n t e r/K a y a k+4 2~l o o m",
            "57696e7465722f4b6179616b2b34327e6c6f6f6d",
            "57696E7465722F4B6179616B2B34327E6C6F6F6D",
            "V2ludGVyL0theWFrKzQyfmxvb20",
        ] {
            assert_eq!(texts(&registered, &format!("x: {spelled}!")), [spelled], "{spelled}");
        }
        assert!(registered.every("Winter/Kayak+42~loo").is_empty());
        assert!(registered.every("").is_empty() && Registered::new(&[7; 32]).every(SECRET).is_empty());
    }

    #[test]
    fn of_base64_the_digits_that_neighbours_share_go_too() {
        let registered = knowing(&["hunter2hunter2"]);
        // `user:hunter2hunter2` and `hunter2hunter2` at each place.
        for text in ["dXNlcjpodW50ZXIyaHVudGVyMg==", "Omh1bnRlcjJodW50ZXIy", "eHhodW50ZXIyaHVudGVyMnk="] {
            let found = texts(&registered, text);
            let [one] = found.as_slice() else { panic!("{found:?}") };
            assert!(one.len() >= 19, "{one}");
            let left = text.replace(one, "");
            assert!(left.len() <= 9, "{left}");
        }
    }

    #[test]
    fn what_overlaps_is_one() {
        let registered = knowing(&["inner-value", "[inner-value]", "value]-and-more"]);
        assert_eq!(texts(&registered, "x[inner-value]-and-more y"), ["[inner-value]-and-more"]);
        assert_eq!(texts(&registered, "x inner-value]"), ["inner-value"]);
        let same = knowing(&["aaaaaaaa"]);
        assert_eq!(texts(&same, &"a".repeat(24)).concat(), "a".repeat(24));
    }

    #[test]
    fn the_work_grows_with_the_text() {
        let long = "ab".repeat(2048);
        let registered = knowing(&[&long, "aaaaaaaa"]);
        let text = "ab".repeat(1 << 19);
        let began = std::time::Instant::now();
        assert_eq!(registered.every(&text).len(), 1);
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}
