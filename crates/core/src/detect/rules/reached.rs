//! An expression is looked at only where one of its literals stands: an alternative in which none of them can stand
//! is dead, and nobody notices. Each alternative of each shipped expression is spelled out a few hundred times here,
//! at random, and one of the spellings has to hold a literal.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::shipped;
use crate::syntax::{Node, yaml};

/// How often an alternative is spelled out.
const TIMES: u32 = 400;

/// The most repetitions beyond those that an expression asks for.
const MORE: u32 = 2;

/// Numbers that look random and are the same each time (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

fn spell(hir: &Hir, dice: &mut Dice, out: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(std::str::from_utf8(&literal.0).unwrap()),
        HirKind::Class(class) => out.push(letter(class, dice)),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).min(repetition.min + MORE);
            for _ in 0..repetition.min + dice.below(most - repetition.min + 1) {
                spell(&repetition.sub, dice, out);
            }
        }
        HirKind::Capture(capture) => spell(&capture.sub, dice, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| spell(part, dice, out)),
        HirKind::Alternation(parts) => {
            let at = usize::try_from(dice.below(u32::try_from(parts.len()).unwrap())).unwrap();
            spell(&parts[at], dice, out);
        }
    }
}

/// A letter of `class`, one that can be typed if it has such.
fn letter(class: &Class, dice: &mut Dice) -> char {
    let Class::Unicode(class) = class else { return ' ' };
    let has = |c: &char| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(c));
    let typed: Vec<char> = (' '..='~').filter(has).collect();
    let at = usize::try_from(dice.below(u32::try_from(typed.len()).unwrap())).unwrap();
    typed.get(at).copied().unwrap_or_else(|| class.ranges()[0].start())
}

/// The alternatives of an expression, as far as nothing stands around them.
fn alternatives(hir: Hir) -> Vec<Hir> {
    match hir.into_kind() {
        HirKind::Alternation(parts) => parts.into_iter().flat_map(alternatives).collect(),
        HirKind::Capture(capture) => alternatives(*capture.sub),
        kind => vec![match kind {
            HirKind::Concat(parts) => Hir::concat(parts),
            HirKind::Repetition(repetition) => Hir::repetition(repetition),
            HirKind::Literal(literal) => Hir::literal(literal.0),
            HirKind::Class(class) => Hir::class(class),
            HirKind::Look(look) => Hir::look(look),
            _ => Hir::empty(),
        }],
    }
}

/// Whether one of many spellings of `hir` holds one of `literals`, or none is long enough to hold any.
fn is_reached(hir: &Hir, literals: &[String]) -> bool {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut longest = 0;
    for _ in 0..TIMES {
        let mut text = String::new();
        spell(hir, &mut dice, &mut text);
        longest = longest.max(text.len());
        let text = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        // White space at the ends of a spelling stands for any.
        let text = format!(" {text} ");
        if literals.iter().any(|literal| text.contains(literal.as_str())) {
            return true;
        }
    }
    longest < 3
}

/// Each condition in `node` that has literals and an expression.
fn conditions<'n>(node: &'n Node, out: &mut Vec<(Vec<String>, &'n str)>) {
    let literals: Vec<String> = node
        .get("literals")
        .map(|list| list.elements().iter().filter_map(Node::as_str).map(str::to_lowercase).collect())
        .unwrap_or_default();
    if let (false, Some(regex)) = (literals.is_empty(), node.get("regex").and_then(Node::as_str)) {
        out.push((literals, regex));
    }
    node.members().iter().for_each(|member| conditions(&member.value, out));
    node.elements().iter().for_each(|element| conditions(element, out));
}

#[test]
fn every_alternative_has_a_literal_by_which_it_is_reached() {
    let mut dead = Vec::new();
    let mut looked_at = 0;
    for source in shipped() {
        let Ok(file) = yaml::parse(source.text.as_bytes()) else { continue };
        for rule in file.get("rules").map(|rules| rules.elements()).unwrap_or_default() {
            let id = rule.get("id").and_then(Node::as_str).unwrap_or_default();
            let mut found = Vec::new();
            conditions(rule, &mut found);
            for (literals, regex) in found {
                // A name of the file's own expressions; those stand by themselves.
                let Ok(hir) = regex_syntax::parse(regex) else { continue };
                for alternative in alternatives(hir) {
                    looked_at += 1;
                    if !is_reached(&alternative, &literals) {
                        dead.push(format!("{id}: {alternative}\n"));
                    }
                }
            }
        }
    }
    assert!(looked_at > 1000, "{looked_at}");
    assert!(dead.is_empty(), "{} that no literal reaches:\n{}", dead.len(), dead.concat());
}

#[test]
fn a_dead_alternative_is_told_from_a_live_one() {
    let live = |regex: &str, literals: &[&str]| {
        let literals: Vec<String> = literals.iter().map(|literal| (*literal).to_owned()).collect();
        alternatives(regex_syntax::parse(regex).unwrap()).iter().all(|one| is_reached(one, &literals))
    };
    assert!(live(r"(?i)\bset\s+\+o\s+history|history\s+-c", &["history -c", "set +o"]));
    assert!(!live(r"(?i)\bset\s+\+o\s+history|history\s+-c", &["history -c"]));
    assert!(live(r"\bnc\s+-\w*z", &["nc -z"]));
    assert!(!live(r"(a|b)cdef|ghij", &["cdef"]));
}
