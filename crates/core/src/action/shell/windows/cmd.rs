//! The command prompt: `%variables%`, carets, `if` and `for` on one line.

use super::super::ast::{Body, Command, List, Piece, Raw, Redirect, RedirectOp, Then, Var};
use super::super::budget::Budget;
use super::{Cursor, push, text};

/// Reads a batch script or command line.
pub(in super::super) fn parse_cmd(source: &str, budget: &mut Budget) -> List {
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
        let command = looped(cursor).or_else(|| cmd_command(cursor));
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

/// `for [/f OPTIONS | /r DIRECTORY | /d | /l] %x in (SET) do …`: what is done once for each of the set. Nothing if it is
/// no loop that can be read.
fn looped(cursor: &mut Cursor<'_, '_>) -> Option<Command> {
    let rest = cursor.rest();
    let start = rest.get(..4).filter(|word| word.eq_ignore_ascii_case("for "))?;
    let line = rest.find('\n').unwrap_or(rest.len());
    let lower = rest.get(..line)?.to_ascii_lowercase();
    let head = lower.find(" in (").filter(|at| *at < 400)?;
    let options = rest.get(start.len()..head)?.trim();
    let (options, mark) = options.rsplit_once([' ', '\t']).unwrap_or(("", options));
    let letter = mark.trim_start_matches('%').chars().next().filter(|_| mark.starts_with('%'))?;
    let set_at = head + " in (".len();
    let end = set_at + lower.get(set_at..)?.find(") do")?;
    let set = rest.get(set_at..end)?.trim();
    let body_at = end + ") do".len();
    let body = rest.get(body_at..)?;
    let lead = body.len() - body.trim_start_matches([' ', '\t']).len();
    let length = match body.get(lead..)?.starts_with('(') {
        true => lead + closing(body.get(lead..)?)?,
        false => line.checked_sub(body_at)?,
    };
    let body = body.get(..length)?.trim_start().trim_start_matches('@');
    if !cursor.enter() {
        return None;
    }
    let items = items_of(cursor, &options.to_ascii_lowercase(), options, set);
    let body = parse_cmd(body, cursor.budget);
    cursor.budget.leave();
    cursor.take(body_at + length);
    let name = format!("%{letter}");
    Some(Command { body: Body::For { name, items: Some(items), body }, redirects: Vec::new() })
}

/// The length of a block with its brackets.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// What a loop goes over.
fn items_of(cursor: &mut Cursor<'_, '_>, lower: &str, options: &str, set: &str) -> Vec<Raw> {
    let ran = |list: List| vec![vec![Piece::Run { list, quoted: true }]];
    if lower.starts_with("/f") {
        let quote = if lower.contains("usebackq") { '`' } else { '\'' };
        if let Some(line) = set.strip_prefix(quote).and_then(|line| line.strip_suffix(quote)) {
            return ran(parse_cmd(line, cursor.budget));
        }
        if set.starts_with('"') && quote == '\'' {
            return vec![vec![Piece::Quoted(set.trim_matches('"').to_owned())]];
        }
        return ran(parse_cmd(&format!("type {set}"), cursor.budget));
    }
    let mut items = Vec::new();
    let mut inner = Cursor { source: set, at: 0, budget: &mut *cursor.budget };
    while !inner.done() && items.len() < 64 {
        while matches!(inner.byte(0), Some(b' ' | b'\t' | b',' | b';')) {
            inner.take(1);
        }
        let before = inner.at;
        let word = cmd_word(&mut inner);
        if inner.at == before {
            inner.take_char();
        } else {
            items.push(word);
        }
    }
    if let Some(directory) = options.get(2..).filter(|_| lower.starts_with("/r")).map(str::trim)
        && !directory.is_empty()
    {
        let mut place = Cursor { source: directory, at: 0, budget: &mut *cursor.budget };
        let lead = cmd_word(&mut place);
        for item in &mut items {
            let mut whole = lead.clone();
            text(&mut whole, "\\");
            whole.append(item);
            *item = whole;
        }
    }
    items
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
                // `for %i in (…) do`: the list's end is not the command's.
                let in_list = words.first().is_some_and(|word| plain(word) == "for")
                    && !words.iter().any(|word| plain(word) == "do");
                if !in_list {
                    break;
                }
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
        // `do @net use …`
        if let Some(Piece::Bare(text)) = words.first_mut().and_then(|word| word.first_mut()) {
            let quiet = text.trim_start_matches('@').len();
            text.drain(..text.len() - quiet);
        }
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

/// The letter of a loop's variable, `f`, `%f`, `~nxf`, and how long it is; one that nobody has set stands for itself.
fn of_a_loop(inner: &str) -> Option<(char, usize)> {
    let bare = inner.strip_prefix('%').unwrap_or(inner);
    let bare = bare.strip_prefix('~').map_or(bare, |rest| {
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        rest.get(letters.saturating_sub(1)..).unwrap_or(rest)
    });
    let letter = bare.chars().next().filter(char::is_ascii_alphabetic)?;
    let after = bare.get(1..)?.chars().next();
    let alone = !after.is_some_and(|c| c.is_alphanumeric() || matches!(c, '%' | '_' | ':' | '('));
    alone.then_some((letter, inner.len() - bare.len() + 1))
}

/// `%NAME%`, `%NAME:~0,1%`, `%~dp0`, `%%i`, `%1`.
fn cmd_variable(cursor: &mut Cursor<'_, '_>, raw: &mut Raw, mark: u8) {
    let inner = cursor.rest().get(1..).unwrap_or_default();
    if let Some((letter, length)) = of_a_loop(inner).filter(|_| mark == b'%') {
        let written = cursor.rest().get(..length + 1).unwrap_or_default().to_owned();
        cursor.take(length + 1);
        let (name, arg) = (format!("%{letter}"), vec![Piece::Quoted(written)]);
        raw.push(Piece::Var(Box::new(Var { name, prefix: 0, op: ":-", arg, quoted: true })));
        return;
    }
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
