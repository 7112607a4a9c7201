//! Tools allowed and denied by name, from settings alone: the short way to a policy for who has a list of tools and nothing else.
//!
//! It becomes a policy of its own at the level of the organisation, so that no other policy allows what it denies. Names that are
//! allowed are compared as their owner does, letter by letter; those that are denied without regard to case, so that `bash` is no way
//! around `Bash`.

use std::path::{Path, PathBuf};

use doorward_core::syntax::decode::Fields;
use doorward_core::syntax::json::quoted;
use doorward_core::syntax::{Diagnostic, yaml};

use crate::policies;

/// What it is called in messages and receipts.
pub const NAME: &str = "tool settings";

/// The most tools of one list.
const MOST: usize = 1024;

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPolicy {
    /// The tools that may be called, if not all.
    pub allow: Vec<String>,
    /// Those that may not.
    pub deny: Vec<String>,
    /// Whether only what is allowed may be called; `None`: if anything is.
    pub strict: Option<bool>,
    /// A file that says the same.
    pub file: Option<PathBuf>,
}

/// The tools of a list as it is typed.
///
/// # Errors
/// What is wrong, and what to do.
pub fn names(text: &str) -> Result<Vec<String>, (String, String)> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let bad = |name: &&String| name.is_empty() || name.len() > 256 || name.chars().any(char::is_control);
    match names.iter().find(bad) {
        None if names.len() <= MOST => Ok(names),
        None => {
            Err((format!("more than {MOST} tools"), "use `*` for families, as in `mcp__files__*`".to_owned()))
        }
        Some(_) => Err((
            "a tool without a name".to_owned(),
            "name tools, separated by commas; `*` stands for anything".to_owned(),
        )),
    }
}

/// `strict` or `permissive`.
///
/// # Errors
/// What is wrong, and what to do.
pub fn strictness(text: &str) -> Result<bool, (String, String)> {
    match text {
        "strict" => Ok(true),
        "permissive" => Ok(false),
        other => Err((
            format!("`{}` is none of them", other.escape_debug()),
            "use strict or permissive".to_owned(),
        )),
    }
}

impl ToolPolicy {
    /// Adds what its file says: to the lists, and strictness where nothing else says it.
    ///
    /// # Errors
    /// Its name, its text and all its faults.
    pub fn read_file(&mut self, home: &Path) -> Result<(), (PathBuf, String, Vec<Diagnostic>)> {
        let Some(file) = self.file.as_ref().map(|file| home.join(file)) else { return Ok(()) };
        let text = match policies::read(&file) {
            Ok(text) => text,
            Err(error) => {
                let fault = Diagnostic::error(Default::default(), format!("cannot be read: {error}"));
                return Err((file, String::new(), vec![fault]));
            }
        };
        let mut faults = Vec::new();
        match yaml::parse(text.as_bytes()) {
            Err(found) => faults = found,
            Ok(node) => {
                let mut fields = Fields::of(&node, "the tools", &mut faults);
                for (key, list) in [("allow", &mut self.allow), ("deny", &mut self.deny)] {
                    for (name, span) in fields.texts(key) {
                        match names(name) {
                            Ok(names) => list.extend(names),
                            Err((message, advice)) => fields.fault(span, message, advice),
                        }
                    }
                }
                let words = [("strict", true), ("permissive", false)];
                let strict = fields.maybe_choice("policy", &words);
                self.strict = self.strict.or(strict);
                fields.finish();
            }
        }
        if faults.is_empty() { Ok(()) } else { Err((file, text, faults)) }
    }

    /// The policy that says it; `None` if nothing is set.
    pub fn text(&self) -> Option<String> {
        let strict = self.strict.unwrap_or(!self.allow.is_empty());
        if !strict && self.deny.is_empty() {
            return None;
        }
        let list = |names: &[String]| {
            let names = names.iter().map(|name| String::from_utf8_lossy(&quoted(name)).into_owned());
            names.collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("version: 1\ndefault: {}\nrules:\n", if strict { "deny" } else { "allow" });
        if strict {
            // What has no tool of its own: other settings are about it.
            text.push_str("  - name: no-tool\n    allow: { door: [egress, library] }\n");
        }
        if strict && !self.allow.is_empty() {
            text.push_str(&format!(
                "  - name: tool-allowed\n    allow: {{ tool: [{}] }}\n",
                list(&self.allow)
            ));
        }
        if !self.deny.is_empty() {
            text.push_str(&format!("  - name: tool-denied\n    deny: {{ tool: [{}] }}\n", list(&self.deny)));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::policy::{Level, Text, Texts};

    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_allow_list_is_enforced_unless_somebody_says_otherwise() {
        let allow = ToolPolicy { allow: list(&["Read"]), ..ToolPolicy::default() };
        assert!(allow.text().unwrap().contains("default: deny"));
        assert_eq!(ToolPolicy { strict: Some(false), ..allow }.text(), None);
        assert_eq!(ToolPolicy::default().text(), None);
        let nothing = ToolPolicy { strict: Some(true), ..ToolPolicy::default() };
        assert!(nothing.text().unwrap().contains("default: deny"));
    }

    #[test]
    fn what_it_says_is_a_policy() {
        for (allow, deny, strict) in [
            (list(&["Read", "mcp__files__*", "a\"b: [c]"]), list(&["Bash", "*exec*"]), None),
            (list(&["Read"]), Vec::new(), Some(true)),
            (Vec::new(), list(&["Bash"]), Some(false)),
            (Vec::new(), Vec::new(), Some(true)),
        ] {
            let text = ToolPolicy { allow, deny, strict, file: None }.text().unwrap();
            let root = Text {
                level: Level::Organisation,
                name: NAME.to_owned(),
                text: text.clone(),
                included: false,
            };
            let (texts, faults) = Texts::gather(vec![root], &mut |_, _| Err(String::new()));
            assert!(faults.is_empty() && texts.compile().is_ok(), "{text}: {:?}", texts.compile().err());
        }
    }

    #[test]
    fn lists_are_read_strictly() {
        assert_eq!(names("Read, Bash").unwrap(), list(&["Read", "Bash"]));
        for bad in ["", ",", "Read,", "Read,,Bash", "a\nb"] {
            assert!(names(bad).is_err(), "{bad:?}");
        }
        assert!(strictness("Strict").is_err());
    }
}
