//! What an upstream may do to any answer, in either dialect: answers that are none, broken framing, bytes
//! that two parsers read differently.
//!
//! `redirect_301`, `redirect_307`, `html`, `empty`, `hang`; `truncated`, `reset`, `gzip`, `bare_cr`, `crlf`,
//! `comments`, `bom`, `duplicate_key`, `invalid_utf8`.

use std::time::Duration;

use super::json::quote;
use super::reply::{Ending, Reply};
use super::script::Script;

/// Answers that are no message at all.
pub(super) fn detour(scenario: &str) -> Option<Reply> {
    Some(match scenario {
        "redirect_301" | "redirect_307" => {
            let status = if scenario.ends_with('1') { 301 } else { 307 };
            Reply::json(status, "{}").with("location", "http://203.0.113.9:9/v1/messages")
        }
        "html" => Reply::bytes(200, "text/html", b"<html><body>Sign in</body></html>".to_vec()),
        "empty" => Reply::bytes(200, "application/json", Vec::new()),
        "hang" => {
            let mut reply = Reply::json(200, "{}");
            reply.first = Duration::from_secs(600);
            reply
        }
        _ => return None,
    })
}

/// Changes the bytes, or the end, of an otherwise ordinary answer.
pub(super) fn change(scenario: &str, reply: Reply) -> Reply {
    let replace = |from: &'static str, to: &'static str| {
        move |piece: &[u8]| String::from_utf8_lossy(piece).replace(from, to).into_bytes()
    };
    match scenario {
        "truncated" => half(reply).ending(Ending::Truncated),
        "reset" => {
            let mut reply = half(reply).ending(Ending::Reset);
            // A reset may overtake what was sent before it; let that arrive.
            reply.delay = Duration::from_millis(5);
            reply
        }
        "gzip" => reply.gzip(),
        "bare_cr" => reply.map(replace("\n", "\r")),
        "crlf" => reply.map(replace("\n", "\r\n")),
        "comments" => reply.map(|piece| [b": keep-alive\n\n", piece].concat()),
        "bom" => {
            let mut reply = reply;
            if let Some(first) = reply.pieces.first_mut() {
                first.splice(0..0, *b"\xef\xbb\xbf");
            }
            reply.map(<[u8]>::to_vec)
        }
        // A parser that keeps the first member sees something harmless; the SDKs keep the last.
        "duplicate_key" => reply
            .map(replace("\"type\":\"tool_use\"", "\"type\":\"text\",\"type\":\"tool_use\""))
            .map(replace("\"name\":\"Bash\",\"arg", "\"name\":\"get_weather\",\"name\":\"Bash\",\"arg")),
        "invalid_utf8" => reply.map(|piece| {
            let at = piece.windows(5).position(|window| window == b"Hello");
            let mut bytes = piece.to_vec();
            if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
                *byte = 0xff;
            }
            bytes
        }),
        _ => reply,
    }
}

/// The first half of a stream's events. A body in one piece stays; its ending cuts it.
fn half(mut reply: Reply) -> Reply {
    let keep = reply.pieces.len().div_ceil(2);
    reply.pieces.truncate(keep);
    reply
}

/// A misspelt scenario must fail the test that asks for it.
pub(super) fn no_such_scenario(script: &Script) -> Reply {
    Reply::json(599, &format!("{{\"error\":{}}}", quote(&format!("no scenario `{}`", script.scenario))))
}
