//! Mutations of what rules are known to see: every example of every rule, said in other ways that mean the same.
//!
//! What a shell or a reader still understands and no rule sees any more is an evasion. It is counted against the rule
//! whose example it was, unless something else stops it just as well.

use doorward_core::action::shell::{self, Shell};
use doorward_core::action::{Effect, alone};
use doorward_core::detect::rules::{Example, Rule};
use doorward_core::{Engine, Facts, Verdict};

use crate::numbers::Numbers;

pub mod propose;

mod operators;
pub use operators::{Audience, Operator};

/// The longest example that is mutated, in bytes.
const LONGEST: usize = 16 * 1024;

/// What became of one mutated example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The rule saw it.
    Seen,
    /// Another reason stops it, or notes it, as strongly as the rule would.
    SeenByAnother,
    /// Nothing does.
    Missed,
}

/// One mutated example.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// Whose example it was.
    pub rule: &'a Rule,
    /// The example.
    pub example: &'a Example,
    /// How it was changed.
    pub operator: Operator,
    /// What it says now.
    pub text: String,
    /// What became of it.
    pub fate: Fate,
    /// Of a command: whether its reading has every effect that the example's had. `None` if it is no command.
    pub effects_kept: Option<bool>,
}

/// Mutates every example of those rules that `wanted` is true of, by every operator, `times` over; hands each trial to
/// `each`. The same `seed` gives the same trials. Stops when `each` says no.
pub fn run<'a>(
    engine: &'a Engine,
    wanted: impl Fn(&Rule) -> bool,
    seed: u64,
    times: u32,
    mut each: impl FnMut(Trial<'a>) -> bool,
) {
    for rule in engine.rules().rules().iter().filter(|rule| wanted(rule)) {
        for (index, example) in rule.examples.iter().enumerate() {
            let Some(audience) = Audience::of(example).filter(|_| example.text.len() <= LONGEST) else {
                continue;
            };
            let before = effects(audience, example, &example.text);
            for operator in Operator::ALL.into_iter().filter(|operator| operator.is_for(audience)) {
                for time in 0..times {
                    let mut numbers = Numbers::of(&[&rule.id, operator.as_str()], seed, index as u64, time);
                    let Some(text) = operator.apply(&example.text, &mut numbers) else { continue };
                    let after = effects(audience, example, &text);
                    let effects_kept =
                        before.as_ref().zip(after).map(|(before, after)| keeps(before, &after));
                    let fate = fate(engine, rule, example, &text);
                    if !each(Trial { rule, example, operator, text, fate, effects_kept }) {
                        return;
                    }
                }
            }
        }
    }
}

fn fate(engine: &Engine, rule: &Rule, example: &Example, text: &str) -> Fate {
    let judge = |text: &str| {
        let action = alone::read(example.kind, text, example.shell).ok()?;
        Some(engine.decide(&action, &Facts::default()))
    };
    // What the example itself comes to: a rule may be worth a note only.
    let wanted = judge(&example.text).map_or(Verdict::Audit, |decision| decision.verdict).max(Verdict::Audit);
    let Some(decision) = judge(text) else { return Fate::Missed };
    if decision.reasons.iter().any(|reason| reason.rule == rule.id) {
        Fate::Seen
    } else if decision.verdict >= wanted {
        Fate::SeenByAnother
    } else {
        Fate::Missed
    }
}

/// What a command would do, as far as it is read.
fn effects(audience: Audience, example: &Example, text: &str) -> Option<Vec<Effect>> {
    let shell = match audience {
        Audience::Sh | Audience::PowerShell | Audience::Cmd => match example.shell {
            Some("sh") => Some(Shell::Sh),
            Some("powershell") => Some(Shell::PowerShell),
            Some("cmd") => Some(Shell::Cmd),
            _ => None,
        },
        Audience::Reader | Audience::Recipient | Audience::Url => return None,
    };
    Some(shell::read(text, shell).effects)
}

/// Whether all of `before` are in `after`, by what is done to what; whether case matters there is the target's affair.
fn keeps(before: &[Effect], after: &[Effect]) -> bool {
    let same = |a: &Effect, b: &Effect| {
        a.capability == b.capability
            && std::mem::discriminant(&a.target) == std::mem::discriminant(&b.target)
            && a.target.as_str().eq_ignore_ascii_case(b.target.as_str())
    };
    before.iter().all(|effect| after.iter().any(|other| same(effect, other)))
}
