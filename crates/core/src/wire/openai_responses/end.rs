//! The end of a reply, which says all of its items once more.

use std::collections::HashSet;

use bytes::Bytes;

use super::copies::{self, digest_of};
use super::held::{CallItem, Held};
use super::items::{self, Item, ItemKind, Sort};
use super::message::frame_of;
use super::{ECHO, Phase, Reader, Step, list, usage};
use crate::syntax::Node;
use crate::wire::Fault;
use crate::wire::frame::{Frame, Observation};
use crate::wire::stray::check_rest;
use crate::wire::text_tools::Heard;

impl Reader {
    /// The end of the reply, with all of its items once more.
    pub(super) fn last(
        &mut self,
        raw: Bytes,
        node: Node,
        at: u32,
        step: &mut Step<'_>,
    ) -> Result<Frame, Fault> {
        check_rest(&node, &["response"])?;
        let response = self.identify(&node, step.saw)?;
        let consumed: Vec<&str> = ECHO.iter().copied().chain(["output"]).collect();
        check_rest(response, &consumed)?;
        usage::openai_responses(response, step.saw);
        self.phase = Phase::Done;
        let mut open = Vec::new();
        for (index, item) in &mut self.items {
            if let ItemKind::Message(parts) = &mut item.kind {
                parts.values_mut().for_each(|said| said.flush(step.saw));
                open.push((*index, std::mem::take(parts)));
            }
        }
        open.into_iter().for_each(|(index, parts)| self.message_done(index, parts));
        if let Some(lanes) = &mut self.lanes {
            lanes.last();
        }
        let output = list(response, "output")?;
        let streamed = !self.items.is_empty();
        let mut heard = Heard::default();
        let mut taken = HashSet::new();
        for copy in output {
            if !streamed || self.declared.resumed && !self.known(copy) {
                heard.add(self.whole_item(copy, &raw, at, step)?);
                continue;
            }
            heard.add(self.copy(copy, &raw, at, &mut taken, step)?);
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.end(response, raw.get(at as usize..).unwrap_or_default(), &mut heard, step)?;
        }
        // What never came whole.
        let named = self.named == Some(true);
        let unsuccessful = node.text("type") != Some("response.completed");
        let mut open = false;
        for item in self.items.values_mut().filter(|item| item.open) {
            item.open = false;
            if let ItemKind::Call(held) = &mut item.kind {
                open = true;
                // Some servers leave `output_item.done` out and the item at the end too.
                if !held.finish_as_told(step.calls) {
                    held.spoil("it was never completed", step.calls);
                }
                step.calls.set_place(held.call, held.place(&item.id, named));
                step.calls.end(held.call);
            }
        }
        if heard.is_empty() {
            let failed = unsuccessful && !open && response.some("error").is_some();
            return Ok(if failed { Frame::error(raw) } else { Frame::plain(raw) });
        }
        frame_of(&raw, node, at, heard, step.calls)
    }

    /// Whether an item of this id or call id was streamed.
    pub(super) fn known(&self, copy: &Node) -> bool {
        let id = copy.text("id").unwrap_or_default();
        self.items.values().any(|item| !id.is_empty() && item.id == id)
    }

    /// A copy at the end of the reply of an item that was streamed; what of it is held.
    pub(super) fn copy(
        &mut self,
        copy: &Node,
        raw: &Bytes,
        at: u32,
        taken: &mut HashSet<u64>,
        step: &mut Step<'_>,
    ) -> Result<Heard, Fault> {
        let sort = Sort::of(copy, &self.declared, self.trusted);
        let source = raw.get(at as usize..).unwrap_or_default();
        let Sort::Call(what) = sort else {
            let mut heard = Heard::default();
            match sort {
                Sort::Message => {
                    check_rest(copy, &[])?;
                    if let Some(lanes) = &mut self.lanes {
                        lanes.repeat(copy, source, step.calls, &mut heard)?;
                        return Ok(heard);
                    }
                    for saying in items::texts(copy).filter(|saying| !saying.is_empty()) {
                        if !self.texts.contains(&digest_of(saying.text.as_wtf8())) {
                            return Err(copies::differ("a message at the end of the reply"));
                        }
                    }
                }
                Sort::Reasoning => check_rest(copy, &[])?,
                Sort::Result => check_rest(copy, &["tools"])?,
                _ => {
                    check_rest(copy, &["tools", "arguments", "action"])?;
                    if !self.known(copy) {
                        let (name, input) = (items::provider_name(copy), items::provider_input(copy, source));
                        step.saw.push(Observation::ProviderCall { name, input });
                    }
                }
            }
            return Ok(heard);
        };
        let origin = self.origin(copy, raw, at);
        let named = self.named == Some(true);
        let wanted = CallItem::of(what, copy);
        // By the id that answers use; some servers give the copy a new one.
        let same_id = |held: &Held| !held.wire_id.is_empty() && held.wire_id == wanted.wire_id;
        let calls = || {
            self.items.iter().filter(|(index, _)| !taken.contains(*index)).filter_map(|(index, item)| {
                if let ItemKind::Call(held) = &item.kind { Some((*index, &**held, item.open)) } else { None }
            })
        };
        let found = calls()
            .find(|(_, held, _)| same_id(held))
            .or_else(|| calls().find(|(_, held, open)| !open && held.essence == Some(wanted.essence)))
            .map(|(index, ..)| index);
        let item = found.and_then(|index| self.items.get_mut(&index).map(|item| (index, item)));
        let Some((index, Item { kind: ItemKind::Call(held), open, id })) = item else {
            return Err(copies::differ("a call at the end of the reply"));
        };
        taken.insert(index);
        if std::mem::take(open) {
            // Some servers leave `output_item.done` out.
            held.check_sort(&Sort::Call(what), step.calls);
            held.finish(copy, source, step.calls);
            step.calls.set_origin(held.call, origin);
            step.calls.set_place(held.call, held.place(id, named));
            step.calls.end(held.call);
        } else if held.essence != Some(wanted.essence) {
            return Err(copies::differ("a call at the end of the reply"));
        }
        Ok(Heard::call(held.call, copy.span, false))
    }
}
