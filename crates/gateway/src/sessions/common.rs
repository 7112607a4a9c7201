//! What sessions share: the workspace's artefacts, and what each agent usually does. Kept in the store as it changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use doorward_core::session::baseline::Learning;
use doorward_core::session::chains::Chains;
use doorward_core::session::taint::{KEEP, Key, Mark};
use doorward_core::session::{Baseline, Ended, Journal, Millis, Workspace, World};
use doorward_core::{Action, Effect, Engine};
use doorward_store::{Owner, Store, Written};

use super::lock;

/// How many additions to what a session has done are kept before the whole, some 50 KB, is written in their place.
pub(super) const OF_A_SESSION: u64 = 1024;

/// The same of the workspace. Its whole is 6 MB at its bound, which takes milliseconds under the lock of all.
const OF_THE_WORKSPACE: u64 = 16 * 1024;

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
    /// The number of the next addition.
    next: u64,
    /// How many there are since the whole was written, and how many there may be.
    since: u64,
    most: u64,
}

impl<T> Kept<T> {
    pub fn new(value: T, told: &Written, most: u64) -> Self {
        let since = told.since.len() as u64;
        Self { value, next: told.next.max(1), since, most }
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
        store.add_to_story(owner.clone(), self.next, addition);
        self.next += 1;
        self.since += 1;
        if self.since >= self.most {
            store.keep_story(owner.clone(), self.next, whole(&self.value));
            self.since = 0;
        }
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
        let workspace = RwLock::new(Kept::new(workspace, &told, OF_THE_WORKSPACE));
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
            store.keep_story(Owner::Agent(agent.to_string()), u64::MAX, std::mem::take(&mut ended.baseline));
        }
        workspace.add(store, &Owner::Workspace, std::mem::take(&mut ended.workspace), Workspace::encode);
        ended
    }

    /// Lets `look` see what is known of the workspace.
    pub fn look<T>(&self, look: impl FnOnce(&Workspace) -> T) -> T {
        look(&self.workspace.read().unwrap_or_else(PoisonError::into_inner).value)
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

/// The journal that an earlier process left of a session.
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
