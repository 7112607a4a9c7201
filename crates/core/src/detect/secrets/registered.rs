//! Secrets that the operator has registered, known here by keyed hashes only: found wherever they stand, and not to
//! be read out of what is kept.
//!
//! Of each secret several forms are kept. One is looked for in a text as it stands. The others are looked for in what is left of the text
//! when all but letters and digits is taken out: then it does not matter into how many literals, lines or
//! groups somebody cut it. Among those are the secret from its end to its beginning, in hexadecimal (which is also what is left
//! of it behind percent signs), and in base64 at each of the three places where it may begin in a longer text.

use crate::syntax::hex;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::detect::normalize::normalize;
use crate::syntax::json;

mod every;
pub use every::Stretch;

/// How many bytes at its beginning and at its end a secret is first recognised by; shorter secrets are not registered.
pub const SHORTEST: usize = 8;

/// The longest secret that can be registered, in bytes.
pub const LONGEST: usize = 4096;

/// The most secrets that can be registered.
pub const MOST: usize = 1024;

/// The fewest letters and digits by which a secret is known without what stands between them.
const SHORTEST_BARE: usize = 12;

/// How many bytes one form takes when it is written down.
const WRITTEN: usize = 1 + 2 + 2 + 2 + 32;

/// Where a form is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// In the text as it stands.
    Plain,
    /// In its letters and digits.
    Bare,
}

/// What is kept of one form of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Form {
    within: Within,
    /// Sixteen bits each of a keyed hash of its first and its last eight bytes: enough to pass over nearly all places,
    /// too little to guess from.
    head: u16,
    tail: u16,
    /// Its length, in bytes.
    length: usize,
    /// Its HMAC-SHA-256.
    mac: [u8; 32],
}

/// What is kept of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    forms: Vec<Form>,
}

impl Registration {
    /// Its forms as text to be kept: hexadecimal digits.
    pub fn written(&self) -> impl Iterator<Item = String> {
        self.forms.iter().map(|form| {
            let mut bytes = vec![match form.within {
                Within::Plain => 0,
                Within::Bare => 1,
            }];
            bytes.extend_from_slice(&form.head.to_be_bytes());
            bytes.extend_from_slice(&form.tail.to_be_bytes());
            bytes.extend_from_slice(&u16::try_from(form.length).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(&form.mac);
            hex(&bytes)
        })
    }

    /// What [`Self::written`] wrote; `None` if it is anything else.
    pub fn read<'a>(written: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let forms: Option<Vec<Form>> = written.into_iter().map(read_form).collect();
        forms.filter(|forms| !forms.is_empty()).map(|forms| Self { forms })
    }
}

fn read_form(text: &str) -> Option<Form> {
    if text.len() != 2 * WRITTEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?))
        .collect();
    let bytes = bytes?;
    let (within, rest) = bytes.split_first()?;
    let within = match within {
        0 => Within::Plain,
        1 => Within::Bare,
        _ => return None,
    };
    let (head, rest) = rest.split_first_chunk::<2>()?;
    let (tail, rest) = rest.split_first_chunk::<2>()?;
    let (length, mac) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    // No form is longer than hexadecimal makes it.
    let fits = (SHORTEST..=2 * LONGEST).contains(&length);
    Some(Form {
        within,
        head: u16::from_be_bytes(*head),
        tail: u16::from_be_bytes(*tail),
        length,
        mac: mac.try_into().ok()?,
    })
    .filter(|_| fits)
}

/// Where a registered secret stands, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The name it was registered under.
    pub name: Arc<str>,
    /// The bytes it takes.
    pub start: usize,
    /// Behind them.
    pub end: usize,
}

/// Forms by their beginning.
#[derive(Clone, Default)]
struct Table {
    /// One bit for each head, so that nearly all places of a text cost no more than a look at it.
    heads: Vec<u64>,
    forms: HashMap<u16, Vec<(Form, Arc<str>)>>,
}

impl Table {
    fn add(&mut self, form: Form, name: &Arc<str>) {
        self.heads.resize(1 << 10, 0);
        if let Some(bits) = self.heads.get_mut(usize::from(form.head >> 6)) {
            *bits |= 1 << (form.head & 63);
        }
        self.forms.entry(form.head).or_default().push((form, Arc::clone(name)));
    }

    fn lengths(&self) -> impl Iterator<Item = usize> {
        self.forms.values().flatten().map(|(form, _)| form.length)
    }

    fn at(&self, head: u16) -> Option<&[(Form, Arc<str>)]> {
        let bits = self.heads.get(usize::from(head >> 6)).copied().unwrap_or_default();
        if bits >> (head & 63) & 1 == 0 {
            return None;
        }
        self.forms.get(&head).map(Vec::as_slice)
    }
}

/// The registered secrets.
#[derive(Clone, Default)]
pub struct Registered {
    key: Vec<u8>,
    multiplier: u64,
    mask: u64,
    count: usize,
    plain: Table,
    bare: Table,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registered({})", self.count)
    }
}

impl Registered {
    /// An empty set under `key`, which should be 32 random bytes.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let half = |name: &[u8]| {
            let mac = mac(key, name);
            mac.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        Self {
            key: key.to_vec(),
            multiplier: half(b"multiplier") | 1,
            mask: half(b"mask"),
            ..Self::default()
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What tells this set from others: of each form its name and hash.
    pub(in crate::detect) fn fingerprint(&self) -> String {
        let tables = [&self.plain, &self.bare].into_iter().flat_map(|table| table.forms.values().flatten());
        let mut all: Vec<String> =
            tables.map(|(form, name)| format!("{name} {}\n", hex(&form.mac))).collect();
        all.sort_unstable();
        all.concat()
    }

    /// What to keep of `secret`; `None` if it is shorter than [`SHORTEST`] or longer than [`LONGEST`].
    #[must_use]
    pub fn registration(&self, secret: &str) -> Option<Registration> {
        let bytes = secret.as_bytes();
        if bytes.len() > LONGEST {
            return None;
        }
        let mut forms = vec![self.form(Within::Plain, bytes)?];
        // Texts are looked at as they read: letters of other alphabets that look the same are one.
        let plain = normalize(secret).text;
        forms.extend(self.form(Within::Plain, plain.as_bytes()).filter(|_| plain != secret));
        let back: String = secret.chars().rev().collect();
        forms.extend(self.form(Within::Plain, back.as_bytes()));
        let mut bare = |text: &[u8], least: usize| {
            let text: Vec<u8> = text.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
            let form = Some(text).filter(|text| text.len() >= least);
            forms.extend(form.and_then(|text| self.form(Within::Bare, &text)));
        };
        bare(bytes, SHORTEST_BARE);
        bare(back.as_bytes(), SHORTEST_BARE);
        forms.extend(self.encoded_forms(bytes));
        let mut known = HashSet::new();
        forms.retain(|form| known.insert((form.within == Within::Plain, form.mac)));
        Some(Registration { forms })
    }

    /// What to keep of a text that is looked for encoded alone, in hexadecimal and base64; `None` as for
    /// [`Self::registration`].
    #[must_use]
    pub(in crate::detect) fn encoded(&self, text: &str) -> Option<Registration> {
        let fits = (SHORTEST..=LONGEST).contains(&text.len());
        let forms: Vec<Form> = self.encoded_forms(text.as_bytes()).collect();
        Some(Registration { forms }).filter(|kept| fits && !kept.forms.is_empty())
    }

    fn encoded_forms(&self, bytes: &[u8]) -> impl Iterator<Item = Form> {
        let low = hex(bytes).into_bytes();
        let high = low.to_ascii_uppercase();
        let all = [low, high].into_iter().chain((0..3).map(|before| base64_inside(bytes, before)));
        all.filter_map(|text| {
            let text: Vec<u8> = text.into_iter().filter(u8::is_ascii_alphanumeric).collect();
            self.form(Within::Bare, &text)
        })
    }

    fn form(&self, within: Within, bytes: &[u8]) -> Option<Form> {
        Some(Form {
            within,
            head: self.hash(bytes.first_chunk()?),
            tail: self.hash(bytes.last_chunk()?),
            length: bytes.len(),
            mac: mac(&self.key, bytes),
        })
    }

    /// Adds what was kept of a secret called `name`.
    pub fn add(&mut self, name: &str, registration: Registration) {
        let name = Arc::from(name);
        self.count += 1;
        for form in registration.forms {
            let table = if form.within == Within::Plain { &mut self.plain } else { &mut self.bare };
            table.add(form, &name);
        }
    }

    /// How long the longest form of any is, in bytes.
    #[must_use]
    pub(super) fn longest(&self) -> usize {
        [&self.plain, &self.bare].into_iter().flat_map(Table::lengths).max().unwrap_or_default()
    }

    /// Where the first registered secret in `text` stands, in any of its forms; cut over the values of a JSON text or
    /// a form it is found as well, and then stands in all of it.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Hit> {
        if self.count == 0 {
            return None;
        }
        self.find_in(&self.plain, text.as_bytes()).or_else(|| self.find_bare(text)).or_else(|| {
            let joined = values(text)?;
            let hit = self.find_in(&self.plain, joined.as_bytes()).or_else(|| self.find_bare(&joined))?;
            Some(Hit { start: 0, end: text.len(), ..hit })
        })
    }

    fn find_bare(&self, text: &str) -> Option<Hit> {
        let bare: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
        let hit = self.find_in(&self.bare, &bare)?;
        let mut places =
            text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric()).map(|(at, _)| at);
        let start = places.by_ref().nth(hit.start)?;
        let last = places.nth(hit.end - hit.start - 2)?;
        Some(Hit { start, end: last + 1, ..hit })
    }

    fn find_in(&self, table: &Table, bytes: &[u8]) -> Option<Hit> {
        bytes.windows(SHORTEST).enumerate().find_map(|(at, head)| {
            let known = table.at(self.hash(head.first_chunk()?))?;
            let fits = |(form, _): &&(Form, Arc<str>)| {
                let secret = bytes.get(at..at + form.length);
                secret.is_some_and(|secret| {
                    let tail = secret.last_chunk().map(|tail| self.hash(tail));
                    tail == Some(form.tail) && mac(&self.key, secret) == form.mac
                })
            };
            known.iter().find(fits).map(|(form, name)| Hit {
                name: Arc::clone(name),
                start: at,
                end: at + form.length,
            })
        })
    }

    fn hash(&self, bytes: &[u8; SHORTEST]) -> u16 {
        let mixed = (u64::from_le_bytes(*bytes) ^ self.mask).wrapping_mul(self.multiplier);
        u16::try_from(mixed >> 48).unwrap_or_default()
    }
}

/// The string values of a JSON text, or the values of a form or query, one behind the other.
fn values(text: &str) -> Option<String> {
    let mut joined = String::new();
    let first = text.trim_start().bytes().next()?;
    if matches!(first, b'{' | b'[') {
        let node = json::parse(text.as_bytes()).ok()?;
        node.each_string(&mut |value, _| joined.push_str(value));
        return Some(joined);
    }
    let pairs = text.split(['&', ';', '\n']).filter_map(|pair| pair.split_once('='));
    pairs.for_each(|(_, value)| joined.push_str(value.trim()));
    Some(joined).filter(|joined| joined.len() >= SHORTEST)
}

/// What base64 makes of `bytes` where `before` bytes precede them (RFC 4648, 4), without the digits at both ends in
/// which neighbours have a part.
fn base64_inside(bytes: &[u8], before: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let all: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    let digit = |at: usize| {
        let bit = at * 6;
        let two = u32::from(all.get(bit / 8).copied().unwrap_or_default()) << 8
            | u32::from(all.get(bit / 8 + 1).copied().unwrap_or_default());
        let six = two >> (10 - bit % 8) & 63;
        usize::try_from(six).ok().and_then(|six| DIGITS.get(six)).copied().unwrap_or(b'A')
    };
    ((before * 8).div_ceil(6)..all.len() * 8 / 6).map(digit).collect()
}

fn mac(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(bytes);
            mac.finalize().into_bytes().into()
        }
        // HMAC takes a key of any length.
        Err(_) => [0; 32],
    }
}

/// How a finding names it.
pub(super) fn description(name: &str) -> Cow<'static, str> {
    Cow::Owned(format!("the registered secret `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowing(secret: &str) -> Registered {
        let mut registered = Registered::new(&[7; 32]);
        let kept = registered.registration(secret).unwrap();
        registered.add("one", kept);
        registered
    }

    fn place(registered: &Registered, text: &str) -> Option<(usize, usize)> {
        registered.find(text).map(|hit| (hit.start, hit.end))
    }

    #[test]
    fn a_registered_secret_is_found_anywhere_and_nothing_else_is() {
        assert_eq!(Registered::new(&[7; 32]).find("correct horse battery"), None);
        let registered = knowing("correct horse");
        assert_eq!(place(&registered, "say:correct horse battery"), Some((4, 17)));
        assert_eq!(registered.find("correct horse").unwrap().name.as_ref(), "one");
        assert_eq!(registered.find("correct hors"), None);
        assert_eq!(registered.find("correct horsf"), None);
        assert_eq!(registered.registration("short"), None);
        assert_eq!(registered.registration(&"x".repeat(LONGEST + 1)), None);
        assert!(registered.registration(&"x".repeat(LONGEST)).is_some());
        // Under another key the same secret is kept as something else.
        let other = Registered::new(&[8; 32]).registration("correct horse").unwrap();
        assert_ne!(Some(other), registered.registration("correct horse"));
    }

    const SECRET: &str = "Winter/Kayak+42~loom";

    #[test]
    fn it_is_found_in_another_spelling() {
        let registered = knowing(SECRET);
        let back: String = SECRET.chars().rev().collect();
        let hex = hex(SECRET.as_bytes());
        let percent: String = SECRET.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for text in [
            back,
            hex.clone(),
            hex.to_uppercase(),
            percent,
            SECRET.chars().map(|c| format!("{c} ")).collect(),
            "a = 'Winter/Ka' + \"yak+42\"\n . '~loom'".to_owned(),
            r#"{"first":"Winter/Kay","second":{"x":["ak+42~"]},"third":"loom"}"#.to_owned(),
            "a=Winter/Kay&other=ak%2B42~loom".to_owned().replace("%2B", "+"),
        ] {
            assert!(registered.find(&text).is_some(), "{text}");
        }
        for text in ["Winter Kayak 42", r#"{"a":"Winter","b":"x","c":"Kayak42loom"}"#, "moolWinterKayak"] {
            assert_eq!(registered.find(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_found_in_base64_wherever_it_begins() {
        for secret in [SECRET, "8 bytes!"] {
            let registered = knowing(secret);
            for text in ["", "a", "ab", "abc", "user:"].map(|before| format!("{before}{secret}")) {
                for after in ["", "x", "xy"] {
                    let encoded = base64_inside(format!("{text}{after}").as_bytes(), 0);
                    let encoded = String::from_utf8(encoded).unwrap();
                    assert!(registered.find(&format!("data: {encoded}==")).is_some(), "{text}{after}");
                }
            }
        }
        assert_eq!(base64_inside(b"Man", 0), b"TWFu");
    }

    #[test]
    fn what_is_written_is_read_and_says_nothing() {
        let registered = Registered::new(&[7; 32]);
        let kept = registered.registration(SECRET).unwrap();
        let written: Vec<String> = kept.written().collect();
        assert!(knowing("8 bytes!").find("!setyb 8").is_some());
        assert!(!written.concat().contains(&hex(b"Winter")));
        assert_eq!(Registration::read(written.iter().map(String::as_str)), Some(kept));
        assert_eq!(Registration::read([]), None);
        let one = written.first().unwrap();
        let rest = one.strip_prefix("00").unwrap();
        for wrong in [rest, &format!("0{rest}"), &format!("zz{rest}"), &format!("02{rest}")] {
            assert_eq!(Registration::read([wrong]), None, "{wrong}");
        }
    }

    #[test]
    fn the_work_is_bounded_by_the_length_of_the_text() {
        // Every place begins as the secret does and none ends so.
        let registered = knowing(&format!("{}b", "a".repeat(LONGEST - 1)));
        let text = "a".repeat(1 << 20);
        let began = std::time::Instant::now();
        assert_eq!(registered.find(&text), None);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
