//! What a person is asked: one action, whole, with everything that speaks about it.

use std::sync::Arc;

use doorward_core::action::request::Request;
use doorward_core::action::{ActionKind, Decoded, PartKind, Target};
use doorward_core::decision::{Duty, Reason};
use doorward_core::engine::MOST_REASONS;
use doorward_core::session::Millis;
use doorward_core::{Action, Decision, Door, Verdict};
use doorward_ledger::Salt;
use doorward_store::Secret32;

/// Most bytes of arguments that a person is asked about: what is longer nobody reads.
const MOST_SHOWN: usize = 256 * 1024;

/// How much is shown of a request, whose bytes are a whole conversation.
const OF_REQUEST: usize = 32 * 1024;

/// How much is shown of what packed bytes say, in bytes.
const OF_DECODED: usize = 64 * 1024;

/// Most effects that are listed one by one.
const MOST_EFFECTS: usize = 512;

/// What a person is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Names it: the id of the receipt that says it was asked.
    pub id: Arc<str>,
    /// Since when it waits, in milliseconds since the Unix epoch.
    pub since: Millis,
    /// Until when it waits.
    pub until: Millis,
    /// Whose action it is.
    pub agent: Arc<str>,
    /// In which session.
    pub session: Arc<str>,
    /// Through which door.
    pub door: &'static str,
    /// What kind of action.
    pub kind: &'static str,
    /// Who caused it.
    pub source: &'static str,
    /// The tool that is called, if any.
    pub tool: Option<Arc<str>>,
    /// Where the action goes or comes from.
    pub peer: Arc<str>,
    /// The head of the request, if it is one that goes out for an agent; `content` is its body then.
    pub request: Option<ShownRequest>,
    /// The exact bytes that wait, as text.
    pub content: String,
    /// How many bytes they are.
    pub bytes: usize,
    /// Whether `content` is all of them. Of a call it always is.
    pub whole: bool,
    /// What these bytes say, if they are packed.
    pub decoded: Option<ShownDecoded>,
    /// The command lines among the arguments, decoded.
    pub commands: Vec<Arc<str>>,
    /// What it would do.
    pub effects: Vec<ShownEffect>,
    /// How many effects more there are.
    pub more_effects: usize,
    /// The hosts and URLs it would reach, each once.
    pub destinations: Vec<String>,
    /// Everything that was said about it, strongest first.
    pub reasons: Vec<Reason>,
    /// 0 to 100.
    pub risk: u8,
    /// What was looked at.
    pub coverage: String,
    /// How many parts of it are taken out or replaced even if a person says yes. What else a decision asks for, such as which
    /// addresses may be dialled, changes nothing of what is shown.
    pub duties: usize,
    /// The keyed digest of all that a yes is about.
    pub(super) digest: String,
}

/// The head of a request, as a person looks at it.
#[derive(Clone, Debug)]
pub struct ShownRequest {
    /// The method.
    pub method: String,
    /// The URL, whole.
    pub url: String,
    /// The header lines, in their order. Where a credential stands there is its length.
    pub headers: Vec<(String, String)>,
}

impl ShownRequest {
    /// That of `action`. What goes to a model has headers of its client and of ours, which nobody decides about.
    fn of(action: &Action) -> Option<Self> {
        let request = action.request.as_deref().filter(|_| action.door == Door::Egress)?;
        let lines = request.headers().iter().map(|line| (line.name.to_string(), line.shown()));
        Some(Self {
            method: request.method().to_owned(),
            url: request.url().to_owned(),
            headers: lines.collect(),
        })
    }

    /// How many bytes a person reads of it.
    fn size(&self) -> usize {
        let lines: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.url.len() + lines
    }
}

/// What packed bytes say, as a person looks at it.
#[derive(Clone, Debug)]
pub struct ShownDecoded {
    /// Its text, as far as it is shown; what is no UTF-8 is replaced in it.
    pub text: String,
    /// Whether that is all of it.
    pub whole: bool,
}

impl ShownDecoded {
    fn of(decoded: &Decoded) -> Self {
        // Up to three bytes less, where a character would be cut.
        let cut = (0..4).find_map(|less| decoded.text.get(..OF_DECODED - less));
        let shown = cut.unwrap_or(&decoded.text);
        Self { text: shown.to_owned(), whole: decoded.whole && shown.len() == decoded.text.len() }
    }
}

/// One thing the action would do, in words.
#[derive(Clone, Debug)]
pub struct ShownEffect {
    /// What is done.
    pub capability: &'static str,
    /// To what kind of thing.
    pub asset: &'static str,
    /// To what; empty if nothing in particular.
    pub target: String,
    /// The program or tool that does it.
    pub by: String,
}

/// Why nobody can be asked about it.
pub(super) enum Unaskable {
    /// Longer than a person reads.
    TooLarge(usize),
    /// More reasons than a decision keeps: some would not be shown.
    TooManyReasons,
}

impl Ask {
    pub(super) fn of(
        (id, since, until): (Arc<str>, Millis, Millis),
        action: &Action,
        content: &[u8],
        decision: &Decision,
        digest: String,
    ) -> Result<Self, Unaskable> {
        if decision.reasons.len() >= MOST_REASONS
            && decision.reasons.last().is_some_and(|last| last.verdict >= Verdict::Ask)
        {
            return Err(Unaskable::TooManyReasons);
        }
        let conversation = matches!(action.kind, ActionKind::ModelRequest | ActionKind::Opaque);
        let request = ShownRequest::of(action);
        let to_read = content.len() + request.as_ref().map_or(0, ShownRequest::size);
        if !conversation && to_read > MOST_SHOWN {
            return Err(Unaskable::TooLarge(to_read));
        }
        let shown = if conversation { content.get(..OF_REQUEST).unwrap_or(content) } else { content };
        let commands = action.parts.iter().filter(|part| part.kind == PartKind::Command);
        let effects = action.effects.iter().take(MOST_EFFECTS).map(|effect| ShownEffect {
            capability: effect.capability.as_str(),
            asset: effect.asset.as_str(),
            target: effect.target.as_str().to_owned(),
            by: effect.by.clone(),
        });
        let mut destinations: Vec<String> = action
            .effects
            .iter()
            .filter_map(|effect| match &effect.target {
                Target::Url(place) | Target::Host(place) => Some(place.clone()),
                _ => None,
            })
            .collect();
        destinations.sort_unstable();
        destinations.dedup();
        destinations.truncate(MOST_EFFECTS);
        Ok(Self {
            id,
            since,
            until,
            agent: Arc::clone(&action.agent),
            session: Arc::clone(&action.session),
            door: action.door.as_str(),
            kind: action.kind.as_str(),
            source: action.source.as_str(),
            tool: action.tool.as_ref().map(|tool| Arc::clone(&tool.name)),
            peer: Arc::clone(&action.peer),
            request,
            content: String::from_utf8_lossy(shown).into_owned(),
            bytes: content.len(),
            whole: shown.len() == content.len(),
            decoded: action.decoded.as_ref().map(ShownDecoded::of),
            commands: commands.map(|part| Arc::clone(&part.text)).collect(),
            effects: effects.collect(),
            more_effects: action.effects.len().saturating_sub(MOST_EFFECTS),
            destinations,
            reasons: decision.reasons.clone(),
            risk: decision.risk,
            coverage: decision.coverage.to_string(),
            duties: decision.duties.0.iter().filter(|duty| alters(duty)).count(),
            digest,
        })
    }

    /// What it is, in a few words: for lists and receipts. The name is a stranger's word. Of a request it is method and host, as
    /// receipts name that: an URL can be a secret.
    pub fn what(&self) -> String {
        let name = match (&self.tool, &self.request) {
            (Some(tool), _) => tool.to_string(),
            (None, Some(request)) => format!("{} {}", request.method, self.peer),
            (None, None) => self.kind.to_owned(),
        };
        name.chars().take(80).collect()
    }

    /// The questions, as they were shown.
    pub(super) fn shown(&self) -> Vec<Reason> {
        self.reasons.iter().filter(|reason| reason.verdict == Verdict::Ask).cloned().collect()
    }
}

/// Whether something else goes on than what is shown.
const fn alters(duty: &Duty) -> bool {
    match duty {
        Duty::Edit(..) | Duty::Divert(_) => true,
        Duty::Inject(_) | Duty::Dial(_) | Duty::Limit(_) => false,
    }
}

/// What a yes is bound to: who does what in which session, with which arguments and to what effect. The same arguments
/// in another directory, or to another tool, are another action; so is the same body with another method, to another URL, or under
/// other headers.
pub(super) fn digest(key: &Secret32, action: &Action, content: &[u8]) -> String {
    let mut all = Vec::with_capacity(content.len() + 256);
    let mut add = |field: &[u8]| {
        all.extend_from_slice(&(field.len() as u64).to_be_bytes());
        all.extend_from_slice(field);
    };
    for field in [&*action.agent, &*action.session, action.door.as_str(), action.kind.as_str(), &*action.peer]
    {
        add(field.as_bytes());
    }
    add(action.source.as_str().as_bytes());
    add(action.tool.as_ref().map_or("", |tool| &tool.name).as_bytes());
    add(content);
    if let Some(request) = &action.request {
        add(request.method().as_bytes());
        add(request.url().as_bytes());
        let lines = if action.door == Door::Egress { lines(request) } else { Vec::new() };
        // How many, so that no line passes for an effect.
        add(&(lines.len() as u64).to_be_bytes());
        for (name, value) in &lines {
            add(name.as_bytes());
            add(value);
        }
    }
    for effect in &action.effects {
        for field in
            [effect.capability.as_str(), effect.asset.as_str(), effect.target.as_str(), effect.by.as_str()]
        {
            add(field.as_bytes());
        }
        add(&effect.from.iter().flat_map(|from| from.to_be_bytes()).collect::<Vec<u8>>());
    }
    Salt::new(key.expose()).digest("approval", &all).to_string()
}

/// All header lines of a request, as servers tell them apart: names in any case, and the lines of different names in any order
/// (RFC 9110, 5.1 and 5.3).
fn lines(request: &Request) -> Vec<(String, &[u8])> {
    let lines = request.headers().iter();
    let mut lines: Vec<(String, &[u8])> =
        lines.map(|line| (line.name.to_ascii_lowercase(), &*line.value)).collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}
