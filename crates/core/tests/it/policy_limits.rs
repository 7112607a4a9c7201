//! Limits: what counts, on which counter, and that two rules never count on the same one by accident.

use doorward_core::action::{
    Action, ActionKind, AssetClass, Capability, Door, Part, PartKind, Target, alone,
};
use doorward_core::decision::Charge;
use doorward_core::policy::{Counters, Given, Policy, exceeded};
use doorward_core::session::Facts;

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
            lists: &doorward_core::detect::destination::Lists::default(),
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
        ("  - { name: a, limit: { tokens_per_day: 1 } }\n", "nothing counts this yet"),
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
