//! The tags that open a call, as data.

/// Tags of tools: Cline, Roo Code, Kilo Code and their relatives, by the tools' names. What is not here is
/// text. Only names that nobody writes as HTML.
const TOOLS: &[&str] = &[
    "access_mcp_resource",
    "act_mode_respond",
    "apply_diff",
    "apply_patch",
    "ask_followup_question",
    "attempt_completion",
    "browser_action",
    "codebase_search",
    "condense",
    "delete_file",
    "edit_file",
    "execute_command",
    "fetch_instructions",
    "generate_explanation",
    "generate_image",
    "insert_content",
    "list_code_definition_names",
    "list_files",
    "load_mcp_documentation",
    "multi_edit",
    "new_rule",
    "new_task",
    "plan_mode_respond",
    "plan_mode_response",
    "read_command_output",
    "read_file",
    "replace_in_file",
    "report_bug",
    "run_command",
    "run_shell_command",
    "run_slash_command",
    "run_terminal_cmd",
    "search_and_replace",
    "search_files",
    "search_replace",
    "simple_read_file",
    "str_replace_based_edit_tool",
    "str_replace_editor",
    "summarize_task",
    "switch_mode",
    "update_todo_list",
    "use_mcp_tool",
    "use_skill",
    "use_subagents",
    "web_fetch",
    "web_search",
    "write_file",
    "write_to_file",
];

/// Tags whose text itself is what runs: agents of the `CodeAct` kind.
const BODIES: &[(&str, &str)] =
    &[("execute_bash", "command"), ("execute_ipython", "code"), ("execute_browse", "code")];

/// Tags that name the tool in themselves, with the prefix some models write.
const NAMED: &[&str] = &["invoke", "antml:invoke", "function"];

/// Tags around a call as a JSON object.
const OBJECTS: &[&str] = &["tool_call"];

/// Parameters that every version of every client knows: to all of them, nothing within one is a tag.
const EVERYWHERE: &[&str] = &[
    "action",
    "arguments",
    "command",
    "content",
    "coordinate",
    "diff",
    "file_pattern",
    "path",
    "question",
    "recursive",
    "regex",
    "result",
    "server_name",
    "text",
    "tool_name",
    "uri",
    "url",
];

/// Parameters that some version knows. To another one their tags are nothing. So are all with an underscore.
const SOMEWHERE: &[&str] = &[
    "abspath",
    "args",
    "code",
    "column",
    "configuration",
    "context",
    "cwd",
    "files",
    "file",
    "highlight",
    "image",
    "indentation",
    "input",
    "limit",
    "line",
    "message",
    "mode",
    "nameorconfiguration",
    "offset",
    "operation",
    "operations",
    "options",
    "parameter",
    "antml:parameter",
    "patch",
    "prompt",
    "queries",
    "query",
    "reason",
    "replace",
    "response",
    "search",
    "severity",
    "size",
    "skill",
    "slice",
    "suggest",
    "task",
    "timeout",
    "title",
    "todos",
    "variable",
];

/// Who knows a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Everywhere,
    Somewhere,
}

/// Who knows the parameter `name`; `None` if nobody does.
pub(super) fn parameter(name: &[u8]) -> Option<Known> {
    let among = |list: &[&str]| list.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name));
    if among(EVERYWHERE) {
        return Some(Known::Everywhere);
    }
    (name.contains(&b'_') || among(SOMEWHERE)).then_some(Known::Somewhere)
}

/// The longest opening tag: a tag that does not close by then opens nothing.
pub(super) const LONGEST: usize = 512;

/// A tag that opens a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    /// What its closing tag is called.
    pub tag: String,
    /// The tool's name.
    pub tool: String,
    /// How it carries its arguments.
    pub form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Each in a tag of its own.
    Parameters,
    /// Its text is the argument of this name.
    Body(&'static str),
    /// The text is a JSON object with `name` and `arguments`.
    Object,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opens {
    No,
    /// More bytes are needed.
    Maybe,
    Yes(Opening),
}

/// Whether `tag`, which begins with `<` and holds no other, opens a call.
pub(super) fn opens(tag: &[u8]) -> Opens {
    let Some(inner) = tag.strip_prefix(b"<") else { return Opens::No };
    let name_ends = inner.iter().position(|byte| !is_name(*byte)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(name_ends).unwrap_or((inner, b""));
    if rest.is_empty() {
        let begins = |known: &&str| {
            known.len() >= name.len()
                && known.as_bytes().get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
        };
        return if all().any(|known| begins(&known)) { Opens::Maybe } else { Opens::No };
    }
    let Some(form) = known(name) else { return Opens::No };
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let Some(attributes) = rest.strip_suffix(b">") else {
        // A named tag goes on with a name, others may hold what nobody reads.
        let fits = matches!(rest.first(), Some(b' ' | b'\t' | b'\r' | b'\n'))
            || name == "function" && rest.first() == Some(&b'=');
        return if fits && tag.len() < LONGEST { Opens::Maybe } else { Opens::No };
    };
    if attributes.ends_with(b"/") {
        return Opens::No;
    }
    let tool = if NAMED.contains(&name.as_str()) {
        match attribute_name(attributes) {
            Some(tool) => tool,
            None => return Opens::No,
        }
    } else {
        name.clone()
    };
    Opens::Yes(Opening { tag: name, tool, form })
}

fn all() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().chain(NAMED).chain(OBJECTS).copied().chain(BODIES.iter().map(|(tag, _)| *tag))
}

fn known(name: &[u8]) -> Option<Form> {
    let is = |known: &&str| known.as_bytes().eq_ignore_ascii_case(name);
    if let Some((_, argument)) = BODIES.iter().find(|(tag, _)| is(tag)) {
        return Some(Form::Body(argument));
    }
    if OBJECTS.iter().any(&is) {
        return Some(Form::Object);
    }
    TOOLS.iter().chain(NAMED).any(is).then_some(Form::Parameters)
}

/// The name in ` name="x"`, ` name=x` or `=x`.
pub(super) fn attribute_name(attributes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(attributes);
    let text = text.trim();
    let value = match text.strip_prefix('=') {
        Some(value) => value,
        None => text.split_once("name")?.1.trim_start().strip_prefix('=')?,
    };
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.split(quote).next());
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    Some(value.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The name of a tag that opens something, whatever it is, and what stands behind the name.
pub(super) fn any_opening(tag: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = tag.strip_prefix(b"<")?.strip_suffix(b">")?;
    let name_ends = inner.iter().position(|byte| !is_name(*byte)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(name_ends)?;
    let begins = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let goes_on = rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'=');
    (begins && goes_on && !rest.ends_with(b"/")).then_some((name, rest))
}

/// Whether `tag` closes what `name` opened.
pub(super) fn closes(tag: &[u8], name: &[u8]) -> bool {
    tag.strip_prefix(b"</")
        .and_then(|rest| rest.strip_suffix(b">"))
        .is_some_and(|inner| inner.trim_ascii().eq_ignore_ascii_case(name))
}

/// Whether a tag looks like that of a tool: nothing in HTML has an underscore in its name.
pub(super) fn looks_like_tool(tag: &[u8]) -> bool {
    any_opening(tag).is_some_and(|(name, rest)| rest.is_empty() && name.contains(&b'_'))
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'.')
}
