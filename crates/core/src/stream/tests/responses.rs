//! OpenAI Responses.

use serde_json::{Value, json};

use super::*;

/// A stream told event by event, numbered as it goes.
#[derive(Default, Clone)]
struct Told {
    stream: String,
    number: usize,
    index: usize,
    output: Vec<Value>,
}

impl Told {
    fn new() -> Self {
        let mut told = Self::default();
        told.event("response.created", json!({ "response": response("in_progress", &[]) }));
        told.event("response.in_progress", json!({ "response": response("in_progress", &[]) }));
        told
    }

    fn event(&mut self, kind: &str, rest: Value) -> &mut Self {
        let mut data = json!({ "type": kind, "sequence_number": self.number });
        data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        self.stream += &format!("event: {kind}\ndata: {data}\n\n");
        self.number += 1;
        self
    }

    /// The start of an item, and its id.
    fn added(&mut self, item: Value) -> &mut Self {
        let index = self.index;
        self.event("response.output_item.added", json!({ "output_index": index, "item": item }))
    }

    /// An item whole.
    fn done(&mut self, item: Value) -> &mut Self {
        let index = self.index;
        self.event("response.output_item.done", json!({ "output_index": index, "item": item }));
        self.output.push(item);
        self.index += 1;
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let (index, id) = (self.index, format!("msg_{}", self.index));
        let place = json!({ "output_index": index, "item_id": id, "content_index": 0 });
        let with = |key: &str, value: Value| {
            let mut rest = place.clone();
            rest[key] = value;
            rest
        };
        let part =
            |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
        let item = |status: &str, content: Value| json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content });
        self.added(item("in_progress", json!([])));
        self.event("response.content_part.added", with("part", part("")));
        for c in text.chars() {
            self.event("response.output_text.delta", with("delta", json!(c.to_string())));
        }
        self.event("response.output_text.done", with("text", json!(text)));
        self.event("response.content_part.done", with("part", part(text)));
        self.done(item("completed", json!([part(text)])))
    }

    fn reasoning(&mut self) -> &mut Self {
        let item = json!({ "id": format!("rs_{}", self.index), "type": "reasoning", "summary": [], "encrypted_content": "gAAA" });
        self.added(item.clone()).done(item)
    }

    fn call(&mut self, name: &str, arguments: &str) -> &mut Self {
        let item = call(self.index, name, arguments);
        self.added(call(self.index, name, ""));
        self.deltas("function_call_arguments", arguments);
        let (index, id) = (self.index, item["id"].clone());
        self.event(
            "response.function_call_arguments.done",
            json!({ "output_index": index, "item_id": id, "arguments": arguments }),
        );
        self.done(item)
    }

    fn deltas(&mut self, of: &str, text: &str) -> &mut Self {
        for c in text.chars() {
            let rest = json!({ "output_index": self.index, "item_id": format!("fc_{}", self.index), "delta": c.to_string() });
            self.event(&format!("response.{of}.delta"), rest);
        }
        self
    }

    /// An item without deltas.
    fn plain(&mut self, item: Value) -> &mut Self {
        self.added(item.clone()).done(item)
    }

    fn end(&mut self) -> String {
        let output = self.output.clone();
        self.event("response.completed", json!({ "response": response("completed", &output) }));
        self.stream.clone()
    }
}

fn response(status: &str, output: &[Value]) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": output,
        "tools": [{ "type": "function", "name": "Bash", "parameters": { "properties": { "Name": {}, "arguments": {} } } }],
        "usage": { "input_tokens": 5, "output_tokens": 9 }
    })
}

fn call(index: usize, name: &str, arguments: &str) -> Value {
    json!({
        "id": format!("fc_{index}"), "type": "function_call", "status": "completed",
        "call_id": format!("call_{index}"), "name": name, "arguments": arguments
    })
}

fn run(stream: &str) -> Ran {
    run_dialect(Dialect::OpenAiResponses, Framing::Events, &[stream.as_bytes()], Input::End, context(false))
}

fn run_body(body: &str) -> Ran {
    run_dialect(Dialect::OpenAiResponses, Framing::Json, &[body.as_bytes()], Input::End, context(false))
}

/// With these tools declared.
fn run_with_tools(stream: &str, tools: &[&str], provider_tools: bool) -> Ran {
    let mut context = context(false);
    context.declared.tools = tools.iter().map(ToString::to_string).collect();
    context.declared.provider_tools = provider_tools;
    run_dialect(Dialect::OpenAiResponses, Framing::Events, &[stream.as_bytes()], Input::End, context)
}

const GOOD: &str = r#"{"command":"ls"}"#;
const BAD: &str = r#"{"command":"bad"}"#;

#[test]
fn clean_streams_are_byte_identical() {
    for stream in [
        Told::new().text("héllo").end(),
        Told::new().reasoning().call("Bash", GOOD).end(),
        Told::new().text("a").call("Bash", GOOD).call("Read", "{}").text("b").end(),
        Told::new().call("Bash", "").end(),
        Told::new().plain(call(0, "Bash", GOOD)).end(),
        Told::new().end() + "data: [DONE]\n\n",
        Told::new().call("Bash", GOOD).end() + "event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n",
        // Some servers leave the names out.
        Told::new().text("a").call("Bash", GOOD).end().replace("event: ", ": "),
    ] {
        let ran = run(&stream);
        assert_eq!(ran.fault(), None);
        assert_eq!(ran.text(), stream);
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.output_tokens, outcome.withheld), (Some(9), 0));
    }
}

#[test]
fn a_blocked_call_becomes_a_message_in_its_place() {
    let stream = Told::new().text("x").call("Bash", BAD).call("Read", GOOD).text("y").end();
    let ran = run(&stream);
    assert_eq!(ran.fault(), None);
    assert!(!ran.text().contains("bad") && ran.text().contains(GOOD.replace('"', "\\\"").as_str()));
    let data = ran.data();
    let added: Vec<_> =
        data.iter().filter(|n| n.text("type") == Some("response.output_item.added")).collect();
    let told: Vec<(u64, &str)> = added
        .iter()
        .map(|n| {
            (n.get("output_index").unwrap().as_u64().unwrap(), n.get("item").unwrap().text("type").unwrap())
        })
        .collect();
    assert_eq!(told, [(0, "message"), (1, "message"), (2, "function_call"), (3, "message")]);
    let numbers: Vec<u64> =
        data.iter().map(|n| n.get("sequence_number").unwrap().as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    let last = data.last().unwrap().get("response").unwrap();
    let items = last.get("output").unwrap().elements();
    assert_eq!(
        items.iter().map(|i| i.text("type").unwrap()).collect::<Vec<_>>(),
        ["message", "message", "function_call", "message"]
    );
    assert_eq!(items[1].get("content").unwrap().elements()[0].text("text"), Some("BLOCKED Bash"));
    assert_eq!(items[1].text("id"), Some("msg_1"));
    let outcome = ran.outcome.unwrap();
    assert_eq!((outcome.blocked, outcome.released, outcome.withheld), (1, 1, 0));
}

#[test]
fn few_events_make_room_for_a_message() {
    let ran = run(&Told::new().plain(call(0, "Bash", BAD)).end());
    let data = ran.data();
    let numbers: Vec<u64> =
        data.iter().map(|n| n.get("sequence_number").unwrap().as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 2, 2, 2, 2, 3, 4]);
    assert!(!ran.text().contains("bad") && ran.text().contains("BLOCKED Bash"));
}

#[test]
fn a_body_is_judged_item_by_item() {
    let output = [
        json!({ "id": "rs_0", "type": "reasoning", "summary": [] }),
        call(1, "Bash", BAD),
        call(2, "Read", GOOD),
    ];
    let ran = run_body(&response("completed", &output).to_string());
    let node = json::parse(&ran.sent).unwrap();
    let items = node.get("output").unwrap().elements();
    assert_eq!(
        items.iter().map(|i| i.text("type").unwrap()).collect::<Vec<_>>(),
        ["reasoning", "message", "function_call"]
    );
    assert!(!ran.text().contains("bad"));
    let clean = response("completed", &[call(0, "Bash", GOOD)]).to_string();
    assert_eq!(run_body(&clean).text(), clean);
    // Items of an earlier reply, and what has no items at all.
    let listed = json!({ "object": "list", "data": [call(0, "Bash", BAD)], "has_more": false }).to_string();
    assert!(!run_body(&listed).text().contains("bad"));
    for text in [
        r#"{"id":"resp_1","object":"response","deleted":true}"#,
        r#"{"object":"response.input_tokens","input_tokens":3}"#,
    ] {
        assert_eq!(run_body(text).text(), text);
    }
}

#[test]
fn a_call_whose_copies_differ_is_blocked() {
    let benign = call(0, "Bash", GOOD);
    let other = r#"{"command":"bad"}"#;
    let mut deltas = Told::new();
    deltas.added(call(0, "Bash", "")).deltas("function_call_arguments", other).done(benign.clone());
    let mut begun = Told::new();
    begun.added(call(0, "Bash", other)).done(benign.clone());
    let mut doubled = Told::new();
    doubled.added(call(0, "Bash", GOOD)).deltas("function_call_arguments", GOOD).done(benign.clone());
    let mut arguments_done = Told::new();
    arguments_done.added(call(0, "Bash", "")).deltas("function_call_arguments", GOOD);
    arguments_done.event(
        "response.function_call_arguments.done",
        json!({ "output_index": 0, "item_id": "fc_0", "arguments": other }),
    );
    arguments_done.done(benign.clone());
    let mut renamed = Told::new();
    renamed.added(call(0, "Read", "")).deltas("function_call_arguments", GOOD).done(benign.clone());
    let mut other_id = Told::new();
    other_id.added(call(0, "Bash", ""));
    other_id.event(
        "response.function_call_arguments.delta",
        json!({ "output_index": 0, "item_id": "fc_9", "delta": GOOD }),
    );
    other_id.done(benign.clone());
    let mut odd_event = Told::new();
    odd_event.added(call(0, "Bash", ""));
    odd_event
        .event("response.output_text.delta", json!({ "output_index": 0, "item_id": "fc_0", "delta": "bad" }));
    odd_event.done(benign.clone());
    let mut turned = Told::new();
    turned.added(json!({ "id": "fc_0", "type": "custom_tool_call", "call_id": "call_0", "name": "Bash", "input": "" })).done(benign);
    for (what, told) in [
        ("deltas", deltas),
        ("begun", begun),
        ("doubled", doubled),
        ("arguments.done", arguments_done),
        ("renamed", renamed),
        ("id", other_id),
        ("event", odd_event),
        ("turned", turned),
    ] {
        let ran = run(&told.clone().end());
        assert_eq!(ran.fault(), None, "{what}");
        assert_eq!(ran.outcome.as_ref().unwrap().blocked, 1, "{what}");
        assert!(
            !ran.text().contains("bad") && !ran.text().contains("function_call"),
            "{what}: {}",
            ran.text()
        );
    }
}

/// What an upstream does to the items at the end of its reply.
type Change<'a> = &'a dyn Fn(&mut Vec<Value>);

#[test]
fn a_copy_at_the_end_that_was_not_judged_refuses_the_reply() {
    let base = || {
        let mut told = Told::new();
        told.text("hello").call("Bash", GOOD);
        told
    };
    let end = |mut told: Told, change: Change<'_>| {
        change(&mut told.output);
        told.end()
    };
    let cases: [(&str, Change<'_>); 7] = [
        ("arguments", &|output| output[1]["arguments"] = json!(BAD)),
        ("name", &|output| output[1]["name"] = json!("bad")),
        ("namespace", &|output| output[1]["namespace"] = json!("bad")),
        ("another call", &|output| output.push(call(2, "Bash", BAD))),
        ("twice", &|output| output.push(call(1, "Bash", GOOD))),
        ("text", &|output| output[0]["content"][0]["text"] = json!("bad")),
        ("unknown", &|output| output.push(json!({ "type": "new_call", "run": "bad" }))),
    ];
    for (what, change) in cases {
        let ran = run(&end(base(), change));
        assert_eq!(ran.fault(), Some("responses.copies"), "{what}");
        assert!(!ran.text().contains("response.completed") && !ran.text().contains("bad"), "{what}");
        let last = ran.data().pop().unwrap();
        assert_eq!(last.text("type"), Some("error"));
        assert!(last.some("error").is_some() && last.get("sequence_number").is_some());
    }
    // Honest differences: a new id (one server invents one), no copy at all, members without a meaning.
    let fine: [Change<'_>; 4] = [
        &|output| output[1]["call_id"] = json!("call_new"),
        &Vec::clear,
        &|output| output[1]["id"] = Value::Null,
        &|output| output[0]["content"][0]["text"] = json!(""),
    ];
    for change in fine {
        let stream = end(base(), change);
        let ran = run(&stream);
        assert_eq!((ran.fault(), ran.text()), (None, stream.as_str()));
    }
}

#[test]
fn texts_equal_their_deltas() {
    let place = json!({ "output_index": 0, "item_id": "msg_0", "content_index": 0 });
    let with = |key: &str, value: Value| {
        let mut rest = place.clone();
        rest[key] = value;
        rest
    };
    let message = |text: &str| json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] });
    let mut begin = Told::new();
    begin.added(json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": [] }));
    begin.event("response.output_text.delta", with("delta", json!("fine")));
    let mut done = begin.clone();
    done.event("response.output_text.done", with("text", json!("bad")));
    let mut part = begin.clone();
    part.event("response.content_part.done", with("part", json!({ "type": "output_text", "text": "bad" })));
    let mut item = begin.clone();
    item.done(message("bad"));
    let mut after = begin.clone();
    after.done(message("fine"));
    after.event("response.output_text.delta", with("delta", json!("bad")));
    for told in [done, part, item, after] {
        let ran = run(&told.stream);
        assert!(matches!(ran.fault(), Some("responses.copies" | "responses.order")), "{:?}", ran.fault());
        assert!(!ran.text().contains("bad"));
    }
    // Half a pair in each of two deltas is one character in the copy.
    let mut halves = Told::new();
    halves.added(json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": [] }));
    halves.event("response.output_text.delta", with("delta", json!("HALF1")));
    halves.event("response.output_text.delta", with("delta", json!("HALF2")));
    halves.event("response.output_text.done", with("text", json!("\u{1f600}")));
    halves.done(message("\u{1f600}"));
    let stream = halves.end().replace("HALF1", r"\ud83d").replace("HALF2", r"\ude00");
    let ran = run(&stream);
    assert_eq!((ran.fault(), ran.text()), (None, stream.as_str()));
    assert!(ran.saw.contains(&Observation::Text("\u{1f600}".into())));
    // What no delta said is audited where it is said.
    let ran = run(&Told::new().plain(message("quiet")).end());
    assert!(ran.fault().is_none() && ran.saw.contains(&Observation::Text("quiet".into())));
}

#[test]
fn what_clients_read_in_different_ways_is_refused() {
    let mut two = Told::new();
    two.added(call(0, "Bash", ""));
    two.index = 1;
    two.added(call(1, "Bash", ""));
    let mut again = Told::new();
    again.call("Bash", GOOD);
    again.index = 0;
    again.added(call(0, "Bash", BAD));
    let mut late = Told::new();
    late.call("Bash", GOOD);
    late.index = 0;
    late.deltas("function_call_arguments", "bad");
    let mut twice = Told::new();
    twice.call("Bash", GOOD);
    twice.index = 0;
    twice.done(call(0, "Bash", BAD));
    let mut skipped = Told::new();
    skipped.index = 3;
    skipped.call("Bash", BAD);
    let mut elsewhere = Told::new();
    elsewhere.event("response.output_text.delta", json!({ "output_index": 7, "delta": "bad" }));
    let mut smuggled = Told::new();
    smuggled.added(json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": [] }));
    smuggled.deltas("function_call_arguments", "bad");
    let mut turned = Told::new();
    turned
        .added(json!({ "id": "m", "type": "message", "role": "assistant", "content": [] }))
        .done(call(0, "Bash", BAD));
    let mut inside = Told::new();
    inside.plain(
        json!({ "id": "m", "type": "message", "role": "assistant", "content": [call(0, "Bash", BAD)] }),
    );
    let mut head = Told::default();
    head.event("response.created", json!({ "response": response("in_progress", &[call(0, "Bash", BAD)]) }));
    let mut other_reply = Told::new();
    let mut changed = response("completed", &[]);
    changed["id"] = json!("bad");
    other_reply.event("response.completed", json!({ "response": changed }));
    let mut beside = Told::new();
    beside.event(
        "response.output_item.done",
        json!({ "output_index": 0, "item": call(0, "Read", GOOD), "x": call(1, "Bash", BAD) }),
    );
    let mut error_beside = Told::new();
    error_beside.event("response.output_text.delta", json!({ "error": { "message": "bad" } }));
    let mut unnamed = Told::new();
    unnamed.stream += "data: {\"type\":\"response.output_text.delta\",\"delta\":\"bad\"}\n\n";
    let mut misnamed = Told::new();
    misnamed.stream +=
        "event: response.x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"bad\"}\n\n";
    let mut case = Told::new();
    case.event(
        "response.output_item.done",
        json!({ "output_index": 0, "Item": call(0, "Bash", BAD), "item": {} }),
    );
    let mut early = Told::default();
    early.call("Bash", BAD);
    for (what, told) in [
        ("two at once", two),
        ("an index again", again),
        ("late deltas", late),
        ("done twice", twice),
        ("a skipped index", skipped),
        ("an unknown index", elsewhere),
        ("arguments in a message", smuggled),
        ("a message that turns into a call", turned),
        ("a call in a message", inside),
        ("a call in the head", head),
        ("another reply", other_reply),
        ("a call beside the item", beside),
        ("an error beside", error_beside),
        ("an event without a name", unnamed),
        ("an event of another name", misnamed),
        ("keys in another case", case),
        ("before the beginning", early),
    ] {
        let ran = run(&told.stream);
        let fault = ran.fault();
        assert!(fault.is_some() && fault != Some("stream.truncated"), "{what}: {fault:?} {}", ran.text());
        assert!(!ran.text().contains("bad"), "{what}");
    }
    let after = Told::new().end() + &Told::new().call("Bash", BAD).stream;
    assert_eq!(run(&after).fault(), Some("responses.order"));
    let closed = Told::new().end() + "data: [DONE]\n\nevent: keepalive\ndata: {\"type\":\"keepalive\"}\n\n";
    assert_eq!(run(&closed).fault(), Some("responses.order"));
    assert_eq!(run(&Told::new().call("Bash", GOOD).stream).fault(), Some("stream.truncated"));
}

#[test]
fn a_call_cut_off_by_a_limit_is_blocked_and_the_reply_ends_well() {
    for kind in ["response.incomplete", "response.completed"] {
        for copied in [true, false] {
            let mut told = Told::new();
            told.text("x").added(call(1, "Bash", "")).deltas("function_call_arguments", "{\"command\":\"bad");
            let mut output = told.output.clone();
            if copied {
                output.push(call(1, "Bash", "{\"command\":\"bad"));
            }
            told.event(kind, json!({ "response": response("incomplete", &output) }));
            let ran = run(&told.stream);
            assert_eq!(ran.fault(), None);
            assert!(!ran.text().contains("bad") && ran.text().contains("BLOCKED Bash"), "{}", ran.text());
            assert!(ran.text().contains(kind));
        }
    }
    // `output_item.done` left out: the copy at the end completes the call.
    let mut told = Told::new();
    told.added(call(0, "Bash", "")).deltas("function_call_arguments", GOOD);
    told.output.push(call(0, "Bash", GOOD));
    let stream = told.end();
    assert_eq!(run(&stream).text(), stream);
    // All items at the end only.
    let mut told = Told::new();
    told.output.extend([call(0, "Bash", GOOD), call(1, "Bash", BAD)]);
    let ran = run(&told.end());
    assert_eq!((ran.fault(), ran.judged.len()), (None, 2));
    assert!(!ran.text().contains("bad"));
}

#[test]
fn upstream_errors_pass() {
    let failed = {
        let mut response = response("failed", &[]);
        response["error"] = json!({ "code": "server_error", "message": "no" });
        response
    };
    let mut told = Told::new();
    told.text("x").event("response.failed", json!({ "response": failed }));
    assert_eq!(run(&told.stream).text(), told.stream);
    let mut told = Told::new();
    told.event("error", json!({ "error": { "type": "invalid_request_error", "message": "no" } }));
    assert_eq!((run(&told.stream).fault(), run(&told.stream).text()), (None, told.stream.as_str()));
    // Behind a call that never came whole the error passes, the call does not.
    let mut told = Told::new();
    told.added(call(0, "Bash", "bad")).event("error", json!({ "code": "x", "message": "no" }));
    let ran = run(&told.stream);
    assert!(!ran.text().contains("bad") && ran.text().contains("\"message\":\"no\""), "{}", ran.text());
}
