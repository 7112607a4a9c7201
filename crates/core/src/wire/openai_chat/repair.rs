//! Putting frames together again once some of their calls are blocked.

use bytes::Bytes;

use crate::syntax::{Kind, Member, Node, Span, json};
use crate::wire::frame::{CallId, Calls, Frame, Repair, Shape};
use crate::wire::splice::{Edit, remove_elements};

/// How a frame is emitted, now that its calls are ruled.
pub(crate) fn repair(frame: &Frame, calls: &Calls) -> Repair {
    if let (Shape::Piece(index), [(call, _)]) = (frame.shape, frame.entries.as_slice()) {
        return piece_repair(*call, index, calls);
    }
    let Some((node, _)) = &frame.node else { return Repair::Keep };
    let mut edits = Vec::new();
    let (mut before, mut then) = (Vec::new(), Vec::new());
    let mut keep = frame.whole || node.some("usage").is_some();
    let whole = node.get("choices").map(Node::elements).unwrap_or_default();
    for (place, choice) in whole.iter().enumerate() {
        let mut lead = None;
        for key in ["delta", "message"] {
            let Some(container) = choice.get(key) else { continue };
            let notice =
                container_edits(container, frame.whole || key == "message", frame, calls, &mut edits);
            if !notice.is_empty() {
                lead = Some(notice);
            }
            keep |= container.members().iter().any(|member| {
                !member.value.is_null()
                    && (!matches!(&*member.key, "tool_calls" | "function_call")
                        || has_kept_entry(member, frame, calls))
            });
        }
        let index = choice.get("index").and_then(Node::as_u64).unwrap_or(place as u64);
        if let Some(reason) = choice.some("finish_reason").filter(|reason| reason.as_str() != Some("")) {
            keep = true;
            let called = matches!(reason.as_str(), Some("tool_calls" | "function_call"));
            // Inside a body a choice is known by its place, in a stream by its index.
            let group = if frame.whole { place as u64 } else { index };
            if called && frame.all_gone(calls, |call| u64::from(call.choice) == group) {
                edits.push(Edit::replace(reason.span, &b"\"stop\""[..]));
            }
        }
        if let Some(notice) = lead {
            // Clients stop reading a choice where it finishes.
            let finishes =
                choice.some("finish_reason").filter(|reason| reason.as_str() != Some("")).is_some();
            notice_chunk(node, index, &notice, if finishes { &mut before } else { &mut then });
        }
    }
    if edits.is_empty() {
        return Repair::Keep;
    }
    Repair::Edit { edits, keep, before: before.into(), then: then.into() }
}

/// A frame that carries a piece of one call and nothing else.
fn piece_repair(call: CallId, index: Option<Span>, calls: &Calls) -> Repair {
    if calls.blocked(call).is_some() {
        return Repair::Drop;
    }
    match index.and_then(|span| renumber(span, call, calls)) {
        Some(edit) => {
            Repair::Edit { edits: vec![edit], keep: true, before: Bytes::new(), then: Bytes::new() }
        }
        None => Repair::Keep,
    }
}

fn entry_of(span: Span, frame: &Frame) -> Option<CallId> {
    frame.entries.iter().find(|(_, entry)| *entry == span).map(|(call, _)| *call)
}

fn has_kept_entry(member: &Member, frame: &Frame, calls: &Calls) -> bool {
    let kept = |node: &Node| entry_of(node.span, frame).is_some_and(|call| calls.blocked(call).is_none());
    kept(&member.value) || member.value.elements().iter().any(kept)
}

/// The edits inside one `delta` or `message`. Returns what the agent is to be told in a chunk of its
/// own; in a `message` it is told in place.
fn container_edits(
    container: &Node,
    in_place: bool,
    frame: &Frame,
    calls: &Calls,
    edits: &mut Vec<Edit>,
) -> String {
    let mut gone_members = Vec::new();
    let mut notice = String::new();
    let mut tell = |call: CallId| {
        if let Some(text) = calls.blocked(call).filter(|_| frame.leads.contains(&call)) {
            // Where it follows text it is a paragraph of its own.
            let after_text = !in_place && calls.get(call).is_some_and(|call| call.after_text);
            if !notice.is_empty() || after_text {
                notice.push_str("\n\n");
            }
            notice.push_str(text);
        }
    };
    if let Some(list) = container.member("tool_calls").filter(|member| member.value.is_array()) {
        let entries: Vec<(Span, Option<CallId>)> =
            list.value.elements().iter().map(|node| (node.span, entry_of(node.span, frame))).collect();
        let gone = |entry: &(Span, Option<CallId>)| entry.1.is_some_and(|call| calls.blocked(call).is_some());
        entries.iter().filter_map(|(_, call)| *call).for_each(&mut tell);
        if !entries.is_empty() && entries.iter().all(gone) {
            gone_members.push("tool_calls");
        } else {
            let spans: Vec<Span> = entries.iter().map(|(span, _)| *span).collect();
            edits.extend(remove_elements(&spans, |index| entries.get(index).is_some_and(gone)));
            if !in_place {
                let kept = list.value.elements().iter().zip(&entries).filter(|(_, entry)| !gone(entry));
                edits.extend(
                    kept.filter_map(|(node, (_, call))| renumber(node.some("index")?.span, (*call)?, calls)),
                );
            }
        }
    }
    if let Some(member) = container.member("function_call")
        && let Some(call) = entry_of(member.value.span, frame)
        && calls.blocked(call).is_some()
    {
        tell(call);
        gone_members.push("function_call");
    }
    if !in_place || notice.is_empty() {
        remove_members(container, &gone_members, edits);
        return notice;
    }
    say_in_place(container, &mut gone_members, &notice, edits);
    String::new()
}

fn remove_members(container: &Node, keys: &[&str], edits: &mut Vec<Edit>) {
    let members = container.members();
    let spans: Vec<Span> = members.iter().map(Member::span).collect();
    edits.extend(remove_elements(&spans, |index| {
        members.get(index).is_some_and(|member| keys.contains(&&*member.key))
    }));
}

/// Puts the notice into the message's own `content`.
fn say_in_place(container: &Node, gone: &mut Vec<&str>, notice: &str, edits: &mut Vec<Edit>) {
    let mut text = Vec::new();
    match container.member("content") {
        Some(content) if content.value.as_str().is_some() => {
            if content.value.as_str().is_some_and(|said| !said.is_empty()) {
                json::escape_into("\n\n", &mut text);
            }
            json::escape_into(notice, &mut text);
            let end = content.value.span.end.saturating_sub(1);
            edits.push(Edit::replace(Span::new(end, end), text));
        }
        Some(content) if content.value.is_array() => {
            if !content.value.elements().is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(br#"{"type":"text","text":"#);
            text.extend_from_slice(&json::quoted(notice));
            text.push(b'}');
            let end = content.value.span.end.saturating_sub(1);
            edits.push(Edit::replace(Span::new(end, end), text));
        }
        Some(content) => edits.push(Edit::replace(content.value.span, json::quoted(notice))),
        // No content to add to: it takes the place of the first list that goes, or stands before the members.
        None => {
            text.extend_from_slice(b"\"content\":");
            text.extend_from_slice(&json::quoted(notice));
            if let Some(member) = gone.first().and_then(|key| container.member(key)) {
                edits.push(Edit::replace(member.span(), text));
                gone.remove(0);
            } else if let Some(first) = container.members().first() {
                text.push(b',');
                edits.push(Edit::replace(Span::new(first.span().start, first.span().start), text));
            }
        }
    }
    remove_members(container, gone, edits);
}

/// The edit that gives a call its number: as many less as calls of its choice were blocked before it.
fn renumber(index: Span, call: CallId, calls: &Calls) -> Option<Edit> {
    let this = calls.get(call)?;
    let number = this.slot.saturating_sub(calls.blocked_before(this.group, this.slot));
    (number != this.index).then(|| Edit::replace(index, number.to_string().into_bytes()))
}

/// A chunk of the same reply that says `notice` as content.
fn notice_chunk(node: &Node, index: u64, notice: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: {");
    for key in ["id", "created", "model"] {
        match node.get(key).map(|value| &value.kind) {
            Some(Kind::String(text)) => {
                out.extend_from_slice(format!("\"{key}\":").as_bytes());
                out.extend_from_slice(&json::quoted(text));
                out.push(b',');
            }
            Some(Kind::Number(digits)) => out.extend_from_slice(format!("\"{key}\":{digits},").as_bytes()),
            _ => {}
        }
    }
    out.extend_from_slice(
        format!("\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":{index},").as_bytes(),
    );
    out.extend_from_slice(b"\"delta\":{\"content\":");
    out.extend_from_slice(&json::quoted(notice));
    out.extend_from_slice(b"},\"finish_reason\":null}]}\n\n");
}
