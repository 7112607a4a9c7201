//! What fuzzing found in the stream machine, one test for each.

use doorward_core::Coverage;
use doorward_core::stream::{Context, Dialect, Framing, Input, Limits, Machine, Output, Ruling};
use doorward_core::wire::request::Declared;
use doorward_core::wire::text_tools::TextTools;

fn context(monitor: bool) -> Context {
    let declared = Declared { tools: ["Bash".to_owned()].into(), ..Declared::default() };
    let (agent, session, peer) = ("a".into(), "s".into(), "p".into());
    let text_tools = TextTools::None;
    let before = doorward_core::action::shell::State::default();
    Context {
        agent,
        session,
        peer,
        trusted: false,
        declared,
        before,
        text_tools,
        door: "".into(),
        placeholders: std::sync::Arc::default(),
        monitor,
    }
}

/// Runs the inputs, releasing every call at once; what was sent and how it ended, if it did.
fn run(machine: &mut Machine, inputs: Vec<Input<'_>>) -> (String, Option<Option<&'static str>>) {
    let (mut sent, mut ended) = (Vec::new(), None);
    for input in inputs {
        let mut waiting = vec![input];
        while let Some(input) = waiting.pop() {
            let mut out = Vec::new();
            machine.step(input, &mut out);
            for output in out {
                match output {
                    Output::Send(bytes) => sent.extend_from_slice(&bytes),
                    Output::Judge(id, _, held) => waiting.insert(0, Input::Ruled(id, Ruling::Release(held))),
                    Output::Finish(outcome) => ended = Some(outcome.fault.map(|fault| fault.code)),
                    Output::Saw(_) | Output::KeepAlive(_) | Output::Cancel => {}
                }
            }
        }
    }
    (String::from_utf8(sent).unwrap(), ended)
}

#[test]
fn a_reply_that_breaks_off_after_a_fault_in_monitor_mode_comes_to_its_end() {
    let mut machine = Machine::new(Dialect::Anthropic, Framing::Events, context(true), Limits::default());
    let ran = run(&mut machine, vec![Input::Bytes(b"nonsense\n\n"), Input::Bytes(b"more"), Input::Aborted]);
    assert_eq!(ran, ("nonsense\n\nmore".to_owned(), Some(Some("sse.field"))));
}

#[test]
fn what_nobody_knows_is_counted_as_what_was_ruled_on_it() {
    let anthropic = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    let response = r#"{"id":"r","object":"response","status":"completed","output":[]}"#;
    let begins = response.replace("completed", "in_progress");
    let responses = [
        &*format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{begins}}}\n\n"
        ),
        &*format!(
            "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n"
        ),
    ];
    let odd = "event: odd\ndata: {\"type\":\"odd\"}\n\n";
    for (dialect, [start, end]) in [(Dialect::Anthropic, anthropic), (Dialect::OpenAiResponses, responses)] {
        for release in [true, false] {
            let mut machine = Machine::new(dialect, Framing::Events, context(false), Limits::default());
            let mut out = Vec::new();
            machine.step(Input::Bytes(format!("{start}{odd}{end}").as_bytes()), &mut out);
            let judged = out.into_iter().find_map(|output| match output {
                Output::Judge(id, _, held) => Some((id, held)),
                _ => None,
            });
            let (id, held) = judged.unwrap();
            let ruling = if release { Ruling::Release(held) } else { Ruling::Replace("no".to_owned()) };
            let (sent, _) = run(&mut machine, vec![Input::Ruled(id, ruling)]);
            assert_eq!(sent.contains("event: odd"), release);
            let mut out = Vec::new();
            machine.step(Input::End, &mut out);
            let counts = out.iter().find_map(|output| match output {
                Output::Finish(outcome) => Some((outcome.released, outcome.blocked, outcome.withheld)),
                _ => None,
            });
            assert_eq!(counts, Some((u32::from(release), u32::from(!release), 0)), "{dialect:?}");
        }
    }
}

#[test]
fn a_call_with_arguments_where_another_kind_of_call_has_them_is_faulty() {
    for call in [
        r#"{"id":"a","type":"custom","custom":{"name":"Bash","arguments":"{}"}}"#,
        r#"{"id":"a","type":"function","function":{"name":"Bash","arguments":"{}","input":"x"}}"#,
        r#"{"id":"a","function":{"name":"Bash","args":{"command":"x"}}}"#,
    ] {
        let body = format!(
            r#"{{"choices":[{{"index":0,"message":{{"tool_calls":[{call}]}},"finish_reason":"tool_calls"}}]}}"#
        );
        let mut machine = Machine::new(Dialect::OpenAiChat, Framing::Json, context(false), Limits::default());
        let mut out = Vec::new();
        machine.step(Input::Bytes(body.as_bytes()), &mut out);
        machine.step(Input::End, &mut out);
        let faulty =
            |output: &Output| matches!(output, Output::Judge(_, action, _) if action.fault.is_some());
        assert!(out.iter().any(faulty), "{call}");
    }
}

#[test]
fn monitor_mode_keeps_an_event_that_has_a_name_and_no_data() {
    let mut machine = Machine::new(Dialect::Anthropic, Framing::Events, context(true), Limits::default());
    let ran = run(&mut machine, vec![Input::Bytes(b"event: x\n\nrest"), Input::End]);
    assert_eq!(ran, ("event: x\n\nrest".to_owned(), Some(Some("sse.no-data"))));
}

#[test]
fn how_much_may_wait_behind_a_call_does_not_depend_on_how_the_bytes_were_cut() {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let call = |index: usize, arguments: usize| {
        let delta = format!(
            r#","index":{index},"delta":{{"type":"input_json_delta","partial_json":"{{\"c\":\"{}\"}}"}}"#,
            "x".repeat(arguments)
        );
        let block = r#"{"type":"tool_use","id":"t","name":"Bash","input":{}}"#;
        event("content_block_start", &format!(r#","index":{index},"content_block":{block}"#))
            + &event("content_block_delta", &delta)
            + &event("content_block_stop", &format!(r#","index":{index}"#))
    };
    let start = event("message_start", r#","message":{"content":[]}"#);
    let end = event("message_delta", r#","delta":{}"#) + &event("message_stop", "");
    let limits = Limits { held: 4096, ..Limits::default() };
    for (second, fault) in [(1500, None), (3000, Some("hold.oversize"))] {
        // The first call is complete and waits for its ruling while the second comes.
        let stream = format!("{start}{}{}{end}", call(0, 1500), call(1, second));
        for size in [1, 100, stream.len()] {
            let mut machine = Machine::new(Dialect::Anthropic, Framing::Events, context(false), limits);
            let pieces = stream.as_bytes().chunks(size).map(Input::Bytes);
            let (sent, ended) = run(&mut machine, pieces.chain([Input::End]).collect());
            assert_eq!(ended, Some(fault), "{size}");
            assert!(sent.contains(&"x".repeat(1500)), "the first call is complete either way");
        }
    }
}

#[test]
fn a_piece_of_a_call_under_a_key_in_camel_case_is_a_stray_call() {
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"toolCalls\":[{\"index\":0,\"function\":{\"arguments\":\"x\"}}]}}]}\n\n";
    let mut machine = Machine::new(Dialect::OpenAiChat, Framing::Events, context(false), Limits::default());
    let (sent, ended) = run(&mut machine, vec![Input::Bytes(stream.as_bytes()), Input::End]);
    assert_eq!((sent.as_str(), ended), ("", Some(Some("openai.stray-call"))));
}

#[test]
fn text_that_is_not_held_is_not_said_to_be() {
    let body = r#"{"object":"text_completion","choices":[{"index":0,"text":"x","finish_reason":"stop"}]}"#;
    let context = Context { text_tools: TextTools::Xml, ..context(false) };
    let mut machine = Machine::new(Dialect::OpenAiCompletions, Framing::Json, context, Limits::default());
    let mut out = Vec::new();
    machine.step(Input::Bytes(body.as_bytes()), &mut out);
    machine.step(Input::End, &mut out);
    let partial = |output: &Output| matches!(output, Output::Finish(outcome) if outcome.coverage == Coverage::Partial("text-tools".to_owned()));
    assert!(out.iter().any(partial), "{out:?}");
}

#[test]
fn a_call_in_a_refused_event_does_not_keep_its_siblings_waiting() {
    let call = r#"{"functionCall":{"name":"Bash","args":{}}}"#;
    let chunk = format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{call}]}},\"index\":0}}]}}\n\n");
    // The second call is one too many; the first was complete before.
    let limits = Limits { calls: 1, ..Limits::default() };
    for size in [chunk.len(), 2 * chunk.len()] {
        let mut machine = Machine::new(Dialect::Gemini, Framing::Events, context(false), limits);
        let stream = chunk.repeat(2);
        let pieces = stream.as_bytes().chunks(size).map(Input::Bytes);
        let (sent, ended) = run(&mut machine, pieces.chain([Input::End]).collect());
        assert_eq!(ended, Some(Some("hold.calls")), "it must come to its end");
        assert!(sent.starts_with(&chunk), "{sent}");
    }
}

#[test]
fn a_piece_of_a_call_under_the_name_of_another_kind_is_a_stray_call() {
    for (piece, refused) in [
        (r#"{"custom_tool_call":{"arguments":"x"}}"#, true),
        (r#"{"mcp_calls":[{"input":"x"}]}"#, true),
        (r#"{"browserToolUse":{"name":"x"}}"#, true),
        // A provider's count of its own tools.
        (r#"{"server_tool_use":{"web_search_requests":1}}"#, false),
        (r#"{"content":"x","calls":2}"#, false),
    ] {
        let chunk = format!("data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{piece}}}]}}\n\n");
        let mut machine =
            Machine::new(Dialect::OpenAiChat, Framing::Events, context(false), Limits::default());
        let (sent, ended) = run(&mut machine, vec![Input::Bytes(chunk.as_bytes())]);
        let stray = ended.flatten().is_some_and(|code| code.contains("stray"));
        assert_eq!((stray, sent.is_empty()), (refused, refused), "{piece}: {ended:?}");
    }
}
