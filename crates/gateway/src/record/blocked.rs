//! What a forensic record says of what was blocked, beside its content.

use doorward_core::syntax::json::quoted;
use doorward_core::{Action, Decision};

/// The most bytes of text of parts that reasons are about.
const MOST_TEXT: usize = 256 * 1024;

/// One JSON object in one line: what it was, why it was blocked, and the parts that reasons name.
pub(super) fn about(receipt: &str, time: u64, action: &Action, decision: &Decision) -> String {
    let mut out = String::from("{");
    let mut member = |key: &str, value: &str| {
        let comma = if out.len() > 1 { "," } else { "" };
        out.push_str(&format!("{comma}\"{key}\":{value}"));
    };
    member("receipt", &text(receipt));
    member("time", &time.to_string());
    member("agent", &text(&action.agent));
    member("session", &text(&action.session));
    member("door", &text(action.door.as_str()));
    member("kind", &text(action.kind.as_str()));
    if let Some(tool) = &action.tool {
        member("tool", &text(&tool.name));
    }
    if !action.peer.is_empty() {
        member("destination", &text(&action.peer));
    }
    member("verdict", &text(decision.verdict.as_str()));
    let reasons = decision.reasons.iter().map(|reason| {
        let part = reason.part.map(|part| format!(",\"part\":{part}")).unwrap_or_default();
        format!(
            "{{\"rule\":{},\"severity\":{},\"message\":{}{part}}}",
            text(&reason.rule),
            reason.severity,
            text(&reason.message)
        )
    });
    member("reasons", &format!("[{}]", reasons.collect::<Vec<_>>().join(",")));
    member("parts", &format!("[{}]", parts(action, decision).join(",")));
    out.push('}');
    out
}

/// The parts that reasons are about: of a long conversation the one block that matters.
fn parts(action: &Action, decision: &Decision) -> Vec<String> {
    let mut named: Vec<usize> = decision.reasons.iter().filter_map(|reason| reason.part).collect();
    named.sort_unstable();
    named.dedup();
    let mut left = MOST_TEXT;
    let one = |index: usize| {
        let part = action.parts.get(index)?;
        let mut end = left.min(part.text.len());
        while !part.text.is_char_boundary(end) {
            end -= 1;
        }
        left -= end;
        let said = part.text.get(..end).unwrap_or_default();
        Some(format!("{{\"part\":{index},\"length\":{},\"text\":{}}}", part.text.len(), text(said)))
    };
    named.into_iter().filter_map(one).collect()
}

fn text(text: &str) -> String {
    String::from_utf8_lossy(&quoted(text)).into_owned()
}
