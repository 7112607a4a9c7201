//! `PowerShell`: statements, pipes, quotes, blocks, calls of methods.

use super::super::ast::{Assign, Body, Command, Item, List, Piece, Raw, Redirect, RedirectOp, Then, Var};
use super::super::budget::Budget;
use super::super::spelled;
use super::{Cursor, METHOD, VALUE, push, text};

/// Reads a `PowerShell` script.
pub(in super::super) fn parse_powershell(source: &str, budget: &mut Budget) -> List {
    let plain = spelled::powershell(source);
    let mut cursor = Cursor { source: plain.as_deref().unwrap_or(source), at: 0, budget };
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
            return;
        }
        if keyword == "foreach"
            && let Some((name, length)) = loop_variable(cursor.rest())
        {
            cursor.take(length);
            let items = items_of(group(cursor, b')'));
            blanks(cursor, true);
            let body = if cursor.byte(0) == Some(b'{') { group(cursor, b'}') } else { List::new() };
            let body = Body::For { name, items: Some(items), body };
            push(list, vec![Command { body, redirects: Vec::new() }], Then::Next);
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

/// The variable of `($name in …)`, and the length of what stands before the values.
fn loop_variable(rest: &str) -> Option<(String, usize)> {
    let inner = rest.strip_prefix('(')?.trim_start().strip_prefix('$')?;
    let length = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (name, after) = inner.split_at_checked(length)?;
    let tail = after.trim_start();
    let values =
        tail.get(2..).filter(|_| tail.get(..2).is_some_and(|word| word.eq_ignore_ascii_case("in")))?;
    // The blank or bracket after `in` stands for the one that opens.
    let opens = values.starts_with([' ', '\t', '\n', '(']) && !name.is_empty();
    let at = rest.len() - values.len() - usize::from(values.starts_with('('));
    opens.then(|| (name.to_ascii_lowercase(), at))
}

/// The values that statements come to: words as they stand, or whatever a command gives.
fn items_of(list: List) -> Vec<Raw> {
    match list.as_slice() {
        [Item { pipeline, .. }] => match pipeline.as_slice() {
            [Command { body: Body::Simple { assigns, words }, redirects }]
                if assigns.is_empty() && redirects.is_empty() && is_value(words) =>
            {
                // `@('a', 'b')`
                let parts = words.get(1..).unwrap_or_default().iter().map(|word| match word.as_slice() {
                    [Piece::Run { list, .. }] if is_values(list) => items_of(list.clone()),
                    _ => vec![word.clone()],
                });
                parts.flatten().collect()
            }
            _ => vec![vec![Piece::Run { list, quoted: true }]],
        },
        _ => vec![vec![Piece::Run { list, quoted: true }]],
    }
}

/// Whether statements are nothing but values.
fn is_values(list: &List) -> bool {
    let [Item { pipeline, .. }] = list.as_slice() else { return false };
    let [Command { body: Body::Simple { words, .. }, .. }] = pipeline.as_slice() else { return false };
    is_value(words)
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
        if let Some(command) = command(cursor) {
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

fn command(cursor: &mut Cursor<'_, '_>) -> Option<Command> {
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
    // `!$x`, `-not $x`: what is negated is what runs.
    while let Some(length) = unary(cursor).filter(|_| !called) {
        cursor.take(length);
        blanks(cursor, false);
    }
    let expression = !called && cursor.byte(0).is_some_and(|b| b"$([\"'@".contains(&b) || b.is_ascii_digit());
    let mut words: Vec<Raw> = Vec::new();
    let mut redirects = Vec::new();
    if expression {
        let first = argument(cursor, true);
        blanks(cursor, false);
        if let Some(command) = assignment(cursor, &first) {
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

/// The length of an operator that stands before its only value.
fn unary(cursor: &Cursor<'_, '_>) -> Option<usize> {
    const WORDS: [&str; 4] = ["-not", "-bnot", "-join", "-split"];
    if cursor.byte(0) == Some(b'!') {
        return Some(1);
    }
    let is = |word: &&str| {
        cursor.rest().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && cursor.byte(word.len()).is_some_and(|b| b" \t($'\"@".contains(&b))
    };
    WORDS.iter().find(|word| is(word)).map(|word| word.len())
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
fn assignment(cursor: &mut Cursor<'_, '_>, first: &Raw) -> Option<Command> {
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
                } else if name.eq_ignore_ascii_case("[char]") {
                    character(cursor, &mut raw);
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

/// `[char]105`, `[char]0x69`: the letter of that number.
fn character(cursor: &mut Cursor<'_, '_>, raw: &mut Raw) {
    let bracket = usize::from(cursor.byte(0) == Some(b'('));
    let rest = cursor.rest().get(bracket..).unwrap_or_default();
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let digits = rest.get(if hex { 2 } else { 0 }..).unwrap_or_default();
    let length = digits.bytes().take(8).take_while(u8::is_ascii_hexdigit).count();
    let number = u32::from_str_radix(digits.get(..length).unwrap_or_default(), if hex { 16 } else { 10 });
    let closed = bracket == 0 || digits.as_bytes().get(length) == Some(&b')');
    if let Some(letter) = number.ok().and_then(char::from_u32).filter(|_| closed) {
        cursor.take(length + 2 * usize::from(hex) + 2 * bracket);
        text(raw, letter.encode_utf8(&mut [0; 4]));
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
    let of_variable = dots == 1 && matches!(raw.last(), Some(Piece::Var(_)));
    if !(calls || of_variable || expression && on_value) {
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
