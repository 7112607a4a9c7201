//! Registered secrets: what is kept of them in the home directory.
//!
//! `secrets.json` holds names and keyed hashes, `secrets.key` their key. Whoever reads the first alone learns nothing;
//! whoever has both can try guesses, so both are private, and neither helps to find a long random value.

use std::path::{Path, PathBuf};

use doorward_core::detect::secrets::registered::{MOST, Registered, Registration};
use doorward_core::syntax::decode::Fields;
use doorward_core::syntax::json::{self, quoted};
use doorward_core::syntax::{Diagnostic, Span};
use doorward_store::{Home, StoreError, write_atomic};

use crate::policies;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What a person calls it.
    pub name: String,
    /// When it was registered, in milliseconds since 1970.
    pub added: u64,
    /// What is kept of it.
    pub registration: Registration,
}

/// Whether a secret can be called so: names stand in receipts and messages.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain)
}

/// The file below `home`.
pub fn file(home: &Path) -> PathBuf {
    home.join("secrets.json")
}

/// Its text; `None` if it is not there.
///
/// # Errors
/// If it is there and cannot be read.
pub fn text(home: &Path) -> std::io::Result<Option<String>> {
    match policies::read(&file(home)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the file says.
///
/// # Errors
/// All its faults.
pub fn read(text: &str) -> Result<Vec<Entry>, Vec<Diagnostic>> {
    let node = json::parse(text.as_bytes())
        .map_err(|fault| vec![Diagnostic::error(Span::default(), format!("is not strict JSON: {fault}"))])?;
    let mut faults = Vec::new();
    let mut fields = Fields::of(&node, "the registered secrets", &mut faults);
    fields.whole("version", 1..=1);
    let listed = fields.list("secrets");
    if listed.len() > MOST {
        fields.fault(node.span, format!("more than {MOST} secrets are registered"), "");
    }
    fields.finish();
    let mut entries: Vec<Entry> = Vec::new();
    for one in listed {
        let mut fields = Fields::of(one, "a registered secret", &mut faults);
        let (name, added) = (fields.text("name"), fields.whole("added", 0..=u64::MAX >> 11));
        let forms: Vec<&str> = fields.texts("forms").into_iter().map(|(form, _)| form).collect();
        let registration = Registration::read(forms);
        if registration.is_none() || !name.is_some_and(is_name) {
            fields.fault(one.span, "this is not as Doorward writes it", "register the secret again");
        }
        fields.finish();
        if let (Some(name), Some(added), Some(registration)) = (name, added, registration) {
            if entries.iter().any(|entry| entry.name == name) {
                faults.push(Diagnostic::error(one.span, format!("`{name}` is registered twice")));
            }
            entries.push(Entry { name: name.to_owned(), added, registration });
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

/// Keeps `entries`, private from the first byte.
///
/// # Errors
/// If the file cannot be written; what was there stays.
pub fn write(home: &Home, entries: &[Entry]) -> Result<(), StoreError> {
    let one = |entry: &Entry| {
        let forms: Vec<String> = entry.registration.written().map(|form| format!("\"{form}\"")).collect();
        let name = String::from_utf8_lossy(&quoted(&entry.name)).into_owned();
        format!("{{\"name\":{name},\"added\":{},\"forms\":[{}]}}", entry.added, forms.join(","))
    };
    let all: Vec<String> = entries.iter().map(one).collect();
    let text = format!("{{\"version\":1,\"secrets\":[\n{}\n]}}\n", all.join(",\n"));
    write_atomic(&home.secrets_file(), text.as_bytes())
}

/// What is to be found, of the file's `text` below `home`.
///
/// # Errors
/// All faults of the file, or that its key is gone.
pub fn registered(home: &Path, text: &str) -> Result<Registered, Vec<Diagnostic>> {
    let entries = read(text)?;
    if entries.is_empty() {
        return Ok(Registered::default());
    }
    let key = Home::open(home).and_then(|home| home.secrets_key());
    let key = key.map_err(|error| vec![Diagnostic::error(Span::default(), error.to_string())])?;
    let mut registered = Registered::new(key.expose());
    entries.into_iter().for_each(|entry| registered.add(&entry.name, entry.registration));
    Ok(registered)
}
