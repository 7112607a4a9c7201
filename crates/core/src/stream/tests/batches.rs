//! Replies that carry replies, and text completions.

use super::*;

fn ran(batch: Batch, framing: Framing, chunks: &[&[u8]], trusted: bool) -> Ran {
    let context = Context { trusted, declared: Declared::unseen(), ..context(false) };
    run_dialect(Dialect::Batch(batch), framing, chunks, Input::End, context)
}

/// Rules as [`take`] does, which blocks what was not declared; here nobody knows, so only `bad` is blocked.
fn ruled(batch: Batch, framing: Framing, text: &str) -> Ran {
    let context = Context { declared: Declared::unseen(), ..context(false) };
    let mut machine = Machine::new(Dialect::Batch(batch), framing, context, Limits::default());
    let mut ran = Ran::default();
    let mut out = Vec::new();
    machine.step(Input::Bytes(text.as_bytes()), &mut out);
    machine.step(Input::End, &mut out);
    while !out.is_empty() {
        let mut more = Vec::new();
        for output in out {
            match output {
                Output::Judge(id, action, held) => {
                    assert_eq!(
                        (action.source, action.tool.as_ref().unwrap().declared),
                        (Source::Unknown, false)
                    );
                    assert!(
                        matches!(&action.coverage, Coverage::Partial(why) if why.contains("declared tools unknown"))
                    );
                    let bad =
                        held.arguments().windows(3).any(|three| three == b"bad") || action.fault.is_some();
                    ran.judged.push((action.tool.unwrap().name.to_string(), None, bad));
                    let ruling =
                        if bad { Ruling::Replace("BLOCKED".to_owned()) } else { Ruling::Release(held) };
                    machine.step(Input::Ruled(id, ruling), &mut more);
                }
                Output::Send(bytes) => ran.sent.extend_from_slice(&bytes),
                Output::Finish(outcome) => ran.outcome = Some(outcome),
                Output::Saw(saw) => ran.saw.push(saw),
                Output::KeepAlive(_) | Output::Cancel => {}
            }
        }
        out = more;
    }
    ran
}

fn message(id: &str, command: &str) -> String {
    format!(
        r#"{{"custom_id":"{id}","result":{{"type":"succeeded","message":{{"id":"m","type":"message","role":"assistant","content":[{{"type":"text","text":"hi"}},{{"type":"tool_use","id":"t","name":"Bash","input":{{"command":"{command}"}}}}],"stop_reason":"tool_use","usage":{{"input_tokens":1,"output_tokens":2}}}}}}}}"#
    ) + "\n"
}

fn errored(id: &str) -> String {
    format!(
        r#"{{"custom_id":"{id}","result":{{"type":"errored","error":{{"type":"error","error":{{"type":"invalid_request_error","message":"no tool_use"}}}}}}}}"#
    ) + "\n"
}

fn chat(id: &str, command: &str) -> String {
    let call = piece(0, Some("Bash"), &format!("{{\"command\":\"{command}\"}}"));
    format!(
        r#"{{"id":"b","custom_id":"{id}","response":{{"status_code":200,"request_id":"r","body":{{"id":"c","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":null,"tool_calls":[{call}]}},"finish_reason":"tool_calls"}}]}}}},"error":null}}"#
    ) + "\n"
}

fn gemini_line(id: &str, command: &str) -> String {
    format!(
        r#"{{"key":"{id}","response":{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"Bash","args":{{"command":"{command}"}}}}}}],"role":"model"}},"finishReason":"STOP"}}]}}}}"#
    ) + "\n"
}

#[test]
fn results_are_judged_line_by_line() {
    for (batch, line, ends) in [
        (Batch::MessageResults, message as fn(&str, &str) -> String, ["\"end_turn\"", "\"tool_use\""]),
        (Batch::OpenAiFile, chat, ["\"stop\"", "\"tool_calls\""]),
        (Batch::GeminiFile, gemini_line, ["STOP", "STOP"]),
    ] {
        let clean = line("a", "ls") + "\n" + &errored("b") + line("c", "ls").trim_end();
        let out = ruled(batch, Framing::Lines, &clean);
        assert_eq!((out.text(), out.fault(), out.judged.len()), (clean.as_str(), None, 2), "{batch:?}");
        let out = ruled(batch, Framing::Lines, &(line("a", "bad") + &line("b", "ls") + &line("c", "bad")));
        let sent: Vec<&str> = out.text().lines().collect();
        assert_eq!(sent.len(), 3, "{batch:?}");
        assert_eq!(format!("{}\n", sent[1]), line("b", "ls"));
        for (at, id) in [(0, "a"), (2, "c")] {
            json::parse(sent[at].as_bytes()).unwrap();
            assert!(sent[at].contains("BLOCKED") && sent[at].contains(id) && !sent[at].contains("bad"));
            // Its own calls decide how it ended, not those of its neighbours.
            assert!(
                sent[at].contains(ends[0]) && (ends[0] == ends[1] || !sent[at].contains(ends[1])),
                "{}",
                sent[at]
            );
        }
        assert_eq!(out.outcome.unwrap().blocked, 2);
    }
}

#[test]
fn each_result_is_a_reply_of_its_own() {
    // As many calls as one reply may have, several times over; none is after another's text, none inherits
    // another's signature.
    let lines: String =
        (0..1500).map(|n| gemini_line(&n.to_string(), if n % 3 == 0 { "bad" } else { "ls" })).collect();
    let signed = lines.replacen("}}}],\"role\"", "}},\"thoughtSignature\":\"c2ln\"}],\"role\"", 1);
    assert_ne!(signed, lines);
    let out = ruled(Batch::GeminiFile, Framing::Lines, &signed);
    assert_eq!((out.fault(), out.judged.len()), (None, 1500));
    assert_eq!(out.text().matches("{\"text\":\"BLOCKED\"}").count(), 500);
    assert!(!out.text().contains("thoughtSignature"));
    let many =
        (0..1100).map(|_| r#"{"functionCall":{"name":"Bash","args":{}}}"#).collect::<Vec<_>>().join(",");
    let line =
        gemini_line("k", "ls").replace(r#"{"functionCall":{"name":"Bash","args":{"command":"ls"}}}"#, &many);
    assert_eq!(ruled(Batch::GeminiFile, Framing::Lines, &line).fault(), Some("hold.calls"));
}

#[test]
fn calls_beside_the_results_are_refused() {
    let call = r#"{"type":"tool_use","id":"t","name":"Bash","input":{"command":"bad"}}"#;
    for line in [
        message("a", "ls").replace("\"custom_id\"", &format!("\"x\":{call},\"custom_id\"")),
        message("a", "ls").replace(
            "\"type\":\"succeeded\"",
            &format!("\"type\":\"succeeded\",\"Message\":{{\"content\":[{call}]}}"),
        ),
        errored("a").replace("\"message\":", &format!("\"detail\":{call},\"message\":")),
        message("a", "bad").replace("\"message\":{", "\"messages\":{"),
        message("a", "bad").replace("\"result\"", "\"Result\""),
        "[]\n".to_owned(),
        "{\"a\":1,\"a\":2}\n".to_owned(),
        message("a", "ls").replace("\"hi\"", &format!("\"hi\u{2028}{}\"", call.replace('"', "\\\""))),
        message("a", "ls").replace("\"custom_id\"", "\r\"custom_id\""),
    ] {
        let out = ruled(Batch::MessageResults, Framing::Lines, &(message("first", "ls") + &line));
        assert!(out.fault().is_some() && !out.text().contains("bad"), "{line}");
        assert_eq!(out.text(), message("first", "ls"), "what came before stays");
    }
}

#[test]
fn a_file_of_openai_may_be_anything() {
    for text in [
        "id,name\r\n1,x\n".to_owned(),
        "{\n  \"a\": [1,\n2]\n}\n".to_owned(),
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}\n{\"prompt\":\"p\"}".to_owned(),
        r#"{"custom_id":"e","response":{"status_code":200,"body":{"object":"list","data":[{"embedding":[0.1]}]}}}"#.to_owned() + "\n",
        r#"{"custom_id":"e","response":{"status_code":400,"body":{"error":{"message":"x"}}},"error":null}"#.to_owned() + "\n",
        "x".repeat(100_000),
    ] {
        let out = ruled(Batch::OpenAiFile, Framing::Lines, &text);
        assert_eq!((out.text(), out.fault()), (text.as_str(), None));
    }
    let binary: Vec<u8> = (0..=255u8).cycle().take(5000).collect();
    let out = ran(Batch::OpenAiFile, Framing::Lines, &[&binary], false);
    assert!(out.sent == binary && out.outcome.unwrap().fault.is_none());
    for bad in [
        chat("a", "bad").replace("\"body\"", "\"Body\""),
        chat("a", "bad").replace("\"id\":\"b\"", "\"x\":NaN"),
        chat("a", "bad").replace("\"id\":\"b\"", "\"response\":{}"),
        format!("{}{}", " ".repeat(9000), chat("a", "bad").replace("\"response\"", "\"RESPONSE\"")),
    ] {
        let out = ruled(Batch::OpenAiFile, Framing::Lines, &bad);
        assert!(out.fault().is_some() && !out.text().contains("bad"), "{bad}");
    }
}

#[test]
fn geminis_batches_carry_results_in_one_body() {
    let inner = |command: &str| gemini_line("k", command).trim_end().replace("\"key\"", "\"name\"");
    let body = format!(
        r#"{{"name":"batches/x","metadata":{{"state":"BATCH_STATE_SUCCEEDED","output":{{"inlinedResponses":{{"inlinedResponses":[{},{}]}}}}}},"done":true}}"#,
        inner("ls"),
        inner("bad")
    );
    let out = ruled(Batch::GeminiBatches, Framing::Json, &body);
    assert_eq!((out.fault(), out.judged.len()), (None, 2));
    json::parse(&out.sent).unwrap();
    assert!(
        out.text().contains("BLOCKED")
            && out.text().contains(r#""command":"ls""#)
            && !out.text().contains("bad")
    );
    let clean = body.replace("bad", "ls");
    assert_eq!(ruled(Batch::GeminiBatches, Framing::Json, &clean).text(), clean);
    let moved = body.replace("\"inlinedResponses\":[", "\"inlined_responses\":[");
    assert_eq!(ruled(Batch::GeminiBatches, Framing::Json, &moved).fault(), Some("wire.stray-call"));
}

#[test]
fn completions_are_text_and_nothing_else() {
    let run = |framing, text: &str| {
        run_dialect(Dialect::OpenAiCompletions, framing, &[text.as_bytes()], Input::End, context(false))
    };
    let chunk = |text: &str, finish: &str| {
        format!(
            "data: {{\"object\":\"text_completion\",\"choices\":[{{\"text\":{},\"index\":0,\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n",
            serde_json::json!(text)
        )
    };
    let stream = chunk("rm -rf ", "null") + &chunk("/", "\"stop\"") + "data: [DONE]\n\n";
    let ran = run(Framing::Events, &stream);
    assert_eq!((ran.text(), ran.fault()), (stream.as_str(), None));
    assert!(ran.saw.contains(&Observation::Text("rm -rf /".into())));
    let body = r#"{"object":"text_completion","choices":[{"text":"hi","index":0,"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    let ran = run(Framing::Json, body);
    assert_eq!((ran.text(), ran.outcome.as_ref().unwrap().usage.output), (body, Some(1)));
    let call = piece(0, Some("Bash"), "bad");
    for bad in [
        chunk("x", &format!("null,\"tool_calls\":[{call}]")),
        chunk("x", "null").replace("\"text\":\"x\"", &format!("\"text\":[{call}]")),
        chunk("x", "null").replace("\"choices\"", "\"Choices\""),
    ] {
        let ran = run(Framing::Events, &(chunk("hi", "null") + &bad));
        assert!(ran.fault().is_some() && !ran.text().contains("bad"), "{bad}");
    }
    assert_eq!(run(Framing::Events, &chunk("x", "null")).fault(), Some("stream.truncated"));
}

#[test]
fn requests_for_batches_are_read_one_by_one() {
    let body = r#"{"requests":[{"custom_id":"a","params":{"model":"m","messages":[{"role":"user","content":"one"}],"tools":[{"name":"Bash"}]}},
        {"custom_id":"b","params":{"messages":[{"role":"user","content":"two"}],"tools":[{"type":"web_search_20250305","name":"web_search"}]}}]}"#;
    let request = Dialect::Batch(Batch::MessageBatches).read_request(body.as_bytes()).unwrap();
    let said: Vec<&str> = request
        .parts
        .iter()
        .filter(|part| part.kind == crate::action::PartKind::UserText)
        .map(|part| &*part.text)
        .collect();
    assert_eq!(said, ["one", "two"]);
    assert!(request.declared.tools.contains("Bash") && request.declared.provider_tools);
    assert_eq!(request.effects.len(), 1);
    let body = r#"{"batch":{"displayName":"d","inputConfig":{"requests":{"requests":[{"request":{"contents":[{"parts":[{"text":"three"}]}]},"metadata":{"key":"k"}}]}}}}"#;
    let request = Dialect::Batch(Batch::GeminiBatches).read_request(body.as_bytes()).unwrap();
    assert_eq!(request.parts.iter().map(|part| &*part.text).collect::<Vec<_>>(), ["three"]);
    assert!(Dialect::Batch(Batch::MessageBatches).read_request(b"").is_ok());
}

#[test]
fn links_to_results_lead_through_the_door() {
    let batch = r#"{"id":"msgbatch_1","type":"message_batch","results_url":"https://api.anthropic.com/v1/messages/batches/msgbatch_1/results"}"#;
    let pending =
        batch.replace("\"https://api.anthropic.com/v1/messages/batches/msgbatch_1/results\"", "null");
    let list = format!(r#"{{"data":[{batch},{pending}],"has_more":false}}"#);
    let run = |text: &str, door: &str, monitor| {
        let context = Context { door: door.into(), ..context(monitor) };
        run_dialect(
            Dialect::Batch(Batch::MessageBatches),
            Framing::Json,
            &[text.as_bytes()],
            Input::End,
            context,
        )
    };
    let door = "http://127.0.0.1:7878/t/dw_x/anthropic";
    for text in [batch, &list, &pending] {
        let ran = run(text, door, false);
        assert_eq!(ran.text(), text.replace("https://api.anthropic.com", door));
        assert_eq!(run(text, door, true).text(), text, "monitor mode alters nothing");
        assert_eq!(run(text, "", false).text(), text);
    }
    for odd in [
        "https://elsewhere.example/results",
        "https://elsewhere.example/v1/messages/batches/a/b/results",
        "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results?x",
        "https://api.anthropic.com/v1/messages/batches/..%2f/results",
    ] {
        let text = batch.replace("https://api.anthropic.com/v1/messages/batches/msgbatch_1/results", odd);
        assert_eq!(run(&text, door, false).fault(), Some("batch.results-url"), "{odd}");
    }
    let call = batch.replace("\"id\"", "\"x\":{\"type\":\"tool_use\"},\"id\"");
    assert_eq!(run(&call, door, false).fault(), Some("wire.stray-call"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn chunking_never_matters_in_lines(kinds in proptest::collection::vec(0u8..6, 0..6), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let text: String = kinds
            .iter()
            .map(|kind| match kind {
                0 => chat("a", "ls"),
                1 => chat("b", "bad"),
                2 => "a,b\n".to_owned(),
                3 => "{\n".to_owned(),
                4 => "\n".to_owned(),
                _ => chat("c", "\\u00e9").replace("NaN", ""),
            })
            .collect();
        let bytes = text.as_bytes();
        let whole = ran(Batch::OpenAiFile, Framing::Lines, &[bytes], false);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&ran(Batch::OpenAiFile, Framing::Lines, &chunks, false), &whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&ran(Batch::OpenAiFile, Framing::Lines, &single, false), &whole);
        prop_assert!(!whole.text().contains("bad"));
    }

    /// In monitor mode nothing is altered, whatever comes.
    #[test]
    fn monitor_alters_no_line(text in "(\\{\"response\":\\{\"body\":\\{\"choices\":\\[\\]\\}\\}\\}|\\{\"|a|\n|\r|\\}){0,12}") {
        for batch in [Batch::OpenAiFile, Batch::MessageResults] {
            let ran = run_dialect(Dialect::Batch(batch), Framing::Lines, &[text.as_bytes()], Input::End, context(true));
            prop_assert_eq!(ran.text(), &text);
        }
    }
}
