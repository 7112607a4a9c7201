//! Calls that stand in text: held, judged, released byte for byte or replaced.

use proptest::prelude::*;

use super::*;
use crate::wire::text_tools::TextTools;

fn reading(text_tools: TextTools) -> Context {
    Context { text_tools, declared: Declared { choices: 1, ..Declared::default() }, ..context(false) }
}

fn run(protocol: Protocol, text_tools: TextTools, stream: &str) -> Ran {
    run_with(protocol, Framing::Events, &[stream.as_bytes()], Input::End, reading(text_tools))
}

/// The first chunk, which says nothing.
fn begun() -> String {
    hello().replace("hi", "")
}

/// A message that says these fragments, as each protocol streams it.
fn said(protocol: Protocol, fragments: &[&str]) -> String {
    let quoted = |text: &str| serde_json::json!(text).to_string();
    match protocol {
        Protocol::Anthropic => {
            let delta = |text: &&str| {
                let text = quoted(text);
                ev(
                    "content_block_delta",
                    &format!(r#","index":0,"delta":{{"type":"text_delta","text":{text}}}"#),
                )
            };
            start()
                + &ev("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#)
                + &fragments.iter().map(delta).collect::<String>()
                + &ev("content_block_stop", r#","index":0"#)
                + &stop("end_turn")
        }
        Protocol::Gemini => {
            let chunk = |text: &&str| {
                let text = quoted(text);
                format!(
                    "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{text}}}],\"role\":\"model\"}},\"index\":0}}]}}\r\n\r\n"
                )
            };
            fragments.iter().map(chunk).collect()
        }
        Protocol::OpenAi => {
            let delta = |text: &&str| chunk(&format!(r#"{{"content":{}}}"#, quoted(text)), "null");
            begun()
                + &fragments.iter().map(delta).collect::<String>()
                + &chunk("{}", "\"stop\"")
                + "data: [DONE]\n\n"
        }
    }
}

/// All text a client joins.
fn heard(ran: &Ran) -> String {
    let mut text = String::new();
    for node in ran.data() {
        let first = |key: &str| node.get(key)?.elements().first();
        let part = || first("candidates")?.get("content")?.get("parts")?.elements().first();
        let delta = node.get("delta").or_else(|| first("choices")?.get("delta")).or_else(part);
        if let Some(delta) = delta {
            text += delta.text("text").or_else(|| delta.text("content")).unwrap_or_default();
        }
    }
    text
}

const ALL: [Protocol; 3] = [Protocol::Anthropic, Protocol::OpenAi, Protocol::Gemini];

const GOOD: &str = "Let me look.\n<execute_command>\n<command>ls</command>\n</execute_command>\nDone: a < b.";
const BAD: &str =
    "Let me look: <execute_command>\n<command>bad \"é\\😀\"</command>\n</execute_command> and so on.";

#[test]
fn an_allowed_call_in_text_goes_on_byte_for_byte() {
    for protocol in ALL {
        let fragments: Vec<String> = GOOD.chars().map(String::from).collect();
        let fragments: Vec<&str> = fragments.iter().map(String::as_str).collect();
        let stream = said(protocol, &fragments);
        let ran = run(protocol, TextTools::Xml, &stream);
        assert_eq!(ran.text(), stream);
        let call = ("execute_command".to_owned(), Some(r#"{"command":"ls"}"#.to_owned()), false);
        assert_eq!(ran.judged, [call]);
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.released, outcome.blocked, outcome.withheld), (1, 0, 0));
        assert_eq!(outcome.coverage, Coverage::Full);
    }
}

#[test]
fn a_blocked_call_in_text_is_replaced_in_its_place() {
    for protocol in ALL {
        for size in [1, 3, 7, 1000] {
            let chars: Vec<char> = BAD.chars().collect();
            let fragments: Vec<String> = chars.chunks(size).map(|part| part.iter().collect()).collect();
            let fragments: Vec<&str> = fragments.iter().map(String::as_str).collect();
            let ran = run(protocol, TextTools::Xml, &said(protocol, &fragments));
            assert_eq!(heard(&ran), "Let me look: BLOCKED execute_command\n and so on.", "{size}");
            assert!(!ran.text().contains("bad") && !ran.text().contains("<command"), "{}", ran.text());
            assert_eq!(ran.fault(), None);
            let outcome = ran.outcome.unwrap();
            assert_eq!((outcome.released, outcome.blocked, outcome.withheld), (0, 1, 0));
        }
    }
}

#[test]
fn escapes_are_cut_where_the_text_is() {
    // Escaped in every way, with a pair of surrogates cut between two deltas.
    let one = |text: &str| chunk(&format!(r#"{{"content":"{text}"}}"#), "null");
    let stream = begun()
        + &one(r"\u0041\ud83d\ude00\u00e9\u4e2d\n\u003cexecute_command>\u003c\u0063ommand>bad \ud83d")
        + &one(r"\ude00\/\u003c/command>\t</execute_command\u003e\u0042\\n")
        + &finish("stop");
    let ran = run(Protocol::OpenAi, TextTools::Xml, &stream);
    assert_eq!(heard(&ran), "A😀é中\nBLOCKED execute_command\nB\\n");
    assert_eq!(ran.judged[0].1.as_deref(), Some("{\"command\":\"bad 😀/\"}"));
    assert!(ran.text().contains(r"\u0041\ud83d\ude00\u00e9\u4e2d\n"), "what is free keeps its bytes");
}

#[test]
fn text_that_only_may_open_a_call_goes_on() {
    for protocol in ALL {
        for fragments in [
            &["1 ", "<", " 2 and <", "execute", " it"][..],
            &["<", "<", "<exec", "ute_commander>", "<"],
            &["<execute_comman"],
        ] {
            let stream = said(protocol, fragments);
            let ran = run(protocol, TextTools::Xml, &stream);
            assert_eq!(ran.text(), stream, "{fragments:?}");
            assert!(ran.judged.is_empty());
            let outcome = ran.outcome.unwrap();
            assert_eq!((outcome.released, outcome.blocked, outcome.withheld), (0, 0, 0));
        }
        // However often: what is disproved leaves nothing behind.
        let many = vec!["<"; 5000];
        let stream = said(protocol, &many);
        let ran = run(protocol, TextTools::Xml, &stream);
        assert!(ran.text() == stream && ran.fault().is_none());
    }
}

#[test]
fn what_is_free_is_sent_before_what_is_held() {
    let mut machine =
        Machine::new(Dialect::OpenAiChat, Framing::Events, reading(TextTools::Xml), Limits::default());
    let mut sent = |bytes: &str| {
        let mut out = Vec::new();
        machine.step(Input::Bytes(bytes.as_bytes()), &mut out);
        let send = |output: &Output| matches!(output, Output::Send(_));
        out.iter().filter(|output| send(output)).count()
    };
    let one = |text: &str| chunk(&format!(r#"{{"content":"{text}"}}"#), "null");
    assert_eq!(sent(&begun()), 1);
    assert_eq!(sent(&one("Hello ")), 1);
    assert_eq!(sent(&one("<")), 0, "may open a call");
    assert_eq!(sent(&one("Q")), 2, "does not");
    assert_eq!(sent(&one("<exe")), 0);
    assert_eq!(sent(&one("cute_command>")), 0);
    assert_eq!(sent(&one("<command>ls</command>")), 0);
}

#[test]
fn a_call_that_the_text_leaves_open_is_judged_at_its_end() {
    for protocol in ALL {
        let ran = run(protocol, TextTools::Xml, &said(protocol, &["x <execute_command>", "<command>bad it"]));
        assert_eq!(heard(&ran), "x BLOCKED execute_command\n");
        assert_eq!(ran.outcome.unwrap().blocked, 1);
    }
    // Text that goes on behind the end would be joined to it.
    let late = begun()
        + &chunk(r#"{"content":"<execute_command><command>ls"}"#, "null")
        + &finish("stop").replace("data: [DONE]\n\n", "")
        + &chunk(r#"{"content":"; bad</command></execute_command>"}"#, "null")
        + "data: [DONE]\n\n";
    let ran = run(Protocol::OpenAi, TextTools::Xml, &late);
    assert_eq!(ran.fault(), Some("text.late"));
    assert!(!ran.text().contains("bad"));
    // A stream that breaks off: what was held is not sent.
    let cut = begun() + &chunk(r#"{"content":"a <execute_command><command>bad"}"#, "null");
    let ran = run_with(
        Protocol::OpenAi,
        Framing::Events,
        &[cut.as_bytes()],
        Input::Aborted,
        reading(TextTools::Xml),
    );
    assert!(!ran.text().contains("bad") && ran.judged.is_empty());
}

#[test]
fn one_reading_that_is_blocked_blocks_the_text() {
    let hidden = "<write_to_file><path>a</path><content></write_to_file><execute_command><command>bad</command></execute_command></content></write_to_file>";
    for protocol in ALL {
        let ran = run(protocol, TextTools::Xml, &said(protocol, &["a ", hidden, " b"]));
        assert!(ran.judged.len() > 1, "{:?}", ran.judged);
        assert!(!ran.text().contains("bad") && heard(&ran).starts_with("a BLOCKED "), "{}", heard(&ran));
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.released, outcome.blocked, outcome.withheld), (0, 1, 0));
        // All its readings allowed, it goes on.
        let stream = said(protocol, &["a ", &hidden.replace("bad", "ls"), " b"]);
        let ran = run(protocol, TextTools::Xml, &stream);
        assert_eq!(ran.text(), stream);
        assert_eq!(ran.outcome.unwrap().released, 1);
    }
}

#[test]
fn in_whichever_order_readings_are_ruled() {
    let text =
        "<read_file><path>a</path><path>b</path><command>x</command><command>y</command></read_file> b";
    let stream = said(Protocol::OpenAi, &["a ", text]);
    for blocked in 0..4 {
        for reverse in [false, true] {
            let context = reading(TextTools::Xml);
            let mut machine = Machine::new(Dialect::OpenAiChat, Framing::Events, context, Limits::default());
            let mut out = Vec::new();
            machine.step(Input::Bytes(stream.as_bytes()), &mut out);
            machine.step(Input::End, &mut out);
            let mut ran = Ran::default();
            let mut held = Vec::new();
            for output in out {
                match output {
                    Output::Judge(id, _, bytes) => held.push((id, bytes)),
                    Output::Send(bytes) => ran.sent.extend_from_slice(&bytes),
                    _ => {}
                }
            }
            assert_eq!(held.len(), 4);
            let mut rulings: Vec<(usize, (CallId, Held))> = held.into_iter().enumerate().collect();
            if reverse {
                rulings.reverse();
            }
            let mut out = Vec::new();
            for (place, (id, bytes)) in rulings {
                let ruling = match place == blocked {
                    true => Ruling::Replace("BLOCKED".to_owned()),
                    false => Ruling::Release(bytes),
                };
                machine.step(Input::Ruled(id, ruling), &mut out);
            }
            for output in out {
                if let Output::Send(bytes) = output {
                    ran.sent.extend_from_slice(&bytes);
                }
            }
            assert_eq!(heard(&ran), "a BLOCKED\n b");
        }
    }
}

#[test]
fn edit_blocks_and_commands_in_fences() {
    let text = "Do it:\n\na.py\n```python\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n\n```bash\nbad it\n```\nDone.\n";
    for protocol in ALL {
        for size in [1, 5, 1000] {
            let chars: Vec<char> = text.chars().collect();
            let fragments: Vec<String> = chars.chunks(size).map(|part| part.iter().collect()).collect();
            let fragments: Vec<&str> = fragments.iter().map(String::as_str).collect();
            let ran = run(protocol, TextTools::EditBlocks, &said(protocol, &fragments));
            assert_eq!(
                heard(&ran),
                "Do it:\n\na.py\n```python\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n\nBLOCKED bash\n\nDone.\n"
            );
            let tools: Vec<&str> = ran.judged.iter().map(|(tool, ..)| tool.as_str()).collect();
            assert_eq!(tools, ["edit_block", "bash"]);
        }
    }
}

#[test]
fn bodies_are_read_alike() {
    let message = |text: &str| {
        let text = serde_json::json!(text);
        format!(
            r#"{{"id":"m","type":"message","role":"assistant","content":[{{"type":"text","text":{text}}},{{"type":"text","text":"end"}}],"model":"x","stop_reason":"end_turn","usage":{{"input_tokens":1,"output_tokens":1}}}}"#
        )
    };
    let completion = |text: &str| {
        let text = serde_json::json!(text);
        format!(
            r#"{{"id":"c","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":{text}}},"finish_reason":"stop"}}]}}"#
        )
    };
    for (protocol, body) in
        [(Protocol::Anthropic, &message as &dyn Fn(&str) -> String), (Protocol::OpenAi, &completion)]
    {
        let go = |text: &str| {
            let context = reading(TextTools::Xml);
            run_with(protocol, Framing::Json, &[body(text).as_bytes()], Input::End, context)
        };
        let ran = go(GOOD);
        assert_eq!(ran.text(), body(GOOD));
        assert_eq!(ran.outcome.unwrap().released, 1);
        let ran = go(&format!("{BAD} {GOOD}"));
        let wanted = format!("Let me look: BLOCKED execute_command\n and so on. {GOOD}");
        assert_eq!(ran.text(), body(&wanted));
        let outcome = ran.outcome.unwrap();
        assert_eq!((outcome.released, outcome.blocked), (1, 1));
    }
}

#[test]
fn blocks_are_one_text_with_seams() {
    let stream = start()
        + &text_block(0, "a <execute_command><command>")
        + &text_block(1, "ls</command></execute_command> b")
        + &stop("end_turn");
    let ran = run(Protocol::Anthropic, TextTools::Xml, &stream);
    // Joined with a line end it would be another command.
    assert_eq!(ran.outcome.as_ref().unwrap().blocked, 1);
    assert_eq!(heard(&ran), "a BLOCKED execute_command\n b");
    // A fence at the beginning of a block stands at the beginning of a line, to those that put one there.
    let stream = start() + &text_block(0, "a") + &text_block(1, "```bash\nbad\n```") + &stop("end_turn");
    let ran = run(Protocol::Anthropic, TextTools::EditBlocks, &stream);
    assert_eq!(heard(&ran), "aBLOCKED bash\n");
}

#[test]
fn real_calls_beside_calls_in_text() {
    let context = || Context { text_tools: TextTools::Xml, ..context(false) };
    let stream = start()
        + &text_block(0, "x <execute_command><command>bad</command></execute_command>")
        + &tool(1, "Bash", r#"{"command":"ls"}"#)
        + &stop("tool_use");
    let ran = run_with(Protocol::Anthropic, Framing::Events, &[stream.as_bytes()], Input::End, context());
    assert!(ran.text().contains("\"stop_reason\":\"tool_use\"") && !ran.text().contains("bad"));
    let stream = begun()
        + &chunk(r#"{"content":"x <execute_command><command>ls</command></execute_command>"}"#, "null")
        + &calls(&[piece(0, Some("Bash"), r#"{\"command\":\"bad\"}"#)])
        + &finish("tool_calls");
    let ran = run_with(Protocol::OpenAi, Framing::Events, &[stream.as_bytes()], Input::End, context());
    assert!(ran.text().contains("<command>ls") && !ran.text().contains("bad"), "{}", ran.text());
    assert!(ran.text().contains("\"finish_reason\":\"stop\""), "{}", ran.text());
}

#[test]
fn who_says_nothing_has_no_full_coverage() {
    let stream = said(Protocol::OpenAi, &[BAD]);
    let coverage = |context: Context| {
        let ran = run_with(Protocol::OpenAi, Framing::Events, &[stream.as_bytes()], Input::End, context);
        assert_eq!(ran.text(), stream, "nothing is held");
        ran.outcome.unwrap().coverage
    };
    assert_eq!(coverage(reading(TextTools::Unset)), Coverage::Partial("text-tools".into()));
    assert_eq!(coverage(reading(TextTools::None)), Coverage::Full);
    assert_eq!(coverage(context(false)), Coverage::Full, "a request with tools");
    let unknown = said(Protocol::OpenAi, &["<launch_rocket>x</launch_rocket>"]);
    let ran = run(Protocol::OpenAi, TextTools::Xml, &unknown);
    assert_eq!(ran.outcome.unwrap().coverage, Coverage::Partial("unknown text tool".into()));
}

#[test]
fn monitor_mode_alters_nothing() {
    for protocol in ALL {
        let stream = said(protocol, &["a ", BAD, " <exec"]);
        let context = Context { monitor: true, ..reading(TextTools::Xml) };
        let ran = run_with(protocol, Framing::Events, &[stream.as_bytes()], Input::End, context);
        assert_eq!(ran.text(), stream);
        assert_eq!(ran.judged.len(), 1);
    }
}

proptest! {
    /// However a text is cut into deltas, and its bytes into reads: a blocked command is not in what the client
    /// joins, what is allowed is as it was, and the calls are the same.
    #[test]
    fn cuts_change_nothing(
        cuts in proptest::collection::vec(0..400_usize, 0..30),
        reads in proptest::collection::vec(0..8000_usize, 0..8),
        edit in any::<bool>(),
    ) {
        let (mode, text, wanted) = if edit {
            let bad = "so:\n```bash\nbad it\n```\nand\n";
            (TextTools::EditBlocks, bad, "so:\nBLOCKED bash\n\nand\n".to_owned())
        } else {
            let wanted = format!("Let me look: BLOCKED execute_command\n and so on.{}", GOOD);
            (TextTools::Xml, &*format!("{BAD}{GOOD}").leak(), wanted)
        };
        for protocol in ALL {
            let mut fragments = vec![String::new()];
            for (at, c) in text.chars().enumerate() {
                if cuts.contains(&at) {
                    fragments.push(String::new());
                }
                fragments.last_mut().unwrap().push(c);
            }
            let fragments: Vec<&str> = fragments.iter().map(String::as_str).collect();
            let stream = said(protocol, &fragments);
            let mut ends: Vec<usize> = reads.iter().map(|at| (*at).min(stream.len())).collect();
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
            let ran = run_with(protocol, Framing::Events, &chunks, Input::End, reading(mode));
            prop_assert_eq!(heard(&ran), wanted.clone());
            prop_assert!(!ran.text().contains("bad"));
            prop_assert_eq!(ran.fault(), None);
            let whole = run(protocol, mode, &stream);
            prop_assert_eq!(&ran.sent, &whole.sent);
            prop_assert_eq!(&ran.judged, &whole.judged);
        }
    }
}

#[test]
fn a_call_in_text_does_not_go_on_with_a_placeholder() {
    use crate::placeholder::{Issuer, Placeholders, Secret};
    let placeholder = Issuer::new(&[1; 32], "a", "s").unwrap().placeholder("hunter2hunter2");
    let mut known = Placeholders::default();
    known.issue(&placeholder, Secret::new("db", "hunter2hunter2"));
    let text = format!("<execute_command><command>psql {placeholder}</command></execute_command>");
    for protocol in ALL {
        let context = Context { placeholders: Arc::new(known.clone()), ..reading(TextTools::Xml) };
        let stream = said(protocol, &[&text]);
        let ran = run_with(protocol, Framing::Events, &[stream.as_bytes()], Input::End, context);
        assert_eq!(heard(&ran), "BLOCKED execute_command\n");
        // Of another session: it stands for nothing here.
        let ran = run(protocol, TextTools::Xml, &stream);
        assert_eq!(heard(&ran), text);
    }
}
