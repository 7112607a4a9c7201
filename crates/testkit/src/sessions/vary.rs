//! More sessions out of the recorded ones: told by other agents in other dialects, on other systems, with other names, longer,
//! in another order, after pages that speak of what they do. The same number gives the same session, always.

use super::told::{Deed, STYLES, Style, call, deed};
use super::{Call, Session, Turn};
use serde_json::{Value, json};

/// Lines that developers type, by subject; the engine's own tests have them too.
const LINES: &str = include_str!("../../../core/tests/it/ordinary.txt");

/// Lines that read credentials. After a page and before something is sent they are asked about, and are meant to be.
const CREDENTIALS: [&str; 3] = ["get secret", "get-login-password", "cert.p12"];

/// What sends files away. A page that gives such a line word for word is not followed, and is not meant to be.
const SENDING: [&str; 4] = ["aws s3 sync", "rsync ", "scp ", "upload"];

/// Where a project lies: what file tools say, and what shells say.
const PLACES: [(&str, &str); 7] = [
    ("/home/dev", "/home/dev"),
    ("/Users/mia/src", "/Users/mia/src"),
    ("/workspaces", "/workspaces"),
    ("/root", "/root"),
    (r"C:\Users\mia\source", "/c/Users/mia/source"),
    ("/mnt/c/work", "/mnt/c/work"),
    (r"D:\a", "D:/a"),
];

/// Whose forge, hosts and pages.
const DOMAINS: [&str; 5] =
    ["example.org", "corp.example.net", "acme.example.com", "lab.example.edu", "team.example.io"];

/// The session that this number gives.
#[must_use]
pub fn varied(recorded: &[Session], number: usize) -> Option<Session> {
    let mut random = Random(number as u64 + 1);
    let base = recorded.get(number % recorded.len().max(1))?;
    let style = *STYLES.get(random.below(STYLES.len()))?;
    let (files, shell) = *PLACES.get(random.below(PLACES.len()))?;
    let mut turns = base.turns.clone();
    // Every third goes on with another task.
    if number.is_multiple_of(3) {
        let other = recorded.get(random.below(recorded.len()))?;
        turns.extend(other.turns.iter().cloned());
    }
    let mut teller = Teller { style, files, shell, domain: DOMAINS.get(random.below(DOMAINS.len()))? };
    let mut turns: Vec<Turn> = turns.iter().map(|turn| teller.turn(turn)).collect();
    interludes(&mut turns, &mut teller, &mut random);
    if number.is_multiple_of(2) {
        reads(&mut turns, &teller, &mut random);
    }
    if number % 7 == 3 {
        delegates(&mut turns, style);
    }
    reorder(&mut turns, &mut random);
    let mut tools: Vec<String> =
        turns.iter().flat_map(|turn| &turn.calls).map(|call| call.tool.clone()).collect();
    tools.sort();
    tools.dedup();
    let name = format!("{}-{number}", base.name);
    Some(Session { name, agent: style.agent.to_owned(), dialect: style.dialect.to_owned(), tools, turns })
}

/// Tells what was recorded as another agent would, elsewhere.
struct Teller {
    style: Style,
    files: &'static str,
    shell: &'static str,
    domain: &'static str,
}

impl Teller {
    fn turn(&mut self, turn: &Turn) -> Turn {
        let calls = turn.calls.iter().map(|call| self.call(call)).collect();
        Turn { typed: self.text(&turn.typed), say: self.text(&turn.say), calls }
    }

    fn call(&self, recorded: &Call) -> Call {
        let result = self.text(&recorded.result);
        let deed = match deed(recorded) {
            Deed::Command(line) => Deed::Command(self.text(&line)),
            Deed::Read(path) => Deed::Read(self.path(&path)),
            Deed::Write(path, text) => Deed::Write(self.path(&path), self.text(&text)),
            Deed::Edit { path, old, new } => {
                Deed::Edit { path: self.path(&path), old: self.text(&old), new: self.text(&new) }
            }
            Deed::Fetch(url) => Deed::Fetch(self.text(&url)),
            other => other,
        };
        // What nobody else has, this one has in its own words.
        call(self.style, &deed, &result).unwrap_or_else(|| Call { result, ..recorded.clone() })
    }

    fn text(&self, text: &str) -> String {
        text.replace("/home/dev", self.shell).replace("example.org", self.domain)
    }

    /// A path as file tools are given it.
    fn path(&self, path: &str) -> String {
        match path.strip_prefix("/home/dev") {
            Some(rest) if self.files.contains('\\') => format!("{}{}", self.files, rest.replace('/', "\\")),
            Some(rest) => format!("{}{rest}", self.files),
            None => path.to_owned(),
        }
    }

    /// Whether this is Windows without a shell of Unix.
    fn is_windows(&self) -> bool {
        self.files.contains('\\')
    }
}

/// Puts three to eight lines of one or two subjects between the turns.
fn interludes(turns: &mut Vec<Turn>, teller: &mut Teller, random: &mut Random) {
    let subjects: Vec<&str> = LINES.split("# ").filter(|subject| !subject.trim().is_empty()).collect();
    for _ in 0..=random.below(2) {
        let windows = |subject: &&&str| subject.starts_with("Windows") == teller.is_windows();
        let fitting: Vec<&&str> = subjects.iter().filter(windows).collect();
        let Some(subject) = fitting.get(random.below(fitting.len())) else { return };
        let is_fit = |line: &&str| !line.is_empty() && !CREDENTIALS.iter().any(|words| line.contains(words));
        let lines: Vec<&str> = subject.lines().skip(1).filter(is_fit).collect();
        for _ in 0..3 + random.below(2) {
            let Some(line) = lines.get(random.below(lines.len())) else { continue };
            let line = match line.split_once("> ") {
                Some(("powershell", line)) => line.to_owned(),
                Some(("cmd", line)) => format!("cmd /c \"{line}\""),
                _ => (*line).to_owned(),
            };
            let Some(made) = call(teller.style, &Deed::Command(line), "") else { continue };
            // Before the last word, after the first: a session begins with what was typed.
            let at = 1 + random.below(turns.len().saturating_sub(1).max(1));
            turns.insert(at.min(turns.len()), Turn { calls: vec![made], ..Turn::default() });
        }
    }
}

/// Has a page read first that speaks of what is done afterwards, as guides do.
fn reads(turns: &mut Vec<Turn>, teller: &Teller, random: &mut Random) {
    let commands: Vec<String> = turns
        .iter()
        .flat_map(|turn| &turn.calls)
        .filter_map(|call| {
            call.arguments.get("command").or(call.arguments.get("cmd"))?.as_str().map(str::to_owned)
        })
        .filter(|line| !SENDING.iter().any(|words| line.contains(words)))
        .collect();
    let mut page = format!(
        "# How we work\n\nThe service is at https://api.{0}/v2, its docs at https://docs.{0}/guide.\n\n```sh\n",
        teller.domain
    );
    for _ in 0..3 {
        if let Some(line) = commands.get(random.below(commands.len())) {
            page.push_str(line);
            page.push('\n');
        }
    }
    page.push_str("```\n\nInstall with `pip install tool==2.1` or `npm install --save-dev @vendor/tool`.\n");
    let url = format!("https://docs.{}/guide/{}", teller.domain, random.below(9));
    let made = match random.below(3) {
        0 => Some(Call::new("web_search", json!({"query": "how the service is used"}), &page)),
        1 => Some(Call::new("mcp__wiki__get_page", json!({"title": "How we work"}), &page)),
        _ => call(teller.style, &Deed::Fetch(url), &page),
    };
    let typed = turns.first_mut().map(|turn| std::mem::take(&mut turn.typed)).unwrap_or_default();
    turns.insert(0, Turn { typed, calls: made.into_iter().collect(), ..Turn::default() });
}

/// Has another agent do a part of it.
fn delegates(turns: &mut Vec<Turn>, style: Style) {
    let tool = match style.agent {
        "claude-code" => "Task",
        "opencode" => "task",
        "gemini-cli" => "invoke_agent",
        _ => "spawn_agent",
    };
    let prompt = "Find out where the tests of this project are and run them. Do not change anything.";
    let arguments = json!({"description": "Run the tests", "prompt": prompt, "subagent_type": "general"});
    let result = "They are in `tests`. I ran `make test`: 14 passed.";
    let made = Turn { calls: vec![Call::new(tool, arguments, result)], ..Turn::default() };
    turns.insert(1.min(turns.len()), made);
}

/// Swaps neighbours that only look, and puts some calls into one turn.
fn reorder(turns: &mut Vec<Turn>, random: &mut Random) {
    for at in 1..turns.len() {
        let only_looks = |turn: Option<&Turn>| turn.is_some_and(looks);
        if only_looks(turns.get(at - 1)) && only_looks(turns.get(at)) && random.below(2) == 0 {
            turns.swap(at - 1, at);
        }
    }
    let mut at = 1;
    while at + 1 < turns.len() {
        let is_plain = |turn: Option<&Turn>| {
            turn.is_some_and(|turn| turn.typed.is_empty() && turn.say.is_empty() && turn.calls.len() == 1)
        };
        if is_plain(turns.get(at)) && is_plain(turns.get(at + 1)) && random.below(4) == 0 {
            let calls = turns.remove(at + 1).calls;
            if let Some(turn) = turns.get_mut(at) {
                turn.calls.extend(calls);
            }
        }
        at += 1;
    }
}

/// Whether all that a turn does is to look.
fn looks(turn: &Turn) -> bool {
    let line =
        |call: &Call| call.arguments.get("command").and_then(Value::as_str).unwrap_or_default().to_owned();
    let looks = |call: &Call| {
        matches!(deed(call), Deed::Read(_) | Deed::Search(_))
            || ["ls ", "cat ", "grep ", "git log", "git status"]
                .iter()
                .any(|begin| line(call).starts_with(begin))
    };
    turn.typed.is_empty() && !turn.calls.is_empty() && turn.calls.iter().all(looks)
}

/// A generator of numbers (`SplitMix64`) that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (end.max(1) as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_told_by_every_agent() {
        let recorded = super::super::recorded();
        assert!(recorded.len() >= 30, "{}", recorded.len());
        let all: Vec<Session> = (0..170).filter_map(|number| varied(&recorded, number)).collect();
        assert_eq!(all.len(), 170);
        for style in STYLES {
            let told = |session: &&Session| session.agent == style.agent && session.dialect == style.dialect;
            assert!(all.iter().filter(told).count() >= 5, "{style:?}");
        }
        assert!(
            all.iter()
                .enumerate()
                .all(|(at, one)| all.iter().skip(at + 1).all(|other| one.turns != other.turns))
        );
        assert_eq!(varied(&recorded, 7), varied(&recorded, 7));
        let calls: usize = all.iter().map(Session::calls).sum();
        assert!(calls >= 1500, "{calls}");
        // Little of what was recorded stays in the words of its own agent.
        let own = all.iter().flat_map(|session| session.turns.iter()).flat_map(|turn| &turn.calls);
        assert!(own.filter(|call| deed(call) == Deed::Own && call.tool == "exec").count() == 0);
    }
}
