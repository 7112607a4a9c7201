//! Plays a reply through the stream machine, as the gateway would, and writes down what came out.
//!
//! A play says how the bytes arrive (any split), how long each ruling takes (in further inputs), and what
//! is ruled. The transcript must depend on the last only.

use std::collections::{HashSet, VecDeque};

use doorward_core::Action;
use doorward_core::stream::{
    CallId, Context, Dialect, Framing, Held, Input, Limits, Machine, Outcome, Output, Ruling,
};
use doorward_core::wire::Protocol;
use doorward_core::wire::request::Declared;

/// What a play is about.
#[derive(Debug, Clone)]
pub struct Play {
    /// Whose format the reply has.
    pub protocol: Protocol,
    /// Events, or one JSON body.
    pub framing: Framing,
    /// The tools the request declared.
    pub declared: Vec<String>,
    /// Leave every byte alone.
    pub monitor: bool,
    /// How many further inputs a call waits for its ruling. At the end all of them are ruled.
    pub patience: usize,
    /// What the machine may keep.
    pub limits: Limits,
}

impl Play {
    /// An enforced play with the tools `Bash`, `get_weather` and `list_files`, ruled at once.
    #[must_use]
    pub fn new(protocol: Protocol, framing: Framing) -> Self {
        let declared = ["Bash", "get_weather", "list_files"].map(str::to_owned).to_vec();
        Self { protocol, framing, declared, monitor: false, patience: 0, limits: Limits::default() }
    }
}

/// How upstream's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// As HTTP says.
    Complete,
    /// In the middle.
    BrokenOff,
}

/// A call as it was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub arguments: Vec<u8>,
    /// Whether the request declared it.
    pub declared: bool,
    /// Why it cannot be read, if it cannot.
    pub fault: Option<String>,
}

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The bytes for the client, keep-alives left out.
    pub sent: Vec<u8>,
    /// The calls, in the order in which they were handed out.
    pub judged: Vec<Judged>,
    /// How it ended; `None` if the machine never finished.
    pub outcome: Option<Outcome>,
    /// Whether it asked to stop reading upstream.
    pub cancelled: bool,
}

/// Plays `pieces` and the end through a new machine. `blocks` rules on each call.
pub fn play<'a>(
    play: &Play,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    close: Close,
    blocks: impl Fn(&Judged) -> bool,
) -> Transcript {
    let context = Context {
        agent: "playbook".into(),
        session: "playbook".into(),
        peer: "scripted".into(),
        trusted: false,
        declared: Declared {
            tools: play.declared.iter().cloned().collect::<HashSet<_>>(),
            provider_tools: false,
            choices: 2,
            ..Declared::default()
        },
        before: doorward_core::action::shell::State::default(),
        text_tools: doorward_core::wire::text_tools::TextTools::Unset,
        door: "".into(),
        placeholders: Default::default(),
        monitor: play.monitor,
    };
    let dialect = match play.protocol {
        Protocol::Anthropic => Dialect::Anthropic,
        Protocol::OpenAi => Dialect::OpenAiChat,
        Protocol::Gemini => Dialect::Gemini,
    };
    let mut stage = Stage {
        machine: Machine::new(dialect, play.framing, context, play.limits),
        transcript: Transcript::default(),
        waiting: VecDeque::new(),
        time: 0,
        monitor: play.monitor,
    };
    for piece in pieces {
        stage.step(Input::Bytes(piece), &blocks);
        stage.time += 1;
        stage.rule(play.patience, &blocks);
    }
    let end = match close {
        Close::Complete => Input::End,
        Close::BrokenOff => Input::Aborted,
    };
    stage.step(end, &blocks);
    stage.rule(0, &blocks);
    stage.transcript
}

struct Stage {
    machine: Machine,
    transcript: Transcript,
    /// When each call was handed out, and its ruling.
    waiting: VecDeque<(usize, CallId, Ruling)>,
    time: usize,
    monitor: bool,
}

impl Stage {
    fn step(&mut self, input: Input<'_>, blocks: &impl Fn(&Judged) -> bool) {
        let mut out = Vec::new();
        self.machine.step(input, &mut out);
        for output in out {
            match output {
                Output::Send(bytes) => self.transcript.sent.extend_from_slice(&bytes),
                Output::Judge(id, action, held) => self.hand_out(id, &action, held, blocks),
                Output::Cancel => self.transcript.cancelled = true,
                Output::Finish(outcome) => self.transcript.outcome = Some(outcome),
                Output::Saw(_) | Output::KeepAlive(_) => {}
            }
        }
    }

    fn hand_out(&mut self, id: CallId, action: &Action, held: Held, blocks: &impl Fn(&Judged) -> bool) {
        let tool = action.tool.as_ref();
        let judged = Judged {
            tool: tool.map(|tool| tool.name.to_string()).unwrap_or_default(),
            arguments: held.arguments().to_vec(),
            declared: tool.is_some_and(|tool| tool.declared),
            fault: action.fault.clone(),
        };
        let ruling = match blocks(&judged) && !self.monitor {
            true => Ruling::Replace(format!("[blocked: {}]", judged.tool)),
            false => Ruling::Release(held),
        };
        self.transcript.judged.push(judged);
        self.waiting.push_back((self.time, id, ruling));
    }

    /// Gives the rulings of the calls that have waited long enough, and of those that come out then.
    fn rule(&mut self, patience: usize, blocks: &impl Fn(&Judged) -> bool) {
        while self.waiting.front().is_some_and(|(since, _, _)| since + patience <= self.time) {
            if let Some((_, id, ruling)) = self.waiting.pop_front() {
                self.step(Input::Ruled(id, ruling), blocks);
            }
        }
    }
}
