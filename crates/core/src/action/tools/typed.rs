//! Keys that a call presses: computer use, and tools that type into a terminal.

use super::super::shell::keys::Key;
use super::names::TYPES;
use crate::syntax::Node;

/// Whether a tool of this name (as declared, and in lower snake case) types where a shell may listen.
pub(super) fn types(name: &str, plain: &str) -> bool {
    // In a browser's page nothing listens.
    !name.to_ascii_lowercase().contains("browser")
        && (TYPES.contains(&plain) || plain.ends_with("send_keys") || plain.contains("keystroke"))
}

/// The keys that the call presses, in order.
pub(super) fn keys(plain: &str, arguments: &Node) -> Vec<Key> {
    let mut keys = Vec::new();
    match plain {
        "type" | "type_text" | "type_tool" => {
            text_of(arguments).map(|text| keys.push(Key::Text(text.into()))).unwrap_or(());
            enter(arguments, &mut keys);
        }
        "key" | "press_key" => chords(arguments, &mut keys),
        "computer" | "computer_use" | "computer_use_preview" | "computer_call" => {
            actions(arguments, &mut keys);
        }
        _ if plain.starts_with("computer_20") => actions(arguments, &mut keys),
        _ => terminal(arguments, &mut keys),
    }
    keys
}

const TEXTS: [&str; 7] = ["text", "value", "chars", "input", "string", "content", "command"];

fn text_of(node: &Node) -> Option<&str> {
    TEXTS.iter().find_map(|key| node.text(key))
}

/// Actions of computer use, alone or in lists: `{"action": "type", "text": …}` (Anthropic),
/// `{"type": "keypress", "keys": ["CTRL", "C"]}` (`OpenAI`).
fn actions(node: &Node, keys: &mut Vec<Key>) {
    let kind = node.text("action").or_else(|| node.text("type")).unwrap_or_default();
    match kind.to_ascii_lowercase().as_str() {
        "type" | "type_text" | "input_text" | "write" => {
            text_of(node).map(|text| keys.push(Key::Text(text.into()))).unwrap_or(());
        }
        "key" | "keypress" | "key_press" | "press" | "press_key" | "hotkey" => chords(node, keys),
        _ => {
            for inner in node.elements().iter().chain(node.members().iter().map(|member| &member.value)) {
                if inner.is_object() || inner.is_array() {
                    actions(inner, keys);
                }
            }
        }
    }
}

/// A chord as a list of its keys, or chords in a text, one after the other.
fn chords(node: &Node, keys: &mut Vec<Key>) {
    for key in ["text", "key", "keys"] {
        let Some(value) = node.get(key) else { continue };
        if let Some(text) = value.as_str() {
            keys.extend(text.split_whitespace().map(|chord| Key::Named(chord.into())));
        } else if value.is_array() {
            let chord: Vec<&str> = value.elements().iter().filter_map(Node::as_str).collect();
            keys.push(Key::Named(chord.join("+")));
        }
    }
}

/// Text and names of keys, as `tmux send-keys` takes them.
fn terminal(node: &Node, keys: &mut Vec<Key>) {
    for key in ["keys", "keystrokes", "text", "chars", "input", "data", "command"] {
        let Some(value) = node.get(key) else { continue };
        let several = value.elements().iter().filter_map(Node::as_str);
        for text in value.as_str().into_iter().chain(several) {
            match text.rsplit_once(' ') {
                _ if named(text) => keys.push(Key::Named(text.into())),
                Some((typed, last)) if runs(last) => {
                    keys.extend([Key::Text(typed.into()), Key::Named(last.into())]);
                }
                _ => keys.push(Key::Text(text.into())),
            }
        }
    }
    enter(node, keys);
}

/// Return, if the call asks for it behind its text.
fn enter(node: &Node, keys: &mut Vec<Key>) {
    let also = ["enter", "press_enter", "submit", "newline", "append_newline"];
    if also.iter().any(|key| node.get(key).and_then(Node::as_bool) == Some(true)) {
        keys.push(Key::Named("Return".into()));
    }
}

fn runs(key: &str) -> bool {
    ["enter", "return", "c-m", "kp_enter", "<enter>", "<cr>"].contains(&key.to_ascii_lowercase().as_str())
}

fn named(text: &str) -> bool {
    let others =
        ["bspace", "backspace", "tab", "up", "down", "left", "right", "home", "end", "escape", "space"];
    let chord = |prefix: &str| text.strip_prefix(prefix).is_some_and(|key| key.chars().count() == 1);
    runs(text)
        || others.contains(&text.to_ascii_lowercase().as_str())
        || ["C-", "^", "M-", "ctrl+", "Ctrl+"].iter().any(|prefix| chord(prefix))
}
