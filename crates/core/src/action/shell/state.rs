//! What outlives a line: the part of a shell, and of the files around it, that a later line finds.
//!
//! A value: the line before gives it, the next one takes it. What came from elsewhere (a download, a
//! credential) is kept as effects, and a later line that uses it has them among its own, so that
//! `curl -o a …` and then `sh a` reads like both in one line.

use std::collections::HashMap;
use std::sync::Arc;

use super::env::{Env, File};
use super::redirect::Sink;
use super::{Reading, Word};
use crate::action::{Capability, Effect, Flow, Written, asset};

/// How many files, variables, aliases and links are kept, each. Of files, those written last.
const MOST: usize = 256;

/// How many functions are kept.
const MOST_FUNCTIONS: usize = 64;

/// How many bytes of text are kept: what was written, and values of variables.
const MOST_TEXT: usize = 1 << 20;

/// How many effects are kept.
const MOST_EFFECTS: usize = 512;

/// How many files that one call writes are told.
const MOST_WRITTEN: usize = 32;

/// The longest text of one file that is followed.
pub(in crate::action) const LONGEST_FILE: usize = 256 * 1024;

/// What lines before have left behind. Cheap to clone.
#[derive(Clone, Default)]
pub struct State(Option<Arc<Kept>>);

#[derive(Clone, Default, PartialEq)]
pub(super) struct Kept {
    pub(super) env: Env,
    /// Where what is in `env` comes from: flows there are indices into this.
    pub(super) effects: Vec<Effect>,
    /// What was typed since the last Return.
    typed: super::keys::Typed,
}

impl std::fmt::Debug for State {
    /// How much there is, never what: it may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept = self.0.as_deref();
        f.debug_struct("State")
            .field("files", &kept.map_or(0, |kept| kept.env.files.len()))
            .field("variables", &kept.map_or(0, |kept| kept.env.vars.len()))
            .finish_non_exhaustive()
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

impl Eq for State {}

impl State {
    /// A session of which what came before is not known: its directory could be any.
    #[must_use]
    pub fn unknown() -> Self {
        let directory = Some(Word { text: "${PWD}".to_owned(), ..Word::default() });
        Self::of(Kept { env: Env { directory, ..Env::default() }, ..Kept::default() })
    }

    fn of(kept: Kept) -> Self {
        Self(Some(Arc::new(kept)))
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let Some(kept) = &self.0 else { return 0 };
        let files = kept.env.files.iter().map(|(path, file)| path.len() + file.text_len() + 128);
        let vars = kept.env.vars.iter().map(|(name, values)| name.len() + text_of_values(values) + 128);
        let targets = kept.effects.iter().map(|effect| effect.target.as_str().len() + 160);
        256 + files.sum::<usize>() + vars.sum::<usize>() + targets.sum::<usize>()
    }

    /// What a line that follows begins with.
    pub(super) fn begin(&self) -> (Env, Vec<Effect>) {
        self.0.as_ref().map(|kept| (kept.env.clone(), kept.effects.clone())).unwrap_or_default()
    }

    /// What is left when a line has ended in `env`, with `effects`.
    pub(super) fn after(&self, mut env: Env, effects: &[Effect]) -> Self {
        env.args.clear();
        env.pipes = false;
        env.stayed = None;
        if env.is_plain() && self.is_empty() {
            return Self::default();
        }
        let typed = self.0.as_ref().map(|kept| kept.typed.clone()).unwrap_or_default();
        bound(&mut env);
        let effects = gather(&mut env, effects);
        Self::of(Kept { env, effects, typed })
    }

    /// What `path` stands for, if it leads over a link that was made before.
    #[must_use]
    pub fn through_links(&self, path: &str) -> Option<String> {
        let kept = self.0.as_ref().filter(|kept| !kept.env.links.is_empty())?;
        let path = asset::normalise_path(path);
        let through = kept.env.through_links(path.clone());
        (through != path).then_some(through)
    }

    /// The files that were written since `before` and whose content is known, in the order of their writing.
    pub(in crate::action) fn written_since(&self, before: &Self) -> Vec<Written> {
        let Some(kept) = &self.0 else { return Vec::new() };
        let clock = before.0.as_ref().map_or(0, |kept| kept.env.clock);
        let new = kept.env.files.iter().filter(|(_, file)| file.written > clock);
        let mut found: Vec<(u64, Written)> = new
            .filter_map(|(path, file)| {
                Some((file.written, Written::of(path, file.bytes()?, file.is_whole())))
            })
            .collect();
        found.sort_unstable_by_key(|(written, _)| *written);
        found.into_iter().map(|(_, written)| written).take(MOST_WRITTEN).collect()
    }

    fn change(&mut self, change: impl FnOnce(&mut Kept)) {
        let kept = self.0.get_or_insert_with(Arc::default);
        change(Arc::make_mut(kept));
    }

    /// The same in another directory, as a call's argument names it.
    #[must_use]
    pub fn in_directory(&self, directory: &str) -> Self {
        let mut state = self.clone();
        let exact = !directory.contains(['*', '$', '%']);
        state.change(|kept| {
            let text = kept.place(directory);
            kept.env.directory = Some(Word { text, exact, ..Word::default() });
        });
        state
    }

    /// The same, in the directory, with the variables and functions of `shell`: each command has a shell of
    /// its own, and only files outlive it.
    #[must_use]
    pub fn in_fresh_shell_of(&self, shell: &Self) -> Self {
        let Some(kept) = &self.0 else { return Self::default() };
        let (before, _) = shell.begin();
        let (files, links, clock) = (kept.env.files.clone(), kept.env.links.clone(), kept.env.clock);
        let mut env = Env { files, links, clock, directory: before.directory, ..Env::default() };
        let mut typed = kept.typed.clone();
        typed.clear();
        let effects = gather(&mut env, &kept.effects);
        Self::of(Kept { env, effects, typed })
    }

    /// A file tool writes `text` to `path`.
    pub fn write(&mut self, path: &str, text: &str) {
        self.change(|kept| {
            let path = kept.place(path);
            let text = (text.len() <= LONGEST_FILE).then(|| Arc::from(text));
            kept.put(path, File { text, ..File::default() });
        });
    }

    /// A file tool writes `bytes`, which need not be text, to `path`.
    pub fn write_bytes(&mut self, path: &str, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) => self.write(path, &text),
            Err(error) => self.change(|kept| {
                let bytes = error.as_bytes();
                let raw = (bytes.len() <= LONGEST_FILE).then(|| bytes.into());
                let path = kept.place(path);
                kept.put(path, File { raw, ..File::default() });
            }),
        }
    }

    /// `path` from the directory that is known, as it is spelled in what is kept.
    #[must_use]
    pub fn place(&self, path: &str) -> String {
        self.0.as_ref().map_or_else(|| asset::normalise_path(path), |kept| kept.place(path))
    }

    /// A file tool puts `new` in the place of `old` in the file at `path`; with no `old`, somewhere in it.
    pub fn edit(&mut self, path: &str, old: &str, new: &str) {
        self.change(|kept| {
            let path = kept.place(path);
            let mut file = kept.env.file_at(&path).unwrap_or(File { pieces: true, ..File::default() });
            let text = file.text.as_deref().unwrap_or_default();
            let replaced = if !old.is_empty() && text.contains(old) {
                text.replacen(old, new, 1)
            } else {
                // Where it goes is not known: what was written stands after what was there.
                file.pieces = true;
                format!("{text}\n{new}")
            };
            file.text = (replaced.len() <= LONGEST_FILE).then(|| replaced.into());
            kept.put(path, file);
        });
    }

    /// A file tool moves or copies the file at `from` to `to`: what was known of it is known of both.
    pub fn copy(&mut self, from: &str, to: &str) {
        self.change(|kept| {
            let (from, to) = (kept.place(from), kept.place(to));
            let link = kept.env.links.get(&from).cloned();
            if let Some(file) = kept.env.file_at(&from) {
                kept.put(to, file);
            } else if let Some(link) = link {
                kept.env.links.insert(to, link);
            }
        });
    }

    /// A file tool deletes the file at `path`.
    pub fn delete(&mut self, path: &str) {
        if self.is_empty() {
            return;
        }
        self.change(|kept| {
            let path = kept.place(path);
            kept.env.files.remove(&path);
            kept.env.links.remove(&path);
        });
    }

    /// Keys are pressed; the lines that this runs.
    pub fn press(&mut self, keys: &[super::keys::Key]) -> Vec<super::keys::Line> {
        let mut lines = Vec::new();
        self.change(|kept| lines = kept.typed.press(keys));
        lines
    }
}

impl Kept {
    fn place(&self, path: &str) -> String {
        let path = asset::normalise_path(path);
        match &self.env.directory {
            Some(directory) if asset::is_relative(&path) => {
                asset::normalise_path(&format!("{}/{path}", directory.text))
            }
            _ => path,
        }
    }

    fn put(&mut self, path: String, file: File) {
        // A file is a file again, whatever link had its name.
        self.env.links.remove(&path);
        self.env.put(path, file);
        bound(&mut self.env);
    }
}

/// Keeps what is within bounds, files written last before others.
fn bound(env: &mut Env) {
    if env.files.len() > MOST {
        let mut ages: Vec<u64> = env.files.values().map(|file| file.written).collect();
        ages.sort_unstable();
        let oldest = ages.get(ages.len() - MOST).copied().unwrap_or_default();
        env.files.retain(|_, file| file.written >= oldest);
    }
    keep(&mut env.vars);
    env.lost |= env.functions.len() > MOST_FUNCTIONS;
    if env.lost {
        env.functions.clear();
    }
    keep(&mut env.aliases);
    keep(&mut env.links);
    env.descriptors.truncate(16);
    let mut left = MOST_TEXT;
    env.vars.retain(|_, values| take(&mut left, text_of_values(values)));
    env.aliases.retain(|_, text| take(&mut left, text.len()));
    let mut files: Vec<&mut File> = env.files.values_mut().collect();
    files.sort_unstable_by_key(|file| std::cmp::Reverse(file.written));
    for file in files {
        if !take(&mut left, file.text_len()) {
            (file.text, file.raw) = (None, None);
        }
    }
    let far = |directory: &Word| directory.text.len() > 4096;
    if env.directory.as_ref().is_some_and(far) {
        env.directory = Some(Word { text: "${PWD}".to_owned(), ..Word::default() });
    }
}

fn keep<V>(map: &mut HashMap<String, V>) {
    let mut left = MOST;
    map.retain(|_, _| take(&mut left, 1));
}

fn take(left: &mut usize, size: usize) -> bool {
    let rest = left.checked_sub(size);
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

fn text_of_values(values: &[Vec<Word>]) -> usize {
    values.iter().flatten().map(|word| word.text.len()).sum()
}

/// The effects that `env` comes from, and `env` with flows into them. That a file was written is no origin: what
/// was written into it is.
fn gather(env: &mut Env, effects: &[Effect]) -> Vec<Effect> {
    let mut files: Vec<&mut File> = env.files.values_mut().collect();
    files.sort_unstable_by_key(|file| std::cmp::Reverse(file.written));
    let words: Vec<&mut Word> = env.vars.values_mut().flatten().flatten().chain(&mut env.directory).collect();
    let mut needed = Needed { effects, marked: vec![false; effects.len()], origins: 0 };
    files.iter().for_each(|file| needed.mark(&file.from));
    words.iter().for_each(|word| needed.mark(&word.from));
    for (_, sink) in &env.descriptors {
        match sink {
            Sink::Socket(_, Some(flow)) => needed.mark(&[*flow]),
            Sink::File(word, _) => needed.mark(&word.from),
            _ => {}
        }
    }
    let (kept, origins) = needed.keep();
    for file in files {
        file.from = origins.of(&file.from);
    }
    for word in words {
        word.stream = None;
        word.from = origins.of(&word.from);
    }
    for (_, sink) in &mut env.descriptors {
        match sink {
            Sink::Socket(_, Some(flow)) => match origins.of(&[*flow]).first() {
                Some(kept) => *flow = *kept,
                None => *sink = Sink::Terminal,
            },
            Sink::File(word, _) => (word.stream, word.from) = (None, origins.of(&word.from)),
            _ => {}
        }
    }
    kept
}

/// What a file, a word or a write comes from at most, so that one thing written from many costs no more than others.
const MOST_ORIGINS: usize = 32;

/// The effects that something comes from. What is marked first is kept first.
///
/// Each effect is looked at once on the way back and once on the way forth, however many ways lead to it: 215 bytes of a
/// line that evaluates itself made a walk along every way take twenty seconds.
struct Needed<'e> {
    effects: &'e [Effect],
    marked: Vec<bool>,
    /// How many of those marked will be kept.
    origins: usize,
}

impl Needed<'_> {
    fn mark(&mut self, flows: &[Flow]) {
        let mut open: Vec<Flow> = flows.to_vec();
        while let Some(flow) = open.pop() {
            let at = usize::from(flow);
            let (Some(effect), Some(marked)) = (self.effects.get(at), self.marked.get_mut(at)) else {
                continue;
            };
            let written = effect.capability == Capability::WriteFile;
            if *marked || !written && self.origins >= MOST_EFFECTS {
                continue;
            }
            *marked = true;
            self.origins += usize::from(!written);
            open.extend(&effect.from);
        }
    }

    /// The origins among what is marked, and where each effect has gone. Effects come from earlier ones.
    fn keep(self) -> (Vec<Effect>, Origins) {
        let mut kept = Vec::with_capacity(self.origins);
        let mut origins = Origins(Vec::with_capacity(self.effects.len()));
        for (effect, marked) in self.effects.iter().zip(&self.marked) {
            let mut own = if *marked { origins.of(&effect.from) } else { Vec::new() };
            if *marked && effect.capability != Capability::WriteFile {
                let place = Flow::try_from(kept.len()).unwrap_or(Flow::MAX);
                kept.push(Effect { from: own, ..effect.clone() });
                own = vec![place];
            }
            origins.0.push(own);
        }
        (kept, origins)
    }
}

/// For each effect that was: the effects that are kept in its stead.
struct Origins(Vec<Vec<Flow>>);

impl Origins {
    fn of(&self, flows: &[Flow]) -> Vec<Flow> {
        let mut out = Vec::new();
        for flow in flows.iter().filter_map(|flow| self.0.get(usize::from(*flow))).flatten() {
            if out.len() >= MOST_ORIGINS {
                break;
            }
            if !out.contains(flow) {
                out.push(*flow);
            }
        }
        out
    }
}

/// `reading` without the first `earlier` effects, which lines before have left, but for those that it uses.
pub(super) fn own(mut reading: Reading, earlier: usize) -> Reading {
    if earlier == 0 {
        return reading;
    }
    let mut used = vec![false; earlier];
    let words = reading.commands.iter().flat_map(|command| &command.argv).flat_map(|word| &word.from);
    let later = reading.effects.iter().skip(earlier).flat_map(|effect| &effect.from);
    for flow in later.chain(words) {
        if let Some(used) = used.get_mut(usize::from(*flow)) {
            *used = true;
        }
    }
    for at in (0..earlier).rev() {
        if used.get(at) != Some(&true) {
            continue;
        }
        let from = reading.effects.get(at).map(|effect| effect.from.clone()).unwrap_or_default();
        for flow in from {
            if let Some(used) = used.get_mut(usize::from(flow)) {
                *used = true;
            }
        }
    }
    let mut gone = 0;
    let mut places = Vec::with_capacity(earlier);
    for (at, used) in used.iter().enumerate() {
        places.push(at - gone);
        gone += usize::from(!used);
    }
    let place = |flow: &mut Flow| {
        let at = usize::from(*flow);
        let at = places.get(at).copied().unwrap_or(at.saturating_sub(gone));
        *flow = Flow::try_from(at).unwrap_or(Flow::MAX);
    };
    let mut at = 0;
    reading.effects.retain(|_| {
        at += 1;
        used.get(at - 1).copied().unwrap_or(true)
    });
    reading.effects.iter_mut().flat_map(|effect| &mut effect.from).for_each(place);
    let words = reading.commands.iter_mut().flat_map(|command| &mut command.argv);
    words.flat_map(|word| &mut word.from).for_each(place);
    reading.writes.iter_mut().for_each(|(flow, _)| place(flow));
    reading
}
