//! What the door remembers of a key, for who has it forgotten when a person has scrubbed the key or its agent.

use std::sync::{Arc, Mutex};

use super::Egress;
use super::repeats::{Known, lock};
use super::sessions::Sessions;

/// A hold on that memory which outlives nothing: the door goes on without it.
#[derive(Clone, Debug)]
pub struct Remembered {
    sessions: Arc<Sessions>,
    answers: Arc<Mutex<Known>>,
}

impl Egress {
    /// What this door remembers.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        Remembered { sessions: Arc::clone(&self.sessions), answers: self.repeats.known() }
    }
}

impl Remembered {
    /// Ends the sessions of a key, and forgets what its requests with an `Idempotency-Key` were answered. That those were done is
    /// remembered for its minutes, or they would be done again; what is on its way goes on.
    pub fn forget(&self, key: &str) {
        self.sessions.end_of(key);
        lock(&self.answers).forget_answers(key);
    }
}
