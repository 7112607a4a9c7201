//! Replies as providers write them, put together from the input: honest ones, and the same with one or two
//! events lost, repeated, swapped or renamed.
//!
//! Random bytes rarely get past the first event. These always do, and because the target knows what it wrote,
//! it can assert more: an honest reply passes with the very calls that were written, and the canary, which
//! stands in the arguments of calls that are to be blocked and nowhere else, never comes out.

mod anthropic;
mod completions;
mod gemini;
mod openai_chat;
mod openai_responses;

use doorward_core::action::ActionKind;
use doorward_core::stream::{Dialect, Framing};
use doorward_core::wire::batch::Batch;
use doorward_core::wire::text_tools::TextTools;

use crate::machine::{CANARY, Ran, Setup, canaries, check};

/// The input, read byte by byte; zeros when it is used up.
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
}

impl Choices<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.next() % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T], otherwise: T) -> T {
        from.get(usize::from(self.next()) % from.len().max(1)).copied().unwrap_or(otherwise)
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A reply that was put together.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Its events, or one JSON body.
    events: Vec<String>,
    /// The calls in it: name and arguments, in the order in which they become complete.
    calls: Vec<(String, String)>,
    /// Whether it holds nothing that only odd providers send.
    honest: bool,
}

/// The names that calls are given; the last one was not declared.
const NAMES: [&str; 3] = ["Bash", "Read", "Nope"];

/// Arguments of a call: an object, with the canary in it if the call is to be blocked.
fn arguments(choices: &mut Choices<'_>) -> String {
    const PLAIN: [&str; 6] = [
        "{}",
        r#"{"command":"ls -la"}"#,
        r#"{"a":"é\"\\😀","n":[1,2.5e3,null]}"#,
        r#"{"file_path":"/tmp/a","content":"x\ny"}"#,
        r#"{ "command" : "echo \"hi\"" }"#,
        r#"{"command":"\ud83d\ude00"}"#,
    ];
    const BLOCKED: [&str; 4] =
        [r#"{"command":"☠"}"#, r#"{"command":"a☠b","☠":["☠"]}"#, r#"{"☠":1}"#, r#"{"c":"\u2620"}"#];
    let from: &[&str] = if choices.below(2) == 0 { &PLAIN } else { &BLOCKED };
    choices.pick(from, "{}").to_owned()
}

/// Something that is said. An agent that reads calls from text may find one in it, with the canary.
fn said(setup: &Setup, choices: &mut Choices<'_>, honest: &mut bool) -> &'static str {
    const PLAIN: [&str; 5] = ["hello", "é😀 \"q\"\\", "call tool_use {\"x\":1}", "a < b and `x`\n", "a\n<b>"];
    const XML: [&str; 3] = [
        "I'll look.\n<execute_command>\n<command>☠</command>\n</execute_command>\n",
        "<execute_command><command>☠</command><requires_approval>false</requires_approval></execute_command> and on",
        "<read_file><path>☠</path></read_file>",
    ];
    const EDIT_BLOCKS: [&str; 2] =
        ["a.py\n```python\n<<<<<<< SEARCH\nx\n=======\n☠\n>>>>>>> REPLACE\n```\n", "Run:\n```bash\n☠\n```\n"];
    let held =
        !matches!(setup.dialect, Dialect::OpenAiResponses | Dialect::OpenAiCompletions | Dialect::Unknown(_));
    let calls: &[&str] = match setup.text_tools {
        _ if !held => &[],
        TextTools::Xml => &XML,
        TextTools::EditBlocks => &EDIT_BLOCKS,
        TextTools::None | TextTools::Unset => &[],
    };
    if calls.is_empty() || choices.below(2) == 0 {
        return choices.pick(&PLAIN, "");
    }
    *honest = false;
    choices.pick(calls, "")
}

/// Cuts a text into fragments between characters.
fn fragments(text: &str, choices: &mut Choices<'_>) -> Vec<String> {
    let size = choices.pick(&[200_usize, 1, 3, 7], 200);
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters.chunks(size).map(|piece| piece.iter().collect()).collect();
    if pieces.is_empty() { vec![String::new()] } else { pieces }
}

/// A text as JSON: as it is, or with everything escaped that may be.
fn json_text(text: &str, choices: &mut Choices<'_>) -> String {
    if choices.below(4) != 0 {
        return serde_json::Value::from(text).to_string();
    }
    let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{}\"", units.concat())
}

/// One or two accidents. `false` if there was none.
fn spoil(events: &mut Vec<String>, choices: &mut Choices<'_>) -> bool {
    let accidents = choices.below(4);
    if accidents == 0 || events.is_empty() {
        return false;
    }
    for _ in 0..accidents.min(2) {
        let at = usize::from(choices.next()) % events.len().max(1);
        let other = usize::from(choices.next()) % events.len().max(1);
        let Some(event) = events.get(at).cloned() else { return true };
        match choices.below(9) {
            0 => drop(events.remove(at)),
            1 => events.insert(other, event),
            2 => events.swap(at, other),
            3 => events.truncate(at),
            4 => events.insert(other, ": a comment\n\n".to_owned()),
            kind => {
                const WORDS: [(&str, &str); 20] = [
                    ("\"output_index\":0", "\"output_index\":1"),
                    ("\"output_index\":1", "\"output_index\":0"),
                    ("functionCall", "function_call"),
                    ("function_call", "custom_tool_call"),
                    ("completed", "incomplete"),
                    ("_1", "_0"),
                    ("args", "Args"),
                    ("added", "done"),
                    ("item", "part"),
                    ("\"name\"", "\"willContinue\":true,\"name\""),
                    ("\"index\":0", "\"index\":1"),
                    ("\"index\":1", "\"index\":0"),
                    ("tool_use", "custom_tool_use"),
                    ("tool_calls", "toolCalls"),
                    ("\n\n", "\r\n\r\n"),
                    ("arguments", "args"),
                    ("tool_calls", "Tool_Calls"),
                    ("\"function\"", "\"custom\""),
                    ("null", "\"\""),
                    ("delta", "message"),
                ];
                let (from, to) = choices.pick(&WORDS, ("", ""));
                let changed =
                    if kind & 1 == 0 { event.replace(from, to) } else { event.replacen(from, to, 1) };
                events.get_mut(at).into_iter().for_each(|event| event.clone_from(&changed));
            }
        }
    }
    true
}

/// A reply that comes alone.
fn one(setup: &Setup, choices: &mut Choices<'_>) -> Reply {
    match setup.dialect {
        Dialect::Anthropic => anthropic::reply(setup, choices),
        Dialect::OpenAiResponses => openai_responses::reply(setup, choices),
        Dialect::Gemini => gemini::reply(setup, choices),
        Dialect::OpenAiCompletions => completions::reply(setup, choices),
        _ => openai_chat::reply(setup, choices),
    }
}

/// One to three replies as the results of a batch.
fn batch(kind: Batch, setup: &Setup, choices: &mut Choices<'_>) -> Reply {
    let mut all = Reply { honest: true, ..Reply::default() };
    for number in 0..1 + choices.below(3) {
        let dialect = match (kind, choices.below(3)) {
            (Batch::MessageResults, _) => Dialect::Anthropic,
            (Batch::GeminiFile | Batch::GeminiBatches, _) => Dialect::Gemini,
            (_, 0) => Dialect::OpenAiChat,
            (_, 1) => Dialect::OpenAiCompletions,
            _ => Dialect::OpenAiResponses,
        };
        let inner = Setup { dialect, framing: Framing::Json, asked: true, ..*setup };
        let reply = one(&inner, choices);
        let body = reply.events.concat().replace(['\r', '\n'], " ");
        all.honest &= reply.honest;
        all.calls.extend(reply.calls);
        all.events.push(match kind {
            Batch::MessageResults => {
                format!("{{\"custom_id\":\"{number}\",\"result\":{{\"type\":\"succeeded\",\"message\":{body}}}}}\n")
            }
            Batch::OpenAiFile => format!(
                "{{\"id\":\"b\",\"custom_id\":\"{number}\",\"response\":{{\"status_code\":200,\"body\":{body}}},\"error\":null}}\n"
            ),
            Batch::GeminiFile => format!("{{\"key\":\"{number}\",\"response\":{body}}}\n"),
            _ => format!("{{\"response\":{body}}},"),
        });
    }
    if setup.framing == Framing::Json {
        let list = all.events.concat();
        let list = list.trim_end_matches(',');
        all.events = vec![format!(
            r#"{{"name":"b","done":true,"response":{{"inlinedResponses":{{"inlinedResponses":[{list}]}}}}}}"#
        )];
    }
    all
}

/// Puts a reply together and runs it.
pub fn transcript(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<3>() else { return };
    let mut setup = Setup::of(*head);
    // Small limits make most replies end early.
    setup.tight &= setup.seed & 1 == 0;
    let mut choices = Choices { rest };
    let mut reply = match setup.dialect {
        Dialect::Batch(kind) => batch(kind, &setup, &mut choices),
        _ => one(&setup, &mut choices),
    };
    // A text with a piece missing need not hold a call any more.
    if !setup.text_tools.holds() {
        reply.honest &= !spoil(&mut reply.events, &mut choices);
    }
    let bytes = reply.events.concat();
    let ran = check(&setup, bytes.as_bytes(), &|action, arguments| {
        let arguments = String::from_utf8_lossy(arguments);
        arguments.contains(CANARY) || arguments.contains("u2620") || action.kind == ActionKind::Unknown
    });
    if !setup.monitor {
        assert_eq!(canaries(&ran.sent), 0, "arguments came out of {bytes}");
    }
    let understood = !matches!(setup.dialect, Dialect::Unknown(_));
    if reply.honest && understood && !setup.tight && !setup.aborted {
        passes(&setup, &reply, &ran);
    }
}

/// An honest reply is understood: no fault, and the calls are those that were written.
fn passes(setup: &Setup, reply: &Reply, ran: &Ran) {
    assert_eq!(ran.outcome.fault, None, "an honest reply was refused: {reply:?}");
    let judged = ran.judged.iter().map(|judged| {
        let name = judged.action.tool.as_ref().map_or("", |tool| &tool.name);
        (name.to_owned(), String::from_utf8_lossy(&judged.arguments).into_owned())
    });
    assert_eq!(judged.collect::<Vec<_>>(), reply.calls, "other calls than were written: {reply:?}");
    assert!(ran.judged.iter().all(|judged| judged.action.fault.is_none()), "a faulty call: {reply:?}");
    assert_eq!(ran.outcome.withheld, 0, "an honest call was withheld: {:?}", setup.framing);
}

/// Whether the reply is one JSON body.
fn is_body(setup: &Setup) -> bool {
    setup.framing == Framing::Json
}
