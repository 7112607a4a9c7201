//! Which call a tool result answers, in each dialect.

use doorward_core::action::PartKind;
use doorward_core::wire::dialect::Dialect;
use serde_json::{Value, json};

/// Each result of a request: its text, and the calls it answers.
fn results(dialect: Dialect, body: &Value) -> Vec<(String, Vec<String>)> {
    let request = dialect.read_request(body.to_string().as_bytes()).unwrap();
    let parts = request.parts.iter().enumerate().filter(|(_, part)| part.kind == PartKind::ToolResult);
    let indices: Vec<usize> = parts.map(|(index, _)| index).collect();
    assert_eq!(
        request.returned.iter().map(|one| one.part).collect::<Vec<_>>(),
        indices,
        "each result, in order"
    );
    let shown = |call: &doorward_core::action::Called| format!("{} {}", call.name, call.arguments);
    let each = request.returned.iter();
    each.map(|one| {
        (request.parts[one.part].text.to_string(), one.calls.iter().map(|call| shown(call)).collect())
    })
    .collect()
}

fn one(text: &str, call: &str) -> (String, Vec<String>) {
    (text.to_owned(), vec![call.to_owned()])
}

#[test]
fn anthropic_links_by_id() {
    let body = json!({"messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "a", "name": "WebFetch", "input": {"url": "https://x.test"}},
            {"type": "tool_use", "id": "b", "name": "Read", "input": {"file_path": "f"}},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result", "title": "T"}]},
            {"type": "mcp_tool_use", "id": "m", "name": "get", "server_name": "srv", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": "M"}]},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "b", "content": "B"},
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "A1"}, {"type": "text", "text": "A2"}]},
            {"type": "tool_result", "tool_use_id": "z", "content": "Z"},
        ]},
    ]});
    let found = results(Dialect::Anthropic, &body);
    let of = |text: &str| found.iter().find(|(own, _)| own == text).cloned().unwrap();
    let fetch = r#"WebFetch {"url":"https://x.test"}"#;
    assert_eq!(of("B"), one("B", r#"Read {"file_path":"f"}"#));
    assert_eq!((of("A1"), of("A2")), (one("A1", fetch), one("A2", fetch)));
    assert_eq!(of("T"), one("T", r#"web_search {"query":"q"}"#));
    assert_eq!(of("M"), one("M", "mcp__srv__get {}"));
    assert_eq!(of("Z"), ("Z".to_owned(), vec![]));
}

#[test]
fn an_id_that_stands_for_two_calls_answers_both() {
    let body = json!({"messages": [
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "a", "name": "Read", "input": {}},
            {"type": "tool_use", "id": "a", "name": "WebFetch", "input": {}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "A"}]},
    ]});
    let both = vec!["Read {}".to_owned(), "WebFetch {}".to_owned()];
    assert_eq!(results(Dialect::Anthropic, &body), [("A".to_owned(), both)]);
}

#[test]
fn chat_completions_link_by_id_and_old_functions_by_name() {
    let body = json!({"messages": [
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "fetch", "arguments": "{\"url\":\"https://x.test\"}"}},
            {"id": "b", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ]},
        {"role": "tool", "tool_call_id": "b", "content": "B"},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "A"}]},
        {"role": "assistant", "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": "O"},
    ]});
    let found = results(Dialect::OpenAiChat, &body);
    assert_eq!(found[0], one("B", "shell ls"));
    assert_eq!(
        found.iter().find(|(text, _)| text == "A"),
        Some(&one("A", r#"fetch {"url":"https://x.test"}"#))
    );
    assert_eq!(found.last(), Some(&one("O", "old {}")));
}

#[test]
fn responses_link_by_call_id() {
    let body = json!({"input": [
        {"type": "function_call", "call_id": "a", "name": "fetch", "arguments": "{}"},
        {"type": "local_shell_call", "call_id": "l", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "function_call_output", "call_id": "a", "output": "A"},
        {"type": "local_shell_call_output", "call_id": "l", "output": "L"},
        {"type": "mcp_call", "server_label": "srv", "name": "get", "arguments": "{}", "output": "M"},
        {"type": "function_call_output", "call_id": "z", "output": "Z"},
    ]});
    let found = results(Dialect::OpenAiResponses, &body);
    let of = |text: &str| found.iter().find(|(own, _)| own == text).cloned().unwrap();
    assert_eq!(of("A"), one("A", "fetch {}"));
    assert!(of("L").1[0].contains("\"ls\""), "{found:?}");
    assert_eq!(of("M"), one("M", "mcp__srv__get {}"));
    assert_eq!(of("Z").1, Vec::<String>::new());
}

#[test]
fn gemini_links_by_id_or_by_the_last_call_of_that_name() {
    let body = json!({"contents": [
        {"role": "model", "parts": [
            {"functionCall": {"name": "fetch", "args": {"url": "1"}}},
            {"functionCall": {"id": "i", "name": "read", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "fetch", "response": {"output": "F"}}},
            {"functionResponse": {"id": "i", "name": "read", "response": {"output": "R"}}},
        ]},
        {"role": "model", "parts": [{"functionCall": {"name": "fetch", "args": {"url": "2"}}}]},
    ]});
    let found = results(Dialect::Gemini, &body);
    assert_eq!(found, [one("F", r#"fetch {"url":"1"}"#), one("R", "read {}")]);
}
