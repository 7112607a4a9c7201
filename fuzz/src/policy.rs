//! Policies: the engine against the reference evaluator.

use doorward_testkit::policy::{HOME, Situation, agree, case, lists};

/// The bytes are choices: of a policy and of an action. Both evaluators must say the same about it.
pub fn policy(data: &[u8]) {
    let case = case(data);
    let here = Situation {
        action: &case.action,
        effects: &case.action.effects,
        home: HOME,
        findings: &case.findings,
        facts: &case.facts,
        lists: lists(),
    };
    let agreed = agree(&case.policy, &here);
    assert!(agreed.is_ok(), "{}", agreed.err().unwrap_or_default());
}
