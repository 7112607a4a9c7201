//! Messages that come whole, and the frames of what is held in texts.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::copies::Said;
use super::items;
use super::lanes::{Hearing, How, Lanes};
use super::{MOST_PARTS, Phase, Reader, Step, order};
use crate::syntax::Node;
use crate::wire::Fault;
use crate::wire::frame::{CallKind, Calls, Frame};
use crate::wire::text_tools::Heard;

impl Reader {
    /// A message that comes once and whole.
    pub(super) fn whole_message(
        &mut self,
        index: u64,
        node: &Node,
        source: &[u8],
        step: &mut Step<'_>,
    ) -> Result<Heard, Fault> {
        self.count_parts(items::texts(node).count())?;
        let mut parts = BTreeMap::new();
        let done = self.phase == Phase::Done;
        let how = if done { How::Whole } else { How::Item };
        let mut hearing = hearing(&mut self.lanes, source, self.declared.resumed && !done, how);
        if hearing.holds() {
            items::check_plain(node)?;
        }
        // Lists of what a reply answers to hold what the user said.
        let asked = matches!(node.text("role"), Some("user" | "system" | "developer"));
        for (place, saying) in items::texts(node).enumerate() {
            let said: &mut Said = parts.entry(place as u64).or_default();
            match asked && saying.part.text("type") == Some("input_text") {
                true => said.add(saying.text.as_wtf8(), step.saw),
                false => said.say(saying, (index, place as u64), &mut hearing, step)?,
            }
            said.flush(step.saw);
        }
        if parts.values().any(|said| !said.sum.is_empty()) {
            hearing.repeated((index, 0))?;
        }
        let heard = hearing.heard;
        self.message_done(index, parts);
        Ok(heard)
    }

    /// Keeps what later copies of a message are held to.
    pub(super) fn message_done(&mut self, index: u64, parts: BTreeMap<u64, Said>) {
        match &mut self.lanes {
            Some(lanes) => lanes.done(index, parts),
            None => self.texts.extend(parts.values().map(|said| said.sum.digest())),
        }
    }

    pub(super) fn count_parts(&mut self, more: usize) -> Result<(), Fault> {
        self.parts = self.parts.saturating_add(more);
        match self.parts > MOST_PARTS {
            true => Err(order("more than 16384 parts of messages")),
            false => Ok(()),
        }
    }
}

/// What texts of an event, or of a body, are heard with.
pub(super) fn hearing<'a>(
    lanes: &'a mut Option<Lanes>,
    source: &'a [u8],
    resumed: bool,
    how: How,
) -> Hearing<'a> {
    Hearing { how, lanes: lanes.as_mut(), source, resumed, heard: Heard::default() }
}

/// The frame of an event of which nothing but text is held.
pub(super) fn text_frame(raw: Bytes, at: u32, heard: Heard, calls: &mut Calls) -> Result<Frame, Fault> {
    match heard.is_empty() {
        true => Ok(Frame::plain(raw)),
        false => Frame::of_text(&raw, at, heard, calls),
    }
}

/// The frame of several items.
pub(super) fn frame_of(
    raw: &Bytes,
    node: Node,
    at: u32,
    mut heard: Heard,
    calls: &mut Calls,
) -> Result<Frame, Fault> {
    heard.sort();
    let in_text = |call| calls.get(call).is_some_and(|call| call.kind == CallKind::Text);
    if heard.entries.iter().all(|(call, _)| in_text(*call)) {
        return Frame::of_text(raw, at, heard, calls);
    }
    let Heard { entries, leads, heads, lists, .. } = heard;
    let mut frame = Frame::cut(raw, node, at, entries, leads, calls)?;
    (frame.heads, frame.lists) = (heads, lists);
    Ok(frame)
}
