//! The engine against the reference evaluator of the testkit, on random policies and actions.

use doorward_testkit::policy::{HOME, Situation, agree, case, lists};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// How many cases the test command looks at, the same ones each time. `DOORWARD_CASES` asks for as many others.
const CASES: u32 = 20_000;

#[test]
fn both_evaluators_agree() {
    assert_eq!((lists().groups().len(), lists().registries().len()), (4, 3));
    let more = std::env::var("DOORWARD_CASES").ok().and_then(|text| text.parse().ok());
    let cases = more.unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = match more {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let (mut judged, mut spoke) = (0u32, 0u32);
    let (counted, speaking) = (std::cell::Cell::new(0u32), std::cell::Cell::new(0u32));
    let outcome = runner.run(&vec(any::<u8>(), 0..160), |bytes| {
        let case = case(&bytes);
        let here = Situation {
            action: &case.action,
            effects: &case.action.effects,
            home: HOME,
            findings: &case.findings,
            facts: &case.facts,
            lists: lists(),
        };
        match agree(&case.policy, &here) {
            Ok(Some(answer)) => {
                counted.set(counted.get() + 1);
                speaking.set(speaking.get() + u32::from(answer.speaks.iter().any(|name| name != "default")));
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(difference) => Err(TestCaseError::fail(difference)),
        }
    });
    if let Err(proptest::test_runner::TestError::Fail(why, _)) = &outcome {
        panic!("{why}");
    }
    outcome.unwrap();
    judged += counted.get();
    spoke += speaking.get();
    // A generator whose policies are refused, or whose rules never meet an action, would prove nothing.
    assert!(judged > cases / 2 && spoke > cases / 10, "{judged} of {cases} judged, in {spoke} a rule spoke");
}
