//! What a command line would do.
//!
//! A line is parsed ([`parser`], [`windows`]) and then walked with its variables, directory and files
//! ([`eval`]), as a shell would, except that nothing runs: every program it names is looked up in a table
//! of what programs do ([`table`]) and leaves [`Effect`]s. Each effect says whose data reaches it, so
//! that `curl … | sh`, `x=$(curl …); eval "$x"` and `curl -o a …; sh a` all read as the same thing.
//!
//! Where a value is not known, the stronger plausible reading is taken; where text is not read at all,
//! the coverage is partial and an effect of unknown capability stands for it.

mod arith;
mod ast;
mod budget;
mod builtins;
mod code;
mod code_words;
mod decode;
mod deeds;
mod disguise;
mod env;
mod environment;
mod eval;
mod expand;
mod given;
pub(crate) mod keys;
mod parser;
mod planted;
mod programs;
mod redirect;
mod runs;
mod special;
mod spelled;
mod state;
mod stream;
mod table;
mod talk;
mod windows;

use super::{AssetClass, Capability, Effect, Flow, Target};
use crate::decision::Coverage;

pub(crate) use code::join_literals;

use budget::{Budget, MAX_INPUT};
use eval::Eval;

pub(super) use state::LONGEST_FILE;
pub use state::State;

/// Who reads a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shell {
    /// POSIX sh, bash, zsh.
    Sh,
    /// Windows `PowerShell` and `pwsh`.
    PowerShell,
    /// The Windows command prompt.
    Cmd,
}

/// A word after expansion and quote removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The text; what is not known of it stands as `${name}`.
    pub text: String,
    /// Whether all of it is known: no unknown variable, no glob.
    pub exact: bool,
    /// The effects whose data is in it.
    pub from: Vec<Flow>,
    /// Set if it names a stream (`<(…)`, `-`), not a file: what the stream carries.
    stream: Option<Box<stream::Stream>>,
}

/// One program with its arguments, found anywhere in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Program and arguments.
    pub argv: Vec<Word>,
    /// How deep it stands: 0 on the line itself, 1 in a substitution, group or text given to a shell, …
    pub depth: u16,
    /// Whether another command's output or a file is its input.
    pub fed: bool,
    /// Whether it runs only if something else turns out so (`if`, `&&`, a loop, a function).
    pub conditional: bool,
}

/// A variable set by a line, for the program it starts or for what follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Its value, if known.
    pub value: Option<String>,
    /// Whether programs started later see it: `export`, `setx`, or set for one program.
    pub exported: bool,
}

/// What a line would do, as far as it can be read without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is done, in order.
    pub effects: Vec<Effect>,
    /// What of the line was read.
    pub coverage: Coverage,
    /// Every simple command in it, in order of execution.
    pub commands: Vec<SimpleCommand>,
    /// Every variable it sets.
    pub assignments: Vec<Assignment>,
    /// For effects that write a file or send data: the text, where the line holds it.
    pub writes: Vec<(Flow, String)>,
    /// Fuel used, for measuring: about one unit per byte looked at.
    pub cost: usize,
}

/// Reads `line` as `shell` would, or, if that is not known, as any shell that plausibly might.
///
/// Never fails: what cannot be read makes [`Reading::coverage`] partial and leaves an effect with
/// [`Capability::Unknown`]. Work is linear in the length; of lines over 256 KiB the rest is not read.
#[must_use]
pub fn read(line: &str, shell: Option<Shell>) -> Reading {
    read_after(&State::default(), line, shell).0
}

/// The same for a line that comes after others, which have left `before`; and what it leaves itself.
#[must_use]
pub fn read_after(before: &State, line: &str, shell: Option<Shell>) -> (Reading, State) {
    let Some(shell) = shell else { return read_any(before, line) };
    // A short line may run a long script that was written before.
    let mut budget = Budget::for_input(line.len().saturating_add(before.size()));
    let line = within(line, &mut budget);
    let copied = if shell == Shell::Sh { without_prompts(line) } else { None };
    let line = copied.as_deref().unwrap_or(line);
    let list = match shell {
        Shell::Sh => parser::parse(line, &mut budget),
        Shell::PowerShell => windows::parse_powershell(line, &mut budget),
        Shell::Cmd => windows::parse_cmd(line, &mut budget),
    };
    let mut eval = Eval::new(budget, shell, before);
    if shell == Shell::Sh {
        eval.note_fragment(line);
    }
    eval.line(&list);
    eval.finish(before)
}

/// Lines copied from a terminal or a manual, without the prompts before them: `$ id`, `ann@host:~# id`.
/// `None` if there are none.
fn without_prompts(text: &str) -> Option<String> {
    text.lines().any(|line| prompt_length(line) > 0).then(|| {
        let lines = text.lines().map(|line| line.get(prompt_length(line)..).unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// How many bytes of the line are a shell's prompt.
fn prompt_length(line: &str) -> usize {
    let start = line.len() - line.trim_start().len();
    let rest = line.get(start..).unwrap_or_default();
    if rest.starts_with("$ ") {
        return start + 2;
    }
    let Some(end) = rest.bytes().take(80).position(|b| matches!(b, b'$' | b'#')) else { return 0 };
    let named = |b: u8| b.is_ascii_alphanumeric() || b"@.-_:~/[]() ".contains(&b);
    let (before, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let user = before.split('@').next().unwrap_or_default();
    let spelled = before.contains('@')
        && before.bytes().all(named)
        && !user.trim_start_matches(['[', '(']).contains(' ');
    let versioned = before.starts_with("bash-") || before.starts_with("sh-") || before == "root";
    let prompt = after.get(1..).is_some_and(|command| command.starts_with(' '));
    if prompt && (spelled || (versioned && !before.contains(' '))) { start + end + 1 } else { 0 }
}

fn within<'l>(line: &'l str, budget: &mut Budget) -> &'l str {
    if line.len() <= MAX_INPUT {
        return line;
    }
    budget.gap("shell: too long");
    let end = (0..=MAX_INPUT).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    line.get(..end).unwrap_or_default()
}

/// The strongest plausible reading: as sh unless the line speaks another shell's language; what could be
/// both is read as both.
fn read_any(before: &State, line: &str) -> (Reading, State) {
    let (powershell, cmd) = windows::looks_like(line);
    if !powershell && !cmd {
        return read_after(before, line, Some(Shell::Sh));
    }
    let first = if powershell { Shell::PowerShell } else { Shell::Cmd };
    let (mut reading, after) = read_after(before, line, Some(first));
    let others = [(powershell && cmd, Shell::Cmd), (true, Shell::Sh)];
    for (plausible, shell) in others {
        if plausible {
            reading.absorb(read_after(before, line, Some(shell)).0);
        }
    }
    (reading, after)
}

impl Reading {
    /// Adds what another reading of the same line found and this one did not.
    fn absorb(&mut self, mut other: Reading) {
        // What is set counts however little else the reading tells: a doubled backslash must not hide `export`.
        let known: std::collections::HashSet<Assignment> = self.assignments.iter().cloned().collect();
        other.assignments.retain(|assignment| !known.contains(assignment));
        self.assignments.append(&mut other.assignments);
        if other
            .effects
            .iter()
            .all(|effect| tells_nothing(effect) || self.effects.iter().any(|own| same(own, effect)))
        {
            for mut command in other.commands.into_iter().filter(sets) {
                command.argv.iter_mut().for_each(|word| word.from.clear());
                self.commands.push(command);
            }
            return;
        }
        let base = self.effects.len();
        let shift = |flow: Flow| Flow::try_from(base + usize::from(flow)).unwrap_or(Flow::MAX);
        for mut effect in other.effects {
            effect.from.iter_mut().for_each(|flow| *flow = shift(*flow));
            self.effects.push(effect);
        }
        self.writes.extend(other.writes.into_iter().map(|(flow, text)| (shift(flow), text)));
        for mut command in other.commands {
            for word in &mut command.argv {
                word.from.iter_mut().for_each(|flow| *flow = shift(*flow));
            }
            self.commands.push(command);
        }
        self.cost += other.cost;
    }
}

/// Whether a command hands variables on or takes them away.
fn sets(command: &SimpleCommand) -> bool {
    let name = command.argv.first().map(|word| word.text.as_str());
    name.is_some_and(|name| matches!(name, "export" | "unset" | "declare" | "typeset"))
}

fn same(a: &Effect, b: &Effect) -> bool {
    a.capability == b.capability && (a.asset == b.asset || a.by == b.by)
}

/// Whether an effect of a second reading is what misread text leaves behind.
fn tells_nothing(effect: &Effect) -> bool {
    matches!(effect.asset, AssetClass::Unknown | AssetClass::Project)
        && (effect.from.is_empty() || matches!(effect.target, Target::Program(_)))
}

impl Word {
    /// A word whose text is known.
    #[must_use]
    pub fn known(text: impl Into<String>) -> Self {
        Self { text: text.into(), exact: true, from: Vec::new(), stream: None }
    }
}

/// The effect that stands for what was not read.
fn unread(why: String) -> Effect {
    Effect {
        capability: Capability::Unknown,
        target: Target::Other(why),
        asset: AssetClass::Unknown,
        from: Vec::new(),
        by: "shell".to_owned(),
    }
}

/// Reads code given to an interpreter called `by`, after lines that have left `before`.
#[must_use]
pub(crate) fn read_code_after(before: &State, code: &str, by: &str) -> (Reading, State) {
    let mut budget = Budget::for_input(code.len().saturating_add(before.size()));
    let code = within(code, &mut budget);
    let mut eval = Eval::new(budget, Shell::Sh, before);
    eval.run_code(&Word::known(code), by, &stream::Stream::default());
    eval.finish(before)
}

/// `text` as one word of a POSIX shell.
pub(crate) fn quote_word(text: &str) -> String {
    builtins::quote(text)
}
