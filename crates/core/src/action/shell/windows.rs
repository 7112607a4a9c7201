//! `PowerShell` and the command prompt into the same [`ast`](super::ast): statements, pipes, quotes,
//! variables, blocks, calls of methods. Not all of either language: what is skipped is reported.

use super::ast::{Assign, Body, Command, Item, List, Piece, Raw, Redirect, RedirectOp, Then, Var};
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
        || aliases()
        || lower.contains("]::");
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
            const NAMES: [&str; 38] = [
                "reg",
                "schtasks",
                "net",
                "netsh",
                "wmic",
                "certutil",
                "bitsadmin",
                "vssadmin",
                "wevtutil",
                "bcdedit",
                "icacls",
                "attrib",
                "takeown",
                "rundll32",
                "regsvr32",
                "mshta",
                "cscript",
                "wscript",
                "copy",
                "del",
                "xcopy",
                "robocopy",
                "cmdkey",
                "setx",
                "tasklist",
                "taskkill",
                "sc",
                "nltest",
                "wbadmin",
                "cmd",
                "erase",
                "ren",
                "rd",
                "forfiles",
                "findstr",
                "esentutl",
                "msiexec",
                "assoc",
            ];
            NAMES.contains(&name)
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

fn is_cmdlet(word: &str) -> bool {
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
    let Some((verb, noun)) = word.split_once('-') else { return false };
    noun.len() > 2
        && noun.bytes().all(|b| b.is_ascii_alphanumeric())
        && VERBS.contains(&verb)
        && super::table::lookup(word, super::Shell::PowerShell).is_some()
}

struct Cursor<'s, 'b> {
    source: &'s str,
    at: usize,
    budget: &'b mut Budget,
}

impl<'s> Cursor<'s, '_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn done(&self) -> bool {
        self.at >= self.source.len()
    }

    fn take(&mut self, n: usize) {
        self.at = (self.at + n).min(self.source.len());
        if !self.budget.spend(n) {
            self.at = self.source.len();
        }
    }

    fn take_char(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.take(c.len_utf8());
        Some(c)
    }

    fn enter(&mut self) -> bool {
        let entered = self.budget.enter();
        if !entered {
            self.at = self.source.len();
        }
        entered
    }
}

/// Reads a `PowerShell` script.
pub(super) fn parse_powershell(source: &str, budget: &mut Budget) -> List {
    let mut cursor = Cursor { source, at: 0, budget };
    let mut list = List::new();
    loop {
        statements(&mut cursor, &mut list);
        if cursor.done() {
            return list;
        }
        // A closing bracket without an opening one.
        cursor.budget.gap("powershell: syntax");
        cursor.take_char();
    }
}

fn blanks(cursor: &mut Cursor<'_, '_>, lines: bool) {
    loop {
        match (cursor.byte(0), cursor.byte(1)) {
            (Some(b' ' | b'\t' | b'\r'), _) => cursor.take(1),
            (Some(b'\n'), _) if lines => cursor.take(1),
            (Some(b'`'), Some(b'\n')) => cursor.take(2),
            (Some(b'`'), Some(b'\r')) => cursor.take(3),
            (Some(b'<'), Some(b'#')) => {
                let length = cursor.rest().find("#>").map_or(cursor.rest().len(), |at| at + 2);
                cursor.take(length);
            }
            (Some(b'#'), _) => {
                let length = cursor.rest().find('\n').unwrap_or(cursor.rest().len());
                cursor.take(length);
            }
            _ => return,
        }
    }
}

fn statements(cursor: &mut Cursor<'_, '_>, list: &mut List) {
    loop {
        blanks(cursor, true);
        match cursor.byte(0) {
            None | Some(b'}' | b')') => return,
            Some(b';') => cursor.take(1),
            Some(_) => {
                let before = cursor.at;
                statement(cursor, list);
                if cursor.at == before {
                    return;
                }
            }
        }
    }
}

const KEYWORDS: [&str; 20] = [
    "if", "elseif", "else", "while", "do", "until", "for", "foreach", "switch", "try", "catch", "finally",
    "function", "filter", "return", "throw", "param", "begin", "process", "end",
];

fn statement(cursor: &mut Cursor<'_, '_>, list: &mut List) {
    let word = cursor.rest().bytes().take_while(u8::is_ascii_alphabetic).count();
    let keyword = cursor.rest().get(..word).unwrap_or_default().to_ascii_lowercase();
    let follows = cursor.byte(word);
    let as_keyword = KEYWORDS.contains(&keyword.as_str())
        && matches!(follows, None | Some(b' ' | b'\t' | b'\n' | b'\r' | b'(' | b'{' | b';'));
    if as_keyword {
        cursor.take(word);
        blanks(cursor, true);
        if matches!(keyword.as_str(), "function" | "filter") {
            let name =
                cursor.rest().bytes().take_while(|b| !b.is_ascii_whitespace() && !b"{(".contains(b)).count();
            let name_text = cursor.rest().get(..name).unwrap_or_default().to_owned();
            cursor.take(name);
            blanks(cursor, true);
            if cursor.byte(0) == Some(b'(') {
                group(cursor, b')');
            }
            blanks(cursor, true);
            if cursor.byte(0) == Some(b'{') {
                let inner = group(cursor, b'}');
                // Called or not, it is read once where it stands.
                push(
                    list,
                    vec![Command { body: Body::If(vec![(List::new(), inner)]), redirects: Vec::new() }],
                    Then::Next,
                );
            }
            let _ = name_text;
            return;
        }
        if matches!(cursor.byte(0), Some(b'(')) && !matches!(keyword.as_str(), "return" | "throw") {
            let condition = group(cursor, b')');
            push(list, vec![Command { body: Body::Group(condition), redirects: Vec::new() }], Then::Next);
            blanks(cursor, true);
        }
        if cursor.byte(0) == Some(b'[') && keyword == "catch" {
            let length = cursor.rest().find('{').unwrap_or(0);
            cursor.take(length);
        }
        if cursor.byte(0) == Some(b'{') {
            let inner = group(cursor, b'}');
            push(
                list,
                vec![Command { body: Body::If(vec![(List::new(), inner)]), redirects: Vec::new() }],
                Then::Next,
            );
        }
        return;
    }
    pipeline(cursor, list);
}

fn push(list: &mut List, pipeline: Vec<Command>, then: Then) {
    if !pipeline.is_empty() {
        list.push(Item { pipeline, then });
    }
}

/// The statements in brackets, brackets taken.
fn group(cursor: &mut Cursor<'_, '_>, close: u8) -> List {
    let mut list = List::new();
    cursor.take(1);
    if !cursor.enter() {
        return list;
    }
    loop {
        statements(cursor, &mut list);
        match cursor.byte(0) {
            Some(b) if b == close => {
                cursor.take(1);
                break;
            }
            // `foreach ($x in $y)`, `,` between values: separators here.
            Some(_) => {
                cursor.take_char();
            }
            None => {
                cursor.budget.gap("powershell: syntax");
                break;
            }
        }
    }
    cursor.budget.leave();
    list
}

fn pipeline(cursor: &mut Cursor<'_, '_>, list: &mut List) {
    let mut commands = Vec::new();
    loop {
        blanks(cursor, !commands.is_empty());
        let before = cursor.at;
        if let Some(command) = command(cursor, list) {
            commands.push(command);
        }
        if cursor.at == before {
            push(list, commands, Then::Next);
            return;
        }
        blanks(cursor, false);
        let then = match (cursor.byte(0), cursor.byte(1)) {
            (Some(b'|'), Some(b'|')) => Then::Or,
            (Some(b'&'), Some(b'&')) => Then::And,
            (Some(b'|'), _) => {
                cursor.take(1);
                continue;
            }
            (Some(b'&'), _) => {
                cursor.take(1);
                Then::Background
            }
            _ => Then::Next,
        };
        if matches!(then, Then::Or | Then::And) {
            cursor.take(2);
        }
        push(list, commands, then);
        return;
    }
}

fn command(cursor: &mut Cursor<'_, '_>, list: &mut List) -> Option<Command> {
    let called = matches!((cursor.byte(0), cursor.byte(1)), (Some(b'&'), next) if next != Some(b'&'))
        || matches!((cursor.byte(0), cursor.byte(1)), (Some(b'.'), Some(b' ' | b'\t' | b'{' | b'$' | b'(')));
    if called {
        cursor.take(1);
        blanks(cursor, false);
    }
    if cursor.byte(0) == Some(b'{') {
        let inner = group(cursor, b'}');
        return Some(Command { body: Body::Group(inner), redirects: Vec::new() });
    }
    let expression = !called && cursor.byte(0).is_some_and(|b| b"$([\"'@".contains(&b) || b.is_ascii_digit());
    let mut words: Vec<Raw> = Vec::new();
    let mut redirects = Vec::new();
    if expression {
        let first = argument(cursor, true);
        blanks(cursor, false);
        if let Some(command) = assignment(cursor, &first, list) {
            return Some(command);
        }
        words.push(vec![Piece::Quoted(VALUE.to_owned())]);
        words.push(first);
    }
    loop {
        blanks(cursor, false);
        match (cursor.byte(0), cursor.byte(1)) {
            (None | Some(b'\n' | b';' | b'|' | b'}' | b')'), _) | (Some(b'&'), _) => break,
            (Some(b','), _) => cursor.take(1),
            (Some(b'+'), Some(b' ' | b'\'' | b'"' | b'$' | b'(')) if !words.is_empty() => {
                cursor.take(1);
                blanks(cursor, true);
                let more = argument(cursor, true);
                if let Some(last) = words.last_mut() {
                    last.extend(more);
                }
            }
            (Some(b'>' | b'<'), _) | (Some(b'0'..=b'9' | b'*'), Some(b'>')) => {
                redirect(cursor, &mut redirects)
            }
            (Some(b'='), _) => cursor.take(1),
            _ => {
                let before = cursor.at;
                let word = argument(cursor, expression);
                if cursor.at == before {
                    cursor.take_char();
                    continue;
                }
                words.push(word);
            }
        }
    }
    if words.is_empty() && redirects.is_empty() {
        return None;
    }
    Some(Command { body: Body::Simple { assigns: Vec::new(), words }, redirects })
}

fn redirect(cursor: &mut Cursor<'_, '_>, redirects: &mut Vec<Redirect>) {
    let mut fd = None;
    if let Some(digit @ b'0'..=b'9') = cursor.byte(0) {
        fd = Some(u32::from(digit - b'0'));
        cursor.take(1);
    } else if cursor.byte(0) == Some(b'*') {
        cursor.take(1);
    }
    let op = match (cursor.byte(0), cursor.byte(1)) {
        (Some(b'>'), Some(b'>')) => RedirectOp::Append,
        (Some(b'>'), Some(b'&')) => RedirectOp::DupOut,
        (Some(b'>'), _) => RedirectOp::Out,
        _ => RedirectOp::In,
    };
    cursor.take(if matches!(op, RedirectOp::Append | RedirectOp::DupOut) { 2 } else { 1 });
    blanks(cursor, false);
    let target = argument(cursor, false);
    let target = match target.as_slice() {
        [Piece::Var(var)] if var.name == "null" => vec![Piece::Quoted("/dev/null".to_owned())],
        _ => target,
    };
    redirects.push(Redirect { fd, op, target, here: None });
}

/// `$x = …`, `$env:X += …`
fn assignment(cursor: &mut Cursor<'_, '_>, first: &Raw, list: &mut List) -> Option<Command> {
    let [Piece::Var(var)] = first.as_slice() else { return None };
    let append = matches!((cursor.byte(0), cursor.byte(1)), (Some(b'+'), Some(b'=')));
    if !append && (cursor.byte(0) != Some(b'=') || cursor.byte(1) == Some(b'=')) {
        return None;
    }
    cursor.take(1 + usize::from(append));
    blanks(cursor, true);
    let mut inner = List::new();
    if !cursor.enter() {
        return None;
    }
    statement(cursor, &mut inner);
    cursor.budget.leave();
    let _ = list;
    let assign = Assign { name: var.name.clone(), append, value: vec![value_of(inner)], array: false };
    Some(Command { body: Body::Simple { assigns: vec![assign], words: Vec::new() }, redirects: Vec::new() })
}

/// A value given by statements: the plain word if it is just that.
fn value_of(mut list: List) -> Raw {
    let plain = match list.as_mut_slice() {
        [Item { pipeline, .. }] => match pipeline.as_mut_slice() {
            [Command { body: Body::Simple { assigns, words }, redirects }]
                if assigns.is_empty() && redirects.is_empty() && words.len() == 2 && is_value(words) =>
            {
                words.pop()
            }
            _ => None,
        },
        _ => None,
    };
    plain.unwrap_or_else(|| vec![Piece::Run { list, quoted: true }])
}

fn is_value(words: &[Raw]) -> bool {
    matches!(words.first().map(Vec::as_slice), Some([Piece::Quoted(text)]) if text == VALUE)
}

/// One argument with the calls and members that hang on it.
fn argument(cursor: &mut Cursor<'_, '_>, expression: bool) -> Raw {
    let mut raw = Raw::new();
    loop {
        let before = cursor.at;
        match (cursor.byte(0), cursor.byte(1)) {
            (None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'|' | b')' | b'}' | b',' | b'&'), _) => {
                return raw;
            }
            (Some(b'`'), _) => {
                cursor.take(1);
                if let Some(c) = cursor.take_char() {
                    text(&mut raw, c.encode_utf8(&mut [0; 4]));
                }
            }
            (Some(b'\''), _) => single(cursor, &mut raw),
            (Some(b'"'), _) => double(cursor, &mut raw),
            (Some(b'@'), Some(b'\'' | b'"')) => here_string(cursor, &mut raw),
            (Some(b'@'), Some(b'(' | b'{')) => cursor.take(1),
            (Some(b'$'), Some(b'(')) => {
                cursor.take(1);
                let inner = group(cursor, b')');
                raw.push(Piece::Run { list: inner, quoted: true });
            }
            (Some(b'$'), _) => variable(cursor, &mut raw),
            (Some(b'('), _) if matches!(raw.last(), Some(Piece::Bare(_))) => return raw,
            (Some(b'('), _) => {
                let inner = group(cursor, b')');
                raw.extend(value_of(inner));
            }
            (Some(b'{'), _) => {
                let inner = group(cursor, b'}');
                raw.push(Piece::Run { list: inner, quoted: true });
            }
            (Some(b'['), _) if raw.is_empty() && expression => {
                // `[Type]`: part of what a method is called on, or a cast.
                let length = cursor.rest().bytes().take(200).position(|b| b == b']').map_or(1, |at| at + 1);
                let name = cursor.rest().get(..length).unwrap_or_default().to_owned();
                cursor.take(length);
                if cursor.byte(0) == Some(b':') {
                    text(&mut raw, &name);
                }
            }
            (Some(b'['), _) if !raw.is_empty() && expression => {
                let length = cursor.rest().bytes().take(200).position(|b| b == b']').map_or(1, |at| at + 1);
                cursor.take(length);
            }
            (Some(b'.'), _) if !raw.is_empty() && member(cursor, &mut raw, 1, expression) => {}
            (Some(b':'), Some(b':')) if !raw.is_empty() && member(cursor, &mut raw, 2, expression) => {}
            (Some(b'+'), _) if expression && !raw.is_empty() => return raw,
            (Some(b'=' | b'>' | b'<'), _) if expression => return raw,
            _ => {
                let bytes = cursor.source.as_bytes().get(cursor.at..).unwrap_or_default();
                let stop =
                    |b: &u8| b" \t\r\n;|)},&`'\"$({".contains(b) || (expression && b".:[+=><".contains(b));
                let run = bytes.iter().take_while(|b| !stop(b)).count().max(1);
                let start = cursor.at;
                cursor.take(run);
                let plain = cursor.source.get(start..start + run).unwrap_or_default();
                if let Some(Piece::Bare(last)) = raw.last_mut() {
                    last.push_str(plain)
                } else {
                    raw.push(Piece::Bare(plain.to_owned()))
                }
            }
        }
        if cursor.at == before {
            return raw;
        }
    }
}

/// `.Name(…)`, `::Name(…)`: a call on what has been read; a member without call is dropped.
fn member(cursor: &mut Cursor<'_, '_>, raw: &mut Raw, dots: usize, expression: bool) -> bool {
    let rest = cursor.rest().get(dots..).unwrap_or_default();
    let quoted = usize::from(rest.starts_with(['"', '\'']));
    let inner = rest.get(quoted..).unwrap_or_default();
    let length = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'`')).count();
    let name = inner.get(..length).unwrap_or_default().replace('`', "");
    let after = dots + length + 2 * quoted;
    if length == 0 {
        return false;
    }
    let calls = cursor.byte(after) == Some(b'(');
    let on_value =
        matches!(raw.last(), Some(Piece::Var(_) | Piece::Run { .. } | Piece::Quoted(_))) || dots == 2;
    if !(calls || expression && on_value) {
        return false;
    }
    if !calls {
        cursor.take(after);
        return true;
    }
    cursor.take(after + 1);
    if !cursor.enter() {
        return true;
    }
    let mut words =
        vec![vec![Piece::Quoted(METHOD.to_owned())], vec![Piece::Quoted(name)], std::mem::take(raw)];
    loop {
        blanks(cursor, true);
        match cursor.byte(0) {
            None => {
                cursor.budget.gap("powershell: syntax");
                break;
            }
            Some(b')') => {
                cursor.take(1);
                break;
            }
            Some(b'+') => {
                cursor.take(1);
                blanks(cursor, true);
                let more = argument(cursor, true);
                if let Some(last) = words.get_mut(3..).and_then(<[Raw]>::last_mut) {
                    last.extend(more);
                }
            }
            Some(_) => {
                let before = cursor.at;
                let word = argument(cursor, true);
                if cursor.at == before {
                    cursor.take_char();
                } else {
                    words.push(word);
                }
            }
        }
    }
    cursor.budget.leave();
    let call = Command { body: Body::Simple { assigns: Vec::new(), words }, redirects: Vec::new() };
    raw.push(Piece::Run { list: vec![Item { pipeline: vec![call], then: Then::Next }], quoted: true });
    true
}

fn text(raw: &mut Raw, more: &str) {
    if let Some(Piece::Quoted(last)) = raw.last_mut() {
        last.push_str(more)
    } else {
        raw.push(Piece::Quoted(more.to_owned()))
    }
}

fn single(cursor: &mut Cursor<'_, '_>, raw: &mut Raw) {
    cursor.take(1);
    text(raw, "");
    loop {
        let length = cursor.rest().find('\'');
        let Some(length) = length else {
            cursor.budget.gap("powershell: syntax");
            text(raw, cursor.rest());
            cursor.take(cursor.rest().len());
            return;
        };
        let part = cursor.rest().get(..length).unwrap_or_default();
        text(raw, part);
        cursor.take(length + 1);
        if cursor.byte(0) != Some(b'\'') {
            return;
        }
        text(raw, "'");
        cursor.take(1);
    }
}

fn double(cursor: &mut Cursor<'_, '_>, raw: &mut Raw) {
    cursor.take(1);
    text(raw, "");
    loop {
        match (cursor.byte(0), cursor.byte(1)) {
            (None, _) => {
                cursor.budget.gap("powershell: syntax");
                return;
            }
            (Some(b'"'), Some(b'"')) => {
                text(raw, "\"");
                cursor.take(2);
            }
            (Some(b'"'), _) => {
                cursor.take(1);
                return;
            }
            (Some(b'`'), _) => {
                cursor.take(1);
                if let Some(c) = cursor.take_char() {
                    let c = match c {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        other => other,
                    };
                    text(raw, c.encode_utf8(&mut [0; 4]));
                }
            }
            (Some(b'$'), Some(b'(')) => {
                cursor.take(1);
                let inner = group(cursor, b')');
                raw.push(Piece::Run { list: inner, quoted: true });
            }
            (Some(b'$'), _) => variable(cursor, raw),
            _ => {
                let bytes = cursor.source.as_bytes().get(cursor.at..).unwrap_or_default();
                let run = bytes.iter().take_while(|b| !b"\"`$".contains(b)).count().max(1);
                let start = cursor.at;
                cursor.take(run);
                text(raw, cursor.source.get(start..start + run).unwrap_or_default());
            }
        }
    }
}

fn here_string(cursor: &mut Cursor<'_, '_>, raw: &mut Raw) {
    let end = if cursor.byte(1) == Some(b'"') { "\"@" } else { "'@" };
    cursor.take(2);
    let length = cursor.rest().find(end);
    let body = cursor.rest().get(..length.unwrap_or(cursor.rest().len())).unwrap_or_default();
    text(raw, body.trim_start_matches(['\r', '\n']));
    cursor.take(body.len() + 2);
}

/// `$name`, `${name}`, `$env:NAME`, `$script:name`.
fn variable(cursor: &mut Cursor<'_, '_>, raw: &mut Raw) {
    cursor.take(1);
    let (name, used) = if cursor.byte(0) == Some(b'{') {
        let inner = cursor.rest().get(1..).unwrap_or_default();
        let length = inner.find('}').unwrap_or(inner.len());
        (inner.get(..length).unwrap_or_default(), length + 2)
    } else {
        let length = cursor
            .rest()
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'?'))
            .count();
        let name = cursor.rest().get(..length).unwrap_or_default();
        let name = name.trim_end_matches(':');
        (name, name.len())
    };
    if name.is_empty() {
        text(raw, "$");
        return;
    }
    let lower = name.to_ascii_lowercase();
    let bare = lower.rsplit(':').next().unwrap_or(&lower).to_owned();
    let name = if matches!(bare.as_str(), "home" | "userprofile") { "HOME".to_owned() } else { bare };
    cursor.take(used);
    raw.push(Piece::Var(Box::new(Var { name, prefix: 0, op: "", arg: Raw::new(), quoted: true })));
}

// ---- the command prompt ----

/// Reads a batch script or command line.
pub(super) fn parse_cmd(source: &str, budget: &mut Budget) -> List {
    let mut cursor = Cursor { source, at: 0, budget };
    let mut list = List::new();
    cmd_list(&mut cursor, &mut list);
    list
}

fn cmd_list(cursor: &mut Cursor<'_, '_>, list: &mut List) {
    let mut commands: Vec<Command> = Vec::new();
    loop {
        while matches!(cursor.byte(0), Some(b' ' | b'\t' | b'\r' | b'\n' | b'@' | b',' | b';' | b'=')) {
            cursor.take(1);
        }
        match cursor.byte(0) {
            None => break,
            Some(b')') => {
                cursor.take(1);
                continue;
            }
            Some(b'(') => {
                cursor.take(1);
                continue;
            }
            _ => {}
        }
        let rest = cursor.rest();
        let lower: String = rest.chars().take(4).collect::<String>().to_ascii_lowercase();
        if lower.starts_with("rem ") || rest.starts_with("::") || rest.starts_with(':') {
            let length = rest.find('\n').unwrap_or(rest.len());
            cursor.take(length);
            continue;
        }
        let before = cursor.at;
        let command = cmd_command(cursor);
        if cursor.at == before {
            cursor.take_char();
        }
        commands.extend(command);
        let then = match (cursor.byte(0), cursor.byte(1)) {
            (Some(b'&'), Some(b'&')) => Some((Then::And, 2)),
            (Some(b'|'), Some(b'|')) => Some((Then::Or, 2)),
            (Some(b'|'), _) => None,
            (Some(b'&'), _) => Some((Then::Next, 1)),
            _ => Some((Then::Next, 0)),
        };
        match then {
            None => cursor.take(1),
            Some((then, length)) => {
                cursor.take(length);
                push(list, std::mem::take(&mut commands), then);
            }
        }
    }
    push(list, commands, Then::Next);
}

fn cmd_command(cursor: &mut Cursor<'_, '_>) -> Option<Command> {
    let mut words: Vec<Raw> = Vec::new();
    let mut redirects = Vec::new();
    loop {
        while matches!(cursor.byte(0), Some(b' ' | b'\t' | b'\r')) {
            cursor.take(1);
        }
        match (cursor.byte(0), cursor.byte(1)) {
            (None | Some(b'\n' | b'&' | b'|'), _) => break,
            (Some(b')'), _) => {
                cursor.take(1);
                break;
            }
            (Some(b'>' | b'<'), _) | (Some(b'0'..=b'9'), Some(b'>')) => {
                let mut fd = None;
                if let Some(digit @ b'0'..=b'9') = cursor.byte(0) {
                    fd = Some(u32::from(digit - b'0'));
                    cursor.take(1);
                }
                let (op, length) = match (cursor.byte(0), cursor.byte(1)) {
                    (Some(b'>'), Some(b'>')) => (RedirectOp::Append, 2),
                    (Some(b'>'), Some(b'&')) => (RedirectOp::DupOut, 2),
                    (Some(b'>'), _) => (RedirectOp::Out, 1),
                    _ => (RedirectOp::In, 1),
                };
                cursor.take(length);
                while cursor.byte(0) == Some(b' ') {
                    cursor.take(1);
                }
                let target = cmd_word(cursor);
                let nul =
                    matches!(target.as_slice(), [Piece::Bare(text)] if text.eq_ignore_ascii_case("nul"));
                let target = if nul { vec![Piece::Quoted("/dev/null".to_owned())] } else { target };
                redirects.push(Redirect { fd, op, target, here: None });
            }
            _ => {
                let before = cursor.at;
                let word = cmd_word(cursor);
                if cursor.at == before {
                    cursor.take_char();
                    continue;
                }
                words.push(word);
            }
        }
    }
    let words = cmd_control(words);
    if words.is_empty() && redirects.is_empty() {
        return None;
    }
    Some(Command { body: Body::Simple { assigns: Vec::new(), words }, redirects })
}

fn plain(raw: &Raw) -> String {
    raw.iter()
        .map(|piece| match piece {
            Piece::Bare(text) | Piece::Quoted(text) => text.to_ascii_lowercase(),
            _ => String::new(),
        })
        .collect()
}

/// Takes `if … `, `for … do`, `call` off the front: what they run is what matters.
fn cmd_control(mut words: Vec<Raw>) -> Vec<Raw> {
    for _ in 0..8 {
        let first = words.first().map(plain).unwrap_or_default();
        let skip = match first.as_str() {
            "call" | "else" | "do" => 1,
            "if" => {
                let mut at = 1;
                while matches!(words.get(at).map(plain).as_deref(), Some("not" | "/i")) {
                    at += 1;
                }
                match words.get(at).map(plain).as_deref() {
                    Some("exist" | "defined" | "errorlevel") => at + 2,
                    Some(text) if text.contains("==") => at + 1,
                    _ => at + 3,
                }
            }
            "for" => match words.iter().position(|word| plain(word) == "do") {
                Some(at) => at + 1,
                None => return words,
            },
            _ => return words,
        };
        words.drain(..skip.min(words.len()));
    }
    words
}

fn cmd_word(cursor: &mut Cursor<'_, '_>) -> Raw {
    let mut raw = Raw::new();
    let mut quoted = false;
    loop {
        let Some(byte) = cursor.byte(0) else { return raw };
        match byte {
            b'"' => {
                quoted = !quoted;
                text(&mut raw, "");
                cursor.take(1);
            }
            b'\n' => return raw,
            b' ' | b'\t' | b'\r' | b'&' | b'|' | b'<' | b'>' | b')' | b'(' if !quoted => {
                if byte == b'(' && !raw.is_empty() {
                    cursor.take(1);
                    text(&mut raw, "(");
                    continue;
                }
                return raw;
            }
            b'^' if !quoted => {
                cursor.take(1);
                match cursor.byte(0) {
                    Some(b'\n') => cursor.take(1),
                    Some(b'\r') => cursor.take(2),
                    _ => {
                        if let Some(c) = cursor.take_char() {
                            text(&mut raw, c.encode_utf8(&mut [0; 4]));
                        }
                    }
                }
            }
            b'%' | b'!' => cmd_variable(cursor, &mut raw, byte),
            _ => {
                let bytes = cursor.source.as_bytes().get(cursor.at..).unwrap_or_default();
                let stop = |b: &u8| b"\"\n%!".contains(b) || (!quoted && b" \t\r&|<>()^".contains(b));
                let run = bytes.iter().take_while(|b| !stop(b)).count().max(1);
                let start = cursor.at;
                cursor.take(run);
                let part = cursor.source.get(start..start + run).unwrap_or_default();
                if quoted {
                    text(&mut raw, part);
                } else if let Some(Piece::Bare(last)) = raw.last_mut() {
                    last.push_str(part);
                } else {
                    raw.push(Piece::Bare(part.to_owned()));
                }
            }
        }
    }
}

/// `%NAME%`, `%NAME:~0,1%`, `%~dp0`, `%%i`, `%1`.
fn cmd_variable(cursor: &mut Cursor<'_, '_>, raw: &mut Raw, mark: u8) {
    let inner = cursor.rest().get(1..).unwrap_or_default();
    let named =
        inner.bytes().take(64).take_while(|b| b.is_ascii_alphanumeric() || b"_()~:,-=".contains(b)).count();
    let name = inner.get(..named).unwrap_or_default();
    if named > 0 && inner.as_bytes().get(named) == Some(&mark) {
        let (name, rest) = name.split_once(':').unwrap_or((name, ""));
        let lower = name.to_ascii_lowercase();
        let name = if lower == "userprofile" { "HOME".to_owned() } else { lower };
        let (op, arg) = match rest.strip_prefix('~') {
            Some(range) => (":", vec![Piece::Quoted(range.replace(',', ":"))]),
            None if rest.contains('=') => ("//", vec![Piece::Quoted(rest.replace('=', "/"))]),
            None => ("", Raw::new()),
        };
        cursor.take(named + 2);
        raw.push(Piece::Var(Box::new(Var { name, prefix: 0, op, arg, quoted: true })));
        return;
    }
    cursor.take(1);
    text(raw, char::from(mark).encode_utf8(&mut [0; 4]));
}
