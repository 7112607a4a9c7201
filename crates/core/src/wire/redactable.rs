//! Which strings of a request to a model may be altered on their way, in whichever protocol.
//!
//! What the agent says, what its tools gave back and what it called them with may be; so may what nobody knows, because
//! that is content more often than not. Not: what the provider has signed, encrypted or thinks, what are files and
//! pictures, what names or refers to something, and what the provider needs as it stands to reach others.

use crate::syntax::{Node, Span, Str};

/// One string of a request.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Where its literal stands, with its quotes.
    pub span: Span,
    /// What it says.
    pub text: &'a Str,
    /// What may be done with it.
    pub touch: Touch,
}

/// What may be done with a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Any stretch of it may be replaced.
    Free,
    /// The same; it is the arguments of a call, JSON within JSON.
    Arguments,
    /// It stays as it is.
    Never,
}

/// Where in a request something stands.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Under this key.
    Key(&'a str),
    /// At this place of a list.
    Index(usize),
}

/// Calls `visit` with every string of `request`, keys included, and where it stands; within arguments only where those
/// begin, because their keys are content.
pub fn each_text<'a>(request: &'a Node, visit: &mut dyn FnMut(&[Step<'a>], Text<'a>)) {
    Walk { path: Vec::new(), visit }.node(request, Zone::Protocol);
}

/// Members that a path names. Any other's key may be content: of a tool's parameters, of what nobody knows.
const NAMED: &[&str] = &[
    "action",
    "args",
    "arguments",
    "content",
    "contents",
    "context",
    "custom",
    "data",
    "description",
    "function",
    "functionCall",
    "functionDeclarations",
    "functionResponse",
    "function_call",
    "functions",
    "input",
    "input_schema",
    "instructions",
    "messages",
    "operation",
    "output",
    "parameters",
    "params",
    "parts",
    "prediction",
    "properties",
    "requests",
    "response",
    "source",
    "stop_sequences",
    "system",
    "systemInstruction",
    "system_instruction",
    "text",
    "thinking",
    "title",
    "tool_calls",
    "tools",
];

/// `path` as people write it: `messages[2].content[0].text`. It names nothing that could be content.
#[must_use]
pub fn written(path: &[Step<'_>]) -> String {
    path.iter().fold(String::new(), |mut out, step| {
        match step {
            Step::Key(key) => {
                let key = NAMED.iter().find(|named| *named == key).copied().unwrap_or("…");
                let dot = if out.is_empty() { "" } else { "." };
                out.extend([dot, key]);
            }
            Step::Index(at) => out.push_str(&format!("[{at}]")),
        }
        out
    })
}

/// Whose the keys are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// The protocol's.
    Protocol,
    /// A tool's: they are content as the values are.
    Arguments,
    /// Of what stays as it is.
    Fixed,
}

/// Blocks, parts and items that stay as they are.
const FIXED_TYPES: &[&str] = &[
    "thinking",
    "redacted_thinking",
    "reasoning",
    "reasoning_text",
    "compaction",
    "image",
    "image_url",
    "input_image",
    "computer_screenshot",
    "input_audio",
    "container_upload",
    "item_reference",
];

/// Members that stay as they are.
const FIXED_KEYS: &[&str] = &[
    "authorization",
    "authorization_token",
    "cache_control",
    "cachedContent",
    "cached_content",
    "connector_id",
    "container",
    "conversation",
    "data_url",
    "encrypted_content",
    "encrypted_index",
    "encrypted_stdout",
    "encrypted_value",
    "fileData",
    "fileUri",
    "file_data",
    "file_uri",
    "file_url",
    "headers",
    "id",
    "image_url",
    "inlineData",
    "inline_data",
    "input_audio",
    "media_type",
    "metadata",
    "mimeType",
    "mime_type",
    "model",
    "name",
    "namespace",
    "object",
    "prompt_cache_key",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "role",
    "safety_identifier",
    "server_label",
    "server_name",
    "server_url",
    "service_tier",
    "signature",
    "status",
    "thoughtSignature",
    "thought_signature",
    "tool_choice",
    "toolset_name",
    "type",
    "user",
];

/// Members in which a tool's own keys stand, if they are objects.
const ARGUMENTS: &[&str] = &["input", "args", "arguments", "response", "action", "operation"];

struct Walk<'a, 'v> {
    path: Vec<Step<'a>>,
    visit: &'v mut dyn FnMut(&[Step<'a>], Text<'a>),
}

impl<'a> Walk<'a, '_> {
    fn node(&mut self, node: &'a Node, zone: Zone) {
        if let Some(text) = node.as_string() {
            let file = zone != Zone::Arguments && is_data_url(text);
            let touch = if file || zone == Zone::Fixed { Touch::Never } else { Touch::Free };
            (self.visit)(&self.path, Text { span: node.span, text, touch });
        }
        for (at, one) in node.elements().iter().enumerate() {
            self.step(Step::Index(at), one, zone);
        }
        let zone = if zone == Zone::Protocol && is_fixed(node) { Zone::Fixed } else { zone };
        for member in node.members() {
            let touch = if zone == Zone::Arguments { Touch::Free } else { Touch::Never };
            (self.visit)(&self.path, Text { span: member.key_span, text: &member.key, touch });
            let (key, value) = (&*member.key, &member.value);
            match zone {
                Zone::Protocol if key == "arguments" && value.as_str().is_some() => {
                    if let Some(text) = value.as_string() {
                        self.path.push(Step::Key(key));
                        (self.visit)(&self.path, Text { span: value.span, text, touch: Touch::Arguments });
                        self.path.pop();
                    }
                }
                Zone::Protocol if stays(key, node) => self.step(Step::Key(key), value, Zone::Fixed),
                Zone::Protocol if ARGUMENTS.contains(&key) && value.is_object() => {
                    self.step(Step::Key(key), value, Zone::Arguments);
                }
                // What a tool's arguments are called is content, and has no place in a receipt.
                Zone::Arguments => self.node(value, zone),
                _ => self.step(Step::Key(key), value, zone),
            }
        }
    }

    fn step(&mut self, step: Step<'a>, node: &'a Node, zone: Zone) {
        if zone == Zone::Arguments && matches!(step, Step::Index(_)) {
            return self.node(node, zone);
        }
        self.path.push(step);
        self.node(node, zone);
        self.path.pop();
    }
}

/// Whether a text is a file within a URL (RFC 2397).
fn is_data_url(text: &str) -> bool {
    let head = text.strip_prefix("data:").and_then(|rest| rest.get(..128.min(rest.len())));
    let kind = head.and_then(|head| head.split_once(";base64,")).map(|(kind, _)| kind);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+.-;=".contains(&byte);
    kind.is_some_and(|kind| kind.bytes().all(plain))
}

/// Whether nothing of `node` may be altered.
fn is_fixed(node: &Node) -> bool {
    let thought = node.get("thought").and_then(Node::as_bool) == Some(true);
    let kind =
        node.text("type").is_some_and(|kind| FIXED_TYPES.contains(&kind) || kind.ends_with("_reference"));
    thought || kind
}

/// Whether the member `key` of `node` stays as it is.
fn stays(key: &str, node: &Node) -> bool {
    let of_file = || {
        // The text of a document may be altered, its bytes and its address not.
        let kind = node.text("type").unwrap_or_default();
        kind == "base64" || key == "url" && kind == "url"
    };
    FIXED_KEYS.contains(&key)
        || key.ends_with("_id")
        || matches!(key, "data" | "url") && (of_file() || node.some("media_type").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::json;

    fn of(touch: Touch, body: &str) -> Vec<String> {
        let node = json::parse(body.as_bytes()).unwrap();
        let mut found = Vec::new();
        each_text(&node, &mut |path, text| {
            if text.touch == touch && text.text.starts_with('S') {
                found.push(written(path));
            }
        });
        found
    }

    #[test]
    fn content_may_be_altered_and_what_is_signed_or_names_something_may_not() {
        let body = r#"{"model":"S","system":[{"type":"text","text":"S","cache_control":{"type":"S"}}],"metadata":{"user_id":"S"},
            "tools":[{"name":"S","description":"S","input_schema":{"properties":{"S":{"description":"S"}}}}],
            "messages":[{"role":"user","content":"S"},
            {"role":"assistant","content":[{"type":"thinking","thinking":"S","signature":"S"},{"type":"redacted_thinking","data":"S"},
             {"type":"tool_use","id":"S","name":"S","input":{"id":"S","S":[{"data":"S"}]}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"S","content":[{"type":"text","text":"S"},
              {"type":"image","source":{"type":"base64","media_type":"image/png","data":"S"}}]},
              {"type":"document","source":{"type":"text","media_type":"text/plain","data":"S"},"title":"S"},
              {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"S"}},
              {"type":"document","source":{"type":"url","url":"S"}}]}]}"#;
        let mut free = of(Touch::Free, body);
        free.dedup();
        assert_eq!(
            free,
            [
                "system[0].text",
                "tools[0].description",
                "tools[0].input_schema.properties.….description",
                "messages[0].content",
                "messages[1].content[2].input",
                "messages[2].content[0].content[0].text",
                "messages[2].content[1].source.data",
                "messages[2].content[1].title",
            ]
        );
        assert_eq!(of(Touch::Never, body).len(), 14);
    }

    #[test]
    fn the_other_protocols_too() {
        let chat = r#"{"messages":[{"role":"assistant","content":null,"reasoning_content":"S","tool_calls":[{"id":"S","type":"function",
            "function":{"name":"S","arguments":"S"}}]},{"role":"tool","tool_call_id":"S","content":"S"},
            {"role":"user","content":[{"type":"image_url","image_url":{"url":"S"}},{"type":"text","text":"S"},{"type":"file","file":{"file_data":"S"}}]}]}"#;
        assert_eq!(of(Touch::Free, chat), ["messages[1].content", "messages[2].content[1].text"]);
        assert_eq!(of(Touch::Arguments, chat), ["messages[0].tool_calls[0].function.arguments"]);
        let responses = r#"{"instructions":"S","previous_response_id":"S","input":[{"type":"reasoning","id":"S","summary":[{"text":"S"}],"encrypted_content":"S"},
            {"type":"function_call","call_id":"S","name":"S","arguments":"S"},{"type":"function_call_output","call_id":"S","output":"S"},
            {"type":"custom_tool_call","input":"S"},{"type":"local_shell_call","action":{"command":["S"]}},
            {"role":"user","content":[{"type":"input_text","text":"S"},{"type":"input_image","image_url":"S"}]}]}"#;
        let free = [
            "instructions",
            "input[2].output",
            "input[3].input",
            "input[4].action",
            "input[5].content[0].text",
        ];
        assert_eq!(of(Touch::Free, responses), free);
        assert_eq!(of(Touch::Arguments, responses), ["input[1].arguments"]);
        let gemini = r#"{"systemInstruction":{"parts":[{"text":"S"}]},"contents":[{"role":"model","parts":[{"text":"S","thought":true,"thoughtSignature":"S"},
            {"functionCall":{"name":"S","args":{"S":"S"}},"thoughtSignature":"S"}]},{"role":"user","parts":[{"functionResponse":{"name":"S","response":{"S":"S"}}},
            {"inlineData":{"mimeType":"S","data":"S"}},{"text":"S data:"}]}]}"#;
        let free = [
            "systemInstruction.parts[0].text",
            "contents[0].parts[1].functionCall.args",
            "contents[0].parts[1].functionCall.args",
            "contents[1].parts[0].functionResponse.response",
            "contents[1].parts[0].functionResponse.response",
            "contents[1].parts[2].text",
        ];
        assert_eq!(of(Touch::Free, gemini), free);
        assert!(is_data_url("data:image/png;base64,iVBO") && !is_data_url("data: {\"a\":1};base64,"));
    }
}
