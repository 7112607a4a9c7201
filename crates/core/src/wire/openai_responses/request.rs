//! What a request to `/v1/responses` says.

use super::held;
use super::items::HOSTED_SHELL;
use crate::action::PartKind;
use crate::syntax::Node;
use crate::wire::Fault;
use crate::wire::frame::object;
use crate::wire::request::{Link, Request};

/// Reads a request to `/v1/responses` and what counts or compacts one.
pub(crate) fn read_request(body: &[u8]) -> Result<Request, Fault> {
    let node = object(body)?;
    let mut request =
        Request { stream: node.get("stream").and_then(Node::as_bool) == Some(true), ..Request::default() };
    request.deferred = node.get("background").and_then(Node::as_bool) == Some(true);
    request.model = node.text("model").unwrap_or_default().to_owned();
    request.session = crate::wire::session::id(&node);
    request.effects = crate::wire::provider_tools::openai_responses(&node);
    for tool in elements(&node, "tools") {
        declare(tool, body, &mut request);
    }
    if let Some(instructions) = node.some("instructions") {
        match instructions.as_str() {
            Some(_) => request.say_node(PartKind::SystemText, instructions),
            None => instructions.elements().iter().for_each(|entry| item(entry, body, &mut request)),
        }
    }
    request.say_members(PartKind::Label, &node, &["metadata", "user", "safety_identifier"]);
    request.say_members(PartKind::UserText, &node, &["prompt"]);
    if node.some("prompt").is_some() {
        request.unseen("stored prompt");
    }
    if node.some("previous_response_id").is_some() || node.some("conversation").is_some() {
        request.unseen("stored history");
    }
    match node.some("input") {
        Some(input) if input.as_str().is_some() => {
            request.say_node(PartKind::UserText, input);
        }
        Some(input) if input.is_array() => {
            input.elements().iter().for_each(|entry| item(entry, body, &mut request));
        }
        Some(_) => return Err(Fault::new("request.input", "`input` is neither text nor a list of items")),
        None => {}
    }
    Ok(request.link())
}

fn elements<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map(Node::elements).unwrap_or_default()
}

/// Notes a tool: what is built in is declared by its type.
fn declare(tool: &Node, body: &[u8], request: &mut Request) {
    let kind = tool.text("type").unwrap_or_default();
    let name = tool.text("name").unwrap_or_default();
    match kind {
        "namespace" => {
            for inner in elements(tool, "tools") {
                let inner = inner.text("name").unwrap_or_default();
                request.declared.tools.insert(format!("{name}.{inner}"));
                // One client takes such calls with and without their namespace.
                request.declared.tools.insert(inner.to_owned());
            }
            request.declare("", tool, body);
        }
        "local_shell" | "apply_patch" => request.declare(kind, tool, body),
        "computer" | "computer_use_preview" => request.declare("computer", tool, body),
        "shell" => {
            let environment = tool.some("environment").and_then(|e| e.text("type")).unwrap_or_default();
            let hosted = environment.starts_with("container");
            request.declared.provider_tools |= hosted;
            request.declare(if hosted { HOSTED_SHELL } else { "shell" }, tool, body);
        }
        "tool_search" => {
            let own = tool.text("execution") == Some("client");
            request.declared.provider_tools |= !own;
            request.declare(if own { "tool_search" } else { "tool_search (hosted)" }, tool, body);
        }
        "mcp" => {
            request.declared.provider_tools = true;
            request.declare(&format!("mcp:{}", tool.text("server_label").unwrap_or_default()), tool, body);
        }
        _ => {
            let run_by_provider = [
                "web_search",
                "file_search",
                "code_interpreter",
                "image_generation",
                "programmatic_tool_calling",
            ];
            request.declared.provider_tools |= run_by_provider.iter().any(|tool| kind.starts_with(tool));
            request.declare(name, tool, body);
        }
    }
}

fn kind_of(node: &Node) -> &str {
    node.text("type").unwrap_or("message")
}

/// One item of the input.
fn item(node: &Node, body: &[u8], request: &mut Request) {
    match kind_of(node) {
        "message" => {
            let kind = match node.text("role") {
                Some("assistant") => PartKind::AssistantText,
                Some("system" | "developer") => PartKind::SystemText,
                _ => PartKind::UserText,
            };
            if let Some(said) = node.some("content") {
                content(said, kind, request);
            }
        }
        // Signed or encrypted: nothing in them is the agent's to say.
        "reasoning" | "compaction" | "compaction_trigger" => {}
        "item_reference" => request.unseen("stored history"),
        "additional_tools" => elements(node, "tools").iter().for_each(|tool| declare(tool, body, request)),
        "tool_search_output" => {
            elements(node, "tools").iter().for_each(|tool| declare(tool, body, request));
        }
        "computer_call_output" => request.unseen("image"),
        "image_generation_call" => request.unseen("image"),
        "mcp_call" | "file_search_call" | "code_interpreter_call" => {
            let name = match (node.text("server_label"), node.text("name")) {
                (Some(server), Some(name)) => format!("mcp__{server}__{name}"),
                _ => kind_of(node).strip_suffix("_call").unwrap_or_default().to_owned(),
            };
            let arguments = node.text("arguments").unwrap_or("{}");
            request
                .call_with_result(&name, arguments, |request| content(node, PartKind::ToolResult, request));
        }
        "mcp_list_tools" => request.declare("", node, body),
        kind if kind.ends_with("_output") => {
            for key in ["output", "result"] {
                if let Some(given) = node.some(key) {
                    let id = node.text("call_id").or_else(|| node.text("id")).unwrap_or_default();
                    request
                        .answer(Link::new(id, ""), |request| content(given, PartKind::ToolResult, request));
                }
            }
        }
        // Calls of earlier turns, and what nobody knows.
        _ => {
            if let Some((name, arguments, free)) = held::said(node, body) {
                let id = node.text("call_id").or_else(|| node.text("id")).unwrap_or_default();
                request.repeat(id, &name, &arguments, free);
            }
            content(node, PartKind::AssistantText, request);
        }
    }
}

/// Text, a list of parts, or anything else: every string in it.
fn content(node: &Node, kind: PartKind, request: &mut Request) {
    if !node.is_array() {
        return request.say_all(kind, node);
    }
    for part in node.elements() {
        match part.text("type").unwrap_or_default() {
            "input_image" | "computer_screenshot" => request.unseen("image"),
            "input_audio" => request.unseen("audio"),
            "input_file" => request.unseen("document"),
            "input_text" | "output_text" | "text" | "refusal" => {
                for key in ["text", "refusal"] {
                    if let Some(text) = part.get(key).filter(|text| text.as_str().is_some()) {
                        request.say_node(kind, text);
                    }
                }
            }
            _ => request.say_all(kind, part),
        }
    }
}
