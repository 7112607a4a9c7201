//! The shared vectors in `spec/vectors/policy`: what every implementation of the policy language must say, the engine
//! and the reference evaluator of the testkit among them.
//!
//! `README.md` beside them has their form. A test of a vector is a test of a policy, so it is run as one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::action::alone;
use doorward_core::decision::{Layer, Reason, Verdict};
use doorward_core::detect::Finding;
use doorward_core::detect::destination::{Lists, Registry};
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::{Case, Given, Level, Policy, Text, Texts};
use doorward_core::syntax::{Diagnostic, Node, Source, Span, json};
use doorward_core::url::host_of;
use doorward_core::{Engine, Facts};
use doorward_testkit::policy::{Reference, Situation};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/policy");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    files
}

/// The texts of an entry: one of an agent, or some of several levels.
fn texts(entry: &Node) -> Vec<Text> {
    let text = |level: Level, at: usize, text: &str| Text {
        level,
        name: format!("policy {at}"),
        text: text.to_owned(),
        included: false,
    };
    match entry.text("policy") {
        Some(policy) => vec![text(Level::Agent, 0, policy)],
        None => {
            let levels = entry.get("levels").unwrap().elements().iter().enumerate();
            let of = |node: &Node| {
                let word = node.text("level").unwrap();
                Level::ALL.into_iter().find(|level| level.as_str() == word).unwrap()
            };
            levels.map(|(at, node)| text(of(node), at, node.text("policy").unwrap())).collect()
        }
    }
}

/// The texts with what they include of the entry's `files`, and what is wrong with that.
fn gathered(texts: Vec<Text>, entry: &Node) -> (Texts, Vec<Diagnostic>) {
    Texts::gather(texts, &mut |_, wanted| {
        let files = entry.get("files").and_then(|files| files.text(wanted));
        let text = files.ok_or_else(|| "it is not there".to_owned())?;
        Ok((wanted.to_owned(), text.to_owned()))
    })
}

/// The policy, or all its faults.
fn compiled(texts: &Texts, faults: Vec<Diagnostic>) -> Result<Policy, Vec<Diagnostic>> {
    match texts.compile() {
        Ok(policy) if faults.is_empty() => Ok(policy),
        found => Err(faults.into_iter().chain(found.err().unwrap_or_default()).collect()),
    }
}

/// The lines in which there are faults, each once.
fn lines(faults: &[Diagnostic], text: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = faults.iter().map(|fault| fault.position(text.as_bytes()).0).collect();
    lines.dedup();
    lines
}

/// The lists that a file of vectors brings, and the registries that are learnt.
fn rules(file: &Node) -> Arc<RuleSet> {
    let lists: Vec<Source<'_>> =
        file.text("lists").map(|text| Source { name: "lists", text }).into_iter().collect();
    let registry = |node: &Node| Registry {
        host: host_of(node.text("host").unwrap()).unwrap().into_owned(),
        port: node.get("port").and_then(Node::as_u64).map(|port| u16::try_from(port).unwrap()),
        from: String::new(),
    };
    let registries = file.get("registries").map(Node::elements).unwrap_or_default();
    Arc::new(RuleSet::compile(&lists).unwrap().with_registries(registries.iter().map(registry)))
}

/// What is wrong with one entry; `ran` counts what was looked at.
fn check(entry: &Node, rules: &Arc<RuleSet>, ran: &mut usize) -> Vec<String> {
    if entry.get("sequence").is_some() {
        return crate::policy_sequences::check(entry, gathered(texts(entry), entry).0, ran);
    }
    if entry.get("suppress").is_some() {
        return suppress(entry, ran);
    }
    let mut texts = texts(entry);
    if let Some(expected) = entry.get("faults") {
        *ran += 1;
        let expected: Vec<usize> =
            expected.elements().iter().map(|line| usize::try_from(line.as_u64().unwrap()).unwrap()).collect();
        let policy = texts[0].text.clone();
        let (texts, faults) = gathered(texts, entry);
        let faults = compiled(&texts, faults).err().unwrap_or_default();
        let found = lines(&faults, &policy);
        let why = entry.text("name").unwrap_or_default();
        return if found == expected {
            vec![]
        } else {
            vec![format!("{why}\n{policy}faults in lines {found:?}")]
        };
    }
    // JSON is YAML: the tests stand beside the rules of the last text.
    let last = texts.last_mut().unwrap();
    let mut text = format!("{}tests: ", last.text).into_bytes();
    let tests = entry.get("tests").unwrap();
    json::write(tests, &mut text);
    last.text = String::from_utf8(text).unwrap();
    let (texts, faults) = gathered(texts, entry);
    let told: String =
        texts.all().iter().map(|text| format!("{}: {}\n", text.level.as_str(), text.text)).collect();
    let levels: Vec<(Level, &str)> = texts.all().iter().map(|text| (text.level, &*text.text)).collect();
    let reference = Reference::of(&levels).unwrap_or_else(|| panic!("no policy to the reference:\n{told}"));
    let policy = match compiled(&texts, faults) {
        Ok(policy) => policy,
        Err(faults) => return vec![format!("{told}{faults:#?}")],
    };
    let cases = policy.cases().to_vec();
    assert_eq!(cases.len(), tests.elements().len());
    let around = Surroundings::default();
    let home = around.user_home.clone();
    let engine = Engine::new(Arc::clone(rules), Arc::new(policy), around);
    *ran += cases.len();
    cases.iter().filter_map(|case| differs(case, &engine, &reference, &home, &told)).collect()
}

/// Whether what a detector found in an action is only noted.
fn suppress(entry: &Node, ran: &mut usize) -> Vec<String> {
    let text = entry.text("policy").unwrap();
    let policy = compiled(&gathered(texts(entry), entry).0, Vec::new())
        .unwrap_or_else(|faults| panic!("{text}{faults:#?}"));
    let reference = Reference::read(text).unwrap_or_else(|| panic!("no policy to the reference:\n{text}"));
    let mut failed = Vec::new();
    for test in entry.get("suppress").unwrap().elements() {
        *ran += 1;
        let action = alone::read("command", test.text("command").unwrap(), None).unwrap();
        let finding = Finding {
            rule: test.text("rule").unwrap().into(),
            category: test.text("category").unwrap().into(),
            severity: 90,
            part: None,
            span: Span::default(),
            message: String::new(),
            advice: String::new(),
        };
        let now = test.text("now").map_or(0, |now| now.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let facts = Facts { now: u64::try_from(now).unwrap(), ..Facts::default() };
        let (home, effects, findings) =
            (Surroundings::default().user_home, &action.effects, std::slice::from_ref(&finding));
        let lists = Lists::default();
        let given = Given { effects, home: &home, findings, facts: &facts, lists: &lists };
        let reason = Reason {
            rule: finding.rule.clone(),
            layer: Layer::Detect,
            verdict: Verdict::Block,
            severity: 90,
            message: String::new(),
            advice: String::new(),
            part: None,
        };
        let engine = policy.suppressions(&action, &given).lift(reason, &finding).verdict == Verdict::Allow;
        let here =
            Situation { action: &action, effects, home: &home, findings, facts: &facts, lists: &lists };
        let reference = reference.suppresses(&here, &finding);
        let expect = test.get("noted").and_then(Node::as_bool).unwrap();
        if engine != expect || reference != expect {
            failed.push(format!(
                "{}: engine {engine}, reference {reference}\n{text}",
                test.text("name").unwrap()
            ));
        }
    }
    failed
}

/// What the engine and the reference say of a case, if it is not what the vector says.
fn differs(case: &Case, engine: &Engine, reference: &Reference, home: &str, told: &str) -> Option<String> {
    let facts = Facts { now: case.now, ..Facts::default() };
    let decided = case.check(&engine.decide(&case.action, &facts));
    let here = Situation {
        action: &case.action,
        effects: &case.action.effects,
        home,
        findings: &[],
        facts: &facts,
        lists: engine.rules().lists(),
    };
    let answer = reference.judge(&here);
    let speaks: Vec<&String> = answer.speaks.iter().collect();
    let agrees = answer.verdict == case.expect && case.rules.as_ref().is_none_or(|it| it.iter().eq(speaks));
    if decided.is_ok() && agrees {
        return None;
    }
    Some(format!(
        "{}\n  expected:  {:?} {:?}\n  engine:    {decided:?}\n  reference: {:?} {:?}\n{:?}\n{told}",
        case.name, case.expect, case.rules, answer.verdict, answer.speaks, case.action.effects
    ))
}

#[test]
fn the_shared_vectors_hold_for_both_evaluators() {
    let (mut ran, mut failed) = (0, Vec::new());
    for file in files() {
        let node = json::parse(&fs::read(&file).unwrap()).unwrap();
        assert!(node.text("about").is_some(), "{}", file.display());
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let rules = rules(&node);
        for entry in node.get("policies").unwrap().elements() {
            failed.extend(check(entry, &rules, &mut ran).into_iter().map(|text| format!("{name}: {text}")));
        }
    }
    assert!(failed.is_empty(), "{} of {ran} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 1100, "only {ran} vectors");
}
