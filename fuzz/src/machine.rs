//! Runs the stream machine the way the gateway does, and states what must hold for every reply.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;

use doorward_core::action::{Action, ActionKind};
use doorward_core::stream::{
    CallId, Context, Dialect, Framing, Held, Input, Limits, Machine, Observation, Outcome, Output, Ruling,
};
use doorward_core::wire::Protocol;
use doorward_core::wire::batch::Batch;
use doorward_core::wire::request::Declared;
use doorward_core::wire::text_tools::TextTools;

use crate::mutate::split;

/// The dialects that have a reader.
pub const DIALECTS: [Dialect; 12] = [
    Dialect::Anthropic,
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Gemini,
    Dialect::OpenAiCompletions,
    Dialect::Batch(Batch::MessageResults),
    Dialect::Batch(Batch::OpenAiFile),
    Dialect::Batch(Batch::GeminiFile),
    Dialect::Batch(Batch::GeminiBatches),
    Dialect::Unknown(Protocol::Anthropic),
    Dialect::Unknown(Protocol::OpenAi),
    Dialect::Unknown(Protocol::Gemini),
];

/// How an agent may read calls from text.
const TEXT_TOOLS: [TextTools; 4] = [TextTools::None, TextTools::Unset, TextTools::Xml, TextTools::EditBlocks];

/// One character that no dialect has a use for. Where a target puts it only into arguments, it must not
/// come out with a blocked call, however the arguments were cut.
pub const CANARY: char = '☠';

/// What is said instead of a blocked call.
pub const NOTICE: &str = "[doorward] withheld";

/// A reply and how it is treated.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// What the bytes say.
    pub dialect: Dialect,
    /// How the agent reads calls from text.
    pub text_tools: TextTools,
    /// How the bytes are framed.
    pub framing: Framing,
    /// Leave every byte alone.
    pub monitor: bool,
    /// Whether the upstream is trusted.
    pub trusted: bool,
    /// Whether the request asked for two choices and for tools of the provider.
    pub asked: bool,
    /// Whether limits are so small that they are reached.
    pub tight: bool,
    /// Whether the upstream breaks off at the end.
    pub aborted: bool,
    /// Whether the request that asked for the reply was not seen.
    pub unseen: bool,
    /// Chooses where the bytes are cut.
    pub seed: u8,
}

impl Setup {
    /// Chosen by three bytes: what is read, flags, and cuts.
    #[must_use]
    pub fn of([what, flags, seed]: [u8; 3]) -> Self {
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let what = usize::from(what);
        let dialect = DIALECTS.get(what % DIALECTS.len()).copied().unwrap_or(Dialect::Anthropic);
        let text_tools =
            TEXT_TOOLS.get(what / DIALECTS.len() % TEXT_TOOLS.len()).copied().unwrap_or_default();
        Self {
            dialect,
            text_tools,
            framing: match dialect {
                Dialect::Batch(batch) if batch.is_lines() => Framing::Lines,
                Dialect::Batch(_) => Framing::Json,
                _ if flag(0) => Framing::Json,
                _ => Framing::Events,
            },
            monitor: flag(1),
            trusted: flag(2),
            asked: flag(3),
            tight: flag(4),
            aborted: flag(5),
            unseen: flag(6),
            seed,
        }
    }

    fn machine(&self) -> Machine {
        let context = Context {
            agent: "a".into(),
            session: "s".into(),
            peer: "p".into(),
            trusted: self.trusted,
            declared: Declared {
                tools: HashSet::from(["Bash", "Read", "RmRm"].map(String::from)),
                provider_tools: self.asked,
                choices: if self.asked { 2 } else { 1 },
                unseen: self.unseen,
                ..Declared::default()
            },
            before: Default::default(),
            text_tools: self.text_tools,
            door: "".into(),
            placeholders: Default::default(),
            monitor: self.monitor,
        };
        let tight = Limits { event: 512, body: 1024, held: 4096, calls: 3, arguments: 128 };
        let limits = if self.tight { tight } else { Limits::default() };
        Machine::new(self.dialect, self.framing, context, limits)
    }
}

/// When rulings are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As soon as a call is handed out.
    AtOnce,
    /// All of one step together, the last call first.
    Backwards,
    /// After the next piece has been read.
    Late,
}

/// A call that was handed out.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it would do.
    pub action: Action,
    /// Its arguments; empty if they could not be read.
    pub arguments: Vec<u8>,
    /// Whether it was blocked.
    pub blocked: bool,
}

impl Judged {
    /// What the client would run.
    fn call(&self) -> (ActionKind, &str, &[u8]) {
        let name = self.action.tool.as_ref().map_or("", |tool| &tool.name);
        (self.action.kind, name, &self.arguments)
    }
}

/// How a reply went.
#[derive(Default, PartialEq, Eq)]
pub struct Ran {
    /// What the client got.
    pub sent: Vec<u8>,
    /// The calls handed out, in order.
    pub judged: Vec<Judged>,
    /// What was seen beside them.
    pub saw: Vec<Observation>,
    /// How it ended.
    pub outcome: Outcome,
}

/// With bytes as text, for who has to find out why two of them differ.
impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.judged.iter().map(|judged| {
            let (kind, name, arguments) = judged.call();
            (kind, name, text(arguments), judged.blocked, &judged.action.fault)
        });
        writeln!(f, "{:?}\n{:?}", text(&self.sent), self.outcome)?;
        f.debug_list().entries(calls).entries(&self.saw).finish()
    }
}

/// Decides on a call: whether it is blocked.
pub type Rule<'r> = &'r dyn Fn(&Action, &[u8]) -> bool;

struct Runner<'r> {
    machine: Machine,
    rule: Rule<'r>,
    monitor: bool,
    waiting: Vec<(CallId, Ruling)>,
    ids: HashSet<CallId>,
    ran: Ran,
    finished: bool,
}

/// Runs a reply that arrives in these pieces.
pub fn run(setup: &Setup, pieces: &[&[u8]], pace: Pace, rule: Rule<'_>) -> Ran {
    let mut runner = Runner {
        machine: setup.machine(),
        rule,
        monitor: setup.monitor,
        waiting: Vec::new(),
        ids: HashSet::new(),
        ran: Ran::default(),
        finished: false,
    };
    let end = if setup.aborted { Input::Aborted } else { Input::End };
    for input in pieces.iter().map(|piece| Input::Bytes(piece)).chain([end]) {
        let late = if pace == Pace::Late { std::mem::take(&mut runner.waiting) } else { Vec::new() };
        runner.step(input);
        late.into_iter().for_each(|(id, ruling)| runner.step(Input::Ruled(id, ruling)));
        match pace {
            Pace::AtOnce => runner.settle(false),
            Pace::Backwards => runner.settle(true),
            Pace::Late => {}
        }
    }
    runner.settle(false);
    assert!(runner.finished, "everything is ruled and the reply has not ended");
    runner.step(Input::Bytes(b"data: {}\n\n"));
    runner.step(Input::End);
    runner.ran
}

impl Runner<'_> {
    fn settle(&mut self, backwards: bool) {
        while !self.waiting.is_empty() {
            let mut rulings = std::mem::take(&mut self.waiting);
            if backwards {
                rulings.reverse();
            }
            rulings.into_iter().for_each(|(id, ruling)| self.step(Input::Ruled(id, ruling)));
        }
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.machine.step(input, &mut out);
        for output in out {
            assert!(!self.finished, "more after the end: {output:?}");
            match output {
                Output::Send(bytes) => {
                    assert!(!bytes.is_empty(), "nothing was sent");
                    self.ran.sent.extend_from_slice(&bytes);
                }
                Output::Saw(saw) => self.ran.saw.push(saw),
                Output::Judge(id, action, held) => self.judge(id, *action, held),
                Output::Finish(outcome) => {
                    self.finished = true;
                    self.ran.outcome = outcome;
                }
                Output::KeepAlive(_) | Output::Cancel => {}
            }
        }
    }

    fn judge(&mut self, id: CallId, action: Action, held: Held) {
        assert_eq!(held.call(), id, "the bytes of another call");
        assert!(self.ids.insert(id), "a call was handed out twice");
        let arguments = held.arguments().to_vec();
        assert!(action.fault.is_none() || !self.monitor || !arguments.is_empty() || action.tool.is_some());
        let blocked = !self.monitor && (action.fault.is_some() || (self.rule)(&action, &arguments));
        let ruling = if blocked { Ruling::Replace(NOTICE.to_owned()) } else { Ruling::Release(held) };
        self.waiting.push((id, ruling));
        self.ran.judged.push(Judged { action, arguments, blocked });
    }
}

/// Says which reply it was, if a property did not hold.
struct Told<'a>(&'a Setup, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{:?}\n{}\n{:?}", self.0, text(self.1), text(self.1));
        }
    }
}

/// Runs a reply in several ways and asserts everything that must hold for any bytes; returns how it went.
pub fn check(setup: &Setup, bytes: &[u8], rule: Rule<'_>) -> Ran {
    let _told = Told(setup, bytes);
    let whole = run(setup, &[bytes], Pace::AtOnce, rule);
    let pieces = split(bytes, u64::from(setup.seed));
    assert_eq!(run(setup, &pieces, Pace::AtOnce, rule), whole, "pieces change the outcome");
    assert_eq!(run(setup, &pieces, Pace::Late, rule), whole, "late rulings change the outcome");
    assert_eq!(
        run(setup, &[bytes], Pace::Backwards, rule),
        whole,
        "the order of rulings changes the outcome"
    );
    if bytes.len() <= 1024 {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(setup, &single, Pace::AtOnce, rule), whole, "single bytes change the outcome");
    }
    let outcome = &whole.outcome;
    let calls = outcome.released + outcome.blocked + outcome.withheld;
    // Several readings of one stretch of text are one call.
    assert!(
        setup.text_tools.holds() || calls as usize >= whole.judged.len(),
        "calls went uncounted: {whole:?} of {}",
        text(bytes)
    );
    if outcome.fault.is_none() && !setup.text_tools.holds() {
        let blocked = whole.judged.iter().filter(|judged| judged.blocked).count();
        let counted = (outcome.released as usize, outcome.blocked as usize, outcome.withheld);
        assert_eq!(counted, (whole.judged.len() - blocked, blocked, 0), "calls are miscounted");
    }
    if setup.monitor {
        assert_eq!(text(&whole.sent), text(bytes), "monitor mode altered the reply");
        return whole;
    }
    if outcome.blocked == 0 && outcome.fault.is_none() {
        assert_eq!(text(&whole.sent), text(bytes), "an untouched reply was altered");
    }
    // Several readings of one stretch of text hold the same canary.
    if !setup.text_tools.holds() {
        unseen(&whole, bytes);
    }
    reread(setup, &whole, rule);
    whole
}

/// No canary comes out that stood in the arguments of a blocked call.
fn unseen(ran: &Ran, bytes: &[u8]) {
    let blocked = ran.judged.iter().filter(|judged| judged.blocked);
    let blocked: usize = blocked.map(|judged| text(&judged.arguments).matches(CANARY).count()).sum();
    assert!(canaries(&ran.sent) + blocked <= canaries(bytes), "arguments of a blocked call came out");
}

/// What the client gets holds the calls that were released and no others, and is a reply that the firewall
/// itself would let pass.
fn reread(setup: &Setup, ran: &Ran, rule: Rule<'_>) {
    if ran.sent.is_empty() {
        return;
    }
    let setup = Setup { tight: false, aborted: false, ..*setup };
    let again = run(&setup, &[&ran.sent], Pace::AtOnce, rule);
    let mut released = ran.judged.iter().filter(|judged| !judged.blocked).map(Judged::call);
    if ran.outcome.fault.is_none() {
        assert_eq!(again.outcome.fault, None, "what is sent would be refused: {}", text(&ran.sent));
        assert!(again.judged.iter().map(Judged::call).eq(released), "other calls: {}", text(&ran.sent));
        return;
    }
    // It broke off: of the released calls some may be missing, none may be new.
    for call in again.judged.iter().map(Judged::call) {
        assert!(released.any(|known| known == call), "a call that was not released: {call:?}");
    }
}

/// How often the canary stands in these bytes, spelt out or escaped.
#[must_use]
pub fn canaries(bytes: &[u8]) -> usize {
    let text = text(bytes);
    text.matches(CANARY).count() + text.matches("u2620").count()
}

/// For messages: bytes as text.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
