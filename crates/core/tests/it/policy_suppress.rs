//! `suppress`: a detector's false alarm is noted and no more, in one place, for a time, and never the floor.

use std::sync::Arc;

use doorward_core::action::alone;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::{Decision, Engine, Facts, Verdict};

use crate::policy::{faults, policy};

fn engine(policy: Policy) -> Engine {
    let rules = RuleSet::shipped().unwrap();
    Engine::new(Arc::new(rules), Arc::new(policy), Surroundings::default())
}

fn suppressing(matcher: &str) -> Policy {
    policy(&format!(
        "default: allow\nrules:\n  - name: known\n    suppress: {matcher}\n    reason: a fixture of our tests\n    expires: 2026-12-31\n"
    ))
}

fn decide(policy: Policy, command: &str, now: u64) -> Decision {
    let action = alone::read("command", command, None).unwrap();
    engine(policy).decide(&action, &Facts { now, ..Facts::default() })
}

const READ: &str = "cat ~/.ssh/id_rsa";

#[test]
fn a_suppressed_finding_is_noted_and_decides_nothing() {
    let before = decide(policy("default: allow\nrules: []\n"), READ, 0);
    assert_eq!(before.verdict, Verdict::Block);
    let after = decide(suppressing("{ finding: cred.file-read, path: '~/.ssh/id_rsa' }"), READ, 0);
    assert_eq!((after.verdict, after.risk), (Verdict::Allow, 0), "{:?}", after.reasons);
    let reason = after.reasons.iter().find(|reason| reason.rule == "cred.file-read").unwrap();
    assert!(reason.message.ends_with("(suppressed by the policy's rule \"known\": a fixture of our tests)"));
    // By its category as well.
    let after = decide(suppressing("{ finding: credential-read, tool: shell }"), READ, 0);
    assert_eq!(after.verdict, Verdict::Allow);
}

#[test]
fn it_holds_only_where_all_of_the_action_is_meant() {
    let there = "{ finding: cred.file-read, path: '~/.ssh/id_rsa' }";
    for command in [
        "cat ~/.ssh/id_ed25519",
        // One effect is meant, the other is not.
        "cat ~/.ssh/id_rsa ~/.ssh/id_ed25519",
        // It may be that file, and nobody knows.
        "cat ~/.ssh/id_rsa$X",
    ] {
        assert_eq!(decide(suppressing(there), command, 0).verdict, Verdict::Block, "{command}");
    }
    // Another finding stays.
    assert_eq!(
        decide(suppressing("{ finding: 'injection.*', tool: shell }"), READ, 0).verdict,
        Verdict::Block
    );
}

#[test]
fn a_finding_that_no_detector_makes_is_a_fault() {
    let rules = RuleSet::shipped().unwrap();
    let check = |rule: &str| {
        let policy = policy(&format!("default: allow\nrules:\n  - {rule}\n"));
        policy.check_findings(rules.names()).map_or_else(
            |faults| faults.iter().map(|f| format!("{} | {}", f.message, f.advice)).collect::<Vec<_>>(),
            |()| Vec::new(),
        )
    };
    let suppress = |finding: &str| {
        check(&format!(
            "{{ name: r, suppress: {{ finding: {finding}, tool: X }}, reason: x, expires: 2026-12-31 }}"
        ))
    };
    let deny = |finding: &str| check(&format!("{{ name: r, deny: {{ finding: {finding} }} }}"));
    let secrets = ["secret", "secret.registered", "secret.unredacted", "secret.github-pat"];
    for known in ["cred.file-read", "credential-read", "'cred.*'", "[exec.download-and-run, 'cred.**']"]
        .into_iter()
        .chain(secrets)
    {
        assert!(suppress(known).is_empty() && deny(known).is_empty(), "{known}");
    }
    assert_eq!(
        suppress("cred.file-raed"),
        [
            "no detector rule or category is `cred.file-raed`: this rule suppresses nothing | did you mean `cred.file-read`?"
        ]
    );
    // What restricts does not mind case, what lets pass does.
    assert!(deny("CRED.FILE-READ").is_empty());
    assert_eq!(suppress("CRED.FILE-READ").len(), 1);
    assert_eq!(deny("[cred.file-read, floor.kill, 'nothing.*']").len(), 2);
    assert!(
        deny("'nothing.*'")[0].starts_with(
            "no detector rule or category is `nothing.*`: this rule never applies | write an id"
        )
    );
    // The place is that of the name.
    let text = "default: allow\nrules:\n  - { name: r, deny: { finding: [cred.file-read, x.y] } }\n";
    let faults = policy(text).check_findings(rules.names()).unwrap_err();
    assert_eq!(faults[0].span.of(text.as_bytes()), b"x.y");
}

#[test]
fn an_expired_one_has_no_effect() {
    let matcher = "{ finding: cred.file-read, tool: shell }";
    assert_eq!(decide(suppressing(matcher), READ, 1_798_761_599_999).verdict, Verdict::Allow);
    assert_eq!(decide(suppressing(matcher), READ, 1_798_761_600_000).verdict, Verdict::Block);
    let policy = suppressing(matcher);
    assert!(policy.ended(1_798_761_599_999).is_empty());
    let ended = policy.ended(1_798_761_600_000);
    assert_eq!(ended.len(), 1);
    assert!(ended[0].message.contains("the rule \"known\" has ended"), "{}", ended[0].message);
}

#[test]
fn rules_still_see_what_is_suppressed() {
    let both = policy(
        "default: allow\nrules:\n  - { name: known, suppress: { finding: cred.file-read, tool: shell }, reason: x, expires: 2026-12-31 }\n  - { name: never, deny: { finding: cred.file-read } }\n",
    );
    let decision = decide(both, READ, 0);
    assert_eq!(decision.decisive().unwrap().rule, "policy.never");
}

#[test]
fn it_answers_no_default() {
    let denying = policy(
        "default: deny\nrules:\n  - { name: known, suppress: { finding: cred.file-read, tool: shell }, reason: x, expires: 2026-12-31 }\n",
    );
    assert_eq!(decide(denying, READ, 0).decisive().unwrap().rule, "policy.default");
}

#[test]
fn it_never_lifts_the_floor_and_says_so() {
    let killed = "pkill doorward";
    assert_eq!(decide(suppressing("{ finding: 'f*', tool: shell }"), killed, 0).verdict, Verdict::Block);
    for (matcher, says) in [
        ("{ finding: floor.kill, tool: x }", "the floor cannot be suppressed: no policy lifts it"),
        ("{ finding: 'floor.*', tool: x }", "the floor cannot be suppressed"),
        ("{ finding: [cred.file-read, policy.default], tool: x }", "`policy` is no detector"),
        ("{ finding: source.undeclared-tool, tool: x }", "`source` is no detector"),
        ("{ finding: '*', tool: x }", "whatever is found"),
        ("{ tool: x }", "names no detector rule"),
        ("{ finding: cred.file-read }", "without a place"),
    ] {
        let found = faults(&format!(
            "default: allow\nrules:\n  - {{ name: a, suppress: {matcher}, reason: r, expires: 2026-12-31 }}\n"
        ));
        assert!(found.iter().any(|fault| fault.contains(says)), "{matcher}: {found:?}");
    }
    let bare =
        faults("default: allow\nrules:\n  - { name: a, suppress: { finding: cred.file-read, tool: x } }\n");
    assert!(bare.iter().any(|fault| fault.contains("without a `reason`")), "{bare:?}");
    assert!(bare.iter().any(|fault| fault.contains("without an `expires`")), "{bare:?}");
}
