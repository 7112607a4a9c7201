use proptest::prelude::*;

use super::*;
use crate::action::request::Tree;
use crate::syntax::json;

fn tree(text: &str) -> Tree {
    Tree::json(json::parse(text.as_bytes()).unwrap())
}

/// What a path selects, as JSON, each that is not sure with a `?`; `…` if there may be more.
fn select(path: &str, text: &str) -> String {
    let tree = tree(text);
    let path = Path::compile(path).unwrap_or_else(|wrong| panic!("{path}: {}", wrong.message));
    let nodes = path.find(tree.view());
    let mut all: Vec<String> = nodes
        .found
        .iter()
        .map(|found| {
            let mut out = Vec::new();
            json::write(found.node, &mut out);
            String::from_utf8(out).unwrap() + if found.sure { "" } else { "?" }
        })
        .collect();
    if nodes.unknown {
        all.push("…".to_owned());
    }
    all.join(" ")
}

#[track_caller]
fn check(text: &str, cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(select(path, text), *expected, "{path} on {text}");
    }
}

#[test]
fn names() {
    check(
        r#"{"a":{"b":1,"ä":2,"b c":3,"":4,"0":5,"\"":6,"'":7,"☺":8},"_x1":[9]}"#,
        &[
            ("$.a.b", "1"),
            ("$.a.ä", "2"),
            ("$['a']['b']", "1"),
            (r#"$["a"]["b c"]"#, "3"),
            ("$.a['']", "4"),
            ("$.a['0']", "5"),
            (r#"$.a['"']"#, "6"),
            (r#"$.a["\""]"#, "6"),
            (r"$.a['\'']", "7"),
            (r"$.a['\u263A']", "8"),
            ("$.a.☺", "8"),
            (r"$.a['\u0062']", "1"),
            ("$._x1", "[9]"),
            ("$.a.c", ""),
            ("$.a.b.c", ""),
            ("$._x1.a", ""),
            ("$ .a\n['b']", "1"),
            ("$['a' , '_x1']", r#"{"b":1,"ä":2,"b c":3,"":4,"0":5,"\"":6,"'":7,"☺":8} [9]"#),
        ],
    );
    assert_eq!(select("$", "[1]"), "[1]");
}

#[test]
fn indices_and_slices() {
    check(
        "[0,1,2,3,4,5]",
        &[
            ("$[0]", "0"),
            ("$[5]", "5"),
            ("$[6]", ""),
            ("$[-1]", "5"),
            ("$[-6]", "0"),
            ("$[-7]", ""),
            ("$[0,0]", "0 0"),
            ("$[1:3]", "1 2"),
            ("$[ 1 : 3 ]", "1 2"),
            ("$[:2]", "0 1"),
            ("$[4:]", "4 5"),
            ("$[:]", "0 1 2 3 4 5"),
            ("$[::]", "0 1 2 3 4 5"),
            ("$[::2]", "0 2 4"),
            ("$[1:5:3]", "1 4"),
            ("$[::-1]", "5 4 3 2 1 0"),
            ("$[3:0:-1]", "3 2 1"),
            ("$[3::-2]", "3 1"),
            ("$[:3:-1]", "5 4"),
            ("$[-2:]", "4 5"),
            ("$[:-4]", "0 1"),
            ("$[-100:100]", "0 1 2 3 4 5"),
            ("$[100:0:-4]", "5 1"),
            ("$[2:2]", ""),
            ("$[3:1]", ""),
            ("$[0:9007199254740991:9007199254740991]", "0"),
            ("$[*]", "0 1 2 3 4 5"),
            ("$[0,2:4,-1]", "0 2 3 5"),
            ("$['0']", ""),
        ],
    );
    check(r#"{"0":1,"a":2}"#, &[("$[0]", ""), ("$[:]", ""), ("$.*", "1 2"), ("$[*]", "1 2")]);
    check("[]", &[("$[-1]", ""), ("$[::-1]", ""), ("$[0:0]", "")]);
}

#[test]
fn descendants() {
    check(
        r#"{"o":{"j":1,"k":2},"a":[5,3,[{"j":4},{"k":6}]]}"#,
        &[
            ("$..j", "1 4"),
            ("$..[0]", r#"5 {"j":4}"#),
            ("$.a..*", r#"5 3 [{"j":4},{"k":6}] {"j":4} {"k":6} 4 6"#),
            ("$..['j','k']", "1 2 4 6"),
            ("$.o..k", "2"),
            ("$..[?@.k]", r#"{"j":1,"k":2} {"k":6}"#),
            ("$.x..*", ""),
        ],
    );
}

#[test]
fn filters() {
    let text = r#"{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],
        "o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}"#;
    check(
        text,
        &[
            ("$.a[?@.b=='kilo']", r#"{"b":"kilo"}"#),
            ("$.a[?(@.b == 'kilo')]", r#"{"b":"kilo"}"#),
            ("$.a[?@>3.5]", "5 4 6"),
            ("$.a[?@.b]", r#"{"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}"#),
            (
                "$[?@.*]",
                r#"[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}] {"p":1,"q":2,"r":3,"s":5,"t":{"u":6}}"#,
            ),
            ("$.a[?@<2 || @.b=='k']", r#"1 {"b":"k"}"#),
            ("$.a[?@>=5&&@<=5]", "5"),
            ("$.a[?match(@.b, '[jk]')]", r#"{"b":"j"} {"b":"k"}"#),
            ("$.a[?search(@.b, '[jk]')]", r#"{"b":"j"} {"b":"k"} {"b":"kilo"}"#),
            ("$.o[?@>1 && @<4]", "2 3"),
            ("$.o[?@.u || @.x]", r#"{"u":6}"#),
            ("$.a[?@.b == $.x]", "3 5 1 2 4 6"),
            ("$.a[?@ == @]", r#"3 5 1 2 4 6 {"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}"#),
            ("$.a[?!@.b]", "3 5 1 2 4 6"),
            ("$.a[?!(@.b || @>2)]", "1 2"),
            ("$.a[?length(@.b)==4]", r#"{"b":"kilo"}"#),
            ("$.a[?count(@.*)==1]", r#"{"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}"#),
            ("$.a[?value(@.*)=='j']", r#"{"b":"j"}"#),
            ("$.a[?@.b != 'j' && @.b]", r#"{"b":"k"} {"b":{}} {"b":"kilo"}"#),
            ("$[?@ == 'f']", r#""f""#),
            ("$.o[?@ == 3.0e0]", "3"),
            ("$.a[?@.b == $.a[6].b]", r#"{"b":"j"}"#),
            ("$[?length(@) == 1]", r#""f""#),
        ],
    );
}

#[test]
fn comparisons() {
    let text = r#"{"obj":{"x":"y","z":[1,{"n":1.50}]},"same":{"z":[1.0,{"n":15e-1}],"x":"y"},"arr":[2,3],"n":null,"t":true}"#;
    let holds = |filter: &str| !select(&format!("$[?{filter}]"), &format!("[{text}]")).is_empty();
    for filter in [
        "@.absent1 == @.absent2",
        "@.absent1 <= @.absent2",
        "@.absent == @.absent",
        "@.obj == @.same",
        "@.obj != @.arr",
        "@.obj <= @.same",
        "@.arr == @.arr",
        "@.n == null",
        "@.t == true",
        "true <= true",
        "1 <= 2",
        "13 != '13'",
        "'a' <= 'b'",
        "'a' < 'ab'",
        "'Z' < 'a'",
        "'' < '\u{10000}'",
        "'\u{ffff}' < '\u{10000}'",
        "1e20 == 100000000000000000000",
        "9007199254740992 < 9007199254740993",
        "-0 == 0",
        "1e999999999 > 1e999999998",
        "null == null",
        "@.absent != 'g'",
        "length('äö') == 2",
        "length(@.arr) == 2",
        "length(@.obj) == 2",
        "length(@.absent) == @.absent",
        "length(@.t) == @.absent",
    ] {
        assert!(holds(filter), "{filter}");
    }
    for filter in [
        "@.absent == 'g'",
        "@.absent == null",
        "@.absent < 1",
        "@.obj == @.arr",
        "@.obj < @.same",
        "'13' < 14",
        "1 > 2",
        "true < true",
        "false < true",
        "@.n < 1",
        "@.arr < @.arr",
        "match(@.t, '.*')",
        "match('a\\nb', 'a.b')",
        "match('a\\rb', 'a.b')",
        "match('xab', 'ab')",
        "match('aab', 'aa|b')",
        "search('abc', '[.]')",
        "search('abc', '\\\\.')",
    ] {
        assert!(!holds(filter), "{filter}");
    }
}

#[test]
fn unsupported_jsonpath_is_a_load_error() {
    for path in [
        "",
        " $",
        "$ ",
        "$.",
        "$..",
        "$...a",
        "$.a.",
        "$a",
        "$[",
        "$[]",
        "$[a]",
        "$['a",
        "$['a']b",
        "$[0",
        "$[01]",
        "$[-0]",
        "$[1.0]",
        "$[9007199254740992]",
        "$[0:1:0]",
        "$[1:2:3:4]",
        "$['\\x']",
        "$['\\'\"']x",
        "$['\\\"']",
        "$['\n']",
        "$['\\ud800']",
        "$['\\ud800\\u0041']",
        "$['\\udc00']",
        "$[\"\\'\"]",
        "$[?]",
        "$[?@.a==]",
        "$[?1]",
        "$[?'a']",
        "$[?true]",
        "$[?@.a=1]",
        "$[?@.a=='x]",
        "$[?@.*==1]",
        "$[?@..a==1]",
        "$[?@[0,1]==1]",
        "$[?@[0:1]==1]",
        "$[?length(@.a)]",
        "$[?count(1)==1]",
        "$[?count(@.a,@.b)==1]",
        "$[?length(@.*)==1]",
        "$[?match(@.a)]",
        "$[?match(@.a,'a')==true]",
        "$[?match(@.a,@.b)]",
        "$[?match(@.a,'(')]",
        "$[?nope(@.a)==1]",
        "$[?!@.a==1]",
        "$[?(@.a]",
        "$[?@.a==1 && ]",
        "$[?@.a==01]",
        "$[?@.a==1.]",
        "$[?@.a==.5]",
        "$[?@.a==+1]",
        "$[?@.a==TRUE]",
        "$[?((((((((((((((((((@.a))))))))))))))))))]",
        "$..a..b",
        "$..a[?@..b]",
        "$[?@.a..b || $..c]",
        "a[0]",
        "a..b",
        "a.",
        ".a",
        "a b",
        "a.*",
        "a.01",
        "a.99999999999999999999",
        "$.a.b c",
        "@.a",
        "a.b[?@.c]",
        "$.0x\u{7}",
        "$.a.{id}",
        "a,b",
        "$.a\\b",
    ] {
        assert!(Path::compile(path).is_err(), "{path} compiles");
    }
    assert!(Path::compile("$.a[?match(@.b,'(a{1000}){1000}')]").is_err(), "the size of patterns is bounded");
}

#[test]
fn dotted_paths_mean_keys_and_indices() {
    let text = r#"{"a":{"b":[{"c":1}],"x-id":2,"0":3,"$ref":4,"@type":5},"1st":6}"#;
    check(
        text,
        &[
            ("a.b.0.c", "1"),
            ("$.a.b.0.c", "1"),
            ("a.x-id", "2"),
            ("$.a.x-id", "2"),
            // Digits are an index and no key.
            ("a.0", ""),
            ("$.a.0", ""),
            ("$.a['0']", "3"),
            ("a.@type", "5"),
            ("1st", "6"),
            ("$.1st", "6"),
            // A path of RFC 9535 is one even if it could be a dotted one.
            ("$.a.b.*", r#"{"c":1}"#),
        ],
    );
    assert!(Path::compile("a.b.0").unwrap().is_singular());
    assert!(!Path::compile("$.a[*]").unwrap().is_singular());
}

#[test]
fn keys_in_other_capitals_are_found_and_not_sure() {
    check(
        r#"{"amount":1,"Amount":2,"to\u212aen":3,"\u017fum":4}"#,
        &[("$.amount", "1 2?"), ("$.AMOUNT", "1? 2?"), ("$.token", "3?"), ("$.sum", "4?"), ("$[?@.x]", "")],
    );
    check(
        r#"[{"Price":9},{"price":1},{}]"#,
        &[("$[?@.price > 5]", r#"{"Price":9}?"#), ("$[?!@.price]", r#"{"Price":9}? {}"#)],
    );
}

#[test]
fn wide_objects_are_looked_up_like_narrow_ones() {
    for count in [3, 15, 16, 17, 1000] {
        let members: Vec<String> = (0..count).map(|n| format!("\"Key{n}\":{n}")).collect();
        let text = format!("{{{}}}", members.join(","));
        check(&text, &[("$.Key2", "2"), ("$.key1", "1?"), ("$.key", ""), ("$.Key0", "0")]);
    }
}

#[test]
fn work_is_bounded_and_what_is_beyond_is_unknown() {
    let text = format!("[{}]", vec!["[]"; 300_000].join(","));
    let tree = tree(&text);
    let begin = std::time::Instant::now();
    for path in ["$..x", "$..*", "$[?@ == $]", "$[?count($[*]) > 1]", "$[*,*,*,*].x", "$..[?length(@) == 0]"]
    {
        let path = Path::compile(path).unwrap();
        assert!(path.find(tree.view()).unknown);
    }
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    let few = Path::compile("$[299999]").unwrap();
    assert!(!few.find(tree.view()).unknown);
}

fn names_strategy() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "$", ".", "..", "a", "b", "*", "[", "]", "?", "@", "'", "\"", "0", "1", "-", ":", ",", "(", ")",
        "==", "<", "!", "&&", "||", "length(", "match(", "count(", "value(", " ", "\\", "u0061", "ä", "true",
        "1e5",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_path_panics(pieces in prop::collection::vec(names_strategy(), 0..14), text in ".{0,20}") {
        let path = format!("${}", pieces.concat());
        let tree = tree(r#"{"a":[{"b":1,"a":"x"},[0,1,[2]],"ä"],"b":{"a":{"a":null}}}"#);
        for path in [path, text] {
            if let Ok(path) = Path::compile(&path) {
                let _ = path.find(tree.view());
            }
        }
    }

    /// Slices against the RFC's own pseudo code, with whole numbers in place of nodes.
    #[test]
    fn slices_select_what_the_rfc_says(count in 0i64..8, start in proptest::option::of(-10i64..10), end in proptest::option::of(-10i64..10), step in -4i64..4) {
        prop_assume!(step != 0);
        let text = format!("[{}]", (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let show = |bound: Option<i64>| bound.map(|n| n.to_string()).unwrap_or_default();
        let path = format!("$[{}:{}:{step}]", show(start), show(end));
        let normal = |n: i64| if n >= 0 { n } else { count + n };
        let (default_start, default_end) = if step > 0 { (0, count) } else { (count - 1, -count - 1) };
        let (first, last) = (normal(start.unwrap_or(default_start)), normal(end.unwrap_or(default_end)));
        let mut expected = Vec::new();
        if step > 0 {
            let mut at = first.clamp(0, count);
            while at < last.clamp(0, count) { expected.push(at.to_string()); at += step; }
        } else {
            let mut at = first.clamp(-1, count - 1);
            while at > last.clamp(-1, count - 1) { expected.push(at.to_string()); at += step; }
        }
        prop_assert_eq!(select(&path, &text), expected.join(" "));
    }

    #[test]
    fn singular_paths_find_what_is_there(keys in prop::collection::vec("[a-c]", 1..4)) {
        let mut text = "7".to_owned();
        for key in keys.iter().rev() { text = format!("{{\"{key}\":{text},\"d\":0}}"); }
        prop_assert_eq!(select(&format!("$.{}", keys.join(".")), &text), "7");
        prop_assert_eq!(select(&keys.join("."), &text), "7");
    }
}
