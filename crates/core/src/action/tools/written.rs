//! What file tools leave behind, so that a script is known when it is run.

use super::super::shell::{LONGEST_FILE, State};
use super::super::{Capability, Written};
use super::names::{PATH_KEYS, TEXT_KEYS};
use crate::syntax::{Node, base64};

/// Members that hold all of a file.
const WHOLE: [&str; 8] =
    ["content", "contents", "file_text", "codecontent", "new_content", "text", "data", "body"];

/// What stands before an edit, and in its place.
const OLD: [&str; 6] = ["old_string", "old_str", "oldstring", "old_text", "oldtext", "targetcontent"];
const NEW: [&str; 8] = [
    "new_string",
    "new_str",
    "newstring",
    "new_text",
    "newtext",
    "replacementcontent",
    "insert_text",
    "code_edit",
];

/// Members that hold all of a file in base64.
const ENCODED: [&str; 5] = ["content_base64", "base64_content", "data_base64", "base64", "blob"];

/// A call that changes files: `plain` is the tool's name in lower snake case. Returns what it writes that is too long to be
/// followed.
pub(super) fn keep(
    state: &mut State,
    capability: Capability,
    plain: &str,
    text: &str,
    arguments: Option<&Node>,
) -> Option<Written> {
    let Some(node) = arguments else {
        patch(state, text);
        return None;
    };
    if let Some((path, bytes)) = whole(node, plain).filter(|_| capability == Capability::WriteFile) {
        let long = bytes.len() > LONGEST_FILE;
        let written = long.then(|| Written::of(&state.place(path), &bytes, true));
        state.write_bytes(path, bytes);
        return written;
    }
    keep_others(state, capability, plain, node);
    None
}

/// All of a file that a call writes, and where.
fn whole<'n>(node: &'n Node, plain: &str) -> Option<(&'n str, Vec<u8>)> {
    let path = member(node, PATH_KEYS)?;
    if plain.contains("append") || plain.contains("insert") || plain.contains("patch") {
        return None;
    }
    let decoded = |text: &str| base64::decode(&text.replace(['=', '\n', '\r', ' '], ""));
    if let Some(bytes) = member(node, &ENCODED).and_then(decoded) {
        return Some((path, bytes));
    }
    if member(node, &NEW).is_some() || ["move", "rename", "copy"].iter().any(|verb| plain.contains(verb)) {
        return None;
    }
    let text = member(node, &WHOLE)?;
    let encoded = member(node, &["encoding", "content_encoding"])
        .is_some_and(|word| word.eq_ignore_ascii_case("base64"));
    let bytes = if encoded { decoded(text) } else { None };
    let text_is_long = text.len() > LONGEST_FILE;
    bytes.or_else(|| text_is_long.then(|| text.as_bytes().to_vec())).map(|bytes| (path, bytes))
}

fn keep_others(state: &mut State, capability: Capability, plain: &str, node: &Node) {
    let path = member(node, PATH_KEYS);
    if capability == Capability::DeleteFile {
        path.into_iter().for_each(|path| state.delete(path));
        return;
    }
    if ["move", "rename", "copy"].iter().any(|verb| plain.contains(verb)) {
        let from = member(node, &["source", "src", "old_path", "source_path", "from", "path"]);
        let to = member(
            node,
            &["destination", "dest", "dst", "new_path", "destination_path", "target_path", "to"],
        );
        if let (Some(from), Some(to)) = (from, to) {
            state.copy(from, to);
        }
        return;
    }
    let mut patched = false;
    node.each_string(&mut |text, _| {
        if text.contains("*** Begin Patch") || text.contains("\n+++ ") || text.starts_with("+++ ") {
            patch(state, text);
            patched = true;
        }
    });
    let Some(path) = path.filter(|_| !patched) else { return };
    let new = member(node, &NEW);
    if plain == "apply_patch" && node.text("diff").is_some() {
        return piece(state, path, &added(node.text("diff").unwrap_or_default()), node.text("type"));
    }
    if let Some(new) = new {
        return state.edit(path, member(node, &OLD).unwrap_or_default(), new);
    }
    let edits: Vec<&Node> = node.members().iter().flat_map(|member| member.value.elements()).collect();
    let edits: Vec<(&str, &str)> = edits
        .iter()
        .filter_map(|edit| Some((member(edit, &OLD).unwrap_or_default(), member(edit, &NEW)?)))
        .collect();
    if !edits.is_empty() {
        return edits.iter().take(256).for_each(|(old, new)| state.edit(path, old, new));
    }
    match member(node, &WHOLE) {
        Some(text) if plain.contains("append") || plain.contains("insert") => state.edit(path, "", text),
        Some(text) => state.write(path, text),
        None => {
            let text = member(node, TEXT_KEYS).unwrap_or_default();
            if !text.is_empty() {
                state.edit(path, "", text);
            }
        }
    }
}

/// The text of the first member that has one of these names, case ignored.
fn member<'n>(node: &'n Node, names: &[&str]) -> Option<&'n str> {
    names.iter().find_map(|name| {
        let mut members = node.members().iter();
        members.find(|member| member.key.eq_ignore_ascii_case(name)).and_then(|member| member.value.as_str())
    })
}

/// The lines that a patch puts in.
fn added(diff: &str) -> String {
    let lines = diff.lines().filter_map(|line| line.strip_prefix('+'));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn piece(state: &mut State, path: &str, added: &str, kind: Option<&str>) {
    match kind {
        Some("create_file") => state.write(path, added),
        Some("delete_file") => state.delete(path),
        _ => state.edit(path, "", added),
    }
}

/// A patch in the format of `apply_patch` or of `diff -u`.
fn patch(state: &mut State, text: &str) {
    let mut file: Option<(&str, &str)> = None;
    let mut lines = String::new();
    let mut fresh = false;
    for line in text.lines().chain(["*** End"]) {
        let padded = line.trim();
        let head = [
            ("*** Add File: ", "create_file"),
            ("*** Update File: ", ""),
            ("*** Delete File: ", "delete_file"),
        ]
        .iter()
        .find_map(|(head, kind)| Some((padded.strip_prefix(head)?, *kind)));
        let head = head.or_else(|| {
            let path = line.strip_prefix("+++ ")?.split('\t').next()?.trim();
            Some((path.strip_prefix("b/").unwrap_or(path), if fresh { "create_file" } else { "" }))
        });
        if head.is_some()
            || padded == "*** End"
            || padded.starts_with("*** End Patch")
            || line.starts_with("--- ")
        {
            if let Some((path, kind)) = file.take() {
                piece(state, path, &std::mem::take(&mut lines), Some(kind));
            }
            fresh = line.starts_with("--- /dev/null");
            file = head;
        } else if let Some(added) = line.strip_prefix('+').filter(|_| file.is_some()) {
            lines.push_str(added);
            lines.push('\n');
        }
    }
}
