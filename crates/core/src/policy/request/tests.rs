//! What a rule's conditions say about requests.

use bytes::Bytes;
use proptest::prelude::*;

use super::field::Field;
use super::*;
use crate::action::request::{Body, Header, Unread, View};
use crate::syntax::{json, yaml};

/// 2026-03-04, 12:00 UTC, in milliseconds.
const NOON: Millis = 1_772_625_600_000;
const HOUR: Millis = 3_600_000;

fn compile(text: &str) -> Result<RequestMatcher, Vec<Diagnostic>> {
    let node = yaml::parse(text.as_bytes()).unwrap();
    let mut faults = Vec::new();
    let mut fields = Fields::of(&node, "a matcher", &mut faults);
    let matcher = RequestMatcher::read(&mut fields, &mut Zones::default());
    fields.finish();
    if faults.is_empty() { Ok(matcher) } else { Err(faults) }
}

#[track_caller]
fn matcher(text: &str) -> RequestMatcher {
    compile(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

/// The message of the only fault.
#[track_caller]
fn fault(text: &str) -> String {
    match compile(text) {
        Err(faults) if faults.len() == 1 => faults[0].message.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.as_bytes().into() }
}

fn send(method: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let headers = headers.iter().map(|(name, value)| header(name, value)).collect();
    Request::new(
        method,
        "https://api.example.com/v1/charges",
        headers,
        Body::Whole(Bytes::copy_from_slice(body.as_bytes())),
    )
}

fn post(body: &str) -> Request {
    send("POST", &[("content-type", "application/json")], body)
}

fn form(body: &str) -> Request {
    send("POST", &[("content-type", "application/x-www-form-urlencoded")], body)
}

#[track_caller]
fn says(condition: &str, request: &Request, expected: Truth) {
    let truth = matcher(condition).holds(Some(request), NOON);
    assert_eq!(truth, expected, "{condition} on {request:?}");
}

use Truth::{No, Unknown, Yes};

#[test]
fn methods_are_any_word_and_exact() {
    says("method: [GET, PROPFIND]", &send("PROPFIND", &[], ""), Yes);
    says("method: GET", &send("GET", &[], ""), Yes);
    says("method: [GET, PROPFIND]", &send("POST", &[], ""), No);
    says("method: DELETE", &send("delete", &[], ""), Unknown);
    says("method: M-SEARCH", &send("M-SEARCH", &[], ""), Yes);
    assert!(fault("method: get").contains("case"));
    assert!(fault("method: 'GET, POST'").contains("no method"));
    assert!(fault("method: []").contains("empty"));
}

#[test]
fn a_header_that_overrides_the_method_makes_it_unknown() {
    for name in ["X-HTTP-Method-Override", "x-http-method", "X_Method_Override"] {
        let request = send("POST", &[(name, "DELETE")], "");
        says("method: DELETE", &request, Unknown);
        says("method: POST", &request, Unknown);
        says("method: [POST, DELETE]", &request, Yes);
        says("method: GET", &request, No);
    }
}

#[test]
fn header_operators() {
    let request = send("GET", &[("X-Env", "production-eu"), ("Empty", "")], "");
    for (condition, expected) in [
        ("{name: x-env, exact: production-eu}", Yes),
        ("{name: X-ENV, exact: production}", No),
        ("{name: X-Env, prefix: prod}", Yes),
        ("{name: X-Env, prefix: eu}", No),
        ("{name: X-Env, suffix: -eu}", Yes),
        ("{name: X-Env, suffix: -us}", No),
        ("{name: X-Env, contains: ction}", Yes),
        ("{name: X-Env, contains: xx}", No),
        ("{name: X-Env, regex: '^prod.*-(eu|us)$'}", Yes),
        ("{name: X-Env, regex: '^eu'}", No),
        ("{name: X-Env, in: [a, production-eu]}", Yes),
        ("{name: X-Env, in: [a, b]}", No),
        ("{name: X-Env, prefix: prod, suffix: -us}", No),
        ("{name: X-Env}", Yes),
        ("{name: X-Env, present: true}", Yes),
        ("{name: X-Env, present: false}", No),
        ("{name: Empty}", Yes),
        ("{name: Empty, exact: ''}", Yes),
        ("{name: X-Other, exact: a}", No),
        ("{name: X-Other}", No),
        ("{name: X-Other, present: false}", Yes),
    ] {
        says(&format!("headers: {condition}"), &request, expected);
        says(&format!("headers: [{condition}]"), &request, expected);
    }
    says("headers: [{name: X-Env}, {name: X-Other}]", &request, No);
}

#[test]
fn repeated_headers_are_joined_and_readers_must_agree() {
    let request = send("GET", &[("Accept", "text/html"), ("accept", "text/plain")], "");
    says("headers: {name: Accept, exact: 'text/html, text/plain'}", &request, Unknown);
    says("headers: {name: Accept, exact: text/html}", &request, Unknown);
    says("headers: {name: Accept, prefix: text/}", &request, Yes);
    says("headers: {name: Accept, contains: html}", &request, Unknown);
    says("headers: {name: Accept, contains: xml}", &request, No);
}

#[test]
fn headers_that_some_read_as_another_are_unknown() {
    let request = send("GET", &[("X_Debug", "1")], "");
    says("headers: {name: X-Debug}", &request, Unknown);
    says("headers: {name: X-Debug, present: false}", &request, Unknown);
    says("headers: {name: X-Debugs}", &request, No);
    let latin = Request::new(
        "GET",
        "https://x.example/",
        vec![Header { name: "X".into(), value: b"\xe4"[..].into() }],
        Body::Absent,
    );
    says("headers: {name: X, contains: a}", &latin, Unknown);
    says("headers: {name: X}", &latin, Yes);
}

#[test]
fn an_overriding_host_is_visible() {
    let request = send("GET", &[("Host", "evil.example")], "");
    says("headers: {name: host, exact: evil.example}", &request, Yes);
}

#[test]
fn invalid_regexes_are_load_errors_in_headers_and_bodies() {
    for regex in ["(", "[a", "a{2,1}", "(?=x)", "\\1", "(a{1000}){1000}", "(?P<a>x)(?P<a>y)"] {
        assert!(
            fault(&format!("headers: {{name: X, regex: '{regex}'}}")).contains("regular expression"),
            "{regex}"
        );
        assert!(
            fault(&format!("body: {{jsonpath: $.a, regex: '{regex}'}}")).contains("regular expression"),
            "{regex}"
        );
    }
    let deep = "(".repeat(200) + &")".repeat(200);
    assert!(fault(&format!("headers: {{name: X, regex: '{deep}'}}")).contains("regular expression"));
}

#[test]
fn numbers_are_exact_decimals_of_any_size() {
    for (value, expected) in [
        ("50001", Yes),
        ("60000.5", Yes),
        ("6e4", Yes),
        ("6E+4", Yes),
        ("1e20", Yes),
        ("100000000000000000000000", Yes),
        ("1e999999999", Yes),
        ("50000.99999999999999999999999", No),
        ("50000", No),
        ("-1e30", No),
        ("1e-999999999", No),
        ("\"60000\"", Yes),
        ("\"60000.5\"", Yes),
        ("\"5\"", No),
        ("\"6e4\"", Unknown),
        ("\" 60000\"", Unknown),
        ("\"060000\"", Unknown),
        ("\"60,000\"", Unknown),
        ("\"much\"", No),
        ("true", No),
        ("null", No),
        ("{\"x\": 60000}", No),
        ("[60000]", Unknown),
        ("[5, [60000]]", Unknown),
        ("[5]", No),
        ("[]", No),
    ] {
        says("body: {jsonpath: $.amount, min: 50001}", &post(&format!("{{\"amount\": {value}}}")), expected);
    }
    let long = format!("{{\"amount\": {}}}", "9".repeat(1025));
    says("body: {jsonpath: $.amount, min: 50001}", &post(&long), Unknown);
    let ours = "body: {jsonpath: $.amount, max: 50000.50, min: -1e3}";
    for (value, expected) in
        [("50000.5", Yes), ("50000.51", No), ("-1000", Yes), ("-1000.0001", No), ("0", Yes)]
    {
        says(ours, &post(&format!("{{\"amount\": {value}}}")), expected);
    }
    assert!(fault("body: {jsonpath: $.a, max: '5'}").contains("number"));
    assert!(fault("body: {jsonpath: $.a, max: many}").contains("number"));
    assert!(fault("body: {jsonpath: $.a, min: 5, max: 4.999}").contains("no number"));
}

#[test]
fn duplicate_keys_are_unknown_and_restrict() {
    let request = post(r#"{"amount": 1, "amount": 99999999}"#);
    says("body: {jsonpath: $.amount, max: 50000}", &request, Unknown);
    says("body: {jsonpath: $.amount, min: 50001}", &request, Unknown);
    says("body: {jsonpath: $.other, present: false}", &request, Unknown);
    let request = post(r#"{"amount": 1, "Amount": 99999999}"#);
    says("body: {jsonpath: $.amount, max: 50000}", &request, Unknown);
    says("body: {jsonpath: $.amount, max: 99999999}", &request, Yes);
    says("body: {jsonpath: $.AMOUNT, max: 99999999}", &request, Unknown);
}

#[test]
fn values_are_equal_by_type_and_may_be_by_conversion() {
    for (value, body, expected) in [
        ("5", "5.0", Yes),
        ("5", "5e0", Yes),
        ("5", "6", No),
        ("5", "\"5\"", Unknown),
        ("5", "\"6\"", No),
        ("5", "\"05\"", Unknown),
        ("5", "[5]", Unknown),
        ("5", "[6]", No),
        ("5", "null", No),
        ("'5'", "5", Unknown),
        ("'5'", "\"5\"", Yes),
        ("'a'", "\"a\"", Yes),
        ("'a'", "\"A\"", No),
        ("'a'", "\"\\u0061\"", Yes),
        ("'a'", "\"a\\ud800\"", Unknown),
        ("true", "true", Yes),
        ("true", "false", No),
        ("true", "\"true\"", Unknown),
        ("true", "\"on\"", Unknown),
        ("true", "1", Unknown),
        ("true", "0", No),
        ("null", "null", Yes),
        ("null", "0", No),
        ("null", "\"\"", Unknown),
        ("[1, {a: 2}]", "[1.0, {\"a\": 2}]", Yes),
        ("[1, {a: 2}]", "[1, {\"a\": 3}]", No),
        ("[1, 2]", "[1]", No),
        ("{a: 1, b: 2}", "{\"b\": 2, \"a\": 1}", Yes),
        ("{a: 1}", "{\"a\": 1, \"b\": 2}", No),
    ] {
        let request = post(&format!("{{\"v\": {body}}}"));
        says(&format!("body: {{jsonpath: $.v, exact: {value}}}"), &request, expected);
        says(&format!("body: {{jsonpath: $.v, in: [zzz, {value}]}}"), &request, expected);
    }
    assert!(fault("body: {jsonpath: $.v, in: []}").contains("empty"));
}

#[test]
fn text_operators() {
    for (operator, body, expected) in [
        ("prefix: rm", "\"rm -rf\"", Yes),
        ("prefix: rm", "\"ls\"", No),
        ("suffix: .sh", "\"a.sh\"", Yes),
        ("suffix: .sh", "\"a.py\"", No),
        ("contains: ' -rf'", "\"rm -rf\"", Yes),
        ("contains: x", "\"abc\"", No),
        ("regex: '^a+$'", "\"aaa\"", Yes),
        ("regex: 'b'", "\"abc\"", Yes),
        ("regex: '^b'", "\"abc\"", No),
        ("contains: a, suffix: z", "\"abc\"", No),
        ("prefix: '42'", "4242", Unknown),
        ("prefix: '42'", "17", No),
        ("prefix: '42'", "4.2e1", Unknown),
        ("prefix: t", "true", Unknown),
        ("prefix: f", "true", No),
        ("contains: a", "[\"x\", \"a\"]", Unknown),
        ("contains: a", "[\"x\"]", No),
        ("contains: a", "{\"a\": \"a\"}", No),
        ("contains: a", "null", No),
        ("contains: a", "\"x\\udc00\"", Unknown),
    ] {
        says(&format!("body: {{jsonpath: $.v, {operator}}}"), &post(&format!("{{\"v\": {body}}}")), expected);
    }
    assert!(fault("body: {jsonpath: $.v, contains: ''}").contains("empty"));
    assert!(fault("body: {jsonpath: $.v, prefix: 42}").contains("must be text"));
    assert!(fault(&format!("body: {{jsonpath: $.v, prefix: {}}}", "x".repeat(1025))).contains("longer"));
}

#[test]
fn existence() {
    for (condition, body, expected) in [
        ("jsonpath: $.a", r#"{"a": 1}"#, Yes),
        ("jsonpath: $.a", r#"{"a": []}"#, Yes),
        ("jsonpath: $.a", r#"{"b": 1}"#, No),
        ("jsonpath: $.a", r#"{"a": null}"#, Unknown),
        ("jsonpath: $.a", r#"{"A": 1}"#, Unknown),
        ("jsonpath: $.a, present: false", r#"{"a": 1}"#, No),
        ("jsonpath: $.a, present: false", r#"{"b": 1}"#, Yes),
        ("jsonpath: $.a, present: false", r#"{"a": null}"#, Unknown),
        ("jsonpath: $.a, present: true", r#"{"a": false}"#, Yes),
        ("jsonpath: $", "5", Yes),
        ("jsonpath: $.a", "[1]", No),
        ("jsonpath: '$..a'", r#"[{"b": {"a": 0}}]"#, Yes),
    ] {
        says(&format!("body: {{{condition}}}"), &post(body), expected);
    }
    assert!(fault("body: {jsonpath: $.a, present: false, max: 5}").contains("never"));
}

#[test]
fn several_values_must_agree() {
    let request = post(r#"{"items": [{"price": 5}, {"price": 500}]}"#);
    says("body: {jsonpath: '$.items[*].price', min: 100}", &request, Unknown);
    says("body: {jsonpath: '$.items[*].price', max: 500}", &request, Yes);
    says("body: {jsonpath: '$.items[*].price', min: 501}", &request, No);
    says("body: {jsonpath: '$.items[*].cost', min: 501}", &request, No);
    says("body: {jsonpath: '$.items[?@.price > 100]'}", &request, Yes);
    says("body: {jsonpath: '$.items[?@.price > 500]'}", &request, No);
}

#[test]
fn bodies_that_are_not_there_or_not_read() {
    let none = send("GET", &[], "");
    says("body: {jsonpath: $.a, max: 5}", &none, No);
    says("body: {jsonpath: $.a}", &none, No);
    says("body: {jsonpath: $.a, present: false}", &none, Yes);
    for why in [Unread::Tunnelled, Unread::Unparsed, Unread::Oversize, Unread::Encoded] {
        let request = Request::new("POST", "https://x.example/", vec![], Body::Unknown(why));
        says("body: {jsonpath: $.a, max: 5}", &request, Unknown);
        says("body: {jsonpath: $.a, present: false}", &request, Unknown);
        says("method: GET\nbody: {jsonpath: $.a}", &request, No);
    }
    says("body: {jsonpath: $.a}", &send("POST", &[], "no json"), Unknown);
    assert_eq!(matcher("body: {jsonpath: $.a}").holds(None, NOON), No);
    assert_eq!(matcher("method: GET").holds(None, NOON), No);
    assert_eq!(matcher("{}").holds(None, NOON), Yes);
}

#[test]
fn forms_are_addressed_by_the_same_paths() {
    let request = form(
        "amount=2000&card[number]=4242&card[exp]=5&tags[]=a&tags[]=b&items[0][price]=7&items[1][price]=9&flag=true",
    );
    for (condition, expected) in [
        ("jsonpath: $.amount, max: 2000", Yes),
        ("jsonpath: $.amount, min: 2001", No),
        ("jsonpath: amount, exact: 2000", Yes),
        ("jsonpath: amount, exact: '2000'", Yes),
        ("jsonpath: $.card.number, prefix: '42'", Yes),
        ("jsonpath: card.number, prefix: '43'", No),
        ("jsonpath: \"$['card[number]']\", exact: '4242'", Yes),
        ("jsonpath: $.card.cvc", No),
        ("jsonpath: $.card", Yes),
        ("jsonpath: '$.items[1].price', exact: 9", Yes),
        ("jsonpath: items.0.price, exact: 7", Yes),
        ("jsonpath: '$.items[*].price', max: 9", Yes),
        ("jsonpath: '$.items[*].price', max: 8", Unknown),
        ("jsonpath: '$.items[?@.price > 8]'", Yes),
        ("jsonpath: '$.items[?@.price > 9]'", No),
        ("jsonpath: '$.tags[0]', exact: a", Yes),
        ("jsonpath: '$.tags[*]', exact: a", Unknown),
        ("jsonpath: $.tags, exact: [a, b]", Yes),
        ("jsonpath: $.tags, contains: a", Unknown),
        ("jsonpath: $.flag, exact: true", Yes),
        ("jsonpath: $.flag, exact: false", No),
        ("jsonpath: $.absent, present: false", Yes),
    ] {
        says(&format!("body: {{{condition}}}"), &request, expected);
    }
}

#[test]
fn form_fields_that_servers_name_differently_are_unknown() {
    let twice = form("amount=1&amount=99999");
    says("body: {jsonpath: $.amount, max: 50000}", &twice, Unknown);
    says("body: {jsonpath: $.amount, max: 99999}", &twice, Yes);
    says("body: {jsonpath: $.amount, min: 100000}", &twice, No);
    says("body: {jsonpath: $.amount}", &twice, Yes);
    for name in
        ["card.number", "card_number", "Card[Number]", "card%20number", "card-number", "card[number][]"]
    {
        let request = form(&format!("{name}=4242"));
        says("body: {jsonpath: $.card.number, exact: '4242'}", &request, Unknown);
        says("body: {jsonpath: $.card.number, exact: '1'}", &request, No);
        says(
            "body: {jsonpath: $.card.number, present: false}",
            &request,
            if name.ends_with("[]") { No } else { Unknown },
        );
    }
    // One element or two.
    says("body: {jsonpath: '$.items[0].b', exact: '2'}", &form("items[][a]=1&items[][b]=2"), Unknown);
}

#[test]
fn multipart_forms_are_addressed_by_the_same_paths() {
    let body = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n\
        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.jsonl\"\r\n\r\n{}\r\n--b--\r\n";
    let request = send("POST", &[("content-type", "multipart/form-data; boundary=b")], body);
    says("body: {jsonpath: $.purpose, exact: fine-tune}", &request, Yes);
    says("body: {jsonpath: $.purpose, exact: batch}", &request, No);
    says("body: {jsonpath: $.file}", &request, Yes);
    says("body: {jsonpath: $.file, contains: secret}", &request, Unknown);
    says("body: {jsonpath: $.file.name}", &request, Unknown);
    says("body: {jsonpath: $.other}", &request, No);
}

#[test]
fn json_under_the_type_of_forms_must_hold_by_both_readings() {
    let request = form(r#"{"amount": 5}"#);
    says("body: {jsonpath: $.amount, max: 5}", &request, Unknown);
    says("body: {jsonpath: $.amount, min: 6}", &request, No);
}

#[test]
fn conditions_on_the_arguments_of_a_call() {
    let node = yaml::parse(b"[{jsonpath: $.path, prefix: /etc/}, {jsonpath: '$.lines[*]', max: 5}]").unwrap();
    let mut faults = Vec::new();
    let conditions = Conditions::read(&node, "arguments", &mut faults);
    assert!(faults.is_empty() && !conditions.is_empty());
    let hold = |text: &str| conditions.hold(View::of(&json::parse(text.as_bytes()).unwrap()));
    assert_eq!(hold(r#"{"path": "/etc/passwd", "lines": [1, 5]}"#), Yes);
    assert_eq!(hold(r#"{"path": "/etc/passwd", "lines": [1, 6]}"#), Unknown);
    assert_eq!(hold(r#"{"path": "/home", "lines": [1]}"#), No);
}

#[test]
fn fields_that_count_are_the_same_in_every_spelling() {
    let node = yaml::parse(b"$.user.id").unwrap();
    let mut faults = Vec::new();
    let field = Field::read(&node, &mut faults).unwrap();
    let value = |request: &Request| field.value_in(request);
    let json = |id: &str| value(&post(&format!("{{\"user\":{{\"id\":{id}}}}}")));
    let spellings = ["12", "12.0", "1.2e1", "120E-1", "\"12\"", "\"12.00\""];
    assert!(spellings.iter().all(|id| json(id).is_some() && json(id) == json("12")));
    assert_eq!(value(&form("user[id]=12")), json("12"));
    assert_eq!(json("\"a\""), value(&form("user[id]=a")));
    let all = ["12", "-12", "120", "0", "\"a\"", "\"A\"", "true", "\"true \"", "1.2"].map(json);
    assert!(all.iter().enumerate().all(|(at, one)| one.is_some() && !all[..at].contains(one)));
    for id in ["null", "[1]", "{}", "\"\\ud800\"", "1, \"ID\": 2"] {
        assert_eq!(json(id), None, "{id}");
    }
    assert_eq!(value(&form("user[id]=1&user[id]=2")), None);
    assert_eq!(value(&send("GET", &[], "")), None);
    assert!(Field::read(&yaml::parse(b"'$..id'").unwrap(), &mut faults).is_none() && faults.len() == 1);
}

#[test]
fn windows_end_before_their_end_and_may_cross_midnight() {
    let outside = |text: &str, now| matcher(text).holds(None, now) == Yes;
    let day = "time_outside: '09:00-17:00'";
    for (at, expected) in [(9, false), (16, false), (17, true), (8, true), (0, true), (23, true)] {
        assert_eq!(outside(day, NOON - 12 * HOUR + at * HOUR), expected, "{at}");
    }
    assert!(!outside(day, NOON + 5 * HOUR - 1));
    assert!(outside(day, NOON - 3 * HOUR - 1));
    let night = "time_outside: '22:00-06:00'";
    for (at, expected) in
        [(22, false), (23, false), (0, false), (5, false), (6, true), (12, true), (21, true)]
    {
        assert_eq!(outside(night, NOON - 12 * HOUR + at * HOUR), expected, "{at}");
    }
    assert!(!outside("time_outside: '09:00-17:00'\ntimezone: '+05:30'", NOON - HOUR));
    assert!(outside("time_outside: '09:00-17:00'\ntimezone: '+05:30'", NOON));
    assert!(outside("time_outside: '09:00-17:00'\ntimezone: '-03:30'", NOON));
    assert!(outside(day, u64::MAX), "what no clock shows is outside");
}

#[test]
fn iana_zones_follow_their_clocks() {
    let berlin = matcher("time_outside: '02:00-03:00'\ntimezone: Europe/Berlin");
    let inside = |now: Millis| berlin.holds(None, now) == No;
    let minute = HOUR / 60;
    // 2026-03-29: at 01:00 UTC the clocks go from 02:00 to 03:00, and no time between is ever shown.
    let gap: Millis = 1_774_746_000_000;
    assert!((0..240).all(|n| !inside(gap - 120 * minute + n * minute)));
    // 2026-10-25: at 01:00 UTC they go from 03:00 back to 02:00, and each time between is shown twice.
    let fold: Millis = 1_792_890_000_000;
    let shown: Vec<bool> = (0..240).map(|n| inside(fold - 120 * minute + n * minute)).collect();
    assert_eq!(shown.iter().filter(|inside| **inside).count(), 120);
    assert!(shown[60..180].iter().all(|inside| *inside));
    // Summer and winter.
    let york = matcher("time_outside: '09:00-17:00'\ntimezone: America/New_York");
    assert_eq!(york.holds(None, NOON + 2 * HOUR), No, "09:00 in March, before the change");
    assert_eq!(york.holds(None, NOON + 2 * HOUR - 1), Yes);
    let july = NOON + 120 * 24 * HOUR;
    assert_eq!(york.holds(None, july + HOUR), No, "09:00 in July");
    assert_eq!(york.holds(None, july + HOUR - 1), Yes);
    // Far beyond the table of the zone its rule goes on.
    let century = NOON + 36_525 * 24 * HOUR;
    assert_eq!(york.holds(None, century + 3 * HOUR), No);
}

#[test]
fn malformed_windows_and_zones_are_load_errors() {
    for window in [
        "9:00-17:00",
        "09:00",
        "09:00-24:00",
        "09:60-10:00",
        "09:00–17:00",
        "09:00 - 17:00",
        "09-17",
        "aa:bb-cc:dd",
        "+9:00-10:00",
    ] {
        assert!(fault(&format!("time_outside: '{window}'")).contains("window"), "{window}");
    }
    assert!(fault("time_outside: '09:00-09:00'").contains("ends when it begins"));
    assert!(fault("time_outside: 900").contains("window"));
    for zone in
        ["Mars/Olympus", "europe/berlin", "CETT", "+1:00", "+15:00", "-12:01", "02:00", "Z", "utc", "+02:60"]
    {
        assert!(
            fault(&format!("time_outside: '09:00-17:00'\ntimezone: '{zone}'")).contains("zone"),
            "{zone}"
        );
    }
    assert!(fault("timezone: UTC").contains("says nothing"));
    for zone in [
        "UTC",
        "+14:00",
        "-12:00",
        "+00:00",
        "Europe/Berlin",
        "America/Argentina/Ushuaia",
        "Etc/UTC",
        "Asia/Kolkata",
    ] {
        matcher(&format!("time_outside: '09:00-17:00'\ntimezone: '{zone}'"));
    }
    let faults = compile("time_outside: '09:00-17:00'\ntimezone: Europe/Berln").unwrap_err();
    assert_eq!(faults[0].advice, "did you mean `Europe/Berlin`?");
}

#[test]
fn unknown_keys_in_conditions_are_faults() {
    assert!(fault("body: {jsonpath: $.a, maximum: 5}").contains("unknown key"));
    assert!(fault("body: {path: $.a, jsonpath: $.b}").contains("unknown key"));
    assert!(fault("headers: {name: X, min: 5}").contains("unknown key"));
    assert!(fault("body: {max: 5}").contains("jsonpath"));
    assert!(fault("body: []").contains("empty"));
    assert!(fault("headers: []").contains("empty"));
    assert!(fault("headers: {name: 'X Y'}").contains("name"));
    assert!(fault("body: {jsonpath: 'a[0]'}").contains("path"));
}

#[test]
fn a_body_is_read_once_however_many_rules_look_at_it() {
    let body = format!("{{\"items\":[{}0]}}", "{\"price\":1},".repeat(80_000));
    let request = post(&body);
    let rules: Vec<RequestMatcher> =
        (0..1000).map(|n| matcher(&format!("body: {{jsonpath: '$.items[{n}].price', min: 5}}"))).collect();
    let begin = std::time::Instant::now();
    let first = std::ptr::from_ref(request.content());
    let reading = begin.elapsed();
    for rule in &rules {
        assert_eq!(rule.holds(Some(&request), NOON), No);
    }
    assert_eq!(first, std::ptr::from_ref(request.content()));
    let rest = begin.elapsed() - reading;
    assert!(rest < reading, "reading took {reading:?}, a thousand rules {rest:?}");
}

#[test]
fn work_is_linear_in_rules_and_body() {
    let keys: Vec<String> = (0..60_000).map(|n| format!("\"key{n}\":{n}")).collect();
    let wide = post(&format!("{{{}}}", keys.join(",")));
    let long = post(&format!("{{\"text\":\"{}\",\"n\":\"{}\"}}", "ab".repeat(250_000), "9".repeat(500_000)));
    let rules: Vec<RequestMatcher> = (0..1000)
        .map(|n| matcher(&format!("body: [{{jsonpath: $.key{n}, min: 5000}}, {{jsonpath: $.none{n}}}]")))
        .collect();
    let texts: Vec<RequestMatcher> = (0..1000)
        .map(|n| matcher(&format!("body: [{{jsonpath: $.n, min: {n}}}, {{jsonpath: $.text, suffix: x{n}}}]")))
        .collect();
    let begin = std::time::Instant::now();
    for rule in &rules {
        assert_eq!(rule.holds(Some(&wide), NOON), No);
    }
    for rule in &texts {
        assert_eq!(rule.holds(Some(&long), NOON), No);
    }
    // Looking through all keys for each rule would take minutes.
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

fn values() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        "[a-c0-9.]{0,4}".prop_map(|text| format!("\"{text}\"")),
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?(e[+-]?[0-9]{1,10})?",
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::btree_map("[abAB]", inner, 0..4).prop_map(|all| {
                let members: Vec<String> =
                    all.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    /// A number is at most a bound or more than it, however it is spelled.
    #[test]
    fn a_bound_and_its_complement_cover_all_numbers(value in "(0|-?[1-9][0-9]{0,3})(\\.[0-9]{1,3})?", quoted in any::<bool>(), bound in 0..1000) {
        let value = if quoted { format!("\"{value}\"") } else { value };
        let request = post(&format!("{{\"a\":{value}}}"));
        let at_most = matcher(&format!("body: {{jsonpath: $.a, max: {bound}}}")).holds(Some(&request), NOON);
        let more = matcher(&format!("body: {{jsonpath: $.a, min: {bound}.0000001}}")).holds(Some(&request), NOON);
        prop_assert!(matches!((at_most, more), (Yes, No) | (No, Yes)));
    }

    /// Existence and absence are complements.
    #[test]
    fn present_and_absent_are_complements(value in values(), path in proptest::sample::select(vec!["$.a", "$.a.b", "$..a", "$.*", "a.0", "$[?@.a]"])) {
        let request = post(&value);
        let there = matcher(&format!("body: {{jsonpath: '{path}'}}")).holds(Some(&request), NOON);
        let absent = matcher(&format!("body: {{jsonpath: '{path}', present: false}}")).holds(Some(&request), NOON);
        prop_assert_eq!(there, match absent { Yes => No, No => Yes, Unknown => Unknown });
    }

    #[test]
    fn no_policy_text_panics(key in proptest::sample::select(vec!["method", "headers", "body", "time_outside", "timezone", "x"]), value in "[\\[\\]{}:,a-z$.'\"0-9 -]{0,30}") {
        if let Ok(node) = yaml::parse(format!("{key}: {value}").as_bytes()) {
            let mut faults = Vec::new();
            let mut fields = Fields::of(&node, "a matcher", &mut faults);
            let matcher = RequestMatcher::read(&mut fields, &mut Zones::default());
            fields.finish();
            let _ = matcher.holds(Some(&post("{}")), NOON);
        }
    }
}
