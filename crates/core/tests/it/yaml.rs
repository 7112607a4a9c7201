//! YAML that means one thing to every reader, or is refused.

use doorward_core::syntax::{Diagnostic, Kind, Node, yaml};
use proptest::prelude::*;

fn parse(text: &str) -> Node {
    yaml::parse(text.as_bytes()).unwrap_or_else(|faults| panic!("{text:?}: {faults:?}"))
}

fn faults(text: &str) -> Vec<Diagnostic> {
    yaml::parse(text.as_bytes()).expect_err(text)
}

fn first(text: &str) -> (String, (usize, usize)) {
    let fault = faults(text).remove(0);
    let position = fault.position(text.as_bytes());
    (fault.message, position)
}

#[test]
fn plain_scalars_follow_the_core_schema() {
    let number = |text: &str| Kind::Number(text.into());
    for (text, wanted) in [
        ("null", Kind::Null),
        ("~", Kind::Null),
        ("", Kind::Null),
        ("True", Kind::Bool(true)),
        ("false", Kind::Bool(false)),
        ("012", number("012")),
        ("0o17", number("15")),
        ("0xFf", number("255")),
        ("-1.50", number("-1.50")),
        (".5e3", number(".5e3")),
        ("60000.123456789012345678901234567890", number("60000.123456789012345678901234567890")),
    ] {
        assert_eq!(parse(text).kind, wanted, "{text:?}");
    }
    for text in
        ["no", "on", "yes", "1_000", "1:30", "0b1", "2026-11-20", "1e", ".", "-", "0x", "\"1\"", "'true'"]
    {
        if text == "-" {
            continue;
        }
        assert!(parse(text).as_str().is_some(), "{text:?} is text");
    }
}

#[test]
fn spans_are_bytes_of_the_source() {
    let text = "# ä comment\nnäme: \"välue\"\nlist:\n  - one\n  - {a: 1}\n";
    let node = parse(text);
    let of = |node: &Node| String::from_utf8(node.span.of(text.as_bytes()).to_vec()).unwrap();
    assert_eq!(of(node.get("näme").unwrap()), "\"välue\"");
    let list = node.get("list").unwrap();
    assert_eq!(of(&list.elements()[0]), "one");
    assert_eq!(of(&list.elements()[1]), "{a: 1}");
    let key = &node.members()[0];
    assert_eq!(key.key_span.of(text.as_bytes()), "näme".as_bytes());
    assert!(list.span.end as usize <= text.len() && list.span.start < list.span.end);
}

#[test]
fn what_readers_disagree_about_is_refused() {
    assert_eq!(first("a: 1\nb: 2\na: 3\n"), ("`a` is given twice".into(), (3, 1)));
    assert_eq!(first("{x: 1, \"x\": 2}\n").0, "`x` is given twice");
    assert_eq!(first("a: &x 1\n").0, "an anchor");
    assert!(faults("a: &x 1\nb: *x\n").iter().any(|fault| fault.message == "an alias"));
    assert_eq!(first("a: {b: 1}\nc:\n  <<: {b: 2}\n").0, "a merge key");
    assert_eq!(first("a: !!str 1\n").0, "a tag");
    assert_eq!(first("--- 1\n--- 2\n").0, "a second YAML document");
    assert_eq!(first("a: .inf\n").0, "`.inf` is not a finite number");
    assert_eq!(first("? [a]\n: 1\n").0, "a list or mapping used as a key");
    assert_eq!(first("\u{feff}a: 1\n").0, "a byte order mark");
    assert_eq!(first("a: b\rc: d\n").0, "control character 0x0d");
    assert_eq!(first("a: \u{0}\n").0, "control character 0x00");
    assert_eq!(yaml::parse(b"a: \xff\n").unwrap_err()[0].message, "not UTF-8");
    assert!(parse("'<<': 1\n").get("<<").is_some());
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(yaml::parse(nested(64).as_bytes()).is_ok());
    assert_eq!(first(&nested(65)).0, "nested deeper than 64 levels");
    let block: String = (0..80).map(|depth| format!("{}- \n", " ".repeat(depth))).collect();
    assert!(yaml::parse(block.as_bytes()).is_err());
    assert_eq!(yaml::parse(&vec![b' '; yaml::MAX_BYTES + 1]).unwrap_err()[0].message, "larger than 4 MiB");
}

#[test]
fn all_faults_are_told_at_once_in_order() {
    let found = faults("a: &x 1\nb: !t 2\na: 3\nc: .nan\n");
    let lines: Vec<usize> =
        found.iter().map(|fault| fault.position(b"a: &x 1\nb: !t 2\na: 3\nc: .nan\n").0).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_with_spans_inside(text in "[ -~\n\t:{}\\[\\]&*!|>'\"#,é漢]{0,120}") {
        match yaml::parse(text.as_bytes()) {
            Ok(node) => prop_assert!(node.span.end as usize <= text.len()),
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(faults.iter().all(|fault| fault.span.start as usize <= text.len()));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = yaml::parse(&bytes);
    }
}
