//! Learning what texts that steer an agent have in common: from texts of which it is known, and from documents in which
//! nothing of the kind stands. What comes out is the file that [`doorward_core::detect::injection::learnt`] reads.
//!
//! A text is an attack if one of its passages is, and nobody says which. So the machine is taught in rounds: first by
//! texts that are one passage, then by that passage of each attack which it thinks the worst, and by those of ordinary
//! texts that it was wrong about.

use doorward_core::detect::injection::learnt::{BITS, GLANCE_BITS, MAGIC};
use doorward_core::detect::injection::{Injection, Passage};
use doorward_core::syntax::{Span, json};
use sha2::{Digest as _, Sha256};

use crate::numbers::Numbers;

mod machine;
pub use machine::{Example, Machine};

/// A text of which it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it says.
    pub text: String,
    /// Whether it steers an agent against its user.
    pub attack: bool,
}

/// How many rounds of a better choice of passages.
const ROUNDS: usize = 2;

/// The most passages of one ordinary text that are looked at in the first round, and how many more in each of the others.
const FIRST: usize = 6;
const MORE: usize = 3;

/// An ordinary passage on this side is one to learn from.
const NEAR: f32 = -0.9;

/// How many of a thousand passages of ordinary texts the look at all words may take to be worth reading: reading costs
/// ten times as much as looking.
const READ: usize = 10;

/// Reads lines of `{"text": …, "label": "malicious" | "benign"}`; `name` is what their file is called.
///
/// # Errors
///
/// The number of the line that is none, and why.
pub fn read(name: &str, lines: &str) -> Result<Vec<Text>, String> {
    let text = |(at, line): (usize, &str)| {
        let node = json::parse(line.as_bytes()).map_err(|fault| format!("{name}:{}: {fault}", at + 1))?;
        let attack = match node.text("label") {
            Some("malicious") => true,
            Some("benign") => false,
            _ => return Err(format!("{name}:{}: `label` is neither `malicious` nor `benign`", at + 1)),
        };
        let text = node.text("text").ok_or_else(|| format!("{name}:{}: no `text`", at + 1))?;
        Ok(Text { text: text.to_owned(), attack })
    };
    lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(text).collect()
}

/// The examples of the detector's signals and their near misses: what rules and learning say shall not differ there.
#[must_use]
pub fn of_rules(injection: &Injection) -> Vec<Text> {
    let texts = |attack: bool, of: &[(String, Span)]| {
        of.iter().map(|(text, _)| Text { text: text.clone(), attack }).collect::<Vec<_>>()
    };
    let both = injection.signals().iter().flat_map(|signal| {
        [texts(true, &signal.examples), texts(false, &signal.near_misses)].into_iter().flatten()
    });
    both.collect()
}

/// Words of the ordinary ones among `texts` in no order, in sentences: without them much of what has words and no sense (lists,
/// tables of words, what a generator makes) was taken for an attack, since one pair of words that nobody has seen says as much as any.
#[must_use]
pub fn salads(texts: &[Text], count: usize) -> Vec<String> {
    let ordinary = texts.iter().filter(|text| !text.attack);
    let mut words: Vec<&str> = ordinary.flat_map(|text| text.text.split_whitespace()).collect();
    let mut numbers = Numbers::new(11);
    numbers.shuffle(&mut words);
    let salad = |words: &[&str]| {
        let sentences: Vec<String> = words.chunks(SENTENCE).map(|words| words.join(" ") + ".").collect();
        sentences.join(" ")
    };
    words.chunks(SALAD).take(count).map(salad).collect()
}

/// How many words stand in one of them, and in a sentence.
const SALAD: usize = 90;
const SENTENCE: usize = 14;

/// The digest of what is learnt from, which the file names.
#[must_use]
pub fn digest_of(texts: &[Text]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update([u8::from(text.attack)]);
        hasher.update(&text.text);
        hasher.update([0]);
    }
    hasher.finalize().into()
}

/// The passages of one text.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Whether it is an attack.
    pub attack: bool,
    /// Its passages; at least one.
    pub passages: Vec<Passage>,
}

/// Takes `texts`, and `ordinary` documents, apart.
#[must_use]
pub fn take(injection: &Injection, texts: &[Text], ordinary: &[String]) -> Vec<Taken> {
    let known = texts.iter().map(|text| (text.attack, text.text.as_str()));
    let others = ordinary.iter().map(|text| (false, text.as_str()));
    let taken =
        known.chain(others).map(|(attack, text)| Taken { attack, passages: injection.passages(text) });
    taken.filter(|text| !text.passages.is_empty()).collect()
}

/// What was learnt.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// About passages.
    pub passage: Machine,
    /// About words at a glance.
    pub glance: Machine,
    /// Above which margin a glance promises something.
    pub line: f32,
}

/// Learns from `texts`.
#[must_use]
pub fn learn(texts: &[Taken]) -> Learnt {
    let (attacks, others): (Vec<&Taken>, Vec<&Taken>) = texts.iter().partition(|text| text.attack);
    let mut numbers = Numbers::new(7);
    let mut ordinary: Vec<&Passage> = Vec::new();
    for text in &others {
        let mut some: Vec<&Passage> = text.passages.iter().collect();
        if some.len() > FIRST {
            numbers.shuffle(&mut some);
            some.truncate(FIRST);
        }
        ordinary.extend(some);
    }
    // A text that is hardly more than one passage is that passage.
    let short = |text: &&&Taken| text.passages.len() <= FIRST;
    let mut chosen: Vec<&Passage> =
        attacks.iter().filter(short).filter_map(|text| text.passages.last()).collect();
    let mut passage = between(&chosen, &ordinary, 1 << BITS, |passage| &passage.numbers);
    for _ in 0..ROUNDS {
        let margin = |it: &Passage| passage.margin(&it.numbers);
        chosen = attacks.iter().filter_map(|text| worst(&text.passages, margin)).collect();
        for text in &others {
            let mut wrong: Vec<(f32, &Passage)> = text
                .passages
                .iter()
                .map(|it| (margin(it), it))
                .filter(|(margin, _)| *margin > NEAR)
                .collect();
            wrong.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            ordinary.extend(wrong.into_iter().take(MORE).map(|(_, passage)| passage));
        }
        passage = between(&chosen, &ordinary, 1 << BITS, |passage| &passage.numbers);
    }
    Learnt { passage, glance: look(&chosen, &ordinary), line: line(&chosen, &ordinary) }
}

/// The look at all words.
fn look(attacks: &[&Passage], ordinary: &[&Passage]) -> Machine {
    between(attacks, ordinary, 1 << GLANCE_BITS, |passage| &passage.words)
}

/// Above which margin the look promises something: little that is ordinary is to lie above it, among what the look has not seen.
fn line(attacks: &[&Passage], ordinary: &[&Passage]) -> f32 {
    const PART: usize = 4;
    let (left_out, seen): (Vec<_>, Vec<_>) =
        ordinary.iter().copied().enumerate().partition(|(at, _)| at % PART == 0);
    let seen: Vec<&Passage> = seen.into_iter().map(|(_, passage)| passage).collect();
    let look = look(attacks, &seen);
    let mut margins: Vec<f32> = left_out.iter().map(|(_, passage)| look.margin(&passage.words)).collect();
    margins.sort_by(|one, other| other.total_cmp(one));
    margins.get(margins.len() * READ / 1000).copied().unwrap_or_default()
}

fn worst(passages: &[Passage], margin: impl Fn(&Passage) -> f32) -> Option<&Passage> {
    passages.iter().max_by(|one, other| margin(one).total_cmp(&margin(other)))
}

fn between(
    attacks: &[&Passage],
    others: &[&Passage],
    features: usize,
    numbers: impl for<'p> Fn(&'p Passage) -> &'p Vec<u32>,
) -> Machine {
    let known =
        attacks.iter().map(|passage| (true, passage)).chain(others.iter().map(|passage| (false, passage)));
    let examples: Vec<Example<'_>> =
        known.map(|(attack, passage)| Example { numbers: numbers(passage), attack }).collect();
    Machine::between(&examples, features)
}

impl Learnt {
    /// How far the worst passage of `text` is on the side of attacks.
    #[must_use]
    pub fn margin(&self, text: &Taken) -> f32 {
        text.passages.iter().map(|it| self.passage.margin(&it.numbers)).fold(f32::MIN, f32::max)
    }

    /// The file for the detector.
    #[must_use]
    pub fn file(&self, digest: [u8; 32]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(digest);
        self.passage.write(0.0, &mut file);
        self.glance.write(-self.line, &mut file);
        file
    }
}
