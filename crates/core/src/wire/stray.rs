//! Calls where no SDK looks for one, and keys that some readers take for others: clients are written in many
//! languages, and what one of them could run is not waved through because most would not.

use super::Fault;
use super::dialect::Dialect;
use crate::syntax::{Kind, Member, Node, Span};

/// Keys under which clients look for calls, in lower case.
const CALLS: &[&str] = &[
    "function_call",
    "function_calls",
    "functioncall",
    "functioncalls",
    "tool_call",
    "tool_calls",
    "tool_use",
    "toolcall",
    "toolcalls",
    "tooluse",
];

/// Whether some part of `node` is what an agent could take for a call it should run. Keys count in any
/// case: some languages' readers ignore it.
pub(crate) fn looks_like_call(node: &Node) -> bool {
    match &node.kind {
        Kind::Array(elements) => elements.iter().any(looks_like_call),
        Kind::Object(members) => {
            is_call(members) || members.iter().any(|member| looks_like_call(&member.value))
        }
        _ => false,
    }
}

/// Whether an object with these members is a call by itself.
fn is_call(members: &[Member]) -> bool {
    let has = |keys: &[&str]| {
        members
            .iter()
            .any(|member| !member.value.is_null() && keys.iter().any(|key| folds_to(&member.key, key)))
    };
    let typed = members.iter().any(|member| {
        folds_to(&member.key, "type")
            && member.value.as_str().is_some_and(|kind| {
                let kind = kind.to_ascii_lowercase();
                let named =
                    ["function_call", "tool_call", "tool-call"].iter().any(|word| kind.contains(word));
                named || kind.ends_with("tool_use") || kind.ends_with("_call") || kind == "function"
            })
    });
    let named = has(&["name", "toolname", "tool_name"]) && has(&["input", "arguments", "args", "parameters"]);
    typed || named || has(CALLS) || members.iter().any(is_piece_of_call)
}

/// Whether a member by the name of some kind of call (`custom_tool_call`) holds what calls hold. A stream gives the
/// name first and then pieces of arguments without it.
fn is_piece_of_call(member: &Member) -> bool {
    let key: String =
        member.key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let named = ["call", "calls", "tooluse", "tooluses"].iter().any(|word| key.ends_with(word));
    let holds = |node: &Node| {
        let parts = ["arguments", "args", "function", "input", "name", "parameters"];
        node.members().iter().any(|member| parts.iter().any(|part| folds_to(&member.key, part)))
    };
    named && (holds(&member.value) || member.value.elements().iter().any(holds))
}

/// Whether some part of `node` that stands in none of `inner`, which are in order and apart, is what an agent could take for a call.
pub(crate) fn looks_like_call_outside(node: &Node, inner: &[(Dialect, Span)]) -> bool {
    // They are in the order in which they stand.
    let next = inner.get(inner.partition_point(|(_, span)| span.start < node.span.start));
    match next {
        Some((_, span)) if *span == node.span => return false,
        Some((_, span)) if span.end <= node.span.end => {}
        _ => return looks_like_call(node),
    }
    match &node.kind {
        Kind::Array(elements) => elements.iter().any(|element| looks_like_call_outside(element, inner)),
        Kind::Object(members) => {
            is_call(members) || members.iter().any(|member| looks_like_call_outside(&member.value, inner))
        }
        _ => false,
    }
}

/// Whether this member is what an agent could take for calls: by its key, if it holds anything, or by what
/// it holds.
pub(crate) fn member_looks_like_call(member: &Member) -> bool {
    let filled = !member.value.elements().is_empty() || !member.value.members().is_empty();
    filled && CALLS.iter().any(|key| folds_to(&member.key, key))
        || is_piece_of_call(member)
        || looks_like_call(&member.value)
}

/// Whether `key` is `known`, or would be to a reader that ignores case. Go's folds two letters beyond
/// ASCII: `ſ` to `s`, the Kelvin sign to `k`.
fn folds_to(key: &str, known: &str) -> bool {
    if key.is_ascii() {
        return key.eq_ignore_ascii_case(known);
    }
    let folded = key.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    });
    folded.eq(known.chars())
}

/// Keys that decide how a reply is read.
const STRUCTURE: &[&str] = &[
    "arguments",
    "choices",
    "content",
    "content_block",
    "custom",
    "delta",
    "finish_reason",
    "function",
    "function_call",
    "id",
    "index",
    "input",
    "message",
    "name",
    "partial_json",
    "role",
    "stop_reason",
    "text",
    "tool_calls",
    "type",
];

/// Refuses keys that are a known one but for their case: some readers would take them for it, most not.
/// What a tool is called with is not looked into; its keys are the tool's own.
pub(crate) fn check_keys(node: &Node) -> Result<(), Fault> {
    match &node.kind {
        Kind::Array(elements) => elements.iter().try_for_each(check_keys),
        Kind::Object(members) => {
            let call = node.text("type").is_some_and(|kind| kind.ends_with("tool_use"));
            for member in members {
                let plain = member.key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
                if !plain && STRUCTURE.iter().any(|known| folds_to(&member.key, known)) {
                    let message =
                        "a key is a known one but for its case; readers disagree on whether it counts";
                    return Err(Fault::new("json.key-case", message));
                }
                if !(call && &*member.key == "input") && &*member.key != "arguments" {
                    check_keys(&member.value)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The same for a dialect whose keys are `known`; below the keys `foreign` all keys are somebody's own.
pub(crate) fn check_keys_of(node: &Node, known: &[&str], foreign: &[&str]) -> Result<(), Fault> {
    match &node.kind {
        Kind::Array(elements) => {
            elements.iter().try_for_each(|element| check_keys_of(element, known, foreign))
        }
        Kind::Object(members) => members.iter().try_for_each(|member| {
            let plain = member.key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
            if !plain && known.iter().any(|known| folds_to(&member.key, known)) {
                let message = "a key is a known one but for its case; readers disagree on whether it counts";
                return Err(Fault::new("json.key-case", message));
            }
            if foreign.contains(&&*member.key) || &*member.key == "arguments" {
                return Ok(());
            }
            check_keys_of(&member.value, known, foreign)
        }),
        _ => Ok(()),
    }
}

/// Refuses what could be a call among the members of `node` that its reader does not look at.
pub(crate) fn check_rest(node: &Node, consumed: &[&str]) -> Result<(), Fault> {
    let stray = |member: &Member| !consumed.contains(&&*member.key) && member_looks_like_call(member);
    if node.members().iter().any(stray) {
        let message = "something that could be a call stands where no SDK looks for one";
        return Err(Fault::new("wire.stray-call", message));
    }
    Ok(())
}
