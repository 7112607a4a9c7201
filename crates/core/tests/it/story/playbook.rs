//! An agent that is played: what is typed, called and given back goes the way it goes in the gateway.

use std::sync::Arc;

use doorward_core::action::{ActionKind, Door, shell};
use doorward_core::action::{Called, Part, PartKind, Returned, ToolUse, tools};
use doorward_core::policy::{Policy, SHIPPED};
use doorward_core::session::baseline::Learning;
use doorward_core::session::chains::{Chains, Play};
use doorward_core::session::taint::Key;
use doorward_core::session::{self, Baseline, Ended, Ending, Journal, Millis, Now, State, Workspace, World};
use doorward_core::syntax::{self, json};
use doorward_core::{Action, Decision, Engine, Facts, Layer, Reason, Source, Verdict};

pub const KEY: [u8; 32] = [7; 32];

/// What happened to one call.
#[derive(Debug)]
pub struct Outcome {
    pub decision: Decision,
    pub facts: Facts,
    pub ended: Ended,
}

impl Outcome {
    /// Whether the decision has this rule among its reasons.
    pub fn has(&self, rule: &str) -> bool {
        self.decision.reasons.iter().any(|reason| reason.rule == rule)
    }

    pub fn chains(&self) -> Vec<&str> {
        self.facts.story.completed.iter().map(|one| one.chain.id.as_str()).collect()
    }

    /// What stopped it, for messages.
    pub fn why(&self) -> String {
        let reasons = self
            .decision
            .reasons
            .iter()
            .map(|r| format!("{} {} ({})", r.verdict.as_str(), r.rule, r.message));
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// One agent in one session.
pub struct Agent {
    pub name: Arc<str>,
    pub engine: Arc<Engine>,
    pub state: State,
    pub baseline: Baseline,
    pub now: Millis,
    pub learning: Learning,
    shell: shell::State,
    parts: Vec<Part>,
    returned: Vec<Returned>,
    calls: usize,
    last: Option<Arc<Called>>,
    /// Whether a person approves what is asked, and a policy allows what rules would stop.
    pub approves: bool,
}

pub fn engine(profile: &str) -> Arc<Engine> {
    use std::sync::OnceLock;
    static BOTH: OnceLock<[Arc<Engine>; 2]> = OnceLock::new();
    let [balanced, strict] = BOTH.get_or_init(|| {
        let shipped = Engine::shipped(doorward_core::engine::Surroundings::default()).unwrap();
        let rules = Arc::new(doorward_core::detect::rules::RuleSet::shipped().unwrap());
        let text = SHIPPED.replace("profile: balanced", "profile: strict");
        assert_ne!(text, SHIPPED);
        let policy = Policy::compile(&[syntax::Source { name: "p", text: &text }]).unwrap();
        let around = doorward_core::engine::Surroundings::default();
        [Arc::new(shipped), Arc::new(Engine::new(rules, Arc::new(policy), around))]
    });
    Arc::clone(if profile == "strict" { strict } else { balanced })
}

pub fn workspace() -> Workspace {
    Workspace::new(Key::new(KEY))
}

impl Agent {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            engine: engine("balanced"),
            state: State::new([3; 32]),
            baseline: Baseline::default(),
            now: 1_790_000_000_000,
            learning: Learning::default(),
            shell: shell::State::default(),
            parts: Vec::new(),
            returned: Vec::new(),
            calls: 0,
            last: None,
            approves: true,
        }
    }

    /// The agent's next session.
    pub fn again(&mut self) {
        self.state = State::new([4; 32]);
        self.shell = shell::State::default();
        (self.parts, self.returned, self.last) = (Vec::new(), Vec::new(), None);
    }

    /// Everything but what is kept is lost: the process begins anew.
    pub fn restart(&mut self, workspace: &mut Workspace) {
        let journal = Journal::decode(&self.state.journal().encode()).unwrap();
        self.state = State::resume([3; 32], journal);
        self.baseline = Baseline::decode(&self.baseline.encode()).unwrap();
        *workspace = Workspace::decode(Key::new(KEY), &workspace.encode()).unwrap();
    }

    fn judged(&mut self, action: &Action, workspace: &mut Workspace) -> Outcome {
        let (seq, facts) = self.begin(action, workspace);
        let decision = self.engine.decide(action, &facts);
        let ours = |reason: &Reason| matches!(reason.layer, Layer::Floor | Layer::Session);
        let stopped = decision.reasons.iter().any(|r| ours(r) && r.verdict >= Verdict::Quarantine);
        let forwarded = decision.passes() || self.approves && !stopped;
        self.end(seq, action, facts, decision, forwarded, workspace)
    }

    pub fn begin(&mut self, action: &Action, workspace: &Workspace) -> (session::Seq, Facts) {
        let engine = Arc::clone(&self.engine);
        let world = World {
            workspace,
            baseline: &self.baseline,
            learning: self.learning,
            chains: &Chains::shipped(),
            classify: &|action, effect| engine.classify(action, effect),
            own: &|action| engine.policy().own_effects(action),
        };
        session::begin(&mut self.state, action, Now { millis: self.now, ..Now::default() }, &world)
    }

    pub fn end(
        &mut self,
        seq: session::Seq,
        action: &Action,
        facts: Facts,
        decision: Decision,
        forwarded: bool,
        workspace: &mut Workspace,
    ) -> Outcome {
        let ending = if forwarded { Ending::Forwarded } else { Ending::Blocked };
        let found = Engine::found(action, &facts, &decision);
        let shared = (workspace, &mut self.baseline);
        let ended = session::end(&mut self.state, seq, ending, (action, &facts), &found, shared);
        Outcome { decision, facts, ended }
    }

    /// The conversation so far, as a request.
    pub fn request(&mut self, workspace: &mut Workspace) -> Outcome {
        let mut action =
            Action::new(Door::Model, ActionKind::ModelRequest, self.name.clone(), self.name.clone());
        action.source = Source::User;
        action.parts.clone_from(&self.parts);
        action.returned.clone_from(&self.returned);
        self.now += 1000;
        self.judged(&action, workspace)
    }

    pub fn typed(&mut self, text: &str) {
        self.parts.push(Part { kind: PartKind::UserText, text: text.into() });
    }

    /// A call as an action, after those before it.
    pub fn action(&mut self, name: &str, arguments: &str) -> (Action, shell::State) {
        self.calls += 1;
        let id: Arc<str> = format!("call-{}", self.calls).into();
        let mut action = Action::new(Door::Model, ActionKind::ToolCall, self.name.clone(), self.name.clone());
        action.source = Source::Model;
        action.peer_trusted = true;
        action.tool = Some(ToolUse { name: name.into(), declared: true, call_id: Arc::clone(&id) });
        action.before = self.shell.clone();
        let node = json::parse(arguments.as_bytes()).unwrap();
        let after = tools::fill_call(&mut action, arguments, Some(&node));
        self.last =
            Some(Arc::new(Called { id, name: name.into(), arguments: arguments.into(), free: false }));
        (action, after)
    }

    /// The model asks for a call, and the agent makes it if it may.
    pub fn call(&mut self, name: &str, arguments: &str, workspace: &mut Workspace) -> Outcome {
        self.request(workspace);
        let (action, after) = self.action(name, arguments);
        self.now += 1000;
        let outcome = self.judged(&action, workspace);
        if outcome.decision.verdict < Verdict::Quarantine {
            self.shell = after;
        }
        outcome
    }

    pub fn bash(&mut self, line: &str, workspace: &mut Workspace) -> Outcome {
        let arguments = format!("{{\"command\":{}}}", String::from_utf8(json::quoted(line)).unwrap());
        self.call("Bash", &arguments, workspace)
    }

    pub fn fetch(&mut self, url: &str, page: &str, workspace: &mut Workspace) -> Outcome {
        let outcome = self.call("WebFetch", &format!("{{\"url\":\"{url}\",\"prompt\":\"read\"}}"), workspace);
        self.result(page);
        outcome
    }

    pub fn write(&mut self, path: &str, text: &str, workspace: &mut Workspace) -> Outcome {
        let text = String::from_utf8(json::quoted(text)).unwrap();
        self.call("Write", &format!("{{\"file_path\":\"{path}\",\"content\":{text}}}"), workspace)
    }

    /// What the last call gave back.
    pub fn result(&mut self, text: &str) {
        let Some(call) = &self.last else { panic!("no call gave this back") };
        let (part, call_id) = (self.parts.len(), Arc::clone(&call.id));
        self.returned.push(Returned { part, calls: vec![Arc::clone(call)], call_id });
        self.parts.push(Part { kind: PartKind::ToolResult, text: text.into() });
    }

    /// Plays the lines; what the last call came to.
    pub fn play(&mut self, plays: &[Play], workspace: &mut Workspace) -> Option<Outcome> {
        let mut last = None;
        for play in plays {
            match play {
                Play::Typed(text) => self.typed(text),
                Play::Result(text) => self.result(text),
                Play::Wait(millis) => self.now += millis,
                Play::Command(line) => last = Some(self.bash(line, workspace)),
                Play::Learned(line) => {
                    for _ in 0..40 {
                        self.now += 60_000;
                        self.bash(line, workspace);
                    }
                }
                Play::Call(text) => {
                    let node = json::parse(text.as_bytes()).unwrap();
                    let arguments = node.get("arguments").unwrap().span.of(text.as_bytes());
                    let arguments = std::str::from_utf8(arguments).unwrap();
                    last = Some(self.call(node.text("name").unwrap(), arguments, workspace));
                }
            }
        }
        last
    }
}
