//! Decoys: what is planted, and what is kept of it.
//!
//! `canaries.sealed` in the home directory holds, encrypted, where each decoy lies and keyed hashes of what it says: neither a
//! value nor a place can be read without the store's key, and a value not even with it.

use std::path::{Path, PathBuf};

use doorward_core::detect::canary::{Canaries, MOST, MOST_PIECES};
use doorward_core::detect::secrets::registered::Registration;
use doorward_core::syntax::decode::Fields;
use doorward_core::syntax::json;
use doorward_core::syntax::{Diagnostic, Span};
use doorward_store::{Home, StoreError};

use crate::terminal::text as quoted;

pub mod dice;
pub mod keys;
pub mod kinds;
pub mod place;

/// One planted decoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called: its kind, with a number if there are several.
    pub name: String,
    /// The kind, [`kinds::Kind::name`].
    pub kind: String,
    /// The directory that it was planted in, absolute: a user's home.
    pub root: PathBuf,
    /// Where it lies below that.
    pub path: PathBuf,
    /// When it was planted, in milliseconds since 1970.
    pub planted: u64,
    /// When the file says that it was written and last read, in milliseconds since 1970.
    pub dated: u64,
    /// The SHA-256 of what it says, in hexadecimal.
    pub digest: String,
    /// Folders that were made for it, outermost first.
    pub folders: Vec<PathBuf>,
    /// What is kept of its pieces.
    pub pieces: Vec<Registration>,
}

impl Entry {
    /// The whole path.
    pub fn file(&self) -> PathBuf {
        self.root.join(&self.path)
    }
}

/// The text of what is kept below `home`; `None` if nothing ever was.
///
/// # Errors
/// If it is there and cannot be read.
pub fn text(home: &Path) -> Result<Option<String>, String> {
    // Nothing is created by looking.
    if !home.join("canaries.sealed").exists() {
        return Ok(None);
    }
    let kept = Home::open(home).and_then(|home| home.read_canaries()).map_err(|error| error.to_string())?;
    let Some(kept) = kept else { return Ok(None) };
    String::from_utf8(kept.to_vec()).map(Some).map_err(|_| "is not as Doorward writes it".to_owned())
}

/// What the text says.
///
/// # Errors
/// All its faults.
pub fn read(text: &str) -> Result<Vec<Entry>, Vec<Diagnostic>> {
    let node = json::parse(text.as_bytes())
        .map_err(|fault| vec![Diagnostic::error(Span::default(), format!("is not strict JSON: {fault}"))])?;
    let mut faults = Vec::new();
    let mut fields = Fields::of(&node, "the planted decoys", &mut faults);
    fields.whole("version", 1..=1);
    let listed = fields.list("decoys");
    if listed.len() > MOST {
        fields.fault(node.span, format!("more than {MOST} decoys are planted"), "");
    }
    fields.finish();
    let mut entries = Vec::new();
    for one in listed {
        let mut fields = Fields::of(one, "a decoy", &mut faults);
        let texts: Vec<Option<&str>> =
            ["name", "kind", "root", "path", "digest"].iter().map(|key| fields.text(key)).collect();
        let whole = 0..=u64::MAX >> 11;
        let (planted, dated) = (fields.whole("planted", whole.clone()), fields.whole("dated", whole));
        let folders = fields.texts("folders").into_iter().map(|(folder, _)| PathBuf::from(folder)).collect();
        let mut pieces = Vec::new();
        for piece in fields.list("pieces") {
            let forms: Option<Vec<&str>> = piece.elements().iter().map(|form| form.as_str()).collect();
            match forms.and_then(Registration::read) {
                Some(piece) => pieces.push(piece),
                None => fields.fault(one.span, "this is not as Doorward writes it", "plant the decoys anew"),
            }
        }
        if pieces.is_empty() || pieces.len() > MOST_PIECES {
            fields.fault(one.span, "this is not as Doorward writes it", "plant the decoys anew");
        }
        fields.finish();
        let [Some(name), Some(kind), Some(root), Some(path), Some(digest)] = texts[..] else { continue };
        let (Some(planted), Some(dated)) = (planted, dated) else { continue };
        entries.push(Entry {
            name: name.to_owned(),
            kind: kind.to_owned(),
            root: root.into(),
            path: path.into(),
            planted,
            dated,
            digest: digest.to_owned(),
            folders,
            pieces,
        });
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

/// Keeps `entries`.
///
/// # Errors
/// If the file cannot be written; what was there stays.
pub fn write(home: &Home, entries: &[Entry]) -> Result<(), StoreError> {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let named = |key: &str, items: Vec<String>| {
        if items.is_empty() { String::new() } else { format!(",\"{key}\":{}", list(items)) }
    };
    let path = |path: &Path| quoted(&path.to_string_lossy());
    let one = |entry: &Entry| {
        let Entry { name, kind, root, path: place, planted, dated, digest, folders, pieces } = entry;
        let forms = |piece: &Registration| list(piece.written().map(|form| format!("\"{form}\"")).collect());
        format!(
            "{{\"name\":{},\"kind\":{},\"root\":{},\"path\":{},\"planted\":{planted},\"dated\":{dated},\"digest\":{}{}{}}}",
            quoted(name),
            quoted(kind),
            path(root),
            path(place),
            quoted(digest),
            named("folders", folders.iter().map(|folder| path(folder)).collect()),
            named("pieces", pieces.iter().map(forms).collect())
        )
    };
    let all = named("decoys", entries.iter().map(one).collect());
    home.write_canaries(format!("{{\"version\":1{all}}}").as_bytes())
}

/// What is to be found, of what is kept below `home`.
///
/// # Errors
/// All faults of `text`, or that the key of its hashes is gone.
pub fn canaries(home: &Path, text: &str) -> Result<Canaries, Vec<Diagnostic>> {
    let entries = read(text)?;
    if entries.is_empty() {
        return Ok(Canaries::default());
    }
    let key = Home::open(home).and_then(|home| home.secrets_key());
    let key = key.map_err(|error| vec![Diagnostic::error(Span::default(), error.to_string())])?;
    let mut canaries = Canaries::new(key.expose());
    for entry in entries {
        let file = entry.file();
        // Where a folder of the home directory is reached by another name, both are its names.
        let real = file
            .parent()
            .and_then(|folder| Some(std::fs::canonicalize(folder).ok()?.join(file.file_name()?)));
        let mut paths = vec![file.display().to_string()];
        paths.extend(real.map(|real| real.display().to_string()).filter(|real| !paths.contains(real)));
        canaries.add(&entry.name, paths, entry.pieces);
    }
    Ok(canaries)
}
