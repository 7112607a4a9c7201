//! Requests. The provider reads protobuf's JSON, which takes a field in camel case and in snake case: so do we.

use crate::action::PartKind;
use crate::syntax::{Kind, Node};
use crate::wire::frame::object;
use crate::wire::request::{Link, Request};
use crate::wire::{Fault, provider_tools};

/// What the provider's computer use calls in a browser without having been told their names.
const BROWSER: &[&str] = &[
    "open_web_browser",
    "wait_5_seconds",
    "go_back",
    "go_forward",
    "search",
    "navigate",
    "click_at",
    "hover_at",
    "type_text_at",
    "key_combination",
    "scroll_document",
    "scroll_at",
    "drag_and_drop",
];

/// Reads a request to `generateContent`, and those of its kind: `countTokens`, `embedContent`, batches of them.
pub(crate) fn read_request(body: &[u8]) -> Result<Request, Fault> {
    let node = object(body)?;
    let mut request = Request::default();
    request.declared.choices = 1;
    request.session = crate::wire::session::id(&node);
    one_request(&node, body, &mut request);
    // `countTokens` may carry the whole request it counts.
    fields(&node, "generateContentRequest").for_each(|inner| one_request(inner, body, &mut request));
    for inner in fields(&node, "requests").flat_map(Node::elements) {
        one_request(inner, body, &mut request);
    }
    Ok(request.link())
}

/// Reads the requests of a batch, wherever it gives them in place.
pub(crate) fn read_batch(node: &Node, source: &[u8], request: &mut Request) {
    let inner = fields(node, "batch").flat_map(|batch| fields(batch, "inputConfig"));
    let lists = inner.flat_map(|config| fields(config, "requests")).flat_map(|list| fields(list, "requests"));
    for one in lists.flat_map(each).flat_map(|one| fields(one, "request")) {
        one_request(one, source, request);
    }
}

fn one_request(node: &Node, source: &[u8], request: &mut Request) {
    if let Some(model) = node.text("model") {
        model.clone_into(&mut request.model);
    }
    request.effects.extend(provider_tools::gemini(node, fields));
    for config in fields(node, "generationConfig") {
        let asked = fields(config, "candidateCount").filter_map(Node::as_u64).max();
        request.declared.choices = request.declared.choices.max(asked.unwrap_or(1).clamp(1, 128));
    }
    for tool in fields(node, "tools").flat_map(each) {
        declare(tool, source, request);
    }
    // Its tools were declared when it was made.
    if fields(node, "cachedContent").next().is_some() {
        request.declared.unseen = true;
        request.unseen("cached content");
    }
    for said in fields(node, "labels") {
        request.say_all(PartKind::Label, said);
    }
    for system in fields(node, "systemInstruction") {
        content(system, Some(PartKind::SystemText), request);
    }
    for said in fields(node, "contents").chain(fields(node, "content")).flat_map(each) {
        content(said, None, request);
        for call in fields(said, "parts").flat_map(each).flat_map(|part| fields(part, "functionCall")) {
            let arguments = call.get("args").map(|args| args.span.of(source)).unwrap_or(b"{}");
            let arguments = String::from_utf8_lossy(arguments);
            let (id, name) = (call.text("id").unwrap_or_default(), call.text("name").unwrap_or_default());
            request.repeat(id, name, &arguments, false);
        }
    }
}

/// The tools that one entry of `tools` declares.
fn declare(tool: &Node, source: &[u8], request: &mut Request) {
    for function in fields(tool, "functionDeclarations").flat_map(each) {
        request.declare(function.text("name").unwrap_or_default(), function, source);
    }
    for computer in fields(tool, "computerUse") {
        request.declare("", computer, source);
        let excluded: Vec<&str> =
            fields(computer, "excludedPredefinedFunctions").flat_map(each).filter_map(Node::as_str).collect();
        let named = BROWSER.iter().filter(|name| !excluded.contains(name));
        request.declared.tools.extend(named.map(|name| (*name).to_owned()));
        // Phones and desktops have actions of their own.
        request.declared.unseen |=
            computer.text("environment").is_some_and(|kind| !kind.ends_with("BROWSER"));
    }
    let known = ["functionDeclarations", "function_declarations", "computerUse", "computer_use"];
    for member in tool.members().iter().filter(|member| !known.contains(&&*member.key)) {
        if !member.value.is_null() {
            request.declared.provider_tools = true;
            request.declare("", &member.value, source);
        }
    }
}

/// A `Content`, or what the provider takes for one: a text, or a part.
fn content(node: &Node, kind: Option<PartKind>, request: &mut Request) {
    let kind = kind.unwrap_or_else(|| match node.text("role") {
        Some("model") => PartKind::AssistantText,
        Some("system") => PartKind::SystemText,
        _ => PartKind::UserText,
    });
    match &node.kind {
        Kind::String(_) => request.say_node(kind, node),
        Kind::Object(_) if fields(node, "parts").next().is_none() => part(node, kind, request),
        _ => fields(node, "parts").flat_map(each).for_each(|node| part(node, kind, request)),
    }
}

fn part(node: &Node, kind: PartKind, request: &mut Request) {
    if node.as_str().is_some() {
        return request.say_node(kind, node);
    }
    for member in node.members() {
        match &*member.key {
            "text" => {
                if member.value.as_str().is_some() {
                    request.say_node(kind, &member.value);
                }
            }
            "functionResponse" | "function_response" => {
                media(&member.value, request);
                let named = |key| member.value.text(key).unwrap_or_default();
                let response = fields(&member.value, "response");
                request.answer(Link::new(named("id"), named("name")), |request| {
                    response.for_each(|response| request.say_all(PartKind::ToolResult, response));
                });
            }
            "codeExecutionResult" | "code_execution_result" | "toolResponse" | "tool_response" => {
                let name = if member.key.starts_with('c') { "code_execution" } else { "web_search" };
                let value = &member.value;
                request.call_with_result(name, "{}", |request| request.say_all(PartKind::ToolResult, value));
            }
            "inlineData" | "inline_data" | "fileData" | "file_data" => unseen(&member.value, request),
            // Signed by the provider, or a number, or a name.
            "thought" | "thoughtSignature" | "thought_signature" | "role" => {}
            _ => request.say_all(kind, &member.value),
        }
    }
}

/// The files among a function's response.
fn media(response: &Node, request: &mut Request) {
    for part in fields(response, "parts").flat_map(each) {
        for data in fields(part, "inlineData").chain(fields(part, "fileData")) {
            unseen(data, request);
        }
    }
}

/// Notes a file that is not looked into.
fn unseen(data: &Node, request: &mut Request) {
    let kind = fields(data, "mimeType").find_map(Node::as_str).unwrap_or_default();
    let what = match kind.split('/').next().unwrap_or_default() {
        "image" => "image",
        "audio" => "audio",
        "video" => "video",
        _ => "document",
    };
    request.unseen(what);
}

/// The elements of a list, or what stands there instead of one.
fn each(node: &Node) -> &[Node] {
    if node.is_array() { node.elements() } else { std::slice::from_ref(node) }
}

/// The values of the field `camel`, in either spelling.
fn fields<'n>(node: &'n Node, camel: &'static str) -> impl Iterator<Item = &'n Node> {
    let fits = move |key: &str| {
        // `fooBar` is also written `foo_bar`.
        let mut written = key.chars();
        let mut known = camel.chars();
        key == camel
            || known.all(|c| {
                if c.is_ascii_uppercase() {
                    written.next() == Some('_') && written.next() == Some(c.to_ascii_lowercase())
                } else {
                    written.next() == Some(c)
                }
            }) && written.next().is_none()
    };
    node.members()
        .iter()
        .filter(move |member| fits(&member.key) && !member.value.is_null())
        .map(|member| &member.value)
}
