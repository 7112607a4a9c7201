//! OpenAI Chat Completions: the scenarios as that API tells them.
//!
//! Beside the common ones: `legacy_function_call`, `two_choices`, `two_choices_bad`, `no_done`,
//! `missing_index`, `repeated_id`, `stop_beside_calls`, `many_in_one`, `refusal`, `custom_tool`,
//! `surrogates`, `hidden_in_message`, `overloaded_stream`, `endless`, `endless_tool`, and those of
//! [`hostile`].

use std::time::Duration;

use super::json::{pieces, quote, quote_ascii};
use super::reply::{Ending, Reply};
use super::script::{EVIL, LIST, Part, Script, WORLD, common, delta_sizes};
use super::{errors, hostile};

/// `GET /v1/models`.
pub(super) const MODELS: &str = "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-scripted-1\",\"object\":\"model\",\
    \"created\":1763600000,\"owned_by\":\"scripted\"}]}";

/// The answer of an endpoint that the door does not read yet, with a call in it.
pub(super) fn experimental() -> String {
    let arguments = quote(&bash_arguments(EVIL));
    format!(
        "{{\"id\":\"resp_scripted\",\"object\":\"response\",\"status\":\"completed\",\"output\":[\
         {{\"type\":\"function_call\",\"call_id\":\"call_a\",\"name\":\"Bash\",\"arguments\":{arguments}}}]}}"
    )
}

/// The answer to `POST /v1/chat/completions`.
pub(super) fn answer(script: &Script) -> Reply {
    if let Some(status) = errors::status(&script.scenario) {
        return errors::openai(status);
    }
    if let Some(reply) = hostile::detour(&script.scenario) {
        return reply;
    }
    let Some(choices) = choices(&script.scenario) else {
        return hostile::no_such_scenario(script);
    };
    let reply = match script.stream {
        true => endless(script, Reply::stream(events(script, &choices))),
        false => Reply::json(200, &whole(script, &choices)),
    };
    hostile::change(&script.scenario, reply.with("x-request-id", "req_scripted200"))
}

/// One answer of `n`, before it is written down.
struct Choice {
    /// Deltas after the first one (which carries the role), each the inside of `"delta":{…}`.
    deltas: Vec<String>,
    /// The members of `"message":{…}` after the role.
    message: String,
    finish: &'static str,
}

/// The answer's choices; `None` for a scenario that does not exist.
fn choices(scenario: &str) -> Option<Vec<Choice>> {
    let parts = match scenario {
        "two_choices" => return Some(vec![choice("text", "text")?, choice("tool", "tool")?]),
        "two_choices_bad" => return Some(vec![choice("tool", "tool")?, choice("one_evil", "one_evil")?]),
        "legacy_function_call" => return Some(vec![legacy(LIST)]),
        "legacy_evil" => return Some(vec![legacy(EVIL)]),
        "refusal" => return Some(vec![refusal()]),
        "custom_tool" => return Some(vec![custom_tool()]),
        "surrogates" => return Some(vec![surrogates()]),
        "many_in_one" => return Some(vec![many_in_one()]),
        "hidden_in_message" => "text",
        "endless" => "text",
        "truncated" | "reset" | "duplicate_key" | "invalid_utf8" | "gzip" | "bare_cr" | "bom" | "crlf"
        | "comments" | "no_done" | "repeated_id" | "overloaded_stream" | "stop_beside_calls" => "text_tool",
        "missing_index" | "endless_tool" => "tool",
        other => other,
    };
    Some(vec![choice(scenario, parts)?])
}

/// A choice told by the common scenario `parts`, with the quirks of `scenario`.
fn choice(scenario: &str, parts: &str) -> Option<Choice> {
    let parts = common(parts)?;
    let (text_size, argument_size) = delta_sizes(scenario);
    let mut text = String::new();
    let mut calls: Vec<(&str, &str, &str)> = Vec::new();
    for part in &parts {
        match part {
            Part::Text(more) => text.push_str(more),
            Part::Call { id, name, arguments } => calls.push((id, name, arguments)),
        }
    }
    let mut deltas: Vec<String> =
        pieces(&text, text_size).iter().map(|piece| format!("\"content\":{}", quote(piece))).collect();
    let mut each: Vec<Vec<String>> =
        calls.iter().enumerate().map(|(at, call)| call_deltas(scenario, at, *call, argument_size)).collect();
    if scenario.starts_with("interleaved") {
        let longest = each.iter().map(Vec::len).max().unwrap_or_default();
        for round in 0..longest {
            deltas.extend(each.iter().filter_map(|call| call.get(round).cloned()));
        }
    } else {
        deltas.extend(each.drain(..).flatten());
    }
    let finish = match scenario {
        "incomplete" => "length",
        "stop_beside_calls" => "stop",
        _ if calls.is_empty() => "stop",
        _ => "tool_calls",
    };
    Some(Choice { deltas, message: message(&text, &calls), finish })
}

/// A call's deltas: id, name and empty arguments first, then the arguments.
fn call_deltas(scenario: &str, at: usize, call: (&str, &str, &str), size: usize) -> Vec<String> {
    let (id, name, arguments) = call;
    if scenario == "missing_index" {
        // Servers that leave it out send each call whole.
        return vec![format!(
            "\"tool_calls\":[{{\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":{}}}}}]",
            quote(name),
            quote(arguments)
        )];
    }
    let index = format!("\"index\":{at},");
    let id = format!("\"id\":\"{id}\",");
    let first = format!(
        "\"tool_calls\":[{{{index}{id}\"type\":\"function\",\
         \"function\":{{\"name\":{},\"arguments\":\"\"}}}}]",
        quote(name)
    );
    // Some compatible servers repeat the id in every delta.
    let again = if scenario == "repeated_id" { id.as_str() } else { "" };
    let rest = pieces(arguments, size).into_iter().map(|piece| {
        format!("\"tool_calls\":[{{{index}{again}\"function\":{{\"arguments\":{}}}}}]", quote(&piece))
    });
    std::iter::once(first).chain(rest).collect()
}

/// The members of a message in one piece.
fn message(text: &str, calls: &[(&str, &str, &str)]) -> String {
    let content = if text.is_empty() { "null".to_owned() } else { quote(text) };
    let mut members = format!("\"content\":{content},\"refusal\":null,\"annotations\":[]");
    if !calls.is_empty() {
        let calls: Vec<String> = calls
            .iter()
            .map(|(id, name, arguments)| {
                format!(
                    "{{\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":{},\"arguments\":{}}}}}",
                    quote(name),
                    quote(arguments)
                )
            })
            .collect();
        members.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
    }
    members
}

/// The form from before tools: one `function_call` in place of `tool_calls`.
fn legacy(command: &str) -> Choice {
    let arguments = bash_arguments(command);
    let mut deltas = vec!["\"function_call\":{\"name\":\"Bash\",\"arguments\":\"\"}".to_owned()];
    deltas.extend(
        pieces(&arguments, 9)
            .iter()
            .map(|piece| format!("\"function_call\":{{\"arguments\":{}}}", quote(piece))),
    );
    let message = format!(
        "\"content\":null,\"refusal\":null,\"function_call\":{{\"name\":\"Bash\",\"arguments\":{}}}",
        quote(&arguments)
    );
    Choice { deltas, message, finish: "function_call" }
}

fn refusal() -> Choice {
    let deltas =
        ["I'm sorry, ", "I can't do that."].map(|text| format!("\"refusal\":{}", quote(text))).to_vec();
    let message = "\"content\":null,\"refusal\":\"I'm sorry, I can't do that.\"".to_owned();
    Choice { deltas, message, finish: "stop" }
}

/// A call of a custom tool: free text instead of JSON arguments.
fn custom_tool() -> Choice {
    let call = |input: &str| {
        format!(
            "\"id\":\"call_a\",\"type\":\"custom\",\"custom\":{{\"name\":\"Bash\",\"input\":{}}}",
            quote(input)
        )
    };
    let deltas = vec![
        format!("\"tool_calls\":[{{\"index\":0,{}}}]", call("")),
        format!("\"tool_calls\":[{{\"index\":0,\"custom\":{{\"input\":{}}}}}]", quote(EVIL)),
    ];
    let message = format!("\"content\":null,\"refusal\":null,\"tool_calls\":[{{{}}}]", call(EVIL));
    Choice { deltas, message, finish: "tool_calls" }
}

/// A surrogate pair split over two deltas, in the text and in the arguments.
fn surrogates() -> Choice {
    let arguments = format!("{{\"command\": {}}}", quote_ascii(&format!("echo '{WORLD}'")));
    let mut deltas =
        vec!["\"content\":\"clef \\ud834\"".to_owned(), "\"content\":\"\\udd1e end\"".to_owned()];
    deltas.extend(call_deltas("", 0, ("call_a", "Bash", &arguments), 7));
    let message = message("clef 𝄞 end", &[("call_a", "Bash", &arguments)]);
    Choice { deltas, message, finish: "tool_calls" }
}

/// Several calls, whole, in one frame: a benign one between two malicious ones.
fn many_in_one() -> Choice {
    let (evil, list) = (bash_arguments(EVIL), bash_arguments(LIST));
    let calls = [("call_a", "Bash", evil.as_str()), ("call_b", "Bash", &list), ("call_c", "Bash", &evil)];
    let frame: Vec<String> = calls
        .iter()
        .enumerate()
        .map(|(at, (id, name, arguments))| {
            format!(
                "{{\"index\":{at},\"id\":\"{id}\",\"type\":\"function\",\
                 \"function\":{{\"name\":\"{name}\",\"arguments\":{}}}}}",
                quote(arguments)
            )
        })
        .collect();
    let deltas = vec![format!("\"tool_calls\":[{}]", frame.join(","))];
    Choice { deltas, message: message("", &calls), finish: "tool_calls" }
}

fn bash_arguments(command: &str) -> String {
    format!("{{\"command\": {}}}", quote(command))
}

const USAGE: &str = "{\"prompt_tokens\":82,\"completion_tokens\":17,\"total_tokens\":99,\
    \"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\
    \"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\
    \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}";

/// The stream. Choices take turns, as they do when a model generates them side by side.
fn events(script: &Script, choices: &[Choice]) -> Vec<Vec<u8>> {
    let at = |at: usize, delta: &str, finish: &str| {
        let finish = if finish.is_empty() { "null".to_owned() } else { quote(finish) };
        let choice =
            format!("{{\"index\":{at},\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}");
        chunk(script, &choice, script.usage.then_some("null"))
    };
    let mut events = Vec::new();
    for (index, choice) in choices.iter().enumerate() {
        let content = if choice.message.starts_with("\"content\":null") { "null" } else { "\"\"" };
        let first = format!("\"role\":\"assistant\",\"content\":{content},\"refusal\":null");
        events.push(at(index, &first, ""));
        if script.scenario == "hidden_in_message" {
            // A stream's choice has a `delta`; a client that also reads `message` would find this.
            let call = message("", &[("call_h", "Bash", &bash_arguments(EVIL))]);
            let hidden = format!(
                "{{\"index\":{index},\"delta\":{{}},\"message\":{{\"role\":\"assistant\",{call}}},\
                 \"logprobs\":null,\"finish_reason\":null}}"
            );
            events.push(chunk(script, &hidden, None));
        }
    }
    let longest = choices.iter().map(|choice| choice.deltas.len()).max().unwrap_or_default();
    for round in 0..longest {
        for (index, choice) in choices.iter().enumerate() {
            events.extend(choice.deltas.get(round).map(|delta| at(index, delta, "")));
        }
    }
    if script.scenario == "overloaded_stream" {
        let error = "{\"message\":\"The server is overloaded.\",\"type\":\"server_error\",\"param\":null,\"code\":null}";
        events.push(format!("data: {{\"error\":{error}}}\n\n").into_bytes());
        return events;
    }
    events.extend(choices.iter().enumerate().map(|(index, choice)| at(index, "", choice.finish)));
    if script.usage {
        events.push(chunk(script, "", Some(USAGE)));
    }
    if script.scenario != "no_done" {
        events.push(b"data: [DONE]\n\n".to_vec());
    }
    events
}

fn chunk(script: &Script, choice: &str, usage: Option<&str>) -> Vec<u8> {
    let usage = usage.map(|usage| format!(",\"usage\":{usage}")).unwrap_or_default();
    format!(
        "data: {{\"id\":\"chatcmpl-scripted01\",\"object\":\"chat.completion.chunk\",\"created\":1763600000,\
         \"model\":{},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_scripted\",\
         \"choices\":[{choice}]{usage}}}\n\n",
        quote(&script.model)
    )
    .into_bytes()
}

fn whole(script: &Script, choices: &[Choice]) -> String {
    let choices: Vec<String> = choices
        .iter()
        .enumerate()
        .map(|(at, choice)| {
            format!(
                "{{\"index\":{at},\"message\":{{\"role\":\"assistant\",{}}},\"logprobs\":null,\
                 \"finish_reason\":\"{}\"}}",
                choice.message, choice.finish
            )
        })
        .collect();
    format!(
        "{{\"id\":\"chatcmpl-scripted01\",\"object\":\"chat.completion\",\"created\":1763600000,\"model\":{},\
         \"choices\":[{}],\"usage\":{USAGE},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_scripted\"}}",
        quote(&script.model),
        choices.join(",")
    )
}

/// `endless` and `endless_tool`: the beginning of an answer, then a delta every ten milliseconds for ever.
fn endless(script: &Script, mut reply: Reply) -> Reply {
    let more = match script.scenario.as_str() {
        "endless" => "\"content\":\" and on\"",
        "endless_tool" => "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"x\"}}]",
        _ => return reply,
    };
    reply.pieces.truncate(4);
    let choice = format!("{{\"index\":0,\"delta\":{{{more}}},\"logprobs\":null,\"finish_reason\":null}}");
    let piece = chunk(script, &choice, None);
    reply.ending(Ending::Endless { piece, every: Duration::from_millis(10) })
}
