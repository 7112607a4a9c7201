//! What an Anthropic request declares beside tools with names: toolsets, by their type, and tools that are defined
//! in its messages.

use super::*;
use crate::action::PartKind;
use crate::wire::request::Request;

/// A request with these `tools`, read.
fn declared(tools: &str) -> Declared {
    asked(tools, "").declared
}

fn asked(tools: &str, messages: &str) -> Request {
    let request = format!(r#"{{"model":"m","max_tokens":9,"messages":[{messages}],"tools":{tools}}}"#);
    Dialect::Anthropic.read_request(request.as_bytes()).unwrap()
}

/// A stream with one call, whose block begins with these members.
fn call(members: &str) -> String {
    start()
        + &ev(
            "content_block_start",
            &format!(r#","index":0,"content_block":{{"type":"tool_use","id":"t","input":{{}},{members}}}"#),
        )
        + &ev(
            "content_block_delta",
            r#","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"text\":\"x\"}"}"#,
        )
        + &ev("content_block_stop", r#","index":0"#)
        + &ev("message_delta", r#","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1}"#)
        + &ev("message_stop", "")
}

fn ran(tools: &str, members: &str) -> (Ran, Option<Arc<str>>) {
    let context = Context { declared: declared(tools), ..context(false) };
    let mut machine = Machine::new(Dialect::Anthropic, Framing::Events, context, Limits::default());
    let (mut ran, mut unknown) = (Ran::default(), None);
    for input in [Input::Bytes(call(members).as_bytes()), Input::End] {
        let mut out = Vec::new();
        machine.step(input, &mut out);
        while !out.is_empty() {
            let mut more = Vec::new();
            for output in out {
                if let Output::Judge(_, action, _) = &output {
                    unknown.clone_from(&action.unknown_toolset);
                }
                take(output, &mut machine, &mut ran, &mut more);
            }
            out = more;
        }
    }
    (ran, unknown)
}

/// The name a call is judged by, if it is declared.
fn passes(tools: &str, members: &str) -> Option<String> {
    let (ran, unknown) = ran(tools, members);
    assert_eq!(unknown, None);
    let [(name, _, blocked)] = ran.judged.as_slice() else { panic!("{ran:?}") };
    if !*blocked {
        assert_eq!(ran.text(), call(members), "byte for byte");
    }
    (!blocked).then(|| name.clone())
}

const BOTH: &str = r#"[{"type":"computer_toolset_20260801"},
    {"type":"browser_toolset_20260801","configs":{"javascript_exec":{"enabled":true},"zoom":{"enabled":false}}},
    {"name":"type","input_schema":{"type":"object"}}]"#;

#[test]
fn members_of_a_declared_toolset_are_declared() {
    for (members, name) in [
        (r#""name":"left_click","toolset_name":"computer""#, "computer.left_click"),
        (r#""name":"navigate","toolset_name":"browser""#, "browser.navigate"),
        (
            r#""name":"javascript_exec","toolset_name":"browser","caller":{"type":"direct"}"#,
            "browser.javascript_exec",
        ),
        (r#""toolset_name":"computer","name":"type""#, "computer.type"),
        // The tool of that name, not the member.
        (r#""name":"type""#, "type"),
        (r#""name":"type","toolset_name":null"#, "type"),
    ] {
        assert_eq!(passes(BOTH, members).as_deref(), Some(name), "{members}");
    }
    let only = r#"[{"type":"browser_toolset_20260801"}]"#;
    let (ran, _) = ran(only, r#""name":"find","toolset_name":"browser""#);
    assert_eq!(ran.outcome.unwrap().coverage, Coverage::Full, "the request has tools");
}

#[test]
fn nothing_else_is() {
    for members in [
        // A client that goes by the name alone would run another tool than one that goes by both.
        r#""name":"left_click""#,
        r#""name":"Bash","toolset_name":"computer""#,
        r#""name":"navigate","toolset_name":"computer""#,
        r#""name":"navigate","toolset_name":"Browser""#,
        r#""name":"navigate","toolset_name":"""#,
        r#""name":"browser.navigate""#,
        r#""name":"type","toolset_name":"other""#,
        // Off, by default or by the request.
        r#""name":"file_upload","toolset_name":"browser""#,
        r#""name":"zoom","toolset_name":"browser""#,
        // No name at all.
        r#""name":"type","toolset_name":7"#,
        r#""name":"type","toolset_name":["computer"]"#,
    ] {
        assert_eq!(passes(BOTH, members), None, "{members}");
    }
    assert_eq!(passes("[]", r#""name":"navigate","toolset_name":"browser""#), None);
}

#[test]
fn a_tool_of_a_name_is_none_of_a_toolset() {
    let named = r#"[{"name":"navigate","input_schema":{"type":"object"}}]"#;
    assert_eq!(passes(named, r#""name":"navigate""#).as_deref(), Some("navigate"));
    assert_eq!(passes(named, r#""name":"navigate","toolset_name":"browser""#), None);
}

#[test]
fn an_unknown_toolset_is_named_where_it_may_be_the_reason() {
    let tools = r#"[{"type":"mail_toolset_20270101"},{"type":"browser_toolset_20260801"},
        {"type":"mcp_toolset","mcp_server_name":"x"},{"name":"Bash","input_schema":{}}]"#;
    let (run, unknown) = ran(tools, r#""name":"send","toolset_name":"mail""#);
    assert_eq!(unknown.as_deref(), Some("mail_toolset_20270101"));
    assert!(run.judged[0].2 && run.text().contains("BLOCKED mail.send"));
    let (_, unknown) = ran(tools, r#""name":"send""#);
    assert_eq!(unknown.as_deref(), Some("mail_toolset_20270101"));
    for declared in [r#""name":"Bash""#, r#""name":"find","toolset_name":"browser""#] {
        assert_eq!(ran(tools, declared).1, None, "{declared}");
    }
}

#[test]
fn tools_defined_in_a_system_message_are_declared() {
    let message = |role: &str, tool: &str| {
        format!(
            r#"{{"role":"{role}","content":[{{"type":"text","text":"."}},{{"type":"tool_addition","tool":{tool}}}]}}"#
        )
    };
    let bash =
        r#"{"type":"tool_definition","definition":{"name":"Bash","input_schema":{"description":"Runs it"}}}"#;
    let request = asked("[]", &message("system", bash));
    assert!(request.declared.admits(None, "Bash"));
    let defined = request.parts.iter().filter(|part| part.kind == PartKind::ToolDefinition);
    assert!(
        defined.into_iter().any(|part| part.text.contains("Runs it")),
        "its definition is read like any other"
    );
    let browser = r#"{"type":"tool_definition","definition":{"type":"browser_toolset_20260801"}}"#;
    assert!(asked("[]", &message("system", browser)).declared.admits(Some("browser"), "navigate"));
    let server =
        r#"{"type":"tool_definition","definition":{"type":"web_search_20260318","name":"web_search"}}"#;
    assert!(asked("[]", &message("system", server)).declared.provider_tools);

    // What a provider said comes back in an assistant's message, what a tool gave in a user's.
    let compaction = r#"{"role":"assistant","content":[{"type":"compaction","tool_changes":[{"type":"tool_addition","tool":TOOL}]}]}"#;
    let result = r#"{"role":"user","content":[{"type":"tool_result","content":[{"type":"tool_addition","tool":TOOL}]}]}"#;
    for messages in [
        message("assistant", bash),
        message("user", bash),
        message("system", r#"{"type":"tool_reference","name":"Bash"}"#),
        compaction.replace("TOOL", bash),
        result.replace("TOOL", bash),
    ] {
        assert!(!asked("[]", &messages).declared.admits(None, "Bash"), "{messages}");
    }
}
