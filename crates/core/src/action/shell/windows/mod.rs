//! `PowerShell` and the command prompt into the same [`ast`](super::ast): statements, pipes, quotes,
//! variables, blocks, calls of methods. Not all of either language: what is skipped is reported.

mod cmd;
mod powershell;

use super::Word;
use super::ast::{Command, Item, List, Piece, Raw, Then};
use super::budget::Budget;

/// Words that a method call and a plain value start with, where a program's name would stand.
pub(super) const METHOD: &str = "%method";
pub(super) const VALUE: &str = "%value";

/// Whether a line speaks `PowerShell`, and whether it speaks the command prompt's language.
pub(super) fn looks_like(line: &str) -> (bool, bool) {
    // Backticks and carets inside words are escapes there, and hide the words from us.
    let lower = line.replace(['`', '^'], "").to_ascii_lowercase();
    const POWERSHELL: [&str; 16] = [
        "$env:",
        "[system.",
        "[net.",
        "[convert]::",
        "[text.",
        "new-object",
        "invoke-",
        "downloadstring",
        "downloadfile",
        "out-file",
        "-erroraction",
        "$_.",
        "write-host",
        "start-process",
        "get-content",
        "$psversion",
    ];
    let verbs = || lower.split(|c: char| c.is_whitespace() || "|;({&\"'=".contains(c)).any(is_cmdlet);
    let aliases = || {
        lower.split(|c: char| "|;(&\n".contains(c)).any(|part| {
            let first = part.split_whitespace().next().unwrap_or_default();
            matches!(first, "iex" | "iwr" | "irm" | "icm" | "saps" | "gci" | "ipmo")
        })
    };
    let powershell = POWERSHELL.iter().any(|needle| lower.contains(needle))
        || verbs()
        || line.split(|c: char| "|;({\n".contains(c)).any(is_named_like_cmdlet)
        || aliases()
        || lower.contains("]::")
        // `gc $HOME\.ssh\id_rsa`: a variable with a backslash behind it names no file elsewhere.
        || lower.contains("$home\\")
        // `. script.ps1`
        || lower.split(['\n', ';', '{']).any(|part| part.trim_start().starts_with(". ") && part.contains(".ps1"))
        // `$name = …` sets nothing in a shell of POSIX.
        || sets_variable(line)
        // No shell of POSIX starts a command with `&`.
        || lower.split(['\n', ';', '{']).any(|part| part.trim_start().starts_with("& "));
    let mut parts = lower.split('%').skip(1).peekable();
    let mut percent = false;
    while let Some(name) = parts.next() {
        let name = name.split(":~").next().unwrap_or(name);
        let named = name.len() > 2
            && name.len() < 32
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_()".contains(&b));
        percent |= named && parts.peek().is_some();
    }
    let programs = || {
        lower.split(['&', '|', '\n', '(', ')', ';']).any(|part| {
            let first = part
                .trim_start_matches(['@', ' ', '\t', '"'])
                .split([' ', '\t', '"'])
                .next()
                .unwrap_or_default();
            let name = first.rsplit(['/', '\\']).next().unwrap_or(first);
            super::table::is_windows_program(name)
                || [".exe", ".bat", ".cmd", ".ps1", ".vbs"].iter().any(|end| name.ends_with(end))
        })
    };
    let drive = line
        .as_bytes()
        .windows(3)
        .any(|w| matches!(w, [letter, b':', b'\\'] if letter.is_ascii_alphabetic()));
    let carets = line
        .as_bytes()
        .windows(3)
        .filter(|w| matches!(w, [a, b'^', b] if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric()));
    let cmd = percent
        || carets.count() > 1
        || drive
        || programs()
        || lower.contains("\\\\") && !lower.contains("\\\\n")
        || (lower.starts_with("type ") && lower.contains('\\'));
    (powershell, cmd)
}

/// Whether the line begins as an assignment of `PowerShell` does.
fn sets_variable(line: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix('$') else { return false };
    let name = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')).count();
    let after = rest.get(name..).unwrap_or_default().trim_start();
    name > 0 && after.starts_with('=') && !after.starts_with("==")
}

/// The value of `FORMAT -f A, B`, `A, B -join C` and `A -replace B, C`, if all of it is known.
pub(super) fn value(args: &[Word]) -> Option<Word> {
    let at = args.iter().position(|word| word.text.starts_with('-') && word.text.len() > 1)?;
    let (left, right) = (args.get(..at)?, args.get(at + 1..)?);
    let text = match args.get(at)?.text.to_ascii_lowercase().as_str() {
        "-f" => {
            let mut text = left.first()?.text.clone();
            for (nth, word) in right.iter().enumerate().take(32) {
                text = text.replace(&format!("{{{nth}}}"), &word.text);
            }
            text
        }
        "-join" => {
            let between = right.first().map_or("", |word| word.text.as_str());
            left.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(between)
        }
        "-replace" | "-ireplace" | "-creplace" => {
            let find = right.first()?.text.as_str();
            let plain =
                !find.is_empty() && !find.contains(['.', '*', '+', '[', '(', '|', '^', '$', '\\', '?']);
            let with = right.get(1).map_or("", |word| word.text.as_str());
            left.first()?.text.replace(Some(find).filter(|_| plain)?, with)
        }
        _ => return None,
    };
    let mut out = Word { text, exact: args.iter().all(|word| word.exact), ..Word::default() };
    for word in args {
        super::stream::add_flows(&mut out.from, &word.from);
    }
    (out.text.len() <= 64 * 1024).then_some(out)
}

/// Verbs of cmdlets, as PowerShell approves them and the common modules use them.
const VERBS: [&str; 60] = [
    "get",
    "set",
    "new",
    "remove",
    "invoke",
    "start",
    "stop",
    "add",
    "out",
    "write",
    "import",
    "export",
    "copy",
    "move",
    "test",
    "select",
    "where",
    "foreach",
    "convertto",
    "convertfrom",
    "enable",
    "disable",
    "register",
    "unregister",
    "install",
    "uninstall",
    "update",
    "restart",
    "read",
    "clear",
    "join",
    "split",
    "measure",
    "compare",
    "expand",
    "compress",
    "wait",
    "receive",
    "send",
    "find",
    "save",
    "show",
    "push",
    "pop",
    "resolve",
    "rename",
    "mount",
    "dismount",
    "suspend",
    "resume",
    "format",
    "sort",
    "tee",
    "unblock",
    "block",
    "grant",
    "publish",
    "protect",
    "unprotect",
    "enter",
];

/// Whether a statement begins with a name like a cmdlet's: `Verb-Noun`, both capital.
fn is_named_like_cmdlet(statement: &str) -> bool {
    let first = statement.split_whitespace().next().unwrap_or_default();
    let Some((verb, noun)) = first.split_once('-') else { return false };
    let word = |text: &str| {
        text.len() > 1
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.bytes().all(|b| b.is_ascii_alphanumeric())
            && text.bytes().any(|b| b.is_ascii_lowercase())
    };
    word(verb) && word(noun) && VERBS.contains(&verb.to_ascii_lowercase().as_str())
}

fn is_cmdlet(word: &str) -> bool {
    let Some((verb, noun)) = word.split_once('-') else { return false };
    noun.len() > 2
        && noun.bytes().all(|b| b.is_ascii_alphanumeric())
        && VERBS.contains(&verb)
        && super::table::lookup(word, super::Shell::PowerShell).is_some()
}

pub(super) use cmd::parse_cmd;
pub(super) use powershell::parse_powershell;

/// A place in a script.
pub(super) struct Cursor<'s, 'b> {
    pub(super) source: &'s str,
    pub(super) at: usize,
    pub(super) budget: &'b mut Budget,
}

impl<'s> Cursor<'s, '_> {
    pub(super) fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    pub(super) fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    pub(super) fn done(&self) -> bool {
        self.at >= self.source.len()
    }

    pub(super) fn take(&mut self, n: usize) {
        self.at = (self.at + n).min(self.source.len());
        if !self.budget.spend(n) {
            self.at = self.source.len();
        }
    }

    pub(super) fn take_char(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.take(c.len_utf8());
        Some(c)
    }

    pub(super) fn enter(&mut self) -> bool {
        let entered = self.budget.enter();
        if !entered {
            self.at = self.source.len();
        }
        entered
    }
}

pub(super) fn push(list: &mut List, pipeline: Vec<Command>, then: Then) {
    if !pipeline.is_empty() {
        list.push(Item { pipeline, then });
    }
}

pub(super) fn text(raw: &mut Raw, more: &str) {
    if let Some(Piece::Quoted(last)) = raw.last_mut() {
        last.push_str(more)
    } else {
        raw.push(Piece::Quoted(more.to_owned()))
    }
}
