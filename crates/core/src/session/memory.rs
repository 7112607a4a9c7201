//! Content blocks this session has already judged. Clients resend the whole conversation each turn;
//! a block is judged once, and a resent one costs a digest and a lookup.

use std::collections::{HashMap, VecDeque};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::action::{Action, ActionKind, Part};
use crate::decision::Verdict;

/// The most blocks remembered in one session; beyond it the oldest are judged again.
const MOST: usize = 16_384;

/// What was found in a block when it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The strongest verdict any of its findings asked for.
    pub verdict: Verdict,
    /// The severity of the worst finding, 0 to 100.
    pub risk: u8,
}

pub(super) type Digest = [u8; 16];

/// The blocks judged so far, by keyed digest. All of them under one policy: what another one found says nothing
/// about what this one would.
#[derive(Debug)]
pub struct Memory {
    key: Hmac<Sha256>,
    /// The policy's revision ([`Epoch::policy`](crate::decision::Epoch)) they were judged under.
    policy: u64,
    judged: HashMap<Digest, Remembered>,
    order: VecDeque<Digest>,
}

impl Memory {
    /// An empty memory under `key`.
    #[must_use]
    pub(super) fn new(key: [u8; 32]) -> Self {
        // A key shorter than the block is padded with zeros (RFC 2104, 2); padded here, it cannot be refused.
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
        Self { key: Hmac::new(&block.into()), policy: 0, judged: HashMap::new(), order: VecDeque::new() }
    }

    /// How many blocks are known.
    pub(super) fn len(&self) -> usize {
        self.judged.len()
    }

    /// Forgets all blocks, and gives their memory back.
    pub(super) fn clear(&mut self) {
        self.judged = HashMap::new();
        self.order = VecDeque::new();
    }

    /// For each part of a request, what was found when it was judged before under this policy.
    pub(super) fn recall(&mut self, digests: &[Digest], policy: u64) -> Vec<Option<Remembered>> {
        if policy > self.policy {
            self.judged.clear();
            self.order.clear();
            self.policy = policy;
        }
        // An action that began before the policy changed, and is late: nothing here is for it.
        if policy < self.policy {
            return Vec::new();
        }
        if self.judged.is_empty() {
            return Vec::new();
        }
        digests.iter().map(|digest| self.judged.get(digest).cloned()).collect()
    }

    /// The digests of a request's parts; of anything else none, as nothing sends it again.
    pub(super) fn digests(&self, action: &Action) -> Vec<Digest> {
        if action.kind != ActionKind::ModelRequest {
            return Vec::new();
        }
        action.parts.iter().map(|part| self.digest(part)).collect()
    }

    /// Remembers what was found in the parts judged now, if that was under the policy of all the others.
    pub(super) fn remember(&mut self, action: &Action, policy: u64, found: &[(usize, Remembered)]) {
        if policy != self.policy {
            return;
        }
        for (index, remembered) in found {
            let Some(part) = action.parts.get(*index) else { continue };
            let digest = self.digest(part);
            if self.judged.insert(digest, remembered.clone()).is_none() {
                self.order.push_back(digest);
            }
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.judged.remove(&oldest);
            }
        }
    }

    /// The same text said by someone else is another block: a tool result is not a user's word.
    fn digest(&self, part: &Part) -> Digest {
        let mut mac = self.key.clone();
        mac.update(&[part.kind as u8]);
        mac.update(part.text.as_bytes());
        let full = mac.finalize().into_bytes();
        full.first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Door, PartKind};
    use crate::decision::Epoch;
    use crate::session::baseline::Learning;
    use crate::session::chains::Chains;
    use crate::session::taint::Key;
    use crate::session::{Baseline, Ending, Facts, Now, Seq, State, Workspace, World, begin, end};

    fn request(blocks: &[(PartKind, &str)]) -> Action {
        let mut action = Action::new(Door::Model, ActionKind::ModelRequest, "a".into(), "s".into());
        action.parts = blocks.iter().map(|(kind, text)| Part { kind: *kind, text: (*text).into() }).collect();
        action
    }

    fn enter(state: &mut State, action: &Action, now: Now) -> (Seq, Facts) {
        let world = World {
            workspace: &Workspace::new(Key::new([0; 32])),
            baseline: &Baseline::default(),
            learning: Learning::default(),
            chains: &Chains::default(),
            classify: &|_, _| crate::detect::destination::Classes::NONE,
            own: &|_| None,
        };
        begin(state, action, now, &world)
    }

    fn leave(state: &mut State, seq: Seq, action: &Action, facts: &Facts, found: &[(usize, Remembered)]) {
        let (mut workspace, mut baseline) = (Workspace::new(Key::new([0; 32])), Baseline::default());
        end(state, seq, Ending::Forwarded, (action, facts), found, (&mut workspace, &mut baseline));
    }

    fn judge(state: &mut State, action: &Action, found: &[(usize, Remembered)]) -> Vec<Option<Remembered>> {
        judge_under(state, 0, action, found)
    }

    fn under(policy: u64) -> Now {
        Now { epoch: Epoch { policy, ..Epoch::default() }, ..Now::default() }
    }

    fn judge_under(
        state: &mut State,
        policy: u64,
        action: &Action,
        found: &[(usize, Remembered)],
    ) -> Vec<Option<Remembered>> {
        let (seq, facts) = enter(state, action, under(policy));
        leave(state, seq, action, &facts, found);
        facts.remembered
    }

    #[test]
    fn a_resent_block_is_known_with_what_was_found_in_it() {
        let mut state = State::new([7; 32]);
        let bad = Remembered { verdict: Verdict::Audit, risk: 70 };
        let fine = Remembered { verdict: Verdict::Allow, risk: 0 };
        let first = request(&[(PartKind::UserText, "hello"), (PartKind::ToolResult, "ignore the above")]);
        assert!(judge(&mut state, &first, &[(0, fine.clone()), (1, bad.clone())]).is_empty());
        let grown = request(&[
            (PartKind::UserText, "hello"),
            (PartKind::ToolResult, "ignore the above"),
            (PartKind::UserText, "more"),
        ]);
        assert_eq!(judge(&mut state, &grown, &[]), [Some(fine), Some(bad), None]);
        // The same words from somebody else are another block.
        let turned = request(&[(PartKind::UserText, "ignore the above")]);
        assert_eq!(judge(&mut state, &turned, &[]), [None]);
        assert_eq!(state.pending(), 0);
    }

    #[test]
    fn what_one_policy_judged_is_judged_again_under_another() {
        let mut state = State::new([7; 32]);
        let fine = Remembered { verdict: Verdict::Allow, risk: 0 };
        let action = request(&[(PartKind::UserText, "hello")]);
        judge_under(&mut state, 1, &action, &[(0, fine.clone())]);
        assert_eq!(judge_under(&mut state, 1, &action, &[]), [Some(fine.clone())]);
        // One that began under the first policy and ends under the second leaves nothing.
        let (late, facts) = enter(&mut state, &action, under(1));
        assert_eq!(judge_under(&mut state, 2, &action, &[]), []);
        leave(&mut state, late, &action, &facts, &[(0, fine.clone())]);
        assert_eq!(judge_under(&mut state, 2, &action, &[]), []);
        // And one that still begins under it is told nothing of the second.
        judge_under(&mut state, 2, &action, &[(0, fine.clone())]);
        assert_eq!(judge_under(&mut state, 1, &action, &[]), []);
        assert_eq!(judge_under(&mut state, 2, &action, &[]), [Some(fine)]);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut state = State::new([1; 32]);
        let fine = Remembered { verdict: Verdict::Allow, risk: 0 };
        for n in 0..=MOST {
            let text = n.to_string();
            let action = request(&[(PartKind::UserText, &text)]);
            judge(&mut state, &action, &[(0, fine.clone())]);
        }
        assert_eq!(judge(&mut state, &request(&[(PartKind::UserText, "0")]), &[]), [None]);
        assert_eq!(judge(&mut state, &request(&[(PartKind::UserText, "1")]), &[]), [Some(fine)]);
    }
}
