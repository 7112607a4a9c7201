//! The one place where an action is judged.

use crate::action::Action;
use crate::decision::Decision;
use crate::session::Facts;

/// Rules and policy in force, compiled.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Judges `action` with what is known. Pure: the same arguments give the same decision.
    #[must_use]
    pub fn decide(&self, action: &Action, facts: &Facts) -> Decision {
        let _ = (action, facts);
        Decision::default()
    }
}
