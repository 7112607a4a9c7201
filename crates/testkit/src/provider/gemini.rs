//! Gemini `generateContent`: the scenarios as that interface tells them.
//!
//! Beside the common ones: `thinking`, `signed_bad_first`, `snake_case`, `partial_args`, `two_fields`, `endless`,
//! `overloaded_stream`, and those of [`hostile`].

use std::time::Duration;

use super::json::{pieces, quote};
use super::reply::{Ending, Reply};
use super::script::{EVIL, LIST, Part, Script, common, delta_sizes};
use super::{errors, hostile};

/// `GET /v1beta/models`.
pub(super) const MODELS: &str = "{\"models\":[{\"name\":\"models/gemini-scripted\",\"version\":\"1\",\
    \"displayName\":\"Scripted\",\"inputTokenLimit\":1048576,\"outputTokenLimit\":65536,\
    \"supportedGenerationMethods\":[\"generateContent\",\"countTokens\"]}]}";

/// What the interface signs a call with.
const SIGNATURE: &str = "c2lnbmVkIGJ5IHRoZSBzY3JpcHQ=";

/// The answer to `POST …:generateContent` and `…:streamGenerateContent`; `sse` is `alt=sse`.
pub(super) fn answer(script: &Script, sse: bool) -> Reply {
    if let Some(status) = errors::status(&script.scenario) {
        return errors::gemini(status);
    }
    if let Some(reply) = hostile::detour(&script.scenario) {
        return reply;
    }
    let Some(parts) = parts(&script.scenario) else {
        return hostile::no_such_scenario(script);
    };
    let reply = match (script.stream, sse) {
        (false, _) => Reply::json(200, &whole(&parts)),
        (true, true) => endless(script, Reply::stream(events(script, &parts))),
        (true, false) => Reply::json(200, &array(&parts)),
    };
    match script.scenario.as_str() {
        // A parser that keeps the first member sees something harmless; the SDKs keep the last.
        "duplicate_key" => reply.map(|piece| {
            let twice = "{\"name\": \"get_weather\", \"name\": \"Bash\"";
            String::from_utf8_lossy(piece).replace("{\"name\": \"Bash\"", twice).into_bytes()
        }),
        // Its lines end so already.
        "crlf" => reply,
        other => hostile::change(other, reply),
    }
}

/// The parts of the answer, in the pieces in which they stream.
fn parts(scenario: &str) -> Option<Vec<String>> {
    let shell = |command: &str| call("Bash", &format!("{{\"command\": {}}}", quote(command)));
    Some(match scenario {
        "thinking" => vec![
            "{\"text\": \"Let me look.\", \"thought\": true}".to_owned(),
            text("Done."),
            format!("{{\"text\": \"\", \"thoughtSignature\": \"{SIGNATURE}\"}}"),
        ],
        // Parallel calls: only the first is signed.
        "signed_bad_first" => vec![signed(&shell(EVIL)), shell(LIST), shell("git status")],
        "snake_case" => vec![shell(EVIL).replace("functionCall", "function_call")],
        "partial_args" => vec![
            "{\"functionCall\": {\"name\": \"Bash\", \"willContinue\": true}}".to_owned(),
            format!(
                "{{\"functionCall\": {{\"partialArgs\": [{{\"jsonPath\": \"$.command\", \"stringValue\": {}}}]}}}}",
                quote(EVIL)
            ),
        ],
        "two_fields" => vec![shell(EVIL).replacen('{', "{\"text\": \"look\", ", 1)],
        "endless" | "overloaded_stream" => vec![text("on "), text("and on")],
        "truncated" | "reset" | "duplicate_key" | "invalid_utf8" | "gzip" | "bare_cr" | "bom" | "crlf" => {
            told("text_tool", &common("text_tool")?)
        }
        // There a call that was cut off is no call.
        "incomplete" => return None,
        other => told(other, &common(other)?),
    })
}

/// A common scenario's parts. Text comes in pieces, a call in one.
fn told(scenario: &str, parts: &[Part]) -> Vec<String> {
    let (size, _) = delta_sizes(scenario);
    let mut out = Vec::new();
    for part in parts {
        match part {
            Part::Text(said) => out.extend(pieces(said, size).iter().map(|piece| text(piece))),
            Part::Call { name, arguments, .. } => {
                let arguments = if arguments.is_empty() { "{}" } else { arguments.as_str() };
                out.push(call(name, arguments));
            }
        }
    }
    out
}

fn text(said: &str) -> String {
    format!("{{\"text\": {}}}", quote(said))
}

fn call(name: &str, arguments: &str) -> String {
    format!("{{\"functionCall\": {{\"name\": {}, \"args\": {arguments}}}}}", quote(name))
}

fn signed(part: &str) -> String {
    let inside = part.strip_suffix('}').unwrap_or(part);
    format!("{inside}, \"thoughtSignature\": \"{SIGNATURE}\"}}")
}

const USAGE: &str = "\"usageMetadata\": {\"promptTokenCount\": 82,\"candidatesTokenCount\": 17,\
    \"totalTokenCount\": 99,\"promptTokensDetails\": [{\"modality\": \"TEXT\",\"tokenCount\": 82}]}";

fn response(parts: &str, finish: bool) -> String {
    let finish = if finish { ",\"finishReason\": \"STOP\"" } else { "" };
    format!(
        "{{\"candidates\": [{{\"content\": {{\"parts\": [{parts}],\"role\": \"model\"}}{finish},\"index\": 0}}],\
         {USAGE},\"modelVersion\": \"gemini-scripted\",\"responseId\": \"scripted01\"}}"
    )
}

fn whole(parts: &[String]) -> String {
    response(&parts.join(","), true)
}

/// A chunk for each part; the last one ends the answer.
fn chunks(parts: &[String]) -> Vec<String> {
    let last = parts.len().saturating_sub(1);
    parts.iter().enumerate().map(|(at, part)| response(part, at == last)).collect()
}

fn events(script: &Script, parts: &[String]) -> Vec<Vec<u8>> {
    let mut chunks = chunks(parts);
    if script.scenario == "overloaded_stream" {
        chunks.pop();
        chunks.push(
            "{\"error\": {\"code\": 503,\"message\": \"overloaded\",\"status\": \"UNAVAILABLE\"}}".to_owned(),
        );
    }
    chunks.into_iter().map(|chunk| format!("data: {chunk}\r\n\r\n").into_bytes()).collect()
}

/// A stream without `alt=sse`.
fn array(parts: &[String]) -> String {
    format!("[{}\n]\n", chunks(parts).join("\n,\r\n"))
}

/// `endless`: the beginning of an answer, then a chunk every ten milliseconds for ever.
fn endless(script: &Script, mut reply: Reply) -> Reply {
    if script.scenario != "endless" {
        return reply;
    }
    reply.pieces.truncate(1);
    let piece = format!("data: {}\r\n\r\n", response(&text(" and on"), false)).into_bytes();
    reply.ending(Ending::Endless { piece, every: Duration::from_millis(10) })
}
