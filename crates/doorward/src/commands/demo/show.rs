//! What is seen of the demonstration: lines for a person as it happens, or one JSON document at the end.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;

use doorward_ledger::canonical::{Object, Value, parse_relaxed};

use super::evidence::{Effect, Judged};
use super::scenes::{Scene, Trick};
use super::{Books, Step};
use crate::serve::Running;
use crate::terminal::print;

/// Columns.
const WIDTH: usize = 80;
/// Where text begins, behind its label.
const MARGIN: usize = 17;

/// The renderer.
pub struct Show {
    /// The document, if one is wanted instead of lines.
    document: Option<Object>,
    steps: Vec<Value>,
    /// Scenes shown so far.
    shown: usize,
    coloured: bool,
    ok: bool,
    /// The place of the first blocked call's receipt.
    first_block: Option<u64>,
    /// The judged calls, a line each.
    rows: Vec<String>,
    dialect: &'static str,
}

#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

impl Show {
    pub fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            document: json.then(Object::new),
            steps: Vec::new(),
            shown: 0,
            coloured: !plain && std::io::stdout().is_terminal(),
            ok: true,
            first_block: None,
            rows: Vec::new(),
            dialect: "",
        }
    }

    /// The place of the first blocked call's receipt.
    pub const fn first_block(&self) -> Option<u64> {
        self.first_block
    }

    pub fn opening(&mut self, running: &Running, provider: SocketAddr) {
        if let Some(document) = &mut self.document {
            let firewall = Object::new()
                .with("data", running.data.to_string())
                .with("control", running.control.to_string())
                .with("mode", running.gateway.mode().as_str());
            document.set("firewall", firewall);
            document.set("provider", provider.to_string());
            return;
        }
        self.line(&format!("Doorward {}: the demonstration", env!("CARGO_PKG_VERSION")), Tone::Bold);
        self.line("A real firewall, a malicious provider, and an agent that runs nothing.", Tone::Plain);
        self.line(
            &format!("  agent  ─▶  doorward {}  ─▶  provider {provider}, not trusted", running.data),
            Tone::Dim,
        );
    }

    /// One scene, as it went.
    pub fn step(&mut self, step: Step) {
        self.ok &= step.unmet.is_empty();
        let block = step.judged.iter().find(|judged| judged.verdict == "block");
        self.first_block = self.first_block.or(block.map(|judged| judged.index));
        if self.document.is_some() {
            self.steps.push(step_value(&step));
            return;
        }
        self.blank();
        self.shown += 1;
        self.line(&format!("{}. {}", self.shown, step.scene.title), Tone::Bold);
        let dialect = std::mem::replace(&mut self.dialect, step.scene.dialect.as_str());
        if dialect != self.dialect {
            self.field("protocol", self.dialect, Tone::Dim);
        }
        self.field("agent asks", step.scene.asks, Tone::Plain);
        self.proposed(step.scene);
        for judged in &step.judged {
            self.judged(judged);
            self.rows.push(row(judged));
        }
        self.broken_off(&step);
        self.received(&step);
        self.ended(&step);
        self.unmet(&step.unmet);
    }

    fn proposed(&self, scene: &Scene) {
        let says = if scene.trick == Trick::Endless {
            format!("{}… without end", scene.says)
        } else {
            scene.says.to_owned()
        };
        self.field("provider sends", &says, Tone::Plain);
        for call in scene.calls {
            let decoy = if scene.trick == Trick::TwoNames { "Read, and also " } else { "" };
            self.field("", &format!("{decoy}{} {}", call.tool, call.arguments), Tone::Plain);
        }
    }

    fn judged(&self, judged: &Judged) {
        let effects: Vec<String> = judged.effects.iter().map(effect_words).collect();
        let tone = if judged.verdict == "block" { Tone::Bad } else { Tone::Good };
        let verdict = judged.verdict.to_uppercase();
        self.field("doorward", &format!("{verdict} {}, risk {} of 100", judged.tool, judged.risk), tone);
        self.field("", &format!("it {}", joined(&effects)), Tone::Plain);
        for reason in judged.reasons.iter().take(2) {
            self.field("", &format!("{}: {} ({})", reason.layer, reason.message, reason.rule), Tone::Plain);
        }
        if judged.reasons.len() > 2 {
            let more = judged.reasons.iter().skip(2).map(|reason| &*reason.rule);
            self.field("", &format!("also {}", more.collect::<Vec<_>>().join(", ")), Tone::Dim);
        }
        self.field("", &format!("receipt {}", judged.receipt), Tone::Dim);
    }

    /// A reply that the firewall ended, rather than a call in it.
    fn broken_off(&self, step: &Step) {
        let Some(outcome) = &step.outcome else { return };
        let Some(code) = &outcome.fault else { return };
        self.field("doorward", &format!("{} the reply ({code})", outcome.result.to_uppercase()), Tone::Bad);
        self.field("", &format!("receipt {}", step.heard.receipt.as_deref().unwrap_or_default()), Tone::Dim);
    }

    fn received(&self, step: &Step) {
        let mut label = "agent gets";
        // One dialect has a block of its own for a notice, the other appends it to the text.
        let texts = step.heard.texts().flat_map(|text| {
            let at = text.find("[doorward]").unwrap_or_default();
            let (said, notice) = text.split_at_checked(at).unwrap_or_default();
            [said, notice].into_iter().filter(|part| !part.is_empty())
        });
        for text in texts {
            let notice = text.starts_with("[doorward]");
            let shown: String = if notice { text.to_owned() } else { text.chars().take(60).collect() };
            let cut = if shown.len() < text.len() { "…" } else { "" };
            self.field(label, &format!("{shown}{cut}"), if notice { Tone::Good } else { Tone::Plain });
            label = "";
        }
        for (tool, arguments) in step.heard.calls() {
            self.field(label, &format!("would run: {tool} {arguments}"), Tone::Plain);
            label = "";
        }
        if let Some(error) = &step.heard.error {
            self.field(label, &format!("error: {error}"), Tone::Good);
        }
    }

    fn ended(&self, step: &Step) {
        let Some(outcome) = &step.outcome else { return };
        let mut words = outcome.result.clone();
        if step.identical {
            words.push_str(&format!(", {} bytes, every one as the provider sent it", step.heard.raw.len()));
        }
        if let Some(after) = step.stopped_after {
            words.push_str(&format!(", {} ms after the kill switch was thrown", after.as_millis()));
        }
        self.field("reply", &words, Tone::Dim);
    }

    /// The ledger. Returns whether everything was as it has to be.
    pub fn books(&mut self, books: Books) -> bool {
        self.ok &= books.unmet.is_empty();
        if let Some(document) = &mut self.document {
            let receipts: Vec<Value> = books.receipts.iter().map(|entry| parsed(&entry.bytes)).collect();
            document.set("receipts", receipts);
            document.set("verification", parsed(books.report.to_json().as_bytes()));
            if let Some(tampering) = &books.tampering {
                let value = Object::new()
                    .with("index", Value::count(tampering.index))
                    .with("receipt", tampering.receipt.as_str())
                    .with("what", tampering.what.as_str())
                    .with("verification", parsed(tampering.report.to_json().as_bytes()));
                document.set("tampering", value);
            }
            document.set("unmet", strings(&books.unmet));
            return self.ok;
        }
        self.blank();
        self.line("The receipts", Tone::Bold);
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for entry in &books.receipts {
            *kinds.entry(entry.kind()).or_default() += 1;
        }
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        self.field("written", &kinds.join(", "), Tone::Plain);
        for row in &self.rows {
            self.line(&format!("  {row}"), Tone::Dim);
        }
        let report = &books.report;
        if report.is_ok() {
            let (origin, root) = books.signed.clone().unwrap_or_default();
            let root: String = root.chars().take(16).collect();
            self.field(
                "verified",
                &format!("{} receipts, signed checkpoint {root}… by {origin}", report.entries),
                Tone::Good,
            );
        } else {
            self.field("NOT VERIFIED", &report.to_string(), Tone::Bad);
        }
        if let Some(tampering) = &books.tampering {
            let what = format!("one byte of receipt {}, in a copy: {}", tampering.index, tampering.what);
            self.field("altered", &what, Tone::Plain);
            match tampering.report.problems.first() {
                Some(problem) => self.field("found", &problem.to_string(), Tone::Good),
                None => self.field("NOT FOUND", "verification saw nothing", Tone::Bad),
            }
        }
        self.unmet(&books.unmet);
        self.ok
    }

    /// The two lines a user needs next.
    pub fn farewell(&mut self) {
        let program = program();
        let next = [
            format!("{program} run"),
            "export ANTHROPIC_BASE_URL=http://127.0.0.1:7878/t/<token>/anthropic".to_owned(),
        ];
        if let Some(document) = &mut self.document {
            document.set("next", strings(&next));
            return;
        }
        self.blank();
        if !self.ok {
            self.line("Not everything came as it has to: see the lines marked UNEXPECTED.", Tone::Bad);
            self.blank();
        }
        self.line(
            "Now in front of your own agent (`run` prints the second line with your token,",
            Tone::Plain,
        );
        self.line("and the one for OpenAI clients):", Tone::Plain);
        self.blank();
        for line in next {
            self.line(&format!("  {line}"), Tone::Bold);
        }
    }

    /// Where to reach what goes on running.
    pub fn staying(&mut self, running: &Running) {
        let [anthropic, openai, _] = running.base_urls();
        let lines =
            [format!("export ANTHROPIC_BASE_URL={anthropic}"), format!("export OPENAI_BASE_URL={openai}")];
        if let Some(document) = &mut self.document {
            document.set("next", strings(&lines));
            return;
        }
        self.blank();
        self.line("Firewall and provider stay up until Ctrl-C; ask what the agent asked above:", Tone::Plain);
        self.blank();
        for line in lines {
            // Whole, however long: it is there to be copied.
            print(&format!("  {line}"));
        }
    }

    /// Prints the document, if one is wanted.
    pub fn finish(&mut self) {
        if let Some(mut document) = self.document.take() {
            document.set("ok", self.ok);
            document.set("steps", std::mem::take(&mut self.steps));
            print(&String::from_utf8_lossy(&Value::Object(document).to_canonical()));
        }
    }

    fn unmet(&self, unmet: &[String]) {
        for difference in unmet {
            self.field("UNEXPECTED", difference, Tone::Bad);
        }
    }

    fn blank(&self) {
        print("");
    }

    fn line(&self, text: &str, tone: Tone) {
        for line in wrapped(text, WIDTH) {
            print(&self.painted(&line, tone));
        }
    }

    /// A label and its text, which continues below itself.
    fn field(&self, label: &str, text: &str, tone: Tone) {
        let mut label = label;
        for line in wrapped(text, WIDTH - MARGIN) {
            let head = self.painted(&format!("  {label:<width$}", width = MARGIN - 2), Tone::Dim);
            print(&format!("{head}{}", self.painted(&line, tone)));
            label = "";
        }
    }

    fn painted(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            _ if !self.coloured => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Bad => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Breaks text into lines of at most `width` characters. Control characters, which a provider could use to
/// repaint the terminal, are shown as escapes.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let word: String = word.chars().flat_map(visible).collect();
        let length = word.trim_end().chars().count();
        if used > 0 && used + length > width {
            lines.push(String::new());
            used = 0;
        }
        for character in word.chars() {
            if used == width && character != ' ' {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut().filter(|_| used < width) {
                line.push(character);
                used += 1;
            }
        }
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

fn visible(character: char) -> Vec<char> {
    if character.is_control() { character.escape_debug().collect() } else { vec![character] }
}

/// An effect in words: what is done, to what, and what kind of thing that is.
fn effect_words(effect: &Effect) -> String {
    let verb = match effect.capability.as_str() {
        "read:file" => "reads",
        "write:file" => "writes",
        "delete:file" => "deletes",
        "execute:shell" => "runs",
        "network:fetch" => "fetches from",
        "network:post" => "posts to",
        "network:listen" => "listens on",
        "secret:access" => "takes secrets from",
        "process:signal" => "signals",
        "system:administer" => "administers",
        other => other,
    };
    match &effect.target {
        Some(target) if effect.asset == "unknown" => format!("{verb} {target}"),
        Some(target) => format!("{verb} {target} ({})", effect.asset),
        None if effect.asset == "unknown" => format!("{verb} what flows in"),
        None => format!("{verb} something ({})", effect.asset),
    }
}

fn joined(words: &[String]) -> String {
    if words.is_empty() { "has no effect that could be read".to_owned() } else { words.join(", ") }
}

/// A judged call as one line.
fn row(judged: &Judged) -> String {
    let rule = judged.reasons.first().map_or("", |reason| &*reason.rule);
    let Judged { index, receipt, verdict, tool, .. } = judged;
    format!("{index:>3} {receipt} {verdict} {tool} {rule}").trim_end().to_owned()
}

fn step_value(step: &Step) -> Value {
    let call = |tool: &str, arguments: &str| Object::new().with("tool", tool).with("arguments", arguments);
    let proposed = step.scene.calls.iter().map(|proposed| call(proposed.tool, proposed.arguments).into());
    let received = step.heard.calls().map(|(tool, arguments)| call(tool, arguments).into());
    let texts: Vec<String> = step.heard.texts().map(str::to_owned).collect();
    let mut object = Object::new()
        .with("title", step.scene.title)
        .with("dialect", step.scene.dialect.as_str())
        .with("asked", step.scene.asks)
        .with("proposed", proposed.collect::<Vec<Value>>())
        .with("decisions", step.judged.iter().map(judged_value).collect::<Vec<_>>())
        .with("status", u32::from(step.heard.status))
        .with("texts", strings(&texts))
        .with("calls", received.collect::<Vec<Value>>())
        .with("identical", step.identical)
        .with("unmet", strings(&step.unmet));
    let outcome = step.outcome.as_ref();
    let optional = [
        ("receipt", step.heard.receipt.as_deref()),
        ("stop", step.heard.stop.as_deref()),
        ("error", step.heard.error.as_deref()),
        ("outcome", outcome.map(|outcome| &*outcome.result)),
        ("fault", outcome.and_then(|outcome| outcome.fault.as_deref())),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            object.set(key, value);
        }
    }
    if let Some(after) = step.stopped_after {
        object.set("stopped_after_ms", Value::count(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
    }
    object.into()
}

fn judged_value(judged: &Judged) -> Value {
    let reasons = judged.reasons.iter().map(|reason| {
        Object::new()
            .with("rule", reason.rule.as_str())
            .with("layer", reason.layer.as_str())
            .with("severity", Value::count(reason.severity))
            .with("message", reason.message.as_str())
            .into()
    });
    let effects = judged.effects.iter().map(|effect| {
        let object =
            Object::new().with("capability", effect.capability.as_str()).with("asset", effect.asset.as_str());
        effect.target.iter().fold(object, |object, target| object.with("target", target.as_str())).into()
    });
    Object::new()
        .with("receipt", judged.receipt.as_str())
        .with("index", Value::count(judged.index))
        .with("tool", judged.tool.as_str())
        .with("verdict", judged.verdict.as_str())
        .with("risk", Value::count(judged.risk))
        .with("coverage", judged.coverage.as_str())
        .with("reasons", reasons.collect::<Vec<Value>>())
        .with("effects", effects.collect::<Vec<Value>>())
        .into()
}

fn strings(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(text.as_str())).collect()
}

/// What this program wrote as JSON, as a part of the document.
fn parsed(json: &[u8]) -> Value {
    parse_relaxed(json).unwrap_or_else(|error| Value::from(format!("unreadable: {error}")))
}

/// How to call this program again: by its name where the shell finds it, else as it was called.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::current_exe().ok();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(format!("doorward{}", std::env::consts::EXE_SUFFIX)))
        .find(|file| file.is_file())
        .and_then(|file| file.canonicalize().ok());
    if found.is_some() && found == own {
        "doorward".to_owned()
    } else {
        called.to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_words_and_controls_are_shown() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("a\x1b[2Jb", 40), ["a\\u{1b}[2Jb"]);
        assert!(wrapped(&"word ".repeat(40), 20).iter().all(|line| line.chars().count() <= 20));
    }
}
