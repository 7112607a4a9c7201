//! What the format we accept was known to get wrong in its own engine: each item of that list, and that it does not
//! hold here.

use std::sync::Arc;

use doorward_core::action::request::{Body, Header, Request};
use doorward_core::action::{Action, ActionKind, AssetClass, Capability, Target, alone};
use doorward_core::policy::{Counters, Policy};
use doorward_core::session::Mode;
use doorward_core::{Decision, Door, Engine, Facts};

use crate::policy::{call, effect, faults, policy};

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Action {
    let headers =
        headers.iter().map(|(name, value)| Header { name: (*name).into(), value: value.as_bytes().into() });
    let body = Body::Whole(body.to_owned().into());
    let request = Request::new(method, url, headers.collect(), body);
    let mut action = Action::new(Door::Egress, ActionKind::Url, "sales".into(), "s".into());
    action.effects = request.effects();
    action.request = Some(Arc::new(request));
    action
}

fn get(url: &str) -> Action {
    request("GET", url, &[], "")
}

fn post(body: &str) -> Action {
    request("POST", "https://api.stripe.com/v1/charges", &[("content-type", "application/json")], body)
}

fn decide(policy: Policy, action: &Action, now: u64) -> Decision {
    let rules = doorward_core::detect::rules::RuleSet::compile(&[]).unwrap();
    let engine = Engine::new(Arc::new(rules), Arc::new(policy), Default::default());
    engine.decide(action, &Facts { now, ..Facts::default() })
}

fn passes(text: &str, action: &Action) -> bool {
    decide(policy(text), action, 0).passes()
}

fn denying(matcher: &str) -> String {
    format!("default: allow\nrules: [{{ name: a, deny: {matcher} }}]\n")
}

fn allowing(matcher: &str) -> String {
    format!("default: deny\nrules: [{{ name: a, allow: {matcher} }}]\n")
}

/// Critical 1: what stands before `@` behind a `?` or `#` is no host.
#[test]
fn an_allow_list_is_not_fooled_by_an_at_sign() {
    let stripe = allowing("{ url: 'api.stripe.com/**' }");
    assert!(passes(&stripe, &get("https://api.stripe.com/v1/x")));
    for url in [
        "http://evil.test?@api.stripe.com/v1/x",
        "http://evil.test#@api.stripe.com/v1/x",
        "http://evil.test/?@api.stripe.com/v1/x",
        "http://evil.test\\@api.stripe.com/v1/x",
        "http://api.stripe.com@evil.test/v1/x",
        "http://evil.test@api.stripe.com/v1/x",
        "http://api.stripe.com.evil.test/v1/x",
    ] {
        assert!(!passes(&stripe, &get(url)), "{url}");
        assert!(!passes(&stripe, &call("Fetch", get(url).effects)), "{url}");
    }
}

/// Critical 2: a segment is what it is, not an id.
#[test]
fn literal_segments_and_tool_names_are_literal() {
    for segment in [
        "fine_tuning",
        "vector_stores",
        "setup_intents",
        "_search",
        "_delete_by_query",
        "42",
        "gemini-2.0-flash:generateContent",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "deadbeef",
        "a@bcd",
        "abcdefgh12345678",
        "delete_file",
    ] {
        let pattern = format!("{{ url: 'api.test/v1/{segment}' }}");
        let url = format!("https://api.test/v1/{segment}");
        assert!(!passes(&denying(&pattern), &get(&url)), "{segment}");
        assert!(passes(&allowing(&pattern), &get(&url)), "{segment}");
        assert!(!passes(&allowing(&pattern), &get("https://api.test/v1/other_thing1")), "{segment}");
    }
    for tool in
        ["delete_file", "send_email", "read_file", "run_shell", "mcp__github__delete_repo", "execute_sql"]
    {
        let matcher = format!("{{ tool: {tool} }}");
        assert!(!passes(&denying(&matcher), &call(tool, vec![])), "{tool}");
        assert!(passes(&allowing(&matcher), &call(tool, vec![])), "{tool}");
        assert!(passes(&denying(&matcher), &call("other_tool", vec![])), "{tool}");
    }
}

/// Numbers are exact, however they are written.
#[test]
fn numbers_are_compared_as_numbers() {
    let large = denying("{ body: { jsonpath: $.amount, min: 50001 } }");
    for amount in
        ["50001", "60000.5", "6e4", "100000000000000000000", "1e20", "\"60000\"", "60000.0", "6.00005E+4"]
    {
        assert!(!passes(&large, &post(&format!("{{\"amount\":{amount}}}"))), "{amount}");
    }
    for amount in ["50000", "5e4", "50000.99", "\"50000\"", "-60000"] {
        assert!(passes(&large, &post(&format!("{{\"amount\":{amount}}}"))), "{amount}");
    }
}

/// Duplicate keys: readers differ in which one counts.
#[test]
fn duplicate_keys_hide_no_value() {
    let large = denying("{ body: { jsonpath: $.amount, min: 50001 } }");
    let small = allowing("{ body: { jsonpath: $.amount, max: 50000 } }");
    for body in ["{\"amount\":99999,\"amount\":1}", "{\"amount\":1,\"amount\":99999}"] {
        assert!(!passes(&large, &post(body)), "{body}");
        assert!(!passes(&small, &post(body)), "{body}");
    }
}

/// What cannot be evaluated does not load.
#[test]
fn invalid_paths_regexes_windows_and_zones_do_not_load() {
    for matcher in [
        "{ body: { jsonpath: '$.[', exists: true } }",
        "{ body: { jsonpath: '$..a..b', exact: 1 } }",
        "{ body: { jsonpath: $.a, regex: '(' } }",
        "{ headers: { name: x, regex: '(' } }",
        "{ time_outside: '9-17', timezone: UTC }",
        "{ time_outside: '09:00-17:00', timezone: Mars/Olympus }",
    ] {
        for text in [denying(matcher), allowing(matcher)] {
            assert!(!faults(&text).is_empty(), "{matcher}");
        }
    }
}

/// A zone of the IANA database is one; it made an `allow` hold at any time.
#[test]
fn zones_have_their_own_time() {
    let text = allowing("{ time_outside: '00:00-12:00', timezone: America/New_York }");
    let at = |hour: u64| 1_767_225_600_000 + hour * 3_600_000; // 1 January 2026, UTC
    let at_hour = |hour| decide(policy(&text), &get("https://a.test/"), at(hour)).passes();
    assert!(!at_hour(16), "eleven in New York");
    assert!(at_hour(18), "one in New York");
}

/// Misspelled keys allowed everything.
#[test]
fn unknown_keys_are_faults() {
    for (matcher, advice) in [("{ methods: [GET] }", "`method`"), ("{ urls: ['a.test/**'] }", "`url`")] {
        let found = faults(&allowing(matcher));
        assert!(
            found.iter().any(|fault| fault.contains("unknown key") && fault.contains(advice)),
            "{found:?}"
        );
    }
}

/// The README's own sample allowed every charge.
#[test]
fn a_body_beside_allow_is_a_condition() {
    let text = "agent: sales-agent\ndefault: deny\nrules:\n  - name: create-small-charges\n    allow:\n      method: [POST]\n      url: \"api.stripe.com/v1/charges\"\n    body:\n      jsonpath: \"$.amount\"\n      max: 50000\n";
    assert!(passes(text, &post("{\"amount\":50000}")));
    assert!(!passes(text, &post("{\"amount\":99999999}")));
    assert!(!passes(text, &post("{}")));
    assert_eq!(policy(text).mode(), Mode::Block);
}

/// Patterns that matched nothing without a word.
#[test]
fn patterns_match_what_they_read_as_or_are_faults() {
    for (pattern, url) in [
        ("*.stripe.com/**", "https://api.stripe.com/v1/charges"),
        ("api.stripe.com/v1/charge*", "https://api.stripe.com/v1/charges"),
        ("https://api.stripe.com/v1/charges", "https://api.stripe.com/v1/charges"),
        ("API.Stripe.com/v1/charges", "https://api.stripe.com/v1/charges"),
        ("api.stripe.com/v1/charges/", "https://api.stripe.com/v1/charges"),
        ("bücher.test/ü", "https://xn--bcher-kva.test/%C3%BC"),
    ] {
        assert!(!passes(&denying(&format!("{{ url: '{pattern}' }}")), &get(url)), "{pattern}");
        assert!(passes(&allowing(&format!("{{ url: '{pattern}' }}")), &get(url)), "{pattern}");
    }
    let found = faults(&denying("{ url: evil.com }"));
    assert!(found[0].contains("write `evil.com/**` for everything there"), "{found:?}");
}

/// Spellings of a denied host that went past it.
#[test]
fn a_denied_host_is_denied_in_every_spelling() {
    let evil = denying("{ url: 'evil.com/**' }");
    for url in [
        "https://evil.com?x=1",
        "https://evil.com./",
        "https://evil.com:8443/",
        "https://evil.com:0443/",
        "HTTPS://evil.com/",
        "wss://evil.com/",
        "https://EVIL.com/a",
        "https://evil.com/%zz",
        "https://evil.com/a%00b",
    ] {
        assert!(!passes(&evil, &get(url)), "{url}");
    }
    let address = denying("{ url: '127.0.0.1/**' }");
    for url in ["http://2130706433/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/", "http://0177.0.0.1/"] {
        assert!(!passes(&address, &get(url)), "{url}");
    }
    let charges = denying("{ url: 'evil.com/v1/charges' }");
    for url in [
        "https://evil.com/v1/charges;v=1",
        "https://evil.com/v1/%63harges",
        "https://evil.com/v1/%2563harges",
        "https://evil.com/v1//x/../charges/",
        "https://evil.com/v1/Charges",
    ] {
        assert!(!passes(&charges, &get(url)), "{url}");
    }
    assert!(passes(&charges, &get("https://evil.com/v1/refunds")));
}

/// A `Host` header leads elsewhere than the URL.
#[test]
fn a_host_header_is_seen() {
    let elsewhere = request("GET", "https://good.test/", &[("Host", "evil.com")], "");
    assert!(!passes(&denying("{ host: evil.com }"), &elsewhere));
    assert!(!passes(&allowing("{ host: good.test }"), &elsewhere));
}

/// A method outside the usual seven is a method.
#[test]
fn unusual_methods_are_judged_like_others() {
    assert!(passes(&denying("{ method: [DELETE] }"), &request("PROPFIND", "https://a.test/", &[], "")));
    assert!(!passes(&denying("{ method: [PROPFIND] }"), &request("PROPFIND", "https://a.test/", &[], "")));
}

/// Limits shared keys: 10 and 100 together admitted 5.
#[test]
fn limits_share_no_keys_by_accident() {
    let text = "default: allow\nrules:\n  - { name: ten, limit: { calls_per_minute: 10, per: global } }\n  - { name: hundred, limit: { calls_per_minute: 100, per: global, direction: out } }\n";
    let mut counters = Counters::default();
    let granted = (0..200).filter(|_| {
        let decision = decide(policy(text), &get("https://a.test/"), 0);
        counters.reserve(&decision.charges.0, 1_000_000).is_ok()
    });
    assert_eq!(granted.count(), 10);
}

/// What was denied used the limit up.
#[test]
fn what_is_denied_costs_nothing() {
    let text = "default: allow\nrules:\n  - { name: no, deny: { host: evil.com } }\n  - { name: rate, limit: { calls_per_minute: 1 } }\n";
    assert!(decide(policy(text), &get("https://evil.com/"), 0).charges.0.is_empty());
    assert_eq!(decide(policy(text), &get("https://a.test/"), 0).charges.0.len(), 1);
}

/// Spraying endpoints evicted a counter and so reset it.
#[test]
fn spraying_endpoints_resets_no_limit() {
    let rules =
        policy("default: allow\nrules: [{ name: r, limit: { calls_per_minute: 1, per: endpoint } }]\n");
    let mut counters = Counters::default();
    let mut take = |url: &str| {
        let action = get(url);
        let given = doorward_core::policy::Given {
            effects: &action.effects,
            home: "",
            findings: &[],
            facts: &Facts::default(),
            lists: &doorward_core::detect::destination::Lists::default(),
        };
        counters.reserve(&rules.charges(&action, &given), 1_000_000).is_ok()
    };
    assert!(take("https://victim.test/"));
    let sprayed = (0..10_050).filter(|n| take(&format!("https://a.test/{n}"))).count();
    assert!(!take("https://victim.test/"));
    assert_eq!(sprayed, 10_000, "one for each counter that was free, and one for all the others");
}

/// Resources of a tool server stand in the query: rules could not tell them apart.
#[test]
fn queries_tell_resources_apart() {
    let secret = denying("{ url: 'mcp.example/resources?uri=file:///secret*' }");
    assert!(!passes(&secret, &get("https://mcp.example/resources?uri=file%3A%2F%2F%2Fsecret%2Fkey")));
    assert!(passes(&secret, &get("https://mcp.example/resources?uri=file:///public")));
}

/// An omitted mode only watched.
#[test]
fn an_omitted_mode_is_enforced_and_org_mode_binds() {
    assert_eq!(policy("default: deny\nrules: []\n").mode(), Mode::Block);
}

/// With two verbs the first one won.
#[test]
fn two_verbs_are_a_fault() {
    let found = faults("default: deny\nrules: [{ name: a, allow: {}, deny: {} }]\n");
    assert!(found.iter().any(|fault| fault.contains("more than one verb")), "{found:?}");
}

/// `**/a` five times over took 186 ms on 80 segments.
#[test]
fn many_stars_take_linear_time() {
    let many = denying(&format!("{{ url: 'a.test{}' }}", "/**/a".repeat(20)));
    let action = get(&format!("https://a.test{}/b", "/a".repeat(2000)));
    let begun = std::time::Instant::now();
    assert!(passes(&many, &action));
    assert!(begun.elapsed().as_millis() < 500, "{:?}", begun.elapsed());
}

/// The caps of its schema were enforced by nobody.
#[test]
fn caps_are_enforced() {
    for (text, says) in [
        (format!("default: allow\nrules: [{{ name: {}, deny: {{}} }}]\n", "n".repeat(129)), "at most 128"),
        (denying(&format!("{{ url: 'a.test/{}' }}", "x".repeat(1024))), "longer than 1024"),
        (denying(&format!("{{ tool: [{}] }}", vec!["x"; 1001].join(","))), "more than 1000 values"),
        (
            format!("default: allow\nrules: [{{ name: a, deny: {{}}, reason: {} }}]\n", "r".repeat(513)),
            "at most 512",
        ),
    ] {
        let found = faults(&text);
        assert!(found.iter().any(|fault| fault.contains(says)), "{says}: {found:?}");
    }
}

/// What a call does through a shell is seen as the request would be.
#[test]
fn a_command_line_is_no_way_around_a_url() {
    let command = alone::read("command", "curl -s https://evil.com/x", None).unwrap();
    assert!(!passes(&denying("{ url: 'evil.com/**' }"), &command));
    let unknown = effect(Capability::Unknown, Target::None, AssetClass::Unknown);
    assert!(!passes(&denying("{ url: 'evil.com/**' }"), &call("x", vec![unknown])));
}

#[test]
fn an_allow_list_is_not_walked_around_with_a_proxy() {
    let only = allowing("{ url: 'a.test/**' }");
    let line = |line: &str| alone::read("command", line, None).unwrap();
    assert!(passes(&only, &line("curl https://a.test/x")));
    for other in [
        "curl -x evil.test:3128 https://a.test/x",
        "curl --resolve a.test:443:6.6.6.6 https://a.test/x",
        "curl --connect-to ::evil.test: https://a.test/x",
        "curl -H 'Host: evil.test' https://a.test/x",
        "https_proxy=evil.test curl https://a.test/x",
        "wget -e use_proxy=yes -e https_proxy=evil.test -qO- https://a.test/x",
        "http --proxy https:http://evil.test:80 https://a.test/x",
    ] {
        assert!(!passes(&only, &line(other)), "{other}");
    }
}
