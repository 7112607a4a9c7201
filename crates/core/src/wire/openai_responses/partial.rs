//! Items of which not all is told: what servers leave out, and streams that are resumed in the middle.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::held::Held;
use super::items::{self, Item, ItemKind};
use super::message::text_frame;
use super::{Reader, Step, lanes, order};
use crate::syntax::Node;
use crate::wire::Fault;
use crate::wire::frame::{Frame, Shape};
use crate::wire::stray::check_rest;

impl Reader {
    /// An item that is done without having been added: some servers send only this, and a stream that is
    /// resumed in the middle of an item has nothing else.
    pub(super) fn never_added(
        &mut self,
        raw: Bytes,
        node: &Node,
        copy: &Node,
        at: u32,
        step: &mut Step<'_>,
    ) -> Result<Frame, Fault> {
        let next = self.next_index()?;
        let index = match node.some("output_index").map(Node::as_u64) {
            None => next,
            Some(Some(index)) if index == next || self.declared.resumed && index > next => index,
            Some(_) => return Err(order("an item's index is not the next one")),
        };
        if self.items.values().any(|item| item.open && matches!(item.kind, ItemKind::Call(_))) {
            return Err(order("an item is done inside another"));
        }
        let number = self.number.clone();
        let heard = self.whole_item(copy, &raw, at, step)?;
        // `whole_item` counts from what it knows; a resumed stream begins anywhere.
        let counted = self.items.keys().next_back().copied();
        let Some(mut item) = counted.and_then(|counted| self.items.remove(&counted)) else {
            return Err(order("no such item"));
        };
        let mut call = None;
        if let ItemKind::Call(held) = &mut item.kind {
            held.index = node.some("output_index").and_then(Node::as_u64);
            held.number(number);
            step.calls.set_place(held.call, held.place(&item.id, self.named == Some(true)));
            call = Some(held.call);
        }
        self.items.insert(index, item);
        match call {
            Some(call) => Ok(Frame::of_call(raw, Shape::Begins(index), call, step.calls)),
            None => text_frame(raw, at, heard, step.calls),
        }
    }

    /// A message of which only the text is told.
    pub(super) fn unannounced(&mut self, node: &Node) -> Result<u64, Fault> {
        let next = self.next_index()?;
        if node.some("output_index").is_some_and(|index| index.as_u64() != Some(next))
            || self.items.values().any(|item| item.open)
        {
            return Err(order("an event for an item that is not open"));
        }
        let id = node.text("item_id").unwrap_or_default().to_owned();
        self.items.insert(next, Item { id, kind: ItemKind::Message(BTreeMap::new()), open: true });
        Ok(next)
    }

    /// A stream resumed in the middle of an item: what the item is, nobody has said yet. It is held until it
    /// comes whole.
    pub(super) fn resumed(
        &mut self,
        raw: Bytes,
        node: &Node,
        kind: &str,
        step: &mut Step<'_>,
    ) -> Result<Frame, Fault> {
        let next = self.next_index()?;
        let index = node.some("output_index").and_then(Node::as_u64).unwrap_or(next);
        if index < next || self.items.values().any(|item| item.open) {
            return Err(order("an event for an item that is not open"));
        }
        if !items::adds_to_call(kind) {
            check_rest(node, &[])?;
            if self.lanes.is_some() && items::is_said(kind, node) {
                return Err(lanes::resumed());
            }
            let id = node.text("item_id").unwrap_or_default().to_owned();
            self.items.insert(index, Item { id, kind: ItemKind::Result, open: true });
            return Ok(Frame::plain(raw));
        }
        let mut held = Held::resumed(step.calls);
        held.index = Some(index);
        held.number(self.number.clone());
        held.event(kind, node, step.calls)?;
        let call = held.call;
        let id = node.text("item_id").unwrap_or_default().to_owned();
        self.items.insert(index, Item { id, kind: ItemKind::Call(Box::new(held)), open: true });
        Ok(Frame::of_call(raw, Shape::Begins(index), call, step.calls))
    }
}
