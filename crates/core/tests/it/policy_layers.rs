//! Policies above policies, and files that include files: what is inherited cannot be weakened.

use std::collections::HashMap;

use doorward_core::decision::Verdict;
use doorward_core::policy::{Default, Level, MOST_FILES, Policy, Profile, Text, Texts};
use doorward_core::session::Mode;
use doorward_core::syntax::Source;

use crate::policy::{call, reasons, verdict};

fn text(level: Level, name: &str, text: &str) -> Text {
    Text { level, name: name.into(), text: text.into(), included: false }
}

fn gather(roots: Vec<Text>, files: &[(&str, &str)]) -> (Texts, Vec<String>) {
    let files: HashMap<&str, &str> = files.iter().copied().collect();
    let (texts, faults) = Texts::gather(roots, &mut |_, wanted| {
        let name = wanted.trim_start_matches("./");
        let text = files.get(name).ok_or_else(|| "there is no such file".to_owned())?;
        Ok((name.to_owned(), (*text).to_owned()))
    });
    let told = faults.iter().map(|fault| {
        let (line, column) = fault.position(texts.text(&fault.origin).as_bytes());
        format!("{}:{line}:{column}: {}", fault.origin, fault.message)
    });
    let told = told.collect();
    (texts, told)
}

fn compile(roots: Vec<Text>, files: &[(&str, &str)]) -> Policy {
    let (texts, faults) = gather(roots, files);
    assert!(faults.is_empty(), "{faults:?}");
    texts.compile().unwrap_or_else(|faults| panic!("{faults:#?}"))
}

#[test]
fn no_level_weakens_what_it_inherits() {
    let organisation = "default: deny\nprofile: strict\nrules:\n  - { name: o-read, allow: { tool: [Read, Write] } }\n  - { name: o-no, deny: { tool: Write } }\n";
    let agent = "default: allow\nmode: dry_run\nrules:\n  - { name: a-all, allow: {} }\n  - { name: a-write, allow: { tool: Write } }\n";
    let both =
        compile(vec![text(Level::Organisation, "o", organisation), text(Level::Agent, "a", agent)], &[]);
    assert_eq!(
        (both.default_verb(), both.mode(), both.profile()),
        (Default::Deny, Mode::Block, Profile::Strict)
    );
    assert_eq!(verdict(&both, &call("Read", vec![])), Verdict::Allow);
    assert_eq!(verdict(&both, &call("Write", vec![])), Verdict::Block);
    // The agent's own `allow` answers no default but its own.
    let found = reasons(&both, &call("Bash", vec![]));
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].message,
        "no rule of the policy allows this, and the default of the organisation is deny"
    );
}

#[test]
fn a_level_restricts_what_another_allows() {
    let organisation = "default: allow\nrules: []\n";
    let team = "default: deny\nrules: [{ name: t, allow: { tool: [Read, Bash] } }]\n";
    let agent = "default: deny\nrules: [{ name: a, allow: { tool: [Read, Edit] } }]\n";
    let all = compile(
        vec![
            text(Level::Organisation, "o", organisation),
            text(Level::Team, "t", team),
            text(Level::Agent, "a", agent),
        ],
        &[],
    );
    for (tool, expected, reasons_given) in [
        ("Read", Verdict::Allow, 0),
        ("Bash", Verdict::Block, 1),
        ("Edit", Verdict::Block, 1),
        ("X", Verdict::Block, 2),
    ] {
        let found = reasons(&all, &call(tool, vec![]));
        assert_eq!(found.iter().map(|reason| reason.verdict).max().unwrap_or_default(), expected, "{tool}");
        assert_eq!(found.len(), reasons_given, "{tool}");
    }
}

#[test]
fn what_is_included_is_in_force_once() {
    let root = "default: allow\ninclude: [./a.yaml, b.yaml]\nrules: [{ name: root, deny: { tool: R } }]\n";
    let files = [
        ("a.yaml", "include: c.yaml\nrules: [{ name: a, deny: { tool: A } }]\n"),
        ("b.yaml", "include: [./c.yaml]\nmode: dry_run\n"),
        ("c.yaml", "default: deny\nprofile: strict\nrules: [{ name: c, allow: { tool: C } }]\n"),
    ];
    let policy = compile(vec![text(Level::Agent, "root.yaml", root)], &files);
    assert_eq!(policy.rules(), 3);
    assert_eq!(
        (policy.default_verb(), policy.mode(), policy.profile()),
        (Default::Deny, Mode::Block, Profile::Strict)
    );
    for (tool, expected) in
        [("R", Verdict::Block), ("A", Verdict::Block), ("C", Verdict::Allow), ("X", Verdict::Block)]
    {
        assert_eq!(verdict(&policy, &call(tool, vec![])), expected, "{tool}");
    }
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    // The revision is that of all texts.
    let changed = files.map(|(name, text)| (name, if name == "c.yaml" { "rules: []\n" } else { text }));
    let other = compile(vec![text(Level::Agent, "root.yaml", root)], &changed);
    assert_ne!(policy.revision(), other.revision());
}

#[test]
fn every_line_in_force_says_where_it_comes_from() {
    let organisation = "default: deny\nrules:\n  - name: o\n    allow: { tool: Read }\n";
    let agent = "default: allow\nmode: dry_run\ninclude: more.yaml\nrules: []\n";
    let more = "rules:\n\n  - { name: m, ask: { tool: Bash } }\n";
    let roots = vec![text(Level::Organisation, "o.yaml", organisation), text(Level::Agent, "a.yaml", agent)];
    let policy = compile(roots, &[("more.yaml", more)]);
    let lines: Vec<String> = policy
        .effective()
        .map(|it| {
            let counts = if it.counts { "" } else { " (overruled)" };
            format!(
                "{} {}:{} {} {}{counts}",
                it.level.as_str(),
                it.place.origin,
                it.place.line,
                it.key,
                it.value
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "organisation o.yaml:1 default deny",
            "agent a.yaml:1 default allow",
            "agent a.yaml:2 mode dry_run (overruled)",
            "organisation o.yaml:3 allow o",
            "agent more.yaml:3 ask m",
        ]
    );
}

#[test]
fn what_cannot_be_included_is_told_where_it_is_wanted() {
    let root = |include: &str| {
        vec![text(Level::Agent, "root.yaml", &format!("default: allow\ninclude: {include}\nrules: []\n"))]
    };
    let (_, faults) = gather(root("[gone.yaml]"), &[]);
    assert_eq!(faults, ["root.yaml:2:11: cannot include `gone.yaml`: there is no such file"]);
    let (_, faults) =
        gather(root("a.yaml"), &[("a.yaml", "include: b.yaml\n"), ("b.yaml", "\ninclude: a.yaml\n")]);
    assert_eq!(faults, ["b.yaml:2:10: `a.yaml` includes this file, which includes it"]);
    let (_, faults) = gather(root("root.yaml"), &[("root.yaml", "")]);
    assert_eq!(faults, ["root.yaml:2:10: `root.yaml` includes this file, which includes it"]);
    let deep: Vec<(String, String)> =
        (0..20).map(|n| (format!("f{n}"), format!("include: f{}\n", n + 1))).collect();
    let deep: Vec<(&str, &str)> = deep.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (texts, faults) = gather(root("f0"), &deep);
    assert!(faults.len() == 1 && faults[0].contains("more than 8 deep"), "{faults:?}");
    assert_eq!(texts.all().len(), 8);
    let names: Vec<String> = (0..100).map(|n| format!("f{n}")).collect();
    let flat: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "rules: []\n")).collect();
    let (texts, faults) = gather(root(&format!("[{}]", names.join(","))), &flat);
    assert!(
        faults.iter().all(|fault| fault.contains("more than 64 files")) && !faults.is_empty(),
        "{faults:?}"
    );
    assert_eq!(texts.all().len(), MOST_FILES);
}

#[test]
fn what_is_not_there_is_not_ignored() {
    let alone = Source { name: "root.yaml", text: "default: allow\ninclude: a.yaml\nrules: []\n" };
    let faults = Policy::compile(&[alone]).map(|_| ()).unwrap_err();
    assert_eq!(faults[0].message, "what it includes was not read");
    // A root says what its default is; only what is included need not.
    let (texts, _) =
        gather(vec![text(Level::Team, "t.yaml", "include: a.yaml\n")], &[("a.yaml", "default: deny\n")]);
    let faults = texts.compile().map(|_| ()).unwrap_err();
    let told: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(told, ["`default` is missing in a policy", "`rules` is missing in a policy"]);
    // And faults in what is included are faults.
    let (texts, _) = gather(
        vec![text(Level::Team, "t.yaml", "default: deny\nrules: []\ninclude: a.yaml\n")],
        &[("a.yaml", "rulez: []\n")],
    );
    let faults = texts.compile().map(|_| ()).unwrap_err();
    assert_eq!(faults[0].origin, "a.yaml");
}

fn shadowed(rules: &[&str]) -> Vec<String> {
    let rules: Vec<String> =
        rules.iter().enumerate().map(|(at, rule)| format!("  - {{ name: r{at}, {rule} }}\n")).collect();
    let text = format!("default: deny\nrules:\n{}", rules.concat());
    let policy =
        Policy::compile(&[Source { name: "p", text: &text }]).unwrap_or_else(|faults| panic!("{faults:#?}"));
    policy.warnings().iter().map(|warning| warning.message.clone()).collect()
}

#[test]
fn a_shadowed_rule_is_a_warning() {
    for rules in [
        ["deny: { tool: Bash }", "ask: { tool: Bash }"],
        ["deny: { tool: [Bash, Read] }", "deny: { tool: Bash, host: a.test }"],
        ["deny: { tool: 'mcp__*' }", "deny: { tool: mcp__github__push }"],
        ["deny: {}", "allow: { tool: Read }"],
        ["deny: { host: '*.evil.test' }", "audit: { host: [a.evil.test, b.c.evil.test] }"],
        ["deny: { url: 'a.test/**' }", "deny: { url: ['a.test/x', 'a.test/y/*'] }"],
        ["quarantine: { path: '~/x/**' }", "ask: { path: '~/x/y', capability: 'read:file' }"],
        ["allow: { tool: [Read, Write] }", "allow: { tool: Read, path: '/tmp/**' }"],
        [
            "deny: { arguments: { jsonpath: $.a, exact: 1 } }",
            "deny: { arguments: { exact: 1, jsonpath: $.a }, tool: X }",
        ],
    ] {
        let found = shadowed(&rules);
        assert_eq!(found.len(), 1, "{rules:?}: {found:?}");
        assert!(found[0].starts_with("the rule \"r1\" is shadowed: \"r0\" (p:3)"), "{found:?}");
        // Whichever stands first.
        let turned = shadowed(&[rules[1], rules[0]]);
        assert!(
            turned.len() == 1 && turned[0].starts_with("the rule \"r0\" is shadowed: \"r1\""),
            "{turned:?}"
        );
    }
    for rules in [
        ["deny: { tool: Bash }", "deny: { tool: Read }"],
        ["deny: { tool: Bash, host: a.test }", "ask: { tool: Bash }"],
        ["audit: {}", "allow: { tool: Read }"],
        ["allow: {}", "deny: { tool: Read }"],
        ["deny: { host: '*.evil.test' }", "deny: { host: evil.test }"],
        ["deny: { url: 'a.test/x/**' }", "deny: { url: 'a.test/xy' }"],
    ] {
        assert!(shadowed(&rules).is_empty(), "{rules:?}: {:?}", shadowed(&rules));
    }
    // Two that say the same: the later one.
    let twice = shadowed(&["deny: { tool: A }", "deny: { tool: A }"]);
    assert!(twice.len() == 1 && twice[0].starts_with("the rule \"r1\""), "{twice:?}");
}
