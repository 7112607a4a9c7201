//! Vectors of several actions one after the other: what limits count, by the engine and by the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use doorward_core::action::{Action, ActionKind, Door, Part, PartKind, alone};
use doorward_core::decision::{Charge, Later};
use doorward_core::detect::destination::Lists;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::{Counters, Level, Texts, exceeded};
use doorward_core::syntax::{Node, json};
use doorward_core::usage::{Asked, Tokens};
use doorward_core::{Engine, Facts, Verdict};
use doorward_testkit::policy::{Reference, Running, Situation, Tally};

/// 2026-01-01T00:00:00Z, from which steps count.
const START: u64 = 1_767_225_600_000;

/// What is wrong with an entry.
pub fn check(entry: &Node, texts: Texts, ran: &mut usize) -> Vec<String> {
    let told: String = texts.all().iter().map(|text| text.text.clone()).collect();
    let levels: Vec<(Level, &str)> = texts.all().iter().map(|text| (text.level, &*text.text)).collect();
    let reference = Reference::of(&levels).unwrap_or_else(|| panic!("no policy to the reference:\n{told}"));
    let policy = match texts.compile() {
        Ok(policy) => policy,
        Err(faults) => return vec![format!("{told}{faults:#?}")],
    };
    let around = Surroundings::default();
    let home = around.user_home.clone();
    let engine = Engine::new(Arc::new(RuleSet::compile(&[]).unwrap()), Arc::new(policy), around);
    let mut both = Both {
        engine,
        reference,
        home,
        counters: Counters::default(),
        tally: Tally::default(),
        running: BTreeMap::new(),
    };
    let mut failed = Vec::new();
    for (at, step) in entry.get("sequence").unwrap().elements().iter().enumerate() {
        *ran += 1;
        if let Some(found) = both.step(step) {
            failed.push(format!("step {} {}\n{found}\n{told}", at + 1, written(step)));
        }
    }
    failed
}

struct Both {
    engine: Engine,
    reference: Reference,
    home: String,
    counters: Counters,
    tally: Tally,
    /// Requests whose replies have not ended, by name.
    running: BTreeMap<String, (Vec<Charge>, Running)>,
}

impl Both {
    fn step(&mut self, step: &Node) -> Option<String> {
        let now = START + step.get("at").and_then(Node::as_u64).expect("`at`");
        if let Some(name) = step.text("ends") {
            self.end(name, step.get("used").expect("`used`"), now);
            return None;
        }
        let action = action(step);
        let facts = Facts { now, ..Facts::default() };
        let decision = self.engine.decide(&action, &facts);
        let mut verdict = decision.verdict;
        let of_rules = decision.reasons.iter().filter_map(|reason| reason.rule.strip_prefix("policy."));
        let mut speaks: BTreeSet<String> = of_rules.map(str::to_owned).collect();
        let mut charges = decision.charges.0.clone();
        if !decision.passes() {
            verdict = verdict.max(Verdict::Redact);
            charges.clear();
        }
        match self.counters.reserve(&charges, now) {
            // It goes on, and so stays counted.
            Ok(reservation) => drop(reservation),
            Err(full) => {
                verdict = Verdict::Block;
                charges.clear();
                let rules = full.iter().map(|limit| exceeded(limit, now).rule);
                speaks.extend(rules.map(|rule| rule.trim_start_matches("policy.").to_owned()));
            }
        }
        let lists = Lists::default();
        let here = Situation {
            action: &action,
            effects: &action.effects,
            home: &self.home,
            findings: &[],
            facts: &facts,
            lists: &lists,
        };
        let (ruled, running) = self.reference.count(&mut self.tally, &here);
        if let Some(name) = step.text("name") {
            charges.retain(|charge| charge.later.is_some());
            self.running.insert(name.to_owned(), (charges, running));
        }
        let expect = step.text("expect").unwrap();
        let rules: BTreeSet<String> = step
            .get("rules")
            .map(Node::elements)
            .unwrap_or_default()
            .iter()
            .map(|rule| rule.as_str().unwrap().to_owned())
            .collect();
        let engine = (verdict.as_str(), &speaks);
        let reference = (ruled.verdict.as_str(), &ruled.speaks);
        (engine != (expect, &rules) || reference != (expect, &rules))
            .then(|| format!("engine: {engine:?}\nreference: {reference:?}"))
    }

    fn end(&mut self, name: &str, used: &Node, now: u64) {
        let (charges, running) = self.running.remove(name).unwrap_or_default();
        let count = |key: &str| used.get(key).and_then(Node::as_u64).unwrap_or_default();
        let [input, cached, cache_write, output] =
            ["input", "cached_input", "cache_write", "output"].map(count);
        let tokens = Tokens { input, cached, cache_write, output };
        for charge in charges {
            let amount = match charge.later {
                Some(Later::Money(price)) => price.of(&tokens),
                _ => tokens.all(),
            };
            self.counters.spend(charge.counter, charge.window, amount, now);
        }
        self.tally.ended(&running, [input, cached, cache_write, output].map(u128::from), now);
    }
}

fn action(step: &Node) -> Action {
    let mut action = if let Some(ask) = step.get("ask") {
        let mut action = Action::new(Door::Model, ActionKind::ModelRequest, "".into(), "".into());
        action.asked = ask.text("model").map_or(Asked::Unknown, |model| Asked::Model(model.into()));
        action.peer = ask.text("upstream").unwrap_or("upstream").into();
        let text = ask.text("text").unwrap_or_default();
        action.parts = vec![Part { kind: PartKind::UserText, text: text.into() }];
        action
    } else if let Some(url) = step.text("url") {
        alone::read("url", url, None).unwrap()
    } else if let Some(command) = step.text("command") {
        alone::read("command", command, None).unwrap()
    } else {
        let call = step.get("call").expect("an action");
        let arguments = call.get("arguments").map_or("{}".to_owned(), written);
        let call = format!("{{\"name\":{:?},\"arguments\":{arguments}}}", call.text("tool").unwrap());
        alone::read("tool_call", &call, None).unwrap()
    };
    action.agent = step.text("agent").unwrap_or("agent").into();
    action.session = step.text("session").unwrap_or("session").into();
    action
}

fn written(node: &Node) -> String {
    let mut text = Vec::new();
    json::write(node, &mut text);
    String::from_utf8(text).unwrap()
}
