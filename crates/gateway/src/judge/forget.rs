//! Forgetting an agent whose traces a person has scrubbed: what this process remembers of it goes too.

use std::collections::HashSet;

use doorward_store::retention::Whose;

use super::Gateway;
use crate::sessions::agent_of;

impl Gateway {
    /// Forgets what this process remembers of `agent`: its sessions and what was done in them, what it usually does, replies and
    /// placeholders that later requests might have needed. What a person holds stays. What is in flight goes on, and is
    /// remembered like that of a new agent; who wants it all to stay away stops the agent before. Returns how many sessions
    /// were forgotten.
    pub fn forget(&self, agent: &str) -> usize {
        let holds = self.store.holds();
        let is_held = |session: Option<&str>, time| {
            holds.iter().any(|hold| hold.covers(&Whose { time, agent: Some(agent), session, key: None }))
        };
        let count = self.sessions.forget(agent, |session, used| is_held(Some(session), used));
        self.hold
            .forget(|session| agent_of(session) == agent, |session, since| is_held(Some(session), since));
        // When these are from is not known: any hold of the agent, or of everybody, may mean them.
        if !holds.iter().any(|hold| hold.agent.as_deref().is_none_or(|held| held == agent)) {
            self.replies.forget(agent);
            self.conversations.forget(agent);
            self.kept.forget_agent(agent);
            self.issued.forget(agent);
        }
        count
    }

    /// The same for a key of `agent`, of which these `sessions` are. What the agent usually does is not its key's alone, and stays.
    pub fn forget_key(&self, agent: &str, key: &str, sessions: &HashSet<String>) -> usize {
        let holds = self.store.holds();
        let is_held = |session: &str, time| {
            let whose = Whose { time, agent: Some(agent), session: Some(session), key: Some(key) };
            holds.iter().any(|hold| hold.covers(&whose))
        };
        let which = |session: &str| sessions.contains(session);
        self.hold.forget(which, is_held);
        self.sessions.forget_those(which, is_held).0
    }
}
