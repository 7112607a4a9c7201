//! Honeytokens: values and domains that an operator has put somewhere as bait, and what is kept of them.
//!
//! `honeytokens.sealed` in the home directory holds, encrypted, their names, their domains and keyed hashes of their values: no value
//! can be read out of it, not even with the key.

use std::path::Path;

use doorward_core::detect::canary::{self, Canaries, Domain, MOST, Response};
use doorward_core::detect::secrets::registered::Registration;
use doorward_core::syntax::decode::Fields;
use doorward_core::syntax::json;
use doorward_core::syntax::{Diagnostic, Span};
use doorward_store::{Home, StoreError};

use crate::terminal::text as quoted;

/// What is done when one is touched, as it is written.
pub const RESPONSES: [(&str, Response); 2] = [("suspend", Response::Suspend), ("freeze", Response::Freeze)];

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bait {
    /// What is kept of its value.
    Value(Registration),
    /// The domain.
    Domain(String),
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What a person calls it.
    pub name: String,
    /// When it was made known, in milliseconds since 1970.
    pub added: u64,
    /// What is done when it is touched.
    pub response: Response,
    /// What it is.
    pub bait: Bait,
}

impl Entry {
    /// The word for what is done.
    pub fn response(&self) -> &'static str {
        RESPONSES.iter().find(|(_, response)| *response == self.response).map_or("suspend", |(word, _)| word)
    }
}

/// The text of what is kept below `home`; `None` if nothing ever was.
///
/// # Errors
/// If it is there and cannot be read.
pub fn text(home: &Path) -> Result<Option<String>, String> {
    // Nothing is created by looking.
    if !home.join("honeytokens.sealed").exists() {
        return Ok(None);
    }
    let kept =
        Home::open(home).and_then(|home| home.read_honeytokens()).map_err(|error| error.to_string())?;
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
    let mut fields = Fields::of(&node, "the honeytokens", &mut faults);
    fields.whole("version", 1..=1);
    let listed = fields.list("honeytokens");
    if listed.len() > MOST {
        fields.fault(node.span, format!("more than {MOST} honeytokens"), "");
    }
    fields.finish();
    let mut entries = Vec::new();
    for one in listed {
        let mut fields = Fields::of(one, "a honeytoken", &mut faults);
        let (name, added) = (fields.text("name"), fields.whole("added", 0..=u64::MAX >> 11));
        let response = fields.choice("response", &RESPONSES);
        let domain = fields.maybe_text("domain").and_then(|text| canary::domain(text).ok());
        let forms: Vec<&str> = fields.texts("forms").into_iter().map(|(form, _)| form).collect();
        let value = Registration::read(forms);
        let bait = match (domain, value) {
            (Some(domain), None) => Some(Bait::Domain(domain)),
            (None, Some(value)) => Some(Bait::Value(value)),
            _ => None,
        };
        if bait.is_none() {
            fields.fault(one.span, "this is not as Doorward writes it", "add the honeytoken again");
        }
        fields.finish();
        if let (Some(name), Some(added), Some(response), Some(bait)) = (name, added, response, bait) {
            entries.push(Entry { name: name.to_owned(), added, response, bait });
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

/// Keeps `entries`.
///
/// # Errors
/// If the file cannot be written; what was there stays.
pub fn write(home: &Home, entries: &[Entry]) -> Result<(), StoreError> {
    let one = |entry: &Entry| {
        let bait = match &entry.bait {
            Bait::Domain(domain) => format!("\"domain\":{}", quoted(domain)),
            Bait::Value(value) => {
                let forms: Vec<String> = value.written().map(|form| format!("\"{form}\"")).collect();
                format!("\"forms\":[{}]", forms.join(","))
            }
        };
        let (name, added, response) = (quoted(&entry.name), entry.added, entry.response());
        format!("{{\"name\":{name},\"added\":{added},\"response\":\"{response}\",{bait}}}")
    };
    let all: Vec<String> = entries.iter().map(one).collect();
    let list = if all.is_empty() { String::new() } else { format!(",\"honeytokens\":[{}]", all.join(",")) };
    home.write_honeytokens(format!("{{\"version\":1{list}}}").as_bytes())
}

/// Adds what is kept below `home` to `known`, which was made with the same key if there is anything in it.
///
/// # Errors
/// All faults of `text`, or that the key of its hashes is gone.
pub fn add(home: &Path, text: &str, known: Option<Canaries>) -> Result<Canaries, Vec<Diagnostic>> {
    let entries = read(text)?;
    let mut known = match known.filter(|known| !known.is_empty()) {
        Some(known) => known,
        None if entries.is_empty() => return Ok(Canaries::default()),
        None => {
            let key = Home::open(home).and_then(|home| home.secrets_key());
            let key = key.map_err(|error| vec![Diagnostic::error(Span::default(), error.to_string())])?;
            Canaries::new(key.expose())
        }
    };
    for Entry { name, response, bait, .. } in entries {
        match bait {
            Bait::Value(value) => known.add_value(&name, value, response),
            Bait::Domain(domain) => known.add_domain(Domain { name: name.into(), domain, response }),
        }
    }
    Ok(known)
}

/// Adds the domains that the settings name.
pub fn add_named(domains: &[String], known: Option<Canaries>) -> Option<Canaries> {
    if domains.is_empty() {
        return known;
    }
    // A domain is no secret: without values any key will do.
    let fresh = || Canaries::new(b"domains");
    let mut known = known.filter(|known| !known.is_empty()).unwrap_or_else(fresh);
    for domain in domains {
        let (name, domain) = (domain.as_str().into(), domain.clone());
        known.add_domain(Domain { name, domain, response: Response::Suspend });
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use doorward_core::detect::secrets::registered::Registered;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_says_no_value() {
        let root = std::env::temp_dir().join(format!("doorward-honeytokens-{}", std::process::id()));
        let home = Home::open(&root).unwrap();
        assert_eq!(text(&root), Ok(None));
        let key = home.secrets_key().unwrap();
        let value = Registered::new(key.expose()).registration("bait-value-0123456789").unwrap();
        let entry = |name: &str, response, bait| Entry { name: name.into(), added: 7, response, bait };
        let entries = [
            entry("key", Response::Suspend, Bait::Value(value)),
            entry("wiki", Response::Freeze, Bait::Domain("trap.example".into())),
        ];
        write(&home, &entries).unwrap();
        let kept = text(&root).unwrap().unwrap();
        assert_eq!(read(&kept).unwrap(), entries);
        assert!(!kept.contains("bait-value"));
        let known = add(&root, &kept, None).unwrap();
        assert_eq!(known.domains().len(), 1);
        write(&home, &[]).unwrap();
        assert!(add(&root, &text(&root).unwrap().unwrap(), None).unwrap().is_empty());
        assert!(
            read("{\"version\":1,\"honeytokens\":[{\"name\":\"x\",\"added\":1,\"response\":\"freeze\"}]}")
                .is_err()
        );
        std::fs::remove_dir_all(&root).unwrap();
    }
}
