//! What is held instead of written, as people are told of it, and their acts on it: the same with a running process and
//! without.

use doorward_control::{HeldWish, held_json};
use doorward_store::quarantine::{Done, Item, NotDone, Quarantine};

use crate::archive;
use crate::serve::now;

/// An act, as it is recorded: what was done, under which receipts it had been held, and on which terms.
pub struct Told {
    /// The event of its receipt.
    pub event: &'static str,
    /// What it was done to: the receipt of the decision to hold it, for digests of content stand in no receipt.
    pub target: String,
    /// More words; may be empty.
    pub message: String,
    /// What it was done to, as it is now.
    pub items: Vec<Item>,
}

/// Does what a person wants.
///
/// # Errors
/// [`NotDone`].
pub fn act(quarantine: &Quarantine, wish: &HeldWish, by: &str) -> Result<Told, NotDone> {
    let done =
        |act: &str, to: &str| Done { act: act.to_owned(), time: now(), by: by.to_owned(), to: to.to_owned() };
    match wish {
        HeldWish::Release { item, to } => {
            let item = quarantine.find(item)?;
            let target = receipt_of(&item);
            let item = quarantine.release(&item, done("release", to))?;
            Ok(Told { event: "quarantine_release", target, message: String::new(), items: vec![item] })
        }
        HeldWish::Purge { item } => {
            let item = quarantine.find(item)?;
            let target = receipt_of(&item);
            let item = quarantine.purge(&item, done("purge", ""))?;
            Ok(Told { event: "quarantine_purge", target, message: String::new(), items: vec![item] })
        }
        HeldWish::Clear { item } => {
            let (items, target) = match item {
                Some(item) => {
                    let item = quarantine.find(item)?;
                    let target = receipt_of(&item);
                    (vec![item], target)
                }
                None => (quarantine.list(), "all".to_owned()),
            };
            items.iter().try_for_each(|item| quarantine.clear(item))?;
            let message = format!("{} forgotten", crate::terminal::counted(items.len(), "record"));
            Ok(Told { event: "quarantine_clear", target, message, items })
        }
    }
}

/// One item and what it holds, as JSON. Takes as long as an archive of its size takes to be read.
///
/// # Errors
/// [`NotDone`].
pub fn show(quarantine: &Quarantine, name: &str) -> Result<Vec<u8>, NotDone> {
    let item = quarantine.find(name)?;
    let listing = match quarantine.content(&item) {
        Ok(content) => archive::listing(&content).map(|listing| listing.json()),
        Err(NotDone::Gone(..)) => None,
        Err(error) => return Err(error),
    };
    Ok(held_json(&item, listing.as_deref()))
}

fn receipt_of(item: &Item) -> String {
    let receipts = item.places.iter().rev().map(|place| place.receipt.clone());
    receipts.into_iter().find(|receipt| !receipt.is_empty()).unwrap_or_else(|| "-".to_owned())
}
