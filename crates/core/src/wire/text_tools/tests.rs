//! What each client's parser takes for a call, and what none does.

use proptest::prelude::*;

use super::*;
use crate::syntax::json;

/// What a scanner makes of a text in these fragments: the text with `{0}`, `{1}` … where calls stood, and the
/// readings of each.
fn scan(mode: TextTools, fragments: &[&[u8]]) -> (String, Vec<Vec<Reading>>) {
    let mut scanner = Scanner::new(mode).unwrap();
    let (mut free, mut held, mut calls) = (Vec::new(), None::<Vec<u8>>, Vec::new());
    for fragment in fragments {
        let (mut at, mut from) = (0, 0);
        while let Some(mark) = scanner.next(fragment, &mut at) {
            match mark {
                Mark::Hold(to) => {
                    assert!(held.is_none(), "held twice");
                    free.extend_from_slice(&fragment[from..to]);
                    held = Some(Vec::new());
                    from = to;
                }
                Mark::Free(to) => {
                    free.extend(held.take().expect("held"));
                    free.extend_from_slice(&fragment[from..to]);
                    from = to;
                }
                Mark::Call(to, readings) => {
                    held.take().expect("held");
                    free.extend(format!("{{{}}}", calls.len()).bytes());
                    calls.push(readings);
                    from = to;
                }
            }
        }
        match &mut held {
            Some(held) => held.extend_from_slice(&fragment[from..]),
            None => free.extend_from_slice(&fragment[from..]),
        }
    }
    match scanner.end() {
        Some(Mark::Call(_, readings)) => {
            assert!(held.is_some());
            free.extend(format!("{{{}}}", calls.len()).bytes());
            calls.push(readings);
        }
        Some(_) => free.extend(held.take().expect("held")),
        None => assert!(held.is_none(), "held for ever"),
    }
    (String::from_utf8(free).unwrap(), calls)
}

fn xml(text: &str) -> (String, Vec<Vec<Reading>>) {
    scan(TextTools::Xml, &[text.as_bytes()])
}

fn edits(text: &str) -> (String, Vec<Vec<Reading>>) {
    scan(TextTools::EditBlocks, &[text.as_bytes()])
}

/// The one reading of each call, as `name arguments`.
fn plain(calls: &[Vec<Reading>]) -> Vec<String> {
    calls
        .iter()
        .map(|readings| {
            assert_eq!(readings.len(), 1, "{readings:?}");
            said(&readings[0])
        })
        .collect()
}

fn said(reading: &Reading) -> String {
    format!("{} {}", reading.name, reading.arguments.as_ref().unwrap())
}

fn all(readings: &[Reading]) -> Vec<String> {
    readings.iter().map(said).collect()
}

// --- tags ---

#[test]
fn the_calls_of_cline_and_its_relatives() {
    for (text, free, call) in [
        (
            "I'll look.\n\n<execute_command>\n<command>npm test</command>\n<requires_approval>false</requires_approval>\n</execute_command>\nDone.",
            "I'll look.\n\n{0}\nDone.",
            r#"execute_command {"command":"npm test","requires_approval":"false"}"#,
        ),
        (
            "<write_to_file>\n<path>src/a.html</path>\n<content>\n<div>\n <p>x</p>\n</div>\n</content>\n</write_to_file>",
            "{0}",
            r#"write_to_file {"path":"src/a.html","content":"<div>\n <p>x</p>\n</div>"}"#,
        ),
        (
            "<replace_in_file><path>a</path><diff>\n------- SEARCH\na\n=======\nb\n+++++++ REPLACE\n</diff></replace_in_file>",
            "{0}",
            r#"replace_in_file {"path":"a","diff":"------- SEARCH\na\n=======\nb\n+++++++ REPLACE"}"#,
        ),
        (
            "<use_mcp_tool>\n<server_name>s</server_name>\n<tool_name>t</tool_name>\n<arguments>\n{\"city\": \"Rome\"}\n</arguments>\n</use_mcp_tool>",
            "{0}",
            r#"use_mcp_tool {"server_name":"s","tool_name":"t","arguments":{"city": "Rome"}}"#,
        ),
        (
            "<read_file>\n<args>\n <file>\n <path>a</path>\n </file>\n <file><path>b</path></file>\n</args>\n</read_file>",
            "{0}",
            r#"read_file {"args":"<file>\n <path>a</path>\n </file>\n <file><path>b</path></file>","file":"<path>a</path>","path":["a","b"]}"#,
        ),
        (
            "<function=execute_bash>\n<parameter=command>ls</parameter>\n</function>",
            "{0}",
            r#"execute_bash {"command":"ls"}"#,
        ),
        (
            "<function_calls><invoke name=\"Bash\"><parameter name=\"command\">ls</parameter></invoke></function_calls>",
            "<function_calls>{0}</function_calls>",
            r#"Bash {"command":"ls"}"#,
        ),
        (
            "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>",
            "{0}",
            r#"bash {"command": "ls"}"#,
        ),
        ("<execute_bash>\nls\n</execute_bash>", "{0}", r#"execute_bash {"command":"ls"}"#),
        // Run as they are when the text ends.
        ("<execute_command><command>ls", "{0}", r#"execute_command {"command":"ls"}"#),
        ("<execute_command><command>ls</command>\n", "{0}", r#"execute_command {"command":"ls"}"#),
        // Some accept space, some write names in another case.
        (
            "<Execute_Command ><command >ls</command></execute_command >",
            "{0}",
            r#"execute_command {"command":"ls"}"#,
        ),
        // No parser minds where a tag stands.
        (
            "```\n> <execute_command><command>ls</command></execute_command>\n```",
            "```\n> {0}\n```",
            r#"execute_command {"command":"ls"}"#,
        ),
    ] {
        let (left, calls) = xml(text);
        assert_eq!(left, free, "{text}");
        if free == "{0}" && text.starts_with("<read_file>") {
            // Two files in one parameter are read both at once and one by one.
            assert!(all(&calls[0]).iter().any(|said| said == call), "{:?}", all(&calls[0]));
        } else {
            assert_eq!(plain(&calls), [call], "{text}");
        }
    }
}

#[test]
fn tags_that_open_nothing_pass() {
    for text in [
        "Use a <div> or <span class=\"x\">, and 1 < 2.",
        "if a<b { read_file() } else { c<d }",
        "`<read_file` is how it begins",
        "</execute_command> alone",
        "<read_files><path>x</path></read_files>",
        "<execute_command/>",
        "<table><tr><td>x</td></tr></table>",
        "&lt;execute_command&gt;&lt;command&gt;ls&lt;/command&gt;&lt;/execute_command&gt;",
        "<",
        "a <re",
        "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE",
        "<invoke>x</invoke>",
    ] {
        let (free, calls) = xml(text);
        assert!(calls.is_empty() && free == text, "{text}: {calls:?}");
    }
    // Something unknown is noticed.
    let unknown = |text: &str| {
        let mut scanner = Scanner::new(TextTools::Xml).unwrap();
        let mut at = 0;
        while scanner.next(text.as_bytes(), &mut at).is_some() {}
        scanner.saw_unknown()
    };
    assert!(unknown("<launch_rocket><to>moon</to></launch_rocket>"));
    assert!(!unknown("a <div> and a <custom-element> and <b"));
}

#[test]
fn every_parser_s_reading_is_given() {
    let commands = |text: &str| -> Vec<String> {
        let (_, calls) = xml(text);
        let commands = |reading: &Reading| {
            let arguments = json::parse(reading.arguments.as_ref().ok()?.as_bytes()).ok()?;
            Some(arguments.text("command")?.to_owned())
        };
        calls.iter().flatten().filter_map(commands).collect()
    };
    for text in [
        // Within a parameter, for those that stop at the first closing tag.
        "<write_to_file><path>a</path><content></write_to_file><execute_command><command>evil</command></execute_command></content></write_to_file>",
        // Within a parameter that a client does not know.
        "<execute_command><zzz><command>evil</command></zzz></execute_command>",
        "<execute_command><zzz><command>evil</command></execute_command>",
        // Behind a tag that looks like one.
        "<read_file><br></read_file><execute_command><command>evil</command></execute_command>",
        "<read_file><read_file></read_file><execute_command><command>evil</command></execute_command>",
        // Given twice: the last counts for some, the first for others.
        "<execute_command><command>ls</command><command>evil</command></execute_command>",
        "<execute_command><command>evil</command><command>ls</command></execute_command>",
        // Closed by no more than the end.
        "<execute_command><command>evil</cmd></execute_command>"
            .replace("</cmd></execute_command>", "")
            .as_str(),
        // In the other forms.
        "<tool_call><function=bash><parameter=command>evil</parameter></function></tool_call>",
        "<tool_call><execute_command><command>evil</command></execute_command></tool_call>",
        // What Cline decodes for some models.
        "<execute_command><command>&#101;vil</command><command>evil</command></execute_command>",
    ] {
        assert!(commands(text).iter().any(|command| command == "evil"), "{text}: {:?}", xml(text));
    }
    assert!(
        commands("<execute_command><command>a &amp;&amp; b &gt; c</command></execute_command>")
            .contains(&"a && b > c".to_owned())
    );
    assert!(
        commands("<execute_command><command>a</command> b</command></execute_command>")
            .contains(&"a</command> b".to_owned())
    );
}

#[test]
fn a_stretch_ends_where_the_last_parser_does() {
    for text in [
        // To who does not know the parameter, the one inside goes on behind the call.
        "<execute_command><task_progress><command>a</task_progress></execute_command>evil</command>",
        // To who stops at the first closing tag, another call has begun.
        "<read_file><zz_z></read_file><execute_command><command>a</zz_z></read_file>evil</command></execute_command>",
        // To who does not know the call around it as well.
        "<new_rule><path><execute_command><command>a</path></new_rule>evil</command></execute_command>",
    ] {
        let (free, calls) = xml(text);
        assert!(!free.contains("evil"), "{text}: {free}");
        assert!(calls[0].iter().any(|reading| said(reading).contains("evil")), "{text}: {calls:?}");
    }
}

#[test]
fn what_cannot_be_read_is_a_fault() {
    let fault = |text: &str| {
        let (_, calls) = xml(text);
        calls.iter().flatten().any(|reading| reading.arguments.is_err())
    };
    assert!(fault("<tool_call>{'name': 'bash'}</tool_call>"));
    assert!(fault("<tool_call>{\"name\":\"a\",\"name\":\"b\"}</tool_call>"));
    assert!(fault("<use_mcp_tool><arguments>{\"a\":1,\"a\":2}</arguments></use_mcp_tool>"));
    let many = "<read_file><path>x</path></read_file>".repeat(40);
    assert!(fault(&format!("<write_to_file><content>{many}</content></write_to_file>")));
    let large = "x".repeat(MOST_TEXT + 1);
    assert!(fault(&format!("<write_to_file><content>{large}</content></write_to_file>")));
    let parameters = "<a>x</a>".repeat(200);
    assert!(fault(&format!("<write_to_file>{parameters}</write_to_file>")));
}

#[test]
fn hostile_tags_take_linear_time() {
    let started = std::time::Instant::now();
    for text in [
        "<read_file><path>".repeat(20_000),
        format!("<write_to_file>{}", "<content>".repeat(50_000)),
        format!("<write_to_file>{}", "<a></content>".repeat(50_000)),
        "<invoke ".repeat(50_000),
        format!("<invoke {}", "x".repeat(500_000)),
        "<".repeat(500_000),
        "<execute_comman".repeat(30_000),
        format!("<execute_command><command>{}", "<".repeat(500_000)),
    ] {
        xml(&text);
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn a_seam_within_a_call_spoils_it() {
    let mut scanner = Scanner::new(TextTools::Xml).unwrap();
    let mut read = |text: &str| {
        let mut at = 0;
        std::iter::from_fn(|| scanner.next(text.as_bytes(), &mut at)).collect::<Vec<_>>()
    };
    assert_eq!(read("<execute_command><command>ls"), [Mark::Hold(0)]);
    scanner.seam();
    let mut read = |text: &str| {
        let mut at = 0;
        std::iter::from_fn(|| scanner.next(text.as_bytes(), &mut at)).collect::<Vec<_>>()
    };
    let marks = read(" x</command></execute_command>");
    assert!(matches!(&marks[..], [Mark::Call(30, readings)] if readings[0].arguments.is_err()), "{marks:?}");
    // Behind it nothing is spoilt.
    let marks = read("<execute_command></execute_command>");
    assert!(matches!(&marks[1], Mark::Call(35, readings) if readings[0].arguments.is_ok()), "{marks:?}");
}

// --- edit blocks ---

#[test]
fn the_formats_of_aider() {
    for (text, free, said) in [
        (
            "I'll change it.\n\nmathweb/app.py\n```python\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n\nDone.\n",
            "I'll change it.\n\nmathweb/app.py\n{0}\n\nDone.\n",
            vec![r#"edit_block {"path":"mathweb/app.py","old_text":"a\n","new_text":"b\n"}"#],
        ),
        // Without a fence, and with a name in signs.
        (
            "**a/b.py**\n<<<<<<< SEARCH\n=======\nb\n>>>>>>> REPLACE\n",
            "**a/b.py**\n{0}\n",
            vec![r#"edit_block {"path":"a/b.py","old_text":"","new_text":"b\n"}"#],
        ),
        // diff-fenced: the name stands inside.
        (
            "```\na/b.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n",
            "{0}\n",
            vec![r#"edit_block {"path":"a/b.py","old_text":"a\n","new_text":"b\n"}"#],
        ),
        // whole
        (
            "show.sh\n```\n#!/bin/sh\nls\n```\n",
            "show.sh\n{0}\n",
            vec![r##"edit_block {"path":"show.sh","content":"#!/bin/sh\nls\n"}"##],
        ),
        (
            "show.sh\n<source>\nls\n</source>\n",
            "show.sh\n{0}\n",
            vec![r#"edit_block {"path":"show.sh","content":"ls\n"}"#],
        ),
        // udiff
        (
            "```diff\n--- a/x.py\n+++ b/x.py\n@@ ... @@\n-a\n+b\n```\n",
            "{0}\n",
            vec![r#"edit_block {"content":"--- a/x.py\n+++ b/x.py\n@@ ... @@\n-a\n+b\n"}"#],
        ),
        // patch
        (
            "*** Begin Patch\n*** Add File: x.py\n+a\n*** End Patch\n",
            "{0}\n",
            vec![r#"apply_patch {"patch":"*** Begin Patch\n*** Add File: x.py\n+a\n*** End Patch"}"#],
        ),
        // Commands, wherever the fence stands in its line.
        (
            "Run it:\n\n```bash\npip install x\npytest\n```\nThen look.\n",
            "Run it:\n\n{0}\nThen look.\n",
            vec![r#"bash {"command":"pip install x\npytest"}"#],
        ),
        ("  ```sh\n  ls\n  ```", "  {0}", vec![r#"bash {"command":"ls"}"#]),
        ("```powershell\nGet-Item x\n```", "{0}", vec![r#"powershell {"command":"Get-Item x"}"#]),
        // Left open at the end.
        ("```bash\nls", "{0}", vec![r#"bash {"command":"ls"}"#]),
        ("a\n```\nx", "a\n{0}", vec![r#"edit_block {"path":"a","content":"x"}"#]),
        // Run line by line: what a quote holds together runs apart.
        (
            "```bash\necho '\nrm x\n'\n```\n",
            "{0}\n",
            vec![
                r#"bash {"command":"echo '\nrm x\n'"}"#,
                r#"bash {"command":"echo '"}"#,
                r#"bash {"command":"rm x"}"#,
                r#"bash {"command":"'"}"#,
            ],
        ),
    ] {
        let (left, calls) = edits(text);
        assert_eq!(left, free, "{text}");
        let readings: Vec<String> = calls.iter().flat_map(|readings| all(readings)).collect();
        for wanted in &said {
            assert!(readings.iter().any(|reading| reading == wanted), "{text}: {readings:?}");
        }
        assert!(readings.len() <= said.len() + 1, "{text}: {readings:?}");
    }
}

#[test]
fn prose_and_inline_code_pass() {
    for text in [
        "Nothing here.\nA line with ``` in it, and `code`.\n",
        "a < b\n<div>\n< SEARCH\n<<<<<<< HEAD\nx\n=======\ny\n>>>>>>> main\n",
        "`foo` begins this line\n``bar`` this\n* item\n*** bold ***\n--- a\n+++ b\n",
        "<<<<<<< SEARCHING\n",
        "<<<< SEARCH\n",
        "***\n",
        "``",
        "    indented code\n  <source>\n",
        "<sources>x\n",
    ] {
        let (free, calls) = edits(text);
        assert!(calls.is_empty() && free == text, "{text}: {calls:?}");
    }
}

#[test]
fn every_format_s_reading_is_given() {
    let readings = |text: &str| -> Vec<String> { edits(text).1.iter().flat_map(|call| all(call)).collect() };
    let evil = |text: &str| {
        let found = readings(text);
        assert!(found.iter().any(|said| said == r#"bash {"command":"evil"}"#), "{text}: {found:?}");
    };
    // A shell's fence opens for aider wherever a line begins with it.
    evil("```text\n```bash\nevil\n```\n");
    evil("````\n```bash\nevil\n```\n````\n");
    evil("```bash\nevil\n```");
    evil("x\r```bash\revil\r```\r");
    evil("x\u{2028}```bash\u{2028}evil\u{2028}```");
    evil("x\u{85}```bash\u{85}evil\u{85}```");
    evil("\u{3000}```bash\nevil\n```");
    evil("x\u{c}```zsh\u{b}evil\n```");
    // A command line in a file's fence is a file for one and a command for another.
    let found = readings("a.sh\n```bash\nevil\n```\n");
    assert!(found.contains(&r#"bash {"command":"evil"}"#.to_owned()), "{found:?}");
    assert!(found.contains(&r#"edit_block {"path":"a.sh","content":"evil\n"}"#.to_owned()), "{found:?}");
    // A block without a name goes to a file named before: to which is not known once one is blocked.
    let found = readings(
        "a.py\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n\nb.py\n<<<<<<< SEARCH\n=======\ny\n>>>>>>> REPLACE\n\n\n\n\n<<<<<<< SEARCH\n=======\nz\n>>>>>>> REPLACE\n",
    );
    assert!(found.last().unwrap().contains(r#""path":["a.py","b.py"]"#), "{found:?}");
    // What stands in the part that is searched for is written by who takes the block for a file.
    let found = readings("a.py\n```\n<<<<<<< SEARCH\nevil\n=======\n>>>>>>> REPLACE\n```\n");
    assert!(found.iter().any(|said| said.contains("evil")), "{found:?}");
    // The file of a patch goes on for the next.
    let found = readings("```diff\n--- a/x\n+++ b/x\n@@ @@\n-a\n+b\n```\n\n```diff\n@@ @@\n-c\n+d\n```\n");
    assert!(found[1].contains(r#""path":"x""#), "{found:?}");
}

#[test]
fn hostile_lines_take_linear_time() {
    let started = std::time::Instant::now();
    for text in [
        "```\n".repeat(100_000),
        "<<<<<<< SEARCH\n".repeat(100_000),
        format!("```\n{}", "<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE\n".repeat(20_000)),
        "x".repeat(500_000),
        " ".repeat(500_000),
        format!("<<<<<<< SEARCH{}", " ".repeat(1_000_000)),
        "\n".repeat(500_000),
    ] {
        edits(&text);
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

// --- any text, any fragments ---

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("<".to_owned()),
        Just(">".to_owned()),
        Just("<execute_command>".to_owned()),
        Just("</execute_command>".to_owned()),
        Just("<command>".to_owned()),
        Just("</command>".to_owned()),
        Just("<write_to_file>".to_owned()),
        Just("</write_to_file>".to_owned()),
        Just("<content>".to_owned()),
        Just("<task_progress>".to_owned()),
        Just("</task_progress>".to_owned()),
        Just("<read_file>".to_owned()),
        Just("</read_file>".to_owned()),
        Just("</content>".to_owned()),
        Just("<invoke name=\"x\">".to_owned()),
        Just("<tool_call>".to_owned()),
        Just("{\"name\":\"x\"}".to_owned()),
        Just("```".to_owned()),
        Just("```bash\n".to_owned()),
        Just("\n```\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("\u{85}".to_owned()),
        Just("\n<<<<<<< SEARCH\n".to_owned()),
        Just("\n=======\n".to_owned()),
        Just("\n>>>>>>> REPLACE\n".to_owned()),
        Just("\n*** Begin Patch\n".to_owned()),
        Just("\n*** End Patch\n".to_owned()),
        Just("\n<source>\n".to_owned()),
        Just("\n</source>\n".to_owned()),
        Just("a.py".to_owned()),
        Just("+x".to_owned()),
        "[a-z é😀<`]{0,6}",
    ]
}

fn cut(text: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(text).unwrap();
    let mut fragments = vec![String::new()];
    for (at, c) in text.chars().enumerate() {
        if cuts.contains(&at) {
            fragments.push(String::new());
        }
        fragments.last_mut().unwrap().push(c);
    }
    fragments.into_iter().map(String::into_bytes).collect()
}

proptest! {
    #[test]
    fn fragments_change_nothing(
        tokens in proptest::collection::vec(token(), 0..24),
        cuts in proptest::collection::vec(0..200_usize, 0..40),
    ) {
        let text = tokens.concat();
        for mode in [TextTools::Xml, TextTools::EditBlocks] {
            let whole = scan(mode, &[text.as_bytes()]);
            let fragments = cut(text.as_bytes(), &cuts);
            let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(&scan(mode, &fragments), &whole);
            let single = cut(text.as_bytes(), &(0..text.len()).collect::<Vec<_>>());
            let single: Vec<&[u8]> = single.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(&scan(mode, &single), &whole);
        }
    }

    /// What a plain reader of each client's rules finds is among the readings, whatever stands around it.
    #[test]
    fn what_clients_read_is_read(tokens in proptest::collection::vec(token(), 0..24)) {
        let text = tokens.concat();
        let (_, calls) = xml(&text);
        for (tool, parameter, value) in cline(&text) {
            let read = calls.iter().flatten().any(|reading| {
                // What cannot be judged is blocked altogether.
                let Ok(arguments) = &reading.arguments else { return true };
                let arguments = json::parse(arguments.as_bytes()).unwrap();
                reading.name == tool && arguments.text(parameter) == Some(&value)
            });
            prop_assert!(read, "{text:?}: {tool} {parameter} {value:?} {calls:?}");
        }
        let (_, calls) = edits(&text);
        for (path, said) in aider(&text) {
            let read = calls.iter().flatten().any(|reading| {
                let arguments = json::parse(reading.arguments.as_ref().unwrap().as_bytes()).unwrap();
                match &path {
                    None => arguments.text("command") == Some(said.trim()),
                    Some(path) => arguments.get("path").is_some_and(|paths| {
                        let mut named = false;
                        paths.each_string(&mut |known, _| named |= known == path);
                        named
                    }) && arguments.text("new_text") == Some(&said),
                }
            });
            prop_assert!(read, "{text:?}: {path:?} {said:?} {calls:?}");
        }
    }
}

/// Tools, parameters and values as Cline reads them: the first closing tag of a parameter ends it, what is not
/// one of its parameters is nothing, what is open at the end counts.
fn cline(text: &str) -> Vec<(&'static str, &'static str, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    let tools = ["execute_command", "write_to_file"];
    let first = |text: &str, words: &[&'static str], close: bool| {
        let sign = if close { "</" } else { "<" };
        let at = |word: &&'static str| text.find(&format!("{sign}{word}>")).map(|at| (at, *word));
        words.iter().filter_map(at).min()
    };
    while let Some((at, tool)) = first(rest, &tools, false) {
        rest = rest.split_at(at + tool.len() + 2).1;
        loop {
            let parameter = first(rest, &["command", "content"], false);
            let end = first(rest, &[tool], true);
            match (parameter, end) {
                (Some((at, name)), end) if end.is_none_or(|(end, _)| at < end) => {
                    rest = rest.split_at(at + name.len() + 2).1;
                    let (value, after) = match first(rest, &[name], true) {
                        Some((end, _)) => (rest.split_at(end).0, rest.split_at(end + name.len() + 3).1),
                        None => (rest, ""),
                    };
                    found.push((tool, name, value.trim().to_owned()));
                    rest = after;
                }
                (_, Some((end, _))) => {
                    rest = rest.split_at(end + tool.len() + 3).1;
                    break;
                }
                _ => {
                    rest = "";
                    break;
                }
            }
        }
    }
    found
}

/// Commands and edits as aider reads them: line by line, a path only where one stands right before a block.
fn aider(text: &str) -> Vec<(Option<String>, String)> {
    let ends = ['\n', '\r', '\u{2028}', '\u{85}'];
    let text = text.replace("\r\n", "\n").replace(ends, "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let at = |index: usize| lines.get(index).map(|line| line.trim()).unwrap_or_default();
    let mut found = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        let block_follows = at(i + 1) == "<<<<<<< SEARCH" || at(i + 2) == "<<<<<<< SEARCH";
        if at(i).starts_with("```bash") && !block_follows {
            i += 1;
            let mut command = Vec::new();
            while i < lines.len() && !at(i).starts_with("```") {
                command.push(lines[i]);
                i += 1;
            }
            if !command.join("").trim().is_empty() {
                found.push((None, command.join("\n")));
            }
        } else if at(i) == "<<<<<<< SEARCH" {
            let path = i.checked_sub(1).map(at).filter(|path| *path == "a.py");
            while i < lines.len() && at(i) != "=======" {
                i += 1;
            }
            i += 1;
            let mut new = String::new();
            while i < lines.len() && !matches!(at(i), "=======" | ">>>>>>> REPLACE") {
                new += lines[i];
                new += "\n";
                i += 1;
            }
            if let (Some(path), true) = (path, i < lines.len()) {
                found.push((Some(path.to_owned()), new));
            }
        }
        i += 1;
    }
    found
}
