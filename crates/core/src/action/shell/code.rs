//! A light reading of code handed to an interpreter in place: `python -c …`, `perl -e …`.
//!
//! Not a parser for ten languages: it looks for what the code holds (calls that run commands, sockets,
//! downloads, file names, URLs in string literals) and how those meet. What runs text it works out itself
//! (`exec`, `eval`) is an effect of unknown asset.

use super::code_words::{
    COMPILES, CONNECTS, DECODES, DELETES, EVALS, FETCHES, FILE_ENDINGS, HOMES, INPUTS, INTERPRETERS,
    KEYRINGS, METHODS, POSTS, REQUESTS, REVIVES, RUNNERS, RUNS_TEXT, SOCKETS, SOURCES, SPAWNS, WRITES,
};
use super::env::File;
use super::environment;
use super::eval::Eval;
use super::spelled::{self, Spelled};
use super::stream::{Stream, add_flows};
use super::{Shell, Word};
use crate::action::{AssetClass, Capability, Flow, Target, asset};

impl Eval {
    /// Code in `word` is run by `by`.
    pub(super) fn run_code(&mut self, word: &Word, by: &str, stdin: &Stream) -> Stream {
        if !self.budget.spend(word.text.len()) {
            return Stream::default();
        }
        let spelled = spelled::read(&word.text, by);
        let code = spelled.code.as_str();
        let has = |needles: &[&str]| needles.iter().any(|needle| code.contains(needle));
        let revealed = revealed(&spelled, by);
        let joined = join_literals(&with_home(&revealed));
        let literals = literals(&joined);
        let mut from = word.from.clone();
        let quotes_run = ["perl", "ruby", "php", "jruby"].iter().any(|name| by.starts_with(name));
        let spawn = spawns(code, by, quotes_run);
        let runs_text = RUNS_TEXT.iter().any(|needle| calls(code, needle)) || ends_with_eval(code);
        let evals = has(&DECODES) || runs_text || EVALS.iter().any(|needle| calls(code, needle));
        let socket = has(&SOCKETS);
        let runs_input = runs_text
            || has(&REVIVES)
            || COMPILES.iter().any(|needle| calls(code, needle))
            || takes_from_an_address(code, by)
            || runs_what_it_makes(code)
            || names_a_runner(code)
            || starts_an_interpreter(&literals, spawn || by.ends_with("awk"))
            || spawn && (quotes_run || by.ends_with("awk") || has(&INPUTS));
        add_flows(&mut from, &stdin.from);
        let reaches = socket || has(&POSTS) || has(&FETCHES) || has(&REQUESTS);
        if environment::is_taken(code, reaches) {
            let dump = self.dump_environment(by);
            add_flows(&mut from, &dump.from);
        }
        if has(&KEYRINGS) {
            let target = Target::Other("a store of passwords".to_owned());
            from.push(self.effect(Capability::SecretAccess, target, AssetClass::Keychain, &[], by));
        }
        self.files_in(&literals, has(&WRITES), has(&DELETES), by, &mut from);
        self.home_deleted(&join_literals(code), by);
        if has(&DELETES) && has(&["join('/'", "join(\"/\"", "join('/',", "Path('/')", "Path(\"/\")"]) {
            let target = Target::Path { path: "/".to_owned(), exact: true };
            self.effect(Capability::DeleteFile, target, AssetClass::System, &[], by);
        }
        let mut out = Stream::of_flows(Vec::new(), "");
        let urls = || literals.iter().filter(|text| text.contains("://") && !text.contains(' '));
        // What programs print may be part of the address.
        let early = spawn && urls().any(|url| is_added_to(code, url));
        if early {
            self.commands_in(&joined, quotes_run, &mut out);
        }
        let mut fetched = Vec::new();
        let host = socket.then(|| host_in(code, &literals)).flatten();
        let sends = has(&POSTS) || (socket && !spawn && !from.is_empty());
        let installs = ["install.packages(", "BiocManager::install(", "install_url("];
        for url in urls() {
            if has(&installs) {
                self.source_of_packages(url, by);
            }
            let reads = has(&FETCHES) || !sends;
            let goes_on = early && !out.from.is_empty() && is_added_to(code, url);
            if has(&POSTS) || goes_on || (!from.is_empty() && !spawn) {
                let mut data = Stream::of_flows(from.clone(), "");
                add_flows(&mut data.from, &out.from);
                fetched.push(self.post(url, &data, by));
            } else if reads {
                fetched.push(self.fetch(url, &[], by));
            }
        }
        if let Some(host) = numbered_host(&word.text).filter(|_| has(&FETCHES) || has(&REQUESTS) || socket) {
            fetched.push(self.fetch(&host, &[], by));
        }
        let named = |text: &&&str| !FILE_ENDINGS.iter().any(|ending| text.ends_with(ending));
        let hosts: Vec<&str> = literals.iter().filter(named).copied().collect();
        let asked = host_in(code, &hosts).filter(|_| fetched.is_empty() && !socket && has(&REQUESTS));
        if let Some(host) = asked {
            let data = Stream::of_flows(from.clone(), "");
            fetched.push(if has(&POSTS) {
                self.post(&host, &data, by)
            } else {
                self.fetch(&host, &from, by)
            });
        }
        if socket {
            let host = host.unwrap_or_default();
            if spawn {
                fetched.push(self.fetch(&host, &[], by));
            } else if fetched.is_empty() {
                let data = Stream::of_flows(from.clone(), "");
                fetched.push(self.post(&host, &data, by));
            }
        }
        add_flows(&mut from, &fetched);
        self.run_from_network(code, &fetched, spawn && has(&CONNECTS), by);
        let alarming = spawn || evals || socket || !word.exact || word.text.contains("${");
        let class = if alarming { AssetClass::Unknown } else { AssetClass::Project };
        let target = if word.text.trim_start().starts_with("${") && !word.from.is_empty() {
            Target::Input
        } else {
            Target::Code(word.text.clone())
        };
        // What comes in is data to code, unless that runs it.
        let run: Vec<Flow> = from
            .iter()
            .copied()
            .filter(|flow| runs_input || !stdin.from.contains(flow) || word.from.contains(flow))
            .collect();
        let flow = self.effect(Capability::Execute, target, class, &run, by);
        if !runs_input {
            add_flows(&mut out.from, &stdin.from);
        }
        if socket && spawn {
            let host = self.last_host();
            self.post(&host, &Stream::of_flows(vec![flow], ""), by);
        }
        add_flows(&mut out.from, &[flow]);
        let handed = self.client_commands(word, by, stdin);
        add_flows(&mut out.from, &handed.from);
        if spawn && !early {
            self.commands_in(&joined, quotes_run, &mut out);
        }
        self.spelled_out(&spelled.texts, runs_text.then_some(by), spawn, &mut out);
        if runs_what_it_makes(code) {
            self.budget.gap("shell: code runs what it works out");
        }
        out
    }

    /// What code spelled in numbers and the like: code of the same language, if it runs such, a line for a shell, if it
    /// runs programs.
    fn spelled_out(&mut self, texts: &[String], code_for: Option<&str>, spawn: bool, out: &mut Stream) {
        for text in texts.iter().filter(|text| text.contains([' ', '/', '('])).take(8) {
            if let Some(by) = code_for
                && self.budget.enter()
            {
                let ran = self.run_code(&Word::known(text.as_str()), by, &Stream::default());
                add_flows(&mut out.from, &ran.from);
                self.budget.leave();
            }
            if spawn && self.budget.spend(text.len()) {
                let ran = self.apart(|eval| eval.read_text(text, Shell::Sh, &Stream::default()));
                add_flows(&mut out.from, &ran.from);
            }
        }
    }

    /// Code that runs what the network says: text it fetched, or commands that come over a connection it opened or
    /// waits for. Reaching a host of its own network and running something known besides is what waiting for a
    /// database looks like.
    fn run_from_network(&mut self, code: &str, fetched: &[Flow], connected: bool, by: &str) {
        let fetches = |flow: &&Flow| {
            let effect = self.reading.effects.get(usize::from(**flow));
            effect
                .is_some_and(|e| e.capability == Capability::NetworkFetch && e.asset == AssetClass::External)
        };
        let from: Vec<Flow> = fetched.iter().filter(fetches).copied().collect();
        let text = code.replace("eval {", "").replace("eval{", "");
        let sourced = takes_from_an_address(&text, by);
        if !from.is_empty() && (connected || sourced || RUNS_TEXT.iter().any(|needle| calls(&text, needle))) {
            self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &from, by);
        } else if connected && code.contains(".accept") && code.contains("bind(") {
            let flow = self.effect(Capability::NetworkListen, Target::None, AssetClass::Internal, &[], by);
            self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &[flow], by);
        }
    }

    /// The whole home directory, in the words that languages have for it, given to what deletes.
    fn home_deleted(&mut self, code: &str, by: &str) {
        let deletes = |needle: &str| {
            code.match_indices(needle).take(16).any(|(at, _)| {
                let after = code.get(at + needle.len()..).unwrap_or_default();
                let end =
                    (0..=after.len().min(48)).rev().find(|end| after.is_char_boundary(*end)).unwrap_or(0);
                let given = after.get(..end).unwrap_or_default();
                let given = given.trim_start_matches(|c: char| "(\"'` [".contains(c));
                let given = given.strip_prefix("glob").unwrap_or(given);
                let given = given.strip_prefix("os.path.expanduser").unwrap_or(given);
                let given = given.trim_start_matches(|c: char| "(\"'` [".contains(c));
                let home = HOMES.iter().chain(&["~", "$HOME"]).find_map(|home| given.strip_prefix(home));
                let rest = home.map(|rest| rest.trim_start_matches('/').trim_start_matches('*'));
                rest.is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(['"', '\'', '`', ')', ',', ']', ';'])
                })
            })
        };
        if DELETES.into_iter().any(deletes) {
            let target = Target::Path { path: "~".to_owned(), exact: true };
            self.effect(Capability::DeleteFile, target, AssetClass::System, &[], by);
        }
    }

    fn last_host(&self) -> String {
        let mut hosts =
            self.own_effects().iter().rev().filter(|effect| effect.capability == Capability::NetworkFetch);
        hosts.next().map(|effect| effect.target.as_str().to_owned()).unwrap_or_default()
    }

    /// Files that the code names.
    fn files_in(&mut self, literals: &[&str], writes: bool, deletes: bool, by: &str, from: &mut Vec<Flow>) {
        let spelled: Vec<String> = literals.iter().take(64).flat_map(|text| braces(text)).collect();
        for text in &spelled {
            let looks = text.len() > 1
                && text.len() < 512
                && !text.contains([' ', '\n', '<', '('])
                && !text.contains("://");
            if !looks || !text.contains(['/', '.', '~', '\\']) {
                continue;
            }
            let word = Word::known(text.as_str());
            let (path, exact) = self.path(&word);
            let class = asset::classify_path(&path, exact);
            let rooted = path.starts_with(['/', '~']) || path.contains(":/");
            if writes && !deletes && !from.is_empty() {
                // Whoever runs it later runs what came in.
                self.env.put(path.clone(), File { from: from.clone(), ..File::default() });
            }
            if matches!(class, AssetClass::Unknown)
                || (class == AssetClass::Project && !rooted)
                || path.starts_with("/bin/")
                || path.starts_with("/usr/bin/")
                || path.starts_with("/dev/tcp")
                || path.starts_with("/inet")
            {
                continue;
            }
            let target = Target::Path { path, exact };
            if deletes {
                self.effect(Capability::DeleteFile, target, class, &[], by);
            } else if writes {
                self.effect(Capability::WriteFile, target, class, &from.clone(), by);
            } else {
                from.push(self.effect(Capability::ReadFile, target, class, &[], by));
            }
        }
    }

    /// String literals given to calls that run commands are read as commands.
    fn commands_in(&mut self, code: &str, quotes_run: bool, out: &mut Stream) {
        let mut done: Vec<String> = Vec::new();
        // Elsewhere these are quotes and formats of numbers.
        let quotes = ["`", "qx", "%x"];
        for call in SPAWNS.into_iter().filter(|call| quotes_run || !quotes.contains(call)) {
            let mut rest = code;
            let mut seen = 0;
            while let Some(at) = rest.find(call) {
                let (_, after) = rest.split_at_checked(at + call.len()).unwrap_or((rest, ""));
                rest = after;
                seen += 1;
                if seen > 16 {
                    break;
                }
                let found = match call {
                    "| getline" => command_before(code.get(..code.len() - after.len()).unwrap_or_default()),
                    _ => command_after(call, after),
                };
                let Some(text) = found else { continue };
                let trivial =
                    ["sh", "bash", "/bin/sh", "/bin/bash", "sh -i", "/bin/sh -i"].contains(&text.as_str());
                if trivial || text.len() < 2 || done.contains(&text) || !self.budget.spend(text.len()) {
                    continue;
                }
                let ran = self.apart(|eval| eval.read_text(&text, Shell::Sh, &Stream::default()));
                done.push(text);
                add_flows(&mut out.from, &ran.from);
            }
        }
    }
}

/// A path as globs of Ruby and others spell several: `~/.{npmrc,netrc}`.
fn braces(text: &str) -> Vec<String> {
    let parts = text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (inner, after))) if inner.contains(',') && before.contains('/') => {
            inner.split(',').take(16).map(|name| format!("{before}{name}{after}")).collect()
        }
        _ => vec![text.to_owned()],
    }
}

/// The code with texts that it spells and that stand nowhere in it yet as literals; in awk, where literals side by side are
/// one text, as one.
fn revealed(spelled: &Spelled, by: &str) -> String {
    let mut out = spelled.code.clone();
    if by.ends_with("awk") && out.contains("\" \"") {
        out = out.replace("\" \"", "");
    }
    for text in spelled.texts.iter().filter(|text| !spelled.code.contains(text.as_str())) {
        out.push_str(" \"");
        out.push_str(&text.replace(['"', '\\'], " "));
        out.push('"');
    }
    out
}

/// Whether the literal `url` goes on with something that is worked out.
fn is_added_to(code: &str, url: &str) -> bool {
    code.match_indices(url).take(16).any(|(at, _)| {
        let after = code.get(at + url.len()..).unwrap_or_default();
        let after = after.strip_prefix(['"', '\'', '`']).unwrap_or(after).trim_start();
        after.starts_with(['+', '.', '%', '{', '$', '#'])
    })
}

/// Whether code of this language runs what lies at an address.
fn takes_from_an_address(code: &str, by: &str) -> bool {
    SOURCES.iter().any(|(name, needles)| {
        by.starts_with(name) && needles.iter().any(|needle| takes_an_address(code, needle))
    })
}

/// Whether what stands behind `call` begins with an address: `include 'https://…'`, `source(url("https://…"))`.
fn takes_an_address(code: &str, call: &str) -> bool {
    code.match_indices(call).take(16).any(|(at, _)| {
        let after = code.get(at + call.len()..).unwrap_or_default();
        let inner = after.trim_start_matches(|c: char| " (\"'".contains(c));
        let inner = inner.strip_prefix("url(").unwrap_or(inner).trim_start_matches(['"', '\'']);
        let scheme = inner.split("://").next().unwrap_or_default();
        scheme.len() < inner.len()
            && !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
    })
}

/// Whether code starts programs. Without brackets only some languages call (`exec "ls"`); behind a dot `exec(` is mostly of an expression
/// (`/a/.exec(text)`), and what it is of otherwise is named too (`child_process`).
fn spawns(code: &str, by: &str, quotes_run: bool) -> bool {
    let brackets = ["python", "node", "nodejs", "deno", "bun"].iter().any(|name| by.starts_with(name));
    SPAWNS.iter().any(|needle| match *needle {
        "`" => quotes_run && code.contains('`'),
        "exec(" => calls(code, needle),
        _ if needle.ends_with([' ', '"', '\'']) => !brackets && code.contains(needle),
        _ => code.contains(needle),
    })
}

/// Whether code names what runs a text, called or not. As a literal (`row["exec"]`) it is a name of something else.
fn names_a_runner(code: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    RUNNERS.into_iter().any(|name| {
        code.match_indices(name).take(16).any(|(at, _)| {
            let before = code.get(..at).and_then(|head| head.chars().next_back());
            let after = code.get(at + name.len()..).and_then(|rest| rest.chars().next());
            let quoted = before.filter(|c| matches!(c, '"' | '\'' | '`')).is_some_and(|c| after == Some(c));
            let method = before == Some('.') && METHODS.contains(&name);
            let loads = name == "vm" && code.contains("require");
            let whole = !before.is_some_and(of_name) && !after.is_some_and(of_name);
            whole && !method && (!quoted || loads) && (name != "vm" || loads || before == Some(':'))
        })
    })
}

/// Whether code starts a shell or another interpreter by its name alone (`["sh"]`, `"| bash"`), which goes on reading what came in.
fn starts_an_interpreter(literals: &[&str], spawns: bool) -> bool {
    literals.iter().filter(|text| spawns || text.starts_with('|')).any(|text| {
        let mut words = text.trim_start_matches(['|', ' ']).split_whitespace();
        let name = words.next().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        let rest = words.all(|word| matches!(word, "-" | "-s" | "-i" | "-x" | "-e"));
        rest && INTERPRETERS.contains(&name)
    })
}

/// Whether a bare `eval` stands there, which runs what a variable of no name holds.
fn ends_with_eval(code: &str) -> bool {
    code.match_indices("eval").any(|(at, word)| {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        let after = code.get(at + word.len()..).unwrap_or_default().trim_start();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '"' | '\''))
            && (after.is_empty() || after.starts_with([';', '}', '$', '<']))
    })
}

/// Whether code hands to a shell, or runs as code, something that no literal says.
fn runs_what_it_makes(code: &str) -> bool {
    const CALLS: [&str; 8] =
        ["system(", "exec(", "eval(", "popen(", "shell_exec(", "passthru(", "execSync(", "Function("];
    CALLS.iter().any(|call| {
        code.match_indices(call).take(16).any(|(at, _)| {
            let before = code.get(..at).unwrap_or_default();
            let own = !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.'))
                || ["os.", "Kernel.", "child_process.", "\").", "')."].iter().any(|of| before.ends_with(of));
            let after = code.get(at + call.len()..).unwrap_or_default().trim_start();
            let made = after.starts_with(|c: char| c.is_alphabetic() || matches!(c, '$' | '_' | '(' | '@'));
            let quoted =
                ["f\"", "f'", "r\"", "r'", "b\"", "b'", "qw", "q("].iter().any(|q| after.starts_with(q));
            let put_together = after.starts_with("''.") || after.starts_with("\"\".");
            own && (made && !quoted || put_together)
        })
    })
}

/// The code with paths that it puts behind the home directory (`HOME + '/.npmrc'`, `join(HOME, '.ssh')`) as one literal each.
fn with_home(code: &str) -> String {
    let mut code = code.to_owned();
    for home in HOMES.into_iter().filter(|home| !home.starts_with(['$', '#'])) {
        let mut rest = code.as_str();
        let mut out = String::new();
        while let Some((before, after)) = rest.split_once(home) {
            out.push_str(before);
            let tail = after.trim_start();
            let tail = tail.strip_prefix(['+', '.', '/', ',']).unwrap_or(tail).trim_start();
            rest = match tail.chars().next() {
                Some(quote @ ('"' | '\'')) if tail.len() < after.len() => {
                    out.push(quote);
                    out.push_str("~/");
                    tail.get(1..).unwrap_or_default().trim_start_matches('/')
                }
                _ => {
                    out.push_str(home);
                    after
                }
            };
        }
        out.push_str(rest);
        code = out;
    }
    for (home, plain) in [
        ("${os.homedir()}", "~"),
        ("${process.env.HOME}", "~"),
        ("$ENV{HOME}", "~"),
        ("#{Dir.home}", "~"),
        ("#{ENV['HOME']}", "~"),
    ] {
        if code.contains(home) {
            code = code.replace(home, plain);
        }
    }
    code
}

/// An address that is written as four numbers in a list or tuple, to be joined by dots.
fn numbered_host(code: &str) -> Option<String> {
    let joins = code.contains("join");
    code.match_indices(['(', '[']).filter(|_| joins).take(256).find_map(|(at, _)| {
        let inner = code.get(at + 1..)?.split([')', ']']).next()?;
        let numbers: Vec<u8> = inner.split(',').map_while(|n| n.trim().parse().ok()).collect();
        match numbers.as_slice() {
            [a, b, c, d] if inner.split(',').count() == 4 => Some(format!("{a}.{b}.{c}.{d}")),
            _ => None,
        }
    })
}

/// Whether `code` has `needle` as a name of its own, not as the end of another or as a method.
fn calls(code: &str, needle: &str) -> bool {
    code.match_indices(needle).any(|(at, _)| {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '.'))
    })
}

/// The command in the first literal after a call, or all literals of a list joined.
fn command_after(call: &str, after: &str) -> Option<String> {
    match call {
        "`" => return after.split_once('`').map(|(text, _)| text.to_owned()),
        "qx" | "%x" => {
            let open = after.chars().next().filter(|c| c.is_ascii_punctuation())?;
            let close = match open {
                '{' => '}',
                '(' => ')',
                '[' => ']',
                '<' => '>',
                open => open,
            };
            return after.get(1..)?.split_once(close).map(|(text, _)| text.to_owned());
        }
        _ => {}
    }
    // `require('child_process').exec('…')`: the quote behind the name closes it.
    let after = if call == "child_process" { after.trim_start_matches(['"', '\'', '`']) } else { after };
    let window = after.get(..after.len().min(600)).or_else(|| after.get(..0))?;
    let start = window.find(['"', '\''])?;
    let lead = window.get(..start)?;
    if lead.len() > 40 || lead.contains([';', '\n']) {
        return None;
    }
    if lead.contains('[') {
        let list = window.get(start..)?.split(']').next()?;
        let parts = literals(list);
        let shell = parts.iter().position(|part| *part == "-c");
        return match shell {
            Some(at) => parts.get(at + 1).map(|text| (*text).to_owned()),
            None => Some(parts.iter().map(|part| super::builtins::quote(part)).collect::<Vec<_>>().join(" ")),
        };
    }
    let words = listed(window.get(start..)?);
    match (words.as_slice(), words.iter().position(|word| *word == "-c")) {
        (_, Some(at)) => words.get(at + 1).map(|text| (*text).to_owned()),
        // One text is a line for a shell; several are a program and what it is given.
        ([program, _, ..], None) if !program.contains(' ') => {
            Some(words.iter().map(|word| super::builtins::quote(word)).collect::<Vec<_>>().join(" "))
        }
        (words, None) => words.first().map(|text| (*text).to_owned()),
    }
}

/// The literals with which `code` begins, as long as only commas and brackets stand between them.
fn listed(code: &str) -> Vec<&str> {
    let (mut rest, mut words) = (code, Vec::new());
    while let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let Some(word) = literals(rest).first().copied() else { break };
        words.push(word);
        let Some(after) = rest.get(word.len() + 2 * quote.len_utf8()..) else { break };
        rest = after.trim_start_matches([',', ' ', '[', '\n', '\t']);
        if rest.len() == after.len() || words.len() >= 32 {
            break;
        }
    }
    words
}

/// What stands in quotes at the end of `code`, before what takes its output: awk's `"id" | getline`.
fn command_before(code: &str) -> Option<String> {
    let code = code.strip_suffix("| getline").unwrap_or(code).trim_end();
    let quote = code.chars().next_back().filter(|c| matches!(c, '"' | '\''))?;
    let inner = code.strip_suffix(quote)?;
    inner.rfind(quote).and_then(|at| inner.get(at + 1..)).map(str::to_owned)
}

/// Literals that code puts together (`'a' + "b"`, `"a" . "b"`, `Path('a') / 'b'`) as one.
pub(crate) fn join_literals(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code.chars();
    // The quote a literal began with, and the one that its present piece ends with.
    let mut open: Option<(char, char)> = None;
    while let Some(c) = rest.next() {
        match open {
            Some(_) if c == '\\' => {
                out.push(c);
                out.extend(rest.next());
                continue;
            }
            Some((first, quote)) if c == quote => {
                if let Some((operator, next, tail)) = joined_after(rest.as_str()) {
                    out.extend((operator == '/').then_some('/'));
                    open = Some((first, next));
                    rest = tail.chars();
                    continue;
                }
                open = None;
                out.push(first);
                continue;
            }
            Some((first, _)) if c == first => {
                out.push('\\');
            }
            None if matches!(c, '"' | '\'') => open = Some((c, c)),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// What joins the literal that ended before `rest` to the next, the quote of that, and what it says from its start.
fn joined_after(rest: &str) -> Option<(char, char, &str)> {
    let rest = rest.trim_start().trim_start_matches(')').trim_start();
    let operator = rest.chars().next().filter(|c| "+./".contains(*c))?;
    let tail = rest.strip_prefix(operator)?.trim_start();
    let quote = tail.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some((operator, quote, tail.strip_prefix(quote)?))
}

/// String literals, in order; escapes are left as they are.
fn literals(code: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let bytes = code.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if !matches!(byte, b'"' | b'\'' | b'`') {
            continue;
        }
        let start = at;
        let mut escaped = false;
        while let Some(&c) = bytes.get(at) {
            if escaped {
                escaped = false;
            } else if c == b'\\' {
                escaped = true;
            } else if c == byte {
                break;
            }
            at += 1;
        }
        if let Some(text) = code.get(start..at) {
            out.push(text);
        }
        at += 1;
        if out.len() >= 256 {
            break;
        }
    }
    out
}

/// The host a socket is opened to: the literal that looks like one, with the number after it.
fn host_in(code: &str, literals: &[&str]) -> Option<String> {
    for text in literals {
        let text = text.trim();
        let host = text.strip_prefix("tcp://").unwrap_or(text);
        // `data + '.example.net'`: the name that the data is put in front of.
        let bare = host.strip_prefix('.').filter(|bare| bare.matches('.').count() > 0 && code.contains("+"));
        let host = bare.filter(|bare| !bare.contains('/')).unwrap_or(host);
        let named =
            host.contains('.') && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b));
        if !named || host.len() < 4 || host.starts_with('.') {
            continue;
        }
        if host.contains(':') {
            return Some(host.to_owned());
        }
        let after = code.split_once(text).map_or("", |(_, after)| after);
        let digits: String = after
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .take(5)
            .collect();
        return Some(if digits.is_empty() { host.to_owned() } else { format!("{host}:{digits}") });
    }
    None
}
