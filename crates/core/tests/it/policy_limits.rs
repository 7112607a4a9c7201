//! Limits: what counts, on which counter, and that two rules never count on the same one by accident.

use doorward_core::action::{
    Action, ActionKind, AssetClass, Capability, Door, Part, PartKind, Target, alone,
};
use doorward_core::decision::{Charge, Later, Verdict};
use doorward_core::detect::destination::Lists;
use doorward_core::policy::{Counters, Given, Policy, exceeded};
use doorward_core::session::Facts;
use doorward_core::usage::Asked;

use crate::policy::{call, effect, faults, fetch, policy};

const START: u64 = 1_000_000_000_000;

fn charges(policy: &Policy, action: &Action) -> Vec<Charge> {
    let facts = Facts::default();
    policy.charges(
        action,
        &Given {
            effects: &action.effects,
            home: "/home/dev",
            findings: &[],
            facts: &facts,
            lists: &Lists::default(),
        },
    )
}

/// How many of `actions`, one after the other at one moment, have room.
fn granted(policy: &Policy, actions: &[Action]) -> usize {
    let mut counters = Counters::default();
    actions.iter().filter(|action| counters.reserve(&charges(policy, action), START).is_ok()).count()
}

fn get(url: &str) -> Action {
    call("Fetch", vec![fetch(url)])
}

fn limits(rules: &str) -> Policy {
    policy(&format!("default: allow\nrules:\n{rules}"))
}

#[test]
fn a_limit_of_the_anchor_counts_by_endpoint() {
    let rules = limits("  - { name: rate, limit: { calls_per_minute: 3, per: endpoint } }\n");
    let same = ["https://a.test/x", "http://A.test:80/x/?y=1", "https://a.test./X#z", "https://a.test//x"];
    assert_eq!(granted(&rules, &same.map(get)), 3);
    let other = ["https://a.test/x", "https://a.test/y", "https://b.test/x", "https://a.test/"];
    assert_eq!(granted(&rules, &[other.map(get), other.map(get), other.map(get)].concat()), 12);
    // What readers take differently is one endpoint, however it is written.
    let unclear = ["https://x@a.test/1", "https://a.test/a;1", "https://a.test/%2561", "https://$H/"];
    assert_eq!(granted(&rules, &unclear.map(get)), 3);
    // Without a URL the tool is the endpoint.
    let (bash, read) = (call("Bash", vec![]), call("Read", vec![]));
    assert_eq!(granted(&rules, &[bash.clone(), bash.clone(), read.clone(), bash.clone(), bash, read]), 5);
}

#[test]
fn a_limit_is_about_what_its_matcher_says() {
    let rules = limits("  - { name: r, limit: { calls_per_hour: 1, host: a.test, tool: Fetch } }\n");
    assert_eq!(
        granted(&rules, &[get("https://a.test/1"), get("https://a.test/2"), get("https://b.test/")]),
        2
    );
    assert!(charges(&rules, &call("Bash", vec![fetch("https://a.test/")])).is_empty());
    // What cannot be known counts.
    assert_eq!(charges(&rules, &get("https://$HOST/")).len(), 1);
}

#[test]
fn bytes_are_those_of_the_content() {
    let rules = limits("  - { name: r, limit: { bytes_per_day: 10 } }\n");
    let saying = |text: &str| {
        let mut action = Action::new(Door::Model, ActionKind::Outbound, "a".into(), "s".into());
        action.parts = vec![Part { kind: PartKind::Outbound, text: text.into() }];
        action
    };
    assert_eq!(
        granted(&rules, &[saying("12345"), saying("123456"), saying("1234"), saying("1"), saying("")]),
        3
    );
}

#[test]
fn whose_counter_it_is() {
    let by = |agent: &str, session: &str| {
        let mut action = call("Bash", vec![]);
        (action.agent, action.session) = (agent.into(), session.into());
        action
    };
    let actions = [by("a", "1"), by("a", "2"), by("b", "3"), by("b", "3")];
    for (per, expected) in [("agent", 2), ("key", 2), ("session", 3), ("global", 1)] {
        let rules = limits(&format!("  - {{ name: r, limit: {{ calls_per_minute: 1, per: {per} }} }}\n"));
        assert_eq!(granted(&rules, &actions), expected, "{per}");
    }
    let omitted = limits("  - { name: r, limit: { calls_per_minute: 1 } }\n");
    assert_eq!(granted(&omitted, &actions), 1);
}

#[test]
fn each_value_of_a_field_has_a_counter() {
    let rules =
        limits("  - { name: r, limit: { calls_per_minute: 1, per: body_field, field: customer.id } }\n");
    let charge = |arguments: &str| {
        let call = format!("{{\"name\":\"charge\",\"arguments\":{arguments}}}");
        alone::read("tool_call", &call, None).unwrap()
    };
    let of = |id: &str| charge(&format!("{{\"customer\":{{\"id\":{id}}}}}"));
    assert_eq!(granted(&rules, &[of("1"), of("2"), of("\"x\""), of("true")]), 4);
    // One value, however it is written.
    assert_eq!(granted(&rules, &[of("1"), of("1.0"), of("\"1\""), of("10e-1")]), 1);
    // Without the field, or without one that is one value: all together.
    assert_eq!(granted(&rules, &[charge("{}"), of("null"), of("[1]"), call("Bash", vec![])]), 1);
    assert_eq!(granted(&rules, &[of("\"none\""), charge("{}")]), 2);
}

#[test]
fn what_answers_is_not_counted() {
    let rules = limits("  - { name: r, limit: { calls_per_minute: 1 } }\n");
    for (kind, counted) in [
        (ActionKind::ModelRequest, 1),
        (ActionKind::ToolCall, 1),
        (ActionKind::Url, 1),
        (ActionKind::Outbound, 1),
        (ActionKind::Opaque, 1),
        (ActionKind::ModelResponse, 0),
        (ActionKind::ToolResult, 0),
        (ActionKind::ProviderCall, 0),
    ] {
        let action = Action::new(Door::Model, kind, "a".into(), "s".into());
        assert_eq!(charges(&rules, &action).len(), counted, "{kind:?}");
    }
}

#[test]
fn shared_counters_are_shared_on_purpose() {
    let shared = limits(
        "  - { name: a, limit: { calls_per_minute: 2, tool: A, shared: both } }\n  - { name: b, limit: { calls_per_minute: 3, tool: B, shared: both } }\n",
    );
    let (a, b) = (call("A", vec![]), call("B", vec![]));
    assert_eq!(granted(&shared, &[a.clone(), b.clone(), b.clone(), b.clone(), a.clone()]), 3);
    let own = limits(
        "  - { name: a, limit: { calls_per_minute: 2, tool: A } }\n  - { name: b, limit: { calls_per_minute: 3, tool: B } }\n",
    );
    assert_eq!(granted(&own, &[a.clone(), b.clone(), b.clone(), b, a]), 5);
}

#[test]
fn a_limit_of_the_same_name_as_a_shared_one_is_another() {
    let rules = limits(
        "  - { name: x, limit: { calls_per_minute: 1, tool: A } }\n  - { name: y, limit: { calls_per_minute: 1, tool: B, shared: x } }\n",
    );
    assert_eq!(granted(&rules, &[call("A", vec![]), call("B", vec![])]), 2);
}

#[test]
fn many_endpoints_in_one_call_are_many_charges_and_bounded() {
    let rules = limits("  - { name: r, limit: { calls_per_minute: 5, per: endpoint } }\n");
    let urls = (0..500).map(|n| fetch(&format!("https://h{n}.test/"))).collect();
    assert_eq!(charges(&rules, &call("Bash", urls)).len(), 65);
    let post = effect(Capability::NetworkPost, Target::Host("a.test:443".into()), AssetClass::External);
    assert_eq!(charges(&rules, &call("Bash", vec![post.clone(), post])).len(), 1);
}

#[test]
fn counters_follow_the_limit_over_a_reload() {
    let text = "  - { name: r, limit: { calls_per_minute: 1 } }\n";
    let first = limits(text);
    let same = limits(&format!("  - {{ name: n, deny: {{ tool: X }} }}\n{}", text.replace(": 1 ", ": 5 ")));
    let other = limits(&text.replace("name: r", "name: s"));
    let group = charges(&first, &call("A", vec![]))[0].counter.group;
    assert!(same.counts_on(&group));
    assert!(!other.counts_on(&group));
}

#[test]
fn what_is_used_up_says_so_and_for_how_long() {
    let rules = limits("  - { name: rate, limit: { calls_per_minute: 1 } }\n");
    let mut counters = Counters::default();
    let charges = charges(&rules, &call("A", vec![]));
    let _ = counters.reserve(&charges, START).unwrap();
    let full = counters.reserve(&charges, START + 1000).unwrap_err();
    let reason = exceeded(&full[0], START + 1000);
    assert_eq!((reason.rule.as_str(), reason.verdict.as_str()), ("policy.rate", "block"));
    assert_eq!(reason.message, "the limit \"rate\" is used up: 1 calls in 60 s");
    assert!(["wait 60 s", "wait 61 s"].contains(&reason.advice.as_str()), "{}", reason.advice);
}

#[test]
fn limits_that_make_no_sense_are_faults() {
    for (rules, says) in [
        ("  - { name: a, limit: {} }\n", "a limit of nothing"),
        ("  - { name: a, limit: { calls_per_minute: 0 } }\n", "from 1 to"),
        ("  - { name: a, limit: { calls_per_minute: 1.5 } }\n", "from 1 to"),
        ("  - { name: a, limit: { calls_per_minute: 1, calls_per_day: 2 } }\n", "more than one amount"),
        ("  - { name: a, limit: { calls_per_minutes: 1 } }\n", "did you mean `calls_per_minute`?"),
        ("  - { name: a, limit: { calls_per_minute: 1, per: agents } }\n", "did you mean `agent`?"),
        ("  - { name: a, limit: { calls_per_minute: 1, field: x } }\n", "`field` without `per: body_field`"),
        ("  - { name: a, limit: { calls_per_minute: 1, per: body_field } }\n", "without a `field`"),
        (
            "  - { name: a, limit: { calls_per_minute: 1, per: body_field, field: '$.a[*]' } }\n",
            "a path to several values",
        ),
        ("  - { name: a, limit: { calls_per_minute: 1, tols: x } }\n", "unknown key `tols` in a limit"),
        ("  - { name: a, limit: { tokens_per_day: 1.5 } }\n", "from 1 to"),
        ("  - { name: a, limit: { money_per_day: 0 } }\n", "above 0"),
        (
            "  - { name: a, limit: { calls_per_minute: 1, tool: [X, Y] } }\n  - { name: b, limit: { tool: [Y, X], calls_per_minute: 2, per: global } }\n",
            "this limit and \"a\" count the same",
        ),
        (
            "  - { name: a, limit: { calls_per_minute: 1, shared: x } }\n  - { name: b, limit: { calls_per_hour: 2, shared: x } }\n",
            "share `x` count different things",
        ),
    ] {
        let found = faults(&format!("default: allow\nrules:\n{rules}"));
        assert!(found.iter().any(|fault| fault.contains(says)), "{rules}: {found:?}");
    }
}

fn asks(model: &str) -> Action {
    let mut action = Action::new(Door::Model, ActionKind::ModelRequest, "a".into(), "s".into());
    action.asked = match model {
        "" => Asked::Unknown,
        model => Asked::Model(model.into()),
    };
    action
}

fn reasons(policy: &Policy, action: &Action) -> Vec<String> {
    let facts = Facts::default();
    let lists = Lists::default();
    let given =
        Given { effects: &action.effects, home: "/home/dev", findings: &[], facts: &facts, lists: &lists };
    let reasons = policy.unpriced(action, &given);
    assert!(reasons.iter().all(|reason| reason.verdict == Verdict::Block));
    reasons
        .into_iter()
        .map(|reason| format!("{}: {}; {}", reason.rule, reason.message, reason.advice))
        .collect()
}

#[test]
fn tokens_are_of_requests_to_models_and_known_later() {
    let rules = limits("  - { name: r, limit: { tokens_per_day: 1000, per: agent } }\n");
    let charged = charges(&rules, &asks("m"));
    assert_eq!((charged[0].amount, charged[0].later, charged[0].unit), (0, Some(Later::Tokens), "tokens"));
    assert_eq!(charges(&rules, &asks("")).len(), 1);
    assert!(charges(&rules, &call("Bash", vec![fetch("https://a.test/")])).is_empty());
    let listing = Action::new(Door::Model, ActionKind::Opaque, "a".into(), "s".into());
    assert!(charges(&rules, &listing).is_empty());
    // It begins as long as one is left.
    let mut counters = Counters::default();
    for (spent, room) in [(0, true), (999, true), (1, false)] {
        counters.spend(charged[0].counter, charged[0].window, spent, START);
        assert_eq!(counters.reserve(&charged, START).is_ok(), room);
    }
    let full = counters.reserve(&charged, START).unwrap_err();
    assert_eq!(exceeded(&full[0], START).message, "the limit \"r\" is used up: 1000 tokens in 86400 s");
}

#[test]
fn of_several_prices_the_highest_counts() {
    let rules = policy(
        "default: allow\nprices:\n- { model: 'claude-*', input: 3, output: 15, cached_input: 0.3, cache_write: 3.75 }\n\
         - { model: 'claude-opus-*', input: 5, output: 10, cached_input: 0.5 }\n\
         rules:\n  - { name: r, limit: { money_per_day: 2.5 } }\n",
    );
    let price = |model: &str| match charges(&rules, &asks(model)).as_slice() {
        [charge] => match charge.later {
            Some(Later::Money(price)) => {
                assert_eq!((charge.unit, charge.most), ("money", 2_500_000_000));
                Some([price.input, price.cached, price.cache_write, price.output])
            }
            other => panic!("{other:?}"),
        },
        _ => None,
    };
    let billionths = |prices: [u64; 4]| Some(prices.map(|price| price * 10_000_000));
    assert_eq!(price("claude-sonnet-4"), billionths([300, 30, 375, 1500]));
    assert_eq!(price("claude-opus-4"), billionths([500, 50, 500, 1500]));
    for unknown in ["gpt-5", "CLAUDE-opus-4", "claude-a/b", ""] {
        assert_eq!(price(unknown), None, "{unknown}");
    }
    assert!(reasons(&rules, &asks("claude-opus-4")).is_empty());
    assert_eq!(
        reasons(&rules, &asks("gpt-5")),
        [
            "policy.r: the model `gpt-5` has no price, and the limit \"r\" is in money; ask the operator to add \
         `- model: gpt-5` with `input:` and `output:` to `prices:` of the policy"
        ]
    );
    assert_eq!(reasons(&rules, &asks("")).len(), 1);
    let mut deferred = asks("claude-opus-4");
    deferred.asked = Asked::Deferred;
    assert_eq!((reasons(&rules, &deferred).len(), charges(&rules, &deferred).len()), (1, 0));
    assert!(reasons(&rules, &call("Bash", vec![])).is_empty());
    // Whom the limit is not about may ask any.
    let others = limits("  - { name: r, limit: { money_per_day: 2, principal: someone } }\n");
    assert!(reasons(&others, &asks("gpt-5")).is_empty());
}

#[test]
fn a_limit_in_money_without_prices_is_a_warning() {
    let warned = limits("  - { name: r, limit: { money_per_day: 2 } }\n");
    assert!(warned.warnings()[0].message.contains("no `prices`"), "{:?}", warned.warnings());
    assert!(limits("  - { name: r, limit: { tokens_per_day: 2 } }\n").warnings().is_empty());
}

#[test]
fn prices_are_read_strictly() {
    let price = |price: &str| faults(&format!("default: allow\nrules: []\nprices:\n- {price}\n")).join("\n");
    for (wrong, said) in [
        ("{ input: 1, output: 1 }", "`model` is missing"),
        ("{ model: m, input: 1 }", "`output` is missing"),
        ("{ model: m, input: -1, output: 1 }", "`input` must be a number"),
        ("{ model: m, input: '1', output: 1 }", "`input` must be a number"),
        ("{ model: m, input: 1, output: 0.0000000001 }", "`output` must be a number"),
        ("{ model: m, input: 1, output: 1000000000.1 }", "`output` must be a number"),
        ("{ model: m, input: 1, output: 1, cached: 1 }", "cached"),
        ("{ model: '', input: 1, output: 1 }", "`model` is empty"),
        ("{ model: m, input: 1, output: 1 }\n- { model: m, input: 1, output: 1 }", "a second price of `m`"),
    ] {
        assert!(price(wrong).contains(said), "{wrong}: {}", price(wrong));
    }
    policy(
        "default: allow\nrules: []\nprices:\n- { model: m, input: 0, output: 1e9, cached_input: 0.000000001 }\n",
    );
}

#[test]
fn what_a_receipt_says_finds_the_limit() {
    let name = "n".repeat(120);
    let rules = limits(&format!(
        "  - {{ name: r, limit: {{ calls_per_minute: 1, per: agent }} }}\n  - {{ name: {name}, limit: {{ calls_per_minute: 1, per: endpoint }} }}\n"
    ));
    let action = Action::new(Door::Model, ActionKind::Url, "a".into(), "s".into());
    let charged = charges(&rules, &action);
    let found = rules.limit_named("r", "calls", "a", "s").unwrap();
    let same = charged.iter().find(|charge| charge.account == "r").unwrap();
    assert_eq!((found.group, found.key, found.window), (same.counter.group, Some(same.counter.key), 60_000));
    let cut = rules.limit_named(&format!("{}…", &name[..90]), "calls", "a", "s").unwrap();
    assert_eq!(
        (cut.group, cut.key),
        (charged.iter().find(|c| c.account == name).unwrap().counter.group, None)
    );
    assert_eq!(rules.limit_named("r", "tokens", "a", "s"), None);
    assert_eq!(rules.limit_named("q", "calls", "a", "s"), None);
}
