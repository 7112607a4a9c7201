//! What is held instead of written: what people are told of it, and what they may do.

use doorward_core::syntax::{Object, json};
use doorward_store::quarantine::{Done, Item, Place};

use crate::desk::Fault;
use crate::handle::bad_request;

/// The most bytes of a path to which something was released.
const LONGEST_PATH: usize = 4096;

/// The most places and acts of one item in the list of all.
const SOME: usize = 4;

/// The most items in the list of all.
const MOST: usize = 1000;

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldWish {
    /// It was looked at and is written to this path.
    Release {
        /// Which, as [`find`](doorward_store::quarantine::Quarantine::find) takes it.
        item: String,
        /// Where that person writes it.
        to: String,
    },
    /// Its content is destroyed.
    Purge {
        /// Which.
        item: String,
    },
    /// It, or everything, is forgotten.
    Clear {
        /// Which; `None`: everything.
        item: Option<String>,
    },
}

/// `{"items": […], "known": N, "bytes": N, "room": N}`: what was last to be written first.
#[must_use]
pub fn items_json(items: &[Item], (bytes, room): (u64, u64)) -> Vec<u8> {
    let some = items.iter().take(MOST).map(|item| item_json(item, SOME).end());
    Object::new()
        .array("items", some)
        .number("known", items.len() as u64)
        .number("bytes", bytes)
        .number("room", room)
        .end()
}

/// One item, `listing` (one JSON value) what it holds if it is an archive.
#[must_use]
pub fn held_json(item: &Item, listing: Option<&[u8]>) -> Vec<u8> {
    item_json(item, usize::MAX).raw("listing", listing.unwrap_or(b"null")).end()
}

/// `{"items": […]}`: what was done to which.
#[must_use]
pub fn done_json(items: &[Item]) -> Vec<u8> {
    Object::new().array("items", items.iter().take(MOST).map(|item| item_json(item, SOME).end())).end()
}

fn item_json(item: &Item, most: usize) -> Object {
    let place = |place: &Place| {
        Object::new()
            .text("path", &place.path)
            .number("time", place.time)
            .text("agent", &place.agent)
            .text("session", &place.session)
            .text("tool", &place.tool)
            .text("rule", &place.rule)
            .text("receipt", &place.receipt)
            .end()
    };
    let done = |done: &Done| {
        let object = Object::new().text("act", &done.act).number("time", done.time).text("by", &done.by);
        object.text("to", &done.to).end()
    };
    let skipped = |length: usize| length.saturating_sub(most);
    Object::new()
        .text("sha256", &item.name())
        .text("state", item.state.as_str())
        .truth("content", item.has_content())
        .text("kind", &item.kind)
        .number("size", item.size)
        .array("places", item.places.iter().skip(skipped(item.places.len())).map(place))
        .number("more_places", item.more + skipped(item.places.len()) as u64)
        .array("done", item.done.iter().skip(skipped(item.done.len())).map(done))
}

/// What `POST /v1/quarantine` asks for: `{"act": ACT, "item": DIGEST, …}`, nothing unknown.
pub(crate) fn wish(body: &[u8]) -> Result<HeldWish, Fault> {
    let bad = |message: String| {
        let advice = r#"send {"act": "release", "item": DIGEST, "to": PATH}, {"act": "purge", "item": DIGEST} or {"act": "clear", "item": DIGEST or null}"#;
        bad_request("bad_body", message, advice)
    };
    let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
    let item = match node.some("item") {
        None => None,
        Some(item) => {
            let name = item.as_str().filter(|name| {
                (8..=80).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':')
            });
            Some(name.ok_or_else(|| bad("item must be a digest or a receipt".into()))?.to_owned())
        }
    };
    let named = |item: Option<String>| item.ok_or_else(|| bad("the body names no item".into()));
    let (known, wish): (&[&str], HeldWish) = match node.text("act") {
        Some("release") => {
            let to = node.get("to").and_then(|to| to.as_string()).filter(|to| to.is_well_formed());
            let to = to.filter(|to| to.len() <= LONGEST_PATH && !to.chars().any(char::is_control));
            let to = to.ok_or_else(|| bad("to must be the path to which it is written".into()))?.to_string();
            (&["to"], HeldWish::Release { item: named(item)?, to })
        }
        Some("purge") => (&[], HeldWish::Purge { item: named(item)? }),
        Some("clear") => (&[], HeldWish::Clear { item }),
        _ => return Err(bad("act must be release, purge or clear".into())),
    };
    let fits = |key: &str| matches!(key, "act" | "item") || known.contains(&key);
    if let Some(unknown) = node.members().iter().find(|member| !fits(&member.key)) {
        let key: String = unknown.key.chars().take(40).collect();
        return Err(bad(format!("the body has a member {key:?} that this act does not take")));
    }
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_strictly() {
        let item = "0123456789abcdef".to_owned();
        let of = |rest: &str| wish(format!("{{{rest}}}").as_bytes());
        assert_eq!(
            of(r#""act":"release","item":"0123456789abcdef","to":"/home/u/x""#),
            Ok(HeldWish::Release { item: item.clone(), to: "/home/u/x".into() })
        );
        assert_eq!(
            of(r#""act":"purge","item":"0123456789abcdef""#),
            Ok(HeldWish::Purge { item: item.clone() })
        );
        assert_eq!(
            of(r#""act":"clear","item":"0123456789abcdef""#),
            Ok(HeldWish::Clear { item: Some(item) })
        );
        assert_eq!(of(r#""act":"clear","item":null"#), Ok(HeldWish::Clear { item: None }));
        for bad in [
            r#""act":"release","item":"0123456789abcdef""#,
            r#""act":"release","item":"0123456789abcdef","to":"a\nb""#,
            r#""act":"release","to":"/x""#,
            r#""act":"purge""#,
            r#""act":"purge","item":"../x/../../y""#,
            r#""act":"purge","item":"abc""#,
            r#""act":"purge","item":7"#,
            r#""act":"purge","item":"0123456789abcdef","to":"/x""#,
            r#""act":"clear","items":null"#,
            r#""act":"open""#,
            r#""item":null"#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(wish(b"").is_err() && wish(b"[]").is_err());
    }
}
