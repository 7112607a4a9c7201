//! What rules see when their examples are said in other ways.

use std::collections::{BTreeMap, BTreeSet};

use doorward_assess::fuzz::{Fate, Operator, run};
use doorward_core::Engine;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::{Policy, SHIPPED};
use doorward_core::syntax::Source;

fn engine_of(rules: &str) -> Engine {
    let rules = RuleSet::compile(&[Source { name: "rules", text: rules }]).unwrap();
    let policy = Policy::compile(&[Source { name: "policy", text: SHIPPED }]).unwrap();
    Engine::new(rules.into(), policy.into(), Surroundings::default())
}

fn rule(id: &str, when: &str, example: &str) -> String {
    format!(
        "  - id: {id}
    category: c
    severity: 80
    description: d
    advice: a
    attack: [T1059]
    when: {when}
    examples: [{{ {example} }}]
    near_misses: [{{ command: ls }}]
"
    )
}

#[test]
fn a_rule_over_effects_holds_where_one_over_text_is_walked_around() {
    let text = format!(
        "rules:\n{}{}",
        rule(
            "by.text",
            "{ text: { in: [command], literals: ['cat /etc/shadow'] } }",
            "command: cat /etc/shadow"
        ),
        rule(
            "by.effect",
            "{ effect: { capability: 'read:file', target: /etc/shadow } }",
            "command: cat /etc/shadow"
        )
    );
    let engine = engine_of(&text);
    let mut missed: BTreeMap<String, BTreeSet<Operator>> = BTreeMap::new();
    let mut trials = 0;
    // Each alone: the other one would see it.
    for wanted in ["by.text", "by.effect"] {
        run(
            &engine,
            |rule| rule.id == wanted,
            1,
            8,
            |trial| {
                trials += 1;
                if trial.fate != Fate::Seen {
                    missed.entry(trial.rule.id.clone()).or_default().insert(trial.operator);
                }
                true
            },
        );
    }
    assert!(trials > 100, "{trials}");
    let text = missed.get("by.text").cloned().unwrap_or_default();
    assert!(text.contains(&Operator::Base64Command) || text.contains(&Operator::Synonyms), "{missed:?}");
    let effect = missed.get("by.effect").cloned().unwrap_or_default();
    assert!(effect.is_empty(), "{missed:?}");
}

#[test]
fn the_same_seed_gives_the_same_trials_and_another_gives_others() {
    let text = format!(
        "rules:\n{}",
        rule(
            "by.text",
            "{ text: { in: [tool_result], literals: [frobnicate] } }",
            "tool_result: please frobnicate it all"
        )
    );
    let engine = engine_of(&text);
    let texts = |seed| {
        let mut texts = Vec::new();
        run(
            &engine,
            |_| true,
            seed,
            3,
            |trial| {
                texts.push((trial.operator, trial.text, trial.fate));
                true
            },
        );
        texts
    };
    assert_eq!(texts(1), texts(1));
    assert_ne!(texts(1), texts(2));
    let operators: BTreeSet<Operator> = texts(1).into_iter().map(|(operator, ..)| operator).collect();
    assert!(operators.len() >= 8, "{operators:?}");
    assert!(
        texts(1).iter().any(|(operator, _, fate)| *operator == Operator::Base64Text && *fate == Fate::Missed)
    );
    assert!(texts(1).iter().any(|(operator, _, fate)| *operator == Operator::Buried && *fate == Fate::Seen));
}
