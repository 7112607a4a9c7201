//! Snapshots: what credits there are, said in the ledger itself, so that counting can begin there.
//!
//! A snapshot is one or more receipts of the event `credits_snapshot`, its pages. Each says up to which receipt was counted,
//! the digest of the whole, and its part of the lots and of what is held by actions under way. It counts only if all pages
//! are there and lead to the digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_core::account::Part;
use doorward_core::session::Millis;
use doorward_ledger::canonical::{Object, Value};
use doorward_ledger::encoding::hex;
use doorward_ledger::{LogError, Receipt, View};
use doorward_store::accounts::Spending;
use sha2::{Digest as _, Sha256};

use super::UNIT;
use super::count::{Count, Counted};
use crate::record::Recorder;

/// The event.
pub(super) const EVENT: &str = "credits_snapshot";

/// The member of its receipts.
pub(super) const MEMBER: &str = "snapshot";

/// How the canonical form of such a receipt says it.
const NEEDLE: &[u8] = b"\"event\":\"credits_snapshot\"";

/// How many lots a page has at most. What an action holds takes as much room as eight lots at most.
const PAGE: usize = 480;
const WEIGHT: usize = 8;

/// How many receipts are read in one go while the newest snapshot is looked for.
const STEP: u64 = 4096;

/// A whole snapshot.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// So many receipts were counted.
    pub counted: u64,
    /// When it was made; never before the one before it.
    pub time: Millis,
    pub count: Count,
}

/// One page of a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Page {
    receipt: String,
    of: Option<String>,
    counted: u64,
    time: Millis,
    digest: String,
    number: u64,
    pages: u64,
    count: Count,
}

/// What was found.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Good(Box<Snapshot>),
    /// Its digest is another, or it cannot be.
    Wrong(String),
}

fn items(count: &Count) -> (Vec<Value>, Vec<Value>) {
    let lots = count.lots.iter().map(|((key, number), lot)| {
        let Counted { amount, used, expires } = *lot;
        let numbers = [u64::from(*number), amount, used, expires].map(Value::count);
        Value::Array(std::iter::once(Value::from(&**key)).chain(numbers).collect())
    });
    let open = count.open.iter().map(|(receipt, (since, spending))| {
        let parts = spending
            .parts
            .iter()
            .map(|part| Value::Array(vec![Value::count(part.lot.into()), Value::count(part.amount)]));
        Value::Array(vec![
            Value::from(receipt.as_str()),
            Value::count(*since),
            Value::from(&*spending.key),
            Value::Array(parts.collect()),
        ])
    });
    (lots.collect(), open.collect())
}

/// SHA-256 of the canonical form of all of it.
fn digest(counted: u64, time: Millis, count: &Count) -> String {
    let (lots, open) = items(count);
    let whole = Object::new()
        .with("counted", Value::count(counted))
        .with("time", Value::count(time))
        .with("lots", lots)
        .with("open", open);
    hex(&Sha256::digest(Value::Object(whole).to_canonical()))
}

impl Page {
    /// The page that a receipt is; `None` if it cannot be read, which leaves its snapshot without it.
    pub fn read(receipt: &Receipt) -> Option<Self> {
        let body = receipt.body().get(MEMBER)?.as_object()?;
        let number = |key: &str| body.get(key)?.as_int().and_then(|number| u64::try_from(number).ok());
        let mut count = Count::default();
        for lot in body.get("lots")?.as_array()? {
            let (key, lot, counted) = read_lot(lot)?;
            count.lots.insert((key, lot), counted);
        }
        for open in body.get("open")?.as_array()? {
            let (receipt, held) = read_open(open)?;
            count.open.insert(receipt, held);
        }
        Some(Self {
            receipt: receipt.id().to_owned(),
            of: receipt.of().map(str::to_owned),
            counted: number("counted")?,
            time: number("time")?,
            digest: body.text("digest")?.to_owned(),
            number: number("page")?,
            pages: number("pages")?,
            count,
        })
    }
}

fn unsigned(value: &Value) -> Option<u64> {
    u64::try_from(value.as_int()?).ok()
}

fn read_lot(value: &Value) -> Option<(Arc<str>, u32, Counted)> {
    let [key, number, amount, used, expires] = value.as_array()? else { return None };
    let counted = Counted { amount: unsigned(amount)?, used: unsigned(used)?, expires: unsigned(expires)? };
    Some((key.as_str()?.into(), u32::try_from(unsigned(number)?).ok()?, counted))
}

fn read_open(value: &Value) -> Option<(String, (Millis, Spending))> {
    let [receipt, since, key, parts] = value.as_array()? else { return None };
    let part = |part: &Value| match part.as_array()? {
        [lot, amount] => Some(Part { lot: u32::try_from(unsigned(lot)?).ok()?, amount: unsigned(amount)? }),
        _ => None,
    };
    let parts = parts.as_array()?.iter().map(part).collect::<Option<_>>()?;
    let spending = Spending { key: key.as_str()?.into(), parts };
    Some((receipt.as_str()?.to_owned(), (unsigned(since)?, spending)))
}

/// Puts pages together as they come; a snapshot of which not all pages came is none.
#[derive(Default)]
pub(super) struct Pages(BTreeMap<String, Vec<Page>>);

impl Pages {
    /// Takes a page that stands at `index`; returns the snapshot if that was the last one.
    pub(super) fn add(&mut self, page: Page, index: u64) -> Option<Found> {
        let first = page.of.clone().unwrap_or_else(|| page.receipt.clone());
        let pages = page.pages;
        let all = self.0.entry(first.clone()).or_default();
        all.push(page);
        if (all.len() as u64) < pages {
            return None;
        }
        let all = self.0.remove(&first)?;
        let (counted, time, said) = all.first().map(|page| (page.counted, page.time, page.digest.clone()))?;
        let mut count = Count::default();
        let mut numbers: Vec<u64> = all.iter().map(|page| page.number).collect();
        for page in all {
            count.lots.extend(page.count.lots);
            count.open.extend(page.count.open);
        }
        numbers.sort_unstable();
        let whole = numbers.into_iter().eq(1..=pages) && counted <= index;
        if !whole || digest(counted, time, &count) != said {
            let what = format!("the snapshot of credits at receipt {index} is not what its digest says");
            return Some(Found::Wrong(what));
        }
        Some(Found::Good(Box::new(Snapshot { counted, time, count })))
    }
}

fn page(entry: &[u8]) -> Option<Option<Page>> {
    let is_page = entry.windows(NEEDLE.len()).any(|window| window == NEEDLE);
    is_page.then(|| Receipt::parse(entry).ok().and_then(|receipt| Page::read(&receipt)))
}

/// All snapshots, the oldest first.
pub(super) fn all(ledger: &View) -> Result<Vec<Found>, LogError> {
    let (mut found, mut pages) = (Vec::new(), Pages::default());
    for entry in ledger.entries(0..ledger.size()) {
        let (index, bytes) = entry?;
        match page(&bytes) {
            Some(Some(page)) => found.extend(pages.add(page, index)),
            Some(None) => found.push(unreadable(index)),
            None => {}
        }
    }
    Ok(found)
}

/// The newest snapshot.
pub(super) fn newest(ledger: &View) -> Result<Option<Found>, LogError> {
    let (mut end, mut pages) = (ledger.size(), Pages::default());
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut found = None;
        let mut step = Vec::new();
        for entry in ledger.entries(start..end) {
            let (index, bytes) = entry?;
            step.extend(page(&bytes).map(|page| (index, page)));
        }
        for (index, page) in step.into_iter().rev() {
            let one = match page {
                Some(page) => pages.add(page, index),
                None => Some(unreadable(index)),
            };
            if let Some(one) = one {
                found = Some(one);
                break;
            }
        }
        if found.is_some() {
            return Ok(found);
        }
        end = start;
    }
    Ok(None)
}

fn unreadable(index: u64) -> Found {
    Found::Wrong(format!("the snapshot of credits at receipt {index} cannot be read"))
}

/// A snapshot that is to be written: its pages.
#[derive(Debug)]
pub struct Drawn {
    pub(super) pages: Vec<Object>,
}

/// Counts credits from the newest snapshot on, and draws another one; `None` if nothing has happened to them since.
///
/// # Errors
/// If the ledger cannot be read, or its newest snapshot is wrong: then nothing that it rests on may go.
pub fn draw(ledger: &View, now: Millis) -> Result<Option<Drawn>, String> {
    let unread = |error: LogError| format!("the ledger cannot be read: {error}");
    let (mut count, from, before) = match newest(ledger).map_err(unread)? {
        None => (Count::default(), 0, 0),
        Some(Found::Good(snapshot)) => (snapshot.count, snapshot.counted, snapshot.time),
        Some(Found::Wrong(what)) => return Err(what),
    };
    let counted = ledger.size();
    if count.take_in(ledger, from..counted).map_err(unread)? == 0 {
        return Ok(None);
    }
    // A clock that was put back must not bring back what was left out.
    let time = now.max(before);
    count.trim(time);
    Ok(Some(Drawn { pages: pages(counted, time, &count) }))
}

/// What the pages say.
pub(super) fn pages(counted: u64, time: Millis, count: &Count) -> Vec<Object> {
    let said = digest(counted, time, count);
    let (lots, open) = items(count);
    let weighed = lots.into_iter().map(|lot| (1, true, lot));
    let weighed = weighed.chain(open.into_iter().map(|open| (WEIGHT, false, open)));
    let (mut parts, mut weight) = (vec![(Vec::new(), Vec::new())], 0);
    for (takes, is_lot, item) in weighed {
        if weight + takes > PAGE {
            parts.push((Vec::new(), Vec::new()));
            weight = 0;
        }
        weight += takes;
        if let Some((lots, open)) = parts.last_mut() {
            if is_lot { lots.push(item) } else { open.push(item) }
        }
    }
    let pages = parts.len() as u64;
    let page = |(number, (lots, open)): (u64, (Vec<Value>, Vec<Value>))| {
        Object::new()
            .with("counted", Value::count(counted))
            .with("time", Value::count(time))
            .with("digest", said.as_str())
            .with("page", Value::count(number))
            .with("pages", Value::count(pages))
            .with("lots", lots)
            .with("open", open)
            .with("unit", UNIT)
    };
    (1..).zip(parts).map(page).collect()
}

/// Writes a snapshot to the ledger.
///
/// # Errors
/// In words, if a page could not be recorded: then there is no such snapshot.
pub async fn record(recorder: &Recorder, drawn: Drawn) -> Result<(), String> {
    let mut first: Option<String> = None;
    for page in drawn.pages {
        let id = recorder.noted(EVENT, first.as_deref(), (MEMBER, page)).await?;
        first.get_or_insert(id);
    }
    Ok(())
}
