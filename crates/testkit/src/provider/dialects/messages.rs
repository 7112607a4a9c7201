//! Compatible providers of Anthropic Messages: the scenarios of `anthropic.rs`, with what each provider does
//! to them. `scripted:<provider>/<scenario>`, for instance `scripted:kimi/one_bad`.
//!
//! | provider | |
//! |---|---|
//! | `openrouter` | comments first, `data: [DONE]` behind the end |
//! | `copilot` | `data: [DONE]` in the place of `message_stop` |
//! | `kimi` | no space after the colons |
//!
//! Source: issues of their users.

use super::super::anthropic;
use super::super::reply::Reply;
use super::super::script::Script;

/// The providers.
pub const MESSAGES: [&str; 3] = ["openrouter", "copilot", "kimi"];

/// The answer to `POST …/messages`, if the scenario names a provider.
pub(in super::super) fn answer(script: &Script) -> Option<Reply> {
    let (provider, scenario) = script.scenario.split_once('/')?;
    if !MESSAGES.contains(&provider) {
        return None;
    }
    let mut script = script.clone();
    script.scenario = scenario.to_owned();
    let reply = anthropic::answer(&script);
    if !script.stream || reply.status != 200 {
        return Some(reply);
    }
    Some(change(provider, reply))
}

fn change(provider: &str, mut reply: Reply) -> Reply {
    match provider {
        "openrouter" => {
            reply.pieces.insert(0, b": OPENROUTER PROCESSING\n\n".to_vec());
            reply.pieces.push(b"data: [DONE]\n\n".to_vec());
            reply
        }
        "copilot" => {
            reply.pieces.pop();
            reply.pieces.push(b"data: [DONE]\n\n".to_vec());
            reply
        }
        _ => reply.map(|piece| {
            let text = String::from_utf8_lossy(piece).into_owned();
            text.replacen("event: ", "event:", 1).replacen("\ndata: ", "\ndata:", 1).into_bytes()
        }),
    }
}
