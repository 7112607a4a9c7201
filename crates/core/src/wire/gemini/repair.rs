//! Putting frames together again once some of their calls are blocked, and errors in this protocol's shape.

use bytes::Bytes;

use crate::syntax::Span;
use crate::syntax::json;
use crate::wire::frame::{Call, CallId, CallKind, Calls, Frame, Repair};
use crate::wire::splice::Edit;

/// How a frame is emitted, now that its calls are ruled.
///
/// A blocked call's part becomes a text part without its thought signature. Signatures are demanded back with
/// function calls only, and of parallel calls the first alone carries one: where that one is blocked, the
/// first call that is left inherits it, or the provider would refuse the next request for its absence.
pub(crate) fn repair(frame: &Frame, calls: &Calls) -> Repair {
    let mut edits = Vec::new();
    let in_text = |id: CallId| calls.get(id).is_some_and(|call| call.kind == CallKind::Text);
    for (id, span) in frame.entries.iter().filter(|(id, _)| !in_text(*id)) {
        match calls.blocked(*id) {
            Some(notice) => edits.push(Edit::replace(*span, text_part(*id, notice, calls))),
            None => edits.extend(inherited(*id, *span, calls)),
        }
    }
    if edits.is_empty() {
        Repair::Keep
    } else {
        Repair::Edit { edits, keep: true, before: Bytes::new(), then: Bytes::new() }
    }
}

/// The part that says `notice`: a paragraph of its own, because clients join the texts of all parts.
fn text_part(id: CallId, notice: &str, calls: &Calls) -> Vec<u8> {
    let follows =
        calls.get(id).is_some_and(|call| call.after_text || calls.earlier(id).any(Call::is_blocked));
    let text = if follows { format!("\n\n{notice}") } else { notice.to_owned() };
    let mut out = br#"{"text":"#.to_vec();
    out.extend_from_slice(&json::quoted(&text));
    out.push(b'}');
    out
}

/// The edit that gives a released call the signature of the blocked ones before it.
fn inherited(id: CallId, part: Span, calls: &Calls) -> Option<Edit> {
    calls.get(id).filter(|call| call.kind == CallKind::Tool && call.signature.is_none())?;
    let signature = calls.orphaned_signature(id)?;
    let mut member = br#""thoughtSignature":"#.to_vec();
    member.extend_from_slice(&json::quoted(signature));
    // A call's part has members: at least the call.
    member.push(b',');
    let inside = part.start + 1;
    Some(Edit::replace(Span::new(inside, inside), member))
}

/// The end of a stream that could not go on. The official SDKs raise at `error`; earlier ones for Python read
/// candidates only, so the words stand there as well.
pub(crate) fn error_event(message: &str) -> Bytes {
    let mut out = b"data: {".to_vec();
    error_member(502, message, &mut out);
    out.extend_from_slice(br#","candidates":[{"content":{"role":"model","parts":[{"text":"#);
    out.extend_from_slice(&json::quoted(&format!("\n\n{message}")));
    out.extend_from_slice(br#"}]},"finishReason":"OTHER","index":0}]}"#);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// An error in this protocol's shape.
pub(crate) fn error_body(status: u16, message: &str) -> Vec<u8> {
    let mut out = b"{".to_vec();
    error_member(status, message, &mut out);
    out.push(b'}');
    out
}

fn error_member(status: u16, message: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\"error\":{{\"code\":{status},\"message\":").as_bytes());
    out.extend_from_slice(&json::quoted(message));
    out.extend_from_slice(format!(",\"status\":\"{}\"}}", status_name(status)).as_bytes());
}

/// The name that Google's interfaces give an HTTP status (google.rpc.Code).
const fn status_name(status: u16) -> &'static str {
    match status {
        400 | 405 | 413 | 415 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        502 | 503 => "UNAVAILABLE",
        _ => "UNKNOWN",
    }
}
