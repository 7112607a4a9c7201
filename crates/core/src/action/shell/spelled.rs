//! Code that is spelled so that nobody reads it: in numbers, in hexadecimal or base64, backwards, in pieces.
//!
//! What can be worked out of it without running it is put in its place as a literal, a few times over, because one
//! way is wrapped into another. What an interpreter would have to be run for is left as it is.

use super::code::join_literals;
use super::decode;
use super::runs::{
    FEW_NUMBERS, MOST_PLACES, hex_runs, is_text, literal_at, number, number_runs, of_numbers, says_something,
    spans,
};

/// The longest code that is worked over, in bytes.
const LONGEST: usize = 64 * 1024;

/// How many ways may be wrapped into one another.
const MOST_ROUNDS: usize = 4;

/// The most texts that are kept to be read by themselves.
const MOST_TEXTS: usize = 16;

/// So many numbers say a text whatever is done with them; fewer do where they are made into one.
const MANY_NUMBERS: usize = 10;

/// So many hexadecimal digits that come out as plain text are one: of digests and ids not one in a million does.
const MANY_DIGITS: usize = 24;
const FEW_DIGITS: usize = 6;

/// What makes a text out of what follows, up to the bracket that closes.
const MAKERS: [&str; 46] = [
    "''.join(",
    "\"\".join(",
    "b''.join(",
    "map(chr,",
    "map(chr, ",
    "bytes(",
    "bytearray(",
    "String.fromCharCode(",
    "String.fromCharCode(...",
    "String.fromCharCode.apply(null,",
    "String.fromCodePoint(",
    "String.fromCodePoint(...",
    "Buffer.from(",
    "new TextDecoder().decode(",
    "new Uint8Array(",
    "Uint8Array.from(",
    "bytes.fromhex(",
    "bytearray.fromhex(",
    "binascii.unhexlify(",
    "binascii.a2b_hex(",
    "unhexlify(",
    "hex2bin(",
    "pack('H*',",
    "pack(\"H*\",",
    "pack('C*',",
    "pack(\"C*\",",
    "pack('U*',",
    "pack(\"U*\",",
    "base64.b64decode(",
    "b64decode(",
    "base64.standard_b64decode(",
    "base64.urlsafe_b64decode(",
    "atob(",
    "base64_decode(",
    "decode_base64(",
    "Base64.decode64(",
    "Base64.strict_decode64(",
    "array_map('chr',",
    "array_map(\"chr\",",
    "implode('',",
    "implode(\"\",",
    "implode(",
    "codecs.decode(",
    "strrev(",
    "q(",
    "qq(",
];
/// The same without a bracket.
const LEADS: [&str; 10] = [
    "character id ",
    "string id ",
    "pack\"H*\",",
    "pack'H*',",
    "pack \"H*\",",
    "pack 'H*',",
    "pack \"C*\",",
    "pack 'C*',",
    "scalar reverse ",
    "decode_base64 ",
];
/// What makes a text out of what stands before it, with whatever follows in brackets.
const METHODS: [&str; 14] = [
    ".decode",
    ".toString",
    ".join",
    ".pack",
    ".map",
    ".encode",
    ".to_s",
    ".chars",
    ".tobytes",
    ".text",
    ".force_encoding",
    ".strip",
    "[::-1]",
    ".reverse",
];
/// Words without which no code turns hexadecimal digits into text.
const FROM_HEX: [&str; 9] =
    ["fromhex", "unhexlify", "a2b_hex", "'hex'", "\"hex\"", "H*", "hex2bin", "unhex", "from_hex"];
/// And base64.
const FROM_BASE64: [&str; 8] = [
    "b64decode",
    "base64_decode",
    "decode_base64",
    "atob(",
    "'base64'",
    "\"base64\"",
    "decode64",
    "unpack1(\"m",
];

/// Code as it reads once what it spells is worked out.
pub(super) struct Spelled {
    pub(super) code: String,
    /// What it spelled, each text by itself.
    pub(super) texts: Vec<String>,
}

/// `code` with what it spells; `javascript` and its kin reach members by `["name"]`.
pub(super) fn read(code: &str, by: &str) -> Spelled {
    let mut spelled = Spelled { code: code.to_owned(), texts: Vec::new() };
    if code.len() > LONGEST {
        return spelled;
    }
    let members = ["node", "nodejs", "deno", "bun", "tsx", "ts-node"].contains(&by);
    for _ in 0..MOST_ROUNDS {
        let before = spelled.code.clone();
        spelled.characters();
        spelled.escapes();
        spelled.code = join_literals(&spelled.code);
        spelled.numbers();
        spelled.literals();
        spelled.hexadecimal();
        spelled.names(members);
        if spelled.code == before || spelled.code.len() > LONGEST {
            break;
        }
    }
    spelled
}

/// A script of PowerShell with the texts that lists of numbers in it spell: `[char[]](105,101,120) -join ''`.
pub(super) fn powershell(source: &str) -> Option<String> {
    if source.len() > LONGEST {
        return None;
    }
    let mut spelled = Spelled { code: source.to_owned(), texts: Vec::new() };
    let mut edits = Vec::new();
    for (start, end) in number_runs(source) {
        let Some(text) = source.get(start..end).and_then(of_numbers) else { continue };
        let (mut before, mut after) = around(source, start, end);
        let lead = before.trim_end();
        for (open, close) in [("@(", ')'), ("(", ')'), ("'", '\''), ("\"", '"')] {
            let tail = after.trim_start();
            if let (Some(lead), Some(tail)) = (lead.strip_suffix(open), tail.strip_prefix(close)) {
                (before, after) = (lead, tail);
                break;
            }
        }
        let lower = before.to_ascii_lowercase();
        let cast = ["[char[]]", "[byte[]]", "[int[]]"].iter().find(|cast| lower.ends_with(*cast));
        let cast_length = cast.map_or(0, |cast| cast.len());
        before = before.get(..before.len() - cast_length).unwrap_or(before);
        let mapped = of_each_a_character(after);
        if cast.is_none() && mapped.is_none() || text.len() < FEW_NUMBERS {
            continue;
        }
        after = mapped.unwrap_or(after);
        let decoder = before.get(before.len().saturating_sub(64)..).unwrap_or_default();
        let decoder = decoder.rfind('[').map(|at| before.len().saturating_sub(64) + at);
        if let Some(at) = decoder
            && before.get(at..).is_some_and(|call| {
                let call = call.to_ascii_lowercase();
                call.contains("]::") && call.ends_with(".getstring(")
            })
            && let Some(tail) = after.trim_start().strip_prefix(')')
        {
            (before, after) = (before.get(..at).unwrap_or(before), tail);
        }
        let literal = format!("'{}'", text.replace('\'', "''"));
        edits.push(Edit { start: before.len(), end: source.len() - after.len(), literal });
    }
    if edits.is_empty() {
        return None;
    }
    spelled.apply(edits);
    Some(spelled.code)
}

/// What follows `| % { [char]$_ }`, which makes a character of each number.
fn of_each_a_character(after: &str) -> Option<&str> {
    let lead = after.trim_start();
    let begins = ["|", "-split", ".split(", ".Split("].iter().any(|start| lead.starts_with(start));
    let (block, rest) = lead.split_once('}').filter(|_| begins)?;
    (block.len() < 160 && block.to_ascii_lowercase().contains("[char]")).then_some(rest)
}

impl Spelled {
    fn keep(&mut self, text: String) {
        if self.texts.len() < MOST_TEXTS && !self.texts.contains(&text) {
            self.texts.push(text);
        }
    }

    /// Puts `text` in the place of `start..end` and whatever makes a text of it.
    fn put(&mut self, edits: &mut Vec<Edit>, (start, end): (usize, usize), text: String) {
        let literal = format!("\"{}\"", text.replace('"', "'"));
        self.keep(text);
        edits.push(Edit { start, end, literal });
    }

    fn apply(&mut self, edits: Vec<Edit>) {
        if edits.is_empty() {
            return;
        }
        let mut out = String::with_capacity(self.code.len());
        let mut at = 0;
        for edit in edits {
            if edit.start < at {
                continue;
            }
            out.push_str(self.code.get(at..edit.start).unwrap_or_default());
            out.push_str(&edit.literal);
            at = edit.end;
        }
        out.push_str(self.code.get(at..).unwrap_or_default());
        self.code = out;
    }

    /// `chr(99)`, `[char]99`, `String.fromCharCode(0x63)`: one character each.
    fn characters(&mut self) {
        let mut edits = Vec::new();
        for needle in ["chr(", "CHAR(", "String.fromCharCode(", "[char]", "unichr("] {
            for (at, _) in self.code.match_indices(needle).take(MOST_PLACES) {
                let own = self.code.get(..at).and_then(|head| head.chars().next_back());
                if own.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let after = self.code.get(at + needle.len()..).unwrap_or_default();
                let length = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
                let value = after.get(..length).and_then(number).filter(|byte| is_text(*byte));
                let closed =
                    !needle.ends_with('(') || after.get(length..).is_some_and(|r| r.starts_with(')'));
                if let (Some(byte), true) = (value, closed) {
                    let end = at + needle.len() + length + usize::from(needle.ends_with('('));
                    let c = char::from(byte);
                    let literal = if c == '"' { "'\"'".to_owned() } else { format!("\"{c}\"") };
                    edits.push(Edit { start: at, end, literal });
                }
            }
        }
        edits.sort_by_key(|edit| edit.start);
        self.apply(edits);
    }

    /// `\x63\x75\x72\x6c` within a literal.
    fn escapes(&mut self) {
        let marks = ["\\x", "\\u00", "\\1"];
        if marks.iter().all(|mark| self.code.matches(mark).nth(2).is_none()) {
            return;
        }
        let mut edits = Vec::new();
        for (start, end) in spans(&self.code) {
            let text = self.code.get(start..end).unwrap_or_default();
            if marks.iter().all(|mark| text.matches(mark).nth(2).is_none()) {
                continue;
            }
            let plain = decode::c_escapes(text);
            if plain.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()) && plain != text {
                let literal = plain.replace(['"', '\'', '\\'], " ");
                self.keep(plain);
                edits.push(Edit { start, end, literal });
            }
        }
        self.apply(edits);
    }

    /// Lists of numbers that are all characters.
    fn numbers(&mut self) {
        let mut edits = Vec::new();
        for (start, end) in number_runs(&self.code) {
            let Some(text) = self.code.get(start..end).and_then(of_numbers) else { continue };
            let (outer_start, outer_end, made) = made_into_text(&self.code, start, end);
            let many = text.len() >= MANY_NUMBERS;
            if many || made && text.len() >= FEW_NUMBERS {
                self.put(&mut edits, (outer_start, outer_end), text);
            } else if text.len() > FEW_NUMBERS {
                self.keep(text);
            }
        }
        self.apply(edits);
    }

    /// Literals that are base64 or stand backwards.
    fn literals(&mut self) {
        let base64 = FROM_BASE64.iter().any(|word| self.code.contains(word));
        let backwards = ["[::-1]", ".reverse", "strrev(", "reverse "].iter().any(|w| self.code.contains(w));
        if !base64 && !backwards {
            return;
        }
        let mut edits = Vec::new();
        for (start, end) in spans(&self.code) {
            let text = self.code.get(start..end).unwrap_or_default();
            let (before, after) = around(&self.code, start - 1, end + 1);
            let turned = after.starts_with("[::-1]")
                || [".reverse", ".split('').reverse", ".split(\"\").reverse"]
                    .iter()
                    .any(|call| after.starts_with(call))
                || ["strrev(", "reverse ", "reverse("].iter().any(|call| before.ends_with(call));
            let (outer_start, outer_end, made) = made_into_text(&self.code, start, end);
            if turned && text.len() > 2 {
                let text = text.chars().rev().collect();
                let split = ".split('')".len();
                let end = if after.starts_with(".split(") { end + 1 + split } else { outer_end };
                let end = made_into_text(&self.code, outer_start, end.min(self.code.len())).1.max(end);
                self.put(&mut edits, (outer_start, end), text);
            } else if base64 && text.len() >= 8 && (made || text.len() >= 16) {
                let decoded = decode::base64(text).filter(|text| says_something(text));
                if let Some(text) = decoded {
                    self.put(&mut edits, (outer_start, outer_end), text);
                }
            }
        }
        self.apply(edits);
    }

    /// Long stretches of hexadecimal digits, and short ones where the code decodes such.
    fn hexadecimal(&mut self) {
        let decodes = FROM_HEX.iter().any(|word| self.code.contains(word));
        let mut edits = Vec::new();
        for (start, end) in hex_runs(&self.code) {
            let length = end - start;
            let (outer_start, outer_end, made) = made_into_text(&self.code, start, end);
            let literal = outer_start < start;
            let enough =
                length >= MANY_DIGITS || decodes && literal && length >= FEW_DIGITS || decodes && made;
            let text = self.code.get(start..end).filter(|_| enough).and_then(decode::hex_bytes);
            let text = text.and_then(|bytes| {
                let plain = bytes.iter().all(|byte| is_text(*byte));
                plain.then(|| bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
            });
            if let Some(text) = text.filter(|text| made || says_something(text)) {
                self.put(&mut edits, (outer_start, outer_end), text);
            }
        }
        self.apply(edits);
    }

    /// Names that are given as texts: `getattr(os, "system")`, `__import__("os")`, `send("system", …)`.
    fn names(&mut self, members: bool) {
        for call in ["__import__(", "importlib.import_module(", "import_module("] {
            self.rewrite(call, |after| {
                let (name, used) = literal_at(after)?;
                let rest = after.get(used..)?.strip_prefix(')')?;
                is_name(name).then(|| (name.to_owned(), after.len() - rest.len()))
            });
        }
        self.rewrite("getattr(", |after| {
            let (object, rest) = after.split_once(',')?;
            let (name, used) = literal_at(rest)?;
            let tail = rest.get(used..)?.strip_prefix(')')?;
            let object = object.trim();
            (is_name(object) && is_name(name)).then(|| (format!("{object}.{name}"), after.len() - tail.len()))
        });
        for call in ["__builtins__.", "builtins."] {
            self.rewrite(call, |after| after.starts_with(char::is_alphabetic).then(|| (String::new(), 0)));
        }
        for call in ["__builtins__.__dict__[", ".__dict__[", ".__getattribute__(", "__builtins__["] {
            let close = if call.ends_with('[') { ']' } else { ')' };
            let dot = if call.starts_with('.') { "." } else { "" };
            self.rewrite(call, |after| {
                let (name, used) = literal_at(after)?;
                let tail = after.get(used..)?.strip_prefix(close)?;
                is_name(name).then(|| (format!("{dot}{name}"), after.len() - tail.len()))
            });
        }
        for call in ["globals()[", "vars(os)["] {
            let object = if call.contains("os") { "os." } else { "" };
            self.rewrite(call, |after| {
                let (name, used) = literal_at(after)?;
                let tail = after.get(used..)?.strip_prefix(']')?;
                is_name(name).then(|| (format!("{object}{name}"), after.len() - tail.len()))
            });
        }
        for call in ["send(", "call_user_func(", "call_user_func_array("] {
            self.rewrite(call, |after| {
                let (name, rest) = match literal_at(after) {
                    Some((name, used)) => (name, after.get(used..)?),
                    None => {
                        let symbol = after.strip_prefix(':')?;
                        let length =
                            symbol.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                        symbol.split_at_checked(length)?
                    }
                };
                let rest = rest.trim_start().strip_prefix(',')?;
                is_name(name).then(|| (format!("{name}("), after.len() - rest.len()))
            });
        }
        if members {
            self.rewrite("[", |after| {
                let (name, used) = literal_at(after)?;
                let tail = after.get(used..)?.strip_prefix(']')?;
                is_name(name).then(|| (format!(".{name}"), after.len() - tail.len()))
            });
        }
    }

    /// Puts what `read` makes of what follows `needle` in the place of both.
    fn rewrite(&mut self, needle: &str, read: impl Fn(&str) -> Option<(String, usize)>) {
        let mut edits = Vec::new();
        for (at, _) in self.code.match_indices(needle).take(MOST_PLACES) {
            let start = at + needle.len();
            // A member is one of something; a list is none.
            let bare = needle == "["
                && !self
                    .code
                    .get(..at)
                    .and_then(|head| head.chars().next_back())
                    .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ')' | ']'));
            let read = self.code.get(start..).filter(|_| !bare).and_then(&read);
            if let Some((literal, used)) = read {
                edits.push(Edit { start: at, end: start + used, literal });
            }
        }
        self.apply(edits);
    }
}

struct Edit {
    start: usize,
    end: usize,
    literal: String,
}

fn around(code: &str, start: usize, end: usize) -> (&str, &str) {
    (code.get(..start).unwrap_or_default(), code.get(end..).unwrap_or_default())
}

/// What stands around `start..end` and belongs to it: quotes, brackets, what makes a text of it. And whether anything
/// does the last.
fn made_into_text(code: &str, start: usize, end: usize) -> (usize, usize, bool) {
    let (mut before, mut after) = around(code, start, end);
    let mut made = false;
    for (open, close) in [('"', '"'), ('\'', '\''), ('`', '`'), ('[', ']'), ('{', '}'), ('(', ')')] {
        let (Some(lead), Some(tail)) = (before.strip_suffix(open), after.strip_prefix(close)) else {
            continue;
        };
        // `f(1, 2, 3)` is a call.
        let called = lead.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if open != '(' || !called {
            (before, after) = (lead, tail);
            break;
        }
    }
    for _ in 0..8 {
        let lead = before.trim_end();
        let maker = MAKERS.iter().find_map(|maker| lead.strip_suffix(maker)).or_else(|| mapped(lead));
        if let (Some(rest), Some(tail)) = (maker, closed(after)) {
            (before, after, made) = (rest, tail, true);
        } else if let Some(rest) = LEADS.iter().find_map(|word| before.strip_suffix(word)) {
            (before, made) = (rest, true);
        } else if let Some(tail) = METHODS.iter().find_map(|method| after.strip_prefix(method)) {
            let tail =
                tail.strip_prefix('(').map_or(Some(tail), |inner| inner.split_once(')').map(|(_, t)| t));
            let Some(tail) = tail else { break };
            (after, made) = (tail, true);
        } else {
            break;
        }
        // A letter of Python or a bracket around it all.
        before =
            before.strip_suffix('b').filter(|rest| !rest.ends_with(char::is_alphanumeric)).unwrap_or(before);
    }
    (before.len(), code.len() - after.len(), made)
}

/// `chr(x) for x in`, before a list.
fn mapped(lead: &str) -> Option<&str> {
    let rest = lead.strip_suffix(" in")?;
    let at = rest.rfind("chr(")?;
    let between = rest.get(at + 4..)?;
    let (name, loop_of) = between.split_once(')')?;
    let plain = loop_of.trim().strip_prefix("for ").is_some_and(|own| own.trim() == name.trim());
    plain.then(|| rest.get(..at)).flatten().map(|head| head.strip_suffix("''.join(").unwrap_or(head))
}

/// What follows the bracket that closes, options of the call left out: `, 'hex')`.
fn closed(after: &str) -> Option<&str> {
    let mut rest = after.trim_start();
    for _ in 0..3 {
        if let Some(tail) = rest.strip_prefix(')') {
            return Some(tail);
        }
        let option = rest.strip_prefix(',')?.trim_start();
        let (_, used) = literal_at(option)?;
        rest = option.get(used..)?.trim_start();
    }
    None
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    !text.is_empty()
        && text.len() < 64
        && text.chars().all(plain)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::read;

    fn spelled(code: &str) -> String {
        read(code, "python3").code
    }

    #[test]
    fn numbers_are_read_as_the_text_they_spell() {
        assert_eq!(spelled("exec(''.join(map(chr,[112,114,105,110,116,40,49,41])))"), "exec(\"print(1)\")");
        assert_eq!(
            spelled("exec(''.join(chr(c) for c in (112,114,105,110,116,40,49,41)))"),
            "exec(\"print(1)\")"
        );
        assert_eq!(spelled("eval(String.fromCharCode(105,100,40,41))"), "eval(\"id()\")");
        assert_eq!(spelled("f(chr(105)+chr(0x64))"), "f(\"id\")");
        assert_eq!(
            spelled("split(\"99 117 114 108 32 45 86 32 120 46 121\",a,\" \")"),
            "split(\"curl -V x.y\",a,\" \")"
        );
        assert_eq!(
            spelled("do shell script (character id {117,110,97,109,101})"),
            "do shell script (\"uname\")"
        );
        assert_eq!(spelled("plot([1, 2, 3, 4])"), "plot([1, 2, 3, 4])");
    }

    #[test]
    fn digits_and_pieces_are_put_together() {
        assert_eq!(spelled("f(bytes.fromhex('7e2f2e737368').decode())"), "f(\"~/.ssh\")");
        assert_eq!(spelled("x=pack\"H*\",q(7072696e74202268656c6c6f22)"), "x=\"print 'hello'\"");
        assert_eq!(read("r(Buffer.from('6964','hex').toString())", "node").code, "r(\"id\")");
        assert_eq!(spelled("__import__('shu'+'til').rmtree(p)"), "shutil.rmtree(p)");
        assert_eq!(spelled("getattr(__import__('o'+'s'),'sys'+\"tem\")(c)"), "os.system(c)");
        assert_eq!(spelled("f('metsys'[::-1])"), "f(\"system\")");
        assert_eq!(read("process['env']['A B']", "node").code, "process.env['A B']");
        assert_eq!(spelled("h='d41d8cd98f00b204e9800998ecf8427e'"), "h='d41d8cd98f00b204e9800998ecf8427e'");
    }

    #[test]
    fn broken_code_is_left_alone() {
        for code in
            ["chr(", "[::-1]", "'", "\"\\", "getattr(a,'", "bytes.fromhex('7", "é'é", "1,2,3,", "\\x\\x\\x"]
        {
            read(code, "node");
        }
    }
}
