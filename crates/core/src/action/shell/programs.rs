//! Runs one row of the table: sorts the arguments into roles and turns roles into effects.

use super::builtins::{feeding, joined_by_spaces};
use super::eval::Eval;
use super::stream::{Stream, add_flows};
use super::table::{Operands, Opt, Row};
use super::{Shell, Word};
use crate::action::{AssetClass, Capability, Flow, Target, asset};

/// A program's arguments, sorted by what they mean to it.
pub(super) struct Call<'a> {
    pub(super) row: &'static Row,
    pub(super) name: &'a str,
    pub(super) args: &'a [Word],
    /// Role and word, in order; the role of a command's start is followed by `rest`.
    pub(super) uses: Vec<(u8, Word)>,
    /// Options without a value, as written (clusters taken apart).
    pub(super) flags: Vec<String>,
    /// Options with a value, with it.
    pub(super) values: Vec<(&'static str, Word)>,
    /// Operands, without options.
    pub(super) operands: Vec<Word>,
    /// The command a wrapper runs.
    pub(super) rest: Vec<Word>,
    pub(super) traits: Vec<&'static str>,
}

impl Call<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.traits.contains(&name) || self.row.is(name)
    }

    pub(super) fn has_flag(&self, names: &[&str]) -> bool {
        self.flags.iter().any(|flag| names.contains(&flag.as_str()))
    }

    pub(super) fn value(&self, names: &[&str]) -> Option<&Word> {
        self.values.iter().find(|(name, _)| names.contains(name)).map(|(_, word)| word)
    }

    pub(super) fn of_role(&self, role: u8) -> impl Iterator<Item = &Word> {
        self.uses.iter().filter(move |(own, _)| *own == role).map(|(_, word)| word)
    }

    pub(super) fn operand(&self, at: usize) -> &str {
        self.operands.get(at).map_or("", |word| word.text.as_str())
    }
}

impl Eval {
    /// Runs a known program.
    pub(super) fn run_row(&mut self, row: &'static Row, name: &str, args: &[Word], stdin: &Stream) -> Stream {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_suffix(".exe").unwrap_or(&lower);
        let name = match self.shell {
            Shell::Sh if lower == name || !row.is("ps") && !lower.ends_with(".exe") => name,
            _ if lower != plain => plain,
            shell => super::table::canonical(plain, shell).unwrap_or(plain),
        };
        if row.is("ps") && only_says(name, args) {
            return Stream::silent();
        }
        let call = sort(row, name, args, self.shell);
        let before = self.reading.effects.len();
        let special = if row.is("fn") { self.special(&call, stdin) } else { None };
        let mut out = special.unwrap_or_else(|| self.plain(&call, stdin));
        let found = self.given_away(&call, before);
        add_flows(&mut out.from, &found);
        out
    }

    /// What the table alone says.
    pub(super) fn plain(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        if !call.rest.is_empty() {
            return self.run(&call.rest, stdin);
        }
        let mut out = Stream::default();
        if call.is("shell") || call.is("code") {
            return self.interpreter(call, stdin);
        }
        self.act(call, stdin);
        let mut data = self.inputs(call, stdin);
        self.network(call, &mut data, stdin);
        self.outputs(call, &data);
        self.removals(call);
        for word in call.of_role(b'x') {
            let ran = self.run_script(call.name, word, &[], stdin);
            add_flows(&mut data.from, &ran.from);
        }
        for word in call.of_role(b's') {
            // `split --filter=LINE FILE`: the line is fed with what the program reads.
            let ran = self.execute_text(word, self.shell, call.name, &data.clone());
            add_flows(&mut data.from, &ran.from);
        }
        for word in call.of_role(b'e') {
            let ran = self.client_commands(word, call.name, stdin);
            add_flows(&mut data.from, &ran.from);
        }
        if !call.is("sink") {
            out = data;
        }
        if call.name == "ls" {
            // Names as they were spelled, one on a line: what reads them has them from here.
            let spelled = call.of_role(b'l').filter(|word| word.text.contains(['*', '?', '[']));
            let names: String = spelled.map(|word| format!("{}\n", word.text)).collect();
            out.text = Some(names).filter(|names| !names.is_empty());
        }
        out.present = true;
        out
    }

    /// Effects of the program as such.
    fn act(&mut self, call: &Call<'_>, stdin: &Stream) {
        let from = feeding(call.args, stdin);
        if call.is("run") {
            let target = Target::Program(call.name.to_owned());
            self.effect(Capability::Execute, target, AssetClass::Project, &from, call.name);
        }
        if call.is("admin") {
            self.administer(call, &from);
        }
        if call.is("secret") {
            let target = Target::Other(line_of(call));
            self.effect(Capability::SecretAccess, target, AssetClass::Keychain, &from, call.name);
        }
        if call.is("listen") {
            self.effect(Capability::NetworkListen, Target::None, AssetClass::Internal, &from, call.name);
        }
        if call.is("registry") {
            self.registry_fetch(call.name);
        }
    }

    pub(super) fn administer(&mut self, call: &Call<'_>, from: &[Flow]) -> Flow {
        let target = Target::Other(line_of(call));
        self.effect(Capability::Administer, target, AssetClass::System, from, call.name)
    }

    pub(super) fn registry_fetch(&mut self, by: &str) -> Flow {
        let target = Target::Other("package registry".to_owned());
        self.effect(Capability::NetworkFetch, target, AssetClass::External, &[], by)
    }

    /// Everything the program reads.
    pub(super) fn inputs(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut data: Option<Stream> = None;
        let mut dashed = false;
        for (role, word) in &call.uses {
            match role {
                b'r' | b'm' | b'y' if word.text == "-" => dashed = true,
                b'r' | b'm' | b'y' => {
                    let stream = self.read_file(word, call.name);
                    match &mut data {
                        None => data = Some(stream),
                        Some(data) => data.append(stream),
                    }
                }
                b'l' => self.list_file(word, call),
                _ => {}
            }
        }
        let copies = matches!(
            call.name,
            "cat" | "tee" | "cp" | "mv" | "install" | "pv" | "sponge" | "type" | "get-content" | "gc"
        );
        let mut data = match data {
            Some(mut data) => {
                if stdin.present || dashed {
                    data.append(stdin.clone());
                }
                data
            }
            None => stdin.clone(),
        };
        if !copies {
            data.unknown();
        }
        data
    }

    /// A file is named, not read: what kind of place it is still matters.
    fn list_file(&mut self, word: &Word, call: &Call<'_>) {
        let (path, exact) = self.path(word);
        let class = match asset::classify_path(&path, exact) {
            AssetClass::Doorward => AssetClass::Doorward,
            // To look at a share is to sign in there.
            AssetClass::Unknown if path.starts_with("//") => AssetClass::External,
            AssetClass::Project | AssetClass::Temp | AssetClass::Unknown => return,
            // A compiler or checker quotes what it cannot make sense of.
            class @ AssetClass::Credential if call.is("run") => class,
            _ => AssetClass::Config,
        };
        self.effect(Capability::ReadFile, Target::Path { path, exact }, class, &[], call.name);
    }

    /// Fetching and sending.
    pub(super) fn network(&mut self, call: &Call<'_>, data: &mut Stream, stdin: &Stream) {
        let (sent, sends) = self.sent(call, stdin);
        let to: Vec<&Word> =
            call.uses.iter().filter(|(role, _)| matches!(role, b'u' | b'h')).map(|(_, w)| w).collect();
        if to.is_empty() {
            if sends {
                data.from = vec![self.post("", &sent, call.name)];
            }
            return;
        }
        let mut flows = Vec::new();
        for word in to {
            if sends || !sent.from.is_empty() || !word.from.is_empty() {
                let mut sent = sent.clone();
                add_flows(&mut sent.from, &word.from);
                flows.push(self.post(&word.text, &sent, call.name));
            }
            if !sends {
                flows.push(self.fetch(&word.text, &[], call.name));
            }
        }
        *data = Stream::of_flows(flows, call.operand(0));
    }

    /// What is sent, and whether sending is meant at all.
    pub(super) fn sent(&mut self, call: &Call<'_>, stdin: &Stream) -> (Stream, bool) {
        let mut sent = Stream { text: Some(String::new()), ..Stream::default() };
        let mut sends = false;
        for (role, word) in &call.uses {
            match role {
                b'b' | b'f' => {
                    sends = true;
                    let part = self.body_part(word, *role == b'f', call.name, stdin);
                    sent.append(part);
                }
                b't' => {
                    sends = true;
                    let part = if matches!(word.text.as_str(), "-" | ".") {
                        stdin.clone()
                    } else {
                        self.read_file(word, call.name)
                    };
                    sent.append(part);
                }
                b'a' => {
                    if let Some(file) = along(&word.text) {
                        let file = Word { text: file.to_owned(), ..word.clone() };
                        let part =
                            if file.text == "-" { stdin.clone() } else { self.read_file(&file, call.name) };
                        sent.append(part);
                    }
                    add_flows(&mut sent.from, &word.from);
                }
                b'u' | b'h' => {}
                _ if call.is("net") => add_flows(&mut sent.from, &word.from),
                _ => {}
            }
        }
        if call.is("net") {
            for (_, word) in &call.values {
                add_flows(&mut sent.from, &word.from);
            }
        }
        let method = call.value(&["-X", "--request", "--method", "-method"]);
        if let Some(method) = method
            && matches!(method.text.to_ascii_uppercase().as_str(), "POST" | "PUT" | "PATCH")
        {
            sends = true;
        }
        (sent, sends)
    }

    /// `text`, `@file`, `name@file`, `name=@file;type=…`, `@-`.
    fn body_part(&mut self, word: &Word, form: bool, by: &str, stdin: &Stream) -> Stream {
        let text = word.text.as_str();
        let file = if form {
            text.split_once('=').and_then(|(_, value)| value.strip_prefix(['@', '<']))
        } else {
            text.strip_prefix('@').or_else(|| match text.split_once('@') {
                Some((name, file))
                    if !name.contains(['=', '{', ' ', '"']) && !file.contains('@') && by == "curl" =>
                {
                    Some(file)
                }
                _ => None,
            })
        };
        let Some(file) = file else {
            let known = word.exact.then(|| text.to_owned());
            return Stream {
                from: word.from.clone(),
                text: known,
                about: text.to_owned(),
                present: true,
                ..Stream::default()
            };
        };
        let file = if form { file.split(';').next().unwrap_or(file) } else { file };
        if file == "-" {
            return stdin.clone();
        }
        let mut sent = Stream { text: None, ..Stream::default() };
        for file in file.split(',').filter(|_| form).chain((!form).then_some(file)) {
            let word = Word { text: file.trim_matches('"').to_owned(), ..word.clone() };
            sent.append(self.read_file(&word, by));
        }
        sent
    }

    /// Files written.
    pub(super) fn outputs(&mut self, call: &Call<'_>, data: &Stream) {
        for (role, word) in &call.uses {
            match role {
                b'w' => self.write_file(word, data, call.has_flag(&["-a", "--append"]), call.name),
                b'm' => {
                    self.write_file(word, &Stream { text: None, raw: None, ..data.clone() }, false, call.name)
                }
                b'o' => {
                    let (path, exact) = self.path(word);
                    let class = asset::classify_path(&path, exact);
                    self.effect(
                        Capability::WriteFile,
                        Target::Path { path, exact },
                        class,
                        &data.from,
                        call.name,
                    );
                }
                _ => {}
            }
        }
    }

    /// Files deleted or changed without being read; processes stopped.
    pub(super) fn removals(&mut self, call: &Call<'_>) {
        for (role, word) in &call.uses {
            let capability = match role {
                b'd' | b'y' => Capability::DeleteFile,
                b'k' => Capability::WriteFile,
                b'n' => {
                    let target = Target::Process(word.text.clone());
                    self.effect(Capability::Signal, target, AssetClass::Unknown, &word.from, call.name);
                    continue;
                }
                _ => continue,
            };
            // What is deleted is the link, not what it stands for.
            let (place, exact) = self.place(word);
            let gone = capability == Capability::DeleteFile && self.env.links.remove(&place).is_some();
            let (path, exact) = if gone { (place, exact) } else { self.path(word) };
            let class = asset::classify_path(&path, exact);
            self.effect(capability, Target::Path { path: path.clone(), exact }, class, &word.from, call.name);
            if capability == Capability::DeleteFile && self.conditions == 0 {
                self.env.files.remove(&path);
            }
        }
    }

    /// `sh -c LINE NAME ARGUMENTS`: the line finds the rest as `$0`, `$1` and so on.
    fn told(&mut self, line: &Word, call: &Call<'_>, stdin: &Stream) -> Stream {
        let Some((name, rest)) = call.operands.split_first().filter(|_| call.is("shell")) else {
            return self.execute_text(line, Shell::Sh, call.name, stdin);
        };
        let outer = std::mem::replace(&mut self.env.args, rest.to_vec());
        let ran = self.apart(|eval| {
            eval.set("0", vec![name.clone()], false);
            eval.execute_text(line, Shell::Sh, call.name, stdin)
        });
        self.env.args = outer;
        ran
    }

    /// A shell or an interpreter: code given, a script, or what comes in.
    pub(super) fn interpreter(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut out = Stream::silent();
        let mut given = false;
        for (role, word) in &call.uses {
            let ran = match role {
                b's' => self.told(word, call, stdin),
                b'e' => self.run_code(word, call.name, stdin),
                b'r' if call.name == "perl" && call.has_flag(&["-i"]) => {
                    let data = self.read_file(word, call.name);
                    self.write_file(word, &Stream { text: None, raw: None, ..data }, false, call.name);
                    continue;
                }
                b'r' => self.read_file(word, call.name),
                b'x' if !given && !call.is("stdin") => {
                    let rest = call.operands.get(1..).unwrap_or_default();
                    self.run_script(call.name, word, rest, stdin)
                }
                _ => continue,
            };
            given |= *role != b'r';
            out.append(ran);
        }
        if given {
            return out;
        }
        let argued = call
            .flags
            .iter()
            .any(|flag| flag.starts_with("--") || matches!(flag.as_str(), "-V" | "-v" | "-h"));
        if stdin.present {
            let by = Word::known(call.name);
            return self.execute_stream(stdin, &by, call.args, stdin);
        }
        if !argued || call.is("shell") {
            let target = Target::Program(call.name.to_owned());
            let flow = self.effect(
                Capability::Execute,
                target,
                AssetClass::Project,
                &feeding(call.args, stdin),
                call.name,
            );
            return Stream::of_flows(vec![flow], "");
        }
        let flow = self.effect(
            Capability::Execute,
            Target::Program(call.name.to_owned()),
            AssetClass::Project,
            &[],
            call.name,
        );
        Stream::of_flows(vec![flow], "")
    }
}

/// Whether a cmdlet is only asked what it would do: `Remove-Item x -WhatIf`.
pub(super) fn only_says(name: &str, args: &[Word]) -> bool {
    const VERBS: [&str; 19] = [
        "remove",
        "clear",
        "stop",
        "restart",
        "set",
        "new",
        "disable",
        "enable",
        "rename",
        "move",
        "copy",
        "uninstall",
        "unregister",
        "limit",
        "suspend",
        "resume",
        "add",
        "reset",
        "dismount",
    ];
    let name = name.to_ascii_lowercase();
    let verb = name.split_once('-').map_or("", |(verb, _)| verb);
    let asked = |word: &Word| {
        word.text.eq_ignore_ascii_case("-whatif")
            || word.text.eq_ignore_ascii_case("-whatif:${true}")
            || word.text.eq_ignore_ascii_case("-whatif:$true")
    };
    VERBS.contains(&verb) && args.iter().any(asked)
}

/// Program and arguments as one line, for targets that are best said in words.
pub(super) fn line_of(call: &Call<'_>) -> String {
    let line = joined_by_spaces(call.args).text;
    let line: String = line.chars().take(512).collect();
    if line.is_empty() { call.name.to_owned() } else { format!("{} {line}", call.name) }
}

/// Sorts arguments into options and operands as the row says.
pub(super) fn sort<'a>(row: &'static Row, name: &'a str, args: &'a [Word], shell: Shell) -> Call<'a> {
    let mut call = Call {
        row,
        name,
        args,
        uses: Vec::with_capacity(args.len()),
        flags: Vec::new(),
        values: Vec::new(),
        operands: Vec::new(),
        rest: Vec::new(),
        traits: Vec::new(),
    };
    let mut sorter = Sorter { roles: &row.operands, positions: Vec::new(), only_operands: false, shell };
    let mut at = 0;
    while let Some(word) = args.get(at) {
        at += 1;
        let used = sorter.option(&mut call, word, args.get(at));
        match used {
            Some(taken) => at += taken,
            None => {
                let command = sorter.role_at(call.operands.len()) == b'c';
                if command {
                    // `env A=b cmd`: assignments come before the command.
                    if name == "env" && word.text.contains('=') && !word.text.starts_with('=') {
                        call.values.push(("=", word.clone()));
                        continue;
                    }
                    call.rest = args.get(at - 1..).unwrap_or_default().to_vec();
                    break;
                }
                sorter.positions.push(call.uses.len());
                call.uses.push((0, word.clone()));
                call.operands.push(word.clone());
            }
        }
    }
    let count = call.operands.len();
    for (nth, position) in sorter.positions.iter().enumerate() {
        let role = role(sorter.roles, nth, count);
        if let Some(used) = call.uses.get_mut(*position) {
            used.0 = role;
        }
    }
    call
}

struct Sorter<'r> {
    roles: &'r Operands,
    positions: Vec<usize>,
    only_operands: bool,
    shell: Shell,
}

impl Sorter<'_> {
    fn role_at(&self, nth: usize) -> u8 {
        self.roles.first.get(nth).copied().or(self.roles.rest).unwrap_or(b'.')
    }

    /// Takes `word` as an option; how many further words it used, or `None` if it is an operand.
    fn option(&mut self, call: &mut Call<'_>, word: &Word, next: Option<&Word>) -> Option<usize> {
        let text = word.text.as_str();
        let row = call.row;
        if self.only_operands {
            return None;
        }
        if row.is("ps")
            || (row.is("slash") && text.starts_with('/'))
            || (row.is("slash") && self.shell != Shell::Sh && text.starts_with(['-', '+']))
        {
            return self.windows_option(call, word, next);
        }
        if text.len() < 2 || !text.starts_with(['-', '+']) || text.starts_with("+%") {
            return None;
        }
        if text.starts_with('+') && row.option(text).is_none() {
            return None;
        }
        if text == "--" {
            self.only_operands = true;
            return Some(0);
        }
        if text.starts_with("--") || row.is("single") {
            return Some(self.long(call, word, next));
        }
        Some(self.cluster(call, word, next))
    }

    fn long(&mut self, call: &mut Call<'_>, word: &Word, next: Option<&Word>) -> usize {
        let text = word.text.as_str();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let found = if name.starts_with("--") { call.row.long_option(name) } else { None };
        let found = found
            .or_else(|| call.row.options.iter().find(|(own, _)| *own == name).map(|(own, opt)| (*own, opt)));
        call.flags.push(name.to_owned());
        let Some((own, _)) = found else {
            if !word.from.is_empty() {
                call.uses.push((b'.', word.clone()));
            }
            return 0;
        };
        let inline = value.map(|value| Word { text: value.to_owned(), ..word.clone() });
        self.apply(call, own, inline.as_ref(), next)
    }

    fn cluster(&mut self, call: &mut Call<'_>, word: &Word, next: Option<&Word>) -> usize {
        let text = word.text.as_str();
        // Some programs have long options with one dash among their own (`find`, `nc -vz` has not).
        if let Some((own, _)) = call.row.options.iter().find(|(own, _)| *own == text && own.len() > 2) {
            call.flags.push(text.to_owned());
            return self.apply(call, own, None, next);
        }
        for (at, c) in text.char_indices().skip(1) {
            let mut name = String::with_capacity(2);
            name.push('-');
            name.push(c);
            let found = call.row.options.iter().find(|(own, _)| *own == name).map(|(own, opt)| (*own, opt));
            call.flags.push(name);
            let Some((own, opt)) = found else { continue };
            let takes = call.row.options.iter().any(|(o, opt)| *o == own && matches!(opt, Opt::Value(_)));
            if takes {
                let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
                let inline = (!rest.is_empty()).then(|| Word { text: rest.to_owned(), ..word.clone() });
                return self.apply(call, own, inline.as_ref(), next);
            }
            let _ = opt;
            self.apply(call, own, None, None);
        }
        0
    }

    /// `/x`, `/x:value`, `-Name value`, `-Name:value`, names cut short, any case.
    fn windows_option(&mut self, call: &mut Call<'_>, word: &Word, next: Option<&Word>) -> Option<usize> {
        let text = word.text.as_str();
        let lower = text.to_ascii_lowercase();
        let dash = lower.strip_prefix(['\u{2013}', '\u{2014}', '\u{2015}']).map(|rest| format!("-{rest}"));
        let lower = dash.unwrap_or(lower);
        if !lower.starts_with(['-', '/', '+']) || lower.len() < 2 || !lower.is_ascii() {
            return None;
        }
        if lower.starts_with('/') && call.row.is("ps") && call.row.option(&lower).is_none() {
            return None;
        }
        let (name, value) = match lower.find([':', '=']) {
            Some(at) if at > 1 => (lower.get(..at).unwrap_or_default(), text.get(at + 1..)),
            _ => (lower.as_str(), None),
        };
        let exact = call.row.options.iter().find(|(own, _)| *own == name);
        let start = || call.row.options.iter().find(|(own, _)| call.row.is("ps") && own.starts_with(name));
        let Some((own, _)) = exact.or_else(start) else {
            // A path such as /etc/x is no option.
            if lower.starts_with('/') && lower.get(1..).is_some_and(|rest| rest.contains('/')) {
                return None;
            }
            call.flags.push(lower);
            return Some(0);
        };
        call.flags.push((*own).to_owned());
        let inline = value
            .filter(|value| !value.is_empty())
            .map(|value| Word { text: value.to_owned(), ..word.clone() });
        Some(self.apply(call, own, inline.as_ref(), next))
    }

    /// What the option does; how many further words it took.
    fn apply(
        &mut self,
        call: &mut Call<'_>,
        name: &'static str,
        inline: Option<&Word>,
        next: Option<&Word>,
    ) -> usize {
        let mut taken = 0;
        for (own, opt) in &call.row.options {
            if *own != name {
                continue;
            }
            match opt {
                Opt::Value(role) => {
                    let value = inline.or_else(|| {
                        taken = usize::from(next.is_some());
                        next
                    });
                    if let Some(value) = value {
                        call.values.push((own, value.clone()));
                        if *role != b'.' {
                            call.uses.push((*role, value.clone()));
                        }
                    }
                }
                Opt::Operands(operands) => self.roles = operands,
                Opt::Trait(name) => call.traits.push(name),
            }
        }
        taken
    }
}

fn role(roles: &Operands, nth: usize, count: usize) -> u8 {
    let from_end = count - nth;
    if from_end <= roles.last.len()
        && (count > roles.last.len() || roles.rest.is_none())
        && nth >= roles.first.len()
    {
        return roles.last.get(roles.last.len() - from_end).copied().unwrap_or(b'.');
    }
    roles.first.get(nth).copied().or(roles.rest).unwrap_or(b'.')
}

/// The file that is sent along with a request: `@headers`, a jar of cookies, `name@file` of a variable. A header, a
/// cookie or a variable that is written out names none.
fn along(text: &str) -> Option<&str> {
    if let Some(file) = text.strip_prefix('@') {
        return Some(file);
    }
    if text.is_empty() || text.starts_with('%') || text.contains(['=', ':', ';', ' ']) {
        return None;
    }
    Some(text.split_once('@').map_or(text, |(_, file)| file))
}
