//! What sessions share: the workspace's artefacts, and what each agent usually does. Kept in the store as it changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use doorward_core::session::baseline::Learning;
use doorward_core::session::chains::Chains;
use doorward_core::session::taint::{KEEP, Key, Mark};
use doorward_core::session::{Baseline, Ended, Journal, Millis, State, Workspace, World};
use doorward_core::{Action, Effect, Engine};
use doorward_store::{Lying, Owner, Store, Written};

use super::lock;

/// How many additions to what a session has done are kept before the whole, some 50 KB, is written in their place, and
/// how many bytes: all of it is read when the session is used again.
const OF_A_SESSION: Most = Most { additions: 256, bytes: 256 * 1024 };

/// The same of the workspace. Its whole is 6 MB at its bound, which takes milliseconds under the lock of all.
const OF_THE_WORKSPACE: Most = Most { additions: 16 * 1024, bytes: 64 * 1024 * 1024 };

/// With more additions than these, the whole is written when a session is put away: so that waking it is short.
const READ_AT_MOST: u64 = 32;

/// What sessions share.
#[derive(Debug)]
pub(super) struct Common {
    workspace: RwLock<Kept<Workspace>>,
    /// By agent.
    baselines: Mutex<HashMap<Arc<str>, Baseline>>,
    chains: Arc<Chains>,
}

/// A value whose additions are kept as they come.
#[derive(Debug)]
pub(super) struct Kept<T> {
    pub value: T,
    /// What lies in the store since the whole was written there.
    since: Lying,
    /// Whether an addition could not be given to the store, which the next whole makes good.
    lost: bool,
    most: Most,
}

/// How much there may be since the whole was written.
#[derive(Clone, Copy, Debug)]
struct Most {
    additions: u64,
    bytes: u64,
}

impl<T> Kept<T> {
    fn new(value: T, since: Lying, most: Most) -> Self {
        Self { value, since: Lying { next: since.next.max(1), ..since }, lost: false, most }
    }

    /// Keeps `addition`, and now and then the whole.
    pub fn add(
        &mut self,
        store: &Store,
        owner: &Owner,
        addition: Vec<u8>,
        whole: impl FnOnce(&T) -> Vec<u8>,
    ) {
        if addition.is_empty() {
            return;
        }
        self.since.bytes += addition.len() as u64;
        self.lost |= !store.add_to_story(owner.clone(), self.since.next, addition);
        self.since.next += 1;
        self.since.additions += 1;
        if self.lost || self.since.additions >= self.most.additions || self.since.bytes >= self.most.bytes {
            self.keep_whole(store, owner, whole);
        }
    }

    fn keep_whole(&mut self, store: &Store, owner: &Owner, whole: impl FnOnce(&T) -> Vec<u8>) {
        if store.keep_story(owner.clone(), self.since.next, whole(&self.value)) {
            self.since = Lying { next: self.since.next, ..Lying::default() };
            self.lost = false;
        }
    }
}

impl Kept<State> {
    /// What a session remembers, of which `lying` is in the store.
    pub fn of_session(value: State, lying: Lying) -> Self {
        Self::new(value, lying, OF_A_SESSION)
    }

    /// Lets go of what the session has done, as all of it lies in the store; `false` if it does not.
    pub fn sleep(&mut self, store: &Store, owner: &Owner) -> bool {
        if self.lost || self.since.additions > READ_AT_MOST {
            self.keep_whole(store, owner, |state| state.journal().encode());
        }
        if !self.lost {
            self.value.sleep();
        }
        !self.lost
    }
}

impl Common {
    /// What earlier processes shared.
    pub fn open(store: &Store, stories: &mut HashMap<Owner, Written>) -> Self {
        let key = || Key::new(*store.key_for("workspace").expose());
        let told = stories.remove(&Owner::Workspace).unwrap_or_default();
        let mut workspace = match told.whole.as_deref().map(|whole| Workspace::decode(key(), whole)) {
            None => Workspace::new(key()),
            Some(Ok(workspace)) => workspace,
            Some(Err(_)) => lost("the workspace", Workspace::new(key())),
        };
        for addition in &told.since {
            if workspace.replay(addition).is_err() {
                tracing::error!(
                    "an addition to what is known of the workspace cannot be read, and is passed over"
                );
            }
        }
        let agents = stories.iter().filter_map(|(owner, told)| match owner {
            Owner::Agent(agent) => {
                Some((Arc::from(agent.as_str()), told.since.last().or(told.whole.as_ref())?))
            }
            _ => None,
        });
        let baseline = |bytes: &Vec<u8>| {
            Baseline::decode(bytes)
                .unwrap_or_else(|_| lost("what an agent usually does", Baseline::default()))
        };
        let baselines = agents.map(|(agent, bytes): (Arc<str>, _)| (agent, baseline(bytes))).collect();
        let bytes = told.since.iter().map(|addition| addition.len() as u64).sum();
        let since = Lying { additions: told.since.len() as u64, bytes, next: told.next };
        let workspace = RwLock::new(Kept::new(workspace, since, OF_THE_WORKSPACE));
        Self { workspace, baselines: Mutex::new(baselines), chains: Chains::shipped() }
    }

    /// What `action` begins in.
    pub fn with<T>(&self, action: &Action, engine: &Engine, work: impl FnOnce(&World<'_>) -> T) -> T {
        let baseline = lock(&self.baselines).get(&action.agent).cloned().unwrap_or_default();
        let classify = |action: &Action, effect: &Effect| engine.classify(action, effect);
        let workspace = self.workspace.read().unwrap_or_else(PoisonError::into_inner);
        work(&World {
            workspace: &workspace.value,
            baseline: &baseline,
            learning: Learning::default(),
            chains: &self.chains,
            classify: &classify,
            own: &|action| engine.policy().own_effects(action),
        })
    }

    /// Lets `work` change what is shared with `agent`, and keeps what it says was changed.
    pub fn change(
        &self,
        store: &Store,
        agent: &Arc<str>,
        work: impl FnOnce(&mut Workspace, &mut Baseline) -> Ended,
    ) -> Ended {
        let mut workspace = self.workspace.write().unwrap_or_else(PoisonError::into_inner);
        let mut baselines = lock(&self.baselines);
        let baseline = baselines.entry(Arc::clone(agent)).or_default();
        let mut ended = work(&mut workspace.value, baseline);
        if !ended.baseline.is_empty() {
            let whole = std::mem::take(&mut ended.baseline);
            let _ = store.keep_story(Owner::Agent(agent.to_string()), u64::MAX, whole);
        }
        workspace.add(store, &Owner::Workspace, std::mem::take(&mut ended.workspace), Workspace::encode);
        ended
    }

    /// Lets `look` see what is known of the workspace.
    pub fn look<T>(&self, look: impl FnOnce(&Workspace) -> T) -> T {
        look(&self.workspace.read().unwrap_or_else(PoisonError::into_inner).value)
    }

    /// Forgets what an agent usually does.
    pub fn forget_agent(&self, agent: &str) {
        lock(&self.baselines).remove(agent);
    }

    /// Forgets these artefacts.
    pub fn forget(&self, store: &Store, marks: &[Mark]) {
        let mut workspace = self.workspace.write().unwrap_or_else(PoisonError::into_inner);
        for mark in marks {
            let (_, delta) = workspace.value.forget(*mark);
            workspace.add(store, &Owner::Workspace, delta, Workspace::encode);
        }
    }

    /// Drops artefacts that nobody has come upon for as long as they count.
    pub fn sweep(&self, store: &Store, now: Millis) {
        let mut workspace = self.workspace.write().unwrap_or_else(PoisonError::into_inner);
        let (dropped, delta) = workspace.value.sweep(now, KEEP);
        if dropped > 0 {
            tracing::info!(dropped, "artefacts that nobody came upon for long were forgotten");
        }
        workspace.add(store, &Owner::Workspace, delta, Workspace::encode);
    }
}

/// The journal that is kept of a session.
pub(super) fn journal(told: &Written) -> Journal {
    let whole = told.whole.as_deref().map(Journal::decode);
    let mut journal = match whole {
        None => Journal::default(),
        Some(Ok(journal)) => journal,
        Some(Err(_)) => lost("what a session has done", Journal::default()),
    };
    for addition in &told.since {
        if journal.replay(addition).is_err() {
            tracing::error!("an addition to what a session has done cannot be read, and is passed over");
        }
    }
    journal
}

fn lost<T>(what: &str, instead: T) -> T {
    tracing::error!("what was kept of {what} cannot be read; it begins anew");
    instead
}
