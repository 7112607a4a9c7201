//! What the shell itself does with a simple command: functions, aliases, builtins, finding the program.

use super::env::File;
use super::eval::{Eval, concat};
use super::stream::{Stream, add_flows, without_unknowns};
use super::{Shell, Word, decode, table, windows};
use crate::action::{AssetClass, Capability, Flow, Target, asset};

impl Eval {
    /// Decides who runs `argv`.
    pub(super) fn dispatch(&mut self, argv: &[Word], stdin: &Stream) -> Stream {
        let Some((program, args)) = argv.split_first() else { return Stream::silent() };
        if let Some(stream) = &program.stream {
            return self.execute_stream(&stream.clone(), program, args, stdin);
        }
        // What a command printed is run as a command: `$(curl …)`, `$line` from a socket.
        let bare = if self.shell != Shell::Sh && program.text.contains("${") {
            without_unknowns(&asset::normalise_path(&program.text))
        } else {
            without_unknowns(&program.text)
        };
        if bare.trim().is_empty() && !program.from.is_empty() {
            let from = feeding(argv, stdin);
            let flow = self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &from, "sh");
            return Stream::of_flows(vec![flow], "");
        }
        if bare.trim().is_empty() && !program.text.is_empty() {
            return self.execute_program(&program.text, AssetClass::Unknown, argv, stdin);
        }
        if self.shell == Shell::Sh {
            if let Some(function) = self.env.functions.get(&program.text).cloned() {
                let outer = std::mem::replace(&mut self.env.args, args.to_vec());
                let out = self.command(&function, stdin);
                self.env.args = outer;
                return out;
            }
            if let Some(alias) = self.env.aliases.remove(&program.text) {
                let line =
                    alias.clone() + " " + &args.iter().map(|w| quote(&w.text)).collect::<Vec<_>>().join(" ");
                let out = self.read_text(&line, Shell::Sh, stdin);
                self.env.aliases.insert(program.text.clone(), alias);
                return out;
            }
        }
        if let Some(out) = self.builtin(program.text.as_str(), args, stdin) {
            return out;
        }
        self.program(argv, &bare, stdin)
    }

    /// Looks the program up and runs what the table says of it.
    fn program(&mut self, argv: &[Word], bare: &str, stdin: &Stream) -> Stream {
        let Some((program, args)) = argv.split_first() else { return Stream::silent() };
        let (path, exact) = self.path(&Word { text: bare.to_owned(), ..program.clone() });
        let written = self.env.file_at(&path).is_some();
        // In a directory nobody knows, the name is all there is to go by.
        let somewhere =
            program.text.starts_with("${") && !asset::normalise_path(&program.text).starts_with(['~', 'C']);
        // Windows looks for programs in the working directory, too.
        let here = self.shell != Shell::Sh && written;
        if (here || bare.contains(['/', '\\']))
            && (written || !(somewhere || table::is_program_directory(&path)))
            && !path.contains(['*', '?'])
        {
            // A file nobody saw being written may be what its name says: `./base64 key`, `/tmp/busybox sh`.
            let name = table::base_name(bare);
            let row = if written { None } else { table::lookup(name, self.shell) };
            let mut out = Stream::silent();
            if let Some(row) = row {
                out = self.run_row(row, name, args, stdin);
                if path.starts_with("C:/Windows") {
                    return out;
                }
            }
            out.append(self.execute_path(&path, exact, None, argv, stdin));
            return out;
        }
        // `ln -s /bin/sh x; ./x`: where a link leads says what runs.
        let led = bare.contains(['/', '\\']) && exact && table::is_program_directory(&path);
        let name = table::base_name(if led { &path } else { bare });
        if let Some(row) = table::lookup(name, self.shell) {
            return self.run_row(row, name, args, stdin);
        }
        if !program.exact && name.contains(['*', '?', '[']) && !self.guessing {
            // Any of the programs that the glob could name; within a guess there is no second one.
            self.guessing = true;
            let rows = table::matching(name);
            let mut out = Stream::silent();
            for (name, row) in &rows {
                out.append(self.run_row(row, name, args, stdin));
            }
            self.guessing = false;
            if !rows.is_empty() {
                return out;
            }
        }
        // Nobody's program, in a directory of the system: where it lies says more than its name.
        if self.shell != Shell::Sh && path.starts_with("C:/") && !program.text.starts_with("${") {
            return self.execute_path(&path, exact, None, argv, stdin);
        }
        if self.env.lost {
            // It could be a function that was too long to be kept.
            self.budget.gap("shell: too long");
        }
        self.execute_program(name, AssetClass::Unknown, argv, stdin)
    }

    /// A program nobody knows runs; whatever is near it may reach it.
    pub(super) fn execute_program(
        &mut self,
        name: &str,
        class: AssetClass,
        argv: &[Word],
        stdin: &Stream,
    ) -> Stream {
        let mut from = feeding(argv, stdin);
        let args = argv.get(1..).unwrap_or_default();
        let before = self.reading.effects.len();
        add_flows(&mut from, &self.given_to_unknown(args, before, name));
        for url in args.iter().filter(|word| word.text.contains("://") && !word.text.contains(' ')) {
            let at = url.text.find("http").unwrap_or(0);
            let flow = self.fetch(url.text.get(at..).unwrap_or(&url.text), &url.from, name);
            add_flows(&mut from, &[flow]);
        }
        let flow = self.effect(Capability::Execute, Target::Program(name.to_owned()), class, &from, name);
        Stream::of_flows(
            vec![flow],
            argv.iter().skip(1).map(|w| w.text.as_str()).collect::<Vec<_>>().join(" "),
        )
    }

    /// A file is run, by itself or by an interpreter (`by`).
    pub(super) fn execute_path(
        &mut self,
        path: &str,
        exact: bool,
        by: Option<&str>,
        argv: &[Word],
        stdin: &Stream,
    ) -> Stream {
        let file = self.env.file_at(path).unwrap_or_default();
        let class = asset::classify_path(path, exact);
        let target = Target::Path { path: path.to_owned(), exact };
        let by = by.unwrap_or_else(|| table::base_name(path)).to_owned();
        // What it is given is data to it, and not where its code comes from: `curl … | ./parse`. What was made here of
        // something nobody can read may be a shell: `ln -s /bin/sh x; curl … | ./x`.
        let mut given = feeding(argv, stdin);
        let mut from = file.from.clone();
        if self.env.file_at(path).is_some_and(|file| file.text.is_none()) {
            add_flows(&mut from, &given);
        }
        let flow = self.effect(Capability::Execute, target, class, &from, &by);
        if file.text.is_none() {
            let before = self.reading.effects.len();
            let args = argv.get(1..).unwrap_or_default();
            add_flows(&mut given, &self.given_to_unknown(args, before, &by));
        }
        if !given.is_empty() {
            let target = Target::Program(path.to_owned());
            self.effect(Capability::Execute, target, class, &given, &by);
        }
        let unpacked = self.env.unpacked(path);
        if !unpacked.is_empty() {
            let target = Target::Program(path.to_owned());
            self.effect(Capability::Execute, target, AssetClass::External, &unpacked, &by);
        }
        let mut out = Stream::of_flows(vec![flow], path);
        if let Some(text) = &file.text {
            // A script that runs itself, or another one of its name, says nothing new.
            let taken = self.env.files.remove(path);
            let inner = self.known_script(&by, text, stdin);
            if let Some(taken) = taken {
                self.env.files.entry(path.to_owned()).or_insert(taken);
            }
            add_flows(&mut out.from, &inner.from);
        }
        out
    }

    /// What a stream carries is run: by a shell (`. <(…)`) or by itself.
    pub(super) fn execute_stream(
        &mut self,
        stream: &Stream,
        by: &Word,
        args: &[Word],
        stdin: &Stream,
    ) -> Stream {
        let mut from = stream.from.clone();
        for word in args {
            add_flows(&mut from, &word.from);
        }
        let by = if by.stream.is_some() { "sh" } else { by.text.as_str() };
        let flow = self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &from, by);
        let mut out = Stream::of_flows(vec![flow], "");
        if stream.text.is_none() && stream.from.is_empty() && !stream.heard.trim().is_empty() {
            self.budget.gap("shell: what is run was changed on its way");
        }
        if let Some(text) = stream.said() {
            let inner = self.known_script(by, text, stdin);
            add_flows(&mut out.from, &inner.from);
        }
        out
    }

    /// A script whose text stands in the line: a here-document, a file written before.
    fn known_script(&mut self, by: &str, text: &str, stdin: &Stream) -> Stream {
        if let Some(shell) = table::script_shell(by, text) {
            return self.apart(|eval| eval.read_text(text, shell, stdin));
        }
        let name = table::interpreter_of(by, text);
        self.apart(|eval| eval.run_code(&Word::known(text), &name, &Stream::default()))
    }

    /// A text is run by a shell: `sh -c`, `eval`, `ssh host …`.
    pub(super) fn execute_text(&mut self, word: &Word, shell: Shell, by: &str, stdin: &Stream) -> Stream {
        let bare = without_unknowns(&word.text);
        let mut out = Stream::silent();
        if !word.from.is_empty() {
            let target = if bare.trim().is_empty() || !word.exact {
                Target::Input
            } else {
                Target::Code(word.text.clone())
            };
            let flow = self.effect(Capability::Execute, target, AssetClass::Unknown, &word.from, by);
            out = Stream::of_flows(vec![flow], "");
        } else if bare.trim().is_empty() && !word.text.is_empty() {
            let flow = self.effect(
                Capability::Execute,
                Target::Code(word.text.clone()),
                AssetClass::Unknown,
                &[],
                by,
            );
            return Stream::of_flows(vec![flow], "");
        }
        if !bare.trim().is_empty() {
            let inner = self.read_text(&word.text, shell, stdin);
            if out.from.is_empty() { out = inner } else { out.append(inner) }
        }
        out
    }

    fn builtin(&mut self, name: &str, args: &[Word], stdin: &Stream) -> Option<Stream> {
        if self.shell != Shell::Sh {
            return self.windows_builtin(name, args);
        }
        let out = match name {
            // A loadable builtin is a library.
            "enable" if args.iter().any(|word| word.text.starts_with("-f")) => return None,
            ":" | "true" | "false" | "[" | "test" | "return" | "exit" | "break" | "continue" | "shift"
            | "wait" | "jobs" | "fg" | "bg" | "umask" | "ulimit" | "shopt" | "getopts" | "hash"
            | "compgen" | "complete" | "bind" | "enable" | "disown" | "times" | "dirs" | "popd" => {
                Stream::silent()
            }
            "let" => {
                args.iter().for_each(|word| self.assign_number(&word.text));
                Stream::silent()
            }
            "which" | "type" | "whence" => {
                let last = args.last().cloned().unwrap_or_else(|| Word::known(""));
                printed(last, None)
            }
            "set" if args.is_empty() => return Some(self.dump_environment("set")),
            "set" => {
                if let Some(at) = args.iter().position(|word| word.text == "--") {
                    self.env.args = args.iter().skip(at + 1).cloned().collect();
                }
                Stream::silent()
            }
            "cd" | "pushd" | "chdir" => {
                self.cd(args);
                Stream::silent()
            }
            "export" | "declare" | "typeset" | "local" | "readonly" => {
                let exported = name == "export" || args.iter().any(|word| word.text.starts_with("-x"));
                return Some(self.declare(name, args, exported));
            }
            "unset" => {
                args.iter().for_each(|word| self.unset(&word.text));
                Stream::silent()
            }
            "alias" => {
                for word in args {
                    if let Some((name, text)) = word.text.split_once('=') {
                        self.env.aliases.insert(name.to_owned(), text.to_owned());
                    }
                }
                Stream::silent()
            }
            "unalias" => {
                args.iter().for_each(|word| drop(self.env.aliases.remove(&word.text)));
                Stream::silent()
            }
            "echo" | "print" => self.echo(args),
            "printf" => self.printf(args),
            "eval" => {
                let word = joined_by_spaces(args);
                self.execute_text(&word, Shell::Sh, "eval", stdin)
            }
            "source" | "." => {
                let script = args.first()?;
                let rest = args.get(1..).unwrap_or_default();
                self.run_script(name, script, rest, stdin)
            }
            "command" | "builtin" | "exec" | "coproc" | "noglob" | "nocorrect" => {
                let skip = args.iter().take_while(|word| word.text.starts_with('-')).count();
                let asks = args.iter().take(skip).any(|word| matches!(word.text.as_str(), "-v" | "-V"));
                let inner = args.get(skip..).unwrap_or_default();
                match inner.last() {
                    None => Stream::silent(),
                    Some(last) if asks => printed(last.clone(), None),
                    Some(_) => self.run(inner, stdin),
                }
            }
            "trap" => {
                self.conditions += 1;
                let out = match args.iter().find(|word| !word.text.starts_with('-')) {
                    Some(action) => self.execute_text(action, Shell::Sh, "trap", stdin),
                    None => Stream::silent(),
                };
                self.conditions -= 1;
                out
            }
            "read" | "mapfile" | "readarray" => {
                self.read_variables(name, args, stdin);
                Stream::silent()
            }
            "pwd" => {
                let here = self
                    .env
                    .directory
                    .clone()
                    .unwrap_or_else(|| Word { text: ".".to_owned(), ..Word::default() });
                if here.exact {
                    Stream::of_text(here.text + "\n")
                } else {
                    Stream::of_flows(here.from, here.text)
                }
            }
            _ => return None,
        };
        Some(out)
    }

    /// What `PowerShell` and the command prompt do themselves.
    fn windows_builtin(&mut self, name: &str, args: &[Word]) -> Option<Stream> {
        let lower = name.to_ascii_lowercase();
        let cmd = self.shell == Shell::Cmd;
        let out = match lower.as_str() {
            windows::METHOD => self.method(args),
            windows::VALUE => printed(windows::value(args).unwrap_or_else(|| joined_by_spaces(args)), None),
            "echo" | "echo." if cmd => {
                let mut word = joined_by_spaces(args);
                word.text.push('\n');
                printed(word, None)
            }
            "cd" | "chdir" | "pushd" if cmd => {
                let args: Vec<Word> =
                    args.iter().filter(|w| !w.text.eq_ignore_ascii_case("/d")).cloned().collect();
                if !args.is_empty() {
                    self.cd(&args);
                }
                Stream::silent()
            }
            "set" if cmd => {
                let args: Vec<Word> = args.iter().filter(|w| !w.text.starts_with('/')).cloned().collect();
                let word = joined_by_spaces(&args);
                if word.text.is_empty() {
                    return Some(self.dump_environment("set"));
                }
                if let Some((name, value)) = word.text.split_once('=') {
                    let value = Word { text: value.trim().to_owned(), ..word.clone() };
                    self.set(&name.trim().to_ascii_lowercase(), vec![value], true);
                }
                Stream::silent()
            }
            "setlocal" | "endlocal" | "exit" | "pause" | "title" | "color" | "prompt" | "popd" | "goto"
            | "verify" | "break" => Stream::silent(),
            _ => return None,
        };
        Some(out)
    }

    fn cd(&mut self, args: &[Word]) {
        let to = args.iter().find(|word| !word.text.starts_with('-') || word.text == "-");
        let to = match to {
            None => Word::known("~"),
            Some(word) if word.text == "-" => Word { text: "${OLDPWD}".to_owned(), ..Word::default() },
            Some(word) => {
                let (text, exact) = self.path(word);
                Word { text, exact, from: word.from.clone(), stream: None }
            }
        };
        let unsure = args.iter().any(|word| !word.text.starts_with('-') && may_not_exist(&word.text));
        let stayed = self.env.directory.clone().filter(|_| unsure && self.shell == Shell::Sh);
        self.change_directory(Some(to));
        self.env.stayed = stayed;
    }

    fn declare(&mut self, by: &str, args: &[Word], exported: bool) -> Stream {
        let prints = args.iter().all(|word| word.text.starts_with('-'));
        if prints && matches!(by, "export" | "declare" | "typeset") {
            return self.dump_environment(by);
        }
        let refers = |word: &Word| {
            word.text.strip_prefix('-').is_some_and(|letters| letters.len() < 5 && letters.contains('n'))
        };
        let refers = by != "export" && by != "readonly" && args.iter().any(refers);
        for word in args {
            if let Some((name, value)) = word.text.split_once('=') {
                if refers {
                    self.env.refers = true;
                    self.set(&format!("&{name}"), vec![Word::known(value)], false);
                    continue;
                }
                let name = name.trim_end_matches('+').to_owned();
                let value = Word { text: value.to_owned(), ..word.clone() };
                self.set(&name, vec![value], exported);
            }
        }
        Stream::silent()
    }

    /// Every variable is printed, secrets among them.
    pub(super) fn dump_environment(&mut self, by: &str) -> Stream {
        let target = Target::Other("environment".to_owned());
        let flow = self.effect(Capability::SecretAccess, target, AssetClass::ProjectSecret, &[], by);
        Stream::of_flows(vec![flow], "environment")
    }

    fn echo(&mut self, args: &[Word]) -> Stream {
        let is_flag = |text: &str| {
            text.len() > 1 && text.starts_with('-') && text.bytes().skip(1).all(|b| b"neE".contains(&b))
        };
        let flags = args.iter().take_while(|word| is_flag(&word.text)).count();
        let (flags, rest) = args.split_at_checked(flags).unwrap_or_default();
        let escapes = flags.iter().any(|word| word.text.contains('e'));
        let newline = !flags.iter().any(|word| word.text.contains('n'));
        let mut word = joined_by_spaces(rest);
        let end = if newline { "\n" } else { "" };
        let escaped = escapes.then(|| [&decode::c_escaped(&word.text), end.as_bytes()].concat());
        if escapes {
            word.text = decode::c_escapes(&word.text);
        }
        word.text.push_str(end);
        printed(word, escaped)
    }

    fn printf(&mut self, args: &[Word]) -> Stream {
        let args = match args {
            [flag, name, rest @ ..] if flag.text == "-v" => {
                let text = self.format(rest);
                self.set(&name.text, vec![text], false);
                return Stream::silent();
            }
            [dash, rest @ ..] if dash.text == "--" => rest,
            args => args,
        };
        let plain = args.first().filter(|format| !format.text.contains('%') && format.exact);
        let escaped = plain.map(|format| decode::c_escaped(&format.text));
        let word = self.format(args);
        printed(word, escaped)
    }

    /// `printf FORMAT ARGS…`: `%s` and `%b` take arguments, the format is used again while some are left.
    fn format(&mut self, args: &[Word]) -> Word {
        let Some((format, args)) = args.split_first() else { return Word::known("") };
        let mut out = concat([Word { text: String::new(), ..format.clone() }]);
        let pattern = decode::c_escapes(&format.text);
        let mut next = args.iter();
        loop {
            let mut used = false;
            let mut chars = pattern.chars().peekable();
            while let Some(c) = chars.next() {
                if c != '%' {
                    out.text.push(c);
                    continue;
                }
                while chars.next_if(|c| c.is_ascii_digit() || "-+ #.*".contains(*c)).is_some() {}
                match chars.next() {
                    Some('%') | None => out.text.push('%'),
                    Some(kind) => {
                        used = true;
                        let Some(word) = next.next() else { continue };
                        let text =
                            if kind == 'b' { decode::c_escapes(&word.text) } else { word.text.clone() };
                        out = concat([out, Word { text, ..word.clone() }]);
                    }
                }
            }
            let cost = pattern.len() + 1;
            if !used || next.len() == 0 || !self.budget.spend(cost) || out.text.len() > 64 * 1024 {
                return out;
            }
        }
    }

    fn read_variables(&mut self, by: &str, args: &[Word], stdin: &Stream) {
        let mut names = Vec::new();
        let mut args = args.iter();
        while let Some(word) = args.next() {
            match word.text.as_str() {
                "-t" if by != "read" => {}
                "-p" | "-d" | "-n" | "-N" | "-t" | "-u" | "-i" | "-O" | "-c" | "-C" | "-s"
                    if by != "read" || word.text != "-s" =>
                {
                    args.next();
                }
                flag if flag.starts_with('-') => {}
                name => names.push(name.to_owned()),
            }
        }
        if names.is_empty() {
            names.push("REPLY".to_owned());
        }
        let value = Word { stream: None, ..stdin.clone().into_word() };
        for name in names {
            self.set(&name, vec![value.clone()], false);
        }
    }

    /// `sh FILE`, `. FILE`, `python FILE`: a file or stream is run.
    pub(super) fn run_script(&mut self, by: &str, script: &Word, rest: &[Word], stdin: &Stream) -> Stream {
        if let Some(stream) = &script.stream {
            let by = Word::known(by);
            return self.execute_stream(&stream.clone(), &by, rest, stdin);
        }
        if matches!(script.text.as_str(), "/dev/stdin" | "-" | "/proc/self/fd/0" | "/dev/fd/0") {
            return self.execute_stream(&stdin.clone(), &Word::known(by), rest, &Stream::default());
        }
        let (path, exact) = self.path(script);
        let argv = [std::slice::from_ref(script), rest].concat();
        self.execute_path(&path, exact, Some(by), &argv, stdin)
    }

    /// A file becomes another: copied, moved, linked.
    pub(super) fn remember_file(&mut self, path: String, file: File) {
        self.env.put(path, file);
    }
}

/// Whether a `cd` to there may well fail: a name below the directory at hand, or a root that no system has.
fn may_not_exist(path: &str) -> bool {
    const ROOTS: [&str; 18] = [
        "etc",
        "usr",
        "var",
        "home",
        "tmp",
        "opt",
        "srv",
        "root",
        "mnt",
        "media",
        "proc",
        "sys",
        "dev",
        "Users",
        "Library",
        "Applications",
        "Volumes",
        "workspace",
    ];
    match path.strip_prefix('/') {
        Some(rest) => !rest.is_empty() && !ROOTS.contains(&rest.split('/').next().unwrap_or(rest)),
        None => !path.starts_with(['~', '$', '.']),
    }
}

/// Everything that reaches a program through its arguments and its input.
pub(super) fn feeding(argv: &[Word], stdin: &Stream) -> Vec<Flow> {
    let mut from = stdin.from.clone();
    for word in argv {
        add_flows(&mut from, &word.from);
    }
    from
}

pub(super) fn joined_by_spaces(words: &[Word]) -> Word {
    let space = Word::known(" ");
    let mut parts = Vec::with_capacity(words.len() * 2);
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            parts.push(space.clone());
        }
        parts.push(word.clone());
    }
    concat(parts)
}

/// What is printed; `bytes` is the same where it need not be text.
fn printed(word: Word, bytes: Option<Vec<u8>>) -> Stream {
    let has_unknown = word.text.contains("${");
    let known = word.exact || !has_unknown;
    let raw = bytes.filter(|bytes| known && std::str::from_utf8(bytes).is_err());
    if let Some(raw) = raw {
        return Stream { from: word.from, about: word.text, ..Stream::of_bytes(raw) };
    }
    let text = known.then(|| word.text.clone());
    Stream { from: word.from, text, about: word.text, present: true, ..Stream::default() }
}

/// `text` as one word for the shell.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
