use proptest::prelude::*;

use super::*;
use crate::syntax::{Node, json};

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.as_bytes().into() }
}

fn request(content_type: &str, body: &[u8]) -> Request {
    let headers = if content_type.is_empty() { vec![] } else { vec![header("Content-Type", content_type)] };
    Request::new("POST", "https://api.example.com/v1/x", headers, Body::Whole(Bytes::copy_from_slice(body)))
}

fn show(node: &Node) -> String {
    let mut out = Vec::new();
    json::write(node, &mut out);
    String::from_utf8(out).unwrap()
}

/// The readings of a body as JSON; `None` if nobody can tell.
fn read(content_type: &str, body: &str) -> Option<Vec<String>> {
    match request(content_type, body.as_bytes()).content() {
        Content::Absent => Some(Vec::new()),
        Content::Unknown(_) => None,
        Content::Read(trees) => Some(trees.iter().map(|tree| show(tree.view().root())).collect()),
    }
}

fn one(content_type: &str, body: &str) -> String {
    let readings = read(content_type, body).unwrap_or_else(|| panic!("{body:?} is unknown"));
    assert_eq!(readings.len(), 1, "{readings:?}");
    readings[0].clone()
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn bodies_are_json_by_type_or_by_looks() {
    for content_type in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\";",
        "text/json",
        "application/vnd.api+json",
        "application/x-amz-json-1.1",
        "text/plain;charset=UTF-8",
        "",
    ] {
        assert_eq!(one(content_type, " {\"a\": 1} "), "{\"a\":1}", "{content_type}");
        assert_eq!(read(content_type, "a=1"), None, "{content_type}");
    }
    for content_type in [
        "application/xml",
        "application/octet-stream",
        "application/json; charset=utf-16",
        "application/json; charset=ibm037",
        "application/json; charset=utf-8; charset=utf-7",
        "json",
        "application/",
        "application/json, text/plain",
        "application/json; x",
        "multipart/mixed; boundary=x",
        "application/x-ndjson",
    ] {
        assert_eq!(read(content_type, "{\"a\": 1}"), None, "{content_type}");
    }
    assert_eq!(read("application/json", ""), Some(Vec::new()), "nothing is no body");
}

#[test]
fn duplicate_json_keys_are_unknown() {
    assert_eq!(read("application/json", r#"{"amount": 1, "amount": 99999}"#), None);
    assert_eq!(read("application/json", r#"{"a": {"b": 1, "\u0062": 2}}"#), None);
}

#[test]
fn two_types_are_no_type() {
    let headers = vec![header("Content-Type", "application/json"), header("content-type", FORM)];
    let request = Request::new("POST", "https://x.example/", headers, Body::Whole("{}".into()));
    assert!(matches!(request.content(), Content::Unknown(Unread::Unparsed)));
}

#[test]
fn unread_bodies_say_why() {
    for why in [Unread::Tunnelled, Unread::Oversize, Unread::Encoded, Unread::Unparsed] {
        let request = Request::new("POST", "https://x.example/", vec![], Body::Unknown(why));
        assert!(matches!(request.content(), Content::Unknown(found) if *found == why));
    }
}

#[test]
fn forms_nest_as_servers_have_it() {
    for (body, expected) in [
        ("amount=2000&currency=usd", r#"{"amount":"2000","currency":"usd"}"#),
        ("card[number]=4242&card[exp][month]=1", r#"{"card":{"number":"4242","exp":{"month":"1"}}}"#),
        ("card%5Bnumber%5D=4242", r#"{"card":{"number":"4242"}}"#),
        ("a[]=1&a[]=2", r#"{"a":["1","2"]}"#),
        ("items[0][price]=1&items[1][price]=2", r#"{"items":{"0":{"price":"1"},"1":{"price":"2"}}}"#),
        ("a=1&a=2&a[b]=3", r#"{"a":"1","a":"2","a":{"b":"3"}}"#),
        ("a=b+c%20d%2B%3D&e=%C3%A4", r#"{"a":"b c d+=","e":"ä"}"#),
        ("a&b=&&c=1=2", r#"{"a":"","b":"","c":"1=2"}"#),
        (
            "a[=1&b]=2&c[d=3&e[f]g=4&[h]=5&i[j]]=6",
            r#"{"a[":"1","b]":"2","c[d":"3","e[f]g":"4","[h]":"5","i[j]]":"6"}"#,
        ),
        ("a=ä", r#"{"a":"ä"}"#),
    ] {
        assert_eq!(one(FORM, body), expected, "{body}");
    }
}

#[test]
fn forms_that_servers_read_differently_are_unknown() {
    for body in [
        "a=1;b=2",
        "a=%zz",
        "a=%4",
        "a=%",
        "a=1\n",
        "a=\0",
        "%00a=1",
        "a%0Ab=1",
        " a=1",
        "+a=1",
        "a=%FF",
        "a=%C3",
        "_charset_=utf-7&a=1",
        "=1",
        "a=1&=",
    ] {
        assert_eq!(read(FORM, body), None, "{body:?}");
    }
    assert_eq!(read(&format!("{FORM}; charset=ibm037"), "a=1"), None);
    let many = |count: usize| (0..count).map(|n| format!("a{n}=1")).collect::<Vec<_>>().join("&");
    assert!(read(FORM, &many(1000)).is_some());
    assert_eq!(read(FORM, &many(1001)), None);
}

#[test]
fn json_sent_as_a_form_has_two_readings() {
    let body = r#"{"amount": 5, "x": "&amount=99"}"#;
    assert_eq!(
        read(FORM, body).unwrap(),
        [r#"{"{\"amount\": 5, \"x\": \"":"","amount":"99\"}"}"#, r#"{"amount":5,"x":"&amount=99"}"#]
    );
    assert_eq!(read(FORM, "{a}=1"), None, "it looks like JSON and is none");
}

fn part(head: &str, content: &str) -> String {
    format!("--xYz\r\n{head}\r\n\r\n{content}\r\n")
}

fn multipart(parts: &[String]) -> Option<String> {
    let body = parts.concat() + "--xYz--\r\n";
    read("multipart/form-data; boundary=xYz", &body).map(|readings| readings[0].clone())
}

#[test]
fn multipart_is_read_as_a_form() {
    let field =
        |name: &str, value: &str| part(&format!("Content-Disposition: form-data; name=\"{name}\""), value);
    assert_eq!(
        multipart(&[field("a", "1"), field("b[c]", "x\r\ny")]).unwrap(),
        r#"{"a":"1","b":{"c":"x\r\ny"}}"#
    );
    let file = part(
        "Content-Disposition: form-data; name=\"f\"; filename=\"a; b.txt\"\r\nContent-Type: application/octet-stream",
        "--xY z",
    );
    assert_eq!(multipart(&[file, field("a", "")]).unwrap(), r#"{"f":null,"a":""}"#);
    for head in [
        "content-disposition:form-data;name=a",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain; charset=utf-8\r\nX-Other: y",
        "Content-Transfer-Encoding: 8bit\r\nContent-Disposition: form-data; name=\"a\"",
    ] {
        assert_eq!(multipart(&[part(head, "1")]).unwrap(), r#"{"a":"1"}"#, "{head}");
    }
    // There, and not read.
    for head in [
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: application/json",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain; charset=utf-16",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain",
        "Content-Disposition: form-data; name=\"a\"; filename*=utf-8''x",
    ] {
        assert_eq!(multipart(&[part(head, "1")]).unwrap(), r#"{"a":null}"#, "{head}");
    }
}

#[test]
fn multipart_that_servers_read_differently_is_unknown() {
    let good = part("Content-Disposition: form-data; name=\"a\"", "1");
    for head in [
        "Content-Disposition: form-data",
        "Content-Disposition: attachment; name=\"a\"",
        "Content-Type: text/plain",
        "Content-Disposition: form-data; name=\"a\"; name=\"b\"",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
        "Content-Disposition: form-data;\r\n name=\"a\"",
        "Content-Disposition: form-data; name=\"a\\\"b\"",
        "Content-Disposition: form-data; name=\"a%22\"",
        "Content-Disposition: form-data; name=\"a\"; name*=utf-8''b",
        "Content-Disposition: form-data; name=\"_charset_\"",
        "Content-Disposition: form-data; name=\"\"",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition : form-data; name=\"a\"",
        "Content-Disposition: form-data; name=\"a\"\nX: y",
    ] {
        assert_eq!(multipart(&[part(head, "1")]), None, "{head}");
    }
    let whole = |body: &str| read("multipart/form-data; boundary=xYz", body);
    assert!(whole(&(good.clone() + "--xYz--")).is_some());
    for body in [
        format!("preamble\r\n{good}--xYz--\r\n"),
        format!("\r\n{good}--xYz--\r\n"),
        format!("{good}--xYz--\r\nepilogue"),
        format!("{good}--xYz--\r\n\r\n"),
        format!("{good}--xYz\r\n"),
        good.clone(),
        good.replace("\r\n", "\n") + "--xYz--\n",
        format!("{}--xYz--\r\n", good.replace("--xYz\r\n", "--xYz \r\n")),
        format!("{}--xYz--\r\n", good.replace("1\r\n", "1\n--xYz\r\n")),
        format!("{}--xYz--\r\n", good.replace("1\r\n", "1 --xYz\r\n")),
        format!("{}--xYz--\r\n", good.replace("1\r\n", "1\r\n--xYzz\r\n")),
        "--xYz\r\n--xYz--\r\n".to_owned(),
    ] {
        assert_eq!(whole(&body), None, "{body:?}");
    }
    let body = good.clone() + "--xYz--\r\n";
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"x \"",
        "multipart/form-data; boundary=xYz; boundary=abc",
        "multipart/form-data; boundary=x\u{e4}",
    ] {
        assert_eq!(read(content_type, &body), None, "{content_type}");
    }
    assert_eq!(one("multipart/form-data; boundary=\"xYz\"", &body), r#"{"a":"1"}"#);
    assert_eq!(multipart(&vec![good; 1001]), None);
}

#[test]
fn a_host_header_that_leads_elsewhere_is_an_effect_of_its_own() {
    let targets = |url: &str, hosts: &[&str]| -> Vec<String> {
        let headers = hosts.iter().map(|host| header("Host", host)).collect();
        let request = Request::new("GET", url, headers, Body::Absent);
        request.effects().into_iter().map(|effect| effect.target.as_str().to_owned()).collect()
    };
    let url = "https://good.example/a?b";
    assert_eq!(targets(url, &[]), [url]);
    assert_eq!(targets(url, &["GOOD.example"]), [url]);
    assert_eq!(targets(url, &["good.example:443"]), [url]);
    assert_eq!(targets(url, &["evil.example"]), [url, "https://evil.example/a?b"]);
    assert_eq!(targets(url, &["good.example:8443"]), [url, "https://good.example:8443/a?b"]);
    assert_eq!(targets(url, &["a@good.example"]), [url, "https://a@good.example/a?b"]);
    assert_eq!(targets(url, &["good.example", "evil.example"]), [url, "https://evil.example/a?b"]);
}

#[test]
fn requests_that_send_are_told_from_those_that_ask() {
    let capability = |method: &str, body: Body| {
        Request::new(method, "https://x.example/", vec![], body).effects()[0].capability
    };
    assert_eq!(capability("GET", Body::Absent), Capability::NetworkFetch);
    assert_eq!(capability("GET", Body::Whole("x".into())), Capability::NetworkPost);
    assert_eq!(capability("GET", Body::Unknown(Unread::Tunnelled)), Capability::NetworkPost);
    assert_eq!(capability("PROPFIND", Body::Absent), Capability::NetworkPost);
    assert_eq!(capability("get", Body::Absent), Capability::NetworkPost);
}

fn written(text: &str) -> Result<Request, Vec<String>> {
    let node = crate::syntax::yaml::parse(text.as_bytes()).unwrap();
    let mut faults = Vec::new();
    let request = Request::written(&node, &mut faults);
    request.ok_or_else(|| faults.into_iter().map(|fault| fault.message).collect())
}

#[test]
fn requests_can_be_written_down() {
    let request = written("url: https://x.example/\nheaders: {A: b, C: [d, e]}\njson: {n: 6e4}").unwrap();
    assert_eq!((request.method(), request.url()), ("GET", "https://x.example/"));
    assert_eq!(request.header("c").collect::<Vec<_>>(), [b"d", b"e"]);
    assert_eq!(request.header("content-type").collect::<Vec<_>>(), [b"application/json"]);
    assert!(
        matches!(request.content(), Content::Read(trees) if show(trees[0].view().root()) == "{\"n\":6e4}")
    );
    let unread = written("url: https://x.example/\nunread: oversize").unwrap();
    assert!(matches!(unread.content(), Content::Unknown(Unread::Oversize)));
    for faulty in [
        "method: GET",
        "url: https://x.example/\nbody: a\njson: 1",
        "url: https://x.example/\nbody: 5",
        "url: https://x.example/\nheaders: [a]",
        "url: https://x.example/\nheaders: {A: 5}",
        "url: https://x.example/\nunread: lost",
        "url: https://x.example/\nverb: GET",
    ] {
        assert_eq!(written(faulty).map_err(|faults| faults.len()), Err(1), "{faulty}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let headers = vec![header("Authorization", "Bearer s3cret")];
    let body = Body::Whole("{\"password\": \"s3cret\"}".into());
    let request = Request::new("POST", "https://x.example/a?key=s3cret", headers, body);
    let shown = format!("{request:?}");
    assert!(!shown.contains("s3cret") && shown.contains("https://x.example/a"), "{shown}");
}

proptest! {
    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..80), content_type in ".{0,30}") {
        for content_type in [FORM, "", "application/json", "multipart/form-data; boundary=a", content_type.as_str()] {
            let _ = request(content_type, &body).content();
        }
    }

    #[test]
    fn a_form_comes_out_as_it_went_in(fields in prop::collection::vec(("[a-z]{1,3}", "\\PC{0,8}"), 0..6)) {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let parts: Vec<String> = fields.iter()
            .map(|(name, value)| part(&format!("Content-Disposition: form-data; name=\"{name}\""), value)).collect();
        let form = read(FORM, &body.join("&"));
        if !fields.is_empty() {
            prop_assert_eq!(form.unwrap()[0].clone(), multipart(&parts).unwrap());
        }
    }

    #[test]
    fn no_multipart_panics(pieces in prop::collection::vec(prop::sample::select(vec!["--a", "\r\n", "--", "\r\n\r\n",
        "Content-Disposition: form-data; name=\"x\"", "Content-Type: text/plain", "v", "\n", ";", "filename=y", "\""]), 0..16)) {
        let _ = read("multipart/form-data; boundary=a", &pieces.concat());
    }
}
