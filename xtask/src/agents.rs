//! `cargo xtask agents`: published coding agents through the real binary. Apart from the checks, because
//! installing them takes minutes and most of a gigabyte.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process::{self, Places};
use crate::{node, python, report};

/// The agents that npm installs, each with the script that puts its binary in place, if it has one.
const NODE: [(&str, &[&str]); 5] = [
    ("codex", &[]),
    ("opencode", &["opencode-ai/postinstall.mjs"]),
    ("claude-code", &["@anthropic-ai/claude-code/install.cjs"]),
    ("gemini-cli", &[]),
    ("cline", &[]),
];

/// What the caller asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The agents or families to run, as the suite names them; empty for all.
    pub only: Vec<String>,
    /// Print the results as JSON, and nothing else on standard output.
    pub json: bool,
}

/// Reads the arguments after `agents`. `Ok(None)` asks for the usage; an error is a sentence for the user.
pub fn parse(arguments: &[String]) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        let list = match argument {
            "--json" => {
                options.json = true;
                continue;
            }
            "--help" | "-h" => return Ok(None),
            "--only" => arguments.next().ok_or("--only needs a value after it")?,
            _ => argument.strip_prefix("--only=").ok_or(format!("unknown option `{argument}`"))?,
        };
        options.only.extend(list.split(',').map(str::to_owned));
    }
    Ok(Some(options))
}

/// Installs what is missing and runs the suite. `Ok(true)` means that every agent passed.
pub fn run(options: &Options) -> Result<bool, String> {
    let places = Places::find()?;
    let build = ["build", "--quiet", "--bins", "-p", "doorward", "-p", "doorward-testkit"];
    let (built, output) = process::capture(&mut places.cargo(&build))?;
    if !built.success() {
        return Err(format!("the binaries do not compile\n{output}"));
    }
    let home = places.target.join("agents");
    let sources = places.root.join("e2e").join("agents");
    let wants =
        |family: &str| options.only.is_empty() || options.only.iter().any(|name| name.starts_with(family));
    for (family, scripts) in NODE {
        if wants(family) {
            let packages = sources.join("packages").join(family);
            node::packages(&packages, &home.join(family), node::Lock::AsFarAsItGoes, scripts)?;
        }
    }
    if wants("aider") {
        python::packages(
            &sources.join("packages").join("aider.txt"),
            &home.join("aider"),
            python::Below::ThreeThirteen,
        )?;
    }
    let results = home.join("results.json");
    let mut suite = suite(&places, &home, &results, options)?;
    if !options.json {
        return Ok(process::run(&mut suite)?.0.success());
    }
    // A file of an earlier run must not be taken for this one's.
    let _ = fs::remove_file(&results);
    let (status, output) = process::capture(&mut suite)?;
    let text = fs::read_to_string(&results).map_err(|error| format!("{error}\n{output}"))?;
    report::say(text.trim_end());
    Ok(status.success())
}

fn suite(places: &Places, home: &Path, results: &Path, options: &Options) -> Result<Command, String> {
    let mut command = Command::new(python::environment(places)?);
    command
        .args(["-m", "pytest", "e2e/agents", "-p", "no:cacheprovider", "--report"])
        .arg(results)
        // Codex warns of a home in the system's folder for temporary files; and a failure can be looked at.
        .arg("--basetemp")
        .arg(home.join("run"))
        .current_dir(&places.root)
        .env("AGENTS_HOME", home)
        .env("AGENTS_ONLY", options.only.join(","))
        .env("DOORWARD_BIN", places.built("doorward"))
        .env("SCRIPTED_PROVIDER_BIN", places.built("scripted-provider"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn agents_are_named_in_one_list() {
        let expected = Options { only: vec!["codex".to_owned(), "aider".to_owned()], json: true };
        assert_eq!(read("--only codex,aider --json"), Ok(Some(expected)));
        assert_eq!(read(""), Ok(Some(Options::default())));
        assert_eq!(read("--only=codex --help"), Ok(None));
        assert_eq!(read("--onyl codex"), Err("unknown option `--onyl`".to_owned()));
        assert_eq!(read("--only"), Err("--only needs a value after it".to_owned()));
    }
}
