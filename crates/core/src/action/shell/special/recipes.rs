//! Programs that run what another file lists: recipes of makefiles, scripts of `package.json`.
//!
//! A file written before, in this line or by an earlier call, is read here as the lines it would run, so that
//! hiding a command in a makefile and then saying `make` reads like saying the command.

use super::super::eval::Eval;
use super::super::programs::Call;
use super::super::stream::Stream;
use super::super::{Shell, Word};
use crate::action::{AssetClass, Capability, Target};
use crate::syntax::json;

/// More recipe lines than this are not told apart.
const MOST_LINES: usize = 512;

/// What npm and its kin run by themselves when packages are installed.
const LIFECYCLE: [&str; 7] =
    ["preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare"];

/// What builds packages of Python.
const BUILDERS: [&str; 8] = ["pip", "uv", "poetry", "hatch", "pdm", "python", "pypy", "pyproject-build"];

impl Eval {
    pub(super) fn recipe_program(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        match call.name {
            "make" | "gmake" | "bmake" => self.makefile(call, stdin),
            "deno" | "bun" if self.page_run(call) => Some(Stream::silent()),
            name if BUILDERS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')) => {
                self.built(call, stdin);
                None
            }
            "npm" | "pnpm" | "yarn" | "bun" => {
                self.package_scripts(call, stdin);
                None
            }
            "expr" => {
                let words: Vec<&str> = call.args.iter().map(|word| word.text.as_str()).collect();
                self.number(&words.join(" ")).map(printed)
            }
            "bc" => {
                let text = stdin.text.clone()?;
                self.number(text.trim().trim_end_matches(';')).map(printed)
            }
            _ => None,
        }
    }

    /// `deno run -A https://…`, `bun x https://…`: code of a page that anybody may have written.
    fn page_run(&mut self, call: &Call<'_>) -> bool {
        const KNOWN: [&str; 9] = [
            "deno.land",
            "jsr.io",
            "esm.sh",
            "github.com",
            "githubusercontent.com",
            "gitlab.com",
            "npmjs.org",
            "jsdelivr.net",
            "unpkg.com",
        ];
        let words = || call.args.iter().map(|word| word.text.as_str());
        let verb = words().find(|word| !word.starts_with('-')).unwrap_or_default();
        let Some(url) = words().find(|word| word.starts_with("https://") || word.starts_with("http://"))
        else {
            return false;
        };
        let free = call.name == "bun"
            || words().any(|word| matches!(word, "-A" | "--allow-all") || word.starts_with("--allow-run"));
        if !matches!(verb, "run" | "x" | "serve") || !free || KNOWN.iter().any(|host| url.contains(host)) {
            return false;
        }
        let url = url.to_owned();
        let flow = self.fetch(&url, &[], call.name);
        self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &[flow], call.name);
        true
    }

    fn makefile(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        let given = call.value(&["-f", "--file", "--makefile"]).cloned();
        let text = match &given {
            Some(word) if matches!(word.text.as_str(), "-" | "/dev/stdin") => {
                stdin.text.clone().or_else(|| stdin.present.then(String::new))
            }
            Some(word) => self.written_text(call, &word.text),
            None => {
                ["GNUmakefile", "makefile", "Makefile"].iter().find_map(|name| self.written_text(call, name))
            }
        }?;
        let from = stdin.from.clone();
        let mut out = self.plain(&without_file(call), &Stream::default());
        for recipe in recipes(&text) {
            if !self.budget.spend(recipe.len()) {
                break;
            }
            let word = Word { text: recipe, exact: true, from: from.clone(), stream: None };
            self.conditions += 1;
            let ran = self.apart(|eval| eval.execute_text(&word, Shell::Sh, call.name, &Stream::default()));
            self.conditions -= 1;
            out.append(ran);
        }
        if text.is_empty() && !from.is_empty() {
            // A makefile that comes from elsewhere runs whatever it says.
            let word = Word { text: "${makefile}".to_owned(), exact: false, from, stream: None };
            self.execute_text(&word, Shell::Sh, call.name, &Stream::default());
        }
        Some(out)
    }

    fn package_scripts(&mut self, call: &Call<'_>, stdin: &Stream) {
        let words: Vec<&str> =
            call.args.iter().map(|word| word.text.as_str()).filter(|word| !word.starts_with('-')).collect();
        if let ["pkg", "set", settings @ ..] = words.as_slice() {
            let set = settings.iter().filter_map(|setting| setting.strip_prefix("scripts."));
            let commands: Vec<String> = set
                .filter_map(|setting| setting.split_once('='))
                .map(|(_, value)| value.to_owned())
                .collect();
            commands.into_iter().for_each(|line| self.later(&line, call, stdin));
            return;
        }
        if let ["set-script", _, line, ..] = words.as_slice() {
            let line = (*line).to_owned();
            self.later(&line, call, stdin);
            return;
        }
        let Some(text) = self.written_text(call, "package.json") else { return };
        let Ok(node) = json::parse(text.as_bytes()) else { return };
        let Some(scripts) = node.get("scripts") else { return };
        let named = match words.as_slice() {
            ["run" | "run-script", name, ..] | [name, ..] => *name,
            [] => "install",
        };
        let installs = matches!(named, "install" | "i" | "ci" | "add" | "update" | "up");
        let runs = |key: &str| {
            let own =
                key == named || key.strip_prefix("pre").or_else(|| key.strip_prefix("post")) == Some(named);
            own || installs && LIFECYCLE.contains(&key)
        };
        let lines: Vec<String> = scripts
            .members()
            .iter()
            .filter(|member| runs(&member.key))
            .filter_map(|member| member.value.as_str().map(str::to_owned))
            .take(MOST_LINES)
            .collect();
        lines.into_iter().for_each(|line| self.later(&line, call, stdin));
    }

    /// What building or installing a package of Python runs of it: `python3 -m build`, `pip install .`
    fn built(&mut self, call: &Call<'_>, stdin: &Stream) {
        let words: Vec<&str> = call.args.iter().map(|word| word.text.as_str()).collect();
        let here = |word: &&str| matches!(*word, "." | "./" | "-e" | "wheel") || word.starts_with(".[");
        let builds = match words.as_slice() {
            ["-m", "build", ..] | ["build", ..] => true,
            ["-m", "pip", rest @ ..] | rest => {
                rest.iter().any(|word| matches!(*word, "install" | "wheel")) && rest.iter().any(here)
            }
        };
        if !(builds || call.name == "pyproject-build") || self.env.files.is_empty() {
            return;
        }
        let script = Word::known("setup.py");
        let (path, exact) = self.path(&script);
        if self.env.file_at(&path).is_some_and(|file| file.text.is_some()) {
            self.execute_path(&path, exact, Some("python3"), &[script], stdin);
        }
    }

    /// A line that a program will run.
    fn later(&mut self, line: &str, call: &Call<'_>, stdin: &Stream) {
        if !self.budget.spend(line.len()) {
            return;
        }
        self.conditions += 1;
        self.apart(|eval| eval.execute_text(&Word::known(line), Shell::Sh, call.name, stdin));
        self.conditions -= 1;
    }

    /// The text of a file that was written before, in the directory the program is told to work in.
    fn written_text(&self, call: &Call<'_>, name: &str) -> Option<String> {
        if self.env.files.is_empty() {
            return None;
        }
        let directory = call.value(&["-C", "--directory", "--prefix"]).map(|word| word.text.as_str());
        let place = directory.map_or_else(|| name.to_owned(), |directory| format!("{directory}/{name}"));
        let (path, _) = self.path(&Word::known(place));
        self.env.file_at(&path)?.text.map(|text| text.to_string())
    }
}

fn printed(number: i64) -> Stream {
    Stream { present: true, ..Stream::of_text(format!("{number}\n")) }
}

/// The call without the makefile it names: that is no shell script.
fn without_file<'c>(call: &Call<'c>) -> Call<'c> {
    let uses = call.uses.iter().filter(|(role, _)| *role != b'x').cloned().collect();
    Call {
        row: call.row,
        name: call.name,
        args: call.args,
        uses,
        flags: call.flags.clone(),
        values: call.values.clone(),
        operands: call.operands.clone(),
        rest: Vec::new(),
        traits: call.traits.clone(),
    }
}

/// The command lines of a makefile: what is indented by a tab, what follows `;` behind a target, and what
/// `$(shell …)` and `!=` run while it is read (GNU make's manual, sections 5 and 8.14).
fn recipes(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut out = Vec::new();
    for line in joined.lines() {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("$(shell ") {
            out.push(plain_recipe(up_to_bracket(after)));
            rest = after;
            if out.len() >= MOST_LINES {
                return out;
            }
        }
        if let Some(recipe) = line.strip_prefix('\t') {
            out.push(plain_recipe(recipe));
        } else if let Some((_, command)) = line.split_once("!=") {
            out.push(plain_recipe(command));
        } else if let Some((_, command)) = line.split_once(':').and_then(|(_, after)| after.split_once(';')) {
            out.push(plain_recipe(command));
        }
        if out.len() >= MOST_LINES {
            break;
        }
    }
    out
}

/// What stands before the bracket that closes.
fn up_to_bracket(text: &str) -> &str {
    let mut depth = 1usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}

/// A recipe as the shell gets it: without the marks before it, `$$` as `$`, `$(NAME)` as `${NAME}`.
fn plain_recipe(recipe: &str) -> String {
    let text = recipe.trim().trim_start_matches(['@', '-', '+']).trim_start();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|after| after.split_once(')'))
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            out.push_str("${");
            out.push_str(name);
            out.push('}');
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::recipes;

    #[test]
    fn recipes_are_found_wherever_make_runs_them() {
        let text = "V := $(shell id -u $(who))\nW != date\nall: a b ; @echo one\n\t-rm -rf $$HOME/x \\\n\t  $(OUT)\n.PHONY: all\n";
        assert_eq!(recipes(text), ["id -u ${who}", "date", "echo one", "rm -rf $HOME/x  \t  ${OUT}"]);
        assert!(recipes("A := 1\ninclude x.mk\nall: a\n").is_empty());
    }

    #[test]
    fn a_long_makefile_is_read_up_to_a_bound() {
        assert_eq!(recipes(&"x:;a $(shell b)\n".repeat(2000)).len(), super::MOST_LINES);
    }
}
