//! What rules see when their examples are said in other ways.

use std::collections::{BTreeMap, BTreeSet};

use doorward_assess::fuzz::propose::{Bench, Evasion, Proposal, file};
use doorward_assess::fuzz::{Fate, Operator, run};
use doorward_core::action::alone;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::{Surroundings, examples};
use doorward_core::policy::{Policy, SHIPPED};
use doorward_core::syntax::Source;
use doorward_core::{Engine, Facts};

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

/// What is proposed for the one rule of `text`, whose example is said as `evasions`.
fn proposed(text: &str, evasions: &[(Operator, &str)]) -> Proposal {
    let engine = engine_of(text);
    let bench = Bench::new(&engine, vec![Source { name: "rules", text }]).unwrap();
    let rule = &engine.rules().rules()[0];
    for (operator, text) in evasions {
        let action = alone::read(rule.examples[0].kind, text, None).unwrap();
        let decision = engine.decide(&action, &Facts::default());
        assert!(decision.reasons.iter().all(|reason| reason.rule != rule.id), "{} {text}", operator.as_str());
    }
    let evasions: Vec<Evasion> = evasions
        .iter()
        .map(|(operator, text)| Evasion {
            operator: *operator,
            example: rule.examples[0].clone(),
            text: (*text).to_owned(),
            effect_lost: false,
        })
        .collect();
    let proposal = bench.propose(rule, &evasions, &BTreeSet::new());
    // Whatever is proposed loads, and what it says of itself holds.
    let written = file(std::slice::from_ref(&proposal));
    let loaded = RuleSet::compile(&[Source { name: "proposals", text: &written }]).unwrap();
    assert_eq!(examples::mistaken(&loaded.into(), |_| true), [], "{written}");
    let caught = proposal.change.as_ref().map_or(0, |change| change.caught.len());
    assert_eq!((proposal.of, caught + proposal.left.len()), (evasions.len(), evasions.len()), "{written}");
    assert_eq!(written.contains("# What no change sees"), !proposal.left.is_empty(), "{written}");
    proposal
}

#[test]
fn a_rule_over_text_is_proposed_with_expressions_that_put_up_with_more() {
    let text = format!(
        "rules:\n{}",
        rule(
            "own.text",
            "{ text: { in: [command], literals: ['| frob'], regex: '^ls \\| frob -x$' } }",
            "command: ls | frob -x"
        )
    );
    let ways = [
        (Operator::Quotes, "ls | fr''ob -x"),
        (Operator::Whitespace, "ls\t\t| frob \\\n -x"),
        (Operator::AnsiQuotes, "ls | $'fr\\x6fb' -x"),
        (Operator::Variables, "zq=fr; ls | ${zq}ob -x"),
        (Operator::Comment, "ls | frob -x # no-op in CI"),
        (Operator::Ifs, "ls${IFS}| frob$IFS\"\"-x"),
    ];
    let proposal = proposed(&text, &ways);
    let change = proposal.change.unwrap();
    assert_eq!((change.caught.len(), &*change.id), (ways.len(), "own.text-widened"), "{change:?}");
    assert!(change.ordinary > 300, "{change:?}");
    // It was made for these, and sees others of their kind.
    let (seen, all) = change.fresh;
    assert!(all >= 5 && seen * 2 >= all, "{seen} of {all}");
}

#[test]
fn what_would_stop_ordinary_work_is_never_proposed() {
    let anchored = |what: &str| {
        let when = format!("{{ text: {{ in: [command], literals: ['{what}'], regex: '\\A{what}\\z' }} }}");
        format!("rules:\n{}", rule("own.text", &when, &format!("command: {what}")))
    };
    let among = |what: &str| proposed(&anchored(what), &[(Operator::Beside, &format!("true && {what}"))]);
    assert!(among("cargo fmt --frobnicate").change.is_some());
    // That one stands behind `&&` in a line that developers type.
    let refused = among("cargo fmt --check");
    assert!(refused.change.is_none() && refused.left.len() == 1, "{refused:?}");
}

#[test]
fn a_rule_over_text_is_proposed_with_what_it_looks_for_encoded() {
    let text = format!(
        "rules:\n{}",
        rule(
            "own.words",
            "{ text: { in: [outbound], literals: [frobnicate everything] } }",
            "outbound: please Frobnicate everything"
        )
    );
    let ways = [
        (Operator::Base64Text, "cGxlYXNlIEZyb2JuaWNhdGUgZXZlcnl0aGluZw=="),
        (Operator::Hex, "706c656173652046726f626e69636174652065766572797468696e67"),
        (Operator::Reversed, "gnihtyreve etacinborF esaelp"),
    ];
    let change = proposed(&text, &ways).change.unwrap();
    assert_eq!(change.caught.len(), 3, "{change:?}");
}

#[test]
fn a_rule_over_text_is_proposed_with_the_effect_that_it_means_and_one_over_effects_with_programs() {
    let text = format!(
        "rules:\n{}",
        rule(
            "own.shadow",
            "{ text: { in: [command], literals: ['cat /etc/shadow'], regex: '\\Acat /etc/shadow\\z' } }",
            "command: cat /etc/shadow"
        )
    );
    let encoded = (Operator::Base64Command, "echo Y2F0IC9ldGMvc2hhZG93 | base64 -d | sh");
    let change = proposed(&text, &[encoded]).change.unwrap();
    assert_eq!((change.caught.len(), change.what), (1, vec!["an effect".to_owned()]));

    let when = "{ effect: { capability: 'read:file', target: /etc/shadow, by: cat } }";
    let text = format!("rules:\n{}", rule("own.shadow", when, "command: cat /etc/shadow"));
    let change = proposed(&text, &[(Operator::Synonyms, "tac /etc/shadow")]).change.unwrap();
    assert_eq!(change.what, ["other programs that do the same"]);
}
