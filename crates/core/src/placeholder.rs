//! What stands in a request in the place of a registered secret, and how a call gets the secret back.
//!
//! A placeholder is a keyed hash of what it stands for, of the agent and of the session: the same in every request of a
//! session, so that the caches of providers hold; another one in another session; and a hundred bits that nobody can
//! guess who has not been sent them. It consists of letters, digits and `_`, so that it is one word to a shell and
//! needs no escape in JSON.
//!
//! A page that says a placeholder gains nothing by it. What it says is given back its value only if that session
//! [issued](Placeholders) it, only in the arguments of a call, and before the call is judged: a call that would send the
//! value away is judged as if the model had written the value.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::syntax::spelled::{Spelled, edited, escaped};
use crate::syntax::{Node, Span, json};

/// What every placeholder begins with.
pub const PREFIX: &str = "doorward_secret_";

/// How many digits follow, of five bits each.
const DIGITS: usize = 20;

/// The most placeholders that are kept of one session.
pub const MOST: usize = 512;

/// The most bytes that the values of one session may have together.
pub const MOST_BYTES: usize = 256 * 1024;

/// The most bytes of values that are put into one text: a short word may stand for a long value, and be said very often.
pub const LONGEST: usize = 4 << 20;

/// Makes the placeholders of one session.
#[derive(Clone)]
pub struct Issuer {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    /// For `session` of `agent`, under the `key` of this installation.
    #[must_use]
    pub fn new(key: &[u8], agent: &str, session: &str) -> Option<Self> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        for name in [agent, session] {
            mac.update(&(name.len() as u64).to_be_bytes());
            mac.update(name.as_bytes());
        }
        Some(Self { mac })
    }

    /// What stands for `value`.
    #[must_use]
    pub fn placeholder(&self, value: &str) -> String {
        // No vowels but `e`, no look-alikes: what models copy well and what spells no word.
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let mut mac = self.mac.clone();
        mac.update(value.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let digits = bytes.iter().take(DIGITS).filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
        PREFIX.chars().chain(digits.map(|digit| char::from(*digit))).collect()
    }
}

/// What a placeholder stands for. Wiped when the last who has it lets go of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The name it was registered under.
    pub name: Arc<str>,
    value: Arc<Zeroizing<String>>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

impl Secret {
    /// The secret called `name` as it stood in a request.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.into(), value: Arc::new(Zeroizing::new(value.to_owned())) }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.value.len()
    }
}

/// Placeholders that were issued, and what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placeholders {
    of: BTreeMap<Box<str>, Secret>,
    bytes: usize,
}

impl Placeholders {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// How many bytes all values have.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes
    }

    /// Whether `placeholder` is one of them.
    #[must_use]
    pub fn has(&self, placeholder: &str) -> bool {
        self.of.contains_key(placeholder)
    }

    /// Whether there is room for a value of `size` bytes more.
    #[must_use]
    pub fn has_room(&self, size: usize) -> bool {
        self.of.len() < MOST && self.bytes.saturating_add(size) <= MOST_BYTES
    }

    /// Notes that `placeholder` stands for `secret`.
    pub fn issue(&mut self, placeholder: &str, secret: Secret) {
        self.bytes += secret.size();
        if let Some(before) = self.of.insert(placeholder.into(), secret) {
            self.bytes = self.bytes.saturating_sub(before.size());
        }
    }

    /// Takes one back.
    pub fn forget(&mut self, placeholder: &str) {
        if let Some(secret) = self.of.remove(placeholder) {
            self.bytes = self.bytes.saturating_sub(secret.size());
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.of.iter().map(|(placeholder, secret)| (&**placeholder, secret))
    }

    /// `text` with the values in the places of the placeholders, and whose they are; `None` if it has none.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn restore_text(&self, text: &str) -> Result<Option<Restored>, TooLong> {
        let mut found = Found::default();
        self.each(text, &mut |start, end, secret| {
            let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
            found.put(Span::new(short(start), short(end)), secret, |value| value.to_owned());
        });
        found.into(text)
    }

    /// The same of a JSON text, in its strings and keys: the values are escaped as JSON wants it, all else keeps its
    /// spelling. `None` as well for what is no JSON.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn restore_json(&self, text: &str) -> Result<Option<Restored>, TooLong> {
        if !self.may_be_in(text) {
            return Ok(None);
        }
        let Ok(node) = json::parse(text.as_bytes()) else { return Ok(None) };
        self.find(&node, text.as_bytes()).into(text)
    }

    /// What has to be replaced in `node`, which was read from `source`, and by what.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn edits(&self, node: &Node, source: &[u8]) -> Result<Vec<(Span, String)>, TooLong> {
        let found = self.find(node, source);
        found.left.map(|_| found.edits).ok_or(TooLong)
    }

    fn find(&self, node: &Node, source: &[u8]) -> Found {
        let mut found = Found::default();
        each_literal(node, &mut |span, text| {
            if text.contains(PREFIX) {
                let spelled = Spelled::of(source, span);
                self.each(spelled.text(), &mut |start, end, secret| {
                    found.put(spelled.span(start, end), secret, escaped);
                });
            }
        });
        found
    }

    /// Whether a JSON text may say one: escapes can hide it.
    fn may_be_in(&self, text: &str) -> bool {
        !self.of.is_empty() && (text.contains(PREFIX) || text.contains("\\u"))
    }

    fn each(&self, text: &str, visit: &mut dyn FnMut(usize, usize, &Secret)) {
        let mut from = 0;
        while let Some(start) = text.get(from..).and_then(|rest| rest.find(PREFIX)).map(|at| from + at) {
            let end = start + PREFIX.len() + DIGITS;
            from = match text.get(start..end).and_then(|word| self.of.get(word)) {
                Some(secret) => {
                    visit(start, end, secret);
                    end
                }
                None => start + PREFIX.len(),
            };
        }
    }
}

/// The values of placeholders are longer together than [`LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the values that its placeholders stand for are longer than {LONGEST} bytes together")]
pub struct TooLong;

/// What was found in a text.
#[derive(Debug)]
struct Found {
    edits: Vec<(Span, String)>,
    names: Vec<Arc<str>>,
    /// How many bytes there is room for; `None` once there was not enough.
    left: Option<usize>,
}

impl Default for Found {
    fn default() -> Self {
        Self { edits: Vec::new(), names: Vec::new(), left: Some(LONGEST) }
    }
}

impl Found {
    fn put(&mut self, span: Span, secret: &Secret, spell: impl Fn(&str) -> String) {
        self.left = self.left.and_then(|left| left.checked_sub(secret.size()));
        if self.left.is_none() {
            return;
        }
        self.edits.push((span, spell(&secret.value)));
        if !self.names.contains(&secret.name) {
            self.names.push(Arc::clone(&secret.name));
        }
    }

    fn into(self, text: &str) -> Result<Option<Restored>, TooLong> {
        let Self { edits, names, left } = self;
        left.ok_or(TooLong)?;
        Ok((!edits.is_empty()).then(|| Restored { text: edited(text, &edits), names }))
    }
}

/// Every string of `node`, keys included, in the order in which they stand.
fn each_literal(node: &Node, visit: &mut dyn FnMut(Span, &str)) {
    if let Some(text) = node.as_str() {
        visit(node.span, text);
    }
    node.elements().iter().for_each(|one| each_literal(one, visit));
    for member in node.members() {
        visit(member.key_span, &member.key);
        each_literal(&member.value, visit);
    }
}

/// A text with values in the places of placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The text.
    pub text: String,
    /// The names of the secrets in it, each once.
    pub names: Vec<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(agent: &str, session: &str) -> Issuer {
        Issuer::new(&[7; 32], agent, session).unwrap()
    }

    fn known(values: &[(&str, &str)]) -> (Placeholders, Vec<String>) {
        let (issuer, mut all) = (issuer("a", "s"), Placeholders::default());
        let issue = |(name, value): &(&str, &str)| {
            let placeholder = issuer.placeholder(value);
            all.issue(&placeholder, Secret::new(name, value));
            placeholder
        };
        let placeholders = values.iter().map(issue).collect();
        (all, placeholders)
    }

    #[test]
    fn one_value_has_one_placeholder_in_one_session() {
        let of = |agent, session, value| issuer(agent, session).placeholder(value);
        let one = of("a", "s", "value");
        assert_eq!(one, of("a", "s", "value"));
        assert!(
            one.len() == PREFIX.len() + DIGITS && one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        );
        let others =
            [of("b", "s", "value"), of("a", "t", "value"), of("a", "s", "valu3"), of("as", "", "value")];
        assert!(others.iter().all(|other| *other != one));
        assert_ne!(of("as", "", "value"), of("a", "s", "value"));
        let elsewhere = Issuer::new(&[8; 32], "a", "s").unwrap();
        assert_ne!(elsewhere.placeholder("value"), one);
    }

    #[test]
    fn a_value_comes_back_escaped_and_nothing_else_moves() {
        let (all, placeholders) = known(&[("one", "a\"b\\c\nd"), ("two", "plain")]);
        let [one, two] = placeholders.as_slice() else { panic!() };
        let text = format!("{{ \"k{two}\" : [\"\\u00e9 x{one}{two}y\", 1.50 ],\"e\":\"\\/\"}}");
        let restored = all.restore_json(&text).unwrap().unwrap();
        assert_eq!(
            restored.text,
            "{ \"kplain\" : [\"\\u00e9 xa\\\"b\\\\c\\ndplainy\", 1.50 ],\"e\":\"\\/\"}"
        );
        assert_eq!(restored.names.len(), 2);
        // Escapes hide nothing.
        let hidden: String = two.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        assert_eq!(all.restore_json(&format!("[\"{hidden}\"]")).unwrap().unwrap().text, "[\"plain\"]");
        assert_eq!(all.restore_text(&format!("x {one}")).unwrap().unwrap().text, "x a\"b\\c\nd");
    }

    #[test]
    fn what_was_not_issued_stays() {
        let (all, placeholders) = known(&[("one", "value")]);
        let one = &placeholders[0];
        let strange = issuer("a", "other session").placeholder("value");
        let short = one.strip_suffix(|_: char| true).unwrap();
        for text in [strange.as_str(), short, "doorward_secret_", "", &one.to_uppercase()] {
            assert_eq!(all.restore_json(&format!("[\"{text}\"]")), Ok(None), "{text}");
            assert_eq!(all.restore_text(text), Ok(None));
        }
        assert_eq!(all.restore_json(&format!("[\"{one}\"")), Ok(None), "no JSON");
        // Behind something that only begins like one.
        assert_eq!(
            all.restore_text(&format!("{PREFIX}{one}")).unwrap().unwrap().text,
            format!("{PREFIX}value")
        );
        assert_eq!(Placeholders::default().restore_text(one), Ok(None));
    }

    #[test]
    fn a_short_word_does_not_become_a_flood() {
        let value = "v".repeat(16 * 1024);
        let (all, placeholders) = known(&[("one", &value)]);
        let text = format!("[\"{}\"]", placeholders[0].repeat(50_000));
        assert_eq!(all.restore_json(&text), Err(TooLong));
        assert_eq!(all.restore_text(&text), Err(TooLong));
        let few = placeholders[0].repeat(LONGEST / value.len());
        assert_eq!(all.restore_text(&few).unwrap().unwrap().text.len(), LONGEST);
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_nothing() {
        let mut all = Placeholders::default();
        assert!(all.has_room(MOST_BYTES) && !all.has_room(MOST_BYTES + 1));
        all.issue("x", Secret::new("n", "12345"));
        all.issue("x", Secret::new("n", "123"));
        assert!(all.has_room(MOST_BYTES - 3) && !all.has_room(MOST_BYTES - 2));
        assert!(!format!("{all:?}").contains("123"));
        all.forget("x");
        assert!(all.is_empty() && all.has_room(MOST_BYTES));
    }
}
