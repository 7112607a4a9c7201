//! The policy language: what it says, and that a faulty one does not load.

use doorward_core::action::{Action, ActionKind, AssetClass, Capability, Door, Effect, Target, ToolUse};
use doorward_core::decision::{Reason, Verdict};
use doorward_core::detect::Finding;
use doorward_core::policy::{Default, Given, Policy, Profile, SHIPPED};
use doorward_core::session::{Facts, Mode};
use doorward_core::syntax::Source;

pub fn policy(text: &str) -> Policy {
    Policy::compile(&[Source { name: "policy.yaml", text }]).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

pub fn faults(text: &str) -> Vec<String> {
    let found = Policy::compile(&[Source { name: "policy.yaml", text }]).map(|_| ()).unwrap_err();
    let told = found.iter().map(|fault| {
        let (line, column) = fault.position(text.as_bytes());
        format!("{line}:{column}: {} / {}", fault.message, fault.advice)
    });
    told.collect()
}

pub fn call(tool: &str, effects: Vec<Effect>) -> Action {
    let mut action = Action::new(Door::Model, ActionKind::ToolCall, "agent".into(), "session".into());
    action.tool = Some(ToolUse { name: tool.into(), declared: true, call_id: "".into() });
    action.effects = effects;
    action
}

pub fn effect(capability: Capability, target: Target, asset: AssetClass) -> Effect {
    Effect { capability, target, asset, from: Vec::new(), by: "curl".into() }
}

pub fn fetch(url: &str) -> Effect {
    effect(Capability::NetworkFetch, Target::Url(url.into()), AssetClass::External)
}

pub fn read(path: &str, exact: bool) -> Effect {
    effect(Capability::ReadFile, Target::Path { path: path.into(), exact }, AssetClass::Project)
}

pub fn reasons(policy: &Policy, action: &Action) -> Vec<Reason> {
    reasons_given(policy, action, &[], &Facts::default())
}

pub fn reasons_given(policy: &Policy, action: &Action, findings: &[Finding], facts: &Facts) -> Vec<Reason> {
    policy.evaluate(
        action,
        &Given {
            effects: &action.effects,
            home: "/home/dev",
            findings,
            facts,
            lists: &doorward_core::detect::destination::Lists::default(),
        },
    )
}

pub fn verdict(policy: &Policy, action: &Action) -> Verdict {
    reasons(policy, action).iter().map(|reason| reason.verdict).max().unwrap_or_default()
}

#[test]
fn the_shipped_policy_loads_and_allows() {
    let shipped = policy(SHIPPED);
    assert_eq!(shipped.default_verb(), Default::Allow);
    assert_eq!((shipped.mode(), shipped.profile(), shipped.rules()), (Mode::Block, Profile::Balanced, 0));
    assert_eq!(shipped.revision().len(), 64);
    assert!(shipped.warnings().is_empty());
    assert_eq!(verdict(&shipped, &call("Bash", vec![fetch("https://example.test/")])), Verdict::Allow);
}

#[test]
fn an_omitted_mode_enforces() {
    assert_eq!(policy("version: 1\ndefault: allow\nrules: []\n").mode(), Mode::Block);
    assert_eq!(policy("version: 1\ndefault: allow\nmode: dry_run\nrules: []\n").mode(), Mode::Monitor);
}

#[test]
fn a_further_file_can_only_restrict() {
    let strict = "version: 1\ndefault: deny\nprofile: strict\nrules: []\n";
    let loose = "version: 1\ndefault: allow\nmode: dry_run\nprofile: balanced\nrules: []\n";
    for pair in [[strict, loose], [loose, strict]] {
        let both = Policy::compile(&pair.map(|text| Source { name: "x", text })).unwrap();
        assert_eq!(
            (both.default_verb(), both.mode(), both.profile()),
            (Default::Deny, Mode::Block, Profile::Strict)
        );
    }
}

#[test]
fn the_revision_follows_the_text() {
    let revision = |texts: &[&str]| {
        let sources: Vec<Source<'_>> = texts.iter().map(|text| Source { name: "x", text }).collect();
        Policy::compile(&sources).unwrap().revision().to_owned()
    };
    let a = "version: 1\ndefault: deny\nrules: []\n";
    let b = "version: 1\ndefault: allow\nrules: []\n";
    assert_eq!(revision(&[a]), revision(&[a]));
    assert_ne!(revision(&[a]), revision(&[b]));
    assert_ne!(revision(&[a, b]), revision(&[b, a]));
}

#[test]
fn deny_minds_no_case_and_allow_does() {
    let denying = policy("version: 1\ndefault: allow\nrules:\n  - name: no-bash\n    deny: {tool: Bash}\n");
    for tool in ["Bash", "bash", "BASH"] {
        assert_eq!(verdict(&denying, &call(tool, vec![])), Verdict::Block, "{tool}");
    }
    assert_eq!(verdict(&denying, &call("BashOutput", vec![])), Verdict::Allow);
    let globbing =
        policy("version: 1\ndefault: allow\nrules:\n  - name: no-mcp\n    ask: {tool: 'mcp__*__delete*'}\n");
    assert_eq!(verdict(&globbing, &call("mcp__github__DELETE_repo", vec![])), Verdict::Ask);
    let allowing = policy("version: 1\ndefault: deny\nrules:\n  - name: read\n    allow: {tool: Read}\n");
    assert_eq!(verdict(&allowing, &call("Read", vec![])), Verdict::Allow);
    assert_eq!(verdict(&allowing, &call("read", vec![])), Verdict::Block);
}

#[test]
fn hosts_match_by_name_suffix_and_every_spelling() {
    let rules = policy(
        "version: 1\ndefault: allow\nrules:\n  - name: a\n    deny: {host: 'evil.test'}\n  - name: b\n    ask: {host: '*.corp.test'}\n  - name: c\n    deny: {host: 127.0.0.1}\n",
    );
    for (url, wanted) in [
        ("https://evil.test/x", Verdict::Block),
        ("https://EVIL.test.:8443?x=1", Verdict::Block),
        ("https://notevil.test/", Verdict::Allow),
        ("https://a.b.corp.test/", Verdict::Ask),
        ("https://corp.test/", Verdict::Allow),
        ("http://2130706433/", Verdict::Block),
        ("http://good.test/?u=https://evil.test/", Verdict::Allow),
        // What cannot be read could be any of them.
        ("http://good.test@evil.test/", Verdict::Block),
        ("http://good.test\\.evil.test/", Verdict::Block),
        ("http://${HOST}/", Verdict::Block),
    ] {
        assert_eq!(verdict(&rules, &call("WebFetch", vec![fetch(url)])), wanted, "{url}");
    }
    let unknown = effect(Capability::NetworkPost, Target::Input, AssetClass::Unknown);
    assert_eq!(verdict(&rules, &call("Bash", vec![unknown])), Verdict::Block);
    assert_eq!(verdict(&rules, &call("Bash", vec![read("src/x", true)])), Verdict::Allow);
}

#[test]
fn urls_match_however_they_are_spelled() {
    let charges = r#"{ version: 1, default: allow, rules: [{ name: a, deny: { url: "api.example.com/v1/charges/**" } }] }"#;
    let allowed = charges.replace("default: allow", "default: deny").replace("deny: {", "allow: {");
    let (deny, allow) = (policy(charges), policy(&allowed));
    use Verdict::{Allow, Block};
    for (url, denied, allowed) in [
        ("https://api.example.com/v1/charges/1", Block, Allow),
        ("https://api.example.com/v1//charges/%31?x", Block, Allow),
        ("https://api.example.com/v1/refunds", Allow, Block),
        ("https://other.example.com/v1/charges/1", Allow, Block),
        ("https://other.example.com/?u=api.example.com/v1/charges/1", Allow, Block),
        // Read differently by different servers: denied, and not allowed.
        ("https://api.example.com/v1/x/..;/charges/1", Block, Block),
        ("https://api.example.com:8443/v1/charges/1", Block, Block),
        ("https://api.example.com@evil.test/v1/charges/1", Block, Block),
        ("https://api.example.com/v1/charges/%00", Block, Block),
    ] {
        let act = call("Fetch", vec![fetch(url)]);
        assert_eq!((verdict(&deny, &act), verdict(&allow, &act)), (denied, allowed), "{url}");
    }
    // A host without a URL: what is asked of it is not known.
    let host = |name: &str| {
        let target = Target::Host(name.into());
        call("Bash", vec![effect(Capability::NetworkFetch, target, AssetClass::External)])
    };
    assert_eq!(verdict(&deny, &host("api.example.com:443")), Block);
    assert_eq!(verdict(&allow, &host("api.example.com:443")), Block);
    assert_eq!(verdict(&deny, &host("other.example.com")), Allow);
    assert_eq!(verdict(&deny, &call("Read", vec![read("/v1/charges/1", true)])), Allow);
}

#[test]
fn rules_for_urls_at_any_host_are_found() {
    let admin = policy(
        r#"{ version: 1, default: allow, rules: [{ name: a, deny: { url: ["*/admin/**", "a.test/x"] } }] }"#,
    );
    assert_eq!(verdict(&admin, &call("Fetch", vec![fetch("http://b.test/admin/1")])), Verdict::Block);
    assert_eq!(verdict(&admin, &call("Fetch", vec![fetch("http://a.test/x")])), Verdict::Block);
    assert_eq!(verdict(&admin, &call("Fetch", vec![fetch("http://b.test/x")])), Verdict::Allow);
    let below =
        policy(r#"{ version: 1, default: allow, rules: [{ name: a, deny: { url: "*.b.test/x" } }] }"#);
    assert_eq!(verdict(&below, &call("Fetch", vec![fetch("http://a.b.test/x")])), Verdict::Block);
    assert_eq!(verdict(&below, &call("Fetch", vec![fetch("http://b.test/x")])), Verdict::Allow);
    let faults = faults(
        "version: 1\ndefault: allow\nrules:\n  - name: a\n    deny: { url: [api.example.com, \"a.test/{id}\"] }\n",
    );
    assert_eq!(
        faults,
        [
            "5:19: a URL pattern without a path / write `api.example.com/**` for everything there, or `api.example.com/` for its root alone",
            "5:36: `{id}` is no choice / one segment, whatever it is, is `*`",
        ]
    );
}

#[test]
fn unknown_never_allows() {
    let rules =
        policy("version: 1\ndefault: deny\nrules:\n  - name: web\n    allow: {host: '*.good.test'}\n");
    assert_eq!(verdict(&rules, &call("f", vec![fetch("https://a.good.test/")])), Verdict::Allow);
    assert_eq!(verdict(&rules, &call("f", vec![fetch("https://${x}.good.test/")])), Verdict::Block);
    assert_eq!(verdict(&rules, &call("f", vec![fetch("https://a@b.good.test/")])), Verdict::Block);
    assert_eq!(verdict(&rules, &call("f", vec![])), Verdict::Block);
    // Allowing the download does not allow what else the line does.
    let both = vec![fetch("https://a.good.test/"), read("/home/dev/.ssh/id_rsa", true)];
    assert_eq!(verdict(&rules, &call("f", both)), Verdict::Block);
}

#[test]
fn paths_below_the_home_directory_have_two_spellings() {
    let rules = policy(
        "version: 1\ndefault: allow\nrules:\n  - name: p\n    deny: {path: ['~/payroll/**', '/srv/pay/*']}\n",
    );
    for (path, exact, wanted) in [
        ("~/payroll/2026.csv", true, Verdict::Block),
        ("/home/dev/payroll/a/b", true, Verdict::Block),
        ("/HOME/dev/payroll/a", true, Verdict::Allow),
        ("~/Payroll/a", true, Verdict::Block),
        ("/srv/pay/x", true, Verdict::Block),
        ("/srv/pay/x/y", true, Verdict::Allow),
        ("src/lib.rs", true, Verdict::Allow),
        ("src/*.rs", false, Verdict::Allow),
        ("~/pay${x}/a", false, Verdict::Block),
        ("${FILE}", false, Verdict::Block),
        ("../../srv/pay/x", true, Verdict::Block),
        ("/srv", true, Verdict::Allow),
        ("/", true, Verdict::Allow),
        ("~", true, Verdict::Allow),
    ] {
        assert_eq!(verdict(&rules, &call("Read", vec![read(path, exact)])), wanted, "{path}");
    }
}

#[test]
fn paths_are_found_by_whatever_pattern_covers_them() {
    for (pattern, path) in [
        ("/**", "/x"),
        ("/", "/"),
        ("/*", "/x"),
        ("/srv", "/SRV"),
        ("/srv/**", "/srv/a/b"),
        ("/sr*/x", "/srv/x"),
        ("/srv/a*", "/srv/ab"),
        ("/srv/a/b/c", "/srv/a/b/c"),
        ("~", "/home/dev"),
        ("~", "~"),
        ("~/**", "/home/dev/a"),
        ("~/a/*", "/home/dev/a/b"),
        ("/home/**", "~/a"),
        ("/home/dev/a", "~/a"),
        ("/home/*/a", "~/a"),
        ("**/x", "/srv/x"),
        ("**", "src/x"),
    ] {
        let rules =
            policy(&format!("default: allow\nrules: [{{ name: p, deny: {{ path: '{pattern}' }} }}]\n"));
        assert_eq!(
            verdict(&rules, &call("Read", vec![read(path, true)])),
            Verdict::Block,
            "{pattern} {path}"
        );
    }
}

#[test]
fn all_conditions_hold_for_the_same_effect() {
    let rules = policy(
        "version: 1\ndefault: allow\nrules:\n  - name: x\n    deny: {capability: 'network:post', asset: external, tool: Bash}\n",
    );
    let post = effect(Capability::NetworkPost, Target::Url("http://10.0.0.1/".into()), AssetClass::Internal);
    assert_eq!(verdict(&rules, &call("Bash", vec![post, fetch("https://a.test/")])), Verdict::Allow);
    let post = effect(Capability::NetworkPost, Target::Url("http://a.test/".into()), AssetClass::External);
    assert_eq!(verdict(&rules, &call("Bash", vec![post.clone()])), Verdict::Block);
    assert_eq!(verdict(&rules, &call("Read", vec![post])), Verdict::Allow);
    let unknown = effect(Capability::Unknown, Target::Other("?".into()), AssetClass::Unknown);
    assert_eq!(verdict(&rules, &call("Bash", vec![unknown])), Verdict::Block);
}

#[test]
fn the_default_speaks_about_acts_only() {
    let deny = policy("version: 1\ndefault: deny\nrules: []\n");
    for (kind, wanted) in [
        (ActionKind::ToolCall, Verdict::Block),
        (ActionKind::Url, Verdict::Block),
        (ActionKind::Outbound, Verdict::Block),
        (ActionKind::ModelRequest, Verdict::Allow),
        (ActionKind::ToolResult, Verdict::Allow),
    ] {
        let mut action = call("Bash", vec![]);
        action.kind = kind;
        assert_eq!(verdict(&deny, &action), wanted, "{kind:?}");
    }
}

#[test]
fn all_rules_that_apply_give_their_reason() {
    let rules = policy(
        "version: 1\ndefault: allow\nrules:\n  - name: one\n    audit: {tool: Bash}\n  - name: two\n    ask: {capability: 'network:fetch'}\n  - name: three\n    deny: {host: a.test}\n  - name: four\n    deny: {}\n",
    );
    let found = reasons(&rules, &call("Bash", vec![fetch("https://a.test/")]));
    let names: Vec<&str> = found.iter().map(|reason| reason.rule.as_str()).collect();
    assert_eq!(names, ["policy.one", "policy.two", "policy.three", "policy.four"]);
}

#[test]
fn a_faulty_policy_does_not_load_and_tells_everything() {
    let text = "version: 2
defualt: deny
mode: enfroce
rules:
  - name: a
    deny: {host: 'https://x.test', capability: network:pots}
  - name: a
    deny: {tools: Bash}
    allow: {tool: Read}
  - deny: {}
  - name: b
  - name: c
    deny:
  - name: d
    ask: {host: 'a*.test', path: 'x/../y', tool: []}
";
    let found = faults(text);
    for wanted in [
        "1:10: `version` must be a whole number from 1 to 1",
        "2:1: unknown key `defualt` in a policy / did you mean `default`?",
        "1:1: `default` is missing",
        "3:7: `enfroce` is no value of `mode` / did you mean `enforce`?",
        "6:18: a host pattern with a scheme",
        "6:48: `network:pots` is no value of `capability` / did you mean `network:post`?",
        "7:11: a second rule of this name",
        "8:12: unknown key `tools` in a matcher / did you mean `tool`?",
        "9:5: a rule with more than one verb",
        "10:5: `name` is missing",
        "11:5: a rule with no verb",
        "13:5: `deny` says nothing",
        "15:17: `*` in a host pattern stands only in front",
        "a path pattern that could match nothing",
        "`tool` is an empty list",
    ] {
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{wanted:?} in {found:#?}");
    }
}

#[test]
fn an_allow_without_a_deny_to_answer_is_a_warning() {
    let policy = policy("version: 1\ndefault: allow\nrules:\n  - name: a\n    allow: {tool: Read}\n");
    assert_eq!(policy.warnings().len(), 1);
    assert_eq!(policy.warnings()[0].origin, "policy.yaml");
}

#[test]
fn rules_that_cannot_match_cost_nothing_and_lose_nothing() {
    let mut text = String::from("version: 1\ndefault: allow\nrules:\n");
    for n in 0..5000 {
        text.push_str(&format!("  - name: r{n}\n    deny: {{host: h{n}.test}}\n"));
    }
    let many = policy(&text);
    assert_eq!(verdict(&many, &call("f", vec![fetch("https://h4999.test/")])), Verdict::Block);
    assert_eq!(verdict(&many, &call("f", vec![fetch("https://h5000.test/")])), Verdict::Allow);
}

/// What a provider is asked to do by itself is controlled in the request: by tool, capability and named host.
#[test]
fn what_a_provider_is_asked_to_do_can_be_denied() {
    let mut search = fetch("https://docs.example/");
    search.by = "web_search".into();
    let mut anywhere = search.clone();
    anywhere.target = Target::Other("what the provider chooses".into());
    let request = |effects: Vec<Effect>| {
        let mut action = Action::new(Door::Model, ActionKind::ModelRequest, "agent".into(), "session".into());
        action.effects = effects;
        action
    };
    let by_tool = policy("version: 1\ndefault: allow\nrules:\n  - name: a\n    deny: {tool: web_search}\n");
    assert_eq!(verdict(&by_tool, &request(vec![search.clone()])), Verdict::Block);
    assert_eq!(verdict(&by_tool, &request(vec![fetch("https://docs.example/")])), Verdict::Allow);
    assert_eq!(verdict(&by_tool, &request(Vec::new())), Verdict::Allow);
    let by_host =
        policy("version: 1\ndefault: allow\nrules:\n  - name: a\n    deny: {host: \"*.example\"}\n");
    assert_eq!(verdict(&by_host, &request(vec![search.clone()])), Verdict::Block);
    // Where a provider's own search goes is not known, and no reason to stop every request that may search.
    assert_eq!(verdict(&by_host, &request(vec![anywhere.clone()])), Verdict::Allow);
    let both = policy(
        "version: 1\ndefault: allow\nrules:\n  - name: a\n    deny: {tool: web_fetch, host: docs.example}\n",
    );
    assert_eq!(verdict(&both, &request(vec![search.clone()])), Verdict::Allow);
    let by_capability =
        policy("version: 1\ndefault: allow\nrules:\n  - name: a\n    deny: {capability: network:fetch}\n");
    assert_eq!(verdict(&by_capability, &request(vec![anywhere.clone()])), Verdict::Block);
    let denied = policy("version: 1\ndefault: deny\nrules:\n  - name: a\n    allow: {tool: web_search}\n");
    assert_eq!(verdict(&denied, &request(Vec::new())), Verdict::Allow);
    assert_eq!(verdict(&denied, &request(vec![anywhere.clone()])), Verdict::Allow);
    assert_eq!(verdict(&denied, &request(vec![anywhere, fetch("https://x.example/a.png")])), Verdict::Block);
}

#[test]
fn faults_of_the_yaml_hide_none_of_the_policy() {
    let text = "default: &d deny\nrulez: []\nrules:\n- name: a\n  name: a\n  deny: {url: 'http://[::g]/'}\n- name: b\n  deny: *d\n";
    let found = faults(text);
    for wanted in ["an anchor", "an alias", "`name` is given twice", "unknown key `rulez`", "`[::g]`"] {
        assert_eq!(
            found.iter().filter(|message| message.contains(wanted)).count(),
            1,
            "{wanted}: {found:#?}"
        );
    }
    // Nothing else is said of the place where an alias stands.
    assert_eq!(found.len(), 5, "{found:#?}");
}
