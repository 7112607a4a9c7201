//! What was blocked, kept for who looks into it later: encrypted so that this process cannot read it back.
//!
//! In the folder `forensics` of the home directory lies `recipient.json`, the public key that records are encrypted to, and one
//! file for each record, named by its receipt. Without a recipient nothing is kept.

use doorward_core::syntax::hex;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use doorward_core::session::Millis;
use doorward_core::syntax::Node;
use doorward_core::syntax::json;
use zeroize::Zeroizing;

use crate::error::{StoreError, at};
use crate::home::{Home, read_small, write_atomic};
use crate::private;
use crate::retention::Hold;
use crate::secret::Secret32;

mod seal;
pub use seal::{Stretching, public};

/// The most bytes of content that one record keeps.
pub const MAX_RECORD: usize = 1 << 20;

/// The most records there are, whatever their size.
pub const MOST_RECORDS: usize = 10_000;

/// How many records may wait to be written. What finds no room is lost, and counted.
const QUEUE: usize = 32;

/// What a record's file begins with: the format and its version.
const MAGIC: &[u8; 4] = b"DWF1";

/// The header of a record: the format, its time, the recipient, the length of the content before it was cut.
const HEADER: usize = 4 + 8 + 32 + 8;

const ENDING: &str = ".sealed";

/// Whom records are encrypted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The public key.
    pub public: [u8; 32],
    /// How its secret half comes from a passphrase; `None` if it lies in a file.
    pub stretching: Option<Stretching>,
}

/// What is known of a record without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The receipt of the decision.
    pub receipt: String,
    /// When it was blocked, in milliseconds since the Unix epoch.
    pub time: Millis,
    /// How long the content was, in bytes. Of more than [`MAX_RECORD`] the beginning is kept.
    pub length: u64,
    /// How large the file is.
    pub size: u64,
    /// The public key it was encrypted to.
    pub recipient: [u8; 32],
}

/// A record in the clear.
#[derive(Debug)]
pub struct Opened {
    /// What is known of it without the key.
    pub listed: Listed,
    /// What was decided and about what: one JSON object.
    pub about: String,
    /// The content, at most [`MAX_RECORD`] bytes of it.
    pub content: Zeroizing<Vec<u8>>,
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that all records take together.
    pub total: u64,
    /// How long a record is kept, in milliseconds.
    pub age: Millis,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// The folder of `home`. Nothing is made.
    #[must_use]
    pub fn of(home: &Home) -> Self {
        Self { folder: home.root().join("forensics") }
    }

    fn recipient_file(&self) -> PathBuf {
        self.folder.join("recipient.json")
    }

    /// Whom records are encrypted to; `None` if nothing is to be kept.
    ///
    /// # Errors
    /// If the file is there and cannot be read or understood.
    pub fn recipient(&self) -> Result<Option<Recipient>, StoreError> {
        let path = self.recipient_file();
        let Some(text) = read_small(&path)? else { return Ok(None) };
        let malformed = || StoreError::Malformed { path, want: "a public key as Doorward writes it" };
        read_recipient(&text).ok_or_else(malformed).map(Some)
    }

    /// The recipient that records of an earlier one were encrypted to.
    ///
    /// # Errors
    /// As [`Self::recipient`].
    pub fn earlier(&self, public: &[u8; 32]) -> Result<Option<Recipient>, StoreError> {
        let path = self.earlier_file(public);
        let Some(text) = read_small(&path)? else { return Ok(None) };
        let malformed = || StoreError::Malformed { path, want: "a public key as Doorward writes it" };
        read_recipient(&text).filter(|found| found.public == *public).ok_or_else(malformed).map(Some)
    }

    fn earlier_file(&self, public: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("recipient-{}.json", hex(public)))
    }

    /// Encrypts to `recipient` from now on; records of an earlier one stay its.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn set_recipient(&self, recipient: &Recipient) -> Result<(), StoreError> {
        private::create_dir(&self.folder).map_err(at("create the directory", &self.folder))?;
        self.retire()?;
        write_atomic(&self.recipient_file(), written(recipient).as_bytes())
    }

    /// Keeps nothing from now on. Returns whether something was kept.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn retire(&self) -> Result<bool, StoreError> {
        let Some(before) = self.recipient()? else { return Ok(false) };
        let from = self.recipient_file();
        std::fs::rename(&from, self.earlier_file(&before.public)).map_err(at("move away", &from))?;
        Ok(true)
    }

    /// All records, oldest first. A file that is none is passed over.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at("read", &self.folder)(error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let receipts = names.filter_map(|name| name.strip_suffix(ENDING).map(str::to_owned));
        let mut all: Vec<Listed> = receipts
            .filter(|receipt| is_receipt(receipt))
            .filter_map(|receipt| self.header(&receipt))
            .collect();
        all.sort_by(|a, b| (a.time, &a.receipt).cmp(&(b.time, &b.receipt)));
        Ok(all)
    }

    fn file(&self, receipt: &str) -> PathBuf {
        self.folder.join(format!("{receipt}{ENDING}"))
    }

    fn header(&self, receipt: &str) -> Option<Listed> {
        use io::Read as _;
        let file = std::fs::File::open(self.file(receipt)).ok()?;
        let size = file.metadata().ok()?.len();
        let mut header = Vec::with_capacity(HEADER);
        file.take(HEADER as u64).read_to_end(&mut header).ok()?;
        listed(receipt, &header, size)
    }

    /// The record of `receipt` in the clear; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or was encrypted to another key.
    pub fn open(&self, receipt: &str, secret: &Secret32) -> Result<Option<Opened>, StoreError> {
        use io::Read as _;
        if !is_receipt(receipt) {
            return Ok(None);
        }
        let path = self.file(receipt);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at("read", &path)(error)),
        };
        let mut bytes = Vec::new();
        let most = 2 * MAX_RECORD as u64 + (1 << 20);
        file.take(most).read_to_end(&mut bytes).map_err(at("read", &path))?;
        let damaged = || StoreError::Damaged { what: "forensic record", row: receipt.to_owned() };
        let (header, sealed) = bytes.split_at_checked(HEADER).ok_or_else(damaged)?;
        let listed = listed(receipt, header, bytes.len() as u64).ok_or_else(damaged)?;
        if listed.recipient != public(secret) {
            return Err(StoreError::Unavailable("the record was encrypted to another key".to_owned()));
        }
        let plain = seal::open(secret, &[header, receipt.as_bytes()].concat(), sealed).ok_or_else(damaged)?;
        let end = plain.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
        let (about, content) = plain.split_at_checked(end).ok_or_else(damaged)?;
        let about = std::str::from_utf8(about).map_err(|_| damaged())?.to_owned();
        let content = Zeroizing::new(content.get(1..).unwrap_or_default().to_vec());
        Ok(Some(Opened { listed, about, content }))
    }

    /// Removes what is older than `limits` allow at `now`, and the oldest of what is more, but for what is held. Returns how
    /// many.
    ///
    /// # Errors
    /// If the folder cannot be read or a file not be removed.
    pub fn sweep(
        &self,
        limits: Limits,
        now: Millis,
        is_held: impl Fn(&Listed) -> bool,
    ) -> Result<usize, StoreError> {
        let all = self.list()?;
        let mut size: u64 = all.iter().map(|one| one.size).sum();
        let (mut count, mut removed) = (all.len(), 0);
        for one in all {
            let old = one.time < now.saturating_sub(limits.age);
            if !old && size <= limits.total && count <= MOST_RECORDS {
                break;
            }
            if is_held(&one) {
                continue;
            }
            self.remove(&one.receipt)?;
            size = size.saturating_sub(one.size);
            count -= 1;
            removed += 1;
        }
        Ok(removed)
    }

    /// Whether there is a record of `receipt`.
    #[must_use]
    pub fn has(&self, receipt: &str) -> bool {
        is_receipt(receipt) && self.file(receipt).exists()
    }

    /// Removes the record of `receipt`.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn remove(&self, receipt: &str) -> Result<(), StoreError> {
        let path = self.file(receipt);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn write(&self, recipient: &Recipient, record: &Record) -> Result<u64, StoreError> {
        let Record { receipt, time, about, content, length } = record;
        let header =
            [MAGIC.as_slice(), &time.to_be_bytes(), &recipient.public, &length.to_be_bytes()].concat();
        let plain = Zeroizing::new([about.as_bytes(), b"\n", content].concat());
        let sealed =
            seal::seal(&recipient.public, &[header.as_slice(), receipt.as_bytes()].concat(), &plain)?;
        let (path, unfinished) = (self.file(receipt), self.folder.join(format!(".{receipt}.tmp")));
        let mut file = private::create_new(&unfinished).map_err(at("write", &unfinished))?;
        let written = file.write_all(&header).and_then(|()| file.write_all(&sealed));
        drop(file);
        if let Err(error) = written.and_then(|()| std::fs::rename(&unfinished, &path)) {
            let _ = std::fs::remove_file(&unfinished);
            return Err(at("write", &path)(error));
        }
        Ok((header.len() + sealed.len()) as u64)
    }
}

/// What is to be kept of one decision.
struct Record {
    receipt: String,
    time: Millis,
    about: String,
    content: Zeroizing<Vec<u8>>,
    length: u64,
}

/// Keeps records, on a thread of its own: nobody waits for it.
#[derive(Debug)]
pub struct Forensics {
    archive: Archive,
    queue: Option<SyncSender<Record>>,
    lost: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Forensics {
    /// Starts. What is already too much or too old is for [`Archive::sweep`].
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        archive: Archive,
        limits: Limits,
        holds: Arc<ArcSwap<Vec<Hold>>>,
    ) -> Result<Self, StoreError> {
        let (queue, records) = sync_channel(QUEUE);
        let of_thread = archive.clone();
        let thread = std::thread::Builder::new()
            .name("doorward-forensics".into())
            .spawn(move || keep_all(&of_thread, limits, &holds, &records))
            .map_err(at("start the thread for", &archive.folder))?;
        Ok(Self { archive, queue: Some(queue), lost: AtomicU64::new(0), thread: Some(thread) })
    }

    /// Whether there is somebody to keep something for. A person may change that at any time.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.archive.recipient_file().exists()
    }

    /// Keeps what was blocked under `receipt`: `about`, one JSON object in one line, and the beginning of `content`. Never waits.
    pub fn keep(&self, receipt: &str, time: Millis, about: String, content: &[u8]) {
        let kept = content.get(..MAX_RECORD).unwrap_or(content);
        let record = Record {
            receipt: receipt.to_owned(),
            time,
            about: about.replace('\n', " "),
            content: Zeroizing::new(kept.to_vec()),
            length: content.len() as u64,
        };
        let queued = self.queue.as_ref().is_some_and(|queue| queue.try_send(record).is_ok());
        if !queued && self.lost.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            tracing::warn!("blocked content comes faster than it can be kept: some of it is not");
        }
    }
}

impl Drop for Forensics {
    /// Writes what is queued.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep_all(archive: &Archive, limits: Limits, holds: &ArcSwap<Vec<Hold>>, records: &Receiver<Record>) {
    let mut sizes: BTreeMap<(Millis, String), u64> = BTreeMap::new();
    let mut known = false;
    for record in records {
        if !std::mem::replace(&mut known, true) {
            let all = archive.list().unwrap_or_default();
            sizes = all.into_iter().map(|one| ((one.time, one.receipt), one.size)).collect();
        }
        // Something older may be held; what is new finds no room then.
        let makes_room = holds.load().is_empty();
        if let Err(error) = keep(archive, limits, record, makes_room, &mut sizes) {
            tracing::warn!(%error, "blocked content could not be kept");
        }
    }
}

fn keep(
    archive: &Archive,
    limits: Limits,
    record: Record,
    makes_room: bool,
    sizes: &mut BTreeMap<(Millis, String), u64>,
) -> Result<(), StoreError> {
    let Some(recipient) = archive.recipient()? else { return Ok(()) };
    let most = record.content.len() as u64 + record.about.len() as u64 + 1024;
    let full = sizes.len() >= MOST_RECORDS || sizes.values().sum::<u64>().saturating_add(most) > limits.total;
    if full && !makes_room {
        let why = "there is no room, and nothing is destroyed to make some while something is held";
        return Err(StoreError::Unavailable(why.into()));
    }
    let size = archive.write(&recipient, &record)?;
    sizes.insert((record.time, record.receipt), size);
    while sizes.len() > 1 && (sizes.len() > MOST_RECORDS || sizes.values().sum::<u64>() > limits.total) {
        let Some(((_, oldest), _)) = sizes.pop_first() else { break };
        archive.remove(&oldest)?;
    }
    Ok(())
}

/// Whether `name` is a receipt's id, and nothing that leads elsewhere.
fn is_receipt(name: &str) -> bool {
    name.len() == 26 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn listed(receipt: &str, header: &[u8], size: u64) -> Option<Listed> {
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let (recipient, rest) = rest.split_first_chunk::<32>()?;
    let length = u64::from_be_bytes(*rest.first_chunk::<8>()?);
    let time = u64::from_be_bytes(*time);
    (magic == MAGIC).then(|| Listed {
        receipt: receipt.to_owned(),
        time,
        length,
        size,
        recipient: *recipient,
    })
}

fn written(recipient: &Recipient) -> String {
    let key = hex(&recipient.public);
    let stretching = recipient.stretching.as_ref().map(|Stretching { salt, memory, passes, lanes }| {
        let salt = hex(salt);
        format!(
            ",\"argon2id\":{{\"salt\":\"{salt}\",\"memory\":{memory},\"passes\":{passes},\"lanes\":{lanes}}}"
        )
    });
    format!("{{\"version\":1,\"public\":\"{key}\"{}}}\n", stretching.unwrap_or_default())
}

fn read_recipient(text: &str) -> Option<Recipient> {
    let node = json::parse(text.as_bytes()).ok()?;
    if node.get("version")?.scalar()? != "1" {
        return None;
    }
    let public = unhex::<32>(node.text("public")?)?;
    let Some(how) = node.get("argon2id") else { return Some(Recipient { public, stretching: None }) };
    let number = |key: &str| how.get(key).and_then(Node::scalar)?.parse().ok();
    // What takes more than a gigabyte or minutes is not of ours.
    let memory = number("memory").filter(|memory| (8..=1 << 20).contains(memory))?;
    let passes = number("passes").filter(|passes| (1..=64).contains(passes))?;
    let lanes = number("lanes").filter(|lanes| (1..=64).contains(lanes))?;
    let stretching = Stretching { salt: unhex(how.text("salt")?)?, memory, passes, lanes };
    Some(Recipient { public, stretching: Some(stretching) })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// Where forensic records of a home directory lie.
#[must_use]
pub fn folder(home: &Path) -> PathBuf {
    home.join("forensics")
}

#[cfg(test)]
mod tests;
