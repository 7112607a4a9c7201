//! The story of a session: what an action has to do with what came before it, and what it leaves behind.
//!
//! [`begin`] works out both and keeps the second apart; [`end`] puts it into the journal, the workspace and the baseline
//! if the action was forwarded, and nowhere if it was not. What has begun and not ended is visible to what begins
//! meanwhile: two calls at the same time cannot each be innocent of the other.

use std::collections::HashMap;
use std::sync::Arc;

use super::baseline::{Anomaly, Baseline, Learning};
use super::chains::{Chains, Completed};
use super::journal::{self, Event, Hit, Journal, Set};
use super::taint::{self, Key, Kind, Mark, Origin, Workspace};
use super::{Millis, Seq};
use crate::action::{Action, ActionKind, Effect, Source};
use crate::detect::destination::Classes;

mod acted;

mod embedded;

mod repository;

mod told;

mod values;

/// The most taints that are told of one action.
const MOST_TAINTS: usize = 16;

/// The most events of one action.
const MOST_EVENTS: usize = 16;

/// The most alerts of one action.
const MOST_ALERTS: usize = 4;

/// The categories of what a session finds.
pub const CATEGORIES: [&str; 3] = ["taint", "chain", "baseline"];

/// The ids of what a session finds, beside those of chains, which are `chain.` and the chain's id.
const FINDINGS: [&str; 7] = [
    "taint.named",
    "taint.foreign-directory",
    "taint.copied-file",
    "taint.command",
    "taint.command-with-consequence",
    "taint.fetched-script",
    "baseline.unusual",
];

/// Every id and category under which a session finds something, as policies name them.
#[must_use]
pub fn names(chains: &Chains) -> Vec<String> {
    let of_chains = chains.all().iter().map(|chain| format!("chain.{}", chain.id));
    CATEGORIES.iter().chain(&FINDINGS).map(|name| (*name).to_owned()).chain(of_chains).collect()
}

/// What a session stands in: what it shares with others, and what is known of places.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// What untrusted content has left in the workspace.
    pub workspace: &'a Workspace,
    /// What the agent usually does.
    pub baseline: &'a Baseline,
    /// How long it is only learnt from.
    pub learning: Learning,
    /// The chains in force.
    pub chains: &'a Chains,
    /// What kinds of place an effect may lead to: [`crate::Engine::classify`].
    pub classify: &'a dyn Fn(&Action, &Effect) -> Classes,
    /// The effects of an action with the operator's classes, if they differ: [`crate::policy::Policy::own_effects`].
    pub own: &'a dyn Fn(&Action) -> Option<Vec<Effect>>,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("workspace", &self.workspace.len()).finish_non_exhaustive()
    }
}

/// How an action is tainted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It names what untrusted content named.
    Named,
    /// It runs what stands in a foreign directory.
    Foreign,
    /// It runs a file whose text untrusted content gave, word for word.
    Copied,
    /// It gives a command line that untrusted content gave.
    Told,
    /// The same, and the command line does what ordinary work does not: the words say what.
    ToldTo(&'static str),
    /// It runs a file that was fetched by itself, or what it fetches, from a URL that nobody typed.
    Fetched,
}

/// What untrusted content has to do with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Which effect, by index; `None` if it is about the action as a whole.
    pub effect: Option<usize>,
    /// How.
    pub how: How,
    /// What kind of artefact it is about.
    pub kind: Kind,
    /// The artefact.
    pub mark: Mark,
    /// Where it came from.
    pub origin: Arc<Origin>,
}

/// What the session knows about an action.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    /// What untrusted content has to do with it, the worst first.
    pub taints: Vec<Taint>,
    /// Which of the files that it writes hold what untrusted content gave, how, and where that came from: word for word
    /// ([`How::Copied`]), or a command line with consequences ([`How::ToldTo`]).
    pub copied: Vec<(usize, How, Arc<Origin>)>,
    /// The chains it would complete.
    pub completed: Vec<Completed>,
    /// How unusual it is for its agent.
    pub anomaly: Anomaly,
    /// What was found of it when it was judged before, by rule and severity: for judging again what the session is not
    /// there for any more.
    pub recalled: Vec<(String, u8)>,
}

/// Whether a session finds what has this name.
#[must_use]
pub fn is_finding(rule: &str) -> bool {
    rule.split_once('.').is_some_and(|(category, _)| CATEGORIES.contains(&category))
}

/// An artefact that a second agent has come upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it is.
    pub kind: Kind,
    /// The artefact; [`Workspace::steps`] tells its story.
    pub mark: Mark,
    /// Where it came from first.
    pub origin: Arc<Origin>,
    /// How many agents have seen it, up to four.
    pub agents: usize,
}

/// What an action has left, for the caller to keep. Each delta is empty if nothing has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// For [`super::State::replay`].
    pub session: Vec<u8>,
    /// For [`Workspace::replay`].
    pub workspace: Vec<u8>,
    /// For [`Baseline::decode`].
    pub baseline: Vec<u8>,
    /// What a person should see.
    pub alerts: Vec<Alert>,
}

/// What an action will leave if it is forwarded.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub seq: Seq,
    events: Vec<Event>,
    session: Vec<journal::Change>,
    /// Origins are numbered from 0 here.
    workspace: Vec<taint::Change>,
    /// What is learnt from it, if it does something.
    effects: Option<Vec<Effect>>,
    hits: Vec<Hit>,
    /// The agent, as an artefact.
    agent: Mark,
}

/// What the parts of [`begin`] work with.
struct Draft<'a> {
    action: &'a Action,
    journal: &'a Journal,
    /// What has begun before it and not ended.
    pending: &'a [Pending],
    world: &'a World<'a>,
    now: Millis,
    left: Pending,
    /// Literals that this very request calls clean, before it calls them tainted, and the other way round.
    fresh: HashMap<Mark, bool>,
    origins: u64,
    /// Files that become foreign by this action, with what they come from.
    made: Vec<(String, [Mark; 2])>,
    /// Those of them that were fetched.
    fetched: Vec<String>,
}

impl<'a> Draft<'a> {
    fn key(&self) -> &'a Key {
        self.world.workspace.key()
    }

    fn is_typed(&self, mark: Mark) -> bool {
        let adds = |change: &journal::Change| matches!(change, journal::Change::Digests(Set::Typed, marks) if marks.contains(&mark));
        self.journal.has(Set::Typed, mark)
            || self.pending.iter().any(|sibling| sibling.session.iter().any(adds))
    }

    /// What is known of an artefact that nobody typed and nothing of this machine had first.
    fn tainted(&self, mark: Mark) -> Option<(Kind, Arc<Origin>)> {
        if self.is_typed(mark) || self.journal.has(Set::Clean, mark) {
            return None;
        }
        let known = self.world.workspace.get(mark).map(|known| (known.kind, Arc::clone(&known.origin)));
        known.or_else(|| self.pending.iter().find_map(|sibling| sibling.leaves(mark)))
    }

    /// A new origin; its number for changes that refer to it.
    fn origin(&mut self, source: Source, by: &str, place: String, at: Mark, parents: Vec<Mark>) -> u64 {
        let id = self.origins;
        self.origins += 1;
        let by = taint::literals::floor(by, taint::LONGEST_NAME).into();
        let origin = Origin { id, source, by, place: place.into(), at, first: self.now, parents };
        self.left.workspace.push(taint::Change::Origin(origin));
        id
    }

    fn mark(&mut self, mark: Mark, kind: Kind, origin: u64) {
        let (at, agent) = (self.now, self.left.agent);
        self.left.workspace.push(taint::Change::Mark { mark, kind, origin, at, agent });
    }

    fn classes(&self, effect: &Effect) -> Classes {
        (self.world.classify)(self.action, effect)
    }
}

impl Pending {
    /// What it will leave under `mark`.
    fn leaves(&self, mark: Mark) -> Option<(Kind, Arc<Origin>)> {
        let (kind, origin) = self.workspace.iter().find_map(|change| match change {
            taint::Change::Mark { mark: own, kind, origin, .. } if *own == mark => Some((*kind, *origin)),
            _ => None,
        })?;
        self.workspace.iter().find_map(|change| match change {
            taint::Change::Origin(own) if own.id == origin => Some((kind, Arc::new(own.clone()))),
            _ => None,
        })
    }
}

/// What is known of `action`, and what it will leave. `parts` are the digests of its parts in this session, for a request.
pub(super) fn begin(
    journal: &Journal,
    pending: &[Pending],
    (seq, now): (Seq, Millis),
    action: &Action,
    parts: &[Mark],
    world: &World<'_>,
) -> (Story, Option<Source>, Option<bool>, Pending) {
    let agent = world.workspace.key().mark(Kind::Agent, &action.agent);
    let left = Pending { seq, agent, ..Pending::default() };
    let mut draft = Draft {
        action,
        journal,
        pending,
        world,
        now,
        left,
        fresh: HashMap::new(),
        origins: 0,
        made: Vec::new(),
        fetched: Vec::new(),
    };
    match action.kind {
        ActionKind::ModelRequest | ActionKind::ToolResult => {
            told::read(&mut draft, parts);
            (Story::default(), None, None, draft.left)
        }
        ActionKind::ToolCall | ActionKind::ProviderCall | ActionKind::Outbound | ActionKind::Url => {
            let (story, source, tainted) = acted::judge(&mut draft);
            (story, source, tainted, draft.left)
        }
        ActionKind::ModelResponse | ActionKind::Unknown | ActionKind::Opaque => {
            (Story::default(), None, None, draft.left)
        }
    }
}

/// Puts what a forwarded action leaves where it belongs.
pub(super) fn end(
    journal: &mut Journal,
    left: Pending,
    now: Millis,
    workspace: &mut Workspace,
    baseline: &mut Baseline,
) -> Ended {
    let Pending { events, mut session, workspace: mut changes, effects, hits, agent, .. } = left;
    let base = workspace.next();
    let mut alerts = Vec::new();
    for change in &mut changes {
        match change {
            taint::Change::Origin(origin) => origin.id = origin.id.saturating_add(base),
            taint::Change::Mark { mark, origin, .. } => {
                *origin = origin.saturating_add(base);
                alerts.extend(alert(workspace, *mark, agent));
            }
            taint::Change::Seen { mark, .. } => alerts.extend(alert(workspace, *mark, agent)),
            _ => {}
        }
    }
    alerts.truncate(MOST_ALERTS);
    // Counted here, where nothing is that left nothing: a restart counts on.
    let seq = journal.next().max(1);
    let events = events.into_iter().map(|event| Event { seq, ..event });
    let hits = hits.into_iter().map(|hit| Hit { seq, ..hit });
    session.extend(events.map(journal::Change::Event));
    session.extend(hits.map(journal::Change::Hit));
    let baseline = effects.map(|effects| baseline.learn(&effects, now)).unwrap_or_default();
    Ended { session: journal.make(session), workspace: workspace.make(changes), baseline, alerts }
}

/// If this agent is another one than all that have seen the artefact before.
fn alert(workspace: &Workspace, mark: Mark, agent: Mark) -> Option<Alert> {
    let known = workspace.get(mark)?;
    let speaks = matches!(known.kind, Kind::Url | Kind::Host | Kind::Command | Kind::File | Kind::Copy);
    let new = !known.agents.is_empty() && known.agents.len() < 4 && !known.agents.contains(&agent);
    (speaks && new).then(|| Alert {
        kind: known.kind,
        mark,
        origin: Arc::clone(&known.origin),
        agents: known.agents.len() + 1,
    })
}
