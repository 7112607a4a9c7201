//! Both opinions on one case.

use std::collections::BTreeSet;

use doorward_core::action::Action;
use doorward_core::decision::{Layer, Reason, Verdict};
use doorward_core::policy::{Given, Policy};
use doorward_core::syntax::Source;

use super::{Answer, Reference, Situation};

/// What both evaluators agree on; `None` if the engine refuses the policy.
///
/// # Errors
/// Both answers and the case, for a person, if they do not agree.
pub fn agree(text: &str, here: &Situation<'_>) -> Result<Option<Answer>, String> {
    let Ok(policy) = Policy::compile(&[Source { name: "policy", text }]) else { return Ok(None) };
    let Some(reference) = Reference::read(text) else {
        return Err(format!("the reference cannot read a policy that loads:\n{text}"));
    };
    let own = policy.own_effects(&Action { effects: here.effects.to_vec(), ..here.action.clone() });
    let given = Given {
        effects: own.as_deref().unwrap_or(here.effects),
        home: here.home,
        findings: here.findings,
        facts: here.facts,
        lists: here.lists,
    };
    let expected = reference.judge(here);
    let found = answer(&policy, here, &given);
    let lifted = policy.suppressions(here.action, &given);
    let noted = |finding| lifted.lift(reason(), finding).verdict == Verdict::Allow;
    let lifts: Vec<bool> = here.findings.iter().map(noted).collect();
    let expected_lifts: Vec<bool> = here.findings.iter().map(|f| reference.suppresses(here, f)).collect();
    if found == expected && lifts == expected_lifts {
        return Ok(Some(found));
    }
    // A request does not show what it carries.
    let carries =
        here.action.request.as_ref().map(|request| format!("{:?} {:?}", request.headers(), request.body()));
    Err(format!(
        "engine:    {found:?}, suppresses {lifts:?}\nreference: {expected:?}, suppresses {expected_lifts:?}\n\
         policy:\n{text}action: {:#?}\ncarries: {carries:?}\neffects: {:#?}\nfindings: {:?}\nfacts: {:?}",
        here.action, here.effects, here.findings, here.facts
    ))
}

fn answer(policy: &Policy, here: &Situation<'_>, given: &Given<'_>) -> Answer {
    let reasons = policy.evaluate(here.action, given);
    let name = |reason: &Reason| reason.rule.strip_prefix("policy.").unwrap_or(&reason.rule).to_owned();
    Answer {
        verdict: reasons.iter().map(|reason| reason.verdict).max().unwrap_or_default(),
        speaks: reasons.iter().map(name).collect(),
        limits: policy
            .charges(here.action, given)
            .into_iter()
            .map(|charge| charge.account)
            .collect::<BTreeSet<_>>(),
    }
}

/// What a detector might say.
fn reason() -> Reason {
    Reason {
        rule: String::new(),
        layer: Layer::Detect,
        verdict: Verdict::Block,
        severity: 90,
        message: String::new(),
        advice: String::new(),
        part: None,
    }
}
