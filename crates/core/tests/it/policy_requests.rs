//! Rules about HTTP requests, whole: from the text of a policy to the reasons it gives.

use std::sync::Arc;

use doorward_core::action::request::{Body, Header, Request, Unread};
use doorward_core::action::{Action, ActionKind, alone};
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::syntax::Source;
use doorward_core::{Door, Engine, Facts};

fn request(method: &str, url: &str, content_type: &str, body: Body) -> Action {
    let headers = vec![Header { name: "Content-Type".into(), value: content_type.as_bytes().into() }];
    let request = Request::new(method, url, headers, body);
    let effects = request.effects();
    let mut action = Action::new(Door::Egress, ActionKind::Url, "sales".into(), "".into());
    action.effects = effects;
    action.request = Some(Arc::new(request));
    action
}

fn json(method: &str, url: &str, body: &str) -> Action {
    request(method, url, "application/json", Body::Whole(body.to_owned().into()))
}

fn compile(text: &str) -> Result<Policy, Vec<String>> {
    Policy::compile(&[Source { name: "policy.yaml", text }])
        .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect())
}

/// The names of the policy's rules that speak, in order.
fn speak_at(policy: &str, action: &Action, now: u64) -> Vec<String> {
    let policy = compile(policy).unwrap_or_else(|faults| panic!("{faults:?}"));
    let engine = Engine::new(
        Arc::new(doorward_core::detect::rules::RuleSet::compile(&[]).unwrap()),
        Arc::new(policy),
        Surroundings::default(),
    );
    let decision = engine.decide(action, &Facts { now, ..Facts::default() });
    let mut names: Vec<String> = decision
        .reasons
        .iter()
        .filter_map(|reason| reason.rule.strip_prefix("policy.").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// 2026-03-04, noon in Greenwich.
const NOON: u64 = 1_772_625_600_000;

fn speak(policy: &str, action: &Action) -> Vec<String> {
    speak_at(policy, action, NOON)
}

/// The sample of the format's own documentation, with `body` beside `allow`.
const SAMPLE: &str = r#"
agent: sales-agent
default: deny
rules:
  - name: read-contacts
    allow:
      method: [GET]
      url: "api.salesforce.com/*/sobjects/Contact/*"
  - name: create-small-charges
    allow:
      method: [POST]
      url: "api.stripe.com/v1/charges"
    body:
      jsonpath: "$.amount"
      max: 50000
  - name: block-all-deletes
    deny:
      method: [DELETE]
      url: "*"
  - name: business-hours-only
    deny:
      time_outside: "09:00-17:00"
      timezone: "UTC"
"#;

#[test]
fn the_documented_sample_does_what_it_says() {
    let charge = |body: &str| speak(SAMPLE, &json("POST", "https://api.stripe.com/v1/charges", body));
    assert_eq!(charge(r#"{"amount": 50000}"#), [""; 0]);
    for body in [
        r#"{"amount": 99999999}"#,
        r#"{"amount": 50000.5}"#,
        r#"{"amount": 6e4}"#,
        r#"{"amount": 1e20}"#,
        r#"{"amount": "60000"}"#,
        r#"{"amount": 1, "amount": 99999999}"#,
        r#"{"amount": 1, "AMOUNT": 99999999}"#,
        r#"{"cents": 1}"#,
        "[]",
        "",
        "amount=1",
    ] {
        assert_eq!(charge(body), ["default"], "{body}");
    }
    let form = |body: &str| {
        let url = "https://api.stripe.com/v1/charges";
        let body = Body::Whole(body.to_owned().into());
        speak(SAMPLE, &request("POST", url, "application/x-www-form-urlencoded", body))
    };
    assert_eq!(form("amount=2000&currency=usd&card[number]=4242"), [""; 0]);
    assert_eq!(form("amount=60000&currency=usd"), ["default"]);
    assert_eq!(form("amount=2000&amount=60000"), ["default"]);
    let contact = json("GET", "https://api.salesforce.com/v59/sobjects/Contact/1", "");
    assert_eq!(speak(SAMPLE, &contact), [""; 0]);
    assert_eq!(speak_at(SAMPLE, &contact, NOON + 5 * 3_600_000), ["business-hours-only"]);
    assert_eq!(speak(SAMPLE, &json("DELETE", "https://x.example/", "")), ["block-all-deletes", "default"]);
    assert_eq!(speak(SAMPLE, &json("PROPFIND", "https://x.example/", "")), ["default"]);
}

#[test]
fn conditions_may_stand_beside_the_verb_or_in_the_matcher_and_not_in_both() {
    let policy = |rule: &str| format!("default: allow\nrules:\n- name: r\n{rule}");
    let action = json("POST", "https://a.example/x", r#"{"n": 5}"#);
    for rule in [
        "  deny: {}\n  method: POST\n  url: a.example/**\n  body: {jsonpath: $.n, min: 5}",
        "  deny: {method: POST, url: a.example/**, body: {jsonpath: $.n, min: 5}}",
        "  deny: {method: POST}\n  url: a.example/**\n  headers: {name: content-type, prefix: application/}",
    ] {
        assert_eq!(speak(&policy(rule), &action), ["r"], "{rule}");
        assert_eq!(speak(&policy(rule), &json("GET", "https://a.example/x", "")), [""; 0], "{rule}");
        assert_eq!(
            speak(&policy(rule), &json("POST", "https://b.example/x", r#"{"n": 5}"#)),
            [""; 0],
            "{rule}"
        );
    }
    for key in [
        "url: a.example/**",
        "method: GET",
        "headers: {name: x}",
        "body: {jsonpath: $.a}",
        "time_outside: '09:00-10:00'",
    ] {
        let faults = compile(&policy(&format!("  deny: {{{key}}}\n  {key}"))).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].ends_with("stands both beside the verb and in its matcher"), "{faults:?}");
    }
}

#[test]
fn what_is_not_known_of_a_body_restricts_and_never_allows() {
    let policy = "default: deny\nrules:\n- name: small\n  allow: {url: a.example/**, body: {jsonpath: $.n, max: 5}}\n\
        - name: large\n  deny: {url: a.example/**, body: {jsonpath: $.n, min: 6}}\n\
        - name: rest\n  allow: {url: b.example/**}";
    for why in [Unread::Tunnelled, Unread::Unparsed, Unread::Oversize, Unread::Encoded] {
        let at = |host: &str| {
            request("POST", &format!("https://{host}/x"), "application/json", Body::Unknown(why))
        };
        assert_eq!(speak(policy, &at("a.example")), ["default", "large"]);
        assert_eq!(speak(policy, &at("b.example")), [""; 0]);
    }
    assert_eq!(speak(policy, &json("POST", "https://a.example/x", r#"{"n": 5}"#)), [""; 0]);
}

#[test]
fn a_host_header_cannot_hide_where_a_request_goes() {
    let policy = "default: deny\nrules:\n- name: good\n  allow: {url: good.example/**}\n\
        - name: evil\n  deny: {url: evil.example/**}";
    let to = |host: &str| {
        let headers = vec![Header { name: "Host".into(), value: host.as_bytes().into() }];
        let request = Request::new("GET", "https://good.example/x", headers, Body::Absent);
        let mut action = Action::new(Door::Egress, ActionKind::Url, "".into(), "".into());
        action.effects = request.effects();
        action.request = Some(Arc::new(request));
        action
    };
    assert_eq!(speak(policy, &to("good.example")), [""; 0]);
    assert_eq!(speak(policy, &to("evil.example")), ["default", "evil"]);
    assert_eq!(speak(policy, &to("other.example")), ["default"]);
}

#[test]
fn what_is_no_request_fulfils_only_the_time() {
    let policy = "default: allow\nrules:\n- name: deletes\n  deny: {method: DELETE}\n\
        - name: night\n  deny: {time_outside: '09:00-17:00', timezone: Europe/Berlin}";
    let call = alone::read("command", "curl -X DELETE https://a.example/", None).unwrap();
    assert_eq!(speak(policy, &call), [""; 0]);
    assert_eq!(speak_at(policy, &call, NOON + 4 * 3_600_000), ["night"], "17:00 in Berlin");
}

#[test]
fn arguments_of_a_call_are_conditions_too() {
    let policy = "default: allow\nrules:\n- name: big\n  deny:\n    tool: refund\n    arguments: {jsonpath: $.amount, min: 100}";
    let call = |text: &str| alone::read("tool_call", text, None).unwrap();
    let refund =
        |amount: &str| call(&format!(r#"{{"name": "refund", "arguments": {{"amount": {amount}}}}}"#));
    assert_eq!(speak(policy, &refund("100")), ["big"]);
    assert_eq!(speak(policy, &refund("1e2")), ["big"]);
    assert_eq!(speak(policy, &refund("\"100\"")), ["big"]);
    assert_eq!(speak(policy, &refund("99.99")), [""; 0]);
    assert_eq!(speak(policy, &refund("null")), [""; 0]);
    assert_eq!(speak(policy, &call(r#"{"name": "pay", "arguments": {"amount": 100}}"#)), [""; 0]);
    let broken = call(r#"{"name": "refund", "arguments": "{\"amount\": 1, \"amount\": 100}"}"#);
    assert_eq!(speak(policy, &broken), ["big"], "arguments that readers differ on");
    let url = alone::read("url", "https://a.example/", None).unwrap();
    assert_eq!(
        speak(
            "default: allow\nrules:\n- name: r\n  deny: {arguments: {jsonpath: $.a, present: false}}",
            &url
        ),
        [""; 0]
    );
}
