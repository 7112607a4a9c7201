//! The splitter of server-sent events.

use bytes::Bytes;
use doorward_core::wire::Fault;
use doorward_core::wire::sse::{Event, Splitter};

use crate::mutate::split;

/// The first byte chooses where the rest is cut; any cut gives the same events and the same fault. What is
/// read is what a plain reading of the specification gives, and no byte is lost.
pub fn sse(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
    // A small limit now and then, so that it is reached.
    let limit = if seed & 1 == 0 { 64 } else { 1 << 20 };
    let whole = read(&[stream], limit);
    assert_eq!(read(&split(stream, u64::from(*seed)), limit), whole, "pieces change the events");
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(&single, limit), whole, "single bytes change the events");
    let (events, _, rest) = whole;
    let kept: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
    assert_eq!([&kept[..], &rest].concat(), stream, "bytes were lost or made up");
    for event in &events {
        assert_eq!(plainly(&event.raw), (event.name(), event.data()), "another reader reads another event");
    }
}

/// Events, fault and what was left.
type Read = (Vec<Event>, Option<Fault>, Bytes);

fn read(pieces: &[&[u8]], limit: usize) -> Read {
    let mut splitter = Splitter::new(limit);
    let (mut events, mut fault) = (Vec::new(), None);
    for piece in pieces {
        // What comes after a fault is nobody's to read, but none of it may get lost.
        splitter.push(piece);
        while fault.is_none() {
            match splitter.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(found) => fault = Some(found),
            }
        }
    }
    (events, fault, splitter.rest())
}

/// Name and data of an event as the specification has it, for events of one `data` and one `event` line;
/// empty data dispatches nothing.
fn plainly(raw: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let value = |field: &[u8]| {
        raw.split(|byte| *byte == b'\n').find_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let value = line.strip_prefix(field)?;
            match value.strip_prefix(b":") {
                Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
                None => value.is_empty().then_some(value),
            }
        })
    };
    (value(b"event"), value(b"data").filter(|data| !data.is_empty()))
}
