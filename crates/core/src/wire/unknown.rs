//! Replies of endpoints nobody here knows, from an upstream the operator trusts: passed on unless they
//! carry what could be a call.

use bytes::Bytes;

use super::Fault;
use super::frame::{Frame, Observation, looks_like_call, object};
use super::sse::Event;
use crate::decision::Coverage;
use crate::syntax::json;

/// Reads one event of a stream. What is not strict JSON could be a call to a reader that is not strict.
pub(crate) fn event(event: &Event) -> Result<Frame, Fault> {
    if let Some(data) = event.data().filter(|data| *data != b"[DONE]")
        && looks_like_call(&json::parse(data)?)
    {
        return Err(call());
    }
    Ok(Frame::plain(event.raw.clone()))
}

/// Reads a JSON body.
pub(crate) fn body(raw: &Bytes, saw: &mut Vec<Observation>) -> Result<Frame, Fault> {
    if looks_like_call(&object(raw)?) {
        return Err(call());
    }
    saw.push(Observation::Coverage(Coverage::Partial("unknown endpoint".to_owned())));
    Ok(Frame::plain(raw.clone()))
}

fn call() -> Fault {
    Fault::new(
        "unknown.call",
        "the reply of an endpoint Doorward does not know carries what could be a tool call",
    )
}
