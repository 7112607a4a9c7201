//! A message in the place of a blocked call.

use bytes::Bytes;

use crate::syntax::json;
use crate::wire::frame::{CallKind, Calls, Frame, Place, Repair, Shape};
use crate::wire::splice::Edit;

/// How a frame is emitted, now that its calls are ruled.
pub(crate) fn repair(frame: &Frame, calls: &Calls) -> Repair {
    let blocked = |call| Some((calls.blocked(call)?, calls.place(call)));
    match (frame.shape, frame.entries.first().and_then(|(call, _)| blocked(*call))) {
        (Shape::Begins(index), Some((notice, place))) => {
            return Repair::Replace(message_events(index, place, notice));
        }
        (Shape::Belongs, Some(_)) => return Repair::Drop,
        (Shape::Other, _) => {}
        _ => return Repair::Keep,
    }
    // What stands in text is replaced there.
    let in_text = |call| calls.get(call).is_some_and(|call| call.kind == CallKind::Text);
    let items = frame.entries.iter().filter(|(call, _)| !in_text(*call));
    let edits: Vec<Edit> = items
        .enumerate()
        .filter_map(|(entry, (call, span))| {
            let (notice, place) = blocked(*call)?;
            Some(Edit::replace(*span, message(&id_of(place, entry), "completed", Some(notice))))
        })
        .collect();
    if edits.is_empty() {
        return Repair::Keep;
    }
    Repair::Edit { edits, keep: true, before: Bytes::new(), then: Bytes::new() }
}

/// The id of the message in the place of a call: made of the call's, so that all copies agree.
fn id_of(place: Option<&Place>, at: usize) -> String {
    let id = place.map(|place| place.id.as_str()).unwrap_or_default();
    id_for(id).unwrap_or_else(|| format!("msg_doorward{at}"))
}

/// The same, from the call's id; `None` if there is nothing in it to make one of.
pub(super) fn id_for(id: &str) -> Option<String> {
    let own = id.split_once('_').map_or(id, |(_, own)| own);
    let own: String =
        own.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(56).collect();
    (!own.is_empty()).then(|| format!("msg_{own}"))
}

/// The message as an item.
fn message(id: &str, status: &str, notice: Option<&str>) -> Vec<u8> {
    let mut out = br#"{"id":"#.to_vec();
    out.extend_from_slice(&json::quoted(id));
    out.extend_from_slice(format!(r#","type":"message","status":"{status}","content":["#).as_bytes());
    if let Some(notice) = notice {
        out.extend_from_slice(&part(notice));
    }
    out.extend_from_slice(br#"],"role":"assistant"}"#);
    out
}

/// The message's one part.
fn part(text: &str) -> Vec<u8> {
    let mut out = br#"{"type":"output_text","annotations":[],"logprobs":[],"text":"#.to_vec();
    out.extend_from_slice(&json::quoted(text));
    out.push(b'}');
    out
}

/// The message's events. They have the numbers of the call's: as many as there are, the last for the last.
fn message_events(at: u64, place: Option<&Place>, notice: &str) -> Bytes {
    let id = id_of(place, usize::try_from(at).unwrap_or(0));
    let (empty, full, text) = (part(""), part(notice), json::quoted(notice));
    let (begun, done) = (message(&id, "in_progress", None), message(&id, "completed", Some(notice)));
    let events: [(&str, bool, [&[u8]; 3]); 6] = [
        ("response.output_item.added", false, [br#","item":"#, &begun, b""]),
        ("response.content_part.added", true, [br#","part":"#, &empty, b""]),
        ("response.output_text.delta", true, [br#","delta":"#, &text, br#","logprobs":[]"#]),
        ("response.output_text.done", true, [br#","text":"#, &text, br#","logprobs":[]"#]),
        ("response.content_part.done", true, [br#","part":"#, &full, b""]),
        ("response.output_item.done", false, [br#","item":"#, &done, b""]),
    ];
    let named = place.is_none_or(|place| place.named);
    let numbers = place.map(|place| place.numbers.as_slice()).unwrap_or_default();
    let mut out = Vec::new();
    for (nth, (kind, inside, rest)) in events.iter().enumerate() {
        if named {
            out.extend_from_slice(format!("event: {kind}\n").as_bytes());
        }
        out.extend_from_slice(format!("data: {{\"type\":\"{kind}\"").as_bytes());
        let last = numbers.len().saturating_sub(1);
        let number = if nth + 1 == events.len() { last } else { nth.min(last.saturating_sub(1)) };
        if let Some(number) = numbers.get(number) {
            out.extend_from_slice(format!(",\"sequence_number\":{number}").as_bytes());
        }
        if let Some(index) = place.and_then(|place| place.index) {
            out.extend_from_slice(format!(",\"output_index\":{index}").as_bytes());
        }
        if *inside {
            out.extend_from_slice(b",\"item_id\":");
            out.extend_from_slice(&json::quoted(&id));
            out.extend_from_slice(b",\"content_index\":0");
        }
        rest.iter().for_each(|bytes| out.extend_from_slice(bytes));
        out.extend_from_slice(b"}\n\n");
    }
    out.into()
}
