//! The bytes of a call whose placeholders have been given their values: the call was read and judged with them, and this is
//! how they get into its frames.
//!
//! A placeholder may be cut over any number of deltas. So the first delta that says anything says all of it, and the
//! others nothing: no event is added or goes, none changes its number. Copies of the whole have the whole. What is an
//! object already is changed in the strings that hold a placeholder and nowhere else.

use std::sync::Arc;

use super::Fault;
use super::splice::Edit;
use super::sse::Splitter;
use crate::placeholder::Placeholders;
use crate::syntax::{Node, Span, json};

/// What has to be put into the frames of one call.
#[derive(Debug)]
pub(crate) struct Restoring {
    /// The arguments as they were judged.
    arguments: String,
    placeholders: Arc<Placeholders>,
    /// The texts that have been said: [`ARGUMENTS`], or one of a call that says several.
    said: Vec<u64>,
}

/// The arguments as one text.
const ARGUMENTS: u64 = u64::MAX;

/// The text of a patch.
const DIFF: u64 = u64::MAX - 1;

/// How a string of a frame says a text.
#[derive(Clone, Copy)]
enum Says {
    /// All of it.
    Whole,
    /// A piece of it.
    Piece,
}

impl Restoring {
    pub fn new(arguments: &str, placeholders: &Arc<Placeholders>) -> Self {
        Self { arguments: arguments.to_owned(), placeholders: Arc::clone(placeholders), said: Vec::new() }
    }

    /// What has to be replaced in `piece`, the next stretch of a frame that belongs to the call: an event, or an object
    /// out of one.
    ///
    /// # Errors
    /// A [`Fault`] if it cannot be read; it could before.
    pub fn edits(&mut self, piece: &[u8]) -> Result<Vec<Edit>, Fault> {
        let broken = || Fault::new("splice.broken", "a call cannot be put together with its values");
        let at = if piece.trim_ascii_start().first() == Some(&b'{') {
            Span::new(0, u32::try_from(piece.len()).map_err(|_| broken())?)
        } else {
            let mut splitter = Splitter::new(piece.len().saturating_add(1));
            splitter.push(piece);
            match splitter.next_event()?.and_then(|event| event.data) {
                Some(data) => data,
                None => return Ok(Vec::new()),
            }
        };
        let source = at.of(piece);
        let node = json::parse(source)?;
        let mut edits = Vec::new();
        self.object(&node, source, &mut edits)?;
        Ok(edits.into_iter().map(|edit| edit.shifted(at.start)).collect())
    }

    fn object(&mut self, node: &Node, source: &[u8], out: &mut Vec<Edit>) -> Result<(), Fault> {
        let command = || node.get("command_index").and_then(Node::as_u64).unwrap_or(0);
        match node.text("type").unwrap_or_default() {
            "content_block_start" => {
                if let Some(block) = node.get("content_block") {
                    self.call(block, Says::Whole, source, out)?;
                }
            }
            "content_block_delta" => {
                let delta = node.get("delta").and_then(|delta| delta.get("partial_json"));
                self.string(delta, ARGUMENTS, Says::Piece, out);
            }
            "response.output_item.added" => {
                if let Some(item) = node.get("item") {
                    self.call(item, Says::Piece, source, out)?;
                }
            }
            "response.output_item.done" => {
                if let Some(item) = node.get("item") {
                    self.call(item, Says::Whole, source, out)?;
                }
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.string(node.get("delta"), ARGUMENTS, Says::Piece, out);
            }
            "response.function_call_arguments.done" => {
                self.string(node.get("arguments"), ARGUMENTS, Says::Whole, out);
            }
            "response.custom_tool_call_input.done" => {
                self.string(node.get("input"), ARGUMENTS, Says::Whole, out);
            }
            "response.apply_patch_call_operation_diff.delta" => {
                self.string(node.get("delta"), DIFF, Says::Piece, out);
            }
            "response.apply_patch_call_operation_diff.done" => {
                self.string(node.get("diff"), DIFF, Says::Whole, out);
            }
            "response.shell_call_command.added" => {
                self.string(node.get("command"), command(), Says::Piece, out);
            }
            "response.shell_call_command.delta" => {
                self.string(node.get("delta"), command(), Says::Piece, out);
            }
            "response.shell_call_command.done" => {
                self.string(node.get("command"), command(), Says::Whole, out);
            }
            _ => self.call(node, Says::Whole, source, out)?,
        }
        Ok(())
    }

    /// What `node`, which is the call, says.
    fn call(&mut self, node: &Node, says: Says, source: &[u8], out: &mut Vec<Edit>) -> Result<(), Fault> {
        // Chat Completions: an entry of a list, or what stands in the older member.
        for (of, key) in [("function", "arguments"), ("custom", "input")] {
            self.string(node.get(of).and_then(|body| body.get(key)), ARGUMENTS, Says::Piece, out);
        }
        let says = if node.get("type").is_none() { Says::Piece } else { says };
        for key in ["arguments", "input"] {
            self.string(node.get(key), ARGUMENTS, says, out);
        }
        let args = node.get("functionCall").and_then(|call| call.get("args"));
        let objects = ["arguments", "input", "action", "actions", "operation"].map(|key| node.get(key));
        for object in objects.into_iter().chain([args]).flatten().filter(|object| object.as_str().is_none()) {
            let edits = self.placeholders.edits(object, source);
            let edits = edits.map_err(|fault| Fault::new("splice.broken", fault.to_string()))?;
            out.extend(edits.into_iter().map(|(span, with)| Edit::replace(span, with)));
        }
        Ok(())
    }

    /// Lets the string `node` say what it is to say of `text`.
    fn string(&mut self, node: Option<&Node>, text: u64, says: Says, out: &mut Vec<Edit>) {
        let Some(node) = node else { return };
        let Some(said) = node.as_string().filter(|said| !said.as_wtf8().is_empty()) else { return };
        let whole = match says {
            Says::Whole => true,
            Says::Piece if self.said.contains(&text) => false,
            Says::Piece => {
                self.said.push(text);
                true
            }
        };
        let now = if whole { self.text(text).unwrap_or_else(|| said.to_string()) } else { String::new() };
        out.push(Edit::replace(node.span, json::quoted(&now)));
    }

    fn text(&self, text: u64) -> Option<String> {
        if text == ARGUMENTS {
            return Some(self.arguments.clone());
        }
        let node = json::parse(self.arguments.as_bytes()).ok()?;
        let command = |at| node.get("commands")?.elements().get(usize::try_from(at).ok()?);
        let said = if text == DIFF { node.get("diff") } else { command(text) };
        said.and_then(Node::as_str).map(str::to_owned)
    }
}
