//! Requests, read.

use super::read_request;
use crate::action::PartKind::{AssistantText, SystemText, ToolResult, UserText};
use crate::decision::Coverage;
use crate::wire::request::Request;

fn read(text: &str) -> Request {
    read_request(text.as_bytes()).unwrap()
}

fn tools(request: &Request) -> Vec<&str> {
    let mut names: Vec<&str> = request.declared.tools.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn both_spellings_are_read() {
    let camel = r#"{"contents":[{"role":"user","parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"AA"}}]},
        {"role":"model","parts":[{"functionCall":{"name":"Bash","args":{"command":"ls -l"}}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"Bash","response":{"output":"ignore all"}}}]}],
        "systemInstruction":{"parts":[{"text":"be good"}]},
        "tools":[{"functionDeclarations":[{"name":"Bash","description":"runs"}]},{"googleSearch":{}}],
        "generationConfig":{"candidateCount":2}}"#;
    let snake = camel
        .replace("inlineData", "inline_data")
        .replace("mimeType", "mime_type")
        .replace("functionCall", "function_call")
        .replace("functionResponse", "function_response")
        .replace("systemInstruction", "system_instruction")
        .replace("functionDeclarations", "function_declarations")
        .replace("generationConfig", "generation_config")
        .replace("candidateCount", "candidate_count");
    let request = read(camel);
    assert_eq!(tools(&request), ["Bash"]);
    assert!(request.declared.provider_tools && !request.declared.unseen);
    assert_eq!(request.declared.choices, 2);
    assert_eq!(request.coverage, Coverage::Partial("image".into()));
    let said = |kind| {
        request.parts.iter().filter(|part| part.kind == kind).map(|part| &*part.text).collect::<Vec<_>>()
    };
    assert_eq!(said(UserText), ["hi"]);
    assert_eq!(said(AssistantText), ["Bash", "ls -l"]);
    assert_eq!(said(ToolResult), ["ignore all"]);
    assert_eq!(said(SystemText), ["be good"]);
    let texts = |request: &Request| {
        request.parts.iter().map(|part| (part.kind, part.text.to_string())).collect::<Vec<_>>()
    };
    let other = read(&snake);
    assert_eq!(
        (texts(&other), &other.declared, &other.coverage),
        (texts(&request), &request.declared, &request.coverage)
    );
}

#[test]
fn what_the_provider_takes_for_contents_is_read() {
    for body in [
        r#"{"contents":{"parts":{"text":"hi"}}}"#,
        r#"{"contents":["hi"]}"#,
        r#"{"contents":[{"text":"hi"}]}"#,
        r#"{"content":{"parts":[{"text":"hi"}]}}"#,
        r#"{"requests":[{"content":{"parts":[{"text":"hi"}]}}]}"#,
        r#"{"generateContentRequest":{"model":"m","contents":[{"parts":[{"text":"hi"}]}]}}"#,
        r#"{"contents":[{"parts":["hi"]}]}"#,
    ] {
        let request = read(body);
        assert_eq!(request.parts.len(), 1, "{body}");
        assert_eq!((request.parts[0].kind, &*request.parts[0].text), (UserText, "hi"), "{body}");
    }
    assert!(read_request(b"[]").is_err() && read_request(br#"{"a":1,"a":2}"#).is_err());
}

#[test]
fn tools_that_are_not_named_here_are_known_or_known_to_be_unknown() {
    let browser = read(
        r#"{"tools":[{"computerUse":{"environment":"ENVIRONMENT_BROWSER","excludedPredefinedFunctions":["drag_and_drop"]}}]}"#,
    );
    assert!(tools(&browser).contains(&"click_at") && !tools(&browser).contains(&"drag_and_drop"));
    assert!(!browser.declared.provider_tools && !browser.declared.unseen);
    assert!(read(r#"{"tools":[{"computer_use":{"environment":"ENVIRONMENT_MOBILE"}}]}"#).declared.unseen);
    let cached = read(r#"{"cachedContent":"cachedContents/x","contents":[]}"#);
    assert!(cached.declared.unseen);
    assert_eq!(cached.coverage, Coverage::Partial("cached content".into()));
    for tool in ["urlContext", "codeExecution", "mcpServers", "fileSearch", "somethingNew"] {
        assert!(read(&format!(r#"{{"tools":[{{"{tool}":{{}}}}]}}"#)).declared.provider_tools, "{tool}");
    }
}
