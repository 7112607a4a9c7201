//! What the API demands of a request's input: its error messages, word for word, are what a session dies of.

use serde_json::Value;

use super::text;

/// Whether the request carries an output of a call.
pub(super) fn answers(body: &Value) -> bool {
    input(body)
        .iter()
        .any(|item| text(item, "type").ends_with("_output") || text(item, "type") == "mcp_approval_response")
}

fn input(body: &Value) -> &[Value] {
    body.get("input").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Checks the input of a request that goes on from the items `before`.
pub(in crate::provider) fn check(body: &Value, before: &[Value]) -> Result<(), String> {
    let input = input(body);
    for (at, item) in input.iter().enumerate() {
        if text(item, "type") != "reasoning" {
            continue;
        }
        let Some(leads_to) = text(item, "encrypted_content").strip_prefix("gAAA:") else { continue };
        if input.get(at + 1).is_none_or(|next| text(next, "call_id") != leads_to) {
            return Err(format!(
                "Item '{}' of type 'reasoning' was provided without its required following item.",
                text(item, "id")
            ));
        }
    }
    let calls: Vec<&Value> = before.iter().chain(input).filter(|item| is_call(item)).collect();
    for (at, call) in calls.iter().enumerate() {
        let id = key(call);
        if calls.iter().skip(at + 1).any(|other| key(other) == id) {
            return Err(format!("Duplicate item found with id {id}."));
        }
        if !input.iter().any(|item| is_output(item) && key(item) == id) {
            return Err(format!("No tool output found for function call {id}."));
        }
    }
    for output in input.iter().filter(|item| is_output(item)) {
        let id = key(output);
        if !calls.iter().any(|call| key(call) == id) {
            return Err(format!("No tool call found for function call output with call_id {id}."));
        }
    }
    Ok(())
}

fn is_output(item: &Value) -> bool {
    text(item, "type").ends_with("_call_output") || text(item, "type") == "mcp_approval_response"
}

/// Whether the client is to answer an item.
fn is_call(item: &Value) -> bool {
    matches!(
        text(item, "type"),
        "function_call"
            | "custom_tool_call"
            | "local_shell_call"
            | "shell_call"
            | "apply_patch_call"
            | "computer_call"
            | "mcp_approval_request"
    )
}

/// What a call and its output have in common.
fn key(item: &Value) -> &str {
    match text(item, "type") {
        "mcp_approval_request" => text(item, "id"),
        "mcp_approval_response" => text(item, "approval_request_id"),
        _ => text(item, "call_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_conversation_is_held_to_its_calls() {
        let call = json!({ "type": "function_call", "call_id": "call_a", "name": "x", "arguments": "{}" });
        let output = json!({ "type": "function_call_output", "call_id": "call_a", "output": "y" });
        let reasoning = json!({ "type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA:call_a" });
        let said = json!({ "type": "message", "role": "assistant", "content": "z" });
        let fine = |input: Value, before: &[Value]| check(&json!({ "input": input }), before);
        assert_eq!(fine(json!([reasoning, call, output]), &[]), Ok(()));
        assert_eq!(fine(json!([output]), std::slice::from_ref(&call)), Ok(()));
        assert_eq!(fine(json!("hello"), &[]), Ok(()));
        assert!(fine(json!([reasoning, said]), &[]).unwrap_err().contains("required following item"));
        assert!(fine(json!([call]), &[]).unwrap_err().contains("No tool output found"));
        assert!(
            fine(json!("hello"), std::slice::from_ref(&call)).unwrap_err().contains("No tool output found")
        );
        assert!(fine(json!([output]), &[]).unwrap_err().contains("No tool call found"));
        assert!(fine(json!([call, call, output]), &[]).unwrap_err().contains("Duplicate"));
    }
}
