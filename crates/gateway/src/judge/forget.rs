//! Forgetting an agent whose traces a person has scrubbed: what this process remembers of it goes too.

use doorward_store::retention::Whose;

use super::Gateway;

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
        // When these are from is not known: any hold of the agent, or of everybody, may mean them.
        if !holds.iter().any(|hold| hold.agent.as_deref().is_none_or(|held| held == agent)) {
            self.replies.forget(agent);
            self.conversations.forget(agent);
            self.kept.forget_agent(agent);
            self.issued.forget(agent);
        }
        count
    }
}
