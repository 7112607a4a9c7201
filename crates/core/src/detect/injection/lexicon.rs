//! The lexicon: concepts, each with the words that stand for it in many languages, so that one grammar
//! of concepts works in all of them.

use std::collections::BTreeMap;

use super::fold::{self, is_bounded};
use super::gate::Features;
use super::marks::Mark;
use super::names::{is_another, is_joined, is_named};
use super::phrase::Phrase;
use super::set::Set;
use super::sight::{Owner, Wanted};
use crate::detect::normalize::normalize;
use crate::detect::spot::{Literal, Spotter};
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, Span};

/// The most concepts a lexicon may have: the rest of the bits are marks.
const MOST_CONCEPTS: usize = Set::BITS - Mark::COUNT;

/// Languages whose verb stands where the sentence ends, or that do not separate words: there an order
/// cannot be told by its place.
const FREE: [&str; 9] = ["ja", "ko", "hi", "bn", "tr", "zh", "th", "ar", "tl"];

/// How many bytes after an address the second and further orders may stand.
const REACH: usize = 240;

/// Concepts as they are read, before they are compiled.
#[derive(Debug, Default)]
pub(in crate::detect) struct Draft {
    names: Vec<String>,
    /// Concepts whose words the first pass looks for.
    keys: Set,
    /// These, and those made of phrases that hold one of them.
    reached: Set,
    words: Vec<Word>,
    /// Phrases as they are written, with the concept they stand for.
    written: Vec<(usize, String, Span)>,
    phrases: Vec<Phrase>,
}

/// A word or phrase.
#[derive(Clone, Debug)]
struct Word {
    /// As it was written, without its stars.
    text: String,
    concept: usize,
    /// Letters may stand before it.
    open_left: bool,
    /// Letters may stand after it.
    open_right: bool,
    /// It may stand anywhere in an order.
    free: bool,
    /// Of a language other than English: as a verb it has a form of its own for orders, or stands last.
    marked: bool,
}

impl Draft {
    /// Reads one element of `concepts`.
    pub(in crate::detect) fn read(&mut self, node: &Node, faults: &mut Vec<Diagnostic>) {
        let mut fields = Fields::of(node, "a concept", faults);
        let id = fields.text("id");
        fields.text("says");
        let key = fields.maybe_bool("key").unwrap_or(false);
        let phrases = fields.texts("phrases");
        let words = if phrases.is_empty() { fields.need("words") } else { fields.maybe("words") };
        fields.finish();
        let Some(id) = id else { return };
        let Some(concept) = self.index(id) else {
            let message = format!("more than {MOST_CONCEPTS} concepts");
            return faults.push(Diagnostic::error(node.span, message));
        };
        if key {
            self.keys.add(concept);
        }
        self.written.extend(phrases.into_iter().map(|(text, span)| (concept, text.to_owned(), span)));
        let Some(words) = words else { return };
        if words.members().is_empty() {
            faults.push(
                Diagnostic::error(words.span, format!("`{id}` has no words"))
                    .advise("write them by language: `en: [ignore, disregard]`"),
            );
        }
        for member in words.members() {
            for word in member.value.elements() {
                match word.as_str() {
                    Some(text) if text.trim_matches('*').trim().chars().count() >= 2 => {
                        self.words.push(Word::new(text, concept, &member.key));
                    }
                    Some(text) if text.chars().count() == 1 && !text.is_ascii() => {
                        self.words.push(Word::new(text, concept, &member.key));
                    }
                    _ => faults.push(Diagnostic::error(
                        word.span,
                        "a word of a concept is text of two letters or more",
                    )),
                }
            }
        }
    }

    /// The number of the concept `id`, made if it is new. A later file may add words to a concept.
    fn index(&mut self, id: &str) -> Option<usize> {
        if let Some(at) = self.names.iter().position(|name| name == id) {
            return Some(at);
        }
        (self.names.len() < MOST_CONCEPTS).then(|| {
            self.names.push(id.to_owned());
            self.names.len() - 1
        })
    }

    /// The names of concepts and marks, by their bits; those of no bit are empty.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        names.resize(Set::BITS, String::new());
        for (name, bit) in Mark::names() {
            if let Some(place) = names.get_mut(bit) {
                *place = format!("@{name}");
            }
        }
        names
    }

    /// The set that `names` stands for: `a|b` is one of two, `@x` a mark.
    pub(super) fn set(&self, names: &str, span: Span, faults: &mut Vec<Diagnostic>) -> Set {
        names.split('|').map(str::trim).fold(Set::EMPTY, |set, name| {
            let bit = match name.strip_prefix('@') {
                Some(mark) => Mark::named(mark).map(Mark::bit),
                None => self.names.iter().position(|known| known == name).map(Set::of),
            };
            if bit.is_none() {
                let known = self.names.iter().map(String::as_str);
                let advice = crate::syntax::decode::suggestion(name, known).unwrap_or_default();
                faults.push(Diagnostic::error(span, format!("no concept is called `{name}`")).advise(advice));
            }
            set | bit.unwrap_or_default()
        })
    }

    /// Reads the phrases, when all concepts are known.
    pub(super) fn finish(&mut self, faults: &mut Vec<Diagnostic>) {
        self.reached = self.keys;
        for (concept, text, span) in std::mem::take(&mut self.written) {
            let Some(phrase) = Phrase::read(concept, &text, span, self, faults) else { continue };
            if phrase.is_reached(self.reached) {
                self.reached.add(concept);
            } else if !self.keys.has(concept) {
                faults.push(
                    Diagnostic::error(span, "no concept of this phrase is a key")
                        .advise("the first pass looks for words of concepts with `key: true` only"),
                );
            }
            self.phrases.push(phrase);
        }
    }

    /// Concepts that the first pass leads to.
    pub(super) const fn reached(&self) -> Set {
        self.reached
    }

    pub(super) fn compile(self) -> Result<Lexicon, Diagnostic> {
        // Each spelling once, with whether letters may stand before and after it, and what it stands for.
        let mut spellings: BTreeMap<String, (bool, bool, Set)> = BTreeMap::new();
        for word in self.words.iter().filter(|word| self.keys.has(word.concept)) {
            for spelling in word.spellings() {
                let known = spellings.entry(spelling).or_default();
                let set = known.2 | Set::of(word.concept);
                *known = (known.0 || word.open_left, known.1 || word.open_right, set);
            }
        }
        let key = |(text, (within, open, set))| (Wanted { text, within, open, words: true }, Owner::Key(set));
        let with_words: Set = self.words.iter().map(|word| word.concept).collect();
        let folded: Vec<String> =
            self.words.iter().map(|word| fold::folded(&normalize(&word.text).text)).collect();
        let matcher = Spotter::new(folded.iter().zip(&self.words).map(|(text, word)| word.literal(text)))
            .map_err(|error| Diagnostic::error(Span::default(), error))?;
        let named = |name: &str| self.names.iter().position(|known| known == name);
        let set = |names: &[&str]| names.iter().filter_map(|name| named(name)).collect::<Set>();
        Ok(Lexicon {
            literals: spellings.into_iter().map(key).collect(),
            keys: self.keys,
            unsought: with_words & !self.keys,
            sequence: named("sequence").unwrap_or(usize::MAX),
            matcher,
            opener: named("opener").unwrap_or(usize::MAX),
            bidden: named("bidden").unwrap_or(usize::MAX),
            user: named("user").unwrap_or(usize::MAX),
            forbids: named("not-to").unwrap_or(usize::MAX),
            callings: set(&["addressed", "vocative", "bidden"]),
            speech: set(&["ai", "machine", "modal", "if-are", "to-whom"]),
            orders: set(&[
                "act",
                "deed",
                "carry-off",
                "say",
                "steer",
                "ignore",
                "operate",
                "store",
                "secrecy",
            ]),
            vocative: named("vocative").unwrap_or(usize::MAX),
            readers: set(&["ai", "machine"]),
            reporting: set(&["reporting"]),
            talk: set(&["talk"]),
            tokens: set(&["chat-token"]),
            calls: set(&["addressed", "vocative", "bidden", "frame", "turn", "chat-token"]),
            words: self.words,
            phrases: self.phrases,
        })
    }
}

impl Word {
    fn new(text: &str, concept: usize, language: &str) -> Self {
        let bare = text.trim_matches('*');
        // Scripts without capitals join particles and endings to the word.
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphabetic() && !is_bounded(c));
        // A word that ends in a sign has its end in it.
        let edge = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        Self {
            text: bare.to_owned(),
            concept,
            open_left: text.starts_with('*') || !edge(bare.chars().next()) || joins(bare.chars().next()),
            open_right: text.ends_with('*')
                || !edge(bare.chars().next_back())
                || joins(bare.chars().next_back()),
            free: FREE.contains(&language),
            marked: language != "en",
        }
    }

    /// As it is found in a folded clause, where it is `folded`.
    const fn literal<'a>(&self, folded: &'a str) -> Literal<'a> {
        Literal { text: folded, within: self.open_left, open: self.open_right, words: true }
    }

    /// As the first pass sees it: text that is normalised, but keeps its capitals and accents.
    fn spellings(&self) -> Vec<String> {
        let plain = |text: &str| normalize(text).text.into_owned();
        let lower = plain(&self.text.to_lowercase());
        let mut spellings = vec![fold::folded(&lower), lower];
        if !self.text.is_ascii() {
            let mut chars = self.text.chars();
            let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
            spellings.push(plain(&format!("{first}{}", chars.as_str())));
            spellings.push(plain(&self.text.to_uppercase()));
        }
        spellings
    }
}

/// Whether a name goes on at `at`: `AGENTS.md` and `claude.ai` call nobody.
fn goes_on(text: &str, at: usize) -> bool {
    let rest = text.get(at..).and_then(|rest| rest.strip_prefix('.'));
    rest.is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}

/// Whether what stands at `start..end` is part of an address: who sends to `me@attacker.example` does not speak about
/// attacks.
pub(super) fn is_in_address(text: &str, start: usize, end: usize) -> bool {
    goes_on(text, end) || text.get(..start).is_some_and(|before| before.ends_with(['@', '/', '.']))
}

/// A word seen in folded text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) concept: usize,
    /// Its number in the lexicon; that of a phrase is above all of these.
    pub(super) word: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// It may stand anywhere in an order.
    pub(super) free: bool,
    /// The word is of a language other than English.
    pub(super) marked: bool,
    /// It stands where an order may begin.
    pub(super) opens: bool,
}

/// Concepts, compiled.
#[derive(Debug)]
pub(super) struct Lexicon {
    /// Every spelling of a key word.
    literals: Vec<(Wanted, Owner)>,
    /// The concepts whose words are keys, and those with words that are not.
    keys: Set,
    unsought: Set,
    matcher: Spotter,
    words: Vec<Word>,
    phrases: Vec<Phrase>,
    /// The concept of words that may stand before an order: `please`, `you must`.
    opener: usize,
    /// The concept of words that begin a clause after which an order may stand: `once`, `after`.
    sequence: usize,
    /// The concept of phrases that bid somebody to do what follows: `agents must`.
    bidden: usize,
    /// The concept of the person whom the model works for.
    user: usize,
    /// The concept of words that forbid what follows.
    forbids: usize,
    /// The concept of the model's names with a sign after them: `assistant,`.
    vocative: usize,
    /// The concepts whose words tell in which language somebody is addressed.
    speech: Set,
    /// The concepts by which somebody is addressed who is then told what to do, and those of what he is told.
    callings: Set,
    orders: Set,
    /// The concepts of names of models and of programs.
    readers: Set,
    /// The concept of words by which a text quotes: `says`, `for example`.
    pub(super) reporting: Set,
    /// The concept of words by which a text speaks about attacks.
    pub(super) talk: Set,
    /// The concept of tokens of chat templates.
    pub(super) tokens: Set,
    /// The concepts by which a text calls the model or pretends to be the system.
    pub(super) calls: Set,
}

impl Lexicon {
    /// What the pass over all literals is to look for.
    pub(super) fn literals(&self) -> impl Iterator<Item = (Wanted, Owner)> {
        self.literals.iter().cloned()
    }

    pub(super) const fn key_concepts(&self) -> Set {
        self.keys
    }

    /// Concepts of whose words the first pass says nothing.
    pub(super) const fn unsought(&self) -> Set {
        self.unsought
    }

    /// `set` with everything that phrases may make of it in a clause with these `features`.
    pub(super) fn with_phrases(&self, set: Set, features: Features) -> Set {
        self.phrases.iter().fold(set, |set, phrase| set | phrase.may_make(set, features))
    }

    /// All words in `folded`.
    pub(super) fn hits(&self, folded: &str, out: &mut Vec<Hit>) {
        out.clear();
        self.matcher.each(folded, |spot| {
            let Some(word) = self.words.get(spot.literal) else { return };
            let (start, end) = (spot.start, spot.end);
            // In a text without spaces the letters of another script end a word.
            let foreign = folded.get(start..).and_then(|text| text.chars().next()).is_some_and(is_bounded);
            let letter = |c: Option<char>| {
                c.is_some_and(|c| c.is_alphanumeric() && (!foreign || is_bounded(c) || c.is_numeric()))
            };
            let before = folded.get(..start).and_then(|text| text.chars().next_back());
            let after = folded.get(end..).and_then(|text| text.chars().next());
            let concept = word.concept;
            let named = self.readers.has(concept) && (goes_on(folded, end) || is_another(folded, start, end))
                || concept == self.user && folded.get(end..).is_some_and(|rest| rest.starts_with(':'))
                || self.talk.has(concept) && is_in_address(folded, start, end);
            if !named && (word.open_left || !letter(before)) && (word.open_right || !letter(after)) {
                out.push(Hit {
                    concept: word.concept,
                    word: spot.literal,
                    start,
                    end,
                    free: word.free,
                    marked: word.marked,
                    opens: word.free,
                });
            }
        });
        // Words are found by their longest part, and several may stand at one place.
        out.sort_unstable_by_key(|hit| (hit.start, hit.end, hit.word));
        let mut set: Set = out.iter().map(|hit| hit.concept).collect();
        for phrase in &self.phrases {
            phrase.find(folded, &mut set, out);
        }
    }

    /// Finds out of each of `hits` whether it stands where an order may begin; the concepts of those that do.
    pub(super) fn opened(&self, folded: &str, hits: &mut [Hit]) -> Set {
        // Where somebody was addressed who is told what follows, and whether an order was given already.
        let told = hits.iter().filter(|hit| self.callings.has(hit.concept)).map(|hit| hit.end).min();
        // In a language other than English, by the words of the address.
        let foreign = hits.iter().any(|hit| hit.marked && self.speech.has(hit.concept));
        let mut ordered = false;
        // After a `do not` one more in a row is forbidden as well.
        let mut forbidden = false;
        let mut last = (usize::MAX, false);
        let mut opened = Set::EMPTY;
        for index in 0..hits.len() {
            let Some(hit) = hits.get(index).copied() else { break };
            forbidden |= hit.concept == self.forbids;
            // Several words may begin at one place.
            if last.0 != hit.start || self.callings.has(hit.concept) {
                let after = told.is_some_and(|end| end <= hit.start && hit.start - end <= REACH);
                let goes_on = (ordered && !forbidden || after) && is_joined(folded, hit.start);
                let name = self.callings.has(hit.concept)
                    && is_named(folded, hit.start, hit.concept == self.vocative);
                last = (hit.start, goes_on || name || self.opens(folded, hits, hit.start));
            }
            let told = hit.marked && foreign && told.is_some_and(|end| end <= hit.start);
            if hit.free || last.1 || told {
                opened.add(hit.concept);
                ordered |= self.orders.has(hit.concept) && !hit.free;
                if let Some(hit) = hits.get_mut(index) {
                    hit.opens = true;
                }
            }
        }
        opened
    }

    /// Whether a word stands before `at` which begins a clause of time or condition, after nothing or a sign:
    /// `Note: once you are done,`.
    fn goes_before(&self, folded: &str, hits: &[Hit], at: usize) -> bool {
        let begins = |start: usize| {
            let before = folded.get(..start).unwrap_or_default().trim_end_matches(' ');
            before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != ',')
        };
        hits.iter().any(|hit| hit.concept == self.sequence && hit.start < at && begins(hit.start))
    }

    /// Whether an order may begin at `at`: nothing stands before it in its clause but words that open one.
    fn opens(&self, folded: &str, hits: &[Hit], at: usize) -> bool {
        let mut at = at;
        // Each step goes left past one opener; a clause has few.
        for _ in 0..8 {
            let Some(before) = folded.get(..at) else { return false };
            let text = before.trim_end_matches(' ');
            match text.chars().next_back() {
                None => return true,
                Some(',') if self.goes_before(folded, hits, text.len()) => return true,
                // Within a name: `inject.override`.
                Some('.' | '-' | '=' | '@' | '#') if text.len() == before.len() => {}
                // An apostrophe after a letter is part of a word: `user's`.
                Some(c) if !c.is_alphanumeric() && !matches!(c, ',' | '%' | '/' | '_') => return true,
                Some(_) => {}
            }
            if hits.iter().any(|hit| hit.concept == self.bidden && hit.end == text.len()) {
                return true;
            }
            let text = text.trim_end_matches([',', ' ']);
            let opens = |concept| concept == self.opener || concept == self.vocative;
            let opener = hits.iter().filter(|hit| opens(hit.concept) && hit.end == text.len());
            let Some(start) = opener.map(|hit| hit.start).min() else { return false };
            at = start;
        }
        false
    }
}
