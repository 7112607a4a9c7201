//! `python -m MODULE …`: the module is the program, and what comes in is its data. Only an interpreter
//! that is given no program runs what comes in.

use super::super::builtins::feeding;
use super::super::eval::Eval;
use super::super::programs::Call;
use super::super::stream::{Stream, add_flows};
use super::super::{Word, table};
use crate::action::{AssetClass, Capability, Target};

/// Options of the interpreter that take a value of their own.
const VALUED: [char; 3] = ['W', 'X', 'Q'];

impl Eval {
    pub(super) fn python_module(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        let plain = call.name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        if !matches!(plain, "python" | "pypy" | "py") {
            return None;
        }
        let (module, args) = module_of(call.args)?;
        match module.text.as_str() {
            // A prompt: what comes in is typed at it.
            "code" | "asyncio" | "IPython" | "idlelib" => None,
            "http.server" | "SimpleHTTPServer" | "CGIHTTPServer" | "uploadserver" | "pyftpdlib" => {
                Some(self.serves(call, args))
            }
            "pdb"
            | "cProfile"
            | "profile"
            | "trace"
            | "runpy"
            | "debugpy"
            | "viztracer"
            | "memory_profiler"
            | "kernprof"
            | "coverage"
            | "torch.distributed.run"
            | "torch.distributed.launch" => Some(self.script_under(call, args, stdin)),
            "timeit" => {
                let mut out = Stream::silent();
                for code in args.iter().filter(|word| !word.text.starts_with('-')) {
                    out.append(self.run_code(code, call.name, stdin));
                }
                Some(out)
            }
            "zipfile" => Some(self.unpacks(&["unzip"], "-d", call, args, stdin)),
            "tarfile" => Some(self.unpacks(&["tar", "-xf"], "-C", call, args, stdin)),
            name => Some(self.module(name, call, args, stdin)),
        }
    }

    /// A module that was written before, one that is a program by its own name, or any other.
    fn module(&mut self, name: &str, call: &Call<'_>, args: &[Word], stdin: &Stream) -> Stream {
        let base = name.replace('.', "/");
        for file in [format!("{base}.py"), format!("{base}/__main__.py")] {
            let word = Word::known(file);
            let (path, exact) = self.path(&word);
            if self.env.files.contains_key(&path) {
                let argv = [std::slice::from_ref(&word), args].concat();
                return self.execute_path(&path, exact, Some(call.name), &argv, stdin);
            }
        }
        let known = table::lookup(name, self.shell).is_some_and(|row| !row.is("shell") && !row.is("code"));
        if known {
            let program = Word::known(name);
            return self.run(&[std::slice::from_ref(&program), args].concat(), stdin);
        }
        let target = Target::Program(call.name.to_owned());
        let flow = self.effect(Capability::Execute, target, AssetClass::Project, &[], call.name);
        let mut from = feeding(args, stdin);
        add_flows(&mut from, &[flow]);
        Stream::of_flows(from, format!("{name} {}", stdin.said().unwrap_or_default()))
    }

    /// A web server over a directory: who connects reads what lies there.
    fn serves(&mut self, call: &Call<'_>, args: &[Word]) -> Stream {
        let given = args.iter().position(|word| matches!(word.text.as_str(), "-d" | "--directory"));
        let directory = given.and_then(|at| args.get(at + 1)).cloned().unwrap_or_else(|| Word::known("."));
        let served = self.read_file(&directory, call.name);
        let target = Target::None;
        self.effect(Capability::NetworkListen, target, AssetClass::Internal, &served.from, call.name);
        Stream::silent()
    }

    /// A module that runs a script, or another module, under its eyes.
    fn script_under(&mut self, call: &Call<'_>, args: &[Word], stdin: &Stream) -> Stream {
        let rest = match args {
            [first, rest @ ..] if matches!(first.text.as_str(), "run" | "record") => rest,
            args => args,
        };
        if module_of(rest).is_some() {
            let python = Word::known(call.name);
            return self.run(&[std::slice::from_ref(&python), rest].concat(), stdin);
        }
        let script = rest.iter().position(|word| !word.text.starts_with('-') && word.text.contains(".py"));
        match script.and_then(|at| rest.get(at..)).and_then(<[Word]>::split_first) {
            Some((script, rest)) => self.run_script(call.name, script, rest, stdin),
            None => self.module("", call, args, stdin),
        }
    }

    /// `-m zipfile -e ARCHIVE DIRECTORY`, and `-c` and `-l` beside it.
    fn unpacks(
        &mut self,
        program: &[&str],
        into: &str,
        call: &Call<'_>,
        args: &[Word],
        stdin: &Stream,
    ) -> Stream {
        match args {
            [flag, archive, directory, ..] if matches!(flag.text.as_str(), "-e" | "--extract") => {
                let mut argv: Vec<Word> = program.iter().map(|name| Word::known(*name)).collect();
                argv.extend([archive.clone(), Word::known(into), directory.clone()]);
                self.run(&argv, stdin)
            }
            [flag, archive, files @ ..] if matches!(flag.text.as_str(), "-c" | "--create") => {
                let argv = [Word::known("zip"), archive.clone()];
                self.run(&[argv.as_slice(), files].concat(), stdin)
            }
            args => self.module("", call, args, stdin),
        }
    }
}

/// The module that is run, and its arguments. Nothing if code or a script comes first.
fn module_of(args: &[Word]) -> Option<(Word, &[Word])> {
    let mut rest = args;
    while let [word, after @ ..] = rest {
        let letters = word.text.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
        let at = letters.find(|c| c == 'c' || c == 'm' || VALUED.contains(&c));
        rest = match at.map(|at| letters.split_at(at)) {
            None => after,
            Some((_, found)) => {
                let (option, value) = found.split_at_checked(1)?;
                let (value, after) = match (value, after) {
                    ("", [value, after @ ..]) => (value.clone(), after),
                    ("", []) => return None,
                    (value, after) => (Word { text: value.to_owned(), ..word.clone() }, after),
                };
                match option {
                    "m" => return Some((value, after)),
                    "c" => return None,
                    _ => after,
                }
            }
        };
    }
    None
}
