//! Anthropic Messages: the scenarios as that API tells them.
//!
//! Beside the common ones: `thinking`, `thinking_between` (thoughts before and behind what the provider ran,
//! two calls, and what the request's betas add to the end), `server_tool`, `citations`, `hidden_in_message_start`,
//! `hidden_in_block_start`, `input_twice`, `interleaved`, `unknown_block`, `unknown_event`, `no_stop`,
//! `out_of_order`, `index_reuse`, `index_gap`, `overloaded_stream`, `surrogates`, `endless`, `endless_tool`, and
//! those of [`hostile`].

use std::time::Duration;

use super::json::{pieces, quote, quote_ascii};
use super::reply::{Ending, Reply};
use super::script::{EVIL, HELLO, Part, Script, WORLD, common, delta_sizes};
use super::{errors, hostile};

/// `GET /v1/models`.
pub(super) const MODELS: &str = "{\"data\":[{\"type\":\"model\",\"id\":\"claude-scripted-1\",\
    \"display_name\":\"Claude Scripted\",\"created_at\":\"2026-02-19T00:00:00Z\"}],\
    \"has_more\":false,\"first_id\":\"claude-scripted-1\",\"last_id\":\"claude-scripted-1\"}";

/// The answer of an endpoint that does not exist, with a call in it.
pub(super) fn experimental() -> String {
    format!("{{\"content\":[{}]}}", tool_block("toolu_call_a", "Bash", &bash_input(EVIL)))
}

/// The answer to `POST /v1/messages`.
pub(super) fn answer(script: &Script) -> Reply {
    if let Some(status) = errors::status(&script.scenario) {
        return errors::anthropic(status);
    }
    if let Some(reply) = hostile::detour(&script.scenario) {
        return reply;
    }
    let Some(message) = Message::of(script) else {
        return hostile::no_such_scenario(script);
    };
    let reply = match script.stream {
        true => endless(&script.scenario, Reply::stream(message.events(script))),
        false => Reply::json(200, &message.json(script)),
    };
    hostile::change(&script.scenario, reply.with("request-id", "req_scripted200"))
}

/// A message before it is written down as a stream or as one JSON object.
struct Message {
    blocks: Vec<Block>,
    stop: &'static str,
}

/// One content block: how it starts, its deltas, and how it looks in one piece.
struct Block {
    start: String,
    deltas: Vec<String>,
    whole: String,
}

impl Message {
    fn of(script: &Script) -> Option<Self> {
        let (text_size, argument_size) = delta_sizes(&script.scenario);
        let blocks: Vec<Block> = match parts(&script.scenario) {
            Some(parts) => parts.iter().map(|part| Block::of(part, text_size, argument_size)).collect(),
            None => special(&script.scenario)?,
        };
        let calls = blocks.iter().any(|block| block.whole.starts_with("{\"type\":\"tool_use\""));
        let stop = match script.scenario.as_str() {
            "incomplete" => "max_tokens",
            _ if calls => "tool_use",
            _ => "end_turn",
        };
        Some(Self { blocks, stop })
    }

    fn start(script: &Script, content: &str) -> Vec<u8> {
        event(
            "message_start",
            &format!(
                "\"message\":{{\"model\":{},\"id\":\"msg_scripted01\",\"type\":\"message\",\"role\":\"assistant\",\
                 \"content\":[{content}],\"stop_reason\":null,\"stop_sequence\":null,\
                 \"usage\":{{\"input_tokens\":472,\"cache_creation_input_tokens\":0,\
                 \"cache_read_input_tokens\":0,\"output_tokens\":2,\"service_tier\":\"standard\"}}}}",
                quote(&script.model)
            ),
        )
    }

    fn events(&self, script: &Script) -> Vec<Vec<u8>> {
        let scenario = script.scenario.as_str();
        let hidden = tool_block("toolu_call_h", "Bash", &bash_input(EVIL));
        let mut events =
            vec![Self::start(script, if scenario == "hidden_in_message_start" { &hidden } else { "" })];
        if scenario == "out_of_order" {
            events.push(delta(0, "{\"type\":\"text_delta\",\"text\":\"early\"}"));
        }
        events.extend(self.block_events(scenario));
        match scenario {
            "unknown_event" => {
                events.push(event("content_block_patch", &format!("\"index\":0,\"block\":{hidden}")))
            }
            "overloaded_stream" => {
                let error = "\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}";
                events.push(event("error", error));
                return events;
            }
            "no_stop" => return events,
            _ => {}
        }
        let usage = match scenario {
            "thinking_between" => BETAS,
            _ => "\"usage\":{\"output_tokens\":89}",
        };
        events.push(event(
            "message_delta",
            &format!("\"delta\":{{\"stop_reason\":\"{}\",\"stop_sequence\":null}},{usage}", self.stop),
        ));
        events.push(event("message_stop", "").to_vec());
        events
    }

    fn block_events(&self, scenario: &str) -> Vec<Vec<u8>> {
        let index = |at: usize| match scenario {
            "index_reuse" => 0,
            "index_gap" => at * 2,
            _ => at,
        };
        let blocks = self.blocks.iter().enumerate().map(|(at, block)| (index(at), block));
        let starts = blocks.clone().map(|(at, block)| {
            event("content_block_start", &format!("\"index\":{at},\"content_block\":{}", block.start))
        });
        let stops = blocks.clone().map(|(at, _)| event("content_block_stop", &format!("\"index\":{at}")));
        let deltas: Vec<Vec<Vec<u8>>> =
            blocks.map(|(at, block)| block.deltas.iter().map(|text| delta(at, text)).collect()).collect();
        let mut events = Vec::new();
        if scenario.starts_with("interleaved") {
            events.extend(starts);
            let longest = deltas.iter().map(Vec::len).max().unwrap_or_default();
            for round in 0..longest {
                events.extend(deltas.iter().filter_map(|block| block.get(round).cloned()));
            }
            events.extend(stops);
        } else {
            for (at, ((start, deltas), stop)) in starts.zip(deltas).zip(stops).enumerate() {
                events.push(start);
                if at == 0 {
                    // The real service sends one here.
                    events.push(b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec());
                }
                events.extend(deltas);
                events.push(stop);
            }
        }
        events
    }

    fn json(&self, script: &Script) -> String {
        let content: Vec<&str> = self.blocks.iter().map(|block| block.whole.as_str()).collect();
        format!(
            "{{\"model\":{},\"id\":\"msg_scripted01\",\"type\":\"message\",\"role\":\"assistant\",\
             \"content\":[{}],\"stop_reason\":\"{}\",\"stop_sequence\":null,\
             \"usage\":{{\"input_tokens\":472,\"cache_creation_input_tokens\":0,\
             \"cache_read_input_tokens\":0,\"output_tokens\":89,\"service_tier\":\"standard\"}}}}",
            quote(&script.model),
            content.join(","),
            self.stop
        )
    }
}

impl Block {
    fn of(part: &Part, text_size: usize, argument_size: usize) -> Self {
        match part {
            Part::Text(text) => Self::text(text, text_size),
            Part::Call { id, name, arguments } => Self::call(id, name, arguments, argument_size),
        }
    }

    fn text(text: &str, size: usize) -> Self {
        Self {
            start: "{\"type\":\"text\",\"text\":\"\"}".to_owned(),
            deltas: pieces(text, size)
                .iter()
                .map(|piece| format!("{{\"type\":\"text_delta\",\"text\":{}}}", quote(piece)))
                .collect(),
            whole: format!("{{\"type\":\"text\",\"text\":{}}}", quote(text)),
        }
    }

    fn call(id: &str, name: &str, arguments: &str, size: usize) -> Self {
        let id = format!("toolu_{id}");
        // As the service does: an empty delta first, then the arguments.
        let deltas = std::iter::once(String::new()).chain(pieces(arguments, size));
        // In one piece the input is an object, whatever the deltas would have said.
        let input = match serde_json::from_str::<serde_json::Value>(arguments) {
            Ok(_) => arguments,
            Err(_) => "{}",
        };
        Self {
            start: tool_block(&id, name, "{}"),
            deltas: deltas
                .map(|piece| format!("{{\"type\":\"input_json_delta\",\"partial_json\":{}}}", quote(&piece)))
                .collect(),
            whole: tool_block(&id, name, input),
        }
    }

    /// A block that has no deltas.
    fn raw(json: &str) -> Self {
        Self { start: json.to_owned(), deltas: Vec::new(), whole: json.to_owned() }
    }
}

fn parts(scenario: &str) -> Option<Vec<Part>> {
    match scenario {
        "truncated"
        | "reset"
        | "endless"
        | "duplicate_key"
        | "invalid_utf8"
        | "gzip"
        | "bare_cr"
        | "bom"
        | "crlf"
        | "comments"
        | "no_stop"
        | "out_of_order"
        | "unknown_event"
        | "index_reuse"
        | "index_gap"
        | "hidden_in_message_start"
        | "overloaded_stream" => common("text_tool"),
        "endless_tool" => common("tool"),
        _ => common(scenario),
    }
}

/// Blocks that only this dialect has; `None` for a scenario that does not exist.
fn special(scenario: &str) -> Option<Vec<Block>> {
    let text = || Block::text(HELLO, 9);
    let bash = |command: &str| Block::call("call_a", "Bash", &bash_input(command), 11);
    Some(match scenario {
        "thinking" => vec![thinking(), redacted(), text(), bash("ls -la src")],
        "thinking_evil" => vec![thinking(), bash(EVIL)],
        "thinking_between" => {
            let mut blocks = vec![thinking()];
            blocks.extend(server_tool());
            blocks.extend([thinking(), redacted(), text(), bash("ls -la src")]);
            blocks.push(Block::of(&Part::weather("call_b"), 9, 11));
            blocks
        }
        "server_tool" => {
            let mut blocks = server_tool();
            blocks.push(text());
            blocks
        }
        "citations" => {
            let citation = "{\"type\":\"citations_delta\",\"citation\":{\"type\":\"char_location\",\
                 \"cited_text\":\"The grass is green.\",\"document_index\":0,\"document_title\":\"Colours\",\
                 \"start_char_index\":0,\"end_char_index\":19,\"file_id\":null}}";
            let mut block = text();
            block.start = "{\"type\":\"text\",\"text\":\"\",\"citations\":[]}".to_owned();
            block.deltas.push(citation.to_owned());
            vec![block]
        }
        // The whole call already stands in the start event; no delta follows.
        "hidden_in_block_start" => {
            vec![text(), Block::raw(&tool_block("toolu_call_a", "Bash", &bash_input(EVIL)))]
        }
        // One input in the start event, another one in the deltas.
        "input_twice" => {
            let mut block = bash("ls");
            block.start = tool_block("toolu_call_a", "Bash", &bash_input(EVIL));
            vec![block]
        }
        "unknown_block" => {
            let json = format!("{{\"type\":\"bash_call\",\"id\":\"x1\",\"input\":{}}}", bash_input(EVIL));
            vec![text(), Block::raw(&json)]
        }
        "surrogates" => vec![split_pair(), escaped_call()],
        _ => return None,
    })
}

/// What the betas of a request add to the end of its reply.
const BETAS: &str = "\"usage\":{\"input_tokens\":472,\"cache_creation_input_tokens\":0,\
    \"cache_read_input_tokens\":0,\"output_tokens\":89,\"server_tool_use\":{\"web_search_requests\":1,\
    \"web_fetch_requests\":0},\"iterations\":[{\"type\":\"message\",\"input_tokens\":472,\"output_tokens\":89}]},\
    \"context_management\":{\"applied_edits\":[{\"type\":\"clear_tool_uses_20250919\",\"cleared_tool_uses\":3,\
    \"cleared_input_tokens\":9000},{\"type\":\"clear_thinking_20251015\",\"cleared_thinking_turns\":1,\
    \"cleared_input_tokens\":700}]}";

/// A search that the provider runs, and what it found.
fn server_tool() -> Vec<Block> {
    let mut search = Block::call("call_s", "web_search", "{\"query\": \"rust 1.95\"}", 9);
    for json in [&mut search.start, &mut search.whole] {
        *json = json.replacen("\"tool_use\"", "\"server_tool_use\"", 1).replace("toolu_", "srvtoolu_");
    }
    let found = "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"srvtoolu_call_s\",\"content\":[\
         {\"type\":\"web_search_result\",\"title\":\"Rust\",\"url\":\"https://www.rust-lang.org/\",\
         \"encrypted_content\":\"RXZlbiBtb3Jl\",\"page_age\":\"April 30, 2026\"}]}";
    vec![search, Block::raw(found)]
}

fn thinking() -> Block {
    let deltas = pieces("The user wants a listing. «ls» — that is safe.", 12)
        .iter()
        .map(|piece| format!("{{\"type\":\"thinking_delta\",\"thinking\":{}}}", quote(piece)))
        .chain([
            "{\"type\":\"signature_delta\",\"signature\":\"EqQBCgIYAhIM1gbcDa9GJwZA2b3h/+A==\"}".to_owned()
        ])
        .collect();
    Block {
        start: "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}".to_owned(),
        deltas,
        whole: "{\"type\":\"thinking\",\"thinking\":\"The user wants a listing. «ls» — that is safe.\",\
                \"signature\":\"EqQBCgIYAhIM1gbcDa9GJwZA2b3h/+A==\"}"
            .to_owned(),
    }
}

fn redacted() -> Block {
    Block::raw(
        "{\"type\":\"redacted_thinking\",\"data\":\"EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIw\"}",
    )
}

/// A text with a surrogate pair split over two deltas: each is half a character, together they are one.
fn split_pair() -> Block {
    let mut block = Block::text("clef 𝄞 end", 1_000);
    block.deltas = ["clef \\ud834", "\\udd1e end"]
        .map(|half| format!("{{\"type\":\"text_delta\",\"text\":\"{half}\"}}"))
        .to_vec();
    block
}

/// A call whose arguments spell everything outside ASCII as escapes.
fn escaped_call() -> Block {
    let arguments = format!("{{\"command\": {}}}", quote_ascii(&format!("echo '{WORLD}'")));
    Block::call("call_a", "Bash", &arguments, 7)
}

fn bash_input(command: &str) -> String {
    format!("{{\"command\": {}}}", quote(command))
}

fn tool_block(id: &str, name: &str, input: &str) -> String {
    format!("{{\"type\":\"tool_use\",\"id\":{},\"name\":{},\"input\":{input}}}", quote(id), quote(name))
}

fn delta(index: usize, delta: &str) -> Vec<u8> {
    event("content_block_delta", &format!("\"index\":{index},\"delta\":{delta}"))
}

fn event(name: &str, members: &str) -> Vec<u8> {
    let comma = if members.is_empty() { "" } else { "," };
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{comma}{members}}}\n\n").into_bytes()
}

/// `endless` and `endless_tool`: the beginning of a block, then a delta every ten milliseconds for ever.
fn endless(scenario: &str, mut reply: Reply) -> Reply {
    let (begun, more) = match scenario {
        "endless" => (6, "{\"type\":\"text_delta\",\"text\":\" and on\"}"),
        "endless_tool" => (5, "{\"type\":\"input_json_delta\",\"partial_json\":\"x\"}"),
        _ => return reply,
    };
    reply.pieces.truncate(begun);
    reply.ending(Ending::Endless { piece: delta(0, more), every: Duration::from_millis(10) })
}
