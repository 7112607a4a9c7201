//! Calls that stand in the text of OpenAI Responses: every copy of the text says what was sent on.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::text_tools::{Mark, Reading, Scanner, TextTools};

const GOOD: &str = "Let me look.\n<execute_command>\n<command>ls</command>\n</execute_command>\nDone: a < b.";
const BAD: &str =
    "Let me look: <execute_command>\n<command>bad \"é\\😀\"</command>\n</execute_command> and so on.";
const REPLACED: &str = "Let me look: BLOCKED execute_command\n and so on.";

fn reading(text_tools: TextTools) -> Context {
    Context { text_tools, declared: Declared::default(), ..context(false) }
}

fn run_in(context: Context, stream: &str) -> Ran {
    run_dialect(Dialect::OpenAiResponses, Framing::Events, &[stream.as_bytes()], Input::End, context)
}

fn run(stream: &str) -> Ran {
    run_in(reading(TextTools::Xml), stream)
}

fn run_body(text_tools: TextTools, body: &Value) -> Ran {
    let bytes = body.to_string();
    run_dialect(Dialect::OpenAiResponses, Framing::Json, &[bytes.as_bytes()], Input::End, reading(text_tools))
}

fn pieces(text: &str, size: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(size).map(|part| part.iter().collect()).collect()
}

fn logprobs(text: &str) -> Value {
    json!([{ "token": text, "logprob": -0.1, "top_logprobs": [] }])
}

/// A part of a message: text, or a refusal, in fragments.
#[derive(Clone)]
struct Part {
    refusal: bool,
    fragments: Vec<String>,
    annotations: Vec<Value>,
}

impl Part {
    fn new(text: &str, size: usize) -> Self {
        Self { refusal: false, fragments: pieces(text, size), annotations: Vec::new() }
    }

    fn text(&self) -> String {
        self.fragments.concat()
    }

    fn value(&self) -> Value {
        match self.refusal {
            true => json!({ "type": "refusal", "refusal": self.text() }),
            false => json!({
                "type": "output_text", "text": self.text(), "annotations": self.annotations,
                "logprobs": logprobs(&self.text()),
            }),
        }
    }
}

/// A stream told event by event, numbered as it goes.
#[derive(Clone, Default)]
struct Told {
    events: Vec<Value>,
    output: Vec<Value>,
}

impl Told {
    fn new() -> Self {
        let mut told = Self::default();
        told.event("response.created", json!({ "response": response("in_progress", &[]) }));
        told
    }

    fn event(&mut self, kind: &str, rest: Value) -> &mut Self {
        let mut data = json!({ "type": kind, "sequence_number": self.events.len() });
        data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        self.events.push(data);
        self
    }

    fn message(&mut self, parts: &[Part]) -> &mut Self {
        let (index, id) = (self.output.len(), format!("msg_{}", self.output.len()));
        let item = |status: &str, content: Vec<Value>| json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content });
        self.event(
            "response.output_item.added",
            json!({ "output_index": index, "item": item("in_progress", vec![]) }),
        );
        for (place, part) in parts.iter().enumerate() {
            let with = |rest: Value| {
                let mut data = json!({ "output_index": index, "item_id": id, "content_index": place });
                data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
                data
            };
            let empty = Part { fragments: Vec::new(), annotations: Vec::new(), ..part.clone() };
            self.event("response.content_part.added", with(json!({ "part": empty.value() })));
            let (kind, key) = if part.refusal { ("refusal", "refusal") } else { ("output_text", "text") };
            for fragment in &part.fragments {
                let delta =
                    json!({ "delta": fragment, "logprobs": logprobs(fragment), "obfuscation": "xyz" });
                self.event(&format!("response.{kind}.delta"), with(delta));
            }
            for (at, annotation) in part.annotations.iter().enumerate() {
                let rest = json!({ "annotation": annotation, "annotation_index": at });
                self.event("response.output_text.annotation.added", with(rest));
            }
            let done = json!({ key: part.text(), "logprobs": logprobs(&part.text()) });
            self.event(&format!("response.{kind}.done"), with(done));
            self.event("response.content_part.done", with(json!({ "part": part.value() })));
        }
        self.done(item("completed", parts.iter().map(Part::value).collect()))
    }

    fn say(&mut self, text: &str, size: usize) -> &mut Self {
        self.message(&[Part::new(text, size)])
    }

    /// An item whole.
    fn done(&mut self, item: Value) -> &mut Self {
        let index = self.output.len();
        self.event("response.output_item.done", json!({ "output_index": index, "item": item }));
        self.output.push(item);
        self
    }

    fn call(&mut self, arguments: &str) -> &mut Self {
        let index = self.output.len();
        let item = json!({
            "id": format!("fc_{index}"), "type": "function_call", "status": "completed",
            "call_id": format!("call_{index}"), "name": "Bash", "arguments": arguments
        });
        self.event("response.output_item.added", json!({ "output_index": index, "item": item }));
        self.done(item)
    }

    fn end_with(&self, kind: &str, output: &[Value]) -> String {
        let mut told = self.clone();
        let status = kind.rsplit('.').next().unwrap();
        told.event(kind, json!({ "response": response(status, output) }));
        told.stream()
    }

    fn end(&self) -> String {
        self.end_with("response.completed", &self.output)
    }

    fn stream(&self) -> String {
        let one = |data: &Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
        self.events.iter().map(one).collect()
    }
}

fn response(status: &str, output: &[Value]) -> Value {
    json!({ "id": "resp_1", "object": "response", "status": status, "model": "m", "output": output })
}

fn message(text: &str) -> Value {
    json!({ "id": "msg_0", "type": "message", "role": "assistant", "status": "completed", "content": [Part::new(text, 9).value()] })
}

/// What each part of each message says, once all of its copies have been found to say the same.
fn agreed(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.fault(), None, "{}", ran.text());
    let mut deltas: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let said = |part: &Value| part["text"].as_str().or(part["refusal"].as_str()).unwrap().to_owned();
    let texts = |item: &Value| item["content"].as_array().unwrap().iter().map(said).collect::<Vec<_>>();
    let mut all = Vec::new();
    for line in ran.text().lines().filter_map(|line| line.strip_prefix("data: ")) {
        let data: Value = serde_json::from_str(line).unwrap();
        let kind = data["type"].as_str().unwrap();
        let index = data["output_index"].as_u64().unwrap_or(0);
        let place = (index, data["content_index"].as_u64().unwrap_or(0));
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                *deltas.entry(place).or_default() += data["delta"].as_str().unwrap();
            }
            "response.output_item.added" if data["item"]["type"] == "message" => {
                for (place, text) in texts(&data["item"]).into_iter().enumerate() {
                    *deltas.entry((index, place as u64)).or_default() += &text;
                }
            }
            "response.output_text.done" | "response.refusal.done" => {
                assert_eq!(&said(&data), deltas.entry(place).or_insert_with(|| said(&data)));
            }
            "response.content_part.done" => {
                assert_eq!(&said(&data["part"]), deltas.entry(place).or_insert_with(|| said(&data["part"])));
            }
            "response.output_item.done" if data["item"]["type"] == "message" => {
                for (place, text) in texts(&data["item"]).into_iter().enumerate() {
                    let place = (index, place as u64);
                    assert_eq!(&text, deltas.entry(place).or_insert_with(|| text.clone()));
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                let output = data["response"]["output"].as_array().unwrap();
                all = output.iter().filter(|item| item["type"] == "message").flat_map(texts).collect();
                if let Some(joined) = data["response"]["output_text"].as_str() {
                    assert_eq!(joined, all.concat());
                }
            }
            _ => {}
        }
    }
    let deltas: Vec<String> = deltas.into_values().filter(|text| !text.is_empty()).collect();
    let all: Vec<String> = all.into_iter().filter(|text| !text.is_empty()).collect();
    if !all.is_empty() && !deltas.is_empty() {
        assert_eq!(deltas, all);
    }
    if all.is_empty() { deltas } else { all }
}

fn numbers(ran: &Ran) -> Vec<u64> {
    ran.data().iter().map(|node| node.get("sequence_number").unwrap().as_u64().unwrap()).collect()
}

#[test]
fn an_allowed_call_goes_on_byte_for_byte() {
    for size in [1, 3, 7, 1000] {
        let stream = Told::new().say("Hello.", size).say(GOOD, size).call(r#"{"command":"ls"}"#).end();
        let ran = run_in(Context { text_tools: TextTools::Xml, ..context(false) }, &stream);
        assert_eq!(ran.fault(), None);
        assert!(ran.text() == stream, "{}", ran.text());
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.released, outcome.blocked, outcome.withheld), (2, 0, 0));
        assert_eq!(outcome.coverage, Coverage::Full);
        assert_eq!(ran.judged[0].1.as_deref(), Some(r#"{"command":"ls"}"#));
    }
}

#[test]
fn a_blocked_call_is_replaced_in_every_copy() {
    for size in [1, 3, 7, 1000] {
        let stream = Told::new().say(BAD, size).say(&format!("{GOOD} {BAD}"), size).end();
        let ran = run(&stream);
        assert_eq!(agreed(&ran), [REPLACED.to_owned(), format!("{GOOD} {REPLACED}")], "{size}");
        assert!(!ran.text().contains("bad") && !ran.text().contains("xecute_command>\\n<command>b"));
        // Events keep their numbers, and none is lost.
        assert_eq!(numbers(&ran), (0..ran.data().len() as u64).collect::<Vec<_>>());
        assert_eq!(ran.data().len(), stream.matches("data: ").count());
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.released, outcome.blocked, outcome.withheld), (1, 2, 0));
        assert_eq!(outcome.coverage, Coverage::Full);
    }
}

#[test]
fn text_that_only_may_open_a_call_goes_on() {
    for fragments in [
        &["1 ", "<", " 2 and <", "execute", " it"][..],
        &["<", "<", "<exec", "ute_commander>", "<"],
        &["<execute_comman"],
        &vec!["<"; 5000],
    ] {
        let fragments: Vec<String> = fragments.iter().map(ToString::to_string).collect();
        let part = Part {
            refusal: false,
            fragments,
            annotations: vec![json!({ "start_index": 0, "end_index": 1 })],
        };
        let refusal = Part { refusal: true, ..Part::new("no < yes", 1) };
        let stream = Told::new().message(&[part.clone(), Part::new(" b", 1)]).message(&[refusal, part]).end();
        let ran = run(&stream);
        assert_eq!(ran.fault(), None);
        assert!(ran.text() == stream && ran.judged.is_empty());
        assert_eq!(ran.outcome.unwrap().withheld, 0);
    }
    let text = "a\n`code` and *** stars ***\n\n- x\n";
    let stream = Told::new().say(text, 1).say(text, 1000).end();
    let ran = run_in(reading(TextTools::EditBlocks), &stream);
    assert!(ran.text() == stream && ran.fault().is_none());
}

#[test]
fn what_is_free_is_sent_before_what_is_held() {
    let told = Told::new().message(&[Part::new("Hello <Q<execute_command><command>ls", 1)]).clone();
    let context = reading(TextTools::Xml);
    let mut machine = Machine::new(Dialect::OpenAiResponses, Framing::Events, context, Limits::default());
    let stream = told.stream();
    let mut told = Vec::new();
    for event in stream.split_inclusive("\n\n") {
        let mut out = Vec::new();
        machine.step(Input::Bytes(event.as_bytes()), &mut out);
        told.push(out.iter().filter(|output| matches!(output, Output::Send(_))).count());
    }
    // Two events announce; then `Hello `, `<`, which waits for `Q`, and the call.
    assert_eq!(&told[..3], [1, 1, 1]);
    assert_eq!(&told[3..9], [1; 6], "Hello ");
    assert_eq!(&told[9..12], [0, 2, 0], "<, Q and <");
    assert!(told[12..].iter().all(|sent| *sent == 0));
}

#[test]
fn what_spells_or_cites_replaced_text_goes() {
    let cite = |from: u64, to: u64| json!({ "type": "url_citation", "start_index": from, "end_index": to, "url": format!("https://example.org/{from}"), "title": "t" });
    let file = json!({ "type": "file_path", "file_id": "f" });
    let place =
        |index: u64| json!({ "type": "file_citation", "index": index, "file_id": format!("f{index}") });
    let annotations = vec![cite(0, 5), place(3), file.clone(), cite(10, 20), cite(70, 80), place(90)];
    for (text, kept) in [(GOOD, 6), (BAD, 3)] {
        let part = Part { annotations: annotations.clone(), ..Part::new(text, 4) };
        let stream = Told::new().message(&[part]).end();
        let ran = run(&stream);
        agreed(&ran);
        let mut lists = 0;
        let mut added = 0;
        for line in ran.text().lines().filter_map(|line| line.strip_prefix("data: ")) {
            let data: Value = serde_json::from_str(line).unwrap();
            added += usize::from(data["type"] == "response.output_text.annotation.added");
            for part in
                [&data["part"], &data["item"]["content"][0], &data["response"]["output"][0]["content"][0]]
            {
                if data["type"] == "response.content_part.added" {
                    continue;
                }
                if let Some(list) = part["annotations"].as_array() {
                    assert_eq!(list[..], annotations[..kept]);
                    lists += 1;
                }
                if let Some(list) = part["logprobs"].as_array() {
                    assert_eq!(list.is_empty(), text == BAD);
                }
            }
            if data["type"] == "response.output_text.delta" && text == BAD && data["delta"] == "Let " {
                assert_eq!(data["logprobs"], logprobs("Let "), "what spells the rest stays");
            }
        }
        assert_eq!((lists, added), (3, kept));
        assert!(!ran.text().contains("bad"));
        if text == GOOD {
            assert_eq!(ran.text(), stream);
        }
    }
}

#[test]
fn text_may_come_in_copies_only() {
    for text in [GOOD, BAD] {
        let wanted = if text == BAD { REPLACED } else { GOOD };
        // Begun, and whole.
        let mut whole = Told::new();
        whole.event(
            "response.output_item.added",
            json!({ "output_index": 0, "item": { "id": "msg_0", "type": "message", "role": "assistant", "content": [] } }),
        );
        whole.done(message(text));
        // Never begun.
        let mut sudden = Told::new();
        sudden.done(message(text));
        // In the part's own copy.
        let mut part = whole.clone();
        part.events.pop();
        part.event(
            "response.output_text.done",
            json!({ "output_index": 0, "item_id": "msg_0", "content_index": 0, "text": text, "logprobs": logprobs(text) }),
        );
        part.output.clear();
        part.done(message(text));
        for (what, told) in [("whole", &whole), ("sudden", &sudden), ("part", &part)] {
            for output in [&told.output[..], &[]] {
                let stream = told.end_with("response.completed", output);
                let ran = run(&stream);
                assert_eq!(agreed(&ran), [wanted], "{what}");
                assert!(!ran.text().contains("bad"), "{what}");
                assert_eq!(ran.text() == stream, text == GOOD, "{what}");
            }
        }
        // At the end of the reply only.
        let stream = Told::new().end_with("response.completed", &[message(text)]);
        let ran = run(&stream);
        assert_eq!(agreed(&ran), [wanted]);
        assert_eq!(ran.judged.len(), 1);
    }
}

#[test]
fn parts_and_messages_are_one_text_with_seams() {
    let (head, tail) = BAD.split_at(40);
    let two = |first: &str, second: &str| vec![Part::new(first, 3), Part::new(second, 3)];
    for stream in [
        Told::new().message(&two(head, tail)).end(),
        Told::new().say(head, 3).say(tail, 3).end(),
        Told::new().say(head, 3).call(r#"{"command":"ls"}"#).say(tail, 1000).end(),
    ] {
        let ran = run_in(Context { text_tools: TextTools::Xml, ..context(false) }, &stream);
        assert_eq!(agreed(&ran), ["Let me look: BLOCKED execute_command\n", " and so on."]);
        assert_eq!(ran.outcome.as_ref().unwrap().blocked, 1);
        assert!(ran.judged.iter().any(|(_, why, _)| why.as_ref().unwrap().contains("cut over several")));
    }
    // A body says the notice once, too.
    let ran = run_body(TextTools::Xml, &response("completed", &[message(head), message(tail)]));
    assert_eq!(ran.text().matches("BLOCKED").count(), 1, "{}", ran.text());
    // The beginning of a name before a seam, the rest behind it.
    let stream =
        Told::new().say("a <execute_", 3).say("command><command>bad</command></execute_command>", 5).end();
    let ran = run(&stream);
    assert_eq!(agreed(&ran), ["a BLOCKED execute_command\n"]);
    // Used again, a number means another text.
    let stream = Told::new().say("a <", 1).say("b <", 1).say(BAD, 3).end();
    assert_eq!(agreed(&run(&stream)), ["a <", "b <", REPLACED]);
    let bodies = response("completed", &[message("a <"), message("b <"), message(BAD)]);
    let ran = run_body(TextTools::Xml, &bodies);
    assert!(ran.text().contains("\"a <\"") && ran.text().contains("\"b <\"") && !ran.text().contains("bad"));
    // A fence at the beginning of a part stands at the beginning of a line, to some.
    let stream = Told::new().message(&two("a", "```bash\nbad\n```")).end();
    assert_eq!(agreed(&run_in(reading(TextTools::EditBlocks), &stream)), ["a", "BLOCKED bash\n"]);
}

#[test]
fn refusals_are_texts_of_their_own() {
    let refusal = |text: &str| Part { refusal: true, ..Part::new(text, 2) };
    let stream = Told::new().message(&[Part::new("a", 1), refusal(BAD)]).message(&[refusal("no")]).end();
    let ran = run(&stream);
    assert_eq!(agreed(&ran), ["a", REPLACED, "no"]);
    let stream =
        Told::new().message(&[Part::new("a <", 1), refusal("x"), Part::new("execute_command>", 9)]).end();
    let ran = run(&stream);
    assert_eq!(ran.fault(), Some("text.order"));
    assert!(!ran.text().contains("execute"));
}

#[test]
fn copies_that_say_something_else_refuse_the_reply() {
    let base = || Told::new().say("one <", 2).say("two", 2).say(GOOD, 2).clone();
    type Change<'a> = &'a dyn Fn(&mut Vec<Value>);
    let changes: [(&str, Change<'_>); 7] = [
        ("another text", &|output| output[1]["content"][0]["text"] = json!("<execute_command><command>bad")),
        ("left out", &|output| drop(output.remove(1))),
        ("the last left out", &|output| drop(output.pop())),
        ("emptied", &|output| output[1]["content"][0]["text"] = json!("")),
        ("another order", &|output| output.swap(0, 1)),
        ("twice", &|output| output.push(output[0].clone())),
        ("a string", &|output| output[1]["content"] = json!("two")),
    ];
    for (what, change) in changes {
        let mut told = base();
        change(&mut told.output);
        let ran = run(&told.end());
        assert!(
            matches!(ran.fault(), Some("responses.copies" | "responses.order")),
            "{what}: {:?}",
            ran.fault()
        );
        assert!(!ran.text().contains("response.completed") && !ran.text().contains("bad"), "{what}");
    }
    // None repeated at all, or none of the texts, is fine.
    for change in [&Vec::clear as Change<'_>, &|output| {
        output.iter_mut().for_each(|item| item["content"] = json!([]));
    }] {
        let mut told = base();
        change(&mut told.output);
        let stream = told.end();
        assert_eq!((run(&stream).fault(), run(&stream).text()), (None, stream.as_str()));
    }
    // Copies within the message.
    for kind in ["response.output_text.done", "response.content_part.done", "response.output_item.done"] {
        let mut told = base();
        let event = told.events.iter_mut().rev().find(|event| event["type"] == kind).unwrap();
        let bad = event.to_string().replace("ls", "bad");
        *event = serde_json::from_str(&bad).unwrap();
        let ran = run(&told.end());
        assert_eq!(ran.fault(), Some("responses.copies"), "{kind}");
        assert!(!ran.text().contains("bad"));
    }
    // A part between two others left out, or emptied, or said as something else.
    let parts = [Part::new("<exec", 2), Part::new("x", 2), Part::new("ute_command><command>bad", 2)];
    let changes: [&dyn Fn(&mut Value); 3] = [
        &|content| drop(content.as_array_mut().unwrap().remove(1)),
        &|content| content[1]["text"] = json!(""),
        &|content| content[1] = json!({ "type": "refusal", "refusal": "x" }),
    ];
    for change in changes {
        let mut told = Told::new();
        told.message(&parts);
        change(&mut told.output[0]["content"]);
        assert_eq!(run(&told.end()).fault(), Some("responses.copies"));
        let mut told = Told::new();
        told.message(&parts);
        change(&mut told.events.last_mut().unwrap()["item"]["content"]);
        let ran = run(&told.end());
        assert_eq!(
            (ran.fault(), ran.text().contains("response.completed")),
            (Some("responses.copies"), false)
        );
    }
    // Two texts in one part.
    let mut told = base();
    told.output[1]["content"][0]["refusal"] = json!(BAD);
    assert_eq!(run(&told.end()).fault(), Some("responses.order"));
}

#[test]
fn the_text_of_the_whole_reply_is_a_copy_too() {
    let joined = |text: &str, output: &str| {
        let mut told = Told::new();
        told.say("One. ", 2).say(text, 2);
        told.event("response.completed", json!({ "response": response("completed", &told.output.clone()) }));
        let last = told.events.last_mut().unwrap();
        last["response"]["output_text"] = json!(output);
        told.stream()
    };
    let stream = joined(GOOD, &format!("One. {GOOD}"));
    assert_eq!(run(&stream).text(), stream);
    assert_eq!(agreed(&run(&joined(BAD, &format!("One. {BAD}")))), ["One. ", REPLACED]);
    assert_eq!(run(&joined(GOOD, BAD)).fault(), Some("responses.copies"));
    // Wherever it stands in a body.
    for text in [GOOD, BAD] {
        let mut body = response("completed", &[message("One. "), message(text)]);
        let whole = format!("One. {text}");
        body["output_text"] = json!(whole);
        body["an_output_text"] = json!(null);
        let ran = run_body(TextTools::Xml, &body);
        let sent: Value = serde_json::from_slice(&ran.sent).unwrap();
        let wanted = if text == BAD { REPLACED } else { GOOD };
        assert_eq!(sent["output_text"], json!(format!("One. {wanted}")));
        assert_eq!(sent["output"][1]["content"][0]["text"], json!(wanted));
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.released, outcome.blocked), (u32::from(text == GOOD), u32::from(text == BAD)));
    }
}

#[test]
fn texts_come_one_behind_the_other() {
    let delta = |index: u64, text: &str| json!({ "output_index": index, "item_id": format!("msg_{index}"), "content_index": 0, "delta": text });
    let mut told = Told::new();
    for index in 0..2 {
        let item =
            json!({ "id": format!("msg_{index}"), "type": "message", "role": "assistant", "content": [] });
        told.event("response.output_item.added", json!({ "output_index": index, "item": item }));
    }
    told.event("response.output_text.delta", delta(0, "<exec"));
    told.event("response.output_text.delta", delta(1, "x"));
    told.event("response.output_text.delta", delta(0, "ute_command><command>bad"));
    let ran = run(&told.stream());
    assert_eq!(ran.fault(), Some("text.order"));
    assert!(!ran.text().contains("bad"));
    // One part to who goes by indices, two messages to who goes by names.
    let mut named = Told::new();
    named.events.extend_from_slice(&told.events[1..2]);
    for (id, text) in [("a", "<exec"), ("b", "x"), ("a", "ute_command><command>bad")] {
        let mut rest = delta(0, text);
        rest["item_id"] = json!(id);
        named.event("response.output_text.delta", rest);
    }
    let ran = run(&named.stream());
    assert_eq!((ran.fault(), ran.text().contains("bad")), (Some("text.order"), false));
    // A name used again behind another, and more of a text behind its copy.
    let mut again = Told::new();
    let mut behind = Told::new();
    for (index, id, text) in [(0, "a", "<exec"), (1, "b", "x"), (2, "a", "ute_command><command>bad")] {
        let begun = json!({ "output_index": index, "item": { "id": format!("msg_{index}"), "type": "message", "role": "assistant", "content": [] } });
        again.event("response.output_item.added", begun.clone());
        let mut rest = delta(index, text);
        behind.event("response.output_item.added", begun);
        if index != 1 {
            behind.event("response.output_text.delta", rest.clone());
            let place = json!({ "output_index": index, "item_id": rest["item_id"], "content_index": 0, "text": text });
            behind.event("response.output_text.done", place);
        } else {
            behind.event("response.output_text.delta", delta(0, text));
        }
        rest["item_id"] = json!(id);
        again.event("response.output_text.delta", rest);
    }
    for told in [again, behind] {
        let ran = run(&told.stream());
        assert_eq!((ran.fault(), ran.text().contains("bad")), (Some("text.order"), false));
    }
    // What began as something else is no message.
    for item in [
        json!({ "id": "rs_0", "type": "reasoning", "summary": [] }),
        json!({ "id": "cm_0", "type": "compaction", "encrypted_content": "x" }),
    ] {
        let mut turned = Told::new();
        turned.event("response.output_item.added", json!({ "output_index": 0, "item": item }));
        turned.done(message(BAD));
        assert!(!run(&turned.end()).text().contains("bad"));
    }
    // Text where only some readers look: at the beginning of a part, and in no delta before others.
    let begun = |nth: usize, place: &str| {
        let mut told = Told::new();
        told.say("<exec", 9).say("ute_command><command>bad", 99);
        let text = if place == "item" {
            json!([Part::new("x", 1).value()])
        } else {
            json!(Part::new("x", 1).value())
        };
        let event = told
            .events
            .iter_mut()
            .filter(|event| event["type"].as_str().unwrap().ends_with(".added"))
            .nth(nth)
            .unwrap();
        match place {
            "item" => event["item"]["content"] = text,
            _ => event["part"] = text,
        }
        told.end()
    };
    let mut silent = Told::new();
    silent.say("<exec", 9).done(message("x")).say("ute_command><command>bad", 99);
    for stream in [begun(2, "item"), begun(3, "part"), silent.end()] {
        let ran = run(&stream);
        assert_eq!((ran.fault(), ran.text().contains("bad")), (Some("text.order"), false));
    }
    // Copies of some of the texts only, and copies in another order.
    for kind in ["response.output_text.done", "response.content_part.done", "response.output_item.done"] {
        let mut told = Told::new();
        told.say("<exec", 9).say("x", 9).say("ute_command><command>bad", 99);
        let mut at =
            told.events.iter().enumerate().filter(|(_, event)| event["type"] == kind).map(|(at, _)| at);
        let (first, second) = (at.next().unwrap(), at.next().unwrap());
        let mut missing = told.clone();
        missing.events.remove(second);
        let mut late = told.clone();
        let event = late.events.remove(first);
        late.events.insert(second, event);
        for told in [missing, late] {
            let ran = run(&told.end());
            assert_eq!(ran.fault(), Some("text.order"), "{kind}");
            assert!(!readers(&ran).iter().any(|(_, text)| runs_bad(text)), "{kind}");
        }
        // None at all is fine.
        let mut none = told.clone();
        none.events.retain(|event| event["type"] != kind);
        assert_eq!(run(&none.end()).fault(), None, "{kind}");
    }
    let mut early = Told::default();
    early.event("response.created", json!({ "response": response("in_progress", &[message(BAD)]) }));
    let ran = run(&early.stream());
    assert_eq!((ran.fault(), ran.text().contains("bad")), (Some("responses.order"), false));
}

#[test]
fn what_a_reply_leaves_open_is_judged_at_its_end() {
    let open = "x <execute_command><command>bad it";
    for end in ["response.completed", "response.incomplete", "response.failed"] {
        let mut told = Told::new();
        told.say(open, 2);
        let ran = run(&told.end_with(end, &told.output));
        assert_eq!(agreed(&ran), ["x BLOCKED execute_command\n"]);
        assert!(ran.text().contains(end) && ran.outcome.unwrap().blocked == 1);
    }
    let mut told = Told::new();
    told.say(open, 2);
    // A stream that breaks off, or ends in an error: what was held is not sent.
    let mut failed = told.clone();
    failed.event("error", json!({ "code": "server_error", "message": "no" }));
    for stream in [told.stream(), failed.stream()] {
        let ran = run(&stream);
        assert!(!ran.text().contains("bad") && ran.judged.is_empty());
    }
}

#[test]
fn equal_texts_are_not_taken_for_each_other() {
    let stream = Told::new().say(GOOD, 5).say(GOOD, 1000).say(GOOD, 5).end();
    let mut machine =
        Machine::new(Dialect::OpenAiResponses, Framing::Events, reading(TextTools::Xml), Limits::default());
    let mut out = Vec::new();
    machine.step(Input::Bytes(stream.as_bytes()), &mut out);
    machine.step(Input::End, &mut out);
    let mut ran = Ran::default();
    let mut nth = 0;
    while !out.is_empty() {
        let mut more = Vec::new();
        for output in out {
            match output {
                Output::Judge(id, _, held) => {
                    nth += 1;
                    let blocked = Ruling::Replace("BLOCKED".to_owned());
                    let ruling = if nth == 2 { blocked } else { Ruling::Release(held) };
                    machine.step(Input::Ruled(id, ruling), &mut more);
                }
                output => take(output, &mut machine, &mut ran, &mut more),
            }
        }
        out = more;
    }
    assert_eq!(agreed(&ran), [GOOD, "Let me look.\nBLOCKED\n\nDone: a < b.", GOOD]);
}

#[test]
fn bodies_are_read_alike() {
    for (text, wanted) in [(GOOD, GOOD), (BAD, REPLACED)] {
        let reply = |text: &str| response("completed", &[message(text), message("end")]);
        let ran = run_body(TextTools::Xml, &reply(text));
        let mut expected = reply(wanted);
        if text == BAD {
            expected["output"][0]["content"][0]["logprobs"] = json!([]);
        } else {
            expected["output"][0]["content"][0]["logprobs"] = logprobs(GOOD);
        }
        assert_eq!(serde_json::from_slice::<Value>(&ran.sent).unwrap(), expected);
        assert_eq!(ran.judged.len(), 1);
        let outcome = ran.outcome.unwrap();
        assert_eq!(outcome.coverage, Coverage::Full);
        // Lists of items: each for itself, and what the user said is no call.
        let asked = json!({ "id": "msg_9", "type": "message", "role": "user", "content": [{ "type": "input_text", "text": BAD }] });
        let listed =
            |text: &str| json!({ "object": "list", "data": [message(text), asked], "has_more": false });
        let ran = run_body(TextTools::Xml, &listed(text));
        let sent: Value = serde_json::from_slice(&ran.sent).unwrap();
        assert_eq!((&sent["data"][0]["content"][0]["text"], &sent["data"][1]), (&json!(wanted), &asked));
    }
    let listed = json!({ "data": [message("x <execute_command><command>ls"), message("</command> y")] });
    let ran = run_body(TextTools::Xml, &listed);
    assert_eq!((ran.text(), ran.judged.len()), (listed.to_string().as_str(), 1), "each for itself");
    for odd in [
        json!({ "id": "msg_0", "type": "message", "role": "assistant", "text": BAD }),
        json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": BAD }),
        json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": [BAD] }),
        json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": [{ "type": "refusal", "text": "x", "refusal": BAD }] }),
        json!({ "id": "msg_0", "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": { "value": BAD } }] }),
    ] {
        let ran = run_body(TextTools::Xml, &response("completed", &[odd]));
        assert_eq!((ran.fault(), ran.sent.len()), (Some("responses.order"), 0));
    }
    // A call beside it.
    let call = |arguments: &str| json!({ "id": "fc_1", "type": "function_call", "call_id": "c", "name": "Bash", "arguments": arguments });
    for (text, arguments) in
        [(GOOD, "{\"command\":\"bad\"}"), (BAD, "{\"command\":\"ls\"}"), (BAD, "{\"command\":\"bad\"}")]
    {
        let body = response("completed", &[call(arguments), message(text)]).to_string();
        let context = Context { text_tools: TextTools::Xml, ..context(false) };
        let ran =
            run_dialect(Dialect::OpenAiResponses, Framing::Json, &[body.as_bytes()], Input::End, context);
        let sent: Value = serde_json::from_slice(&ran.sent).unwrap();
        let wanted = if text == BAD { REPLACED } else { GOOD };
        assert_eq!(sent["output"][1]["content"][0]["text"], json!(wanted));
        let kind = if arguments.contains("bad") { "message" } else { "function_call" };
        assert_eq!(sent["output"][0]["type"], json!(kind));
        assert!(!ran.text().contains("bad"));
    }
}

#[test]
fn a_stream_resumed_in_its_middle_does_not_go_on_with_text() {
    let resumed = || {
        let mut context = reading(TextTools::Xml);
        context.declared.resumed = true;
        context
    };
    let told = Told::new().say(BAD, 3).clone();
    for from in 1..told.events.len() {
        let mut rest = Told { events: told.events[from..].to_vec(), output: told.output.clone() };
        let ran = run_in(resumed(), &rest.clone().end());
        assert!(!ran.text().contains("bad") && !ran.text().contains("delta"), "{from}: {}", ran.text());
        assert_eq!(ran.fault(), Some("text.resumed"), "{from}");
        // Thinking is no text.
        rest.events.clear();
        rest.event(
            "response.reasoning_text.delta",
            json!({ "output_index": 0, "item_id": "rs_0", "content_index": 0, "delta": "<" }),
        );
        rest.event(
            "response.output_text.delta",
            json!({ "output_index": 0, "item_id": "rs_0", "content_index": 0, "delta": "bad" }),
        );
        let ran = run_in(resumed(), &rest.stream());
        assert_eq!((ran.fault(), ran.text().contains("bad")), (Some("text.resumed"), false));
    }
    // The end, with all texts whole, is judged.
    let mut last = Told::default();
    last.event("response.completed", json!({ "response": response("completed", &told.output) }));
    assert_eq!(agreed(&run_in(resumed(), &last.stream())), [REPLACED]);
}

#[test]
fn monitor_mode_alters_nothing() {
    let stream = Told::new().say(BAD, 2).say("a <exec", 2).say(&format!("{GOOD}{BAD}"), 1000).end();
    let ran = run_in(Context { monitor: true, ..reading(TextTools::Xml) }, &stream);
    assert_eq!(ran.text(), stream);
    assert_eq!(ran.judged.len(), 3);
}

#[test]
fn without_the_setting_nothing_is_held() {
    let stream = Told::new().say(BAD, 2).end();
    for (text_tools, coverage) in
        [(TextTools::Unset, Coverage::Partial("text-tools".into())), (TextTools::None, Coverage::Full)]
    {
        let ran = run_in(reading(text_tools), &stream);
        assert_eq!(ran.text(), stream);
        assert_eq!(ran.outcome.unwrap().coverage, coverage);
    }
}

#[test]
fn edit_blocks_and_commands_in_fences() {
    let text = "Do it:\n\na.py\n```python\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n\n```bash\nbad it\n```\nDone.\n";
    let wanted = "Do it:\n\na.py\n```python\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n\nBLOCKED bash\n\nDone.\n";
    for size in [1, 5, 1000] {
        let ran = run_in(reading(TextTools::EditBlocks), &Told::new().say(text, size).end());
        assert_eq!(agreed(&ran), [wanted]);
        let ran = run_body(TextTools::EditBlocks, &response("completed", &[message(text)]));
        let sent: Value = serde_json::from_slice(&ran.sent).unwrap();
        assert_eq!(sent["output"][0]["content"][0]["text"], json!(wanted));
    }
}

#[test]
fn half_characters_are_counted_as_they_are_joined() {
    // Pairs of surrogates cut between two deltas, before the call and in it; escapes of every kind.
    let escaped = [
        r"A\ud83d",
        r"\ude00\u00e9\u003c",
        r"execute_command><command>bad \ud83d",
        r"\ude00</command>",
        r"</execute_command>\u0042\\n <i>",
    ];
    let text = "A😀é<execute_command><command>bad 😀</command></execute_command>B\\n <i>";
    let mut told = Told::new();
    told.event(
        "response.output_item.added",
        json!({ "output_index": 0, "item": { "id": "msg_0", "type": "message", "role": "assistant", "content": [] } }),
    );
    for nth in 0..escaped.len() {
        let delta = format!("ESCAPED{nth}");
        let rest = json!({ "output_index": 0, "item_id": "msg_0", "content_index": 0, "delta": delta });
        told.event("response.output_text.delta", rest);
    }
    let annotations = json!([{ "start_index": 0, "end_index": 3 }, { "start_index": 0, "end_index": 4 }]);
    told.done(json!({
        "id": "msg_0", "type": "message", "role": "assistant",
        "content": [{ "type": "output_text", "text": text, "annotations": annotations }]
    }));
    let stream = escaped
        .iter()
        .enumerate()
        .fold(told.end(), |stream, (nth, escaped)| stream.replace(&format!("ESCAPED{nth}"), escaped));
    let ran = run(&stream);
    assert_eq!(ran.fault(), None);
    let data = ran.data();
    let output = data.last().unwrap().get("response").unwrap().get("output").unwrap();
    let part = &output.elements()[0].get("content").unwrap().elements()[0];
    assert_eq!(part.text("text"), Some("A😀éBLOCKED execute_command\nB\\n <i>"));
    assert_eq!(part.get("annotations").unwrap().elements().len(), 1, "characters, not bytes");
    assert!(!ran.text().contains("bad"));
    assert!(ran.text().contains(r"A\ud83d") && ran.text().contains(r"\ude00\u00e9BLOCKED"));
    let allowed = stream.replace("bad", "fine");
    assert_eq!(run(&allowed).text(), allowed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// However texts are cut into deltas, parts and messages, and bytes into reads: all copies agree, what is
    /// blocked is nowhere, and the bytes sent do not depend on the reads.
    #[test]
    fn cuts_change_nothing(
        cuts in proptest::collection::vec(0..300_usize, 0..30),
        reads in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        pieces in proptest::collection::vec(0..6_usize, 1..6),
        edit in any::<bool>(),
    ) {
        let texts = match edit {
            true => ["so:\n```bash\nbad it\n```\nand\n", "a.py\n```\nx\n```\n", "`", "```bash\nls\n```", "plain\n", "- x"],
            false => [BAD, GOOD, "a <", "<execute_command><command>bad", "</command> x", "b <i> c"],
        };
        let mut told = Told::new();
        let mut at = 0;
        let mut parts = Vec::new();
        for (nth, piece) in pieces.iter().enumerate() {
            let mut fragments = vec![String::new()];
            for c in texts[*piece].chars() {
                at += 1;
                if cuts.contains(&at) {
                    fragments.push(String::new());
                }
                fragments.last_mut().unwrap().push(c);
            }
            parts.push(Part { refusal: false, fragments, annotations: vec![json!({ "start_index": 15, "end_index": 16 })] });
            if nth % 2 == 1 || nth + 1 == pieces.len() {
                told.message(&std::mem::take(&mut parts));
            }
        }
        let stream = told.end();
        let mode = if edit { TextTools::EditBlocks } else { TextTools::Xml };
        let whole = run_in(reading(mode), &stream);
        let said = agreed(&whole).concat();
        prop_assert!(!whole.text().contains("bad"), "{}", whole.text());
        prop_assert!(said.contains("BLOCKED") == (whole.outcome.as_ref().unwrap().blocked > 0));
        // The same texts whole say the same.
        let body = run_dialect(
            Dialect::OpenAiResponses,
            Framing::Json,
            &[response("completed", &told.output).to_string().as_bytes()],
            Input::End,
            reading(mode),
        );
        let sent: Value = serde_json::from_slice(&body.sent).unwrap();
        let again: String = sent["output"].as_array().unwrap().iter().flat_map(|item| item["content"].as_array().unwrap()).map(|part| part["text"].as_str().unwrap()).collect();
        prop_assert_eq!(said, again);
        let mut ends: Vec<usize> = reads.iter().map(|at| at.index(stream.len())).collect();
        ends.sort_unstable();
        ends.push(stream.len());
        let mut from = 0;
        let chunks: Vec<&[u8]> = ends
            .iter()
            .map(|end| {
                let part = &stream.as_bytes()[from..*end];
                from = *end;
                part
            })
            .collect();
        let cut = run_dialect(Dialect::OpenAiResponses, Framing::Events, &chunks, Input::End, reading(mode));
        prop_assert_eq!(&cut.sent, &whole.sent);
        prop_assert_eq!(&cut.judged, &whole.judged);
    }
}

/// Whether a client that reads `text` would run what is `bad`.
fn runs_bad(text: &str) -> bool {
    let mut scanner = Scanner::new(TextTools::Xml).unwrap();
    let mut at = 0;
    let mut marks: Vec<Mark> = std::iter::from_fn(|| scanner.next(text.as_bytes(), &mut at)).collect();
    marks.extend(scanner.end());
    let bad = |reading: &Reading| reading.arguments.as_ref().is_ok_and(|arguments| arguments.contains("bad"));
    marks.iter().any(|mark| matches!(mark, Mark::Call(_, readings) if readings.iter().any(bad)))
}

/// What clients join that read a stream each in their own way.
fn readers(ran: &Ran) -> Vec<(&'static str, String)> {
    let mut arrival = String::new();
    let mut by: [BTreeMap<String, String>; 2] = Default::default();
    let mut by_done: [String; 3] = Default::default();
    let mut found = Vec::new();
    let joined = |item: &Value, between: &str| {
        let parts = item["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        texts.join(between)
    };
    for line in ran.text().lines().filter_map(|line| line.strip_prefix("data: ")) {
        let data: Value = serde_json::from_str(line).unwrap();
        match data["type"].as_str().unwrap() {
            "response.output_text.delta" => {
                let delta = data["delta"].as_str().unwrap();
                arrival += delta;
                *by[0].entry(data["output_index"].to_string()).or_default() += delta;
                *by[1].entry(data["item_id"].to_string()).or_default() += delta;
            }
            "response.output_text.done" => by_done[0] += data["text"].as_str().unwrap(),
            "response.content_part.done" => by_done[1] += data["part"]["text"].as_str().unwrap_or_default(),
            "response.output_item.done" => {
                by_done[2] += &joined(&data["item"], "");
                found.push(("item", joined(&data["item"], "\n")));
            }
            "response.completed" => {
                let output = data["response"]["output"].as_array().unwrap();
                for between in ["", "\n"] {
                    let texts: Vec<String> = output.iter().map(|item| joined(item, between)).collect();
                    found.push(("output", texts.join(between)));
                }
            }
            _ => {}
        }
    }
    found.push(("arrival", arrival));
    found.extend(by_done.map(|text| ("done", text)));
    let [index, id] = by;
    found.extend(index.into_values().map(|text| ("index", text)));
    found.extend(id.into_values().map(|text| ("id", text)));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever an upstream does with the events of messages: no client runs what is blocked.
    #[test]
    fn no_reader_finds_a_call_that_was_not_judged(
        pieces in proptest::collection::vec((0..4_u8, 0..3_u64, 0..2_u64, 0..10_u8), 3..7),
        dones in proptest::collection::vec(0..4_u8, 3),
        (late, last) in (any::<bool>(), 0..6_u8),
    ) {
        const CALL: [&str; 3] = ["<exec", "ute_command>", "<command>bad"];
        let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
        let item = |index: u64, content: Vec<Value>| json!({ "id": format!("msg_{index}"), "type": "message", "role": "assistant", "content": content });
        let mut told = Told::new();
        let (mut said, mut next, mut words) = (vec![BTreeMap::<u64, String>::new(); 3], 0_u64, 0);
        let begin = |told: &mut Told, index: u64| {
            told.event("response.output_item.added", json!({ "output_index": index, "item": item(index, vec![]) }));
        };
        if late {
            (0..3).for_each(|index| begin(&mut told, index));
            next = 3;
        }
        for (how, index, place, word) in pieces {
            // The call word by word, now and then something between.
            let text = if word < 7 { CALL[words % 3] } else { ["x", "x", "<"][usize::from(word - 7)] };
            words += usize::from(word < 7);
            let index = index.min(next);
            if index == next {
                begin(&mut told, index);
                next += 1;
            }
            let name = if how == 3 { 2 - index } else { index };
            let at = |rest: Value| {
                let mut data = json!({ "output_index": index, "item_id": format!("msg_{name}"), "content_index": place });
                data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
                data
            };
            let (kind, rest) = match (how, word) {
                (_, 7) => ("response.refusal.delta", json!({ "delta": text })),
                (1, 8) => ("response.content_part.done", json!({ "part": part("x") })),
                (2, 8) => ("response.output_text.done", json!({ "text": "x" })),
                (0, _) => ("response.content_part.added", json!({ "part": part(text) })),
                _ => ("response.output_text.delta", json!({ "delta": text })),
            };
            told.event(kind, at(rest));
            said[index as usize].entry(place).or_default().push_str(text);
            if how == 2 {
                let text = &said[index as usize][&place];
                told.event("response.output_text.done", at(json!({ "text": text })));
                told.event("response.content_part.done", at(json!({ "part": part(text) })));
            }
            if word == 6 {
                let content = said[index as usize].values().map(|text| part(text)).collect();
                told.event("response.output_item.done", json!({ "output_index": index, "item": item(index, content) }));
            }
        }
        let whole = |index: u64| -> Vec<Value> { said[index as usize].values().map(|text| part(text)).collect() };
        for index in 0..next {
            let mut content = whole(index);
            match dones[index as usize] {
                0 => continue,
                1 if content.len() > 1 => drop(content.remove(0)),
                2 => content.reverse(),
                _ => {}
            }
            told.event("response.output_item.done", json!({ "output_index": index, "item": item(index, content) }));
        }
        let mut output: Vec<Value> = (0..next).map(|index| item(index, whole(index))).collect();
        match last {
            0 => output.clear(),
            1 => output.reverse(),
            2 if output.len() > 1 => drop(output.remove(output.len() / 2)),
            _ => {}
        }
        let ran = run(&told.end_with("response.completed", &output));
        for (reader, text) in readers(&ran) {
            prop_assert!(!runs_bad(&text), "{reader}: {text}\n{}\n{}", told.stream(), ran.text());
        }
    }
}
