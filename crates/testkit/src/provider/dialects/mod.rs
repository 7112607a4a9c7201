//! Compatible providers, as they speak: what each adds to OpenAI's Chat Completions, leaves out of it or
//! spells in another way, from their documentation and from what their users have reported.
//!
//! `scripted:<dialect>/<scene>`, for instance `scripted:vllm/parallel`. Every dialect has the scenes of
//! [`SCENES`]; each file names what else its dialect has.
//!
//! | scene | what is told |
//! |---|---|
//! | `text` | a sentence |
//! | `reasoning` | thoughts (where the dialect has them), then the sentence |
//! | `parallel` | the sentence and two harmless calls |
//! | `blocked` | the sentence, a harmless call and one that every shipped policy blocks |
//! | `blocked_first` | the same two calls the other way round, and no sentence |
//! | `all_blocked` | one call, which is blocked |
//! | `refused` | an error before anything else |
//! | `broken` | an error in the middle of the sentence |
//! | `broken_call` | an error in the middle of the calls |

mod azure;
mod deepseek;
mod gemini;
mod groq;
mod litellm;
mod llama_cpp;
pub mod messages;
mod mistral;
mod ollama;
mod openrouter;
mod vllm;

use super::json::{pieces, quote};
use super::reply::{Ending, Framing, Reply};
use super::script::{EVIL, HELLO, LIST, Script};

/// The scenes that every dialect has.
pub const SCENES: [&str; 9] = [
    "text",
    "reasoning",
    "parallel",
    "blocked",
    "blocked_first",
    "all_blocked",
    "refused",
    "broken",
    "broken_call",
];

/// The dialects that speak Chat Completions.
pub const CHAT: [&str; 10] = [
    "openrouter",
    "deepseek",
    "vllm",
    "ollama",
    "llama_cpp",
    "litellm",
    "azure",
    "groq",
    "mistral",
    "gemini",
];

const THOUGHT: &str = "The user wants a listing. «ls» is safe.";

/// What is told, before a dialect writes it down.
#[derive(Debug, Default)]
struct Turn {
    model: String,
    reasoning: &'static str,
    text: &'static str,
    calls: Vec<Call>,
    /// Whether the request asks for usage.
    usage: bool,
}

#[derive(Debug)]
struct Call {
    name: &'static str,
    /// As the model spelled them: a space after the colon.
    arguments: String,
}

impl Turn {
    fn of(scene: &str, script: &Script) -> Option<Self> {
        let bash = |command: &str| Call {
            name: "Bash",
            arguments: format!("{{\"command\": {}, \"description\": \"Run it\"}}", quote(command)),
        };
        let weather =
            || Call { name: "get_weather", arguments: "{\"city\": \"Zürich\", \"days\": 3}".to_owned() };
        let (text, calls) = match scene {
            "text" | "reasoning" | "broken" => (HELLO, vec![]),
            "parallel" | "broken_call" => (HELLO, vec![bash(LIST), weather()]),
            "blocked" => (HELLO, vec![weather(), bash(EVIL)]),
            "blocked_first" => ("", vec![bash(EVIL), weather()]),
            "all_blocked" => ("", vec![bash(EVIL)]),
            _ => return None,
        };
        let reasoning = if scene == "reasoning" { THOUGHT } else { "" };
        Some(Self { model: script.model.clone(), reasoning, text, calls, usage: script.usage })
    }

    fn text_pieces(&self) -> Vec<String> {
        pieces(self.text, 9)
    }

    fn reasoning_pieces(&self) -> Vec<String> {
        pieces(self.reasoning, 12)
    }

    /// The usual reason for the end.
    fn finish(&self) -> &'static str {
        if self.calls.is_empty() { "stop" } else { "tool_calls" }
    }
}

impl Call {
    fn pieces(&self) -> Vec<String> {
        pieces(&self.arguments, 11)
    }

    /// `"function":{…}`, whole.
    fn function(&self) -> String {
        format!("\"function\":{{\"name\":{},\"arguments\":{}}}", quote(self.name), quote(&self.arguments))
    }
}

/// How one provider speaks.
trait Dialect {
    /// A whole stream, one piece each event.
    fn stream(&self, turn: &Turn) -> Vec<Vec<u8>>;

    /// A whole body.
    fn whole(&self, turn: &Turn) -> Vec<u8>;

    /// An error in the place of a reply.
    fn refused(&self) -> Reply;

    /// What ends a stream that breaks.
    fn breaks(&self, turn: &Turn) -> Vec<Vec<u8>>;

    /// A body of a reply that broke.
    fn broken(&self, _: &Turn) -> Reply {
        Reply::json(200, "{\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,").ending(Ending::Truncated)
    }

    /// Scenes of its own.
    fn special(&self, _scene: &str, _script: &Script) -> Option<Reply> {
        None
    }

    /// Headers that its replies carry.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

fn dialect(name: &str) -> Option<Box<dyn Dialect>> {
    Some(match name {
        "openrouter" => Box::new(openrouter::OpenRouter),
        "deepseek" => Box::new(deepseek::DeepSeek),
        "vllm" => Box::new(vllm::Vllm),
        "ollama" => Box::new(ollama::Ollama),
        "llama_cpp" => Box::new(llama_cpp::LlamaCpp),
        "litellm" => Box::new(litellm::LiteLlm),
        "azure" => Box::new(azure::Azure),
        "groq" => Box::new(groq::Groq),
        "mistral" => Box::new(mistral::Mistral),
        "gemini" => Box::new(gemini::Gemini),
        _ => return None,
    })
}

/// The answer to `POST …/chat/completions`, if the scenario names a dialect and one of its scenes.
pub(super) fn answer(script: &Script) -> Option<Reply> {
    let (name, scene) = script.scenario.split_once('/')?;
    let dialect = dialect(name)?;
    let reply = match dialect.special(scene, script) {
        Some(reply) => reply,
        None => plain(&*dialect, scene, script)?,
    };
    Some(dialect.headers().iter().fold(reply, |reply, (name, value)| reply.with(name, value)))
}

fn plain(dialect: &dyn Dialect, scene: &str, script: &Script) -> Option<Reply> {
    if scene == "refused" {
        return Some(dialect.refused());
    }
    let turn = Turn::of(scene, script)?;
    let broken = scene.starts_with("broken");
    Some(match (script.stream, broken) {
        (true, false) => Reply::stream(dialect.stream(&turn)),
        (true, true) => {
            let mut events = first_part(dialect.stream(&turn));
            events.extend(dialect.breaks(&turn));
            Reply::stream(events)
        }
        (false, false) => Reply::bytes(200, "application/json", dialect.whole(&turn)),
        (false, true) => dialect.broken(&turn),
    })
}

/// The events up to the middle of the calls; without calls, of the text.
fn first_part(mut events: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let calls = |event: &Vec<u8>| event.windows(14).any(|window| window == b"\"tool_calls\":[");
    let at: Vec<usize> = (0..events.len()).filter(|at| events.get(*at).is_some_and(calls)).collect();
    // Three pieces of a call, or the first of two whole calls.
    let middle = match at.get(at.len().saturating_sub(2).min(2)) {
        Some(at) => at + 1,
        None => events.len() / 2,
    };
    events.truncate(middle);
    events
}

/// An event without a name.
fn data(json: &str) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

fn done() -> Vec<u8> {
    b"data: [DONE]\n\n".to_vec()
}

/// A body that comes in pieces of unknown length and breaks off.
fn broken_off(pieces: Vec<Vec<u8>>) -> Reply {
    let mut reply = Reply::bytes(200, "application/json", Vec::new()).ending(Ending::Truncated);
    reply.framing = Framing::Chunked;
    reply.pieces = pieces;
    reply
}
