//! Tools nobody knows, by what their names and arguments say: a process to stop, a program to start, a
//! variable to set.

use super::client::is_endpoint;
use super::commands::{base_name, is_admin};
use super::{Case, Floor, block};
use crate::decision::Reason;
use crate::syntax::Node;

/// An argument: its key in lower case, and its value.
pub(super) type Argument = (String, String);

/// The most arguments of one call that are looked at.
const MAX_ARGUMENTS: usize = 1024;

/// The longest argument that is looked at, in bytes.
const MAX_VALUE: usize = 4096;

/// What a tool's name says if it ends or halts what it is given.
const STOPPING: [&str; 9] =
    ["kill", "stop", "terminate", "signal", "restart", "pause", "remove", "suspend", "shutdown"];

/// What a tool's name says if it takes away what it is given.
const MOVING: [&str; 5] = ["move", "rename", "delete", "remove", "copy"];

/// What a tool's name says if it sets something.
const SETTING: [&str; 8] = ["set", "update", "put", "write", "unset", "delete", "remove", "edit"];

/// Keys under which a program to start stands.
const PROGRAM: [&str; 6] = ["program", "executable", "exe", "command", "cmd", "binary"];

/// What the key says of a process, service or container to stop.
const NAMING: [&str; 9] =
    ["name", "process", "service", "container", "program", "image", "unit", "target", "app"];

/// Every scalar among a call's arguments with its key; elements of a list have the list's.
pub(super) fn arguments(node: &Node, key: &str, out: &mut Vec<Argument>) {
    if out.len() >= MAX_ARGUMENTS {
        return;
    }
    match node.as_str() {
        // No name, path or address is as long; what a tool writes is.
        Some(text) if text.len() > MAX_VALUE => {}
        Some(text) => out.push((key.to_owned(), text.to_owned())),
        None => out.extend(node.scalar().map(|text| (key.to_owned(), text))),
    }
    node.elements().iter().for_each(|element| arguments(element, key, out));
    for member in node.members() {
        arguments(&member.value, &member.key.as_str().to_lowercase(), out);
    }
}

impl Floor {
    /// The reasons that an unknown tool's name and arguments give together.
    pub(super) fn by_tool(&self, case: &Case<'_>) -> Option<Reason> {
        let name = case.action.tool.as_ref()?.name.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let given = case.arguments.as_slice();
        if says(&STOPPING) && given.iter().any(|argument| self.is_our_process(argument)) {
            return Some(block(
                "floor.process",
                "the call could stop Doorward's process",
                "name the exact process to stop, by its own pid or name",
            ));
        }
        if self.starts_us(&name, given) {
            return Some(block(
                "floor.command",
                "the call runs a command of Doorward that is for people",
                "tell the user what is needed; a person runs it",
            ));
        }
        let source = |(key, value): &Argument| {
            let goal = key.starts_with("dest") || matches!(key.as_str(), "to" | "target" | "dst");
            !goal && value.starts_with(['/', '~']) && self.home.is_below(value, true)
        };
        if says(&MOVING) && given.iter().any(source) {
            return Some(block(
                "floor.home",
                "the call takes along Doorward's own files",
                "leave Doorward's directory alone; a person changes it",
            ));
        }
        let sets = says(&["env", "config", "setting", "variable"]) && says(&SETTING);
        let endpoint = |(key, value): &Argument| is_endpoint(key) || is_endpoint(value);
        if sets && given.iter().any(endpoint) && !given.iter().any(|(_, value)| self.points_here(value)) {
            return Some(block(
                "floor.redirect",
                "the call points the agent's own client away from Doorward",
                "leave base URLs and proxies as the user set them",
            ));
        }
        None
    }

    fn is_our_process(&self, (key, value): &Argument) -> bool {
        let port = key.contains("port") && self.ports.contains(value);
        // `{"repo":"doorward"}` names no process.
        let named = NAMING.iter().any(|word| key.contains(word));
        port || named && (self.is_own_name(value) || self.could_be_ours(value))
            || key.contains("pid") && self.is_pid(value)
    }

    /// `{"program":"doorward","args":["resume"]}`, or a tool that is called as we are.
    fn starts_us(&self, name: &str, given: &[Argument]) -> bool {
        let mut parts = name.split(|c: char| !c.is_ascii_alphanumeric());
        let is_tool = parts.any(|part| part == self.program);
        let verb = given.iter().any(|(_, value)| is_admin(value)) || is_tool && parts.any(is_admin);
        let program =
            |(key, value): &Argument| PROGRAM.contains(&key.as_str()) && base_name(value) == self.program;
        verb && (is_tool || given.iter().any(program))
    }
}
