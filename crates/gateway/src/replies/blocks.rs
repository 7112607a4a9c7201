//! Which blocks of requests were replaced, so that each is replaced again by the same words.
//!
//! Per agent, by a keyed digest of the text: whatever stands around it and whichever upstream it goes to, it is the same
//! block. A sealed copy is in the side store; after a restart, and under other rules than those that found it, it is
//! still that block.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_core::Decision;
use doorward_core::action::{Action, ActionKind, Part, PartKind};
use doorward_core::decision::Replaced;
use doorward_core::session::Millis;
use doorward_ledger::Salt;
use doorward_store::Store;

use super::HOUR;
use super::book::Memo;
use super::memo::Block;
use crate::judge::now;

/// The most that are known of one agent. Beyond it those used longest ago go, a quarter at once: should they come again
/// they are judged anew.
const MOST: usize = 4096;

/// The blocks that were replaced, by agent and digest.
pub(crate) struct Blocks {
    salt: Salt,
    of: Mutex<HashMap<Arc<str>, Own>>,
    store: Store,
}

/// Those of one agent, by digest.
type Own = HashMap<Arc<str>, Kept>;

#[derive(Debug)]
struct Kept {
    replaced: Replaced,
    memo: Memo,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("of", &*self.lock()).finish_non_exhaustive()
    }
}

impl Blocks {
    /// Forgets all of an agent.
    pub fn forget(&self, agent: &str) {
        self.lock().remove(agent);
    }

    pub fn new(store: Store) -> Self {
        Self { salt: Salt::new(store.blocks_key().expose()), of: Mutex::default(), store }
    }

    /// For each part of a request whose text was replaced before: by what, and why. Empty if there is none.
    pub fn known(&self, action: &Action) -> Vec<Option<Replaced>> {
        if action.kind != ActionKind::ModelRequest || !self.lock().contains_key(&action.agent) {
            return Vec::new();
        }
        // Not under the lock: it takes as long as the parts are.
        let digests: Vec<Option<Arc<str>>> = action.parts.iter().map(|part| self.digest(part)).collect();
        let now = now();
        let mut of = self.lock();
        let Some(own) = of.get_mut(&action.agent) else { return Vec::new() };
        let mut find = |digest: Arc<str>| {
            let kept = own.get_mut(&digest)?;
            // To the hour: every request of a conversation has all of its blocks.
            if now.saturating_sub(kept.memo.used) >= HOUR {
                kept.memo.used = now;
                kept.memo.id.into_iter().for_each(|id| self.store.memo_used(id, now));
            }
            Some(kept.replaced.clone())
        };
        digests.into_iter().map(|digest| find(digest?)).collect()
    }

    /// Remembers what `decision` replaces in `action`.
    pub fn remember(&self, action: &Action, decision: &Decision) {
        for (part, replaced) in &decision.replaced {
            let Some(digest) = action.parts.get(*part).and_then(|part| self.digest(part)) else { continue };
            if self.lock().get(&action.agent).is_some_and(|own| own.contains_key(&digest)) {
                continue;
            }
            let used = now();
            let block = Block { digest, replaced: replaced.clone() };
            let id = Some(self.store.remember(used, block.write(&action.agent)));
            let gone = self.take_in(&action.agent, block, Memo { id, used });
            gone.into_iter().for_each(|id| self.store.forget(id));
        }
    }

    /// Takes a block in. Gives the memos of what had to go for it.
    pub(super) fn take_in(&self, agent: &Arc<str>, block: Block, memo: Memo) -> Vec<u64> {
        let mut of = self.lock();
        let own = of.entry(Arc::clone(agent)).or_default();
        let before = own.insert(block.digest, Kept { replaced: block.replaced, memo });
        let mut gone: Vec<u64> = before.into_iter().filter_map(|kept| kept.memo.id).collect();
        if own.len() > MOST {
            let mut used: Vec<Millis> = own.values().map(|kept| kept.memo.used).collect();
            used.sort_unstable();
            let limit = used.get(MOST / 4).copied().unwrap_or_default();
            gone.extend(forget_before(own, limit.saturating_add(1), MOST / 4));
        }
        gone
    }

    /// Forgets what was last of use before `limit`.
    pub fn expire(&self, limit: Millis) {
        for own in self.lock().values_mut() {
            forget_before(own, limit, usize::MAX).into_iter().for_each(|id| self.store.forget(id));
        }
    }

    /// What a block is known by; `None` of what is never replaced. The same text said by someone else is another block.
    fn digest(&self, part: &Part) -> Option<Arc<str>> {
        let domain = match part.kind {
            PartKind::ToolResult => "block.result",
            PartKind::ToolDefinition => "block.definition",
            _ => return None,
        };
        Some(self.salt.digest(domain, part.text.as_bytes()).to_string().into())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Own>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets at most `most` that were last of use before `limit`. Gives their memos.
fn forget_before(own: &mut Own, limit: Millis, most: usize) -> Vec<u64> {
    let old = own.iter().filter(|(_, kept)| kept.memo.used < limit).map(|(digest, _)| Arc::clone(digest));
    let old: Vec<Arc<str>> = old.take(most).collect();
    old.iter().filter_map(|digest| own.remove(digest)?.memo.id).collect()
}
