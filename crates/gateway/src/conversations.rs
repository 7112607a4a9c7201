//! What the calls of a conversation have left behind: the directory, files, links, variables of its shell.
//!
//! A client sends the whole conversation with each request, so this is worked out from the request itself and
//! belongs to that conversation, whoever else has the same token. What is kept here only saves work: it may be
//! forgotten at any time. But where a provider keeps the conversation, what replies have left is known only from
//! here; once forgotten, it could be anything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_core::action::shell::State;
use doorward_core::action::tools::{Chain, Earlier};

/// How many states are kept, and about how many bytes of them.
const MOST: usize = 512;
const MOST_BYTES: usize = 32 << 20;

/// How many calls of a conversation that is not known are read, the last ones.
const MOST_CALLS: usize = 1024;

/// What is kept under the name of a reply or a conversation.
type Whose = (Arc<str>, Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub(crate) struct Conversations {
    chains: Mutex<Kept<Chain>>,
    replies: Mutex<Kept<Whose>>,
}

impl Conversations {
    /// What is left after `calls`, the first of which came after what left `from`.
    pub fn after(&self, from: State, calls: &[Earlier]) -> State {
        // After another beginning the same calls leave something else.
        let known = from.is_empty();
        let (mut chain, mut chains) = (Chain::default(), Vec::with_capacity(calls.len()));
        for call in calls {
            chain = call.link(&chain);
            chains.push(chain);
        }
        let found = known.then(|| self.longest(&chains)).flatten();
        let (done, mut state) = found.unwrap_or_else(|| match calls.len().checked_sub(MOST_CALLS) {
            None | Some(0) => (0, from),
            Some(skipped) => (skipped, State::unknown()),
        });
        for call in calls.iter().skip(done) {
            state = call.after(&state);
        }
        if let Some(last) = chains.last().filter(|_| known && done < calls.len()) {
            lock(&self.chains).keep(*last, state.clone());
        }
        state
    }

    /// The longest beginning whose state is known: how many calls, and what they left.
    fn longest(&self, chains: &[Chain]) -> Option<(usize, State)> {
        let kept = lock(&self.chains);
        let state = |(at, chain)| Some((at + 1, kept.states.get(chain)?.clone()));
        chains.iter().enumerate().rev().find_map(state)
    }

    /// Keeps what is left after the reply or in the conversation that the upstream knows as `id`.
    pub fn keep(&self, agent: &Arc<str>, upstream: &Arc<str>, id: &str, state: State) {
        if !id.is_empty() && id.len() <= 256 {
            lock(&self.replies).keep((Arc::clone(agent), Arc::clone(upstream), id.into()), state);
        }
    }

    /// Forgets what replies to an agent have left.
    pub fn forget(&self, agent: &str) {
        lock(&self.replies).forget(|(own, ..)| &**own == agent);
    }

    /// What was left there, if that is known.
    pub fn of(&self, agent: &Arc<str>, upstream: &Arc<str>, id: &str) -> Option<State> {
        let whose = (Arc::clone(agent), Arc::clone(upstream), Arc::from(id));
        lock(&self.replies).states.get(&whose).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// States by name, those kept last.
#[derive(Debug)]
struct Kept<N> {
    states: HashMap<N, State>,
    order: VecDeque<N>,
    bytes: usize,
}

impl<N> Default for Kept<N> {
    fn default() -> Self {
        Self { states: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<N: Clone + Eq + std::hash::Hash> Kept<N> {
    fn keep(&mut self, name: N, state: State) {
        self.bytes += state.size();
        if let Some(before) = self.states.insert(name.clone(), state) {
            self.bytes = self.bytes.saturating_sub(before.size());
            self.order.retain(|kept| *kept != name);
        }
        self.order.push_back(name);
        self.bound();
    }

    fn forget(&mut self, is_gone: impl Fn(&N) -> bool) {
        let Self { states, order, bytes } = self;
        order.retain(|name| !is_gone(name));
        states.retain(|name, state| {
            let stays = !is_gone(name);
            *bytes = bytes.saturating_sub(if stays { 0 } else { state.size() });
            stays
        });
    }

    fn bound(&mut self) {
        while self.order.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            let gone = self.states.remove(&oldest);
            self.bytes = self.bytes.saturating_sub(gone.map_or(0, |state| state.size()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Earlier {
        Earlier::new("Bash", &format!("{{\"command\":\"{line}\"}}"), false).unwrap()
    }

    #[test]
    fn a_longer_conversation_goes_on_from_what_is_known_of_its_beginning() {
        let conversations = Conversations::default();
        let calls = [call("cd ~/.ssh"), call("X=1"), call("ls")];
        let first = conversations.after(State::default(), &calls[..2]);
        assert!(!first.is_empty());
        // The same value, not one that was worked out again.
        assert_eq!(conversations.after(State::default(), &calls[..2]), first);
        let (done, state) = conversations.longest(&[calls[0].link(&Chain::default())]).unwrap_or_default();
        assert_eq!((done, state), (0, State::default()));
        assert!(!conversations.after(State::default(), &calls).is_empty());
        // Another beginning is another conversation.
        assert_ne!(conversations.after(State::default(), &calls[1..2]), first);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        for n in 0..2 * MOST {
            kept.keep(n, State::unknown());
        }
        assert_eq!((kept.states.len(), kept.order.len()), (MOST, MOST));
        assert!(kept.states.contains_key(&(2 * MOST - 1)) && !kept.states.contains_key(&0));
        let mut large = State::default();
        large.write("a", &"x".repeat(200_000));
        for n in 0..2 * MOST {
            kept.keep(n, large.clone());
        }
        assert!(kept.bytes <= MOST_BYTES && kept.states.len() > 100);
    }
}
