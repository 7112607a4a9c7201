//! Walks a parsed line as a shell would run it, collecting effects instead of running anything.

use std::sync::Arc;

use super::ast::{Assign, Body, Command, List, Raw, Redirect, Then};
use super::budget::Budget;
use super::env::{Env, File};
use super::planted::REGISTRIES;
use super::stream::{MAX_TEXT, Stream, add_flows};
use super::{Assignment, Reading, Shell, SimpleCommand, State, Word, unread};
use crate::action::{AssetClass, Capability, Effect, Flow, Target, asset};

/// More effects than this in one line are not told apart.
const MAX_EFFECTS: usize = 4096;

/// An effect is fed by at most this many others directly; more are gathered in one between.
const MAX_FLOWS: usize = 32;

/// Functions of a line that took more fuel than this are not kept for later lines.
const LONGEST_FUNCTIONS: usize = 512 * 1024;

/// How many values of one variable are followed (branches, loop items).
pub(super) const MAX_VALUES: usize = 12;

/// What undoes a change that a subshell made.
enum Undo {
    Var(String, Option<Vec<Vec<Word>>>),
    Function(String, Option<Arc<Command>>),
    Directory(Option<Word>),
}

/// The walk.
pub(super) struct Eval {
    pub(super) reading: Reading,
    pub(super) budget: Budget,
    pub(super) env: Env,
    pub(super) shell: Shell,
    undo: Vec<Undo>,
    /// How many conditions surround what is being looked at.
    pub(super) conditions: u16,
    /// Which of a variable's values is being followed, and how many there were at most.
    pub(super) value: usize,
    pub(super) values: usize,
    /// Whether what runs is one of several programs that a glob could name.
    pub(super) guessing: bool,
    /// How many of the reading's effects are of lines before.
    pub(super) earlier: usize,
    /// Whether what is read stands in a file that runs by itself.
    pub(super) planting: bool,
}

impl Eval {
    /// A walk that begins with what lines before have left.
    pub(super) fn new(budget: Budget, shell: Shell, before: &State) -> Self {
        let (env, effects) = before.begin();
        let earlier = effects.len();
        Self {
            reading: Reading { effects, ..Reading::default() },
            budget,
            env,
            earlier,
            shell,
            undo: Vec::new(),
            conditions: 0,
            value: 0,
            values: 1,
            guessing: false,
            planting: false,
        }
    }

    /// Walks a whole line.
    pub(super) fn line(&mut self, list: &List) {
        self.list(list, &Stream::default());
    }

    /// What was found, and what a later line finds.
    pub(super) fn finish(mut self, before: &State) -> (Reading, State) {
        if self.budget.spent() > LONGEST_FUNCTIONS && !self.env.functions.is_empty() {
            self.env.functions.clear();
            self.env.lost = true;
        }
        let after = before.after(std::mem::take(&mut self.env), &self.reading.effects);
        self.reading.coverage = self.budget.coverage();
        if let crate::decision::Coverage::Partial(why) = &self.reading.coverage {
            self.reading.effects.push(unread(why.clone()));
        }
        self.reading.cost = self.budget.spent();
        (super::state::own(self.reading, self.earlier), after)
    }

    /// The effects of this line.
    pub(super) fn own_effects(&self) -> &[Effect] {
        self.reading.effects.get(self.earlier..).unwrap_or_default()
    }

    // ---- effects ----

    /// Notes an effect; the index feeds later ones.
    pub(super) fn effect(
        &mut self,
        capability: Capability,
        target: Target,
        asset: AssetClass,
        from: &[Flow],
        by: &str,
    ) -> Flow {
        let from = self.gather(from);
        let at = self.reading.effects.len();
        let Some(flow) = Flow::try_from(at).ok().filter(|_| at < MAX_EFFECTS) else {
            self.budget.stop("shell: too many effects");
            return Flow::try_from(at.saturating_sub(1)).unwrap_or(Flow::MAX);
        };
        self.reading.effects.push(Effect { capability, target, asset, from, by: by.to_owned() });
        flow
    }

    fn gather(&mut self, from: &[Flow]) -> Vec<Flow> {
        if from.len() <= MAX_FLOWS || self.reading.effects.len() + 1 >= MAX_EFFECTS {
            return from.to_vec();
        }
        let at = self.reading.effects.len();
        self.reading.effects.push(Effect {
            capability: Capability::Unknown,
            target: Target::Other("data of several effects".to_owned()),
            asset: AssetClass::Unknown,
            from: from.to_vec(),
            by: "shell".to_owned(),
        });
        Flow::try_from(at).map(|flow| vec![flow]).unwrap_or_default()
    }

    /// Keeps a growing set of flows small.
    fn shrink(&mut self, stream: &mut Stream) {
        if stream.from.len() > MAX_FLOWS {
            stream.from = self.gather(&stream.from);
        }
    }

    /// Reads a file: what comes out of it.
    pub(super) fn read_file(&mut self, word: &Word, by: &str) -> Stream {
        if let Some(stream) = &word.stream {
            return (**stream).clone();
        }
        if let Some(host) = socket_path(&word.text) {
            let flow = self.effect(
                Capability::NetworkFetch,
                Target::Host(host.clone()),
                asset::classify_host(&host),
                &word.from,
                by,
            );
            return Stream::of_flows(vec![flow], host);
        }
        let (path, exact) = self.path(word);
        match path.as_str() {
            "/dev/null" => return Stream::silent(),
            "/dev/zero" | "/dev/random" | "/dev/urandom" | "/dev/tty" => {
                return Stream::of_flows(Vec::new(), path);
            }
            "" => return Stream::silent(),
            _ => {}
        }
        let file = self.env.file_at(&path).unwrap_or_default();
        let mut from = file.from;
        add_flows(&mut from, &word.from);
        let class = asset::classify_path(&path, exact);
        let flow =
            self.effect(Capability::ReadFile, Target::Path { path: path.clone(), exact }, class, &from, by);
        let text = file.text.filter(|text| !file.pieces && text.len() <= MAX_TEXT);
        let text = text.map(|text| text.to_string());
        let raw = file.raw.filter(|_| !file.pieces && !file.appended);
        Stream { from: vec![flow], text, raw, about: path, present: true, ..Stream::default() }
    }

    /// Writes a file.
    pub(super) fn write_file(&mut self, word: &Word, data: &Stream, append: bool, by: &str) {
        if let Some(host) = socket_path(&word.text) {
            self.post(&host, data, by);
            return;
        }
        if word.stream.is_some() {
            return;
        }
        let (path, exact) = self.path(word);
        let nothing = [
            "/dev/null",
            "/dev/stdout",
            "/dev/stderr",
            "/dev/tty",
            "/dev/fd/1",
            "/dev/fd/2",
            "NUL",
            "nul",
            "-",
            "",
        ];
        if nothing.contains(&path.as_str()) {
            return;
        }
        let class = asset::classify_path(&path, exact);
        let target = Target::Path { path: path.clone(), exact };
        // What is added to a program's own log takes nothing out of it.
        let by = if append && is_own_log(&path) { ">>" } else { by };
        let flow = self.effect(Capability::WriteFile, target, class, &data.from, by);
        if let Some(text) = data.said() {
            self.reading.writes.push((flow, text.to_owned()));
            self.planted(&path, text);
        }
        let old = if append || self.conditions > 0 { self.env.files.remove(&path) } else { None };
        let appended = append && old.is_none();
        let text = data.text.as_deref().map(Arc::from);
        let mut file = File { text, raw: data.raw.clone(), appended, ..File::default() };
        if let Some(old) = old {
            (file.pieces, file.appended) = (old.pieces, old.appended);
            let joined = match (old.bytes(), file.bytes()) {
                (Some(old), Some(new)) if old.len() + new.len() <= MAX_TEXT => Some([old, new].concat()),
                _ => None,
            };
            let joined = joined.map(Stream::of_bytes).unwrap_or_default();
            file.from = old.from;
            (file.text, file.raw) = (joined.text.map(Arc::from), joined.raw);
        }
        file.from.push(flow);
        if file.from.len() > MAX_FLOWS {
            file.from = self.gather(&file.from);
        }
        self.env.put(path, file);
    }

    /// Sends data to a host or URL.
    pub(super) fn post(&mut self, host: &str, data: &Stream, by: &str) -> Flow {
        let (target, class) = destination(host);
        let flow = self.effect(Capability::NetworkPost, target, class, &data.from, by);
        self.by_proxy(Capability::NetworkPost, &data.from, by);
        if let Some(text) = data.said() {
            self.reading.writes.push((flow, text.to_owned()));
        }
        flow
    }

    /// Fetches from a host or URL.
    pub(super) fn fetch(&mut self, host: &str, from: &[Flow], by: &str) -> Flow {
        if host.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:")) {
            let (path, exact) = self.path(&Word::known(host));
            let class = asset::classify_path(&path, exact);
            return self.effect(Capability::ReadFile, Target::Path { path, exact }, class, from, by);
        }
        let (target, class) = destination(host);
        let flow = self.effect(Capability::NetworkFetch, target, class, from, by);
        self.by_proxy(Capability::NetworkFetch, from, by);
        flow
    }

    /// A path as the line means it: the directory it changed to, links it made.
    pub(super) fn path(&self, word: &Word) -> (String, bool) {
        let (path, exact) = self.place(word);
        (self.env.through_links(path), exact)
    }

    /// The same without a look at links.
    pub(super) fn place(&self, word: &Word) -> (String, bool) {
        let mut path = asset::normalise_path(&word.text);
        let mut exact = word.exact;
        if asset::is_relative(&path)
            && let Some(directory) = &self.env.directory
        {
            let relative = path;
            path = asset::normalise_path(&format!("{}/{relative}", directory.text));
            exact &= directory.exact;
            if let Some(stayed) = &self.env.stayed {
                // The `cd` before may have failed: the place that matters more counts.
                let other = asset::normalise_path(&format!("{}/{relative}", stayed.text));
                let own = asset::classify_path(&path, exact);
                if asset::stronger(own, asset::classify_path(&other, stayed.exact)) != own {
                    path = other;
                }
            }
        }
        (path, exact)
    }

    // ---- lists, pipelines, commands ----

    pub(super) fn list(&mut self, list: &List, stdin: &Stream) -> Stream {
        let mut out = Stream { text: Some(String::new()), ..Stream::default() };
        let mut before = Then::Next;
        for item in list {
            let conditional = matches!(before, Then::And | Then::Or);
            // After `cd X &&` the shell is in X for sure.
            let unsure = if before == Then::And { self.env.stayed.take() } else { None };
            self.conditions += u16::from(conditional);
            let mut printed = self.pipeline(&item.pipeline, stdin);
            if self.env.pipes && item.pipeline.len() > 1 {
                // What a named pipe carries comes from a command that stands later.
                printed = self.pipeline(&item.pipeline, stdin);
            }
            self.conditions -= u16::from(conditional);
            if self.env.stayed.is_none() {
                self.env.stayed = unsure;
            }
            out.append(printed);
            self.shrink(&mut out);
            before = item.then;
        }
        out
    }

    fn pipeline(&mut self, commands: &[Command], stdin: &Stream) -> Stream {
        if let [only] = commands {
            return self.command(only, stdin);
        }
        let mut carried = None;
        for command in commands {
            let mark = self.undo.len();
            if let Some(listed) =
                carried.as_ref().filter(|_| self.shell == Shell::PowerShell).and_then(listed)
            {
                self.set_items("_", vec![listed]);
            }
            let mut out = self.command(command, carried.as_ref().unwrap_or(stdin));
            self.roll_back(mark);
            out.present = true;
            carried = Some(out);
        }
        carried.unwrap_or_else(Stream::silent)
    }

    pub(super) fn command(&mut self, command: &Command, stdin: &Stream) -> Stream {
        if !self.budget.spend(8) || !self.budget.enter() {
            return Stream::default();
        }
        let out = match &command.body {
            Body::Simple { assigns, words } => self.simple(assigns, words, &command.redirects, stdin),
            body => {
                let mut io = self.open(&command.redirects, stdin);
                let input = io.stdin.take();
                let out = self.compound(body, input.as_ref().unwrap_or(stdin));
                self.close(io, out)
            }
        };
        self.budget.leave();
        out
    }

    fn compound(&mut self, body: &Body, stdin: &Stream) -> Stream {
        match body {
            Body::Simple { .. } => Stream::default(),
            Body::Group(list) => self.list(list, stdin),
            Body::Subshell(list) => {
                let mark = self.undo.len();
                let out = self.list(list, stdin);
                self.roll_back(mark);
                out
            }
            Body::If(arms) => {
                let mut out = Stream::silent();
                for (condition, body) in arms {
                    out.append(self.list(condition, stdin));
                    out.append(self.maybe(body, stdin));
                }
                self.shrink(&mut out);
                out
            }
            Body::While(condition, body) => {
                let mut out = self.maybe(condition, stdin);
                out.append(self.maybe(body, stdin));
                out
            }
            Body::For { name, items, body } => {
                let items = match items {
                    Some(items) if self.shell == Shell::PowerShell => {
                        self.words(items, stdin).into_iter().map(as_place).collect()
                    }
                    Some(items) => self.words(items, stdin),
                    None => self.env.args.clone(),
                };
                self.set_items(name, items);
                self.maybe(body, stdin)
            }
            Body::Case { word, arms } => {
                self.words(std::slice::from_ref(word), stdin);
                let mut out = Stream::silent();
                for (patterns, body) in arms {
                    self.words(patterns, stdin);
                    out.append(self.maybe(body, stdin));
                }
                self.shrink(&mut out);
                out
            }
            Body::Function { name, body } => {
                let old = self.env.functions.insert(name.clone(), Arc::clone(body));
                self.undo.push(Undo::Function(name.clone(), old));
                Stream::silent()
            }
            Body::Test(words) => {
                let words = self.words(words, stdin);
                if let [only] = words.as_slice() {
                    let text = only.text.clone();
                    self.assign_number(&text);
                }
                Stream::silent()
            }
        }
    }

    /// A list that may or may not run.
    pub(super) fn maybe(&mut self, list: &List, stdin: &Stream) -> Stream {
        self.conditions += 1;
        let mut out = self.list(list, stdin);
        self.conditions -= 1;
        if out.text.as_ref().is_some_and(|text| !text.is_empty()) && out.from.is_empty() {
            // Known text that may not come: kept, it is the stronger reading.
            out.present = true;
        }
        out
    }

    fn simple(
        &mut self,
        assigns: &[Assign],
        words: &[Raw],
        redirects: &[Redirect],
        stdin: &Stream,
    ) -> Stream {
        let outer = (self.value, self.values);
        let mut out = Stream::silent();
        (self.value, self.values) = (0, 1);
        loop {
            let printed = self.simple_once(assigns, words, redirects, stdin);
            if self.value == 0 {
                out = printed;
            } else {
                out.append(printed);
            }
            self.value += 1;
            if self.value >= self.values.min(MAX_VALUES) || self.budget.exhausted() {
                break;
            }
        }
        self.shrink(&mut out);
        (self.value, self.values) = outer;
        out
    }

    fn simple_once(
        &mut self,
        assigns: &[Assign],
        words: &[Raw],
        redirects: &[Redirect],
        stdin: &Stream,
    ) -> Stream {
        let mut io = self.open(redirects, stdin);
        let input = io.stdin.take();
        let stdin = input.as_ref().unwrap_or(stdin);
        let argv = self.words(words, stdin);
        if self.shell == Shell::Sh {
            self.note_disguise(words, &argv);
        }
        let before = |assign: &Assign| (assign.name.clone(), self.env.vars.get(&assign.name).cloned());
        let before: Vec<_> = assigns.iter().map(before).collect();
        for assign in assigns {
            self.assign(assign, !argv.is_empty(), stdin);
        }
        let out = match argv.first() {
            None if words.is_empty() && assigns.is_empty() => stdin.clone(),
            None => Stream::silent(),
            Some(program) if program.text == "exec" && argv.len() == 1 => {
                self.env.descriptors = std::mem::take(&mut io.sinks);
                return Stream::silent();
            }
            Some(_) => self.run(&argv, stdin),
        };
        if !argv.is_empty() {
            // What stood before the command alone ends with it; what it did itself stays: `IFS= read -r line`.
            before.into_iter().rev().for_each(|(name, values)| self.put_back(name, values));
        }
        self.close(io, out)
    }

    /// Runs a program with its arguments, whoever spelled them out.
    pub(super) fn run(&mut self, argv: &[Word], stdin: &Stream) -> Stream {
        let cost = 8 + argv.iter().map(|word| 2 + word.text.len() / 4).sum::<usize>();
        if !self.budget.spend(cost) || !self.budget.enter() {
            return Stream::default();
        }
        self.reading.commands.push(SimpleCommand {
            argv: argv.to_vec(),
            depth: self.budget.depth().saturating_sub(2),
            fed: stdin.present,
            conditional: self.conditions > 0,
        });
        self.deeds(argv, stdin);
        self.tool_for_an_agent(argv);
        let out = self.dispatch(argv, stdin);
        self.budget.leave();
        out
    }

    /// Reads `text` as a line of this shell, in this environment.
    pub(super) fn read_text(&mut self, text: &str, shell: Shell, stdin: &Stream) -> Stream {
        if !self.budget.spend(text.len()) || !self.budget.enter() {
            return Stream::default();
        }
        let list = match shell {
            Shell::Sh => super::parser::parse(text, &mut self.budget),
            Shell::PowerShell => super::windows::parse_powershell(text, &mut self.budget),
            Shell::Cmd => super::windows::parse_cmd(text, &mut self.budget),
        };
        let before = std::mem::replace(&mut self.shell, shell);
        let out = self.list(&list, stdin);
        self.shell = before;
        self.budget.leave();
        out
    }

    // ---- variables ----

    fn assign(&mut self, assign: &Assign, for_program: bool, stdin: &Stream) {
        let mut value = Vec::new();
        for raw in &assign.value {
            if assign.array {
                value.append(&mut self.words(std::slice::from_ref(raw), stdin));
            } else {
                value.push(self.joined(raw, stdin));
            }
        }
        if assign.append
            && let Some(old) = self.lookup(&assign.name)
        {
            if assign.array {
                value = [old, value].concat();
            } else {
                value = vec![concat(old.into_iter().chain(value))];
            }
        }
        self.set(&assign.name, value, for_program);
    }

    /// Sets a variable. Where that is not certain to happen, the old values stay possible.
    pub(super) fn set(&mut self, name: &str, value: Vec<Word>, exported: bool) {
        let meant = self.referred(name);
        let name = meant.as_str();
        let known = match value.as_slice() {
            [only] if only.exact => Some(only.text.clone()),
            _ => None,
        };
        let assignment = Assignment { name: name.to_owned(), value: known, exported };
        if self.reading.assignments.len() < MAX_EFFECTS {
            self.reading.assignments.push(assignment);
        }
        if REGISTRIES.iter().any(|variable| variable.eq_ignore_ascii_case(name))
            && let Some(place) = value.first().map(|word| word.text.clone())
        {
            self.source_of_packages(&place, "shell");
        }
        let old = self.env.vars.remove(name);
        let mut values = old.clone().filter(|_| self.conditions > 0 || self.value > 0).unwrap_or_default();
        if !values.contains(&value) {
            if values.len() < MAX_VALUES {
                values.push(value);
            } else {
                self.budget.gap("shell: too many values");
            }
        }
        self.env.vars.insert(name.to_owned(), values);
        self.undo.push(Undo::Var(name.to_owned(), old));
    }

    fn set_items(&mut self, name: &str, items: Vec<Word>) {
        let old = self.env.vars.remove(name);
        let mut items = items;
        if items.len() > MAX_VALUES {
            // What is dropped must not be what matters: the one credential at the end of twenty names.
            items.sort_by_key(|item| !is_telling(&item.text));
            let dropped = items.split_off(MAX_VALUES);
            if dropped.iter().any(|item| is_telling(&item.text)) {
                self.budget.gap("shell: loop over too many places");
            } else if !dropped.iter().all(|item| item.text.bytes().all(|b| b.is_ascii_digit())) {
                self.budget.gap("shell: loop over many items");
            }
        }
        let values = items.into_iter().map(|item| vec![item]).collect();
        self.env.vars.insert(name.to_owned(), values);
        self.undo.push(Undo::Var(name.to_owned(), old));
    }

    /// The variable that `name` stands for.
    pub(super) fn referred(&self, name: &str) -> String {
        let mut name = name.to_owned();
        for _ in 0..8 {
            let Some(to) = self.env.vars.get(&format!("&{name}")).filter(|_| self.env.refers) else { break };
            let Some(word) = to.last().and_then(|words| words.first()) else { break };
            name.clone_from(&word.text);
        }
        name
    }

    /// The value of a variable that this pass follows.
    pub(super) fn lookup(&mut self, name: &str) -> Option<Vec<Word>> {
        let meant = self.env.refers.then(|| self.referred(name));
        let values = self.env.vars.get(meant.as_deref().unwrap_or(name))?;
        self.values = self.values.max(values.len());
        let at = self.value.checked_rem(values.len())?;
        values.get(at).cloned()
    }

    /// Gives a variable the values it had.
    fn put_back(&mut self, name: String, values: Option<Vec<Vec<Word>>>) {
        let now = match values {
            Some(values) => self.env.vars.insert(name.clone(), values),
            None => self.env.vars.remove(&name),
        };
        self.undo.push(Undo::Var(name, now));
    }

    pub(super) fn unset(&mut self, name: &str) {
        let old = self.env.vars.remove(name);
        self.undo.push(Undo::Var(name.to_owned(), old));
    }

    pub(super) fn change_directory(&mut self, to: Option<Word>) {
        let old = std::mem::replace(&mut self.env.directory, to);
        self.undo.push(Undo::Directory(old));
    }

    /// Runs `inner` as a subshell: what it changes is changed back.
    pub(super) fn apart<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        let mark = self.undo.len();
        let value = inner(self);
        self.roll_back(mark);
        value
    }

    fn roll_back(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Var(name, Some(value))) => drop(self.env.vars.insert(name, value)),
                Some(Undo::Var(name, None)) => drop(self.env.vars.remove(&name)),
                Some(Undo::Function(name, Some(body))) => drop(self.env.functions.insert(name, body)),
                Some(Undo::Function(name, None)) => drop(self.env.functions.remove(&name)),
                Some(Undo::Directory(old)) => {
                    self.env.directory = old;
                    self.env.stayed = None;
                }
                None => return,
            }
        }
    }
}

/// Whether `path` is a log that some program keeps for itself, none of the system's records of who did what.
fn is_own_log(path: &str) -> bool {
    const RECORDS: [&str; 13] = [
        "auth", "secure", "wtmp", "btmp", "utmp", "lastlog", "faillog", "audit", "syslog", "messages",
        "journal", "kern", "sudo",
    ];
    let name = path.strip_prefix("/var/log/").filter(|name| !name.contains(".."));
    name.is_some_and(|name| !RECORDS.iter().any(|record| name.contains(record)))
}

/// `/dev/tcp/host/port` as `host:port`.
pub(super) fn socket_path(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/dev/tcp/").or_else(|| path.strip_prefix("/dev/udp/"))?;
    let (host, port) = rest.split_once('/').unwrap_or((rest, ""));
    Some(if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") })
}

/// A URL or a host, and what kind of place it is.
pub(super) fn destination(text: &str) -> (Target, AssetClass) {
    let mut class = asset::classify_host(text);
    // `http://169.254.170.2${PATH}`: the variable may begin with the slash.
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((host, _)) = rest.split_once("${")
        && !host.contains('/')
        && asset::classify_host(&format!("{scheme}://{host}/")) == AssetClass::CloudMetadata
    {
        class = AssetClass::CloudMetadata;
    }
    if text.contains("://") {
        (Target::Url(text.to_owned()), class)
    } else if text.is_empty() {
        (Target::None, AssetClass::External)
    } else {
        (Target::Host(text.to_owned()), class)
    }
}

/// Several words as one.
pub(super) fn concat(words: impl IntoIterator<Item = Word>) -> Word {
    let mut words = words.into_iter();
    // The first is taken as it is: a word that grows piece by piece must not be put together anew each time.
    let first = words.next().unwrap_or_else(|| Word { exact: true, ..Word::default() });
    let mut out = Word { stream: None, ..first };
    for word in words {
        out.text.push_str(&word.text);
        out.exact &= word.exact;
        add_flows(&mut out.from, &word.from);
    }
    out
}

/// What `$_` is behind a command that lists files: any of them.
fn listed(stream: &Stream) -> Option<Word> {
    let named = stream.from.is_empty() && stream.text.is_none();
    let place = stream.about.contains(['/', '\\']) && !stream.about.contains(['\n', '{', '$']);
    (named && place).then(|| Word { text: stream.about.clone(), ..Word::default() })
}

/// The same of a value that a command gives: its stand-in names the place.
fn as_place(word: Word) -> Word {
    let inner = word.text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    match inner.filter(|inner| word.from.is_empty() && inner.contains(['/', '\\'])) {
        Some(place) => Word { text: place.to_owned(), exact: false, ..Word::default() },
        None => word,
    }
}

/// Whether an item of a loop is more than the name of a file in the project: a place elsewhere, an address,
/// a command.
fn is_telling(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    let ordinary = [AssetClass::Project, AssetClass::Temp, AssetClass::Unknown];
    !plain || text.starts_with('/') || !ordinary.contains(&asset::classify_path(text, true))
}
