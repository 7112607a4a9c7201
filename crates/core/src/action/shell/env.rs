//! What a line knows of its surroundings as it goes: variables, directory, files, links.

use std::collections::HashMap;
use std::sync::Arc;

use super::Word;
use super::ast::Command;
use super::redirect::Sink;
use crate::action::{Flow, asset};

/// What a line knows of its surroundings as it goes: the part of a shell that a later line would see.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Env {
    /// Variables; several values if branches or a loop set it, several words if it is an array.
    pub(super) vars: HashMap<String, Vec<Vec<Word>>>,
    pub(super) functions: HashMap<String, Arc<Command>>,
    pub(super) aliases: HashMap<String, String>,
    /// The positional parameters.
    pub(super) args: Vec<Word>,
    /// The working directory, if the line changed it.
    pub(super) directory: Option<Word>,
    /// What the line wrote, by path.
    pub(super) files: HashMap<String, File>,
    /// Where the shell still is if the last `cd` failed.
    pub(super) stayed: Option<Word>,
    /// Links made: what their name stands for.
    pub(super) links: HashMap<String, String>,
    /// Descriptors opened with `exec`.
    pub(super) descriptors: Vec<(u32, Sink)>,
    /// Named pipes: what is written into them is read by commands before.
    pub(super) pipes: bool,
    /// How many files have been written.
    pub(super) clock: u64,
    /// Whether a variable stands for another (`declare -n`): kept as a variable named `&` and its name.
    pub(super) refers: bool,
    /// Whether functions were too long to be kept.
    pub(super) lost: bool,
}

/// A file that was written.
#[derive(Clone, Default, PartialEq)]
pub(super) struct File {
    pub(super) from: Vec<Flow>,
    pub(super) text: Option<Arc<str>>,
    /// Bytes that are no text, if they are known.
    pub(super) raw: Option<Arc<[u8]>>,
    /// Whether it stands after something that is not known.
    pub(super) appended: bool,
    /// Whether the text is only what is known of it, in pieces.
    pub(super) pieces: bool,
    /// When, on the clock of its `Env`.
    pub(super) written: u64,
}

impl File {
    pub(super) fn text_len(&self) -> usize {
        self.bytes().map_or(0, <[u8]>::len)
    }

    /// What is in it, if that is known.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.raw.as_deref().or(self.text.as_deref().map(str::as_bytes))
    }

    /// Whether what is known is all of it.
    pub(super) fn is_whole(&self) -> bool {
        !self.pieces && !self.appended
    }
}

impl Env {
    /// Whether a later line would find nothing of it.
    pub(super) fn is_plain(&self) -> bool {
        self.directory.is_none()
            && self.vars.is_empty()
            && self.functions.is_empty()
            && self.aliases.is_empty()
            && self.files.is_empty()
            && self.links.is_empty()
            && self.descriptors.is_empty()
            && !self.lost
    }

    /// `path` with what links on it stand for.
    pub(super) fn through_links(&self, path: String) -> String {
        for (link, stands_for) in &self.links {
            if let Some(below) =
                path.strip_prefix(link.as_str()).filter(|b| b.is_empty() || b.starts_with('/'))
            {
                return asset::normalise_path(&format!("{stands_for}{below}"));
            }
            // The directory of one of both is not known. A link takes nothing off what a path says itself.
            if ends_with_name(&path, link) || ends_with_name(link, &path) {
                let own = asset::classify_path(&path, true);
                let other = asset::classify_path(stands_for, true);
                if asset::stronger(own, other) != own {
                    return stands_for.clone();
                }
            }
        }
        path
    }

    /// Whether `path` is a link.
    pub(super) fn leads_on(&self, path: &str) -> bool {
        let here = |directory: &Word| asset::normalise_path(&format!("{}/{path}", directory.text));
        self.links.contains_key(path)
            || self.directory.as_ref().is_some_and(|directory| self.links.contains_key(&here(directory)))
    }

    pub(super) fn put(&mut self, path: String, file: File) {
        self.clock += 1;
        self.files.insert(path, File { written: self.clock, ..file });
    }

    /// Where what lies in the directories above `path` comes from, if they were unpacked or cloned.
    pub(super) fn unpacked(&self, path: &str) -> Vec<Flow> {
        let mut above = path;
        while let Some((directory, _)) = above.rsplit_once('/') {
            if let Some(file) = self.files.get(&below(directory)) {
                return file.from.clone();
            }
            above = directory;
        }
        let here = self.files.get("*").filter(|_| asset::is_relative(path));
        here.map(|file| file.from.clone()).unwrap_or_default()
    }

    /// The file at `path` that was written before. Where the directory of one of both is not known, that with the
    /// same end, the one written last.
    pub(super) fn file_at(&self, path: &str) -> Option<File> {
        if let Some(file) = self.files.get(path) {
            return Some(file.clone());
        }
        let known = self.files.iter();
        let known = known.filter(|(known, _)| ends_with_name(known, path) || ends_with_name(path, known));
        known.max_by_key(|(_, file)| file.written).map(|(_, file)| file.clone())
    }
}

/// The name under which everything below a directory is kept that was unpacked or cloned into it.
pub(super) fn below(directory: &str) -> String {
    match directory {
        "." | "" => "*".to_owned(),
        "/" => "/*".to_owned(),
        directory => format!("{directory}/*"),
    }
}

/// Whether the absolute path `long` ends with the names of the relative one `short`.
fn ends_with_name(long: &str, short: &str) -> bool {
    let ends = long.strip_suffix(short).is_some_and(|before| before.ends_with('/'));
    ends && !short.is_empty() && asset::is_relative(short) && !asset::is_relative(long)
}
