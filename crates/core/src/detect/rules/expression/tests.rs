//! An expression taken apart fits what the whole one fits.

use proptest::prelude::*;
use regex::Regex;

use crate::detect::compiled;
use crate::syntax::{Node, yaml};

use super::*;

fn find(pattern: &str, text: &str) -> Option<(usize, usize)> {
    Expression::checked(pattern).unwrap().find(text, &|_| true)
}

/// Expressions as rules have them.
const PATTERNS: [&str; 10] = [
    r"(?i)fltmc(\.exe)?\s+unload|\bsense\b|(sc|net)\s.*stop|abc",
    r"(?i)\s-(exclusion|engine|cloud|realtime)\b",
    r"(?im)^\s*(set|add|clear|remove)-thing\s[^\n;]*(all|none)$",
    r"(?is)tcpclient.*(getstream|receive)|\w+\.test\b",
    r"[0-9a-f]{8}-[0-9a-f]{4}",
    r"(?i)(one|two|three|four|five).*(six|seven|eight)",
    r"x\S*y|[^a-z\s]{3}",
    r"(a|b)c?\d+",
    r"\.(exe|dll|com|scr|tmp)$",
    r"(?i)s{2}h|kk",
];

#[test]
fn places_are_those_of_a_match() {
    assert_eq!(find(PATTERNS[0], "run FLTMC.exe  unload x"), Some((4, 21)));
    assert_eq!(find(PATTERNS[0], "insensed"), None);
    assert_eq!(find(PATTERNS[0], "xABCx"), Some((1, 4)));
    assert_eq!(find(PATTERNS[8], "a.dll"), Some((1, 5)));
    assert_eq!(find(PATTERNS[8], "a.dll.b"), None);
}

#[test]
fn what_is_not_kept_is_passed_over() {
    let keep = |found: &str| !found.ends_with("xx");
    for pattern in [r"key=\w+", "(?i)key=xx|key=yy"] {
        let expression = Expression::checked(pattern).unwrap();
        assert_eq!(expression.find("key=xx key=yy", &keep), Some((7, 13)), "{pattern}");
        assert_eq!(expression.find("key=xx", &keep), None, "{pattern}");
    }
}

#[test]
fn letters_of_other_scripts_do_not_slow_or_split_words() {
    assert_eq!(find(r"\bnc\b\s+-e", "日本 nc -e sh 語"), Some((7, 12)));
    assert!(find(r"x=\w+;", "x=имя;").is_some());
    assert!(find(r"x=[^;]+;", "x=имя;").is_some());
}

proptest! {
    #[test]
    fn taken_apart_it_fits_what_it_fits_whole(
        at in 0..PATTERNS.len(),
        words in proptest::collection::vec(prop_oneof![
            "[ -~\n]{0,3}",
            prop_oneof![
                Just("fltmc "), Just("unload"), Just("Sense"), Just("NET "), Just("stop"), Just(" -engine"), Just("clear-thing "),
                Just("none\n"), Just("TcpClient"), Just("receive"), Just("a.test"), Just("0123abcd-0123"), Just("two"),
                Just("Eight"), Just("b7"), Just(".exe"), Just("SSH"), Just("kK"),
            ].prop_map(str::to_owned),
        ], 0..8),
    ) {
        let (pattern, text) = (PATTERNS[at], words.concat());
        let whole = Regex::new(pattern).unwrap();
        let found = find(pattern, &text);
        prop_assert_eq!(found.is_some(), whole.is_match(&text), "{} {:?}", pattern, text);
        if let Some((start, end)) = found {
            let there = whole.find_iter(&text).any(|found| found.start() <= start && start <= found.end());
            prop_assert!(there && start < end, "{} {:?} {}..{}", pattern, text, start, end);
        }
    }
}

/// Every expression of the shipped rules, as it is compiled: its alternatives.
fn shipped_alternatives() -> Vec<String> {
    let mut found = Vec::new();
    for source in crate::detect::rules::shipped() {
        collect(&yaml::parse(source.text.as_bytes()).unwrap(), &mut found);
    }
    found
        .iter()
        .flat_map(|pattern| Plan::of(pattern).unwrap().patterns().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn collect(node: &Node, found: &mut Vec<String>) {
    for member in node.members() {
        let named = member.value.members().iter().filter(|_| &*member.key == "expressions");
        let own = Some(&member.value).filter(|_| matches!(&*member.key, "regex" | "matches" | "unless"));
        let texts = named.map(|named| &named.value).chain(own).filter_map(Node::as_str);
        // What begins with `$` is the name of one.
        found.extend(texts.filter(|text| !text.starts_with('$')).map(str::to_owned));
        collect(&member.value, found);
    }
    node.elements().iter().for_each(|element| collect(element, found));
}

#[test]
fn no_shipped_expression_takes_long_to_compile() {
    let alternatives = shipped_alternatives();
    assert!(alternatives.len() > 2000, "{}", alternatives.len());
    for pattern in alternatives {
        assert!(compiled::shipped(&pattern).is_some(), "too large, or none: {pattern}");
    }
}
