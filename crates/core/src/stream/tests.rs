//! Transcripts: what upstream says, what is ruled, what the client gets.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::syntax::Node;

mod batches;
mod gemini;
mod responses;
mod responses_text;
mod text_tools;
mod toolsets;

/// A stream as upstream sends it, with a tool `Bash` and a tool `Read` declared.
fn context(monitor: bool) -> Context {
    let tools: HashSet<String> = ["Bash", "Read"].map(String::from).into();
    Context {
        agent: "a".into(),
        session: "s".into(),
        peer: "p".into(),
        trusted: false,
        declared: Declared { tools, choices: 1, ..Declared::default() },
        before: State::default(),
        text_tools: TextTools::Unset,
        placeholders: Arc::default(),
        door: "".into(),
        monitor,
    }
}

#[derive(Debug, Default, PartialEq)]
struct Ran {
    sent: Vec<u8>,
    judged: Vec<(String, Option<String>, bool)>,
    saw: Vec<Observation>,
    outcome: Option<Outcome>,
}

/// Feeds `chunks`, ruling each call at once: what holds `bad` anywhere is blocked, as is a faulty call.
fn run_with(protocol: Protocol, framing: Framing, chunks: &[&[u8]], end: Input<'_>, context: Context) -> Ran {
    let dialect = match protocol {
        Protocol::Anthropic => Dialect::Anthropic,
        Protocol::OpenAi => Dialect::OpenAiChat,
        Protocol::Gemini => Dialect::Gemini,
    };
    run_dialect(dialect, framing, chunks, end, context)
}

fn run_dialect(
    dialect: Dialect,
    framing: Framing,
    chunks: &[&[u8]],
    end: Input<'_>,
    context: Context,
) -> Ran {
    let mut machine = Machine::new(dialect, framing, context, Limits::default());
    let mut ran = Ran::default();
    let mut inputs: Vec<Input<'_>> = chunks.iter().map(|chunk| Input::Bytes(chunk)).collect();
    inputs.push(end);
    for input in inputs {
        let mut out = Vec::new();
        machine.step(input, &mut out);
        while !out.is_empty() {
            let mut more = Vec::new();
            for output in out {
                take(output, &mut machine, &mut ran, &mut more);
            }
            out = more;
        }
    }
    ran
}

fn take(output: Output, machine: &mut Machine, ran: &mut Ran, more: &mut Vec<Output>) {
    match output {
        Output::Send(bytes) => ran.sent.extend_from_slice(&bytes),
        Output::Saw(saw) => ran.saw.push(saw),
        Output::Judge(id, action, held) => {
            let tool = action.tool.clone().unwrap();
            let arguments = String::from_utf8(held.arguments().to_vec()).unwrap();
            let bad = arguments.contains("bad") || action.fault.is_some() || !tool.declared;
            ran.judged.push((tool.name.to_string(), action.fault.clone().or(Some(arguments)), bad));
            let monitor = machine.context.monitor;
            let ruling = if bad && !monitor {
                Ruling::Replace(format!("BLOCKED {}", tool.name))
            } else {
                Ruling::Release(held)
            };
            machine.step(Input::Ruled(id, ruling), more);
        }
        Output::Finish(outcome) => ran.outcome = Some(outcome),
        Output::KeepAlive(_) | Output::Cancel => {}
    }
}

fn events(protocol: Protocol, stream: &str) -> Ran {
    run_with(protocol, Framing::Events, &[stream.as_bytes()], Input::End, context(false))
}

fn body(protocol: Protocol, text: &str) -> Ran {
    run_with(protocol, Framing::Json, &[text.as_bytes()], Input::End, context(false))
}

impl Ran {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.sent).unwrap()
    }
    fn fault(&self) -> Option<&'static str> {
        self.outcome.as_ref().expect("finished").fault.as_ref().map(|fault| fault.code)
    }
    /// The JSON of each event sent.
    fn data(&self) -> Vec<Node> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| json::parse(data.as_bytes()).unwrap())
            .collect()
    }
}

// --- Anthropic ---

fn ev(name: &str, rest: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n")
}

fn start() -> String {
    ev(
        "message_start",
        r#","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"x","stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}"#,
    )
}

fn text_block(index: usize, text: &str) -> String {
    ev("content_block_start", &format!(r#","index":{index},"content_block":{{"type":"text","text":""}}"#))
        + &text
            .chars()
            .map(|c| {
                let delta = serde_json::json!({"type":"text_delta","text":c.to_string()});
                ev("content_block_delta", &format!(r#","index":{index},"delta":{delta}"#))
            })
            .collect::<String>()
        + &ev("content_block_stop", &format!(r#","index":{index}"#))
}

fn tool_start(index: usize, name: &str) -> String {
    ev(
        "content_block_start",
        &format!(
            r#","index":{index},"content_block":{{"type":"tool_use","id":"t{index}","name":"{name}","input":{{}}}}"#
        ),
    )
}

fn tool_delta(index: usize, fragment: &str) -> String {
    let delta = serde_json::json!({"type":"input_json_delta","partial_json":fragment});
    ev("content_block_delta", &format!(r#","index":{index},"delta":{delta}"#))
}

fn tool_stop(index: usize) -> String {
    ev("content_block_stop", &format!(r#","index":{index}"#))
}

fn tool(index: usize, name: &str, arguments: &str) -> String {
    let fragments: String = arguments.chars().map(|c| tool_delta(index, &c.to_string())).collect();
    tool_start(index, name) + &fragments + &tool_stop(index)
}

fn stop(reason: &str) -> String {
    ev(
        "message_delta",
        &format!(
            r#","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":9}}"#
        ),
    ) + &ev("message_stop", "")
}

#[test]
fn anthropic_clean_streams_are_byte_identical() {
    for stream in [
        start() + &text_block(0, "héllo") + &stop("end_turn"),
        start() + &tool(0, "Bash", r#"{"command":"ls"}"#) + &stop("tool_use"),
        start()
            + &text_block(0, "a")
            + &tool(1, "Bash", r#"{"command":"ls"}"#)
            + &ev("ping", "")
            + &tool(2, "Read", "{}")
            + &stop("tool_use"),
        start() + &tool(0, "Bash", "") + &stop("tool_use"),
    ] {
        let ran = events(Protocol::Anthropic, &stream);
        assert_eq!(ran.text(), stream);
        assert_eq!(ran.fault(), None);
        assert_eq!(ran.outcome.unwrap().usage.output, Some(9));
    }
}

#[test]
fn anthropic_a_blocked_call_becomes_a_text_block_in_its_place() {
    let ran = events(
        Protocol::Anthropic,
        &(start() + &text_block(0, "x") + &tool(1, "Bash", r#"{"command":"bad"}"#) + &stop("tool_use")),
    );
    let data = ran.data();
    assert!(!ran.text().contains("bad") && !ran.text().contains("tool_use"));
    let blocks: Vec<_> =
        data.iter().filter(|node| node.text("type") == Some("content_block_start")).collect();
    assert_eq!(blocks.iter().map(|b| b.get("index").unwrap().as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(blocks[1].get("content_block").unwrap().text("type"), Some("text"));
    assert!(ran.text().contains("BLOCKED Bash"));
    assert!(ran.text().contains(r#""stop_reason":"end_turn""#));
    assert_eq!(ran.outcome.unwrap().blocked, 1);
}

#[test]
fn anthropic_one_of_two_blocked_keeps_the_other_and_the_stop_reason() {
    let good = tool(1, "Read", r#"{"path":"a"}"#);
    let ran = events(
        Protocol::Anthropic,
        &(start() + &tool(0, "Bash", r#"{"command":"bad"}"#) + &good + &stop("tool_use")),
    );
    assert!(ran.text().contains(&good));
    assert!(ran.text().contains(r#""stop_reason":"tool_use""#));
    assert!(!ran.text().contains("bad"));
}

#[test]
fn anthropic_blocks_do_not_overlap() {
    // LiteLLM adds each delta to the block that began last: `true {}#; bad` would be another command than
    // the `true #; bad` that the index says.
    let stream = start()
        + &tool_start(0, "Read")
        + &tool_start(1, "Bash")
        + &tool_delta(1, r#"{"command":"true "#)
        + &tool_delta(0, "{}")
        + &tool_delta(1, r##"#; bad"}"##)
        + &tool_stop(1)
        + &tool_stop(0)
        + &stop("tool_use");
    let ran = events(Protocol::Anthropic, &stream);
    assert_eq!(ran.fault(), Some("anthropic.order"));
    assert!(!ran.text().contains("bad") && !ran.text().contains("tool_use"));
}

#[test]
fn anthropic_an_event_has_its_name() {
    // The official SDKs skip an event without a name: what we judged would not be what they run.
    let nameless = tool_delta(0, "echo '").replace("event: content_block_delta\n", "");
    let ran = events(
        Protocol::Anthropic,
        &(start() + &tool_start(0, "Bash") + &tool_delta(0, "{\"command\":\"") + &nameless),
    );
    assert_eq!(ran.fault(), Some("anthropic.order"));
}

#[test]
fn calls_in_places_no_sdk_reads_are_refused() {
    let call = r#"{"type":"tool_use","name":"Bash","input":{"command":"bad"}}"#;
    let function = r#"{"function":{"name":"Bash","arguments":"bad"}}"#;
    let anthropic = [
        stop("tool_use").replace("\"stop_sequence\":null", &format!("\"content\":[{call}]")),
        ev("message_delta", r#","delta":{}"#)
            + &ev("message_stop", &format!(r#","message":{{"content":[{call}]}}"#)),
        ev(
            "content_block_start",
            &format!(r#","index":0,"content_block":{{"type":"text","text":"","x":{call}}}"#),
        ),
        ev(
            "content_block_start",
            &format!(r#","index":0,"content_block":{{"type":"text","text":""}},"Content_Block":{call}"#),
        ),
    ];
    for end in anthropic {
        let ran = events(Protocol::Anthropic, &(start() + &end));
        assert!(ran.fault().is_some() && !ran.text().contains("bad"), "{end}");
    }
    let result = format!(r#","index":0,"content_block":{{"type":"x_tool_result","content":[{call}]}}"#);
    let ran = events(
        Protocol::Anthropic,
        &(start() + &ev("content_block_start", &result) + &tool_stop(0) + &stop("end_turn")),
    );
    assert!(ran.judged.len() == 1 && !ran.text().contains("bad"), "a call inside a result");
    let openai = [
        format!(r#"{{"choices":[],"message":{{"tool_calls":[{function}]}}}}"#),
        r#"{"choices":[],"output":[{"type":"function_call","name":"Bash","arguments":"bad"}]}"#.to_string(),
        format!(r#"{{"CHOICES":[{{"DELTA":{{"TOOL_CALLS":[{function}]}}}}]}}"#),
        format!(r#"{{"choices":[{{"index":0,"delta":{{"TOOL_CALLS":[{function}]}}}}]}}"#),
        format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_call\u017f":[{function}]}}}}]}}"#),
        format!(
            r#"{{"error":{{}},"choices":[{{"index":0,"delta":{{"tool_calls":[{}]}}}}]}}"#,
            piece(0, Some("Bash"), "bad")
        ),
    ];
    for data in openai {
        let ran = events(Protocol::OpenAi, &format!("{}data: {data}\n\n{}", hello(), finish("stop")));
        assert!(ran.fault().is_some() && !ran.text().contains("bad"), "{data}");
    }
}

#[test]
fn openai_what_clients_join_in_different_ways_is_refused() {
    let first = calls(&[piece(0, Some("Bash"), "{\"command\":\"")]);
    let rest = calls(&[piece(0, None, "bad")]) + &calls(&[piece(0, None, "\"}")]) + &finish("tool_calls");
    let second_choice = |delta: &str| {
        chunk("{}", "null").replace("\"index\":0,\"delta\":{}", &format!("\"index\":1,\"delta\":{delta}"))
    };
    let twice_in_one = calls(&[piece(0, Some("Bash"), "{\"command\":\""), piece(0, None, "# ")]);
    let same_choice_twice = {
        let one = format!("{{\"index\":0,\"delta\":{{\"tool_calls\":[{}]}}}}", piece(0, None, "# "));
        format!("data: {{\"choices\":[{one},{one}]}}\n\n")
    };
    let in_message =
        "data: {\"choices\":[{\"index\":0,\"message\":{\"function_call\":{\"arguments\":\"# \"}}}]}\n\n"
            .to_string();
    let unnumbered =
        calls(&[r##"{"id":"call_0","type":"function","function":{"arguments":"# "}}"##.to_owned()]);
    let odd_types = calls(&[piece(0, None, "# ")]).replace("\"id\":\"c\"", "\"id\":5");
    let odd_role = chunk(&format!(r#"{{"role":"x","tool_calls":[{}]}}"#, piece(0, None, "# ")), "null");
    let named = format!("event: x\n{}", calls(&[piece(0, None, "# ")]));
    let other_form = calls(&[piece(0, None, "# ")]).replace("data: ", "data:");
    for (what, inserted) in [
        ("a second choice", second_choice("{\"content\":\"x\"}")),
        ("one index twice", twice_in_one),
        ("one choice twice", same_choice_twice),
        ("a piece without an index", unnumbered),
        ("an id that is a number", odd_types),
        ("a role nobody has", odd_role),
        ("an event name", named),
        ("data without its space", other_form),
    ] {
        let stream = first.clone() + &inserted + &rest;
        let ran = events(Protocol::OpenAi, &stream);
        assert!(ran.fault().is_some() && !ran.text().contains("bad"), "{what}: {:?}", ran.text());
    }
    // A call in `message` is a call of its own, never part of one in `delta`.
    let ran = events(
        Protocol::OpenAi,
        &(chunk(r#"{"function_call":{"name":"Bash","arguments":"{\"command\":\"bad\"}"}}"#, "null")
            + &in_message
            + &finish("stop")),
    );
    assert_eq!(ran.judged.len(), 2);
    assert!(!ran.text().contains("bad"));
}

#[test]
fn containers_of_another_kind_are_refused() {
    let call = r#"{"type":"tool_use","id":"t","name":"Bash","input":{"command":"bad"}}"#;
    for content in [format!("{{\"0\":{call}}}"), call.to_owned()] {
        let ran = body(Protocol::Anthropic, &format!(r#"{{"type":"message","content":{content}}}"#));
        assert!(ran.fault().is_some() && ran.sent.is_empty(), "{content}");
        let stream = start().replace("\"content\":[]", &format!("\"content\":{content}"));
        assert!(events(Protocol::Anthropic, &stream).sent.is_empty());
    }
    let message = format!(r#"{{"tool_calls":[{}]}}"#, piece(0, Some("Bash"), "bad"));
    for choices in [
        format!("[[{{\"message\":{message}}}]]"),
        format!("[{{\"message\":[{message}]}}]"),
        format!("[{{\"delta\":[{message}]}}]"),
        format!("{{\"0\":{{\"message\":{message}}}}}"),
        format!("[{{\"message\":{{}},\"logprobs\":{message}}}]"),
        format!("[{{\"message\":{{}},\"finish_reason\":{message}}}]"),
    ] {
        let ran = body(Protocol::OpenAi, &format!("{{\"choices\":{choices}}}"));
        assert!(ran.fault().is_some() && ran.sent.is_empty(), "{choices}");
    }
    assert!(body(Protocol::OpenAi, &format!("{{\"choices\":[],\"error\":{message}}}")).sent.is_empty());
}

#[test]
fn free_text_is_never_judged_in_pieces_that_a_client_may_join() {
    let custom = |index: &str, id: &str, text: &str| {
        format!(r#"{{{index}"id":"{id}","type":"custom","custom":{{"name":"Bash","input":"{text}"}}}}"#)
    };
    let whole = calls(&[custom("\"index\":0,", "a", "echo hi")]) + &finish("tool_calls");
    assert_eq!(events(Protocol::OpenAi, &whole).text(), whole, "one call is one call");
    for stream in [
        calls(&[custom("", "a", "echo '")]) + &calls(&[custom("", "b", "; x; echo '")]),
        calls(&[custom("\"index\":0,", "a", "echo '")])
            + &calls(&[custom("\"index\":1,", "a", "; x; echo '")]),
    ] {
        let ran = events(Protocol::OpenAi, &(stream + &finish("tool_calls")));
        assert!(ran.judged.iter().any(|judged| judged.2) && !ran.text().contains("; x;"), "{}", ran.text());
    }
    let in_message = format!(
        "data: {{\"choices\":[{{\"index\":0,\"message\":{{\"tool_calls\":[{}]}}}}]}}\n\n",
        custom("", "b", "; x; echo '")
    );
    let ran = events(
        Protocol::OpenAi,
        &(calls(&[custom("\"index\":0,", "a", "echo '")]) + &in_message + &finish("tool_calls")),
    );
    assert!(!ran.text().contains("; x;"), "{}", ran.text());
}

#[test]
fn honest_habits_are_no_faults() {
    let empty_finish = |delta: &str| chunk(delta, "\"\"");
    for stream in [
        empty_finish(r#"{"role":"","content":"hi"}"#)
            + &empty_finish(&format!(r#"{{"role":"","tool_calls":[{}]}}"#, piece(0, Some("Bash"), "{}")))
            + &finish("tool_calls"),
        hello() + "data: {\"error\":{\"message\":\"overloaded\"}}\n\ndata: [DONE]\n\n",
        format!("event: message\n{}", calls(&[piece(0, Some("Bash"), "{}")])) + &finish("tool_calls"),
        calls(&[piece(0, Some("Bash"), "{}")]).replace("\"created\":1", "\"created\":1.7e9")
            + &finish("tool_calls"),
        chunk(r#"{"content":[{"type":"text","text":"hm"}]}"#, "null") + &finish("stop"),
        chunk(r#"{"executed_tools":[{"type":"function","name":"x","arguments":"{}"}]}"#, "null")
            + &finish("stop"),
    ] {
        let ran = events(Protocol::OpenAi, &stream);
        assert_eq!((ran.text(), ran.fault()), (stream.as_str(), None));
    }
    let stream = start() + &text_block(0, "x") + &stop("end_turn") + "data: [DONE]\n\n";
    assert_eq!(events(Protocol::Anthropic, &stream).text(), stream);
}

#[test]
fn a_flood_stays_cheap() {
    let mut machine = Machine::new(
        Dialect::Anthropic,
        Framing::Events,
        context(false),
        Limits { held: 1 << 20, ..Limits::default() },
    );
    let mut out = Vec::new();
    machine.step(Input::Bytes((start() + &tool_start(0, "Bash")).as_bytes()), &mut out);
    out.clear();
    // Comments cost a frame each: what they cost counts, not their bytes.
    machine.step(Input::Bytes(":\n\n".repeat(4000).as_bytes()), &mut out);
    assert!(out.iter().any(|o| matches!(o, Output::Finish(outcome) if outcome.fault.as_ref().is_some_and(|f| f.code == "hold.oversize"))));
    let large = format!("{{\"command\":\"{}\"}}", "x".repeat(3 << 20));
    let ran = events(
        Protocol::Anthropic,
        &(start()
            + &tool_start(0, "Bash")
            + &tool_delta(0, &large)
            + &tool_stop(0)
            + &tool_start(1, "Bash")
            + &tool_delta(1, &large)
            + &tool_stop(1)
            + &stop("tool_use")),
    );
    assert_eq!(
        ran.judged.iter().map(|judged| judged.2).collect::<Vec<_>>(),
        [false, true],
        "the second is too much"
    );
    let many: Vec<String> = (0..2000).map(|index| piece(index, Some("Bash"), "{}")).collect();
    let ran = events(Protocol::OpenAi, &(calls(&many) + &finish("tool_calls")));
    assert_eq!(
        (ran.fault(), ran.judged.len()),
        (Some("hold.calls"), 0),
        "refused before a single call is judged"
    );
}

#[test]
fn anthropic_calls_are_judged_wherever_sdks_read_them() {
    let hidden = r#"{"type":"tool_use","id":"t","name":"Bash","input":{"command":"bad"}}"#;
    let in_start = start()
        .replace(r#""content":[]"#, &format!(r#""content":[{{"type":"text","text":"hi"}},{hidden}]"#))
        + &stop("tool_use");
    let ran = events(Protocol::Anthropic, &in_start);
    assert_eq!(ran.judged.len(), 1);
    assert!(
        !ran.text().contains("bad") && ran.text().contains("BLOCKED Bash") && ran.text().contains("end_turn")
    );

    let in_block = start()
        + &ev("content_block_start", &format!(r#","index":0,"content_block":{hidden}"#))
        + &tool_stop(0)
        + &stop("tool_use");
    let ran = events(Protocol::Anthropic, &in_block);
    assert!(ran.judged[0].2 && !ran.text().contains("bad"));

    // Input given twice: readers differ on which counts.
    let twice = start()
        + &ev("content_block_start", &format!(r#","index":0,"content_block":{hidden}"#))
        + &tool_delta(0, "{}")
        + &tool_stop(0)
        + &stop("tool_use");
    assert_eq!(
        events(Protocol::Anthropic, &twice).judged[0].1.as_deref(),
        Some("its arguments are given twice")
    );

    let whole = format!(
        r#"{{"type":"message","content":[{{"type":"text","text":"hi"}},{hidden}],"stop_reason":"tool_use","usage":{{"output_tokens":1}}}}"#
    );
    let ran = body(Protocol::Anthropic, &whole);
    assert!(!ran.text().contains("bad") && ran.text().contains(r#""stop_reason":"end_turn""#));
    json::parse(ran.text().as_bytes()).unwrap();
    let clean = whole.replace("bad", "ls");
    assert_eq!(body(Protocol::Anthropic, &clean).text(), clean);
}

#[test]
fn anthropic_faults_end_the_stream_with_an_error_event() {
    let head = start() + &text_block(0, "x");
    let cases: &[(&str, String)] = &[
        ("sse.bare-cr", head.clone() + "event: content_block_start\rdata: {}\r\r"),
        (
            "json.duplicate-key",
            head.clone() + "data: {\"type\":\"ping\",\"type\":\"content_block_start\"}\n\n",
        ),
        ("anthropic.order", head.clone() + &tool_start(5, "Bash")),
        ("anthropic.order", head.clone() + &tool_delta(0, "{}")),
        ("anthropic.order", head.clone() + &start()),
        (
            "anthropic.order",
            head.clone() + "event: ping\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        ),
        ("anthropic.order", head.clone() + &tool_start(1, "Bash") + &stop("tool_use")),
        ("stream.truncated", head.clone() + &tool_start(1, "Bash") + &tool_delta(1, "{\"command\":\"bad")),
        ("stream.truncated", head.clone() + "event: ping\nda"),
        ("anthropic.order", head + &stop("end_turn") + &tool_start(1, "Bash")),
    ];
    for (code, stream) in cases {
        let ran = events(Protocol::Anthropic, stream);
        assert_eq!(ran.fault(), Some(*code), "{stream}");
        assert!(ran.text().starts_with(&start()) && ran.text().ends_with("}}\n\n"));
        assert_eq!(ran.data().last().unwrap().text("type"), Some("error"));
        assert!(!ran.text().contains("bad") && !ran.text().contains("tool_use"));
    }
    // Before byte one there is no stream to end: the door answers 502.
    let ran = events(Protocol::Anthropic, "\u{feff}data: {}\n\n");
    assert_eq!((ran.fault(), ran.sent.len()), (Some("sse.bom"), 0));
}

#[test]
fn anthropic_arguments_that_are_not_one_strict_object_block_the_call_not_the_stream() {
    for arguments in ["{\"command\":\"l", r#"{"a":1,"a":2}"#, "[]", "{} {}", "\"ls\"", r#"{"a":"\ud800"}"#] {
        let ran = events(
            Protocol::Anthropic,
            &(start() + &tool(0, "Bash", arguments) + &text_block(1, "after") + &stop("tool_use")),
        );
        assert_eq!(ran.fault(), None);
        assert!(ran.judged[0].2, "{arguments}");
        assert!(ran.text().contains("BLOCKED") && ran.text().contains(&text_block(1, "after")));
    }
}

/// A toolset is declared without a name; its tools say whose they are.
#[test]
fn anthropic_tools_of_a_declared_toolset_are_declared() {
    let request = br#"{"model":"m","tools":[{"type":"browser_toolset_20260801"}],"messages":[]}"#;
    let declared = Dialect::Anthropic.read_request(request).unwrap().declared;
    for (toolset, passes) in [(r#""browser""#, true), (r#""computer""#, false), ("null", false), ("1", false)]
    {
        let block = format!(
            r#","index":0,"content_block":{{"type":"tool_use","id":"t","name":"navigate","input":{{}},"toolset_name":{toolset}}}"#
        );
        let stream = [
            start(),
            ev("content_block_start", &block),
            tool_delta(0, r#"{"url":"https://a.example/"}"#),
            tool_stop(0),
            stop("tool_use"),
        ]
        .concat();
        let context = Context { declared: declared.clone(), ..context(false) };
        let ran = run_with(Protocol::Anthropic, Framing::Events, &[stream.as_bytes()], Input::End, context);
        assert_eq!(ran.sent == stream.as_bytes(), passes, "{toolset}: {}", ran.text());
    }
}

#[test]
fn anthropic_unknown_blocks_and_events_are_held() {
    let unknown = ev("content_block_start", r#","index":0,"content_block":{"type":"hologram","x":"bad"}"#)
        + &tool_stop(0);
    let ran = events(
        Protocol::Anthropic,
        &(start() + &unknown + &ev("surprise", r#","x":"bad""#) + &stop("end_turn")),
    );
    assert_eq!(
        ran.judged.iter().map(|j| j.0.as_str()).collect::<Vec<_>>(),
        ["block hologram", "event surprise"]
    );
    assert!(!ran.text().contains("bad") && ran.fault().is_none());
    let server = ev(
        "content_block_start",
        r#","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#,
    ) + &tool_delta(0, r#"{"query":"q"}"#)
        + &tool_stop(0);
    let stream = start() + &server + &stop("end_turn");
    assert_eq!(events(Protocol::Anthropic, &stream).judged.len(), 1, "nobody asked for provider tools");
    let mut asked = context(false);
    asked.declared.provider_tools = true;
    let ran = run_with(Protocol::Anthropic, Framing::Events, &[stream.as_bytes()], Input::End, asked);
    assert_eq!(ran.text(), stream);
    assert!(ran.saw.contains(&Observation::ProviderCall {
        name: "web_search".into(),
        input: r#"{"query":"q"}"#.into()
    }));
}

// --- OpenAI ---

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn piece(index: usize, name: Option<&str>, arguments: &str) -> String {
    let arguments = serde_json::json!(arguments);
    match name {
        Some(name) => format!(
            r#"{{"index":{index},"id":"call_{index}","type":"function","function":{{"name":"{name}","arguments":{arguments}}}}}"#
        ),
        None => format!(r#"{{"index":{index},"function":{{"arguments":{arguments}}}}}"#),
    }
}

fn calls(pieces: &[String]) -> String {
    chunk(&format!(r#"{{"tool_calls":[{}]}}"#, pieces.join(",")), "null")
}

fn finish(reason: &str) -> String {
    chunk("{}", &format!("\"{reason}\""))
        + "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n"
}

fn hello() -> String {
    chunk(r#"{"role":"assistant","content":"hi"}"#, "null")
}

#[test]
fn openai_clean_streams_are_byte_identical() {
    for stream in [
        hello() + &finish("stop"),
        hello()
            + &calls(&[piece(0, Some("Bash"), "")])
            + &calls(&[piece(0, None, "{\"command\":")])
            + &calls(&[piece(0, None, "\"ls\"}")])
            + &finish("tool_calls"),
        hello()
            + &calls(&[piece(0, Some("Bash"), "{}"), piece(1, Some("Read"), "{}")])
            + &finish("tool_calls"),
        ": OPENROUTER PROCESSING\n\n".to_owned() + &hello() + &chunk("{}", "\"stop\""),
        hello() + finish("stop").trim_end(),
        calls(&[piece(0, Some("Bash"), "")]) + &finish("stop"),
    ] {
        let ran = events(Protocol::OpenAi, &stream);
        assert_eq!(ran.text(), stream);
        assert_eq!(ran.fault(), None, "{stream}");
    }
}

#[test]
fn openai_one_of_two_blocked_renumbers_the_other() {
    let stream = hello()
        + &calls(&[piece(0, Some("Bash"), "{\"command\":"), piece(1, Some("Read"), "{\"path\":")])
        + &calls(&[piece(1, None, "\"ok\"}"), piece(0, None, "\"bad\"}")])
        + &finish("tool_calls");
    let ran = events(Protocol::OpenAi, &stream);
    assert_eq!(ran.fault(), None);
    let text = ran.text();
    assert!(
        !text.contains("bad")
            && text.contains("BLOCKED Bash")
            && text.contains(r#""finish_reason":"tool_calls""#)
    );
    let mut arguments = String::new();
    for node in ran.data() {
        for choice in node.get("choices").unwrap().elements() {
            for call in
                choice.get("delta").and_then(|d| d.get("tool_calls")).map(Node::elements).unwrap_or_default()
            {
                assert_eq!(call.get("index").unwrap().as_u64(), Some(0));
                arguments += call.get("function").unwrap().text("arguments").unwrap();
            }
        }
    }
    assert_eq!(arguments, "{\"path\":\"ok\"}");
}

#[test]
fn an_upstreams_own_error_passes_and_what_it_cut_off_is_withheld() {
    let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    let ran =
        events(Protocol::OpenAi, &(hello() + &calls(&[piece(0, Some("Bash"), "{\"command\":\"ba")]) + error));
    assert_eq!(ran.text(), hello() + error);
    assert_eq!(ran.outcome.unwrap().withheld, 1);
    let error = ev("error", r#","error":{"type":"overloaded_error","message":"x"}"#);
    let ran = events(Protocol::Anthropic, &(start() + &tool_start(0, "Bash") + &error));
    assert_eq!(ran.text(), start() + &error);
}

#[test]
fn openai_all_blocked_ends_with_stop() {
    let stream = chunk(
        &format!(
            r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#,
            piece(0, Some("Bash"), "{\"command\":\"bad\"}")
        ),
        "null",
    ) + &finish("tool_calls");
    let ran = events(Protocol::OpenAi, &stream);
    assert!(
        ran.text().contains(r#""finish_reason":"stop""#) && !ran.text().contains("tool_calls"),
        "{}",
        ran.text()
    );
    assert!(ran.text().contains(r#""delta":{"role":"assistant","content":null}"#));
    let legacy = chunk(r#"{"function_call":{"name":"Bash","arguments":"{\"c\":\"bad\"}"}}"#, "null")
        + &finish("function_call");
    let ran = events(Protocol::OpenAi, &legacy);
    assert!(!ran.text().contains("function_call") && ran.text().contains("BLOCKED Bash"));
}

#[test]
fn openai_calls_are_judged_in_every_choice_and_container() {
    let mut asked = context(false);
    asked.declared.choices = 2;
    let two = hello().replace(
        "\"choices\":[",
        &format!("\"choices\":[{{\"index\":1,\"delta\":{{\"tool_calls\":[{}]}},\"finish_reason\":\"tool_calls\"}},", piece(0, Some("Bash"), "{\"command\":\"bad\"}")),
    ) + &finish("stop");
    let ran = run_with(Protocol::OpenAi, Framing::Events, &[two.as_bytes()], Input::End, asked);
    assert!(
        !ran.text().contains("bad")
            && ran.text().contains("\"index\":1,\"delta\":{\"content\":\"BLOCKED Bash\"}"),
        "{}",
        ran.text()
    );

    let message = |content: &str| {
        format!(
            r#"{{"id":"c","choices":[{{"index":0,"message":{{"role":"assistant","content":{content},"tool_calls":[{},{}]}},"finish_reason":"tool_calls"}}]}}"#,
            piece(0, Some("Bash"), "{\"command\":\"bad\"}"),
            piece(1, Some("Read"), "{}")
        )
    };
    for (content, told) in
        [("null", "BLOCKED Bash"), ("\"hi\"", "hi\\n\\nBLOCKED Bash"), ("[]", "BLOCKED Bash")]
    {
        let ran = body(Protocol::OpenAi, &message(content));
        json::parse(&ran.sent).unwrap();
        assert!(
            ran.text().contains(told) && ran.text().contains("call_1") && !ran.text().contains("bad"),
            "{}",
            ran.text()
        );
    }
    let one = message("null").replace(&format!(",{}", piece(1, Some("Read"), "{}")), "");
    let ran = body(Protocol::OpenAi, &one);
    assert!(
        ran.text().contains(r#""finish_reason":"stop""#) && !ran.text().contains("tool_calls"),
        "{}",
        ran.text()
    );
    let bare = one.replace("\"content\":null,", "");
    assert_eq!(
        json::parse(&body(Protocol::OpenAi, &bare).sent).unwrap().get("choices").unwrap().elements()[0]
            .get("message")
            .unwrap()
            .text("content"),
        Some("BLOCKED Bash")
    );
    let clean = message("null").replace("bad", "ls");
    assert_eq!(body(Protocol::OpenAi, &clean).text(), clean);
}

#[test]
fn openai_tolerates_only_what_is_unambiguous() {
    let no_index = |id: &str, arguments: &str| {
        let arguments = serde_json::json!(arguments);
        calls(&[format!(
            r#"{{"id":"{id}","type":"function","function":{{"name":"Bash","arguments":{arguments}}}}}"#
        )])
    };
    let stream = no_index("a", "{\"command\":\"ls\"}")
        + &no_index("b", "{\"command\":\"bad\"}")
        + &finish("tool_calls");
    let ran = events(Protocol::OpenAi, &stream);
    assert_eq!((ran.judged.len(), ran.fault()), (2, None));
    assert!(!ran.text().contains("bad"));

    let merged = calls(&[piece(0, Some("Bash"), "{")])
        + &calls(&[r#"{"index":0,"id":"other","function":{"arguments":"}"}}"#.to_owned()]);
    assert_eq!(events(Protocol::OpenAi, &merged).fault(), Some("openai.merged-index"));
    let gap = calls(&[piece(3, Some("Bash"), "{}")]);
    assert_eq!(events(Protocol::OpenAi, &gap).fault(), Some("openai.order"));
    let late = hello()
        + &calls(&[piece(0, Some("Bash"), "{}")])
        + &chunk("{}", "\"tool_calls\"")
        + &calls(&[piece(0, None, "bad")]);
    let ran = events(Protocol::OpenAi, &late);
    assert_eq!(ran.fault(), Some("openai.order"));
    assert!(!ran.text().contains("bad"));
    let renamed = calls(&[piece(0, Some("Read"), "{}")])
        + &calls(&[piece(0, Some("Bash"), "")])
        + &finish("tool_calls");
    assert!(events(Protocol::OpenAi, &renamed).judged[0].2);
    let odd = calls(&[piece(0, Some("Bash"), "{\"a\":")])
        + &calls(&[r#"{"index":0,"type":"odd","function":{"arguments":"1}"}}"#.to_owned()])
        + &finish("tool_calls");
    assert!(events(Protocol::OpenAi, &odd).judged[0].2, "an unknown type does not smuggle arguments");
    let stray = chunk(r#"{"plugins":[{"name":"Bash","arguments":"bad"}]}"#, "null");
    assert_eq!(events(Protocol::OpenAi, &(hello() + &stray)).fault(), Some("openai.stray-call"));
    let unfinished = hello() + &calls(&[piece(0, Some("Bash"), "{}")]);
    assert_eq!(events(Protocol::OpenAi, &unfinished).fault(), Some("stream.truncated"));
}

/// Ollama's models without a parser of their own, Google's compatible endpoint and others count every call
/// from 0. What goes out is numbered, so that every client reads the calls that were judged.
#[test]
fn openai_an_index_used_again_is_numbered_anew() {
    let call = |id: &str, arguments: &str| piece(0, Some("Bash"), arguments).replace("call_0", id);
    let one = |call: &String| calls(std::slice::from_ref(call));
    let ls = "{\"command\":\"ls\"}";
    let (a, b, c) = (call("a", ls), call("b", "{\"command\":\"bad\"}"), call("c", ls));
    let indices = |text: &str| -> Vec<(String, u64)> {
        text.lines()
            .filter_map(|line| line.strip_prefix("data: {"))
            .flat_map(|line| {
                let event: serde_json::Value = serde_json::from_str(&format!("{{{line}")).unwrap();
                let calls =
                    event["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default();
                calls.into_iter().map(|call| {
                    (call["id"].as_str().unwrap_or_default().to_owned(), call["index"].as_u64().unwrap())
                })
            })
            .collect()
    };
    let numbered = |ids: &[(&str, u64)]| -> Vec<(String, u64)> {
        ids.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect()
    };
    let clean = hello() + &one(&a) + &one(&c) + &finish("tool_calls");
    let ran = events(Protocol::OpenAi, &clean);
    assert_eq!((ran.judged.len(), ran.fault()), (2, None));
    assert_eq!(indices(ran.text()), numbered(&[("a", 0), ("c", 1)]));
    assert_eq!(ran.text().replacen("\"index\":1,\"id\":\"c\"", "\"index\":0,\"id\":\"c\"", 1), clean);

    let together = calls(&[a.clone(), b.clone(), c.clone()]) + &finish("tool_calls");
    let apart = one(&a) + &calls(&[b]) + &calls(&[c]) + &finish("tool_calls");
    for stream in [together, apart] {
        let ran = events(Protocol::OpenAi, &stream);
        assert_eq!((ran.judged.len(), ran.fault()), (3, None));
        assert!(!ran.text().contains("bad\\"), "{}", ran.text());
        assert_eq!(indices(ran.text()), numbered(&[("a", 0), ("c", 1)]));
    }

    // In pieces: what has no id goes on with the call that began last.
    let pieces = calls(&[call("a", "{\"command\":")])
        + &calls(&[piece(0, None, "\"ls\"}")])
        + &calls(&[call("b", "{\"command\":")])
        + &calls(&[piece(0, None, "\"bad\"}")])
        + &calls(&[call("c", "{")])
        + &calls(&[piece(0, None, "}")])
        + &finish("tool_calls");
    let ran = events(Protocol::OpenAi, &pieces);
    assert_eq!(ran.judged.iter().filter(|call| call.2).count(), 1);
    assert!(ran.judged.len() == 3 && !ran.text().contains("bad\\"), "{}", ran.text());
    assert_eq!(indices(ran.text()), numbered(&[("a", 0), ("", 0), ("c", 1), ("", 1)]));

    // Nobody can say whose piece this is: by id it is the first call's, by place the second's.
    let back = calls(&[call("a", "{")])
        + &calls(&[call("b", ls)])
        + &calls(&[r#"{"index":0,"id":"a","function":{"arguments":"}"}}"#.to_owned()]);
    assert_eq!(events(Protocol::OpenAi, &back).fault(), Some("openai.merged-index"));
    let again = one(&a) + &calls(&[call("b", ls)]) + &calls(&[a]);
    assert_eq!(events(Protocol::OpenAi, &again).fault(), Some("openai.merged-index"));
}

#[test]
fn openai_what_an_error_cut_off_is_withheld() {
    let cut = hello() + &calls(&[piece(0, Some("Bash"), "{\"command\":\"l")]);
    let error = "data: {\"error\":{\"message\":\"x\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n";
    for end in ["", "data: [DONE]\n\n"] {
        let ran = events(Protocol::OpenAi, &(cut.clone() + error + end));
        assert_eq!((ran.judged.len(), ran.fault()), (0, None));
        assert_eq!(ran.text(), hello() + error, "no notice speaks of arguments that were not complete");
    }
}

#[test]
fn anthropic_streams_may_end_as_openais_do() {
    let clean = start() + &text_block(0, "hi") + &tool(1, "Bash", "{\"command\":\"ls\"}") + &stop("tool_use");
    let without = clean.replace(&ev("message_stop", ""), "");
    assert_ne!(clean, without);
    for stream in [clean + "data: [DONE]\n\n", without.clone() + "data: [DONE]\n\n"] {
        let ran = events(Protocol::Anthropic, &stream);
        assert_eq!((ran.text(), ran.fault()), (stream.as_str(), None));
    }
    // With a name the SDKs would parse it.
    let named = without.clone() + "event: data\ndata: [DONE]\n\n";
    assert!(events(Protocol::Anthropic, &named).fault().is_some());
    let early = start() + "data: [DONE]\n\n";
    assert!(events(Protocol::Anthropic, &early).fault().is_some(), "the message has not ended");
    let more = without + "data: [DONE]\n\n" + &text_block(2, "late");
    assert_eq!(events(Protocol::Anthropic, &more).fault(), Some("anthropic.order"));
}

#[test]
fn a_surrogate_pair_may_be_cut_between_deltas() {
    let half = |text: &str| {
        ev(
            "content_block_delta",
            &format!(r#","index":0,"delta":{{"type":"input_json_delta","partial_json":"{text}"}}"#),
        )
    };
    let stream = start()
        + &tool_start(0, "Bash")
        + &half(r#"{\"command\":\"\ud83d"#)
        + &half(r#"\ude00\"}"#)
        + &tool_stop(0)
        + &stop("tool_use");
    let ran = events(Protocol::Anthropic, &stream);
    assert_eq!(ran.judged[0].1.as_deref(), Some("{\"command\":\"\u{1f600}\"}"));
    assert_eq!(ran.text(), stream);
}

// --- both ---

#[test]
fn monitor_never_alters_a_byte() {
    let streams = [
        (Protocol::Anthropic, start() + &tool(0, "Bash", "{\"command\":\"bad\"}") + &stop("tool_use")),
        (
            Protocol::Anthropic,
            start() + &tool_start(0, "Bash") + "data: {\"type\":1,\"type\":2}\n\nrest \u{feff} of it",
        ),
        (Protocol::Anthropic, start() + "event: x\rdata: {}\r\r" + &tool(0, "Bash", "{}")),
        (Protocol::Anthropic, start() + &tool_start(0, "Bash") + "event: cont"),
        (
            Protocol::OpenAi,
            hello() + &calls(&[piece(0, Some("Bash"), "{\"command\":\"bad\"}")]) + &finish("tool_calls"),
        ),
        (Protocol::OpenAi, hello() + "data: {\n\n" + &hello()),
        (
            Protocol::Gemini,
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"Bash\",\"args\":{\"c\":\"bad\"}}}]}}]}\n\n".to_owned(),
        ),
    ];
    let garbled = [start().as_bytes(), b"data: \"\xff\"\n\nand more"].concat();
    let ran = run_with(Protocol::Anthropic, Framing::Events, &[&garbled], Input::End, context(true));
    assert_eq!(ran.sent, garbled);
    for (protocol, stream) in &streams {
        for size in [1, 7, stream.len()] {
            let chunks: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            let ran = run_with(*protocol, Framing::Events, &chunks, Input::End, context(true));
            assert_eq!(String::from_utf8_lossy(&ran.sent), *stream);
            assert!(ran.outcome.is_some());
        }
    }
    for text in [
        "not json at all",
        r#"{"type":"message","content":[{"type":"tool_use","name":"Bash","input":{"c":"bad"}}]}"#,
    ] {
        let ran = run_with(Protocol::Anthropic, Framing::Json, &[text.as_bytes()], Input::End, context(true));
        assert_eq!(ran.text(), text);
    }
}

#[test]
fn unknown_endpoints_pass_unless_they_carry_what_could_be_a_call() {
    let run = |framing, text: &str| {
        let mut machine =
            Machine::new(Dialect::Unknown(Protocol::OpenAi), framing, context(false), Limits::default());
        let mut out = Vec::new();
        machine.step(Input::Bytes(text.as_bytes()), &mut out);
        machine.step(Input::End, &mut out);
        let sent: Vec<u8> = out
            .iter()
            .filter_map(|o| if let Output::Send(b) = o { Some(b.to_vec()) } else { None })
            .flatten()
            .collect();
        let fault = out
            .iter()
            .find_map(|o| if let Output::Finish(outcome) = o { outcome.fault.clone() } else { None });
        (String::from_utf8(sent).unwrap(), fault.map(|fault| fault.code))
    };
    let text = r#"{"output":[{"type":"message","content":"hi"}]}"#;
    assert_eq!(run(Framing::Json, text), (text.to_owned(), None));
    let call = r#"{"output":[{"type":"function_call","name":"Bash","arguments":"{}"}]}"#;
    assert_eq!(run(Framing::Json, call), (String::new(), Some("unknown.call")));
    let stream = format!("data: {text}\n\ndata: {call}\n\n");
    let (sent, fault) = run(Framing::Events, &stream);
    assert!(
        sent.starts_with(&format!("data: {text}\n\n"))
            && !sent.contains("Bash")
            && fault == Some("unknown.call")
    );
}

#[test]
fn a_revoked_stream_stops_at_once_and_ends_as_its_protocol_does() {
    let mut machine = Machine::new(Dialect::Anthropic, Framing::Events, context(false), Limits::default());
    let mut out = Vec::new();
    let stream = start() + &text_block(0, "x") + &tool(1, "Bash", "{}");
    machine.step(Input::Bytes(stream.as_bytes()), &mut out);
    out.clear();
    machine.step(Input::Revoked(Fault::new("kill", "stopped by its operator")), &mut out);
    assert!(
        matches!(&out[..], [Output::Cancel, Output::Send(bytes), Output::Finish(_)] if bytes.starts_with(b"event: error\n"))
    );
    out.clear();
    machine.step(Input::Bytes(b"data: x\n\n"), &mut out);
    assert!(out.is_empty());
}

#[test]
fn what_waits_behind_a_call_is_bounded_and_a_silent_client_is_kept_alive() {
    let limits = Limits { held: 4096, ..Limits::default() };
    let mut machine = Machine::new(Dialect::Anthropic, Framing::Events, context(false), limits);
    let mut out = Vec::new();
    machine.step(Input::Tick(1), &mut out);
    machine.step(Input::Bytes((start() + &tool_start(0, "Bash")).as_bytes()), &mut out);
    out.clear();
    machine.step(Input::Tick(4_000), &mut out);
    assert!(out.is_empty());
    machine.step(Input::Tick(5_000), &mut out);
    let [Output::KeepAlive(ping)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(&ping[..], b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
    machine.step(Input::Tick(9_000), &mut out);
    assert_eq!(out.len(), 1, "not more often than needed");
    for _ in 0..40 {
        machine.step(Input::Bytes(tool_delta(0, &"bad".repeat(40)).as_bytes()), &mut out);
    }
    let fault =
        out.iter().find_map(|o| if let Output::Finish(outcome) = o { outcome.fault.clone() } else { None });
    assert_eq!(fault.unwrap().code, "hold.oversize");
}

fn arbitrary_stream() -> impl Strategy<Value = (Protocol, String)> {
    let word = prop_oneof![Just("ls".to_owned()), Just("bad \"quoted\" \\ é😀".to_owned()), any::<String>(),];
    let item = prop_oneof![
        3 => (Just(0u8), word.clone()),
        3 => (Just(1u8), word.clone()),
        1 => (Just(2u8), word.clone()),
        1 => (Just(3u8), word),
    ];
    (any::<bool>(), proptest::collection::vec(item, 0..5), 0u8..6).prop_map(|(anthropic, items, tail)| {
        let mut stream = if anthropic { start() } else { hello() };
        let mut index = 0;
        for (kind, word) in &items {
            let arguments = serde_json::json!({ "command": word }).to_string();
            match (anthropic, kind) {
                (true, 0) => stream += &text_block(index, word),
                (true, 1) => stream += &tool(index, "Bash", &arguments),
                (true, 2) => stream += &tool(index, "Nope", &arguments),
                (true, _) => stream += &tool(index, "Read", word),
                (false, 0) => stream += &chunk(&serde_json::json!({ "content": word }).to_string(), "null"),
                (false, 1 | 2) => stream += &calls(&[piece(index, Some("Bash"), &arguments)]),
                (false, _) => {
                    stream += &calls(&[piece(index, Some("Read"), "")]);
                    for c in word.chars().take(4) {
                        stream += &calls(&[piece(index, None, &c.to_string())]);
                    }
                }
            }
            if anthropic || *kind != 0 {
                index += 1;
            }
        }
        let end = if anthropic { stop("tool_use") } else { finish("tool_calls") };
        match tail {
            0 => stream += "event: x\rdata: {}\n\n",
            1 => {
                stream.truncate((0..=stream.len() / 2).rev().find(|at| stream.is_char_boundary(*at)).unwrap())
            }
            2 => stream += "data: {\"a\":1,\"a\":2}\n\n",
            _ => stream += &end,
        }
        (if anthropic { Protocol::Anthropic } else { Protocol::OpenAi }, stream)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Any split of the same bytes: the same judgements, the same bytes out, the same end. Every
    /// boundary is tried by cutting into single bytes as well.
    #[test]
    fn chunking_invariance((protocol, stream) in arbitrary_stream(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let bytes = stream.as_bytes();
        let whole = run_with(protocol, Framing::Events, &[bytes], Input::End, context(false));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&run_with(protocol, Framing::Events, &single, Input::End, context(false)), &whole);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.push(0);
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&run_with(protocol, Framing::Events, &chunks, Input::End, context(false)), &whole);
    }

    /// Text taken by template is what reading it in full would have made of it: a comment between two events
    /// ends the template, and changes nothing else.
    #[test]
    fn templates_change_nothing(
        anthropic in any::<bool>(),
        texts in proptest::collection::vec(r#"([a-z ]{0,9}|\\[nu"/x\\]|d83d|de00|"|",|"delta":|\}|é|\u{2028}|\u{2028}data:|\u{85}|\t|\n\n)"#, 1..12),
        pads in proptest::collection::vec("[a-z]{0,3}|\"", 12),
    ) {
        let protocol = if anthropic { Protocol::Anthropic } else { Protocol::OpenAi };
        let event = |(text, pad): (&String, &String)| if anthropic {
            ev("content_block_delta", &format!(r#","index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#))
        } else {
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}],\"obfuscation\":\"{pad}\"}}\n\n")
        };
        let texts: Vec<String> = texts.iter().zip(&pads).map(event).collect();
        let (head, tail) = if anthropic {
            let begin = ev("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#);
            (start() + &begin, ev("content_block_stop", r#","index":0"#) + &stop("end_turn"))
        } else {
            (hello(), finish("stop"))
        };
        let run = |between: &str| {
            let stream = head.clone() + &texts.concat().replace("event:", &format!("{between}event:"))
                .replace("data: {\"choices\"", &format!("{between}data: {{\"choices\"")) + &tail;
            let mut ran = run_with(protocol, Framing::Events, &[stream.as_bytes()], Input::End, context(false));
            ran.sent = ran.text().replace(": comment\n\n", "").into_bytes();
            ran
        };
        prop_assert_eq!(run(""), run(": comment\n\n"));
    }

    /// What nothing in it is blocked goes through untouched; of a blocked call no argument comes out.
    #[test]
    fn untouched_or_unseen((protocol, stream) in arbitrary_stream()) {
        let ran = run_with(protocol, Framing::Events, &[stream.as_bytes()], Input::End, context(false));
        let outcome = ran.outcome.clone().unwrap();
        if outcome.blocked == 0 && outcome.fault.is_none() {
            prop_assert_eq!(ran.text(), &stream);
        }
        let sent: Vec<String> = ran.data().iter().flat_map(fragments).collect();
        let sent = sent.concat();
        for (_, arguments, bad) in &ran.judged {
            if *bad && arguments.as_deref().is_some_and(|a| a.contains("bad \"") || a.contains("bad \\\"")) {
                prop_assert!(!sent.contains("bad"));
            }
        }
    }

    /// Any text anywhere: never a panic, never a byte after the end.
    #[test]
    fn any_text_without_a_panic(text in any::<String>(), anthropic in any::<bool>(), at in any::<prop::sample::Index>()) {
        let protocol = if anthropic { Protocol::Anthropic } else { Protocol::OpenAi };
        let mut stream = if anthropic { start() + &tool(0, "Bash", "{}") + &stop("tool_use") } else { hello() + &calls(&[piece(0, Some("Bash"), "{}")]) + &finish("tool_calls") };
        let at = (0..=at.index(stream.len())).rev().find(|at| stream.is_char_boundary(*at)).unwrap();
        stream.insert_str(at, &text);
        prop_assert!(run_with(protocol, Framing::Events, &[stream.as_bytes()], Input::End, context(false)).outcome.is_some());
        prop_assert!(run_with(protocol, Framing::Json, &[stream.as_bytes()], Input::End, context(false)).outcome.is_some());
    }
}

/// The argument fragments in an event.
fn fragments(node: &Node) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(text) = node.get("delta").and_then(|d| d.text("partial_json")) {
        out.push(text.to_owned());
    }
    for choice in node.get("choices").map(Node::elements).unwrap_or_default() {
        for call in
            choice.get("delta").and_then(|d| d.get("tool_calls")).map(Node::elements).unwrap_or_default()
        {
            out.extend(call.get("function").and_then(|f| f.text("arguments")).map(str::to_owned));
        }
    }
    out
}
