//! What judging by a policy allocates: nothing, until a reason is recorded or something has to be decoded.

use std::fmt::Write as _;

use allocation_counter::measure;
use doorward_core::action::request::{Body, Header, Request};
use doorward_core::action::{Action, alone};
use doorward_core::detect::destination::Lists;
use doorward_core::policy::{Given, Policy};
use doorward_core::session::Facts;

use crate::policy::{call, fetch, policy, read};
use crate::policy_speed::text;

/// How often memory was taken to judge `action`, and how many reasons there were.
fn judging(policy: &Policy, action: &Action) -> (u64, usize) {
    let facts = Facts { now: 43_200_000, ..Facts::default() };
    let lists = Lists::default();
    let given =
        Given { effects: &action.effects, home: "/home/dev", findings: &[], facts: &facts, lists: &lists };
    let mut reasons = 0;
    let taken = measure(|| reasons = policy.evaluate(action, &given).len());
    (taken.count_total, reasons)
}

fn post(url: &str, kind: &str, body: &str) -> Action {
    let header = |name: &str, value: &str| Header { name: name.into(), value: value.as_bytes().into() };
    let headers = vec![header("content-type", kind), header("x-request-id", "r-1")];
    alone::request(Request::new("POST", url, headers, Body::Whole(body.to_owned().into())))
}

fn charge(url: &str) -> Action {
    post(url, "application/json", r#"{"amount": 4200, "items": [{"sku": "room"}], "note": "late"}"#)
}

/// `count` rules, each with the matcher that `matcher` makes for its number.
fn rules(count: usize, matcher: impl Fn(usize) -> String) -> Policy {
    let mut text = String::from("default: allow\nrules:\n");
    for n in 0..count {
        let _ = writeln!(text, "- name: r{n}\n  deny: {{{}}}", matcher(n));
    }
    policy(&text)
}

#[test]
fn an_ordinary_request_that_no_rule_is_about_takes_no_memory() {
    let by_host = rules(200, |n| format!("url: api{n}.example.com/v1/charges"));
    for url in [
        "https://other.example.com/v1/charges",
        "https://api7.example.com:443/v1/refunds/.well-known//x/?page=2&sort=up",
        "http://10.1.2.3/v1/charges",
        "http://[2001:db8::1]:8080/v1/charges",
        "https://api7.example.com.evil.test/v1/charges#x",
    ] {
        assert_eq!(judging(&by_host, &charge(url)), (0, 0), "{url}");
    }
    // What is written down takes memory, and so does what has to be decoded: this counts.
    let (taken, reasons) = judging(&by_host, &charge("https://api7.example.com/v1/charges"));
    assert!(taken > 0 && reasons == 1);
    assert!(judging(&by_host, &charge("https://other.example.com/v1/%63harges")).0 > 0);
    assert!(judging(&by_host, &charge("https://OTHER.example.com/v1/charges")).0 > 0);
}

#[test]
fn nor_do_rules_that_are_about_the_place_and_not_about_the_request() {
    let elsewhere = "https://api.example.com/v1/charges?mode=safe&page=2";
    let matchers: [(&str, &dyn Fn(usize) -> String); 8] = [
        ("paths", &|n| format!("url: api.example.com/v1/p{n}")),
        ("wildcards", &|n| format!("url: 'api.example.com/**/x*/**/p{n}'")),
        ("queries", &|n| format!("url: 'api.example.com/**?mode=raw{n}'")),
        ("methods", &|n| format!("host: api.example.com, method: [GET, PROPFIND{n}]")),
        ("headers", &|n| format!("host: api.example.com, headers: {{name: x-request-id, exact: r{n}}}")),
        ("texts", &|n| format!("host: api.example.com, headers: {{name: x-request-id, regex: '^a{n}$'}}")),
        ("times", &|n| format!("host: api.example.com, time_outside: '11:{:02}-14:00'", n % 60)),
        ("places", &|n| format!("host: [10.{n}.0.0/16, '*.sub{n}.example.com'], url: '**'")),
    ];
    for (what, matcher) in matchers {
        let policy = rules(200, matcher);
        let action = charge(elsewhere);
        // A regular expression has a cache of its own, which is made once.
        judging(&policy, &action);
        assert_eq!(judging(&policy, &action), (0, 0), "{what}");
    }
}

#[test]
fn nor_do_calls_that_no_rule_is_about() {
    let policy = policy(&text(200));
    for action in [
        call("Fetch", vec![fetch("https://docs.example.test/a/b?c=d")]),
        call("Read", vec![]),
        call("Read", vec![read("/home/dev/src/lib.rs", true)]),
        call("Read", vec![read("~/src/lib.rs", true)]),
        call("Read", vec![read("~/src/$FILE", false)]),
        call("Bash", vec![read("src/lib.rs", true), read("/etc/hosts", true)]),
    ] {
        // One list of where its effects lead, if there are several.
        let lists = u64::from(action.effects.len() > 1);
        assert_eq!(judging(&policy, &action), (lists, 0), "{:?}", action.effects);
    }
}

#[test]
fn nor_does_what_is_allowed() {
    let policy =
        policy("default: deny\nrules:\n- {name: a, allow: {url: 'api.example.com/v1/**', method: POST}}\n");
    assert_eq!(judging(&policy, &charge("https://api.example.com/v1/charges")), (0, 0));
}

#[test]
fn a_body_is_read_once_however_many_rules_look_into_it() {
    let json = r#"{"amount": 4200, "items": [{"sku": "room"}], "note": "late"}"#;
    let form = "amount=4200&items[0][sku]=room&note=late+arrival&card.number=1";
    let part = "--b\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n4200\r\n--b--\r\n";
    for (kind, body) in [
        ("application/json", json),
        ("application/x-www-form-urlencoded", form),
        ("multipart/form-data; boundary=b", part),
    ] {
        let taken = [1, 2, 400].map(|count| {
            let policy = rules(count, |n| {
                let asked = match n % 4 {
                    0 => format!("{{jsonpath: $.amount, min: {}}}", 50_001 + n),
                    1 => format!("{{jsonpath: $.note, exact: n{n}}}"),
                    2 => format!("{{jsonpath: note, prefix: p{n}}}"),
                    _ => format!("[{{jsonpath: $.missing{n}}}, {{jsonpath: $.amount, in: [1, {n}]}}]"),
                };
                format!("url: api.example.com/v1/charges, body: {asked}")
            });
            // A new request each time: nothing of it has been read.
            let (taken, reasons) = judging(&policy, &post("https://api.example.com/v1/charges", kind, body));
            assert_eq!(reasons, 0, "{count} rules on {body}");
            taken
        });
        assert!(taken[0] > 0 && taken == [taken[0]; 3], "{kind}: {taken:?}");
    }
}
