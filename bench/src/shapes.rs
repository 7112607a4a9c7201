//! Requests and replies as bytes, in the shapes that the two APIs document: full envelopes, ids, words of
//! four to twenty characters for each delta.

use crate::spec::{Dialect, Kind, Spec};

/// Ends every text, so that a reply that was cut is noticed.
pub const MARK: &str = "end-of-bench-7e1f";

/// What stands before the two times in the delta of [`Kind::Clock`].
pub const CLOCK: &str = "clock=";

/// Digits of one time in nanoseconds.
pub const DIGITS: usize = 20;

/// What ends a stream of this dialect.
pub const fn terminal(spec: &Spec) -> &'static str {
    match (spec.kind, spec.dialect) {
        (Kind::Json(_), _) => MARK,
        (_, Dialect::Anthropic) => "message_stop",
        (_, Dialect::OpenAi) => "[DONE]",
    }
}

/// A reply before it is framed for HTTP: the events of a stream, or one JSON body.
#[derive(Debug)]
pub struct Shape {
    /// The pieces in order.
    pub pieces: Vec<String>,
    /// How many stand before the first text delta.
    pub opening: usize,
}

impl Shape {
    /// Bytes of the body.
    pub fn length(&self) -> usize {
        self.pieces.iter().map(String::len).sum()
    }

    /// The reply that `spec` names. A [`Kind::Clock`] has zeros in the place of its times.
    pub fn of(spec: &Spec) -> Self {
        match spec.kind {
            Kind::Json(bytes) => {
                let text = text_of(bytes);
                let body = match spec.dialect {
                    Dialect::Anthropic => anthropic_whole(&text),
                    Dialect::OpenAi => openai_whole(&text),
                };
                Self { pieces: vec![body], opening: 0 }
            }
            Kind::Tool(deltas) => stream(spec.dialect, &words(deltas), true),
            Kind::Deltas(deltas) => stream(spec.dialect, &words(deltas), false),
            Kind::Blocks(deltas) => {
                let mut blocks = vec![text_of(1_000); deltas.saturating_sub(1)];
                blocks.push(format!(" {MARK}"));
                stream(spec.dialect, &blocks, false)
            }
            Kind::Clock => {
                let zero = "0".repeat(2 * DIGITS);
                stream(spec.dialect, &[format!("{CLOCK}{zero}"), format!(" {MARK}")], false)
            }
        }
    }
}

/// Plain words: nothing in them is a finding.
const WORDS: [&str; 24] = [
    "The ",
    "function ",
    "returns ",
    "early ",
    "when the ",
    "list is ",
    "empty, ",
    "so the ",
    "caller ",
    "never ",
    "sees an ",
    "unfinished ",
    "result. ",
    "I would ",
    "move the ",
    "check up ",
    "and add ",
    "a small ",
    "test for ",
    "it; ",
    "after that ",
    "everything ",
    "else stays ",
    "as it was. ",
];

fn words(count: usize) -> Vec<String> {
    let mut words: Vec<String> =
        WORDS.iter().cycle().take(count.saturating_sub(1)).map(|word| (*word).to_owned()).collect();
    words.push(format!(" {MARK}"));
    words
}

fn text_of(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    for word in WORDS.iter().cycle() {
        if text.len() + word.len() + MARK.len() >= bytes {
            break;
        }
        text.push_str(word);
    }
    text.push_str(MARK);
    text
}

/// The call's arguments in the pieces in which a model gives them.
const ARGUMENTS: [&str; 9] = [
    "{\\\"comma",
    "nd\\\": \\\"cargo ",
    "test --work",
    "space -- --nocapture\\\"",
    ", \\\"desc",
    "ription\\\":",
    " \\\"Run the ",
    "tests of the",
    " workspace\\\"}",
];

fn stream(dialect: Dialect, texts: &[String], tool: bool) -> Shape {
    match dialect {
        Dialect::Anthropic => anthropic_stream(texts, tool),
        Dialect::OpenAi => openai_stream(texts, tool),
    }
}

fn anthropic_event(name: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{comma}{members}}}\n\n")
}

const ANTHROPIC_USAGE: &str = "\"input_tokens\":472,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\
    \"output_tokens\":2,\"service_tier\":\"standard\"";

fn anthropic_stream(texts: &[String], tool: bool) -> Shape {
    let start = format!(
        "\"message\":{{\"model\":\"claude-bench-1\",\"id\":\"msg_01Q8Zq3n5r6a7b8c9d0e1f2g\",\"type\":\"message\",\
         \"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\
         \"usage\":{{{ANTHROPIC_USAGE}}}}}"
    );
    let block = "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}";
    let mut pieces = vec![
        anthropic_event("message_start", &start),
        anthropic_event("content_block_start", block),
        "event: ping\ndata: {\"type\": \"ping\"}\n\n".to_owned(),
    ];
    let opening = pieces.len();
    pieces.extend(texts.iter().map(|text| {
        let delta = format!("\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}");
        anthropic_event("content_block_delta", &delta)
    }));
    pieces.push(anthropic_event("content_block_stop", "\"index\":0"));
    if tool {
        let block = "\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_01A09q90qw90lq917835lq9\",\
                     \"name\":\"Bash\",\"input\":{}}";
        pieces.push(anthropic_event("content_block_start", block));
        pieces.extend(std::iter::once(&"").chain(&ARGUMENTS).map(|piece| {
            let delta = format!(
                "\"index\":1,\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":\"{piece}\"}}"
            );
            anthropic_event("content_block_delta", &delta)
        }));
        pieces.push(anthropic_event("content_block_stop", "\"index\":1"));
    }
    let stop = if tool { "tool_use" } else { "end_turn" };
    let usage = texts.len();
    pieces.push(anthropic_event(
        "message_delta",
        &format!(
            "\"delta\":{{\"stop_reason\":\"{stop}\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":{usage}}}"
        ),
    ));
    pieces.push(anthropic_event("message_stop", ""));
    Shape { pieces, opening }
}

fn anthropic_whole(text: &str) -> String {
    format!(
        "{{\"model\":\"claude-bench-1\",\"id\":\"msg_01Q8Zq3n5r6a7b8c9d0e1f2g\",\"type\":\"message\",\
         \"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}],\"stop_reason\":\"end_turn\",\
         \"stop_sequence\":null,\"usage\":{{{ANTHROPIC_USAGE}}}}}"
    )
}

const OPENAI_ID: &str = "chatcmpl-Bx7d2kQm8sT0wYz4LhVfRj3NpXc5A";

const OPENAI_USAGE: &str = "{\"prompt_tokens\":472,\"completion_tokens\":89,\"total_tokens\":561,\
    \"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\
    \"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\
    \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}";

fn openai_chunk(choices: &str, usage: &str) -> String {
    // The service fills chunks up to hide the length of their text: another filling in each.
    let (from, to) = (choices.len() * 7 % 13, 13 + choices.len() * 5 % 11);
    let filling = "aZ3kQ9mB7xW2pL5vT8nR4cY6".get(from..to).unwrap_or_default();
    format!(
        "data: {{\"id\":\"{OPENAI_ID}\",\"object\":\"chat.completion.chunk\",\"created\":1763600000,\
         \"model\":\"gpt-bench-1\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_8f4a1c2d3e\",\
         \"choices\":[{choices}],\"usage\":{usage},\"obfuscation\":\"{filling}\"}}\n\n"
    )
}

fn openai_delta(delta: &str, finish: &str) -> String {
    let choice =
        format!("{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}");
    openai_chunk(&choice, "null")
}

fn openai_stream(texts: &[String], tool: bool) -> Shape {
    let mut pieces = vec![openai_delta("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null")];
    let opening = pieces.len();
    pieces.extend(texts.iter().map(|text| openai_delta(&format!("\"content\":\"{text}\""), "null")));
    if tool {
        let start = "\"tool_calls\":[{\"index\":0,\"id\":\"call_Zq3n5r6a7b8c9d0e1f2g3h4i\",\"type\":\"function\",\
                     \"function\":{\"name\":\"Bash\",\"arguments\":\"\"}}]";
        pieces.push(openai_delta(start, "null"));
        pieces.extend(ARGUMENTS.iter().map(|piece| {
            let delta =
                format!("\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":\"{piece}\"}}}}]");
            openai_delta(&delta, "null")
        }));
    }
    pieces.push(openai_delta("", if tool { "\"tool_calls\"" } else { "\"stop\"" }));
    pieces.push(openai_chunk("", OPENAI_USAGE));
    pieces.push("data: [DONE]\n\n".to_owned());
    Shape { pieces, opening }
}

fn openai_whole(text: &str) -> String {
    format!(
        "{{\"id\":\"{OPENAI_ID}\",\"object\":\"chat.completion\",\"created\":1763600000,\"model\":\"gpt-bench-1\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\",\"refusal\":null,\
         \"annotations\":[]}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{OPENAI_USAGE},\
         \"service_tier\":\"default\",\"system_fingerprint\":\"fp_8f4a1c2d3e\"}}"
    )
}

/// Where a request's turn is counted, so that each request has one content block that no other had.
pub const TURN: &str = "Turn 00000000";

const SYSTEM: &str = "You are a careful assistant for software work. You read files before you change them, you run \
    the tests after each change, and you say plainly what you did and what is still open. Use the tools when they \
    help. Keep answers short. When a test fails, find the cause before you try again. Never invent file contents.";

const RESULT: &str = "running 12 tests\\ntest parser::empty ... ok\\ntest parser::nested ... ok\\ntest \
    parser::escapes ... ok\\ntest list::first ... ok\\ntest list::last ... FAILED\\n\\nfailures:\\n\\n---- list::last \
    stdout ----\\nassertion `left == right` failed\\n  left: 3\\n right: 4\\n\\ntest result: FAILED. 11 passed; 1 \
    failed; 0 ignored; finished in 0.02s\\n";

const SCHEMAS: [(&str, &str, &str); 3] = [
    (
        "Bash",
        "Runs a command line in the project's directory and returns its output.",
        "{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\",\"description\":\"The command line\"},\
         \"description\":{\"type\":\"string\"},\"timeout\":{\"type\":\"integer\"}},\"required\":[\"command\"]}",
    ),
    (
        "Read",
        "Reads a file of the project.",
        "{\"type\":\"object\",\"properties\":{\"file_path\":{\"type\":\"string\"},\"offset\":{\"type\":\"integer\"},\
         \"limit\":{\"type\":\"integer\"}},\"required\":[\"file_path\"]}",
    ),
    (
        "Edit",
        "Replaces text in a file of the project.",
        "{\"type\":\"object\",\"properties\":{\"file_path\":{\"type\":\"string\"},\"old_string\":{\"type\":\"string\"},\
         \"new_string\":{\"type\":\"string\"}},\"required\":[\"file_path\",\"old_string\",\"new_string\"]}",
    ),
];

/// A request's body: the third turn of a small conversation, with three tools declared.
pub fn request(spec: &Spec) -> String {
    let (model, stream) = (spec.model(), spec.streams());
    match spec.dialect {
        Dialect::Anthropic => {
            let tools = SCHEMAS.map(|(name, description, schema)| {
                format!("{{\"name\":\"{name}\",\"description\":\"{description}\",\"input_schema\":{schema}}}")
            });
            format!(
                "{{\"model\":\"{model}\",\"max_tokens\":4096,\"stream\":{stream},\
                 \"system\":[{{\"type\":\"text\",\"text\":\"{SYSTEM}\"}}],\"tools\":[{}],\"messages\":[\
                 {{\"role\":\"user\",\"content\":\"The test of the list fails. Please find out why.\"}},\
                 {{\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"I will run the tests first.\"}},\
                 {{\"type\":\"tool_use\",\"id\":\"toolu_01B\",\"name\":\"Bash\",\"input\":{{\"command\":\"cargo test\"}}}}]}},\
                 {{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_01B\",\
                 \"content\":\"{RESULT}\"}},{{\"type\":\"text\",\"text\":\"Please go on. {TURN}\"}}]}}]}}",
                tools.join(",")
            )
        }
        Dialect::OpenAi => {
            let tools = SCHEMAS.map(|(name, description, schema)| {
                format!(
                    "{{\"type\":\"function\",\"function\":{{\"name\":\"{name}\",\"description\":\"{description}\",\
                     \"parameters\":{schema}}}}}"
                )
            });
            let options = if stream { ",\"stream_options\":{\"include_usage\":true}" } else { "" };
            format!(
                "{{\"model\":\"{model}\",\"max_completion_tokens\":4096,\"stream\":{stream}{options},\"tools\":[{}],\
                 \"messages\":[{{\"role\":\"system\",\"content\":\"{SYSTEM}\"}},\
                 {{\"role\":\"user\",\"content\":\"The test of the list fails. Please find out why.\"}},\
                 {{\"role\":\"assistant\",\"content\":\"I will run the tests first.\",\"tool_calls\":[{{\"id\":\"call_01B\",\
                 \"type\":\"function\",\"function\":{{\"name\":\"Bash\",\"arguments\":\"{{\\\"command\\\":\\\"cargo test\\\"}}\"}}}}]}},\
                 {{\"role\":\"tool\",\"tool_call_id\":\"call_01B\",\"content\":\"{RESULT}\"}},\
                 {{\"role\":\"user\",\"content\":\"Please go on. {TURN}\"}}]}}",
                tools.join(",")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Delivery;

    fn specs() -> impl Iterator<Item = Spec> {
        let kinds = [Kind::Json(600), Kind::Tool(40), Kind::Deltas(50), Kind::Blocks(5), Kind::Clock];
        [Dialect::Anthropic, Dialect::OpenAi].into_iter().flat_map(move |dialect| {
            kinds.into_iter().map(move |kind| Spec { dialect, kind, delivery: Delivery::Whole })
        })
    }

    #[test]
    fn everything_is_json() {
        for spec in specs() {
            serde_json::from_str::<serde_json::Value>(&request(&spec)).unwrap();
            let shape = Shape::of(&spec);
            for piece in &shape.pieces {
                let data = if spec.streams() { piece.split_once("data: ").unwrap().1 } else { piece };
                if data.trim() != "[DONE]" {
                    serde_json::from_str::<serde_json::Value>(data).unwrap();
                }
            }
            let last = shape.pieces.last().unwrap();
            let at = last.rfind(terminal(&spec)).unwrap();
            assert!(last.len() - at < 1_000, "{last}");
        }
    }

    #[test]
    fn arguments_of_the_call_are_one_object() {
        let text = ARGUMENTS.concat().replace("\\\"", "\"");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["command"], "cargo test --workspace -- --nocapture");
    }

    #[test]
    fn sizes_are_as_asked() {
        let of = |kind| Shape::of(&Spec { dialect: Dialect::Anthropic, kind, delivery: Delivery::Whole });
        assert_eq!(of(Kind::Deltas(2_000)).pieces.len(), 2_000 + 6);
        assert!((20 << 20..(20 << 20) + 1_000).contains(&(of(Kind::Json(20 << 20)).length() + 100)));
        assert!(of(Kind::Clock).pieces[3].contains(CLOCK));
    }
}
