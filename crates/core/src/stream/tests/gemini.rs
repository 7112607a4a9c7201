//! Gemini's dialect, by transcripts.

use super::*;

fn part(text: &str) -> String {
    serde_json::json!({ "text": text }).to_string()
}

fn call(name: &str, args: &str) -> String {
    format!(r#"{{"functionCall": {{"name": "{name}", "args": {args}}}}}"#)
}

fn signed(name: &str, args: &str, signature: &str) -> String {
    format!(
        r#"{{"functionCall": {{"id": "f1", "name": "{name}", "args": {args}}}, "thoughtSignature": "{signature}"}}"#
    )
}

fn response(parts: &[String], finish: bool) -> String {
    let end = if finish { r#","finishReason": "STOP""# } else { "" };
    format!(
        r#"{{"candidates": [{{"content": {{"parts": [{}],"role": "model"}}{end},"index": 0}}],"usageMetadata": {{"promptTokenCount": 7,"candidatesTokenCount": 3,"thoughtsTokenCount": 2,"totalTokenCount": 12}},"modelVersion": "gemini-x","responseId": "r"}}"#,
        parts.join(", ")
    )
}

fn chunk(parts: &[String]) -> String {
    format!("data: {}\r\n\r\n", response(parts, false))
}

fn last(parts: &[String]) -> String {
    format!("data: {}\r\n\r\n", response(parts, true))
}

fn stream(text: &str) -> Ran {
    events(Protocol::Gemini, text)
}

/// All parts that the client reads, chunk by chunk.
fn parts(ran: &Ran) -> Vec<Node> {
    let bodies = if ran.sent.is_empty() || ran.text().starts_with("data:") {
        ran.data()
    } else {
        match json::parse(&ran.sent).unwrap() {
            list if list.is_array() => list.elements().to_vec(),
            one => vec![one],
        }
    };
    let parts = bodies.iter().flat_map(|body| {
        let candidates = body.get("candidates").map(Node::elements).unwrap_or_default();
        candidates.iter().flat_map(|c| c.get("content").unwrap().get("parts").unwrap().elements().to_vec())
    });
    parts.collect()
}

#[test]
fn clean_replies_are_byte_identical() {
    let thought = r#"{"text": "hm bad", "thought": true, "thoughtSignature": "c2ln"}"#.to_owned();
    let bare = r#"{"thoughtSignature": "c2ln"}"#.to_owned();
    let image = r#"{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}"#.to_owned();
    for text in [
        chunk(&[part("héllo")]) + &chunk(&[part(" world \u{2028} more")]) + &last(&[]),
        chunk(&[thought.clone(), part("x")]) + &last(&[bare, image]),
        chunk(&[
            part("a"),
            signed("Bash", r#"{"command": "ls", "n": 1.50, "Name": null}"#, "c2ln"),
            call("Read", "{}"),
        ]) + &last(&[part("")]),
        chunk(&[r#"{"functionCall": {"name": "Read"}}"#.to_owned()]) + &last(&[]),
        chunk(&[part("cut short")]),
        "data: {\"promptFeedback\": {\"blockReason\": \"SAFETY\"}}\n\n".to_owned(),
        chunk(&[part("x")])
            + "data: {\"error\": {\"code\": 503, \"message\": \"overloaded\", \"status\": \"UNAVAILABLE\"}}\n\n",
    ] {
        let ran = stream(&text);
        assert_eq!((ran.text(), ran.fault()), (text.as_str(), None));
    }
    let body = response(&[part("hi"), call("Bash", r#"{"command":"ls"}"#)], true);
    let ran = super::body(Protocol::Gemini, &body);
    assert_eq!((ran.text(), ran.judged.len()), (body.as_str(), 1));
    let outcome = ran.outcome.unwrap();
    assert_eq!((outcome.usage.input, outcome.usage.output, outcome.released), (Some(7), Some(5), 1));
}

#[test]
fn a_blocked_call_becomes_a_text_part_in_its_place() {
    let bad = signed("Bash", r#"{"command": "bad"}"#, "c2ln");
    let text = chunk(&[part("x"), bad.clone(), part("y")]) + &last(&[]);
    let ran = stream(&text);
    assert!(!ran.text().contains("bad") && !ran.text().contains("functionCall"), "{}", ran.text());
    let read: Vec<_> = parts(&ran).iter().map(|part| part.text("text").unwrap().to_owned()).collect();
    assert_eq!(read, ["x", "\n\nBLOCKED Bash", "y"]);
    // Nothing but the part has changed, and it keeps no signature.
    assert_eq!(ran.text(), text.replace(&bad, r#"{"text":"\n\nBLOCKED Bash"}"#));
    assert_eq!(ran.outcome.as_ref().unwrap().blocked, 1);

    // Several in a row are a paragraph each; the first has nothing before it.
    let ran = stream(&(chunk(&[bad.clone(), bad.clone()]) + &last(std::slice::from_ref(&bad))));
    let read: String = parts(&ran).iter().map(|part| part.text("text").unwrap().to_owned()).collect();
    assert_eq!(read, "BLOCKED Bash\n\nBLOCKED Bash\n\nBLOCKED Bash");
}

#[test]
fn what_is_left_of_parallel_calls_inherits_their_signature() {
    let bad = signed("Bash", r#"{"command": "bad"}"#, "c2ln");
    let good = call("Read", r#"{"path": "a b"}"#);
    let kept = r#""functionCall": {"name": "Read", "args": {"path": "a b"}}"#;
    for text in [
        chunk(&[bad.clone(), good.clone(), good.clone()]) + &last(&[]),
        chunk(std::slice::from_ref(&bad))
            + &chunk(std::slice::from_ref(&good))
            + &last(std::slice::from_ref(&good)),
    ] {
        let ran = stream(&text);
        assert_eq!(ran.fault(), None);
        let read = parts(&ran);
        assert_eq!(read[1].text("thoughtSignature"), Some("c2ln"), "{}", ran.text());
        assert!(read[2].get("thoughtSignature").is_none(), "one is enough: {}", ran.text());
        assert_eq!(ran.text().matches(kept).count(), 2, "the calls themselves are untouched");
    }
    // A call that has its own keeps it; one that follows a released call needs none.
    let own = signed("Read", "{}", "b3du");
    let text = chunk(&[bad.clone(), own.clone()]) + &last(&[]);
    assert!(stream(&text).text().contains(&own) && !stream(&text).text().contains("c2ln"));
    let text = chunk(&[own.clone(), bad.clone(), good.clone()]) + &last(&[]);
    assert!(!stream(&text).text().contains("c2ln"));
    let null = good.replace("{\"functionCall\"", "{\"thoughtSignature\": null, \"functionCall\"");
    let ran = stream(&(chunk(&[bad, null.clone()]) + &last(&[])));
    assert!(ran.text().contains(&null) && ran.fault().is_none(), "never a key twice");
}

#[test]
fn a_stream_as_a_json_array_is_read_whole() {
    let array = |items: &[String]| format!("[{}\n]", items.join("\n,\r\n"));
    let good =
        array(&[response(&[part("a")], false), response(&[call("Bash", r#"{"command":"ls"}"#)], true)]);
    assert_eq!(super::body(Protocol::Gemini, &good).text(), good);
    let bad = good.replace("\"ls\"", "\"bad\"");
    let ran = super::body(Protocol::Gemini, &bad);
    assert!(!ran.text().contains("bad"));
    assert_eq!(parts(&ran)[1].text("text"), Some("\n\nBLOCKED Bash"));
    let after_error = array(&[r#"{"error":{"code":1}}"#.to_owned(), response(&[part("a")], true)]);
    assert_eq!(super::body(Protocol::Gemini, &after_error).fault(), Some("gemini.order"));
    for odd in ["[[]]", "[1]", "\"x\"", "[{}] []"] {
        assert!(super::body(Protocol::Gemini, odd).fault().is_some(), "{odd}");
    }
}

#[test]
fn known_fields_in_another_spelling_are_refused() {
    let clean = chunk(&[call("Bash", r#"{"command":"bad"}"#)]);
    for (known, other) in [
        ("functionCall", "function_call"),
        ("functionCall", "FunctionCall"),
        ("functionCall", "function_Call"),
        ("functionCall", "functioncall"),
        ("candidates", "Candidates"),
        ("content", "Content"),
        ("parts", "PARTS"),
        ("parts", "part\u{17f}"),
        ("args", "Args"),
        ("name", "Name"),
    ] {
        let text = clean.replacen(&format!("\"{known}\""), &format!("\"{other}\""), 1);
        assert_ne!(text, clean);
        let ran = stream(&text);
        assert_eq!((ran.fault(), ran.sent.len()), (Some("json.key-case"), 0), "{other}");
    }
    // A tool's own keys are its own.
    let text = chunk(&[call("Bash", r#"{"Name":"x","Parts":[],"function_call":{"name":"y","args":{}}}"#)]);
    assert_eq!(stream(&text).text(), text);
}

#[test]
fn what_is_no_call_in_one_piece_is_blocked_or_refused() {
    let blocked = |part: &str, why: &str| {
        let ran = stream(&(chunk(&[part.to_owned()]) + &last(&[])));
        assert!(ran.judged[0].2 && !ran.text().contains("bad"), "{part}: {}", ran.text());
        assert!(ran.judged[0].1.as_deref().unwrap().contains(why), "{part}: {:?}", ran.judged[0].1);
    };
    blocked(r#"{"functionCall":{"name":"Bash","args":["bad"]}}"#, "not an object");
    blocked(r#"{"functionCall":{"name":"Bash","args":"bad"}}"#, "not an object");
    blocked(r#"{"functionCall":{"args":{"x":"bad"}}}"#, "no name");
    blocked(r#"{"functionCall":{"name":"Bash","args":{"x":"bad\ud800"}}}"#, "surrogate");
    blocked(r#"{"functionCall":{"name":"Bash","args":{}},"text":"bad"}"#, "something else");
    blocked(
        r#"{"functionCall":{"name":"Bash","args":{}},"functionResponse":{"name":"bad"}}"#,
        "something else",
    );
    blocked(r#"{"functionCall":{"name":"Bash","args":{},"arguments":{"x":"bad"}}}"#, "more than");
    let refused = |parts: &str, code: &str| {
        let text = chunk(&[]).replace("\"parts\": []", &format!("\"parts\": {parts}"));
        let ran = stream(&text);
        assert_eq!((ran.fault(), ran.sent.len()), (Some(code), 0), "{parts}");
    };
    refused(
        r#"[{"functionCall":{"name":"Bash","partialArgs":[{"jsonPath":"$.x","stringValue":"bad"}],"willContinue":true}}]"#,
        "gemini.partial-call",
    );
    refused(r#"[{"functionCall":{"name":"Bash","willContinue":true}}]"#, "gemini.partial-call");
    refused(r#"[{"functionCall":"bad"}]"#, "gemini.order");
    refused(r#"{"0":{"functionCall":{"name":"Bash","args":{}}}}"#, "gemini.order");
    refused(r#"[["bad"]]"#, "gemini.order");
    refused(r#"[{"text":5}]"#, "gemini.order");
}

#[test]
fn calls_in_places_no_sdk_reads_are_refused() {
    let stray = call("Bash", r#"{"command":"bad"}"#);
    for text in [
        chunk(&[]).replace(
            "\"modelVersion\"",
            &format!("\"automaticFunctionCallingHistory\": [{stray}], \"modelVersion\""),
        ),
        chunk(&[]).replace("\"index\"", &format!("\"groundingMetadata\": {{\"x\": {stray}}}, \"index\"")),
        chunk(&[]).replace("\"role\"", &format!("\"other\": {stray}, \"role\"")),
        chunk(&[]).replace("\"index\": 0", "\"index\": 1"),
        chunk(&[]).replace(
            "\"index\": 0}",
            &format!("\"index\": 0}},{{\"content\":{{\"parts\":[{stray}]}},\"index\":0}}"),
        ),
        chunk(std::slice::from_ref(&stray)).replace("\"modelVersion\"", "\"error\": {}, \"modelVersion\""),
        format!("event: x\n{}", chunk(std::slice::from_ref(&stray))),
        "data: {\"error\":{}}\n\n".to_owned() + &chunk(std::slice::from_ref(&stray)),
    ] {
        let ran = stream(&text);
        assert!(ran.fault().is_some() && !ran.text().contains("bad"), "{text}");
    }
    let mut two = context(false);
    two.declared.choices = 2;
    let text =
        chunk(&[part("a")]).replace("\"index\": 0", "\"index\": 1") + &last(std::slice::from_ref(&stray));
    let ran = run_with(Protocol::Gemini, Framing::Events, &[text.as_bytes()], Input::End, two);
    assert_eq!((ran.fault(), ran.judged.len()), (None, 1));
    assert!(ran.text().contains("\"BLOCKED Bash\""), "another candidate's text is not before it");
}

#[test]
fn unknown_parts_are_held_and_what_the_provider_ran_is_recorded() {
    let hologram = r#"{"hologram": {"x": "bad"}}"#;
    let response = r#"{"functionResponse": {"name": "Bash", "response": {"out": "bad"}}}"#;
    let call_like = r#"{"partMetadata": {"name": "Bash", "args": {"x": "bad"}}, "text": ""}"#;
    let ran = stream(&(chunk(&[hologram.into(), response.into(), call_like.into()]) + &last(&[])));
    let held: Vec<_> = ran.judged.iter().map(|judged| judged.0.as_str()).collect();
    assert_eq!(held, ["part hologram", "part functionResponse", "part text"]);
    assert!(!ran.text().contains("bad"));

    let code = r#"{"executableCode": {"language": "PYTHON", "code": "print(1)"}}"#;
    let result = r#"{"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}"#;
    let search = r#"{"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}, "id": "1"}, "thoughtSignature": "c2ln"}"#;
    let text = chunk(&[code.into(), result.into(), search.into()]) + &last(&[]);
    assert_eq!(stream(&text).judged.len(), 3, "nobody asked for provider tools");
    let mut asked = context(false);
    asked.declared.provider_tools = true;
    let ran = run_with(Protocol::Gemini, Framing::Events, &[text.as_bytes()], Input::End, asked);
    assert_eq!((ran.text(), ran.judged.len()), (text.as_str(), 0));
    let ran_by_it: Vec<_> = ran
        .saw
        .iter()
        .filter_map(|saw| match saw {
            Observation::ProviderCall { name, input } => Some((name.as_str(), input.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(ran_by_it[0].0, "code_execution");
    assert!(ran_by_it[0].1.contains("print(1)"));
    assert_eq!(ran_by_it[1], ("google_search_web", r#"{"queries": ["q"]}"#));
}

#[test]
fn text_is_audited_and_thoughts_are_not() {
    let text = chunk(&[r#"{"text":"secret thought","thought":true}"#.to_owned()])
        + &(0..50).map(|n| chunk(&[part(&format!("w{n} "))])).collect::<String>().replace(
            r#","usageMetadata": {"promptTokenCount": 7,"candidatesTokenCount": 3,"thoughtsTokenCount": 2,"totalTokenCount": 12}"#,
            "",
        );
    let ran = stream(&text);
    assert_eq!(ran.text(), text);
    let said: String = ran
        .saw
        .iter()
        .filter_map(|saw| if let Observation::Text(text) = saw { Some(text.as_str()) } else { None })
        .collect();
    assert!(said.starts_with("w0 w1 ") && said.ends_with("w49 ") && !said.contains("thought"), "{said}");
}

#[test]
fn a_broken_stream_ends_in_words_that_both_official_sdks_show() {
    let ran = stream(&(chunk(&[part("x")]) + "data: {\"candidates\":1,\"candidates\":2}\n\n"));
    let end = ran.data().pop().unwrap();
    assert_eq!(end.get("error").unwrap().get("code").unwrap().as_u64(), Some(502));
    let said = parts(&ran).pop().unwrap();
    assert!(said.text("text").unwrap().contains("json.duplicate-key"));
}

#[test]
fn keep_alives_are_blank_lines() {
    let mut machine = Machine::new(Dialect::Gemini, Framing::Events, context(false), Limits::default());
    let mut out = Vec::new();
    machine.step(Input::Tick(1), &mut out);
    machine.step(Input::Bytes((chunk(&[part("x")]) + &chunk(&[call("Bash", "{}")])).as_bytes()), &mut out);
    out.retain(|output| !matches!(output, Output::Judge(..)));
    out.clear();
    machine.step(Input::Tick(20_000), &mut out);
    assert!(matches!(&out[..], [Output::KeepAlive(bytes)] if &bytes[..] == b"\n\n"));
}

fn arbitrary() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("ls".to_owned()), Just("bad \"quoted\" \\ é😀".to_owned()), any::<String>()];
    let item = (0u8..6, word);
    let chunks = proptest::collection::vec(proptest::collection::vec(item, 0..4), 0..5);
    (chunks, 0u8..6).prop_map(|(chunks, tail)| {
        let mut out = String::new();
        for items in &chunks {
            let parts: Vec<String> = items
                .iter()
                .map(|(kind, word)| {
                    let args = serde_json::json!({ "command": word }).to_string();
                    match kind {
                        0 => part(word),
                        1 => call("Bash", &args),
                        2 => signed("Bash", &args, "c2ln"),
                        3 => call("Nope", &args),
                        4 => serde_json::json!({ "text": word, "thought": true }).to_string(),
                        _ => serde_json::json!({ "later": { "x": word } }).to_string(),
                    }
                })
                .collect();
            out += &chunk(&parts);
        }
        match tail {
            0 => out += "data: {}\r\r",
            1 => out.truncate((0..=out.len() / 2).rev().find(|at| out.is_char_boundary(*at)).unwrap()),
            2 => out += "data: {\"a\":1,\"a\":2}\n\n",
            _ => out += &last(&[]),
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn chunking_never_matters(text in arbitrary(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let bytes = text.as_bytes();
        let run = |chunks: &[&[u8]]| run_with(Protocol::Gemini, Framing::Events, chunks, Input::End, context(false));
        let whole = run(&[bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&run(&single), &whole);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&run(&chunks), &whole);
    }

    #[test]
    fn untouched_or_unseen_here_too(text in arbitrary()) {
        let ran = run_with(Protocol::Gemini, Framing::Events, &[text.as_bytes()], Input::End, context(false));
        let outcome = ran.outcome.clone().unwrap();
        if outcome.blocked == 0 && outcome.fault.is_none() {
            prop_assert_eq!(ran.text(), &text);
        }
        // Whatever is left as a call was judged good, and says what was judged.
        let mut good = ran.judged.iter().filter(|judged| !judged.2);
        for part in parts(&ran) {
            if let Some(function) = part.get("functionCall") {
                let args = function.get("args").unwrap();
                let judged = good.next().unwrap();
                prop_assert_eq!(function.text("name"), Some(judged.0.as_str()));
                prop_assert_eq!(args, &reparsed(judged.1.as_deref().unwrap(), args.span.start));
                prop_assert!(!judged.1.as_deref().unwrap().contains("bad"));
            }
            prop_assert!(part.get("later").is_none());
        }
        prop_assert_eq!(outcome.released as usize, ran.judged.iter().filter(|judged| !judged.2).count());
    }

    #[test]
    fn any_text_without_a_panic_here_too(text in any::<String>(), at in any::<prop::sample::Index>()) {
        let mut stream = chunk(&[part("x"), call("Bash", "{}")]) + &last(&[]);
        let at = (0..=at.index(stream.len())).rev().find(|at| stream.is_char_boundary(*at)).unwrap();
        stream.insert_str(at, &text);
        for framing in [Framing::Events, Framing::Json] {
            prop_assert!(run_with(Protocol::Gemini, framing, &[stream.as_bytes()], Input::End, context(false)).outcome.is_some());
        }
    }
}

/// `text` parsed as if it stood `at` bytes into its source, so that spans compare.
fn reparsed(text: &str, at: u32) -> Node {
    json::parse(format!("{}{text}", " ".repeat(at as usize)).as_bytes()).unwrap()
}
